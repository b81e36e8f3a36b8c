from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from muster.domain.ids import new_id
from muster.runners.command import Command
from muster.runners.marks import worker_mark
from muster.runners.tree import Forest


@pytest.fixture
async def forest() -> AsyncIterator[Forest]:
    forest = Forest(worker_mark(f"test {new_id()}"))
    yield forest
    assert forest.orphans() == []
    assert forest._own_roots() == []


@pytest.fixture
def command(forest: Forest) -> Command:
    return Command(forest)
