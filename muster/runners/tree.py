"""All processes of an agent, however they hide; how they are ended, and how it is proven that none is left.

Who belongs to an agent? Whoever
- carries its tag: a number in RLIMIT_LOCKS, set in the worker for the moment of the fork. Every descendant inherits
  it, a cleared environment does not clear it, and reading it is one system call; or
- carries its mark in the environment; or
- is in the session of its first process, or of another process of it; or
- descends from one of its processes, now or when last seen.

The worker is a *subreaper*: orphans of its agents become its own children. So when an agent's first process has
ended, what is left of the agent has at least one member among the worker's children (an ancestor that is alive, or
an orphan that was adopted), and the list of those is the whole check: about 10 µs, where a look through /proc costs
1 ms per 100 processes. The price: the worker must reap adopted children, and only those. The first process itself is
reaped last, so its pid, and with it its session and process group, cannot be given to anybody else before.

Proof of an end on command: two looks through /proc in a row, each begun after the last process found was gone, and
no child of the worker with the agent's tag. One look serves all agents that wait for one at that moment.

What escapes: a process that changes RLIMIT_LOCKS *and* clears its environment *and* leaves its session *and* loses
its parent before any look saw it; and whatever an agent asks somebody else to start for it (a container daemon,
cron, systemd). A process that the worker may not signal (sudo, under a worker that is not root) is never reported
as gone: its tree waits until it is. Where RLIMIT_LOCKS has a hard limit there is no tag, and the other rules decide.
"""

from __future__ import annotations

import asyncio
import ctypes
import itertools
import os
import resource
import signal
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import ClassVar

from muster.runners import marks, procfs
from muster.runners.procfs import Process

_PR_SET_CHILD_SUBREAPER = 36
_REAP_SECONDS = 1.0
_WATCHED = 16
"""Processes of one tree whose end is waited for at once; each takes a file descriptor."""
_FILES_WANTED = 8192
"""200 agents hold up to 800 file descriptors, and Debian's default limit is 1024."""


