"""claude-mem's words for what is sent and answered, and ours for the same."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

from api.answers import Shown
from muster.domain import cuts
from muster.domain.errors import EventTooLarge
from muster.domain.memory import MAX_EVENT_BYTES
from muster.domain.tasks import Text
from muster.domain.tenants import Tenant

Row = dict[str, Any]

_PAYLOAD_BYTES = MAX_EVENT_BYTES * 9 // 10
"""The rest is for metadata."""

_SLUG = 64
_NO_TEXT = "[media prompt]"
"""What hooks send for a prompt of pictures alone."""

OWN_PLATFORM = "claude-mem"
"""Of sessions that name none."""

Name = Annotated[Text, Field(min_length=1, max_length=500)]
Ref = Annotated[Text, Field(min_length=1, max_length=200, pattern=r"\S")]


class Sent(BaseModel):
    """What it does not know it ignores, as claude-mem does: its clients are older and newer than this."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)

    project_id: Ref = Field(description="Id or slug of a project, or a new name: then there is one from now on.")


class ClaudeMemStart(
    Sent,
    json_schema_extra={"examples": [{"projectId": "apollo", "contentSessionId": "run-17", "platformSource": "claude"}]},
):
    external_session_id: Name | None = None
    content_session_id: Name | None = None
    agent_id: Name | None = None
    agent_type: Name | None = None
    platform_source: Annotated[Text, Field(max_length=100)] | None = None
    metadata: dict[str, JsonValue] | None = None


class ClaudeMemEvent(
    Sent,
    json_schema_extra={
        "examples": [
            {
                "projectId": "apollo",
                "contentSessionId": "run-17",
                "eventType": "tool_use",
                "payload": {"tool_name": "Bash"},
            }
        ]
    },
):
    source_type: Literal["hook", "worker", "provider", "server", "api"] = "api"
    event_type: Annotated[Text, Field(min_length=1, max_length=100)]
    occurred_at_epoch: float | None = Field(
        default=None, ge=0, le=253_402_300_799_000, description="In milliseconds. Default: now."
    )
    payload: JsonValue = None
    metadata: dict[str, JsonValue] | None = None
    server_session_id: UUID | None = None
    content_session_id: Name | None = None
    memory_session_id: Name | None = None
    platform_source: Annotated[Text, Field(max_length=100)] | None = None
    source_event_id: Name | None = None


class ClaudeMemMemory(
    Sent,
    json_schema_extra={
        "examples": [
            {"projectId": "apollo", "title": "Imports run at night only", "content": "By day the tables are locked."}
        ]
    },
):
    content: Annotated[Text, Field(min_length=1, max_length=100_000)] | None = None
    narrative: Annotated[Text, Field(min_length=1, max_length=100_000)] | None = None
    title: Name | None = None
    subtitle: Annotated[Text, Field(max_length=1000)] | None = None
    kind: Annotated[Text, Field(min_length=1, max_length=50)] | None = None
    type: Annotated[Text, Field(min_length=1, max_length=50)] | None = None
    facts: list[Text] = Field(default_factory=list, max_length=100)
    concepts: list[Text] = Field(default_factory=list, max_length=100)
    files_read: list[Text] = Field(default_factory=list, max_length=100)
    files_modified: list[Text] = Field(default_factory=list, max_length=100)
    server_session_id: UUID | None = None


class ClaudeMemSearch(Sent, json_schema_extra={"examples": [{"projectId": "apollo", "query": "when do imports run?"}]}):
    query: Annotated[Text, Field(min_length=1, max_length=10_000)]
    limit: int = Field(default=20, ge=1, le=100)


class ClaudeMemAskContext(
    Sent, json_schema_extra={"examples": [{"projectId": "apollo", "query": "make the nightly import restartable"}]}
):
    query: Annotated[Text, Field(min_length=1, max_length=10_000)]
    limit: int = Field(default=10, ge=1, le=50)


class ClaudeMemAnswer(Shown):
    """More may stand in it: claude-mem's clients ignore what they do not know."""

    model_config = ConfigDict(extra="allow", alias_generator=to_camel, populate_by_name=True)


class ClaudeMemSessionAnswer(ClaudeMemAnswer):
    session: dict[str, Any]


class ClaudeMemEventAnswer(ClaudeMemAnswer):
    event: dict[str, Any]


