"""What is recorded of agents that Muster ran itself, and which of them are not yet."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from muster.domain.agents import OutputLine
from muster.storage.database import Database

_CHUNKS = 8


async def recordable(db: Database, workspace_id: UUID, agent_id: UUID, *, runs: bool = False) -> dict[str, Any] | None:
    """An agent that has ended, or that runs, with what its task and project say; None when it has no project, does not
    (any more), or what it did is forgotten."""
    rows = await db.read(
        workspace_id,
        "SELECT jsonb_build_object('task_id', a.task_id, 'project_id', t.project_id, 'title', t.title, "
        "'prompt', t.prompt, 'memory', t.memory, 'attempt', a.attempt, 'runner', a.runner, 'status', a.status, "
        "'reason', a.reason, 'error', nullif(concat_ws(': ', a.error, CASE WHEN a.status = "
        "'killed' THEN nullif(a.kill_request ->> 'reason', '') END), ''), 'exit_code', a.exit_code, "
        "'result', a.result, 'output_lines', a.output_lines, 'created_at', a.created_at, 'started_at', a.started_at, "
        "'finished_at', a.finished_at, 'record_agents', coalesce(s.record_agents, true)) "
        "FROM agents a JOIN tasks t ON t.workspace_id = a.workspace_id AND t.id = a.task_id "
        "LEFT JOIN memory_settings s ON s.workspace_id = t.workspace_id AND s.project_id = t.project_id "
        "WHERE a.workspace_id = %s AND a.id = %s AND (a.finished_at IS NULL) = %s AND NOT a.forgotten "
        "AND t.project_id IS NOT NULL",
        (workspace_id, agent_id, runs),
    )
    found: dict[str, Any] | None = rows[0][0] if rows else None
    return found


async def close_session(db: Database, workspace_id: UUID, session_id: UUID) -> None:
    """It is over, and nothing is to be made of it. Repeating it changes nothing."""
    await db.query(
        workspace_id,
        "UPDATE memory_sessions SET ended_at = clock_timestamp(), version = version + 1 "
        "WHERE workspace_id = %s AND id = %s AND ended_at IS NULL",
        (workspace_id, session_id),
    )


async def unrecorded(db: Database, *, seconds: float, limit: int) -> list[tuple[UUID, UUID]]:
    """Workspace and agent of those that ended so many seconds ago, or more, and have no session that ended."""
    rows = await db.across("SELECT workspace_id, agent_id FROM chores_unrecorded(%s, %s)", (seconds, limit))
    return [(row[0], row[1]) for row in rows]


async def output(db: Database, workspace_id: UUID, agent_id: UUID, *, after: int) -> list[OutputLine]:
    """The next chunks of its lines, above `after`; empty at the end."""
    rows = await db.read(
        workspace_id,
        "SELECT lines FROM agent_output WHERE workspace_id = %s AND agent_id = %s AND first_line > %s "
        "ORDER BY first_line LIMIT %s",
        (workspace_id, agent_id, after, _CHUNKS),
    )
    return [OutputLine(n=n, stream=stream, at=at, text=text) for (lines,) in rows for n, stream, at, text in lines]
