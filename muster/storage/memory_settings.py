"""How a project remembers. A project without a row remembers by the defaults."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from muster.domain.errors import NotFound
from muster.storage import projects
from muster.storage.database import Database, Who, workspace_of


async def get(db: Database, who: Who, ref: str) -> dict[str, Any]:
    """By the project's id or slug."""
    project_id = (await projects.get(db, who, ref))["id"]
    rows = await db.read(
        who,
        "SELECT memory_settings_json(p.id, s) FROM projects p "
        "LEFT JOIN memory_settings s ON s.workspace_id = p.workspace_id AND s.project_id = p.id "
        "WHERE p.workspace_id = %s AND p.id = %s",
        (workspace_of(who), project_id),
    )
    if not rows:
        raise NotFound(f"there is no project {ref}")
    found: dict[str, Any] = rows[0][0]
    return found


DEFAULTS: dict[str, Any] = {
    "record_agents": True, "generator": "default", "batch_events": 50, "debounce_seconds": 1, "exclude_paths": [],
    "exclude_tools": [],
}  # fmt: skip
"""Of those that are never null."""

FREES = frozenset({"daily_tokens", "generator"})
"""What a lane may have been parked for, or a job put off. Both are tried again when that is another."""


async def update(db: Database, who: Who, ref: str, changed: dict[str, Any]) -> dict[str, Any]:
    """Only what `changed` names, so two writers of different fields do not undo each other."""
    project_id = UUID((await projects.get(db, who, ref))["id"])
    rows = await db.query(
        who,
        "INSERT INTO memory_settings AS s (workspace_id, project_id, record_agents, generator, batch_events, "
        "  debounce_seconds, exclude_paths, exclude_tools, retain_days, retain_importance, daily_tokens) "
        "SELECT %s, %s, coalesce(n.record_agents, true), coalesce(n.generator, 'default'), "
        "  coalesce(n.batch_events, 50), coalesce(n.debounce_seconds, 1), coalesce(n.exclude_paths, '{}'), "
        "  coalesce(n.exclude_tools, '{}'), n.retain_days, n.retain_importance, n.daily_tokens "
        "FROM (SELECT %s::jsonb AS c) c, jsonb_populate_record(NULL::memory_settings, c.c) n "
        "ON CONFLICT (workspace_id, project_id) DO UPDATE SET "
        "  (record_agents, generator, batch_events, debounce_seconds, exclude_paths, exclude_tools, retain_days, "
        "   retain_importance, daily_tokens) = (SELECT m.record_agents, m.generator, m.batch_events, "
        "   m.debounce_seconds, m.exclude_paths, m.exclude_tools, m.retain_days, m.retain_importance, m.daily_tokens "
        "   FROM jsonb_populate_record(s, %s::jsonb) m), "
        "  version = s.version + 1, updated_at = clock_timestamp() "
        "RETURNING memory_settings_json(s.project_id, s)",
        (workspace_of(who), project_id, Jsonb(changed), Jsonb(changed)),
    )
    if FREES & set(changed):
        await db.query(
            who,
            "WITH freed AS (DELETE FROM memory_lanes WHERE workspace_id = %s AND project_id = %s) "
            "UPDATE memory_jobs SET not_before = NULL WHERE workspace_id = %s AND project_id = %s "
            "AND finished_at IS NULL AND not_before IS NOT NULL",
            (workspace_of(who), project_id, workspace_of(who), project_id),
        )
    found: dict[str, Any] = rows[0][0]
    return found
