"""A kill, from the request to the proof that reaches an SSE client: one at a time, and many at once."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from benchmarks import load
from benchmarks.bench import Bench
from benchmarks.fleet import Fleet
from benchmarks.load import Load
from benchmarks.report import Figure, ms

ENOUGH = "3600"


async def measure(bench: Bench) -> list[Figure]:
    system, fleet = await bench.shared()
    count = 30 if bench.quick else 120
    single = []
    for agent in await sleepers(fleet, count):
        began = time.perf_counter()
        await fleet.call("POST", f"/v1/agents/{agent['id']}/kill", {"grace_seconds": 5})
        single.append(await fleet.seen("agent.killed", agent["id"]) - began)
        await fleet.seen("task.failed", agent["task_id"])
    figures = [
        Figure(
            f"kill → killed proven, one at a time ({count - 1} others run at first)",
            f"p50 {ms(load.percentile(single, 50))}, p99 {ms(load.percentile(single, 99))}",
            "p99 ≤ 300 ms",
            load.percentile(single, 99) <= 0.3,
            values={"p50": load.percentile(single, 50), "p99": load.percentile(single, 99), "samples": count},
        )
    ]
    many = 100
    for how, kill in (("100 requests", _each), ("kill-all", _all)):
        agents = await sleepers(fleet, many)
        before, began = system.costs(), time.perf_counter()
        asked = asyncio.create_task(kill(fleet, agents))
        proven = max(await asyncio.gather(*(fleet.seen("agent.killed", agent["id"]) for agent in agents))) - began
        await asked
        cost = Load.between(before, system.costs(), count=many, seconds=proven).cost_each()
        await asyncio.gather(*(fleet.seen("task.failed", agent["task_id"]) for agent in agents))
        figures.append(
            Figure(
                f"100 killed at once, all proven ({how})",
                f"{proven:.2f} s",
                "≤ 3 s",
                proven <= 3.0,
                values={"seconds": proven},
                profile={"each": cost},
            )
        )
    return figures


async def sleepers(fleet: Fleet, count: int) -> list[dict[str, Any]]:
    """Agents that run, and obey SIGTERM."""
    agents: list[dict[str, Any]] = []
    for start in range(0, count, 20):
        wave = range(start, min(start + 20, count))
        agents += await asyncio.gather(*(fleet.spawn("/bin/sleep", ENOUGH) for _ in wave))
    await asyncio.gather(*(fleet.seen("agent.running", agent["id"]) for agent in agents))
    await asyncio.sleep(1.0)  # let the workflow tasks behind these events end
    return agents


async def _each(fleet: Fleet, agents: list[dict[str, Any]]) -> None:
    await asyncio.gather(*(fleet.call("POST", f"/v1/agents/{agent['id']}/kill") for agent in agents))


async def _all(fleet: Fleet, agents: list[dict[str, Any]]) -> None:
    await fleet.call("POST", "/v1/agents/kill-all", {"grace_seconds": 5})
