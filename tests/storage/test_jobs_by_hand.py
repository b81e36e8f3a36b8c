"""Jobs that people look at and move: where it means something, and with a trace."""

from __future__ import annotations

import pytest

from muster.domain.errors import IllegalMove, NotFound
from muster.domain.ids import DEFAULT_USER, new_id
from muster.domain.memory import (
    ErrorClass,
    JobKind,
)
from muster.storage import jobs
from muster.storage.jobs import Filter

from .conftest import NewTenant
from .sessions import Session, a_session, actions, asker


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
