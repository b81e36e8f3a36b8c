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
    lives, few, many = (200, 300, 900) if bench.quick else (1000, 1000, 3000)
    await bench.stop_shared()
    async with bench.system() as system:
        fleet = await system.fleet()
        await load.exactly(fleet.live, lives, in_flight=IN_FLIGHT)
        await asyncio.sleep(2)
        worker, api = system.pid("worker"), system.pid("api")
        worker_now, worker_peak = usage.memory(worker), usage.peak_memory(worker)
        api_now, api_peak = usage.memory(api), usage.peak_memory(api)
        sizes = []
        for waiting, more in ((few, few), (many, many - few)):
            bench.say(f"adding {more} waiting tasks")
            await add_waiting(fleet, more)
            await asyncio.sleep(3)
            sizes.append((waiting, max(0.0, (usage.memory(worker) - worker_now) / waiting)))
    each = max(size for _, size in sizes)
    return [
        Figure(
            f"memory of a worker, {IN_FLIGHT} in flight",
            mb(worker_now),
            "≤ 160 MB",
            worker_now <= WORKER,
            note=f"resident after {lives} lives; at its peak {mb(worker_peak)}",
            values={"bytes": worker_now, "peak": worker_peak},
        ),
        Figure(
            "memory of a worker, more per waiting task",
            f"{each / 1000:.1f} KB",
            "≤ 30 KB",
            each <= EACH,
            note=", ".join(f"{size / 1000:.1f} KB each with {waiting:,} waiting" for waiting, size in sizes),
            values={f"bytes_with_{waiting}": size for waiting, size in sizes},
        ),
        Figure(
            f"memory of the API, {IN_FLIGHT} in flight",
            mb(api_now),
            "≤ 120 MB",
            api_now <= API,
            note=f"resident after {lives} lives; at its peak {mb(api_peak)}",
            values={"bytes": api_now, "peak": api_peak},
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
