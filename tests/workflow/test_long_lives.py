"""What a life carries from one run of its workflow into the next, and what an operator's reset does to it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType, ResetReapplyType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from muster.domain.agents import AgentStart
from muster.domain.ids import new_id
from muster.domain.tasks import LOST_ATTEMPTS, CancelRequest, Outcome
from tests.pace import stretched
from tests.workflow.harness import Play, make_worker, timers
from tests.workflow.stand_in import LOST, OK, Activities, failed


async def live_long(world: Play, task: Any) -> str:
    """Wake it until it has continued as new; answers with the id of the new run."""
    first = run = (await world.of(task).describe()).run_id
    while run == first:
        await world.of(task).signal("wake")
        await asyncio.sleep(0.01)
        run = (await world.of(task).describe()).run_id
    return run


@pytest.fixture
def one_slot(new_world: Callable[..., Play]) -> Play:
    return new_world(slots=1)


def then_no_slot(world: Play, outcome: Outcome) -> Callable[[AgentStart], Any]:
    async def run(start: AgentStart) -> Outcome:
        world.slots = 0
        return outcome

    return run


async def test_failures_and_the_deadline_go_along(one_slot: Play, environment: WorkflowEnvironment) -> None:
    world = one_slot
    with environment.with_time_skipping_disabled():
        task = await world.task(
            then_no_slot(world, failed()), failed(), OK,
            retry={"max_attempts": 2, "initial_seconds": 0}, timeout_seconds=5000,
        )  # fmt: skip
    await world.until(lambda: world.slots == 0 and world.tasks[task].queued)
    await asyncio.sleep(0.3)
    run = await live_long(world, task)
    next_run = world.client.get_workflow_handle(world.of(task).id, run_id=run)
    while not (whole_task := await timers(next_run)):  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    assert whole_task == pytest.approx([4990], abs=10)
    assert whole_task[0] < 4999.9, "the same end, not a new allowance"
    world.slots = 1
    await world.of(task).signal("wake")
    assert await world.ended(task) == "failed exit_nonzero"
    assert world.tasks[task].attempts == 2


async def test_losses_go_along(one_slot: Play) -> None:
    world = one_slot
    task = await world.task(LOST, then_no_slot(world, LOST), *[LOST] * 9)
    await world.until(lambda: world.slots == 0 and world.tasks[task].queued)
    await live_long(world, task)
    world.slots = 1
    await world.of(task).signal("wake")
    assert await world.ended(task) == "failed lost"
    assert world.tasks[task].attempts == LOST_ATTEMPTS


async def test_a_backoff_is_waited_out_in_the_next_run(world: Play, environment: WorkflowEnvironment) -> None:
    with environment.with_time_skipping_disabled():
        task = await world.task(failed(), OK, retry={"max_attempts": 2, "initial_seconds": stretched(3)})
    await world.until(lambda: any(call.startswith("reschedule") for call in world.calls))
    await live_long(world, task)
    assert world.state(task) == ("pending", None, 1), "woken, and not tried before its time"
    assert await world.ended(task) == "completed"


async def test_whoever_asks_again_after_that_gets_an_answer(new_world: Callable[..., Play]) -> None:
    world = new_world(slots=0)
    task_id = new_id()
    answer = await world.submit(world.spec(), OK, task_id=task_id, update_id="submit")
    await live_long(world, task_id)
    assert await world.submit(world.spec(), OK, task_id=task_id, update_id="submit") == answer
    await world.of(task_id).execute_update("cancel", CancelRequest(by=world.by))
    assert await world.ended(task_id) == "failed cancelled"


async def test_lives_that_leave_the_cache_leave_the_worker(
    environment: WorkflowEnvironment, activities: Activities, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker that has no room evicts whoever waits: by cancelling its code, which must let itself be ended."""
    world = Play(environment.client, slots=2)
    world.queue = f"small-{new_id()}"
    activities.worlds[world.workspace] = world
    before = threading.active_count()
    async with make_worker(environment.client, activities, world.queue, max_cached_workflows=2):
        running = [await world.task(world.until_killed) for _ in range(2)]
        waiting = [await world.task(OK) for _ in range(6)]
        for task in running:
            await world.running(task)
        await asyncio.sleep(3)  # what is not gone after two seconds is reported
        assert "eviction" not in caplog.text
        for task in running:
            await world.kill(task)
        assert [await world.ended(task) for task in running] == ["failed killed"] * 2
        assert [await world.ended(task) for task in waiting] == ["completed"] * 6
    assert "eviction" not in caplog.text
    assert threading.active_count() <= before + 2


async def reset(world: Play, handle: WorkflowHandle[Any, Any]) -> None:
    """To its first workflow task, as `temporal workflow reset --type FirstWorkflowTask` does."""
    events = [event async for event in handle.fetch_history_events()]
    first = next(event for event in events if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED)
    described = await handle.describe()
    await world.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=world.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=handle.id, run_id=described.run_id),
            reason="a test",
            workflow_task_finish_event_id=first.event_id,
            request_id=str(new_id()),
            reset_reapply_type=ResetReapplyType.RESET_REAPPLY_TYPE_NONE,
        )
    )


async def test_a_reset_under_a_running_agent_ends_in_good_order(world: Play) -> None:
    """Its agent has another parent now: it is ended, and the task goes on or says that it was killed."""
    task = await world.task(world.until_killed, OK)
    await world.running(task)
    await reset(world, world.of(task))
    assert await world.ended(task) in ("completed", "failed killed")
    await world.until(lambda: world.free() == world.slots)
    assert await world.agent(task).describe()


async def test_a_reset_of_what_is_over_says_again_how_it_ended(world: Play) -> None:
    good, bad = await world.task(OK), await world.task(failed())
    for task, end in ((good, "completed"), (bad, "failed exit_nonzero")):
        assert await world.ended(task) == end
        await reset(world, world.of(task))
        assert await world.ended(task) == end
        assert world.tasks[task].attempts == 1, "nothing runs again"
