"""Real servers in throw-away homes. Every test leaves no process behind, and says so when one does."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis.asyncio

from muster.services import probes
from muster.services.addresses import Addresses
from muster.services.child import RunAs, launcher_argv
from muster.settings import Settings
from tests.pace import Stopwatch

# What a developer's own shell may point at must not reach the tests.
for name in [name for name in os.environ if name.startswith(("MUSTER_", "TEMPORAL_", "VALKEY_", "PG"))] + [
    "DATABASE_URL"
]:
    os.environ.pop(name, None)

FREE_PORTS = {
    "MUSTER_API_PORT": "0",
    "MUSTER_TEMPORAL_PORT": "0",
    "MUSTER_TEMPORAL_UI_PORT": "0",
    "MUSTER_VALKEY_PORT": "0",
}


def with_us(*argv: str) -> list[str]:
    """This command, which ends with the process that runs it, however that ends: Ctrl-C does not let tests tidy up."""
    return launcher_argv(RunAs(), [*argv])


def processes_of(home: Path) -> list[int]:
    """Whoever has the home on its command line, in its environment or as its working directory."""
    needle, found = os.fsencode(home), []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if (entry / "stat").read_text().rpartition(")")[2].split()[0] == "Z":
                    continue
                traces = [(entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()]
                traces.append(os.fsencode(os.readlink(entry / "cwd")))
            except OSError:
                continue
            if any(needle in trace for trace in traces):
                found.append(int(entry.name))
    return found


def pauses(first: float) -> Iterator[float]:
    """Between two looks: longer and longer, since each costs the servers something that others wait for."""
    pause = first
    while True:
        yield pause
        pause = min(pause * 1.5, max(first, 0.2))


async def eventually(check: Callable[[], Awaitable[Any]], seconds: float = 10.0, every: float = 0.05) -> Any:
    waited = Stopwatch()
    for pause in pauses(every):
        try:
            return await check()
        except Exception:
            if waited.passed(seconds):
                raise
        await asyncio.sleep(pause)
    raise AssertionError


async def nobody_left(home: Path, seconds: float = 8.0) -> None:
    async def gone() -> None:
        assert processes_of(home) == []

    await eventually(gone, seconds)


@pytest.fixture
def home() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="muster-test-"))
    yield folder / "home"
    left = processes_of(folder)
    for pid in left:
        os.kill(pid, 9)
    shutil.rmtree(folder)
    assert left == [], "processes outlived their test"


@pytest.fixture
def make_settings(home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    def make(**variables: object) -> Settings:
        return Settings(_env_file=None, **{"MUSTER_HOME": home, **FREE_PORTS, **variables})  # type: ignore[call-arg]

    return make


async def all_answer(addresses: Addresses) -> None:
    await probes.postgres(addresses.database_url)
    await ping(addresses.valkey_url)
    assert addresses.temporal_ui
    await probes.temporal_ui(int(addresses.temporal_ui.rpartition(":")[2]), addresses.temporal_namespace)


async def ping(url: str) -> None:
    client = redis.asyncio.Redis.from_url(url)
    try:
        assert await client.ping()
    finally:
        await client.aclose()


async def sql(url: str, statement: str) -> list[tuple[Any, ...]]:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        cursor = await connection.execute(statement)
        return await cursor.fetchall() if cursor.description else []


class Muster:
    """The command line, on one home."""

    def __init__(self, home: Path, **variables: str) -> None:
        self.home = home
        # Most have nothing to search, and a model takes a second of both cores to load.
        without = {"MUSTER_EMBEDDINGS_URL": "off"}
        self.env = {**os.environ, **FREE_PORTS, **without, "MUSTER_HOME": str(home), **variables}

    def __call__(
        self, *arguments: str, timeout: float = 180, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "muster.cli", *arguments],
            env=self.env, capture_output=True, text=True, timeout=timeout,
            cwd=cwd or self.home.parent,
        )  # fmt: skip

    def open(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "muster.cli", *arguments],
            env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.home.parent,
        )  # fmt: skip

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self("status", "--json").stdout)
        return answer


@pytest.fixture
def muster(home: Path) -> Iterator[Muster]:
    command = Muster(home)
    yield command
    if processes_of(home):
        command("stop")


def family(*pids: int) -> list[int]:
    """The processes and all that descend from them, but for those that have ended and are only not looked after yet."""
    parents: dict[int, int] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with suppress(OSError):
                state, parent = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[:2]
                if state != "Z":
                    parents[int(entry)] = int(parent)
    children: dict[int, list[int]] = {}
    for child, parent in parents.items():
        children.setdefault(parent, []).append(child)
    found = list(pids)
    for member in found:
        found += [child for child in children.get(member, ()) if child not in found]
    return found
