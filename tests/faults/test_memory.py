"""Each of what memory's pipeline stands on dies in the middle of a drain: every job is completed, each observation is
there once, and none is missing."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from api.pokes import Pokes
from muster.domain.ids import DEFAULT_WORKSPACE, new_id
from tests.integration.fleet import System, a_system
from tests.models.provider import a_provider, called
from tests.services.conftest import eventually

pytestmark = pytest.mark.faults

EVENTS = 2000
MOVING_SECONDS = 40.0


def one_for_each(request: dict[str, Any]) -> dict[str, Any]:
    """What a model might make of them: an observation of every event, in its words."""
    if "asked" in request["tools"][0]["function"]["parameters"]["properties"]:
        return called({"title": "What the session was about"})
    text = request["messages"][-1]["content"]
    events = re.findall(r'<event n="(\d+)"[^>]*>\s*(?:\w+: )?([^\n<]*)', text if isinstance(text, str) else str(text))
    return called({"observations": [{"title": words, "events": [int(number)]} for number, words in events]})


@pytest.fixture(scope="module")
async def system() -> AsyncIterator[System]:
    async with a_provider() as provider:
        provider.seconds, provider.answer = 0.1, one_for_each
        async with a_system(
            MUSTER_MEMORY_GENERATOR="llm", MUSTER_MEMORY_MODEL="small", MUSTER_MEMORY_MODEL_URL=provider.url,
            MUSTER_MEMORY_SWEEP_SECONDS="2", MUSTER_MEMORY_RETRY_SECONDS="0.5", MUSTER_SWEEP_SECONDS="2",
        ) as system:  # fmt: skip
            yield system


_EVENTS = """
WITH of AS (SELECT %s::uuid AS w, %s::uuid AS p, %s::uuid AS s, %s::integer AS events),
n AS (
    SELECT of.*, n, CASE WHEN n <= events / 2 THEN 'evtb' ELSE 'evt' END AS prefix,
           CASE WHEN n <= events / 2 THEN 'event_batch' ELSE 'event' END AS kind,
           CASE WHEN n <= events / 2 THEN 'b' || n / 100 ELSE 's' || n END AS source
    FROM of, generate_series(1, events) n),
jobs AS (
    INSERT INTO memory_jobs (workspace_id, project_id, id, kind, session_id, source_type, source_id)
    SELECT DISTINCT w, p, memory_job_id(prefix, kind, w, p, 't', source), kind::memory_job_kind, s, 't', source FROM n
    RETURNING id, source_id)
INSERT INTO agent_events (id, workspace_id, project_id, session_id, job_id, type, adapter, payload, occurred_at)
SELECT new_id(), w, p, s, j.id, 'message', 'tests',
    -- Texts that are not alike, so that none is merged with another.
    jsonb_build_object('text', regexp_replace(md5(n::text || s) || md5(s || n::text), '(.{6})', '\\1 ', 'g')),
    now() - make_interval(secs => 10000 - n)
