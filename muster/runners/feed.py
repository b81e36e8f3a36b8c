"""What an agent reads: a text, written into a pipe while the agent takes its time over it."""

from __future__ import annotations

import asyncio
import os


class Feed:
    """Standard input. `read_end` is for the child, and closed by `handed_over`."""

    def __init__(self, text: str | None) -> None:
        self._rest = memoryview((text or "").encode())
        self._write_end = -1
        self._watching = False
        if not self._rest:
            # Not an empty pipe: programs ask whether there is anything to wait for.
            self.read_end = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            return
        self.read_end, self._write_end = os.pipe()
        os.set_blocking(self._write_end, False)
        # Most prompts fit into the pipe, and then no more is to be done.
        self._write()

    def handed_over(self) -> None:
        if self.read_end >= 0:
            os.close(self.read_end)
            self.read_end = -1
        if self._write_end >= 0 and not self._watching:
            self._watching = True
            asyncio.get_running_loop().add_writer(self._write_end, self._write)

    def close(self) -> None:
        if self._watching:
            asyncio.get_running_loop().remove_writer(self._write_end)
            self._watching = False
        for fd in (self.read_end, self._write_end):
            if fd >= 0:
                os.close(fd)
        self.read_end = self._write_end = -1
        self._rest = memoryview(b"")

    def _write(self) -> None:
        try:
            self._rest = self._rest[os.write(self._write_end, self._rest) :]
        except BlockingIOError:
            return
        except OSError:
            self._rest = memoryview(b"")  # EPIPE: it does not want to read the rest
        if not self._rest:
            if self._watching:
                asyncio.get_running_loop().remove_writer(self._write_end)
                self._watching = False
            os.close(self._write_end)
            self._write_end = -1
