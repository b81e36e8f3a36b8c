"""Memory's jobs: taken up once, done once, and not left alone."""

from __future__ import annotations

import asyncio
import itertools
from uuid import UUID

import psycopg
import pytest

from muster.domain.ids import new_id
from muster.domain.memory import (
    FINAL_JOB,
    JOB_MOVES,
    ErrorClass,
    JobKind,
    JobStatus,
    job_id,
)
from muster.storage import jobs
from muster.storage.database import Database
from muster.storage.jobs import Done

from .conftest import Tenant, sql
from .sessions import Session, a_session, actions, asker

# -- The states --------------------------------------------------------------------------------------------------


async def test_the_moves_are_the_same_in_domain_and_sql(shared_url: str) -> None:
    rows = await sql(shared_url, "SELECT from_status::text, to_status::text FROM memory_job_moves")
    assert set(rows) == {(str(a), str(b)) for a, others in JOB_MOVES.items() for b in others}
    assert {
        status for status in JobStatus if JOB_MOVES[status] <= {JobStatus.QUEUED} and status != "queued"
    } == FINAL_JOB


async def test_the_guard_refuses_what_the_table_does_not_name(session: Session, shared_url: str) -> None:
    reach = (
        "status = %(to)s::memory_job_status, claim = CASE WHEN %(to)s::text = 'processing' THEN new_id() END, "
        "finished_at = CASE WHEN %(to)s::text IN ('completed', 'failed', 'cancelled') THEN now() END, "
        "outcome = CASE WHEN %(to)s::text = 'completed' THEN 'nothing'::memory_outcome END"
    )
    for before, after in itertools.permutations(JobStatus, 2):
        job = await session.add(0)
        async with await psycopg.AsyncConnection.connect(shared_url, autocommit=True) as owner:
            async with owner.transaction(force_rollback=True):
                await owner.execute("ALTER TABLE memory_jobs DISABLE TRIGGER guard_move")
                await owner.execute(
                    "SELECT set_config('app.current_workspace_id', %s, true)", (str(session.tenant.id),)
                )
                await owner.execute("SET LOCAL ROLE muster_app")
                change = f"UPDATE memory_jobs SET {reach} WHERE id = %(job)s".encode()
                await owner.execute(change, {"to": before, "job": job})
                await owner.execute("RESET ROLE")
                await owner.execute("ALTER TABLE memory_jobs ENABLE TRIGGER guard_move")
                await owner.execute("SET LOCAL ROLE muster_app")
                if after in JOB_MOVES[before]:
                    assert (await owner.execute(change, {"to": after, "job": job})).rowcount == 1
                else:
                    with pytest.raises(psycopg.Error) as refused:
                        await owner.execute(change, {"to": after, "job": job})
                    assert refused.value.sqlstate == "MUSTR"


# -- Taking up and completing --------------------------------------------------------------------------------------


async def test_a_job_is_done_once_and_its_history_says_so(session: Session) -> None:
    job, token = await session.add(), new_id()
    claimed = await session.claim(token)
    assert claimed.jobs == [job]
    assert [(event.job_id, event.payload) for event in claimed.events] == [(job, "it said something 0")]
    assert claimed.session
    assert claimed.session["id"] == str(session.id)
    assert await session.complete(token, claimed) == (1, 1, 0)
    row = await session.job(job)
    assert (row["status"], row["outcome"], row["observations"], row["attempts"]) == ("completed", "observed", 1, 1)
    assert [(move["from_status"], move["to_status"]) for move in row["history"]] == [
        ("queued", "processing"), ("processing", "completed"),
    ]  # fmt: skip
    # Its answer was lost, and it is said again.
    assert await session.complete(token, claimed) == (1, 0, 0)
    assert await session.observed() == 1
    sources = await session.tenant.rows("SELECT event_id FROM observation_sources")
    assert sources == [(claimed.events[0].id,)]


async def test_nothing_worth_keeping_is_an_outcome(session: Session) -> None:
    job, token = await session.add(), new_id()
    await session.complete(token, await session.claim(token), each=0)
    row = await session.job(job)
    assert (row["status"], row["outcome"], row["observations"], row["note"]) == ("completed", "nothing", 0, "nothing")


async def test_as_many_as_make_a_batch_are_taken_up_together(session: Session) -> None:
    await session.tenant.rows(
        "INSERT INTO memory_settings (workspace_id, project_id, batch_events) VALUES (%s, %s, 5)",
        (session.tenant.id, session.project),
    )
    singles = [await session.add() for _ in range(7)]
    batches = [await session.add(events, kind=JobKind.EVENT_BATCH) for events in (2, 2, 2, 9, 1)]
    taken = [await session.claim(new_id()) for _ in range(3)]
    assert [claimed.jobs for claimed in taken] == [singles[:5], singles[5:], []]
    taken = [await session.claim(new_id(), kind=JobKind.EVENT_BATCH) for _ in range(5)]
    assert [claimed.jobs for claimed in taken] == [batches[:2], batches[2:3], batches[3:4], batches[4:], []]
    assert [len(claimed.events) for claimed in taken] == [4, 2, 9, 1, 0]


