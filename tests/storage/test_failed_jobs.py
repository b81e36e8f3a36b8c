"""Jobs that fail are tried again as their failure deserves, and provider and lane left alone meanwhile."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from muster.domain.ids import new_id
from muster.domain.memory import (
    ErrorClass,
    JobKind,
)
from muster.storage import jobs, memory_settings

from .sessions import Session, a_session, actions, asker


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
