"""What no workflow may do: import an activity. Used by the test that says so."""

from temporalio import workflow

import activities.refusals


@workflow.defn
class Intruder:
    @workflow.run
    async def run(self) -> str:
        return str(activities.refusals)
