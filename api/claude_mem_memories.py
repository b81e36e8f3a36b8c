"""The rest of claude-mem's server API: observations, found, kept and forgotten; and the jobs that make them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import quote
from uuid import UUID

from fastapi import Path, Query, Request

from api.answers import Json, problems
from api.auth import needs, router_of
from api.bodies import Lenient
from api.claude_mem import PREFIX, must_reach_all, project_of, writable
from api.claude_mem_words import (
    ClaudeMemAnswer,
    ClaudeMemAskContext,
    ClaudeMemContextAnswer,
    ClaudeMemJobAnswer,
    ClaudeMemJobs,
    ClaudeMemMemory,
    ClaudeMemMemoryAnswer,
    ClaudeMemObservations,
    ClaudeMemSearch,
    as_job,
    as_listed_job,
    as_observation,
    first_line,
)
from api.context import Row, asking
from api.inside import Inside
from muster.domain.errors import MusterError, NotFound
from muster.domain.intake import as_utc
from muster.domain.memory import JobKind, JobStatus
from muster.domain.tasks import Text
from muster.domain.tenants import Scope

router = router_of("claude-mem", prefix=PREFIX)
router.route_class = Lenient

LISTED = 2_000
"""Jobs among which a list looks: the latest."""
SOURCES: dict[str, tuple[JobKind, ...]] = {
    "agent_event": (JobKind.EVENT, JobKind.EVENT_BATCH),
    "session_summary": (JobKind.SUMMARY,),
    "observation_reindex": (JobKind.REINDEX,),
}

JobId = Annotated[Text, Path(min_length=1, max_length=100)]


class Unnamed(MusterError):
    status, code = 422, "invalid_request"


# -- Observations -----------------------------------------------------------------------------------------------


@router.post(
    "/v1/memories",
    operation_id="claude_mem_remember",
    openapi_extra=needs(Scope.MEMORY_WRITE),
    summary="Keep something by hand",
    status_code=201,
    response_model=ClaudeMemMemoryAnswer,
    responses=problems(404, 413, 415),
)
async def remember(request: Request, sent: ClaudeMemMemory) -> Any:
    here, tenant = await asking(request)
    text = sent.narrative or sent.content
    if not text and not sent.title:
        raise Unnamed("body.content: Field required")
    body = {
        "project": str(await writable(here, tenant, sent.project_id)),
        "type": sent.type or sent.kind or "manual",
        "title": sent.title or first_line(text or ""),
        "subtitle": sent.subtitle or None,
        "narrative": text,
        "facts": sent.facts,
        "concepts": sent.concepts,
        "files_read": sent.files_read,
        "files_modified": sent.files_modified,
        "session": str(sent.server_session_id) if sent.server_session_id else None,
    }
    _, made = await Inside(request).hand_on(
        "POST", "/v1/observations", body={name: value for name, value in body.items() if value is not None}
    )
    return Json({"memory": as_observation(tenant, made)}, 201)


@router.delete(
    "/v1/memories/{observation_id}",
    operation_id="claude_mem_forget",
    openapi_extra=needs(Scope.MEMORY_WRITE),
    summary="Forget an observation",
    response_model=ClaudeMemAnswer,
    responses=problems(404),
)
async def forget(request: Request, observation_id: UUID) -> Any:
    _, gone = await Inside(request).hand_on("DELETE", f"/v1/observations/{observation_id}")
    return Json({"deleted": gone["deleted"]})


@router.post(
    "/v1/search",
    operation_id="claude_mem_search",
    openapi_extra=needs(Scope.MEMORY_READ),
    summary="Find observations",
    response_model=ClaudeMemObservations,
    responses=problems(404, 413, 415),
)
async def search(request: Request, sent: ClaudeMemSearch) -> Any:
    return Json({"observations": await _found(request, sent)})


@router.post(
    "/v1/context",
    operation_id="claude_mem_context",
    openapi_extra=needs(Scope.MEMORY_READ),
    summary="Find observations, and join them to one text",
    response_model=ClaudeMemContextAnswer,
    responses=problems(404, 413, 415),
)
async def context(request: Request, sent: ClaudeMemAskContext) -> Any:
    found = await _found(request, sent)
    return Json({"observations": found, "context": "\n\n".join(item["content"] for item in found)})


@router.get(
    "/v1/events/{event_id}/observations",
    operation_id="claude_mem_event_observations",
    openapi_extra=needs(Scope.MEMORY_READ),
    summary="What was made of an event",
    response_model=ClaudeMemObservations,
    responses=problems(404),
)
async def event_observations(request: Request, event_id: UUID) -> Any:
    _, tenant = await asking(request)
    inside = Inside(request)
    _, event = await inside.hand_on("GET", f"/v1/agent-events/{event_id}")
    found = [await inside.hand_on("GET", f"/v1/observations/{one}") for one in event["observations"][:100]]
    return Json({"eventId": event["id"], "observations": [as_observation(tenant, one) for _, one in found]})


@router.delete(
    "/v1/projects/{project}/memory",
    operation_id="claude_mem_forget_project",
    openapi_extra=needs(Scope.ADMIN),
    summary="Forget all that a project remembers",
    response_model=ClaudeMemAnswer,
    responses=problems(404),
)
async def forget_project(
    request: Request, project: Annotated[Text, Path(min_length=1, max_length=200, description="Id, slug or name.")]
) -> Any:
    here, tenant = await asking(request)
    found = await project_of(here, tenant, project)
    if found is None:
        raise NotFound(f"there is no project {project}")
    _, gone = await Inside(request).hand_on("DELETE", f"/v1/projects/{found}/memory")
    return Json({"projectId": str(found), **gone})


# -- Jobs -------------------------------------------------------------------------------------------------------


@router.get(
    "/v1/jobs",
    operation_id="claude_mem_list_jobs",
    openapi_extra=needs(Scope.MEMORY_READ),
    summary="List jobs, newest first",
    response_model=ClaudeMemJobs,
    responses=problems(),
)
async def list_jobs(
    request: Request,
    status: JobStatus | None = None,
    source_type: Literal["agent_event", "session_summary", "observation_reindex"] | None = None,
    since: datetime | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    offset: Annotated[int, Query(ge=0, le=LISTED)] = 0,
) -> Any:
    """Of the latest 2,000."""
    kinds = SOURCES[source_type] if source_type else tuple(JobKind)
    began = as_utc(since) if since else None
    found: list[Row] = []
    looked, cursor = 0, None
    while looked < LISTED:
        query: Row = {"limit": 500} | ({"status": status} if status else {}) | ({"cursor": cursor} if cursor else {})
        _, page = await Inside(request).hand_on("GET", "/v1/jobs", query=query)
        looked += len(page["items"])
        for job in page["items"]:
            if job["kind"] in kinds and (began is None or datetime.fromisoformat(job["created_at"]) >= began):
                found.append(job)
        cursor = page["next_cursor"]
        if cursor is None:
            break
    listed = [as_listed_job(job) for job in found[offset : offset + limit]]
    return Json({"jobs": listed, "total": len(found), "limit": limit, "offset": offset})


@router.get(
    "/v1/jobs/{job}",
    operation_id="claude_mem_get_job",
    openapi_extra=needs(Scope.MEMORY_READ),
    summary="A job",
    response_model=ClaudeMemJobAnswer,
    responses=problems(404),
)
async def get_job(request: Request, job: JobId) -> Any:
    _, found = await Inside(request).hand_on("GET", f"/v1/jobs/{quote(job, safe='')}")
    return Json(as_job(found))


@router.post(
    "/v1/jobs/{job}/retry",
    operation_id="claude_mem_retry_job",
    openapi_extra=needs(Scope.MEMORY_WRITE),
    summary="Queue a failed or cancelled job again",
    response_model=ClaudeMemJobAnswer,
    responses=problems(404, 409),
)
async def retry_job(request: Request, job: JobId) -> Any:
    _, found = await Inside(request).hand_on("POST", f"/v1/jobs/{quote(job, safe='')}/retry")
    return Json(as_job(found))


@router.post(
    "/v1/jobs/{job}/cancel",
    operation_id="claude_mem_cancel_job",
    openapi_extra=needs(Scope.MEMORY_WRITE),
    summary="Cancel a job that is not done",
    response_model=ClaudeMemJobAnswer,
    responses=problems(404, 409),
)
async def cancel_job(request: Request, job: JobId) -> Any:
    _, found = await Inside(request).hand_on("POST", f"/v1/jobs/{quote(job, safe='')}/cancel")
    return Json(as_job(found))


async def _found(request: Request, sent: ClaudeMemSearch | ClaudeMemAskContext) -> list[Row]:
    here, tenant = await asking(request)
    project = await project_of(here, tenant, sent.project_id)
    if project is None:
        must_reach_all(tenant)
        return []  # nothing has been recorded under that name yet
    asked = {"project": str(project), "query": sent.query, "limit": sent.limit}
    _, found = await Inside(request).hand_on("POST", "/v1/memory/search", body=asked)
    return [as_observation(tenant, item) for item in found["items"]]
