"""Kill, cancel and stop, at every moment of a life: whoever is told to end does, and the task says why."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from muster.domain.agents import AgentStart
from muster.domain.ids import new_id
from muster.domain.states import AgentStatus, Reason, TaskStatus
from muster.domain.tasks import CancelRequest, Grant, KillAllStart, KillRequest, Outcome, SpawnRequest
from tests.pace import stretched
from tests.workflow.harness import Play, closed, make_worker
from tests.workflow.stand_in import LOST, OK, Activities, failed
from workflows.fleet import KillAllWorkflow

End = Callable[[Play, object], Awaitable[None]]


async def cancel(world: Play, task: object) -> None:
    await world.of(task).execute_update("cancel", CancelRequest(by=world.by, reason="changed my mind"))  # type: ignore[arg-type]


async def cancel_in_the_web_ui(world: Play, task: object) -> None:
    await world.of(task).cancel()  # type: ignore[arg-type]


async def abort(world: Play, task: object) -> None:
    await world.of(task).signal("abort", "its parent task is over")  # type: ignore[arg-type]


def refused_as(error: WorkflowUpdateFailedError) -> str | None:
    assert isinstance(error.cause, ApplicationError)
    return error.cause.type


# -- Stopping the task ------------------------------------------------------------------------------------------


@pytest.fixture(params=[cancel, cancel_in_the_web_ui, abort], ids=lambda way: way.__name__)
def stop(request: pytest.FixtureRequest) -> End:
    return request.param  # type: ignore[no-any-return]


def canceled(stop: End) -> str:
    return "canceled" if stop is cancel_in_the_web_ui else "failed cancelled"


async def test_stopped_while_it_waits_for_a_slot(new_world: Callable[..., Play], stop: End) -> None:
    world = new_world(slots=0)
    task = await world.task()
    await stop(world, task)
    assert await world.ended(task) == canceled(stop)
    assert world.state(task) == ("failed", "cancelled", 0)


async def test_stopped_before_it_is_recorded(world: Play, stop: End) -> None:
    """The row comes to be, and says what became of it."""
    release = world.hold("open_task")
    task_id = new_id()
    submitting = asyncio.ensure_future(world.submit(world.spec(), world.until_killed, task_id=task_id))
    await world.at("open_task")
    stopping = asyncio.ensure_future(stop(world, task_id))
    await asyncio.sleep(0.1)
    release.set()
    await asyncio.gather(submitting, stopping)
    assert await world.ended(task_id) == canceled(stop)
    assert world.state(task_id)[:2] == ("failed", "cancelled")
    assert world.free() == 20


async def test_stopped_before_its_activity_started(world: Play, stop: End) -> None:
    release = world.hold("run_agent")
    task = await world.task(world.until_killed)
    await world.at("run_agent")
    await stop(world, task)
    await world.until(lambda: any(call.startswith("ask_kill") for call in world.calls))
    release.set()
    assert await world.ended(task) == canceled(stop)
    assert (world.state(task), world.free()) == (("failed", "cancelled", 1), 20)


async def test_stopped_while_its_agent_runs(world: Play, stop: End) -> None:
    task = await world.task(world.until_killed)
    await world.running(task)
    await stop(world, task)
    assert await world.ended(task) == canceled(stop)
    assert world.state(task) == ("failed", "cancelled", 1)
    agent = world.agents_of(task)[0]
    assert agent.wish
    assert (agent.status, agent.wish.cause) == ("killed", "cancelled")
    assert await closed(world.agent(task)) in ("completed", "canceled", "failed cancelled")


async def test_stopped_while_it_waits_out_a_backoff(world: Play, environment: WorkflowEnvironment, stop: End) -> None:
    with environment.with_time_skipping_disabled():
        task = await world.task(failed(), retry={"max_attempts": 2, "initial_seconds": 86_400})
    await world.until(lambda: any(call.startswith("reschedule") for call in world.calls))
    await stop(world, task)
    assert await world.ended(task) == canceled(stop)
    assert world.state(task) == ("failed", "cancelled", 1)


async def test_stopped_while_it_finishes_the_end_stands(world: Play, stop: End) -> None:
    release = world.hold("finish_task")
    task = await world.task(OK)
    await world.at("finish_task")
    stopping = asyncio.ensure_future(stop(world, task))
    await asyncio.sleep(0.1)
    release.set()
    await asyncio.gather(stopping, return_exceptions=True)
    assert await world.ended(task) == "completed"
    assert world.state(task) == ("completed", None, 1)


async def test_cancelling_what_is_over_is_refused(world: Play) -> None:
    task = await world.task(OK)
    assert await world.ended(task) == "completed"
    with pytest.raises((WorkflowUpdateFailedError, RPCError)):
        await cancel(world, task)


async def test_the_first_stop_says_why(world: Play) -> None:
    task = await world.task(world.until_killed)
    await world.running(task)
    await asyncio.gather(cancel(world, task), abort(world, task), cancel_in_the_web_ui(world, task))
    assert (await world.ended(task)) in ("failed cancelled", "canceled")
    assert world.calls.count("ask_kill cancelled") == 1


async def test_cancelling_a_parent_cancels_its_subtasks(world: Play) -> None:
    parent = await world.task(runs=False)
    child = await world.task(world.until_killed, parent_id=parent)
    await world.running(child)
    await cancel(world, parent)
    assert await world.ended(parent) == "failed cancelled"
    assert await world.ended(child) == "failed cancelled"


# -- Killing the agent ------------------------------------------------------------------------------------------


async def test_a_kill_fails_the_task(world: Play) -> None:
    task = await world.task(world.until_killed, retry={"max_attempts": 5})
    await world.running(task)
    await world.kill(task, reason="enough")
    assert await world.ended(task) == "failed killed"
    assert world.state(task) == ("failed", "killed", 1)
    assert world.tasks[task].error == "enough"


async def test_a_kill_that_wants_another_attempt_gets_one(world: Play) -> None:
    task = await world.task(world.until_killed, OK, retry={"max_attempts": 2, "initial_seconds": 60})
    await world.running(task)
    await world.kill(task, retry=True)
    assert await world.ended(task) == "completed"
    assert "reschedule_task after 1, 0 s" in world.calls, "at once: nothing was wrong with it"


async def test_a_kill_that_wants_another_attempt_when_none_is_left(world: Play) -> None:
    task = await world.task(world.until_killed)
    await world.running(task)
    await world.kill(task, retry=True)
    assert await world.ended(task) == "failed killed"


async def test_killed_when_its_worker_dies_over_it(world: Play) -> None:
    """Whoever wanted it gone decides, also then."""

    async def dies(start: AgentStart) -> Outcome:
        await world.until_killed(start)
        return LOST

    task = await world.task(dies)
    await world.running(task)
    await world.kill(task)
    assert await world.ended(task) == "failed killed"


async def test_killed_before_its_activity_started(world: Play) -> None:
    release = world.hold("run_agent")
    task = await world.task(world.until_killed)
    await world.at("run_agent")
    await world.kill(task)
    release.set()
    assert await world.ended(task) == "failed killed"


async def test_killed_while_it_ends_by_itself_the_first_end_stands(world: Play) -> None:
    async def ends(start: AgentStart) -> Outcome:
        await world.until_killed(start)
        return OK

    task = await world.task(ends)
    await world.running(task)
    await world.kill(task)
    assert await world.ended(task) == "completed"


async def test_killed_while_it_fails_by_itself_its_task_says_why_and_is_not_tried_again(world: Play) -> None:
    async def fails(start: AgentStart) -> Outcome:
        await world.until_killed(start)
        return Outcome(status=AgentStatus.FAILED, reason=Reason.EXIT_NONZERO, error="exited with code 7")

    task = await world.task(fails, retry={"max_attempts": 5})
    await world.running(task)
    await world.kill(task, reason="enough")
    assert await world.ended(task) == "failed exit_nonzero"
    assert world.state(task) == ("failed", "exit_nonzero", 1)
    assert world.tasks[task].error == "exited with code 7"


async def test_a_kill_of_what_has_ended_finds_nobody(world: Play) -> None:
    task = await world.task(OK)
    assert await world.ended(task) == "completed"
    with pytest.raises((WorkflowUpdateFailedError, RPCError)):
        await world.kill(task)


async def test_a_kill_that_is_refused_is_told_so(world: Play) -> None:
    task = await world.task(world.until_killed)
    await world.running(task)
    world.broken["ask_kill"] = [ApplicationError("no", type="not_found", non_retryable=True)]
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await world.kill(task)
    assert refused_as(refused.value) == "not_found"
    await world.kill(task)
    assert await world.ended(task) == "failed killed"


async def test_a_cancelled_agent_workflow_is_a_killed_agent(world: Play) -> None:
    task = await world.task(world.until_killed)
    await world.running(task)
    await world.agent(task).cancel()
    assert await world.ended(task) == "failed killed"
    assert world.agents_of(task)[0].status == "killed"


async def test_a_terminated_agent_workflow_is_a_lost_agent(world: Play) -> None:
    async def dies_slowly(start: AgentStart) -> Outcome:
        outcome = await world.until_killed(start)
        await asyncio.sleep(stretched(0.5))
        return outcome

    task = await world.task(dies_slowly, OK)
    await world.running(task)
    await world.agent(task).terminate("by an operator")
    assert await world.ended(task) == "completed"
    assert world.state(task) == ("completed", None, 2)
    assert [agent.status for agent in world.agents_of(task)] == ["failed", "completed"]


async def test_a_terminated_task_workflow_ends_its_agent(world: Play) -> None:
    task = await world.task(world.until_killed)
    await world.running(task)
    agent = world.agent(task)
    await world.of(task).terminate("by an operator")
    await closed(agent)
    assert world.agents_of(task)[0].status == "killed"


# -- A worker that is away at the wrong moment ------------------------------------------------------------------


@pytest.fixture
async def away(environment: WorkflowEnvironment, activities: Activities) -> tuple[Play, Callable[..., Worker]]:
    """A world whose worker comes and goes."""
    world = Play(environment.client)
    world.queue = f"away-{new_id()}"
    activities.worlds[world.workspace] = world
    return world, lambda **options: make_worker(environment.client, activities, world.queue, **options)


@pytest.mark.parametrize("stop", [abort, cancel_in_the_web_ui])
async def test_stopped_when_its_agent_is_gone_already(away: tuple[Play, Callable[..., Worker]], stop: End) -> None:
    """The message to the agent finds nobody; the task ends all the same."""
    world, worker = away
    async with worker():
        task = await world.task(world.until_killed)
        await world.running(task)
        agent = world.agent(task)
    await agent.terminate("by an operator")
    await stop(world, task)
    async with worker():
        assert await world.ended(task) == canceled(stop)
        assert world.state(task) == ("failed", "cancelled", 1)


async def test_killed_while_nobody_has_started_it(away: tuple[Play, Callable[..., Worker]]) -> None:
    """It has a slot and a workflow, and no worker took it up yet."""
    world, worker = away
    async with worker(no_remote_activities=True):
        task = await world.task(world.until_killed)
        await world.until(lambda: len(world.agents_of(task)) == 1)
        await asyncio.sleep(0.1)
        await world.kill(task, reason="enough")
        assert await world.ended(task) == "failed killed"
    assert (world.agents_of(task)[0].status, world.tasks[task].error) == ("killed", "enough")
    assert not any(call.startswith("run_agent") for call in world.calls)


async def test_kill_all(world: Play) -> None:
    tasks = [await world.task(world.until_killed) for _ in range(3)]
    done = await world.task(OK)
    for task in tasks:
        await world.running(task)
    assert await world.ended(done) == "completed"
    result = await world.client.execute_workflow(
        KillAllWorkflow.run,
        KillAllStart(workspace_id=world.workspace, by=world.by, request=KillRequest(grace_seconds=0)),
        id=f"kill-all-{world.workspace}", task_queue=world.queue,
    )  # fmt: skip
    assert (result.asked, result.killed, result.ended) == (3, 3, 0)
    assert [await world.ended(task) for task in tasks] == ["failed killed"] * 3


# -- Time --------------------------------------------------------------------------------------------------------


async def test_the_whole_task_takes_too_long_while_it_waits(new_world: Callable[..., Play]) -> None:
    world = new_world(slots=0)
    task = await world.task(timeout_seconds=3600)
    assert await world.ended(task) == "failed timeout"
    assert world.tasks[task].error == "the task took longer than its 3600 s"


async def test_the_whole_task_takes_too_long_while_its_agent_runs(world: Play) -> None:
    task = await world.task(world.until_killed, timeout_seconds=0.5, retry={"max_attempts": 5})
    assert await world.ended(task) == "failed timeout"
    assert world.state(task) == ("failed", "timeout", 1)
    assert world.agents_of(task)[0].status == "killed"


async def test_the_whole_task_takes_too_long_over_its_retries(world: Play) -> None:
    task = await world.task(*[failed()] * 9, timeout_seconds=200, retry={"max_attempts": 9, "initial_seconds": 100})
    assert await world.ended(task) == "failed timeout"
    assert world.tasks[task].attempts == 2


# -- Grants ------------------------------------------------------------------------------------------------------


async def test_old_and_repeated_grants_change_nothing(world: Play) -> None:
    async def forged(start: AgentStart) -> Outcome:
        again = Grant(task_id=start.task_id, agent_id=start.agent_id, attempt=start.attempt)
        for _ in range(3):
            await world.of(start.task_id).signal("granted", again)
        await world.of(start.task_id).signal("granted", Grant(task_id=start.task_id, agent_id=new_id(), attempt=0))
        return failed()

    task = await world.task(forged, OK, retry={"max_attempts": 2, "initial_seconds": 0})
    assert await world.ended(task) == "completed"
    assert sum(call.startswith("run_agent") for call in world.calls) == 2


async def test_a_lost_grant_is_found_when_somebody_wakes_it(new_world: Callable[..., Play]) -> None:
    world = new_world(slots=1)
    world.silent = True
    first = await world.task(world.until_killed)
    second = await world.task(OK)
    await world.running(first)
    await world.kill(first)
    assert await world.ended(first) == "failed killed"
    await world.until(lambda: world.tasks[second].attempts == 1)
    await asyncio.sleep(0.1)
    assert not world.over(second), "nobody told it"
    await world.of(second).signal("wake")
    assert await world.ended(second) == "completed"


async def test_a_freed_slot_wakes_the_next(new_world: Callable[..., Play]) -> None:
    world = new_world(slots=1)
    tasks = [await world.task(OK) for _ in range(4)]
    assert [await world.ended(task) for task in tasks] == ["completed"] * 4


# -- The door ----------------------------------------------------------------------------------------------------


async def test_a_refusal_at_the_door(new_world: Callable[..., Play]) -> None:
    world = new_world(slots=0)
    with pytest.raises(WorkflowUpdateFailedError) as full:
        await world.task(mode="spawn")
    assert refused_as(full.value) == "workspace_full"
    with pytest.raises(WorkflowUpdateFailedError) as unknown:
        await world.task(depends_on=[new_id()])
    assert refused_as(unknown.value) == "unknown_reference"
    refused = new_id()
    with pytest.raises(WorkflowUpdateFailedError):
        await world.submit(world.spec(), mode="spawn", task_id=refused)
    assert await world.ended(refused) == "failed workspace_full"


async def test_submitting_twice_is_one_task(world: Play) -> None:
    task_id = new_id()
    answers = [await world.submit(world.spec(), OK, task_id=task_id, update_id="submit") for _ in range(2)]
    assert answers[0] == answers[1]
    assert await world.ended(task_id) == "completed"
    assert world.calls.count("open_task create") == 1


async def test_spawning_a_task_that_waits(new_world: Callable[..., Play]) -> None:
    world = new_world(slots=0)
    task = await world.task(OK)
    with pytest.raises(WorkflowUpdateFailedError) as full:
        await world.of(task).execute_update("spawn", SpawnRequest(by=world.by))
    assert refused_as(full.value) == "workspace_full"
    world.slots = 1
    answer = await world.of(task).execute_update("spawn", SpawnRequest(by=world.by))
    assert answer["agent_id"] == str(world.tasks[task].agent)
    assert await world.ended(task) == "completed"


async def test_a_store_that_is_away_for_a_moment_is_asked_again(world: Play) -> None:
    gone = ApplicationError("Postgres does not answer", type="unavailable")
    world.broken = {step: [gone] for step in ("open_task", "finish_task")}
    task = await world.task(OK)
    assert await world.ended(task) == "completed"


async def test_a_task_that_somebody_else_ended_is_over(world: Play) -> None:
    """A sweep that believed this workflow gone recorded it as lost."""
    task = await world.task(world.until_killed)
    await world.running(task)
    row = world.tasks[task]
    row.status, row.reason, row.error = TaskStatus.FAILED, Reason.LOST, "believed gone"
    await cancel(world, task)
    assert await world.ended(task) == "failed lost"
    assert "finish_task cancelled" in world.calls, "which was refused"


# -- Dependencies and subtasks -----------------------------------------------------------------------------------


async def test_dependents_wait_and_go_on(world: Play) -> None:
    first = await world.task(world.until_killed)
    second = await world.task(OK, depends_on=[first])
    third = await world.task(OK, depends_on=[first, second])
    await world.running(first)
    assert world.state(second) == ("pending", None, 0)
    await world.kill(first)
    assert [await world.ended(task) for task in (first, second, third)] == [
        "failed killed", "failed dependency_failed", "failed dependency_failed",
    ]  # fmt: skip
    late = await world.task(OK, depends_on=[first])
    assert await world.ended(late) == "failed dependency_failed"
    good = await world.task(OK)
    after = await world.task(OK, depends_on=[good])
    assert await world.ended(after) == "completed"


async def test_a_parent_ends_with_its_subtasks(world: Play) -> None:
    parent = await world.task(runs=False)
    children = [await world.task(OK, parent_id=parent) for _ in range(3)]
    assert [await world.ended(child) for child in children] == ["completed"] * 3
    assert await world.ended(parent) == "completed"
