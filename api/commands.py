"""What is asked of workflows. Bounded: nobody waits for a server or a worker that is not there."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    DescribeTaskQueueRequest,
    GetSystemInfoRequest,
)  # fmt: skip
from temporalio.client import (
    Client,
    RPCTimeoutOrCancelledError,
    WithStartWorkflowOperation,
    WorkflowFailureError,
    WorkflowUpdateFailedError,
)
from temporalio.common import (
    Priority,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from muster.domain.errors import BY_CODE, MusterError, Unavailable
from muster.domain.fleet import Admission, Admit, LimitsChanged, StopProgress, StopStart
from muster.domain.ids import agent_workflow_id, new_id, task_workflow_id
from muster.domain.tasks import (
    CancelRequest,
    KillAllResult,
    KillAllStart,
    KillCommand,
    SpawnRequest,
    Submitted,
    TaskStart,
)  # fmt: skip
from muster.domain.tenants import Actor
from muster.settings import Settings
from muster.temporal import connection
from workflows.agent import AgentWorkflow
from workflows.fleet import AdmitWorkflow, ApplyLimitsWorkflow, KillAllWorkflow, StopWorkspaceWorkflow
from workflows.steps import WORKSPACE, StartOptions, searchable
from workflows.task import TaskWorkflow

log = logging.getLogger(__name__)

ANSWER_SECONDS = 12.0
"""Longer than Temporal takes to give to another worker what it gave to one in the moment in which that died: 10 s."""
POLLER_SECONDS = 75.0
"""A worker asks for work at least once a minute; the server remembers those that stopped for longer."""

_AWAY = frozenset(
    {
        RPCStatusCode.UNAVAILABLE,
        RPCStatusCode.DEADLINE_EXCEEDED,
        RPCStatusCode.CANCELLED,
        RPCStatusCode.RESOURCE_EXHAUSTED,
        RPCStatusCode.ABORTED,
        RPCStatusCode.INTERNAL,
        RPCStatusCode.UNKNOWN,
    }
)


_FIRST = Priority(priority_key=1)
"""Before the tasks that wait for a worker: whoever stops them is in a hurry."""

_TOO_LARGE = ("size exceeds limit", "larger than max")


class TooLarge(MusterError):
    status, code = 413, "body_too_large"


class NoWorker(Unavailable):
    """Temporal has taken the request, and no worker took it up in time."""


class Gone(Exception):
    """There is no such workflow that still runs."""


class StillOpen(Exception):
    """The workflow that is to be started anew has not closed yet."""


class Commands:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: Client | None = None
        self._connecting = asyncio.Lock()

    async def client(self) -> Client:
        """Connects when it is first used, and until it works."""
        if self._client is None:
            async with self._connecting:
                if self._client is None:
                    self._client = await Client.connect(**connection(self._settings), lazy=True)
        return self._client

    @asynccontextmanager
    async def _asking(self, seconds: float = ANSWER_SECONDS) -> AsyncIterator[Client]:
        try:
            async with asyncio.timeout(seconds + 0.5):  # the call's own limit comes first
                yield await self.client()
        except (RPCTimeoutOrCancelledError, TimeoutError):
            raise await self._silence(seconds) from None
        except WorkflowUpdateFailedError as error:
            raise refusal(error.cause) from error
        except WorkflowFailureError as error:
            raise refusal(error.cause) from error
        except RPCError as error:
            if "no mapping defined for search attribute" in error.message:
                # A worker adds them when it first starts, and Temporal needs a moment to know them everywhere.
                raise Unavailable("Temporal does not know Muster's search attributes yet") from error
            if any(words in error.message for words in _TOO_LARGE):
                raise TooLarge("the request, as Temporal would have to keep it, is too large") from error
            if "Workflow Task in failed state" in error.message:
                # Its worker cannot go on with it, say for want of a payload key. It is tried again until one can.
                raise Unavailable("its workflow cannot go on at the moment: see the worker's log") from error
            if error.status == RPCStatusCode.NOT_FOUND and "namespace" not in error.message.lower():
                raise Gone from None
            if error.status in _AWAY or error.status == RPCStatusCode.NOT_FOUND:
                raise Unavailable(f"Temporal does not answer: {error.status.name.lower()}") from error
            raise
        except RuntimeError as error:
            if "connect" not in str(error).lower():
                raise
            raise Unavailable("Temporal does not answer: cannot connect") from error

    async def _silence(self, seconds: float) -> MusterError:
        """Who did not answer."""
        try:
            async with asyncio.timeout(1):
                client = await self.client()
                await client.service_client.check_health(timeout=timedelta(seconds=1))
        except (RPCError, RuntimeError, TimeoutError):
            return Unavailable(f"Temporal did not answer within {seconds:g} s")
        return NoWorker(f"no worker answered within {seconds:g} s")

    async def submit(self, start: TaskStart, options: StartOptions, *, again: bool) -> Submitted:
        """Start a task's workflow and hear that it has recorded what it was asked to.

        `again`: the task had one before; raises StillOpen while that one closes.
        """
        operation = WithStartWorkflowOperation(
            TaskWorkflow.run,
            start,
            task_queue=self._settings.temporal_task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.FAIL if again else WorkflowIDConflictPolicy.USE_EXISTING,
            # A creation that was refused, say with a full workspace, may be sent again with the same key.
            id_reuse_policy=(
                WorkflowIDReusePolicy.ALLOW_DUPLICATE if again else WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY
            ),
            **options,
        )
        try:
            async with self._asking() as client:
                return await client.execute_update_with_start_workflow(
                    TaskWorkflow.submitted,
                    start_workflow_operation=operation,
                    # Not the request's: a closed run would answer it as it answered before.
                    id=f"submit-{new_id()}",
                    rpc_timeout=_limit(),
                )
        except WorkflowAlreadyStartedError:
            await _look_at(operation)
            if again:
                raise StillOpen from None
            return Submitted(task_id=start.task_id)  # by an earlier sending of this request
        except BaseException:
            await _look_at(operation)
            raise

    async def take_back(self, workspace_id: UUID, task_id: UUID, why: str) -> None:
        """End the workflow of a request that nobody answered, so that it does not come true when nobody expects it."""
        with suppress(MusterError, Gone, RPCError):
            async with self._asking(2.0) as client:
                await client.get_workflow_handle(task_workflow_id(workspace_id, task_id)).terminate(reason=why)

    async def spawn(self, workspace_id: UUID, task_id: UUID, request: SpawnRequest, request_id: UUID) -> Submitted:
        async with self._asking() as client:
            handle = client.get_workflow_handle_for(TaskWorkflow.run, task_workflow_id(workspace_id, task_id))
            update_id = f"spawn-{request_id}"
            return await handle.execute_update(TaskWorkflow.spawn, request, id=update_id, rpc_timeout=_limit())

    async def spawned(self, workspace_id: UUID, task_id: UUID, request_id: UUID) -> Submitted | None:
        """What `spawn` with this id came to, if it gave an agent."""
        try:
            async with self._asking() as client:
                handle = client.get_workflow_handle(task_workflow_id(workspace_id, task_id))
                update = handle.get_update_handle(f"spawn-{request_id}", result_type=Submitted)
                found: Submitted = await update.result(rpc_timeout=_limit())
                return found
        except Gone:
            return None
        except MusterError as error:
            if error.status >= 500:
                raise
            return None  # it was refused

    async def cancel(self, workspace_id: UUID, task_id: UUID, request: CancelRequest) -> None:
        async with self._asking() as client:
            handle = client.get_workflow_handle_for(TaskWorkflow.run, task_workflow_id(workspace_id, task_id))
            await handle.execute_update(TaskWorkflow.cancel, request, rpc_timeout=_limit())

    async def kill(self, workspace_id: UUID, agent_id: UUID, command: KillCommand) -> None:
        async with self._asking() as client:
            handle = client.get_workflow_handle_for(AgentWorkflow.run, agent_workflow_id(workspace_id, agent_id))
            await handle.execute_update(AgentWorkflow.kill, command, rpc_timeout=_limit())

    async def kill_all(self, workflow_id: str, start: KillAllStart) -> None:
        """Start it; the same id again is the same kill."""
        async with self._asking() as client:
            with suppress(WorkflowAlreadyStartedError):
                await client.start_workflow(
                    KillAllWorkflow.run,
                    start,
                    id=workflow_id,
                    task_queue=self._settings.temporal_task_queue,
                    id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    search_attributes=searchable(start.workspace_id),
                    static_summary="Kill all agents",
                    static_details=start.request.reason or "",
                    rpc_timeout=_limit(),
                )

    async def killed_all(self, workflow_id: str, seconds: float) -> KillAllResult:
        async with self._asking(seconds) as client:
            return await client.get_workflow_handle_for(KillAllWorkflow.run, workflow_id).result()

    async def stop(self, workflow_id: str, start: StopStart) -> None:
        """Returns once the workspace gives no agents any more; the same id again is the same stop."""
        operation = WithStartWorkflowOperation(
            StopWorkspaceWorkflow.run,
            start,
            id=workflow_id,
            task_queue=self._settings.temporal_task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            search_attributes=searchable(start.workspace_id),
            static_summary="Stop everything",
            static_details=_why(start.request.reason, start.by),
            priority=_FIRST,
        )
        try:
            async with self._asking() as client:
                await client.execute_update_with_start_workflow(
                    StopWorkspaceWorkflow.closed,
                    start_workflow_operation=operation,
                    id=f"closed-{new_id()}",
                    rpc_timeout=_limit(),
                )
        except WorkflowAlreadyStartedError:
            await _look_at(operation)  # it is over
        except BaseException:
            await _look_at(operation)
            raise

    async def stopped(self, workflow_id: str, seconds: float) -> StopProgress:
        async with self._asking(seconds) as client:
            return await client.get_workflow_handle_for(StopWorkspaceWorkflow.run, workflow_id).result()

    async def stop_of(self, workspace_id: UUID) -> str | None:
        """The workflow of its latest stop, if Temporal says soon."""
        with suppress(MusterError, Gone, RPCError):
            async with self._asking(2.0) as client:
                # Those that run come first, then the one that closed last.
                query = f"WorkflowType = 'StopWorkspaceWorkflow' AND {WORKSPACE.name} = '{workspace_id}'"
                async for found in client.list_workflows(query, limit=1, page_size=1, rpc_timeout=_limit()):
                    return found.id
        return None

    async def admit(self, workflow_id: str, admit: Admit) -> None:
        """Returns once it is done."""
        async with self._asking() as client:
            with suppress(WorkflowAlreadyStartedError):
                await client.start_workflow(
                    AdmitWorkflow.run,
                    admit,
                    id=workflow_id,
                    task_queue=self._settings.temporal_task_queue,
                    id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    search_attributes=searchable(admit.workspace_id),
                    static_summary="Resume" if admit.admission == Admission.OPEN else "Drain",
                    static_details=_why(admit.reason, admit.by),
                    priority=_FIRST,
                    rpc_timeout=_limit(),
                )
            await client.get_workflow_handle_for(AdmitWorkflow.run, workflow_id).result()

    async def apply_limits(self, workspace_id: UUID, by: Actor) -> None:
        """Begun, if Temporal takes it up soon: the sweep does the same."""
        try:
            async with self._asking(2.0) as client:
                await client.start_workflow(
                    ApplyLimitsWorkflow.run,
                    LimitsChanged(workspace_id=workspace_id),
                    id=f"limits-{new_id()}.{workspace_id}",
                    task_queue=self._settings.temporal_task_queue,
                    execution_timeout=timedelta(minutes=1),
                    search_attributes=searchable(workspace_id),
                    static_summary="Apply changed limits",
                    static_details=_why(None, by),
                    priority=_FIRST,
                    rpc_timeout=timedelta(seconds=2),
                )
        except (MusterError, Gone, RPCError) as error:
            log.info("changed limits of workspace %s are left to the sweep: %s", workspace_id, error)

    async def version(self) -> str:
        """Of the server, once it has answered for the namespace."""
        client = await self.client()
        service, limit = client.workflow_service, timedelta(seconds=2)
        await service.describe_namespace(
            DescribeNamespaceRequest(namespace=self._settings.temporal_namespace), timeout=limit
        )
        return (await service.get_system_info(GetSystemInfoRequest(), timeout=limit)).server_version

    async def workers(self) -> list[str]:
        """Who polls the task queue."""
        client = await self.client()
        answer = await client.workflow_service.describe_task_queue(
            DescribeTaskQueueRequest(
                namespace=self._settings.temporal_namespace,
                task_queue=TaskQueue(name=self._settings.temporal_task_queue),
                task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
            ),
            timeout=timedelta(seconds=2),
        )
        oldest = time.time() - POLLER_SECONDS
        return sorted({poller.identity for poller in answer.pollers if poller.last_access_time.seconds >= oldest})


async def _look_at(operation: WithStartWorkflowOperation[Any, Any]) -> None:
    """It keeps the error too, and asyncio complains of errors that nobody looked at."""
    looking = asyncio.ensure_future(operation.workflow_handle())
    await asyncio.wait({looking}, timeout=0.01)
    if not looking.cancel() and not looking.cancelled():
        looking.exception()


def _why(reason: str | None, by: Actor) -> str:
    asked = f"Asked for by request `{by.request_id}`." if by.request_id else ""
    return " ".join(part for part in (reason, asked) if part)


def _limit() -> timedelta:
    return timedelta(seconds=ANSWER_SECONDS)


def refusal(cause: BaseException | None) -> MusterError:
    """What a workflow raised, as the error it names."""
    if isinstance(cause, ApplicationError):
        if cause.type == "AcceptedUpdateCompletedWorkflow":
            return Unavailable("it ended while it was being asked")
        kind = BY_CODE.get(cause.type or "", MusterError)
        return kind(cause.message)
    log.error("a workflow failed in a way it should not: %r", cause)
    return Unavailable("the workflow ended before it answered")
