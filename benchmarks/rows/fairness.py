"""Workspaces that wait for the same few places: how long a newcomer waits, and whether shares follow the weights.

One worker with four places. Times are taken from the rows: what is fair is when an agent begins.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg

from benchmarks import load
from benchmarks.bench import Bench
from benchmarks.report import Figure, ms
from benchmarks.system import System
from benchmarks.wire import Connection
from muster.domain.ids import new_id

PLACES = 4
SLOT = 0.5
IN_FLIGHT = 16
WEIGHTS = (1, 1, 2)

_STARTED = "extract(epoch FROM started_at)::float"
_ENTER = (
    "SELECT set_config('role', 'muster_app', false), set_config('app.administrator', 'on', false), "
    "set_config('app.current_workspace_id', %s, false)"
)


async def measure(bench: Bench) -> list[Figure]:
    crowd, newcomers, each = (300, 6, 60) if bench.quick else (1000, 12, 300)
    await bench.stop_shared()
    async with bench.system(variables={"MUSTER_WORKER_MAX_AGENTS": str(PLACES)}) as system:
        delay = await _newcomer(bench, system, crowd, newcomers)
    async with bench.system(variables={"MUSTER_WORKER_MAX_AGENTS": str(PLACES)}) as system:
        shares = await _shares(bench, system, each)
    return [delay, shares]


async def _newcomer(bench: Bench, system: System, crowd: int, newcomers: int) -> Figure:
    async with AsyncExitStack() as exits:
        one, other, *others = [await exits.enter_async_context(tenant(system)) for _ in range(newcomers + 2)]
        for _ in range(3):  # connections, caches
            await other.start_delay()
        alone = [await other.start_delay() for _ in range(newcomers)]
        bench.say(f"queueing {crowd} tasks of {SLOT:g} s")
        async with all_places_taken(system):
            await one.queue(crowd, "sleep", f"{SLOT:g}")
        waiting, delays = await one.waiting(), []
        for number, newcomer in enumerate(others):
            await asyncio.sleep(SLOT * 0.63 * (1 + number % 3))  # not in step with the places
            delays.append(await newcomer.start_delay())
        left = await one.waiting()
        begun = [at for at, _ in await one.starts()]
    assert left > 0, "the crowd was gone before the last newcomer came"
    usual, p50, most = load.percentile(alone, 50), load.percentile(delays, 50), max(delays)
    # How long a place is taken by one of the crowd: its half second, and what starting and ending it takes.
    slot = PLACES * (max(begun) - min(begun)) / (len(begun) - 1)
    slots = (most - usual) / slot
    return Figure(
        f"first tasks of {newcomers} workspaces behind {waiting} of another's",
        f"start after p50 {ms(p50)}, max {ms(most)}",
        "≤ 1 slot's time more than alone",
        slots <= 1,
        yardstick=f"alone p50 {ms(usual)}; a slot's time {ms(slot)}",
        ratio=f"{slots:.2f} slots",
        note=f"the slowest of them; {PLACES} places, {left} still waiting at the end",
        values={"p50": p50, "max": most, "alone": usual, "slot": slot, "slots": slots, "waiting": waiting},
    )


async def _shares(bench: Bench, system: System, each: int) -> Figure:
    async with AsyncExitStack() as exits:
        tenants = [await exits.enter_async_context(tenant(system, weight)) for weight in WEIGHTS]
        bench.say(f"queueing {each} tasks in each of {len(tenants)} workspaces")
        async with all_places_taken(system):
            await asyncio.gather(*(one.queue(each, "true", in_flight=5) for one in tenants))
        # Until the heaviest has none left; the first tenth is what was handed out before.
        counted = each * sum(WEIGHTS) // max(WEIGHTS) * 9 // 10
        deadline = time.monotonic() + 300
        while len(starts := sorted([start for one in tenants for start in await one.starts()])) < counted:
            assert time.monotonic() < deadline, f"{len(starts)} of {counted} began"
            await asyncio.sleep(1)
    of = Counter(workspace for _, workspace in starts[counted // 9 : counted])
    unit = sum(of.values()) / sum(WEIGHTS)
    found = [of[one.workspace] / unit for one in tenants]
    worst = max(abs(share / weight - 1) for share, weight in zip(found, WEIGHTS, strict=True))
    return Figure(
        f"shares of three workspaces with weights {' : '.join(map(str, WEIGHTS))}",
        " : ".join(f"{share:.2f}" for share in found),
        "within 10 %",
        worst <= 0.1,
        ratio=f"{1 + worst:.2f}",
        note=f"of {sum(of.values())} starts, while each had tasks waiting",
        values={"shares": found, "worst": worst},
    )


class Tenant:
    def __init__(self, system: System, workspace: str, database: psycopg.AsyncConnection[tuple[Any, ...]]) -> None:
        self._system, self.workspace, self._database = system, workspace, database
        self._connection = self._connect()

    def _connect(self) -> Connection:
        return Connection("127.0.0.1", self._system.api_port, self._system.key, self.workspace)

    async def queue(self, count: int, *argv: str, in_flight: int = IN_FLIGHT) -> None:
        free = [self._connect() for _ in range(in_flight)]

        async def one() -> None:
            connection = free.pop()
            await connection.call("POST", "/v1/tasks", {"title": "benchmark", "runner": _runner(*argv)})
            free.append(connection)

        await load.exactly(one, count, in_flight=in_flight)
        for connection in free:
            connection.close()

    async def start_delay(self) -> float:
        """From the request for an agent to its start."""
        began = time.time()
        body = {"task": {"title": "benchmark", "runner": _runner("true")}}
        agent = await self._connection.call("POST", "/v1/agents", body)
        while True:
            rows = await self._rows(
                "SELECT extract(epoch FROM started_at)::float FROM agents WHERE id = %s", agent["id"]
            )
            if rows[0][0] is not None:
                return float(rows[0][0]) - began
            await asyncio.sleep(0.02)

    async def waiting(self) -> int:
        return int((await self._rows("SELECT count(*) FROM agents WHERE status = 'spawning'"))[0][0])

    async def starts(self) -> list[tuple[float, str]]:
        rows = await self._rows(f"SELECT {_STARTED} FROM agents WHERE started_at IS NOT NULL")
        return [(at, self.workspace) for (at,) in rows]

    async def _rows(self, statement: str, *params: Any) -> list[tuple[Any, ...]]:
        return await (await self._database.execute(statement.encode(), params)).fetchall()

    def close(self) -> None:
        self._connection.close()


@asynccontextmanager
async def tenant(system: System, weight: int = 1) -> AsyncIterator[Tenant]:
    """A workspace of its own, with no limit but the worker's."""
    workspace = str(new_id())
    url = system.addresses.database_url
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as database:
        await database.execute(_ENTER, (workspace,))
        await database.execute(
            "INSERT INTO workspaces (id, slug, name, max_concurrent_agents, requests_per_second, weight) "
            "VALUES (%s, %s, 'A workspace', 2000, 100000, %s)",
            (workspace, f"w-{workspace}", weight),
        )
        await database.execute("INSERT INTO workspace_log (workspace_id) VALUES (%s)", (workspace,))
        made = Tenant(system, workspace, database)
        try:
            yield made
        finally:
            made.close()


@asynccontextmanager
async def all_places_taken(system: System) -> AsyncIterator[None]:
    """So that what is queued meanwhile waits, however slowly it is queued."""
    free = Path(system.stack.home.path) / "free"
    async with tenant(system) as blocker:
        await blocker.queue(PLACES, "sh", "-c", f"while [ ! -e {free} ]; do sleep 0.05; done")
        while len(await blocker.starts()) < PLACES:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.05)
        yield
        free.touch()


def _runner(*argv: str) -> dict[str, Any]:
    return {"kind": "command", "argv": list(argv)}
