"""What agents did: looked through as it comes, and recorded together with the job that is to make something of it."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple, cast
from uuid import UUID

import psycopg

from muster.domain import intake
from muster.domain.errors import NotFound, ProjectArchived, Unavailable, UnknownReference
from muster.domain.intake import Place
from muster.domain.memory import NewEvent
from muster.domain.privacy import Removed, as_json
from muster.storage import pages
from muster.storage.database import Database, Who, workspace_of
from muster.storage.sessions import as_sent, reach

_PLACES = 10_000
"""Projects whose exclusions are remembered. Whether they still hold is looked at with each writing."""
_TRIES = 5
_FLIGHTS = 2
"""Statements under way for those who share one: while one is being written to disk, the next gathers."""
_FLIGHT_EVENTS = 500
_TURN_SECONDS = 0.02
_CALL = "SELECT memory_record(%s, %s, %s, %s, %s, %s)"


class Recorded(NamedTuple):
    """What became of one event."""

    id: UUID | None
    """None: it is not stored, since its project excludes it."""
    project_id: UUID
    session_id: UUID
    repeated: bool
    """It was there already."""
    job: dict[str, Any] | None
    removed: Removed


class _Group:
    """What one request sent, ready to be written."""

    __slots__ = ("answer", "ids", "items", "jobs", "scopes")

    def __init__(self) -> None:
        self.ids: list[UUID] = []
        self.items: list[bytes] = []
        """Each without its first field, which says whose it is."""
        self.jobs: list[dict[str, Any]] = []
        self.scopes: dict[tuple[str, UUID], dict[str, Any]] = {}
        self.answer: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()


class _Answer(NamedTuple):
    refused: list[dict[str, Any]]
    new: list[bool]
    """Of each event that was to be written, whether it was."""
    jobs: dict[str, str]
    """Those that have another id than was thought: a new event's job is never one that was there before."""


class _Lane:
    __slots__ = ("flying", "waiting")

    def __init__(self) -> None:
        self.flying = 0
        self.waiting: list[_Group] = []


