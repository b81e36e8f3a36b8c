"""What a workspace may use, and what it has used."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from muster.domain.errors import NotFound
from muster.storage.database import Database

DAYS = 30


async def read(db: Database, workspace_id: UUID) -> dict[str, Any]:
    """Of the whole workspace, whoever asks: its limits are shared by all that is in it."""
    rows = await db.read(
        workspace_id,
        "SELECT jsonb_build_object('workspace_id', w.id, 'workspace', w.slug, 'admission', w.admission, "
        "'admission_by', w.admission_by ->> 'user', 'admission_reason', w.admission_by ->> 'reason', "
        "'admission_since', w.admission_by ->> 'at', "
        "'active_agents', (SELECT count(*) FROM agents WHERE workspace_id = w.id "
        "                  AND status IN ('spawning', 'running')), "
        "'waiting_tasks', (SELECT count(*) FROM tasks WHERE workspace_id = w.id AND status = 'pending'), "
        "'limits', jsonb_build_object('max_concurrent_agents', w.max_concurrent_agents, "
        "   'max_waiting_tasks', w.max_waiting_tasks, 'requests_per_second', w.requests_per_second, "
        "   'max_body_bytes', w.max_body_bytes, 'max_output_bytes', w.max_output_bytes, "
        "   'daily_agent_seconds', w.daily_agent_seconds, 'weight', w.weight), "
        "'today', jsonb_build_object('day', x.today, 'agent_seconds', agent_seconds_today(w.id), "
        "   'agents', coalesce((SELECT agents FROM usage_days WHERE workspace_id = w.id AND day = x.today), 0)), "
        "'days', coalesce((SELECT jsonb_agg(jsonb_build_object('day', day, 'agents', agents, "
        "   'agent_seconds', agent_seconds) ORDER BY day DESC) FROM usage_days "
        "   WHERE workspace_id = w.id AND day > x.today - %s), '[]')) "
        "FROM workspaces w, (SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date AS today) x WHERE w.id = %s",
        (DAYS, workspace_id),
    )
    if not rows:
        raise NotFound(f"there is no workspace {workspace_id}")
    found: dict[str, Any] = rows[0][0]
    return found
