"""Memory's jobs and lanes: what waits, what failed and why, and what a person does about it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Path, Query, Request
from pydantic import Field

from api import answers
from api.answers import Cursor, Json, Lane, Limit, Shown, problems
from api.auth import must_reach_all, needs, router_of
from api.context import Context, Row, asking
from api.idempotency import Answer, IdempotencyKey, Sent, once
from muster.domain.errors import Forbidden
from muster.domain.ids import memory_workflow_id
from muster.domain.memory import ErrorClass, JobKind, JobOutcome, JobStatus
from muster.domain.privacy import scrub_text
from muster.domain.tasks import Spec, Text
from muster.domain.tenants import Scope, Tenant
from muster.storage import jobs, projects
from muster.storage.jobs import Filter

router = router_of("memory")

JobId = Annotated[Text, Path(min_length=1, max_length=100, examples=["evt_" + "0" * 64])]
Kind = Annotated[JobKind, Path(description="The kind of its jobs.")]
Project = Annotated[Text | None, Query(min_length=1, max_length=200, description="Id or slug.")]
_ERROR_CLASS = "Jobs whose last failure was of this class."


class Job(Shown):
    """What is to be made of an event, of a batch of them, of a session, or of a project's vectors."""

    id: str = Field(description="Derived from what it is about: the same work has the same id.")
    workspace_id: UUID
    project_id: UUID
    session_id: UUID | None
    kind: JobKind
    source_type: str
    source_id: str
    status: JobStatus
    attempts: int = Field(description="Times it was taken up since it was last queued by a person.")
    max_attempts: int
    not_before: datetime | None = Field(description="After a failure: when it is tried again.")
    claimed_at: datetime | None
    outcome: JobOutcome | None = Field(description="`nothing`: looked at, and nothing of it was worth keeping.")
    observations: int | None
    note: str | None
    error_class: ErrorClass | None
    error: str | None
    request_id: str | None
    version: int
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    workflow_id: str = Field(description="In Temporal.")
    temporal_url: str | None = Field(description="Its page in the Temporal Web UI, when that is known.")


class JobMove(Shown):
    at: datetime
    from_status: JobStatus | None = Field(description="null: it was made.")
    to_status: JobStatus
    attempt: int
    detail: dict[str, Any]


class JobDetail(Job):
    events: int = Field(description="It is about so many.")
    history: list[JobMove] = Field(description="The last 200 moves, oldest first.")


class JobFilter(Spec, json_schema_extra={"examples": [{"kind": "event", "error_class": "rate_limit"}]}):
    """Failed and cancelled jobs, all or those that match."""

    project: Annotated[Text, Field(min_length=1, max_length=200)] | None = Field(
        default=None, description="Id or slug."
    )
    session: UUID | None = None
    kind: JobKind | None = None
    status: Literal["failed", "cancelled"] | None = None
    error_class: ErrorClass | None = Field(default=None, description=_ERROR_CLASS)


class Requeued(Shown):
    requeued: int = Field(description=f"At most {jobs.MAX_REQUEUED:,} at once: ask again until it is 0.")


class Lanes(Shown):
    items: list[Lane]


class LaneSwitch(Spec, json_schema_extra={"examples": [{"reason": "the model is being changed"}]}):
    reason: Annotated[Text, Field(min_length=1, max_length=1000)] | None = None


def _job(here: Context, row: Row) -> Row:
    of = row["session_id"] or row["project_id"]
    row["workflow_id"] = workflow_id = memory_workflow_id(row["workspace_id"], of)
    row["temporal_url"] = here.temporal_url(workflow_id)
    return row


async def _project(here: Context, tenant: Tenant, ref: str | None) -> UUID | None:
    return await projects.resolve(here.db, tenant, ref) if ref else None


def _poke(here: Context, row: Row) -> None:
    session = UUID(row["session_id"]) if row["session_id"] else None
    here.pokes.poke(UUID(row["workspace_id"]), UUID(row["project_id"]), session, anew=True)


