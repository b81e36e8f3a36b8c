"""Recovery: a worker killed under a running fleet, and a Valkey wiped under 10,000 rows."""

from __future__ import annotations

import asyncio
import time

import redis.asyncio

from benchmarks.bench import Bench
from benchmarks.report import Figure
from benchmarks.rows.kill import sleepers
from muster.domain.ids import DEFAULT_WORKSPACE
from muster.storage import mirror

FLEET = 20
OPEN, ENDED = 1_000, 4_500  # tasks; those that ended have an agent each: 10,000 rows


async def measure(bench: Bench) -> list[Figure]:
    return [await worker_killed(bench), await valkey_wiped(bench)]


async def worker_killed(bench: Bench) -> Figure:
    system, fleet = await bench.shared()
    agents = await sleepers(fleet, FLEET)
    fleet.forget()
    system.kill("worker")
    began = time.perf_counter()

    async def one_more() -> float:
        """A person who spawns in the middle of it."""
        agent = await fleet.spawn("/bin/true")
        return await fleet.seen("task.completed", agent["task_id"]) - began

    newcomer = asyncio.create_task(one_more())
    again = [
        at - began
        for at in await asyncio.gather(*(fleet.seen("task.executing", agent["task_id"], 90) for agent in agents))
    ]
    newcomer_seconds = await newcomer
    await fleet.call("POST", "/v1/agents/kill-all", {"grace_seconds": 5})
    await asyncio.gather(*(fleet.seen("task.failed", agent["task_id"]) for agent in agents))
    heartbeat = system.settings.heartbeat_timeout_seconds
    return Figure(
        f"worker killed (kill -9), {FLEET} agents running → all run again",
        f"{max(again):.1f} s",
        "≤ 35 s",
        max(again) <= 35,
        note=f"the first after {min(again):.1f} s; heartbeat timeout {heartbeat:g} s; an agent spawned right after the "
        f"kill had lived its life {newcomer_seconds:.1f} s after it",
        values={"all": max(again), "first": min(again), "newcomer": newcomer_seconds},
    )


async def valkey_wiped(bench: Bench) -> Figure:
    async with bench.system(parts=()) as system:
        await system.sql(_ROWS)
        took: list[float] = []
        rows = 0
        async with redis.asyncio.Redis.from_url(system.addresses.valkey_url) as valkey:
            for _ in range(3):
                await valkey.flushall()
                began = time.perf_counter()
                rows = await mirror.rebuild(
                    system.addresses.database_url,
                    system.addresses.valkey_url,
                    terminal_ttl_seconds=system.settings.terminal_ttl_seconds,
                )
                took.append(time.perf_counter() - began)
    return Figure(
        f"Valkey wiped → rebuilt from {rows:,} rows",
        f"{max(took):.2f} s",
        "≤ 2 s",
        max(took) <= 2.0,
        note="the slowest of three",
        values={"seconds": took, "rows": rows},
    )


_ROWS = f"""
BEGIN;
SET LOCAL ROLE muster_app;
SET LOCAL app.current_workspace_id = '{DEFAULT_WORKSPACE}';
INSERT INTO tasks (id, workspace_id, title, status, retry, runner, queued_at)
    SELECT new_id(), '{DEFAULT_WORKSPACE}', 'waits ' || n, 'pending', '{{"max_attempts": 1}}',
           '{{"kind": "command", "argv": ["/bin/true"]}}', now()
    FROM generate_series(1, {OPEN}) n;
INSERT INTO tasks (id, workspace_id, title, status, retry, runner, attempts, started_at, finished_at)
    SELECT new_id(), '{DEFAULT_WORKSPACE}', 'ended ' || n, 'completed', '{{"max_attempts": 1}}',
           '{{"kind": "command", "argv": ["/bin/true"]}}', 1, now(), now()
    FROM generate_series(1, {ENDED}) n;
INSERT INTO agents (id, workspace_id, task_id, attempt, run, status, runner, exit_code, started_at, finished_at)
    SELECT new_id(), workspace_id, id, 1, 1, 'completed', runner, 0, now(), now()
    FROM tasks WHERE status = 'completed';
UPDATE tasks t SET agent_id = a.id FROM agents a WHERE a.task_id = t.id;
COMMIT;
RESET ROLE;
ANALYZE tasks, agents
"""
