"""Reads of tasks. What changes them is in moves.py."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from muster.domain.errors import NotFound
from muster.domain.states import TaskStatus
from muster.storage import pages
from muster.storage.database import Database, Who, workspace_of


async def get(db: Database, who: Who, task_id: UUID) -> dict[str, Any]:
    rows = await db.read(
        who,
        "SELECT task_json(t) FROM tasks t WHERE workspace_id = %s AND id = %s",
        (workspace_of(who), task_id),
    )
    if not rows:
        raise NotFound(f"there is no task {task_id}")
    task: dict[str, Any] = rows[0][0]
    return task


async def get_with_agents(db: Database, who: Who, task_id: UUID) -> dict[str, Any]:
    """The task, its agents in `agents` (latest first, at most 100) and its subtasks' ids and states."""
    rows = await db.read(
        who,
        "SELECT task_json(t), "
        "(SELECT coalesce(jsonb_agg(agent_json(a) ORDER BY a.attempt DESC), '[]') FROM ("
        "   SELECT * FROM agents WHERE workspace_id = t.workspace_id AND task_id = t.id"
        "   ORDER BY attempt DESC LIMIT 100) a), "
        "(SELECT coalesce(jsonb_agg(jsonb_build_object('id', c.id, 'title', c.title, 'status', c.status) "
        "        ORDER BY c.created_at, c.id), '[]') FROM ("
        "   SELECT * FROM tasks WHERE workspace_id = t.workspace_id AND parent_id = t.id"
        "   ORDER BY created_at, id LIMIT 1000) c) "
        "FROM tasks t WHERE workspace_id = %s AND id = %s",
        (workspace_of(who), task_id),
    )
    if not rows:
        raise NotFound(f"there is no task {task_id}")
    task, agents, subtasks = rows[0]
    return {**task, "agents": agents, "subtasks": subtasks}


async def foredoomed(db: Database, who: Who, task_id: UUID) -> str | None:
    """Why another attempt would fail at once: what it waits for has failed, and is not tried again."""
    rows = await db.read(
        who,
        "SELECT 'it stands for', x.id, x.title, x.finished_at FROM tasks t JOIN tasks x "
        "ON x.workspace_id = t.workspace_id AND x.parent_id = t.id AND x.status = 'failed' "
        "WHERE t.workspace_id = %s AND t.id = %s AND t.runner IS NULL "
        "UNION ALL SELECT 'it depends on', x.id, x.title, x.finished_at FROM task_dependencies d JOIN tasks x "
        "ON x.workspace_id = d.workspace_id AND x.id = d.depends_on_id AND x.status = 'failed' "
        "WHERE d.workspace_id = %s AND d.task_id = %s ORDER BY finished_at LIMIT 1",
        (workspace_of(who), task_id, workspace_of(who), task_id),
    )
    return "{} task {} ({}), which failed: retry that first".format(*rows[0]) if rows else None


async def page(
    db: Database,
    who: Who,
    *,
    status: list[TaskStatus] | None = None,
    project_id: UUID | None = None,
    parent_id: UUID | None = None,
    labels: list[str] | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> tuple[list[dict[str, Any]], str | None]:
    """Newest first. Several labels: tasks that have them all."""
    at, last = pages.after(cursor)
    rows = await db.read(
        who,
        # Spelt out as literals by the driver, so the planner sees which filters are there.
        "SELECT task_json(t) FROM tasks t WHERE workspace_id = %s "
        "AND (%s::task_status[] IS NULL OR status = ANY (%s::task_status[])) "
        "AND (%s::uuid IS NULL OR project_id = %s::uuid) AND (%s::uuid IS NULL OR parent_id = %s::uuid) "
        "AND (%s::text[] IS NULL OR labels @> %s::text[]) "
        "AND (%s::timestamptz IS NULL OR (created_at, id) < (%s::timestamptz, %s::uuid)) "
        "ORDER BY created_at DESC, id DESC LIMIT %s",
        (workspace_of(who), status, status, project_id, project_id, parent_id, parent_id, labels, labels, at, at, last,
         limit + 1),
    )  # fmt: skip
    return pages.page(rows, limit)


async def queue(db: Database, who: Who, limit: int) -> dict[str, Any]:
    """The workspace's queue in the order it is served, with how full the workspace is."""
    rows = await db.read(
        who,
        "SELECT w.max_concurrent_agents, "
        "(SELECT count(*) FROM agents WHERE workspace_id = w.id AND status IN ('spawning', 'running')), "
        "(SELECT count(*) FROM tasks WHERE workspace_id = w.id AND queued_at IS NOT NULL), "
        "(SELECT coalesce(jsonb_agg(task_json(t) ORDER BY t.priority DESC, t.created_at, t.id), '[]') FROM ("
        "   SELECT * FROM tasks WHERE workspace_id = w.id AND queued_at IS NOT NULL"
        "   ORDER BY priority DESC, created_at, id LIMIT %s) t) "
        "FROM workspaces w WHERE w.id = %s",
        (limit, workspace_of(who)),
    )
    if not rows:
        raise NotFound(f"there is no workspace {workspace_of(who)}")
    most, active, waiting, items = rows[0]
    return {"max_concurrent_agents": most, "active_agents": active, "waiting": waiting, "items": items}


async def visible(db: Database, who: Who, task_ids: Collection[UUID]) -> set[UUID]:
    """Those of them that are there, and within reach."""
    rows = await db.read(
        who, "SELECT id FROM tasks WHERE workspace_id = %s AND id = ANY (%s)", (workspace_of(who), list(task_ids))
    )
    return {row[0] for row in rows}


async def counts(db: Database, who: Who) -> dict[str, dict[str, int]]:
    """How many tasks and agents are in each state."""
    rows = await db.read(
        who,
        "SELECT 'tasks', status::text, count(*) FROM tasks WHERE workspace_id = %s GROUP BY status "
        "UNION ALL SELECT 'agents', status::text, count(*) FROM agents WHERE workspace_id = %s GROUP BY status",
        (workspace_of(who), workspace_of(who)),
    )
    found: dict[str, dict[str, int]] = {"tasks": {}, "agents": {}}
    for what, status, number in rows:
        found[what][status] = number
    return found
