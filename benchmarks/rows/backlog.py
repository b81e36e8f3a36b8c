"""The rate of a Muster that holds many finished and waiting tasks, beside a fresh one in the same minute."""

from __future__ import annotations

import asyncio
from functools import partial

from benchmarks import load
from benchmarks.bench import Bench
from benchmarks.load import Load
from benchmarks.report import Figure
from benchmarks.rows.memory import add_waiting
from benchmarks.system import System

IN_FLIGHT = 64


async def measure(bench: Bench) -> list[Figure]:
    finished, waiting = (400, 100) if bench.quick else (5000, 1000)
    count, turns = IN_FLIGHT * (2 if bench.quick else 3), 2 if bench.quick else 4
    await bench.stop_shared()
    async with bench.system() as full:
        fleet = await full.fleet()
        bench.say(f"living {finished} lives")
        await load.exactly(fleet.live, finished, in_flight=IN_FLIGHT)
        bench.say(f"adding {waiting} waiting tasks")
        await add_waiting(fleet, waiting)
        fleet.forget()
        async with bench.system() as fresh:
            newcomers = await fresh.fleet()
            await asyncio.sleep(15 if bench.quick else 30)  # a burst of starts slows the server for a while
            aged_load, fresh_load = Load(), Load()
            for _ in range(turns):
                for name, system, live, idle in (
                    ("fresh", fresh, newcomers.live, full),
                    ("full", full, fleet.live, fresh),
                ):
                    costs = partial(both_costs, system, idle)
                    got = await load.run(live, count, in_flight=IN_FLIGHT, costs=costs)
                    bench.say(f"{name}: {got.rate:.1f} lives/s")
                    if name == "fresh":
                        fresh_load += got
                    else:
                        aged_load += got
    ratio = aged_load.rate / fresh_load.rate
    return [
        Figure(
            f"rate with {finished:,} finished and {waiting:,} waiting tasks",
            f"{aged_load.rate:.1f}/s",
            "≥ 0.85",
            ratio >= 0.85,
            yardstick=f"fresh {fresh_load.rate:.1f}/s",
            ratio=f"{ratio:.2f}",
            note="the fresh one is another Muster, in the same minute; each idles while the other is measured",
            values={"rate": aged_load.rate, "fresh_rate": fresh_load.rate, "ratio": ratio},
            profile={"full": aged_load.cost_each(), "fresh": fresh_load.cost_each()},
        )
    ]


def both_costs(system: System, idle: System) -> dict[str, float]:
    others = {name: cost for name, cost in idle.costs().items() if name not in ("generator", "machine")}
    return {**system.costs(), "idle Muster": sum(others.values())}
