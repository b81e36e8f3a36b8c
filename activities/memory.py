"""Working on memory's jobs: taken up in batches, made into observations, stored with their completion.

A drain holds its jobs under one claim. Whoever drains the same lane after it takes over what it left, which ends the
claim: a worker that was only believed dead then stores nothing. It heartbeats by itself and not by its progress, since
a model may take longer to answer than a worker may be silent.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from temporalio import activity

from activities.patience import patiently
from muster.domain.errors import MusterError, Unavailable
from muster.domain.ids import new_id
from muster.domain.memory import (
    Drained,
    DrainRequest,
    DrainStart,
    ErrorClass,
    Event,
    GenerationFailed,
    JobKind,
    Look,
    Made,
    NewObservation,
    job_id,
    observation_id,
)
from muster.storage import jobs, observations
from muster.storage.database import Database
from muster.storage.jobs import Claimed, Done

log = logging.getLogger(__name__)

SUMMARY_EVENTS = 200
"""New events after which a session that goes on is summarised once more."""

_BEFORE = 20
"""Events that are looked at once more with those that come after them, as many as `memory_claim()` hands over."""

_BATCHES_AT_ONCE = 3
"""Of one drain: one is stored and one is taken up while the model works on the third."""
_DRAIN_SECONDS = 120.0
"""After so long a drain ends, and the next begins: a lane's places are shared by turns."""
_BEAT_SECONDS = 2.5
_LONGEST_EBB_SECONDS = 60.0
_EBBS = frozenset(
    {
        ErrorClass.TIMEOUT, ErrorClass.UNAVAILABLE, ErrorClass.RATE_LIMIT, ErrorClass.QUOTA, ErrorClass.BUDGET,
        ErrorClass.UNSET,
    }
)  # fmt: skip
"""After these the next batch would fare no better."""

_OVERDUE_SECONDS = 5.0
_SWEPT_AT_ONCE = 500
_SWEPT = 5_000
_FIRST = UUID(int=0)


class Maker(Protocol):
    """What makes observations: activities/generation.py."""

    async def make(self, workspace_id: UUID, project_id: UUID, events: list[Event], earlier: list[Event]) -> Made: ...

    async def summarise(
        self, workspace_id: UUID, project_id: UUID, session: dict[str, Any], events: list[Event],
        observations: list[NewObservation],
    ) -> Made: ...  # fmt: skip


class Reindexer(Protocol):
    """What works on a claimed job of kind `reindex`, and answers what its note is to be: activities/vectors.py."""

    async def reindex(self, workspace_id: UUID, project_id: UUID, job: str) -> str: ...

    async def failed(self, workspace_id: UUID, project_id: UUID, job: str) -> None: ...


Poking = Callable[[UUID, UUID, UUID | None], None]


class MemoryActivities:
    def __init__(
        self,
        db: Database,
        maker: Maker,
        poke: Poking,
        reindexer: Reindexer | None = None,
        *,
        calls_at_once: int = 8,
        retry_seconds: float = 5.0,
    ) -> None:
        self.db, self.maker, self.poke, self.reindexer = db, maker, poke, reindexer
        self.calls = asyncio.Semaphore(calls_at_once)
        self.making = 0
        """Drains under way that make observations."""
        self.retry_seconds = retry_seconds

    @activity.defn
    async def look_memory(self, start: DrainStart) -> Look:
        return await jobs.look(self.db, start.workspace_id, start.project_id, start.session_id)

    @activity.defn
    async def drain_memory(self, request: DrainRequest) -> Drained:
        makes = request.kind != JobKind.REINDEX
        self.making += makes
        try:
            return await Drain(self, request).run()
        finally:
            self.making -= makes

    @activity.defn
    async def sweep_memory(self) -> int:
        return await self.sweep(_OVERDUE_SECONDS)

    async def sweep(self, overdue_seconds: float) -> int:
        """Poke wherever jobs wait for nobody. What is poked needlessly looks once, and that is all. Then count what
        whoever stored it did not come to count."""
        after, swept = _FIRST, 0
        while swept < _SWEPT:
            found = await jobs.overdue(self.db, seconds=overdue_seconds, after=after, limit=_SWEPT_AT_ONCE)
            for place in found:
                self.poke(*place)
            swept += len(found)
            if len(found) < _SWEPT_AT_ONCE:
                break
            after = found[-1].session_id or found[-1].project_id
        for workspace_id, project_id in await observations.uncounted(self.db, limit=_SWEPT_AT_ONCE):
            with suppress(MusterError):  # the next sweep's
                await observations.count_terms(self.db, workspace_id, project_id)
        return swept


