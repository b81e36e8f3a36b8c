"""How a project remembers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from fastapi import Request
from pydantic import AfterValidator, Field, model_validator

from api.answers import Json, Shown, problems
from api.auth import must_have, needs, router_of
from api.context import asking
from api.projects import Ref
from muster.domain.errors import Forbidden
from muster.domain.tasks import Spec, Text
from muster.domain.tenants import Scope
from muster.storage import jobs, memory_settings

router = router_of("memory")

Part = Annotated[float, AfterValidator(lambda value: round(value, 6))]
"""PostgreSQL's `real` refuses what is nearer to nothing than it can tell."""
Glob = Annotated[Text, Field(min_length=1, max_length=500, pattern=r"^\s*[^!\s]")]


def _a_name(glob: str) -> str:
    if "(" in glob or ")" in glob:
        raise ValueError("a tool is excluded by its name alone, such as Bash; for what it touches, use exclude_paths")
    return glob


ToolGlob = Annotated[Glob, AfterValidator(_a_name)]
_OF_ADMINS = frozenset({"retain_days", "retain_importance", "daily_tokens"})


class MemorySettings(Shown):
    project_id: UUID
    record_agents: bool
    generator: str
    batch_events: int
    debounce_seconds: float
    exclude_paths: list[str]
    exclude_tools: list[str]
    retain_days: int | None
    retain_importance: float | None
    daily_tokens: int | None
    model: str | None = Field(description="Whose vectors are searched; null: the instance's.")
    next_model: str | None = Field(description="Whose vectors are being made beside them.")
    version: int = Field(description="0: as every project begins.")
    updated_at: datetime | None


class MemoryChange(
    Spec, json_schema_extra={"examples": [{"exclude_paths": [".env*", "secrets/**"], "retain_days": 365}]}
):
    """What is named changes, null to its default; the rest stays."""

    record_agents: bool | None = Field(default=None, description="Whether agents of its tasks are recorded.")
    generator: Literal["default", "rules", "llm"] | None = Field(
        default=None, description="What makes observations; `default` is what the instance is set to."
    )
    batch_events: int | None = Field(default=None, ge=1, le=500, description="How many events are looked at together.")
    debounce_seconds: Part | None = Field(
        default=None, ge=0, le=300, allow_inf_nan=False, description="How long events may gather before they are."
    )
    exclude_paths: list[Glob] | None = Field(
        default=None,
        max_length=100,
        description="Events that touch these are not stored. As in .gitignore: one without a slash is a file or folder "
        "at any depth; one that begins with a slash is of the root, the machine's or the `cwd`'s. There are no "
        "exceptions (!).",
        examples=[[".env*", "secrets/**", "*.pem"]],
    )
    exclude_tools: list[ToolGlob] | None = Field(
        default=None, max_length=100, description="Nor are those of these tools.", examples=[["mcp__mail__*"]]
    )
    retain_days: int | None = Field(
        default=None, ge=1, le=36_500, description="What is older is forgotten; null: nothing is. Needs `admin`."
    )
    retain_importance: Part | None = Field(
        default=None, ge=0, le=1, allow_inf_nan=False,
        description="What is at least so important outlives retain_days. Needs `admin`.",
    )  # fmt: skip
    daily_tokens: int | None = Field(
        default=None, ge=0, le=2**53, description="Of a model, and no more; null: as many as it takes. Needs `admin`."
    )

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("name at least one field to change")
        return self


@router.get(
    "/projects/{project}/memory",
    operation_id="get_memory_settings",
    openapi_extra=needs(Scope.MEMORY_READ),
    summary="How a project remembers",
    response_model=MemorySettings,
    responses=problems(404),
)
async def get_memory_settings(request: Request, project: Ref) -> Any:
    here, tenant = await asking(request)
    return Json(await memory_settings.get(here.db, tenant, project))


@router.patch(
    "/projects/{project}/memory",
    operation_id="update_memory_settings",
    openapi_extra=needs(Scope.MEMORY_WRITE),
    summary="Change how a project remembers",
    response_model=MemorySettings,
    responses=problems(404, 413, 415),
)
async def update_memory_settings(request: Request, project: Ref, change: MemoryChange) -> Any:
    """What is excluded from now on stays where it was stored before; forget it to be rid of it."""
    here, tenant = await asking(request)
    if tenant.task_id is not None:
        raise Forbidden("an agent does not decide what is remembered of it")
    if change.model_fields_set & _OF_ADMINS:
        must_have(tenant, Scope.ADMIN)
    asked = change.model_dump(mode="json", exclude_unset=True)
    changed = {name: memory_settings.DEFAULTS.get(name) if value is None else value for name, value in asked.items()}
    found = await memory_settings.update(here.db, tenant, project, changed)
    if memory_settings.FREES & set(changed):
        for place in await jobs.places(here.db, tenant, project_id=UUID(found["project_id"])):
            here.pokes.poke(*place, anew=True)
    return Json(found)