class ClaudeMemEventsAnswer(ClaudeMemAnswer):
    events: list[dict[str, Any]]


class ClaudeMemMemoryAnswer(ClaudeMemAnswer):
    memory: dict[str, Any]


class ClaudeMemObservations(ClaudeMemAnswer):
    observations: list[dict[str, Any]]


class ClaudeMemContextAnswer(ClaudeMemObservations):
    context: str


class ClaudeMemJobAnswer(ClaudeMemAnswer):
    generation_job: dict[str, Any]


class ClaudeMemJobs(ClaudeMemAnswer):
    jobs: list[dict[str, Any]]
    total: int
    limit: int
    offset: int


class ClaudeMemHealth(Shown):
    status: Literal["ok"]
    runtime: str


class ClaudeMemInfo(ClaudeMemAnswer):
    name: str
    runtime: str
    version: str


# -- Between its words and ours ---------------------------------------------------------------------------------


def slug_of(name: str) -> str:
    """claude-mem names projects by folders; ours have names that stand in URLs. Two names are never one slug."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    if slug == name and len(slug) <= _SLUG:
        return slug
    mark = hashlib.sha256(name.encode()).hexdigest()[:12]
    return f"{slug[: _SLUG - len(mark) - 1].strip('-') or 'project'}-{mark}"


def session_body(project: UUID, name: str | None, platform: str | None, metadata: dict[str, Any]) -> Row:
    body: Row = {"project": str(project), "platform": platform or OWN_PLATFORM, "metadata": metadata}
    return {**body, "external_id": name} if name else body


def prompt_of(start: ClaudeMemStart) -> tuple[dict[str, Any], ClaudeMemEvent | None]:
    """What a session is begun with, and what somebody asked for with it.

    The prompt is not left in the session: there only the first would be, and whoever forgets what was made of it would
    leave it behind.
    """
    told = dict(start.metadata or {})
    text = told.pop("prompt", None)
    if not isinstance(text, str) or not text.strip() or text == _NO_TEXT:
        return told, None
    return told, ClaudeMemEvent(
        project_id=start.project_id, source_type="hook", event_type="user_prompt", payload={"prompt": text}
    )


def event_body(event: ClaudeMemEvent, project: UUID, session: str, at: datetime) -> Row:
    metadata = dict(event.metadata or {})
    if event.memory_session_id:
        metadata["memorySessionId"] = event.memory_session_id
    source = {"adapter": event.source_type} | ({"event_id": event.source_event_id} if event.source_event_id else {})
    body: Row = {
        "project": str(project),
        "session": session,
        "type": event.event_type,
        "source": source,
        "occurred_at": at.isoformat(),
        "payload": fitting(event.payload),
    }
    return {**body, "metadata": metadata} if metadata else body


def fitting(payload: JsonValue) -> JsonValue:
    """Hooks send whole files and whole outputs: of what is too much for an event, the beginnings and ends are kept."""
    for most in (None, 50_000, 10_000, 2_000, 500):
        found = payload if most is None else _cut(payload, most)
        if len(json.dumps(found, ensure_ascii=False).encode(errors="replace")) <= _PAYLOAD_BYTES:
            return found
    return payload  # too much, however it is cut


def fits(n: int, event: ClaudeMemEvent) -> None:
    """Raises EventTooLarge."""
    size = len(json.dumps([fitting(event.payload), event.metadata], ensure_ascii=False).encode(errors="replace"))
    if size > MAX_EVENT_BYTES:
        raise EventTooLarge(f"events.{n}: payload and metadata have {size} bytes; an event may have {MAX_EVENT_BYTES}")


def _cut(value: JsonValue, most: int, depth: int = 0) -> JsonValue:
    if depth > 64:  # no event is nested so deeply
        return value
    if isinstance(value, str):
        if len(value) <= most:
            return value
        head, tail = cuts.before(value, most // 2), cuts.after(value, len(value) - most // 2)
        return f"{value[:head]}\n[… {tail - head:,} characters left out …]\n{value[tail:]}"
    if isinstance(value, list):
        return [_cut(item, most, depth + 1) for item in value]
    if isinstance(value, dict):
        return {name: _cut(item, most, depth + 1) for name, item in value.items()}
    return value


def moment_of(epoch: float | None) -> datetime:
    return datetime.now(UTC) if epoch is None else datetime.fromtimestamp(epoch / 1000, UTC)


def epoch_of(moment: str | None) -> int | None:
    return round(datetime.fromisoformat(moment).timestamp() * 1000) if moment else None


def as_session(row: Row) -> Row:
    metadata = dict(row.get("metadata") or {})
    return {
        "id": row["id"],
        "projectId": row["project_id"],
        "teamId": row["workspace_id"],
        "externalSessionId": row["external_id"],
        "contentSessionId": metadata.get("contentSessionId", row["external_id"]),
        "agentId": metadata.get("agentId"),
        "agentType": metadata.get("agentType"),
        "platformSource": row["platform"] or None,
        "metadata": metadata,
        "startedAtEpoch": epoch_of(row["started_at"]),
        "endedAtEpoch": epoch_of(row["ended_at"]),
    }


def as_event(row: Row) -> Row:
    """As it is recorded."""
    return {
        "id": row["id"],
        "projectId": row["project_id"],
        "teamId": row["workspace_id"],
        "serverSessionId": row["session_id"],
        "sourceAdapter": row["adapter"],
        "sourceEventId": row["source_id"],
        "eventType": row["type"],
        "payload": row["payload"],
        "metadata": row["metadata"] or {},
        "occurredAtEpoch": epoch_of(row["occurred_at"]),
        "receivedAtEpoch": epoch_of(row["received_at"]),
    }


def as_recorded(tenant: Tenant, sent: Row, item: Row) -> Row:
    """What was sent, with where it is now. Its payload is not sent back."""
    return {
        "id": item["id"],
        "projectId": item["project_id"],
        "teamId": str(tenant.workspace_id),
        "serverSessionId": item["session_id"],
        "sourceAdapter": sent["source"]["adapter"],
        "sourceEventId": sent["source"].get("event_id"),
        "eventType": sent["type"],
        "metadata": sent.get("metadata") or {},
        "occurredAtEpoch": epoch_of(sent["occurred_at"]),
    }


def as_observation(tenant: Tenant, row: Row) -> Row:
    # What was sent without a title begins with it.
    title = None if (row.get("narrative") or "").lstrip().startswith(row["title"]) else row["title"]
    parts = (title, row.get("subtitle"), row.get("narrative"), *(row.get("facts") or ()))
    return {
        "id": row["id"],
        "projectId": row["project_id"],
        "teamId": str(tenant.workspace_id),
        "serverSessionId": row.get("session_id"),
        "kind": row["type"],
        "content": "\n".join(dict.fromkeys(part for part in parts if part)),
        "title": row["title"],
        "subtitle": row.get("subtitle"),
        "narrative": row.get("narrative"),
        "facts": row.get("facts") or [],
        "concepts": row.get("concepts") or [],
        "filesRead": row.get("files_read") or [],
        "filesModified": row.get("files_modified") or [],
        "metadata": {},
        "score": row.get("score"),
        "createdAtEpoch": epoch_of(row["occurred_at"]),
    }


def as_job(row: Row | None) -> Row:
    if not row:
        return {}
    told = {
        "id": row["id"],
        "status": row["status"],
        "attempts": row.get("attempts"),
        "maxAttempts": row.get("max_attempts"),
        "lastError": {"class": row["error_class"], "message": row["error"]} if row.get("error") else None,
    }
    return {"generationJob": {name: value for name, value in told.items() if value is not None}}


def as_listed_job(row: Row) -> Row:
    told: Row = as_job(row)["generationJob"]
    kinds = {"summary": "session_summary", "reindex": "observation_reindex"}
    return {
        **told,
        "projectId": row["project_id"],
        "teamId": row["workspace_id"],
        "sourceType": kinds.get(row["kind"], "agent_event"),
        "sourceId": row["source_id"],
        "createdAtEpoch": epoch_of(row["created_at"]),
        "completedAtEpoch": epoch_of(row["finished_at"]) if row["status"] == "completed" else None,
        "failedAtEpoch": epoch_of(row["finished_at"]) if row["status"] == "failed" else None,
    }


def first_line(text: str) -> str:
    line = next((line.strip() for line in text.splitlines() if line.strip()), "Untitled")
    return line if len(line) <= 200 else line[:199] + "…"
