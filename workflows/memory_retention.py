"""Once a day: what projects keep for a time only goes."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

from muster.domain.errors import MusterError
from muster.domain.forgetting import Expiry
from workflows.steps import expire_memory

_BETWEEN_SECONDS = 1
"""For others who want the database."""


@workflow.defn(failure_exception_types=[MusterError])
class MemoryRetentionWorkflow:
    """Forgets, project after project, in steps; another worker goes on where one died."""

    @workflow.run
    async def run(self, expiry: Expiry) -> Expiry:
        while True:
            expiry = await expire_memory(expiry)
            workflow.set_current_details(f"{expiry.rows} rows went.")
            if expiry.complete:
                return expiry
            await workflow.sleep(timedelta(seconds=_BETWEEN_SECONDS), summary="for others")
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(expiry)
