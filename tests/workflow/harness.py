"""A dev server that skips time, a worker of the real workflows, and what tests and `capture.py` do with them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from temporalio.api.enums.v1 import EventType
from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
)
from temporalio.common import SearchAttributeKey, WorkflowIDConflictPolicy
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from muster.domain.ids import agent_workflow_id, new_id, task_workflow_id
from muster.domain.states import FINAL_TASK
from muster.domain.tasks import (
    CommandRunner,
    KillCommand,
    KillRequest,
    Outcome,
    RetryPolicy,
    Submitted,
    TaskSpec,
    TaskStart,
)
from muster.services import binaries
from muster.services.ports import free_port
from muster.services.temporal import DYNAMIC_CONFIG, SEARCH_ATTRIBUTES
from tests.pace import Stopwatch, patience
from tests.workflow.stand_in import Activities, Run, World
from worker import WORKFLOWS
from workflows.agent import AgentWorkflow
from workflows.sandbox import Sandbox
from workflows.steps import start_options
from workflows.task import TaskWorkflow

CONFIG = DYNAMIC_CONFIG | {
    "frontend.WorkflowTimeSkippingEnabled": "true",
    # Far below what tests of one life reach, and far above it for those of a long one.
    "limit.historyCount.suggestContinueAsNew": "200",
}
QUEUE = "tests"


@asynccontextmanager
async def server() -> AsyncIterator[WorkflowEnvironment]:
    known = {"Keyword": SearchAttributeKey.for_keyword, "Int": SearchAttributeKey.for_int}
    environment = await WorkflowEnvironment.start_time_skipping_v2(
        dev_server_existing_path=str(binaries.temporal()),
        port=free_port(),
        data_converter=pydantic_data_converter,
        search_attributes=[known[kind](name) for name, kind in SEARCH_ATTRIBUTES.items()],
        dev_server_extra_args=[
            part for key, value in CONFIG.items() for part in ("--dynamic-config-value", f"{key}={value}")
        ],
    )
    async with environment:
        yield environment


def make_worker(client: Client, activities: Activities, queue: str = QUEUE, **options: Any) -> Worker:
    return Worker(
        client,
        task_queue=queue,
        workflows=WORKFLOWS,
        activities=activities.all,
        workflow_runner=Sandbox(),
        max_heartbeat_throttle_interval=timedelta(seconds=0.1),
        default_heartbeat_throttle_interval=timedelta(seconds=0.1),
        **options,
    )


class Play(World):
    """A world, and someone who asks for things in it."""

    queue = QUEUE
    heartbeat_timeout = 30.0

    def spec(
        self, title: str = "a task", *, runs: bool = True, seconds: float | None = None, **fields: Any
    ) -> TaskSpec:
        runner = CommandRunner(argv=["true"], timeout_seconds=seconds) if runs else None
        return TaskSpec(title=title, runner=runner, **fields)

    async def submit(
        self, spec: TaskSpec | None, *does: Outcome | Run, mode: Any = "create", task_id: UUID | None = None,
        update_id: str | None = None, **start: Any,
    ) -> Submitted:  # fmt: skip
        """As `POST /v1/tasks` does it. `does`: what its agents do, one after the other."""
        task_id = task_id or new_id()
        if does:
            self.script[task_id] = list(does)
        asked = TaskStart(
            workspace_id=self.workspace, task_id=task_id, by=self.by, spec=spec, mode=mode,
            heartbeat_timeout_seconds=self.heartbeat_timeout, **start,
        )  # fmt: skip
        operation = WithStartWorkflowOperation(
            TaskWorkflow.run, asked, task_queue=self.queue, id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            **start_options(asked, title="a task", runner="command", priority=5, project_id=None),
        )  # fmt: skip
        return await self.client.execute_update_with_start_workflow(
            TaskWorkflow.submitted, start_workflow_operation=operation, id=update_id
        )  # fmt: skip

    async def task(
        self, *does: Outcome | Run, mode: Any = "create", retry: dict[str, Any] | None = None, **fields: Any
    ) -> UUID:
        spec = self.spec(retry=RetryPolicy(**(retry or {})), **fields)
        return (await self.submit(spec, *does, mode=mode)).task_id

    def of(self, task: UUID) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle(task_workflow_id(self.workspace, task))

    def agent(self, task: UUID) -> WorkflowHandle[Any, Any]:
        agent = self.tasks[task].agent
        assert agent
        return self.client.get_workflow_handle(agent_workflow_id(self.workspace, agent))

    async def ended(self, task: UUID) -> str:
        """How its workflow closed, and why: `completed`, `failed exit_nonzero`, `canceled`."""
        return await closed(self.of(task))

    async def kill(self, task: UUID, **request: Any) -> None:
        command = KillCommand(by=self.by, request=KillRequest(**request))
        await self.agent(task).execute_update(AgentWorkflow.kill, command)

    async def until(self, check: Callable[[], bool], seconds: float = 40.0) -> None:
        waited = Stopwatch()
        while not check():
            assert not waited.passed(seconds), f"it does not come to that; so far: {self.calls}"
            await asyncio.sleep(0.01)

    async def running(self, task: UUID) -> None:
        await self.until(lambda: any(agent.status == "running" for agent in self.agents_of(task)))

    def state(self, task: UUID) -> tuple[str, str | None, int]:
        row = self.tasks[task]
        return str(row.status), str(row.reason) if row.reason else None, row.attempts

    def over(self, task: UUID) -> bool:
        return self.tasks[task].status in FINAL_TASK


async def closed(handle: WorkflowHandle[Any, Any], seconds: float = 40.0) -> str:
    try:
        async with patience(seconds):
            await handle.result()
    except WorkflowFailureError as failure:
        kind = getattr(failure.cause, "type", None)
        described = await handle.describe()
        assert described.status
        status = described.status.name.lower()
        return f"{status} {kind}" if described.status == WorkflowExecutionStatus.FAILED else status
    return "completed"


async def timers(handle: WorkflowHandle[Any, Any]) -> list[float]:
    """Seconds of each timer it set."""
    return [
        event.timer_started_event_attributes.start_to_fire_timeout.ToMilliseconds() / 1000
        async for event in handle.fetch_history_events()
        if event.event_type == EventType.EVENT_TYPE_TIMER_STARTED
    ]


HISTORIES = Path(__file__).with_name("histories")
FINGERPRINTS = Path(__file__).with_name("fingerprints.json")
