"""The trace of writes: who, with which key, from where, in which request, and what was before and after."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from psycopg.errors import InsufficientPrivilege

from muster.domain.errors import NotFound, UnknownReference
from muster.domain.fleet import Admission
from muster.domain.ids import DEFAULT_USER, new_id
from muster.domain.memory import NewEvent, NewSession, Source
from muster.domain.states import MemberRole, Reason, TaskStatus
from muster.domain.tasks import CommandRunner, KillWish, TaskSpec
from muster.domain.tenants import Actor, Scope
from muster.domain.tenants import Tenant as Asker
from muster.storage import access, api_keys, moves, projects, sessions
from muster.storage.agent_events import Recorder

from .conftest import NewTenant, Tenant

HASH = bytes(range(32))


def somebody() -> Actor:
    return Actor(user_id=DEFAULT_USER, key_id=new_id(), agent_id=new_id(), address="192.0.2.7", request_id="req-1")


def asker(tenant: Tenant, by: Actor | None = None, **reach: Any) -> Asker:
    return Asker(tenant.id, DEFAULT_USER, actor=by or somebody(), **reach)


def event(text: str, session: UUID) -> NewEvent:
    return NewEvent(
        project="p", session=session, type="message", source=Source(adapter="test"), occurred_at=datetime.now(UTC),
        payload={"text": text},
    )  # fmt: skip


async def trace(tenant: Tenant, entity: UUID) -> list[tuple[Any, ...]]:
    """Of one thing: what was done, who did it, and the details."""
    rows = await tenant.rows(
        "SELECT action::text, user_id, key_id, agent_id, address, request_id, detail FROM activity_log "
        "WHERE entity_id = %s ORDER BY id",
        (entity,),
    )
    return [
        (row[0], Actor(user_id=row[1], key_id=row[2], agent_id=row[3], address=row[4], request_id=row[5]), row[6])
        for row in rows
    ]


async def test_a_move_says_who_made_it(tenant: Tenant) -> None:
    creator, killer, stopper = somebody(), somebody(), somebody()
    task = new_id()
    spec = TaskSpec(title="a task", runner=CommandRunner(argv=["true"]))
    changes = await moves.create_task(tenant.db, tenant.id, creator, task, spec, project_id=None, spawn=False)
    assert {(action, by) for action, by, _ in await trace(tenant, task)} == {
        (action, creator) for action in ("task_created", "task_queued", "task_assigned")
    }
    agent = changes.grants[0].agent_id
    await moves.ask_kill(tenant.db, tenant.id, killer, agent, KillWish())
    await moves.start_agent(tenant.db, tenant.id, agent, "worker-1")
    assert [(action, by) for action, by, _ in await trace(tenant, agent)] == [
        ("agent_spawned", creator), ("agent_kill_requested", killer), ("agent_running", Actor()),
    ]  # fmt: skip
    await moves.admit_workspace(tenant.db, tenant.id, stopper, Admission.STOPPED, "too hot")
    action, by, detail = (await trace(tenant, tenant.id))[-1]
    assert (action, by, detail["after"]["admission"]) == ("workspace_stopped", stopper, "stopped")


async def test_muster_itself_is_nobody_also_after_somebody(tenant: Tenant) -> None:
    """What a transaction said of itself is gone with it, though the connection is the same."""
    for _ in range(12):  # more than there are connections
        task = new_id()
        await moves.create_task(
            tenant.db, tenant.id, somebody(), task, TaskSpec(title="t"), project_id=None, spawn=False
        )
        await moves.finish_task(tenant.db, tenant.id, None, task, TaskStatus.FAILED, reason=Reason.CANCELLED)
        assert (await trace(tenant, task))[-1][1] == Actor()


async def test_a_project_says_what_was_before_and_after(tenant: Tenant) -> None:
    maker, changer, remover = somebody(), somebody(), somebody()
    project, db = new_id(), tenant.db
    await projects.create(db, asker(tenant, maker), project, slug="p", name="Old", description="words")
    await projects.update(db, asker(tenant, changer), "p", {"name": "New", "description": None})
    await projects.update(db, asker(tenant, changer), "p", {"name": "New"})
    await projects.delete(db, asker(tenant, remover), "p")
    created, updated, deleted = await trace(tenant, project)
    assert created[:2] == ("project_created", maker)
    assert (created[2]["after"]["name"], "before" in created[2]) == ("Old", False)
    assert updated[:2] == ("project_updated", changer)
    assert updated[2] == {"before": {"name": "Old", "description": "words"}, "after": {"name": "New"}}
    assert deleted[:2] == ("project_deleted", remover)
    assert (deleted[2]["before"]["name"], "after" in deleted[2]) == ("New", False)


async def test_a_key_of_a_project_leaves_traces_that_it_cannot_read(tenant: Tenant) -> None:
    project, db = new_id(), tenant.db
    await projects.create(db, asker(tenant), project, slug="p", name="P", description=None)
    held = asker(tenant, project_id=project)
    await projects.update(db, held, "p", {"name": "Q"})
    assert (await trace(tenant, project))[-1][1] == held.actor
    assert await db.read(held, "SELECT 1 FROM activity_log") == []


async def test_no_trace_holds_a_hash(tenant: Tenant) -> None:
    db, key, who = tenant.db, new_id(), asker(tenant)
    await api_keys.create(
        db, who, key, HASH, workspace_id=tenant.id, project_id=None, user_id=DEFAULT_USER, name="ci",
        scopes=[Scope.TASKS_READ], role=MemberRole.MEMBER, expires_at=None,
    )  # fmt: skip
    await access.used(db, tenant.id, key)
    await api_keys.rotate(db, who, key, new_id(), bytes(32), overlap_seconds=60)
    await api_keys.revoke(db, who, key)
    found = await trace(tenant, key)
    assert [(action, by) for action, by, _ in found] == [
        (action, who.actor) for action in ("key_created", "key_updated", "key_revoked")
    ], "that it is used is no change"
    assert found[0][2]["after"]["scopes"] == ["tasks:read"]
    assert [*found[1][2]["after"]] == ["expires_at"]
    assert found[2][2]["after"]["revoked_at"]
    everything = str(await tenant.rows("SELECT to_jsonb(l)::text FROM activity_log l"))
    assert HASH.hex() not in everything
    assert "hash" not in everything


async def test_people_and_settings_leave_traces(tenant: Tenant) -> None:
    db, user = tenant.db, new_id()
    who = asker(tenant, administrator=True)
    await db.query(who, "INSERT INTO users (id, email, name) VALUES (%s, %s, 'Ada')", (user, f"{user}@muster.invalid"))
    await db.query(who, "UPDATE users SET name = 'Ada L.' WHERE id = %s", (user,))
    await db.query(who, "INSERT INTO workspace_members VALUES (%s, %s, 'viewer')", (tenant.id, user))
    await db.query(who, "UPDATE workspace_members SET role = 'admin' WHERE user_id = %s", (user,))
    await db.query(who, "DELETE FROM workspace_members WHERE user_id = %s", (user,))
    await db.query(who, "UPDATE workspaces SET weight = 9, updated_at = now(), version = version + 1")
    found = await trace(tenant, user)
    assert [(action, by) for action, by, _ in found] == [
        (action, who.actor)
        for action in ("user_created", "user_updated", "member_created", "member_updated", "member_deleted")
    ]
    assert found[1][2] == {"before": {"name": "Ada"}, "after": {"name": "Ada L."}}
    assert found[3][2] == {"before": {"role": "viewer"}, "after": {"role": "admin"}}
    assert (await trace(tenant, tenant.id))[-1] == (
        "workspace_updated", who.actor, {"before": {"weight": 1}, "after": {"weight": 9}},
    )  # fmt: skip


async def test_what_is_sent_to_memory_leaves_traces(tenant: Tenant) -> None:
    project, db, starter, ender = new_id(), tenant.db, somebody(), somebody()
    await projects.create(db, tenant.id, project, slug="p", name="P", description=None)
    one, again = NewSession(project="p", external_id="one"), asker(tenant)
    session = UUID((await sessions.start(db, asker(tenant, starter), one))[0]["id"])
    other = UUID((await sessions.start(db, again, NewSession(project="p")))[0]["id"])
    assert not (await sessions.start(db, again, one))[1]

    many, alone = somebody(), Actor(user_id=DEFAULT_USER, request_id="req-2")
    recorder = Recorder(db)
    sent = [event(f"secret plan {n}", session) for n in range(7)] + [event("secret plan", other)]
    batch, *_ = await asyncio.gather(  # they share a transaction, and each is its own sender's
        recorder.record(asker(tenant, many), sent, batch=True),
        *(recorder.record(asker(tenant, alone), [event(f"alone {n}", other)]) for n in range(5)),
    )
    await recorder.record(again, sent, batch=True)
    with pytest.raises(UnknownReference):
        await recorder.record(again, [event("nowhere", new_id())])
    for _ in range(2):
        await sessions.end(db, asker(tenant, ender), session)
    started, recorded, ended = await trace(tenant, session)
    assert started[:2] == ("session_started", starter)
    assert started[2]["after"]["project_id"] == str(project)
    assert recorded[:2] == ("events_recorded", many)
    assert recorded[2] == {
        "events": 8, "sessions": [str(session), str(other)], "first": [str(one.id) for one in batch[:5]],
    }  # fmt: skip
    assert ended[:2] == ("session_ended", ender)
    assert (ended[2]["before"], list(ended[2]["after"])) == ({}, ["ended_at"])
    assert [(action, by) for action, by, _ in (await trace(tenant, other))[1:]] == [("events_recorded", alone)] * 5
    assert "secret" not in str(await tenant.rows("SELECT to_jsonb(l)::text FROM activity_log l"))


async def test_what_muster_records_itself_is_no_request(tenant: Tenant) -> None:
    await projects.create(tenant.db, tenant.id, new_id(), slug="p", name="P", description=None)
    session = UUID((await sessions.start(tenant.db, tenant.id, NewSession(project="p")))[0]["id"])
    await Recorder(tenant.db).record(tenant.id, [event("done", session)])
    await sessions.end(tenant.db, tenant.id, session)
    assert await trace(tenant, session) == []


async def test_what_was_refused_leaves_no_trace(tenant: Tenant) -> None:
    before = await tenant.everything()
    with pytest.raises(NotFound):
        await moves.spawn_task(tenant.db, tenant.id, somebody(), new_id())
    with pytest.raises(NotFound):
        await projects.update(tenant.db, asker(tenant), "nothing", {"name": "N"})
    assert await tenant.everything() == before


async def test_history_is_not_the_apps_to_change(new_tenant: NewTenant) -> None:
    tenant = await new_tenant()
    await tenant.running()
    for who in (tenant.id, asker(tenant), asker(tenant, administrator=True)):
        for table in ("activity_log", "events"):
            for statement in (
                f"UPDATE {table} SET workspace_id = workspace_id", f"DELETE FROM {table}", f"TRUNCATE {table}",
                f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY", f"DROP TABLE {table}",
            ):  # fmt: skip
                with pytest.raises(InsufficientPrivilege):
                    await tenant.db.query(who, statement)
        with pytest.raises(InsufficientPrivilege):
            await tenant.db.query(who, "ALTER TABLE projects DISABLE TRIGGER audit")
