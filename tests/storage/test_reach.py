"""Inside a workspace: what keys of one project and tokens of agents see and change, and what only administrators."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from muster.domain.errors import NotFound
from muster.domain.ids import new_id
from muster.domain.tenants import Tenant
from muster.storage import access, agents, events, projects, tasks
from muster.storage.database import Database

from .conftest import make_workspace
from .furniture import HASH, NEW_KEY, furnish, furnish_project, tenant_tables

# For each table, what says whose a row is: its task, agent or project.
HELD = {
    "tasks": "id", "task_dependencies": "task_id", "agents": "id", "agent_output": "agent_id", "events": "agent_id",
    "projects": "id", "calendar_events": "project_id",
}  # fmt: skip
MEMORY = (
    "memory_settings", "memory_usage", "memory_terms", "memory_sessions", "memory_jobs", "memory_job_events",
    "agent_events", "observations", "observation_sources", "observation_words", "memory_embeddings",
    "memory_vectors_due", "memory_term_changes", "memory_forgettings", "observation_changes",
)  # fmt: skip
HELD |= dict.fromkeys(MEMORY, "project_id")
HIDDEN = {"activity_log", "api_keys"}
# What is the workspace's as a whole: its settings, its people, how far its log is, what it used.
WHOLE = {"users", "workspaces", "workspace_members", "workspace_log", "usage_days", "idempotency_keys", "memory_lanes"}


@dataclass
class House:
    """A workspace with two projects, and a task of no project with subtasks and their subtasks."""

    db: Database
    url: str
    id: UUID
    user: UUID
    ours: dict[str, UUID]
    theirs: dict[str, UUID]
    loose: dict[str, UUID]
    child: dict[str, UUID]
    grandchild: dict[str, UUID]

    def tenant(self, **reach: Any) -> Tenant:
        return Tenant(self.id, self.user, **reach)

    async def seen(self, tenant: Tenant, table: str) -> set[UUID]:
        column = HELD.get(table, "1")
        return {row[0] for row in await self.db.read(tenant, f"SELECT {column} FROM {table}")}


@pytest.fixture
async def house(own_url: str, own_db: Database) -> House:
    workspace = await make_workspace(own_url)
    async with await psycopg.AsyncConnection.connect(own_url, autocommit=True) as app:
        await app.execute("SET ROLE muster_app")
        await furnish(app, await make_workspace(own_url))
        ours = await furnish(app, workspace)
        other = new_id()
        await app.execute(
            "INSERT INTO projects (id, workspace_id, slug, name) VALUES (%s, %s, 'other', 'Other')", (other, workspace)
        )
        theirs = await furnish_project(app, workspace, other) | {"project": other}
        loose = await furnish_project(app, workspace, None)
        child = await furnish_project(app, workspace, None, loose["task"])
        grandchild = await furnish_project(app, workspace, None, child["task"])
    return House(own_db, own_url, workspace, ours["user"], ours, theirs, loose, child, grandchild)


def lives(sets: Iterable[dict[str, UUID]], *, projects: Iterable[UUID] = ()) -> dict[str, set[UUID]]:
    """What there is to see of these, by table."""
    found = list(sets)
    whole = set(projects)
    each = {
        "tasks": {one[name] for one in found for name in ("task", "other") if name in one},
        "task_dependencies": {one["task"] for one in found if "agent" in one},
    }
    agents = {one["agent"] for one in found if "agent" in one}
    return (
        each
        | dict.fromkeys(("agents", "agent_output", "events"), agents)
        | dict.fromkeys(("projects", "calendar_events", *MEMORY), whole)
    )


async def test_every_table_is_held_hidden_or_whole(house: House) -> None:
    assert {*HELD, *HIDDEN, *WHOLE} == set(await tenant_tables(house.url)), "a new table says which it is"
    for table in (*HIDDEN, *WHOLE):
        assert await house.seen(house.tenant(), table) or table == "users", table


async def test_a_key_of_a_project_sees_that_project(house: House) -> None:
    project = house.ours["project"]
    tenant = house.tenant(project_id=project)
    for table, expected in lives([house.ours], projects=[project]).items():
        assert await house.seen(tenant, table) == expected, table
    for table in HIDDEN:
        assert await house.seen(tenant, table) == set(), table
    db, theirs = house.db, house.theirs
    for refused in (
        tasks.get(db, tenant, theirs["task"]), tasks.get_with_agents(db, tenant, theirs["task"]),
        agents.get(db, tenant, theirs["agent"]), agents.output(db, tenant, theirs["agent"], after=0, limit=9),
        projects.get(db, tenant, "other"), projects.update(db, tenant, "other", {"name": "mine"}),
        projects.delete(db, tenant, str(theirs["project"])),
    ):  # fmt: skip
        with pytest.raises(NotFound):
            await refused
    assert {e["agent_id"] for e in await events.after(db, tenant, 0, limit=99)} == {str(house.ours["agent"])}
    asked = [theirs["task"], house.ours["task"], house.loose["task"], new_id()]
    assert await tasks.visible(db, tenant, asked) == {house.ours["task"]}
    assert (await agents.get(db, tenant, house.ours["agent"]))["id"] == str(house.ours["agent"])


async def test_a_token_sees_its_task_and_its_subtasks(house: House) -> None:
    tenant = house.tenant(task_id=house.loose["task"])
    expected = lives([{"task": house.loose["task"], "agent": house.loose["agent"]}, house.child])
    for table, rows in expected.items():
        assert await house.seen(tenant, table) == rows, table
    for table in HIDDEN:
        assert await house.seen(tenant, table) == set(), table
    for agent in (house.grandchild["agent"], house.ours["agent"]):
        with pytest.raises(NotFound):
            await agents.get(house.db, tenant, agent)


async def test_a_token_of_a_task_in_a_project_sees_both(house: House) -> None:
    project = house.ours["project"]
    tenant = house.tenant(task_id=house.loose["task"], project_id=project)
    own = {"task": house.loose["task"], "agent": house.loose["agent"]}
    for table, rows in lives([own, house.child, house.ours], projects=[project]).items():
        assert await house.seen(tenant, table) == rows, table


async def test_reach_holds_for_writing_too(house: House) -> None:
    db = house.db
    for tenant in (house.tenant(project_id=house.ours["project"]), house.tenant(task_id=house.ours["task"])):
        before = await db.read(house.id, "SELECT to_jsonb(t) FROM tasks t WHERE id = %s", (house.theirs["task"],))
        for statement in (
            "UPDATE tasks SET title = 'mine' WHERE project_id IS DISTINCT FROM %s RETURNING 1",
            "DELETE FROM tasks WHERE project_id IS DISTINCT FROM %s RETURNING 1",
            "UPDATE projects SET name = 'mine' WHERE id <> %s RETURNING 1",
            "DELETE FROM projects WHERE id <> %s RETURNING 1",
            "UPDATE calendar_events SET title = 'mine' WHERE project_id IS DISTINCT FROM %s RETURNING 1",
            "DELETE FROM memory_embeddings WHERE project_id IS DISTINCT FROM %s RETURNING 1",
        ):
            assert await db.query(tenant, statement, (house.ours["project"],)) == [], statement
        for statement in (
            "UPDATE workspaces SET max_concurrent_agents = 9999 RETURNING 1",
            "UPDATE workspace_members SET role = 'owner' RETURNING 1",
            "DELETE FROM workspace_members RETURNING 1",
            "UPDATE api_keys SET revoked_at = now() RETURNING 1",
        ):
            assert await db.query(tenant, statement) == [], statement
        w, user = house.id, house.user
        for statement, params in (
            ("INSERT INTO projects (id, workspace_id, slug, name) VALUES (%s, %s, 'x', 'X')", (new_id(), w)),
            ("INSERT INTO workspace_members VALUES (%s, %s, 'owner')", (w, user)),
            (NEW_KEY, (new_id(), w, house.ours["project"], user, HASH)),
            (
                "INSERT INTO tasks (id, workspace_id, project_id, title, retry) VALUES (%s, %s, %s, 't', '{}')",
                (new_id(), w, house.theirs["project"]),
            ),
            (
                "INSERT INTO calendar_events (id, workspace_id, project_id, title, starts_at, ends_at) "
                "VALUES (%s, %s, %s, 'c', now(), now())",
                (new_id(), w, house.theirs["project"]),
            ),
        ):
            with pytest.raises(InsufficientPrivilege, match="row-level security"):
                await db.query(tenant, statement, params)
        after = await db.read(house.id, "SELECT to_jsonb(t) FROM tasks t WHERE id = %s", (house.theirs["task"],))
        assert after == before


async def test_a_row_cannot_be_pushed_out_of_reach(house: House) -> None:
    tenant = house.tenant(project_id=house.ours["project"])
    for table in ("tasks", "calendar_events", "memory_embeddings"):
        with pytest.raises(InsufficientPrivilege, match="row-level security"):
            await house.db.query(tenant, f"UPDATE {table} SET project_id = %s", (house.theirs["project"],))


async def test_nobody_reads_a_hash(house: House) -> None:
    for tenant in (house.tenant(), house.tenant(administrator=True)):
        for statement in (
            "SELECT hash FROM api_keys", "SELECT * FROM api_keys", "SELECT to_jsonb(k) FROM api_keys k",
            "SELECT id FROM api_keys WHERE hash = ''", "UPDATE api_keys SET hash = hash", "DELETE FROM api_keys",
            "UPDATE api_keys SET scopes = '{admin}'", "UPDATE api_keys SET workspace_id = NULL",
            "UPDATE api_keys SET user_id = user_id", "UPDATE api_keys SET role = 'owner'",
        ):  # fmt: skip
            with pytest.raises(InsufficientPrivilege, match="permission denied"):
                await house.db.query(tenant, statement)


async def test_keys_of_no_workspace_are_the_administrators(house: House) -> None:
    db, roaming = house.db, house.ours["roaming"]
    own = await db.read(house.tenant(), "SELECT id FROM api_keys")
    assert own == [(house.ours["key"],)]
    assert (
        await db.query(house.tenant(), "UPDATE api_keys SET revoked_at = now() WHERE id = %s RETURNING 1", (roaming,))
        == []
    )
    with pytest.raises(InsufficientPrivilege, match="row-level security"):
        await db.query(house.tenant(), NEW_KEY, (new_id(), None, None, house.user, HASH))
    administrator = house.tenant(administrator=True)
    assert {house.ours["key"], roaming} < {row[0] for row in await db.read(administrator, "SELECT id FROM api_keys")}
    await access.used(db, administrator, roaming)
    found = await access.key(db, roaming)
    assert found
    assert found.last_used_at


async def test_users_and_workspaces_are_made_by_administrators(house: House) -> None:
    db, stranger = house.db, new_id()
    new_user = "INSERT INTO users (id, email, name) VALUES (%s, %s, 'S')"
    user = (stranger, f"{stranger}@muster.invalid")
    new_workspace = "INSERT INTO workspaces (id, slug, name) VALUES (%s, %s, 'N')"
    elsewhere = new_id()
    for tenant in (house.tenant(), house.tenant(project_id=house.ours["project"]), Tenant(elsewhere, house.user)):
        for statement, params in ((new_user, user), (new_workspace, (elsewhere, f"n-{elsewhere}"))):
            with pytest.raises(InsufficientPrivilege, match="row-level security"):
                await db.query(tenant, statement, params)
        assert await db.query(tenant, "UPDATE users SET administrator = true RETURNING 1") == [], "not even oneself"
    there = Tenant(elsewhere, house.user, administrator=True)
    await db.query(there, new_workspace, (elsewhere, f"n-{elsewhere.hex}"))
    await db.query(there, new_user, user)
    assert await db.query(there, "UPDATE users SET name = 'T' WHERE id = %s RETURNING name", (stranger,)) == [("T",)]
    # A workspace is changed from inside, whoever does it: its trace is left there.
    assert await db.query(there, "UPDATE workspaces SET weight = 2 RETURNING id") == [(elsewhere,)]
    assert await db.query(house.tenant(), "UPDATE workspaces SET weight = 3 RETURNING id") == [(house.id,)]
    for statement in ("DELETE FROM users", "DELETE FROM workspaces"):  # they stay, as what they did does
        with pytest.raises(InsufficientPrivilege, match="permission denied"):
            await db.query(there, statement)


async def test_people_are_seen_by_their_fellows(house: House) -> None:
    db, fellow = house.db, new_id()
    administrator = house.tenant(administrator=True)
    await db.query(administrator, "INSERT INTO users (id, email, name) VALUES (%s, 'f@muster.invalid', 'F')", (fellow,))

    async def people(tenant: Tenant) -> set[UUID]:
        return {row[0] for row in await db.read(tenant, "SELECT id FROM users")}

    assert await people(house.tenant()) == {house.user}
    assert await people(Tenant(house.id, fellow)) == {house.user, fellow}
    assert await people(Tenant(new_id(), fellow)) == {fellow}
    await db.query(administrator, "INSERT INTO workspace_members VALUES (%s, %s, 'viewer')", (house.id, fellow))
    assert await people(house.tenant()) == {house.user, fellow}
    assert {house.user, fellow} < await people(administrator), "and others"