FROM n JOIN jobs j ON j.source_id = n.source
"""


class Drain:
    """A session with many events, and what becomes of them."""

    def __init__(self, system: System, session: UUID, events: int) -> None:
        self.system, self.session, self.events = system, session, events

    @classmethod
    async def begin(cls, system: System, events: int = EVENTS, *, poked: bool = True) -> Drain:
        """Half of the events came in batches of a hundred, half one by one."""
        project, session = new_id(), new_id()
        await system.sql(
            "INSERT INTO projects (id, workspace_id, slug, name) VALUES (%s, %s, %s, 'P')",
            project, DEFAULT_WORKSPACE, f"p-{project.hex}",
        )  # fmt: skip
        await system.sql(
            "INSERT INTO memory_sessions (id, workspace_id, project_id, key, events) VALUES (%s, %s, %s, 'k', %s)",
            session, DEFAULT_WORKSPACE, project, events,
        )  # fmt: skip
        await system.sql(_EVENTS, DEFAULT_WORKSPACE, project, session, events)

        async def temporal() -> Client:
            return await Client.connect(str(system.settings.temporal_address), data_converter=pydantic_data_converter)

        if poked:
            pokes = Pokes(temporal, system.settings.temporal_task_queue)
            pokes.poke(DEFAULT_WORKSPACE, project, session, at_once=True)
            await asyncio.sleep(0.5)
            await pokes.close()
        return cls(system, session, events)

    async def jobs(self) -> dict[str, int]:
        rows = await self.system.sql(
            "SELECT status::text, count(*) FROM memory_jobs WHERE session_id = %s GROUP BY 1", self.session
        )
        return dict(rows)

    async def in_the_middle(self) -> None:
        async def some() -> None:
            rows = await self.system.sql("SELECT count(*) FROM observations WHERE session_id = %s", self.session)
            assert rows[0][0] >= self.events // 10

        await eventually(some, 30)

    async def held(self) -> list[str]:
        rows = await self.system.sql(
            "SELECT id FROM memory_jobs WHERE session_id = %s AND status = 'processing'", self.session
        )
        return [row[0] for row in rows]

    async def moving_again(self, held: list[str], since: float) -> float:
        """Once nobody dead holds a job any more."""

        async def moved() -> None:
            rows = await self.system.sql(
                "SELECT count(*) FROM memory_jobs WHERE id = ANY (%s) AND status = 'processing' AND attempts = 1", held
            )
            assert rows == [(0,)]

        await eventually(moved, MOVING_SECONDS)
        return time.monotonic() - since

    async def ends_right(self) -> None:
        async def over() -> None:
            found = await self.jobs()
            assert set(found) == {"completed"}, found

        await eventually(over, 90)
        # Each event has become one observation, and says so; nothing is there twice.
        rows = await self.system.sql(
            "SELECT count(DISTINCT e.id), count(s.event_id), count(DISTINCT s.observation_id), count(DISTINCT o.title) "
            "FROM agent_events e "
            "LEFT JOIN observation_sources s ON s.workspace_id = e.workspace_id AND s.event_id = e.id "
            "LEFT JOIN observations o ON o.workspace_id = e.workspace_id AND o.id = s.observation_id AND NOT o.summary "
            "WHERE e.workspace_id = %s AND e.session_id = %s AND (o.id IS NOT NULL OR s.event_id IS NULL)",
            DEFAULT_WORKSPACE, self.session,
        )  # fmt: skip
        assert rows == [(self.events,) * 4]
        twice = await self.system.sql(
            "SELECT job_id, count(*) FROM memory_job_events h JOIN memory_jobs j ON j.workspace_id = h.workspace_id "
            "AND j.id = h.job_id WHERE j.session_id = %s AND h.to_status = 'completed' GROUP BY 1 HAVING count(*) > 1",
            self.session,
        )
        assert twice == []
        ended = await self.system.sql("SELECT count(*) FROM memory_jobs WHERE attempts > 3")
        assert ended == [(0,)], "nothing was tried without end"


async def test_nobody_says_that_there_are_jobs(system: System) -> None:
    """Whoever was to poke died: the scheduled sweep finds them."""
    drain = await Drain.begin(system, 200, poked=False)
    await drain.ends_right()


async def test_the_worker_is_killed(system: System) -> None:
    drain = await Drain.begin(system)
    await drain.in_the_middle()
    held = await drain.held()
    system.kill("worker")
    assert await drain.moving_again(held, time.monotonic()) <= MOVING_SECONDS
    await drain.ends_right()


async def test_temporal_is_killed(system: System) -> None:
    drain = await Drain.begin(system)
    await drain.in_the_middle()
    system.kill("temporal")
    await drain.ends_right()


async def test_postgres_is_killed(system: System) -> None:
    drain = await Drain.begin(system)
    await drain.in_the_middle()
    system.kill("postgres")
    await drain.ends_right()


async def test_a_worker_that_was_only_asleep_stores_nothing_twice(system: System) -> None:
    """Longer than its heartbeat may be late: its jobs are given to the next attempt, and it wakes up in the midst."""
    drain = await Drain.begin(system, 500)
    await drain.in_the_middle()
    worker = system.pid("worker")
    os.kill(worker, signal.SIGSTOP)
    assert await drain.held()
    try:
        await asyncio.sleep(13)
    finally:
        os.kill(worker, signal.SIGCONT)
    await drain.ends_right()
