"""One supervised process: started, watched, restarted when it dies, stopped in bounded time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import re
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from muster.services import beats
from muster.services.errors import StartupError

logger = logging.getLogger("muster.services")

LAUNCHER = Path(__file__).with_name("launch.py")
NO_ROOM_BYTES = 1 << 20
LOG_BYTES = 10 * 1024 * 1024
FIRST_BACKOFF, LONGEST_BACKOFF = 0.1, 10.0
START_SECONDS = 120.0  # of one that is alive and does not answer yet, as on a small or busy machine
DID_NOT_STOP = "did not stop within"
HEALTHY_AFTER = 30.0  # a child that lived this long starts again with the shortest backoff

Probe = Callable[[], Awaitable[str | None]]


@dataclass(frozen=True)
class RunAs:
    """How a child steps down from root; neither: it stays who we are."""

    namespace: bool = False
    user: tuple[int, int] | None = None

    @property
    def options(self) -> list[str]:
        if self.namespace:
            return ["--namespace"]
        return ["--user", f"{self.user[0]}:{self.user[1]}"] if self.user else []


@dataclass(frozen=True)
class Program:
    name: str
    title: str  # for people
    argv: list[str]
    env: Mapping[str, str]
    log: Path
    probe: Probe  # raises until the program truly answers; may tell its version
    run_as: RunAs = field(default_factory=RunAs)
    cwd: str = "/"  # a folder every identity may stand in
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 10.0
    death_signal: signal.Signals = signal.SIGKILL  # what it gets when its supervisor dies
    before_start: Callable[[], Awaitable[None]] | None = None
    hint: str = ""  # what to change when it does not start
    beats: bool = False  # it gives signs of life; without them it is ended, and so started again


def launcher_argv(run_as: RunAs, argv: list[str], death_signal: signal.Signals = signal.SIGKILL) -> list[str]:
    return [
        sys.executable, "-I", "-S", str(LAUNCHER),
        "--parent", str(os.getpid()), "--death-signal", str(int(death_signal)),
        *run_as.options, "--", *argv,
    ]  # fmt: skip


def trim_log(path: Path) -> None:
    """Keep one old generation. Children append, so a file cut to nothing goes on from its start."""
    try:
        if path.stat().st_size <= LOG_BYTES:
            return
        with path.open("rb") as source, path.with_suffix(".log.1").open("wb") as old:
            source.seek(-LOG_BYTES, os.SEEK_END)
            while block := source.read(1 << 20):
                old.write(block)
        os.truncate(path, 0)
    except FileNotFoundError:
        return
    except OSError as error:
        logger.warning("cannot trim %s: %s", path, error)


_STOPPING = {signal.SIGINT, signal.SIGTERM}
_holding = 0


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Until the launcher has undone what it inherits: whoever ignores a signal, as what a script runs in its background
    does, would have the program told to stop before it listens, and never again. Several may be started at once."""
    global _holding
    if not _holding:
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    _holding += 1
    try:
        yield
    finally:
        _holding -= 1
        if not _holding:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)


