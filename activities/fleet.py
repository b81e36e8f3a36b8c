"""What is done to a whole workspace: open it, close it, end all its agents."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from uuid import UUID

from temporalio import activity

from activities.budgets import Budgets
from activities.messages import Messages
from activities.patience import patiently
from muster.domain.fleet import Admit, EndAgents, Ending, LimitsChanged
from muster.domain.states import FINAL_AGENT, AgentStatus
from muster.domain.tasks import KillAllResult, KillAllStart, KillWish
from muster.storage import agents, fleet, moves
from muster.storage.database import Database
from muster.storage.mirror import Mirror

_ASKING_SECONDS = 10.0
"""How long one look goes on asking. What it did not come to is for the next."""
_LOOK_SECONDS = 0.1


class FleetActivities:
    def __init__(self, db: Database, mirror: Mirror, messages: Messages, budgets: Budgets) -> None:
        self._db, self._mirror, self._messages, self._budgets = db, mirror, messages, budgets

    @activity.defn
    async def admit_workspace(self, admit: Admit) -> None:
        changes = await moves.admit_workspace(self._db, admit.workspace_id, admit.by, admit.admission, admit.reason)
        self._messages.spread(changes)

    @activity.defn
    async def apply_limits(self, changed: LimitsChanged) -> None:
        """What the sweep does, without waiting for it."""
        self._messages.spread(await moves.fill_workspace(self._db, changed.workspace_id))
        await self._budgets.look(changed.workspace_id)

    @activity.defn
    async def end_agents(self, request: EndAgents) -> Ending:
        """Tell whoever is still active to end, and watch them a moment."""
        workspace_id = request.workspace_id
        found = await fleet.active(self._db, workspace_id)
        asked = list(request.asked)
        if found.closed:
            known, wish, until = set(asked), KillWish(**request.request.model_dump()), _in(_ASKING_SECONDS)
            tell = [agent_id for agent_id in found.active if request.remind and agent_id in known]
            for agent_id in found.active:
                if agent_id not in known and time.monotonic() < until:
                    changes = await moves.ask_kill(self._db, workspace_id, request.by, agent_id, wish)
                    await self._mirror.apply(changes)
                    asked.append(agent_id)
                    tell.append(agent_id)
            await self._messages.killed_all(workspace_id, tell)
            until = _in(request.seconds)
            while found.active and found.closed and time.monotonic() < until:
                await asyncio.sleep(_LOOK_SECONDS)
                found = await fleet.active(self._db, workspace_id)
        ends = await fleet.ends(self._db, workspace_id, asked)
        return Ending(
            admission=found.admission,
            asked=asked,
            left=len(found.active),
            killed=ends.get(AgentStatus.KILLED, 0),
            ended=ends.get(AgentStatus.COMPLETED, 0) + ends.get(AgentStatus.FAILED, 0),
        )

    @activity.defn
    async def kill_agents(self, start: KillAllStart) -> KillAllResult:
        """Ask all of a workspace's agents to end, and wait until they have."""
        details = activity.info().heartbeat_details
        if details:  # a worker died over it: go on with the same agents, not with those that came since
            asked = [UUID(item) for item in details[0]]
        else:
            asked = await agents.active(self._db, start.workspace_id)
        activity.heartbeat([str(item) for item in asked])
        wish = KillWish(**start.request.model_dump())
        for agent_id in asked:
            changes = await patiently(
                lambda agent_id=agent_id: moves.ask_kill(  # type: ignore[misc]
                    self._db, start.workspace_id, start.by, agent_id, wish
                )
            )
            await self._mirror.apply(changes)
        await self._messages.killed_all(start.workspace_id, asked)
        beat = asyncio.create_task(_beat([str(item) for item in asked]))
        try:
            while True:
                ends = await patiently(lambda: agents.statuses(self._db, start.workspace_id, asked))
                if all(status in FINAL_AGENT for status in ends):
                    break
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            beat.cancel()
        killed = sum(status == AgentStatus.KILLED for status in ends)
        return KillAllResult(asked=len(asked), killed=killed, ended=len(asked) - killed)


def _in(seconds: float) -> float:
    return time.monotonic() + seconds


async def _beat(details: Any) -> None:
    while True:
        await asyncio.sleep(5)
        activity.heartbeat(details)
