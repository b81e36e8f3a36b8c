"""How often each key may ask, over all API processes together.

The count is in Valkey, kept by the `limits` library; a round trip to it for each request would cost more than many a
request itself. So a process takes a tenth of a second's worth at a time and hands it out. What it does not use lapses.

The strategy is the sliding window: a whole second's worth at once, then refilled evenly, as a bucket of tokens is.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from limits import RateLimitItemPerSecond, WindowStats
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.asyncio import Redis
from redis.exceptions import RedisError

from muster.domain.errors import MusterError
from muster.storage import keys
from muster.storage.valkey import once_more

log = logging.getLogger(__name__)

LEASE_SECONDS = 1.0
"""What was taken and not used by then is given up."""
REFILL_SECONDS = 0.1
"""How long a lease is meant to last, and how long a refusal holds without another look."""
AWAY_SECONDS = 0.4
"""A request waits no longer for Valkey: it counts as away then, and nobody waits for it."""
_SOON_SECONDS = 0.02
LOOK_SECONDS = 1.0
"""How often it is looked for while it is away."""
WRONG_KEYS_PER_SECOND = 50
WRONG_KEYS_AT_ONCE = 200
"""From one address, in one process. Generous: many people may share an address, and scripts repeat themselves."""
_REMEMBERED = 10_000

Header = tuple[bytes, bytes]


class RateLimited(MusterError):
    status, code, retryable = 429, "rate_limited", True


@dataclass(slots=True)
class _Lease:
    """What this process may still let through for one key."""

    limit: int
    item: RateLimitItemPerSecond
    policy: Header
    shared: int
    """How many more there were for all processes when the last was taken."""
    size: int = 0
    """How many were taken last."""
    left: int = 0
    taken_at: float = 0.0
    resets_at: float = 0.0
    refused_until: float = 0.0
    waiting: int = 0
    taking: asyncio.Task[None] | None = None


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class _Storage(RedisStorage):
    """It would import each client that is installed, Valkey's own beside the one it is to use: some 4 MB."""

    DEPENDENCIES = {"redis": RedisStorage.DEPENDENCIES["redis"]}  # noqa: RUF012 - as it is declared there


