"""Whether a workspace takes work, and what it runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from muster.domain.errors import NotFound, WorkspaceFull
from muster.domain.fleet import Admission
from muster.domain.states import AgentStatus
from muster.storage.database import Database, Who, workspace_of


class Fleet(NamedTuple):
    """In one snapshot: so whoever is active in a closed workspace was active when it was closed."""

    admission: Admission
    active: list[UUID]

    @property
    def closed(self) -> bool:
        return self.admission != Admission.OPEN


class Spender(NamedTuple):
    id: UUID
    told: bool
    """Somebody wants it gone already."""
    seconds: int
    """What the workspace may use in a day."""


async def active(db: Database, workspace_id: UUID) -> Fleet:
    rows = await db.read(
        workspace_id,
        "SELECT w.admission::text, ARRAY(SELECT id FROM agents a WHERE a.workspace_id = w.id "
        "AND a.status IN ('spawning', 'running') ORDER BY a.created_at, a.id) FROM workspaces w WHERE w.id = %s",
        (workspace_id,),
    )
    if not rows:
        raise NotFound(f"there is no workspace {workspace_id}")
    return Fleet(Admission(rows[0][0]), rows[0][1])


async def must_have_room(db: Database, workspace_id: UUID) -> None:
    """What the move refuses anyhow, told before there is a workflow that asks for it: whoever keeps asking for a slot
    would cost Temporal as much as whoever has one."""
    rows = await db.read(
        workspace_id,
        "SELECT max_concurrent_agents FROM workspaces w WHERE id = %s AND admission = 'open' AND NOT day_is_spent(w) "
        "AND max_concurrent_agents <= (SELECT count(*) FROM agents a WHERE a.workspace_id = w.id "
        "                              AND a.status IN ('spawning', 'running'))",
        (workspace_id,),
    )
    if rows:
        raise WorkspaceFull(f"the workspace runs {rows[0][0]} agents, as many as it may")


async def ends(db: Database, workspace_id: UUID, agent_ids: Sequence[UUID]) -> dict[AgentStatus, int]:
    """How many of these agents are in each state."""
    rows = await db.read(
        workspace_id,
        "SELECT status::text, count(*) FROM agents WHERE workspace_id = %s AND id = ANY (%s) GROUP BY status",
        (workspace_id, list(agent_ids)),
    )
    return {AgentStatus(status): number for status, number in rows}


async def over_budget(db: Database, workspace_id: UUID) -> list[Spender]:
    """Agents that still run though the day's seconds are spent, and were not told to end; or were, and should have
    ended long since: the message may be lost."""
    rows = await db.read(
        workspace_id,
        "SELECT a.id, a.kill_request IS NOT NULL, w.daily_agent_seconds FROM workspaces w "
        "JOIN agents a ON a.workspace_id = w.id AND a.status IN ('spawning', 'running') "
        "WHERE w.id = %s AND w.daily_agent_seconds IS NOT NULL AND day_is_spent(w) AND (a.kill_request IS NULL "
        "   OR a.updated_at < clock_timestamp() - make_interval("
        "       secs => 30 + (a.kill_request ->> 'grace_seconds')::double precision)) "
        "ORDER BY a.created_at, a.id",
        (workspace_id,),
    )
    return [Spender(*row) for row in rows]


async def may_be_spent(db: Database, workspace_id: UUID, seconds: float) -> bool:
    """Whether the day's seconds could be over that soon, if as many agents ran as may."""
    rows = await db.read(
        workspace_id,
        "SELECT daily_agent_seconds - agent_seconds_today(id) <= max_concurrent_agents * %s "
        "FROM workspaces WHERE id = %s AND daily_agent_seconds IS NOT NULL",
        (seconds, workspace_id),
    )
    return bool(rows and rows[0][0])


async def standing(db: Database, who: Who) -> dict[str, Any]:
    """Whether it takes work, who says so, and what it has."""
    rows = await db.read(
        workspace_of(who),
        "SELECT jsonb_build_object('workspace_id', w.id, 'workspace', w.slug, 'admission', w.admission, "
        "'by', w.admission_by ->> 'user', 'user_id', w.admission_by ->> 'user_id', "
        "'key_id', w.admission_by ->> 'key_id', 'reason', w.admission_by ->> 'reason', "
        "'since', w.admission_by ->> 'at', "
        "'active_agents', (SELECT count(*) FROM agents WHERE workspace_id = w.id "
        "                  AND status IN ('spawning', 'running')), "
        "'waiting_tasks', (SELECT count(*) FROM tasks WHERE workspace_id = w.id AND status = 'pending')) "
        "FROM workspaces w WHERE w.id = %s",
        (workspace_of(who),),
    )
    if not rows:
        raise NotFound(f"there is no workspace {workspace_of(who)}")
    found: dict[str, Any] = rows[0][0]
    return found
