"""Every activity and child a workflow may call, with its timeout and retries.

Moves are local activities: one short transaction each, and a tenth of the cost of a normal one. They retry for as
long as Postgres is away; what a retry cannot mend comes back as `Refused`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, TypedDict, TypeVar
from uuid import UUID

from temporalio import workflow
from temporalio.common import Priority, RetryPolicy, SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.workflow import ActivityCancellationType, ParentClosePolicy

from muster.domain.agents import AgentStart, AskKill, SettleAgent
from muster.domain.fleet import Admit, EndAgents, Ending, LimitsChanged
from muster.domain.forgetting import Expiry
from muster.domain.ids import agent_workflow_id, memory_workflow_id, task_workflow_id
from muster.domain.memory import Drained, DrainRequest, DrainStart, JobKind, Look, lane_queue
from muster.domain.tasks import (
    FinishTask,
    KillAllResult,
    KillAllStart,
    Outcome,
    RescheduleTask,
    SpawnTask,
    Standing,
    TaskAt,
    TaskStart,
)  # fmt: skip
from muster.domain.version import BUILD

WORKSPACE = SearchAttributeKey.for_keyword("MusterWorkspace")
PROJECT = SearchAttributeKey.for_keyword("MusterProject")
RUNNER = SearchAttributeKey.for_keyword("MusterRunner")
TASK = SearchAttributeKey.for_keyword("MusterTask")
ATTEMPT = SearchAttributeKey.for_int("MusterAttempt")
BUILDS = SearchAttributeKey.for_keyword_list("BuildIds")
"""Temporal's own: whose code a workflow has run on."""

_ONCE = RetryPolicy(maximum_attempts=1)

T = TypeVar("T")


class Refused(Exception):
    """The move is not allowed, or what it is about is not there. Nothing changed."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    def failure(self) -> ApplicationError:
        return ApplicationError(str(self), type=self.code, non_retryable=True)


async def _move(name: str, request: object, answer: type[T]) -> T:
    try:
        result: T = await workflow.execute_local_activity(
            name,
            request,
            result_type=answer,
            start_to_close_timeout=timedelta(seconds=30),
            retry_policy=RetryPolicy(
                initial_interval=timedelta(milliseconds=100), maximum_interval=timedelta(seconds=5)
            ),
        )
        return result
    except (ActivityError, ApplicationError) as error:
        # Local activities fail with their error itself, others with one around it.
        refusal = error if isinstance(error, ApplicationError) else error.cause
        if isinstance(refusal, ApplicationError):
            raise Refused(refusal.type or "internal", refusal.message) from None
        raise


async def open_task(start: TaskStart) -> Standing:
    """Record it, or take it up again."""
    return await _move("open_task", start, Standing)


async def spawn_task(request: SpawnTask) -> Standing:
    return await _move("spawn_task", request, Standing)


async def advance_task(at: TaskAt) -> Standing:
    return await _move("advance_task", at, Standing)


async def reschedule_task(request: RescheduleTask) -> Standing:
    return await _move("reschedule_task", request, Standing)


async def finish_task(request: FinishTask) -> Standing:
    return await _move("finish_task", request, Standing)


async def ask_kill(request: AskKill) -> bool:
    """Whether it was still alive to be asked."""
    return await _move("ask_kill", request, bool)


async def settle_agent(request: SettleAgent) -> Outcome:
    return await _move("settle_agent", request, Outcome)


def run_agent(start: AgentStart) -> workflow.ActivityHandle[Outcome]:
    """The agent itself. Never retried by Temporal: a second attempt is a second agent, which its task decides on."""
    return workflow.start_activity(
        "run_agent",
        start,
        result_type=Outcome,
        heartbeat_timeout=timedelta(seconds=start.heartbeat_timeout_seconds),
        start_to_close_timeout=timedelta(seconds=start.max_seconds),
        retry_policy=_ONCE,
        cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    )


async def agent(start: AgentStart, title: str) -> workflow.ChildWorkflowHandle[object, Outcome]:
    """Its life is a child of its task's. Terminate the task, and the agent is still ended properly."""
    handle: workflow.ChildWorkflowHandle[object, Outcome] = await workflow.start_child_workflow(
        "AgentWorkflow",
        start,
        result_type=Outcome,
        id=agent_workflow_id(start.workspace_id, start.agent_id),
        parent_close_policy=ParentClosePolicy.REQUEST_CANCEL,
        cancellation_type=workflow.ChildWorkflowCancellationType.ABANDON,
        static_summary=summary(f"{title} · attempt {start.attempt}"),
        search_attributes=searchable(
            start.workspace_id,
            SearchAttributePair(TASK, str(start.task_id)),
            SearchAttributePair(RUNNER, start.runner),
            SearchAttributePair(ATTEMPT, start.attempt),
            project_id=start.project_id,
        ),
    )
    return handle


