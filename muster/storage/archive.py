"""A project's memory, written out line by line and read back in.

What is brought in gets ids of the place it is brought to (domain/archive.py), so the same archive brought twice adds
nothing the second time, and one of another tenant's meets nothing of theirs. It passes the same filter for private text
and secrets as what is recorded.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, LiteralString
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from muster.domain import archive, privacy, words
from muster.domain.archive import BadArchive, Begin, End, EventLine, Line, ObservationLine, SessionLine, SettingsLine
from muster.domain.errors import Unavailable
from muster.domain.memory import session_key
from muster.storage import observations
from muster.storage.database import Database, Who, workspace_of
from muster.storage.memory_settings import DEFAULTS

_NOBODY = UUID(int=0)

_TEXTS = {"title", "subtitle", "narrative", "facts", "concepts", "files_read", "files_modified"}
"""Of an observation."""
_SETTINGS: tuple[LiteralString, ...] = (
    "record_agents", "generator", "batch_events", "debounce_seconds", "exclude_paths", "exclude_tools", "retain_days",
    "retain_importance", "daily_tokens",
)  # fmt: skip

_PAGES: dict[str, tuple[int, LiteralString]] = {
    "sessions": (
        500,
        "SELECT id, jsonb_build_object('kind', 'session', 'id', id, 'external_id', external_id, 'platform', platform, "
        "'title', title, 'agent_id', agent_id, 'task_id', task_id, 'metadata', metadata, 'started_at', started_at, "
        "'ended_at', ended_at)::text FROM memory_sessions t "
        "WHERE workspace_id = %s AND project_id = %s AND id > %s AND started_at <= %s ORDER BY id LIMIT %s",
    ),
    "events": (
        200,
        "SELECT id, jsonb_build_object('kind', 'event', 'id', id, 'session', session_id, 'type', type, 'adapter', "
        "adapter, 'source_id', source_id, 'payload', payload, 'metadata', metadata, 'occurred_at', occurred_at, "
        "'received_at', received_at, "
        "'pending', EXISTS (SELECT 1 FROM memory_jobs j WHERE j.workspace_id = t.workspace_id AND j.id = t.job_id "
        "AND j.status IN ('queued', 'processing')))::text FROM agent_events t "
        "WHERE workspace_id = %s AND project_id = %s AND id > %s AND received_at <= %s ORDER BY id LIMIT %s",
    ),
    "observations": (
        200,
        "SELECT id, jsonb_build_object('kind', 'observation', 'id', id, 'session', session_id, 'task_id', task_id, "
        "'agent_id', agent_id, 'type', type, 'title', title, 'subtitle', subtitle, 'narrative', narrative, 'facts', "
        "facts, 'concepts', concepts, 'files_read', files_read, 'files_modified', files_modified, 'language', "
        "language, 'importance', importance, 'summary', summary, 'seen', seen, 'generator', generator, 'occurred_at', "
        "occurred_at, 'last_seen_at', last_seen_at, "
        "'sources', (SELECT coalesce(jsonb_agg(s.event_id ORDER BY s.event_id), '[]') "
        "FROM observation_sources s WHERE s.workspace_id = t.workspace_id AND s.observation_id = t.id), "
        "'seen_at', (SELECT coalesce(jsonb_agg(ltrim(x)), '[]') FROM observation_words w, unnest(w.terms) x "
        "WHERE w.workspace_id = t.workspace_id AND w.observation_id = t.id AND left(x, 3) IN (' s:', ' k:', ' a:') "
        "AND substr(x, 4) NOT IN (coalesce(t.session_id::text, ''), coalesce(t.task_id::text, ''), "
        "coalesce(t.agent_id::text, ''))))::text "
        "FROM observations t "
        "WHERE workspace_id = %s AND project_id = %s AND id > %s AND created_at <= %s ORDER BY id LIMIT %s",
    ),
}
"""How many rows at once, and what of them. What comes while it is written is left for the next time."""


async def export(db: Database, who: Who, project: dict[str, Any]) -> AsyncIterator[bytes]:
    workspace_id, project_id = workspace_of(who), UUID(project["id"])
    now = (await db.read(who, "SELECT now()"))[0][0]
    await note(db, who, project_id, "memory_exported", {})
    yield archive.written(
        {
            "kind": "muster-memory", "version": archive.VERSION, "exported_at": now.isoformat(),
            "project": {
                "workspace_id": str(workspace_id), "id": project["id"],
                "slug": project["slug"], "name": project["name"],
            },
        }
    )  # fmt: skip
    found = await _settings(db, who, project_id)
    if found:
        yield archive.written({"kind": "settings", "settings": found})
    counts = {}
    for name, (most, statement) in _PAGES.items():
        last, counts[name] = _NOBODY, 0
        while True:
            rows = await db.read(who, statement, (workspace_id, project_id, last, now, most))
            if rows:
                yield "".join(f"{row[1]}\n" for row in rows).encode()
                last, counts[name] = rows[-1][0], counts[name] + len(rows)
            if len(rows) < most:
                break
    yield archive.written({"kind": "end", **counts})


async def note(db: Database, who: Who, project_id: UUID, action: str, detail: dict[str, Any]) -> None:
    await db.query(
        who,
        "SELECT note(%s, %s::activity_action, %s, %s::jsonb)",
        (workspace_of(who), action, project_id, Jsonb(detail)),
    )


async def _settings(db: Database, who: Who, project_id: UUID) -> dict[str, Any] | None:
    rows = await db.read(
        who,
        "SELECT to_jsonb(s) FROM memory_settings s WHERE workspace_id = %s AND project_id = %s",
        (workspace_of(who), project_id),
    )
    return {name: rows[0][0][name] for name in _SETTINGS} if rows else None


@dataclass
class Import:
    """One archive on its way in. Lines are stored in chunks; each is a transaction."""

    db: Database
    who: Who
    project_id: UUID
    may_set: bool = False
    """Whether it may bring settings to a project that has none."""
    lines: int = 0
    added: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("sessions", "events", "observations"), 0))
    known: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("sessions", "events", "observations"), 0))
    excluded: int = 0
    """What the project's settings keep out."""
    settings: bool = False
    whole: bool = False
    """Whether the last line said that it is the last."""
    anew: set[tuple[UUID, UUID]] = field(default_factory=set)
    _chunk: list[tuple[int, Line]] = field(default_factory=list)
    _bytes: int = 0
    _sessions: dict[UUID, UUID] = field(default_factory=dict)
    _events: dict[UUID, UUID] = field(default_factory=dict)
    """Those that have the ids here that they would have if sent."""
    _origin: tuple[UUID, UUID] | None = None
    _rules: tuple[list[str], list[str]] | None = None

    async def feed(self, lines: Sequence[tuple[int, bytes]]) -> None:
        for number, text in lines:
            if self.whole:
                raise BadArchive(f"line {number}: the archive has ended before it", line=number)
            line = archive.parse(number, text)
            if self.lines and isinstance(line, Begin):
                raise BadArchive(f"line {number}: another archive begins here", line=number)
            self.lines += 1
            if isinstance(line, Begin):
                self._origin = line.origin
            self.whole = isinstance(line, End)
            if isinstance(line, SettingsLine):
                await self._set(number, line)
            elif not isinstance(line, Begin | End):
                self._chunk.append((number, line))
                self._bytes += len(text)
            if len(self._chunk) >= archive.CHUNK_LINES or self._bytes >= archive.CHUNK_BYTES:
                await self._store()

    async def end(self) -> None:
        await self._store()
        await note(self.db, self.who, self.project_id, "memory_imported", {"added": self.added})

    async def _set(self, number: int, line: SettingsLine) -> None:
        if not self.may_set or await _settings(self.db, self.who, self.project_id):
            return
        kept = {name: line.settings[name] for name in _SETTINGS if line.settings.get(name) is not None}
        try:
            await self.db.query(
                self.who,
                _SET,
                (workspace_of(self.who), self.project_id, Jsonb(DEFAULTS | kept)),
            )
        except (psycopg.errors.DataError, psycopg.errors.IntegrityError) as error:
            raise BadArchive(f"line {number}: settings: {error.diag.message_primary}", line=number) from None
        self.settings, self._rules = True, None

    async def _store(self) -> None:
        chunk, self._chunk, self._bytes = self._chunk, [], 0
        if not chunk:
            return
        if self._rules is None:
            found = await _settings(self.db, self.who, self.project_id) or {}
            self._rules = found.get("exclude_paths", []), found.get("exclude_tools", [])
        there = await self._there(chunk)
        # What it is found by is computed here, for a while: others are answered meanwhile.
        sessions, events, rows = await asyncio.to_thread(self._rows, chunk, there)
        try:
            answer = await self.db.query(
                self.who,
                "SELECT memory_import(%s, %s, %s, %s, %s)",
                (workspace_of(self.who), self.project_id, Jsonb(sessions), Jsonb(events), Jsonb(rows)),
            )
        except psycopg.errors.ForeignKeyViolation:
            raise Unavailable("what it belongs to went away meanwhile; send the archive again") from None
        found = answer[0][0]
        for name, sent in (("sessions", sessions), ("events", events), ("observations", rows)):
            self.added[name] += found["added"][name]
            self.known[name] += len(sent) - found["added"][name]
        self.anew |= {(UUID(project), UUID(session)) for project, session in found["anew"]}
        if found["added"]["observations"]:
            await observations.count_terms(self.db, self.who, self.project_id)

    def _ours(self, kind: str, original: UUID) -> UUID:
        return archive.imported_id(workspace_of(self.who), self.project_id, kind, original)

    async def _there(self, chunk: list[tuple[int, Line]]) -> set[UUID]:
        """Which of its events, observations, agents and tasks are here under their own ids. Notes where its sessions
        are: under their own, under the one they were given when they were brought here before, or as one that is
        called the same outside."""
        named = {line.id: line for _, line in chunk if isinstance(line, SessionLine)}
        asked = {line.session for _, line in chunk if isinstance(line, EventLine | ObservationLine) and line.session}
        elsewhere = [at for _, line in chunk if isinstance(line, ObservationLine) for at in line.seen_at]
        asked |= {UUID(at[2:]) for at in elsewhere if at.startswith("s:")}
        asked = {original for original in asked | named.keys() if original not in self._sessions}
        keys = {
            session_key(line.platform, line.external_id, line.id): line.id
            for line in named.values()
            if line.external_id
        }
        ours = workspace_of(self.who), self.project_id
        ids = [*asked, *(self._ours("session", original) for original in asked)]
        rows = await self.db.read(
            self.who,
            "SELECT id, key FROM memory_sessions WHERE workspace_id = %s AND project_id = %s AND id = ANY (%s::uuid[]) "
            "UNION SELECT id, key FROM memory_sessions "
            "WHERE workspace_id = %s AND project_id = %s AND key = ANY (%s::text[])",
            (*ours, ids, *ours, list(keys)),
        )
        by_id, by_key = {row[0] for row in rows}, {row[1]: row[0] for row in rows}
        for key, original in keys.items():
            if key in by_key:
                self._sessions.setdefault(original, by_key[key])
        for original in asked:
            for candidate in (original, self._ours("session", original)):
                if candidate in by_id:
                    self._sessions.setdefault(original, candidate)
        events = [line.id for _, line in chunk if isinstance(line, EventLine)]
        events += [self._ours("event", original) for original in events]
        if self._origin is None:  # an archive without its first line, or one that somebody wrote
            events += [self._sent(line) for _, line in chunk if isinstance(line, EventLine)]
        told = [line.id for _, line in chunk if isinstance(line, ObservationLine)]
        named_by = [line for _, line in chunk if isinstance(line, SessionLine | ObservationLine)]
        workers = [one for line in named_by for one in (line.agent_id, line.task_id) if one]
        workers += [UUID(at[2:]) for at in elsewhere if not at.startswith("s:")]
        rows = await self.db.read(
            self.who,
            "SELECT id FROM agent_events WHERE workspace_id = %s AND project_id = %s AND id = ANY (%s::uuid[]) "
            "UNION ALL SELECT id FROM observations WHERE workspace_id = %s AND project_id = %s "
            "AND id = ANY (%s::uuid[]) "
            "UNION ALL SELECT id FROM agents WHERE workspace_id = %s AND id = ANY (%s::uuid[]) "
            "UNION ALL SELECT id FROM tasks WHERE workspace_id = %s AND id = ANY (%s::uuid[])",
            (*ours, events, *ours, told, ours[0], workers, ours[0], workers),
        )
        return {row[0] for row in rows}

    def _rows(
        self, chunk: list[tuple[int, Line]], there: set[UUID]
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
        sessions, events, rows = [], [], []
        for number, line in chunk:
            if isinstance(line, SessionLine):
                sessions.append(self._session(line, there))
            elif isinstance(line, EventLine):
                if event := self._event(number, line, there):
                    events.append(event)
            elif isinstance(line, ObservationLine) and (row := self._observation(number, line, there)):
                rows.append(row)
        return sessions, events, rows

    def _session(self, line: SessionLine, there: set[UUID]) -> dict[str, Any]:
        session_id = self._sessions.setdefault(line.id, self._ours("session", line.id))
        kept, _ = privacy.scrub({"external_id": line.external_id, "title": line.title, "metadata": line.metadata})
        return {
            "id": str(session_id),
            "key": session_key(line.platform, line.external_id, session_id),
            "external_id": kept["external_id"],
            "platform": line.platform,
            "title": kept["title"],
            "agent_id": str(line.agent_id) if line.agent_id in there else None,
            "task_id": str(line.task_id) if line.task_id in there else None,
            "metadata": kept["metadata"],
            "started_at": archive.moment(line.started_at),
            "ended_at": archive.moment(line.ended_at),
        }

    def _session_of(self, number: int, original: UUID) -> UUID:
        found = self._sessions.get(original)
        if found is None:
            raise BadArchive(f"line {number}: session: {original} is not in the lines before, nor here", line=number)
        return found

    def _event(self, number: int, line: EventLine, there: set[UUID]) -> dict[str, Any] | None:
        session_id = self._session_of(number, line.session)
        text = privacy.as_json([line.payload, line.metadata]).decode()
        payload, metadata, removed = privacy.scrub_event(
            line.payload, line.metadata, *(self._rules or ([], [])), text=text
        )
        if removed.excluded:
            self.excluded += 1
            return None
        ours = self._ours("event", line.id)
        known = (line.id, ours) if self._origin else (line.id, ours, self._sent(line))
        event_id = next((one for one in known if one in there), None) or archive.event_id(
            workspace_of(self.who), self.project_id, session_id, line, self._origin
        )
        if event_id not in (line.id, ours):
            self._events[line.id] = event_id
        return {
            "id": str(event_id),
            "session_id": str(session_id),
            "type": line.type,
            "adapter": line.adapter,
            "source_id": line.source_id,
            "payload": payload,
            "metadata": metadata,
            "occurred_at": archive.moment(line.occurred_at),
            "received_at": archive.moment(line.received_at),
            "pending": line.pending,
        }

    def _sent(self, line: EventLine) -> UUID:
        """The id it has where it was sent here."""
        session_id = self._sessions.get(line.session) or self._ours("session", line.session)
        return archive.sent_id(workspace_of(self.who), self.project_id, session_id, line)

    def _observation(self, number: int, line: ObservationLine, there: set[UUID]) -> dict[str, Any] | None:
        session_id = self._session_of(number, line.session) if line.session else None
        new = line.observation()
        texts, removed = privacy.scrub(new.model_dump(include=_TEXTS), *(self._rules or ([], [])))
        if removed.excluded:
            self.excluded += 1
            return None
        new = new.model_copy(
            update=texts | {"sources": [one for original in line.sources for one in self._sources(original)]}
        )
        row = observations.as_row(
            workspace_of(self.who),
            self.project_id,
            line.id if line.id in there else self._ours("observation", line.id),
            new,
            session_id=session_id,
            task_id=line.task_id if line.task_id in there else None,
            agent_id=line.agent_id if line.agent_id in there else None,
            summary=line.summary,
            generator=line.generator,
            seen_at=list(self._seen_at(line, there)),
        )
        # For one that is known here: where it was seen, too.
        worked = (one if one in there else None for one in (line.task_id, line.agent_id))
        places = [*words.place_terms(None, session_id, *worked), *self._seen_at(line, there)]
        return row | {
            "seen": line.seen,
            "last_seen_at": archive.moment(line.last_seen_at),
            "places": places,
            "place_words": [words.word(self.project_id, term) for term in places],
        }

    def _sources(self, original: UUID) -> Iterator[UUID]:
        """Where it may be, whichever it is."""
        yield from (original, self._ours("event", original))
        if original in self._events:
            yield self._events[original]

    def _seen_at(self, line: ObservationLine, there: set[UUID]) -> Iterator[str]:
        for at in line.seen_at:
            kind, place = at[0], UUID(at[2:])
            found = self._sessions.get(place) if kind == "s" else place if place in there else None
            if found is not None:
                yield f" {kind}:{found}"


_SET: LiteralString = (
    "INSERT INTO memory_settings (workspace_id, project_id, record_agents, generator, batch_events, debounce_seconds, "
    "exclude_paths, exclude_tools, retain_days, retain_importance, daily_tokens) SELECT %s, %s, record_agents, "
    "generator, batch_events, debounce_seconds, exclude_paths, exclude_tools, retain_days, retain_importance, "
    "daily_tokens FROM jsonb_populate_record(NULL::memory_settings, %s) ON CONFLICT DO NOTHING"
)
