"""A project's memory as lines of JSON: written out, and read back in, here or elsewhere."""

from __future__ import annotations

import logging
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request
from pydantic import Field
from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse

from api.answers import Shown, problems, replayed
from api.auth import needs, router_of
from api.context import asking
from api.forgetting import must_be_a_person
from api.idempotency import Answer, IdempotencyKey, Sent, Streamed, once
from muster.domain.archive import BadArchive, Lines
from muster.domain.errors import MusterError, ProjectArchived
from muster.domain.states import ProjectStatus
from muster.domain.tasks import Text
from muster.domain.tenants import Scope, Tenant
from muster.storage import archive, projects

log = logging.getLogger(__name__)

router = router_of("memory")

PATH = "/v1/memory/import"
MAX_BODY_BYTES = 16 * 1024**3
"""What is brought in is read line by line, and never held whole."""

MEDIA_TYPE = "application/x-ndjson"
_LINES: dict[str, Any] = {
    MEDIA_TYPE: {
        "schema": {"type": "string"},
        "example": '{"kind":"muster-memory","version":1}\n'
        '{"kind":"observation","id":"01939b6f-0000-7000-8000-000000000000","type":"decision",'
        '"title":"Imports run at night only","occurred_at":"2026-11-21T12:00:00Z"}\n'
        '{"kind":"end","sessions":0,"events":0,"observations":1}\n',
    }
}

Project = Annotated[
    Text | None,
    Query(min_length=1, max_length=200, description="Id or slug. A key of one project may leave it out."),
]


class NameProject(MusterError):
    status, code = 422, "invalid_request"


class Imported(Shown):
    lines: int
    added: dict[str, int] = Field(examples=[{"sessions": 3, "events": 412, "observations": 57}])
    known: dict[str, int] = Field(description="What was here already. Sent again, everything is.")
    excluded: int = Field(description="Events and observations that the project's settings keep out.")
    settings: bool = Field(description="Whether the project now remembers as the archive says; it had no settings.")
    whole: bool = Field(description="False: the last line is missing, so it was cut off.")


def _named(tenant: Tenant, ref: str | None) -> str:
    if ref is None and tenant.project_id is None:
        raise NameProject("query.project: name a project")
    return ref or str(tenant.project_id)


@router.get(
    "/memory/export",
    operation_id="export_memory",
    openapi_extra=needs(Scope.MEMORY_READ),
    summary="Export a project's memory",
    response_class=StreamingResponse,
    responses={200: {"content": _LINES, "description": "JSON lines"}, **problems(404)},
)
async def export_memory(request: Request, project: Project = None) -> Any:
    """Settings, sessions, events and observations with their sources, one JSON object a line; the last one counts them.
    Vectors are left out: they are made anew."""
    here, tenant = await asking(request)
    found = await projects.get(here.db, tenant, _named(tenant, project))
    name = f'attachment; filename="memory-{found["slug"]}.jsonl"'
    return StreamingResponse(
        archive.export(here.db, tenant, found), media_type=MEDIA_TYPE, headers={"Content-Disposition": name}
    )


@router.post(
    "/memory/import",
    operation_id="import_memory",
    openapi_extra={**needs(Scope.MEMORY_WRITE), "requestBody": {"content": _LINES}},
    summary="Import a project's memory",
    response_model=Imported,
    responses={**replayed(Imported, 200), **problems(404, 409, 413)},
)
async def import_memory(request: Request, project: Project = None, key: IdempotencyKey = None) -> Any:
    """What an export wrote, into this project or another, of this Muster or another. Each line is checked; a mistake is
    named by its line, and what stands some hundred lines before it is stored. Brought twice, nothing is added."""
    here, tenant = await asking(request)
    must_be_a_person(tenant)
    body = Streamed(request, keyed=key is not None)

    async def work(sent: Sent) -> Answer:
        found = await projects.get(here.db, tenant, _named(tenant, project))
        if found["status"] == ProjectStatus.ARCHIVED:
            raise ProjectArchived(f"project {found['slug']} is archived")
        lines = Lines()
        bringing = archive.Import(here.db, tenant, UUID(found["id"]), may_set=Scope.ADMIN in tenant.scopes)
        try:
            async for data in body:
                await bringing.feed(list(lines.feed(data)))
            await bringing.feed(list(lines.end()))
            await bringing.end()
        except BadArchive as error:
            error.details["added"] = bringing.added
            raise
        except ClientDisconnect:
            log.info("an import was broken off after line %d", bringing.lines)
            raise
        finally:
            for project_id, session_id in bringing.anew:
                here.pokes.poke(tenant.workspace_id, project_id, session_id)
        answer = {
            "lines": bringing.lines, "added": bringing.added, "known": bringing.known, "excluded": bringing.excluded,
            "settings": bringing.settings, "whole": bringing.whole,
        }  # fmt: skip
        return Answer(200, answer)

    try:
        return await once(here, tenant, request, key, body, work)
    except ClientDisconnect:
        return Response(status_code=408)  # which nobody hears
