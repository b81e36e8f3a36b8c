"""The moves of tasks and agents: one call each of a function in migrations/0003_moves.sql."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb
from pydantic import JsonValue

from muster.domain.states import AgentStatus, Reason, TaskStatus
from muster.domain.tasks import Grant, KillWish, TaskSpec
from muster.storage.database import Database


@dataclass(frozen=True, slots=True)
class Changes:
    """All that a move changed, as it is mirrored and published; and whose workflows should hear of it."""

    events: list[dict[str, Any]] = field(default_factory=list)
    tasks: list[dict[str, Any]] = field(default_factory=list)
    agents: list[dict[str, Any]] = field(default_factory=list)
    grants: list[Grant] = field(default_factory=list)
    wake: list[UUID] = field(default_factory=list)
    cancel: list[UUID] = field(default_factory=list)
    agent: dict[str, Any] | None = None
    """The agent a finish or a wish to kill was about, as it is now."""

    def task(self, task_id: UUID) -> dict[str, Any]:
        return next(task for task in self.tasks if task["id"] == str(task_id))

    def grant(self, task_id: UUID) -> Grant | None:
        return next((grant for grant in self.grants if grant.task_id == task_id), None)


def _changes(answer: dict[str, Any]) -> Changes:
    return Changes(
        events=answer["events"],
        tasks=answer["tasks"],
        agents=answer["agents"],
        grants=[Grant.model_validate(grant) for grant in answer["grants"]],
        wake=[UUID(item) for item in answer["wake"]],
        cancel=[UUID(item) for item in answer["cancel"]],
        agent=answer.get("agent"),
    )


async def create_task(
    db: Database,
    workspace_id: UUID,
    user_id: UUID,
    task_id: UUID,
    spec: TaskSpec,
    *,
    project_id: UUID | None,
    spawn: bool,
    request_hash: str | None = None,
    request_id: str | None = None,
) -> Changes:
    """Record a new task, once. `spawn`: refuse it (WorkspaceFull) unless it gets a slot now."""
    task = spec.model_dump(mode="json", exclude={"project"}) | {
        "id": str(task_id),
        "project_id": str(project_id) if project_id else None,
        "request_hash": request_hash,
        "request_id": request_id,
    }
    return _changes(
        await db.move("SELECT task_create(%s, %s, %s, %s)", (workspace_id, user_id, Jsonb(task), spawn)),
    )


async def spawn_task(db: Database, workspace_id: UUID, user_id: UUID, task_id: UUID) -> Changes:
    return _changes(await db.move("SELECT task_spawn(%s, %s, %s)", (workspace_id, user_id, task_id)))


async def retry_task(
    db: Database, workspace_id: UUID, user_id: UUID, task_id: UUID, *, spawn: bool, request_id: str
) -> Changes:
    return _changes(
        await db.move(
            "SELECT task_retry(%s, %s, %s, %s, %s)", (workspace_id, user_id, task_id, spawn, request_id)
        )
    )  # fmt: skip


async def advance_task(db: Database, workspace_id: UUID, task_id: UUID, *, backoff_over: bool) -> Changes:
    """Look at it again: queue it, fail it with its dependencies, or end it with its subtasks. Always harmless."""
    return _changes(await db.move("SELECT task_advance(%s, %s, %s)", (workspace_id, task_id, backoff_over)))


async def finish_task(
    db: Database,
    workspace_id: UUID,
    user_id: UUID | None,
    task_id: UUID,
    status: TaskStatus,
    *,
    reason: Reason | None = None,
    error: str | None = None,
) -> Changes:
    return _changes(
        await db.move(
            "SELECT task_finish(%s, %s, %s, %s::task_status, %s::failure_reason, %s)",
            (workspace_id, user_id, task_id, status, reason, error),
        )
    )


async def reschedule_task(
    db: Database, workspace_id: UUID, task_id: UUID, *, after_attempt: int, wait_seconds: float
) -> Changes:
    return _changes(
        await db.move(
            "SELECT task_reschedule(%s, %s, %s, %s)", (workspace_id, task_id, after_attempt, wait_seconds)
        )
    )  # fmt: skip


async def start_agent(db: Database, workspace_id: UUID, agent_id: UUID, worker: str) -> Changes:
    """Refused (Fenced) when it is not the agent its task waits for."""
    return _changes(await db.move("SELECT agent_running(%s, %s, %s)", (workspace_id, agent_id, worker)))


async def finish_agent(
    db: Database,
    workspace_id: UUID,
    agent_id: UUID,
    status: AgentStatus,
    *,
    reason: Reason | None = None,
    error: str | None = None,
    exit_code: int | None = None,
    result: JsonValue = None,
) -> Changes:
    """The first ending is believed. `Changes.agent` says which it was."""
    return _changes(
        await db.move(
            "SELECT agent_finish(%s, %s, %s::agent_status, %s::failure_reason, %s, %s, %s)",
            (workspace_id, agent_id, status, reason, error, exit_code, _json(result)),
        )
    )


async def ask_kill(db: Database, workspace_id: UUID, user_id: UUID | None, agent_id: UUID, wish: KillWish) -> Changes:
    return _changes(
        await db.move(
            "SELECT agent_ask_kill(%s, %s, %s, %s)",
            (workspace_id, user_id, agent_id, Jsonb(wish.model_dump(mode="json"))),
        )
    )


async def abandon_task(db: Database, workspace_id: UUID, task_id: UUID, error: str) -> Changes:
    return _changes(await db.move("SELECT task_abandon(%s, %s, %s)", (workspace_id, task_id, error)))


async def fill_workspace(db: Database, workspace_id: UUID) -> Changes:
    return _changes(await db.move("SELECT workspace_fill(%s)", (workspace_id,)))


def _json(value: JsonValue) -> Jsonb | None:
    return None if value is None else Jsonb(value)
