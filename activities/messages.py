"""Telling workflows what a move means for them. A message that cannot be sent is repeated by the sweep."""

from __future__ import annotations

import asyncio
import logging
from uuid import UUID

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from muster.domain.ids import agent_workflow_id, task_workflow_id
from muster.domain.tasks import Grant
from muster.storage.mirror import Mirror
from muster.storage.moves import Changes

log = logging.getLogger(__name__)

_AT_ONCE = 20


class Messages:
    """After a move: Valkey is told, then the workflows it concerns."""

    def __init__(self, client: Client, mirror: Mirror) -> None:
        self._client = client
        self._mirror = mirror
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._sending: set[asyncio.Task[None]] = set()

    def spread(self, changes: Changes, *, to_all_but: UUID | None = None) -> None:
        """Beside the move, whose caller has what it needs: the truth is in Postgres. `to_all_but`: the task whose
        workflow made the move, and reads the answer."""
        self._send(self._mirror.apply(changes))
        for grant in changes.grants:
            if grant.task_id != to_all_but:
                self._send(self.grant(changes.workspace_id, grant))
        for task_id in changes.wake:
            self._send(self.wake(changes.workspace_id, task_id))
        for task_id in changes.cancel:
            self._send(self.abort(changes.workspace_id, task_id))

    async def grant(self, workspace_id: UUID, grant: Grant) -> None:
        await self._signal(task_workflow_id(workspace_id, grant.task_id), "granted", grant)

    async def wake(self, workspace_id: UUID, task_id: UUID) -> None:
        await self._signal(task_workflow_id(workspace_id, task_id), "wake")

    async def abort(self, workspace_id: UUID, task_id: UUID) -> None:
        await self._signal(task_workflow_id(workspace_id, task_id), "abort", "its parent task is over")

    async def killed(self, workspace_id: UUID, agent_id: UUID) -> None:
        await self._signal(agent_workflow_id(workspace_id, agent_id), "killed")

    async def killed_all(self, workspace_id: UUID, agent_ids: list[UUID]) -> None:
        await asyncio.gather(*(self.killed(workspace_id, agent_id) for agent_id in agent_ids))

    async def flush(self) -> None:
        """Wait for what is under way: a worker that ends should have said what it knows."""
        if self._sending:
            await asyncio.wait(self._sending, timeout=2)

    def _send(self, message: object) -> None:
        task = asyncio.ensure_future(message)  # type: ignore[call-overload]
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _signal(self, workflow_id: str, name: str, *arguments: object) -> None:
        async with self._slots:
            try:
                handle = self._client.get_workflow_handle(workflow_id)
                await handle.signal(name, args=arguments)
            except RPCError as error:
                if error.status != RPCStatusCode.NOT_FOUND:
                    log.warning("could not signal %s to %s: %s", name, workflow_id, error)
