"""The lifecycle events of a workspace: a page, or a live stream."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import Header, Query, Request

from api import answers
from api.answers import Json, Limit, problems
from api.auth import needs, router_of
from api.context import asking
from api.hub import Filter
from muster.domain.events import EventType
from muster.domain.tenants import Scope
from muster.storage import events

router = router_of("events")


def wants_stream(accept: str | None) -> bool:
    return accept is not None and "text/event-stream" in accept


@router.get(
    "/events",
    operation_id="list_events",
    openapi_extra=needs(Scope.EVENTS_READ),
    summary="Lifecycle events: a page, or a live stream",
    response_model=answers.EventPage,
    responses={200: {"content": answers.STREAM}, **problems()},
)
async def list_events(
    request: Request,
    after: Annotated[
        int | None,
        Query(
            ge=0,
            le=answers.MAX_POSITION,
            description="Position of the last event seen. Default: a page starts at the beginning, a stream now.",
        ),
    ] = None,
    task: Annotated[UUID | None, Query(description="Events of this task.")] = None,
    agent: Annotated[UUID | None, Query(description="Events of this agent.")] = None,
    kinds: Annotated[list[EventType] | None, Query(alias="type", max_length=20, description="Any of these.")] = None,
    limit: Limit = 50,
    accept: Annotated[str | None, Header()] = None,
    last_event_id: Annotated[str | None, Header(description="Resumes a stream; wins over `after`.")] = None,
) -> Any:
    """With `Accept: text/event-stream`, each event is sent as it happens: its position as id, its type as event.
    `event: reconnect` says that the connection ends and that the next one goes on from the last id."""
    here, tenant = await asking(request)
    types = [str(kind) for kind in kinds] if kinds else None
    if wants_stream(accept):
        start = answers.resumes_at(last_event_id, after)
        return await here.hub.follow(tenant, start, Filter(task, agent, types))
    start = after or 0
    # Read first: no event up to it is missing from the page, so a page that is not full reaches at least this far.
    seen = await events.last_position(here.db, tenant)
    items = await events.after(here.db, tenant, start, limit=limit, task_id=task, agent_id=agent, types=types)
    last = items[-1]["position"] if items else start
    return Json({"items": items, "next_after": last if len(items) == limit else max(last, seen)})
