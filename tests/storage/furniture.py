"""Rows in every table, and a connection that acts for whom it is told to: what the tests of isolation stand on."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql as parts

from muster.domain.ids import new_id

from .conftest import sql

OPEN = {"task_moves", "agent_moves", "memory_job_moves", "schema_migrations"}
"""What holds no tenant's data: the tables of moves, and the book of migrations."""

HASH = bytes(32)

Connection = psycopg.AsyncConnection[tuple[Any, ...]]


async def act(
    app: Connection,
    workspace: UUID | None,
    *,
    user: UUID | None = None,
    project: UUID | None = None,
    task: UUID | None = None,
    administrator: bool = False,
) -> None:
    await app.execute(
        "SELECT set_config('app.current_workspace_id', %s, false), set_config('app.current_user_id', %s, false), "
        "set_config('app.current_project_id', %s, false), set_config('app.current_task_id', %s, false), "
        "set_config('app.administrator', %s, false), set_config('app.actor', '', false)",
        (*(str(value or "") for value in (workspace, user, project, task)), "on" if administrator else ""),
    )


async def furnish(app: Connection, workspace: UUID) -> dict[str, UUID]:
    """A row in every tenant table, and a key of its administrator's that belongs to no workspace."""
    ids = {name: new_id() for name in ("user", "project", "key", "roaming")}
    user = ids["user"]
    await act(app, workspace, user=user, administrator=True)
    await run(app, "INSERT INTO users (id, email, name) VALUES (%s, %s, 'U')", user, f"{user}@muster.invalid")
    await run(app, "INSERT INTO workspace_members VALUES (%s, %s, 'owner')", workspace, user)
    await run(
        app, "INSERT INTO projects (id, workspace_id, slug, name) VALUES (%s, %s, %s, 'P')",
        ids["project"], workspace, f"p-{ids['project'].hex}",
    )  # fmt: skip
    for key, owner in ((ids["key"], workspace), (ids["roaming"], None)):
        await run(app, NEW_KEY, key, owner, None, user, HASH)
    await run(
        app, "INSERT INTO activity_log (workspace_id, action, entity_id) VALUES (%s, 'task_created', %s)",
        workspace, new_id(),
    )  # fmt: skip
    await run(
        app, "INSERT INTO idempotency_keys (workspace_id, key, request_hash) VALUES (%s, %s, 'h')",
        workspace, new_id().hex,
    )  # fmt: skip
    await run(app, "INSERT INTO usage_days VALUES (%s, '2026-01-01', 1, 1)", workspace)
    await run(app, "INSERT INTO memory_lanes (workspace_id, kind) VALUES (%s, 'event')", workspace)
    return ids | await furnish_project(app, workspace, ids["project"])


NEW_KEY = (
    "INSERT INTO api_keys (id, workspace_id, project_id, user_id, name, hash, scopes, role) "
    "VALUES (%s, %s, %s, %s, 'k', %s, '{tasks:read}', 'owner')"
)


async def furnish_project(
    app: Connection, workspace: UUID, project: UUID | None, parent: UUID | None = None
) -> dict[str, UUID]:
    """A task that depends on another, its agent, and what they leave."""
    w = workspace
    task, other, agent, calendar, memory = (new_id() for _ in range(5))
    for task_id in (task, other):
        await run(
            app, "INSERT INTO tasks (id, workspace_id, project_id, parent_id, title, retry) "
            "VALUES (%s, %s, %s, %s, 't', '{}')", task_id, w, project, parent,
        )  # fmt: skip
    await run(app, "INSERT INTO task_dependencies VALUES (%s, %s, %s)", w, task, other)
    await run(
        app, "INSERT INTO agents (id, workspace_id, task_id, attempt, run, runner) VALUES (%s, %s, %s, 1, 1, '{}')",
        agent, w, task,
    )  # fmt: skip
    await run(app, "INSERT INTO agent_output VALUES (%s, %s, 1, 1, '[]')", w, agent)
    await run(
        app, "INSERT INTO events VALUES (%s, (SELECT count(*) + 1 FROM events), %s, 'agent.spawned', %s, %s, 1, "
        "now(), '{}')", w, new_id(), task, agent,
    )  # fmt: skip
    await run(
        app, "INSERT INTO calendar_events (id, workspace_id, project_id, title, starts_at, ends_at) "
        "VALUES (%s, %s, %s, 'c', now(), now())", calendar, w, project,
    )  # fmt: skip
    if project:
        await furnish_memory(app, w, project, memory)
    return {"task": task, "other": other, "agent": agent, "calendar": calendar, "memory": memory}


