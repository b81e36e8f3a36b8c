"""What the model is used, and may be: reserved before a call, settled after it."""

from __future__ import annotations

from datetime import date
from typing import Any, NamedTuple
from uuid import UUID

from muster.storage.database import Database, Who, workspace_of


class Reservation(NamedTuple):
    workspace_id: UUID
    project_id: UUID
    day: date
    tokens: int


class OverBudget(NamedTuple):
    """There is no room for it today."""

    of: str
    """`workspace` or `project`."""
    used: int
    cap: int
    reserved: int
    """Of what is used: by calls under way, or by ones that never came back."""


async def reserve(
    db: Database,
    workspace_id: UUID,
    project_id: UUID,
    tokens: int,
    *,
    workspace_cap: int | None = None,
    project_cap: int | None = None,
) -> Reservation | OverBudget:
    """Room for a call of at most so many tokens. `project_cap` is for projects that set none of their own."""
    found = await db.move(
        "SELECT memory_usage_reserve(%s, %s, %s, %s, %s)",
        (workspace_id, project_id, tokens, workspace_cap, project_cap),
    )
    if "refused" in found:
        return OverBudget(found["refused"], found["used"], found["cap"], found["reserved"])
    return Reservation(workspace_id, project_id, date.fromisoformat(found["day"]), tokens)


async def settle(db: Database, held: Reservation, *, calls: int, input_tokens: int, output_tokens: int) -> None:
    """What it did use, in place of what it might have. Counts for the day on which it was reserved."""
    await db.move(
        "SELECT memory_usage_settle(%s, %s, %s, %s, %s, %s, %s)",
        (held.workspace_id, held.project_id, held.day, held.tokens, calls, input_tokens, output_tokens),
    )


async def generator_of(db: Database, who: Who, project_id: UUID) -> str:
    """Which generator the project asks for: `rules`, `llm`, or the instance's `default`."""
    rows = await db.read(
        who,
        "SELECT generator FROM memory_settings WHERE workspace_id = %s AND project_id = %s",
        (workspace_of(who), project_id),
    )
    return str(rows[0][0]) if rows else "default"


async def days(db: Database, who: Who, project_id: UUID | None = None, *, count: int = 30) -> list[dict[str, Any]]:
    """Newest first."""
    rows = await db.read(
        who,
        "SELECT jsonb_build_object('day', day, 'calls', sum(calls), 'input_tokens', sum(input_tokens), "
        "'output_tokens', sum(output_tokens), 'reserved', sum(reserved)) FROM memory_usage "
        "WHERE workspace_id = %s AND (%s::uuid IS NULL OR project_id = %s::uuid) "
        "GROUP BY day ORDER BY day DESC LIMIT %s",
        (workspace_of(who), project_id, project_id, count),
    )
    return [row[0] for row in rows]
