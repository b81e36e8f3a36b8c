"""A database cluster as a first start makes it, to be copied into homes: to make one takes a second of a whole core,
and to bring its database up to date a quarter of one more.

Tests of the start itself do without.
"""

from __future__ import annotations

import asyncio
import functools
import os
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from muster.services.child import Child
from muster.services.home import Home
from muster.services.postgres import Postgres
from muster.storage import migrations


def seed(home: Path, *, migrated: bool = True) -> None:
    """Spares this home's first start the making of its cluster, and the migrations; not what is in the tables."""
    place = home / "postgres"
    if place.exists():
        return
    made = _made(migrated)
    Home(home).create()
    # With its owner, who is the memory of the choice as whom it runs.
    subprocess.run(["cp", "-a", "--reflink=auto", str(made), str(place)], check=True)


_FOLDERS: list[Path] = []


@functools.cache
def _made(migrated: bool) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="muster-cluster-"))
    _FOLDERS.append(folder)
    home = Home(folder / "home")
    home.create()
    server = Postgres(home, dict(os.environ))
    with ThreadPoolExecutor(1) as elsewhere:  # than on whoever's event loop runs here
        elsewhere.submit(asyncio.run, _make(server, migrated)).result()
    server.clean()
    shutil.rmtree(server.socket, ignore_errors=True)
    return home.path / "postgres"


async def _make(server: Postgres, migrated: bool) -> None:
    child = Child(await server.prepare())
    if migrated:
        await child.start()
        try:
            await migrations.migrate(server.url(), migrations=migrations.all_migrations())
        finally:
            await child.stop()


def forget() -> None:
    """At the end of the run."""
    _made.cache_clear()
    while _FOLDERS:
        shutil.rmtree(_FOLDERS.pop())
