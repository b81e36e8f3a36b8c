"""Recording: what agents run by Muster did becomes events of a session of their own, by itself.

An agent is recorded once it has ended, from what is stored of it: nothing of this can delay or fail it, an agent that
was killed or lost is recorded like any other, and done twice it is the same session and the same events. What a worker
could not record before it went away, the sweep finds. Of one that runs for long, what it did first is recorded on the
way, as the same events.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from activities.patience import patiently
from muster.domain.errors import MusterError
from muster.domain.memory import NewEvent, NewSession, Source
from muster.domain.rules.json import flattened
from muster.domain.rules.text import clipped
from muster.domain.states import AgentStatus
from muster.domain.tasks import MemoryWish
from muster.domain.transcripts import Piece, Transcript
from muster.storage import agent_events, recording, sessions
from muster.storage.database import Database

log = logging.getLogger(__name__)

PLATFORM = "muster"

ALONG_SECONDS = 30.0
"""Between two looks at agents that run."""
_AT_ONCE = 2
_TEXT_CHARS = 64_000
_MOMENT = timedelta(microseconds=1)
_WORDS = 60
_JOB_EVENTS = 200
_SWEPT_SECONDS = 30.0
_SWEPT = 200

Poking = Callable[[UUID, UUID, UUID | None], None]


@dataclass
class _Running:
    """An agent that runs here, and how far it is recorded."""

    workspace_id: UUID
    began: float = field(default_factory=time.monotonic)
    transcript: Transcript = field(default_factory=Transcript)
    after: int = 0
    told: bool = False
    """That it runs, and what it was asked for."""


class Recording:
    def __init__(self, db: Database, poke: Poking) -> None:
        self._db, self._poke, self._recorder = db, poke, agent_events.Recorder(db)
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._tasks: dict[UUID, asyncio.Task[None]] = {}
        self._running: dict[UUID, _Running] = {}
        self._looking: asyncio.Task[None] | None = None

    def began(self, workspace_id: UUID, agent_id: UUID) -> None:
        """An agent has, on this worker."""
        self._running[agent_id] = _Running(workspace_id)
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())

    def ended(self, workspace_id: UUID, agent_id: UUID) -> None:
        """An agent has. Returns at once."""
        self._running.pop(agent_id, None)
        if agent_id not in self._tasks:
            task = self._tasks[agent_id] = asyncio.create_task(self._beside(workspace_id, agent_id))
            task.add_done_callback(lambda _: self._tasks.pop(agent_id, None))

    async def close(self, seconds: float = 5.0) -> None:
        """What is not done by then is the sweep's."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait({self._looking})
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

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(ALONG_SECONDS)
            for agent_id, running in list(self._running.items()):
                if time.monotonic() - running.began < ALONG_SECONDS:
                    continue
                try:
                    goes_on = await self.along(agent_id, running)
                except Exception as error:  # it is recorded when it ends, whatever happens now
                    log.warning("agent %s is not recorded while it runs: %s", agent_id, error)
                    goes_on = False
                if not goes_on:
                    self._running.pop(agent_id, None)

    async def along(self, agent_id: UUID, running: _Running) -> bool:
        """What it did since the last look. False: there is no more to record on the way."""
        agent = await self._recordable(running.workspace_id, agent_id, runs=True)
        if agent is None:
            return False
        while lines := await recording.output(self._db, running.workspace_id, agent_id, after=running.after):
            running.transcript.feed(lines)
            running.after = lines[-1].n
        pieces = running.transcript.ready(datetime.now(UTC))
        if pieces or not running.told:
            project_id, session_id = await self._session(running.workspace_id, agent_id, agent)
            made = _Events(agent_id, agent, project_id, session_id)
            events = [made.started(), *map(made.piece, pieces)]
            await self._record(running.workspace_id, events)
            running.told = True
            self._poke(running.workspace_id, project_id, session_id)
        return not running.transcript.is_full

    async def record(self, workspace_id: UUID, agent_id: UUID) -> UUID | None:
        """Its session; None when it is not to be recorded."""
        agent = await self._recordable(workspace_id, agent_id)
        if agent is None:
            return None
        project_id, session_id = await self._session(workspace_id, agent_id, agent)
        made, transcript, after = _Events(agent_id, agent, project_id, session_id), Transcript(), 0
        while agent["output_lines"] and (
            lines := await recording.output(self._db, workspace_id, agent_id, after=after)
        ):
            transcript.feed(lines)
            after = lines[-1].n
        result = transcript.kept_result(agent["result"])
        events = [made.started(), *map(made.piece, transcript.pieces()), *made.ended(result)]
        if _said_nothing(agent):
            # Nothing in it to think about, and a workflow that did would cost more than the life that it is about.
            await self._record(workspace_id, events, generate=False)
            await recording.close_session(self._db, workspace_id, session_id)
            return session_id
        await self._record(workspace_id, events)
        await sessions.end(self._db, workspace_id, session_id)
        self._poke(workspace_id, project_id, session_id)
        return session_id

    async def _record(self, workspace_id: UUID, events: list[NewEvent], *, generate: bool = True) -> None:
        """In jobs of a size that is soon done. What is recorded already stays as it is."""
        for first in range(0, len(events), _JOB_EVENTS):
            await self._recorder.record(
                workspace_id, events[first : first + _JOB_EVENTS], batch=True, generate=generate
            )  # fmt: skip

    async def _recordable(self, workspace_id: UUID, agent_id: UUID, *, runs: bool = False) -> dict[str, Any] | None:
        agent = await recording.recordable(self._db, workspace_id, agent_id, runs=runs)
        wanted = agent and agent["record_agents"] and MemoryWish.model_validate(agent["memory"] or {}).record
        return agent if wanted else None

    async def _session(self, workspace_id: UUID, agent_id: UUID, agent: dict[str, Any]) -> tuple[UUID, UUID]:
        """Its project and its session."""
        session, _ = await sessions.start(
            self._db,
            workspace_id,
            NewSession(
                project=agent["project_id"],
                external_id=str(agent_id),
                platform=PLATFORM,
                title=agent["title"],
                agent_id=agent_id,
                task_id=UUID(agent["task_id"]),
                started_at=_when(agent, "started_at", "created_at"),
                metadata={"attempt": agent["attempt"], "runner": agent["runner"]["kind"]},
            ),
        )
        return UUID(agent["project_id"]), UUID(str(session["id"]))