async def furnish_memory(app: Connection, w: UUID, p: UUID, observation: UUID) -> None:
    """A row in each table of a project's memory; its session, its event and its observation share an id."""
    o, job = observation, f"evt_{observation.hex * 2}"
    for statement, *params in (
        ("memory_settings (workspace_id, project_id) VALUES (%s, %s)", w, p),
        ("memory_usage (workspace_id, project_id, day) VALUES (%s, %s, '2026-01-01')", w, p),
        ("memory_terms (workspace_id, project_id, term, documents) VALUES (%s, %s, 'parser', 1)", w, p),
        ("memory_forgettings (workspace_id, project_id, kind, target) VALUES (%s, %s, 'session', %s)", w, p, o),
        ("memory_sessions (workspace_id, project_id, id, key) VALUES (%s, %s, %s, %s)", w, p, o, o.hex),
        ("memory_jobs (workspace_id, project_id, id, kind, source_type, source_id) "
         "VALUES (%s, %s, %s, 'event', 'agent_event', 's')", w, p, job),
        ("memory_job_events (workspace_id, project_id, job_id, to_status, attempt) "
         "VALUES (%s, %s, %s, 'queued', 0)", w, p, job),
        ("agent_events (workspace_id, project_id, id, session_id, type, adapter, payload, occurred_at) "
         "VALUES (%s, %s, %s, %s, 't', 'a', '{}', now())", w, p, o, o),
        ("observations (workspace_id, project_id, id, type, title, content_hash) "
         "VALUES (%s, %s, %s, 't', 'o', 'h')", w, p, o),
        ("observation_sources VALUES (%s, %s, %s, %s)", w, p, o, o),
        ("observation_changes VALUES (%s, %s, %s, now(), '{}', '{}')", w, p, o),
        ("observation_words (workspace_id, project_id, observation_id, words, weights, terms, occurred_at) "
         "VALUES (%s, %s, %s, '{1}', '{1:0.5}/1000000000', '{parser}', now())", w, p, o),
        ("memory_embeddings (workspace_id, project_id, observation_id, model, content_hash, embedding) "
         "VALUES (%s, %s, %s, 'm', 'h', '[1,2,3]')", w, p, o),
    ):  # fmt: skip
        await run(app, f"INSERT INTO {statement}", *params)


async def run(app: Connection, statement: str, *params: Any) -> int:
    """How many rows it touched."""
    return (await app.execute(statement.encode(), params or None)).rowcount


async def tenant_tables(url: str) -> list[str]:
    rows = await sql(
        url,
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') ORDER BY 1",
    )
    return [row[0] for row in rows if row[0] not in OPEN]


async def columns(url: str, table: str, right: str) -> list[str]:
    """Those the app has this right to, but for what the database fills in itself."""
    rows = await sql(
        url,
        "SELECT attname::text FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped "
        "AND attgenerated = '' AND attidentity = '' AND has_column_privilege('muster_app', attrelid, attnum, %s) "
        "ORDER BY attnum",
        (table, right),
    )
    return [row[0] for row in rows]


async def may(url: str, table: str, right: str) -> bool:
    rows = await sql(url, "SELECT has_table_privilege('muster_app', %s::regclass, %s)", (table, right))
    return bool(rows[0][0])


def named(statement: str, table: str, *names: str, **literals: Any) -> parts.Composed:
    return parts.SQL(statement).format(
        *map(parts.Identifier, (table, *names)), **{name: parts.Literal(value) for name, value in literals.items()}
    )
