"""Observations: written with the words they are found by, read with what they were made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any, LiteralString, NamedTuple
from uuid import UUID

from psycopg.types.json import Jsonb

from muster.domain import fleeting, marks, purposes, words
from muster.domain.errors import MusterError, NotFound, ProjectArchived, RequestInFlight, UnknownReference
from muster.domain.memory import NewObservation
from muster.domain.tenants import Tenant
from muster.storage import pages, projects
from muster.storage.database import Database, Who, workspace_of

Row = dict[str, Any]

_PURPOSE_SHARE = 0.18
"""Of the length of what is said, as a vector of weights. Two whose purposes have nothing in common are 0.031 apart,
of the 0.05 that near duplicates may be (memory_repeats)."""

LARGE_PAYLOAD = 16_384
MAX_ITEMS = 100
"""Facts, concepts or files of one observation."""
_CHANGED_TEXT, _CHANGED_ITEMS = 500, 20
"""What is kept of a text, and of a list, that was changed."""


def as_row(
    workspace_id: UUID,
    project_id: UUID,
    observation_id: UUID,
    observation: NewObservation,
    *,
    session_id: UUID | None = None,
    task_id: UUID | None = None,
    agent_id: UUID | None = None,
    job_id: str | None = None,
    summary: bool = False,
    generator: str = "manual",
    seen_at: Sequence[str] = (),
) -> dict[str, Any]:
    """What `observation_put` takes. A generator may say more than a row holds: it is cut, never refused. `seen_at`:
    terms of places where it was seen beside its own."""
    title = observation.title.strip()[:500] or "Untitled"
    kind = observation.type[:50] or "discovery"
    files = list(dict.fromkeys([*observation.files_modified, *observation.files_read]))
    return {
        "id": str(observation_id),
        "session_id": str(session_id) if session_id else None,
        "task_id": str(task_id) if task_id else None,
        "agent_id": str(agent_id) if agent_id else None,
        "job_id": job_id,
        "type": kind,
        "title": title,
        "subtitle": observation.subtitle[:1000] if observation.subtitle else None,
        "narrative": observation.narrative,
        "facts": observation.facts[:MAX_ITEMS],
        "concepts": observation.concepts[:MAX_ITEMS],
        "files_read": observation.files_read[:MAX_ITEMS],
        "files_modified": observation.files_modified[:MAX_ITEMS],
        "language": observation.language,
        "importance": min(1.0, max(0.0, observation.importance)),
        "summary": summary,
        "generator": generator,
        "content_hash": observation.content_hash,
        "occurred_at": observation.occurred_at.isoformat() if observation.occurred_at else None,
        "sources": [str(source) for source in observation.sources],
        **as_words(
            project_id, observation, kind, session_id=session_id, task_id=task_id, agent_id=agent_id, files=files,
            merges=job_id is not None and not summary, seen_at=seen_at,
        ),
    }  # fmt: skip


def as_words(
    project_id: UUID,
    observation: NewObservation,
    kind: str,
    *,
    session_id: UUID | None,
    task_id: UUID | None,
    agent_id: UUID | None,
    files: list[str],
    merges: bool,
    seen_at: Sequence[str] = (),
) -> dict[str, Any]:
    """The columns of observation_words, as PostgreSQL reads them; `near` holds those that near duplicates share, and
    `places` what goes to the one that it joins."""
    purpose = purposes.of(observation.subtitle) if merges else ""
    subtitle = None if purpose else observation.subtitle
    narrative = observation.narrative
    if merges and kind == "error" and narrative:
        narrative = fleeting.without(narrative)
    found = words.index(
        project_id, observation.title, subtitle, narrative, observation.facts, observation.concepts, files,
        language=observation.language,
    )  # fmt: skip
    near: list[int] = []
    if merges:
        said = (observation.title, subtitle, narrative, *observation.facts)
        near = [words.word(project_id, term) for term in words.near_terms(kind, marks.of(said, files), found.terms)]
    if purpose:
        found = _with_purpose(found, words.index(project_id, purpose))
    own = words.place_terms(None, session_id, task_id, agent_id)
    places = list(dict.fromkeys([*words.place_terms(kind), *own, *seen_at]))
    every = [*found.words, *(words.word(project_id, term) for term in places), *near]
    weights = ",".join(f"{at}:{weight}" for at, weight in sorted(found.weights.items()))
    return {
        "words": f"{{{','.join(map(str, every))}}}",
        "weights": f"{{{weights}}}/{words.SPACE}",
        "terms": [*found.terms, *places],
        "near": f"{{{','.join(map(str, near))}}}",
        "places": own if near else [],
        "place_words": [words.word(project_id, term) for term in own] if near else [],
    }


def _with_purpose(said: words.Indexed, purpose: words.Indexed) -> words.Indexed:
    """It is found by what it was for, too, which counts so little that two who say the same stay near duplicates."""
    own_terms = frozenset(said.terms)
    more = [both for both in zip(purpose.words, purpose.terms, strict=True) if both[1] not in own_terms]
    more = more[: max(0, words.MAX_TERMS - len(own_terms))]
    held = {words.dimension(term) for _, term in more} - said.weights.keys()
    own, other = (math.hypot(*weights.values()) for weights in (said.weights, purpose.weights))
    share = min(1.0, _PURPOSE_SHARE * own / other) if own and other else 1.0
    light = {at: round(weight * share, 4) for at, weight in purpose.weights.items() if at in held}
    return words.Indexed(
        [*said.words, *(word for word, _ in more)],
        said.weights | {at: weight for at, weight in light.items() if weight},
        [*said.terms, *(term for _, term in more)],
    )


class BadSession(MusterError):
    """A body names a session that its project does not have."""

    status, code = 422, "unknown_reference"


class Settings(NamedTuple):
    """What a project says about what may be written."""

    project_id: UUID
    exclude_paths: list[str]


async def settings(db: Database, who: Who, ref: str) -> Settings:
    """Of the project that a body names."""
    rows = await db.read(
        who,
        "SELECT p.id, coalesce(s.exclude_paths, '{}'), p.status = 'archived' FROM projects p "
        "LEFT JOIN memory_settings s ON s.workspace_id = p.workspace_id AND s.project_id = p.id "
        "WHERE p.workspace_id = %s AND (p.id = %s::uuid OR p.slug = %s)",
        (workspace_of(who), as_id(ref), ref),
    )
    if not rows:
        raise UnknownReference(f"there is no project {ref}")
    if rows[0][2]:
        raise ProjectArchived(f"project {ref} is archived")
    return Settings(rows[0][0], rows[0][1])


async def create(
    db: Database, who: Who, project_id: UUID, observation_id: UUID, new: NewObservation, *, session_id: UUID | None
) -> Row:
    """By hand. Repeated with the same id, it answers with what is there."""
    # An agent's own is forgotten with it.
    task_id, agent_id = (who.task_id, who.actor.agent_id) if isinstance(who, Tenant) else (None, None)
    if session_id is not None:
        found = await db.read(
            who,
            "SELECT task_id, agent_id FROM memory_sessions WHERE workspace_id = %s AND project_id = %s AND id = %s",
            (workspace_of(who), project_id, session_id),
        )
        if not found:
            raise BadSession(f"there is no session {session_id} in this project")
        task_id, agent_id = found[0][0] or task_id, found[0][1] or agent_id
    row = as_row(
        workspace_of(who), project_id, observation_id, new, session_id=session_id, task_id=task_id, agent_id=agent_id
    )
    await db.query(
        who,
        "WITH made AS MATERIALIZED (SELECT observation_put(%s, %s, %s) AS new) "
        "INSERT INTO activity_log (workspace_id, user_id, action, entity_id, detail) "
        "SELECT %s, current_user_id(), 'observation_created', %s, "
        "jsonb_build_object('project_id', %s::uuid, 'type', %s::text) FROM made WHERE new > 0",
        (
            workspace_of(who), project_id, Jsonb([row]), workspace_of(who), observation_id, project_id, row["type"],
        ),
    )  # fmt: skip
    await count_terms(db, who, project_id)
    return await get(db, who, observation_id)


_COUNTED_AT_ONCE = 2000


async def count_terms(db: Database, who: Who, project_id: UUID) -> None:
    """So that it is found by a misspelt word and without naming its project, and rarity is right. While others count
    it waits for them: they may have begun before this was there. Who dies before it leaves it to the sweep."""
    counted = _COUNTED_AT_ONCE
    while counted == _COUNTED_AT_ONCE:
        ((counted,),) = await db.query(
            who, "SELECT memory_fold(%s, %s, %s, true)", (workspace_of(who), project_id, _COUNTED_AT_ONCE)
        )


async def uncounted(db: Database, *, limit: int) -> list[tuple[UUID, UUID]]:
    """Across tenants: workspaces and projects that hold what nobody has counted."""
    rows = await db.across("SELECT workspace_id, project_id FROM chores_uncounted(%s)", (limit,))
    return [(row[0], row[1]) for row in rows]


async def get(db: Database, who: Who, observation_id: UUID) -> Row:
    rows = await db.read(
        who,
        "SELECT observation_json(o) FROM observations o WHERE workspace_id = %s AND id = %s",
        (workspace_of(who), observation_id),
    )
    if not rows:
        raise NotFound(f"there is no observation {observation_id}")
    found: Row = rows[0][0]
    return found


async def sources(db: Database, who: Who, observation_id: UUID) -> list[Row]:
    """The events it was made of, the earliest first; large payloads are read from the event itself."""
    rows = await db.read(
        who,
        "SELECT jsonb_build_object('event_id', e.id, 'session_id', e.session_id, 'type', e.type, 'adapter', e.adapter, "
        "'source_id', e.source_id, 'occurred_at', e.occurred_at, 'job_id', e.job_id, "
        "'payload', CASE WHEN pg_column_size(e.payload) <= %s THEN e.payload END, "
        "'payload_left_out', pg_column_size(e.payload) > %s, 'metadata', e.metadata) "
        "FROM observation_sources s JOIN agent_events e ON e.workspace_id = s.workspace_id AND e.id = s.event_id "
        "WHERE s.workspace_id = %s AND s.observation_id = %s ORDER BY e.occurred_at, e.received_at, e.id LIMIT %s",
        (LARGE_PAYLOAD, LARGE_PAYLOAD, workspace_of(who), observation_id, MAX_ITEMS),
    )
    return [row[0] for row in rows]


async def change(db: Database, who: Who, observation_id: UUID, changed: dict[str, Any]) -> Row:
    """`changed` holds fields of NewObservation. Its words are new at once, its vector is made anew."""
    for _ in range(5):
        old = await get(db, who, observation_id)
        was = {name: old[name] for name in NewObservation.model_fields if name in old}
        new = NewObservation.model_validate(was | changed)
        before, after = _differences(NewObservation.model_validate(was), new)
        row = as_row(
            UUID(old["workspace_id"]), UUID(old["project_id"]), observation_id, new,
            session_id=as_id(old["session_id"]), task_id=as_id(old["task_id"]), agent_id=as_id(old["agent_id"]),
            job_id=old["job_id"], summary=old["summary"], generator=old["generator"],
            seen_at=await _seen_at(db, who, observation_id),
        )  # fmt: skip
        done = await db.query(
            who,
            # Two who change different fields do not undo each other: the later one looks again.
            "WITH held AS MATERIALIZED (SELECT id FROM observations WHERE workspace_id = %s AND id = %s "
            "AND version = %s FOR UPDATE), "
            "told AS (INSERT INTO activity_log (workspace_id, user_id, action, entity_id, detail) "
            "SELECT %s, current_user_id(), 'observation_updated', id, jsonb_build_object('fields', %s::text[]) "
            "FROM held), "
            "said AS (INSERT INTO observation_changes (workspace_id, project_id, observation_id, before, after) "
            "SELECT %s, %s, id, %s, %s FROM held) "
            "SELECT observation_rewrite(%s, %s, %s) FROM held",
            (
                workspace_of(who), observation_id, old["version"], workspace_of(who), sorted(changed),
                workspace_of(who), UUID(old["project_id"]), Jsonb(before), Jsonb(after),
                workspace_of(who), UUID(old["project_id"]), Jsonb(row),
            ),
        )  # fmt: skip
        if done:
            await count_terms(db, who, UUID(old["project_id"]))
            return await get(db, who, observation_id)
    raise RequestInFlight(f"observation {observation_id} is being changed by others")


async def _seen_at(db: Database, who: Who, observation_id: UUID) -> list[str]:
    rows = await db.read(
        who,
        "SELECT t FROM observation_words w, unnest(w.terms) t WHERE w.workspace_id = %s AND w.observation_id = %s "
        "AND left(t, 3) = ANY (%s)",
        (workspace_of(who), observation_id, list(words.PLACES)),
    )
    return [row[0] for row in rows]


def _differences(was: NewObservation, new: NewObservation) -> tuple[Row, Row]:
    """What a change takes away, and what it puts there: enough of it to know it by."""
    old, now = was.model_dump(mode="json"), new.model_dump(mode="json")
    names = [name for name in old if old[name] != now[name]]
    return {name: _clipped(old[name]) for name in names}, {name: _clipped(now[name]) for name in names}


def _clipped(value: Any) -> Any:
    if isinstance(value, list):
        return [_clipped(item) for item in value[:_CHANGED_ITEMS]]
    if isinstance(value, str) and len(value) > _CHANGED_TEXT:
        return value[: _CHANGED_TEXT - 1] + "…"
    return value


_FIELDS: LiteralString = (
    "AND (%s::text[] IS NULL OR o.project_id IN (SELECT p.id FROM projects p WHERE p.workspace_id = o.workspace_id "
    "     AND (p.slug = ANY (%s) OR p.id::text = ANY (%s)))) "
    "AND (%s::text[] IS NULL OR lower(o.type) = ANY (%s)) AND (%s::boolean IS NULL OR o.summary = %s) "
    # When it was seen again counts, too.
    "AND (%s::timestamptz IS NULL OR o.occurred_at >= %s OR o.last_seen_at >= %s) "
    "AND (%s::timestamptz IS NULL OR o.occurred_at < %s) "
)
_SEEN: LiteralString = (
    "UNION SELECT x.observation_id FROM memory_sessions s "
    "JOIN agent_events e ON e.workspace_id = s.workspace_id AND e.session_id = s.id "
    "JOIN observation_sources x ON x.workspace_id = e.workspace_id AND x.event_id = e.id "
)
"""What was merged with what another had seen before."""
_PLACES: tuple[tuple[LiteralString, LiteralString], ...] = (
    ("session_id = %s ", "WHERE s.workspace_id = %s AND s.id = %s) "),
    ("task_id = %s ", "WHERE s.workspace_id = %s AND s.task_id = %s) "),
    ("agent_id = %s ", "WHERE s.workspace_id = %s AND s.agent_id = %s) "),
)


class Where(NamedTuple):
    """Which observations of a list."""

    project: str | None = None
    session: UUID | None = None
    task: UUID | None = None
    agent: UUID | None = None
    type: list[str] | None = None
    summary: bool | None = None
    after: datetime | None = None
    before: datetime | None = None

    def clause(self, workspace_id: UUID) -> tuple[LiteralString, tuple[Any, ...]]:
        refs = [self.project] if self.project else None
        kinds = [kind.lower() for kind in self.type] if self.type else None
        sql: LiteralString = _LISTED + _FIELDS
        params: list[Any] = [
            workspace_id, refs, refs, refs, kinds, kinds, self.summary, self.summary, *[self.after] * 3,
            *[self.before] * 2,
        ]  # fmt: skip
        for one, (own, seen) in zip((self.session, self.task, self.agent), _PLACES, strict=True):
            if one is not None:
                ids: LiteralString = "SELECT id FROM observations WHERE workspace_id = %s AND "
                sql += "AND o.id IN (" + ids + own + _SEEN + seen
                params += [workspace_id, one] * 2
        return sql, tuple(params)


async def page(
    db: Database, who: Who, where: Where, *, cursor: str | None = None, limit: int = 50, oldest_first: bool = False
) -> tuple[list[Row], str | None]:
    """By when it happened, the latest first unless told otherwise."""
    at, last = pages.after(cursor)
    beyond: LiteralString = ">" if oldest_first else "<"
    order: LiteralString = "ASC" if oldest_first else "DESC"
    listed, params = where.clause(workspace_of(who))
    rows = await db.read(
        who,
        listed + f"AND (%s::timestamptz IS NULL OR (o.occurred_at, o.id) {beyond} (%s::timestamptz, %s::uuid)) "
        f"ORDER BY o.occurred_at {order}, o.id {order} LIMIT %s",
        (*params, at, at, last, limit + 1),
    )
    if not rows and where.project:
        await projects.resolve(db, who, where.project)  # nothing is known of it, or there is none
    return pages.page(rows, limit, by="occurred_at")


_LISTED: LiteralString = "SELECT observation_json(o) FROM observations o WHERE o.workspace_id = %s "


async def around(db: Database, who: Who, at: datetime, last: UUID | None, where: Where, limit: int) -> list[Row]:
    """What happened before and after, in the order in which it did; half of it each, as far as there is."""
    listed, params = where.clause(workspace_of(who))
    before = await db.read(
        who,
        listed + "AND (o.occurred_at, o.id) <= (%s::timestamptz, %s::uuid) "
        "ORDER BY o.occurred_at DESC, o.id DESC LIMIT %s",
        (*params, at, last or _LAST, limit),
    )
    after = await db.read(
        who,
        listed + "AND (o.occurred_at, o.id) > (%s::timestamptz, %s::uuid) ORDER BY o.occurred_at, o.id LIMIT %s",
        (*params, at, last or _LAST, limit),
    )
    if not before and not after and where.project:
        await projects.resolve(db, who, where.project)
    earlier = min(len(before), max(limit - limit // 2, limit - len(after)))
    return [row[0] for row in before[:earlier][::-1]] + [row[0] for row in after[: limit - earlier]]


_LAST = UUID(int=2**128 - 1)


async def stats(db: Database, who: Who, ref: str | None) -> Row:
    """How much is remembered, of a project or of all that are reached."""
    project = await projects.resolve(db, who, ref) if ref is not None else None
    rows = await db.read(
        who,
        "WITH here AS MATERIALIZED (SELECT id FROM projects WHERE workspace_id = %s AND (%s::uuid IS NULL OR id = %s)) "
        "SELECT jsonb_build_object('observations', count(*), 'summaries', count(*) FILTER (WHERE summary), "
        "'merged', coalesce(sum(seen - 1), 0), 'oldest_at', min(occurred_at), 'latest_at', max(occurred_at), "
        "'sessions', (SELECT count(*) FROM memory_sessions WHERE project_id IN (SELECT id FROM here)), "
        "'events', (SELECT count(*) FROM agent_events WHERE project_id IN (SELECT id FROM here)), "
        "'vectors', (SELECT count(*) FROM memory_embeddings WHERE project_id IN (SELECT id FROM here)), "
        "'jobs_open', (SELECT count(*) FROM memory_jobs WHERE project_id IN (SELECT id FROM here) "
        "AND status IN ('queued', 'processing')), "
        "'jobs_failed', (SELECT count(*) FROM memory_jobs WHERE project_id IN (SELECT id FROM here) "
        "AND status = 'failed')) FROM observations WHERE project_id IN (SELECT id FROM here)",
        (workspace_of(who), project, project),
    )
    found: Row = rows[0][0]
    return found


def as_id(ref: str | None) -> UUID | None:
    try:
        return UUID(ref) if ref else None
    except ValueError:
        return None
