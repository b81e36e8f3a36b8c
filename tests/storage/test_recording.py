"""Agents run by Muster are recorded by themselves, once, whatever ended them; and only where that is wanted."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from activities.recording import Recording, _Running
from muster.domain.agents import OutputLine
from muster.domain.memory import Event
from muster.domain.rules.observing import observe
from muster.domain.states import AgentStatus, Reason
from muster.domain.tasks import KillWish, MemoryWish
from muster.domain.transcripts import MAX_DOCUMENTS
from muster.storage import agents, moves, recording
from muster.storage.database import Database
from tests.pace import patience

from .conftest import Tenant, make_workspace
from .test_memory_usage import a_project

NOW = datetime.now(UTC)
TOOL_USE = '{"tool_name": "Bash", "tool_input": {"command": "make"}}'


class Life:
    """Records, and remembers who was poked."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant, self.poked = tenant, list[tuple[UUID, UUID, UUID | None]]()
        self.recording = Recording(tenant.db, lambda *who: self.poked.append(who))

    async def agent(self, project: UUID | None, texts: list[tuple[str, str]] = [], **spec: Any) -> UUID:  # noqa: B006
        _, agent = await self.tenant.running(
            "Write the report", prompt="In German, please.", project_id=project, **spec
        )
        lines = [
            OutputLine(n=n, stream=stream, at=NOW + timedelta(seconds=n), text=text)  # type: ignore[arg-type]
            for n, (stream, text) in enumerate(texts, 1)
        ]
        if lines:
            await agents.append_output(self.tenant.db, self.tenant.id, agent, "worker-1", lines, truncated=False)
        return agent

    async def end(self, agent: UUID, status: AgentStatus = AgentStatus.COMPLETED, **how: Any) -> None:
        await moves.finish_agent(
            self.tenant.db, self.tenant.id, agent, status,
            **{"reason": None, "error": None, "exit_code": 0, "result": None, **how},
        )  # fmt: skip

    async def events(self) -> list[tuple[str, dict[str, Any]]]:
        rows = await self.tenant.rows("SELECT type, payload FROM agent_events ORDER BY occurred_at, source_id")
        return [(row[0], row[1]) for row in rows]

    async def sessions(self) -> list[tuple[Any, ...]]:
        return await self.tenant.rows(
            "SELECT external_id, platform, title, agent_id, ended_at IS NOT NULL, events FROM memory_sessions"
        )


async def test_an_agents_life_is_recorded_once(tenant: Tenant) -> None:
    life, project = Life(tenant), await a_project(tenant)
    agent = await life.agent(
        project,
        [("stdout", "The licence check reads 120 rows."), ("stdout", TOOL_USE),
         ("stderr", "it is <private>my secret</private> slow"), ("stdout", "bye")],
    )  # fmt: skip
    assert await life.recording.record(tenant.id, agent) is None, "it runs"
    await life.end(agent, result={"rows": 120})
    session = await life.recording.record(tenant.id, agent)
    assert await life.recording.record(tenant.id, agent) == session
    events = await life.events()
    assert sorted(kind for kind, _ in events) == [
        "agent.ended", "agent.output", "agent.output", "agent.output", "agent.result", "agent.started", "tool_use",
    ]  # fmt: skip
    told = dict(events)
    assert (told["agent.started"]["title"], told["agent.started"]["prompt"]) == (
        "Write the report",
        "In German, please.",
    )
    assert told["agent.result"]["result"] == {"rows": 120}
    assert told["agent.ended"]["status"] == "completed"
    assert [p["stream"] for kind, p in events if kind == "agent.output"].count("stderr") == 1
    assert "my secret" not in str(events)
    assert await life.sessions() == [(str(agent), "muster", "Write the report", agent, True, 7)]
    jobs = await tenant.rows("SELECT kind::text FROM memory_jobs ORDER BY 1")
    assert jobs == [("event_batch",), ("summary",)]
    assert life.poked == [(tenant.id, project, session)] * 2
    # What is recorded is what the generator reads.
    rows = await tenant.rows("SELECT to_jsonb(e) FROM agent_events e")
    made = observe([Event.model_validate(row[0]) for row in rows])
    assert any("120 rows" in (one.narrative or "") for one in made.observations)


async def test_what_was_printed_in_one_moment_is_told_by_its_lines(tenant: Tenant) -> None:
    life, project = Life(tenant), await a_project(tenant)
    commands = [f"make part-{number}" for number in range(12)]
    used = [("stdout", json.dumps({"tool_name": "Bash", "tool_input": {"command": one}})) for one in commands]
    agent = await life.agent(project, used)
    await tenant.rows(
        "UPDATE agent_output SET lines = (SELECT jsonb_agg(jsonb_set(l, '{2}', '\"2020-02-02T00:00:00+00:00\"')) "
        "FROM jsonb_array_elements(lines) l)"
    )
    await life.end(agent)
    await life.recording.record(tenant.id, agent)
    done = await tenant.rows(
        "SELECT payload -> 'tool_input' ->> 'command' FROM agent_events WHERE type = 'tool_use' ORDER BY occurred_at"
    )
    assert done == [(one,) for one in commands]
    kinds = await tenant.rows("SELECT type FROM agent_events ORDER BY occurred_at")
    assert (kinds[0], kinds[-1]) == (("agent.started",), ("agent.ended",))


