"""A drain: what it makes of what a generator answers, or does not, on a real database."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.types.json import Jsonb
from temporalio.testing import ActivityEnvironment

from activities.memory import MemoryActivities
from muster.domain.ids import new_id
from muster.domain.memory import Drained, ErrorClass, Event, GenerationFailed, JobKind, Made, NewObservation
from muster.storage import jobs, observations
from muster.storage.observations import Where, as_row
from tests.pace import patience

from .conftest import make_workspace
from .sessions import Session

Make = Callable[[list[Event]], Awaitable[Made]]


class Scripted:
    """A generator that does what a test says."""

    def __init__(self, make: Make) -> None:
        self._make = make
        self.calls: list[int] = []
        self.summarised: list[tuple[int, int]] = []

    async def make(
        self, workspace_id: UUID, project_id: UUID, events: list[Event], earlier: list[Event]
    ) -> Made:  # fmt: skip
        self.calls.append(len(events))
        return await self._make(events)

    async def summarise(
        self, workspace_id: UUID, project_id: UUID, session: dict[str, Any], events: list[Event],
        observations: list[NewObservation],
    ) -> Made:  # fmt: skip
        self.summarised.append((len(events), len(observations)))
        return Made(observations=[NewObservation(title=f"all of {session['id']}")], generator="tests/1")


async def each(events: list[Event]) -> Made:
    """One observation of each."""
    found = [NewObservation(title=f"{event.id.hex} {event.payload}", sources=[event.id]) for event in events]
    return Made(observations=found, generator="tests/1")


def failing(*failures: Exception) -> Make:
    """So often, and then as it should."""
    left = list(failures)

    async def make(events: list[Event]) -> Made:
        if left:
            raise left.pop(0)
        return await each(events)

    return make


async def drain(session: Session, maker: Scripted, kind: JobKind = JobKind.EVENT) -> Drained:
    of_memory = MemoryActivities(session.db, maker, lambda *place: None, retry_seconds=0.05)
    found: Drained = await ActivityEnvironment().run(of_memory.drain_memory, session.request(kind))
    return found


async def test_each_observation_belongs_to_the_job_of_its_first_event(session: Session) -> None:
    added = [await session.add() for _ in range(3)]

    async def one_of_two(events: list[Event]) -> Made:
        first, second, _ = events
        return Made(
            observations=[
                NewObservation(title="of the first two", sources=[first.id, second.id]),
                NewObservation(title="of the first once more", sources=[first.id, new_id()]),
                NewObservation(title="of nothing it names", sources=[]),
            ],
            note="and nothing of the third",
            generator="tests/1",
        )

    maker = Scripted(one_of_two)
    found = await drain(session, maker)
    assert (found.jobs, found.observations, found.left, found.wait_seconds) == (3, 3, 0, None)
    rows = [await session.job(job) for job in added]
    told = [(row["outcome"], row["observations"], row["note"]) for row in rows]
    assert told == [("observed", 3, None), ("observed", 1, None), ("nothing", 0, "and nothing of the third")]
    made = await session.tenant.rows(
        "SELECT o.title, o.generator, count(s.event_id), o.occurred_at = max(e.occurred_at) FROM observations o "
        "JOIN observation_sources s ON s.observation_id = o.id JOIN agent_events e ON e.id = s.event_id "
        "WHERE o.session_id = %s GROUP BY o.id ORDER BY o.title", (session.id,),
    )  # fmt: skip
    assert made == [
        ("of nothing it names", "tests/1", 1, True),
        ("of the first once more", "tests/1", 1, True),
        ("of the first two", "tests/1", 2, True),
    ]


async def test_what_happened_at_one_time_is_told_in_its_order(session: Session) -> None:
    """As clients send it whose clocks know only seconds."""
    await session.add(20, kind=JobKind.EVENT_BATCH)
    await session.tenant.rows("UPDATE agent_events SET occurred_at = '2026-11-20 12:00Z', received_at = occurred_at")

    async def named(events: list[Event]) -> Made:
        found = [NewObservation(title=str(event.payload), sources=[event.id]) for event in events]
        return Made(observations=found[::-1], generator="tests/1")

    await drain(session, Scripted(named), JobKind.EVENT_BATCH)
    told, _ = await observations.page(session.db, session.tenant.id, Where(session=session.id), oldest_first=True)
    assert [item["title"] for item in told] == [f"it said something {number}" for number in range(20)]


async def test_a_job_of_more_events_than_a_call_takes_is_made_in_parts_and_done_at_once(session: Session) -> None:
    job = await session.add(120, kind=JobKind.EVENT_BATCH)
    maker = Scripted(each)
    assert (await drain(session, maker, JobKind.EVENT_BATCH)).observations == 120
    assert sorted(maker.calls) == [20, 50, 50]
    assert (await session.job(job))["observations"] == 120
    # One part fails: nothing of the others is kept, since it would be made, and paid for, under other words again.
    job = await session.add(120, kind=JobKind.EVENT_BATCH)
    maker = Scripted(failing(GenerationFailed(ErrorClass.REFUSED, "no")))
    assert (await drain(session, maker, JobKind.EVENT_BATCH)).observations == 0
    assert (await session.job(job))["error"] == "no"
    assert await session.observed() == 120


async def test_a_provider_that_is_away_is_not_asked_for_the_rest(session: Session) -> None:
    added = [await session.add() for _ in range(200)]
    away = [GenerationFailed(ErrorClass.UNAVAILABLE, "503")] * 200
    maker = Scripted(failing(*away))
    found = await drain(session, maker)
    assert len(maker.calls) <= 3, "those that were under way"
    assert found.wait_seconds is not None
    assert set((await session.statuses()).values()) == {"queued"}
    maker = Scripted(failing())
    async with patience(20):
        while await session.observed() < len(added):
            await drain(session, maker)
    assert {(await session.statuses())[job] for job in added} == {"completed"}


async def test_a_provider_that_says_when_is_believed(session: Session) -> None:
    await session.add()
    late = GenerationFailed(ErrorClass.RATE_LIMIT, "429", retry_after=123.0)
    waits = (await drain(session, Scripted(failing(late)))).wait_seconds
    assert waits is not None
    assert 122 < waits < 150


def spoiled(*words: str) -> Make:
    """What is said in an event makes the model write what it was not asked for."""

    async def make(events: list[Event]) -> Made:
        if any(word in str(event.payload) for event in events for word in words):
            raise GenerationFailed(ErrorClass.MALFORMED, "not what was asked for")
        return await each(events)

    return make


async def test_what_spoils_an_answer_fails_alone(session: Session) -> None:
    added = [await session.add(text="poison" if n in (17, 31) else "fine") for n in range(50)]
    maker = Scripted(spoiled("poison"))
    found = await drain(session, maker)
    rows = [await session.job(job) for job in added]
    failed = [n for n, row in enumerate(rows) if row["status"] == "failed"]
    assert failed == [17, 31]
    assert {rows[n]["error"] for n in failed} == {"not what was asked for"}
    assert (found.jobs, found.observations, await session.observed()) == (48, 48, 48)
    assert {row["attempts"] for row in rows} == {1}


async def test_what_spoils_the_answer_about_a_posted_batch_is_left_out_and_named(session: Session) -> None:
    """One job holds all of its events: those that can be told of are."""
    job = await session.add(40, kind=JobKind.EVENT_BATCH)
    await session.tenant.rows(
        "UPDATE agent_events SET payload = '\"poison\"' WHERE id = "
        "(SELECT id FROM agent_events WHERE job_id = %s ORDER BY id OFFSET 20 LIMIT 1)", (job,),
    )  # fmt: skip
    maker = Scripted(spoiled("poison"))
    found = await drain(session, maker, JobKind.EVENT_BATCH)
    row = await session.job(job)
    assert (row["status"], row["outcome"], row["observations"], found.observations) == ("completed", "observed", 39, 39)
    assert row["note"] == "nothing could be made of 1 of its 40 events: not what was asked for"
    assert len(maker.calls) <= 13


async def test_a_posted_batch_of_which_nothing_can_be_made_fails(session: Session) -> None:
    job = await session.add(40, kind=JobKind.EVENT_BATCH)
    maker = Scripted(spoiled("it said"))
    await drain(session, maker, JobKind.EVENT_BATCH)
    row = await session.job(job)
    assert (row["status"], row["error"]) == ("failed", "not what was asked for")
    assert len(maker.calls) <= 25


async def test_a_model_that_always_answers_wrongly_is_not_asked_for_ever(session: Session) -> None:
    for _ in range(50):
        await session.add()
    maker = Scripted(spoiled("it said"))
    await drain(session, maker)
    assert set((await session.statuses()).values()) == {"failed"}
    assert len(maker.calls) <= 25


async def test_a_budget_too_small_for_a_batch_is_used_for_what_it_will_do_for(session: Session) -> None:
    added = [await session.add() for _ in range(8)]

    async def two_at_most(events: list[Event]) -> Made:
        if len(events) > 2:
            raise GenerationFailed(ErrorClass.BUDGET, "too much at once", less_would_do=True)
        return await each(events)

    found = await drain(session, Scripted(two_at_most))
    assert (found.jobs, found.wait_seconds) == (8, None)
    assert {(await session.job(job))["status"] for job in added} == {"completed"}


async def test_a_budget_that_ends_while_the_culprit_is_looked_for_parks_the_rest(session: Session) -> None:
    added = [await session.add(text="poison" if n == 0 else "fine") for n in range(8)]

    async def make(events: list[Event]) -> Made:
        if len(events) == 4 and "poison" not in str(events[0].payload):
            raise GenerationFailed(ErrorClass.BUDGET, "used up")
        return await spoiled("poison")(events)

    await drain(session, Scripted(make))
    rows = [await session.job(job) for job in added]
    assert [row["status"] for row in rows] == ["failed", *["completed"] * 3, *["queued"] * 4]
    assert {row["attempts"] for row in rows[4:]} == {0}, "to be parked is no attempt"
    assert await session.look() == ([], None)


@pytest.mark.parametrize("kind", [ErrorClass.QUOTA, ErrorClass.BUDGET, ErrorClass.UNSET])
async def test_what_is_used_up_parks_the_lane(session: Session, kind: ErrorClass) -> None:
    jobs_there = [await session.add() for _ in range(200)]
    maker = Scripted(failing(*[GenerationFailed(kind, "used up")] * 200))
    await drain(session, maker)
    await drain(session, maker)
    assert len(maker.calls) <= 3
    assert await session.look() == ([], None)
    assert {(await session.job(job))["attempts"] for job in jobs_there[:50]} == {0}


async def test_a_defect_of_ours_is_tried_again_and_not_for_ever(session: Session) -> None:
    bad, good = await session.add(), await session.add(kind=JobKind.EVENT_BATCH)
    maker = Scripted(failing(*[KeyError("x")] * 5))
    for _ in range(5):
        await drain(session, maker)
        await session.tenant.rows("UPDATE memory_jobs SET not_before = NULL WHERE session_id = %s", (session.id,))
    row = await session.job(bad)
    assert (row["status"], row["error_class"], row["error"]) == ("failed", "internal", "KeyError: 'x'")
    assert (await drain(session, maker, JobKind.EVENT_BATCH)).jobs == 1
    assert (await session.job(good))["status"] == "completed"


async def test_whoever_is_cancelled_lets_go(session: Session) -> None:
    job = await session.add()
    under_way = asyncio.Event()

    async def never(events: list[Event]) -> Made:
        under_way.set()
        await asyncio.sleep(60)
        return Made()

    draining = asyncio.create_task(drain(session, Scripted(never)))
    await under_way.wait()
    draining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await draining
    row = await session.job(job)
    assert (row["status"], row["attempts"]) == ("queued", 0)


async def test_whoever_is_overtaken_stops_and_stores_nothing(session: Session) -> None:
    jobs_there = [await session.add() for _ in range(200)]
    other = new_id()

    async def slowly(events: list[Event]) -> Made:
        await jobs.claim(session.db, session.request(), other, take_over=True)
        return await each(events)

    maker = Scripted(slowly)
    found = await drain(session, maker)
    assert found.observations == 0
    assert len(maker.calls) < 4
    assert await drain(session, Scripted(each)) == Drained(jobs=200, observations=200)
    assert await session.observed() == len(jobs_there)


async def test_a_summary_is_of_what_is_new(session: Session) -> None:
    await session.add(3, kind=JobKind.EVENT_BATCH)
    await session.add(0, kind=JobKind.SUMMARY)
    maker = Scripted(each)
    await drain(session, maker, JobKind.EVENT_BATCH)
    await drain(session, maker, JobKind.SUMMARY)
    assert maker.summarised == [(3, 3)]
    assert await session.tenant.rows("SELECT events, summarised FROM memory_sessions") == [(3, 3)]
    summaries = await session.tenant.rows("SELECT title FROM observations WHERE summary")
    assert summaries == [(f"all of {session.id}",)]


async def test_who_ends_a_session_again_and_again_gets_each_thing_told_once(session: Session) -> None:
    await session.add(3, kind=JobKind.EVENT_BATCH)
    ends = [await session.add(0, kind=JobKind.SUMMARY) for _ in range(3)]
    maker = Scripted(each)
    await drain(session, maker, JobKind.EVENT_BATCH)
    found = await drain(session, maker, JobKind.SUMMARY)
    assert (found.jobs, found.observations) == (3, 1)
    assert maker.summarised == [(3, 3)]
    outcomes = [(await session.job(job))["outcome"] for job in ends]
    assert sorted(outcomes) == ["nothing", "nothing", "observed"]


async def test_a_long_session_gets_a_summary_on_the_way(session: Session) -> None:
    for _ in range(5):
        await session.add(50, kind=JobKind.EVENT_BATCH)
    maker = Scripted(each)
    await drain(session, maker, JobKind.EVENT_BATCH)
    assert (await session.look())[0] == [JobKind.SUMMARY]
    await drain(session, maker, JobKind.SUMMARY)
    assert await session.look() == ([], None)


async def test_a_summary_tells_all_that_came_at_once_and_the_last_one_of_the_whole(session: Session) -> None:
    maker = Scripted(each)

    async def comes(events: int) -> None:
        for _ in range(events // 50):
            await session.add(50, kind=JobKind.EVENT_BATCH)
        await drain(session, maker, JobKind.EVENT_BATCH)

    async def ends() -> None:
        await session.tenant.rows("UPDATE memory_sessions SET ended_at = now() WHERE id = %s", (session.id,))
        await session.add(0, kind=JobKind.SUMMARY)
        await drain(session, maker, JobKind.SUMMARY)

    await comes(350)
    await drain(session, maker, JobKind.SUMMARY)
    assert maker.summarised == [(200, 350)], "on the way"
    await ends()
    # With what was told on the way; nothing came since.
    assert maker.summarised[1:] == [(200, 351)]
    counts = "SELECT events, summarised, concluded FROM memory_sessions"
    assert await session.tenant.rows(counts) == [(350, 350, 350)]
    await ends()
    assert len(maker.summarised) == 2, "nothing has happened since"
    await comes(50)
    await ends()
    assert [events for events, _ in maker.summarised[2:]] == [50]
    told = await session.tenant.rows(
        "SELECT count(DISTINCT s.event_id) FROM observation_sources s JOIN observations o ON o.id = s.observation_id "
        "WHERE o.summary AND o.workspace_id = %s", (session.tenant.id,),
    )  # fmt: skip
    assert told == [(250,)]


async def test_what_comes_right_after_an_end_is_told_by_the_next_one(session: Session) -> None:
    """As where a session is ended after each turn: the events of the next come while those of the last are in work."""
    maker = Scripted(each)

    async def ends() -> None:
        await session.tenant.rows("UPDATE memory_sessions SET ended_at = now() WHERE id = %s", (session.id,))
        await session.add(0, kind=JobKind.SUMMARY)

    jobs_of = [await session.add() for _ in range(6)]
    await ends()
    jobs_of += [await session.add() for _ in range(10)]
    token = new_id()
    first = await session.claim(token)
    later = [job for job in first.jobs if job in jobs_of[8:]]
    await session.complete(token, first.of([job for job in first.jobs if job not in later]))
    await drain(session, maker, JobKind.SUMMARY)
    assert maker.summarised == [(8, 8)], "of what is settled"
    await session.complete(token, first.of(later))
    await session.add(3, kind=JobKind.EVENT_BATCH)
    await ends()
    await drain(session, maker, JobKind.EVENT_BATCH)
    await drain(session, maker, JobKind.SUMMARY)
    assert [events for events, _ in maker.summarised[1:]] == [11]
    assert await session.tenant.rows("SELECT events, summarised FROM memory_sessions") == [(19, 19)]


async def test_events_that_are_gone_are_nothing(session: Session) -> None:
    job = await session.add(0)
    maker = Scripted(each)
    assert (await drain(session, maker)).jobs == 1
    assert maker.calls == []
    assert (await session.job(job))["note"] == "its events are gone"


async def test_to_store_a_batch_costs_the_same_beside_many(own_url: str) -> None:
    """On one connection, which keeps what it planned while there was nothing."""
    workspace, project = await make_workspace(own_url), new_id()
    async with await psycopg.AsyncConnection.connect(own_url) as db:
        await db.execute("SET ROLE muster_app")
        await db.execute("SELECT set_config('app.current_workspace_id', %s, false)", (str(workspace),))
        await db.execute(
            "INSERT INTO projects (id, workspace_id, slug, name) VALUES (%s, %s, 'p', 'P')", (project, workspace)
        )

        async def looked_at() -> int:
            found = await db.execute(
                "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'observations'"
            )
            row = await found.fetchone()
            assert row
            return int(row[0])

        async def store(*numbers: int) -> int:
            """How many rows of observations were looked at for it."""
            made = [NewObservation(title=hashlib.sha256(str(number).encode()).hexdigest()) for number in numbers]
            rows = [
                as_row(workspace, project, new_id(), one, job_id="of a generator") | {"job_id": None} for one in made
            ]
            before = await looked_at()
            await db.execute("SELECT observation_put(%s, %s, %s)", (workspace, project, Jsonb(rows)))
            cost = await looked_at() - before
            await db.commit()
            return cost

        few = await store(*range(20))
        for at in range(20, 1020, 100):
            await store(*range(at, at + 100))
        async with await psycopg.AsyncConnection.connect(own_url, autocommit=True) as owner:
            await owner.execute("ANALYZE observations")  # which the checks of foreign keys wait for
        assert await store(*range(2000, 2020)) <= few + 20
        again = await store(*range(20))
        assert again < 200, "those that are repeated are looked for one by one"
