"""Attempts: how often, how long between them, and what counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from muster.domain.states import RETRYABLE, AgentStatus, Reason
from muster.domain.tasks import LOST_ATTEMPTS, Outcome
from tests.workflow.harness import Play, timers
from tests.workflow.stand_in import LOST, OK, failed


async def test_one_attempt_that_goes_well(world: Play) -> None:
    task = await world.task(OK)
    assert await world.ended(task) == "completed"
    assert world.calls == ["open_task create", "run_agent 1", "finish_task completed"]
    assert await timers(world.of(task)) == []


async def test_attempts_run_out(world: Play) -> None:
    task = await world.task(*[failed()] * 9, retry={"max_attempts": 3, "initial_seconds": 0})
    assert await world.ended(task) == "failed exit_nonzero"
    assert world.state(task) == ("failed", "exit_nonzero", 3)
    assert await timers(world.of(task)) == [], "no backoff, no timer"


async def backoff_doubles_up_to_its_longest(world: Play) -> None:
    policy = {"max_attempts": 5, "initial_seconds": 60, "factor": 3, "max_seconds": 400}
    task = await world.task(*[failed()] * 4, OK, retry=policy)
    assert await world.ended(task) == "completed"
    assert await timers(world.of(task)) == pytest.approx([60, 180, 400, 400], abs=1)
    assert world.state(task) == ("completed", None, 5)


async def lost_attempts_do_not_count_and_wait_longer_each_time(world: Play) -> None:
    task = await world.task(*[LOST] * (LOST_ATTEMPTS - 1), OK)  # of one attempt allowed
    assert await world.ended(task) == "completed"
    assert await timers(world.of(task)) == pytest.approx([1, 2, 4, 8], abs=0.9)


async def losses_run_out_too(world: Play) -> None:
    task = await world.task(*[LOST] * 9, retry={"max_attempts": 9})
    assert await world.ended(task) == "failed lost"
    assert world.tasks[task].attempts == LOST_ATTEMPTS


async def only_losses_in_a_row_count(world: Play) -> None:
    does = [*[LOST] * 3, failed(), *[LOST] * 3, OK]
    task = await world.task(*does, retry={"max_attempts": 2, "initial_seconds": 0})
    assert await world.ended(task) == "completed"
    assert world.tasks[task].attempts == 8


async def some_reasons_are_tried_again(world: Play) -> None:
    async def one(reason: Reason) -> None:
        task = await world.task(failed(reason), OK, retry={"max_attempts": 2, "initial_seconds": 5})
        again = reason in RETRYABLE
        assert await world.ended(task) == ("completed" if again else f"failed {reason}"), reason
        assert world.tasks[task].attempts == (2 if again else 1)

    await asyncio.gather(*(one(reason) for reason in Reason if reason != Reason.LOST))


async def test_waits_between_attempts(new_world: Callable[[], Play]) -> None:
    """Side by side, since a skipped wait still costs the server a second."""
    await asyncio.gather(
        backoff_doubles_up_to_its_longest(new_world()),
        lost_attempts_do_not_count_and_wait_longer_each_time(new_world()),
        losses_run_out_too(new_world()),
        only_losses_in_a_row_count(new_world()),
        some_reasons_are_tried_again(new_world()),
    )


async def test_an_attempt_that_took_too_long_is_tried_again(world: Play) -> None:
    late = Outcome(status=AgentStatus.FAILED, reason=Reason.TIMEOUT, error="took longer than 5 s")
    task = await world.task(late, OK, seconds=5, retry={"max_attempts": 2, "initial_seconds": 1})
    assert await world.ended(task) == "completed"


async def test_a_retry_by_a_person_starts_counting_anew(world: Play) -> None:
    does = [failed(), failed(), failed(), OK]
    task = await world.task(*does, retry={"max_attempts": 2, "initial_seconds": 0})
    assert await world.ended(task) == "failed exit_nonzero"
    await world.submit(None, mode="retry", task_id=task)
    assert await world.ended(task) == "completed"
    assert world.state(task) == ("completed", None, 4)


async def test_a_respawn_answers_with_the_agent(world: Play) -> None:
    task = await world.task(failed(), OK)
    assert await world.ended(task) == "failed exit_nonzero"
    submitted = await world.submit(None, mode="respawn", task_id=task)
    assert submitted.agent_id == world.tasks[task].agent
    assert await world.ended(task) == "completed"
