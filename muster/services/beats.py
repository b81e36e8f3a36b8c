"""Signs of life: by them a supervisor sees that a process of ours hangs, and not only that one ends.

They are written by the process's event loop: where that does not turn, none comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os

VARIABLE = "MUSTER_BEATS_FD"
"""In the environment of a process that is listened to: the end of a pipe."""
EVERY_SECONDS = 5.0
LATE, TOO_LATE = 3, 12
"""So many in a row are missing: it is said, and the process is ended."""

_giving: set[asyncio.Task[None]] = set()


def begin() -> None:
    """From now on, where somebody listens."""
    number = os.environ.pop(VARIABLE, "")  # not for those that this process starts
    if number.isdigit():
        _giving.add(asyncio.get_running_loop().create_task(_give(int(number)), name="signs of life"))


async def _give(pipe: int) -> None:
    os.set_inheritable(pipe, False)
    os.set_blocking(pipe, False)
    with contextlib.suppress(OSError):  # nobody listens any more
        while True:
            with contextlib.suppress(BlockingIOError):  # who listens is slow: what is in there is enough
                os.write(pipe, b".")
            await asyncio.sleep(EVERY_SECONDS)


class Ear:
    """The supervisor's end of a pipe, for one process."""

    def __init__(self) -> None:
        self._reading, self.writing = os.pipe()
        os.set_blocking(self._reading, False)
        self._begun = False
        self.missing = 0
        """Signs in a row. None is missed before the first: a start takes as long as it takes."""

    def listen(self) -> None:
        """To be called as often as signs are given. Not by the clock: who was asleep, with the machine or alone, has
        heard nothing and blames nobody."""
        try:
            heard = os.read(self._reading, 4096) != b""
        except BlockingIOError:
            heard = False
        self._begun = self._begun or heard
        self.missing = 0 if heard or not self._begun else self.missing + 1

    def started(self) -> None:
        """The process has its end."""
        os.close(self.writing)

    def close(self) -> None:
        os.close(self._reading)
