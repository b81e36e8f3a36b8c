"""Closed-loop load: so many in flight, each begun when one ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

Live = Callable[[], Awaitable[Any]]


@dataclass
class Load:
    """What happened between the end of the warm-up and the end of the measurement."""

    count: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    costs: dict[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        return self.count / self.seconds if self.seconds else 0.0

    def __add__(self, other: Load) -> Load:
        names = {*self.costs, *other.costs}
        return Load(
            self.count + other.count,
            self.seconds + other.seconds,
            self.latencies + other.latencies,
            {name: self.costs.get(name, 0.0) + other.costs.get(name, 0.0) for name in names},
        )

    @classmethod
    def between(cls, before: dict[str, float], after: dict[str, float], *, count: int, seconds: float) -> Load:
        """What so many cost, from two readings of the processes' CPU time."""
        return cls(count, seconds, costs={name: cost - before.get(name, 0.0) for name, cost in after.items()})

    def cost_each(self) -> dict[str, float]:
        """CPU milliseconds a life, by process; `others` is what the rest of the machine took meanwhile, in cores."""
        ours = {name: cost for name, cost in self.costs.items() if name != "machine"}
        each = {name: 1000 * cost / max(self.count, 1) for name, cost in sorted(ours.items()) if cost > 0.01}
        others = max(0.0, self.costs.get("machine", 0.0) - sum(ours.values())) / max(self.seconds, 0.001)
        return {**each, "others": others}


async def run(
    live: Live, count: int, *, in_flight: int, costs: Callable[[], dict[str, float]] = dict, turnovers: int = 1
) -> Load:
    """Counts from when all that began together has ended; then lets the rest end, so that the next load finds quiet
    servers. In whole turnovers, since lives go in waves: a window in seconds would cut one in two."""
    load, ended, warm_up = Load(), 0, in_flight * turnovers
    before, began = costs(), time.perf_counter()

    async def keep_busy() -> None:
        nonlocal ended, before, began
        while ended < warm_up + count:
            started = time.perf_counter()
            await live()
            ended += 1
            if warm_up < ended <= warm_up + count:
                load.latencies.append(time.perf_counter() - started)
            if ended == warm_up:
                before, began = costs(), time.perf_counter()
            elif ended == warm_up + count:
                load.count, load.seconds = count, time.perf_counter() - began
                load.costs = {name: cost - before.get(name, 0.0) for name, cost in costs().items()}

    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(keep_busy())
    return load


async def exactly(live: Live, count: int, *, in_flight: int, costs: Callable[[], dict[str, float]] = dict) -> Load:
    """So many, as fast as they go."""
    load, left = Load(), count
    before, began = costs(), time.perf_counter()

    async def keep_busy() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            started = time.perf_counter()
            await live()
            load.count += 1
            load.latencies.append(time.perf_counter() - started)

    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(keep_busy())
    load.seconds = time.perf_counter() - began
    load.costs = {name: cost - before.get(name, 0.0) for name, cost in costs().items()}
    return load


def percentile(values: list[float], percent: float) -> float:
    """The nearest-rank percentile: a value that was really measured."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-len(ordered) * percent // 100).__int__() - 1))]
