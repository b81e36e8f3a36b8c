"""Lives whose histories are kept: each way through the workflows once. Real runs on a real server, in real time.

Each ends by itself and always gives the same commands, so that two runs can be compared.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.client import (
    WithStartWorkflowOperation,
    WorkflowHandle,
    WorkflowHistory,
    WorkflowUpdateFailedError,
)
from temporalio.common import WorkflowIDConflictPolicy

from muster.domain.agents import AgentStart
from muster.domain.fleet import Admission, Admit, LimitsChanged, StopStart
from muster.domain.forgetting import Expiry
from muster.domain.memory import Drained
from muster.domain.states import FINAL_AGENT
from muster.domain.tasks import CancelRequest, KillAllStart, Outcome, SpawnRequest
from tests.workflow.harness import Play, closed
from tests.workflow.memories import memories
from tests.workflow.stand_in import LOST, OK, failed
from workflows.fleet import AdmitWorkflow, ApplyLimitsWorkflow, KillAllWorkflow, StopWorkspaceWorkflow
from workflows.memory import MemorySweepWorkflow
from workflows.memory_retention import MemoryRetentionWorkflow

Handles = dict[str, WorkflowHandle[Any, Any]]
Scenario = Callable[[Play], Awaitable[Handles]]
SCENARIOS: dict[str, Scenario] = {}


def scenario(play: Scenario) -> Scenario:
    SCENARIOS[play.__name__] = play
    return play


async def over(world: Play, **tasks: Any) -> Handles:
    handles = {}
    for name, task in tasks.items():
        await world.ended(task)
        handles[name] = world.of(task)
    return handles


@scenario
async def completed(world: Play) -> Handles:
    task = await world.task(OK)
    return {**await over(world, task=task), "agent": world.agent(task)}


@scenario
async def tried_again(world: Play) -> Handles:
    task = await world.task(failed(), OK, retry={"max_attempts": 2, "initial_seconds": 0.2})
    return await over(world, task=task)


@scenario
async def tried_again_at_once(world: Play) -> Handles:
    task = await world.task(failed(), failed(), retry={"max_attempts": 2, "initial_seconds": 0})
    return await over(world, task=task)


@scenario
async def lost(world: Play) -> Handles:
    """Its worker says nothing any more."""

    async def silent(start: AgentStart) -> Outcome:
        await asyncio.sleep(3)
        return LOST

    world.heartbeat_timeout = 1.0
    task = await world.task(silent, OK)
    first = await first_agent(world, task)
    return {**await over(world, task=task), "agent": first}


async def first_agent(world: Play, task: Any) -> WorkflowHandle[Any, Any]:
    await world.until(lambda: world.tasks[task].attempts == 1)
    return world.agent(task)


@scenario
async def killed(world: Play) -> Handles:
    task = await world.task(world.until_killed)
    await world.running(task)
    await world.kill(task, reason="enough")
    return {**await over(world, task=task), "agent": world.agent(task)}


@scenario
async def killed_and_tried_again(world: Play) -> Handles:
    task = await world.task(world.until_killed, OK, retry={"max_attempts": 2})
    await world.running(task)
    await world.kill(task, retry=True)
    return await over(world, task=task)


@scenario
async def cancelled(world: Play) -> Handles:
    task = await world.task(world.until_killed)
    await world.running(task)
    await world.of(task).execute_update("cancel", CancelRequest(by=world.by))
    return {**await over(world, task=task), "agent": world.agent(task)}


@scenario
async def cancelled_in_the_queue(world: Play) -> Handles:
    world.slots = 0
    task = await world.task()
    await world.of(task).execute_update("cancel", CancelRequest(by=world.by))
    return await over(world, task=task)


@scenario
async def cancelled_by_an_operator(world: Play) -> Handles:
    task = await world.task(world.until_killed)
    await world.running(task)
    await world.of(task).cancel()
    return {**await over(world, task=task), "agent": world.agent(task)}


@scenario
async def agent_cancelled_by_an_operator(world: Play) -> Handles:
    task = await world.task(world.until_killed)
    await world.running(task)
    await world.agent(task).cancel()
    return {**await over(world, task=task), "agent": world.agent(task)}


@scenario
async def agent_terminated_by_an_operator(world: Play) -> Handles:
    async def dies_slowly(start: AgentStart) -> Outcome:
        outcome = await world.until_killed(start)
        # However slow this machine is, its task gave it up before it ended.
        await world.until(lambda: world.agents[start.agent_id].status in FINAL_AGENT)
        return outcome

    task = await world.task(dies_slowly, OK)
    await world.running(task)
    await world.agent(task).terminate("by an operator")
    return await over(world, task=task)


@scenario
async def took_too_long(world: Play) -> Handles:
    task = await world.task(world.until_killed, timeout_seconds=1)
    return await over(world, task=task)


@scenario
async def refused(world: Play) -> Handles:
    world.slots = 0
    task_id = world.workspace
    try:
        await world.submit(world.spec(), mode="spawn", task_id=task_id)
    except WorkflowUpdateFailedError:
        return {"task": world.of(task_id)}
    raise AssertionError("it was not refused")


@scenario
async def granted_later(world: Play) -> Handles:
    world.slots = 1
    first = await world.task(world.until_killed)
    second = await world.task(OK)
    await world.running(first)
    await world.kill(first)
    return await over(world, task=second)


@scenario
async def spawned_from_the_queue(world: Play) -> Handles:
    world.slots = 0
    task = await world.task(OK)
    world.slots = 1
    await world.of(task).execute_update("spawn", SpawnRequest(by=world.by))
    return await over(world, task=task)


@scenario
async def retried_by_a_person(world: Play) -> Handles:
    task = await world.task(failed(), OK)
    await world.ended(task)
    await world.submit(None, mode="retry", task_id=task)
    return await over(world, task=task)


@scenario
async def dependency_failed(world: Play) -> Handles:
    first = await world.task(world.until_killed)
    task = await world.task(depends_on=[first])
    await world.running(first)
    await world.kill(first)
    return await over(world, task=task)


@scenario
async def parent(world: Play) -> Handles:
    task = await world.task(runs=False)
    child = await world.task(OK, parent_id=task)
    return await over(world, task=task, child=child)


@scenario
async def continued_as_new(world: Play) -> Handles:
    world.slots = 0
    task = await world.task(OK)
    first = run = (await world.of(task).describe()).run_id
    while run == first:
        await world.of(task).signal("wake")
        await asyncio.sleep(0.01)
        run = (await world.of(task).describe()).run_id
    await world.until(lambda: "open_task resume" in world.calls)
    world.slots = 1
    await world.of(task).signal("wake")
    await world.ended(task)
    return {
        "first": world.client.get_workflow_handle(world.of(task).id, run_id=first),
        "second": world.client.get_workflow_handle(world.of(task).id, run_id=run),
    }


@scenario
async def kill_all(world: Play) -> Handles:
    task = await world.task(world.until_killed)
    await world.running(task)
    handle = await world.client.start_workflow(
        KillAllWorkflow.run, KillAllStart(workspace_id=world.workspace, by=world.by),
        id=f"kill-all-{world.workspace}", task_queue=world.queue,
    )  # fmt: skip
    await closed(handle)
    await world.ended(task)
    return {"fleet": handle, "agent": world.agent(task)}


@scenario
async def stop_and_resume(world: Play) -> Handles:
    task = await world.task(world.until_killed)
    await world.running(task)
    start = StopStart(workspace_id=world.workspace, by=world.by)
    operation = WithStartWorkflowOperation(
        StopWorkspaceWorkflow.run, start, id=f"stop-{world.workspace}", task_queue=world.queue,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
    )  # fmt: skip
    await world.client.execute_update_with_start_workflow(
        StopWorkspaceWorkflow.closed, start_workflow_operation=operation
    )
    waiting = await world.task(OK)
    stopping = await operation.workflow_handle()
    await closed(stopping)
    await world.ended(task)
    admit = Admit(workspace_id=world.workspace, by=world.by, admission=Admission.OPEN)
    resuming = await world.client.start_workflow(
        AdmitWorkflow.run, admit, id=f"resume-{world.workspace}", task_queue=world.queue
    )
    await world.ended(waiting)
    return {"stop": stopping, "resume": resuming, "agent": world.agent(task), "waiting": world.of(waiting)}


@scenario
async def limits_raised(world: Play) -> Handles:
    world.slots = 0
    task = await world.task(OK)
    world.slots = 1
    handle = await world.client.start_workflow(
        ApplyLimitsWorkflow.run, LimitsChanged(workspace_id=world.workspace),
        id=f"limits-{world.workspace}", task_queue=world.queue,
    )  # fmt: skip
    await world.ended(task)
    return {"limits": handle, "task": world.of(task)}


@scenario
async def remembered(world: Play) -> Handles:
    """A session's jobs: let gather, worked on, waited for, worked on again."""
    async with memories(world.client) as session:
        session.debounce = 0.2
        session.answers = [Drained(jobs=1, wait_seconds=0.5), Drained(jobs=1, left=1)]
        await session.poke(3)
        await closed(session.handle)
        first = world.client.get_workflow_handle(session.handle.id, run_id=(await session.handle.describe()).run_id)
        session.waits, looks = 0.5, session.calls.count("look")
        await session.poke(0)
        while session.calls.count("look") == looks:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        session.waits = None
        await closed(session.handle)
        return {"session": first, "waiting": session.handle}


