"""What a workspace may use in a day, how much may wait, and whether it takes work at all."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from muster.domain.errors import DaySpent, NotFound, QueueFull, WorkspaceFull, WorkspaceStopped
from muster.domain.fleet import Admission
from muster.domain.ids import DEFAULT_USER, new_id
from muster.domain.states import AgentStatus, Reason, TaskStatus
from muster.domain.tenants import Actor
from muster.storage import moves
from muster.storage.moves import Changes

from .conftest import OWNER, NewTenant, Tenant

MIDNIGHT = "date_trunc('day', clock_timestamp() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'"


async def limit(tenant: Tenant, **limits: int | None) -> None:
    for name, value in limits.items():
        await tenant.rows(f"UPDATE workspaces SET {name} = %s", (value,))


async def began(tenant: Tenant, agent: UUID, when: str) -> None:
    await tenant.rows(f"UPDATE agents SET started_at = {when} WHERE id = %s", (agent,))


async def ends(tenant: Tenant, agent: UUID) -> Changes:
    return await moves.finish_agent(tenant.db, tenant.id, agent, AgentStatus.COMPLETED)


async def admit(tenant: Tenant, admission: Admission, reason: str | None = None, by: Actor = OWNER) -> Changes:
    return await moves.admit_workspace(tenant.db, tenant.id, by, admission, reason)


async def days(tenant: Tenant) -> list[tuple[Any, ...]]:
    return await tenant.rows("SELECT day, agents, agent_seconds FROM usage_days ORDER BY day")


async def status(tenant: Tenant, task: UUID) -> tuple[str, str | None]:
    found = await tenant.task(task)
    return found["status"], found["waiting_for"]


# -- What was used ---------------------------------------------------------------------------------------------------


async def test_an_agents_time_counts_for_the_days_it_ran_on(tenant: Tenant) -> None:
    _, agent = await tenant.running()
    await began(tenant, agent, f"{MIDNIGHT} - interval '1 day 50 seconds'")
    await ends(tenant, agent)
    [(started, finished)] = await tenant.rows("SELECT started_at, finished_at FROM agents WHERE id = %s", (agent,))
    first, middle, last = await days(tenant)
    assert first == (started.date(), 0, 50)
    assert middle == (started.date() + timedelta(days=1), 0, 86_400)
    assert last[:2] == (finished.date(), 1), "it is counted where it ended"
    assert first[2] + middle[2] + last[2] == pytest.approx((finished - started).total_seconds())


async def test_days_add_up_however_agents_end(tenant: Tenant) -> None:
    for ended, reason in (
        (AgentStatus.COMPLETED, None), (AgentStatus.FAILED, Reason.EXIT_NONZERO), (AgentStatus.KILLED, Reason.KILLED),
    ):  # fmt: skip
        _, agent = await tenant.running()
        await moves.finish_agent(tenant.db, tenant.id, agent, ended, reason=reason)
        await moves.finish_agent(tenant.db, tenant.id, agent, ended, reason=reason)  # said twice, counted once
    lost, _ = await tenant.running()
    await moves.abandon_task(tenant.db, tenant.id, lost, "its workflow is gone")
    unborn = await tenant.create()
    await moves.finish_agent(
        tenant.db, tenant.id, await tenant.agent_of(unborn), AgentStatus.FAILED, reason=Reason.SPAWN_FAILED
    )
    assert sum(row[1] for row in await days(tenant)) == 5
    [(ran,)] = await tenant.rows("SELECT sum(extract(epoch FROM finished_at - started_at)) FROM agents")
    assert sum(row[2] for row in await days(tenant)) == pytest.approx(float(ran))


async def test_another_workspaces_agents_do_not_count(new_tenant: NewTenant) -> None:
    one, two = await new_tenant(), await new_tenant()
    _, agent = await one.running()
    await ends(one, agent)
    assert (len(await days(one)), await days(two)) == (1, [])
    await limit(two, daily_agent_seconds=1)
    await one.rows("UPDATE usage_days SET agent_seconds = 1e6")
    assert (await status(two, await two.create()))[0] == "assigned"


# -- The day's seconds -----------------------------------------------------------------------------------------------


async def test_when_the_day_is_spent_spawns_are_refused_and_tasks_wait(tenant: Tenant) -> None:
    await limit(tenant, daily_agent_seconds=100)
    _, agent = await tenant.running()
    await ends(tenant, agent)
    await tenant.rows("UPDATE usage_days SET agent_seconds = 99")
    assert (await status(tenant, await tenant.create(spawn=True)))[0] == "assigned"
    await tenant.rows("UPDATE usage_days SET agent_seconds = 100")
    before = await tenant.everything()
    with pytest.raises(DaySpent, match="its 100 agent-seconds of today"):
        await tenant.create(spawn=True)
    assert await tenant.everything() == before
    waits = await tenant.create()
    assert await status(tenant, waits) == ("pending", "slot")
    with pytest.raises(DaySpent):
        await moves.spawn_task(tenant.db, tenant.id, OWNER, waits)
    assert (await moves.fill_workspace(tenant.db, tenant.id)).grants == []
    await limit(tenant, daily_agent_seconds=1000)
    assert [grant.task_id for grant in (await moves.fill_workspace(tenant.db, tenant.id)).grants] == [waits]


async def test_those_that_still_run_count_with_what_they_used_today(tenant: Tenant) -> None:
    _, agent = await tenant.running()
    waits = None
    await began(tenant, agent, f"{MIDNIGHT} - interval '1 day'")
    [(used, since_midnight)] = await tenant.rows(
        f"SELECT agent_seconds_today(%s), extract(epoch FROM clock_timestamp() - {MIDNIGHT})",
        (tenant.id,),
    )
    assert used == pytest.approx(float(since_midnight), abs=5), "yesterday's share is yesterday's"
    await tenant.rows("UPDATE workspaces SET daily_agent_seconds = greatest(1, %s)", (int(used),))
    waits = await tenant.create()
    assert await status(tenant, waits) == ("pending", "slot")


async def test_a_new_day_begins_with_nothing_used(tenant: Tenant) -> None:
    await limit(tenant, daily_agent_seconds=100)
    await tenant.rows(
        f"INSERT INTO usage_days VALUES (%s, (({MIDNIGHT}) AT TIME ZONE 'UTC')::date - 1, 9, 1e6)",
        (tenant.id,),
    )
    assert (await status(tenant, await tenant.create(spawn=True)))[0] == "assigned"


# -- How much may wait -----------------------------------------------------------------------------------------------


async def test_a_full_queue_takes_no_more(new_tenant: NewTenant) -> None:
    tenant = await new_tenant(limit=1)
    await limit(tenant, max_waiting_tasks=2)
    _, agent = await tenant.running()
    queued = await tenant.create()
    kept = new_id()
    await tenant.created("waits for another", task_id=kept, depends_on=[queued])
    before = await tenant.everything()
    with pytest.raises(QueueFull, match="2 tasks that wait"):
        await tenant.create()
    with pytest.raises(WorkspaceFull):  # who will not wait is no part of the queue
        await tenant.create(spawn=True)
    assert await tenant.everything() == before
    assert (await tenant.created("said again", task_id=kept)).tasks[-1]["title"] == "waits for another"
    await ends(tenant, agent)
    assert await status(tenant, await tenant.create()) == ("pending", "slot")


# -- Closed, and open again ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("admission", "says"), [(Admission.STOPPED, "stopped"), (Admission.DRAINING, "is draining")])
async def test_a_closed_workspace_says_who_closed_it_and_why(tenant: Tenant, admission: Admission, says: str) -> None:
    waited = await tenant.create(runs=False)
    _, agent = await tenant.running("runs on")
    by = Actor(user_id=DEFAULT_USER, key_id=new_id())
    await admit(tenant, admission, "fire drill", by)
    [(noted,)] = await tenant.rows("SELECT admission_by FROM workspaces")
    assert (noted["user_id"], noted["key_id"]) == (str(DEFAULT_USER), str(by.key_id))
    before = await tenant.everything()
    text = rf"^Owner {says} this workspace at \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC: fire drill$"
    with pytest.raises(WorkspaceStopped, match=text):
        await tenant.create(spawn=True)
    assert await tenant.everything() == before
    queued = await tenant.create("waits")
    with pytest.raises(WorkspaceStopped, match=text):
        await moves.spawn_task(tenant.db, tenant.id, OWNER, queued)
    assert (await ends(tenant, agent)).grants == [], "what runs may finish, and its slot is nobody's"
    assert (await moves.fill_workspace(tenant.db, tenant.id)).grants == []
    assert await status(tenant, queued) == ("pending", "slot")
    assert await status(tenant, waited) == ("pending", "subtasks")


async def test_a_failed_task_is_not_respawned_in_a_closed_workspace(tenant: Tenant) -> None:
    task, agent = await tenant.running()
    await moves.finish_agent(tenant.db, tenant.id, agent, AgentStatus.FAILED, reason=Reason.EXIT_NONZERO)
    await moves.finish_task(tenant.db, tenant.id, None, task, TaskStatus.FAILED, reason=Reason.EXIT_NONZERO)
    await admit(tenant, Admission.STOPPED)
    with pytest.raises(WorkspaceStopped, match="no reason given"):
        await moves.retry_task(tenant.db, tenant.id, OWNER, task, spawn=True, request_id="r1")
    assert (await tenant.task(task))["status"] == "failed"
    await moves.retry_task(tenant.db, tenant.id, OWNER, task, spawn=False, request_id="r2")
    await moves.advance_task(tenant.db, tenant.id, task, backoff_over=False)
    assert await status(tenant, task) == ("pending", "slot")


async def test_open_again_hands_out_the_free_slots(new_tenant: NewTenant) -> None:
    tenant = await new_tenant(limit=2)
    await admit(tenant, Admission.STOPPED, "later")
    usual, urgent, second = [
        await tenant.create(title, priority=priority) for title, priority in (("u", 5), ("!", 9), ("s", 5))
    ]
    changes = await admit(tenant, Admission.OPEN)
    given = [event["task_id"] for event in changes.events if event["type"] == "agent.spawned"]
    assert given == [str(urgent), str(usual)]
    assert {grant.task_id for grant in changes.grants} == {urgent, usual}
    assert changes.workspace_id == tenant.id
    assert await status(tenant, second) == ("pending", "slot")
    assert (await admit(tenant, Admission.OPEN)).grants == [], "said twice"


async def test_the_first_who_closed_it_is_remembered_until_it_changes(tenant: Tenant) -> None:
    async def reason() -> str:
        rows = await tenant.rows(
            "SELECT admission::text || ': ' || coalesce(admission_by ->> 'reason', '') FROM workspaces"
        )
        return str(rows[0][0])

    await admit(tenant, Admission.DRAINING, "one")
    await admit(tenant, Admission.DRAINING, "two")
    assert await reason() == "draining: one"
    await admit(tenant, Admission.STOPPED, "three")
    assert await reason() == "stopped: three"
    await admit(tenant, Admission.OPEN)
    assert await reason() == "open: "
    actions = await tenant.rows("SELECT action::text FROM activity_log WHERE entity_id = %s ORDER BY id", (tenant.id,))
    assert [row[0] for row in actions][1:] == ["workspace_draining", "workspace_stopped", "workspace_resumed"]
    with pytest.raises(NotFound):
        await moves.admit_workspace(tenant.db, new_id(), OWNER, Admission.STOPPED, None)
