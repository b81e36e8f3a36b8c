"""Forgetting, for good and in every table: an observation, a session, all of an agent's, a task's or a project's, and
what a project keeps for a time only.

Each step is one transaction of bounded size (0023_finished_forgetting.sql), so nothing else waits long for it. The
first writes down what was asked for, the last takes that out: what breaks off on the way is gone on with.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal, LiteralString, NamedTuple
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from muster.domain import words
from muster.domain.errors import MusterError, NotFound, Unavailable
from muster.domain.tenants import Tenant
from muster.storage.database import Database, Who, workspace_of

Kind = Literal["session", "agent", "task", "project"]

TABLES = (
    "memory_sessions", "agent_events", "memory_jobs", "memory_job_events", "observations", "observation_sources",
    "observation_words", "memory_embeddings", "memory_terms", "memory_settings",
)  # fmt: skip
"""What may go, as it is counted."""

_NOBODY = UUID(int=0)
STEP = 5_000
"""Events in one transaction: some tenths of a second."""
_AGAIN = 5
"""Times that a step is tried which met another transaction half-way."""


@dataclass
class Forgotten:
    deleted: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TABLES, 0))
    complete: bool = True
    """Whether nothing is left of what was to go."""
    anew: list[tuple[UUID, UUID]] = field(default_factory=list)
    """Projects and sessions of theirs that have something to make anew."""

    def add(self, step: dict[str, Any]) -> None:
        for table, count in step["deleted"].items():
            self.deleted[table] = self.deleted.get(table, 0) + count
        self.anew += [(UUID(project), UUID(session)) for project, session in step["anew"]]
        self.complete = not step["more"]

    def include(self, other: Forgotten) -> None:
        for table, count in other.deleted.items():
            self.deleted[table] = self.deleted.get(table, 0) + count
        self.anew += other.anew
        self.complete = self.complete and other.complete


async def observation(db: Database, who: Who, observation_id: UUID, *, events: bool = True) -> Forgotten:
    """`events`: with those that nothing else was made of."""
    step = await _step(db, who, "SELECT memory_forget_observation(%s, %s, %s)", observation_id, events)
    if step is None or not step["deleted"].get("observations"):  # or somebody forgot it in this moment
        raise NotFound(f"there is no observation {observation_id}")
    found = Forgotten()
    found.add(step)
    return found


async def everything_of(
    db: Database, who: Who, kind: Kind, target: UUID, *, seconds: float | None = None, step: int = STEP
) -> Forgotten:
    """All that is remembered of one by now. `seconds`: after which it stops, and a sweep goes on."""
    return await _until(lambda asked: _forget(db, who, kind, target, step, asked=asked), seconds)


class Unfinished(NamedTuple):
    """What somebody asked for, and did not come to the end of."""

    workspace_id: UUID
    project_id: UUID | None
    """What who asked is held to. None: nothing."""
    kind: Kind
    target: UUID


async def unfinished(db: Database, *, seconds: float) -> list[Unfinished]:
    """In all workspaces: what nobody has gone on with for so long."""
    return [Unfinished(*row) for row in await db.across("SELECT * FROM chores_forgettings(%s)", (seconds,))]


async def go_on(db: Database, found: Unfinished, *, seconds: float, step: int = STEP) -> Forgotten:
    """With what was there when it was asked for; what came since stays."""
    bound = Tenant(found.workspace_id, _NOBODY, project_id=found.project_id)
    who = bound if found.project_id else found.workspace_id
    return await _until(lambda _: _forget(db, who, found.kind, found.target, step, asked=False), seconds)


async def _forget(db: Database, who: Who, kind: Kind, target: UUID, step: int, *, asked: bool) -> dict[str, Any] | None:
    places = Jsonb(await _places(db, who, kind, target))
    return await _step(db, who, "SELECT memory_forget(%s, %s, %s, %s, %s, %s)", kind, target, step, asked, places)


async def _places(db: Database, who: Who, kind: Kind, target: UUID) -> list[dict[str, Any]]:
    """What others' observations are found by for having been seen there, as `memory_unseen` takes it. Of a project,
    all goes."""
    if kind == "project":
        return []
    sessions = await db.read(who, _SESSIONS[kind], (workspace_of(who), target))
    found = {(project, term) for project, *ids in sessions for term in words.place_terms(None, *ids)}
    return [
        {"project": str(project), "term": term, "word": words.word(project, term)} for project, term in sorted(found)
    ]


_SESSIONS: dict[Kind, LiteralString] = {
    "session": "SELECT project_id, id, task_id, agent_id FROM memory_sessions WHERE workspace_id = %s AND id = %s",
    "agent": "SELECT project_id, id, task_id, agent_id FROM memory_sessions WHERE workspace_id = %s AND agent_id = %s",
    "task": "SELECT s.project_id, s.id, s.task_id, s.agent_id FROM memory_sessions s "
    "LEFT JOIN agents a ON a.workspace_id = s.workspace_id AND a.id = s.agent_id "
    "WHERE s.workspace_id = %s AND %s IN (s.task_id, a.task_id)",
}


async def expired(
    db: Database, who: Who, project_id: UUID, *, seconds: float | None = None, step: int = STEP
) -> Forgotten:
    """What the project's settings say is kept no longer."""
    return await _until(lambda _: _step(db, who, "SELECT memory_expire(%s, %s, %s)", project_id, step), seconds)


