"""What the moves of tasks and agents answer, where that matters to whoever called: said twice, lost, late."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from uuid import UUID

import pytest

from muster.domain.errors import Fenced, IllegalMove, ParentFinal, UnknownReference, WaitsForItself, WorkspaceFull
from muster.domain.ids import new_id
from muster.domain.states import AgentStatus, Reason, TaskStatus
from muster.domain.tasks import KillWish
from muster.storage import agents, chores, moves, tasks
from muster.storage.moves import Changes

from .conftest import OWNER, NewTenant, Tenant


async def fail(tenant: Tenant, task: object, reason: Reason = Reason.EXIT_NONZERO) -> Changes:
    return await moves.finish_task(tenant.db, tenant.id, None, task, TaskStatus.FAILED, reason=reason)  # type: ignore[arg-type]


async def test_moves_keep_their_plans(tenant: Tenant) -> None:
    """A function that is made anew loses its settings, and is planned with each call."""
    named = set(re.findall(r"SELECT (\w+)\(", Path(moves.__file__).read_text()))
    rows = await tenant.db.read(
        tenant.id, "SELECT proname, proconfig FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
    )
    kept = {name for name, settings in rows if "plan_cache_mode=force_generic_plan" in (settings or ())}
    assert len(named) >= 12
    assert named - kept == set()


async def test_what_stands_for_subtasks_only_has_no_attempts(tenant: Tenant) -> None:
    parent = await tenant.create("parent", runner=None)
    await tenant.create("child", parent_id=parent)
    with pytest.raises(IllegalMove, match="has no runner"):
        await moves.reschedule_task(tenant.db, tenant.id, parent, after_attempt=0, wait_seconds=0)
    assert (await tenant.task(parent))["status"] == "executing"


async def test_creating_twice_makes_one(tenant: Tenant) -> None:
    task_id = new_id()
    first = await tenant.created(task_id=task_id)
    again = await tenant.created(task_id=task_id, title="another title")
    assert again.events == []
    assert again.task(task_id) == first.task(task_id) | {"title": "a task"}


async def test_creating_at_once_makes_one(tenant: Tenant) -> None:
    task_id = new_id()
    answers = await asyncio.gather(*(tenant.created(task_id=task_id, spawn=True) for _ in range(8)))
    assert sorted(len(changes.events) for changes in answers) == [0] * 7 + [2]
    assert len({changes.task(task_id)["agent_id"] for changes in answers}) == 1


async def test_each_end_may_be_said_twice(tenant: Tenant) -> None:
    """A worker that recorded it and died before it could say so is asked again."""
    db, w = tenant.db, tenant.id
    for status, reason in ((TaskStatus.COMPLETED, None), (TaskStatus.FAILED, Reason.EXIT_NONZERO)):
        task, agent = await tenant.running()
        ended = AgentStatus.COMPLETED if reason is None else AgentStatus.FAILED
        await moves.finish_agent(db, w, agent, ended, reason=reason, result={"a": 1})
        # Another one's end, said later, learns what stands.
        late = await moves.finish_agent(db, w, agent, AgentStatus.FAILED, reason=Reason.LOST)
        assert late.agent
        assert (late.agent["status"], late.agent["result"], late.events) == (ended, {"a": 1}, [])
        first = await moves.finish_task(db, w, None, task, status, reason=reason)
        again = await moves.finish_task(db, w, None, task, status, reason=reason)
        assert (len(first.events), again.events, again.task(task)["status"]) == (1, [], status)


async def test_an_end_said_twice_tells_everyone_again(tenant: Tenant) -> None:
    """Whoever said it first may have died before telling."""
    task, agent = await tenant.running()
    parent = task
    child = await tenant.create("child", parent_id=parent)
    dependent = await tenant.create("dependent", depends_on=[task])
    await moves.finish_agent(tenant.db, tenant.id, agent, AgentStatus.FAILED, reason=Reason.EXIT_NONZERO)
    first = await fail(tenant, task)
    assert (first.wake, first.cancel) == ([dependent], [child])
    again = await fail(tenant, task)
    assert (again.wake, again.cancel) == ([dependent], [child])


async def test_an_end_said_twice_wakes_the_parent_again(tenant: Tenant) -> None:
    parent = await tenant.create(runs=False)
    child, agent = await tenant.running(parent_id=parent)
    await moves.finish_agent(tenant.db, tenant.id, agent, AgentStatus.COMPLETED)
    for _ in range(2):
        changes = await moves.finish_task(tenant.db, tenant.id, None, child, TaskStatus.COMPLETED)
        assert changes.wake == [parent]


async def test_a_freed_slot_is_granted_in_the_same_move(new_tenant: NewTenant) -> None:
    tenant = await new_tenant(limit=1)
    _, agent = await tenant.running()
    low = await tenant.create("low", priority=1)
    older = await tenant.create("older", priority=8)
    await tenant.create("newer", priority=8)
    changes = await moves.finish_agent(tenant.db, tenant.id, agent, AgentStatus.COMPLETED)
    assert [grant.task_id for grant in changes.grants] == [older]
    assert [event["type"] for event in changes.events] == ["agent.completed", "task.assigned", "agent.spawned"]
    waiting = await tasks.queue(tenant.db, tenant.id, 10)
    assert (waiting["active_agents"], waiting["waiting"], waiting["max_concurrent_agents"]) == (1, 2, 1)
    assert [item["title"] for item in waiting["items"]] == ["newer", "low"]
    assert waiting["items"][1]["id"] == str(low)


async def test_whatever_waits_for_a_slot_is_in_the_answer_of_what_made_it_wait(new_tenant: NewTenant) -> None:
    """Valkey's queue is fed from these answers alone."""
    tenant = await new_tenant(limit=1)
    first, agent = await tenant.running()
    dependent = await tenant.create(depends_on=[first])
    taken = await tenant.create("ahead", priority=10)
    await moves.finish_agent(tenant.db, tenant.id, agent, AgentStatus.COMPLETED)
    assert (await tenant.task(taken))["status"] == "assigned"
    changes = await moves.finish_task(tenant.db, tenant.id, None, first, TaskStatus.COMPLETED)
    assert (await tenant.task(dependent))["waiting_for"] == "slot"
    assert str(dependent) in {task["id"] for task in changes.tasks}


