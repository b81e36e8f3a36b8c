"""A project's memory as lines of JSON: what an export writes and an import reads. Vectors are left out: they are made
anew, by whatever model there is."""

from __future__ import annotations

import codecs
import hashlib
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    Field,
    JsonValue,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from muster.domain.errors import MusterError
from muster.domain.ids import derived_id
from muster.domain.memory import Concept, FilePath, NewEvent, NewObservation, Payload, Short, Source, agent_event_id
from muster.domain.tasks import Metadata, Spec, Text, storable_json

VERSION = 1
MAX_LINE_BYTES = 1024 * 1024
CHUNK_LINES = 500
CHUNK_BYTES = 4 * 1024 * 1024
"""Of lines that are stored together, all of them or none."""


class BadArchive(MusterError):
    """What was sent is not an archive from that line on."""

    status, code = 422, "bad_archive"


class Begin(Spec):
    """The first line. By where it came from it is known which events had the id that they would have if sent again."""

    kind: Literal["muster-memory"]
    version: Literal[1]
    project: JsonValue = None
    exported_at: AwareDatetime | None = None

    @property
    def origin(self) -> tuple[UUID, UUID] | None:
        """Its workspace and its project there."""
        try:
            return UUID(self.project["workspace_id"]), UUID(self.project["id"])  # type: ignore[index,call-overload,arg-type]
        except (KeyError, TypeError, ValueError, AttributeError):
            return None


class SettingsLine(Spec):
    kind: Literal["settings"]
    settings: Annotated[dict[str, JsonValue], AfterValidator(storable_json)]


class SessionLine(Spec):
    kind: Literal["session"]
    id: UUID
    external_id: Short | None = None
    platform: Text = Field(default="", max_length=100)
    title: Short | None = None
    agent_id: UUID | None = None
    task_id: UUID | None = None
    metadata: Metadata = Field(default_factory=dict)
    started_at: AwareDatetime
    ended_at: AwareDatetime | None = None


class EventLine(Spec):
    kind: Literal["event"]
    id: UUID
    session: UUID
    type: Text = Field(min_length=1, max_length=100)
    adapter: Text = Field(min_length=1, max_length=100)
    source_id: Text | None = Field(default=None, min_length=1, max_length=500)
    payload: Payload = None
    metadata: Metadata | None = None
    occurred_at: AwareDatetime
    received_at: AwareDatetime | None = Field(default=None, description="Orders what occurred at once.")
    pending: bool = Field(default=False, description="Nothing has been made of it yet.")


SeenAt = Annotated[str, StringConstraints(pattern=r"^[ska]:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]


class ObservationLine(Spec):
    kind: Literal["observation"]
    id: UUID
    session: UUID | None = None
    task_id: UUID | None = None
    agent_id: UUID | None = None
    type: Text = Field(min_length=1, max_length=50)
    title: Text = Field(min_length=1, max_length=500)
    subtitle: Text | None = Field(default=None, max_length=1000)
    narrative: Text | None = None
    facts: list[Text] = Field(default_factory=list, max_length=1000)
    concepts: list[Concept] = Field(default_factory=list, max_length=1000)
    files_read: list[FilePath] = Field(default_factory=list, max_length=1000)
    files_modified: list[FilePath] = Field(default_factory=list, max_length=1000)
    language: Text | None = Field(default=None, max_length=10)
    importance: float = Field(default=0.5, ge=0, le=1)
    summary: bool = False
    seen: int = Field(default=1, ge=1, lt=2**31)
    generator: Text = Field(default="manual", min_length=1, max_length=200)
    occurred_at: AwareDatetime
    last_seen_at: AwareDatetime | None = None
    sources: list[UUID] = Field(default_factory=list, max_length=100_000)
    seen_at: list[SeenAt] = Field(default_factory=list, max_length=1000)
    """Sessions (s), tasks (k) and agents (a) that saw it, too, and had theirs merged into it."""

    def observation(self) -> NewObservation:
        kept = self.model_dump(
            exclude={
                "kind",
                "id",
                "session",
                "task_id",
                "agent_id",
                "summary",
                "seen",
                "last_seen_at",
                "generator",
                "sources",
                "seen_at",
            }
        )
        return NewObservation(**kept)


class End(Spec):
    """The last line: an archive without it was cut off."""

    kind: Literal["end"]
    sessions: int
    events: int
    observations: int


Line = Begin | SettingsLine | SessionLine | EventLine | ObservationLine | End
_LINE: TypeAdapter[Line] = TypeAdapter(Annotated[Line, Field(discriminator="kind")])


def parse(number: int, text: bytes) -> Line:
    """`number`: of the line, for whoever looks for what is wrong with it."""
    if len(text) > MAX_LINE_BYTES:
        raise BadArchive(f"line {number}: longer than {MAX_LINE_BYTES} bytes", line=number)
    try:
        return _LINE.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        at = ".".join(str(part)[:100] for part in first["loc"])
        message = str(first["msg"]).removeprefix("Value error, ")[:300]
        raise BadArchive(f"line {number}: {f'{at}: ' if at else ''}{message}", line=number) from None


def written(line: dict[str, Any]) -> bytes:
    return json.dumps(line, ensure_ascii=False, separators=(",", ":"), default=str).encode() + b"\n"


def imported_id(workspace_id: UUID, project_id: UUID, kind: str, original: UUID) -> UUID:
    """The same each time it is brought here, and another in each project: an id that somebody else made up, or has,
    never becomes one here."""
    about = json.dumps(["import", str(workspace_id), str(project_id), kind, str(original)], separators=(",", ":"))
    return derived_id(hashlib.sha256(about.encode()).hexdigest())


def sent_id(workspace_id: UUID, project_id: UUID, session_id: UUID, line: EventLine) -> UUID:
    """The id it would be given if it were sent there."""
    event = NewEvent(
        project=str(project_id),
        session=session_id,
        type=line.type,
        source=Source(adapter=line.adapter, event_id=line.source_id),
        occurred_at=line.occurred_at,
        payload=line.payload,
        metadata=line.metadata,
    )
    return agent_event_id(workspace_id, project_id, session_id, event, line.payload, line.metadata)


def event_id(
    workspace_id: UUID, project_id: UUID, session_id: UUID, line: EventLine, origin: tuple[UUID, UUID] | None
) -> UUID:
    """The id it would be given if it were sent here, where it had such a one before. So what is sent again is known."""
    here = sent_id(workspace_id, project_id, session_id, line)
    if here == line.id or (origin and sent_id(*origin, line.session, line) == line.id):
        return here
    return imported_id(workspace_id, project_id, "event", line.id)


class Lines:
    """Bytes as they come, cut into numbered lines."""

    def __init__(self) -> None:
        self._rest = b""
        self.number = 0

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        *whole, self._rest = (self._rest + data).split(b"\n")
        for line in whole:
            yield from self._numbered(line)
        if len(self._rest) > MAX_LINE_BYTES:
            raise BadArchive(f"line {self.number + 1}: longer than {MAX_LINE_BYTES} bytes", line=self.number + 1)

    def end(self) -> Iterator[tuple[int, bytes]]:
        yield from self._numbered(self._rest)
        self._rest = b""

    def _numbered(self, line: bytes) -> Iterator[tuple[int, bytes]]:
        self.number += 1
        if self.number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)  # as some editors begin a file
        if line.strip():
            yield self.number, line


def moment(value: datetime | None) -> str | None:
    return value.isoformat() if value else None
