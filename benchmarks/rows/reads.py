"""GET /v1/agents/{id} beside a bare FastAPI route that does one psycopg read of the same row."""

from __future__ import annotations

import asyncio
import itertools

from benchmarks import load
from benchmarks.bench import Bench
from benchmarks.load import Live, Load
from benchmarks.report import Figure, ms
from benchmarks.wire import Connection, Refused

IN_FLIGHT = 16


async def measure(bench: Bench) -> list[Figure]:
    system, fleet = await bench.shared()
    bare_port = await system.bare_api()
    agents = await asyncio.gather(*(fleet.spawn("/bin/true") for _ in range(32)))
    await asyncio.gather(*(fleet.seen("task.completed", agent["task_id"]) for agent in agents))
    ids = [agent["id"] for agent in agents]
    count, turns = (2000, 3) if bench.quick else (4000, 6)
    ours, theirs = Load(), Load()
    for _ in range(turns):
        for bare in (True, False):
            port, prefix = (bare_port, "/agents") if bare else (system.api_port, "/v1/agents")
            live, connections = reader(port, prefix, ids, key="" if bare else system.key)
            got = await load.run(live, count, in_flight=IN_FLIGHT, costs=system.costs, turnovers=30)
            for connection in connections:
                connection.close()
            bench.say(f"{'the bare route' if bare else 'Muster'}: {got.rate:.0f} reads/s")
            if bare:
                theirs += got
            else:
                ours += got
    ratio = ours.rate / theirs.rate
    p99, bare_p99 = load.percentile(ours.latencies, 99), load.percentile(theirs.latencies, 99)
    return [
        Figure(
            f"GET /v1/agents/{{id}}, {IN_FLIGHT} in flight",
            f"{ours.rate:.0f}/s, p99 {ms(p99)}",
            "≥ 0.70",
            ratio >= 0.7,
            yardstick=f"bare route, one read {theirs.rate:.0f}/s, p99 {ms(bare_p99)}",
            ratio=f"{ratio:.2f}",
            values={"rate": ours.rate, "bare_rate": theirs.rate, "ratio": ratio, "p99": p99, "bare_p99": bare_p99},
            profile={"Muster (a read)": ours.cost_each(), "bare (a read)": theirs.cost_each()},
        )
    ]


def reader(port: int, prefix: str, ids: list[str], *, key: str) -> tuple[Live, list[Connection]]:
    connections = [Connection("127.0.0.1", port, key) for _ in range(IN_FLIGHT)]
    free, turn = list(connections), itertools.cycle(ids)

    async def read() -> None:
        connection, path = free.pop(), f"{prefix}/{next(turn)}"
        status, body = await connection.send("GET", path)
        if status != 200:
            raise Refused(f"GET {path}", status, body)
        free.append(connection)

    return read, connections
