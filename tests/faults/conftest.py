"""A Muster under load, and what must be true however it was hurt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.integration.fleet import (
    Fleet,
    System,
    Witness,
    is_healthy,
    log_is_sound,
    nothing_runs,
    picture_is_right,
    recorded_so_far,
    slots_were_used,
)
from tests.services.conftest import eventually

CAP = 6

pytestmark = pytest.mark.faults


def mixed(system: System, seconds: float = 0.5) -> Fleet:
    """Three times as many tasks as there are slots, of up to a second or so, most of which complete."""
    fleet = Fleet(system)
    for number in range(10):
        fleet.add("completes", fleet.script(seconds + 0.1 * (number % 7)))
    for _ in range(2):
        fleet.add("fails", ["sh", "-c", f"sleep {seconds}; exit 3"], status="failed", reason="exit_nonzero")
        fleet.add("fails once", fleet.failing_once(seconds), retry=2)
    first = fleet.add("chain", fleet.script(seconds))
    fleet.add("chain", fleet.script(seconds), after=[first])
    broken = fleet.add("broken chain", ["false"], status="failed", reason="exit_nonzero")
    fleet.add("broken chain", ["true"], status="failed", reason="dependency_failed", after=[broken])
    parent = fleet.add("parent", None)
    for _ in range(2):
        fleet.add("subtask", fleet.script(seconds), parent=parent)
    return fleet


@asynccontextmanager
async def survived(system: System, fleet: Fleet, seconds: float = 40.0) -> AsyncIterator[Witness]:
    """Hurt it in here; afterwards the fleet ends right, and nothing shows that it was hurt."""
    recorded = await recorded_so_far(system)
    async with Witness(system) as witness:
        try:
            yield witness
        finally:
            fleet.release()
        await fleet.over(seconds)
        await fleet.ended_right()
        await witness.saw_everything()
    await log_is_sound(system, since=witness.start)
    await slots_were_used(system, CAP, since=recorded)
    await picture_is_right(system)
    await nothing_runs(system)
    await is_healthy(system)
    # A workflow that does not let go of itself when the worker's cache drops it costs a thread for ever.
    lines = (system.home / "logs" / "worker.log").read_text().splitlines()
    assert not [line for line in lines if "eviction" in line]
    # The SDK's core has much to tell of servers that are away, and tells it as the worker does.
    assert not [line for line in lines if " WARN" in line and not line.startswith("{")]


async def lost(system: System, agents: list[str]) -> int:
    rows = await system.sql(
        "SELECT count(*) FROM agents WHERE reason = 'lost' AND status = 'failed' AND id = ANY (%s::uuid[])", agents
    )
    count: int = rows[0][0]
    return count


async def at_work(system: System) -> list[str]:
    return [row[0] for row in await system.sql("SELECT id::text FROM agents WHERE status = 'running'")]


async def all_at_work(system: System) -> list[str]:
    """Those of a fleet that is held, once they fill all slots."""

    async def full() -> list[str]:
        running = await at_work(system)
        assert len(running) == CAP
        await asyncio.sleep(1.0)  # those that are not held end by themselves, within half of that
        assert set(await at_work(system)) == set(running)
        return running

    running: list[str] = await eventually(full, 30)
    return running
