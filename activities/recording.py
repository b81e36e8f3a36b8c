"""Recording: what agents run by Muster did becomes events of a session of their own, by itself.

An agent is recorded once it has ended, from what is stored of it: nothing of this can delay or fail it, an agent that
was killed or lost is recorded like any other, and done twice it is the same session and the same events. What a worker
could not record before it went away, the sweep finds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from activities.patience import patiently
from muster.domain.errors import MusterError
from muster.domain.memory import NewEvent, NewSession, Source
from muster.domain.rules_json import flattened
from muster.domain.rules_text import clipped
from muster.domain.states import AgentStatus
from muster.domain.tasks import MemoryWish
from muster.domain.transcripts import Transcript
from muster.storage import agent_events, recording, sessions
from muster.storage.database import Database

log = logging.getLogger(__name__)

PLATFORM = "muster"

_AT_ONCE = 2
_TEXT_CHARS = 64_000
_WORDS = 60
_SWEPT_SECONDS = 30.0
_SWEPT = 200

Poking = Callable[[UUID, UUID, UUID | None], None]


class Recording:
    def __init__(self, db: Database, poke: Poking) -> None:
        self._db, self._poke, self._recorder = db, poke, agent_events.Recorder(db)
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._tasks: dict[UUID, asyncio.Task[None]] = {}

    def ended(self, workspace_id: UUID, agent_id: UUID) -> None:
        """An agent has. Returns at once."""
        if agent_id not in self._tasks:
            task = self._tasks[agent_id] = asyncio.create_task(self._beside(workspace_id, agent_id))
            task.add_done_callback(lambda _: self._tasks.pop(agent_id, None))

    async def close(self, seconds: float = 5.0) -> None:
        """What is not done by then is the sweep's."""
        if self._tasks:
            await asyncio.wait(set(self._tasks.values()), timeout=seconds)
        await self._recorder.close()

    async def catch_up(self) -> int:
        """Those whose recording was lost."""
        found = await recording.unrecorded(self._db, seconds=_SWEPT_SECONDS, limit=_SWEPT)
        for workspace_id, agent_id in found:
            self.ended(workspace_id, agent_id)
        return len(found)

    async def _beside(self, workspace_id: UUID, agent_id: UUID) -> None:
        try:
            async with self._slots:
                await patiently(lambda: self.record(workspace_id, agent_id))
        except MusterError as error:
            log.warning("agent %s is not recorded: %s", agent_id, error.message)
        except Exception:
            log.exception("agent %s is not recorded", agent_id)

    async def record(self, workspace_id: UUID, agent_id: UUID) -> UUID | None:
        """Its session; None when it is not to be recorded."""
        agent = await recording.recordable(self._db, workspace_id, agent_id)
        if agent is None or not agent["record_agents"]:
            return None
        if not MemoryWish.model_validate(agent["memory"] or {}).record:
            return None
        project_id = UUID(agent["project_id"])
        session, _ = await sessions.start(
            self._db,
            workspace_id,
            NewSession(
                project=str(project_id),
                external_id=str(agent_id),
                platform=PLATFORM,
                title=agent["title"],
                agent_id=agent_id,
                task_id=UUID(agent["task_id"]),
                started_at=_when(agent, "started_at", "created_at"),
                metadata={"attempt": agent["attempt"], "runner": agent["runner"]["kind"]},
            ),
        )
        session_id = UUID(str(session["id"]))
        events = await self._events(workspace_id, agent_id, agent, str(project_id), session_id)
        if _said_nothing(agent):
            # Nothing in it to think about, and a workflow that did would cost more than the life that it is about.
            await self._recorder.record(workspace_id, events, batch=True, generate=False)
            await recording.close_session(self._db, workspace_id, session_id)
            return session_id
        await self._recorder.record(workspace_id, events, batch=True)
        await sessions.end(self._db, workspace_id, session_id)
        self._poke(workspace_id, project_id, session_id)
        return session_id

    async def _events(
        self, workspace_id: UUID, agent_id: UUID, agent: dict[str, Any], project: str, session_id: UUID
    ) -> list[NewEvent]:
        def event(kind: str, name: str, at: datetime, payload: dict[str, Any]) -> NewEvent:
            about: dict[str, Any] = {
                "project": project, "session": session_id, "type": kind, "occurred_at": at,
                "source": Source(adapter=PLATFORM, event_id=f"{agent_id}/{name}"),
            }  # fmt: skip
            try:
                return NewEvent(**about, payload=payload)
            except ValidationError:  # an agent may print JSON that holds what we cannot store
                return NewEvent(**about, payload={"text": flattened(payload)})

        began, ended = _when(agent, "started_at", "created_at"), _when(agent, "finished_at", "created_at")
        argv = agent["runner"].get("argv") or []
        start = {"title": agent["title"], "prompt": clipped(agent["prompt"] or "", _TEXT_CHARS) or None,
                 "attempt": agent["attempt"], "runner": agent["runner"]["kind"],
                 "argv": [clipped(word, 500) for word in argv[:_WORDS]]}  # fmt: skip
        events = [event("agent.started", "started", began, start)]
        transcript, after = Transcript(), 0
        while agent["output_lines"] and (
            lines := await recording.output(self._db, workspace_id, agent_id, after=after)
        ):
            transcript.feed(lines)
            after = lines[-1].n
        for number, piece in enumerate(transcript.pieces()):
            at = max(began, min(piece.at, ended))  # by the clock of another machine
            events.append(event(piece.type, f"{piece.first}-{piece.last}/{number}", at, piece.payload))
        if agent["result"] is not None:
            events.append(event("agent.result", "result", ended, {"title": agent["title"], "result": agent["result"]}))
        end = {key: agent[key] for key in ("title", "status", "reason", "error", "exit_code")}
        seconds = round((ended - began).total_seconds(), 3)
        events.append(event("agent.ended", "ended", ended, {**end, "seconds": seconds}))
        return events


def _said_nothing(agent: dict[str, Any]) -> bool:
    """It did what it was to do, and that is all there is to know."""
    return agent["status"] == AgentStatus.COMPLETED and not agent["output_lines"] and agent["result"] is None


def _when(agent: dict[str, Any], *names: str) -> datetime:
    return datetime.fromisoformat(next(agent[name] for name in names if agent[name]))
