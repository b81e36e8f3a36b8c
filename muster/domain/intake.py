"""What is sent, on its way into memory: what may be kept of it, what it is called, which jobs come with it. No I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from muster.domain.calls import Followed, trace
from muster.domain.errors import EventTooLarge, MusterError
from muster.domain.memory import MAX_EVENT_BYTES, JobKind, NewEvent, agent_event_id, job_id
from muster.domain.privacy import Removed, as_json, scrub_event, scrub_text
from muster.domain.secrets.shapes import is_suspicious


class TooFarAway(MusterError):
    status, code = 422, "invalid_request"


class AllPrivate(MusterError):
    """Nothing is left of a name that must be there."""

    status, code = 422, "nothing_left"


def named_label(field: str, text: str, *, where: str = "") -> str:
    """What may be kept of what something is called."""
    kept = _label(text)
    if text.strip() and not kept.strip():
        raise AllPrivate(f"{where}{field} is private: nothing of it may be kept")
    return kept


def as_utc(moment: datetime) -> datetime:
    """Without an offset it is UTC. Too far from now to be told in UTC, it is refused."""
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    if not moment.utcoffset():
        return moment
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise TooFarAway(f"{moment.isoformat()} is too far away") from None


Scope = tuple[UUID, UUID]
"""A project, and a session of its."""


class Place(NamedTuple):
    """A project, as events need to know it before they are written."""

    id: UUID
    exclude_paths: tuple[str, ...]
    exclude_tools: tuple[str, ...]
    stamp: str | None


_NOTHING = Removed({})
_label = lru_cache(4096)(scrub_text)
"""Of what there are few of."""


class Sifted(NamedTuple):
    payload: bytes
    """As JSON."""
    metadata: bytes
    value: Any
    """The payload, once more."""
    about: Any
    """And the metadata."""
    removed: Removed


def sifted(place: Place, n: int, event: NewEvent, *, named: bool) -> Sifted:
    """What may be stored of an event."""
    payload, metadata = event.payload, event.metadata
    raw, raw_metadata = as_json(payload), as_json(metadata) if metadata is not None else b"null"
    if len(raw) + len(raw_metadata) > MAX_EVENT_BYTES:
        where = f"events.{n}: " if named else ""
        raise EventTooLarge(
            f"{where}payload and metadata have {len(raw) + len(raw_metadata)} bytes as JSON; an event may have at "
            f"most {MAX_EVENT_BYTES}"
        )
    text = (raw + raw_metadata).decode()
    if not place.exclude_paths and not place.exclude_tools and not is_suspicious(text):
        return Sifted(raw, raw_metadata, payload, metadata, _NOTHING)
    payload, metadata, removed = scrub_event(payload, metadata, place.exclude_paths, place.exclude_tools, text=text)
    if removed.kinds:
        raw = as_json(payload)
        raw_metadata = as_json(metadata) if metadata is not None else raw_metadata
    return Sifted(raw, raw_metadata, payload, metadata, removed)


class Calls(NamedTuple):
    """Of a session in which something may be excluded: what is asked about the calls that were, and what is said."""

    asked: list[int]
    excluded: list[int]
    free: list[int]


NO_CALLS = Calls([], [], [])


def without_answers(
    places: Sequence[Place], events: Sequence[NewEvent], each: list[Sifted], remembered: Mapping[Scope, set[int]]
) -> dict[Scope, Calls]:
    """What answers a call that is excluded is so, too: `each` is changed. `remembered`: what was found to be so
    before. What an event cannot say by itself is asked by the project and the session."""
    found: dict[Scope, Calls] = {}
    sessions: dict[Scope, list[int]] = {}
    for n, (place, event) in enumerate(zip(places, events, strict=True)):
        if place.stamp is not None:
            sessions.setdefault((place.id, event.session), []).append(n)
    for scope, members in sessions.items():
        told = [
            (trace(scope[1], events[n].type, events[n].payload, events[n].metadata), each[n].removed.excluded)
            for n in members
        ]
        followed = Followed(scope[1], remembered.get(scope, ()), told)
        for n, why in zip(members, followed.why, strict=True):
            if why is not None and each[n].removed.excluded is None:
                each[n] = each[n]._replace(removed=Removed({}, why))
        calls = Calls(sorted(followed.asked), followed.excluded, followed.free)
        if any(calls):
            found[scope] = calls
    return found


def named(
    workspace_id: UUID, place: Place, event: NewEvent, sifted: Sifted, *, where: str = ""
) -> tuple[UUID, dict[str, Any]]:
    """Its id, and all of it that is not what was sent as JSON."""
    occurred_at = as_utc(event.occurred_at)
    if occurred_at is not event.occurred_at:
        event = event.model_copy(update={"occurred_at": occurred_at})
    source = event.source
    # By its id there as it was sent: two that look alike without their secrets are two.
    event_id = agent_event_id(workspace_id, place.id, event.session, event, sifted.value, sifted.about)
    return event_id, {
        "id": event_id,
        "project": place.id,
        "session": event.session,
        "type": named_label("type", event.type, where=where),
        "adapter": named_label("source.adapter", source.adapter, where=where),
        "source_id": scrub_text(source.event_id) if source.event_id else None,
        "occurred_at": occurred_at,
    }


class Bundle(NamedTuple):
    """A job, and the places of those events that it is about."""

    job: str
    kind: JobKind
    source_type: str
    source_id: str
    events: list[int]


def bundles(
    workspace_id: UUID, named_events: Sequence[tuple[int, UUID, UUID, UUID]], *, batch: bool
) -> Iterator[Bundle]:
    """One for each event, or one for what a batch holds of each session. Of each: place, project, session, id."""
    if not batch:
        for n, project_id, _, event_id in named_events:
            source_id = str(event_id)
            job = job_id(JobKind.EVENT, workspace_id, project_id, "agent_event", source_id)
            yield Bundle(job, JobKind.EVENT, "agent_event", source_id, [n])
        return
    by_session: dict[tuple[UUID, UUID], list[tuple[int, UUID]]] = {}
    for n, project_id, session_id, event_id in named_events:
        by_session.setdefault((project_id, session_id), []).append((n, event_id))
    for (project_id, _), members in by_session.items():
        ids = sorted({str(event_id) for _, event_id in members})
        source_id = hashlib.sha256(",".join(ids).encode()).hexdigest()
        job = job_id(JobKind.EVENT_BATCH, workspace_id, project_id, "agent_events", source_id)
        yield Bundle(job, JobKind.EVENT_BATCH, "agent_events", source_id, [n for n, _ in members])
