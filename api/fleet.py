"""Stop everything in a workspace, let it run dry, let it go on."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Body, Path, Request
from pydantic import Field

from api import answers
from api.agents import WAIT_SECONDS, Wait
from api.answers import Json, Shown, problems
from api.auth import must_reach_all, needs, router_of
from api.commands import NoWorker
from api.context import Context, Row, asking
from api.errors import NotYet
from api.idempotency import Answer, IdempotencyKey, Sent, once
from muster.domain.errors import IllegalMove, Unavailable
from muster.domain.fleet import Admission, Admit, StopStart
from muster.domain.tasks import KillRequest, Spec, Text
from muster.domain.tenants import Scope, Tenant
from muster.storage import fleet, workspaces

router = router_of("workspaces")

Ref = Annotated[Text, Path(min_length=1, max_length=200, description="Id or slug.")]
Reason = Annotated[
    Text | None,
    Field(max_length=1000, description="Why; whoever asks for an agent meanwhile is told.", examples=["runaway costs"]),
]


class Why(Spec, json_schema_extra={"examples": [{"reason": "a new release"}]}):
    reason: Reason = None


class Stop(Spec, json_schema_extra={"examples": [{"reason": "runaway costs", "grace_seconds": 10}]}):
    reason: Reason = None
    grace_seconds: float = Field(
        default=5.0, ge=0, le=3600, allow_inf_nan=False, description="Time between SIGTERM and SIGKILL."
    )
    wait: bool = Field(default=False, description="The same as `?wait=true`.")


class Standing(Shown):
    """Whether a workspace gives agents to tasks, who decided that, and what it runs."""

    workspace_id: UUID
    workspace: str = Field(description="Its slug.")
    state: Literal["open", "draining", "drained", "stopping", "stopped"] = Field(
        description="Proven: `drained` and `stopped` mean that no agent is active."
    )
    by: str | None = Field(description="Name of who last opened or closed it.")
    user_id: UUID | None
    key_id: UUID | None
    reason: str | None
    since: datetime | None
    active_agents: int
    waiting_tasks: int
    workflow_id: str | None = Field(description="In Temporal: the latest stop.")
    temporal_url: str | None


class Stopped(Standing):
    """With `wait`, how its agents ended."""

    asked: int | None = Field(default=None, description="Agents that were active when it was closed.")
    killed: int | None = None
    ended: int | None = Field(default=None, description="Ended by themselves before the kill reached them.")


_STATES = {
    Admission.OPEN: ("open", "open"),
    Admission.DRAINING: ("draining", "drained"),
    Admission.STOPPED: ("stopping", "stopped"),
}


@router.post(
    "/workspaces/{workspace}/stop",
    operation_id="stop_workspace",
    openapi_extra=needs(Scope.ADMIN),
    summary="Stop everything: no new agents, and all that run are killed",
    status_code=202,
    response_model=Stopped,
    responses={
        **answers.replayed(Stopped, 202, done="Waited for: none is left."),
        **problems(404, 409, 413, 415, 504),
    },
)
async def stop_workspace(
    request: Request,
    workspace: Ref,
    stop: Annotated[Stop | None, Body()] = None,
    wait: Wait = False,
    key: IdempotencyKey = None,
) -> Any:
    """Once this is answered, no task is given an agent any more, until somebody resumes. Tasks that are created
    meanwhile wait; who asks for an agent gets a 409 that says who stopped it and why."""
    here, there = await _there(request, workspace)
    wish = stop or Stop()

    async def work(sent: Sent) -> Answer:
        workflow_id = f"stop-{sent.id}.{there.workspace_id}"
        where: dict[str, Any] = {"workflow_id": workflow_id, "temporal_url": here.temporal_url(workflow_id)}
        start = StopStart(
            workspace_id=there.workspace_id,
            by=there.actor,
            request=KillRequest(grace_seconds=wish.grace_seconds, reason=wish.reason),
        )
        try:
            await here.commands.stop(workflow_id, start)
        except NoWorker as error:
            raise NotYet("no worker has closed the workspace yet; the next one will", **where) from error
        if not (wait or wish.wait):
            return Answer(202, await _standing(here, there) | where)
        try:
            progress = await here.commands.stopped(workflow_id, wish.grace_seconds + WAIT_SECONDS)
        except Unavailable as error:
            raise NotYet("the workspace is closed, and not all its agents are gone yet", **where) from error
        if progress.reopened:
            raise IllegalMove("somebody opened the workspace again before all its agents were gone", **where)
        counts = progress.model_dump(include={"asked", "killed", "ended"})
        return Answer(200, await _standing(here, there) | where | counts)

    return await once(here, there, request, key, stop, work)


@router.get(
    "/workspaces/{workspace}/stop",
    operation_id="get_stop",
    openapi_extra=needs(Scope.TASKS_READ),
    summary="Whether a workspace is open, and how far a stop has come",
    response_model=Standing,
    responses=problems(404),
)
async def get_stop(request: Request, workspace: Ref) -> Any:
    here, tenant = await asking(request)
    found = UUID((await workspaces.get(here.db, tenant, workspace))["id"])
    return Json(await _standing(here, dataclasses.replace(tenant, workspace_id=found), look=True))


@router.post(
    "/workspaces/{workspace}/drain",
    operation_id="drain_workspace",
    openapi_extra=needs(Scope.ADMIN),
    summary="Give no new agents, and let the running finish",
    response_model=Standing,
    responses={**answers.replayed(Standing, 200), **problems(404, 409, 413, 415, 504)},
)
async def drain_workspace(
    request: Request, workspace: Ref, why: Annotated[Why | None, Body()] = None, key: IdempotencyKey = None
) -> Any:
    return await _admit(request, workspace, Admission.DRAINING, why, key)


@router.post(
    "/workspaces/{workspace}/resume",
    operation_id="resume_workspace",
    openapi_extra=needs(Scope.ADMIN),
    summary="Give agents again, at once to those that wait",
    response_model=Standing,
    responses={**answers.replayed(Standing, 200), **problems(404, 409, 413, 415, 504)},
)
async def resume_workspace(
    request: Request, workspace: Ref, why: Annotated[Why | None, Body()] = None, key: IdempotencyKey = None
) -> Any:
    return await _admit(request, workspace, Admission.OPEN, why, key)


async def _admit(request: Request, ref: str, admission: Admission, why: Why | None, key: str | None) -> Json:
    here, there = await _there(request, ref)

    async def work(sent: Sent) -> Answer:
        verb = "resume" if admission == Admission.OPEN else "drain"
        workflow_id = f"{verb}-{sent.id}.{there.workspace_id}"
        admit = Admit(
            workspace_id=there.workspace_id, by=there.actor, admission=admission, reason=why.reason if why else None
        )
        try:
            await here.commands.admit(workflow_id, admit)
        except NoWorker as error:
            where = {"workflow_id": workflow_id, "temporal_url": here.temporal_url(workflow_id)}
            raise NotYet("no worker has done this yet; the next one will", **where) from error
        return Answer(200, await _standing(here, there))

    return await once(here, there, request, key, why, work)


async def _there(request: Request, ref: str) -> tuple[Context, Tenant]:
    """In the workspace that the path names, which an administrator's header need not repeat."""
    here, tenant = await asking(request)
    must_reach_all(tenant)
    found = UUID((await workspaces.get(here.db, tenant, ref))["id"])
    return here, dataclasses.replace(tenant, workspace_id=found)


async def _standing(here: Context, there: Tenant, *, look: bool = False) -> Row:
    """`look` for the workflow, too."""
    found = await fleet.standing(here.db, there.workspace_id)
    admission = Admission(found.pop("admission"))
    found["state"] = _STATES[admission][0 if found["active_agents"] else 1]
    workflow_id = None
    if look and admission == Admission.STOPPED:
        workflow_id = await here.commands.stop_of(there.workspace_id)
    found["workflow_id"] = workflow_id
    found["temporal_url"] = here.temporal_url(workflow_id) if workflow_id else None
    return found