async def settings(db: Database, who: Who, project_id: UUID) -> int:
    """How a project remembers: back to the defaults."""
    rows = await db.query(
        who,
        "DELETE FROM memory_settings WHERE workspace_id = %s AND project_id = %s RETURNING 1",
        (workspace_of(who), project_id),
    )
    return len(rows)


_THERE: dict[str, LiteralString] = {
    "session": "SELECT 1 FROM memory_sessions WHERE workspace_id = %s AND id = %s",
    "agent": "SELECT 1 FROM agents WHERE workspace_id = %s AND id = %s",
    "task": "SELECT 1 FROM tasks WHERE workspace_id = %s AND id = %s",
}


async def must_exist(db: Database, who: Who, kind: Literal["session", "agent", "task"], target: UUID) -> None:
    if not await db.read(who, _THERE[kind], (workspace_of(who), target)):
        raise NotFound(f"there is no {kind} {target}")


async def remembers(db: Database, who: Who, project_id: UUID) -> bool:
    """Whether there is anything of this project."""
    ours = (workspace_of(who), project_id)
    rows = await db.read(
        who,
        "SELECT EXISTS (SELECT 1 FROM memory_sessions WHERE workspace_id = %s AND project_id = %s) "
        "OR EXISTS (SELECT 1 FROM observations WHERE workspace_id = %s AND project_id = %s)",
        (*ours, *ours),
    )
    return bool(rows[0][0])


async def with_retention(db: Database, who: Who) -> list[UUID]:
    """Projects that keep what they remember for a time only."""
    rows = await db.read(
        who,
        "SELECT project_id FROM memory_settings WHERE workspace_id = %s AND retain_days IS NOT NULL ORDER BY 1",
        (workspace_of(who),),
    )
    return [row[0] for row in rows]


async def with_retention_anywhere(db: Database) -> list[tuple[UUID, UUID]]:
    """Of all workspaces: each with a project."""
    return [(row[0], row[1]) for row in await db.across("SELECT * FROM chores_memory_retention()")]


async def _until(step: Callable[[bool], Awaitable[dict[str, Any] | None]], seconds: float | None) -> Forgotten:
    """`step` is told whether it is the first."""
    found, began, first = Forgotten(complete=False), time.monotonic(), True
    while not found.complete:
        done = await step(first)
        first = False
        assert done is not None  # noqa: S101 - nothing left is an answer too
        found.add(done)
        if seconds is not None and time.monotonic() - began > seconds:
            break
    return found


async def _step(db: Database, who: Who, call: LiteralString, *params: Any) -> dict[str, Any] | None:
    for _ in range(_AGAIN):
        try:
            rows = await db.query(who, call, (workspace_of(who), *params))
            answer: dict[str, Any] | None = rows[0][0]
            return answer
        except Unavailable as error:
            # Two that forget, or one that forgets and one that remembers, met half-way; one of them was let go on.
            if not isinstance(error.__cause__, psycopg.errors.DeadlockDetected):
                raise
            last: MusterError = error
    raise last
