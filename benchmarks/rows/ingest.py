"""Recording what agents do: events one by one and in batches, each with its job, from eight clients."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks import load
from benchmarks.bench import Bench
from benchmarks.load import Live, Load
from benchmarks.report import Figure, ms
from benchmarks.system import System
from benchmarks.wire import Connection, Refused

CLIENTS = 8
BATCH = 100
SINGLE_GOAL, BATCH_GOAL = 1_000, 8_000
# claude-mem's server, 13.15.3, measured on the same kind of machine.
SINGLE_THEIRS, BATCH_THEIRS = (228, 337), (678, 877)

Events = Callable[[str, str], Iterator[dict[str, Any]]]


async def measure(bench: Bench) -> list[Figure]:
    await bench.stop_shared()
    async with bench.system(parts=("api",)) as system:
        single = await _load(bench, system, each=1, count=4_000 if bench.quick else 12_000)
        batches = await _load(bench, system, each=BATCH, count=200 if bench.quick else 800)
        counts = await system.sql(
            "SELECT (SELECT count(*) FROM agent_events), (SELECT count(*) FROM memory_jobs), "
            "(SELECT coalesce(sum(events), 0) FROM memory_sessions)"
        )
    bench.say(f"events, jobs, events counted in sessions: {counts[0]}")
    return [
        _figure("one event and its job per request", single, 1, SINGLE_GOAL, SINGLE_THEIRS),
        _figure(f"batches of {BATCH} events, jobs with them", batches, BATCH, BATCH_GOAL, BATCH_THEIRS),
    ]


async def _load(bench: Bench, system: System, *, each: int, count: int) -> Load:
    connections = [Connection("127.0.0.1", system.api_port, system.key) for _ in range(CLIENTS)]
    try:
        project = f"ingest-{each}"
        await connections[0].call("POST", "/v1/projects", {"slug": project, "name": project})
        free = []
        for number, connection in enumerate(connections):
            asked = {"project": project, "external_id": f"run-{number}", "platform": "benchmarks"}
            session = await connection.call("POST", "/v1/sessions", asked)
            free.append((connection, events(project, session["id"])))
        got = await load.run(_sender(free, each), count, in_flight=CLIENTS, costs=system.costs, turnovers=10)
    finally:
        for connection in connections:
            connection.close()
    bench.say(f"{got.rate * each:.0f} events/s in requests of {each}")
    return got


def _sender(free: list[tuple[Connection, Iterator[dict[str, Any]]]], each: int) -> Live:
    path = "/v1/agent-events" if each == 1 else "/v1/agent-events/batch"

    async def send() -> None:
        connection, source = free.pop()
        body: Any = next(source) if each == 1 else {"events": list(itertools.islice(source, each))}
        status, answer = await connection.send("POST", path, body)
        if status != 201:
            raise Refused(path, status, answer)
        free.append((connection, source))
        await asyncio.sleep(0)

    return send


def events(project: str, session: str) -> Iterator[dict[str, Any]]:
    """What a coding agent's hook sends after each call of a tool, some 600 bytes."""
    began = datetime.now(UTC)
    for number in itertools.count():
        yield {
            "project": project,
            "session": session,
            "type": "tool_use",
            "source": {"adapter": "benchmarks", "event_id": f"{session}-{number}"},
            "occurred_at": (began + timedelta(milliseconds=number)).isoformat(),
            "payload": {
                "tool_name": "Edit",
                "tool_input": {
                    "file_path": f"src/orders/module_{number % 97}.py",
                    "old_string": "    total = sum(line.price for line in order.lines)\n    return total",
                    "new_string": "    # Cents: floats do not add up.\n    return sum(line.cents for line in lines)",
                },
                "tool_response": {"ok": True, "lines": 120 + number % 7, "note": "14 passed in 2.31 s"},
            },
            "metadata": {"cwd": "/srv/orders", "turn": number // 5},
        }


def _figure(what: str, got: Load, each: int, goal: int, theirs: tuple[int, int]) -> Figure:
    rate, unit = got.rate * each, "events/s" if each > 1 else "/s"
    p50, p99 = load.percentile(got.latencies, 50), load.percentile(got.latencies, 99)
    cost = got.cost_each()
    ours = {name: cost.get(name, 0.0) / each for name in ("api", "postgres", "generator")}
    return Figure(
        f"{what}, {CLIENTS} clients",
        f"{rate:.0f}{'' if each == 1 else ' '}{unit}",
        f"≥ {goal}{'' if each == 1 else ' '}{unit}",
        rate >= goal,
        yardstick=f"claude-mem's server {theirs[0]} to {theirs[1]}{'' if each == 1 else ' '}{unit}",
        ratio=f"{rate / theirs[1]:.1f}",
        note=f"a request took p50 {ms(p50)}, p99 {ms(p99)}; CPU of one event: "
        + ", ".join(f"{name} {value:.3f} ms" for name, value in ours.items()),
        values={"rate": rate, "p50": p50, "p99": p99, **{f"cpu_{name}": value for name, value in ours.items()}},
        profile={"a request": cost},
    )
