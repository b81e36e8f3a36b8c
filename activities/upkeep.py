"""What a worker does beside its agents: publish what stayed behind, rebuild Valkey, and look after quiet tasks.

A loop in each worker rather than a Temporal schedule: it must also run when Temporal has trouble, it costs no
workflow, and an advisory lock lets one worker sweep at a time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from uuid import UUID

from redis.exceptions import RedisError
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from activities.budgets import Budgets
from activities.messages import Messages
from muster.domain.errors import MusterError
from muster.domain.ids import agent_workflow_id, task_workflow_id
from muster.domain.tasks import Grant
from muster.storage import chores, idempotency, moves
from muster.storage.chores import SWEEP_LOCK, QuietTask
from muster.storage.database import Database
from muster.storage.mirror import Mirror

log = logging.getLogger(__name__)

_RELAY_SECONDS = 2.0
_NEEDY_TASKS = 500
_QUIET_TASKS = 50
_FIRST = UUID(int=0)


class Upkeep:
    def __init__(
        self,
        client: Client,
        db: Database,
        mirror: Mirror,
        messages: Messages,
        budgets: Budgets,
        *,
        sweep_seconds: float,
        beside: Sequence[Callable[[], Awaitable[object]]] = (),
    ) -> None:
        """`beside`: what else is caught up with in each sweep."""
        self._client, self._db, self._mirror, self._messages = client, db, mirror, messages
        self._budgets = budgets
        self._sweep_seconds = sweep_seconds
        self._beside = beside
        self._turn = _FIRST

    async def run(self) -> None:
        """Until cancelled."""
        await asyncio.gather(self._keep_valkey(), self._keep_sweeping(), self._budgets.watch())

    async def _keep_valkey(self) -> None:
        first = True
        while True:
            try:
                if self._mirror.stale.is_set() or await self._mirror.wiped():
                    rows = await self._mirror.rebuild(self._db)
                    log.info("rebuilt Valkey's picture from Postgres: %d rows", rows)
                elif first:
                    await self._mirror.refresh(self._db)
                first = False
                await self._mirror.relay(self._db)
            except (MusterError, RedisError, OSError) as error:
                log.debug("no relay: %s", error)
                await asyncio.sleep(1.0)
                continue
            except Exception:
                log.exception("the relay failed")
                await asyncio.sleep(_RELAY_SECONDS)  # what is stale still is, and would not be waited for
            with suppress(TimeoutError):
                async with asyncio.timeout(_RELAY_SECONDS):
                    await self._mirror.stale.wait()

    async def _keep_sweeping(self) -> None:
        while True:
            try:
                async with self._db.lock(SWEEP_LOCK) as mine:
                    if mine:
                        await self.sweep()
            except (MusterError, OSError) as error:
                log.debug("no sweep: %s", error)
            except Exception:
                log.exception("the sweep failed")
            await asyncio.sleep(self._sweep_seconds)

    async def sweep(self) -> None:
        """The net under messages that were lost with whoever was to send them."""
        for workspace in await chores.logs(self._db):
            changes = await moves.fill_workspace(self._db, workspace.workspace_id)
            self._messages.spread(changes)
            await self._budgets.look(workspace.workspace_id)
            await idempotency.forget_old(self._db, workspace.workspace_id)
        # Those that need something, and some of the others in turns: each look costs Temporal a millisecond.
        quiet = await chores.quiet_tasks(self._db, seconds=self._sweep_seconds, after=None, limit=_NEEDY_TASKS)
        turn = await chores.quiet_tasks(self._db, seconds=self._sweep_seconds, after=self._turn, limit=_QUIET_TASKS)
        self._turn = turn[-1].task_id if len(turn) == _QUIET_TASKS else _FIRST
        gate = asyncio.Semaphore(10)

        async def look(task: QuietTask) -> None:
            async with gate:
                await self._look_after(task)

        await asyncio.gather(*(look(task) for task in {task.task_id: task for task in quiet + turn}.values()))
        for catch_up in self._beside:
            await catch_up()

    async def _look_after(self, quiet: QuietTask) -> None:
        status = await self._status(task_workflow_id(quiet.workspace_id, quiet.task_id))
        if status not in (WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.CONTINUED_AS_NEW):
            await self._abandon(quiet, status.name.lower() if status else None)
        elif quiet.needs == "wake":
            await self._messages.wake(quiet.workspace_id, quiet.task_id)
        elif quiet.needs == "abort":
            await self._messages.abort(quiet.workspace_id, quiet.task_id)
        elif quiet.needs == "grant" and quiet.agent_id:
            if await self._status(agent_workflow_id(quiet.workspace_id, quiet.agent_id)) is not None:
                return  # it waits for a worker; its task has heard
            grant = Grant(task_id=quiet.task_id, agent_id=quiet.agent_id, attempt=quiet.attempts)
            await self._messages.grant(quiet.workspace_id, grant)

    async def _status(self, workflow_id: str) -> WorkflowExecutionStatus | None:
        try:
            return (await self._client.get_workflow_handle(workflow_id).describe()).status
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            return None

    async def _abandon(self, quiet: QuietTask, status: str | None) -> None:
        ended = f"was {status}" if status else "is gone from Temporal"
        changes = await moves.abandon_task(
            self._db, quiet.workspace_id, quiet.task_id, f"the workflow that kept this task {ended}"
        )
        self._messages.spread(changes)
        log.warning("task %s: its workflow %s; recorded as lost", quiet.task_id, ended)
