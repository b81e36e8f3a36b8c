"""Processes as /proc shows them, and how to end them for good.

Imports nothing but a few small standard modules: the warden, one beside each worker, loads this file too and is
to stay small.
"""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

MARK_VARIABLE = b"MUSTER_AGENT_MARK"

RLIMIT_LOCKS = 10
"""Linux has not enforced this limit since 2.4, yet every child inherits it. A number of ours in it is a mark that
survives what clears or overwrites the environment: `env -i`, `sudo`, a daemon that rewrites its title."""

_KERNEL_THREAD = 0x00200000
_NEEDLE = b"\0" + MARK_VARIABLE + b"="

Label = TypeVar("Label", bound=Hashable)


class Process:
    """One process at one moment. `(pid, start)` names it for ever: a reused pid has another start."""

    __slots__ = ("alive", "mark", "name", "parent", "pid", "session", "start", "tag")

    def __init__(
        self, pid: int, parent: int, session: int, start: int, alive: bool, name: str, tag: int, mark: bytes
    ) -> None:
        self.pid = pid
        self.parent = parent
        self.session = session
        self.start = start
        """Clock ticks since boot."""
        self.alive = alive
        """False for a zombie: it runs nothing any more."""
        self.name = name
        self.tag = tag
        """What RLIMIT_LOCKS says; -1 for no limit, or when it may not be read."""
        self.mark = mark
        """The value of MARK_VARIABLE; empty when there is none, or when it may not be read."""

    @property
    def key(self) -> tuple[int, int]:
        return self.pid, self.start


