"""Events into observations: how many in a second, with a model that answers in 50 ms, and what a crash costs."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, LiteralString
from uuid import UUID

import psycopg
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from api.pokes import Pokes
from benchmarks.bench import Bench
from benchmarks.report import Figure
from benchmarks.system import System
from muster.domain.ids import DEFAULT_WORKSPACE, memory_workflow_id, new_id

ANSWER_SECONDS = 0.05
GOAL = 500.0
THEIRS = "14.5/s"

Connection = psycopg.AsyncConnection[tuple[Any, ...]]

_ENTER = "SELECT set_config('role', 'muster_app', false), set_config('app.current_workspace_id', %s, false)"
_SESSION = (
    "WITH p AS (INSERT INTO projects (id, workspace_id, slug, name) VALUES (%(p)s, %(w)s, %(slug)s, 'P') "
    "ON CONFLICT DO NOTHING) INSERT INTO memory_sessions (id, workspace_id, project_id, key, events) "
    "VALUES (%(s)s, %(w)s, %(p)s, %(s)s, %(n)s)"
)
_EVENTS = """
WITH jobs AS (
    INSERT INTO memory_jobs (workspace_id, project_id, id, kind, session_id, source_type, source_id)
    SELECT %(w)s, %(p)s, memory_job_id('evt', 'event', %(w)s, %(p)s, 'bench', %(s)s::text || n), 'event', %(s)s,
           'bench', n FROM generate_series(1, %(n)s) n RETURNING id, source_id)
INSERT INTO agent_events (id, workspace_id, project_id, session_id, job_id, type, adapter, payload, occurred_at)
SELECT new_id(), %(w)s, %(p)s, %(s)s, id, 'message', 'bench', jsonb_build_object('text', regexp_replace(
           md5(id) || md5(id || 'a') || md5(id || 'b'), '(.{6})', '\\1 ', 'g')),
       now() - make_interval(secs => 100000 - source_id::integer) FROM jobs
