"""Memory of a worker and an API that have worked, and what each waiting task adds."""

from __future__ import annotations

import asyncio

from benchmarks import load, usage
from benchmarks.bench import Bench
from benchmarks.fleet import Fleet
from benchmarks.report import Figure, mb

WORKER, API, EACH = 160_000_000, 120_000_000, 30_000
IN_FLIGHT = 64


async def measure(bench: Bench) -> list[Figure]:
    lives, waiting = (200, 400) if bench.quick else (1000, 2000)
    async with bench.system() as system:
        fleet = await system.fleet()
        await load.exactly(fleet.live, lives, in_flight=IN_FLIGHT)
        await asyncio.sleep(2)
        worker, api = usage.peak_memory(system.pid("worker")), usage.peak_memory(system.pid("api"))
        before = usage.memory(system.pid("worker"))
        bench.say(f"worker {mb(worker)}, api {mb(api)} after {lives} lives; adding {waiting} waiting tasks")
        await add_waiting(fleet, waiting)
        await asyncio.sleep(3)
        after = usage.memory(system.pid("worker"))
        api_after = usage.peak_memory(system.pid("api"))
    each = max(0.0, (after - before) / waiting)
    return [
        Figure(
            f"memory of a worker, {IN_FLIGHT} in flight",
            mb(worker),
            "≤ 160 MB",
            worker <= WORKER,
            note=f"peak, resident, after {lives} lives",
            values={"bytes": worker},
        ),
        Figure(
            "memory of a worker, more per waiting task",
            f"{each / 1000:.1f} KB",
            "≤ 30 KB",
            each <= EACH,
            note=f"{waiting} waiting: from {mb(before)} to {mb(after)}",
            values={"bytes": each, "waiting": waiting, "before": before, "after": after},
        ),
        Figure(
            "memory of the API",
            mb(max(api, api_after)),
            "≤ 120 MB",
            max(api, api_after) <= API,
            values={"bytes": max(api, api_after)},
        ),
    ]


async def add_waiting(fleet: Fleet, count: int) -> str:
    """Tasks that wait for one that does not end; answers its agent."""
    blocker = await fleet.spawn("/bin/sleep", "86400")
    await fleet.seen("agent.running", blocker["id"])

    async def wait() -> None:
        runner = {"kind": "command", "argv": ["/bin/true"]}
        task = {"title": "waits", "runner": runner, "depends_on": [blocker["task_id"]]}
        await fleet.call("POST", "/v1/tasks", task)

    await load.exactly(wait, count, in_flight=16)
    agent: str = blocker["id"]
    return agent
