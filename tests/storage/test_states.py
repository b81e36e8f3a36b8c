"""The states: Python's tables, SQL's tables and SQL's guards say the same, and what they refuse leaves no trace."""

from __future__ import annotations

import itertools
from enum import StrEnum

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.domain import errors
from muster.domain.events import EventType
from muster.domain.fleet import Admission
from muster.domain.ids import event_id, new_id
from muster.domain.memory import JobKind, JobOutcome, JobStatus
from muster.domain.states import (
    AGENT_MOVES,
    FINAL_AGENT,
    FINAL_TASK,
    TASK_MOVES,
    Action,
    AgentStatus,
    MemberRole,
    ProjectStatus,
    Reason,
    TaskStatus,
)
from muster.domain.tasks import KillWish
from muster.domain.tenants import Scope
from muster.storage import moves
from muster.storage.database import Database

from .conftest import OWNER, Tenant, sql

ENUMS: dict[str, type[StrEnum]] = {
    "task_status": TaskStatus,
    "agent_status": AgentStatus,
    "failure_reason": Reason,
    "event_type": EventType,
    "activity_action": Action,
    "member_role": MemberRole,
    "project_status": ProjectStatus,
    "admission": Admission,
    "key_scope": Scope,
    "memory_job_kind": JobKind,
    "memory_job_status": JobStatus,
    "memory_outcome": JobOutcome,
}


async def test_every_enum_is_the_same_in_both(shared_url: str) -> None:
    rows = await sql(
        shared_url,
        "SELECT typname::text, array_agg(enumlabel::text ORDER BY enumsortorder) FROM pg_enum e "
        "JOIN pg_type t ON t.oid = enumtypid WHERE typnamespace = 'public'::regnamespace GROUP BY 1",
    )
    assert {name: set(labels) for name, labels in rows} == {
        name: {str(member) for member in kind} for name, kind in ENUMS.items()
    }


async def test_the_moves_are_the_same_in_both(shared_url: str) -> None:
    for table, known in (("task_moves", TASK_MOVES), ("agent_moves", AGENT_MOVES)):
        rows = await sql(shared_url, f"SELECT from_status::text, to_status::text FROM {table}")
        assert set(rows) == {(str(a), str(b)) for a, others in known.items() for b in others}
    assert {state for state in TaskStatus if not TASK_MOVES[state] - {TaskStatus.PENDING}} == FINAL_TASK
    assert {state for state in AgentStatus if not AGENT_MOVES[state]} == FINAL_AGENT