async def test_a_dependency_that_fails_fails_its_dependents_by_name(tenant: Tenant) -> None:
    first, agent = await tenant.running("the first")
    second = await tenant.create(depends_on=[first])
    third = await tenant.create(depends_on=[second])
    await moves.finish_agent(tenant.db, tenant.id, agent, AgentStatus.FAILED, reason=Reason.EXIT_NONZERO)
    assert (await fail(tenant, first)).wake == [second]
    answer = await moves.advance_task(tenant.db, tenant.id, second, backoff_over=False)
    assert answer.wake == [third]
    failed = answer.task(second)
    assert (failed["status"], failed["reason"]) == ("failed", "dependency_failed")
    assert str(first) in failed["error"]
    assert "the first" in failed["error"]
    late = await tenant.created(depends_on=[first])
    assert [str(item) for item in late.wake] == [late.tasks[-1]["id"]]


async def test_a_spawn_takes_a_slot_or_leaves_nothing(new_tenant: NewTenant) -> None:
    tenant = await new_tenant(limit=1)
    task = await tenant.create(spawn=True)
    assert (await tenant.task(task))["status"] == "assigned"
    before = await tenant.everything()
    with pytest.raises(WorkspaceFull):
        await tenant.create(spawn=True)
    with pytest.raises(UnknownReference):
        await tenant.create(depends_on=[new_id()])
    with pytest.raises(UnknownReference):
        await tenant.create(parent_id=new_id())
    assert await tenant.everything() == before


async def test_a_parent_that_is_over_takes_no_subtask(tenant: Tenant) -> None:
    parent, agent = await tenant.running()
    await moves.finish_agent(tenant.db, tenant.id, agent, AgentStatus.COMPLETED)
    await moves.finish_task(tenant.db, tenant.id, None, parent, TaskStatus.COMPLETED)
    with pytest.raises(ParentFinal):
        await tenant.create(parent_id=parent)


async def test_a_subtask_never_waits_for_its_parent(tenant: Tenant) -> None:
    """It would for ever, and its parent for it."""
    parent = await tenant.create()
    after = await tenant.create(depends_on=[parent])
    child = await tenant.create(parent_id=parent)
    before = await tenant.everything()
    for depends_on, above in (([parent], parent), ([after], parent), ([after], child), ([child, after], parent)):
        with pytest.raises(WaitsForItself, match="wait for itself"):
            await tenant.create(depends_on=depends_on, parent_id=above)
    assert await tenant.everything() == before
    await tenant.create(depends_on=[child], parent_id=parent)
    await tenant.create(depends_on=[child], parent_id=after)


