"""claude-mem's server API, so that its hooks work against Muster by URL and key alone.

Bodies and answers are in its words; what is done is asked of the API's own routes (api/inside.py), with the same keys.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Path, Query, Request
from pydantic import Field

from api.answers import Json, problems
from api.auth import ANY_KEY, OPEN, needs, router_of
from api.bodies import Lenient
from api.claude_mem_words import (
    OWN_PLATFORM,
    ClaudeMemEvent,
    ClaudeMemEventAnswer,
    ClaudeMemEventsAnswer,
    ClaudeMemHealth,
    ClaudeMemInfo,
    ClaudeMemSessionAnswer,
    ClaudeMemStart,
    as_event,
    as_job,
    as_recorded,
    as_session,
    event_body,
    fits,
    moment_of,
    prompt_of,
    session_body,
    slug_of,
)
from api.context import Context, Row, asking
from api.inside import Inside
from muster.domain.errors import Forbidden, NotFound, SlugTaken, UnknownReference
from muster.domain.ids import new_id
from muster.domain.memory import MAX_BATCH
from muster.domain.tenants import Scope, Tenant
from muster.domain.version import VERSION
from muster.storage import projects, sessions

PREFIX = "/compat/claude-mem"

router = router_of("claude-mem", prefix=PREFIX)
router.route_class = Lenient

BATCH_PATH = f"{PREFIX}/v1/events/batch"
EVENT_PATH = f"{PREFIX}/v1/events"
START_PATH = f"{PREFIX}/v1/sessions/start"
MAX_EVENT_BODY_BYTES = 5 * 1024 * 1024
"""As claude-mem takes it. Long texts in it are cut to what an event may have."""

WAIT_SECONDS = 30
Flag = Annotated[Literal["true", "false"] | None, Query()]
SessionId = Annotated[UUID, Path(description="As `sessions/start` told it.")]


# -- Who is there -----------------------------------------------------------------------------------------------


@router.get(
    "/healthz",
    operation_id="claude_mem_health",
    openapi_extra=needs(OPEN),
    summary="Whether it lives",
    response_model=ClaudeMemHealth,
)
async def healthz() -> Any:
    return {"status": "ok", "runtime": "muster"}


@router.get(
    "/v1/info",
    operation_id="claude_mem_info",
    openapi_extra=needs(ANY_KEY),
    summary="What it is",
    response_model=ClaudeMemInfo,
    responses=problems(),
)
async def info(request: Request) -> Any:
    found = await Inside(request).request("GET", "/v1/info")
    boundaries = found["boundaries"]
    return Json(
        {
            "name": OWN_PLATFORM,
            "runtime": "muster",
            "version": VERSION,
            "authMode": "api-key",
            "postgres": {"status": boundaries["postgres"]["status"]},
            "boundaries": boundaries,
            "queueLanes": {
                lane["kind"]: {"waiting": lane["queued"], "active": lane["processing"], "paused": lane["paused"]}
                for lane in boundaries["memory"]["lanes"]
            },
        }
    )


# -- Sessions ---------------------------------------------------------------------------------------------------


@router.post(
    "/v1/sessions/start",
    operation_id="claude_mem_start_session",
    openapi_extra=needs(Scope.MEMORY_WRITE),
    summary="Start a session, or find it",
    status_code=201,
    response_model=ClaudeMemSessionAnswer,
    responses={200: {"model": ClaudeMemSessionAnswer}, **problems(404, 409, 413, 415)},
)
async def start_session(request: Request, sent: ClaudeMemStart) -> Any:
    """Hooks start it anew with each prompt, which stands in its metadata, and is kept as an event of its own."""
    here, tenant = await asking(request)
    project = await writable(here, tenant, sent.project_id)
    known = {
        "contentSessionId": sent.content_session_id,
        "agentId": sent.agent_id,
        "agentType": sent.agent_type,
    }
    told, prompt = prompt_of(sent)
    status, session = await Inside(request).hand_on(
        "POST",
        "/v1/sessions",
        body=session_body(
            project, sent.external_session_id or sent.content_session_id, sent.platform_source,
            {**told, **{name: value for name, value in known.items() if value is not None}},
        ),
    )  # fmt: skip
    if prompt is not None:
        body = event_body(prompt, project, session["id"], moment_of(None))
        await Inside(request).hand_on("POST", "/v1/agent-events", body=body)
    return Json({"session": as_session(session)}, status)


@router.post(
    "/v1/sessions/{session_id}/end",
    operation_id="claude_mem_end_session",
    openapi_extra=needs(Scope.MEMORY_WRITE),
    summary="End a session; it is summarised",
    response_model=ClaudeMemSessionAnswer,
    responses=problems(404),
)
async def end_session(request: Request, session_id: SessionId) -> Any:
    _, ended = await Inside(request).hand_on("POST", f"/v1/sessions/{session_id}/end")
    return Json({"session": as_session(ended), **as_job(ended.get("job"))})


@router.get(
    "/v1/sessions/{session_id}",
    operation_id="claude_mem_get_session",
    openapi_extra=needs(Scope.MEMORY_READ),
    summary="A session",
    response_model=ClaudeMemSessionAnswer,
    responses=problems(404),
)
async def get_session(request: Request, session_id: SessionId) -> Any:
    _, session = await Inside(request).hand_on("GET", f"/v1/sessions/{session_id}")
    return Json({"session": as_session(session)})


# -- Events -----------------------------------------------------------------------------------------------------


@router.post(
    "/v1/events",
    operation_id="claude_mem_record_event",
    openapi_extra=needs(Scope.MEMORY_WRITE),
    summary="Record an event",
    status_code=201,
    response_model=ClaudeMemEventAnswer,
    responses=problems(404, 413, 415),
)
async def record_event(request: Request, sent: ClaudeMemEvent, generate: Flag = None, wait: Flag = None) -> Any:
    """`wait=true` answers once its job is done, or after 30 s."""
    found, late = await _record(request, [sent], generate, wait, batch=False)
    return Json({**found[0], **late}, 201)


@router.post(
    "/v1/events/batch",
    operation_id="claude_mem_record_events",
    openapi_extra=needs(Scope.MEMORY_WRITE),
    summary="Record events: all of them, or none",
    status_code=201,
    response_model=ClaudeMemEventsAnswer,
    responses=problems(404, 413, 415),
)
async def record_events(
    request: Request,
    sent: Annotated[list[ClaudeMemEvent], Field(min_length=1, max_length=MAX_BATCH)],
    generate: Flag = None,
    wait: Flag = None,
) -> Any:
    found, late = await _record(request, sent, generate, wait, batch=True)
    return Json({"events": found, **late}, 201)


@router.get(
    "/v1/events/{event_id}",
    operation_id="claude_mem_get_event",
    openapi_extra=needs(Scope.MEMORY_READ),
    summary="An event",
    response_model=ClaudeMemEventAnswer,
    responses=problems(404),
)
async def get_event(request: Request, event_id: UUID) -> Any:
    _, event = await Inside(request).hand_on("GET", f"/v1/agent-events/{event_id}")
    return Json({"event": as_event(event)})


# -- Between its words and ours ---------------------------------------------------------------------------------


def _id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


async def project_of(here: Context, tenant: Tenant, ref: str) -> UUID | None:
    for name in dict.fromkeys((ref, slug_of(ref))):
        try:
            return UUID((await projects.get(here.db, tenant, name))["id"])
        except NotFound:
            if _id(name):
                raise
    return None


def must_reach_all(tenant: Tenant) -> None:
    if not tenant.reaches_all:
        raise Forbidden("this key reaches one project only, and not this one")


async def writable(here: Context, tenant: Tenant, ref: str) -> UUID:
    """The project of this name; there is one from now on."""
    found = await project_of(here, tenant, ref)
    if found is not None:
        return found
    must_reach_all(tenant)
    try:
        made = await projects.create(
            here.db, tenant, new_id(), slug=slug_of(ref), name=ref, description="Made for claude-mem's hooks."
        )
    except SlugTaken:  # by another hook, a moment ago
        made = await projects.get(here.db, tenant, slug_of(ref))
    return UUID(made["id"])


async def _look(here: Context, tenant: Tenant, sent: list[ClaudeMemEvent]) -> None:
    """Whatever refuses one of them refuses it before a project or a session is made for another."""
    places: dict[str, UUID | None] = {}
    homes: dict[UUID, str] = {}
    for n, event in enumerate(sent):
        if event.project_id not in places:
            places[event.project_id] = await project_of(here, tenant, event.project_id)
            if places[event.project_id] is None:
                must_reach_all(tenant)
        if (session := event.server_session_id) is not None:
            if session not in homes:
                try:
                    homes[session] = (await sessions.get(here.db, tenant, session))["project_id"]
                except NotFound:
                    homes[session] = ""
            if homes[session] != str(places[event.project_id]):
                raise UnknownReference(f"events.{n}: project {event.project_id} has no session {session}")
        fits(n, event)


async def _record(
    request: Request, sent: list[ClaudeMemEvent], generate: str | None, wait: str | None, *, batch: bool
) -> tuple[list[Row], Row]:
    here, tenant = await asking(request)
    await _look(here, tenant, sent)
    places: dict[str, UUID] = {}
    begun: dict[tuple[UUID, str | None, str], str] = {}
    bodies = []
    for event in sent:
        if event.project_id not in places:
            places[event.project_id] = await writable(here, tenant, event.project_id)
        project, at = places[event.project_id], moment_of(event.occurred_at_epoch)
        if event.server_session_id is not None:
            session = str(event.server_session_id)
        else:
            # What names no session is of the day's, of whatever sent it.
            name = event.content_session_id or f"{event.source_type} {at:%Y-%m-%d}"
            key = (project, event.platform_source, name)
            if key not in begun:
                begun[key] = await _named_session(request, here, tenant, *key)
            session = begun[key]
        bodies.append(event_body(event, project, session, at))
    query = {"generate": generate or "true"} | ({"wait": WAIT_SECONDS} if wait == "true" else {})
    path = "/v1/agent-events/batch" if batch else "/v1/agent-events"
    _, told = await Inside(request).hand_on("POST", path, query=query, body=bodies if batch else bodies[0])
    items = told["items"] if batch else [told]
    jobs = {job["id"]: job for job in (told["jobs"] if batch else [told["job"]]) if job}
    found = [
        {"event": as_recorded(tenant, body, item), **as_job(jobs.get(item["job_id"]))}
        for body, item in zip(bodies, items, strict=True)
    ]
    return found, {"waitTimedOut": True} if told["wait_timed_out"] else {}


async def _named_session(
    request: Request, here: Context, tenant: Tenant, project: UUID, platform: str | None, name: str
) -> str:
    """Hooks name the platform when a session starts, and not with each event."""
    if platform is None:
        known, _ = await sessions.page(here.db, tenant, project_id=project, external_id=name, limit=1)
        if known:
            return str(known[0]["id"])
    _, session = await Inside(request).hand_on("POST", "/v1/sessions", body=session_body(project, name, platform, {}))
    return str(session["id"])