class Recorder:
    """Records events, those of requests that arrive together in one transaction: a commit costs as much for one."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._places: OrderedDict[tuple[UUID, str], Place] = OrderedDict()
        self._lanes: dict[tuple[UUID, UUID | None, UUID | None], _Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Whoever sent what is under way is told that it may not have been recorded."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def record(
        self,
        who: Who,
        events: Sequence[NewEvent],
        *,
        generate: bool = True,
        batch: bool = False,
        request_id: str | None = None,
    ) -> list[Recorded]:
        """All of them or none, in their order. `batch`: one job for each session of it, and not for each event."""
        remembered: dict[intake.Scope, set[int]] = {}
        for _ in range(_TRIES):
            group = _Group()
            known = await self._look_through(who, events, group, remembered, generate, batch, request_id)
            if not group.scopes:
                return known
            try:
                answer = await self._write(who, group)
            except psycopg.errors.ForeignKeyViolation:
                continue  # its session or project is just being forgotten
            if not answer.refused:
                known = await self._told(who, known, answer)
                return await self._taken_up(who, known, batch, request_id) if generate else known
            answers = [refusal for refusal in answer.refused if refusal["why"] == "call"]
            for refusal in answers:  # their calls were excluded before: now all but these are written
                one = known[refusal["n"]]
                remembered.setdefault((one.project_id, one.session_id), set()).update(refusal["calls"])
            if len(answers) == len(answer.refused):
                continue
            first = next(refusal for refusal in answer.refused if refusal["why"] != "call")
            if first["why"] == "session":
                event, place = events[first["n"]], f"events.{first['n']}: " if batch else ""
                raise UnknownReference(f"{place}project {event.project} has no session {event.session}")
            if first["why"] == "archived":
                raise ProjectArchived(f"project {events[first['n']].project} is archived")
            for event in events:  # renamed, gone, or with other exclusions than were known here
                self._places.pop((workspace_of(who), event.project), None)
        raise Unavailable("the project is being changed; send it again")

    async def _look_through(
        self,
        who: Who,
        events: Sequence[NewEvent],
        group: _Group,
        remembered: dict[intake.Scope, set[int]],
        generate: bool,
        batch: bool,
        request_id: str | None,
    ) -> list[Recorded]:
        """What is to be known of them before they are written; `group` is filled with what there is to write."""
        workspace_id, known, heads = workspace_of(who), [], []
        places, each = await self._sifted(who, events, batch)
        calls = intake.without_answers(places, events, each, remembered) if any(one.stamp for one in places) else {}
        by = as_sent(who)
        for n, (event, place, sifted) in enumerate(zip(events, places, each, strict=True)):
            ref, here = event.project, (place.id, event.session)
            scope = group.scopes.get((ref, event.session))
            if scope is None and (here in calls or sifted.removed.excluded is None):
                scope = group.scopes[ref, event.session] = {
                    "n": n, "ref": str(_as_id(ref) or ref), "project": place.id, "stamp": place.stamp,
                    "session": event.session, "sent": False, "by": None, "ids": [], "silent": True,
                    **(calls.pop(here)._asdict() if here in calls else {}),
                }  # fmt: skip
            if scope is None or sifted.removed.excluded is not None:
                known.append(Recorded(None, place.id, event.session, False, None, sifted.removed))
                continue
            event_id, head = intake.named(workspace_id, place, event, sifted, where=f"events.{n}: " if batch else "")
            known.append(Recorded(event_id, place.id, event.session, False, None, sifted.removed))
            heads.append((n, head, sifted))
            scope.update(silent=False, sent=by is not None, by=by)
            if by is not None:
                scope["ids"].append(event_id)
        if generate:
            named = [(n, one.project_id, one.session_id, one.id) for n, one in enumerate(known) if one.id is not None]
            for bundle in intake.bundles(workspace_id, named, batch=batch):
                group.jobs.append(_job_row(bundle, request_id))
                job = _new_job(bundle)
                for n in bundle.events:
                    known[n] = known[n]._replace(job=job)
        for n, head, sifted in heads:
            one = known[n]
            group.ids.append(cast(UUID, one.id))
            written = as_json({"n": n, "job": one.job["id"] if one.job else None, **head})[1:-1]
            group.items.append(b'%b,"payload":%b,"metadata":%b}' % (written, sifted.payload, sifted.metadata))
        return known

    async def _sifted(
        self, who: Who, events: Sequence[NewEvent], batch: bool
    ) -> tuple[list[Place], list[intake.Sifted]]:
        """Their projects, and what may be kept of each by itself."""
        workspace_id, places, each = workspace_of(who), [], []
        fresh: dict[str, Place] = {}
        turn = time.monotonic()
        for n, event in enumerate(events):
            if time.monotonic() - turn > _TURN_SECONDS:  # others wait
                await asyncio.sleep(0)
                turn = time.monotonic()
            ref = event.project
            place = fresh.get(ref) or self._places.get((workspace_id, ref))
            if place is None:
                place = fresh[ref] = await self._find(who, ref)
            sifted = intake.sifted(place, n, event, named=batch)
            if sifted.removed.excluded is not None and ref not in fresh:
                # What is not written is not compared with what the project excludes now, as all the rest is.
                place = fresh[ref] = await self._find(who, ref)
                sifted = intake.sifted(place, n, event, named=batch)
            places.append(place)
            each.append(sifted)
        return places, each

    async def _told(self, who: Who, known: list[Recorded], answer: _Answer) -> list[Recorded]:
        """What those that were here already were recorded as."""
        repeated, new = set(), iter(answer.new)
        for n, one in enumerate(known):
            if one.id is not None and not next(new):
                known[n] = one._replace(repeated=True)
                repeated.add(one.id)
            elif one.job and one.job["id"] in answer.jobs:
                known[n] = one._replace(job={**one.job, "id": answer.jobs[one.job["id"]]})
        if repeated:
            rows = await self._db.read(
                who,
                "SELECT e.id, e.session_id, CASE WHEN j.id IS NOT NULL THEN job_brief(j) END "
                "FROM agent_events e "
                "LEFT JOIN memory_jobs j ON j.workspace_id = e.workspace_id AND j.id = e.job_id "
                "WHERE e.workspace_id = %s AND e.id = ANY (%s)",
                (workspace_of(who), list(repeated)),
            )
            were = {row[0]: row[1:] for row in rows}
            for n, one in enumerate(known):
                if one.repeated and one.id in were:
                    known[n] = one._replace(session_id=were[one.id][0], job=were[one.id][1])
        return known

    async def _taken_up(self, who: Who, known: list[Recorded], batch: bool, request_id: str | None) -> list[Recorded]:
        """What was stored alone, and is sent again to be made something of."""
        named = [
            (n, one.project_id, one.session_id, one.id)
            for n, one in enumerate(known)
            if one.repeated and one.job is None and one.id is not None
        ]
        if not named:
            return known
        bundles = list(intake.bundles(workspace_of(who), named, batch=batch))
        jobs = [{**_job_row(bundle, request_id), "events": [known[n].id for n in bundle.events]} for bundle in bundles]
        made = set(await self._db.move("SELECT memory_take_up(%s, %s, %s, %s)", (*reach(who), as_json(jobs).decode())))
        for bundle in bundles:
            for n in bundle.events if bundle.job in made else ():
                known[n] = known[n]._replace(job=_new_job(bundle))
        return known

    async def _find(self, who: Who, ref: str) -> Place:
        rows = await self._db.read(
            who,
            "SELECT p.id, m.exclude_paths, m.exclude_tools, memory_stamp(m.exclude_paths, m.exclude_tools) "
            "FROM projects p "
            "LEFT JOIN memory_settings m ON m.workspace_id = p.workspace_id AND m.project_id = p.id "
            "WHERE p.workspace_id = %s AND (p.id = %s::uuid OR p.slug = %s)",
            (workspace_of(who), _as_id(ref), ref),
        )
        if not rows:
            raise UnknownReference(f"there is no project {ref}")
        project_id, paths, tools, stamp = rows[0]
        found = self._places[workspace_of(who), ref] = Place(project_id, tuple(paths or ()), tuple(tools or ()), stamp)
        if len(self._places) > _PLACES:
            self._places.popitem(last=False)
        return found

    # -- Sharing a transaction ---------------------------------------------------------------------------------------

    async def _write(self, who: Who, group: _Group) -> _Answer:
        key = reach(who)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Lane()
        lane.waiting.append(group)
        if lane.flying < _FLIGHTS:
            lane.flying += 1
            task = asyncio.create_task(self._fly(key, lane), name="record events")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await group.answer

    async def _fly(self, key: tuple[UUID, UUID | None, UUID | None], lane: _Lane) -> None:
        groups: list[_Group] = []
        try:
            while lane.waiting:
                groups, events = [], 0
                while lane.waiting and (not groups or events + len(lane.waiting[0].items) <= _FLIGHT_EVENTS):
                    groups.append(lane.waiting.pop(0))
                    events += len(groups[-1].items)
                await self._land(key, groups)
        finally:
            lane.flying -= 1
            if lane.flying == 0 and not lane.waiting and self._lanes.get(key) is lane:
                del self._lanes[key]
            for group in [*groups, *(lane.waiting if lane.flying == 0 else ())]:
                if not group.answer.done():  # cancelled: this process ends
                    group.answer.set_exception(Unavailable("it is not known whether this was recorded; send it again"))

    async def _land(self, key: tuple[UUID, UUID | None, UUID | None], groups: list[_Group]) -> None:
        try:
            answers = await self._call(key, groups)
        except Exception as error:
            if len(groups) == 1 or isinstance(error, Unavailable):
                for group in groups:
                    if not group.answer.done():
                        group.answer.set_exception(error)
                return
            for group in groups:  # one of them is to blame, and only that one is to hear of it
                await self._land(key, [group])
            return
        for group, answer in zip(groups, answers, strict=True):
            if not group.answer.done():
                group.answer.set_result(answer)

    async def _call(self, key: tuple[UUID, UUID | None, UUID | None], groups: list[_Group]) -> list[_Answer]:
        scopes = [{"g": g, **scope} for g, group in enumerate(groups) for scope in group.scopes.values()]
        jobs = [job for group in groups for job in group.jobs]
        items = b",".join(b'{"g":%d,%b' % (g, item) for g, group in enumerate(groups) for item in group.items)
        params = (*key, as_json(scopes).decode(), as_json(jobs).decode(), f"[{items.decode()}]")
        found = await self._db.move(_CALL, params)
        new = {UUID(event_id) for event_id in found["new"]}
        refused: list[list[dict[str, Any]]] = [[] for _ in groups]
        for refusal in found["refused"]:
            refused[refusal["g"]].append(refusal)
        answers = []
        for g, group in enumerate(groups):
            wrote = []
            for event_id in group.ids:
                wrote.append(not refused[g] and event_id in new)
                if wrote[-1]:
                    new.discard(event_id)  # sent twice, it is new the first time
            answers.append(_Answer(refused[g], wrote, found["jobs"]))
        return answers


async def record(db: Database, who: Who, events: Sequence[NewEvent], **more: Any) -> list[Recorded]:
    """For whoever records now and then; the API keeps a Recorder."""
    return await Recorder(db).record(who, events, **more)


def _job_row(bundle: intake.Bundle, request_id: str | None) -> dict[str, Any]:
    return {
        "id": bundle.job, "kind": bundle.kind, "source_type": bundle.source_type, "source_id": bundle.source_id,
        "request": request_id,
    }  # fmt: skip


def _new_job(bundle: intake.Bundle) -> dict[str, Any]:
    """As `job_brief` in SQL tells of it."""
    return {
        "id": bundle.job, "kind": str(bundle.kind), "status": "queued", "attempts": 0, "outcome": None,
        "observations": None, "error_class": None, "error": None,
    }  # fmt: skip


def _as_id(ref: str) -> UUID | None:
    try:
        return UUID(ref)
    except ValueError:
        return None


# -- Reading ---------------------------------------------------------------------------------------------------------


async def get(db: Database, who: Who, event_id: UUID) -> dict[str, Any]:
    """With its `job`, and the ids of the `observations` that were made of it."""
    rows = await db.read(
        who,
        "SELECT recorded_event_json(e) || jsonb_build_object('job', (SELECT job_brief(j) FROM memory_jobs j "
        "   WHERE j.workspace_id = e.workspace_id AND j.id = e.job_id), "
        "'observations', (SELECT coalesce(jsonb_agg(o.observation_id ORDER BY o.observation_id), '[]') "
        "   FROM observation_sources o WHERE o.workspace_id = e.workspace_id AND o.event_id = e.id)) "
        "FROM agent_events e WHERE workspace_id = %s AND id = %s",
        (workspace_of(who), event_id),
    )
    if not rows:
        raise NotFound(f"there is no event {event_id}")
    return cast(dict[str, Any], rows[0][0])


async def page(
    db: Database,
    who: Who,
    session_id: UUID,
    *,
    kind: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> tuple[list[dict[str, Any]], str | None]:
    """A session's, the latest first."""
    at, last = pages.after(cursor)
    rows = await db.read(
        who,
        "SELECT recorded_event_json(e) FROM agent_events e WHERE workspace_id = %s AND session_id = %s "
        "AND (%s::text IS NULL OR type = %s::text) "
        "AND (%s::timestamptz IS NULL OR occurred_at < %s::timestamptz OR (occurred_at = %s::timestamptz "
        "     AND (received_at, id) < (SELECT received_at, id FROM agent_events WHERE workspace_id = %s AND id = %s))) "
        "ORDER BY occurred_at DESC, received_at DESC, id DESC LIMIT %s",
        (workspace_of(who), session_id, kind, kind, at, at, at, workspace_of(who), last, limit + 1),
    )
    return pages.page(rows, limit, by="occurred_at")


async def jobs(db: Database, who: Who, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """As they stand, by id."""
    rows = await db.read(
        who,
        "SELECT id, job_brief(j) FROM memory_jobs j WHERE workspace_id = %s AND id = ANY (%s)",
        (workspace_of(who), list(ids)),
    )
    return {row[0]: row[1] for row in rows}
