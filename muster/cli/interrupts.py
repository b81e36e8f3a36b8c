"""Ctrl-C before a command is at work. Imports click as little as it imports anything else: it comes first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def ending() -> Iterator[None]:
    """In here, Ctrl-C ends the process by its signal, which a shell calls 130. For the time in which modules are
    imported: raised in the middle of one, KeyboardInterrupt comes out as some ImportError.

    Whoever ignores the signal, or handles it, goes on doing so.
    """
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