async def test_two_who_race_share_the_jobs_and_none_is_done_twice(session: Session) -> None:
    await session.tenant.rows(
        "INSERT INTO memory_settings (workspace_id, project_id, batch_events) VALUES (%s, %s, 3)",
        (session.tenant.id, session.project),
    )
    added = {await session.add() for _ in range(40)}
    taken: list[str] = []

    async def work() -> None:
        token = new_id()
        while claimed := await session.claim(token):
            if not claimed.jobs:
                if set(taken) == added:
                    return
                await asyncio.sleep(0.005)
                continue
            taken.extend(claimed.jobs)
            assert (await session.complete(token, claimed)).lost == 0

    await asyncio.gather(work(), work(), work())
    assert sorted(taken) == sorted(added)
    assert set((await session.statuses()).values()) == {"completed"}
    assert await session.observed() == 40


async def test_one_job_and_two_who_want_it(session: Session) -> None:
    for _ in range(10):
        job = await session.add()
        tokens = [new_id(), new_id()]
        claims = await asyncio.gather(*(session.claim(token) for token in tokens))
        assert sorted(len(claimed.jobs) for claimed in claims) == [0, 1]
        winner = 0 if claims[0].jobs else 1
        # Who did not get it cannot complete it either.
        assert (await session.complete(tokens[1 - winner], claims[winner])).lost == 1
        assert (await session.complete(tokens[winner], claims[winner])) == (1, 1, 0)
        assert (await session.job(job))["attempts"] == 1


async def test_who_was_believed_dead_stores_nothing(session: Session) -> None:
    job = await session.add()
    dead, alive = new_id(), new_id()
    before = await session.claim(dead)
    assert (await session.claim(alive)).jobs == [], "not without saying so"
    after = await session.claim(alive, take_over=True)
    assert after.jobs == [job]
    assert await session.complete(dead, before) == (0, 0, 1)
    assert await session.fail(dead, before, ErrorClass.REFUSED) == 0
    await jobs.release(session.db, session.tenant.id, dead, before.jobs)
    row = await session.job(job)
    assert (row["status"], row["attempts"], row["error_class"]) == ("processing", 2, "lost")
    assert await session.complete(alive, after) == (1, 1, 0)
    assert await session.observed() == 1
    # And once more, now that it is over.
    assert await session.complete(dead, before) == (0, 0, 1)
    assert await session.observed() == 1


async def test_a_job_that_ends_its_workers_is_tried_alone_and_then_no_more(session: Session) -> None:
    bad, good = await session.add(), await session.add()
    for attempt in range(1, 6):
        claimed = await session.claim(new_id(), take_over=True)
        assert claimed.jobs == ([bad, good] if attempt <= 2 else [bad])
    token = new_id()
    claimed = await session.claim(token, take_over=True)
    assert claimed.jobs == [good]
    row = await session.job(bad)
    assert (row["status"], row["attempts"], row["error_class"]) == ("failed", 5, "lost")
    assert (await session.complete(token, claimed)).completed == 1


async def test_letting_go_in_time_does_not_count(session: Session) -> None:
    job = await session.add()
    for _ in range(7):
        token = new_id()
        claimed = await session.claim(token)
        await jobs.release(session.db, session.tenant.id, token, claimed.jobs)
    row = await session.job(job)
    assert (row["status"], row["attempts"]) == ("queued", 0)


async def test_what_was_cancelled_meanwhile_is_dropped_and_the_rest_is_kept(session: Session) -> None:
    one, other = await session.add(), await session.add()
    token = new_id()
    claimed = await session.claim(token)
    await jobs.cancel(session.db, asker(session.tenant), one)
    assert await session.complete(token, claimed) == (1, 1, 0)
    assert await session.statuses() == {one: "cancelled", other: "completed"}
    assert await session.tenant.rows("SELECT job_id FROM observations") == [(other,)]


async def test_a_projects_own_jobs_are_not_a_sessions(session: Session) -> None:
    own = Session(session.tenant, session.project, None)
    job = await own.add(0, kind=JobKind.REINDEX)
    await session.add()
    assert (await own.look())[0] == [JobKind.REINDEX]
    assert (await session.look())[0] == [JobKind.EVENT]
    assert (await session.claim(new_id(), kind=JobKind.REINDEX)).jobs == []
    assert (await own.claim(new_id(), kind=JobKind.REINDEX)).jobs == [job]


# -- Lanes ---------------------------------------------------------------------------------------------------------


