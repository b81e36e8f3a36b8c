"""What keys, limits and row-level security cost: the same Muster with and without them, in turns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from benchmarks import load
from benchmarks.bench import Bench
from benchmarks.fleet import Fleet
from benchmarks.load import Load
from benchmarks.report import Figure, ms
from benchmarks.rows.reads import IN_FLIGHT, reader
from benchmarks.system import System

MOST = 1.15


async def measure(bench: Bench) -> list[Figure]:
    await bench.stop_shared()
    async with bench.system() as guarded, bench.system(unguarded=True) as unguarded:
        sides = [(system, await system.fleet()) for system in (unguarded, guarded)]
        return [await _read(bench, sides), await _spawn(bench, sides)]


async def _read(bench: Bench, sides: list[tuple[System, Fleet]]) -> Figure:
    count, turns = (2000, 4) if bench.quick else (4000, 10)
    ids = []
    for _, fleet in sides:
        agents = await asyncio.gather(*(fleet.spawn("/bin/true") for _ in range(32)))
        await asyncio.gather(*(fleet.seen("task.completed", agent["task_id"]) for agent in agents))
        ids.append([agent["id"] for agent in agents])
    loads = [Load(), Load()]
    for turn in range(turns):
        for side in (0, 1) if turn % 2 else (1, 0):
            system, _ = sides[side]
            live, connections = reader(system.api_port, "/v1/agents", ids[side], key=system.key)
            costs = both(system, sides[1 - side][0])
            loads[side] += await load.run(live, count, in_flight=IN_FLIGHT, costs=costs, turnovers=20)
            for connection in connections:
                connection.close()
    return _figure(
        f"keys and RLS: GET /v1/agents/{{id}}, {IN_FLIGHT} in flight", *loads, parts=("api", "postgres", "valkey")
    )


async def _spawn(bench: Bench, sides: list[tuple[System, Fleet]]) -> Figure:
    each, turns = (25, 4) if bench.quick else (60, 8)
    loads = [Load(), Load()]

    async def spawn(fleet: Fleet, took: list[float]) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        agent = await fleet.spawn("/bin/true")
        took.append(loop.time() - began)
        await fleet.seen("task.completed", agent["task_id"])

    for _, fleet in sides:
        await load.exactly(fleet.live, 10, in_flight=1)
    for turn in range(turns):
        for side in (0, 1) if turn % 2 else (1, 0):
            system, fleet = sides[side]
            took: list[float] = []
            costs = both(system, sides[1 - side][0])
            got = await load.exactly(partial(spawn, fleet, took), each, in_flight=1, costs=costs)
            got.latencies = took
            loads[side] += got
    parts = ("api", "worker", "temporal", "postgres", "valkey")
    return _figure("keys and RLS: POST /v1/agents → 201, 1 in flight", *loads, parts=parts)


def both(system: System, idle: System) -> Callable[[], dict[str, float]]:
    def costs() -> dict[str, float]:
        others = {name: cost for name, cost in idle.costs().items() if name not in ("generator", "machine")}
        return {**system.costs(), "idle Muster": sum(others.values())}

    return costs


def _figure(what: str, without: Load, with_them: Load, *, parts: tuple[str, ...]) -> Figure:
    p50, bare_p50 = load.percentile(with_them.latencies, 50), load.percentile(without.latencies, 50)
    cpu, bare_cpu = (1000 * sum(side.costs[part] for part in parts) / side.count for side in (with_them, without))
    ratio, cpu_ratio = p50 / bare_p50, cpu / bare_cpu
    return Figure(
        what,
        f"p50 {ms(p50)}, CPU {cpu:.2f} ms",
        f"both ≤ {MOST}",
        max(ratio, cpu_ratio) <= MOST,
        yardstick=f"without them p50 {ms(bare_p50)}, CPU {bare_cpu:.2f} ms",
        ratio=f"{ratio:.2f}, CPU {cpu_ratio:.2f}",
        values={
            "p50": p50,
            "bare_p50": bare_p50,
            "ratio": ratio,
            "cpu": cpu,
            "bare_cpu": bare_cpu,
            "cpu_ratio": cpu_ratio,
        },
        profile={"with them": with_them.cost_each(), "without": without.cost_each()},
    )
