"""When a session's jobs are looked at and worked on, and how little that costs."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.testing import WorkflowEnvironment

from muster.domain.memory import Drained, JobKind
from tests.pace import Stopwatch
from tests.workflow.harness import closed, timers
from tests.workflow.memories import Memories, memories


@pytest.fixture
async def world(environment: WorkflowEnvironment) -> AsyncIterator[Memories]:
    async with memories(environment.client) as world:
        yield world


async def at(world: Memories, call: str, times: int = 1) -> None:
    waited = Stopwatch()
    while world.calls.count(call) < times:
        assert not waited.passed(30), world.calls
        await asyncio.sleep(0.01)


async def workflow_tasks(world: Memories) -> int:
    return len([
        event async for event in world.handle.fetch_history_events()
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    ])  # fmt: skip


async def test_a_burst_costs_one_drain_and_a_few_workflow_tasks(
    world: Memories, environment: WorkflowEnvironment
) -> None:
    world.debounce = 5
    with environment.with_time_skipping_disabled():  # or it would be over between two pokes
        for _ in range(20):
            await world.poke(100)
    assert await closed(world.handle) == "completed"
    assert world.done == 2000
    assert world.calls == ["look", "drain event", "look"]
    # One for each poke at most, though they are sent no closer than a second in truth.
    assert await workflow_tasks(world) <= 20 + 4
    assert await timers(world.handle) == [5]


async def test_whoever_waits_is_not_kept_waiting(world: Memories) -> None:
    world.debounce = 300
    await world.poke(at_once=True)
    assert await closed(world.handle) == "completed"
    assert await timers(world.handle) == []
    assert await workflow_tasks(world) <= 3
    # Also when events are being gathered already.
    await world.poke()
    await at(world, "look", 3)
    await world.poke(at_once=True)
    await at(world, "drain event", 2)
    assert await closed(world.handle) == "completed"
    assert world.done == 3


async def test_what_comes_during_a_drain_is_not_forgotten(world: Memories) -> None:
    world.gate.clear()
    await world.poke()
    await at(world, "drain event")
    await world.poke()
    await world.poke(kind=JobKind.SUMMARY)
    world.gate.set()
    assert await closed(world.handle) == "completed"
    assert world.done == 3
    assert world.open == {}


async def test_no_poke_is_lost_however_it_falls(world: Memories, environment: WorkflowEnvironment) -> None:
    """Also one that comes in the very moment in which the workflow ends."""
    world.debounce = 0
    chance = random.Random(7)
    for _ in range(60):
        await world.poke()
        await asyncio.sleep(chance.uniform(0, 0.06))
    waited = Stopwatch()
    while world.open or await closed(world.handle) != "completed":
        assert not waited.passed(30)
        await asyncio.sleep(0.05)
    assert world.done == 60


async def test_lanes_are_worked_on_side_by_side(world: Memories) -> None:
    world.gate.clear()
    world.open = {JobKind.EVENT: 2, JobKind.EVENT_BATCH: 1}
    await world.poke(at_once=True)
    await at(world, "drain event")
    await at(world, "drain event_batch")
    world.gate.set()
    assert await closed(world.handle) == "completed"
    assert world.done == 4


async def test_what_is_to_be_tried_again_is_waited_for(world: Memories) -> None:
    world.waits = 3600
    await world.poke(0)
    await at(world, "look")
    world.waits, world.open = None, {JobKind.EVENT: 1}
    assert await closed(world.handle) == "completed"
    assert (await timers(world.handle))[0] == 3600
    assert world.done == 1


async def test_a_poke_ends_such_a_wait(world: Memories, environment: WorkflowEnvironment) -> None:
    world.waits = 3600
    with environment.with_time_skipping_disabled():
        await world.poke(0)
        await at(world, "look")
        world.waits = None
        await world.poke(at_once=True)
        assert await closed(world.handle) == "completed"
    assert world.done == 1


async def test_a_paused_lane_is_left_alone(world: Memories) -> None:
    world.held = {JobKind.EVENT}
    for _ in range(3):
        await world.poke()
    assert await closed(world.handle) == "completed"
    assert set(world.calls) == {"look"}
    world.held = set()
    await world.poke(0)
    assert await closed(world.handle) == "completed"
    assert world.done == 3


async def test_a_provider_that_wants_to_be_left_alone_is(world: Memories) -> None:
    world.answers = [Drained(jobs=1, wait_seconds=900), Drained(jobs=2)]
    await world.poke(3, at_once=True)
    assert await closed(world.handle) == "completed"
    assert await timers(world.handle) == [900, 1]
    assert world.calls.count("drain event") == 2
    assert world.done == 3


async def test_who_knows_better_ends_such_a_pause_and_who_only_hurries_does_not(
    world: Memories, environment: WorkflowEnvironment
) -> None:
    world.answers = [Drained(jobs=1, wait_seconds=86_400)]
    with environment.with_time_skipping_disabled():
        await world.poke(2, at_once=True)
        await at(world, "drain event")
        await world.poke(0, at_once=True)
        await asyncio.sleep(1.0)
        assert world.calls.count("drain event") == 1
        await world.poke(0, anew=True)
        assert await closed(world.handle) == "completed"
    assert world.done == 2


async def test_what_a_drain_had_no_time_for_is_gone_on_with_at_once(world: Memories) -> None:
    world.answers = [Drained(jobs=10, left=1)] * 4
    await world.poke(50, at_once=True)
    assert await closed(world.handle) == "completed"
    assert await timers(world.handle) == []
    assert world.done == 50


async def test_a_long_life_goes_on_in_a_new_run(world: Memories) -> None:
    world.answers = [Drained(jobs=1, left=1)] * 149
    await world.poke(150, at_once=True)
    first = (await world.handle.describe()).run_id
    assert await closed(world.handle) == "completed"
    assert (await world.handle.describe()).run_id != first
    assert world.done == 150
