"""The life of one agent: one run of one runner, watched until nothing of it is left.

`run_agent` records that the agent runs and how it ended by itself, so the usual life has no step beside it. Only
when it cannot say (its worker died, it never started) is the ending settled from here; whichever of the two is
recorded first is believed, and that is what the task is told.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, CancelledError, TimeoutError, TimeoutType

from muster.domain.agents import AgentStart, AskKill, SettleAgent
from muster.domain.errors import MusterError
from muster.domain.states import AgentStatus, Reason
from muster.domain.tasks import KillCommand, KillRequest, Outcome
from workflows.steps import Refused, ask_kill, run_agent, settle_agent


@workflow.defn(failure_exception_types=[MusterError])
class AgentWorkflow:
    @workflow.init
    def __init__(self, start: AgentStart) -> None:
        self._start = start
        self._activity: workflow.ActivityHandle[Outcome] | None = None
        self._killed = False
        self._over = False

    @workflow.run
    async def run(self, start: AgentStart) -> Outcome:
        living = asyncio.create_task(self._live())
        cancelled = False
        while True:
            try:
                outcome = await asyncio.shield(living)
                break
            except asyncio.CancelledError:
                if living.cancelled():  # evicted from the worker's cache: everything is, and must end
                    raise
                # Asked for in the Web UI or with the CLI, or its task's workflow is gone.
                cancelled = True
                request = KillRequest(reason="its workflow was cancelled")
                with suppress(Refused):
                    await self._kill(KillCommand(request=request))
        self._over = True
        await workflow.wait_condition(workflow.all_handlers_finished)
        if outcome.status == AgentStatus.COMPLETED:
            return outcome
        if cancelled and outcome.status == AgentStatus.KILLED:
            raise asyncio.CancelledError
        # So that Temporal's own status is the truth too. The task reads the outcome from the failure.
        reason = outcome.reason or Reason.INTERNAL
        raise ApplicationError(outcome.error or reason, outcome, type=reason, non_retryable=True)

    async def _live(self) -> Outcome:
        if self._killed:
            return await self._settle(AgentStatus.KILLED, Reason.KILLED, "killed before it started")
        workflow.set_current_details(f"Running task `{self._start.task_id}`, attempt {self._start.attempt}.")
        self._activity = run_agent(self._start)
        try:
            return await self._activity
        except ActivityError as error:
            return await self._settle(*_ending(error))

    async def _settle(self, status: AgentStatus, reason: Reason, error: str) -> Outcome:
        return await settle_agent(
            SettleAgent(
                workspace_id=self._start.workspace_id,
                agent_id=self._start.agent_id,
                status=status,
                reason=reason,
                error=error,
            )
        )

    @workflow.update
    async def kill(self, command: KillCommand) -> None:
        """Returns once the wish is recorded; that it came true is seen on the agent."""
        try:
            await self._kill(command)
        except Refused as refusal:
            raise refusal.failure() from None

    @kill.validator
    def _may_kill(self, command: KillCommand) -> None:
        if self._over:
            raise ApplicationError("the agent has ended already", type="illegal_move", non_retryable=True)

    @workflow.signal
    async def stop(self, command: KillCommand) -> None:
        """The same, from its task, which does not wait."""
        with suppress(Refused):
            await self._kill(command)

    @workflow.signal
    async def killed(self) -> None:
        """The wish is recorded already."""
        self._end()

    async def _kill(self, command: KillCommand) -> None:
        start = self._start
        ask = AskKill(workspace_id=start.workspace_id, agent_id=start.agent_id, command=command)
        if await ask_kill(ask):
            workflow.set_current_details(
                f"Being killed ({command.cause}): {command.request.reason or 'no reason given'}."
            )
            self._end()

    def _end(self) -> None:
        self._killed = True
        if self._activity and not self._activity.done():
            self._activity.cancel()


def _ending(error: ActivityError) -> tuple[AgentStatus, Reason, str]:
    cause = error.cause
    if isinstance(cause, CancelledError):
        # The server drops an activity that no worker had taken up: there never was a process.
        return AgentStatus.KILLED, Reason.KILLED, "killed before it started"
    if isinstance(cause, TimeoutError):
        if cause.type == TimeoutType.HEARTBEAT:
            return AgentStatus.FAILED, Reason.LOST, "its worker went away"
        return AgentStatus.FAILED, Reason.TIMEOUT, "its worker did not end it in time"
    if isinstance(cause, ApplicationError):
        return AgentStatus.FAILED, Reason.INTERNAL, cause.message
    return AgentStatus.FAILED, Reason.INTERNAL, str(error)
