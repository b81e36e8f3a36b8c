"""What a summary at an end tells: what is new since the last one, each thing once, and nothing of it is passed over."""

from __future__ import annotations

from typing import Any

from muster.domain.ids import new_id
from muster.domain.memory import ErrorClass, JobKind
from muster.storage import jobs, sessions
from muster.storage.jobs import Done, Filter

from .sessions import Session, asker


async def ends(session: Session) -> dict[str, Any]:
    assert session.id
    job: dict[str, Any] = (await sessions.end(session.db, session.tenant.id, session.id))["job"]
    return job


async def works(session: Session) -> None:
    token = new_id()
    while (claimed := await session.claim(token)).jobs:
        await session.complete(token, claimed)


async def tells(session: Session) -> int:
    """Of how many events the next summary is."""
    token = new_id()
    claimed = await session.claim(token, kind=JobKind.SUMMARY)
    assert claimed.session is not None
    done = [Done(job, 0, "told", True) for job in claimed.jobs]
    await jobs.complete(
        session.db, session.tenant.id, session.project, token, done, [], summarised=claimed.session["until"]
    )
    return len(claimed.events)


async def test_each_end_tells_of_what_came_before_it(session: Session) -> None:
    for turn in (3, 2, 4):
        for _ in range(turn):
            await session.add()
        await ends(session)
    await works(session)
    assert [await tells(session) for _ in range(3)] == [3, 2, 4]


async def test_after_something_is_forgotten_what_is_new_is_told(session: Session) -> None:
    for _ in range(3):
        await session.add()
    first = await ends(session)
    assert (await ends(session))["id"] == first["id"], "not done yet"
    await works(session)
    assert await tells(session) == 3
    assert (await ends(session))["id"] == first["id"], "nothing is new"
    await session.tenant.rows(
        "SELECT memory_drop_events(%s, ARRAY[(SELECT id FROM agent_events WHERE session_id = %s LIMIT 1)])",
        (session.tenant.id, session.id),
    )
    await session.add()
    second = await ends(session)
    assert (second["id"] != first["id"], second["status"]) == (True, "queued")
    await works(session)
    assert await tells(session) == 1
    assert (await ends(session))["id"] == second["id"]


async def test_what_is_tried_again_is_told_once_it_is_done(session: Session) -> None:
    await session.add()
    failed = await session.add(text="poison")
    token = new_id()
    claimed = await session.claim(token)
    await session.complete(token, claimed.of([job for job in claimed.jobs if job != failed]))
    await session.fail(token, claimed.of([failed]), ErrorClass.MALFORMED)
    await session.add()
    first = await ends(session)
    await works(session)
    assert await tells(session) == 3
    who = asker(session.tenant)
    for again in (jobs.retry(session.db, who, failed), jobs.requeue(session.db, who, Filter())):
        await again
        assert (await ends(session))["id"] != first["id"]
        token = new_id()
        claimed = await session.claim(token)
        assert claimed.jobs == [failed]
        assert (await session.claim(new_id(), kind=JobKind.SUMMARY)).jobs == [], "it waits for that"
        if again.__name__ == "retry":
            await session.fail(token, claimed, ErrorClass.MALFORMED)
        else:
            await session.complete(token, claimed)
        assert await tells(session) == 2, "with what came after it"