async def kill_agents(start: KillAllStart) -> KillAllResult:
    result: KillAllResult = await workflow.execute_activity(
        "kill_agents",
        start,
        result_type=KillAllResult,
        heartbeat_timeout=timedelta(seconds=20),
        start_to_close_timeout=timedelta(seconds=start.request.grace_seconds + 600),
        retry_policy=RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=10)),
    )
    return result


async def admit_workspace(admit: Admit) -> None:
    await _move("admit_workspace", admit, type(None))


async def apply_limits(changed: LimitsChanged) -> None:
    await _move("apply_limits", changed, type(None))


async def end_agents(request: EndAgents) -> Ending:
    """A local activity, as moves are: others would wait for a worker's free place behind the very agents that are
    to end."""
    return await _move("end_agents", request, Ending)


async def look_memory(start: DrainStart) -> Look:
    return await _move("look_memory", start, Look)


async def drain_memory(start: DrainStart, kind: JobKind) -> Drained:
    """One lane's jobs. A worker that dies over them is noticed by its silence; the next attempt takes them over."""
    request = DrainRequest(
        workspace_id=start.workspace_id, project_id=start.project_id, session_id=start.session_id, kind=kind
    )
    drained: Drained = await workflow.execute_activity(
        "drain_memory",
        request,
        result_type=Drained,
        task_queue=lane_queue(start.task_queue, kind),
        heartbeat_timeout=timedelta(seconds=10),
        start_to_close_timeout=timedelta(hours=1),
        retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=500), maximum_interval=timedelta(seconds=10)),
        summary=kind.value,
    )
    return drained


async def expire_memory(expiry: Expiry) -> Expiry:
    return await _move("expire_memory", expiry, Expiry)


async def sweep_memory() -> int:
    swept: int = await workflow.execute_local_activity(
        "sweep_memory",
        result_type=int,
        start_to_close_timeout=timedelta(seconds=30),
        retry_policy=_ONCE,  # the next sweep is not far
    )
    return swept


def summary(text: str) -> str:
    """As the Web UI shows it in lists; Temporal takes 400 bytes."""
    line = " ".join(text.split())
    return line if len(line.encode()) <= 200 else line.encode()[:197].decode(errors="ignore") + "…"


def searchable(
    workspace_id: UUID, *more: SearchAttributePair[Any], project_id: UUID | None = None
) -> TypedSearchAttributes:
    """What a workflow is found by.

    Temporal notes the build of the worker that takes up a workflow, unless it is there already. Said at the start, it
    spares the server one of three writes of each workflow to its list.
    """
    project = [SearchAttributePair(PROJECT, str(project_id))] if project_id else []
    builds = SearchAttributePair(BUILDS, ["unversioned", f"unversioned:{BUILD}"])
    return TypedSearchAttributes([SearchAttributePair(WORKSPACE, str(workspace_id)), *more, *project, builds])


class StartOptions(TypedDict):
    id: str
    search_attributes: TypedSearchAttributes
    static_summary: str
    static_details: str
    priority: Priority


def start_options(
    start: TaskStart, *, title: str, runner: str | None, priority: int, project_id: UUID | None, weight: int = 1
) -> StartOptions:
    """How a TaskWorkflow is started, whoever starts it. `weight`: of its workspace."""
    asked = f" Asked for by request `{start.by.request_id}`." if start.by.request_id else ""
    return StartOptions(
        id=task_workflow_id(start.workspace_id, start.task_id),
        search_attributes=searchable(
            start.workspace_id,
            SearchAttributePair(TASK, str(start.task_id)),
            SearchAttributePair(RUNNER, runner or "none"),
            project_id=project_id,
        ),
        static_summary=summary(title),
        static_details=f"Priority {priority} of 10. See `muster show {start.task_id}`.{asked}",
        # Its agents and their activities inherit this. No priority_key: Temporal serves the more urgent first whoever
        # they belong to, and a workspace must not overtake others by calling its work urgent. A task's priority
        # counts in its workspace's own queue.
        priority=Priority(fairness_key=str(start.workspace_id), fairness_weight=float(weight)),
    )


def memory_start_options(start: DrainStart) -> StartOptions:
    """How a MemoryWorkflow is started, whoever starts it."""
    of = f"session `{start.session_id}`" if start.session_id else f"project `{start.project_id}`"
    return StartOptions(
        id=memory_workflow_id(start.workspace_id, start.session_id or start.project_id),
        search_attributes=searchable(start.workspace_id, project_id=start.project_id),
        static_summary="Memory",
        static_details=f"Works on the jobs of {of}. See `muster jobs`.",
        priority=Priority(fairness_key=str(start.workspace_id)),
    )
