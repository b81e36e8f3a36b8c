"""What an agent prints: read from its pipes as it comes, told to the sink line by line."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime

from pydantic import JsonValue

from muster.domain import cuts
from muster.runners.protocol import Sink, Stream
from muster.runners.result import ResultError, ResultFinder

MAX_LINE_BYTES = 64 * 1024
"""Longer lines are told in pieces of this size."""

_READ_BYTES = 64 * 1024
_LINE_COST = 60
"""Of a line beside its text, in bytes: empty ones are work, too."""
_LEAST_LINE_BYTES = 16
"""What a line takes of the limit at least."""
_HIGH_WATER = 256 * 1024
"""Read and not told yet, per agent, with each line's cost. Beyond it the pipes are left alone until the sink has caught
up."""
_AFTER_STOP = 512 * 1024
"""So much, with each line's cost, is still told of one that was stopped: who ends a flood does not wait for it all."""
_LINES_AT_A_TURN = 256


class Output:
    """Standard output and standard error of one agent.

    Reading (callbacks of the loop) and telling (`tell`, a task) are apart, so that a slow sink delays nothing but
    the agent that prints.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit = self._room = limit_bytes
        self._cut = False
        self._readers: dict[int, Stream] = {}
        self.write_ends: list[int] = []
        self._paused = False
        self._queue: deque[tuple[Stream, datetime, bytes]] = deque()
        self._queued_cost = 0
        self._left: int | None = None
        """Of `_AFTER_STOP`."""
        self._ended = False
        self._news: asyncio.Future[None] | None = None
        self._partial: dict[Stream, bytes] = {"stdout": b"", "stderr": b""}
        self._finder = ResultFinder()
        streams: tuple[Stream, Stream] = ("stdout", "stderr")
        try:
            for stream in streams:
                reading, writing = os.pipe()
                self.write_ends.append(writing)
                self._readers[reading] = stream
                os.set_blocking(reading, False)
        except OSError:
            self.close(watching=False)
            raise

    def handed_over(self) -> None:
        """The child has its ends: drop ours, and read."""
        for fd in self.write_ends:
            os.close(fd)
        self.write_ends.clear()
        self._resume()

    def remark(self, text: str) -> None:
        """A line of Muster's own."""
        self._push("muster", text.encode())

    def end(self, *, stopped: bool) -> None:
        """Everybody who could write is gone: take what is still in the pipes, and let `tell` come to its end."""
        self._left = _AFTER_STOP if stopped else None
        for fd in list(self._readers):
            while fd in self._readers and self._read(fd):
                pass
        self.close()
        self._ended = True
        self._wake()

    def result(self) -> JsonValue:
        try:
            return self._finder.result()
        except ResultError as error:
            self.remark(f"the last line of JSON is not kept as the result: it {error}")
            return None

    def close(self, watching: bool = True) -> None:
        for fd in self._readers:
            if watching and not self._paused:
                asyncio.get_running_loop().remove_reader(fd)
            os.close(fd)
        for fd in self.write_ends:
            os.close(fd)
        self._readers.clear()
        self.write_ends.clear()

    async def tell(self, sink: Sink, pid: int) -> None:
        """Report the start, then every line, until `end`."""
        await sink.started(pid)
        told = 0
        while True:
            while self._queue:
                stream, at, data = self._queue.popleft()
                self._queued_cost -= _cost(data)
                for piece in self._pieces(stream, data):
                    await self._tell_line(sink, stream, at, piece)
                    told += 1
                    if told % _LINES_AT_A_TURN == 0:
                        await asyncio.sleep(0)  # a sink that never waits must not keep the loop from others
                if self._paused and self._queued_cost < _HIGH_WATER // 2:
                    self._resume()
            if self._ended:
                return
            self._news = asyncio.get_running_loop().create_future()
            await self._news

    def _resume(self) -> None:
        self._paused = False
        loop = asyncio.get_running_loop()
        for fd in self._readers:
            loop.add_reader(fd, self._read, fd)

    def _read(self, fd: int) -> bool:
        """One bite; True when there may be more now."""
        stream = self._readers[fd]
        try:
            data = os.read(fd, _READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            if not self._paused:
                asyncio.get_running_loop().remove_reader(fd)
            os.close(fd)
            del self._readers[fd]
            self._push(stream, b"")
            return False
        if stream == "stdout":
            self._finder.feed(data)
        if not self._cut:
            self._push(stream, data)
        if self._queued_cost > _HIGH_WATER and not self._paused and not self._ended:
            self._paused = True
            for reader in self._readers:
                asyncio.get_running_loop().remove_reader(reader)
        return True

    def _push(self, stream: Stream, data: bytes) -> None:
        self._queue.append((stream, datetime.now(UTC), data))
        self._queued_cost += _cost(data)
        self._wake()

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    def _pieces(self, stream: Stream, data: bytes) -> Iterator[bytes]:
        """The lines that `data` completes; empty data is the end of the stream."""
        if stream == "muster":
            yield data
            return
        rest = self._partial[stream]
        if not data and rest:
            self._partial[stream] = b""
            yield from _split(rest)
            return
        begin = 0
        while (newline := data.find(b"\n", begin)) >= 0:
            line = rest + data[begin:newline]
            rest = b""
            begin = newline + 1
            # `\r\n` is one newline too.
            yield from _split(line.removesuffix(b"\r"))
        rest += data[begin:]
        while len(rest) > MAX_LINE_BYTES:
            at = _boundary(rest, MAX_LINE_BYTES)
            yield rest[:at]
            rest = rest[at:]
        self._partial[stream] = rest

    async def _tell_line(self, sink: Sink, stream: Stream, at: datetime, line: bytes) -> None:
        if self._cut and stream != "muster":
            return
        text = line.decode("utf-8", "replace").replace("\0", "")
        if stream == "muster":
            await sink.line(stream, at, text)
            return
        if self._left is not None:
            self._left -= len(line) + _LINE_COST
            if self._left < 0:
                self._cut = True
                said = "output cut here: it had printed more than could be kept by the time it was stopped"
                await sink.line("muster", at, said)
                return
        size = len(text) if text.isascii() else len(text.encode())
        if size < self._room:
            self._room -= max(size + 1, _LEAST_LINE_BYTES)
            await sink.line(stream, at, text)
            return
        self._cut = True
        if self._room > 0 and (start := text.encode()[: self._room].decode("utf-8", "ignore")):
            await sink.line(stream, at, start)
        await sink.line(
            "muster", at, f"output cut here: the limit is {self._limit} bytes; the agent goes on, the rest is not kept"
        )


def _cost(data: bytes) -> int:
    return len(data) + _LINE_COST * data.count(b"\n")


def _split(line: bytes) -> Iterator[bytes]:
    while len(line) > MAX_LINE_BYTES:
        at = _boundary(line, MAX_LINE_BYTES)
        yield line[:at]
        line = line[at:]
    yield line


def _boundary(data: bytes, at: int) -> int:
    """Between two words, or up to three bytes before `at`, so that no UTF-8 character is cut in two."""
    if (between := cuts.before(data, at)) < at:
        return between
    for step in range(4):
        if data[at - step] & 0xC0 != 0x80:
            return at - step
    return at
