"""Memory's jobs: taken up and done by workers through the functions of 0011_jobs.sql, looked at and moved by people."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from psycopg.types.json import Jsonb

from muster.domain.errors import NotFound
from muster.domain.memory import (
    PARKS,
    RETRYABLE,
    DrainRequest,
    ErrorClass,
    Event,
    GenerationFailed,
    JobKind,
    Look,
    NewObservation,
)  # fmt: skip
from muster.storage.database import Database, Who, workspace_of
from muster.storage.pages import BadCursor

Row = dict[str, Any]

MAX_REQUEUED = 10_000
"""Jobs that one request queues again."""
COUNTED = 10_000
"""A rate or a number of failures is counted no further: whoever looks learns that it is many."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """Jobs that were taken up together, and what they are about."""

    jobs: list[str]
    events: list[Event]
    observations: list[NewObservation]
    session: Row | None
    batch_events: int
    held: str | None
    """Why there are none: the lane is paused, or parked, or rests."""
    wait_seconds: float | None = None
    """For how long it rests, since its provider wants to be left alone."""
    earlier: list[Event] = field(default_factory=list)
    """What happened right before, and was worked on already."""

    def of(self, jobs: list[str]) -> Claimed:
        """These of them alone."""
        return replace(self, jobs=jobs, events=[event for event in self.events if event.job_id in jobs])

    def halves(self) -> list[Claimed]:
        middle = len(self.jobs) // 2
        return [self.of(self.jobs[:middle]), self.of(self.jobs[middle:])]


class Done(NamedTuple):
    id: str
    observations: int
    note: str | None
    concludes: bool = False
    """It tells of the session to its end."""


class Completed(NamedTuple):
    completed: int
    stored: int
    lost: int
    """Jobs that somebody else holds now, or has done."""


class Place(NamedTuple):
    """Where there is something to do."""

    workspace_id: UUID
    project_id: UUID
    session_id: UUID | None


@dataclass(frozen=True, slots=True)
class Filter:
    project_id: UUID | None = None
    session_id: UUID | None = None
    kind: JobKind | None = None
    statuses: list[str] = field(default_factory=list)
    error_class: str | None = None


# -- What workers do -----------------------------------------------------------------------------------------------


async def look(db: Database, workspace_id: UUID, project_id: UUID, session_id: UUID | None) -> Look:
    found = await db.read_call("SELECT memory_look(%s, %s, %s)", (workspace_id, project_id, session_id))
    return Look.model_validate(found)


async def claim(db: Database, request: DrainRequest, token: UUID, *, take_over: bool = False) -> Claimed:
    """The next ones. `take_over`: with those that an earlier claim left behind."""
    found = await db.move(
        "SELECT memory_claim(%s, %s, %s, %s, %s, %s)",
        (request.workspace_id, request.project_id, request.session_id, request.kind, token, take_over),
    )
    return Claimed(
        jobs=found.get("jobs") or [],
        events=[Event.model_validate(event) for event in found.get("events") or []],
        observations=[NewObservation.model_validate(row) for row in found.get("observations") or []],
        session=found.get("session"),
        batch_events=found.get("batch_events") or 1,
        held=found["held"],
        wait_seconds=found.get("wait_seconds"),
        earlier=[Event.model_validate(event) for event in found.get("earlier") or []],
    )


async def complete(
    db: Database,
    workspace_id: UUID,
    project_id: UUID,
    token: UUID,
    done: list[Done],
    rows: list[Row],
    *,
    summarised: int | None = None,
) -> Completed:
    """`rows`: of storage.observations.as_row, each with the job that made it."""
    found = await db.move(
        "SELECT memory_complete(%s, %s, %s, %s, %s, %s)",
        (workspace_id, project_id, token, Jsonb([job._asdict() for job in done]), Jsonb(rows), summarised),
    )
    return Completed(found["completed"], found["stored"], found["lost"])


async def fail(
    db: Database,
    workspace_id: UUID,
    project_id: UUID,
    token: UUID,
    jobs: list[str],
    error: GenerationFailed,
    *,
    base_seconds: float,
    until: datetime | None = None,
) -> float:
    """Answers for how many seconds it is no use to try the like. `until`: what a park waits for."""
    fate = "park" if error.kind in PARKS else "retry" if error.kind in RETRYABLE else "final"
    found = await db.move(
        "SELECT memory_fail(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            workspace_id, project_id, token, jobs, error.kind, error.message.replace("\0", "")[:2000], fate,
            base_seconds, error.retry_after, until,
        ),
    )  # fmt: skip
    return float(found["wait_seconds"] or 0)


async def release(db: Database, workspace_id: UUID, token: UUID, jobs: list[str]) -> None:
    await db.move("SELECT memory_release(%s, %s, %s)", (workspace_id, token, jobs))


async def roll(
    db: Database, workspace_id: UUID, project_id: UUID, session_id: UUID, *, every: int, job: str, source: str
) -> bool:
    """Whether a long session has got a job for a summary on the way."""
    made: Any = await db.move(
        "SELECT memory_roll(%s, %s, %s, %s, %s, %s)", (workspace_id, project_id, session_id, every, job, source)
    )
    return bool(made)


async def overdue(db: Database, *, seconds: float, after: UUID, limit: int) -> list[Place]:
    """Across tenants: where jobs should have been taken up, or finished, so long ago; those after an id."""
    rows = await db.across(
        "SELECT workspace_id, project_id, session_id FROM chores_memory(%s, %s, %s)", (seconds, after, limit)
    )
    return [Place(*row) for row in rows]


# -- What people do ------------------------------------------------------------------------------------------------


async def page(
    db: Database, who: Who, wanted: Filter, *, cursor: str | None = None, limit: int = 50
) -> tuple[list[Row], str | None]:
    at, last = _after(cursor)
    rows = await db.read(
        who,
        "SELECT job_json(j) FROM memory_jobs j WHERE workspace_id = %s "
        "AND (%s::uuid IS NULL OR project_id = %s::uuid) AND (%s::uuid IS NULL OR session_id = %s::uuid) "
        "AND (%s::text IS NULL OR kind = %s::memory_job_kind) "
        "AND (%s::text[] IS NULL OR status = ANY (%s::text[]::memory_job_status[])) "
        "AND (%s::text IS NULL OR error_class = %s::text) "
        "AND (%s::timestamptz IS NULL OR (created_at, id) < (%s::timestamptz, %s::text)) "
        "ORDER BY created_at DESC, id DESC LIMIT %s",
        (
            workspace_of(who), wanted.project_id, wanted.project_id, wanted.session_id, wanted.session_id, wanted.kind,
            wanted.kind, wanted.statuses or None, wanted.statuses or None, wanted.error_class, wanted.error_class,
            at, at, last, limit + 1,
        ),
    )  # fmt: skip
    items = [row[0] for row in rows[:limit]]
    if len(rows) <= limit:
        return items, None
    key = json.dumps([items[-1]["created_at"], items[-1]["id"]])
    return items, base64.urlsafe_b64encode(key.encode()).decode()


def _after(cursor: str | None) -> tuple[str | None, str | None]:
    if cursor is None:
        return None, None
    try:
        at, last = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is None or not isinstance(last, str) or not last.isascii() or "\0" in last:
            raise ValueError(cursor)
        return moment.astimezone(UTC).isoformat(), last
    except (ValueError, TypeError, AttributeError, OverflowError, binascii.Error, RecursionError):
        raise BadCursor("this cursor did not come from here") from None


async def get(db: Database, who: Who, job: str) -> Row:
    """With its history, oldest first."""
    rows = await db.read(
        who,
        "SELECT job_json(j) || jsonb_build_object("
        "  'events', (SELECT count(*) FROM agent_events e WHERE e.workspace_id = j.workspace_id AND e.job_id = j.id), "
        "  'history', coalesce((SELECT jsonb_agg(jsonb_build_object('at', h.at, 'from_status', h.from_status, "
        "      'to_status', h.to_status, 'attempt', h.attempt, 'detail', h.detail) ORDER BY h.id) "
        "    FROM (SELECT * FROM memory_job_events h WHERE h.workspace_id = j.workspace_id AND h.job_id = j.id "
        "          ORDER BY h.id DESC LIMIT 200) h), '[]')) "
        "FROM memory_jobs j WHERE j.workspace_id = %s AND j.id = %s",
        (workspace_of(who), job),
    )
    if not rows:
        raise NotFound(f"there is no job {job}")
    found: Row = rows[0][0]
    return found


async def retry(db: Database, who: Who, job: str) -> Row:
    row: Row = (await db.query(who, "SELECT memory_job_retry(%s)", (job,)))[0][0]
    return row


async def cancel(db: Database, who: Who, job: str) -> Row:
    row: Row = (await db.query(who, "SELECT memory_job_cancel(%s)", (job,)))[0][0]
    return row


async def requeue(db: Database, who: Who, wanted: Filter) -> tuple[int, list[Place]]:
    """How many, and where."""
    asked = {
        "project_id": str(wanted.project_id) if wanted.project_id else None,
        "session_id": str(wanted.session_id) if wanted.session_id else None,
        "kind": wanted.kind,
        "status": wanted.statuses[0] if len(wanted.statuses) == 1 else None,
        "error_class": wanted.error_class,
    }
    kept = {name: value for name, value in asked.items() if value is not None}
    rows = await db.query(who, "SELECT memory_jobs_requeue(%s, %s)", (Jsonb(kept), MAX_REQUEUED))
    found = rows[0][0]
    return found["requeued"], [_place(workspace_of(who), *place) for place in found["places"]]


async def switch(db: Database, who: Who, kind: JobKind, *, paused: bool, reason: str | None) -> None:
    """Pause a lane, or let it go on: then also where it was parked, and what was put off."""
    await db.query(
        who,
        # Who pauses what is paused, and says nothing, takes back nothing that was said.
        "SELECT memory_lane_switch(%s, %s, coalesce(%s::text, (SELECT reason FROM memory_lanes WHERE %s "
        "AND workspace_id = %s AND kind = %s AND project_id IS NULL AND paused)))",
        (kind, paused, reason, paused, workspace_of(who), kind),
    )
    if not paused:
        await db.query(
            who,
            "UPDATE memory_jobs SET not_before = NULL WHERE workspace_id = %s AND kind = %s AND finished_at IS NULL "
            "AND not_before IS NOT NULL",
            (workspace_of(who), kind),
        )


async def places(
    db: Database, who: Who, kind: JobKind | None = None, *, project_id: UUID | None = None, limit: int = 1000
) -> list[Place]:
    """Where jobs wait: of a lane, of a project."""
    rows = await db.read(
        who,
        "SELECT DISTINCT project_id, session_id FROM memory_jobs WHERE workspace_id = %s "
        "AND (%s::memory_job_kind IS NULL OR kind = %s::memory_job_kind) "
        "AND (%s::uuid IS NULL OR project_id = %s::uuid) AND finished_at IS NULL LIMIT %s",
        (workspace_of(who), kind, kind, project_id, project_id, limit),
    )
    return [Place(workspace_of(who), *row) for row in rows]


async def lanes(db: Database, who: Who) -> list[Row]:
    """Each lane: whether it moves, what is in it, how fast it goes, what failed."""
    rows = await db.read(
        who,
        "SELECT jsonb_build_object('kind', k.kind, 'paused', coalesce(l.paused, false), 'reason', l.reason, "
        "  'parked', coalesce(l.parked, '[]'), 'queued', coalesce(o.queued, 0), "
        "  'processing', coalesce(o.processing, 0), 'waiting', coalesce(o.waiting, 0), "
        "  'retrying', coalesce(r.retrying, '{}'), 'oldest_seconds', o.oldest_seconds, "
        "  'completed_last_minute', c.minute, 'completed_last_hour', c.hour, "
        "  'failed_last_day', coalesce(f.failed, '{}')) "
        "FROM unnest(enum_range(NULL::memory_job_kind)) AS k (kind) "
        "LEFT JOIN (SELECT kind, bool_or(paused) AS paused, max(reason) FILTER (WHERE paused) AS reason, "
        "    jsonb_agg(jsonb_build_object('project_id', project_id, 'until', parked_until, 'reason', reason) "
        "      ORDER BY parked_until) FILTER (WHERE parked_until > now()) AS parked "
        "  FROM memory_lanes WHERE workspace_id = %s GROUP BY kind) l ON l.kind = k.kind "
        "LEFT JOIN (SELECT kind, count(*) FILTER (WHERE status = 'queued') AS queued, "
        "    count(*) FILTER (WHERE status = 'processing') AS processing, "
        "    count(*) FILTER (WHERE not_before > now()) AS waiting, "
        "    round(extract(epoch FROM now() - min(created_at)), 1) AS oldest_seconds "
        "  FROM memory_jobs WHERE workspace_id = %s AND finished_at IS NULL GROUP BY kind) o "
        "  ON o.kind = k.kind "
        "LEFT JOIN (SELECT kind, jsonb_object_agg(error_class, number) AS retrying FROM (SELECT kind, error_class, "
        "    count(*) AS number FROM memory_jobs WHERE workspace_id = %s AND finished_at IS NULL "
        "      AND error_class IS NOT NULL GROUP BY 1, 2) x GROUP BY 1) r ON r.kind = k.kind "
        "LEFT JOIN LATERAL (SELECT count(*) FILTER (WHERE finished_at > now() - interval '1 minute') AS minute, "
        "    count(*) AS hour FROM (SELECT kind, finished_at FROM memory_jobs WHERE workspace_id = %s "
        "      AND outcome IS NOT NULL AND finished_at > now() - interval '1 hour' "
        "      ORDER BY finished_at DESC LIMIT %s) x WHERE x.kind = k.kind) c ON true "
        "LEFT JOIN LATERAL (SELECT jsonb_object_agg(class, number) AS failed FROM ("
        "    SELECT coalesce(error_class, 'internal') AS class, count(*) AS number FROM ("
        "      SELECT kind, error_class FROM memory_jobs WHERE workspace_id = %s AND status = 'failed' "
        "        AND finished_at IS NOT NULL AND outcome IS NULL "
        "        AND finished_at > now() - interval '1 day' ORDER BY finished_at DESC LIMIT %s) x "
        "    WHERE x.kind = k.kind GROUP BY 1) y) f ON true ORDER BY k.kind",
        (*[workspace_of(who)] * 4, COUNTED, workspace_of(who), COUNTED),
    )
    return [row[0] for row in rows]


def failed_with(error: Exception) -> GenerationFailed:
    """What went wrong, as a class of errors that says what to do about it."""
    if isinstance(error, GenerationFailed):
        return error
    return GenerationFailed(ErrorClass.INTERNAL, f"{type(error).__name__}: {error}"[:2000])


def _place(workspace_id: UUID, project_id: str, session_id: str | None) -> Place:
    return Place(workspace_id, UUID(project_id), UUID(session_id) if session_id else None)
