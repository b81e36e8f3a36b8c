"""Workers that are killed, and what their agents come to."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from muster.domain.ids import new_id
from muster.runners import marks, procfs
from muster.runners.warden import Warden, sweep_dead
from tests.pace import patience

from .conformance import survivors


class Worker:
    """A real process that runs agents of its own."""

    def __init__(self, scope: str, agents: int) -> None:
        self.scope = scope
        self.agent_ids: list[UUID] = [new_id() for _ in range(agents)]
        self.warden_pid = 0
        self.mark = ""

    async def start(self) -> None:
        package = __package__ or ""
        top = Path(__file__).resolve().parents[len(package.split("."))]
        root = Path(__file__).resolve().parents[2]
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", f"{package}.worker_stand_in", self.scope, *map(str, self.agent_ids),
            stdout=asyncio.subprocess.PIPE, start_new_session=True, cwd=root,
            env={**os.environ, "PYTHONPATH": f"{top}:{root}"},
        )  # fmt: skip
        assert self.process.stdout
        async with patience(20):
            up, pid, self.mark = (await self.process.stdout.readline()).decode().split()
        assert up == "up"
        self.warden_pid = int(pid)
        async with patience(20):
            while not self._warden_is_ready():  # noqa: ASYNC110 - until then a signal ends it, as it does any process
                await asyncio.sleep(0.01)
        assert all(survivors(agent_id) for agent_id in self.agent_ids[:3])

    def _warden_is_ready(self) -> bool:
        """It has turned away the signals that end others."""
        status = dict(
            line.split(":\t", 1)
            for line in Path(f"/proc/{self.warden_pid}/status").read_text().splitlines()
            if ":\t" in line
        )
        deaf = int(status["SigIgn"], 16) | int(status["SigBlk"], 16) | int(status["SigCgt"], 16)
        return all(deaf >> (number - 1) & 1 for number in (signal.SIGTERM, signal.SIGHUP))

    async def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.communicate()

    async def gone(self, seconds: float) -> None:
        """Wait until nothing of it is left: no agent, by environment or tag, and no warden."""
        async with patience(seconds):
            while self.left():  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    def left(self) -> list[object]:
        tag = marks.worker_tag(self.mark)
        tagged = [process.pid for process in procfs.living() if process.tag >> 32 == tag]
        warden = [self.warden_pid] if (process := procfs.read(self.warden_pid)) and process.alive else []
        return [pid for agent_id in self.agent_ids for pid in survivors(agent_id)] + tagged + warden


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    worker = Worker(f"test {new_id()}", agents=4)
    await worker.start()
    yield worker
    await worker.kill()
    await worker.gone(10)


async def test_agents_die_with_their_worker_and_no_others(worker: Worker) -> None:
    other = Worker(worker.scope, agents=2)
    await other.start()
    try:
        before = other.left()
        await worker.kill()
        await worker.gone(5)
        assert await sweep_dead(worker.scope) == 0
        assert set(before) <= set(other.left())
    finally:
        await other.kill()
        await other.gone(5)


async def test_warden_outlives_signals_to_the_group(worker: Worker) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(worker.warden_pid, number)
    assert os.getsid(worker.warden_pid) == worker.warden_pid
    os.killpg(worker.process.pid, signal.SIGKILL)
    await worker.process.communicate()
    await worker.gone(5)


async def test_warden_that_dies_is_replaced() -> None:
    warden = Warden(f"test {new_id()}")
    await warden.start()
    first = warden.pid
    assert first
    os.kill(first, signal.SIGKILL)
    async with patience(5):
        while warden.pid in (first, None):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    second = warden.pid
    await warden.stop()
    assert warden.pid is None
    assert second
    assert procfs.read(second) is None
    await warden.stop()


async def test_warden_is_small() -> None:
    warden = Warden(f"test {new_id()}")
    await warden.start()
    await asyncio.sleep(0.3)
    status = Path(f"/proc/{warden.pid}/status").read_text()
    resident = int(status.split("VmRSS:")[1].split()[0])
    await warden.stop()
    assert resident < 16_000, "kB; one runs beside every worker"


async def test_sweep_ends_what_worker_and_warden_left() -> None:
    worker = Worker(f"test {new_id()}", agents=3)
    await worker.start()
    try:
        assert await sweep_dead(worker.scope) == 0, "its worker lives"
        assert worker.process.returncode is None
        os.kill(worker.warden_pid, signal.SIGSTOP)  # so that it cannot act between the two
        await worker.kill()
        os.kill(worker.warden_pid, signal.SIGKILL)
        assert worker.left()
        assert await sweep_dead("another scope") == 0
        assert worker.left()
        assert await sweep_dead(worker.scope) >= 3
        assert worker.left() == []
    finally:
        await sweep_dead(worker.scope)


def test_marks_tell_whose_they_are() -> None:
    mine = marks.worker_mark("a home")
    mark = marks.agent_mark(new_id(), mine)
    assert marks.worker_of(mark.encode()) == mine
    assert not marks.is_dead_worker(mine, "a home")
    digest, namespace, pid, start = mine.split(".")
    reused = f"{digest}.{namespace}.{pid}.{int(start) + 1}"
    assert marks.is_dead_worker(reused, "a home")
    assert not marks.is_dead_worker(reused, "another home")
    assert not marks.is_dead_worker(f"{digest}.{int(namespace) + 1}.{pid}.{int(start) + 1}", "a home")
    for nonsense in ("", "x", "...", f"{digest}.{namespace}.x.y"):
        assert not marks.is_dead_worker(nonsense, "a home")
    assert 0 < marks.worker_tag(mine) < 2**31
