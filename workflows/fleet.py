"""What is done to many agents at once."""

from __future__ import annotations

from temporalio import workflow

from muster.domain.errors import MusterError
from muster.domain.tasks import KillAllResult, KillAllStart
from workflows.steps import kill_agents


@workflow.defn(failure_exception_types=[MusterError])
class KillAllWorkflow:
    """Ends every agent that a workspace runs when it is asked to, and says how many there were."""

    @workflow.run
    async def run(self, start: KillAllStart) -> KillAllResult:
        result = await kill_agents(start)
        workflow.set_current_details(f"{result.killed} of {result.asked} agents killed, {result.ended} had ended.")
        return result
