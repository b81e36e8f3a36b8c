"""Becomes a child process that cannot outlive its supervisor: `python -I -S launch.py OPTIONS -- ARGV…`.

A program of its own rather than a `preexec_fn`, because running Python between fork and exec in a process
that has threads (a Temporal client brings several) can deadlock. Standard library only; about 10 ms.

Two hazards set the order of the steps:

* The kernel forgets PR_SET_PDEATHSIG when credentials change, so it is set after them.
* The parent may be gone before PR_SET_PDEATHSIG is set, and then no signal ever comes. So the parent is
  compared afterwards.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000
NAMESPACE_ID = 1000  # any id but 0; files made inside belong to the real user outside


def _map_user_to_non_root() -> None:
    """Enter a user namespace in which our user has another number.

    PostgreSQL refuses effective uid 0; inside it sees 1000, while the kernel still grants and records
    what it touches as the real user, so files under a 0700 home stay within reach.
    """
    uid, gid = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{NAMESPACE_ID} {uid} 1"),
        ("gid_map", f"{NAMESPACE_ID} {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123 - pathlib would double the start-up time
            file.write(text)


def _become(uid: int, gid: int) -> None:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--death-signal", type=int, default=int(signal.SIGKILL))
    parser.add_argument("--namespace", action="store_true")
    parser.add_argument("--user", help="uid:gid")
    parser.add_argument("argv", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    argv: list[str] = options.argv[1:]  # without the "--"
    try:
        if options.namespace:
            _map_user_to_non_root()
        elif options.user:
            uid, _, gid = options.user.partition(":")
            _become(int(uid), int(gid))
    except OSError as error:
        sys.exit(f"cannot step down from root: {error}")
    if ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, options.death_signal, 0, 0, 0) != 0:
        sys.exit("cannot tie the process to its supervisor (prctl)")
    if os.getppid() != options.parent:
        sys.exit(0)
    # The supervisor ignores or handles these; the program starts from the defaults.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        os.execv(argv[0], argv)  # noqa: S606
    except OSError as error:
        sys.exit(f"cannot run {argv[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
