"""What no workflow may do: look at the clock. Used by the test that says so."""

import time

from temporalio import workflow
from temporalio.worker.workflow_sandbox import RestrictedWorkflowAccessError

LOOKS = 300


@workflow.defn
class ClockWatcher:
    @workflow.run
    async def run(self) -> int:
        """How often it was kept from it, of twice `LOOKS`."""
        refused = 0
        for _ in range(2):
            for _ in range(LOOKS):
                try:
                    time.time()
                except RestrictedWorkflowAccessError:
                    refused += 1
            await workflow.sleep(0.01)
        return refused
