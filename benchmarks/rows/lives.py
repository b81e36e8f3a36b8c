"""Agent lives per second: a task, its agent and /bin/true, through HTTP, beside the bare program."""

from __future__ import annotations

from benchmarks import load
from benchmarks.bench import Bench
from benchmarks.load import Load
from benchmarks.report import Figure, ms

IN_FLIGHT = 64


async def measure(bench: Bench) -> list[Figure]:
    system, fleet = await bench.shared()
    bare = await system.bare_program()
    count, turns = IN_FLIGHT * (2 if bench.quick else 3), 2 if bench.quick else 4
    alone = await load.exactly(bare.live, 20, in_flight=1)
    ours_alone = await load.exactly(fleet.live, 20, in_flight=1)
    ours, theirs = Load(), Load()
    for _ in range(turns):
        for name, live in (("the bare program", bare.live), ("Muster", fleet.live)):
            got = await load.run(live, count, in_flight=IN_FLIGHT, costs=system.costs)
            bench.say(f"{name}: {got.rate:.1f} lives/s")
            if name == "Muster":
                ours += got
            else:
                theirs += got
        fleet.forget()
    ratio = ours.rate / theirs.rate
    our_cost, bare_cost = ours.cost_each(), theirs.cost_each()
    cpu, bare_cpu = (sum(cost.values()) - cost["others"] for cost in (our_cost, bare_cost))
    bare_p50, our_p50 = load.percentile(alone.latencies, 50), load.percentile(ours_alone.latencies, 50)
    return [
        Figure(
            f"agent lives per second, {IN_FLIGHT} in flight",
            f"{ours.rate:.1f}/s",
            "≥ 0.80",
            ratio >= 0.8,
            yardstick=f"bare Temporal program {theirs.rate:.1f}/s",
            ratio=f"{ratio:.2f}",
            note=f"one life alone: p50 {ms(our_p50)}, bare {ms(bare_p50)}; CPU of one life, which others disturb "
            f"less: {cpu:.0f} ms, bare {bare_cpu:.0f} ms, so {bare_cpu / cpu:.2f}",
            values={
                "rate": ours.rate,
                "bare_rate": theirs.rate,
                "ratio": ratio,
                "cpu_ratio": bare_cpu / cpu,
                "alone_p50": our_p50,
                "bare_alone_p50": bare_p50,
            },
            profile={"Muster": our_cost, "bare": bare_cost},
        )
    ]