async def test_a_completed_agent_with_open_subtasks_waits_for_them(tenant: Tenant) -> None:
    parent, agent = await tenant.running()
    child, child_agent = await tenant.running(parent_id=parent)
    await moves.finish_agent(tenant.db, tenant.id, agent, AgentStatus.COMPLETED, result=42)
    waits = (await moves.finish_task(tenant.db, tenant.id, None, parent, TaskStatus.COMPLETED)).task(parent)
    assert (waits["status"], waits["waiting_for"], waits["result"]) == ("executing", "subtasks", 42)
    await moves.finish_agent(tenant.db, tenant.id, child_agent, AgentStatus.FAILED, reason=Reason.TIMEOUT)
    assert (await fail(tenant, child, Reason.TIMEOUT)).wake == [parent]
    ended = (await moves.advance_task(tenant.db, tenant.id, parent, backoff_over=False)).task(parent)
    assert (ended["status"], ended["reason"]) == ("failed", "subtask_failed")
    assert str(child) in ended["error"]


async def test_an_attempt_that_is_not_the_current_one_writes_nothing(tenant: Tenant) -> None:
    task, agent = await tenant.running()
    await moves.abandon_task(tenant.db, tenant.id, task, "its workflow is gone")
    with pytest.raises(Fenced):
        await moves.start_agent(tenant.db, tenant.id, agent, "worker-1")
    late = await moves.finish_agent(tenant.db, tenant.id, agent, AgentStatus.COMPLETED)
    assert late.agent
    assert (late.agent["status"], late.agent["reason"], late.events) == ("failed", "lost", [])


async def test_a_wish_to_kill_stands_and_may_only_get_shorter(tenant: Tenant) -> None:
    _, agent = await tenant.running()
    for grace, stands in ((5.0, 5.0), (9.0, 5.0), (1.0, 1.0)):
        wish = KillWish(grace_seconds=grace, reason=f"grace {grace}")
        await moves.ask_kill(tenant.db, tenant.id, OWNER, agent, wish)
        known = (await agents.get(tenant.db, tenant.id, agent))["kill_request"]
        assert (known["grace_seconds"], known["reason"]) == (stands, "grace 5.0")


async def test_one_retry_asked_twice_is_one(tenant: Tenant) -> None:
    task, agent = await tenant.running()
    await moves.finish_agent(tenant.db, tenant.id, agent, AgentStatus.FAILED, reason=Reason.EXIT_NONZERO)
    await fail(tenant, task)
    for _ in range(2):
        changes = await moves.retry_task(tenant.db, tenant.id, OWNER, task, spawn=True, request_id="r1")
        assert (changes.task(task)["run"], changes.task(task)["attempts"]) == (2, 2)
    with pytest.raises(IllegalMove):
        await moves.retry_task(tenant.db, tenant.id, OWNER, task, spawn=True, request_id="r2")


async def test_quiet_tasks_are_those_that_somebody_should_look_at(tenant: Tenant) -> None:
    spawning = await tenant.create("spawning")
    first, agent = await tenant.running("first")
    waits = await tenant.create("waits for a slot-less first", depends_on=[first])
    parent = await tenant.create("parent", runs=False)
    child, child_agent = await tenant.running("child", parent_id=parent)
    await moves.finish_agent(tenant.db, tenant.id, child_agent, AgentStatus.COMPLETED)
    await moves.finish_task(tenant.db, tenant.id, None, child, TaskStatus.COMPLETED)
    await asyncio.sleep(0.02)

    async def quiet(after: UUID | None) -> dict[UUID, str | None]:
        found = await chores.quiet_tasks(tenant.db, seconds=0.01, after=after, limit=10_000)
        return {task.task_id: task.needs for task in found if task.workspace_id == tenant.id}

    assert await quiet(UUID(int=0)) == {spawning: "grant", first: None, waits: None, parent: "wake"}
    assert await quiet(after=None) == {spawning: "grant", parent: "wake"}
    assert set(await quiet(after=first)) == {task for task in (spawning, waits, parent) if task > first}
    await moves.finish_agent(tenant.db, tenant.id, agent, AgentStatus.FAILED, reason=Reason.EXIT_NONZERO)
    await fail(tenant, first)
    await asyncio.sleep(0.02)
    assert (await quiet(after=None))[waits] == "wake"


async def test_a_subtask_whose_parent_failed_is_found(tenant: Tenant) -> None:
    parent = await tenant.create("parent", runs=False)
    child, _ = await tenant.running("child", parent_id=parent)
    await fail(tenant, parent)
    await asyncio.sleep(0.02)
    found = await chores.quiet_tasks(tenant.db, seconds=0.01, after=None, limit=10_000)
    assert {task.needs for task in found if task.task_id == child} == {"abort"}
