"""The worker's side of the warden: keeps one running, and at start clears what earlier workers left."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from pathlib import Path

from muster.runners import marks, procfs

log = logging.getLogger(__name__)

_SOURCE = str(Path(__file__).resolve().parents[2])
_PROGRAM = "import sys; sys.path.append(sys.argv.pop()); from muster.runners.warden_process import main; main()"


class Warden:
    """`start` it before the first agent; `stop` it after the last one has ended.

    `mark` is this worker's mark: give it to the `Forest` that the runners share.
    """

    def __init__(self, scope: str) -> None:
        """`scope` names this Muster on this machine: its home, or the address and queue that its workers share."""
        self.mark = marks.worker_mark(scope)
        self._process: subprocess.Popen[bytes] | None = None
        self._pidfd = self._pipe = -1
        self._gone: asyncio.Future[None] | None = None
        self._restart: asyncio.TimerHandle | None = None
        self._delay = 0.02
        self._stopping = False

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def start(self) -> None:
        self._stopping = False
        self._spawn()

    async def stop(self) -> None:
        """Let it go. It first ends agents that still run, so that nothing outlives this worker's care."""
        self._stopping = True
        if self._restart:
            self._restart.cancel()
        if self._gone is not None:
            self._close_pipe()
            await asyncio.shield(self._gone)

    def _spawn(self) -> None:
        loop = asyncio.get_running_loop()
        reading, self._pipe = os.pipe()
        try:
            self._process = subprocess.Popen(
                # No site, no user's environment: starts in about 10 ms and stays small.
                [sys.executable, "-I", "-S", "-E", "-c", _PROGRAM,
                 str(os.getpid()), self.mark, str(marks.worker_tag(self.mark)), _SOURCE],
                stdin=reading,
                stdout=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            )  # fmt: skip
        except OSError:
            self._close_pipe()
            raise
        finally:
            os.close(reading)
        self._pidfd = os.pidfd_open(self._process.pid)
        self._gone = loop.create_future()
        loop.add_reader(self._pidfd, self._ended, loop.time())

    def _ended(self, started: float) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._close_pipe()
        code = self._process.wait() if self._process else 0
        self._process = None
        if self._gone:
            self._gone.set_result(None)
            self._gone = None
        if self._stopping:
            return
        # One that dies young again and again waits longer and longer; one that was killed is back at once.
        self._delay = 0.02 if loop.time() - started > 5 else min(self._delay * 2, 5.0)
        log.warning("the warden of this worker ended with code %s; starting another", code)
        self._restart = loop.call_later(self._delay, self._try_again)

    def _try_again(self) -> None:
        try:
            self._spawn()
        except OSError as error:
            log.error("no warden: %s; trying again", error)
            self._delay = min(self._delay * 2, 5.0)
            self._restart = asyncio.get_running_loop().call_later(self._delay, self._try_again)

    def _close_pipe(self) -> None:
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1


async def sweep_dead(scope: str, grace_seconds: float = 1.0) -> int:
    """End what agents of dead workers of this scope left running; for the start of a worker.

    Finds something only where a worker and its warden were killed together. Never touches agents of a worker that
    lives, or of another scope. Returns how many processes were ended.
    """

    def of_dead_worker(process: procfs.Process) -> bool | None:
        return (process.mark != b"" and marks.is_dead_worker(marks.worker_of(process.mark), scope)) or None

    def find() -> list[procfs.Process]:
        found = procfs.label_trees(procfs.living(), of_dead_worker)
        return [process for process, _ in found.values() if process.pid != os.getpid()]

    return len(await asyncio.to_thread(procfs.end_all, find, grace_seconds))
