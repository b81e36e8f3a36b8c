"""Valkey as its readers see it: one connection that subscribes, and a few for the rest.

What is published may be missed: while the connection is down, and by whoever publishes. A reader knows where it
is in Postgres and takes this as the quick way to learn what is new, never as the only one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import UUID

import redis.asyncio
from redis.asyncio.connection import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from muster.domain.errors import Unavailable
from muster.storage import keys
from muster.storage.valkey import once_more

log = logging.getLogger(__name__)

Heard = Callable[[bytes], None]

PING_SECONDS = 1.0
SILENCE_SECONDS = 3.0
"""Without even a pong for this long, the connection counts as dead: a stopped Valkey closes nothing."""

_LAST = keys.subscribed().encode()
_RECONNECT_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0)
_CONFIRM_SECONDS = 1.0
_READ_SECONDS = 2.0


class Live:
    def __init__(self, url: str) -> None:
        """`rediss://`, user names and passwords in the URL are honoured."""
        self._client: redis.asyncio.Redis = redis.asyncio.Redis.from_url(
            url, socket_connect_timeout=_READ_SECONDS, socket_timeout=_READ_SECONDS, retry=once_more()
        )
        # The subscription's own: no read timeout, and no silent reconnect, which would hide what was missed.
        self._subscriptions = ConnectionPool.from_url(
            url, protocol=2, socket_connect_timeout=_READ_SECONDS, socket_timeout=None, retry=Retry(NoBackoff(), 0)
        )
        self._connection: Any = None
        self._heard_at = 0.0
        self._listeners: dict[bytes, set[Heard]] = {}
        self._confirmed: dict[bytes, asyncio.Event] = {}
        self._changed: list[Callable[[bool], None]] = []
        self.up = False
        """Whether whatever is published now is heard."""

    def on_change(self, callback: Callable[[bool], None]) -> None:
        """Called with True once all channels are subscribed (again), with False when the connection is lost."""
        self._changed.append(callback)

    async def listen(self, channel: str, heard: Heard) -> None:
        """From its return on, `heard` gets every message, as long as `up`. Waits for Valkey only a moment."""
        name = channel.encode()
        first = name not in self._listeners
        self._listeners.setdefault(name, set()).add(heard)
        if first:
            self._confirmed[name] = asyncio.Event()
            if self._connection:
                with suppress(RedisError, OSError):
                    await self._connection.send_command("SUBSCRIBE", name, check_health=False)
        if self._connection:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._confirmed[name].wait(), _CONFIRM_SECONDS)

    async def leave(self, channel: str, heard: Heard) -> None:
        name = channel.encode()
        listeners = self._listeners.get(name, set())
        listeners.discard(heard)
        if not listeners:
            self._listeners.pop(name, None)
            self._confirmed.pop(name, None)
            if self._connection:
                with suppress(RedisError, OSError):
                    await self._connection.send_command("UNSUBSCRIBE", name, check_health=False)

    async def publish(self, channel: str, message: str) -> None:
        """To whoever listens now. Lost where Valkey is away."""
        with suppress(RedisError, OSError):
            await self._client.publish(channel, message)

    async def run(self) -> None:
        """Keeps the subscription up until it is cancelled."""
        failures = 0
        while True:
            began = time.monotonic()
            try:
                await self._subscribe_and_read()
            except (RedisError, OSError, TimeoutError) as error:
                if failures == 0:
                    log.warning("Valkey's messages are not heard (%s); reading Postgres instead", type(error).__name__)
            except Exception:  # whatever it is, the next connection may be well
                log.exception("Valkey's messages are not heard; reading Postgres instead")
            finally:
                await self._drop()
            failures = 0 if time.monotonic() - began > 5 else failures + 1
            await asyncio.sleep(_RECONNECT_SECONDS[min(failures, len(_RECONNECT_SECONDS) - 1)])

    async def _subscribe_and_read(self) -> None:
        connection: Any = self._subscriptions.make_connection()  # type: ignore[no-untyped-call]
        try:
            async with asyncio.timeout(_READ_SECONDS):
                await connection.connect()
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        self._connection = connection
        wanted = list(self._listeners)
        await connection.send_command("SUBSCRIBE", *wanted, _LAST, check_health=False)
        self._heard_at = time.monotonic()
        reading = asyncio.ensure_future(self._read(connection))
        try:
            while True:
                done, _ = await asyncio.wait({reading}, timeout=PING_SECONDS)
                if done:
                    reading.result()
                if time.monotonic() - self._heard_at > SILENCE_SECONDS:
                    raise TimeoutError
                await connection.send_command("PING", check_health=False)
        finally:
            reading.cancel()
            await asyncio.wait({reading})

    async def _read(self, connection: Any) -> None:
        while True:
            kind, name, data = (*await connection.read_response(), None)[:3]
            self._heard_at = time.monotonic()
            if kind == b"message":
                for heard in tuple(self._listeners.get(name, ())):
                    try:
                        heard(data)
                    except Exception:  # one bad message, or listener, must not end it for all
                        log.exception("a message on %s could not be handled", name.decode())
            elif kind == b"subscribe":
                if name == _LAST:
                    self._set_up(True)
                elif name in self._confirmed:
                    self._confirmed[name].set()

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        for confirmed in self._confirmed.values():
            confirmed.clear()
        self._set_up(False)
        if connection:
            with suppress(RedisError, OSError):
                await connection.disconnect(nowait=True)

    def _set_up(self, up: bool) -> None:
        if up != self.up:
            self.up = up
            for changed in self._changed:
                changed(up)

    async def recent_output(self, agent_id: UUID) -> list[bytes]:
        """Messages of the last moments, oldest first: what Postgres may not have yet. Nothing when Valkey is away."""
        try:
            entries: Any = await self._client.xrange(keys.output(agent_id))
        except (RedisError, OSError, TimeoutError):
            return []
        return [fields[b"m"] for _, fields in entries or () if b"m" in fields]

    async def ping(self) -> str:
        """Its version."""
        try:
            await self._client.ping()
            facts = await self._client.info("server")
        except (RedisError, OSError, TimeoutError) as error:
            raise Unavailable(f"Valkey does not answer: {type(error).__name__}") from error
        return str(facts.get("valkey_version") or facts.get("redis_version") or "")

    async def close(self) -> None:
        with suppress(RedisError, OSError):
            await self._client.aclose()
            await self._subscriptions.disconnect()