class _Events:
    """What is recorded of an agent. The same events have the same ids, whenever they are recorded."""

    def __init__(self, agent_id: UUID, agent: dict[str, Any], project_id: UUID, session_id: UUID) -> None:
        self._agent_id, self._agent, self._project_id, self._session_id = agent_id, agent, project_id, session_id
        self._began = _when(agent, "started_at", "created_at")
        self._ended = _when(agent, "finished_at") if agent["finished_at"] else None

    def started(self) -> NewEvent:
        agent, argv = self._agent, self._agent["runner"].get("argv") or []
        told = {"title": agent["title"], "prompt": clipped(agent["prompt"] or "", _TEXT_CHARS) or None,
                "attempt": agent["attempt"], "runner": agent["runner"]["kind"],
                "argv": [clipped(word, 500) for word in argv[:_WORDS]]}  # fmt: skip
        return self._event("agent.started", "started", self._began, told)

    def piece(self, piece: Piece) -> NewEvent:
        # By the clock of another machine. What is told in the order of time begins with what was asked; what was
        # printed in one moment follows by its lines, before the end.
        at = max(self._began, piece.at) + (piece.first + piece.number) * _MOMENT
        latest = self._ended - _MOMENT if self._ended else at
        at = max(self._began + _MOMENT, min(at, latest))
        return self._event(piece.type, f"{piece.first}-{piece.last}/{piece.number}", at, piece.payload)

    def ended(self, result: Any) -> Iterator[NewEvent]:
        """`result`: what of it may be kept."""
        agent, ended = self._agent, self._ended or self._began
        if result is not None:
            yield self._event("agent.result", "result", ended, {"title": agent["title"], "result": result})
        end = {key: agent[key] for key in ("title", "status", "reason", "error", "exit_code")}
        seconds = round((ended - self._began).total_seconds(), 3)
        yield self._event("agent.ended", "ended", ended, {**end, "seconds": seconds})

    def _event(self, kind: str, name: str, at: datetime, payload: dict[str, Any]) -> NewEvent:
        about: dict[str, Any] = {
            "project": str(self._project_id), "session": self._session_id, "type": kind, "occurred_at": at,
            "source": Source(adapter=PLATFORM, event_id=f"{self._agent_id}/{name}"),
        }  # fmt: skip
        try:
            return NewEvent(**about, payload=payload)
        except ValidationError:  # an agent may print JSON that holds what we cannot store
            return NewEvent(**about, payload={"text": flattened(payload)})


def _said_nothing(agent: dict[str, Any]) -> bool:
    """It did what it was to do, and that is all there is to know."""
    return agent["status"] == AgentStatus.COMPLETED and not agent["output_lines"] and agent["result"] is None


def _when(agent: dict[str, Any], *names: str) -> datetime:
    return datetime.fromisoformat(next(agent[name] for name in names if agent[name]))
