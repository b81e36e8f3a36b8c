"""What an agent writes: shown at once, kept in chunks."""

from __future__ import annotations

import asyncio
from datetime import datetime
from uuid import UUID

from muster.domain.agents import OutputLine
from muster.domain.errors import Fenced, Unavailable
from muster.runners.protocol import Stream
from muster.storage import agents
from muster.storage.database import Database
from muster.storage.mirror import Mirror

_SHOW_SECONDS = 0.05
_KEEP_SECONDS = 0.5
_CHUNK_BYTES = 64 * 1024
_BACKLOG_BYTES = 1024 * 1024
"""Beyond this the agent waits at its pipe: with Postgres away, output stays there and not in our memory."""


class Output:
    """The output of one agent. Nothing in here is ever cancelled: a client interrupted in the middle of its
    talk with a server may swallow the cancellation, or leave the talk half done."""

    def __init__(self, db: Database, mirror: Mirror, workspace_id: UUID, agent_id: UUID, worker: str) -> None:
        self._db, self._mirror = db, mirror
        self._workspace_id, self._agent_id, self._worker = workspace_id, agent_id, worker
        self._next = 1
        self._to_show: list[OutputLine] = []
        self._to_keep: list[OutputLine] = []
        self._bytes = 0
        """Of those to keep."""
        self._unshown = 0
        """And of those to show: either waits for its server."""
        self._truncated = False
        self._full = asyncio.Event()
        self._closing = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._showing: asyncio.Task[None] | None = None
        self._keeping: asyncio.Task[None] | None = None
        self.fenced = False
        """Postgres refused a chunk: the agent is somebody else's, or nobody's, by now."""

    async def line(self, stream: Stream, at: datetime, text: str) -> None:
        if self.fenced:
            raise Fenced(f"agent {self._agent_id} does not run here any more")
        line = OutputLine(n=self._next, stream=stream, at=at, text=text)
        self._next += 1
        self._truncated = self._truncated or stream == "muster"
        self._to_show.append(line)
        self._to_keep.append(line)
        self._bytes += _cost(line)
        self._unshown += _cost(line)
        if self._showing is None or self._showing.done():
            self._showing = asyncio.create_task(self._show())
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.create_task(self._keep())
        if self._bytes >= _CHUNK_BYTES:
            self._full.set()
        if max(self._bytes, self._unshown) >= _BACKLOG_BYTES:
            self._room.clear()
            await self._room.wait()

    async def close(self) -> None:
        """Keep what is left, also when that takes a while."""
        self._closing.set()
        self._full.set()
        if self._showing and self._keeping:
            await self._showing
            await self._keeping

    async def _show(self) -> None:
        while self._to_show:
            await self._flush_live()
            await wait(self._closing, _SHOW_SECONDS)

    async def _keep(self) -> None:
        while self._to_keep and not self.fenced:
            await wait(self._full, _KEEP_SECONDS)
            self._full.clear()
            try:
                while self._to_keep and not self.fenced:
                    await self._flush_kept()
            except Unavailable:
                await asyncio.sleep(_KEEP_SECONDS)

    async def _flush_live(self) -> None:
        lines, self._to_show = self._to_show, []
        while lines:
            part, lines = _chunk(lines)
            try:
                await self._mirror.output(self._workspace_id, self._agent_id, part)
            finally:  # whatever became of it, nobody waits for it any more
                self._unshown -= sum(map(_cost, part))
                self._make_room()

    async def _flush_kept(self) -> None:
        part, _ = _chunk(self._to_keep)
        try:
            await agents.append_output(
                self._db, self._workspace_id, self._agent_id, self._worker, part, truncated=self._truncated
            )
        except Fenced:
            self.fenced = True
            self._room.set()
            return
        # Only now: a write that failed half-way is repeated with the same lines.
        del self._to_keep[: len(part)]
        self._bytes -= sum(map(_cost, part))
        self._make_room()

    def _make_room(self) -> None:
        if max(self._bytes, self._unshown) < _BACKLOG_BYTES:
            self._room.set()


async def wait(event: asyncio.Event, seconds: float) -> None:
    """Until it is set, or for as long."""
    waiter = asyncio.ensure_future(event.wait())
    await asyncio.wait({waiter}, timeout=seconds)
    waiter.cancel()


def _cost(line: OutputLine) -> int:
    return len(line.text) + 60


def _chunk(lines: list[OutputLine]) -> tuple[list[OutputLine], list[OutputLine]]:
    """The first lines that make a chunk, and the rest."""
    size = 0
    for count, line in enumerate(lines):
        size += _cost(line)
        if size > _CHUNK_BYTES and count:
            return lines[:count], lines[count:]
    return lines[:], []