class Drain:
    """One lane's work, in one session, by one attempt."""

    def __init__(self, of: MemoryActivities, request: DrainRequest) -> None:
        self._of, self._db, self._request = of, of.db, request
        self._token = new_id()
        self._until = time.monotonic() + _DRAIN_SECONDS
        self._held: set[str] = set()
        self._fenced = False
        self._late = False
        self._ebb: float | None = None
        self._session: dict[str, Any] | None = None
        self._drained = Drained()

    async def run(self) -> Drained:
        beat = asyncio.create_task(_beat())
        running: set[asyncio.Task[None]] = set()
        try:
            await self._work(running)
        except BaseException:
            for task in running:
                task.cancel()
            if running:
                await asyncio.wait(running)
            await self._let_go()
            raise
        finally:
            beat.cancel()
        await self._roll()
        if self._drained.observations:
            # What cannot be counted now is after the next drain: until then a rarity is a little off.
            with suppress(MusterError):
                await observations.count_terms(self._db, self._request.workspace_id, self._request.project_id)
        self._drained.left = int(self._late)
        self._drained.wait_seconds = self._ebb
        return self._drained

    async def _work(self, running: set[asyncio.Task[None]]) -> None:
        first = True
        # A summary tells what is new since the last, so one is not begun before the other is told.
        at_once = 1 if self._request.kind == JobKind.SUMMARY else _BATCHES_AT_ONCE
        while not self._ends():
            # One after the other, so that nobody finds the lane empty while a neighbour has its rows locked.
            claimed = await jobs.claim(self._db, self._request, self._token, take_over=first)
            first = False
            if claimed.wait_seconds:
                self._ebb = max(self._ebb or 0.0, claimed.wait_seconds)
            if claimed.jobs:
                self._held.update(claimed.jobs)
                self._session = claimed.session or self._session
                running.add(asyncio.create_task(self._batch(claimed)))
            elif not running:
                break
            if not claimed.jobs or len(running) >= at_once:
                await self._some(running)
        while running:
            await self._some(running)

    async def _some(self, running: set[asyncio.Task[None]]) -> None:
        done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        running -= done
        for task in done:
            task.result()

    def _ends(self) -> bool:
        self._late = time.monotonic() > self._until or activity.is_worker_shutdown()
        return self._late or self._fenced or self._ebb is not None

    async def _batch(self, claimed: Claimed) -> None:
        """What a model cannot answer for is halved until it is known whose fault it is: the others' jobs are done.
        As often as it takes to find two: a model that is wrong about all is asked no more than once for each."""
        parts, halvings = [claimed], 2 * len(claimed.jobs).bit_length()
        while parts:
            part = parts.pop(0)
            try:
                if self._request.kind == JobKind.REINDEX:
                    await self._store(part, [await self._reindex(part.jobs[0])], [])
                else:
                    done, rows = self._as_rows(part, await self._make(part))
                    await self._store(part, done, rows)
            except Exception as error:
                if isinstance(error, Unavailable):
                    raise
                if not isinstance(error, GenerationFailed):
                    log.exception("a batch of %d jobs could not be worked on", len(part.jobs))
                failed = jobs.failed_with(error)
                if _less_may_do(failed) and len(part.jobs) > 1 and halvings > 0:
                    halvings -= 1
                    parts[:0] = part.halves()
                    continue
                if failed.kind in _EBBS:  # the rest would fare no better
                    part, parts = claimed.of([job for one in (part, *parts) for job in one.jobs]), []
                await self._fail(part, failed)
            self._held.difference_update(part.jobs)

    async def _make(self, claimed: Claimed) -> list[Made]:
        request = self._request
        if request.kind == JobKind.SUMMARY:
            session = claimed.session
            if not session or not (claimed.events or (claimed.observations and not session["summarised"])):
                return [Made(note="nothing has happened since")]

            async def summarise() -> Made:
                return await self._of.maker.summarise(
                    request.workspace_id, request.project_id, session, claimed.events, claimed.observations
                )

            return [await self._call(summarise)]
        if not claimed.events:
            return [Made(note="its events are gone")]
        # What came in one request may be more than one call takes.
        size = claimed.batch_events
        parts = [claimed.events[start : start + size] for start in range(0, len(claimed.events), size)]
        spoilt: list[tuple[int, GenerationFailed]] = []
        halvings = 2 * len(claimed.events).bit_length()

        async def make(part: list[Event], earlier: list[Event]) -> list[Made]:
            """Where one job holds many events, its batch is halved as those of many jobs are."""
            nonlocal halvings
            try:
                make_it = self._of.maker.make
                return [await self._call(lambda: make_it(request.workspace_id, request.project_id, part, earlier))]
            except GenerationFailed as failure:
                if len(claimed.jobs) > 1 or not _less_may_do(failure):
                    raise
                if len(part) == 1 or halvings <= 0:
                    if failure.less_would_do:
                        raise
                    spoilt.append((len(part), failure))
                    return []
            halvings -= 1
            middle = len(part) // 2
            return [*await make(part[:middle], earlier), *await make(part[middle:], part[:middle][-_BEFORE:])]

        before = [claimed.earlier, *(part[-_BEFORE:] for part in parts)]
        calls = [asyncio.create_task(make(*each)) for each in zip(parts, before, strict=False)]
        try:
            made = [one for some in await asyncio.gather(*calls) for one in some]
        finally:
            for call in calls:
                call.cancel()
            await asyncio.wait(calls)
        if spoilt:
            count, why = sum(events for events, _ in spoilt), spoilt[0][1]
            if not made:
                raise why
            left_out = f"nothing could be made of {count} of its {len(claimed.events)} events: {why.message}"
            made[0] = made[0].model_copy(update={"left_out": left_out[:1000]})
        return made

    async def _reindex(self, job: str) -> Done:
        if self._of.reindexer is None:
            raise GenerationFailed(ErrorClass.REFUSED, "this worker makes no vectors")
        return Done(job, 0, await self._of.reindexer.reindex(self._request.workspace_id, self._request.project_id, job))

    async def _call(self, make: Callable[[], Awaitable[Made]]) -> Made:
        async with self._of.calls:
            return await make()

    def _as_rows(self, claimed: Claimed, made: list[Made]) -> tuple[list[Done], list[dict[str, Any]]]:
        """Each observation belongs to the job of the first event it was made of, and is told of by those of all."""
        job_of = {event.id: event.job_id for event in claimed.events}
        known = job_of.keys() | {event.id for event in claimed.earlier}
        summary = self._request.kind == JobKind.SUMMARY
        if summary:
            known |= {source for observation in claimed.observations for source in observation.sources}
        counts, told, rows = Counter[str](), Counter[str](), []
        session, times = claimed.session or {}, _times((*claimed.earlier, *claimed.events))
        for some in made:
            for observation in some.observations:
                sources = [source for source in dict.fromkeys(observation.sources) if source in known]
                if not sources and claimed.events:
                    sources = [event.id for event in claimed.events] if summary else [claimed.events[0].id]
                jobs_of = [job for job in map(job_of.get, sources) if job] if not summary else []
                job = jobs_of[0] if jobs_of else claimed.jobs[0]
                found = observation.model_copy(
                    update={"sources": sources, "occurred_at": observation.occurred_at or _when(times, sources)}
                )
                rows.append(
                    observations.as_row(
                        self._request.workspace_id,
                        self._request.project_id,
                        observation_id(job, counts[job], found.content_hash),
                        found,
                        session_id=self._request.session_id,
                        task_id=_id(session.get("task_id")),
                        agent_id=_id(session.get("agent_id")),
                        job_id=job,
                        summary=summary,
                        generator=some.generator,
                    )
                )
                counts[job] += 1
                told.update({job, *jobs_of})
        note = next((some.note for some in made if some.note), None) or "nothing of it was worth keeping"
        left_out = next((some.left_out for some in made if some.left_out), None)
        concludes = summary and session.get("ended_at") is not None
        done = [
            Done(job, told[job], left_out or (None if told[job] else note[:1000]), concludes) for job in claimed.jobs
        ]
        return done, rows

    async def _store(self, claimed: Claimed, done: list[Done], rows: list[dict[str, Any]]) -> None:
        request = self._request
        summarised = claimed.session["until"] if claimed.session and request.kind == JobKind.SUMMARY else None
        # With patience: the model was paid for it, and said twice it is stored once.
        found = await patiently(
            lambda: jobs.complete(
                self._db, request.workspace_id, request.project_id, self._token, done, rows, summarised=summarised
            )
        )
        self._drained.jobs += found.completed
        self._drained.observations += found.stored
        if found.lost:
            log.warning("%d jobs were taken over by another worker; what was made of them is dropped", found.lost)
            self._fenced = True

    async def _fail(self, claimed: Claimed, error: GenerationFailed) -> None:
        request = self._request
        wait = await patiently(
            lambda: jobs.fail(
                self._db, request.workspace_id, request.project_id, self._token, claimed.jobs, error,
                base_seconds=self._of.retry_seconds, until=_midnight() if error.kind == ErrorClass.BUDGET else None,
            )
        )  # fmt: skip
        if request.kind == JobKind.REINDEX and self._of.reindexer:
            for job in claimed.jobs:
                await self._of.reindexer.failed(request.workspace_id, request.project_id, job)
        log.warning("%d jobs (%s) failed: %s: %s", len(claimed.jobs), request.kind, error.kind, error.message[:300])
        if error.kind in _EBBS:
            self._ebb = max(self._ebb or 0.0, error.retry_after or min(wait, _LONGEST_EBB_SECONDS))

    async def _let_go(self) -> None:
        """In time, so that the attempt does not count. Where it fails, the next drain takes them over."""
        if self._held:
            held = sorted(self._held)
            with suppress(MusterError, TimeoutError, asyncio.CancelledError):
                async with asyncio.timeout(2):
                    await asyncio.shield(jobs.release(self._db, self._request.workspace_id, self._token, held))

    async def _roll(self) -> None:
        request, session = self._request, self._session
        if not (self._drained.jobs and session and request.session_id) or request.kind == JobKind.SUMMARY:
            return
        if session["ended_at"] or session["events"] - session["summarised"] < SUMMARY_EVENTS:
            return
        source = f"{request.session_id}/{session['events'] // SUMMARY_EVENTS}"
        job = job_id(JobKind.SUMMARY, request.workspace_id, request.project_id, "session_part", source)
        await jobs.roll(
            self._db, request.workspace_id, request.project_id, request.session_id,
            every=SUMMARY_EVENTS, job=job, source=source,
        )  # fmt: skip


def _less_may_do(failure: GenerationFailed) -> bool:
    return failure.kind == ErrorClass.MALFORMED or failure.less_would_do


def _times(events: Iterable[Event]) -> dict[UUID, datetime]:
    """When each happened. Those of one time are a moment apart, so that a timeline tells them in their order."""
    so_far = Counter[datetime]()
    times = {}
    for event in events:
        times[event.id] = event.occurred_at + timedelta(microseconds=so_far[event.occurred_at])
        so_far[event.occurred_at] += 1
    return times


def _when(times: dict[UUID, datetime], sources: list[UUID]) -> datetime | None:
    return max((times[source] for source in sources if source in times), default=None)


def _id(text: str | None) -> UUID | None:
    return UUID(text) if text else None


def _midnight() -> datetime:
    """When the day's budget is a new one."""
    return (datetime.now(UTC) + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)


async def _beat() -> None:
    while True:
        activity.heartbeat()
        await asyncio.sleep(_BEAT_SECONDS)
