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
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from uuid import UUID

from api.stream import RECONNECT, TICK_SECONDS, EventStream, Frame, Inbox, frame
from muster.domain.errors import MusterError, Unavailable
from muster.domain.tenants import Tenant
from muster.storage import events, keys
from muster.storage.database import Database
from muster.storage.live import Live

log = logging.getLogger(__name__)

_CHECK_SECONDS = 5.0
_PAGE = 500
_REMEMBERED = 1_024


class BeyondTheEnd(MusterError):
    """It was another log's: what follows would never come."""

    status, code = 422, "invalid_request"


class Filter(NamedTuple):
    task_id: UUID | None = None
    agent_id: UUID | None = None
    types: list[str] | None = None
    tenant: Tenant | None = None
    """Who listens, if that is somebody who does not reach all of the workspace."""

    def __bool__(self) -> bool:
        return bool(self.task_id or self.agent_id or self.types or self.tenant)

    def test(self) -> Callable[[Frame], bool] | None:
        if not self:
            return None
        task = str(self.task_id) if self.task_id else None
        agent = str(self.agent_id) if self.agent_id else None
        types = frozenset(self.types or ())
        tenant = self.tenant
        project, own = (str(tenant.project_id), str(tenant.task_id)) if tenant else ("", "")

        def reaches(frame: Frame) -> bool:
            # As row-level security has it (0006): its project, its task, and the subtasks of that.
            return frame.project_id == project or own in (frame.task_id, frame.parent_id)

        return lambda frame: (
            (task is None or frame.task_id == task)
            and (agent is None or frame.agent_id == agent)
            and (not types or frame.type in types)
            and (tenant is None or reaches(frame))
        )


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
        self.streams: set[EventStream] = set()
        self._tasks: list[asyncio.Task[None]] = []
        live.on_change(self._subscription_changed)

    async def start(self) -> None:
        await self.live.listen(keys.events(), self._heard)
        self._tasks = [
            asyncio.create_task(self.live.run(), name="subscription"),
            asyncio.create_task(self._tick(), name="streams"),
        ]

    def end_streams(self) -> None:
        for stream in list(self.streams):
            stream.inbox.end()

    async def stop(self) -> None:
        self.end_streams()
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

    async def follow(self, tenant: Tenant, after: int | None, wanted: Filter) -> EventStream:
        """A stream of all events after that position; of all from now on when there is none."""
        if not tenant.reaches_all:
            wanted = wanted._replace(tenant=tenant)
        inbox = Inbox(wants=wanted.test())
        # Read once before the answer begins, so that a Postgres that is away is a 503 and not a stream that ends.
        last = await events.last_position(self.db, tenant)
        if after is not None and after > last:
            raise BeyondTheEnd(f"there is no event {after}: the last is {last}")
        start = last if after is None else after
        first = [] if after is None else await self._page(tenant, start, wanted)
        return EventStream(self.streams, inbox, self._events(tenant, inbox, start, first, wanted))

    async def _page(self, tenant: Tenant, covered: int, wanted: Filter) -> list[dict[str, Any]]:
        return await events.after(
            self.db, tenant, covered, limit=_PAGE,
            task_id=wanted.task_id, agent_id=wanted.agent_id, types=wanted.types,
        )  # fmt: skip

    async def _events(
        self, tenant: Tenant, inbox: Inbox, start: int, rows: list[dict[str, Any]], wanted: Filter
    ) -> AsyncIterator[bytes]:
        # The id of the place it starts from: a client that is cut off before its first event resumes there.
        yield f"retry: 1000\nid: {start}\n\n".encode()
        covered = start
        while rows:
            yield b"".join(frame(row).data for row in rows)
            covered = rows[-1]["position"]
            rows = await self._page(tenant, covered, wanted) if len(rows) == _PAGE else []
        async with self.feed(tenant.workspace_id) as feed:
            while not feed.joins_at(covered):
                seen = feed.position  # committed, so a page that is not full reaches at least this far
                rows = await self._page(tenant, covered, wanted)
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
            await asyncio.sleep(TICK_SECONDS)
            now = time.monotonic()
            for feed in list(self._feeds.values()):
                if not self.live.up or now - feed.checked > _CHECK_SECONDS:
                    feed.catch_up()
            for stream in list(self.streams):
                stream.tick(now)
