"""What a client of the bare program does."""

from __future__ import annotations

import uuid

from temporalio.client import Client, WithStartWorkflowOperation
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.contrib.pydantic import pydantic_data_converter

from benchmarks.bare.worker import QUEUE
from benchmarks.bare.workflows import BareSubmission, BareTask
from muster.services.addresses import Addresses


class Program:
    def __init__(self, client: Client) -> None:
        self._client = client

    @classmethod
    async def connect(cls, addresses: Addresses) -> Program:
        client = await Client.connect(
            addresses.temporal, namespace=addresses.temporal_namespace, data_converter=pydantic_data_converter
        )
        return cls(client)

    async def live(self) -> None:
        """One life, from the request to its end."""
        task = uuid.uuid4().hex
        await self._client.execute_workflow(BareTask.run, task, id=f"bare-task-{task}", task_queue=QUEUE)

    async def submit(self) -> None:
        """One update-with-start, answered."""
        task = uuid.uuid4().hex
        await self._client.execute_update_with_start_workflow(
            BareSubmission.submitted,
            start_workflow_operation=WithStartWorkflowOperation(
                BareSubmission.run,
                task,
                id=f"bare-submission-{task}",
                task_queue=QUEUE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            ),
        )