async def test_a_paused_lane_leaves_its_jobs_queued(session: Session) -> None:
    await session.add()
    who = asker(session.tenant)
    for _ in range(2):
        await jobs.switch(session.db, who, JobKind.EVENT, paused=True, reason="too dear")
    assert await session.look() == ([], None)
    assert (await session.claim(new_id())).held == "paused"
    lane = next(lane for lane in await jobs.lanes(session.db, who) if lane["kind"] == "event")
    assert (lane["paused"], lane["reason"], lane["queued"]) == (True, "too dear", 1)
    assert await jobs.overdue(session.db, seconds=-1, after=session.id or new_id(), limit=1) != [session.id]
    await jobs.switch(session.db, who, JobKind.EVENT, paused=False, reason=None)
    assert (await session.look())[0] == [JobKind.EVENT]
    assert await actions(session.tenant) == ["memory_lane_paused", "memory_lane_resumed"]


async def test_a_summary_waits_for_what_came_before_it(session: Session) -> None:
    await session.add()
    await session.add(0, kind=JobKind.SUMMARY)
    await session.add(2, kind=JobKind.EVENT_BATCH)
    assert (await session.look())[0] == [JobKind.EVENT, JobKind.EVENT_BATCH]
    token = new_id()
    await session.complete(token, await session.claim(token))
    # What came after it does not hold it up, or a busy session would have no summary.
    assert (await session.look())[0] == [JobKind.EVENT_BATCH, JobKind.SUMMARY]
    claimed = await session.claim(new_id(), kind=JobKind.SUMMARY)
    assert len(claimed.events) == 1, "of the others nothing is known yet"
    assert len(claimed.observations) == 1


async def test_a_summary_waits_also_where_what_came_before_it_is_held(session: Session) -> None:
    await session.add(2)
    await session.add(0, kind=JobKind.SUMMARY)
    who = asker(session.tenant)
    await jobs.switch(session.db, who, JobKind.EVENT, paused=True, reason="a moment")
    assert await session.look() == ([], None)
    assert (await session.claim(new_id(), kind=JobKind.SUMMARY)).jobs == []
    places = await jobs.overdue(session.db, seconds=-1, after=UUID(int=0), limit=10_000)
    assert session.id not in [place.session_id for place in places]
    await jobs.switch(session.db, who, JobKind.EVENT, paused=False, reason=None)
    assert (await session.look())[0] == [JobKind.EVENT]
    places = await jobs.overdue(session.db, seconds=-1, after=UUID(int=0), limit=10_000)
    assert session.id in [place.session_id for place in places]
    token = new_id()
    await session.complete(token, await session.claim(token))
    assert len((await session.claim(new_id(), kind=JobKind.SUMMARY)).events) == 2


async def test_a_long_session_is_summarised_on_the_way(session: Session) -> None:
    assert session.id
    await session.tenant.rows("UPDATE memory_sessions SET events = 250 WHERE id = %s", (session.id,))

    async def roll(milestone: int) -> bool:
        assert session.id
        source = f"{session.id}/{milestone}"
        job = job_id(JobKind.SUMMARY, session.tenant.id, session.project, "session_part", source)
        return await jobs.roll(
            session.db, session.tenant.id, session.project, session.id, every=200, job=job, source=source
        )

    assert [await roll(1), await roll(1), await roll(2)] == [True, False, False]
    token = new_id()
    claimed = await session.claim(token, kind=JobKind.SUMMARY)
    assert len(claimed.jobs) == 1
    done = [Done(claimed.jobs[0], 0, "short")]
    await jobs.complete(session.db, session.tenant.id, session.project, token, done, [], summarised=250)
    assert await session.tenant.rows("SELECT events, summarised FROM memory_sessions") == [(250, 250)]
    assert not await roll(3), "nothing is new"


# -- The sweep -----------------------------------------------------------------------------------------------------


async def test_the_sweep_finds_what_nobody_works_on(own_db: Database, own_url: str) -> None:
    from .conftest import make_workspace

    first, second, third, fourth = [await a_session(Tenant(own_db, await make_workspace(own_url))) for _ in range(4)]
    nobody = UUID(int=0)

    async def found(seconds: float) -> set[UUID | None]:
        return {place.session_id for place in await jobs.overdue(own_db, seconds=seconds, after=nobody, limit=10)}

    await first.add()  # its poke was lost
    await second.add()
    await second.claim(new_id())  # its worker was
    await third.add()
    token = new_id()
    await third.fail(token, await third.claim(token), ErrorClass.UNAVAILABLE)  # waits for its time
    await fourth.add()
    token = new_id()
    await fourth.complete(token, await fourth.claim(token))
    assert await found(60) == set()
    assert await found(-1) == {first.id, second.id}
    await third.tenant.rows("UPDATE memory_jobs SET not_before = now() - interval '1 hour'")
    assert await found(-1) == {first.id, second.id, third.id}
    turns: list[jobs.Place] = []
    while batch := await jobs.overdue(
        own_db, seconds=-1, after=(turns[-1].session_id or nobody) if turns else nobody, limit=2
    ):
        turns += batch
    assert [place.session_id for place in turns] == sorted([first.id, second.id, third.id], key=str)
