"""The warden: a small process beside each worker that ends the worker's agents when the worker goes.

Started by `muster.runners.warden.Warden`. However the worker goes (kill -9 and the OOM killer included), the pipe
on standard input ends; then everything that carries the worker's mark gets SIGTERM, a second later SIGKILL, until
nothing is left. The grace is short because nobody reads the agents' output any more, and because the task may be
tried elsewhere soon.
"""

from __future__ import annotations

import os
import select
import signal
import sys

from muster.runners import procfs

GRACE_SECONDS = 1.0


def main() -> None:
    worker_pid, worker, tag = int(sys.argv[1]), sys.argv[2].encode(), int(sys.argv[3])
    # It ends when the worker has ended, and not before: not by a Ctrl-C, not by a polite stop of the whole group.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    _wait_for_end_of(worker_pid)

    suffix = b":" + worker

    def carries_mark(process: procfs.Process) -> bool | None:
        return process.mark.endswith(suffix) or (process.tag > 0 and process.tag >> 32 == tag) or None

    def find() -> list[procfs.Process]:
        found = procfs.label_trees(procfs.living(), carries_mark)
        return [process for process, _ in found.values() if process.pid != os.getpid()]

    if ended := procfs.end_all(find, GRACE_SECONDS, tag):
        line = f"muster warden: worker {worker_pid} is gone; ended {len(ended)} process(es) of its agents\n"
        try:
            os.write(2, line.encode())
        except OSError:
            pass  # whoever read our standard error went with the worker


def _wait_for_end_of(worker_pid: int) -> None:
    poll = select.poll()
    poll.register(0, select.POLLIN)
    try:
        # The pipe alone would do, were it never to leak into a process that outlives the worker.
        poll.register(os.pidfd_open(worker_pid), select.POLLIN)
    except OSError:
        if os.getppid() != worker_pid:
            return
    while True:
        for fd, _ in poll.poll():
            if fd != 0 or not os.read(0, 1):
                return
