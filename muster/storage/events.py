"""The event log. Positions have no gaps and appear in order, so a reader only needs the last one it saw."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from muster.storage.database import Database, Who, workspace_of


async def after(
    db: Database,
    who: Who,
    position: int,
    *,
    limit: int = 500,
    task_id: UUID | None = None,
    agent_id: UUID | None = None,
    types: list[str] | None = None,
) -> list[dict[str, Any]]:
    rows = await db.read(
        who,
        "SELECT event_json(e) FROM events e WHERE workspace_id = %s AND position > %s "
        "AND (%s::uuid IS NULL OR task_id = %s::uuid) AND (%s::uuid IS NULL OR agent_id = %s::uuid) "
        "AND (%s::event_type[] IS NULL OR type = ANY (%s::event_type[])) ORDER BY position LIMIT %s",
        (workspace_of(who), position, task_id, task_id, agent_id, agent_id, types, types, limit),
    )
    return [row[0] for row in rows]


async def last_position(db: Database, who: Who) -> int:
    rows = await db.read(
        who, "SELECT position FROM workspace_log WHERE workspace_id = %s", (workspace_of(who),)
    )  # fmt: skip
    return rows[0][0] if rows else 0