class Limits:
    def __init__(self, valkey_url: str) -> None:
        storage = _Storage(
            f"async+{valkey_url}",
            implementation="redispy",
            key_prefix=keys.limits(),
            socket_connect_timeout=LOOK_SECONDS,
            socket_timeout=LOOK_SECONDS,
            retry=once_more(),  # type: ignore[arg-type]
        )
        self._shared = SlidingWindowCounterRateLimiter(storage)
        self._client: Redis = storage.bridge.get_connection()  # type: ignore[attr-defined]
        self._leases: OrderedDict[tuple[UUID, UUID], _Lease] = OrderedDict()
        self._wrong: OrderedDict[str | None, _Bucket] = OrderedDict()
        self._down = False
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connects, so that the first request need not."""
        with suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(AWAY_SECONDS):
                await self._ask(RateLimitItemPerSecond(1), 1, "start")

    async def close(self) -> None:
        tasks = [lease.taking for lease in self._leases.values() if lease.taking]
        tasks += [self._looking] if self._looking else []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._client.aclose()

    # -- Keys that work -----------------------------------------------------------------------------------------

    async def admit(self, holder: UUID, workspace_id: UUID, limit: int, headers: list[Header]) -> None:
        """One request of this key, or agent. Adds the headers that say how many more there may be."""
        name = holder, workspace_id
        lease = self._lease(name, limit)
        now = time.monotonic()
        if lease.left and now - lease.taken_at > LEASE_SECONDS:
            lease.size -= lease.left
            lease.left = 0
        until = now + AWAY_SECONDS
        while not lease.left and not self._down and lease.refused_until <= now < until:
            await self._take(lease, name, until - now)
            now = time.monotonic()
        headers += lease.policy, _remaining(lease, now)
        if lease.left:
            lease.left -= 1
            # Ahead of need, so that the next need not wait. For one that asks seldom it may be for nothing: no more
            # than twice what was just used, and only while there are plenty.
            if lease.left == lease.size // 4 and (lease.left or lease.shared > lease.limit // 2):
                self._begin(lease, name, most=None if lease.left else lease.size * 2)
        elif now < lease.refused_until and not self._down:
            raise RateLimited(f"this key may send {limit} requests a second")

    def _lease(self, name: tuple[UUID, UUID], limit: int) -> _Lease:
        lease = self._leases.get(name)
        if lease is None or lease.limit != limit:
            item = RateLimitItemPerSecond(limit)
            lease = self._leases[name] = _Lease(limit, item, (b"ratelimit-policy", b'"key";q=%d;w=1' % limit), limit)
            if len(self._leases) > _REMEMBERED:
                self._leases.popitem(last=False)
        else:
            self._leases.move_to_end(name)
        return lease

    async def _take(self, lease: _Lease, name: tuple[UUID, UUID], seconds: float) -> None:
        """A share of what is left for all processes. Those that ask meanwhile wait for the same one."""
        lease.waiting += 1
        try:
            await asyncio.wait({self._begin(lease, name)}, timeout=seconds)
        finally:
            lease.waiting -= 1

    def _begin(self, lease: _Lease, name: tuple[UUID, UUID], most: int | None = None) -> asyncio.Task[None]:
        if lease.taking is None:
            lease.taking = asyncio.create_task(self._refill(lease, name, most), name="requests of a key")
        return lease.taking

    async def _refill(self, lease: _Lease, name: tuple[UUID, UUID], most: int | None) -> None:
        try:
            # As many as would have been used in that time at the pace of the last ones: what is taken and not used
            # is lost to the other processes.
            pace = (lease.size - lease.left) / max(time.monotonic() - lease.taken_at, 0.001)
            soon = int(min(pace, lease.limit) * REFILL_SECONDS)
            wanted = min(most or lease.limit, max(1, soon, lease.waiting))
            identifiers = [str(part) for part in name]
            async with asyncio.timeout(AWAY_SECONDS):
                got, stats = await self._ask(lease.item, wanted, *identifiers)
                if not got and stats.remaining > 0:
                    wanted = min(wanted, stats.remaining)
                    got = await self._shared.hit(lease.item, *identifiers, cost=wanted)
            now, resets_in = time.monotonic(), max(0.0, stats.reset_time - time.time())
            lease.left += wanted if got else 0
            lease.size = lease.left
            lease.taken_at = now
            lease.shared = stats.remaining if got else 0
            lease.resets_at = now + resets_in
            lease.refused_until = 0.0 if got else now + min(REFILL_SECONDS, max(_SOON_SECONDS, resets_in))
        except (RedisError, OSError, TimeoutError) as error:
            self._lost(type(error).__name__)
        finally:
            lease.taking = None

    async def _ask(self, item: RateLimitItemPerSecond, cost: int, *identifiers: str) -> tuple[bool, WindowStats]:
        return await asyncio.gather(
            self._shared.hit(item, *identifiers, cost=cost), self._shared.get_window_stats(item, *identifiers)
        )

    def _lost(self, why: str) -> None:
        """Requests are let through as long as Valkey is away: what runs is still limited by Postgres."""
        if not self._down:
            self._down = True
            log.error("the requests of keys are not limited: Valkey does not answer (%s)", why)
            self._looking = asyncio.create_task(self._look(), name="look for Valkey")

    async def _look(self) -> None:
        while self._down:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._client.ping()
            except (RedisError, OSError, TimeoutError):
                continue
            self._down = False
            log.warning("the requests of keys are limited again: Valkey answers")

    # -- Keys that do not ---------------------------------------------------------------------------------------

    def check_address(self, address: str | None) -> None:
        """Keys cannot be tried at speed: an address that sent many wrong ones is not told about the next."""
        bucket = self._wrong.get(address)
        if bucket is not None and _refilled(bucket) < 1:
            raise RateLimited("too many wrong keys came from this address")

    def note_wrong(self, address: str | None) -> None:
        bucket = self._wrong.get(address)
        if bucket is None:
            bucket = self._wrong[address] = _Bucket(WRONG_KEYS_AT_ONCE, time.monotonic())
            if len(self._wrong) > _REMEMBERED:
                self._wrong.popitem(last=False)
        self._wrong.move_to_end(address)
        bucket.tokens = max(0.0, _refilled(bucket) - 1)


def _refilled(bucket: _Bucket) -> float:
    now = time.monotonic()
    bucket.tokens = min(WRONG_KEYS_AT_ONCE, bucket.tokens + (now - bucket.at) * WRONG_KEYS_PER_SECOND)
    bucket.at = now
    return bucket.tokens


def _remaining(lease: _Lease, now: float) -> Header:
    more = min(lease.limit, lease.left + lease.shared)
    return b"ratelimit", b'"key";r=%d;t=%d' % (more, max(1, math.ceil(lease.resets_at - now)))
