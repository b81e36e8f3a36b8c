"""From commit to an SSE client, with 100 of them, beside Valkey PUBLISH through a bare hub to the same client."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial

import redis.asyncio

from benchmarks import load
from benchmarks.bare.api import CHANNEL
from benchmarks.bench import Bench
from benchmarks.report import Figure, ms
from benchmarks.wire import Frames, Stream

CLIENTS = 100
LIVES_PER_SECOND = 4
MORE = 0.010


async def measure(bench: Bench) -> list[Figure]:
    system, fleet = await bench.shared()
    bare_port = await system.bare_api()
    seconds, turns = (4.0, 2) if bench.quick else (6.0, 4)
    agent = await fleet.spawn("/bin/true")
    await fleet.seen("task.completed", agent["task_id"])
    sample = fleet.event("agent.running", agent["id"]) or {}
    ours, theirs, counted = [], [], 0
    async with redis.asyncio.Redis.from_url(system.addresses.valkey_url) as valkey:
        for _ in range(turns):
            audience = await Audience.gather(bare_port, "/events")
            await publish(valkey, sample, seconds)
            theirs += await audience.delays(lambda event: event["sent"])
            audience = await Audience.gather(system.api_port, "/v1/events", system.key)
            await spawn_steadily(fleet.live, seconds)
            ours += await audience.delays(lambda event: datetime.fromisoformat(event["at"]).timestamp())
            counted += audience.events
    p50, p99 = load.percentile(ours, 50), load.percentile(ours, 99)
    bare_p50, bare_p99 = load.percentile(theirs, 50), load.percentile(theirs, 99)
    return [
        Figure(
            f"commit → SSE client, {CLIENTS} clients",
            f"p50 {ms(p50)}, p99 {ms(p99)}",
            "p99 ≤ its p99 + 10 ms",
            p99 <= bare_p99 + MORE,
            yardstick=f"PUBLISH → the same client p50 {ms(bare_p50)}, p99 {ms(bare_p99)}",
            ratio=f"{'+' if p99 >= bare_p99 else '-'}{ms(abs(p99 - bare_p99))}",
            note=f"{counted} events to {CLIENTS} clients while {LIVES_PER_SECOND} agents a second live and end; timed "
            "from the clock reading in the event, which is taken shortly before the commit",
            values={
                "p50": p50,
                "p99": p99,
                "bare_p50": bare_p50,
                "bare_p99": bare_p99,
                "deliveries": len(ours),
                "bare_deliveries": len(theirs),
            },
        )
    ]


class Audience:
    """Many SSE clients in one process. Nothing is parsed while they listen: hearing one must not delay another."""

    def __init__(self) -> None:
        self._heard: list[list[tuple[float, bytes]]] = []
        self._streams: list[Stream] = []
        self.events = 0

    @classmethod
    async def gather(cls, port: int, path: str, key: str = "") -> Audience:
        audience = cls()
        for _ in range(CLIENTS):
            heard: list[tuple[float, bytes]] = []
            audience._heard.append(heard)
            audience._streams.append(await Stream.open("127.0.0.1", port, path, partial(_keep, heard), key))
        await asyncio.sleep(0.5)
        return audience

    async def delays(self, sent: Callable[[dict[str, object]], float]) -> list[float]:
        """Ends the listening. Every client must have heard the same."""
        for stream in self._streams:
            stream.close()
        delays: list[float] = []
        counts = set()
        for heard in self._heard:
            frames: list[str] = []
            parser, before = Frames(lambda _id, _kind, data, into=frames: into.append(data)), len(delays)
            for at, piece in heard:
                parser.feed(piece)
                delays += [at - sent(json.loads(data)) for data in frames]
                frames.clear()
            counts.add(len(delays) - before)
        assert len(counts) == 1, f"clients heard different numbers of events: {sorted(counts)}"
        self.events = counts.pop()
        return delays


def _keep(heard: list[tuple[float, bytes]], piece: bytes) -> None:
    heard.append((time.time(), piece))


async def publish(valkey: redis.asyncio.Redis, sample: dict[str, object], seconds: float) -> None:
    """As many as so many lives would, and in pairs, as their moves do."""
    pause = 1 / LIVES_PER_SECOND / 3
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        for _ in range(2):
            await valkey.publish(CHANNEL, json.dumps({**sample, "sent": time.time()}))
        await asyncio.sleep(pause)
    await asyncio.sleep(0.5)


async def spawn_steadily(live: Callable[[], object], seconds: float) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(int(seconds * LIVES_PER_SECOND)):
            group.create_task(live())  # type: ignore[arg-type]
            await asyncio.sleep(1 / LIVES_PER_SECOND)
    await asyncio.sleep(0.5)
