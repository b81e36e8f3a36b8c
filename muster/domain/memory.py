"""What is remembered: sessions, the events in them, the jobs that make observations of those, and the observations."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from muster.domain.ids import derived_id
from muster.domain.tasks import Label, Metadata, Spec, Text, made_storable, storable

MAX_BATCH = 500
"""Events in one request."""

MAX_EVENT_BYTES = 256 * 1024
"""Of one event's payload and metadata, as JSON."""


class JobKind(StrEnum):
    """What is to be made of what. Each kind is a lane of its own: a task queue, a concurrency, a switch."""

    EVENT = "event"
    """Observations of one event."""
    EVENT_BATCH = "event_batch"
    """Observations of the events that came in one request."""
    SUMMARY = "summary"
    """A summary of a session, or of what is new in it."""
    REINDEX = "reindex"
    """Vectors of another model for a project."""


PREFIX: dict[JobKind, str] = {
    JobKind.EVENT: "evt",
    JobKind.EVENT_BATCH: "evtb",
    JobKind.SUMMARY: "sum",
    JobKind.REINDEX: "rdx",
}


class JobStatus(StrEnum):
    QUEUED = "queued"
    """Recorded with its source. A worker takes it up, or a person cancels it."""
    PROCESSING = "processing"
    """A worker has claimed it: it completes it, fails it, or puts it back; the sweep does when the worker is gone."""
    COMPLETED = "completed"
    FAILED = "failed"
    """For good: too many attempts, or an error no repetition mends. A person may queue it again."""
    CANCELLED = "cancelled"
    """By a person, who may queue it again."""


JOB_MOVES: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.QUEUED: frozenset({JobStatus.PROCESSING, JobStatus.CANCELLED}),
    JobStatus.PROCESSING: frozenset(
        {JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.QUEUED},
    ),
    JobStatus.COMPLETED: frozenset(),
    JobStatus.FAILED: frozenset({JobStatus.QUEUED}),
    JobStatus.CANCELLED: frozenset({JobStatus.QUEUED}),
}

FINAL_JOB = frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED})


class JobOutcome(StrEnum):
    OBSERVED = "observed"
    NOTHING = "nothing"
    """Looked at, and nothing of it was worth keeping."""


class ErrorClass(StrEnum):
    """Of a job's failure: what decides whether, and when, it is tried again."""

    TIMEOUT = "timeout"
    UNAVAILABLE = "unavailable"
    """The provider answered 5xx, or not at all."""
    RATE_LIMIT = "rate_limit"
    """429: tried again when the provider says so."""
    QUOTA = "quota"
    """402, or a limit that the day does not lift: parks the lane."""
    BUDGET = "budget"
    """Muster's own cap of tokens: parks the lane until the day is over."""
    MALFORMED = "malformed"
    """What the model wrote is not what was asked for, also when it was told why."""
    REFUSED = "refused"
    """Another 4xx: a wrong key, an unknown model, too large a request."""
    UNSET = "unset"
    """A project wants a model, and the settings name none: parks the lane, until one of the two changes."""
    LOST = "lost"
    """Its worker went away."""
    INTERNAL = "internal"


RETRYABLE = frozenset(
    {
        ErrorClass.TIMEOUT, ErrorClass.UNAVAILABLE, ErrorClass.RATE_LIMIT, ErrorClass.QUOTA, ErrorClass.BUDGET,
        ErrorClass.UNSET, ErrorClass.LOST, ErrorClass.INTERNAL,
    }
)  # fmt: skip
PARKS = frozenset({ErrorClass.QUOTA, ErrorClass.BUDGET, ErrorClass.UNSET})
"""Failures that stop the lane, and do not count against the job that met them."""


class GenerationFailed(Exception):
    """A generator or an embedder could not. Raised by whatever calls a provider."""

    def __init__(
        self, kind: ErrorClass, message: str, *, retry_after: float | None = None, less_would_do: bool = False
    ) -> None:
        """`less_would_do`: a part of what was asked about might have been answered for."""
        super().__init__(message)
        self.kind, self.message, self.retry_after = kind, message, retry_after
        self.less_would_do = less_would_do


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()


def job_id(kind: JobKind, workspace_id: UUID, project_id: UUID, source_type: str, source_id: str) -> str:
    """The same work has the same id, whoever asks for it and however often."""
    about = {
        "kind": kind.value,
        "workspace": str(workspace_id),
        "project": str(project_id),
        "source_type": source_type,
        "source_id": source_id,
    }
    text = json.dumps(about, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"{PREFIX[kind]}_{hashlib.sha256(text.encode()).hexdigest()}"


def session_key(platform: str, external_id: str | None, session_id: UUID) -> str:
    """Sessions of a project with the same key are one. One that nothing names from outside is its own."""
    return _digest(platform, external_id) if external_id else str(session_id)


def agent_event_id(
    workspace_id: UUID, project_id: UUID, session_id: UUID, event: NewEvent, payload: Any, metadata: Any
) -> UUID:
    """An event that is sent again has the same id: by its source's id for it, else by all that it says. `payload` and
    `metadata` as they are stored."""
    source = event.source
    if source.event_id:
        about: tuple[object, ...] = ("source", source.adapter, source.event_id)
    else:
        moment = event.occurred_at.isoformat()
        about = ("content", source.adapter, str(session_id), event.type, moment, _sorted(payload))
        if metadata is not None:
            about = (*about, _sorted(metadata))
    return derived_id(_digest(str(workspace_id), str(project_id), *about))


def _sorted(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def observation_id(job: str, index: int, content_hash: str) -> UUID:
    """What a job makes is keyed by the job, its place and what it says: made again, it is the same."""
    return derived_id(_digest(job, index, content_hash))


# Their lengths first: pydantic looks at those by itself, unless it has handed the text to Python before.
Short = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(storable)]
Concept = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(storable)]
FilePath = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(storable)]
Payload = Annotated[JsonValue, AfterValidator(made_storable)]


