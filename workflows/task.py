"""The life of one task: recorded, queued, given an agent, tried again, ended.

The rows in Postgres are the truth about queues and slots; this workflow holds what must happen next and when. It
never polls: a slot that frees is granted by the very transaction that frees it, and whoever did that signals the
grant here. Signals may be lost with their sender or sent twice; the sweep repeats them, and an old one is
recognised by its attempt.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError, ChildWorkflowError, WorkflowAlreadyStartedError

from muster.domain.agents import AgentStart, SettleAgent
from muster.domain.errors import MusterError
from muster.domain.ids import agent_workflow_id
from muster.domain.states import FINAL_TASK, RETRYABLE, AgentStatus, Reason, TaskStatus
from muster.domain.tasks import (
    LOST_ATTEMPTS,
    MAX_SECONDS,
    CancelRequest,
    FinishTask,
    Grant,
    Halt,
    KillCommand,
    KillRequest,
    Outcome,
    RescheduleTask,
    SpawnRequest,
    SpawnTask,
    Standing,
    Submitted,
    TaskAt,
    TaskStart,
)  # fmt: skip
from workflows.steps import (
    Refused,
    advance_task,
    agent,
    finish_task,
    open_task,
    reschedule_task,
    settle_agent,
    spawn_task,
)

_LOST_WAIT_SECONDS = 1.0
"""After the first lost attempt; it doubles. A machine that dies takes its agents with it again at once."""


@workflow.defn(failure_exception_types=[MusterError])
class TaskWorkflow:
    @workflow.init
    def __init__(self, start: TaskStart) -> None:
        self._start = start
        self._standing: Standing | None = None
        self._refusal: ApplicationError | None = None
        self._grant: Grant | None = None
        self._attempt = start.attempt
        self._wake = False
        self._stop: Halt | None = None
        self._agent: workflow.ChildWorkflowHandle[object, Outcome] | None = None
        self._failures = start.failures
        self._losses = start.losses
        self._deadline = start.deadline

    @workflow.run
    async def run(self, start: TaskStart) -> str:
        living = asyncio.create_task(self._live())
        cancelled = False
        while True:
            try:
                standing = await asyncio.shield(living)
                break
            except asyncio.CancelledError:
                if living.cancelled():  # evicted from the worker's cache: everything is, and must end
                    raise
                # From the Web UI or the CLI. The task ends in good order, and then so does this.
                cancelled = True
                await self._halt(Halt(Reason.CANCELLED, "its workflow was cancelled"))
            except Refused as refusal:
                self._refusal = refusal.failure()
                await workflow.wait_condition(workflow.all_handlers_finished)
                raise self._refusal from None
        await workflow.wait_condition(workflow.all_handlers_finished)
        if standing.status == TaskStatus.FAILED:
            if cancelled and standing.reason == Reason.CANCELLED:
                raise asyncio.CancelledError
            reason = standing.reason or Reason.INTERNAL
            raise ApplicationError(standing.error or reason, type=reason, non_retryable=True)
        return standing.status

    # -- What is asked of it ------------------------------------------------------------------------------------

    @workflow.update
    async def submitted(self) -> Submitted:
        """Answers once the row is there, or says why it is not."""
        await workflow.wait_condition(lambda: self._standing is not None or self._refusal is not None)
        if self._refusal:
            raise self._refusal
        return self._submitted()

    @workflow.update
    async def spawn(self, request: SpawnRequest) -> Submitted:
        """An agent now, ahead of the queue, or a refusal."""
        await workflow.wait_condition(lambda: self._standing is not None or self._refusal is not None)
        start = self._start
        ask = SpawnTask(workspace_id=start.workspace_id, task_id=start.task_id, by=request.by)
        try:
            standing = await spawn_task(ask)
        except Refused as refusal:
            raise refusal.failure() from None
        if standing.grant:
            self.granted(standing.grant)
        return Submitted(task_id=start.task_id, agent_id=standing.grant.agent_id if standing.grant else None)

    @workflow.update
    async def cancel(self, request: CancelRequest) -> None:
        """Returns at once; that it ended is seen on the task."""
        await self._halt(Halt(Reason.CANCELLED, request.reason or "cancelled", request.by))

    @cancel.validator
    def _may_cancel(self, request: CancelRequest) -> None:
        if self._refusal or (self._standing and self._standing.status in FINAL_TASK):
            raise ApplicationError("the task is over", type="illegal_move", non_retryable=True)

    @workflow.signal
    async def abort(self, why: str) -> None:
        """Its parent failed or was cancelled."""
        await self._halt(Halt(Reason.CANCELLED, why))

    @workflow.signal
    def granted(self, grant: Grant) -> None:
        if self._grant is None or grant.attempt > self._grant.attempt:
            self._grant = grant

    @workflow.signal
    def wake(self) -> None:
        """A dependency or a subtask ended, or somebody thinks a message was lost: look at the rows again."""
        self._wake = True

    # -- What it does -------------------------------------------------------------------------------------------

    async def _live(self) -> Standing:
        start = self._start
        self._standing = standing = await open_task(start)
        if self._deadline is None and standing.timeout_seconds:
            self._deadline = workflow.now() + timedelta(seconds=standing.timeout_seconds)
        # Held by this variable: the loop keeps only weak references to its tasks.
        clock = asyncio.create_task(self._watch_the_clock()) if self._deadline else None
        refusals = 0
        try:
            while standing.status not in FINAL_TASK:
                if standing.grant:
                    self.granted(standing.grant)
                try:
                    if grant := self._next_grant():
                        # Also when it is to stop: the slot is taken, and the agent must be ended to free it.
                        standing = await self._try(standing, grant)
                    elif self._stop:
                        standing = await self._finish(TaskStatus.FAILED, self._stop.reason, self._stop.error)
                    else:
                        standing = await self._wait(standing)
                except Refused:
                    # Somebody moved the row, say a sweep that believed this workflow gone. If that ended the
                    # task, so be it; if not, one more look shows whether it was a passing state.
                    standing = await advance_task(TaskAt(workspace_id=start.workspace_id, task_id=start.task_id))
                    refusals += 1
                    if refusals > 3:
                        raise
                self._standing = standing
        finally:
            if clock:
                clock.cancel()
        return standing

    def _next_grant(self) -> Grant | None:
        return self._grant if self._grant and self._grant.attempt > self._attempt else None

    async def _wait(self, standing: Standing) -> Standing:
        start, backoff_over = self._start, False
        seconds = None
        if standing.next_attempt_at:
            seconds = max(0.0, (standing.next_attempt_at - workflow.now()).total_seconds())
        workflow.set_current_details(
            f"Waiting {seconds:.0f} s before attempt {standing.attempts + 1}."
            if seconds is not None
            else "Waiting for a slot, for what it depends on, or for its subtasks."
        )
        if workflow.info().is_continue_as_new_suggested() and not self._stop:
            await self._continue_as_new()  # what was signalled and not acted on yet is read from the rows there
        try:
            await workflow.wait_condition(
                lambda: (
                    self._wake
                    or self._stop is not None
                    or (self._grant is not None and self._grant.attempt > self._attempt)
                ),
                timeout=seconds,
                timeout_summary="backoff",
            )
        except TimeoutError:
            backoff_over = True
        if self._wake or backoff_over:
            self._wake = False
            at = TaskAt(workspace_id=start.workspace_id, task_id=start.task_id, backoff_over=backoff_over)
            return await advance_task(at)
        return standing

    async def _try(self, standing: Standing, grant: Grant) -> Standing:
        """One attempt, from its slot to what follows from its end."""
        start = self._start
        self._attempt = grant.attempt
        workflow.set_current_details(f"Attempt {grant.attempt}: agent `{grant.agent_id}`.")
        child = AgentStart(
            workspace_id=start.workspace_id,
            agent_id=grant.agent_id,
            task_id=start.task_id,
            project_id=standing.project_id,
            attempt=grant.attempt,
            runner=standing.runner or "none",
            heartbeat_timeout_seconds=start.heartbeat_timeout_seconds,
            max_seconds=(standing.attempt_seconds or MAX_SECONDS) + 3700,  # the longest grace, and some
        )
        try:
            self._agent = await agent(child, standing.title)
            if self._stop:
                await self._end_agent(self._stop)
            outcome = await self._agent
        except WorkflowAlreadyStartedError:
            # An operator reset this workflow to before this point. Its agent has another parent; end it.
            with suppress(ApplicationError):
                await workflow.get_external_workflow_handle(
                    agent_workflow_id(self._start.workspace_id, grant.agent_id)
                ).cancel()
            outcome = await self._settle(grant, "its task's workflow was reset")
        except ChildWorkflowError as error:
            outcome = _outcome(error) or await self._settle(grant, f"its workflow ended early: {error.cause or error}")
        finally:
            self._agent = None
        return await self._follow(standing, grant, outcome)

    async def _settle(self, grant: Grant, error: str) -> Outcome:
        return await settle_agent(
            SettleAgent(
                workspace_id=self._start.workspace_id,
                agent_id=grant.agent_id,
                status=AgentStatus.FAILED,
                reason=Reason.LOST,
                error=error,
            )
        )

    async def _follow(self, standing: Standing, grant: Grant, outcome: Outcome) -> Standing:
        if outcome.status == AgentStatus.COMPLETED:
            return await self._finish(TaskStatus.COMPLETED)
        if self._stop:
            return await self._finish(TaskStatus.FAILED, self._stop.reason, self._stop.error)
        reason = outcome.reason or Reason.INTERNAL
        if outcome.wish:
            # Whoever wanted it gone decides, also when its worker died over it.
            again = outcome.wish.retry
            self._failures += 1
            wait = 0.0
            if not again:
                if outcome.status != AgentStatus.KILLED and reason != Reason.LOST:  # it had ended by itself
                    return await self._finish(TaskStatus.FAILED, reason, outcome.error)
                error = outcome.wish.reason or outcome.error or "killed"
                return await self._finish(TaskStatus.FAILED, outcome.wish.cause, error)
        elif reason == Reason.LOST:
            self._losses += 1
            again = self._losses < LOST_ATTEMPTS
            wait = _LOST_WAIT_SECONDS * 2 ** (self._losses - 1)
        else:
            self._losses = 0
            self._failures += 1
            again = reason in RETRYABLE
            wait = standing.retry.wait_before(self._failures + 1)
        if not again or (reason != Reason.LOST and self._failures >= standing.retry.max_attempts):
            return await self._finish(TaskStatus.FAILED, reason, outcome.error)
        start = self._start
        return await reschedule_task(
            RescheduleTask(
                workspace_id=start.workspace_id,
                task_id=start.task_id,
                after_attempt=grant.attempt,
                wait_seconds=wait,
            )
        )

    async def _finish(self, status: TaskStatus, reason: Reason | None = None, error: str | None = None) -> Standing:
        start = self._start
        return await finish_task(
            FinishTask(
                workspace_id=start.workspace_id,
                task_id=start.task_id,
                by=self._stop.by if self._stop else None,
                status=status,
                reason=reason,
                error=error,
            )
        )

    async def _halt(self, stop: Halt) -> None:
        if self._stop is None:
            self._stop = stop
            if self._agent:
                await self._end_agent(stop)

    async def _end_agent(self, stop: Halt) -> None:
        if self._agent:
            command = KillCommand(by=stop.by, request=KillRequest(reason=stop.error[:1000]), cause=stop.reason)
            with suppress(ApplicationError):  # it has ended already, and its end is on the way here
                await self._agent.signal("stop", command)

    async def _watch_the_clock(self) -> None:
        if self._deadline:
            seconds = (self._deadline - workflow.now()).total_seconds()
            await workflow.sleep(max(0.0, seconds), summary="time for the whole task")
            timeout = self._standing.timeout_seconds if self._standing else None
            await self._halt(
                Halt(Reason.TIMEOUT, f"the task took longer than its {timeout:g} s" if timeout else "too long")
            )

    async def _continue_as_new(self) -> None:
        await workflow.wait_condition(workflow.all_handlers_finished)
        if self._stop:  # asked for meanwhile: the next run would know nothing of it
            return
        workflow.continue_as_new(
            self._start.model_copy(
                update={
                    "mode": "resume",
                    "spec": None,
                    "deadline": self._deadline,
                    "failures": self._failures,
                    "losses": self._losses,
                    "attempt": self._attempt,
                }
            )
        )

    def _submitted(self) -> Submitted:
        grant = self._standing.grant if self._standing else None
        return Submitted(task_id=self._start.task_id, agent_id=grant.agent_id if grant else None)


def _outcome(error: ChildWorkflowError) -> Outcome | None:
    """How the agent ended, if its workflow lived to say so."""
    cause = error.cause
    if isinstance(cause, ApplicationError) and cause.details:
        return Outcome.model_validate(cause.details[0])
    return None
