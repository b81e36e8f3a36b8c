"""One time-skipping server and one worker for all of these tests; a world for each."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable

import pytest
from temporalio.testing import WorkflowEnvironment

from tests.workflow.harness import Play, make_worker, server
from tests.workflow.stand_in import Activities

# What a developer's own shell may point at must not reach the tests.
for name in [name for name in os.environ if name.startswith("TEMPORAL_")]:
    os.environ.pop(name)


@pytest.fixture(scope="session")
async def environment() -> AsyncIterator[WorkflowEnvironment]:
    async with server() as environment:
        yield environment


@pytest.fixture(scope="session")
async def activities(environment: WorkflowEnvironment) -> AsyncIterator[Activities]:
    activities = Activities()
    async with make_worker(environment.client, activities):
        yield activities


@pytest.fixture
def new_world(environment: WorkflowEnvironment, activities: Activities) -> Callable[..., Play]:
    def make(slots: int = 20) -> Play:
        world = Play(environment.client, slots)
        activities.worlds[world.workspace] = world
        return world

    return make


@pytest.fixture
def world(new_world: Callable[..., Play]) -> Play:
    return new_world()