class NewSession(
    Spec, json_schema_extra={"examples": [{"project": "apollo", "platform": "claude-code", "external_id": "run-17"}]}
):
    """A run of something that has events: an agent's, a person's with an assistant, a script's."""

    project: Short = Field(description="Id or slug of its project.")
    external_id: Short | None = Field(default=None, description="What it is called where it runs. Unique by platform.")
    platform: Text = Field(default="", max_length=100, examples=["claude-code"])
    title: Short | None = None
    agent_id: UUID | None = Field(default=None, description="The agent of Muster's that it is.")
    task_id: UUID | None = None
    started_at: datetime | None = None
    metadata: Metadata = Field(default_factory=dict)


class Source(Spec):
    adapter: Label = Field(description="What sent it.", examples=["claude-code"])
    event_id: Short | None = Field(
        default=None, description="Its id there. Sent again with the same, it is the same event."
    )


EVENT_EXAMPLE = {
    "project": "apollo",
    "session": "01939b6f-0000-7000-8000-000000000000",
    "type": "tool_use",
    "source": {"adapter": "claude-code", "event_id": "run-17/4"},
    "occurred_at": "2026-11-21T12:00:00Z",
    "payload": {"tool_name": "Bash", "tool_input": {"command": "make test"}},
}


class NewEvent(Spec, json_schema_extra={"examples": [EVENT_EXAMPLE]}):
    """Something that happened in a session."""

    project: Short = Field(description="Id or slug.")
    session: UUID = Field(description="Its session.")
    type: Label = Field(examples=["tool_use", "message", "prompt"])
    source: Source
    occurred_at: datetime
    payload: Payload = Field(default=None, description="Any JSON: what a tool was asked and answered, what was said.")
    metadata: Annotated[dict[str, JsonValue], AfterValidator(made_storable)] | None = None


class Event(BaseModel):
    """As it is recorded, and as generators read it."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    session_id: UUID
    job_id: str | None = None
    type: str
    adapter: str
    source_id: str | None = None
    occurred_at: datetime
    payload: JsonValue = None
    metadata: dict[str, JsonValue] | None = None


_Said = Annotated[str, AfterValidator(lambda text: text if text.isascii() else unicodedata.normalize("NFC", text))]
"""Composed: some systems write an accent as a character of its own, and the words are the same."""


class NewObservation(BaseModel):
    """A memory, before it has a place. Generators make these."""

    model_config = ConfigDict(frozen=True)

    type: str = "discovery"
    title: _Said
    subtitle: _Said | None = None
    narrative: _Said | None = None
    facts: list[_Said] = Field(default_factory=list)
    concepts: list[str] = Field(default_factory=list)
    files_read: list[str] = Field(default_factory=list)
    files_modified: list[str] = Field(default_factory=list)
    language: str | None = None
    importance: float = 0.5
    occurred_at: datetime | None = None
    sources: list[UUID] = Field(default_factory=list, description="The events it was made of.")

    @property
    def content(self) -> str:
        """What is embedded: what it says, without where and when."""
        return "\n".join(part for part in (self.title, self.subtitle, self.narrative, *self.facts) if part)

    @property
    def content_hash(self) -> str:
        return content_hash(self.content)


def content_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


RULES = "rules/6"
"""The rules' name and version, as observations keep it. Raised when they tell what they did not."""


class Made(BaseModel):
    """What a generator made of some events."""

    observations: list[NewObservation] = Field(default_factory=list)
    note: str | None = Field(default=None, description="Why there is nothing, where there is nothing.")
    left_out: str | None = Field(default=None, description="What nothing could be made of, and why.")
    generator: str = Field(default=RULES, description="Its name and version, as observations keep it.")
    input_tokens: int = 0
    output_tokens: int = 0


class DrainStart(BaseModel):
    """Argument of a session's memory workflow, and what it carries into its next run."""

    workspace_id: UUID
    project_id: UUID
    session_id: UUID | None = Field(default=None, description="None: the project's own jobs.")
    task_queue: str = Field(description="What the names of the lanes' task queues begin with.")
    debounce_seconds: float = 1.0
    rounds: int = 0


class Poke(BaseModel):
    """There is something to do."""

    at_once: bool = Field(default=False, description="Somebody waits for it.")
    anew: bool = Field(default=False, description="A person wants it tried now, whatever it waits for.")


class DrainRequest(BaseModel):
    """One lane's work of one session, until there is none left or it has been at it for long."""

    workspace_id: UUID
    project_id: UUID
    session_id: UUID | None
    kind: JobKind


class Drained(BaseModel):
    jobs: int = 0
    observations: int = 0
    left: int = Field(default=0, description="That may be taken up at once.")
    wait_seconds: float | None = Field(default=None, description="Until the next may be. None: nothing waits.")
    open_lanes: list[JobKind] = Field(default_factory=list, description="Of this session, with work to do now.")


class Look(BaseModel):
    """What there is to do in a session, or for a project itself."""

    open_lanes: list[JobKind] = Field(default_factory=list, description="With work to do now.")
    wait_seconds: float | None = Field(default=None, description="Until there is more. None: nothing waits.")
    debounce_seconds: float = Field(default=1.0, description="How long its project lets events gather.")


def lane_queue(task_queue: str, kind: JobKind) -> str:
    return f"{task_queue}-memory-{kind.value.replace('_', '-')}"