"""
_LEFT = (
    "SELECT count(*) FILTER (WHERE status <> 'completed') FROM memory_jobs WHERE workspace_id = %(w)s "
    "AND session_id = ANY (%(all)s) AND kind = 'event'"
)
_HELD = "SELECT id FROM memory_jobs WHERE workspace_id = %(w)s AND session_id = ANY (%(all)s) AND status = 'processing'"
_STILL = (
    "SELECT count(*) FROM memory_jobs WHERE workspace_id = %(w)s AND id = ANY (%(jobs)s) AND status = 'processing' "
    "AND attempts = 1"
)


async def measure(bench: Bench) -> list[Figure]:
    await bench.stop_shared()
    async with a_model() as url:
        variables = {
            "MUSTER_MEMORY_GENERATOR": "llm", "MUSTER_MEMORY_MODEL": "small", "MUSTER_MEMORY_MODEL_URL": url,
        }  # fmt: skip
        async with bench.system(parts=("worker",), variables=variables) as system:
            db = await psycopg.AsyncConnection.connect(
                system.addresses.database_url, autocommit=True, cursor_factory=psycopg.AsyncClientCursor
            )
            await db.execute(_ENTER, (str(DEFAULT_WORKSPACE),))
            drain = Drain(
                system, db, await Client.connect(system.addresses.temporal, data_converter=pydantic_data_converter)
            )
            await drain.run(1, 200)  # the model's libraries are loaded by the first call
            size = 2000 if bench.quick else 5000
            one, rate_of_one = await drain.run(1, 2000)
            _, rate = await drain.run(4, size // 4)
            tasks = await drain.cost(one[0])
            moved, again = await drain.crash(system, size)
            await db.close()
    return [
        Figure(
            "events turned into observations, a model that answers in 50 ms",
            f"{rate:.0f}/s",
            f"≥ {GOAL:.0f}/s",
            rate >= GOAL,
            yardstick=f"claude-mem's server {THEIRS}",
            ratio=f"{rate / 14.5:.0f}",
            note=f"{size} events in 4 sessions, one job and one observation each, batches of 50; in one session alone "
            f"{rate_of_one:.0f}/s, for which 2,000 events cost {tasks[0]} workflow tasks and {tasks[1]} activities",
            values={"rate": rate, "rate_of_one": rate_of_one, "workflow_tasks": tasks[0], "activities": tasks[1]},
        ),
        Figure(
            "worker killed (kill -9) in the middle of that → all jobs moving again",
            f"{moved:.1f} s",
            "≤ 40 s",
            moved <= 40,
            yardstick="claude-mem's server: never",
            note=f"all {size} done {again:.1f} s after the kill; heartbeat timeout 10 s",
            values={"moving": moved, "done": again},
        ),
    ]


class Drain:
    def __init__(self, system: System, db: Connection, client: Client) -> None:
        self._db, self._client, self._project = db, client, new_id()
        self._queue = system.settings.temporal_task_queue

    async def ask(self, statement: LiteralString, **params: Any) -> list[tuple[Any, ...]]:
        known = {"w": DEFAULT_WORKSPACE, "p": self._project}
        cursor = await self._db.execute(statement, {**known, **params})
        return await cursor.fetchall() if cursor.description else []

    async def begin(self, sessions: int, events: int) -> list[UUID]:
        """Sessions with events that are made known all at once."""
        found = [new_id() for _ in range(sessions)]
        for session in found:
            of = {"s": session, "n": events, "slug": f"p-{self._project.hex}"}
            await self.ask(_SESSION, **of)
            await self.ask(_EVENTS, **of)
        pokes = Pokes(self._same, self._queue)
        for session in found:
            pokes.poke(DEFAULT_WORKSPACE, self._project, session, at_once=True)
        await asyncio.sleep(0)
        self._pokes = pokes
        return found

    async def _same(self) -> Client:
        return self._client

    async def left(self, sessions: list[UUID]) -> int:
        return int((await self.ask(_LEFT, all=sessions))[0][0])

    async def over(self, sessions: list[UUID]) -> None:
        while await self.left(sessions):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        await self._pokes.close()

    async def run(self, sessions: int, events: int) -> tuple[list[UUID], float]:
        """Which, and how many events a second."""
        found = await self.begin(sessions, events)
        began = time.perf_counter()
        await self.over(found)
        return found, sessions * events / (time.perf_counter() - began)

    async def crash(self, system: System, events: int) -> tuple[float, float]:
        """Seconds until nobody dead holds a job, and until all are done."""
        found = await self.begin(4, events // 4)
        while await self.left(found) > events * 2 // 3:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        held = [row[0] for row in await self.ask(_HELD, all=found)]
        system.kill("worker")
        began = time.perf_counter()
        while (await self.ask(_STILL, jobs=held))[0][0]:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        moving = time.perf_counter() - began
        await self.over(found)
        return moving, time.perf_counter() - began

    async def cost(self, session: UUID) -> tuple[int, int]:
        """Workflow tasks and activities."""
        handle = self._client.get_workflow_handle(memory_workflow_id(DEFAULT_WORKSPACE, session))
        kinds = [event.event_type async for event in handle.fetch_history_events()]
        return (
            kinds.count(EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED),
            kinds.count(EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED),
        )


@asynccontextmanager
async def a_model() -> AsyncIterator[str]:
    """Answers as OpenAI would, after a while: one observation of each event, in its words."""
    server = await asyncio.start_server(_answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        server.close()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while head := (await reader.readuntil(b"\r\n\r\n")).decode().lower():
            size = next(int(line[15:]) for line in head.split("\r\n") if line.startswith("content-length:"))
            request = json.loads(await reader.readexactly(size))
            began = time.perf_counter()
            body = json.dumps(_completion(request)).encode()
            await asyncio.sleep(max(0.0, ANSWER_SECONDS - (time.perf_counter() - began)))
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                + f"Content-Length: {len(body)}\r\n\r\n".encode() + body
            )  # fmt: skip
            await writer.drain()
    writer.close()


def _completion(request: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"title": "What the session was about"}
    if "observations" in request["tools"][0]["function"]["parameters"]["properties"]:
        text = str(request["messages"][-1]["content"])
        events = re.findall(r'<event n="(\d+)"[^>]*>\s*(?:\w+: )?([^\n<]*)', text)
        made = {
            "observations": [
                {"type": "discovery", "title": words[:60], "narrative": words, "events": [int(number)]}
                for number, words in events
            ]
        }
    call = {"id": "c", "type": "function", "function": {"name": "remember", "arguments": json.dumps(made)}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    return {
        "id": "c", "object": "chat.completion", "created": 1, "model": "small",
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500},
    }  # fmt: skip
