"""What looks across tenants: through the chores_… functions alone, which name things and show nothing of them."""

from __future__ import annotations

from typing import Literal, NamedTuple
from uuid import UUID

from muster.storage.database import Database

SWEEP_LOCK = 7_208_645_117_302
"""Advisory lock: of all workers, one sweeps at a time."""


class Log(NamedTuple):
    workspace_id: UUID
    position: int
    published: int


class QuietTask(NamedTuple):
    workspace_id: UUID
    task_id: UUID
    attempts: int
    agent_id: UUID | None
    needs: Literal["grant", "wake", "abort"] | None
    """The message that it should have had, and has not acted on."""


async def logs(db: Database) -> list[Log]:
    return [Log(*row) for row in await db.across("SELECT * FROM chores_logs()")]


async def quiet_tasks(db: Database, *, seconds: float, after: UUID | None, limit: int) -> list[QuietTask]:
    """Open tasks that nothing has touched for that long. Without `after`: those that need something. With it: all
    of them whose ids come after."""
    rows = await db.across(
        "SELECT workspace_id, task_id, attempts, agent_id, needs FROM chores_quiet_tasks(%s, %s, %s)",
        (seconds, after, limit),
    )
    return [QuietTask(*row) for row in rows]


async def remember_published(db: Database, workspace_id: UUID, position: int) -> None:
    await db.query(
        workspace_id,
        "UPDATE workspace_log SET published = %s WHERE workspace_id = %s AND published < %s",
        (position, workspace_id, position),
    )
