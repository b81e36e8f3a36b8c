"""What an agent writes, as it writes it.

Postgres has it half a second later; until then it is heard from Valkey. Lines are numbered without gaps, so each
is sent once and in order, whichever way it came.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from api.context import Context
from api.stream import HEARTBEAT, RECONNECT, EventStream, Inbox
from muster.domain.agents import OutputLine
from muster.domain.states import FINAL_AGENT
from muster.domain.tenants import Tenant
from muster.storage import agents, keys

_PAGE = 1_000
_WAITING_MESSAGES = 100  # of up to 64 KiB each; a client that is slower reads on in Postgres
_HELD_LINES = 10_000
_PAUSES = 0.05, 1.0
_QUIET_SECONDS = 5.0
_GAP_SECONDS = 3.0
"""How long lines may be missing from Postgres before they are taken for lost."""


def line_frame(n: int, stream: str, at: str, text: str) -> bytes:
    body = json.dumps({"n": n, "stream": stream, "at": at, "text": text}, separators=(",", ":"))
    return f"id: {n}\nevent: line\ndata: {body}\n\n".encode()


def as_json(line: OutputLine) -> dict[str, Any]:
    return {"n": line.n, "stream": line.stream, "at": line.at.isoformat(), "text": line.text}


class Reader:
    def __init__(self, here: Context, tenant: Tenant, agent_id: UUID, after: int) -> None:
        self._here = here
        self._tenant = tenant
        self._agent_id = agent_id
        self._position = after
        self._held: dict[int, list[Any]] = {}
        self._over = False  # the writer said so; the row will say how
        self._inbox = Inbox(forgets=True, most=_WAITING_MESSAGES)

    def stream(self) -> EventStream:
        return EventStream(self._here.hub.streams, self._inbox, self._frames())

    async def _frames(self) -> AsyncIterator[bytes]:
        live, channel = self._here.live, keys.output(self._agent_id)
        yield b"retry: 1000\n\n"
        await live.listen(channel, self._inbox.offer)
        try:
            async for chunk in self._stored():
                yield chunk
            for message in await live.recent_output(self._agent_id):
                self._hear(message)
            missing_since, pause = 0.0, _PAUSES[0]
            while True:
                if chunk := self._ready():
                    yield chunk
                if self._held or self._over or self._inbox.behind or not live.up:
                    # Something is not here yet. Postgres is asked until it is, or until it is over.
                    self._inbox.behind = False
                    async for chunk in self._stored():
                        yield chunk
                    if chunk := self._ready():
                        yield chunk
                if self._over and (ending := await self._ending()):
                    yield ending
                    return
                now = time.monotonic()
                missing_since = (missing_since or now) if self._held else 0.0
                if missing_since and now - missing_since > _GAP_SECONDS:
                    self._position, missing_since = min(self._held) - 1, 0.0
                    continue
                pause = min(pause * 1.5, _PAUSES[1]) if self._held or self._over else _PAUSES[0]
                waits = pause if self._held or self._over else 1.0 if not live.up else _QUIET_SECONDS
                items = await self._inbox.take(waits)
                for item in items:
                    if item is HEARTBEAT:
                        yield HEARTBEAT
                    elif item is RECONNECT:
                        yield RECONNECT
                        return
                    else:
                        self._hear(item)
                if not self._over and all(item is HEARTBEAT for item in items):
                    await self._look()
        finally:
            await live.leave(channel, self._inbox.offer)

    def _hear(self, raw: bytes) -> None:
        message = json.loads(raw)
        if message.get("end"):
            self._over = True
        for line in message.get("lines", ()):
            if line[0] > self._position:
                self._held[line[0]] = line
        if len(self._held) > _HELD_LINES and self._position + 1 not in self._held:
            self._held.clear()
            self._inbox.behind = True

    def _ready(self) -> bytes:
        """Whatever follows on what was sent."""
        parts = []
        while (line := self._held.pop(self._position + 1, None)) is not None:
            parts.append(line_frame(*line))
            self._position += 1
        for n in [n for n in self._held if n <= self._position]:
            del self._held[n]
        return b"".join(parts)

    async def _stored(self) -> AsyncIterator[bytes]:
        """What Postgres has beyond the position."""
        while True:
            lines, status = await agents.output(
                self._here.db, self._tenant, self._agent_id, after=self._position, limit=_PAGE
            )
            if status in FINAL_AGENT:
                self._over = True
            if not lines:
                return
            self._position = lines[-1].n
            yield b"".join(line_frame(line.n, line.stream, line.at.isoformat(), line.text) for line in lines)

    async def _look(self) -> None:
        """Nothing was heard for a while. It may have ended without a word: its worker, or Valkey, went away."""
        agent = await agents.get(self._here.db, self._tenant, self._agent_id)
        if agent["status"] in FINAL_AGENT or agent["output_lines"] > self._position:
            self._inbox.behind = True

    async def _ending(self) -> bytes | None:
        agent = await agents.get(self._here.db, self._tenant, self._agent_id)
        if agent["status"] not in FINAL_AGENT:
            return None
        # Every line it wrote was kept before its end was recorded.
        if agent["output_lines"] > self._position:
            return None
        body = json.dumps(self._here.agent(agent), separators=(",", ":"))
        return f"event: end\ndata: {body}\n\n".encode()
