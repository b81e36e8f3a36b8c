"""Days that are nearly spent, watched closely: a sweep alone would let what runs use too much."""

from __future__ import annotations

import asyncio
import logging
import time
from uuid import UUID

from activities.messages import Messages
from muster.domain.errors import MusterError
from muster.domain.states import Reason
from muster.domain.tasks import KillWish
from muster.storage import fleet, moves
from muster.storage.database import Database
from muster.storage.mirror import Mirror

log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0


class Budgets:
    def __init__(self, db: Database, mirror: Mirror, messages: Messages, *, sweep_seconds: float) -> None:
        self._db, self._mirror, self._messages = db, mirror, messages
        self._ahead = 2 * sweep_seconds
        self._near: dict[UUID, float] = {}
        """Until when each is watched: longer than until somebody else notices it."""

    async def look(self, workspace_id: UUID) -> None:
        """Ends those that still run though the day's agent-seconds are spent, and watches it if they may be soon."""
        await self._end_over(workspace_id)
        if await fleet.may_be_spent(self._db, workspace_id, self._ahead):
            self._near[workspace_id] = time.monotonic() + self._ahead

    async def watch(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            now = time.monotonic()
            self._near = {workspace_id: until for workspace_id, until in self._near.items() if until > now}
            try:
                for workspace_id in list(self._near):
                    await self._end_over(workspace_id)
            except (MusterError, OSError) as error:
                log.debug("no look at budgets: %s", error)
            except Exception:
                log.exception("looking at budgets failed")

    async def _end_over(self, workspace_id: UUID) -> None:
        spent = await fleet.over_budget(self._db, workspace_id)
        for agent in spent:
            if not agent.told:
                why = f"the workspace has used its {agent.seconds} agent-seconds of today"
                wish = KillWish(reason=why, cause=Reason.BUDGET_EXCEEDED)
                await self._mirror.apply(await moves.ask_kill(self._db, workspace_id, None, agent.id, wish))
        await self._messages.killed_all(workspace_id, [agent.id for agent in spent])
