"""What answers look like: the documents of the OpenAPI, and how they are written."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Literal, TypeVar
from uuid import UUID

from fastapi import Query
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, create_model
from pydantic_core import to_json
from starlette.responses import Response

from api.errors import MEDIA_TYPE
from muster.domain import agents, events, tasks
from muster.domain.errors import MusterError
from muster.domain.memory import JobKind
from muster.domain.states import ProjectStatus, TaskStatus
from muster.storage.pages import MAX_LIMIT

Item = TypeVar("Item")

MAX_POSITION = 2**63 - 1

Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many at most.")]
Cursor = Annotated[
    str | None, Query(max_length=500, description="`next_cursor` of the page before.", examples=[None])
]  # fmt: skip


def _as_utc(moment: datetime) -> datetime:
    # What PostgreSQL makes of an offset of 17 hours, and Python of the first day of year 1 in another zone.
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("is too far away") from None


def _day(moment: object) -> object:
    return f"{moment}T00:00:00Z" if isinstance(moment, str) and _DAY.fullmatch(moment) else moment


_DAY = re.compile(r"\d{4}-\d\d-\d\d")
Moment = Annotated[AwareDatetime, BeforeValidator(_day), AfterValidator(_as_utc)]
"""With its zone; a day alone begins at midnight UTC."""


class Json(Response):
    """Rows come from Postgres as JSON that is answered as it is; validating it again would double the cost."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return to_json(content, inf_nan_mode="constants")


class Shown(BaseModel):
    """What an answer looks like, for the documentation. Nothing is checked by it, so it is not made into a validator
    before somebody asks for one: all of them together take some 3 MB."""

    model_config = ConfigDict(defer_build=True)


def _in_temporal(model: type[BaseModel], **more: Any) -> type[BaseModel]:
    """The recorded thing, and where it is found in Temporal."""
    fields: dict[str, Any] = {name: (field.annotation, field) for name, field in model.model_fields.items()}
    return create_model(
        model.__name__,
        __base__=Shown,
        __doc__=model.__doc__,
        **fields,
        workflow_id=(str, Field(description="In Temporal.")),
        temporal_url=(str | None, Field(description="Its page in the Temporal Web UI, when that is known.")),
        **more,
    )


class Subtask(Shown):
    id: UUID
    title: str
    status: TaskStatus


Agent: Any = _in_temporal(agents.Agent)
Task: Any = _in_temporal(tasks.Task)
TaskDetail: Any = create_model(
    "TaskDetail",
    __base__=Task,
    __doc__="A task, its agents (latest first, at most 100) and its subtasks (at most 1,000).",
    agents=(list[Agent], ...),
    subtasks=(list[Subtask], ...),
)


class Project(Shown):
    id: UUID
    workspace_id: UUID
    slug: str
    name: str
    description: str | None
    status: ProjectStatus
    version: int
    created_at: datetime
    updated_at: datetime


class Forgotten(Shown):
    deleted: dict[str, int] = Field(
        description="How many rows went, by table.",
        examples=[{"memory_sessions": 1, "agent_events": 40, "observations": 12, "memory_embeddings": 12}],
    )
    complete: bool = Field(
        description="False: there is more than one request deletes. The rest goes by itself, or when sent again."
    )


class Page(Shown, Generic[Item]):
    items: list[Item]
    next_cursor: str | None = Field(description="Asks for the next page; null on the last.")


class EventPage(Shown):
    items: list[events.Event]
    next_after: int = Field(description="Asks for what follows.")


class OutputPage(Shown):
    items: list[agents.OutputLine]
    next_after: int = Field(description="Asks for what follows.")
    status: str = Field(description="The agent's, when this was read: nothing follows once it is final.")
    truncated: bool = Field(description="Whether it wrote more than is kept.")


class Queue(Shown):
    max_concurrent_agents: int
    active_agents: int
    waiting: int
    items: list[Task] = Field(description="In the order they will be served.")


class KillAll(Shown):
    """Without `wait` how many it will end; with it, how they ended."""

    workflow_id: str
    temporal_url: str | None
    asked: int
    killed: int | None = None
    ended: int | None = Field(default=None, description="Ended by themselves before the kill reached them.")


class Boundary(Shown):
    status: Literal["active", "errored", "disabled"]
    latency_ms: float | None = None
    version: str | None = None
    detail: str | None = None


class Parked(Shown):
    project_id: UUID
    until: datetime
    reason: str | None


class Lane(Shown):
    """A workspace's jobs of one kind."""

    kind: JobKind
    paused: bool = Field(description="By a person. Its jobs stay queued.")
    reason: str | None
    parked: list[Parked] = Field(description="Projects whose provider or budget gives no more for now.")
    queued: int
    processing: int
    waiting: int = Field(description="Of the queued, those that failed and are tried again later.")
    retrying: dict[str, int] = Field(description="What those that are not done failed with last, by class of error.")
    oldest_seconds: float | None = Field(description="Age of the oldest that is not done.")
    completed_last_minute: int
    completed_last_hour: int = Field(description="Of the last 10,000 of the workspace.")
    failed_last_day: dict[str, int] = Field(description="By class of error, of the last 10,000 of the workspace.")


class MemoryBoundary(Boundary):
    """Of the workspace that asks."""

    lanes: list[Lane] = Field(default_factory=list)


class Boundaries(Shown):
    temporal: Boundary
    postgres: Boundary
    valkey: Boundary
    workers: Boundary
    embedder: Boundary
    memory: MemoryBoundary


class Info(Shown):
    version: str
    boundaries: Boundaries


class Alive(Shown):
    status: Literal["ok"]


class Ready(Shown):
    status: Literal["ready", "not_ready"]
    boundaries: dict[str, Boundary]


_TITLES = {
    401: "Without a key, or with one that opens nothing",
    403: "Not for this key, or asked by a web page from elsewhere",
    404: "Not there",
    408: "Body that did not arrive in time",
    409: "Not possible in its present state, or an Idempotency-Key used for something else",
    413: "Body too large",
    415: "Body that is not JSON",
    421: "Asked by a name other than localhost",
    422: "Invalid request",
    429: "A limit is reached: of requests, agents, waiting tasks, or agent-seconds a day",
    500: "A defect in Muster",
    503: "A service that Muster needs does not answer",
    504: "Not there yet",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The refusals of one route, for its documentation."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": _TITLES[status], "content": content}
        for status in sorted({*statuses, *([408] if 413 in statuses else []), 401, 403, 421, 422, 429, 500, 503})
    }


_REPLAYED = {
    "Idempotent-Replayed": {
        "description": "The first answer to this Idempotency-Key, once more.",
        "schema": {"type": "string", "enum": ["true"]},
    }
}


def replayed(model: Any, *statuses: int, done: str | None = None) -> dict[int | str, dict[str, Any]]:
    """The answers of a route that takes an Idempotency-Key; 201 if none is named. `done`: what its 200 means."""
    found: dict[int | str, dict[str, Any]] = {
        status: {"model": model, "headers": _REPLAYED} for status in statuses or (201,)
    }
    if done:
        found[200] = {"model": model, "headers": _REPLAYED, "description": done}
    return found


STREAM: dict[str, Any] = {"text/event-stream": {"schema": {"type": "string"}}}


class BadLastEventId(MusterError):
    status, code = 422, "invalid_request"


def resumes_at(last_event_id: str | None, after: Any) -> Any:
    """Where a stream goes on. The header is what a browser sends by itself when it reconnects to the same URL."""
    if not last_event_id:
        return after
    if not (last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) <= 18):
        raise BadLastEventId("header.Last-Event-ID: is not a position")
    return int(last_event_id)
