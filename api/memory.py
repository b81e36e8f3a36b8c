"""Finding what is remembered: search, what happened around something, and what an agent is to be told of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Query as Parameter
from fastapi import Request
from pydantic import Field

from api.answers import Json, Moment, Shown, problems, replayed
from api.auth import needs, router_of
from api.bodies import Straight
from api.context import Context, asking
from api.idempotency import Answer, IdempotencyKey, Sent, once
from muster.domain.errors import MusterError
from muster.domain.memory import FilePath, GenerationFailed
from muster.domain.search import Query
from muster.domain.tasks import Spec, Text
from muster.domain.tenants import Scope, Tenant
from muster.storage import observations
from muster.storage.context import context_for
from muster.storage.observations import Where
from muster.storage.search import Found, search

router = router_of("memory")
asking_much = router_of("memory")
asking_much.route_class = Straight

MAX_FOUND = 100


class NameProject(MusterError):
    status, code = 422, "invalid_request"


class Blank(MusterError):
    status, code = 422, "invalid_request"


class OneMiddle(MusterError):
    status, code = 422, "invalid_request"


ProjectRef = Annotated[Text, Field(min_length=1, max_length=200, description="Id or slug.")]


class Search(Query, json_schema_extra={"examples": [{"query": "when do imports run?", "project": "apollo"}]}):
    project: ProjectRef | list[ProjectRef] | None = Field(
        default=None, description="Id or slug, or several. Left out: every project that the key reaches."
    )
    after: Moment | None = Field(default=None, description="Happened at this time or later.")
    before: Moment | None = Field(default=None, description="Happened before this time.")
    limit: int = Field(default=10, ge=1, le=MAX_FOUND)
    mode: Literal["fused", "lexical"] = Field(default="fused", description="lexical: by words alone.")
    explain: bool = Field(default=False, description="Also say how each was found.")
    cursor: str | None = Field(default=None, max_length=5_000, description="`next_cursor` of the page before.")

    def projects(self, tenant: Tenant) -> list[str] | None:
        if self.project is None:
            return [str(tenant.project_id)] if tenant.project_id else None
        return [self.project] if isinstance(self.project, str) else list(self.project)


class Hit(Shown):
    id: UUID
    type: str
    title: str
    subtitle: str | None
    narrative: str | None
    facts: list[str]
    concepts: list[str]
    files_read: list[str]
    files_modified: list[str]
    project_id: UUID
    session_id: UUID | None
    task_id: UUID | None
    agent_id: UUID | None
    importance: float
    summary: bool
    seen: int
    occurred_at: datetime
    score: float = Field(description="Between 0 and about 1; comparable within one answer.")
    explain: dict[str, Any] | None = Field(default=None, description="Its ranks and scores by words and by meaning.")


class Hits(Shown):
    items: list[Hit]
    mode: Literal["fused", "lexical"] = Field(description="lexical: by words alone, for want of a vector of the query.")
    next_cursor: str | None = Field(description="Asks for what follows; null at the end.")
    explain: dict[str, Any] | None = Field(
        default=None,
        description="How the query was read: terms, corrections of spelling, the plan; how long each stage took.",
    )


class QueryVector:
    """A query's vector, or None when it is not there in time: words do not wait for an embedder that is down."""

    def __init__(self, here: Context) -> None:
        self._here = here
        self.missing: str | None = None
        """Why it was not there."""

    async def __call__(self, text: str, model: str | None) -> Sequence[float] | None:
        try:
            seconds = self._here.settings.search_embed_seconds
            embeddings = self._here.embeddings.named(model)
            return (await embeddings.embed([text], seconds=seconds))[0]
        except GenerationFailed as failure:
            self.missing = f"{model}: {failure.message}" if model else failure.message
            return None


def embed_of(here: Context) -> QueryVector | None:
    return QueryVector(here) if here.embeddings.enabled else None


