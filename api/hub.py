"""Live events for any number of clients from one subscription.

Whoever follows a workspace's log holds a position. The feed of a workspace moves through the log in order: a
message at the next position is handed on, an earlier one is dropped, a gap is read from Postgres. Postgres is also
asked now and then, since a message may never have been sent, and each second while Valkey is away. A client first
reads what is behind it from Postgres, then joins the feed where that ended.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any, NamedTuple
from uuid import UUID

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from muster.domain.errors import Unavailable
from muster.storage import events, keys
from muster.storage.database import Database
from muster.storage.live import Live

log = logging.getLogger(__name__)

HEARTBEAT = b": still here\n\n"
RECONNECT = b"event: reconnect\ndata: {}\n\n"

HEARTBEAT_SECONDS = 5.0
LIFE_SECONDS = 15 * 60.0
"""Of one connection, give or take a tenth: proxies and balancers get a chance to move clients."""
BLOCKED_SECONDS = 30.0
WAITING_FRAMES = 1_000
"""Beyond these a client is too slow: it is cut off, and resumes from Postgres when it comes back."""

_CHECK_SECONDS = 5.0
_POLL_SECONDS = 1.0
_PAGE = 500
_REMEMBERED = 2_048


class Frame(NamedTuple):
    """An event as it is sent, made once for all clients."""

    position: int
    type: str
    task_id: str
    agent_id: str | None
    data: bytes


class Filter(NamedTuple):
    task_id: UUID | None = None
    agent_id: UUID | None = None
    types: list[str] | None = None

    def __bool__(self) -> bool:
        return bool(self.task_id or self.agent_id or self.types)

    def test(self) -> Callable[[Frame], bool] | None:
        if not self:
            return None
        task = str(self.task_id) if self.task_id else None
        agent = str(self.agent_id) if self.agent_id else None
        types = frozenset(self.types or ())
        return lambda frame: (
            (task is None or frame.task_id == task)
            and (agent is None or frame.agent_id == agent)
            and (not types or frame.type in types)
        )


def frame(event: Mapping[str, Any], raw: bytes | None = None) -> Frame:
    if raw is None or b"\n" in raw:
        raw = json.dumps(event, separators=(",", ":")).encode()
    head = f"id: {event['position']}\nevent: {event['type']}\ndata: ".encode()
    return Frame(event["position"], event["type"], event["task_id"], event["agent_id"], head + raw + b"\n\n")


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
        self.cut: asyncio.Future[None] = asyncio.get_running_loop().create_future()
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

    def cut_off(self) -> None:
        if not self.cut.done():
            self.cut.set_result(None)

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


class Feed:
    """One workspace's log, as it grows."""

    def __init__(self, db: Database, workspace_id: UUID) -> None:
        self.workspace_id = workspace_id
        self.inboxes: set[Inbox] = set()
        self.recent: deque[Frame] = deque(maxlen=_REMEMBERED)
        self.position = -1  # not known yet
        self.users = 0
        self.checked = 0.0
        self._db = db
        self._ahead: dict[int, Frame] = {}
        self._reading: asyncio.Task[None] | None = None

    async def open(self) -> None:
        position = await events.last_position(self._db, self.workspace_id)
        if self.position < 0:
            self.position = position
            self.checked = time.monotonic()
            self._take_up()
            if self._ahead:
                self.catch_up()

    def heard(self, new: Frame) -> None:
        if self.position < 0 or new.position > self.position + 1 or self._reading:
            if new.position > self.position and len(self._ahead) < _REMEMBERED:
                self._ahead[new.position] = new
            if self.position >= 0:
                self.catch_up()
        elif new.position == self.position + 1:
            self._deliver(new)

    def catch_up(self) -> None:
        """Read on in Postgres, unless that is being done."""
        if self._reading is None and self.position >= 0:
            self._reading = asyncio.create_task(self._catch_up(), name="read events")

    async def _catch_up(self) -> None:
        try:
            while True:
                known = max(self._ahead, default=0)
                rows = await events.after(self._db, self.workspace_id, self.position, limit=_PAGE)
                self.checked = time.monotonic()
                for row in rows:
                    if row["position"] > self.position:
                        self._deliver(frame(row))
                self._take_up()
                if not rows:
                    # Heard before Postgres was asked, and unknown to it: not of this log.
                    for position in [position for position in self._ahead if position <= known]:
                        del self._ahead[position]
                if len(rows) < _PAGE and not self._ahead:
                    return
        except Unavailable:
            pass  # the next message, or the next tick, tries again
        except Exception:
            log.exception("reading the events of %s failed", self.workspace_id)
        finally:
            self._reading = None

    def _take_up(self) -> None:
        while (following := self._ahead.pop(self.position + 1, None)) is not None:
            self._deliver(following)
        if self._ahead:
            for position in [position for position in self._ahead if position <= self.position]:
                del self._ahead[position]

    def _deliver(self, new: Frame) -> None:
        self.position = new.position
        self.recent.append(new)
        for inbox in self.inboxes:
            if new.position > inbox.position and (inbox.wants is None or inbox.wants(new)):
                inbox.offer(new.data)

    def joins_at(self, covered: int) -> bool:
        """Whether memory reaches back to `covered`."""
        return covered >= self.position or (bool(self.recent) and self.recent[0].position <= covered + 1)

    def join(self, inbox: Inbox, covered: int) -> None:
        inbox.position = covered
        if covered < self.position:
            for old in self.recent:
                if old.position > covered and (inbox.wants is None or inbox.wants(old)):
                    inbox.offer(old.data)
        self.inboxes.add(inbox)

    def close(self) -> None:
        if self._reading:
            self._reading.cancel()


