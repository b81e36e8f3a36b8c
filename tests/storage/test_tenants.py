"""Row-level security, for every table the catalogue knows: nobody sees or touches what is another's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql as parts
from psycopg.errors import ForeignKeyViolation, InsufficientPrivilege
from psycopg.types.json import Jsonb

from muster.domain.ids import DEFAULT_WORKSPACE, new_id

from .conftest import make_workspace, sql
from .furniture import HASH, NEW_KEY, OPEN, Connection, act, columns, furnish, may, named, run, tenant_tables

# Tables of tenants' rows whose own id is the tenant, or whose rows belong to people: each has tests of its own.
APART = {"users", "workspaces"}
NEVER_CHANGED = {"events", "activity_log", "memory_job_events", "observation_changes"}
NEVER_DELETED = NEVER_CHANGED | {"api_keys"}
# People are of no tenant. What a user may do in a workspace is a row of that workspace's.
POINT_AT_PEOPLE = {("workspace_members", "users"), ("api_keys", "users")}

Two = tuple[tuple[UUID, dict[str, UUID]], tuple[UUID, dict[str, UUID]]]


@pytest.fixture
async def app(own_url: str) -> AsyncIterator[Connection]:
    """A connection as the app works."""
    async with await psycopg.AsyncConnection.connect(own_url, autocommit=True) as connection:
        await connection.execute("SET ROLE muster_app")
        yield connection


@pytest.fixture
async def two(own_url: str, app: Connection) -> Two:
    one, other = await make_workspace(own_url), await make_workspace(own_url)
    return (one, await furnish(app, one)), (other, await furnish(app, other))


async def rows_of(app: Connection, url: str, table: str, workspace: UUID) -> list[Any]:
    """All that a tenant can read of its own."""
    await act(app, workspace, administrator=True)
    picked = parts.SQL(", ").join(map(parts.Identifier, await columns(url, table, "SELECT")))
    where = "id" if table == "workspaces" else "workspace_id"
    cursor = await app.execute(
        parts.SQL("SELECT {} FROM {} WHERE {} = {} ORDER BY 1, 2, 3").format(
            picked, parts.Identifier(table), parts.Identifier(where), parts.Literal(workspace)
        )
    )
    return await cursor.fetchall()


async def test_every_table_forces_row_level_security(own_url: str) -> None:
    rows = await sql(
        own_url,
        "SELECT relname::text, relrowsecurity AND relforcerowsecurity, EXISTS (SELECT 1 FROM pg_policy WHERE "
        "polrelid = c.oid AND polpermissive AND 'muster_app'::regrole = ANY (polroles)) FROM pg_class c "
        "WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')",
    )
    assert {name for name, forced, policy in rows if not forced or not policy} == OPEN
    owned = await sql(
        own_url, "SELECT relname FROM pg_class c JOIN pg_roles r ON r.oid = relowner WHERE rolname = 'muster_app'"
    )
    assert owned == [], "the app owns nothing"
    rights = await sql(own_url, "SELECT rolsuper, rolbypassrls, rolcanlogin FROM pg_roles WHERE rolname = 'muster_app'")
    assert rights == [(False, False, False)]
    for table in [*await tenant_tables(own_url), *OPEN]:
        for right in ("TRUNCATE", "REFERENCES", "TRIGGER"):
            assert not await may(own_url, table, right), (table, right)


async def test_what_belongs_to_no_tenant_is_read_at_most(own_url: str, app: Connection) -> None:
    await act(app, DEFAULT_WORKSPACE, administrator=True)
    moves = ("task_moves", "agent_moves", "memory_job_moves")
    for table, column in (*((name, "from_status") for name in moves), ("schema_migrations", "name")):
        readable = table != "schema_migrations"
        assert await may(own_url, table, "SELECT") == readable, table
        for statement in ("DELETE FROM {}", "UPDATE {} SET {} = {}", "INSERT INTO {} DEFAULT VALUES"):
            with pytest.raises(InsufficientPrivilege, match="permission denied"):
                await app.execute(named(statement, table, column, column))


async def test_every_tenant_row_points_within_its_tenant(own_url: str) -> None:
    """Every foreign key between tenant tables carries workspace_id."""
    rows = await sql(
        own_url,
        "SELECT conrelid::regclass::text, confrelid::regclass::text, "
        "  (SELECT array_agg(attname::text) FROM pg_attribute WHERE attrelid = conrelid AND attnum = ANY (conkey)) "
        "FROM pg_constraint WHERE contype = 'f'",
    )
    assert rows
    assert {(a, b) for a, b, names in rows if "workspace_id" not in names} == POINT_AT_PEOPLE


async def test_no_tenant_no_rows_and_no_look_at_another(own_url: str, app: Connection, two: Two) -> None:
    tables = await tenant_tables(own_url)
    assert APART | {"tasks", "agents", "events", "memory_embeddings", "api_keys", "usage_days"} <= set(tables)

    async def count(table: str, where: str = "true") -> int:
        row = await (await app.execute(named("SELECT count(*) FROM {} WHERE " + where, table))).fetchone()
        assert row
        return int(row[0])

    for (mine, _), (other, _) in (two, two[::-1]):
        for table in tables:
            await act(app, mine)
            own = await count(table)
            assert own >= 1, f"{table}: furnish() makes no row; teach it"
            if table not in APART:
                assert await count(table, f"workspace_id = '{mine}'") == own, table
                assert await count(table, f"workspace_id = '{other}'") == 0, table
            for nobody in (None, new_id()):
                await act(app, nobody)
                assert await count(table) == 0, table
    await app.execute("RESET app.current_workspace_id")
    for table in tables:
        assert await count(table) == 0, table


async def test_writing_across_tenants_is_refused(own_url: str, app: Connection, two: Two) -> None:
    tables = [table for table in await tenant_tables(own_url) if table not in APART]
    for (mine, _), (other, theirs) in (two, two[::-1]):
        before = {table: await rows_of(app, own_url, table, other) for table in tables}
        await act(app, mine)
        for table in tables:
            await _try_to_change(app, own_url, table, other)
            await _try_to_add(app, own_url, table, other, theirs["user"])
        for table in tables:
            assert await rows_of(app, own_url, table, other) == before[table], table


async def _try_to_change(app: Connection, url: str, table: str, other: UUID) -> None:
    changeable = await columns(url, table, "UPDATE")
    assert bool(changeable) == (table not in NEVER_CHANGED), table
    for column in changeable:
        # Sees none of them, with or without a condition that would tell.
        statement = named("UPDATE {} SET {} = {} WHERE workspace_id = {other}", table, column, column, other=other)
        assert (await app.execute(statement)).rowcount == 0, (table, column)
    with pytest.raises(InsufficientPrivilege):  # one's own row, moved over
        await app.execute(named("UPDATE {} SET workspace_id = {other}", table, other=other))
    assert await may(url, table, "DELETE") == (table not in NEVER_DELETED), table
    if table not in NEVER_DELETED:
        cursor = await app.execute(named("DELETE FROM {} WHERE workspace_id = {other}", table, other=other))
        assert cursor.rowcount == 0, table


async def _try_to_add(app: Connection, url: str, table: str, other: UUID, user: UUID) -> None:
    """A copy of one's own row, as the other tenant's."""
    if table == "api_keys":
        for workspace in (other, None):
            with pytest.raises(InsufficientPrivilege, match="row-level security"):
                await run(app, NEW_KEY, new_id(), workspace, None, user, HASH)
        return
    fresh = {"id": "new_id()", "source_id": "new_id()", "slug": "'q'"}
    copied = [column for column in await columns(url, table, "INSERT") if column != "workspace_id"]
    values = [parts.SQL(fresh[name]) if name in fresh else parts.Identifier(name) for name in copied]
    with pytest.raises(InsufficientPrivilege, match="row-level security"):
        await app.execute(
            parts.SQL("INSERT INTO {} (workspace_id, {}) SELECT {}, {} FROM {} LIMIT 1").format(
                parts.Identifier(table), parts.SQL(", ").join(map(parts.Identifier, copied)), parts.Literal(other),
                parts.SQL(", ").join(values), parts.Identifier(table),
            )
        )  # fmt: skip


async def test_a_row_cannot_name_a_neighbour_of_another_tenant(own_url: str, app: Connection, two: Two) -> None:
    keys = await sql(
        own_url,
        "SELECT conrelid::regclass::text, attname::text, confrelid::regclass::text FROM pg_constraint "
        "JOIN pg_attribute ON attrelid = conrelid AND attnum = ANY (conkey) WHERE contype = 'f' "
        "AND cardinality(conkey) > 1 AND attname <> 'workspace_id' ORDER BY 1, 2",
    )
    assert ("tasks", "project_id", "projects") in keys
    for (mine, ours), (_, theirs) in (two, two[::-1]):
        await act(app, mine)
        job = f"evt_{theirs['memory'].hex * 2}"
        target: dict[str, Any] = {
            "projects": theirs["project"], "tasks": theirs["other"], "agents": theirs["agent"], "memory_jobs": job,
        } | dict.fromkeys(("memory_sessions", "agent_events", "observations"), theirs["memory"])  # fmt: skip
        history = "INSERT INTO memory_job_events (workspace_id, project_id, job_id, to_status, attempt) "
        history += "VALUES (%s, %s, %s, 'queued', 0)"
        change = "INSERT INTO observation_changes VALUES (%s, %s, %s, now(), '{}', '{}')"
        event = "INSERT INTO events VALUES (%s, 99, %s, 'task.failed', %s, %s, 1, now(), '{}')"
        added: dict[tuple[str, str], tuple[str, tuple[Any, ...]]] = {
            ("events", "task_id"): (event, (mine, new_id(), theirs["task"], None)),
            ("events", "agent_id"): (event, (mine, new_id(), ours["task"], theirs["agent"])),
            ("api_keys", "project_id"): (NEW_KEY, (new_id(), mine, theirs["project"], ours["user"], HASH)),
            ("memory_job_events", "project_id"): (history, (mine, theirs["project"], job)),
            ("memory_job_events", "job_id"): (history, (mine, ours["project"], job)),
            ("observation_changes", "project_id"): (change, (mine, theirs["project"], ours["memory"])),
            ("observation_changes", "observation_id"): (change, (mine, ours["project"], theirs["memory"])),
        }
        for table, column, of in keys:
            statement: Any = named(
                "UPDATE {} SET {} = {value}",
                table,
                column,
                value=theirs["project"] if column == "project_id" else target[of],
            )
            params: tuple[Any, ...] | None = None
            if column not in await columns(own_url, table, "UPDATE"):
                statement, params = added[table, column]
            with pytest.raises(ForeignKeyViolation):
                await app.execute(statement, params)
        with pytest.raises(ForeignKeyViolation):
            await run(
                app, "INSERT INTO agents (id, workspace_id, task_id, attempt, run, runner) "
                "VALUES (%s, %s, %s, 9, 1, %s)", new_id(), mine, theirs["other"], Jsonb({}),
            )  # fmt: skip


async def test_a_tenant_is_left_with_the_transaction(own_url: str, app: Connection) -> None:
    mine = await make_workspace(own_url)
    async with app.transaction():
        await app.execute("SELECT enter(%s, NULL)", (mine,))
        assert await (await app.execute("SELECT count(*) FROM workspaces")).fetchone() == (1,)
    assert await (await app.execute("SELECT count(*) FROM workspaces")).fetchone() == (0,)
