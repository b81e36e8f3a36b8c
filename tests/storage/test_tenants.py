"""Row-level security, for every table the catalogue knows: nobody sees or touches what is another's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import psycopg
import pytest
from psycopg import sql as parts
from psycopg.types.json import Jsonb

from muster.domain.ids import new_id

from .conftest import make_workspace, sql

# What holds no tenant's data: the tables of moves, and the book of migrations.
OPEN = {"task_moves", "agent_moves", "schema_migrations"}
REFUSED = (psycopg.errors.InsufficientPrivilege, psycopg.errors.ForeignKeyViolation)

Connection = psycopg.AsyncConnection[tuple[object, ...]]


@pytest.fixture
async def app(own_url: str) -> AsyncIterator[Connection]:
    """A connection as the app works."""
    async with await psycopg.AsyncConnection.connect(own_url, autocommit=True) as connection:
        await connection.execute("SET ROLE muster_app")
        yield connection


async def act_as(app: Connection, workspace: UUID | None) -> None:
    await app.execute(
        "SELECT set_config('app.current_workspace_id', %s, false), set_config('app.current_user_id', '', false)",
        (str(workspace or ""),),
    )


async def furnish(app: Connection, workspace: UUID) -> dict[str, UUID]:
    """One row in every tenant table."""
    ids = {name: new_id() for name in ("user", "project", "task", "other", "agent", "calendar", "memory")}
    await app.execute(
        "SELECT set_config('app.current_workspace_id', %s, false), set_config('app.current_user_id', %s, false)",
        (str(workspace), str(ids["user"])),
    )
    w = workspace
    for statement, params in (
        ("INSERT INTO users (id, email, name) VALUES (%s, %s, 'U')", (ids["user"], f"{ids['user']}@muster.invalid")),
        ("INSERT INTO workspace_members (workspace_id, user_id, role) VALUES (%s, %s, 'owner')", (w, ids["user"])),
        ("INSERT INTO projects (id, workspace_id, slug, name) VALUES (%s, %s, 'p', 'P')", (ids["project"], w)),
        ("INSERT INTO tasks (id, workspace_id, title, retry) VALUES (%s, %s, 't', '{}')", (ids["task"], w)),
        ("INSERT INTO tasks (id, workspace_id, title, retry) VALUES (%s, %s, 'o', '{}')", (ids["other"], w)),
        ("INSERT INTO task_dependencies VALUES (%s, %s, %s)", (w, ids["task"], ids["other"])),
        (
            "INSERT INTO agents (id, workspace_id, task_id, attempt, run, runner) VALUES (%s, %s, %s, 1, 1, '{}')",
            (ids["agent"], w, ids["task"]),
        ),
        ("INSERT INTO agent_output VALUES (%s, %s, 1, 1, '[]')", (w, ids["agent"])),
        (
            "INSERT INTO events VALUES (%s, 1, %s, 'agent.spawned', %s, %s, 1, now(), '{}')",
            (w, new_id(), ids["task"], ids["agent"]),
        ),
        (
            "INSERT INTO activity_log (workspace_id, action, entity_id) VALUES (%s, 'task_created', %s)",
            (w, ids["task"]),
        ),
        ("INSERT INTO idempotency_keys (workspace_id, key, request_hash) VALUES (%s, 'k', 'h')", (w,)),
        (
            "INSERT INTO calendar_events (id, workspace_id, title, starts_at, ends_at) "
            "VALUES (%s, %s, 'c', now(), now())",
            (ids["calendar"], w),
        ),
        (
            "INSERT INTO memory_embeddings (id, workspace_id, source_id, content_hash, model, dimensions, embedding) "
            "VALUES (%s, %s, %s, 'h', 'm', 3, '[1,2,3]')",
            (ids["memory"], w, new_id()),
        ),
    ):
        await app.execute(statement, params)
    return ids


async def tenant_tables(url: str) -> list[str]:
    rows = await sql(
        url,
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') ORDER BY 1",
    )
    return [row[0] for row in rows if row[0] not in OPEN]


async def test_every_table_forces_row_level_security(own_url: str) -> None:
    rows = await sql(
        own_url,
        "SELECT relname, relrowsecurity AND relforcerowsecurity FROM pg_class "
        "WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')",
    )
    assert {name for name, forced in rows if not forced} == OPEN
    owned = await sql(
        own_url, "SELECT relname FROM pg_class c JOIN pg_roles r ON r.oid = relowner WHERE rolname = 'muster_app'"
    )
    assert owned == [], "the app owns nothing"
    rights = await sql(own_url, "SELECT rolsuper, rolbypassrls, rolcanlogin FROM pg_roles WHERE rolname = 'muster_app'")
    assert rights == [(False, False, False)]
    # Tables and the functions that see all tenants are the only SECURITY DEFINERs.
    definers = await sql(
        own_url, "SELECT proname FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace"
    )
    assert {row[0] for row in definers} == {"chores_logs", "chores_quiet_tasks"}


async def test_every_tenant_row_points_within_its_tenant(own_url: str) -> None:
    """Every foreign key between tenant tables carries workspace_id."""
    rows = await sql(
        own_url,
        "SELECT conrelid::regclass::text, confrelid::regclass::text, "
        "  (SELECT array_agg(attname::text) FROM pg_attribute WHERE attrelid = conrelid AND attnum = ANY (conkey)) "
        "FROM pg_constraint WHERE contype = 'f'",
    )
    loose = [(a, b) for a, b, columns in rows if b not in ("workspaces", "users") and "workspace_id" not in columns]
    assert rows
    assert loose == []


async def test_no_tenant_no_rows_and_no_look_at_another(own_url: str, app: Connection) -> None:
    mine, other = await make_workspace(own_url), await make_workspace(own_url)
    await furnish(app, mine)
    await furnish(app, other)
    tables = await tenant_tables(own_url)
    assert {"tasks", "agents", "events", "memory_embeddings", "users", "workspaces"} <= set(tables)

    async def count(table: str, where: str = "true") -> int:
        query = parts.SQL("SELECT count(*) FROM {} WHERE " + where).format(parts.Identifier(table))
        row = await (await app.execute(query)).fetchone()
        assert row
        return int(str(row[0]))

    for table in tables:
        await act_as(app, mine)
        assert await count(table) >= 1, f"{table}: furnish() makes no row; teach it"
        own = await count(table)
        await act_as(app, other)
        assert await count(table) == own, f"{table}: the other tenant sees a different number than its own"
        if table not in ("users", "workspaces"):
            assert await count(table, f"workspace_id = '{mine}'") == 0, table
        await act_as(app, None)
        assert await count(table) == 0, table
    await app.execute("RESET app.current_workspace_id")
    for table in tables:
        assert await count(table) == 0, table


async def test_writing_across_tenants_is_refused(own_url: str, app: Connection) -> None:
    mine, other = await make_workspace(own_url), await make_workspace(own_url)
    await furnish(app, mine)
    await furnish(app, other)
    await act_as(app, mine)
    for table in await tenant_tables(own_url):
        if table in ("users", "workspaces"):
            continue
        name = parts.Identifier(table)
        for statement in (
            "DELETE FROM {} WHERE workspace_id = {}",
            "UPDATE {} SET workspace_id = workspace_id WHERE workspace_id = {}",
        ):
            try:
                cursor = await app.execute(parts.SQL(statement).format(name, parts.Literal(str(other))))
            except psycopg.errors.InsufficientPrivilege:
                assert table in ("events", "activity_log"), table  # nobody rewrites history
            else:
                assert cursor.rowcount == 0, (table, statement)
        # A copy of one's own row with the other's tenant, and moving a row over.
        if table not in ("events", "activity_log"):
            with pytest.raises(REFUSED):
                await app.execute(parts.SQL("UPDATE {} SET workspace_id = {}").format(name, parts.Literal(str(other))))
        columns = await sql(
            own_url,
            "SELECT array_agg(attname::text ORDER BY attnum) FROM pg_attribute WHERE attrelid = %s::regclass "
            "AND attnum > 0 AND NOT attisdropped AND attgenerated = '' AND attidentity = ''",
            (table,),
        )
        kept = [c for c in columns[0][0] if c not in ("workspace_id", "id", "slug", "source_id")]
        fresh = [c for c in ("id", "source_id") if c in columns[0][0]]
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            await app.execute(
                parts.SQL("INSERT INTO {} (workspace_id, {}) SELECT {}, {} FROM {} LIMIT 1").format(
                    name,
                    parts.SQL(", ").join(
                        map(parts.Identifier, kept + fresh + (["slug"] if table == "projects" else []))
                    ),
                    parts.Literal(other),
                    parts.SQL(", ").join(
                        [*map(parts.Identifier, kept), *(parts.SQL("new_id()") for _ in fresh)]
                        + ([parts.SQL("'q'")] if table == "projects" else [])
                    ),
                    name,
                )
            )


async def test_a_row_cannot_name_a_neighbour_of_another_tenant(own_url: str, app: Connection) -> None:
    mine, other = await make_workspace(own_url), await make_workspace(own_url)
    theirs = await furnish(app, other)
    ours = await furnish(app, mine)
    await act_as(app, mine)
    for statement, params in (
        ("UPDATE tasks SET project_id = %s WHERE id = %s", (theirs["project"], ours["task"])),
        ("UPDATE tasks SET parent_id = %s WHERE id = %s", (theirs["task"], ours["task"])),
        ("UPDATE tasks SET agent_id = %s WHERE id = %s", (theirs["agent"], ours["task"])),
        ("INSERT INTO task_dependencies VALUES (%s, %s, %s)", (mine, ours["task"], theirs["task"])),
        (
            "INSERT INTO agents (id, workspace_id, task_id, attempt, run, runner) VALUES (%s, %s, %s, 9, 1, %s)",
            (new_id(), mine, theirs["other"], Jsonb({})),
        ),
        ("INSERT INTO agent_output VALUES (%s, %s, 5, 5, '[]')", (mine, theirs["agent"])),
        (
            "INSERT INTO events VALUES (%s, 9, %s, 'task.failed', %s, NULL, 1, now(), '{}')",
            (mine, new_id(), theirs["task"]),
        ),
        ("UPDATE calendar_events SET project_id = %s", (theirs["project"],)),
        ("UPDATE memory_embeddings SET project_id = %s", (theirs["project"],)),
    ):
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            await app.execute(statement, params)


async def test_a_tenant_is_left_with_the_transaction(own_url: str, app: Connection) -> None:
    mine = await make_workspace(own_url)
    async with app.transaction():
        await app.execute("SELECT enter(%s, NULL)", (mine,))
        assert await (await app.execute("SELECT count(*) FROM workspaces")).fetchone() == (1,)
    assert await (await app.execute("SELECT count(*) FROM workspaces")).fetchone() == (0,)


async def test_the_doors_between_tenants_show_nothing_else(own_url: str, app: Connection) -> None:
    mine = await make_workspace(own_url)
    await furnish(app, mine)
    await act_as(app, None)
    assert (mine, 0, 0) in await (await app.execute("SELECT * FROM chores_logs()")).fetchall()
    for statement in ("SET ROLE muster_chores",):
        app_only = await psycopg.AsyncConnection.connect(own_url, autocommit=True)
        async with app_only:
            await app_only.execute(statement.encode())
            for forbidden in (
                "SELECT title FROM tasks",
                "SELECT * FROM agents",
                "SELECT * FROM users",
                "SELECT * FROM events",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    await app_only.execute(forbidden.encode())
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await app_only.execute("CREATE TABLE mine ()")
