"""Sessions: the runs that events happen in."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request
from pydantic import Field, JsonValue

from api import answers
from api.agent_events import JobBrief, Wait, wait_for
from api.answers import Cursor, Json, Limit, Shown, problems
from api.auth import needs, router_of
from api.bodies import Lenient
from api.context import asking
from api.idempotency import Answer, IdempotencyKey, Sent, once
from muster.domain.memory import NewSession
from muster.domain.tasks import Text
from muster.domain.tenants import Scope
from muster.storage import projects, sessions

router = router_of("memory")
router.route_class = Lenient


class Session(Shown):
    id: UUID
    workspace_id: UUID
    project_id: UUID
    external_id: str | None
    platform: str
    title: str | None
    agent_id: UUID | None = Field(description="The agent of Muster's that it is.")
    task_id: UUID | None
    metadata: dict[str, JsonValue]
    events: int = Field(description="Recorded so far.")
    summarised: int = Field(description="Of them, when it was last summarised.")
    version: int
    started_at: datetime
    ended_at: datetime | None


class EndedSession(Session):
    job: JobBrief | None = Field(description="What summarises it.")
    wait_timed_out: bool = Field(description="The summary was waited for and not done in time.")


@router.post(
    "/sessions",
    operation_id="start_session",
    openapi_extra=needs(Scope.MEMORY_WRITE),
    summary="Begin a session, or find it",
    status_code=201,
    response_model=Session,
    responses={
        **answers.replayed(Session, 201, done="There is one of this external id on this platform already"),
        **problems(409, 413, 415),
    },
)
async def start_session(request: Request, session: NewSession, key: IdempotencyKey = None) -> Any:
    """Within a project a session is one by `platform` and `external_id`; without an external id, each is another. What
    an agent begins with its own token is a session of that agent."""
    here, tenant = await asking(request)
    if tenant.actor.agent_id is not None and session.agent_id is None:
        mine = {"agent_id": tenant.actor.agent_id, "task_id": session.task_id or tenant.task_id}
        session = session.model_copy(update=mine)

    async def work(sent: Sent) -> Answer:
        found, new = await sessions.start(here.db, tenant, session, session_id=sent.id)
        return Answer(201 if new else 200, found, f"/v1/sessions/{found['id']}" if new else None)

    return await once(here, tenant, request, key, session, work)


@router.post(
    "/sessions/{session_id}/end",
    operation_id="end_session",
    openapi_extra=needs(Scope.MEMORY_WRITE),
    summary="End a session, and have it summarised",
    response_model=EndedSession,
    responses={**answers.replayed(EndedSession, 200), **problems(404, 409)},
)
async def end_session(request: Request, session_id: UUID, wait: Wait = 0.0, key: IdempotencyKey = None) -> Any:
    """Said again it changes nothing, and answers with the same job. A session that goes on all the same may be ended,
    and is summarised, once more."""
    here, tenant = await asking(request)

    async def work(_: Sent) -> Answer:
        ended = await sessions.end(here.db, tenant, session_id, request_id=tenant.actor.request_id)
        job, project_id = ended["job"], UUID(ended["project_id"])
        jobs = {job["id"]: job} if job else {}
        here.pokes.poke(tenant.workspace_id, project_id, session_id, at_once=wait > 0)
        found, timed_out = await wait_for(here, tenant, jobs, wait)
        if wait:  # what it is like now
            ended |= await sessions.get(here.db, tenant, session_id)
        return Answer(200, ended | {"job": found[job["id"]] if job else None, "wait_timed_out": timed_out})

    return await once(here, tenant, request, key, None, work)


@router.get(
    "/sessions",
    operation_id="list_sessions",
    openapi_extra=needs(Scope.MEMORY_READ),
    summary="List sessions, the latest to begin first",
    response_model=answers.Page[Session],
    responses=problems(),
)
async def list_sessions(
    request: Request,
    project: Annotated[Text | None, Query(max_length=200, description="Id or slug.")] = None,
    agent: Annotated[UUID | None, Query(description="Of this agent.")] = None,
    task: Annotated[UUID | None, Query(description="Of this task's agents.")] = None,
    platform: Annotated[Text | None, Query(max_length=100)] = None,
    external_id: Annotated[Text | None, Query(max_length=500)] = None,
    ended: Annotated[bool | None, Query(description="Whether they have ended.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Any:
    here, tenant = await asking(request)
    project_id = await projects.resolve(here.db, tenant, project) if project is not None else None
    items, following = await sessions.page(
        here.db,
        tenant,
        project_id=project_id,
        agent_id=agent,
        task_id=task,
        platform=platform,
        external_id=external_id,
        ended=ended,
        cursor=cursor,
        limit=limit,
    )
    return Json({"items": items, "next_cursor": following})


@router.get(
    "/sessions/{session_id}",
    operation_id="get_session",
    openapi_extra=needs(Scope.MEMORY_READ),
    summary="A session",
    response_model=Session,
    responses=problems(404),
)
async def get_session(request: Request, session_id: UUID) -> Any:
    here, tenant = await asking(request)
    return Json(await sessions.get(here.db, tenant, session_id))
