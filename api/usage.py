"""What a workspace may use, and what it has used."""

from __future__ import annotations

import datetime
from typing import Any
from uuid import UUID

from fastapi import Request
from pydantic import Field

from api.answers import Json, Shown, problems
from api.auth import needs, router_of
from api.context import asking
from muster.domain.fleet import Admission
from muster.domain.tenants import Scope
from muster.storage import usage

router = router_of("workspaces")


class Limits(Shown):
    max_concurrent_agents: int
    max_waiting_tasks: int
    requests_per_second: int = Field(description="Of each key.")
    max_body_bytes: int
    max_output_bytes: int = Field(description="Of each agent.")
    daily_agent_seconds: int | None = Field(description="null: as many as it likes. Days are UTC.")
    weight: int = Field(description="Its share where workspaces wait for the same workers.")


class Day(Shown):
    day: datetime.date = Field(description="UTC.")
    agents: int = Field(description="That ended on it.")
    agent_seconds: float


class Usage(Shown):
    """Of the whole workspace, also for a key that reaches one project."""

    workspace_id: UUID
    workspace: str = Field(description="Its slug.")
    admission: Admission
    admission_by: str | None = Field(description="Name of who last opened or closed it.")
    admission_reason: str | None
    admission_since: datetime.datetime | None
    active_agents: int
    waiting_tasks: int = Field(description="Pending, whatever they wait for.")
    today: Day = Field(description="With what those that run have used so far.")
    agent_seconds_left: float | None = Field(description="Of today's; null: without limit.")
    limits: Limits
    days: list[Day] = Field(description="The last 30, newest first; those without agents are left out.")


@router.get(
    "/usage",
    operation_id="get_usage",
    openapi_extra=needs(Scope.TASKS_READ),
    summary="What the workspace may use, and has used",
    response_model=Usage,
    responses=problems(404),
)
async def get_usage(request: Request) -> Any:
    here, tenant = await asking(request)
    found = await usage.read(here.db, tenant.workspace_id)
    limits, daily = found["limits"], found["limits"]["daily_agent_seconds"]
    for name in ("max_body_bytes", "max_output_bytes"):  # what the instance allows, a workspace can only narrow
        most = getattr(here.settings, name)
        limits[name] = min(limits[name] or most, most)
    found["agent_seconds_left"] = None if daily is None else max(0.0, daily - found["today"]["agent_seconds"])
    return Json(found)
