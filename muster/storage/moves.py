"""The moves of tasks and agents: one call each of a function in migrations/0003_moves.sql."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, LiteralString
from uuid import UUID

from psycopg.types.json import Jsonb
from pydantic import JsonValue

from muster.domain.fleet import Admission
from muster.domain.states import AgentStatus, Reason, TaskStatus
from muster.domain.tasks import Grant, KillWish, TaskSpec
from muster.domain.tenants import Actor
from muster.storage.database import Database, as_actor


@dataclass(frozen=True, slots=True)
class Changes:
    """All that a move changed, as it is mirrored and published; and whose workflows should hear of it."""

    workspace_id: UUID
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


async def _move(db: Database, call: LiteralString, params: tuple[Any, ...]) -> Changes:
    """The first parameter is the workspace's id."""
    answer = await db.move(call, params)
    return Changes(
        workspace_id=params[0],
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
    by: Actor,
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
    return await _move(db, "SELECT task_create(%s, %s, %s, %s)", (workspace_id, as_actor(by), Jsonb(task), spawn))


async def spawn_task(db: Database, workspace_id: UUID, by: Actor, task_id: UUID) -> Changes:
    return await _move(db, "SELECT task_spawn(%s, %s, %s)", (workspace_id, as_actor(by), task_id))


async def retry_task(
    db: Database, workspace_id: UUID, by: Actor, task_id: UUID, *, spawn: bool, request_id: str
) -> Changes:
    return await _move(
        db, "SELECT task_retry(%s, %s, %s, %s, %s)", (workspace_id, as_actor(by), task_id, spawn, request_id)
    )


async def advance_task(db: Database, workspace_id: UUID, task_id: UUID, *, backoff_over: bool) -> Changes:
    """Look at it again: queue it, fail it with its dependencies, or end it with its subtasks. Always harmless."""
    return await _move(db, "SELECT task_advance(%s, %s, %s)", (workspace_id, task_id, backoff_over))


async def finish_task(
    db: Database,
    workspace_id: UUID,
    by: Actor | None,
    task_id: UUID,
    status: TaskStatus,
    *,
    reason: Reason | None = None,
    error: str | None = None,
) -> Changes:
    return await _move(
        db,
        "SELECT task_finish(%s, %s, %s, %s::task_status, %s::failure_reason, %s)",
        (workspace_id, as_actor(by), task_id, status, reason, error),
    )


async def reschedule_task(
    db: Database, workspace_id: UUID, task_id: UUID, *, after_attempt: int, wait_seconds: float
) -> Changes:
    return await _move(
        db, "SELECT task_reschedule(%s, %s, %s, %s)", (workspace_id, task_id, after_attempt, wait_seconds)
    )


async def start_agent(db: Database, workspace_id: UUID, agent_id: UUID, worker: str) -> Changes:
    """Refused (Fenced) when it is not the agent its task waits for."""
    return await _move(db, "SELECT agent_running(%s, %s, %s)", (workspace_id, agent_id, worker))


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
    return await _move(
        db,
        "SELECT agent_finish(%s, %s, %s::agent_status, %s::failure_reason, %s, %s, %s)",
        (workspace_id, agent_id, status, reason, error, exit_code, _json(result)),
    )


async def ask_kill(db: Database, workspace_id: UUID, by: Actor | None, agent_id: UUID, wish: KillWish) -> Changes:
    return await _move(
        db,
        "SELECT agent_ask_kill(%s, %s, %s, %s)",
        (workspace_id, as_actor(by), agent_id, Jsonb(wish.model_dump(mode="json"))),
    )


async def abandon_task(db: Database, workspace_id: UUID, task_id: UUID, error: str) -> Changes:
    return await _move(db, "SELECT task_abandon(%s, %s, %s)", (workspace_id, task_id, error))


async def fill_workspace(db: Database, workspace_id: UUID) -> Changes:
    return await _move(db, "SELECT workspace_fill(%s)", (workspace_id,))


async def admit_workspace(
    db: Database, workspace_id: UUID, by: Actor, admission: Admission, reason: str | None
) -> Changes:
    """Open or close it for new agents. Opened, it hands out what is free."""
    return await _move(
        db, "SELECT workspace_admit(%s, %s, %s::admission, %s)", (workspace_id, as_actor(by), admission, reason)
    )


def _json(value: JsonValue) -> Jsonb | None:
    return None if value is None else Jsonb(value)
