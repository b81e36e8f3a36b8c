"""The activity log: who did what, with which key, from where."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request
from pydantic import Field, JsonValue

from api import answers
from api.answers import Cursor, Json, Limit, Moment, Shown, problems
from api.auth import must_reach_all, needs, router_of
from api.context import asking
from muster.domain.states import Action
from muster.domain.tasks import Text
from muster.domain.tenants import Scope
from muster.storage import activity

router = router_of("activity")


class Activity(Shown):
    """Empty `user_id`, `key_id` and `agent_id`: Muster itself did it."""

    id: int
    at: datetime
    action: Action
    entity_id: UUID = Field(description="What it was done to: a task, an agent, a project, a key, a user …")
    user_id: UUID | None
    key_id: UUID | None = Field(description="The key it was done with.")
    agent_id: UUID | None = Field(description="The agent whose token it was done with.")
    address: str | None = Field(description="Where the request came from.", examples=["203.0.113.7"])
    request_id: str | None = Field(description="The request's `X-Request-ID`.")
    detail: dict[str, JsonValue] = Field(
        description="For what has no life of its own, `before` and `after`: what changed. Never a secret.",
        examples=[{"before": {"name": "Apollo"}, "after": {"name": "Apollo 11"}}],
    )


@router.get(
    "/activity",
    operation_id="list_activity",
    openapi_extra=needs(Scope.ADMIN),
    summary="Who did what, newest first",
    response_model=answers.Page[Activity],
    responses=problems(),
)
async def list_activity(
    request: Request,
    action: Annotated[list[Action] | None, Query(max_length=50, description="Any of these.")] = None,
    entity: Annotated[UUID | None, Query(description="What was done to this.")] = None,
    user: Annotated[UUID | None, Query(description="What this user did.")] = None,
    key: Annotated[UUID | None, Query(description="What was done with this key.")] = None,
    request_id: Annotated[
        Text | None, Query(alias="request", max_length=200, description="What this request did.")
    ] = None,
    since: Annotated[Moment | None, Query(description="From then on.")] = None,
    until: Annotated[Moment | None, Query(description="Before then.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Any:
    here, tenant = await asking(request)
    must_reach_all(tenant)
    items, following = await activity.page(
        here.db,
        tenant,
        actions=[kind.value for kind in action] if action else None,
        entity_id=entity,
        user_id=user,
        key_id=key,
        request_id=request_id,
        since=since,
        until=until,
        cursor=cursor,
        limit=limit,
    )
    return Json({"items": items, "next_cursor": following})
