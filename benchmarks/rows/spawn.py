"""Spawning: how long POST takes beside a bare update-with-start, and how soon the agent is seen to run."""

from __future__ import annotations

import time

from benchmarks import load
from benchmarks.bench import Bench
from benchmarks.load import Load
from benchmarks.report import Figure, ms

MORE = 0.015


async def measure(bench: Bench) -> list[Figure]:
    system, fleet = await bench.shared()
    bare = await system.bare_program()
    turns, each = (2, 25) if bench.quick else (4, 75)
    posted: list[float] = []
    to_running: list[float] = []
    ours, theirs = Load(), Load()

    async def spawn() -> None:
        began = time.perf_counter()
        agent = await fleet.spawn("/bin/true")
        answered = time.perf_counter()
        posted.append(answered - began)
        to_running.append(max(0.0, await fleet.seen("agent.running", agent["id"]) - answered))
        await fleet.seen("task.completed", agent["task_id"])

    for turn in range(turns):
        if turn == 0:  # connections, caches
            await load.exactly(bare.submit, 5, in_flight=1)
            await load.exactly(spawn, 5, in_flight=1)
            posted.clear()
            to_running.clear()
        theirs += await load.exactly(bare.submit, each, in_flight=1, costs=system.costs)
        ours += await load.exactly(spawn, each, in_flight=1, costs=system.costs)

    p50, bare_p50 = load.percentile(posted, 50), load.percentile(theirs.latencies, 50)
    p99, bare_p99 = load.percentile(posted, 99), load.percentile(theirs.latencies, 99)
    seen_50, seen_99 = load.percentile(to_running, 50), load.percentile(to_running, 99)
    return [
        Figure(
            "POST /v1/agents → 201, 1 in flight",
            f"p50 {ms(p50)}, p99 {ms(p99)}",
            "p50 ≤ its p50 + 15 ms",
            p50 <= bare_p50 + MORE,
            yardstick=f"bare update-with-start p50 {ms(bare_p50)}, p99 {ms(bare_p99)}",
            ratio=f"{'+' if p50 >= bare_p50 else '-'}{ms(abs(p50 - bare_p50))}",
            values={"p50": p50, "p99": p99, "bare_p50": bare_p50, "bare_p99": bare_p99, "samples": len(posted)},
            profile={"the whole life": ours.cost_each(), "bare": theirs.cost_each()},
        ),
        Figure(
            "201 → running seen by an SSE client",
            f"p50 {ms(seen_50)}, p99 {ms(seen_99)}",
            "p50 ≤ 60 ms, p99 ≤ 200 ms",
            seen_50 <= 0.060 and seen_99 <= 0.200,
            values={"p50": seen_50, "p99": seen_99, "samples": len(to_running)},
        ),
    ]
