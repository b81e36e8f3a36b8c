"""What a stop does in which order, with agents that end when a test says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from uuid import UUID

import pytest
from temporalio import activity
from temporalio.client import WithStartWorkflowOperation, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, Worker

from muster.domain.fleet import Admission, Admit, EndAgents, Ending, StopProgress, StopStart
from muster.domain.ids import new_id
from muster.domain.tasks import KillRequest
from muster.domain.tenants import Actor
from tests.pace import patience
from tests.workflow.harness import closed, timers
from worker import WORKFLOWS
from workflows.fleet import AdmitWorkflow, StopWorkspaceWorkflow
from workflows.sandbox import Sandbox

QUEUE = "stops"


@dataclass
class Gate:
    """A workspace, and the two steps of a stop as they see it."""

    admission: Admission = Admission.OPEN
    active: list[UUID] = field(default_factory=lambda: [new_id(), new_id(), new_id()])
    over: int = 0
    calls: list[str] = field(default_factory=list)
    failures: int = 0
    unknown: bool = False
    patience: int = 0
    """After so many calls, all have ended."""

    @activity.defn
    async def admit_workspace(self, admit: Admit) -> None:
        self.calls.append(f"admit {admit.admission}")
        if self.unknown:
            raise ApplicationError("there is no such workspace", type="not_found", non_retryable=True)
        self.admission = admit.admission

    @activity.defn
    async def end_agents(self, request: EndAgents) -> Ending:
        self.calls.append(f"end {len(request.asked)}{' remind' if request.remind else ''}")
        if self.failures:
            self.failures -= 1
            raise ApplicationError("Postgres does not answer", type="unavailable")
        if len(self.calls) == self.patience:
            self.end(len(self.active))
        asked = list(request.asked)
        if self.admission != Admission.OPEN:
            asked += [agent for agent in self.active if agent not in asked]
        return Ending(
            admission=self.admission, asked=asked, left=len(self.active), killed=self.over, ended=0
        )  # fmt: skip

    def end(self, number: int) -> None:
        self.active, self.over = self.active[number:], self.over + number


@pytest.fixture
async def gate(environment: WorkflowEnvironment) -> AsyncIterator[Gate]:
    gate = Gate()
    async with Worker(
        environment.client,
        task_queue=QUEUE,
        workflows=[StopWorkspaceWorkflow, AdmitWorkflow],
        activities=[gate.admit_workspace, gate.end_agents],
        workflow_runner=Sandbox(),
    ):
        yield gate


async def stop(environment: WorkflowEnvironment) -> WorkflowHandle[StopWorkspaceWorkflow, StopProgress]:
    """As the API does it."""
    start = StopStart(workspace_id=new_id(), by=Actor(user_id=new_id()), request=KillRequest(reason="costs"))
    operation = WithStartWorkflowOperation(
        StopWorkspaceWorkflow.run, start, id=f"stop-{new_id()}.{start.workspace_id}", task_queue=QUEUE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
    )  # fmt: skip
    await environment.client.execute_update_with_start_workflow(
        StopWorkspaceWorkflow.closed, start_workflow_operation=operation
    )
    return await operation.workflow_handle()


async def progress(handle: WorkflowHandle[StopWorkspaceWorkflow, StopProgress]) -> StopProgress:
    return await handle.query(StopWorkspaceWorkflow.progress)


async def replays(handle: WorkflowHandle[StopWorkspaceWorkflow, StopProgress]) -> None:
    replayer = Replayer(
        workflows=WORKFLOWS,
        data_converter=pydantic_data_converter,
        workflow_runner=Sandbox(),
    )
    await replayer.replay_workflow(await handle.fetch_history())


async def test_it_closes_then_tells_then_waits_for_the_last(environment: WorkflowEnvironment, gate: Gate) -> None:
    with environment.with_time_skipping_disabled():
        handle = await stop(environment)
        assert gate.calls[:2] == ["admit stopped", "end 0"]
        seen = await progress(handle)
        assert (seen.closed, seen.asked, seen.left, seen.reopened) == (True, 3, 3, False)
        gate.end(2)
        async with patience(10):
            while (await progress(handle)).killed != 2:  # noqa: ASYNC110 - asked from outside
                await asyncio.sleep(0.05)
        gate.end(1)
        result = await handle.result()
    assert (result.asked, result.killed, result.left) == (3, 3, 0)
    assert set(gate.calls[2:]) >= {"end 3"}
    await replays(handle)


async def test_it_waits_long_and_reminds(environment: WorkflowEnvironment, gate: Gate) -> None:
    gate.patience = 18
    handle = await stop(environment)
    assert (await handle.result()).killed == 3
    assert [number for number, call in enumerate(gate.calls) if "remind" in call] == [6, 11, 16]
    assert max(await timers(handle)) == 6
    await replays(handle)


async def test_an_outage_only_delays_it(environment: WorkflowEnvironment, gate: Gate) -> None:
    gate.failures = 3
    handle = await stop(environment)
    gate.end(3)
    assert (await handle.result()).left == 0
    assert gate.calls[:4] == ["admit stopped", "end 0", "end 0", "end 0"]


async def test_a_workspace_that_is_opened_again_is_let_go(environment: WorkflowEnvironment, gate: Gate) -> None:
    with environment.with_time_skipping_disabled():
        handle = await stop(environment)
        gate.admission = Admission.OPEN
        gate.active.append(new_id())
        result = await handle.result()
    assert (result.reopened, result.asked, result.left) == (True, 3, 4)
    await replays(handle)


async def test_a_drain_does_not_call_a_stop_off(environment: WorkflowEnvironment, gate: Gate) -> None:
    with environment.with_time_skipping_disabled():
        handle = await stop(environment)
        gate.admission = Admission.DRAINING
        await asyncio.sleep(0.3)
        gate.end(3)
        result = await handle.result()
    assert (result.reopened, result.killed) == (False, 3)


async def test_what_is_refused_says_why(environment: WorkflowEnvironment, gate: Gate) -> None:
    gate.unknown = True
    admit = Admit(workspace_id=new_id(), by=Actor(), admission=Admission.OPEN)
    handle = await environment.client.start_workflow(
        AdmitWorkflow.run, admit, id=f"resume-{new_id()}", task_queue=QUEUE
    )
    assert await closed(handle) == "failed not_found"
    start = StopStart(workspace_id=new_id(), by=Actor())
    stopping = await environment.client.start_workflow(
        StopWorkspaceWorkflow.run, start, id=f"stop-{new_id()}", task_queue=QUEUE
    )
    assert await closed(stopping) == "failed not_found"
    assert gate.calls == ["admit open", "admit stopped"]