class Child:
    def __init__(self, program: Program, on_change: Callable[[], None] | None = None) -> None:
        self.program = program
        self.restarts = 0
        self.version = ""
        self.since: datetime | None = None
        self.hangs = False
        self._on_change = on_change or (lambda: None)
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._hearing: asyncio.Task[None] | None = None
        self._stopping = False
        self._spawning = asyncio.Lock()
        self._log_start = 0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self, timeout: float = START_SECONDS) -> None:
        """Run it and wait until it answers; a program that ends instead is a StartupError."""
        try:
            # Shielded: cancelled between fork and bookkeeping, the process would be nobody's.
            await asyncio.shield(asyncio.ensure_future(self._spawn()))
            await self._until_ready(timeout)
        except BaseException:
            await self.stop()
            raise
        self._watch = asyncio.create_task(self._keep_alive(), name=f"keep {self.program.name}")

    async def launch(self) -> None:
        """Run it without waiting for its answer, for what others can do without until it comes. One that ends at once
        is restarted like one that worked."""
        await asyncio.shield(asyncio.ensure_future(self._spawn()))
        self._watch = asyncio.create_task(self._keep_alive(), name=f"keep {self.program.name}")

    async def _spawn(self) -> None:
        program = self.program
        async with self._spawning:
            if self._stopping:
                return
            if program.before_start:
                await program.before_start()
            trim_log(program.log)
            try:
                descriptor = os.open(program.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            except OSError as error:
                raise StartupError(f"cannot write {program.log} ({error.strerror}); see MUSTER_HOME") from None
            ear = beats.Ear() if program.beats else None
            try:
                self._log_start = os.fstat(descriptor).st_size
                with _signals_held():
                    self._process = await asyncio.create_subprocess_exec(
                        *launcher_argv(program.run_as, program.argv, program.death_signal),
                        stdin=asyncio.subprocess.DEVNULL,
                        stdout=descriptor,
                        stderr=descriptor,
                        env={**program.env, **({beats.VARIABLE: str(ear.writing)} if ear else {})},
                        pass_fds=(ear.writing,) if ear else (),
                        cwd=program.cwd,
                        start_new_session=True,  # Ctrl-C goes to the supervisor alone, which stops them in order
                    )
            except BaseException:
                if ear:
                    ear.close()
                raise
            finally:
                os.close(descriptor)
                if ear:
                    ear.started()
            if self._hearing:
                self._hearing.cancel()
            if ear:
                self._hearing = asyncio.create_task(self._hear(ear, self._process), name=f"hear {program.name}")
            self.since = datetime.now(UTC)

    async def _hear(self, ear: beats.Ear, process: asyncio.subprocess.Process) -> None:
        """Say that it hangs, and end it in the end: whoever keeps it alive starts it again."""
        try:
            while process.returncode is None:
                await asyncio.sleep(beats.EVERY_SECONDS)
                ear.listen()
                if self.hangs != (ear.missing >= beats.LATE):
                    self.hangs = not self.hangs
                    logger.warning("%s %s", self.program.title, "hangs" if self.hangs else "moves again")
                    self._on_change()
                if ear.missing >= beats.TOO_LATE:
                    seconds = ear.missing * beats.EVERY_SECONDS
                    logger.error("%s has hung for %.0f s; ending it", self.program.title, seconds)
                    with contextlib.suppress(ProcessLookupError):
                        process.kill()
                    return
        finally:
            ear.close()
            self.hangs = False

    async def _until_ready(self, timeout: float) -> None:
        assert self._process is not None  # noqa: S101
        deadline = time.monotonic() + timeout
        problem: Exception | None = None
        while True:
            if self._process.returncode is not None:
                raise StartupError(self._failure(f"ended with {describe_exit(self._process.returncode)}"))
            try:
                async with asyncio.timeout(2.0):
                    self.version = await self.program.probe() or ""
            except Exception as error:  # whatever a half-started server answers
                problem = error
            else:
                # Somebody else's server on our port answers too; ours would have ended by then.
                if self._process.returncode is None:
                    return
                continue
            if time.monotonic() > deadline:
                raise StartupError(self._failure(f"did not answer within {timeout:.0f} s ({problem})"))
            await asyncio.sleep(0.02)

    def _failure(self, what: str) -> str:
        hint = f"; {self.program.hint}" if self.program.hint else ""
        disk = os.statvfs(self.program.log.parent)
        if disk.f_bavail * disk.f_frsize < NO_ROOM_BYTES:  # then its own words may not have been written either
            hint = "; its disk is full: make room, or set MUSTER_HOME to another"
        return f"{self.program.title} {what}{self._last_words()}{hint} (log: {self.program.log})"

    def _last_words(self) -> str:
        """The most telling line this run wrote."""
        try:
            with self.program.log.open("rb") as file:
                file.seek(self._log_start)
                lines = file.read(200_000).decode(errors="replace").strip().splitlines()
        except OSError:
            return ""
        telling = [line for line in lines if re.search(r"FATAL|PANIC|[Ee]rror|bind", line)] or lines
        return f": {said(telling[-1])[:300]}" if telling else ""

    async def _keep_alive(self) -> None:
        backoff = FIRST_BACKOFF
        while True:
            assert self._process is not None  # noqa: S101
            started = time.monotonic()
            code = await self._process.wait()
            if self._stopping:
                return
            if time.monotonic() - started > HEALTHY_AFTER:
                backoff = FIRST_BACKOFF
            self._on_change()
            while not self._stopping:
                logger.warning(
                    "%s ended with %s; restarting in %.1f s", self.program.title, describe_exit(code), backoff
                )
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, LONGEST_BACKOFF)
                try:
                    await self._spawn()
                except (OSError, StartupError) as error:
                    logger.error("%s cannot be started: %s", self.program.title, error)
                    continue
                break
            self.restarts += 1
            self._on_change()
            logger.warning("%s is back with pid %s (restart %d)", self.program.title, self.pid, self.restarts)

    def kill(self) -> None:
        """At once and for good; `stop` waits for it."""
        self._stopping = True
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def stop(self) -> bool:
        """Ask, wait, then force. True when asking was enough."""
        self._stopping = True
        async with self._spawning:  # a restart under way either has its process by now or will not begin
            watch, self._watch = self._watch, None
            hearing, self._hearing = self._hearing, None
        for task in (watch, hearing):
            if task:
                task.cancel()
                await asyncio.wait([task])
        process = self._process
        if process is None or process.returncode is not None:
            return True
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(self.program.stop_signal)
        try:
            await asyncio.wait_for(process.wait(), self.program.stop_seconds)
        except TimeoutError:
            logger.warning("%s %s %.0f s; killing it", self.program.title, DID_NOT_STOP, self.program.stop_seconds)
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            return False
        return True


async def run_to_end(
    run_as: RunAs, argv: list[str], env: Mapping[str, str] | None = None, *, stdin: str = ""
) -> tuple[int, str]:
    """A program that ends by itself: its exit code and what it printed. Where nobody waits for it any more, it ends at
    once, and with it what it has started itself."""
    # By itself: who gives up in the middle of that would be left with what it has started already.
    starting = asyncio.create_task(
        asyncio.create_subprocess_exec(
            *launcher_argv(run_as, argv),
            # One that is told nothing may be gone before it could be.
            stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=env,
            start_new_session=True,
            cwd="/",
        )
    )
    try:
        process = await asyncio.shield(starting)
        output, _ = await process.communicate(stdin.encode() or None)
    except asyncio.CancelledError:
        process = await starting
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        until = time.monotonic() + 2
        with contextlib.suppress(ProcessLookupError):
            while time.monotonic() < until:  # what it had started is somebody else's to reap
                os.killpg(process.pid, 0)
                await asyncio.sleep(0.01)
        raise
    assert process.returncode is not None  # noqa: S101
    return process.returncode, output.decode(errors="replace").strip()


def said(line: str) -> str:
    """What a line says to people, also where it is written for programs."""
    try:
        return str(json.loads(line)["event"])
    except (ValueError, TypeError, KeyError):
        return line.strip()


def describe_exit(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