class Forest:
    """The trees of one worker, and the looks through /proc they share. Lives on one event loop."""

    # Per process, not per Forest: a child that is another Forest's root is not an orphan to be reaped.
    _roots: ClassVar[dict[int, Tree]] = {}
    _serials: ClassVar = itertools.count(1)

    def __init__(self, worker: str) -> None:
        """`worker` is the mark of this worker (`Warden.mark`)."""
        self.worker = worker
        self._tag = marks.worker_tag(worker) << marks.SERIAL_BITS
        self._waiters: list[asyncio.Future[dict[int, list[Process]]]] = []
        self._seen: dict[tuple[int, int], int] = {}
        self._reaping: asyncio.TimerHandle | None = None
        _adopt_orphans()
        _raise_file_limit()

    def plant(self, agent_id: object, spawn: Callable[[str], subprocess.Popen[bytes]]) -> Tree:
        """Start an agent's first process: `spawn` gets the mark for its environment, and must make a session."""
        serial = next(self._serials) & (1 << marks.SERIAL_BITS) - 1
        mark = marks.agent_mark(agent_id, self.worker)
        before = resource.getrlimit(procfs.RLIMIT_LOCKS)
        tagged = before[1] == resource.RLIM_INFINITY
        if tagged:
            resource.setrlimit(procfs.RLIMIT_LOCKS, (self._tag | serial, before[1]))
        try:
            process = spawn(mark)
        finally:
            if tagged:
                resource.setrlimit(procfs.RLIMIT_LOCKS, before)
        try:
            tree = Tree(self, serial, mark.encode(), process)
        except OSError:  # out of file descriptors
            process.kill()
            process.wait()
            raise
        self._roots[process.pid] = tree
        if self._reaping is None:
            self._reaping = asyncio.get_running_loop().call_later(_REAP_SECONDS, self._reap)
        return tree

    def forget(self, tree: Tree) -> None:
        self._roots.pop(tree.pid, None)
        if self._reaping is not None and not self._own_roots():
            self._reaping.cancel()
            self._reaping = None

    async def look(self) -> dict[int, list[Process]]:
        """Living processes by the serial of their tree, from a look that begins after this call."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[dict[int, list[Process]]] = loop.create_future()
        if not self._waiters:
            # Callbacks that are ready now run before this one, so all trees that ask at this moment share it.
            loop.call_soon(self._look)
        self._waiters.append(waiter)
        return await waiter

    def _look(self) -> None:
        waiters, self._waiters = self._waiters, []
        try:
            owner = self._owner()
            roots = {tree.pid: tree.serial for tree in self._own_roots()}
            labelled = procfs.label_trees(procfs.living(), owner, roots)
        except OSError as error:
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_exception(error)
            return
        self._seen = {process.key: serial for process, serial in labelled.values()}
        found: dict[int, list[Process]] = defaultdict(list)
        for process, serial in labelled.values():
            found[serial].append(process)
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(found)

    def orphans(self) -> list[tuple[int, int]]:
        """Pid and serial of each adopted child that is alive. Reaps those that are not."""
        while True:
            alive, reaped = self._orphans_now()
            # Whoever was reaped may have left a child of its own after the list was read.
            if not reaped:
                return alive

    def _orphans_now(self) -> tuple[list[tuple[int, int]], bool]:
        pids = procfs.children(os.getpid())
        if pids is None:  # a kernel without CONFIG_PROC_CHILDREN
            pids = [
                process.pid for process in map(procfs.read, procfs.pids()) if process and process.parent == os.getpid()
            ]
        alive = []
        reaped = False
        owner: Callable[[Process], int | None] | None = None
        for pid in pids:
            if pid in self._roots:
                continue
            tag = procfs.tag_of(pid)
            if tag > 0 and tag >> marks.SERIAL_BITS == self._tag >> marks.SERIAL_BITS:
                serial = tag & (1 << marks.SERIAL_BITS) - 1
            else:
                # Some other child of the worker (its warden), or one that lost its tag.
                process = procfs.read(pid)
                owner = owner or self._owner()
                label = process and (owner(process) or self._serial_of_session(process.session))
                if not label:
                    continue
                serial = label
            if _reap(pid):
                reaped = True
            else:
                alive.append((pid, serial))
        return alive, reaped

    def _owner(self) -> Callable[[Process], int | None]:
        by_mark = {tree.mark: tree.serial for tree in self._own_roots()}
        ours = self._tag >> marks.SERIAL_BITS

        def owner(process: Process) -> int | None:
            if process.tag > 0 and process.tag >> marks.SERIAL_BITS == ours:
                return process.tag & (1 << marks.SERIAL_BITS) - 1
            return by_mark.get(process.mark) or self._seen.get(process.key)

        return owner

    def _serial_of_session(self, session: int) -> int | None:
        tree = self._roots.get(session)
        return tree.serial if tree and tree.forest is self else None

    def _own_roots(self) -> list[Tree]:
        return [tree for tree in self._roots.values() if tree.forest is self]

    def _reap(self) -> None:
        # An agent that lives long and leaves many short-lived orphans must not fill the process table.
        self.orphans()
        self._reaping = asyncio.get_running_loop().call_later(_REAP_SECONDS, self._reap)


class Tree:
    """An agent's first process, and whatever came of it. Call `fell` once it is proven gone."""

    def __init__(self, forest: Forest, serial: int, mark: bytes, process: subprocess.Popen[bytes]) -> None:
        self.forest = forest
        self.serial = serial
        self.mark = mark
        self.pid = process.pid
        self.pidfd = os.pidfd_open(process.pid)
        """Readable once the first process has ended."""
        self.forced = False
        """Whether SIGKILL was needed."""
        self.met: dict[tuple[int, int], Process] = {}
        """What was found alive while ending the tree."""
        self.refused: dict[int, str] = {}
        """Pid and name of processes that this worker may not signal."""
        self.on_refused: Callable[[int, str], None] | None = None
        self._process = process
        self._patience = self._deadline = 0.0
        self._waiter: asyncio.Future[None] | None = None

    def exit_code(self) -> int | None:
        """How the first process ended, as a shell would say it; None while it lives. Does not reap it."""
        ending = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ending is None:
            return None
        return ending.si_status if ending.si_code == os.CLD_EXITED else 128 + ending.si_status

    def left_nothing(self) -> bool:
        """Whether it is all over. Cheap, and true only after the first process has ended."""
        return self.exit_code() is not None and all(serial != self.serial for _, serial in self.forest.orphans())

    async def end(self, grace_seconds: float, patience_seconds: float = 0.0) -> None:
        """SIGTERM to all of it, SIGKILL to what is left after the grace. Returns once it is proven gone.

        With patience, it is first given that long to end by itself.
        """
        now = asyncio.get_running_loop().time()
        self._patience = now + patience_seconds
        self._deadline = self._patience + grace_seconds
        await self._end()

    def hasten(self, grace_seconds: float) -> None:
        """Shorten an `end` that is under way."""
        now = asyncio.get_running_loop().time()
        self._patience = min(self._patience, now)
        self._deadline = min(self._deadline, now + grace_seconds)
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    def fell(self) -> None:
        """Reap the first process and let go of everything. Only once nothing of the tree is left."""
        self._process.wait()
        os.close(self.pidfd)
        self.forest.forget(self)

    async def _end(self) -> None:
        loop = asyncio.get_running_loop()
        asked: set[tuple[int, int]] = set()
        asked_at = -1
        empty_looks = rounds = 0
        while True:
            members = (await self.forest.look()).get(self.serial, [])
            now = loop.time()
            if not members:
                empty_looks += 1
                if empty_looks >= 2:
                    if self.left_nothing():
                        return
                    # A chain of short-lived forks can slip through looks. It cannot slip through adoption.
                    if now < self._deadline:
                        await asyncio.sleep(min(0.02, self._deadline - now))
                    else:
                        self._kill_orphans()
                        await asyncio.sleep(0.001)
                continue
            empty_looks = 0
            if now < self._patience:
                await self._wait_for(members, self._patience)
                continue
            self.met.update((process.key, process) for process in members)
            if now < self._deadline:
                # Born later means started in answer to SIGTERM, by a trap that tidies up: not to be disturbed.
                asked_at = asked_at if asked_at >= 0 else procfs.ticks_now()
                for process in members:
                    if process.key not in asked and process.start <= asked_at:
                        # SIGCONT: a stopped process heeds no SIGTERM.
                        self._send(process, signal.SIGTERM, signal.SIGCONT)
                        asked.add(process.key)
                await self._wait_for(members, self._deadline)
                continue
            self.forced = True
            self._kill(members)
            rounds += 1
            await self._wait_for(members, now + min(0.02 * rounds, 0.5))

    def _kill(self, members: Iterable[Process]) -> None:
        try:
            # The one way that no fork can outrun. Safe, because the unreaped leader keeps the number taken.
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        for process in members:
            self._send(process, signal.SIGKILL)
        self._kill_orphans()

    def _kill_orphans(self) -> None:
        # A process that forks and exits, for ever, has moved on before a look through /proc is over. Each step
        # of it becomes a child of the worker, whose list is read and acted upon in microseconds.
        for _ in range(64):
            orphans = [pid for pid, serial in self.forest.orphans() if serial == self.serial]
            if not orphans:
                return
            for pid in orphans:
                self.forced = True
                try:
                    os.kill(pid, signal.SIGKILL)  # an unreaped child: its pid is its own
                except (ProcessLookupError, PermissionError):
                    pass

    def _send(self, process: Process, *signals: int) -> None:
        try:
            procfs.send(process, *signals)
        except PermissionError:
            if process.pid not in self.refused:
                self.refused[process.pid] = process.name
                if self.on_refused:
                    self.on_refused(process.pid, process.name)
        except OSError:
            pass  # out of file descriptors: the next round tries again

    async def _wait_for(self, processes: list[Process], deadline: float) -> None:
        """Until these are gone, or the deadline has passed, or somebody is in a hurry."""
        loop = asyncio.get_running_loop()
        waiter = self._waiter = loop.create_future()
        watched: set[int] = set()

        def wake() -> None:
            if not waiter.done():
                waiter.set_result(None)

        def gone(fd: int) -> None:
            loop.remove_reader(fd)
            os.close(fd)
            watched.discard(fd)
            if not watched:
                wake()

        timer = loop.call_at(deadline, wake)
        try:
            for process in processes[:_WATCHED]:
                try:
                    fd = os.pidfd_open(process.pid)
                except ProcessLookupError:
                    continue
                except OSError:
                    break  # out of file descriptors: those that are watched must do
                watched.add(fd)
                loop.add_reader(fd, gone, fd)
            if watched:
                await waiter
            else:
                await asyncio.sleep(0.001)
        finally:
            timer.cancel()
            self._waiter = None
            for fd in watched:
                loop.remove_reader(fd)
                os.close(fd)


def _reap(pid: int) -> bool:
    """Reap this child if it has ended. True when it is no child of ours any more."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG) is not None
    except ChildProcessError:
        return True


def _adopt_orphans() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "this system does not let the worker adopt orphans (PR_SET_CHILD_SUBREAPER)")


def _raise_file_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES_WANTED if hard == resource.RLIM_INFINITY else min(_FILES_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
