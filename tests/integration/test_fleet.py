"""Two hundred tasks of mixed fate, submitted at once to a workspace that runs ten agents; then every count."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from muster.domain.ids import DEFAULT_WORKSPACE
from tests.services.conftest import eventually

from .fleet import (
    Expected,
    Fleet,
    System,
    Witness,
    a_system,
    is_healthy,
    log_is_sound,
    nothing_runs,
    picture_is_right,
    slots_were_used,
)

CAP = 10


@pytest.fixture(scope="module")
async def system() -> AsyncIterator[System]:
    async with a_system(MAX_CONCURRENT_AGENTS=str(CAP)) as system:
        yield system


def two_hundred(fleet: Fleet) -> None:
    sleeps = ["sleep", "60"]
    for number in range(60):
        fleet.add("completes", fleet.script(0.02 * (number % 5)), attempts=1, priority=1 + number % 10)
    for _ in range(15):
        fleet.add("fails", ["sh", "-c", "exit 3"], status="failed", reason="exit_nonzero", attempts=1)
    for _ in range(15):
        fleet.add("fails once", fleet.failing_once(0.02), attempts=2, retry=3)
    for _ in range(5):
        fleet.add("fails twice", ["false"], status="failed", reason="exit_nonzero", attempts=2, retry=2)
    for _ in range(4):
        slow: dict[str, Any] = {"runner": {"timeout_seconds": 0.3}, "status": "failed", "reason": "timeout"}
        fleet.add("attempt too long", sleeps, attempts=1, **slow)
        fleet.add("two attempts too long", sleeps, attempts=2, retry=2, **slow)
    for number in range(6):
        # Half of them wait at the end of the queue when their time is over, or have just begun.
        fleet.add(
            "task too long", sleeps, status="failed", reason="timeout", timeout_seconds=0.5,
            priority=10 if number % 2 else 1,
        )  # fmt: skip
    for _ in range(6):
        fleet.add("killed", sleeps, status="failed", reason="killed", attempts=1, priority=9)
    for _ in range(4):
        argv = fleet.script(0, 'if [ "$MUSTER_ATTEMPT" = 1 ]; then exec sleep 60; fi;')
        fleet.add("killed to retry", argv, attempts=2, retry=2, priority=9)
    for _ in range(6):
        fleet.add("cancelled at work", sleeps, status="failed", reason="cancelled", attempts=1, priority=9)
    for _ in range(10):
        fleet.add("cancelled in the queue", ["true"], status="failed", reason="cancelled", attempts=0, priority=1)
    for _ in range(5):
        link = fleet.add("chain", fleet.script(0.02), attempts=1)
        for _ in range(3):
            link = fleet.add("chain", fleet.script(0.02), attempts=1, after=[link])
        link = fleet.add("broken chain", ["false"], status="failed", reason="exit_nonzero", attempts=1)
        for _ in range(2):
            link = fleet.add(
                "broken chain", ["true"], status="failed", reason="dependency_failed", attempts=0, after=[link]
            )  # fmt: skip
    for _ in range(4):
        parent = fleet.add("parent", None, attempts=0)
        for _ in range(3):
            fleet.add("subtask", fleet.script(0.05), attempts=1, parent=parent, priority=4)
    for _ in range(2):
        parent = fleet.add("unlucky parent", None, status="failed", reason="subtask_failed", attempts=0)
        # The one that fails ends last: a parent takes no more subtasks once it is over.
        good = fleet.add("subtask", fleet.script(0.05), attempts=1, parent=parent)
        fleet.add(
            "failing subtask", ["false"], status="failed", reason="exit_nonzero", attempts=1, parent=parent,
            after=[good],
        )  # fmt: skip
    for _ in range(4):
        lost: dict[str, Any] = {"status": "failed", "reason": "spawn_failed", "attempts": 1}
        fleet.add("no such command", ["no-such-command-here"], **lost)
        fleet.add("no such folder", ["true"], runner={"cwd": "/no/such/folder"}, **lost)


def one_of(fleet: Fleet, kind: str) -> list[Expected]:
    return [task for task in fleet.tasks if kind in task.spec["labels"]]


async def test_two_hundred_tasks_of_mixed_fate(system: System) -> None:
    fleet = Fleet(system)
    two_hundred(fleet)
    assert len(fleet.tasks) == 200
    asks: list[asyncio.Task[None]] = []

    async with system.api() as api, Witness(system) as witness:

        async def ask(path: str, **body: Any) -> None:
            answer = await api.post(path, json=body)
            # A kill that was proven before the answer could be given is answered with what it came to.
            killed = path.endswith("/kill") and answer.json()["status"] == "killed"
            assert answer.status_code == (200 if killed else 202), answer.text

        async def meddle(event: dict[str, Any]) -> None:
            """Kills and cancels agents as they begin."""
            if event["type"] != "agent.running" or event["attempt"] != 1:
                return
            title = event["data"]["title"]
            if title.startswith("killed to retry"):
                asks.append(asyncio.create_task(ask(f"/v1/agents/{event['agent_id']}/kill", retry=True)))
            elif title.startswith("killed"):
                asks.append(asyncio.create_task(ask(f"/v1/agents/{event['agent_id']}/kill", reason="to see it die")))
            elif title.startswith("cancelled at work"):
                asks.append(asyncio.create_task(ask(f"/v1/tasks/{event['task_id']}/cancel", reason="not needed")))

        witness._on_event = meddle
        # Until those in the queue are cancelled, it does not run empty, however slowly they are taken.
        fleet.hold.touch()
        await fleet.submit()
        await asyncio.gather(*(ask(f"/v1/tasks/{task.id}/cancel") for task in one_of(fleet, "cancelled in the queue")))
        fleet.release()
        await fleet.over(90)
        await asyncio.gather(*asks)
        await fleet.ended_right()
        await witness.saw_everything()
    assert len(asks) == 16

    # Postgres
    ended = Counter((task.status, task.reason) for task in fleet.tasks)
    found = await system.sql("SELECT status::text, reason::text, count(*) FROM tasks GROUP BY 1, 2")
    assert {row[:2]: row[2] for row in found} == dict(ended)
    rows = await system.sql("SELECT (SELECT sum(attempts) FROM tasks)::int, (SELECT count(*) FROM agents)::int")
    attempts, agents = rows[0]
    assert attempts == agents
    by_kind = await _agents_by_kind(system)
    assert by_kind["completes"] == {("completed", None): 60}
    assert by_kind["fails once"] == {("failed", "exit_nonzero"): 15, ("completed", None): 15}
    assert by_kind["two attempts too long"] == {("killed", "timeout"): 8} or by_kind["two attempts too long"] == {
        ("failed", "timeout"): 8
    }
    assert by_kind["killed"] == {("killed", "killed"): 6}
    assert by_kind["killed to retry"] == {("killed", "killed"): 4, ("completed", None): 4}
    assert by_kind["cancelled at work"] == {("killed", "cancelled"): 6}
    assert by_kind["no such command"] == by_kind["no such folder"] == {("failed", "spawn_failed"): 4}
    assert by_kind["chain"] == {("completed", None): 20}
    assert not {"cancelled in the queue", "parent", "unlucky parent"} & set(by_kind)

    # The log
    assert len(witness.events) == await system.position()
    await log_is_sound(system)
    assert await slots_were_used(system, CAP) == CAP
    kinds = Counter(event["type"] for event in witness.events)
    assert kinds["agent.spawned"] == agents
    assert kinds["agent.completed"] + kinds["agent.failed"] + kinds["agent.killed"] == agents
    assert kinds["task.completed"] + kinds["task.failed"] == 200

    # Valkey, Temporal
    await picture_is_right(system)
    await nothing_runs(system)

    async def counted() -> None:
        completed = sum(task.status == "completed" for task in fleet.tasks)
        of_tasks = "WorkflowType = 'TaskWorkflow' AND "
        assert await system.count(of_tasks + "ExecutionStatus = 'Completed'") == completed
        assert await system.count(of_tasks + "ExecutionStatus IN ('Failed', 'Canceled')") == 200 - completed
        assert await system.count(of_tasks + "MusterRunner = 'none'") == 6
        assert await system.count("WorkflowType = 'AgentWorkflow'") == agents
        assert await system.count(f"MusterAttempt = 2 AND MusterTask = '{one_of(fleet, 'fails once')[0].id}'") == 1
        for status in ("Terminated", "TimedOut", "ContinuedAsNew"):
            assert await system.count(f"ExecutionStatus = '{status}'") == 0

    await eventually(counted)
    await is_healthy(system)


async def _agents_by_kind(system: System) -> dict[str, dict[tuple[str, str | None], int]]:
    rows = await system.sql(
        "SELECT t.labels[2], a.status::text, a.reason::text, count(*) "
        "FROM agents a JOIN tasks t ON t.id = a.task_id GROUP BY 1, 2, 3"
    )
    found: dict[str, dict[tuple[str, str | None], int]] = {}
    for kind, status, reason, count in rows:
        found.setdefault(kind, {})[status, reason] = count
    return found


async def test_the_most_urgent_goes_first(system: System) -> None:
    fleet = Fleet(system)
    fleet.hold.touch()
    for _ in range(CAP):
        fleet.add("holds a slot", fleet.script(0))
    await fleet.submit()
    waiting = Fleet(system)
    for number in (5, 1, 10, 7, 3, 10, 5, 8, 1, 9, 2, 6):
        waiting.add("waits", waiting.script(0), priority=number)
    await waiting.submit(at_once=4)
    rows = await waiting.rows("id::text, title, priority, created_at")
    right = [row[0] for row in sorted(rows, key=lambda row: (-row[2], row[3]))]
    async with system.api() as api:
        queue = (await api.get("/v1/queue")).json()
        assert [task["id"] for task in queue["items"]] == right
        assert (queue["active_agents"], queue["waiting"]) == (CAP, 12)
    async with system.valkey() as valkey:
        assert await valkey.zrange(f"orchestrator:queue:{DEFAULT_WORKSPACE}", 0, -1) == right
    fleet.release()
    await fleet.over()
    await waiting.over()
    order = await system.sql(
        "SELECT task_id::text FROM events WHERE type = 'agent.spawned' AND task_id = ANY (%s::uuid[]) "
        "ORDER BY position",
        waiting.ids,
    )
    assert [row[0] for row in order] == right
    await waiting.ended_right()


async def test_one_key_makes_one_task(system: System) -> None:
    body = {"title": "once", "runner": {"kind": "command", "argv": ["true"]}}
    async with system.api() as api:

        async def send(**changed: Any) -> httpx.Response:
            return await api.post("/v1/tasks", json=body | changed, headers={"Idempotency-Key": "just-one"})

        answers = await asyncio.gather(*(send() for _ in range(10)))
        made = [answer for answer in answers if answer.status_code == 201]
        created = [answer for answer in made if "idempotent-replayed" not in answer.headers]
        again = await send()
        other = await send(title="another")
    assert len(created) == 1
    # Whoever comes while the first is under way is told so, or gets its answer.
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert {answer.json()["id"] for answer in made} == {created[0].json()["id"]}
    assert (again.status_code, again.headers["idempotent-replayed"]) == (201, "true")
    assert again.json()["id"] == created[0].json()["id"]
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
    assert await system.sql("SELECT count(*) FROM tasks WHERE title IN ('once', 'another')") == [(1,)]


async def test_two_hundred_spawns_at_a_cap_of_twenty(system: System) -> None:
    await system.sql("UPDATE workspaces SET max_concurrent_agents = 20 WHERE id = %s", DEFAULT_WORKSPACE)
    before = (await system.sql("SELECT count(*) FROM tasks"))[0][0]
    refused_before = await system.count("WorkflowType = 'TaskWorkflow' AND ExecutionStatus = 'Failed'")
    async with system.api() as api:

        async def spawn(number: int) -> httpx.Response:
            task = {"title": f"crowd {number}", "runner": {"kind": "command", "argv": ["sleep", "60"]}}
            headers = {"Idempotency-Key": f"crowd-{number}"}
            while True:
                answer = await api.post("/v1/agents", json={"task": task}, headers=headers)
                if answer.status_code not in {409, 503} and answer.json().get("code") != "rate_limited":
                    return answer
                await asyncio.sleep(0.5)  # so many at once may have to wait for longer than one request does

        answers = await asyncio.gather(*(spawn(number) for number in range(200)))
        assert Counter(answer.status_code for answer in answers) == {201: 20, 429: 180}
        refused = [answer for answer in answers if answer.status_code == 429]
        assert all(answer.json()["code"] == "workspace_full" and answer.headers["retry-after"] for answer in refused)
        assert (await system.sql("SELECT count(*) FROM tasks"))[0][0] == before + 20  # a refusal leaves nothing
        # and most of them Temporal has never heard of
        failed = await system.count("WorkflowType = 'TaskWorkflow' AND ExecutionStatus = 'Failed'")
        assert failed - refused_before <= 40

        killed = await api.post("/v1/agents/kill-all", params={"wait": "true"}, json={"reason": "enough"})
        assert killed.status_code == 200, killed.text
        assert {name: killed.json()[name] for name in ("asked", "killed", "ended")} == {
            "asked": 20, "killed": 20, "ended": 0,
        }  # fmt: skip

        async def all_failed() -> None:
            ids = [answer.json()["task_id"] for answer in answers if answer.status_code == 201]
            rows = await system.sql("SELECT status::text, reason::text FROM tasks WHERE id = ANY (%s::uuid[])", ids)
            assert rows == [("failed", "killed")] * 20

        await eventually(all_failed)
    await picture_is_right(system)
    await log_is_sound(system)
    await nothing_runs(system)
