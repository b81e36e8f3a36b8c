"""What is done to many agents at once."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

from muster.domain.errors import MusterError
from muster.domain.fleet import Admission, Admit, EndAgents, LimitsChanged, StopProgress, StopStart
from muster.domain.tasks import KillAllResult, KillAllStart
from workflows.steps import Refused, admit_workspace, apply_limits, end_agents, kill_agents

_WATCHING_SECONDS = 3.0
_ROUNDS_AT_ONCE = 10
_ROUNDS_BETWEEN_REMINDERS = 5
_LONGEST_PAUSE_SECONDS = 15


@workflow.defn(failure_exception_types=[MusterError])
class KillAllWorkflow:
    """Ends every agent that a workspace runs when it is asked to, and says how many there were."""

    @workflow.run
    async def run(self, start: KillAllStart) -> KillAllResult:
        result = await kill_agents(start)
        workflow.set_current_details(f"{result.killed} of {result.asked} agents killed, {result.ended} had ended.")
        return result


@workflow.defn(failure_exception_types=[MusterError])
class AdmitWorkflow:
    """Opens a workspace, or closes it and lets the running finish."""

    @workflow.run
    async def run(self, admit: Admit) -> None:
        try:
            await admit_workspace(admit)
        except Refused as refusal:
            raise refusal.failure() from None


@workflow.defn(failure_exception_types=[MusterError])
class ApplyLimitsWorkflow:
    """Gives agents to those for whom there is room now, and ends those whose time is spent."""

    @workflow.run
    async def run(self, changed: LimitsChanged) -> None:
        try:
            await apply_limits(changed)
        except Refused as refusal:
            raise refusal.failure() from None


@workflow.defn(failure_exception_types=[MusterError])
class StopWorkspaceWorkflow:
    """Closes a workspace, then ends its agents, and is over when it has none.

    The order is the proof: slots are given under the workspace's mutex, which the closing takes too. So whoever is
    active after it was given its slot before it, and nobody joins them.
    """

    @workflow.init
    def __init__(self, start: StopStart) -> None:
        self._start = start
        self._progress = StopProgress()
        self._told = False
        self._refused: Refused | None = None

    @workflow.run
    async def run(self, start: StopStart) -> StopProgress:
        try:
            await self._stop()
        except Refused as refusal:
            self._refused = refusal
            await workflow.wait_condition(workflow.all_handlers_finished)
            raise refusal.failure() from None
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._progress

    @workflow.update
    async def closed(self) -> StopProgress:
        """Answers once nobody is given an agent any more, and those that run were told."""
        await workflow.wait_condition(lambda: self._told or self._refused is not None)
        if self._refused:
            raise self._refused.failure()
        return self._progress

    @workflow.query
    def progress(self) -> StopProgress:
        return self._progress

    async def _stop(self) -> None:
        start, progress = self._start, self._progress
        await admit_workspace(
            Admit(
                workspace_id=start.workspace_id,
                by=start.by,
                admission=Admission.STOPPED,
                reason=start.request.reason,
            )
        )
        progress.closed = True
        ask = EndAgents(workspace_id=start.workspace_id, by=start.by, request=start.request)
        rounds = 0
        while True:
            ending = await end_agents(ask)
            ask.asked = ending.asked
            progress.asked, progress.killed, progress.ended = len(ending.asked), ending.killed, ending.ended
            progress.left, progress.reopened = ending.left, ending.admission == Admission.OPEN
            self._told = True
            self._say()
            if not progress.left or progress.reopened:
                return
            rounds += 1
            ask.seconds = _WATCHING_SECONDS  # the first look only tells them
            ask.remind = rounds % _ROUNDS_BETWEEN_REMINDERS == 0
            # Each look waits a moment itself. A long grace, or a worker that went away, is waited for here.
            await self._pause(min(_LONGEST_PAUSE_SECONDS, max(0, rounds - _ROUNDS_AT_ONCE)))

    async def _pause(self, seconds: float = 0) -> None:
        """At least for an instant, which a server may take as a second: what was said since the last one is heard when
        a timer is set, while local activities that follow each other keep it back."""
        await workflow.sleep(timedelta(seconds=max(seconds, 0.01)), summary="for agents to end")

    def _say(self) -> None:
        progress = self._progress
        workflow.set_current_details(
            f"{progress.killed} of {progress.asked} agents killed, {progress.ended} had ended, {progress.left} left."
            + (" The workspace was opened again." if progress.reopened else "")
        )