@router.get(
    "/jobs",
    operation_id="list_jobs",
    openapi_extra=needs(Scope.MEMORY_READ),
    summary="List memory's jobs, newest first",
    response_model=answers.Page[Job],
    responses=problems(),
)
async def list_jobs(
    request: Request,
    project: Project = None,
    session: UUID | None = None,
    kind: JobKind | None = None,
    status: Annotated[list[JobStatus] | None, Query(description="May be repeated.")] = None,
    error_class: Annotated[ErrorClass | None, Query(description=_ERROR_CLASS)] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Any:
    here, tenant = await asking(request)
    wanted = Filter(
        project_id=await _project(here, tenant, project),
        session_id=session,
        kind=kind,
        statuses=[str(one) for one in status or ()],
        error_class=error_class,
    )
    items, following = await jobs.page(here.db, tenant, wanted, cursor=cursor, limit=limit)
    return Json({"items": [_job(here, row) for row in items], "next_cursor": following})


@router.get(
    "/jobs/{job}",
    operation_id="get_job",
    openapi_extra=needs(Scope.MEMORY_READ),
    summary="A job and its history",
    response_model=JobDetail,
    responses=problems(404),
)
async def get_job(request: Request, job: JobId) -> Any:
    here, tenant = await asking(request)
    return Json(_job(here, await jobs.get(here.db, tenant, job)))


def _for_people(tenant: Tenant) -> None:
    if tenant.task_id is not None:
        raise Forbidden("an agent does not decide what is remembered of it")


@router.post(
    "/jobs/{job}/retry",
    operation_id="retry_job",
    openapi_extra=needs(Scope.MEMORY_WRITE),
    summary="Queue a failed or cancelled job again",
    response_model=Job,
    responses={**answers.replayed(Job, 200), **problems(404, 409)},
)
async def retry_job(request: Request, job: JobId, key: IdempotencyKey = None) -> Any:
    here, tenant = await asking(request)
    _for_people(tenant)

    async def work(sent: Sent) -> Answer:
        row = await jobs.retry(here.db, tenant, job)
        _poke(here, row)
        return Answer(200, _job(here, row))

    return await once(here, tenant, request, key, None, work)


@router.post(
    "/jobs/{job}/cancel",
    operation_id="cancel_job",
    openapi_extra=needs(Scope.MEMORY_WRITE),
    summary="Cancel a job that is not done",
    response_model=Job,
    responses={**answers.replayed(Job, 200), **problems(404, 409)},
)
async def cancel_job(request: Request, job: JobId, key: IdempotencyKey = None) -> Any:
    """What is being made of it at this moment is dropped."""
    here, tenant = await asking(request)
    _for_people(tenant)

    async def work(sent: Sent) -> Answer:
        return Answer(200, _job(here, await jobs.cancel(here.db, tenant, job)))

    return await once(here, tenant, request, key, None, work)


@router.post(
    "/jobs/requeue",
    operation_id="requeue_jobs",
    openapi_extra=needs(Scope.MEMORY_WRITE),
    summary="Queue many failed or cancelled jobs again",
    response_model=Requeued,
    responses={**answers.replayed(Requeued, 200), **problems(409, 413, 415)},
)
async def requeue_jobs(request: Request, wanted: JobFilter, key: IdempotencyKey = None) -> Any:
    here, tenant = await asking(request)
    _for_people(tenant)

    async def work(sent: Sent) -> Answer:
        number, places = await jobs.requeue(
            here.db,
            tenant,
            Filter(
                project_id=await _project(here, tenant, wanted.project),
                session_id=wanted.session,
                kind=wanted.kind,
                statuses=[wanted.status] if wanted.status else [],
                error_class=wanted.error_class,
            ),
        )
        for place in places:
            here.pokes.poke(*place, anew=True)
        return Answer(200, {"requeued": number})

    return await once(here, tenant, request, key, wanted, work)


@router.get(
    "/memory/lanes",
    operation_id="list_lanes",
    openapi_extra=needs(Scope.MEMORY_READ),
    summary="Memory's lanes: depth, age, rates, failures",
    response_model=Lanes,
    responses=problems(),
)
async def list_lanes(request: Request) -> Any:
    here, tenant = await asking(request)
    return Json({"items": await jobs.lanes(here.db, tenant)})


async def _switched(here: Context, tenant: Tenant, kind: JobKind, *, paused: bool, reason: str | None) -> Answer:
    reason = scrub_text(reason) if reason else reason
    await jobs.switch(here.db, tenant, kind, paused=paused, reason=reason)
    if not paused:
        for place in await jobs.places(here.db, tenant, kind):
            here.pokes.poke(*place, anew=True)
    found = next(lane for lane in await jobs.lanes(here.db, tenant) if lane["kind"] == kind)
    return Answer(200, found)


@router.post(
    "/memory/lanes/{kind}/pause",
    operation_id="pause_lane",
    openapi_extra=needs(Scope.ADMIN),
    summary="Leave the jobs of one kind queued",
    response_model=Lane,
    responses={**answers.replayed(Lane, 200), **problems(409, 413, 415)},
)
async def pause_lane(request: Request, kind: Kind, switch: LaneSwitch | None = None, key: IdempotencyKey = None) -> Any:
    """What is being worked on at this moment is finished."""
    here, tenant = await asking(request)
    must_reach_all(tenant)

    async def work(sent: Sent) -> Answer:
        return await _switched(here, tenant, kind, paused=True, reason=switch.reason if switch else None)

    return await once(here, tenant, request, key, switch, work)


@router.post(
    "/memory/lanes/{kind}/resume",
    operation_id="resume_lane",
    openapi_extra=needs(Scope.ADMIN),
    summary="Work on the jobs of one kind again",
    response_model=Lane,
    responses={**answers.replayed(Lane, 200), **problems(409, 413, 415)},
)
async def resume_lane(
    request: Request, kind: Kind, switch: LaneSwitch | None = None, key: IdempotencyKey = None
) -> Any:
    """Also where a provider's quota or a budget had parked it."""
    here, tenant = await asking(request)
    must_reach_all(tenant)

    async def work(sent: Sent) -> Answer:
        return await _switched(here, tenant, kind, paused=False, reason=switch.reason if switch else None)

    return await once(here, tenant, request, key, switch, work)
