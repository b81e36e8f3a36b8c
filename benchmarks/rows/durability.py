"""What it costs that a power cut loses nothing: the bare program on servers with synchronous=FULL and =NORMAL."""

from __future__ import annotations

from benchmarks import load
from benchmarks.bench import Bench
from benchmarks.load import Load
from benchmarks.report import Figure, ms

IN_FLIGHT = 64
MOST = 0.15


async def measure(bench: Bench) -> list[Figure]:
    count, turns = IN_FLIGHT * (2 if bench.quick else 3), 2 if bench.quick else 4
    await bench.stop_shared()
    async with (
        bench.system(durability="full", parts=()) as full,
        bench.system(durability="normal", parts=()) as normal,
    ):
        sides = [("full", full, await full.bare_program()), ("normal", normal, await normal.bare_program())]
        alone = {name: (await load.exactly(bare.live, 30, in_flight=1)).latencies for name, _, bare in sides}
        loads = {name: Load() for name, _, _ in sides}
        for _ in range(turns):
            for name, system, bare in sides:
                got = await load.run(bare.live, count, in_flight=IN_FLIGHT, costs=system.costs)
                bench.say(f"synchronous={name.upper()}: {got.rate:.1f} lives/s")
                loads[name] += got
    ratio = loads["full"].rate / loads["normal"].rate
    return [
        Figure(
            "Temporal's SQLite, synchronous=FULL (bare program)",
            f"{loads['full'].rate:.1f}/s",
            "≥ 0.85, else a setting",
            None,
            yardstick=f"synchronous=NORMAL {loads['normal'].rate:.1f}/s",
            ratio=f"{ratio:.2f}",
            note=f"one life alone: p50 {ms(load.percentile(alone['full'], 50))} with FULL, "
            f"{ms(load.percentile(alone['normal'], 50))} with NORMAL; FULL costs {1 - ratio:.0%}"
            + (", more than the 15 % at which it is kept without a choice" if 1 - ratio > MOST else ""),
            values={"full_rate": loads["full"].rate, "normal_rate": loads["normal"].rate, "ratio": ratio},
            profile={"FULL": loads["full"].cost_each(), "NORMAL": loads["normal"].cost_each()},
        )
    ]