async def test_the_tables_of_moves_are_not_the_apps_to_change(db: Database) -> None:
    for table in ("task_moves", "agent_moves"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await db.across(f"DELETE FROM {table}")


async def test_history_is_not_the_apps_to_change(tenant: Tenant) -> None:
    await tenant.create()
    for statement in ("UPDATE events SET data = '{}'", "DELETE FROM events", "DELETE FROM activity_log",
                      "UPDATE activity_log SET entity_id = new_id()"):  # fmt: skip
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await tenant.rows(statement)


@pytest.mark.parametrize("kind", ["task", "agent"])
async def test_the_guards_refuse_what_the_tables_do_not_name(tenant: Tenant, shared_url: str, kind: str) -> None:
    """By plain UPDATEs, whatever the functions above them do."""
    known = TASK_MOVES if kind == "task" else AGENT_MOVES
    states = list(known)
    for before, after in itertools.product(states, states):
        if before == after:
            continue
        task = await tenant.create(runs=kind == "agent")
        row = task if kind == "task" else await tenant.agent_of(task)
        # The guard watches updates of a status; here it is brought about by hand, as no path leads to some pairs.
        reach = {
            "task": "status = %s, finished_at = CASE WHEN %s IN ('completed', 'failed') THEN now() END, "
            "reason = CASE WHEN %s = 'failed' THEN 'lost'::failure_reason END",
            "agent": "status = %s, finished_at = CASE WHEN %s IN ('completed', 'failed', 'killed') THEN now() END, "
            "reason = CASE WHEN %s IN ('failed', 'killed') THEN 'lost'::failure_reason END",
        }[kind]
        async with await psycopg.AsyncConnection.connect(shared_url, autocommit=True) as owner:
            async with owner.transaction(force_rollback=True):
                await owner.execute(f"ALTER TABLE {kind}s DISABLE TRIGGER guard_move".encode())
                await owner.execute("GRANT SELECT, UPDATE ON tasks, agents TO muster_app")
                await owner.execute("SELECT set_config('app.current_workspace_id', %s, true)", (str(tenant.id),))
                await owner.execute("SET LOCAL ROLE muster_app")
                await owner.execute(f"UPDATE {kind}s SET {reach} WHERE id = %s".encode(), (before,) * 3 + (row,))
                await owner.execute("RESET ROLE")
                await owner.execute("SET CONSTRAINTS ALL IMMEDIATE")
                await owner.execute(f"ALTER TABLE {kind}s ENABLE TRIGGER guard_move".encode())
                await owner.execute("SET LOCAL ROLE muster_app")
                update = owner.execute(f"UPDATE {kind}s SET {reach} WHERE id = %s".encode(), (after,) * 3 + (row,))
                if after in known[before]:  # type: ignore[index]
                    assert (await update).rowcount == 1, (before, after)
                else:
                    with pytest.raises(psycopg.Error) as refused:
                        await update
                    assert (refused.value.sqlstate, refused.value.diag.message_hint) == ("MUSTR", "illegal_move")


async def refused(tenant: Tenant, kind: type[errors.MusterError], call: object) -> None:
    before = await tenant.everything()
    with pytest.raises(kind):
        await call  # type: ignore[misc]
    assert await tenant.everything() == before, "a refused move leaves nothing"


async def test_refused_moves_leave_nothing(tenant: Tenant) -> None:
    db, w = tenant.db, tenant.id
    task, agent = await tenant.running()
    # An agent at work: the task neither ends nor starts over.
    await refused(tenant, errors.IllegalMove, moves.finish_task(db, w, None, task, TaskStatus.COMPLETED))
    await refused(
        tenant, errors.IllegalMove, moves.finish_task(db, w, None, task, TaskStatus.FAILED, reason=Reason.KILLED)
    )
    await refused(tenant, errors.IllegalMove, moves.reschedule_task(db, w, task, after_attempt=1, wait_seconds=0))
    await refused(tenant, errors.IllegalMove, moves.spawn_task(db, w, OWNER, task))
    await refused(tenant, errors.IllegalMove, moves.retry_task(db, w, OWNER, task, spawn=False, request_id="r"))
    await refused(tenant, errors.Fenced, moves.start_agent(db, w, agent, "worker-2"))
    await refused(tenant, errors.Fenced, moves.start_agent(db, w, new_id(), "worker-1"))
    # Nobody there.
    nobody = new_id()
    wish = KillWish()
    await refused(
        tenant, errors.NotFound, moves.finish_task(db, w, None, nobody, TaskStatus.FAILED, reason=Reason.LOST)
    )
    await refused(tenant, errors.NotFound, moves.advance_task(db, w, nobody, backoff_over=False))
    await refused(tenant, errors.NotFound, moves.ask_kill(db, w, None, nobody, wish))
    await refused(tenant, errors.NotFound, moves.finish_agent(db, w, nobody, AgentStatus.COMPLETED))
    await refused(tenant, errors.NotFound, moves.abandon_task(db, new_id(), task, "no such workspace"))
    # Over is over.
    await moves.finish_agent(db, w, agent, AgentStatus.COMPLETED)
    await moves.finish_task(db, w, None, task, TaskStatus.COMPLETED)
    await refused(
        tenant, errors.IllegalMove, moves.finish_task(db, w, None, task, TaskStatus.FAILED, reason=Reason.KILLED)
    )
    await refused(tenant, errors.IllegalMove, moves.reschedule_task(db, w, task, after_attempt=1, wait_seconds=0))
    await refused(tenant, errors.IllegalMove, moves.retry_task(db, w, OWNER, task, spawn=False, request_id="r"))
    await refused(tenant, errors.IllegalMove, moves.spawn_task(db, w, OWNER, task))
    await refused(tenant, errors.Fenced, moves.start_agent(db, w, agent, "worker-1"))
    # Not begun.
    parent = await tenant.create(runs=False)
    await refused(tenant, errors.IllegalMove, moves.finish_task(db, w, None, parent, TaskStatus.COMPLETED))
    await refused(tenant, errors.IllegalMove, moves.spawn_task(db, w, OWNER, parent))
    spawning = await tenant.create()
    early = await tenant.agent_of(spawning)
    await refused(tenant, errors.IllegalMove, moves.finish_agent(db, w, early, AgentStatus.COMPLETED))


async def test_a_task_that_failed_once_does_not_fail_again_for_another_reason(tenant: Tenant) -> None:
    """A workflow that was believed gone, and was not, learns that the task is over; it does not rewrite why."""
    task, _ = await tenant.running()
    await moves.abandon_task(tenant.db, tenant.id, task, "believed gone")
    cancel = moves.finish_task(tenant.db, tenant.id, None, task, TaskStatus.FAILED, reason=Reason.CANCELLED, error="no")
    await refused(tenant, errors.IllegalMove, cancel)


@settings(max_examples=30, deadline=None)
@given(
    entity=st.uuids(),
    kind=st.sampled_from(EventType),
    run=st.integers(1, 2**31 - 1),
    attempt=st.integers(0, 2**31 - 1),
)
def test_event_ids_are_the_same_in_both(
    shared_url: str, entity: object, kind: EventType, run: int, attempt: int
) -> None:
    with psycopg.connect(shared_url) as connection:
        row = connection.execute("SELECT event_id(%s, %s, %s, %s)", (entity, kind.value, run, attempt)).fetchone()
    assert row == (event_id(entity, kind, run, attempt),)  # type: ignore[arg-type]
