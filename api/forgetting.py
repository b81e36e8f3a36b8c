"""Forgetting: an observation, a session, an agent's, a task's, a project's memory, and what is kept for a time only."""

from __future__ import annotations

import time
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Query, Request
from pydantic import Field

from api.answers import Forgotten, Json, problems, replayed
from api.auth import must_reach_all, needs, router_of
from api.context import Context, Row, asking
from api.idempotency import Answer, IdempotencyKey, Sent, once
from api.projects import SECONDS, Ref
from muster.domain.errors import Forbidden
from muster.domain.tasks import Text
from muster.domain.tenants import Scope, Tenant
from muster.storage import forgetting, projects

router = router_of("memory")


class Expired(Forgotten):
    projects: int = Field(description="How many projects keep what they remember for a time only.")


def must_be_a_person(tenant: Tenant) -> None:
    """An agent's token forgets single observations. All of a session, let alone of others, is not its to undo."""
    if tenant.task_id is not None:
        raise Forbidden("an agent may forget single observations only")


def told(here: Context, tenant: Tenant, found: forgetting.Forgotten) -> Row:
    """What others had seen too is looked at again, by itself."""
    for project_id, session_id in dict.fromkeys(found.anew):
        here.pokes.poke(tenant.workspace_id, project_id, session_id)
    return {"deleted": found.deleted, "complete": found.complete}


def answer(here: Context, tenant: Tenant, found: forgetting.Forgotten) -> Json:
    return Json(told(here, tenant, found))


async def _everything_of(request: Request, kind: Literal["session", "agent", "task"], target: UUID) -> Json:
    here, tenant = await asking(request)
    must_be_a_person(tenant)
    await forgetting.must_exist(here.db, tenant, kind, target)
    return answer(here, tenant, await forgetting.everything_of(here.db, tenant, kind, target, seconds=SECONDS))


@router.delete(
    "/observations/{observation_id}",
    operation_id="forget_observation",
    openapi_extra=needs(Scope.MEMORY_WRITE),
    summary="Forget an observation",
    response_model=Forgotten,
    responses=problems(404),
)
async def forget_observation(
    request: Request,
    observation_id: UUID,
    events: Annotated[bool, Query(description="Also the events that nothing else was made of.")] = True,
) -> Any:
    """With its words, vectors and links, and every copy that was merged into it. Summaries that were written since may
    tell it too: they go, and are written anew from what is left."""
    here, tenant = await asking(request)
    return answer(here, tenant, await forgetting.observation(here.db, tenant, observation_id, events=events))


@router.delete(
    "/sessions/{session_id}",
    operation_id="forget_session",
    openapi_extra=needs(Scope.MEMORY_WRITE),
    summary="Forget a session",
    response_model=Forgotten,
    responses=problems(404),
)
async def forget_session(request: Request, session_id: UUID) -> Any:
    """Its events, jobs, observations, summaries and vectors, and itself. What another session had seen too is made anew
    from that session's own events."""
    return await _everything_of(request, "session", session_id)


@router.delete(
    "/agents/{agent_id}/memory",
    operation_id="forget_agent_memory",
    openapi_extra=needs(Scope.MEMORY_WRITE),
    summary="Forget what an agent did",
    response_model=Forgotten,
    responses=problems(404),
)
async def forget_agent_memory(request: Request, agent_id: UUID) -> Any:
    """Its sessions, and what it remembered by hand. The agent itself, its output and its result stay."""
    return await _everything_of(request, "agent", agent_id)


@router.delete(
    "/tasks/{task_id}/memory",
    operation_id="forget_task_memory",
    openapi_extra=needs(Scope.MEMORY_WRITE),
    summary="Forget what was done for a task",
    response_model=Forgotten,
    responses=problems(404),
)
async def forget_task_memory(request: Request, task_id: UUID) -> Any:
    """The sessions of all its agents, and what they remembered by hand. The task itself stays."""
    return await _everything_of(request, "task", task_id)


@router.delete(
    "/projects/{project}/memory",
    operation_id="forget_project_memory",
    openapi_extra=needs(Scope.ADMIN),
    summary="Forget all that a project remembers",
    response_model=Forgotten,
    responses=problems(404),
)
async def forget_project_memory(
    request: Request,
    project: Ref,
    settings: Annotated[bool, Query(description="Also how it remembers: back to the defaults.")] = False,
) -> Any:
    """The project itself, its tasks and what it has used of its tokens stay."""
    here, tenant = await asking(request)
    project_id = UUID((await projects.get(here.db, tenant, project))["id"])
    # First: what breaks off after that is finished by a sweep, which knows of memory alone.
    reset = await forgetting.settings(here.db, tenant, project_id) if settings else 0
    found = await forgetting.everything_of(here.db, tenant, "project", project_id, seconds=SECONDS)
    found.deleted["memory_settings"] = reset
    return answer(here, tenant, found)


@router.post(
    "/memory/retention/run",
    operation_id="run_memory_retention",
    openapi_extra=needs(Scope.ADMIN),
    summary="Forget now what is kept no longer",
    response_model=Expired,
    responses={**replayed(Expired, 200), **problems(404, 409)},
)
async def run_memory_retention(
    request: Request,
    project: Annotated[
        Text | None,
        Query(min_length=1, max_length=200, description="Id or slug. Default: every project that has a limit."),
    ] = None,
    key: IdempotencyKey = None,
) -> Any:
    """By the age and importance that each project's settings name. It happens by itself once a day."""
    here, tenant = await asking(request)
    if project is None:
        must_reach_all(tenant)

    async def work(sent: Sent) -> Answer:
        if project is not None:
            chosen = [await projects.resolve(here.db, tenant, project)]
        else:
            chosen = await forgetting.with_retention(here.db, tenant)
        found, until = forgetting.Forgotten(), time.monotonic() + SECONDS
        for project_id in chosen:
            left = until - time.monotonic()
            if left <= 0:
                found.complete = False
                break
            found.include(await forgetting.expired(here.db, tenant, project_id, seconds=left))
        return Answer(200, {**told(here, tenant, found), "projects": len(chosen)})

    return await once(here, tenant, request, key, None, work)
