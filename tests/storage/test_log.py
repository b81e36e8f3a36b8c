"""The event log under many writers: no event is hidden from a reader that has passed it, and none is missing."""

from __future__ import annotations

import asyncio
import random

import psycopg

from muster.domain.states import AgentStatus, Reason, TaskStatus
from muster.storage import events, moves
from muster.storage.database import Database

from .conftest import OWNER, Tenant, make_workspace


async def test_readers_see_every_event_once_and_in_order(shared_url: str) -> None:
    workspace = await make_workspace(shared_url, limit=4)
    writers = [Database(shared_url, size=2) for _ in range(6)]
    readers = [Database(shared_url, size=1) for _ in range(3)]
    for database in writers + readers:
        await database.open()
    writing = asyncio.Event()
    seen: list[list[int]] = [[] for _ in readers]

    async def write(database: Database, number: int) -> None:
        tenant, dice = Tenant(database, workspace), random.Random(number)
        for _ in range(15):
            task = await tenant.create(priority=dice.randint(1, 10))
            while (agent := (await tenant.task(task))["agent_id"]) is None:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            await moves.start_agent(database, workspace, agent, f"worker-{number}")
            good = dice.random() < 0.6
            await moves.finish_agent(
                database, workspace, agent, AgentStatus.COMPLETED if good else AgentStatus.FAILED,
                reason=None if good else Reason.EXIT_NONZERO,
            )  # fmt: skip
            await moves.finish_task(
                database, workspace, OWNER, task, TaskStatus.COMPLETED if good else TaskStatus.FAILED,
                reason=None if good else Reason.EXIT_NONZERO,
            )  # fmt: skip

    async def read(database: Database, into: list[int]) -> None:
        while True:
            done = writing.is_set()
            found = await events.after(database, workspace, into[-1] if into else 0, limit=7)
            into += [event["position"] for event in found]
            if done and not found:
                return

    async def write_all() -> None:
        await asyncio.gather(*(write(database, number) for number, database in enumerate(writers)))
        writing.set()

    try:
        await asyncio.gather(write_all(), *(read(*pair) for pair in zip(readers, seen, strict=True)))
        count = 6 * 15 * 6  # assigned, spawned, running, executing, agent's end, task's end
        for positions in seen:
            assert positions == list(range(1, count + 1))
        assert await events.last_position(readers[0], workspace) == count
    finally:
        for database in writers + readers:
            await database.close()


async def test_a_move_that_has_not_committed_holds_later_ones_back(shared_url: str, tenant: Tenant) -> None:
    """The classic hole: a slow transaction with a small number commits after a quick one with a larger."""
    slow = await psycopg.AsyncConnection.connect(shared_url)
    async with slow:
        await slow.execute("SET ROLE muster_app")
        await slow.execute("SELECT enter(%s, NULL)", (tenant.id,))
        quick = asyncio.ensure_future(tenant.create())
        await asyncio.sleep(0.1)
        assert not quick.done(), "a later move waits for the earlier one's fate"
        assert await events.after(tenant.db, tenant.id, 0) == []
        await slow.rollback()
        await quick
    assert [event["position"] for event in await events.after(tenant.db, tenant.id, 0)] == [1, 2]


async def test_the_log_can_be_filtered(tenant: Tenant) -> None:
    task, agent = await tenant.running()
    await tenant.running()

    async def types(**filters: object) -> list[str]:
        return [event["type"] for event in await events.after(tenant.db, tenant.id, 0, **filters)]  # type: ignore[arg-type]

    mine = ["task.assigned", "agent.spawned", "agent.running", "task.executing"]
    assert await types(task_id=task) == mine
    assert await types(agent_id=agent) == mine
    assert await types(types=["agent.running"], task_id=task) == ["agent.running"]
    assert len(await types()) == 8
    assert await types(limit=3) == mine[:3]