async def test_a_result_that_was_printed_as_private_is_not_recorded(tenant: Tenant) -> None:
    life, project = Life(tenant), await a_project(tenant)
    for number, printed in enumerate((["<private>", '{"salary": 481516}', "</private>"], ['{"text": "a <private>b"}'])):
        agent = await life.agent(project, [("stdout", text) for text in printed])
        await life.end(agent, result=[{"salary": 481516}, {"text": "a <private>b"}][number])
        await life.recording.record(tenant.id, agent)
    results = [payload["result"] for kind, payload in await life.events() if kind == "agent.result"]
    assert results == [{"text": "a "}]


async def test_of_one_that_did_its_work_and_said_nothing_nothing_is_made(tenant: Tenant) -> None:
    life, project = Life(tenant), await a_project(tenant)
    silent = await life.agent(project)
    await life.end(silent)
    for _ in range(2):
        assert await life.recording.record(tenant.id, silent) is not None
    assert [kind for kind, _ in await life.events()] == ["agent.started", "agent.ended"]
    assert await life.sessions() == [(str(silent), "muster", "Write the report", silent, True, 2)]
    assert (await tenant.rows("SELECT id FROM memory_jobs"), life.poked) == ([], [])
    # How one failed is worth knowing, and so is a result.
    for status, how in (
        (AgentStatus.FAILED, {"reason": Reason.EXIT_NONZERO, "exit_code": 2}),
        (AgentStatus.COMPLETED, {"result": 7}),
    ):
        agent = await life.agent(project)
        await life.end(agent, status, **how)
        assert (tenant.id, project, await life.recording.record(tenant.id, agent)) in life.poked


async def test_a_killed_agent_and_a_lost_one_are_recorded(tenant: Tenant) -> None:
    life, project = Life(tenant), await a_project(tenant)
    for status, reason in ((AgentStatus.KILLED, Reason.KILLED), (AgentStatus.FAILED, Reason.LOST)):
        agent = await life.agent(project, [("stdout", "as far as it came")])
        await moves.ask_kill(tenant.db, tenant.id, None, agent, KillWish(reason="the wrong database"))
        await life.end(agent, status, reason=reason, error="it went away", exit_code=None)
        life.recording.ended(tenant.id, agent)
    await life.recording.close()
    endings = [payload for kind, payload in await life.events() if kind == "agent.ended"]
    assert {(one["status"], one["reason"], one["error"]) for one in endings} == {
        ("killed", "killed", "it went away: the wrong database"), ("failed", "lost", "it went away"),
    }  # fmt: skip


async def test_what_ran_when_its_project_was_archived_is_recorded(tenant: Tenant) -> None:
    life, project = Life(tenant), await a_project(tenant)
    agent = await life.agent(project, [("stdout", "what it found")])
    await tenant.rows("UPDATE projects SET status = 'archived' WHERE id = %s RETURNING 1", (project,))
    await life.end(agent)
    assert await life.recording.record(tenant.id, agent) is not None
    assert "what it found" in str(await life.events())


async def test_what_is_not_to_be_recorded_is_not(tenant: Tenant) -> None:
    life, quiet = Life(tenant), await a_project(tenant)
    await tenant.rows(
        "INSERT INTO memory_settings (workspace_id, project_id, record_agents) VALUES (%s, %s, false)",
        (tenant.id, quiet),
    )
    for project, spec in ((None, {}), (quiet, {}), (await a_project(tenant), {"memory": MemoryWish(record=False)})):
        agent = await life.agent(project, [("stdout", "text")], **spec)
        await life.end(agent)
        assert await life.recording.record(tenant.id, agent) is None
    assert (await life.sessions(), await life.events(), life.poked) == ([], [], [])


async def test_a_recording_that_was_lost_is_caught_up_with(own_db: Database, own_url: str) -> None:
    tenant = Tenant(own_db, await make_workspace(own_url))
    life, project = Life(tenant), await a_project(tenant)
    agents_of = [await life.agent(where, [("stdout", "text")]) for where in (project, project, None)]
    for agent in agents_of:
        await life.end(agent)
    await life.recording.record(tenant.id, agents_of[0])
    assert await recording.unrecorded(own_db, seconds=30, limit=10) == [], "whoever ran it may be at it"
    assert await recording.unrecorded(own_db, seconds=0, limit=10) == [(tenant.id, agents_of[1])]
    await tenant.rows("UPDATE agents SET finished_at = finished_at - interval '1 minute'")
    assert await life.recording.catch_up() == 1
    await life.recording.close()
    assert len(await life.sessions()) == 2
    assert await life.recording.catch_up() == 0