class Hub:
    def __init__(self, db: Database, live: Live) -> None:
        self.db = db
        self.live = live
        self._feeds: dict[UUID, Feed] = {}
        self._opening: dict[UUID, asyncio.Task[None]] = {}
        self._streams: set[EventStream] = set()
        self._tasks: list[asyncio.Task[None]] = []
        live.on_change(self._subscription_changed)

    async def start(self) -> None:
        await self.live.listen(keys.events(), self._heard)
        self._tasks = [
            asyncio.create_task(self.live.run(), name="subscription"),
            asyncio.create_task(self._tick(), name="streams"),
        ]

    async def stop(self) -> None:
        for stream in list(self._streams):
            stream.inbox.end()
        for feed in self._feeds.values():
            feed.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _heard(self, raw: bytes) -> None:
        if not self._feeds:
            return
        try:
            event = json.loads(raw)
            feed = self._feeds.get(UUID(event["workspace_id"]))
            if feed:
                feed.heard(frame(event, raw))
        except (ValueError, KeyError, TypeError, AttributeError):
            log.warning("a message on %s is not an event", keys.events())

    def _subscription_changed(self, up: bool) -> None:
        if up:
            for feed in self._feeds.values():
                feed.catch_up()

    @asynccontextmanager
    async def feed(self, workspace_id: UUID) -> AsyncIterator[Feed]:
        """The workspace's feed, kept as long as somebody uses it."""
        feed = self._feeds.get(workspace_id)
        if feed is None:
            feed = self._feeds[workspace_id] = Feed(self.db, workspace_id)
        feed.users += 1
        try:
            if feed.position < 0:
                opening = self._opening.get(workspace_id)
                if opening is None:
                    opening = self._opening[workspace_id] = asyncio.create_task(feed.open(), name="open feed")
                    opening.add_done_callback(lambda done: self._opened(workspace_id, done))
                await asyncio.shield(opening)
            yield feed
        finally:
            feed.users -= 1
            if feed.users == 0 and self._feeds.get(workspace_id) is feed:
                del self._feeds[workspace_id]
                feed.close()

    def _opened(self, workspace_id: UUID, opening: asyncio.Task[None]) -> None:
        del self._opening[workspace_id]
        if not opening.cancelled():
            opening.exception()  # whoever waits gets it; perhaps nobody does any more

    @asynccontextmanager
    async def watch(self, workspace_id: UUID, wanted: Filter) -> AsyncIterator[Inbox]:
        """An inbox that hears of every event from now on."""
        async with self.feed(workspace_id) as feed:
            inbox = Inbox(wants=wanted.test(), forgets=True)
            feed.join(inbox, feed.position)
            try:
                yield inbox
            finally:
                feed.inboxes.discard(inbox)

    async def follow(self, workspace_id: UUID, after: int | None, wanted: Filter) -> EventStream:
        """A stream of all events after that position; of all from now on when there is none."""
        inbox = Inbox(wants=wanted.test())
        # Read once before the answer begins, so that a Postgres that is away is a 503 and not a stream that ends.
        start = await events.last_position(self.db, workspace_id) if after is None else after
        first = [] if after is None else await self._page(workspace_id, start, wanted)
        return EventStream(self, inbox, self._events(workspace_id, inbox, start, first, wanted))

    async def _page(self, workspace_id: UUID, covered: int, wanted: Filter) -> list[dict[str, Any]]:
        return await events.after(
            self.db, workspace_id, covered, limit=_PAGE,
            task_id=wanted.task_id, agent_id=wanted.agent_id, types=wanted.types,
        )  # fmt: skip

    async def _events(
        self, workspace_id: UUID, inbox: Inbox, start: int, rows: list[dict[str, Any]], wanted: Filter
    ) -> AsyncIterator[bytes]:
        # The id of the place it starts from: a client that is cut off before its first event resumes there.
        yield f"retry: 1000\nid: {start}\n\n".encode()
        covered = start
        while rows:
            yield b"".join(frame(row).data for row in rows)
            covered = rows[-1]["position"]
            rows = await self._page(workspace_id, covered, wanted) if len(rows) == _PAGE else []
        async with self.feed(workspace_id) as feed:
            while not feed.joins_at(covered):
                seen = feed.position  # committed, so a page that is not full reaches at least this far
                rows = await self._page(workspace_id, covered, wanted)
                if rows:
                    yield b"".join(frame(row).data for row in rows)
                    covered = rows[-1]["position"]
                if len(rows) < _PAGE:
                    covered = max(covered, seen)
            feed.join(inbox, covered)
            try:
                while True:
                    items = await inbox.take()
                    yield b"".join(items)
                    if items[-1] is RECONNECT:
                        return
            finally:
                feed.inboxes.discard(inbox)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            now = time.monotonic()
            for feed in list(self._feeds.values()):
                if not self.live.up or now - feed.checked > _CHECK_SECONDS:
                    feed.catch_up()
            for stream in list(self._streams):
                stream.tick(now)

    def opened(self, stream: EventStream) -> None:
        self._streams.add(stream)

    def closed(self, stream: EventStream) -> None:
        self._streams.discard(stream)


class EventStream(Response):
    """Server-sent events. Ends when the client leaves, is too slow, or has been here for long enough."""

    media_type = "text/event-stream"
    charset = "utf-8"

    def __init__(self, hub: Hub, inbox: Inbox, source: AsyncIterator[bytes]) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self.inbox = inbox
        self._hub = hub
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
        elif now - self._sent_at > HEARTBEAT_SECONDS - _POLL_SECONDS:
            self.inbox.heartbeat()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        sending = asyncio.create_task(self._send_all(send), name="stream")
        leaving = asyncio.create_task(_left(receive), name="stream's client")
        self._hub.opened(self)
        try:
            await asyncio.wait({sending, leaving, self.inbox.cut}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._hub.closed(self)
            sending.cancel()
            leaving.cancel()
            await asyncio.wait({sending, leaving})
        if self.inbox.cut.done():
            log.info("a client of %s was cut off: it reads too slowly", scope["path"])
        if not sending.cancelled() and (error := sending.exception()):
            raise error

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
