"""The marks by which a process tells whose it is: which agent's, of which worker, of which Muster.

An agent's mark is `<agent id>:<worker mark>`, in the environment of all its processes. A worker's mark is
`<scope>.<pid namespace>.<pid>.<start>`: enough to tell, long after, whether that very worker still lives.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from muster.runners import procfs

SERIAL_BITS = 32


def _scope_digest(scope: str) -> str:
    return hashlib.sha256(scope.encode()).hexdigest()[:16]


def _pid_namespace() -> int:
    # Seen from outside, a container's worker has another pid than in its own mark. Its namespace tells it apart.
    return Path("/proc/self/ns/pid").stat().st_ino


def worker_mark(scope: str) -> str:
    """The mark of this process as a worker of `scope`."""
    this = procfs.read(os.getpid())
    if this is None:
        raise RuntimeError("/proc is not mounted, or does not show this process")
    return f"{_scope_digest(scope)}.{_pid_namespace()}.{this.pid}.{this.start}"


def agent_mark(agent_id: object, worker: str) -> str:
    return f"{agent_id}:{worker}"


def worker_of(mark: bytes) -> str:
    """The worker's part of an agent's mark."""
    return mark.rpartition(b":")[2].decode("ascii", "replace")


def worker_tag(worker: str) -> int:
    """The upper bits of the tags (`procfs.RLIMIT_LOCKS`) of a worker's agents. Never 0."""
    return int.from_bytes(hashlib.sha256(worker.encode()).digest()[:4]) >> 1 | 1 << 30


def is_dead_worker(worker: str, scope: str) -> bool:
    """Whether this is the mark of a worker of this scope, in sight of this process, that no longer lives."""
    digest, _, place = worker.partition(".")
    namespace, _, name = place.partition(".")
    pid, _, start = name.partition(".")
    if digest != _scope_digest(scope) or namespace != str(_pid_namespace()) or not (pid.isdigit() and start.isdigit()):
        return False
    process = procfs.read(int(pid))
    return process is None or not process.alive or process.start != int(start)