def _contents(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while data := os.read(fd, 65536):
            parts.append(data)
        return b"".join(parts)
    finally:
        os.close(fd)


def tag_of(pid: int) -> int:
    try:
        return resource.prlimit(pid, RLIMIT_LOCKS)[0]
    except (OSError, ValueError):
        return -1


def mark_of(pid: int) -> bytes:
    try:
        environ = b"\0" + _contents(f"/proc/{pid}/environ")
    except OSError:
        return b""
    at = environ.find(_NEEDLE)
    if at < 0:
        return b""
    at += len(_NEEDLE)
    end = environ.find(b"\0", at)
    return environ[at:] if end < 0 else environ[at:end]


def read(pid: int) -> Process | None:
    """The process, a zombie too; None when there is none, or it is the kernel's own."""
    try:
        stat = _contents(f"/proc/{pid}/stat")
    except OSError:
        return None
    bracket = stat.rfind(b")")
    fields = stat[bracket + 2 :].split(b" ", 20)
    if len(fields) < 20 or int(fields[6]) & _KERNEL_THREAD:
        return None
    # A process whose first thread has ended shows as a zombie while its other threads still run.
    alive = fields[0] not in b"ZXx" or int(fields[17]) > 1
    return Process(
        pid=pid,
        parent=int(fields[1]),
        session=int(fields[3]),
        start=int(fields[19]),
        alive=alive,
        name=stat[stat.find(b"(") + 1 : bracket].decode("utf-8", "replace"),
        tag=tag_of(pid),
        mark=mark_of(pid) if alive else b"",
    )


def pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208


def living() -> list[Process]:
    """Every process that is alive, by pid."""
    found = []
    for pid in sorted(pids()):
        process = read(pid)
        if process is not None and process.alive:
            found.append(process)
    return found


def children(pid: int) -> list[int] | None:
    """Pids of the children of a process's first thread, zombies too. Orphans are adopted by that thread. None
    where the kernel does not list them."""
    try:
        return [int(child) for child in _contents(f"/proc/{pid}/task/{pid}/children").split()]
    except OSError:
        return None


def ticks_now() -> int:
    """Now, on the clock of `Process.start`."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))


def label_trees(
    processes: Iterable[Process],
    label: Callable[[Process], Label | None],
    sessions: dict[int, Label] | None = None,
) -> dict[int, tuple[Process, Label]]:
    """What belongs to whom: a process has its own label, else its session's, its parent's or its leader's.

    `sessions` gives labels to sessions whose leader may be gone already.
    """
    sessions = sessions or {}
    labelled: dict[int, tuple[Process, Label]] = {}
    rest = []
    for process in processes:
        own = label(process) or sessions.get(process.session)
        if own is None:
            rest.append(process)
        else:
            labelled[process.pid] = process, own
    spread = bool(labelled)
    while spread:
        spread = False
        unlabelled = []
        for process in rest:
            # A leader that carries a label made its session, so whoever is in it is of its kin. A process that
            # was forked and has not reached its setsid yet is no leader: it would give away the worker's session.
            kin = labelled.get(process.parent) or labelled.get(process.session)
            if kin is None:
                unlabelled.append(process)
            else:
                labelled[process.pid] = process, kin[1]
                spread = True
        rest = unlabelled
    return labelled


def send(process: Process, *signals: int) -> bool:
    """Signal exactly this process, never one that got its pid since. False when it is gone already."""
    try:
        fd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    try:
        # Read after the descriptor was made: if it is still this one now, it is the one the descriptor holds.
        now = read(process.pid)
        if now is None or not now.alive or now.start != process.start:
            return False
        for number in signals:
            signal.pidfd_send_signal(fd, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(fd)
    return True


def newest_pids() -> list[int]:
    """The pids given last, and those about to be given."""
    last = int(_contents("/proc/loadavg").split()[-1])
    return list(range(max(2, last - 8), last + 32))


def strike(tag: int, among: Iterable[int]) -> set[int]:
    """SIGKILL at once whatever of these carries a tag that begins with `tag`; the pids seen, zombies too.

    One pass over the newest pids takes some 20 µs: quick enough to catch what forks and exits for ever, which has
    always moved on when a thorough look is over.
    """
    seen = set()
    for pid in among:
        if tag_of(pid) >> 32 != tag:
            continue
        seen.add(pid)
        try:
            fd = os.pidfd_open(pid)
        except OSError:
            continue
        try:
            if tag_of(pid) >> 32 == tag:  # still: so the descriptor holds one of them
                signal.pidfd_send_signal(fd, signal.SIGKILL)
        except OSError:
            pass
        finally:
            os.close(fd)
    return seen


def end_all(
    find: Callable[[], list[Process]], grace_seconds: float, tag: int | None = None, give_up_seconds: float = 30.0
) -> list[Process]:
    """SIGTERM, then SIGKILL, until `find` has found nothing twice. Blocks. Returns what was ended.

    With a tag, it is used to catch what slips through `find`. Gives up on processes that only somebody else may
    signal.
    """
    ended: dict[tuple[int, int], Process] = {}
    traces: set[int] = set()
    begun = time.monotonic()
    empty_looks = 0
    while empty_looks < 2:
        found = find()
        waited = time.monotonic() - begun
        refused = 0
        for process in found:
            try:
                if waited >= grace_seconds:
                    send(process, signal.SIGKILL)
                elif process.key not in ended:
                    # SIGCONT: a stopped process heeds no SIGTERM.
                    send(process, signal.SIGTERM, signal.SIGCONT)
                ended[process.key] = process
            except PermissionError:
                refused += 1
        if found and refused == len(found) and waited > give_up_seconds:
            break
        stirred = False
        if tag is not None and (not found or waited >= grace_seconds):
            # What died since the last pass, too, says that something was alive: it may have left a child.
            hits = strike(tag, pids())
            if hits - traces:
                for _ in range(1000):
                    hits |= strike(tag, newest_pids())
            stirred = bool(hits - traces)
            traces |= hits
        empty_looks = 0 if found or stirred else empty_looks + 1
        # The pause also outlasts the moment between fork and exec, in which a child is hard to tell.
        time.sleep(0.01 if found and waited < 0.1 else 0.05)
    return list(ended.values())
