"""A database cluster as a first start makes it, to be copied into homes: to make one takes a second of a whole core.

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

from muster.services.home import Home
from muster.services.postgres import Postgres


def seed(home: Path) -> None:
    """Spares this home's first start the making of its cluster."""
    place = home / "postgres"
    if place.exists():
        return
    made = _made()
    Home(home).create()
    # With its owner, who is the memory of the choice as whom it runs.
    subprocess.run(["cp", "-a", "--reflink=auto", str(made), str(place)], check=True)


@functools.cache
def _made() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="muster-cluster-"))
    home = Home(folder / "home")
    home.create()
    server = Postgres(home, dict(os.environ))
    with ThreadPoolExecutor(1) as elsewhere:  # than on whoever's event loop runs here
        elsewhere.submit(asyncio.run, server.prepare()).result()
    server.clean()
    shutil.rmtree(server.socket, ignore_errors=True)
    return home.path / "postgres"


def forget() -> None:
    """At the end of the run."""
    if _made.cache_info().currsize:
        shutil.rmtree(_made().parents[1])
        _made.cache_clear()