@scenario
async def memory_swept(world: Play) -> Handles:
    async with memories(world.client) as session:
        handle = await world.client.start_workflow(
            MemorySweepWorkflow.run, id=f"memory-sweep-{session.session}", task_queue=session.queue
        )
        await closed(handle)
        return {"sweep": handle}


@scenario
async def memory_expired(world: Play) -> Handles:
    async with memories(world.client) as session:
        handle = await world.client.start_workflow(
            MemoryRetentionWorkflow.run, Expiry(), id=f"memory-retention-{session.session}", task_queue=session.queue
        )
        await closed(handle)
        return {"retention": handle}


async def histories(play: Scenario, world: Play) -> dict[str, WorkflowHistory]:
    handles = await play(world)
    for handle in handles.values():
        await closed_run(handle)
    return {f"{play.__name__}.{name}": await handle.fetch_history() for name, handle in handles.items()}


async def closed_run(handle: WorkflowHandle[Any, Any]) -> None:
    while (await handle.describe()).close_time is None:  # noqa: ASYNC110
        await asyncio.sleep(0.02)


def fingerprint(history: WorkflowHistory) -> list[str]:
    """Its commands in order, as far as replay compares them: what, and of which type."""
    found: list[str] = []
    for event in history.events:
        match event.event_type:
            case EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                found.append(f"activity {event.activity_task_scheduled_event_attributes.activity_type.name}")
            case EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED:
                found.append("cancel activity")
            case EventType.EVENT_TYPE_MARKER_RECORDED:
                marker = event.marker_recorded_event_attributes
                found.append(
                    _marker(
                        marker.marker_name, {k: v.payloads[0].data for k, v in marker.details.items() if v.payloads}
                    )
                )
            case EventType.EVENT_TYPE_TIMER_STARTED:
                found.append("timer")
            case EventType.EVENT_TYPE_TIMER_CANCELED:
                found.append("cancel timer")
            case EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED:
                found.append(
                    f"child {event.start_child_workflow_execution_initiated_event_attributes.workflow_type.name}"
                )
            case EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED:
                found.append(
                    f"signal {event.signal_external_workflow_execution_initiated_event_attributes.signal_name}"
                )
            case EventType.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED:
                found.append("cancel workflow")
            case EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES:
                found.append("upsert search attributes")
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
                request = event.workflow_execution_update_accepted_event_attributes.accepted_request
                found.append(f"accept {request.input.name}")
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED:
                found.append("answer update")
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
                found.append("complete")
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
                found.append("fail")
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED:
                found.append("be cancelled")
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW:
                found.append("continue as new")
    return found


def _marker(name: str, details: dict[str, bytes]) -> str:
    if name == "core_local_activity":
        return f"local activity {json.loads(details['data'])['activity_type']}"
    return f"marker {name}"


def squeeze(commands: list[str]) -> list[str]:
    """A command that repeats is written once: how often a life was woken is not the point."""
    return [command for command, before in zip(commands, [None, *commands], strict=False) if command != before]
