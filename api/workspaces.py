"""Workspaces and their limits."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from fastapi import Body, Request
from pydantic import Field, model_validator
from starlette.background import BackgroundTask

from api import answers
from api.answers import Cursor, Json, Limit, Shown, problems
from api.auth import ADMINISTRATOR, ANY_KEY, must_administer, must_reach_all, needs, router_of
from api.context import asking
from api.idempotency import Answer, IdempotencyKey, Sent, once
from api.people import Email
from api.projects import Name, Ref, Slug
from muster.domain.errors import Forbidden
from muster.domain.tasks import Spec
from muster.domain.tenants import Scope
from muster.storage import workspaces

router = router_of("workspaces")

MaxConcurrentAgents = Annotated[
    int,
    Field(
        ge=1,
        le=10_000,
        description="Agents at once. More are given at once to those that wait, or, while Temporal or the workers are "
        "away, within MUSTER_SWEEP_SECONDS of their return; fewer end none that runs.",
    ),
]
MaxWaitingTasks = Annotated[int, Field(ge=1, le=1_000_000, description="Tasks that may wait; more are refused.")]
RequestsPerSecond = Annotated[int, Field(ge=1, le=100_000, description="Of each key.")]
MaxBodyBytes = Annotated[int, Field(ge=1024, le=2**31 - 1, description="null: as the instance has it.")]
MaxOutputBytes = Annotated[
    int, Field(ge=1024, le=2**53, description="Kept per agent. null: as the instance has it.")
]  # fmt: skip
DailyAgentSeconds = Annotated[
    int, Field(ge=1, le=2**53, description="Of all its agents together, per day (UTC). null: without limit.")
]
Weight = Annotated[int, Field(ge=1, le=1_000, description="Its share where workspaces wait for the same workers.")]

LIMITS = frozenset(
    {
        "max_concurrent_agents", "max_waiting_tasks", "requests_per_second", "max_body_bytes", "max_output_bytes",
        "daily_agent_seconds", "weight",
    }
)  # fmt: skip


_FOR_THOSE_THERE = frozenset({"max_concurrent_agents", "daily_agent_seconds"})
"""What else is limited is looked at when somebody asks for it."""


class NewWorkspace(Spec):
    slug: Slug
    name: Name
    max_concurrent_agents: MaxConcurrentAgents | None = Field(
        default=None, description="Agents at once. Default: MAX_CONCURRENT_AGENTS of this instance."
    )
    max_waiting_tasks: MaxWaitingTasks = 10_000
    requests_per_second: RequestsPerSecond = 200
    max_body_bytes: MaxBodyBytes | None = None
    max_output_bytes: MaxOutputBytes | None = None
    daily_agent_seconds: DailyAgentSeconds | None = None
    weight: Weight = 1
    owner_id: UUID | None = Field(default=None, description="Its first member, who can make keys for it.")
    owner_email: Email | None = Field(default=None, description="The same; a user is made when there is none.")

    @model_validator(mode="after")
    def _one_owner(self) -> Self:
        if self.owner_id and self.owner_email:
            raise ValueError("name the owner by owner_id or by owner_email")
        return self


class WorkspaceChange(
    Spec, json_schema_extra={"examples": [{"max_concurrent_agents": 40, "daily_agent_seconds": 36_000}]}
):
    """What is named changes; the rest stays. Limits are for administrators: a tenant that sets its own has none."""

    slug: Slug | None = None
    name: Name | None = None
    max_concurrent_agents: MaxConcurrentAgents | None = None
    max_waiting_tasks: MaxWaitingTasks | None = None
    requests_per_second: RequestsPerSecond | None = None
    max_body_bytes: MaxBodyBytes | None = None
    max_output_bytes: MaxOutputBytes | None = None
    daily_agent_seconds: DailyAgentSeconds | None = None
    weight: Weight | None = None

    @model_validator(mode="after")
    def _keeps_what_it_must(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("name at least one field to change")
        for field in self.model_fields_set - {"max_body_bytes", "max_output_bytes", "daily_agent_seconds"}:
            if getattr(self, field) is None:
                raise ValueError(f"{field} cannot be null")
        return self


class AdmissionBy(Shown):
    user: str | None = None
    user_id: UUID | None = None
    key_id: UUID | None = None
    reason: str | None = None
    at: datetime


class Workspace(Shown):
    id: UUID
    slug: str
    name: str
    max_concurrent_agents: int
    max_waiting_tasks: int
    requests_per_second: int
    max_body_bytes: int | None
    max_output_bytes: int | None
    daily_agent_seconds: int | None
    weight: int
    admission: Literal["open", "draining", "stopped"] = Field(description="Whether it takes new agents.")
    admission_by: AdmissionBy | None = Field(description="Who changed that last, and why.")
    version: int
    created_at: datetime
    updated_at: datetime


@router.post(
    "/workspaces",
    operation_id="create_workspace",
    openapi_extra=needs(ADMINISTRATOR),
    summary="Make a workspace",
    status_code=201,
    response_model=Workspace,
    responses={**answers.replayed(Workspace), **problems(409, 413, 415)},
)
async def create_workspace(
    request: Request,
    new: Annotated[
        NewWorkspace,
        Body(
            openapi_examples={
                "owned": {
                    "summary": "With somebody who owns it",
                    "value": {"slug": "research", "name": "Research", "owner_email": "ada@example.org"},
                },
                "limited": {
                    "summary": "With limits of its own",
                    "value": {
                        "slug": "trial",
                        "name": "Trial",
                        "max_concurrent_agents": 2,
                        "daily_agent_seconds": 36_000,
                    },
                },
            }
        ),
    ],
    key: IdempotencyKey = None,
) -> Any:
    here, tenant = await asking(request)
    must_administer(tenant)

    async def work(sent: Sent) -> Answer:
        owner_id = new.owner_id
        if new.owner_email:
            owner_id = await workspaces.user_by_email(here.db, tenant, new.owner_email, new.owner_email[:200])
        limits = new.model_dump(include=set(LIMITS))
        limits["max_concurrent_agents"] = new.max_concurrent_agents or here.settings.max_concurrent_agents
        inside = replace(tenant, workspace_id=sent.id)
        row = await workspaces.create(
            here.db, inside, slug=new.slug, name=new.name, limits=limits, owner_id=owner_id
        )  # fmt: skip
        return Answer(201, row, f"/v1/workspaces/{row['id']}")

    return await once(here, tenant, request, key, new, work)


@router.get(
    "/workspaces",
    operation_id="list_workspaces",
    openapi_extra=needs(ANY_KEY),
    summary="List workspaces, newest first",
    response_model=answers.Page[Workspace],
    responses=problems(),
)
async def list_workspaces(request: Request, cursor: Cursor = None, limit: Limit = 50) -> Any:
    """All for administrators; for others their own."""
    here, tenant = await asking(request)
    items, following = await workspaces.page(here.db, tenant, cursor=cursor, limit=limit)
    return Json({"items": items, "next_cursor": following})


@router.get(
    "/workspaces/{workspace}",
    operation_id="get_workspace",
    openapi_extra=needs(ANY_KEY),
    summary="A workspace, and its limits",
    response_model=Workspace,
    responses=problems(404),
)
async def get_workspace(request: Request, workspace: Ref) -> Any:
    here, tenant = await asking(request)
    return Json(await workspaces.get(here.db, tenant, workspace))


@router.patch(
    "/workspaces/{workspace}",
    operation_id="update_workspace",
    openapi_extra=needs(Scope.ADMIN),
    summary="Rename a workspace, or change its limits",
    response_model=Workspace,
    responses=problems(404, 409, 413, 415),
)
async def update_workspace(request: Request, workspace: Ref, change: WorkspaceChange) -> Any:
    """Limits are changed by administrators only: a tenant that sets its own has none. They hold for what is asked
    from then on, those of requests after at most 2 seconds. Agents that run are ended by nothing but a day's
    agent-seconds that are spent."""
    here, tenant = await asking(request)
    must_reach_all(tenant)
    found = await workspaces.get(here.db, tenant, workspace)
    limits = sorted(change.model_fields_set & LIMITS)
    if limits and not tenant.administrator:
        raise Forbidden(f"only an administrator of this instance may change {', '.join(limits)}")
    inside = replace(tenant, workspace_id=UUID(found["id"]))
    row = await workspaces.update(here.db, inside, change.model_dump(mode="json", exclude_unset=True))
    told = None
    if _FOR_THOSE_THERE & change.model_fields_set:
        # Behind the answer: the change is made, and a Temporal that does not answer must not hold it up.
        told = BackgroundTask(here.commands.apply_limits, inside.workspace_id, tenant.actor)
    return Json(row, background=told)
