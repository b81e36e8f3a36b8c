"""Each of the servers dies, in the middle of a running fleet."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest

from tests.integration.fleet import System, a_system
from tests.services.conftest import eventually, family

from .conftest import CAP, all_at_work, at_work, lost, mixed, survived

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
async def system() -> AsyncIterator[System]:
    async with a_system(
        MAX_CONCURRENT_AGENTS=str(CAP), MUSTER_HEARTBEAT_TIMEOUT_SECONDS="3", MUSTER_SWEEP_SECONDS="2"
    ) as system:
        yield system


async def test_temporal_is_killed(system: System) -> None:
    fleet = mixed(system)
    async with survived(system, fleet):
        await fleet.in_full_swing(CAP)
        system.kill("temporal")


async def test_postgres_is_killed(system: System) -> None:
    fleet = mixed(system)
    async with survived(system, fleet):
        await fleet.in_full_swing(CAP)
        system.kill("postgres")


async def test_postgres_hangs_for_longer_than_a_heartbeat_may_take(system: System) -> None:
    """Nobody is taken for dead who only cannot write."""
    fleet = mixed(system)
    async with survived(system, fleet):
        await fleet.in_full_swing(CAP)
        await fleet.held()
        running = await all_at_work(system)
        pid = system.record.children["postgres"].pid
        assert pid
        stopped = family(pid)
        for one in stopped:
            os.kill(one, signal.SIGSTOP)
        await asyncio.sleep(10)
        for one in stopped:
            os.kill(one, signal.SIGCONT)
        assert set(running) <= set(await at_work(system))
        fleet.release()
    assert await lost(system, running) == 0


async def test_valkey_is_killed(system: System) -> None:
    fleet = mixed(system)
    async with survived(system, fleet) as witness:
        await fleet.in_full_swing(CAP)
        system.kill("valkey")
    assert witness.connections == 1, "a client noticed that Valkey was away"


async def test_valkey_is_wiped(system: System) -> None:
    fleet = mixed(system)
    async with survived(system, fleet) as witness:
        await fleet.in_full_swing(CAP)
        async with system.valkey() as valkey:
            await valkey.flushall()
    assert witness.connections == 1, "a client noticed that Valkey was wiped"


async def test_all_servers_are_killed_while_tasks_are_taken(system: System) -> None:
    """Whoever asks again with the same key finds what the first try has left, whatever that is."""
    fleet = mixed(system)

    async def some_are_there() -> None:
        rows = await system.sql("SELECT count(*) FROM tasks WHERE labels[1] = %s", fleet.folder.name)
        assert rows[0][0] >= 12

    async with survived(system, fleet, seconds=60):
        submitting = asyncio.create_task(fleet.submit(at_once=4))
        await eventually(some_are_there)
        for name in ("temporal", "valkey", "postgres"):
            system.kill(name)
        await submitting
    rows = await system.sql("SELECT count(*) FROM tasks WHERE labels[1] = %s", fleet.folder.name)
    assert rows == [(len(fleet.tasks),)]