async def test_much_output_is_recorded_in_a_bounded_number_of_pieces(tenant: Tenant) -> None:
    life = Life(tenant)
    agent = await life.agent(await a_project(tenant), [("stdout", "x" * 1000)])
    for first in range(2, 20_002, 1000):
        lines = [OutputLine(n=n, stream="stdout", at=NOW, text=f"line {n} of many") for n in range(first, first + 1000)]
        await agents.append_output(tenant.db, tenant.id, agent, "worker-1", lines, truncated=False)
    await life.end(agent)
    await life.recording.record(tenant.id, agent)
    pieces = [payload for kind, payload in await life.events() if kind == "agent.output"]
    assert 50 < len(pieces) <= 120
    assert max(piece["last_line"] for piece in pieces) == 20_001


async def test_a_failure_to_record_is_nobodys_failure(tenant: Tenant) -> None:
    life = Life(tenant)
    agent = await life.agent(await a_project(tenant))
    await life.end(agent, result={"odd": "\udcff"[:0], "deep": [[[]]]})
    await tenant.rows("UPDATE agents SET runner = '{}' WHERE id = %s", (agent,))
    life.recording.ended(tenant.id, agent)
    await life.recording.close()
    assert await life.events() == []


async def test_a_long_life_is_recorded_on_the_way(tenant: Tenant) -> None:
    life, project, now = Life(tenant), await a_project(tenant), datetime.now(UTC)

    def lines(first: int, *said: tuple[str, str, int]) -> list[OutputLine]:
        return [
            OutputLine(n=n, stream=stream, at=now + timedelta(seconds=at), text=text)  # type: ignore[arg-type]
            for n, (stream, text, at) in enumerate(said, first)
        ]

    agent = await life.agent(project, memory=MemoryWish(inject=False))
    running = _Running(tenant.id)
    assert await life.recording.along(agent, running), "it may say something yet"
    assert [kind for kind, _ in await life.events()] == ["agent.started"], "what it was asked for"
    assert await life.recording.along(agent, running)
    assert len(life.poked) == 1, "once"
    for printed in (
        # What is said in one breath is one piece, and is not told before it is over.
        lines(1, ("stderr", "slow <private>one", 0), ("stdout", "We chose Valkey", 1), ("stdout", TOOL_USE, 2)),
        lines(4, ("stderr", "two</private> disk", 3), ("stdout", "It is twice as fast.", 4)),
        lines(6, ("stderr", "later", 90), ("stdout", TOOL_USE, 91)),
        lines(8, ("stdout", "The end", 200)),
    ):
        await agents.append_output(tenant.db, tenant.id, agent, "worker-1", printed, truncated=False)
        assert await life.recording.along(agent, running)
    before = [kind for kind, _ in await life.events()]
    assert before.count("agent.output") == 3
    assert "agent.ended" not in before
    (session,) = await life.sessions()
    assert session[4] is False, "its session is open"
    assert len(life.poked) == 3, "when there was something new"
    await life.end(agent)
    await life.recording.record(tenant.id, agent)
    events = await life.events()
    assert len(events) == len(before) + 3
    said = [payload["text"] for kind, payload in events if kind == "agent.output"]
    assert sorted(said) == ["It is twice as fast.", "The end", "We chose Valkey", "later", "slow \n disk"], "each once"
    assert not await life.recording.along(agent, running), "it has ended"


async def test_of_a_long_life_no_more_is_recorded_on_the_way_than_will_be_at_its_end(tenant: Tenant) -> None:
    life, project = Life(tenant), await a_project(tenant)
    calls = [("stdout", TOOL_USE.replace("make", f"make part-{number}")) for number in range(MAX_DOCUMENTS + 50)]
    agent = await life.agent(project, calls)
    assert not await life.recording.along(agent, _Running(tenant.id)), "the rest is told when it ends"
    on_the_way = await life.events()
    await life.end(agent)
    await life.recording.record(tenant.id, agent)
    at_the_end = await life.events()
    assert all(event in at_the_end for event in on_the_way)
    uses = [payload["tool_input"]["command"] for kind, payload in at_the_end if kind == "tool_use"]
    assert (len(uses), len(set(uses))) == (MAX_DOCUMENTS, MAX_DOCUMENTS)


async def test_who_is_not_recorded_is_not_on_the_way(tenant: Tenant) -> None:
    life, project = Life(tenant), await a_project(tenant)
    quiet = await life.agent(project, [("stdout", TOOL_USE)], memory=MemoryWish(record=False))
    nowhere = await life.agent(None, [("stdout", TOOL_USE)])
    for agent in (quiet, nowhere):
        assert not await life.recording.along(agent, _Running(tenant.id))
    assert await life.sessions() == []


async def test_a_worker_looks_after_those_that_run(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("activities.recording.ALONG_SECONDS", 0.05)
    life, project = Life(tenant), await a_project(tenant)
    agent = await life.agent(project, [("stdout", TOOL_USE)])
    life.recording.began(tenant.id, agent)
    async with patience(10):
        while not life.poked:  # noqa: ASYNC110 - a list
            await asyncio.sleep(0.01)
    assert {kind for kind, _ in await life.events()} == {"agent.started", "tool_use"}
    await life.recording.close()
