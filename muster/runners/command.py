"""Runs a program as an agent: an argv, never a shell.

Environment: the worker's own, without Muster's private settings (see `_PRIVATE`), then what Muster adds for the
job, then the specification's own, then the mark, which nobody overrides. Working directory: the specification's,
taken from the worker's when it is relative; else the one given to `Command`; else the worker's. Standard input:
the specification's, else the prompt, else /dev/null.

Everything an agent starts ends with it. When the program ends and leaves something running, that is given a
moment, then SIGTERM, then SIGKILL, and a remark in the output says so.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable, Mapping

from muster.domain.states import Reason
from muster.runners.feed import Feed
from muster.runners.output import Output
from muster.runners.procfs import MARK_VARIABLE
from muster.runners.protocol import Finish, Job, Sink, Stop
from muster.runners.tree import Forest, Tree

_PRIVATE = (
    # Prefixes. Addresses and secrets of the worker's stores, and knobs that are nobody else's business. What an
    # agent may know of Muster (its ids, the API's address) is added for each job.
    "MUSTER_", "DATABASE_URL", "VALKEY_", "TEMPORAL_", "MAX_CONCURRENT_AGENTS",
    # What libpq reads when the database's address leaves it out.
    "PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGPASS", "PGSERVICE", "PGOPTIONS", "PGSSL",
)  # fmt: skip

TIMEOUT_GRACE_SECONDS = 5.0
LINGER_SECONDS = 0.25
"""What outlives the program gets this long to end by itself: `> >(tee log)` still writes its last lines."""
LEFTOVER_GRACE_SECONDS = 1.0


def public_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The worker's environment as its agents may see it."""
    return {name: value for name, value in environ.items() if not name.startswith(_PRIVATE)}


class Command:
    """The `command` runner: one for a worker, for all its agents."""

    kind = "command"

    def __init__(self, forest: Forest, cwd: str | None = None) -> None:
        self._forest = forest
        self._cwd = cwd
        self._environ = public_environment(os.environ)

    async def run(self, job: Job, sink: Sink, stop: Stop) -> Finish:
        if stop.requested:
            return Finish(reason=stop.reason, error="stopped before it was started")
        spec = job.spec
        cwd = self._cwd if spec.cwd is None else spec.cwd
        environ = {**self._environ, **job.env, **spec.env}
        try:
            life = _Life(job, stop, self._forest, environ, cwd)
        except (OSError, ValueError) as error:
            return Finish(reason=Reason.SPAWN_FAILED, error=_spawn_error(error, spec.argv[0], cwd, environ))
        try:
            return await life.run(sink)
        finally:
            try:
                if not life.proven:
                    # It was cancelled, or its sink failed. What still runs ends now.
                    await _see_through(life.kill)
            finally:
                if life.proven:
                    life.close()


