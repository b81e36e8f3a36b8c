"""Observations: read with what they were made of, written by hand, corrected."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import Query as Parameter
from fastapi import Request
from pydantic import Field, create_model, model_validator

from api import answers
from api.answers import Cursor, Json, Limit, Moment, Shown, problems
from api.auth import needs, router_of
from api.bodies import Lenient
from api.context import asking
from api.idempotency import Answer, IdempotencyKey, Sent, once
from api.memory import ProjectRef, named
from muster.domain import privacy
from muster.domain.errors import MusterError
from muster.domain.intake import named_label
from muster.domain.memory import Concept, FilePath, NewObservation, Short
from muster.domain.tasks import Spec, Text
from muster.domain.tenants import Scope
from muster.storage import observations
from muster.storage.observations import Where

router = router_of("memory")
router.route_class = Lenient

Kind = Annotated[
    Text,
    Field(min_length=1, max_length=50, description="decision, bugfix, discovery, feature …", examples=["decision"]),
]
Statement = Annotated[Text, Field(min_length=1, max_length=10_000)]
Narrative = Annotated[Text, Field(max_length=200_000)]
Importance = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class NothingLeft(MusterError):
    """There is no title, or all of it is private, or excluded by the project."""

    status, code = 422, "nothing_left"


class NewMemory(
    Spec,
    json_schema_extra={"examples": [{"project": "apollo", "type": "decision", "title": "Imports run at night only"}]},
):
    """Something worth knowing."""

    project: ProjectRef | None = Field(default=None, description="Id or slug. A key of one project may leave it out.")
    type: Kind = "discovery"
    title: Short = Field(description="What it is, in one line.", examples=["Imports run at night only"])
    subtitle: Annotated[Text, Field(max_length=1000)] | None = None
    narrative: Narrative | None = Field(default=None, description="The whole of it, and why.")
    facts: list[Statement] = Field(default_factory=list, max_length=100)
    concepts: list[Concept] = Field(default_factory=list, max_length=100)
    files_read: list[FilePath] = Field(default_factory=list, max_length=100)
    files_modified: list[FilePath] = Field(default_factory=list, max_length=100)
    session: UUID | None = Field(default=None, description="Where it was learned.")
    language: Annotated[Text, Field(pattern="^[a-z]{2}$")] | None = Field(default=None, description="ISO 639-1.")
    importance: Importance = 0.7
    occurred_at: Moment | None = Field(default=None, description="Default: now.")


class MemoryChange(Spec, json_schema_extra={"examples": [{"title": "Imports run at night only", "importance": 0.9}]}):
    """What is named changes; the rest stays."""

    type: Kind | None = None
    title: Short | None = None
    subtitle: Annotated[Text, Field(max_length=1000)] | None = None
    narrative: Narrative | None = None
    facts: list[Statement] | None = Field(default=None, max_length=100)
    concepts: list[Concept] | None = Field(default=None, max_length=100)
    files_read: list[FilePath] | None = Field(default=None, max_length=100)
    files_modified: list[FilePath] | None = Field(default=None, max_length=100)
    importance: Importance | None = None
    occurred_at: Moment | None = None

    @model_validator(mode="after")
    def _keeps_what_it_must(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("name at least one field to change")
        for field in self.model_fields_set - {"subtitle", "narrative"}:
            if getattr(self, field) is None:
                raise ValueError(f"{field} cannot be null")
        return self


class Observation(Shown):
    id: UUID
    workspace_id: UUID
    project_id: UUID
    session_id: UUID | None
    task_id: UUID | None
    agent_id: UUID | None
    job_id: str | None = Field(description="That made it; null: it was made by hand.")
    type: str
    title: str
    subtitle: str | None
    narrative: str | None
    facts: list[str]
    concepts: list[str]
    files_read: list[str]
    files_modified: list[str]
    language: str | None
    importance: float
    summary: bool = Field(description="Of a session, or a part of one.")
    seen: int = Field(description="How often: near duplicates are merged.")
    generator: str
    occurred_at: datetime
    last_seen_at: datetime | None = Field(description="When the latest that was merged into it happened.")
    version: int
    created_at: datetime
    updated_at: datetime


class ObservationSource(Shown):
    """An event that it was made of."""

    event_id: UUID
    session_id: UUID
    job_id: str | None
    type: str
    adapter: str
    source_id: str | None
    occurred_at: datetime
    payload: Any
    payload_left_out: bool = Field(description="It is large: read the event itself.")
    metadata: dict[str, Any] | None


ObservationDetail: Any = create_model(
    "ObservationDetail",
    __base__=Observation,
    __doc__="An observation and the events it was made of, the first 100.",
    sources=(list[ObservationSource], ...),
)

_TEXTS = ("title", "subtitle", "narrative", "facts", "concepts", "files_read", "files_modified")


def _scrubbed(fields: dict[str, Any], exclude_paths: list[str]) -> dict[str, Any]:
    """Without what must not be kept."""
    texts, removed = privacy.scrub({name: fields[name] for name in _TEXTS if name in fields}, exclude_paths)
    if removed.excluded is not None:
        raise NothingLeft(f"this project keeps nothing about {removed.excluded}")
    for name in ("facts", "concepts", "files_read", "files_modified"):
        if name in texts:
            texts[name] = [text for text in texts[name] if text.strip()]
    if "title" in texts and not texts["title"].strip():
        blank = not fields["title"].strip()
        raise NothingLeft("the title is blank" if blank else "the title is private: nothing of it may be kept")
    if fields.get("type"):
        texts["type"] = named_label("type", fields["type"])
    return {**fields, **texts}


@router.post(
    "/observations",
    operation_id="create_observation",
    openapi_extra=needs(Scope.MEMORY_WRITE),
    summary="Remember something",
    status_code=201,
    response_model=Observation,
    responses={**answers.replayed(Observation), **problems(409, 413, 415)},
)
async def create_observation(request: Request, memory: NewMemory, key: IdempotencyKey = None) -> Any:
    """By hand. Found by words at once, and by meaning as soon as it has a vector. What is private in it is left out."""
    here, tenant = await asking(request)
    project = named(tenant, memory.project)

    async def work(sent: Sent) -> Answer:
        settings = await observations.settings(here.db, tenant, project)
        fields = _scrubbed(memory.model_dump(exclude={"project", "session"}), settings.exclude_paths)
        row = await observations.create(
            here.db, tenant, settings.project_id, sent.id, NewObservation(**fields), session_id=memory.session
        )
        return Answer(201, row, f"/v1/observations/{row['id']}")

    return await once(here, tenant, request, key, memory, work)


@router.get(
    "/observations",
    operation_id="list_observations",
    openapi_extra=needs(Scope.MEMORY_READ),
    summary="List observations, the latest first",
    response_model=answers.Page[Observation],
    responses=problems(),
)
async def list_observations(
    request: Request,
    project: Annotated[Text | None, Parameter(min_length=1, max_length=200, description="Id or slug.")] = None,
    session: UUID | None = None,
    task: UUID | None = None,
    agent: UUID | None = None,
    type: Annotated[list[Text] | None, Parameter(max_length=10, description="Any of these.")] = None,
    summary: Annotated[bool | None, Parameter(description="Only summaries, or all but them.")] = None,
    after: Moment | None = None,
    before: Moment | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Any:
    here, tenant = await asking(request)
    where = Where(project, session, task, agent, type or None, summary, after, before)
    items, following = await observations.page(here.db, tenant, where, cursor=cursor, limit=limit)
    return Json({"items": items, "next_cursor": following})


@router.get(
    "/observations/{observation_id}",
    operation_id="get_observation",
    openapi_extra=needs(Scope.MEMORY_READ),
    summary="An observation, with what it was made of",
    response_model=ObservationDetail,
    responses=problems(404),
)
async def get_observation(request: Request, observation_id: UUID) -> Any:
    here, tenant = await asking(request)
    row = await observations.get(here.db, tenant, observation_id)
    return Json({**row, "sources": await observations.sources(here.db, tenant, observation_id)})


@router.patch(
    "/observations/{observation_id}",
    operation_id="update_observation",
    openapi_extra=needs(Scope.MEMORY_WRITE),
    summary="Correct an observation",
    response_model=Observation,
    responses=problems(404, 409, 413, 415),
)
async def update_observation(request: Request, observation_id: UUID, change: MemoryChange) -> Any:
    here, tenant = await asking(request)
    old = await observations.get(here.db, tenant, observation_id)
    settings = await observations.settings(here.db, tenant, old["project_id"])
    changed = _scrubbed(change.model_dump(exclude_unset=True), settings.exclude_paths)
    return Json(await observations.change(here.db, tenant, observation_id, changed))
