"""Operators with the Temporal CLI, and workers that come and go in good order."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest

from muster.domain.ids import DEFAULT_WORKSPACE, agent_workflow_id, task_workflow_id
from tests.integration.fleet import Expected, Fleet, System, a_system
from tests.pace import Stopwatch
from tests.services.conftest import eventually, processes_of

from .conftest import CAP, mixed, survived

pytestmark = pytest.mark.faults

HEARTBEAT = 20.0
"""Longer than any of these tests may take: nothing in here is found out by silence."""


@pytest.fixture(scope="module")
async def system() -> AsyncIterator[System]:
    async with a_system(
        MAX_CONCURRENT_AGENTS=str(CAP),
        MUSTER_HEARTBEAT_TIMEOUT_SECONDS=str(HEARTBEAT),
        MUSTER_SWEEP_SECONDS="1",
    ) as system:
        yield system


async def agent_at_work(system: System, task: Expected) -> str:
    async def at_work() -> str:
        rows = await system.sql(
            "SELECT id::text FROM agents WHERE task_id = %s AND status = 'running' ", task.id
        )  # fmt: skip
        assert rows
        agent: str = rows[0][0]
        return agent

    found: str = await eventually(at_work)
    return found


async def agents_of(system: System, task: Expected) -> list[tuple[str, str | None]]:
    rows = await system.sql(
        "SELECT status::text, reason::text FROM agents WHERE task_id = %s ORDER BY attempt", task.id
    )
    return [(row[0], row[1]) for row in rows]


def of_task(task: Expected) -> str:
    return task_workflow_id(DEFAULT_WORKSPACE, UUID(task.id))


def of_agent(agent_id: str) -> str:
    return agent_workflow_id(DEFAULT_WORKSPACE, UUID(agent_id))


def temporal(system: System, *arguments: str) -> None:
    system.cli("temporal", "workflow", *arguments)


async def test_workflows_are_terminated_and_cancelled(system: System) -> None:
    fleet = mixed(system)
    sleeps = ["sleep", "60"]
    ended: dict[str, Expected] = {
        how: fleet.add(how, sleeps, status="failed", reason=reason, priority=10)
        for how, reason in {
            "task terminated": "lost",
            "task cancelled": "cancelled",
            "agent terminated": "lost",
            "agent cancelled": "killed",
        }.items()
    }
    # The agent's workflow is terminated once: the attempt is lost, and the next one completes.
    argv = fleet.script(0.1, 'if [ "$MUSTER_ATTEMPT" = 1 ]; then exec sleep 60; fi;')
    ended["agent terminated"].spec["runner"]["argv"] = argv
    ended["agent terminated"].status, ended["agent terminated"].reason = "completed", None
    ended["agent terminated"].lines = 1
    queued = fleet.add("queued, terminated", ["true"], status="failed", reason="lost", priority=1)
    waiting = fleet.add("queued, cancelled", ["true"], status="failed", reason="cancelled", priority=1)
    # Those that are to run come first, and the others hold on to their slots, so that the queue stays one.
    fleet.tasks.sort(key=lambda task: task.spec.get("priority") != 10)
    fleet.hold.touch()
    async with survived(system, fleet):
        await fleet.submit(at_once=len(ended))
        agents = {how: await agent_at_work(system, task) for how, task in ended.items()}
        await asyncio.to_thread(temporal, system, "terminate", "-w", of_task(queued))
        await asyncio.to_thread(temporal, system, "cancel", "-w", of_task(waiting))
        fleet.release()
        await asyncio.to_thread(temporal, system, "terminate", "-w", of_task(ended["task terminated"]))
        await asyncio.to_thread(temporal, system, "cancel", "-w", of_task(ended["task cancelled"]))
        await asyncio.to_thread(temporal, system, "terminate", "-w", of_agent(agents["agent terminated"]))
        await asyncio.to_thread(temporal, system, "cancel", "-w", of_agent(agents["agent cancelled"]))
    # A task whose workflow is gone asks its agent's to end; which of the two is recorded first does not matter.
    assert (await agents_of(system, ended["task terminated"]))[0][0] in ("killed", "failed")
    assert await agents_of(system, ended["task cancelled"]) == [("killed", "cancelled")]
    assert await agents_of(system, ended["agent terminated"]) == [("failed", "lost"), ("completed", None)]
    assert await agents_of(system, ended["agent cancelled"]) == [("killed", "killed")]
    assert await agents_of(system, queued) == await agents_of(system, waiting) == []


@asynccontextmanager
async def another_worker(system: System) -> AsyncIterator[subprocess.Popen[str]]:
    process = system.muster.open("worker")
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.communicate, timeout=120)


async def test_a_worker_that_is_asked_to_stop_hands_its_agents_over(system: System) -> None:
    fleet = Fleet(system)
    fleet.hold.touch()
    for _ in range(CAP + 10):
        fleet.add("held", fleet.script(0.1))
    async with another_worker(system) as second, survived(system, fleet, seconds=15):

        async def both_poll() -> None:
            async with system.api() as api:
                info = (await api.get("/v1/info")).json()
            assert info["boundaries"]["workers"]["detail"].startswith("2 polling")

        await eventually(both_poll, 20)
        await fleet.submit()

        async def both_work() -> None:
            rows = await system.sql(
                "SELECT worker, count(*) FROM agents WHERE status = 'running' GROUP BY 1 HAVING count(*) > 0"
            )
            assert len(rows) == 2
            assert sum(row[1] for row in rows) == CAP

        await eventually(both_work)
        mine = await system.sql(
            "SELECT id::text FROM agents WHERE status = 'running' AND worker LIKE %s", f"%:{second.pid}"
        )
        began = Stopwatch()
        second.send_signal(signal.SIGTERM)

        async def went_on_elsewhere() -> None:
            rows = await system.sql(
                "SELECT 1 FROM agents a JOIN tasks t ON t.id = a.task_id JOIN agents b ON b.id = t.agent_id "
                "WHERE a.id = ANY (%s::uuid[]) AND a.status = 'failed' AND a.reason = 'lost' AND b.attempt = 2",
                [row[0] for row in mine],
            )
            # Others may have been given the slots that freed; so not all at once.
            assert len(rows) + await _back_in_the_queue(system) >= len(mine)

        await eventually(went_on_elsewhere, 8)
        assert began.fair < HEARTBEAT / 2
        fleet.release()
    assert second.returncode == 0
    assert processes_of(fleet.folder) == []


async def _back_in_the_queue(system: System) -> int:
    rows = await system.sql("SELECT count(*) FROM tasks WHERE status = 'pending' AND attempts > 0")
    count: int = rows[0][0]
    return count