async def _found(here: Context, tenant: Tenant, asked: Search) -> dict[str, Any]:
    if not asked.query.strip():
        raise Blank("query: it is blank")
    query = Query.model_construct(**{name: getattr(asked, name) for name in Query.model_fields})
    vector = embed_of(here) if asked.mode == "fused" else None
    found: Found = await search(
        here.db,
        tenant,
        asked.projects(tenant),
        query,
        vector,
        model=here.embeddings.model,
        limit=asked.limit,
        cursor=asked.cursor,
        explain=asked.explain,
    )
    answer: dict[str, Any] = {"items": found.items, "mode": found.mode, "next_cursor": found.next_cursor}
    if found.explain:
        answer["explain"] = found.explain | ({"no_vector": vector.missing} if vector and vector.missing else {})
    return answer


@asking_much.post(
    "/memory/search",
    operation_id="search_memory",
    openapi_extra=needs(Scope.MEMORY_READ),
    summary="Search what is remembered, by words and by meaning",
    response_model=Hits,
    responses={**replayed(Hits, 200), **problems(409, 413, 415)},
)
async def search_memory(request: Request, asked: Search, key: IdempotencyKey = None) -> Any:
    """In any language, with word forms and misspellings; identifiers and paths whole and in parts."""
    here, tenant = await asking(request)

    async def work(sent: Sent) -> Answer:
        found = await _found(here, tenant, asked)
        return Answer(200, found, tells=[item["id"] for item in found["items"]])

    return await once(here, tenant, request, key, asked, work, reads=True)


@router.get(
    "/memory/search",
    operation_id="search_memory_by_url",
    openapi_extra=needs(Scope.MEMORY_READ),
    summary="Search what is remembered, by URL",
    response_model=Hits,
    responses=problems(),
)
async def search_memory_by_url(
    request: Request,
    query: Annotated[Text, Parameter(min_length=1, max_length=10_000, description="Words, a question, a path …")],
    project: Annotated[list[ProjectRef] | None, Parameter(description="Id or slug; may be repeated.")] = None,
    session: UUID | None = None,
    task: UUID | None = None,
    agent: UUID | None = None,
    type: Annotated[list[Text] | None, Parameter(max_length=10, description="Any of these.")] = None,
    concept: Annotated[list[Text] | None, Parameter(max_length=10, description="All of these.")] = None,
    file: Annotated[FilePath | None, Parameter(description="Touched this file: its path, or its last parts.")] = None,
    after: Moment | None = None,
    before: Moment | None = None,
    limit: Annotated[int, Parameter(ge=1, le=MAX_FOUND)] = 10,
    mode: Literal["fused", "lexical"] = "fused",
    explain: bool = False,
    cursor: Annotated[str | None, Parameter(max_length=5_000)] = None,
) -> Any:
    asked = Search.model_construct(
        query=query, project=project or None, session=session, task=task, agent=agent, type=type or [],
        concept=concept or [], file=file, after=after, before=before, limit=limit, mode=mode, explain=explain,
        cursor=cursor,
    )  # fmt: skip
    here, tenant = await asking(request)
    return Json(await _found(here, tenant, asked))


class Timeline(Shown):
    items: list[dict[str, Any]] = Field(description="Observations, in the order in which it happened.")
    next_cursor: str | None = Field(
        description="Of a timeline around nothing: asks for what was before; null at the end."
    )


