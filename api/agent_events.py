"""What agents did: sent here, kept as it came but for what is private, and made into observations."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request
from pydantic import Field, JsonValue

from api import answers
from api.answers import Cursor, Json, Limit, Shown, problems
from api.auth import needs, router_of
from api.bodies import Straight
from api.context import Context, asking
from api.idempotency import Answer, IdempotencyKey, Sent, once
from muster.domain.errors import MusterError
from muster.domain.memory import (
    EVENT_EXAMPLE,
    FINAL_JOB,
    MAX_BATCH,
    ErrorClass,
    JobKind,
    JobOutcome,
    JobStatus,
    NewEvent,
)
from muster.domain.privacy import as_json
from muster.domain.tasks import Spec, Text
from muster.domain.tenants import Scope, Tenant
from muster.storage import agent_events
from muster.storage.agent_events import Recorded

router = router_of("memory")
router.route_class = Straight
reading = router_of("memory")

BATCH_PATH = "/v1/agent-events/batch"
MAX_BATCH_BYTES = 8 * 1024 * 1024
MAX_WAIT = 30.0
_FIRST_LOOK, _LAST_LOOK = 0.05, 0.5
_FINAL = frozenset(str(status) for status in FINAL_JOB)


class JobBrief(Shown):
    """What is to be made of it, and how far that is."""

    id: str
    kind: JobKind
    status: JobStatus
    attempts: int
    outcome: JobOutcome | None = Field(description="`nothing`: looked at, and nothing of it was worth keeping.")
    observations: int | None
    error_class: ErrorClass | None
    error: str | None


class RecordedItem(Shown):
    id: UUID | None = Field(description="null: its project excludes it, and nothing of it is stored.")
    project_id: UUID
    session_id: UUID
    job_id: str | None
    job: JobBrief | None = Field(description="null: it was stored alone.")
    repeated: bool = Field(description="It was here already, under this id.")
    excluded: str | None = Field(
        description="The project's glob that it met; `its call`: that was excluded before, and this answers it."
    )
    removed: dict[str, int] = Field(
        description="What was taken out before it was stored, and how often.", examples=[{"private": 1}]
    )


class RecordedEvent(RecordedItem):
    wait_timed_out: bool = Field(description="What was waited for was not done in time.")


class RecordedBatch(Shown):
    items: list[RecordedItem] = Field(description="In the order in which they were sent.")
    jobs: list[JobBrief]
    recorded: int
    repeated: int
    excluded: int
    wait_timed_out: bool


class AgentEvent(Shown):
    id: UUID
    workspace_id: UUID
    project_id: UUID
    session_id: UUID
    job_id: str | None
    type: str
    adapter: str
    source_id: str | None = Field(description="Its id where it came from.")
    occurred_at: datetime
    received_at: datetime
    payload: JsonValue
    metadata: dict[str, JsonValue] | None


class AgentEventDetail(AgentEvent):
    job: JobBrief | None
    observations: list[UUID] = Field(description="Those that were made of it.")


class NewEvents(Spec, json_schema_extra={"examples": [{"events": [EVENT_EXAMPLE]}]}):
    events: list[NewEvent] = Field(min_length=1, max_length=MAX_BATCH)


Array = Annotated[list[NewEvent], Field(min_length=1, max_length=MAX_BATCH)]
Generate = Annotated[bool, Query(description="Whether observations are to be made of it; false stores it alone.")]
Wait = Annotated[
    float,
    Query(
        ge=0, le=MAX_WAIT, allow_inf_nan=False, description="Seconds to wait until what is to be made of it is made."
    ),
]


@router.post(
    "/agent-events",
    operation_id="record_event",
    openapi_extra=needs(Scope.MEMORY_WRITE),
    summary="Record what an agent did",
    status_code=201,
    response_model=RecordedEvent,
    responses={
        **answers.replayed(RecordedEvent, 201, done="It was here already, or is excluded"),
        **problems(409, 413, 415),
    },
)
async def record_event(
    request: Request, event: NewEvent, generate: Generate = True, wait: Wait = 0.0, key: IdempotencyKey = None
) -> Any:
    """The event and its job are recorded together, or neither is. The same event sent again has the same id: by
    `source.event_id`, else by all that it says.

    Before it is stored, text in `<private>…</private>` and whatever looks like a secret is taken out of it; one that
    touches a path or a tool that its project excludes is not stored at all, nor is what answers it."""
    here, tenant = await asking(request)

    async def work(_: Sent | None = None) -> Answer:
        (recorded,) = await here.recorder.record(tenant, [event], generate=generate, request_id=tenant.actor.request_id)
        jobs, timed_out = await _follow(here, tenant, [recorded], wait)
        body = _item(recorded, jobs) | {"wait_timed_out": timed_out}
        if recorded.id is None or recorded.repeated:
            return Answer(200, body)
        return Answer(201, body, f"/v1/agent-events/{recorded.id}")

    if key is None:
        return _answer(await work())
    return await once(here, tenant, request, key, event, work)


@router.post(
    "/agent-events/batch",
    operation_id="record_events",
    openapi_extra=needs(Scope.MEMORY_WRITE),
    summary="Record many, all or none",
    status_code=201,
    response_model=RecordedBatch,
    responses={
        **answers.replayed(RecordedBatch, 201, done="All were here already, or are excluded"),
        **problems(409, 413, 415),
    },
)
async def record_events(
    request: Request,
    events: NewEvents | Array,
    generate: Generate = True,
    wait: Wait = 0.0,
    key: IdempotencyKey = None,
) -> Any:
    """1 to 500 events, of one or several sessions, in one transaction: if one of them cannot be recorded, none is. What
    is new of a session has one job. The body may be the array itself."""
    here, tenant = await asking(request)
    sent = events.events if isinstance(events, NewEvents) else events

    async def work(_: Sent | None = None) -> Answer:
        recorded = await here.recorder.record(
            tenant, sent, generate=generate, batch=True, request_id=tenant.actor.request_id
        )
        jobs, timed_out = await _follow(here, tenant, recorded, wait)
        new = sum(one.id is not None and not one.repeated for one in recorded)
        excluded = sum(one.id is None for one in recorded)
        body = {
            "items": [_item(one, jobs) for one in recorded],
            "jobs": list(jobs.values()),
            "recorded": new,
            "repeated": len(recorded) - new - excluded,
            "excluded": excluded,
            "wait_timed_out": timed_out,
        }
        return Answer(201 if new else 200, body)

    if key is None:
        return _answer(await work())
    named = NewEvents.model_construct(events=sent)
    return await once(here, tenant, request, key, named, work)


@reading.get(
    "/agent-events",
    operation_id="list_agent_events",
    openapi_extra=needs(Scope.MEMORY_READ),
    summary="A session's events, the latest first",
    response_model=answers.Page[AgentEvent],
    responses=problems(),
)
async def list_agent_events(
    request: Request,
    session: Annotated[UUID, Query(description="Of this session.")],
    kind: Annotated[Text | None, Query(alias="type", max_length=100, description="Of this type.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Any:
    here, tenant = await asking(request)
    items, following = await agent_events.page(here.db, tenant, session, kind=kind, cursor=cursor, limit=limit)
    return Json({"items": items, "next_cursor": following})


@reading.get(
    "/agent-events/{event_id}",
    operation_id="get_agent_event",
    openapi_extra=needs(Scope.MEMORY_READ),
    summary="An event, its job, and what was made of it",
    response_model=AgentEventDetail,
    responses=problems(404),
)
async def get_agent_event(request: Request, event_id: UUID) -> Any:
    here, tenant = await asking(request)
    return Json(await agent_events.get(here.db, tenant, event_id))


router.routes += reading.routes


def _item(recorded: Recorded, jobs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    job_id = recorded.job["id"] if recorded.job else None
    return {
        "id": str(recorded.id) if recorded.id else None,
        "project_id": str(recorded.project_id),
        "session_id": str(recorded.session_id),
        "job_id": job_id,
        "job": jobs[job_id] if job_id else None,
        "repeated": recorded.repeated,
        "excluded": recorded.removed.excluded,
        "removed": recorded.removed.kinds,
    }


class _Quick(Json):
    def render(self, content: Any) -> bytes:
        return as_json(content)


def _answer(answer: Answer) -> Json:
    return _Quick(answer.body, answer.status, {"Location": answer.location} if answer.location else None)


async def _follow(
    here: Context, tenant: Tenant, recorded: Sequence[Recorded], wait: float
) -> tuple[dict[str, dict[str, Any]], bool]:
    """Have their jobs taken up; they as they stand, and whether they were waited for in vain."""
    jobs: dict[str, dict[str, Any]] = {}
    places: set[tuple[UUID, UUID]] = set()
    for one in recorded:
        if one.job is not None:
            jobs[one.job["id"]] = one.job
            if one.job["status"] not in _FINAL:
                places.add((one.project_id, one.session_id))
    for project_id, session_id in places:
        here.pokes.poke(tenant.workspace_id, project_id, session_id, at_once=wait > 0)
    return await wait_for(here, tenant, jobs, wait)


async def wait_for(
    here: Context, tenant: Tenant, jobs: dict[str, dict[str, Any]], seconds: float
) -> tuple[dict[str, dict[str, Any]], bool]:
    """Look at them now and then, until they are done or the time is over."""
    open_jobs = [name for name, job in jobs.items() if job["status"] not in _FINAL]
    if not open_jobs or not seconds:
        return jobs, False
    loop = asyncio.get_running_loop()
    until, pause = loop.time() + seconds, _FIRST_LOOK
    while open_jobs and (left := until - loop.time()) > 0:
        await asyncio.sleep(min(pause, left))
        pause = min(pause * 1.5, _LAST_LOOK)
        try:
            jobs |= await agent_events.jobs(here.db, tenant, open_jobs)
        except MusterError:
            continue  # they are recorded, whatever becomes of the waiting
        open_jobs = [name for name in open_jobs if jobs[name]["status"] not in _FINAL]
    return jobs, bool(open_jobs)
