"""Spawning: how long POST takes beside a bare update-with-start, and how soon the agent is seen to run."""

from __future__ import annotations

import time

from benchmarks import load
from benchmarks.bench import Bench
from benchmarks.report import Figure, ms

MORE = 0.015


async def measure(bench: Bench) -> list[Figure]:
    system, fleet = await bench.shared()
    bare = await system.bare_program()
    turns, each = (2, 25) if bench.quick else (4, 75)
    posted: list[float] = []
    to_running: list[float] = []
    submitted: list[float] = []

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
        submitted += (await load.exactly(bare.submit, each, in_flight=1)).latencies
        await load.exactly(spawn, each, in_flight=1)

    ours, theirs = load.percentile(posted, 50), load.percentile(submitted, 50)
    ours_99, theirs_99 = load.percentile(posted, 99), load.percentile(submitted, 99)
    seen_50, seen_99 = load.percentile(to_running, 50), load.percentile(to_running, 99)
    return [
        Figure(
            "POST /v1/agents → 201, 1 in flight",
            f"p50 {ms(ours)}, p99 {ms(ours_99)}",
            "p50 ≤ its p50 + 15 ms",
            ours <= theirs + MORE,
            yardstick=f"bare update-with-start p50 {ms(theirs)}, p99 {ms(theirs_99)}",
            ratio=f"{'+' if ours >= theirs else '-'}{ms(abs(ours - theirs))}",
            values={"p50": ours, "p99": ours_99, "bare_p50": theirs, "bare_p99": theirs_99, "samples": len(posted)},
        ),
        Figure(
            "201 → running seen by an SSE client",
            f"p50 {ms(seen_50)}, p99 {ms(seen_99)}",
            "p50 ≤ 60 ms, p99 ≤ 200 ms",
            seen_50 <= 0.060 and seen_99 <= 0.200,
            values={"p50": seen_50, "p99": seen_99, "samples": len(to_running)},
        ),
    ]