class _Life:
    """One run of one program."""

    def __init__(self, job: Job, stop: Stop, forest: Forest, environ: dict[str, str], cwd: str | None) -> None:
        self._timeout = job.spec.timeout_seconds
        self._stop = stop
        self._ending = False
        self.proven = False
        """Whether nothing of it is left."""
        self._event: asyncio.Future[None] | None = None
        self._telling: asyncio.Task[None] | None = None
        spec = job.spec
        self._feed = Feed(job.prompt if spec.stdin is None else spec.stdin)
        try:
            self._output = Output(job.max_output_bytes)
        except OSError:
            self._feed.close()
            raise

        def spawn(mark: str) -> subprocess.Popen[bytes]:
            # First in the environment, so that a look at it finds it soon. Blocks until the exec: some 0.1 ms.
            marked = {MARK_VARIABLE.decode(): mark, **environ}
            marked[MARK_VARIABLE.decode()] = mark
            return subprocess.Popen(
                spec.argv,
                stdin=self._feed.read_end,
                stdout=self._output.write_ends[0],
                stderr=self._output.write_ends[1],
                env=marked,
                cwd=cwd,
                start_new_session=True,
            )

        try:
            self._tree: Tree = forest.plant(job.agent_id, spawn)
        except BaseException:
            self._feed.close()
            self._output.close(watching=False)
            raise
        self._tree.on_refused = self._refused
        self._feed.handed_over()
        self._output.handed_over()

    async def run(self, sink: Sink) -> Finish:
        loop = asyncio.get_running_loop()
        tree, stop, output = self._tree, self._stop, self._output
        self._telling = loop.create_task(output.tell(sink, tree.pid))
        self._telling.add_done_callback(lambda _: self._wake())
        stop.listen(self._stop_requested)
        timer = None
        if self._timeout is not None:
            timer = loop.call_later(self._timeout, stop.request, Reason.TIMEOUT, TIMEOUT_GRACE_SECONDS)
        loop.add_reader(tree.pidfd, self._wake)
        try:
            while (code := tree.exit_code()) is None and not stop.requested:
                if self._telling.done():
                    await self._telling  # only a sink that raised ends it early
                self._event = loop.create_future()
                await self._event
        finally:
            loop.remove_reader(tree.pidfd)
            if timer is not None:
                timer.cancel()
        self._ending = True
        if code is None:
            await tree.end(stop.grace_seconds)
            reason = stop.reason
        else:
            # Its true ending came first; a stop can now only hurry the end of what it left.
            reason = Reason.EXIT_NONZERO if code else None
            if not tree.left_nothing():
                await tree.end(LEFTOVER_GRACE_SECONDS, patience_seconds=LINGER_SECONDS)
        self.proven = True
        output.end(stopped=code is None)
        if code is not None and tree.met:
            names = ", ".join(f"{process.name} ({process.pid})" for process in list(tree.met.values())[:10])
            output.remark(f"it left {len(tree.met)} process(es) running, which were ended with it: {names}")
        result = output.result()
        await self._telling
        last = tree.exit_code()
        return Finish(reason=reason, error=self._error(reason, last), exit_code=last, result=result)

    async def kill(self) -> None:
        self._ending = True
        await self._tree.end(0)
        self.proven = True

    def close(self) -> None:
        """Let go of everything. Only once it is proven gone."""
        if self._telling is not None:
            self._telling.cancel()
        self._feed.close()
        self._output.close()
        self._tree.fell()

    def _error(self, reason: Reason | None, code: int | None) -> str | None:
        if reason is None:
            return None
        if reason is Reason.EXIT_NONZERO:
            return _exit_error(code or 0)
        if reason is Reason.TIMEOUT:
            said = f"ran longer than {self._timeout:g} s" if self._timeout is not None else "ran longer than allowed"
        elif reason is Reason.LOST:
            said = "ended because its worker stopped, or its workflow was ended"
        else:
            said = "ended on request" if reason is Reason.KILLED else f"ended on request ({reason})"
        return said + ("; SIGKILL was needed" if self._tree.forced else "")

    def _stop_requested(self) -> None:
        if self._ending:
            self._tree.hasten(self._stop.grace_seconds)
        self._wake()

    def _wake(self) -> None:
        if self._event is not None and not self._event.done():
            self._event.set_result(None)

    def _refused(self, pid: int, name: str) -> None:
        self._output.remark(
            f"{name} ({pid}) belongs to another user and cannot be ended by this worker; waiting for it"
        )


async def _see_through(work: Callable[[], Awaitable[None]]) -> None:
    """Run this to its end, however often the caller is cancelled meanwhile; then be cancelled."""
    cancelled: asyncio.CancelledError | None = None
    while True:
        task = asyncio.ensure_future(work())
        while not task.done():
            try:
                await asyncio.shield(task)
            except asyncio.CancelledError as error:
                cancelled = error
        # A loop that shuts down cancels every task, this one too. It is started over: what is left must go.
        if not task.cancelled():
            break
    task.result()
    if cancelled is not None:
        raise cancelled


def _exit_error(code: int) -> str:
    if code <= 128:
        return f"exited with code {code}"
    try:
        return f"died of signal {code - 128} ({signal.Signals(code - 128).name})"
    except ValueError:
        return f"exited with code {code}"


def _spawn_error(error: OSError | ValueError, program: str, cwd: str | None, environ: Mapping[str, str]) -> str:
    name = _short(program)
    if isinstance(error, ValueError):
        return f"cannot start {name}: {error}"
    if cwd is not None and error.filename == cwd and error.filename != program:
        return f"working directory {_short(cwd)}: {os.strerror(error.errno or 0)}"
    if error.errno == errno.ENOENT and "/" not in program:
        return f"command not found: {name} (PATH={_short(environ.get('PATH', os.defpath))})"
    if error.errno == errno.E2BIG:
        return f"cannot start {name}: its arguments and environment are too long"
    if error.errno == errno.ENOEXEC:
        return f"cannot start {name}: neither a program nor a script with a #! line"
    return f"cannot start {name}: {os.strerror(error.errno or 0)}"


def _short(text: str) -> str:
    return text if len(text) <= 200 else text[:197] + "…"
