"""Projects."""

from __future__ import annotations

from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import Path, Request
from pydantic import AfterValidator, Field, model_validator
from starlette.responses import Response

from api import answers
from api.answers import Cursor, Forgotten, Json, Limit, problems
from api.auth import must_have, must_reach_all, needs, router_of
from api.context import asking
from api.idempotency import Answer, IdempotencyKey, Sent, once
from muster.domain.errors import Forbidden
from muster.domain.states import ProjectStatus
from muster.domain.tasks import Spec, Text
from muster.domain.tenants import Scope
from muster.storage import forgetting, projects

router = router_of("projects")

SECONDS = 20.0
"""After which a large deletion answers how far it came."""


def _not_an_id(slug: str) -> str:
    try:
        UUID(slug)
    except ValueError:
        return slug
    raise ValueError("must not look like an id")


Slug = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$",
        max_length=64,
        description="Its name in commands and URLs: lower-case letters, digits and inner hyphens.",
        examples=["apollo"],
    ),
    AfterValidator(_not_an_id),
]
Name = Annotated[Text, Field(min_length=1, max_length=200, examples=["Apollo"])]
Description = Annotated[Text, Field(max_length=10_000)]
Ref = Annotated[Text, Path(min_length=1, max_length=200, description="Id or slug.")]


class NewProject(Spec, json_schema_extra={"examples": [{"slug": "apollo", "name": "Apollo"}]}):
    slug: Slug
    name: Name
    description: Description | None = None


class ProjectChange(Spec, json_schema_extra={"examples": [{"name": "Apollo 11"}]}):
    """What is named changes; the rest stays."""

    slug: Slug | None = None
    name: Name | None = None
    description: Description | None = Field(default=None, description="null removes it.")
    status: ProjectStatus | None = None

    @model_validator(mode="after")
    def _keeps_what_it_must(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("name at least one field to change")
        for field in ("slug", "name", "status"):
            if field in self.model_fields_set and getattr(self, field) is None:
                raise ValueError(f"{field} cannot be null")
        return self


@router.post(
    "/projects",
    operation_id="create_project",
    openapi_extra=needs(Scope.TASKS_WRITE),
    summary="Create a project",
    status_code=201,
    response_model=answers.Project,
    responses={**answers.replayed(answers.Project), **problems(409, 413, 415)},
)
async def create_project(request: Request, project: NewProject, key: IdempotencyKey = None) -> Any:
    here, tenant = await asking(request)
    must_reach_all(tenant)

    async def work(sent: Sent) -> Answer:
        row = await projects.create(
            here.db,
            tenant,
            sent.id,
            slug=project.slug,
            name=project.name,
            description=project.description,
        )
        return Answer(201, row, f"/v1/projects/{row['id']}")

    return await once(here, tenant, request, key, project, work)


@router.get(
    "/projects",
    operation_id="list_projects",
    openapi_extra=needs(Scope.TASKS_READ),
    summary="List projects, newest first",
    response_model=answers.Page[answers.Project],
    responses=problems(),
)
async def list_projects(
    request: Request, status: ProjectStatus | None = None, cursor: Cursor = None, limit: Limit = 50
) -> Any:
    here, tenant = await asking(request)
    items, following = await projects.page(here.db, tenant, status=status, cursor=cursor, limit=limit)
    return Json({"items": items, "next_cursor": following})


@router.get(
    "/projects/{project}",
    operation_id="get_project",
    openapi_extra=needs(Scope.TASKS_READ),
    summary="A project",
    response_model=answers.Project,
    responses=problems(404),
)
async def get_project(request: Request, project: Ref) -> Any:
    here, tenant = await asking(request)
    return Json(await projects.get(here.db, tenant, project))


@router.patch(
    "/projects/{project}",
    operation_id="update_project",
    openapi_extra=needs(Scope.TASKS_WRITE),
    summary="Change a project, or archive it",
    response_model=answers.Project,
    responses=problems(404, 409, 413, 415),
)
async def update_project(request: Request, project: Ref, change: ProjectChange) -> Any:
    here, tenant = await asking(request)
    if tenant.task_id is not None:
        raise Forbidden("an agent does not change its project")
    changed = change.model_dump(mode="json", exclude_unset=True)
    return Json(await projects.update(here.db, tenant, project, changed))


@router.delete(
    "/projects/{project}",
    operation_id="delete_project",
    openapi_extra=needs(Scope.TASKS_WRITE),
    summary="Delete a project without tasks",
    status_code=204,
    responses={200: {"model": Forgotten, "description": "What it remembered went with it"}, **problems(404, 409)},
)
async def delete_project(request: Request, project: Ref) -> Response:
    """One that has tasks can be archived instead. One that remembers something goes with its memory, which takes a key
    with the scope `admin`; the answer then counts what went. Where that is more than one request deletes, the project
    stays until it is sent again."""
    here, tenant = await asking(request)
    must_reach_all(tenant)
    found = await projects.get(here.db, tenant, project)
    project_id = UUID(found["id"])
    if not await forgetting.remembers(here.db, tenant, project_id):
        await projects.delete(here.db, tenant, project)
        return Response(status_code=204)
    must_have(tenant, Scope.ADMIN)
    await projects.must_be_idle(here.db, tenant, found)  # before anything of it is gone
    forgotten = await forgetting.everything_of(here.db, tenant, "project", project_id, seconds=SECONDS)
    if forgotten.complete:
        await projects.delete(here.db, tenant, str(project_id))
    return Json({"deleted": forgotten.deleted, "complete": forgotten.complete})
