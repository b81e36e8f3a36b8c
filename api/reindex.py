"""Vectors of another model for a project: asked for, and watched."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request
from pydantic import Field

from api.answers import Json, Shown, problems, replayed
from api.auth import needs, router_of
from api.context import asking
from api.idempotency import Answer, IdempotencyKey, Sent, once
from muster.domain.errors import Forbidden, MusterError
from muster.domain.memory import JobStatus
from muster.domain.tasks import Spec, Text
from muster.domain.tenants import Scope
from muster.storage import embeddings, projects

router = router_of("memory")

_LOOK_SECONDS = 5.0

Model = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}$",
        description="As the provider in MUSTER_EMBEDDINGS_URL calls it.",
        examples=["text-embedding-3-small"],
    ),
]


class NoEmbeddings(MusterError):
    """The settings say that there are no vectors."""

    status, code = 409, "no_embeddings"


class UnknownModel(MusterError):
    status, code = 422, "unknown_reference"


class Reindex(Spec, json_schema_extra={"examples": [{"project": "apollo", "model": "text-embedding-3-small"}]}):
    project: Annotated[Text, Field(min_length=1, max_length=200)] = Field(description="Id or slug.")
    model: Model


class ReindexJob(Shown):
    id: str
    status: JobStatus
    note: str | None = Field(description="How far it is.")
    error: str | None
    attempts: int
    created_at: datetime
    finished_at: datetime | None


class Vectors(Shown):
    """Of one project."""

    project_id: UUID
    model: str = Field(description="Whose vectors are searched.")
    next_model: str | None = Field(description="Whose are being made beside them; it takes over when it has them all.")
    observations: int
    vectors: int = Field(description="Observations that have one of `model`.")
    next_vectors: int = Field(description="Observations that have one of `next_model`.")
    waiting: int = Field(description="Observations without one; they are found by their words meanwhile.")
    refused: int = Field(description="Of those, what the provider did not take.")
    error: str | None = Field(description="Why it did not, or why some wait: what the provider last failed with.")
    job: ReindexJob | None = Field(description="The move to another model that is under way, else the latest.")


@router.get(
    "/memory/reindex",
    operation_id="get_vectors",
    openapi_extra=needs(Scope.MEMORY_READ),
    summary="Which model a project is searched by, and how far another is",
    response_model=Vectors,
    responses=problems(404),
)
async def get_vectors(
    request: Request, project: Annotated[Text, Query(min_length=1, max_length=200, description="Id or slug.")]
) -> Any:
    here, tenant = await asking(request)
    found = await projects.get(here.db, tenant, project)
    return Json(await embeddings.progress(here.db, tenant, UUID(found["id"]), here.embeddings.model))


@router.post(
    "/memory/reindex",
    operation_id="reindex_memory",
    openapi_extra=needs(Scope.MEMORY_WRITE),
    summary="Give a project another model",
    status_code=202,
    response_model=Vectors,
    responses={**replayed(Vectors, 202), **problems(403, 409, 413, 415)},
)
async def reindex_memory(request: Request, reindex: Reindex, key: IdempotencyKey = None) -> Any:
    """Vectors of the new model are made beside the old ones, which are searched until all of the new are there. Asking
    for the model that the project has ends a move that is under way."""
    here, tenant = await asking(request)
    if tenant.task_id is not None:
        raise Forbidden("an agent may not give its project another model")
    if not here.embeddings.enabled:
        raise NoEmbeddings("MUSTER_EMBEDDINGS_URL names no embeddings, so there are no vectors")

    async def work(sent: Sent) -> Answer:
        project_id = await projects.resolve(here.db, tenant, reindex.project)
        default = here.embeddings.model
        current, _ = await embeddings.models(here.db, tenant, project_id, default)
        if reindex.model != current and (why := await here.embeddings.refusal(reindex.model, _LOOK_SECONDS)):
            raise UnknownModel(f"there are no vectors of {reindex.model}: {why}")
        job = await embeddings.reindex(
            here.db, tenant, project_id, reindex.model, default, request_id=str(sent.id)
        )  # fmt: skip
        if job:
            here.pokes.poke(tenant.workspace_id, project_id, None, at_once=True)
        return Answer(202, await embeddings.progress(here.db, tenant, project_id, default))

    return await once(here, tenant, request, key, reindex, work)
