"""The moves of tasks, as activities. Each may run twice and changes things once."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from temporalio import activity

from activities.messages import Messages
from muster.domain.tasks import FinishTask, Grant, RescheduleTask, SpawnTask, Standing, TaskAt, TaskStart
from muster.storage import moves
from muster.storage.database import Database
from muster.storage.moves import Changes


class TaskActivities:
    def __init__(self, db: Database, messages: Messages) -> None:
        self._db = db
        self._messages = messages

    @activity.defn
    async def open_task(self, start: TaskStart) -> Standing:
        spawn = start.mode in ("spawn", "respawn")
        if start.mode in ("create", "spawn") and start.spec is not None:
            changes = await moves.create_task(
                self._db,
                start.workspace_id,
                start.by,
                start.task_id,
                start.spec,
                project_id=start.project_id,
                spawn=spawn,
                request_hash=start.request_hash,
                request_id=start.request_id,
            )
        elif start.mode in ("retry", "respawn"):
            changes = await moves.retry_task(
                self._db,
                start.workspace_id,
                start.by,
                start.task_id,
                spawn=spawn,
                request_id=start.request_id or activity.info().workflow_run_id or "",
            )
        else:
            changes = await moves.advance_task(self._db, start.workspace_id, start.task_id, backoff_over=False)
        return await self._stand(changes, start.task_id)

    @activity.defn
    async def spawn_task(self, request: SpawnTask) -> Standing:
        changes = await moves.spawn_task(self._db, request.workspace_id, request.by, request.task_id)
        return await self._stand(changes, request.task_id)

    @activity.defn
    async def advance_task(self, at: TaskAt) -> Standing:
        changes = await moves.advance_task(self._db, at.workspace_id, at.task_id, backoff_over=at.backoff_over)
        return await self._stand(changes, at.task_id)

    @activity.defn
    async def reschedule_task(self, request: RescheduleTask) -> Standing:
        changes = await moves.reschedule_task(
            self._db,
            request.workspace_id,
            request.task_id,
            after_attempt=request.after_attempt,
            wait_seconds=request.wait_seconds,
        )
        return await self._stand(changes, request.task_id)

    @activity.defn
    async def finish_task(self, request: FinishTask) -> Standing:
        changes = await moves.finish_task(
            self._db,
            request.workspace_id,
            request.by,
            request.task_id,
            request.status,
            reason=request.reason,
            error=request.error,
        )
        return await self._stand(changes, request.task_id)

    async def _stand(self, changes: Changes, task_id: UUID) -> Standing:
        self._messages.spread(changes, to_all_but=task_id)
        return standing(changes, task_id)


def standing(changes: Changes, task_id: UUID) -> Standing:
    task = changes.task(task_id)
    runner: dict[str, Any] = task["runner"] or {}
    waits_until = task["next_attempt_at"]
    grant = None
    if task["status"] in ("assigned", "executing") and task["agent_id"]:
        # Said at every step, not only at the one that granted it: the answer of that one may have been lost.
        grant = Grant(task_id=task_id, agent_id=task["agent_id"], attempt=task["attempts"])
    return Standing(
        status=task["status"],
        reason=task["reason"],
        error=task["error"],
        title=task["title"],
        attempts=task["attempts"],
        project_id=task["project_id"],
        runner=runner.get("kind"),
        attempt_seconds=runner.get("timeout_seconds"),
        timeout_seconds=task["timeout_seconds"],
        retry=task["retry"],
        next_attempt_at=datetime.fromisoformat(waits_until) if waits_until else None,
        grant=grant,
    )
