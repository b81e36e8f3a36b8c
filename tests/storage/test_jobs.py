"""Memory's jobs: taken up once, done once, tried again as their failure deserves, and moved by people with a trace."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from muster.domain.errors import IllegalMove, NotFound
from muster.domain.ids import DEFAULT_USER, new_id
from muster.domain.memory import (
    FINAL_JOB,
    JOB_MOVES,
    DrainRequest,
    ErrorClass,
    GenerationFailed,
    JobKind,
    JobStatus,
    NewObservation,
    job_id,
    observation_id,
)
from muster.domain.tenants import Actor, Scope
from muster.domain.tenants import Tenant as Asker
from muster.storage import jobs, memory_settings, observations
from muster.storage.database import Database
from muster.storage.jobs import Done, Filter

from .conftest import NewTenant, Tenant, sql


class Session:
    """A session of a project, and what is to be made of its events."""

    def __init__(self, tenant: Tenant, project: UUID, session: UUID | None) -> None:
        self.tenant, self.db, self.project, self.id = tenant, tenant.db, project, session

    async def add(self, events: int = 1, *, kind: JobKind = JobKind.EVENT, text: str = "it said something") -> str:
        source = new_id().hex
        job = job_id(kind, self.tenant.id, self.project, "agent_event", source)
        await self.tenant.rows(
            "INSERT INTO memory_jobs (workspace_id, project_id, id, kind, session_id, source_type, source_id, "
            "created_at) VALUES (%s, %s, %s, %s, %s, 'agent_event', %s, clock_timestamp())",
            (self.tenant.id, self.project, job, kind, self.id, source),
        )
        for number in range(events if kind != JobKind.SUMMARY else 0):
            await self.tenant.rows(
                "INSERT INTO agent_events (id, workspace_id, project_id, session_id, job_id, type, adapter, payload, "
                "occurred_at) VALUES (%s, %s, %s, %s, %s, 'message', 'tests', %s, clock_timestamp())",
                (new_id(), self.tenant.id, self.project, self.id, job, f'"{text} {number}"'),
            )
        await self.tenant.rows("UPDATE memory_sessions SET events = events + %s WHERE id = %s", (events, self.id))
        return job

    def request(self, kind: JobKind = JobKind.EVENT) -> DrainRequest:
        return DrainRequest(workspace_id=self.tenant.id, project_id=self.project, session_id=self.id, kind=kind)

    async def claim(self, token: UUID, *, kind: JobKind = JobKind.EVENT, take_over: bool = False) -> jobs.Claimed:
        return await jobs.claim(self.db, self.request(kind), token, take_over=take_over)

    async def complete(self, token: UUID, claimed: jobs.Claimed, *, each: int = 1) -> jobs.Completed:
        rows = []
        for job in claimed.jobs:
            sources = [event.id for event in claimed.events if event.job_id == job]
            for index in range(each):
                # Not alike: what is alike merges.
                words = hashlib.sha256(f"{job}{index}".encode()).hexdigest()
                found = NewObservation(title=" ".join(words[at : at + 6] for at in range(0, 60, 6)), sources=sources)
                rows.append(
                    observations.as_row(
                        self.tenant.id, self.project, observation_id(job, index, found.content_hash), found,
                        session_id=self.id, job_id=job, generator="rules/1",
                    )
                )  # fmt: skip
        done = [Done(job, each, None if each else "nothing") for job in claimed.jobs]
        return await jobs.complete(self.db, self.tenant.id, self.project, token, done, rows)

    async def fail(self, token: UUID, claimed: jobs.Claimed, kind: ErrorClass, **more: Any) -> float:
        until = more.pop("until", None)
        error = GenerationFailed(kind, f"it is {kind}", **more)
        return await jobs.fail(
            self.db, self.tenant.id, self.project, token, claimed.jobs, error, base_seconds=5, until=until
        )

    async def job(self, job: str) -> dict[str, Any]:
        return await jobs.get(self.db, self.tenant.id, job)

    async def statuses(self) -> dict[str, str]:
        rows = await self.tenant.rows("SELECT id, status::text FROM memory_jobs WHERE session_id = %s", (self.id,))
        return dict(rows)

    async def observed(self) -> int:
        rows = await self.tenant.rows("SELECT count(*) FROM observations WHERE session_id = %s", (self.id,))
        return int(rows[0][0])

    async def look(self) -> tuple[list[JobKind], float | None]:
        found = await jobs.look(self.db, self.tenant.id, self.project, self.id)
        return found.open_lanes, found.wait_seconds


async def a_session(tenant: Tenant, project: UUID | None = None) -> Session:
    session = new_id()
    if project is None:
        project = new_id()
        await tenant.rows(
            "INSERT INTO projects (id, workspace_id, slug, name) VALUES (%s, %s, %s, 'P')",
            (project, tenant.id, f"p-{project.hex}"),
        )
    await tenant.rows(
        "INSERT INTO memory_sessions (id, workspace_id, project_id, key) VALUES (%s, %s, %s, %s)",
        (session, tenant.id, project, session.hex),
    )
    return Session(tenant, project, session)


@pytest.fixture
async def session(tenant: Tenant) -> Session:
    return await a_session(tenant)


def asker(tenant: Tenant, project: UUID | None = None) -> Asker:
    return Asker(
        tenant.id, DEFAULT_USER, frozenset(Scope), project_id=project, actor=Actor(user_id=DEFAULT_USER, request_id="r")
    )


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


# -- Failing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [ErrorClass.UNAVAILABLE, ErrorClass.TIMEOUT, ErrorClass.INTERNAL])
async def test_what_may_pass_is_tried_again_later_and_not_for_ever(session: Session, kind: ErrorClass) -> None:
    job = await session.add()
    waits = []
    for attempt in range(1, 6):
        token = new_id()
        claimed = await session.claim(token)
        assert claimed.jobs == [job], attempt
        waits.append(await session.fail(token, claimed, kind))
        if attempt < 5:
            assert (await session.claim(new_id())).jobs == [], "not before its time"
            lanes, wait = await session.look()
            assert lanes == []
            assert wait == pytest.approx(waits[-1], abs=1)
            lane = next(one for one in await jobs.lanes(session.db, session.tenant.id) if one["kind"] == "event")
            assert (lane["retrying"], lane["failed_last_day"]) == ({kind: 1}, {})
            await session.tenant.rows("UPDATE memory_jobs SET not_before = now() WHERE id = %s", (job,))
    assert waits == [pytest.approx(wait, rel=0.25) for wait in (5, 30, 180, 900)] + [0]
    row = await session.job(job)
    assert (row["status"], row["attempts"], row["error_class"]) == ("failed", 5, kind)
    assert row["error"] == f"it is {kind}"
    lane = next(one for one in await jobs.lanes(session.db, session.tenant.id) if one["kind"] == "event")
    assert (lane["retrying"], lane["failed_last_day"]) == ({}, {kind: 1})


async def test_a_provider_is_left_alone_for_as_long_as_it_says(session: Session) -> None:
    await session.add()
    token = new_id()
    wait = await session.fail(token, await session.claim(token), ErrorClass.RATE_LIMIT, retry_after=77.0)
    assert wait == pytest.approx(77, abs=1)


async def test_a_provider_that_says_when_is_left_alone_by_all_its_project(session: Session) -> None:
    """However often it says so: nothing has failed."""
    beside, neighbour = await a_session(session.tenant, session.project), await a_session(session.tenant)
    job = await session.add()
    await beside.add()
    await neighbour.add()
    for seconds in (0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 77.0):
        token = new_id()
        claimed = await session.claim(token)
        while not claimed.jobs:
            await asyncio.sleep(0.05)
            claimed = await session.claim(token)
        await session.fail(token, claimed, ErrorClass.RATE_LIMIT, retry_after=seconds)
    row = await session.job(job)
    assert (row["status"], row["attempts"], row["error_class"]) == ("queued", 0, "rate_limit")
    held = await beside.claim(new_id())
    assert (held.held, held.jobs) == ("resting", [])
    assert held.wait_seconds is not None
    assert 76 < held.wait_seconds < 95
    assert (await neighbour.claim(new_id())).jobs, "another project's goes on"
    await jobs.switch(session.db, asker(session.tenant), JobKind.EVENT, paused=False, reason=None)
    assert (await beside.claim(new_id())).jobs, "a person knows better"


@pytest.mark.parametrize("kind", [ErrorClass.MALFORMED, ErrorClass.REFUSED])
async def test_what_no_repetition_mends_fails_at_once(session: Session, kind: ErrorClass) -> None:
    job, token = await session.add(), new_id()
    await session.fail(token, await session.claim(token), kind)
    row = await session.job(job)
    assert (row["status"], row["attempts"], row["error_class"]) == ("failed", 1, kind)


async def test_a_quota_parks_the_lane_of_its_project_and_costs_no_attempt(session: Session) -> None:
    neighbour = await a_session(session.tenant)
    job, token = await session.add(), new_id()
    await neighbour.add()
    await session.fail(token, await session.claim(token), ErrorClass.QUOTA, retry_after=3600.0)
    row = await session.job(job)
    assert (row["status"], row["attempts"], row["error_class"]) == ("queued", 0, "quota")
    assert await session.look() == ([], None), "nothing spins on it"
    assert (await session.claim(new_id())).held == "parked"
    assert (await neighbour.look())[0] == [JobKind.EVENT], "its neighbours go on"
    lane = next(lane for lane in await jobs.lanes(session.db, session.tenant.id) if lane["kind"] == "event")
    assert (lane["paused"], lane["queued"]) == (False, 2)
    assert [(parked["project_id"], parked["reason"]) for parked in lane["parked"]] == [
        (str(session.project), "quota: it is quota")
    ]
    until = datetime.fromisoformat(lane["parked"][0]["until"])
    assert until - datetime.now(UTC) == pytest.approx(timedelta(hours=1), abs=timedelta(minutes=1))

    await jobs.switch(session.db, asker(session.tenant), JobKind.EVENT, paused=False, reason=None)
    assert (await session.look())[0] == [JobKind.EVENT]
    assert await actions(session.tenant) == ["memory_lane_parked", "memory_lane_resumed"]


async def test_what_was_put_off_is_tried_when_a_person_says_so(session: Session) -> None:
    who = asker(session.tenant)
    changes = (
        lambda: jobs.switch(session.db, who, JobKind.EVENT, paused=False, reason=None),
        lambda: memory_settings.update(session.db, who, str(session.project), {"generator": "rules"}),
    )
    for change in changes:
        await session.add()
        token = new_id()
        await session.fail(token, await session.claim(token), ErrorClass.RATE_LIMIT, retry_after=3600.0)
        assert (await session.look())[0] == []
        await change()
        assert (await session.look())[0] == [JobKind.EVENT]


async def test_a_budget_parks_until_the_day_is_over(session: Session) -> None:
    await session.add()
    token, midnight = new_id(), datetime.now(UTC) + timedelta(hours=5)
    await session.fail(token, await session.claim(token), ErrorClass.BUDGET, until=midnight)
    rows = await session.tenant.rows("SELECT parked_until, project_id FROM memory_lanes")
    assert rows == [(midnight, session.project)]


@pytest.mark.parametrize("changed", [{"daily_tokens": None}, {"daily_tokens": 5_000_000}, {"generator": "rules"}])
async def test_who_changes_what_a_lane_is_parked_for_lets_it_go_on(session: Session, changed: dict[str, Any]) -> None:
    neighbour = await a_session(session.tenant)
    for one in (session, neighbour):
        await one.add()
        token = new_id()
        await one.fail(token, await one.claim(token), ErrorClass.BUDGET, until=datetime.now(UTC) + timedelta(hours=5))
    who = asker(session.tenant)
    await memory_settings.update(session.db, who, str(session.project), {"debounce_seconds": 2})
    assert await session.look() == ([], None)
    await memory_settings.update(session.db, who, str(session.project), changed)
    assert (await session.look())[0] == [JobKind.EVENT]
    assert await neighbour.look() == ([], None)
    assert [place.session_id for place in await jobs.places(session.db, who, project_id=session.project)] == [
        session.id
    ]


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
    assert len(claimed.events) == 3
    assert len(claimed.observations) == 1


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


# -- People --------------------------------------------------------------------------------------------------------


async def actions(tenant: Tenant) -> list[str]:
    rows = await tenant.rows("SELECT action::text FROM activity_log WHERE action::text LIKE 'memory_%%' ORDER BY id")
    return [row[0] for row in rows]


async def test_what_people_do_is_allowed_where_it_means_something_and_leaves_a_trace(session: Session) -> None:
    who, job = asker(session.tenant), await session.add()
    with pytest.raises(IllegalMove):
        await jobs.retry(session.db, who, job)
    assert (await jobs.cancel(session.db, who, job))["status"] == "cancelled"
    with pytest.raises(IllegalMove):
        await jobs.cancel(session.db, who, job)
    row = await jobs.retry(session.db, who, job)
    assert (row["status"], row["attempts"], row["finished_at"]) == ("queued", 0, None)
    token = new_id()
    await session.complete(token, await session.claim(token))
    for act in (jobs.retry, jobs.cancel):
        with pytest.raises(IllegalMove):
            await act(session.db, who, job)
        with pytest.raises(NotFound):
            await act(session.db, who, "evt_" + "0" * 64)
    assert await actions(session.tenant) == ["memory_job_cancelled", "memory_job_retried"]
    log = await session.tenant.rows("SELECT user_id, request_id, entity_id, detail ->> 'job' FROM activity_log "
                                    "WHERE action = 'memory_job_retried'")  # fmt: skip
    assert log == [(DEFAULT_USER, "r", session.id, job)]
    history = (await session.job(job))["history"]
    assert [move["to_status"] for move in history] == ["cancelled", "queued", "processing", "completed"]
    assert history[0]["detail"]["user_id"] == str(DEFAULT_USER)


async def test_many_are_queued_again_by_what_they_have_in_common(session: Session) -> None:
    other = await a_session(session.tenant)
    for place, kind in ((session, ErrorClass.MALFORMED), (session, ErrorClass.REFUSED), (other, ErrorClass.REFUSED)):
        await place.add()
        token = new_id()
        await place.fail(token, await place.claim(token), kind)
    who = asker(session.tenant)
    found, _ = await jobs.page(session.db, who, Filter(statuses=["failed"], error_class="refused"))
    assert {row["session_id"] for row in found} == {str(session.id), str(other.id)}
    number, places = await jobs.requeue(session.db, who, Filter(error_class="refused"))
    assert number == 2
    assert set(places) == {(session.tenant.id, place.project, place.id) for place in (session, other)}
    assert await jobs.requeue(session.db, who, Filter(error_class="refused")) == (0, [])
    assert (await jobs.requeue(session.db, who, Filter(session_id=session.id)))[0] == 1
    assert await actions(session.tenant) == ["memory_jobs_requeued"] * 2


async def test_a_move_that_was_called_off_is_not_queued_again_with_the_rest(session: Session) -> None:
    project = await a_session(session.tenant, session.project)
    project.id = None
    job = await project.add(0, kind=JobKind.REINDEX)
    who = asker(session.tenant)
    await jobs.cancel(session.db, who, job)
    assert await jobs.requeue(session.db, who, Filter()) == (0, [])
    assert await jobs.requeue(session.db, who, Filter(kind=JobKind.REINDEX)) == (0, [])
    assert (await jobs.requeue(session.db, who, Filter(kind=JobKind.REINDEX, statuses=["cancelled"])))[0] == 1


async def test_pages_go_through_all_of_them(session: Session) -> None:
    added = [await session.add() for _ in range(5)]
    who, cursor, found = asker(session.tenant), None, []
    while True:
        items, cursor = await jobs.page(session.db, who, Filter(session_id=session.id), cursor=cursor, limit=2)
        found += [item["id"] for item in items]
        if cursor is None:
            break
    assert found == added[::-1]


async def test_nobody_elses_jobs_are_seen_or_moved(session: Session, new_tenant: NewTenant) -> None:
    job, other = await session.add(), await a_session(session.tenant)
    strangers = [asker(await new_tenant()), asker(session.tenant, other.project)]
    for stranger in strangers:
        assert await jobs.page(session.db, stranger, Filter()) == ([], None)
        for act in (jobs.get, jobs.retry, jobs.cancel):
            with pytest.raises(NotFound):
                await act(session.db, stranger, job)
        assert sum(lane["queued"] for lane in await jobs.lanes(session.db, stranger)) == 0
    token = new_id()
    await session.fail(token, await session.claim(token), ErrorClass.REFUSED)
    for stranger in strangers:
        assert await jobs.requeue(session.db, stranger, Filter()) == (0, [])
    assert (await session.job(job))["status"] == "failed"


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
