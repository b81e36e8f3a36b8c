"""One client's stream: what waits to be sent to it, and the answer that sends it."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, suppress
from typing import Any, NamedTuple

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from muster.domain.errors import Unavailable

log = logging.getLogger(__name__)

HEARTBEAT = b": still here\n\n"
RECONNECT = b"event: reconnect\ndata: {}\n\n"

HEARTBEAT_SECONDS = 5.0
TICK_SECONDS = 1.0
LIFE_SECONDS = 15 * 60.0
"""Of one connection, give or take a tenth: proxies and balancers get a chance to move clients."""
BLOCKED_SECONDS = 30.0
HANG_UP = "muster.hang_up"
"""In the scope of a request: ends its connection, whatever still waits to be sent."""
_ENDING_SECONDS = 1.0
WAITING_FRAMES = 1_000
"""Beyond these a client is too slow: it is cut off, and resumes from Postgres when it comes back."""


class Frame(NamedTuple):
    """An event as it is sent, made once for all clients."""

    position: int
    type: str
    task_id: str
    agent_id: str | None
    project_id: str | None
    parent_id: str | None
    data: bytes


def frame(event: Mapping[str, Any], raw: bytes | None = None) -> Frame:
    if raw is None or b"\n" in raw:
        raw = json.dumps(event, separators=(",", ":")).encode()
    head = f"id: {event['position']}\nevent: {event['type']}\ndata: ".encode()
    task = event["data"]
    return Frame(
        event["position"], event["type"], event["task_id"], event["agent_id"],
        task.get("project_id"), task.get("parent_id"), head + raw + b"\n\n",
    )  # fmt: skip


class Inbox:
    """What waits to be sent to one client. Bounded; offering to it never waits."""

    __slots__ = ("_items", "_most", "_waiter", "behind", "cut", "ended", "forgets", "position", "wants")

    def __init__(
        self,
        *,
        position: int = 0,
        wants: Callable[[Frame], bool] | None = None,
        forgets: bool = False,
        most: int | None = None,
    ) -> None:
        """`forgets`: too much is thrown away and noted in `behind`, for a reader that knows where to get it."""
        self.position = position
        self.wants = wants
        self.forgets = forgets
        self.behind = False
        self.ended = False
        self.cut: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._items: list[bytes] = []
        self._most = WAITING_FRAMES if most is None else most
        self._waiter: asyncio.Future[None] | None = None

    def offer(self, item: bytes) -> None:
        items = self._items
        if len(items) >= self._most:
            if not self.forgets:
                self.cut_off()
                return
            items.clear()
            self.behind = True
        items.append(item)
        if self._waiter is not None:
            if not self._waiter.done():
                self._waiter.set_result(None)
            self._waiter = None

    def heartbeat(self) -> None:
        if not self._items:
            self.offer(HEARTBEAT)

    def end(self) -> None:
        """The connection has lived long enough."""
        if not self.ended:
            self.ended = True
            self._items.append(RECONNECT)
            if self._waiter is not None:
                if not self._waiter.done():
                    self._waiter.set_result(None)
                self._waiter = None

    def cut_off(self, why: str = "it reads too slowly") -> None:
        if not self.cut.done():
            self.cut.set_result(why)

    async def take(self, seconds: float | None = None) -> list[bytes]:
        """All there is; waits until there is something, or until the time is up."""
        if not self._items:
            self._waiter = asyncio.get_running_loop().create_future()
            if seconds is None:
                await self._waiter
            else:
                await asyncio.wait({self._waiter}, timeout=seconds)
                self._waiter = None
        items, self._items = self._items, []
        return items


class EventStream(Response):
    """Server-sent events. Ends when the client leaves, is too slow, or has been here for long enough."""

    media_type = "text/event-stream"
    charset = "utf-8"

    def __init__(self, streams: set[EventStream], inbox: Inbox, source: AsyncIterator[bytes]) -> None:
        """`streams`: all that are open; whoever ticks them keeps the set."""
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self.inbox = inbox
        self.credential = ""
        """What it was opened with, and lives no longer than."""
        self._streams = streams
        self._source = source
        self._ends_at = time.monotonic() + LIFE_SECONDS * random.uniform(0.9, 1.1)  # noqa: S311 - only spreads them
        self._sending_since: float | None = None
        self._sent_at = time.monotonic()

    def tick(self, now: float) -> None:
        if self._sending_since is not None:
            if now - self._sending_since > BLOCKED_SECONDS:
                self.inbox.cut_off()
        elif now > self._ends_at:
            self.inbox.end()
        elif now - self._sent_at > HEARTBEAT_SECONDS - TICK_SECONDS:
            self.inbox.heartbeat()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        sending = asyncio.create_task(self._send_all(send), name="stream")
        leaving = asyncio.create_task(_left(receive), name="stream's client")
        self._streams.add(self)
        try:
            ends: set[asyncio.Future[Any]] = {sending, leaving, self.inbox.cut}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._streams.discard(self)
            sending.cancel()
            leaving.cancel()
            await asyncio.wait({sending, leaving})
        if self.inbox.cut.done():
            log.info("a client of %s was cut off: %s", scope["path"], self.inbox.cut.result())
            if leaving.cancelled():  # it had not left by itself
                await self._break_off(scope, receive, send)
        if not sending.cancelled() and (error := sending.exception()):
            raise error

    async def _break_off(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Whoever reads is told that this is the end. Whoever does not is left without one, and without a connection,
        which the server that gave it offers to end (muster/cli/serve.py)."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_ENDING_SECONDS):
                if self._sending_since is None:
                    await self._send(send, b"", more=False)
                elif hang_up := scope.get(HANG_UP):
                    hang_up()
                    await _left(receive)

    async def _send_all(self, send: Send) -> None:
        async with aclosing(self._source) as source:  # type: ignore[type-var]
            try:
                async for chunk in source:
                    await self._send(send, chunk)
            except Unavailable:
                await self._send(send, RECONNECT)
        await self._send(send, b"", more=False)

    async def _send(self, send: Send, chunk: bytes, *, more: bool = True) -> None:
        self._sending_since = time.monotonic()
        message: Message = {"type": "http.response.body", "body": chunk, "more_body": more}
        await send(message)
        self._sent_at, self._sending_since = self._sending_since, None


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
