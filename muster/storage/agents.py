"""Agents: reads, and the output they wrote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from muster.domain.agents import OutputLine
from muster.domain.errors import Fenced, NotFound
from muster.domain.states import AgentStatus
from muster.domain.tenants import Tenant
from muster.storage import pages
from muster.storage.database import Database, Who, workspace_of


async def get(db: Database, who: Who, agent_id: UUID) -> dict[str, Any]:
    project_id, task_id = (who.project_id, who.task_id) if isinstance(who, Tenant) else (None, None)
    agent: dict[str, Any] | None = await db.read_call(
        "SELECT agent_read(%s, %s, %s, %s)", (workspace_of(who), project_id, task_id, agent_id)
    )
    if agent is None:
        raise NotFound(f"there is no agent {agent_id}")
    return agent


async def page(
    db: Database,
    who: Who,
    *,
    status: list[AgentStatus] | None = None,
    task_id: UUID | None = None,
    project_id: UUID | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> tuple[list[dict[str, Any]], str | None]:
    """Newest first."""
    at, last = pages.after(cursor)
    rows = await db.read(
        who,
        "SELECT agent_json(a) FROM agents a WHERE workspace_id = %s "
        "AND (%s::agent_status[] IS NULL OR status = ANY (%s::agent_status[])) "
        "AND (%s::uuid IS NULL OR task_id = %s::uuid) "
        "AND (%s::uuid IS NULL OR EXISTS (SELECT 1 FROM tasks t WHERE t.workspace_id = a.workspace_id "
        "     AND t.id = a.task_id AND t.project_id = %s::uuid)) "
        "AND (%s::timestamptz IS NULL OR (created_at, id) < (%s::timestamptz, %s::uuid)) "
        "ORDER BY created_at DESC, id DESC LIMIT %s",
        (workspace_of(who), status, status, task_id, task_id, project_id, project_id, at, at, last, limit + 1),
    )
    return pages.page(rows, limit)


async def active(db: Database, who: Who) -> list[UUID]:
    """Whoever holds a slot, oldest first."""
    rows = await db.read(
        who,
        "SELECT id FROM agents WHERE workspace_id = %s AND status IN ('spawning', 'running') ORDER BY created_at, id",
        (workspace_of(who),),
    )
    return [row[0] for row in rows]


async def job(db: Database, workspace_id: UUID, agent_id: UUID) -> dict[str, Any]:
    """What a worker needs to run it: runner, prompt, title, memory, status, kill_request, max_output_bytes."""
    rows = await db.query(
        workspace_id,
        "SELECT jsonb_build_object('runner', a.runner, 'prompt', t.prompt, 'title', t.title, 'memory', t.memory, "
        "'status', a.status, 'project_id', t.project_id, 'kill_request', a.kill_request, "
        "'max_output_bytes', w.max_output_bytes) "
        "FROM agents a JOIN tasks t ON t.workspace_id = a.workspace_id AND t.id = a.task_id "
        "JOIN workspaces w ON w.id = a.workspace_id "
        "WHERE a.workspace_id = %s AND a.id = %s",
        (workspace_id, agent_id),
    )
    if not rows:
        raise NotFound(f"there is no agent {agent_id}")
    found: dict[str, Any] = rows[0][0]
    return found


async def append_output(
    db: Database, workspace_id: UUID, agent_id: UUID, worker: str, lines: Sequence[OutputLine], *, truncated: bool
) -> None:
    """Keep a chunk of output. Repeating it changes nothing; an agent that does not run may not write (Fenced)."""
    first, last = lines[0].n, lines[-1].n
    kept = [[line.n, line.stream, line.at.isoformat(), line.text] for line in lines]
    rows = await db.query(
        workspace_id,
        # Locking the row makes the fence hold: whoever ends the agent waits for this, or is seen by it.
        "WITH a AS (UPDATE agents SET output_lines = greatest(output_lines, %s), "
        "                             output_truncated = output_truncated OR %s "
        "           WHERE workspace_id = %s AND id = %s AND status = 'running' AND worker = %s RETURNING id), "
        "kept AS (INSERT INTO agent_output (workspace_id, agent_id, first_line, last_line, lines) "
        "         SELECT %s, a.id, %s, %s, %s FROM a ON CONFLICT DO NOTHING) "
        "SELECT id FROM a",
        (last, truncated, workspace_id, agent_id, worker, workspace_id, first, last, Jsonb(kept)),
    )
    if not rows:
        raise Fenced(f"agent {agent_id} does not run here any more")


async def output(db: Database, who: Who, agent_id: UUID, *, after: int, limit: int) -> tuple[list[OutputLine], str]:
    """Lines numbered above `after`, at most `limit`, and the agent's status at that moment."""
    rows = await db.read(
        who,
        "SELECT a.status::text, o.lines FROM agents a LEFT JOIN LATERAL ("
        "   SELECT first_line, lines FROM agent_output WHERE workspace_id = a.workspace_id AND agent_id = a.id "
        "   AND last_line > %s ORDER BY first_line LIMIT 200) o ON true "
        "WHERE a.workspace_id = %s AND a.id = %s ORDER BY o.first_line",
        (after, workspace_of(who), agent_id),
    )
    if not rows:
        raise NotFound(f"there is no agent {agent_id}")
    lines: list[OutputLine] = []
    for _, chunk in rows:
        for n, stream, at, text in chunk or ():
            if n > after:
                if len(lines) == limit:
                    return lines, rows[0][0]
                lines.append(OutputLine(n=n, stream=stream, at=at, text=text))
    return lines, rows[0][0]


async def statuses(db: Database, workspace_id: UUID, agent_ids: Sequence[UUID]) -> list[AgentStatus]:
    rows = await db.read(
        workspace_id,
        "SELECT status::text FROM agents WHERE workspace_id = %s AND id = ANY (%s)",
        (workspace_id, list(agent_ids)),
    )
    return [AgentStatus(row[0]) for row in rows]