@router.get(
    "/memory/timeline",
    operation_id="memory_timeline",
    openapi_extra=needs(Scope.MEMORY_READ),
    summary="What happened, in its order",
    response_model=Timeline,
    responses=problems(404),
)
async def memory_timeline(
    request: Request,
    project: Annotated[Text | None, Parameter(min_length=1, max_length=200, description="Id or slug.")] = None,
    around: Annotated[UUID | None, Parameter(description="An observation: what was before and after it.")] = None,
    at: Annotated[Moment | None, Parameter(description="A time: what was before and after it.")] = None,
    session: UUID | None = None,
    task: UUID | None = None,
    agent: UUID | None = None,
    type: Annotated[list[Text] | None, Parameter(max_length=10, description="Any of these.")] = None,
    after: Moment | None = None,
    before: Moment | None = None,
    limit: Annotated[int, Parameter(ge=1, le=500)] = 30,
    cursor: Annotated[str | None, Parameter(max_length=500)] = None,
) -> Any:
    """Around an observation or a time; else the latest there is."""
    if around is not None and at is not None:
        raise OneMiddle("query.at: name a time or an observation (around), not both")
    here, tenant = await asking(request)
    where = Where(project, session, task, agent, type or None, None, after, before)
    if around is not None:
        middle = await observations.get(here.db, tenant, around)
        at = datetime.fromisoformat(middle["occurred_at"])
        where = where._replace(project=where.project or middle["project_id"])
    if at is not None:
        items = await observations.around(here.db, tenant, at, around, where, limit)
        return Json({"items": items, "next_cursor": None})
    items, following = await observations.page(here.db, tenant, where, cursor=cursor, limit=limit)
    return Json({"items": items[::-1], "next_cursor": following})


class ContextWish(
    Spec,
    json_schema_extra={
        "examples": [
            {"project": "apollo", "task": "Make the nightly import restartable", "files": ["imports/nightly.py"]}
        ]
    },
):
    project: ProjectRef | None = Field(default=None, description="Id or slug. A key of one project may leave it out.")
    task: Text = Field(min_length=1, max_length=100_000, description="What is to be done, in words.")
    files: list[FilePath] = Field(default_factory=list, max_length=100, description="That it is about.")
    budget_tokens: int = Field(default=2000, ge=100, le=100_000, description="Longest text.")


class Told(Shown):
    markdown: str = Field(description="Empty: nothing is known.")
    items: list[dict[str, Any]] = Field(description="The observations that it tells, each with its `group`.")
    tokens: int = Field(description="Of the text; counted generously.")


@asking_much.post(
    "/memory/context",
    operation_id="memory_context",
    openapi_extra=needs(Scope.MEMORY_READ),
    summary="What is known that matters for a task, as Markdown",
    response_model=Told,
    responses={**replayed(Told, 200), **problems(409, 413, 415)},
)
async def memory_context(request: Request, wish: ContextWish, key: IdempotencyKey = None) -> Any:
    here, tenant = await asking(request)
    if not wish.task.strip():
        raise Blank("body.task: it is blank")

    async def work(sent: Sent) -> Answer:
        told = await context_for(
            here.db,
            tenant,
            named(tenant, wish.project),
            wish.task,
            files=wish.files,
            budget_tokens=wish.budget_tokens,
            embed=embed_of(here),
            model=here.embeddings.model,
        )
        answer = {"markdown": told.markdown, "items": told.items, "tokens": told.tokens}
        return Answer(200, answer, tells=[item["id"] for item in told.items])

    return await once(here, tenant, request, key, wish, work, reads=True)


def named(tenant: Tenant, ref: str | None) -> str:
    if ref is None and tenant.project_id is None:
        raise NameProject("body.project: name a project")
    return ref or str(tenant.project_id)


class Stats(Shown):
    observations: int
    summaries: int
    merged: int = Field(description="Near duplicates that were merged into others.")
    sessions: int
    events: int
    vectors: int
    jobs_open: int
    jobs_failed: int
    oldest_at: datetime | None
    latest_at: datetime | None


@router.get(
    "/memory/stats",
    operation_id="memory_stats",
    openapi_extra=needs(Scope.MEMORY_READ),
    summary="How much is remembered",
    response_model=Stats,
    responses=problems(),
)
async def memory_stats(
    request: Request,
    project: Annotated[Text | None, Parameter(min_length=1, max_length=200, description="Id or slug.")] = None,
) -> Any:
    here, tenant = await asking(request)
    return Json(await observations.stats(here.db, tenant, project))


router.routes[:0] = asking_much.routes
