"""What two sessions saw is one observation, and both have it: in search, in lists, and in their summaries."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from psycopg.types.json import Jsonb

from muster.domain import words
from muster.domain.ids import DEFAULT_USER, new_id
from muster.domain.memory import Event, JobKind, Made, NewObservation
from muster.domain.search import Query
from muster.domain.tenants import Actor, Scope
from muster.domain.tenants import Tenant as Asker
from muster.storage import archive, forgetting, observations, projects, search
from muster.storage.observations import Where

from .conftest import Tenant
from .sessions import Session, a_session
from .test_drain import Scripted, drain

SAID = "The importer must lock the table before it reads the licences, else rows are lost."


async def alike(events: list[Event]) -> Made:
    return Made(observations=[NewObservation(title=SAID, narrative=SAID, sources=[event.id for event in events])])


class Telling(Scripted):
    """Keeps what it was to summarise."""

    told: list[NewObservation]

    async def summarise(self, *about: Any) -> Made:
        self.told = about[-1]
        return await super().summarise(*about)


def asker(tenant: Tenant) -> Asker:
    return Asker(tenant.id, DEFAULT_USER, frozenset(Scope), actor=Actor(user_id=DEFAULT_USER))


@pytest.fixture
async def sessions(tenant: Tenant) -> tuple[Session, Session]:
    """The first saw it first."""
    one = await a_session(tenant)
    two = await a_session(tenant, one.project)
    for session in (one, two):
        await session.add()
        await drain(session, Scripted(alike))
    assert [await session.observed() for session in (one, two)] == [1, 0]
    return one, two


async def found(by: Session, /, **filters: Any) -> list[UUID]:
    """By search, and in a list, which agree."""
    who = asker(by.tenant)
    query = Query(query="importer licences", **filters)
    hits = (await search.search(by.db, who, [str(by.project)], query)).items
    listed, _ = await observations.page(by.db, who, Where(**filters))
    around = await observations.around(by.db, who, datetime.now(UTC), None, Where(**filters), 10)
    ids = sorted(UUID(str(item["id"])) for item in hits)
    assert ids == sorted(UUID(item["id"]) for item in listed if not item["summary"])
    assert ids == sorted(UUID(item["id"]) for item in around if not item["summary"])
    return ids


async def test_it_is_found_by_both(sessions: tuple[Session, Session]) -> None:
    one, two = sessions
    (observation,) = await found(one, session=one.id)
    assert await found(two, session=two.id) == [observation]
    assert await found(two, session=new_id()) == []
    who = asker(two.tenant)
    await observations.change(two.db, who, observation, {"narrative": f"{SAID} So it was in May."})
    assert await found(two, session=two.id) == [observation], "also when it was corrected"


async def test_a_task_and_an_agent_have_it_too(sessions: tuple[Session, Session]) -> None:
    _, two = sessions
    agent, task = new_id(), new_id()
    third = await a_session(two.tenant, two.project)
    await two.tenant.rows(
        "INSERT INTO tasks (id, workspace_id, project_id, title, retry) VALUES (%s, %s, %s, 't', '{}')",
        (task, two.tenant.id, two.project),
    )
    await two.tenant.rows(
        "INSERT INTO agents (id, workspace_id, task_id, attempt, run, runner) VALUES (%s, %s, %s, 1, 1, '{}')",
        (agent, two.tenant.id, task),
    )
    await two.tenant.rows(
        "UPDATE memory_sessions SET agent_id = %s, task_id = %s WHERE id = %s", (agent, task, third.id)
    )
    await third.add()
    await drain(third, Scripted(alike))
    assert await third.observed() == 0
    (observation,) = await found(third, agent=agent)
    assert await found(third, task=task) == [observation]
    assert await found(third, session=third.id, agent=agent, task=task) == [observation]


async def test_each_is_summarised_with_what_it_saw(sessions: tuple[Session, Session]) -> None:
    for session in sessions:
        maker = Telling(alike)
        await session.add(0, kind=JobKind.SUMMARY)
        await drain(session, maker, JobKind.SUMMARY)
        (told,) = maker.told
        (event,) = await session.tenant.rows(
            "SELECT id, occurred_at FROM agent_events WHERE session_id = %s", (session.id,)
        )
        assert (told.title, told.sources, told.occurred_at) == (SAID, [event[0]], event[1]), "when it was seen here"


async def test_it_is_so_in_another_project_that_it_was_brought_to(sessions: tuple[Session, Session]) -> None:
    one, two = sessions
    source = await projects.get(one.db, one.tenant.id, str(one.project))
    lines = b"".join([part async for part in archive.export(one.db, one.tenant.id, source)]).splitlines()
    there = await a_session(one.tenant)
    bringing = archive.Import(one.db, one.tenant.id, there.project)
    await bringing.feed(list(enumerate(lines, 1)))
    await bringing.end()
    rows = await one.tenant.rows(
        "SELECT id FROM memory_sessions WHERE project_id = %s AND events > 0", (there.project,)
    )
    assert len(rows) == 2
    found_there = [await found(there, session=row[0]) for row in rows]
    assert len(found_there[0]) == 1
    assert found_there[0] == found_there[1]
    assert found_there[0] != await found(two, session=two.id)


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_what_more_saw_since_comes_with_a_later_archive(tenant: Tenant, elsewhere: bool) -> None:
    one = await a_session(tenant)
    two, there = await a_session(tenant, one.project), (await a_session(tenant)).project
    into = there if elsewhere else one.project
    source = await projects.get(one.db, tenant.id, str(one.project))

    async def exported() -> list[bytes]:
        return b"".join([part async for part in archive.export(one.db, tenant.id, source)]).splitlines()

    async def brought(lines: list[bytes]) -> archive.Import:
        bringing = archive.Import(one.db, tenant.id, into)
        await bringing.feed(list(enumerate(lines, 1)))
        await bringing.end()
        return bringing

    for session in (one, two):
        await session.add()
        await drain(session, Scripted(alike))
        again = await brought(await exported())
    assert again.known["observations"] == 1
    if not elsewhere:
        lines = await exported()
        assert two.id
        await forgetting.everything_of(two.db, asker(tenant), "session", two.id)
        assert await found(one, session=two.id) == []
        await brought(lines)
    rows = await tenant.rows(
        "SELECT o.seen, count(s.event_id) FROM observations o JOIN observation_sources s ON s.observation_id = o.id "
        "WHERE o.project_id = %s GROUP BY o.id", (into,),
    )  # fmt: skip
    assert rows == [(2, 2)]
    there_now = await tenant.rows("SELECT id FROM memory_sessions WHERE project_id = %s AND events > 0", (into,))
    place = Session(tenant, into, there_now[0][0])
    hits = [await found(place, session=row[0]) for row in there_now]
    assert hits[0] == hits[1]
    assert len(hits[0]) == 1


async def test_who_forgets_it_forgets_it_for_both(sessions: tuple[Session, Session]) -> None:
    one, two = sessions
    (observation,) = await found(one, session=one.id)
    await forgetting.observation(two.db, asker(two.tenant), observation)
    assert await found(two, session=two.id) == []


@pytest.mark.parametrize("first", ["who forgets", "who sees it"])
async def test_who_sees_it_while_it_is_forgotten_keeps_it(sessions: tuple[Session, Session], first: str) -> None:
    gone, left = sessions
    await gone.tenant.rows("DELETE FROM observation_sources s USING agent_events e WHERE e.id = s.event_id "
                           "AND e.session_id = %s", (left.id,))  # fmt: skip
    third = await a_session(gone.tenant, gone.project)
    await third.add()
    assert gone.id
    row = observations.as_row(
        gone.tenant.id, gone.project, new_id(),
        NewObservation(title=SAID, narrative=SAID, sources=[UUID(str((await third.claim(new_id())).events[0].id))]),
        session_id=third.id, job_id="evt_x",
    )  # fmt: skip
    row["job_id"] = None
    seeing = ("SELECT observation_put(%s, %s, %s), pg_sleep(%s)", (gone.tenant.id, gone.project, Jsonb([row])))
    forgetting_it = (
        "SELECT memory_forget(%s, 'session', %s, 100, true, '[]'), pg_sleep(%s)", (gone.tenant.id, gone.id)
    )  # fmt: skip
    both = [forgetting_it, seeing] if first == "who forgets" else [seeing, forgetting_it]
    begun = [asyncio.create_task(gone.tenant.rows(both[0][0], (*both[0][1], 0.5)))]
    await asyncio.sleep(0.2)
    begun.append(asyncio.create_task(gone.tenant.rows(both[1][0], (*both[1][1], 0.0))))
    await asyncio.gather(*begun)
    for session in await gone.tenant.rows("SELECT session_id FROM memory_jobs WHERE source_type = 'forgotten'"):
        assert session[0] == third.id
        await drain(third, Scripted(alike), JobKind.EVENT_BATCH)
    assert len(await found(third, session=third.id)) == 1


@pytest.mark.parametrize("which", ["the first", "the second"])
async def test_what_one_forgets_of_it_leaves_no_trace_in_what_others_saw(
    sessions: tuple[Session, Session], which: str
) -> None:
    gone, left = sessions if which == "the first" else sessions[::-1]
    long_ago = "UPDATE {} SET occurred_at = now() - interval '40 days'"
    await gone.tenant.rows(long_ago.format("agent_events") + " WHERE session_id = %s", (left.id,))
    if which == "the second":
        await gone.tenant.rows(long_ago.format("observations") + ", last_seen_at = now()")
        await gone.tenant.rows(long_ago.format("observation_words"))
    assert gone.id
    forgotten = await forgetting.everything_of(gone.db, asker(gone.tenant), "session", gone.id)
    for _ in forgotten.anew:
        await drain(left, Scripted(alike), JobKind.EVENT_BATCH)
    assert len(await found(left, session=left.id)) == 1
    assert await found(left, session=gone.id) == []
    assert await found(left, after=datetime.now(UTC) - timedelta(days=2)) == []
    seen = await gone.tenant.rows("SELECT seen, last_seen_at FROM observations WHERE NOT summary")
    assert seen == [(1, None)]
    left_of_it = await gone.tenant.rows(
        "SELECT 1 FROM observation_words WHERE terms && %s OR words && %s",
        ([f" s:{gone.id}"], [words.word(gone.project, f" s:{gone.id}")]),
    )
    assert left_of_it == []


async def test_what_is_seen_everywhere_keeps_a_small_row(sessions: tuple[Session, Session]) -> None:
    one, _ = sessions
    for _ in range(70):
        session = await a_session(one.tenant, one.project)
        await session.add()
        await drain(session, Scripted(alike))
    rows = await one.tenant.rows("SELECT cardinality(terms), pg_column_size(w) FROM observation_words w")
    assert rows[0][0] < 110
    assert rows[0][1] < 4000
    assert len((await observations.page(one.db, asker(one.tenant), Where(session=session.id)))[0]) == 1
