"""Output is kept once and in order, and only from the agent that runs."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from muster.domain.agents import OutputLine
from muster.domain.errors import Fenced, NotFound
from muster.domain.ids import new_id
from muster.domain.states import AgentStatus, Reason
from muster.storage import agents, moves

from .conftest import Tenant

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def lines(first: int, last: int) -> list[OutputLine]:
    return [OutputLine(n=n, stream="stdout", at=NOW, text=f"line {n} \u4f60\u597d") for n in range(first, last + 1)]


async def test_chunks_are_kept_once_and_read_in_order(tenant: Tenant) -> None:
    db, w = tenant.db, tenant.id
    _, agent = await tenant.running()
    for first, last in ((1, 3), (4, 9), (1, 3), (4, 9), (10, 10)):  # repeated by a worker that heard no answer
        await agents.append_output(db, w, agent, "worker-1", lines(first, last), truncated=False)
    found, status = await agents.output(db, w, agent, after=0, limit=100)
    assert (found, status) == (lines(1, 10), "running")
    assert (await agents.output(db, w, agent, after=2, limit=3))[0] == lines(3, 5)
    assert (await agents.output(db, w, agent, after=10, limit=3))[0] == []
    known = await agents.get(db, w, agent)
    assert (known["output_lines"], known["output_truncated"]) == (10, False)
    with pytest.raises(NotFound):
        await agents.output(db, w, new_id(), after=0, limit=1)


async def test_a_long_output_is_read_to_its_end(tenant: Tenant) -> None:
    _, agent = await tenant.running()
    for n in range(1, 451):
        await agents.append_output(tenant.db, tenant.id, agent, "worker-1", lines(n, n), truncated=False)
    read: list[int] = []
    while found := (await agents.output(tenant.db, tenant.id, agent, after=len(read), limit=1000))[0]:
        read += [line.n for line in found]
    assert read == list(range(1, 451))


async def test_only_the_worker_that_runs_it_writes(tenant: Tenant) -> None:
    db, w = tenant.db, tenant.id
    task = await tenant.create()
    agent = await tenant.agent_of(task)
    for worker in ("worker-1", "worker-2"):
        with pytest.raises(Fenced):
            await agents.append_output(db, w, agent, worker, lines(1, 1), truncated=False)
    await moves.start_agent(db, w, agent, "worker-1")
    with pytest.raises(Fenced):
        await agents.append_output(db, w, agent, "worker-2", lines(1, 1), truncated=False)
    await agents.append_output(db, w, agent, "worker-1", lines(1, 1), truncated=True)
    await moves.finish_agent(db, w, agent, AgentStatus.FAILED, reason=Reason.LOST)
    with pytest.raises(Fenced):
        await agents.append_output(db, w, agent, "worker-1", lines(2, 2), truncated=False)
    assert (await agents.output(db, w, agent, after=0, limit=9))[0] == lines(1, 1)
    assert (await agents.get(db, w, agent))["output_truncated"]


async def test_writing_and_ending_at_once(tenant: Tenant) -> None:
    """Whatever was accepted is there; nothing is accepted after the end was recorded."""
    _, agent = await tenant.running()
    accepted = 0

    async def write() -> None:
        nonlocal accepted
        for n in range(1, 200):
            try:
                await agents.append_output(tenant.db, tenant.id, agent, "worker-1", lines(n, n), truncated=False)
            except Fenced:
                return
            accepted = n

    async def end() -> None:
        await asyncio.sleep(0.03)
        await moves.finish_agent(tenant.db, tenant.id, agent, AgentStatus.KILLED, reason=Reason.KILLED)

    await asyncio.gather(write(), end())
    found, status = await agents.output(tenant.db, tenant.id, agent, after=0, limit=1000)
    assert (len(found), status) == (accepted, "killed")
