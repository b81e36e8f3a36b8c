"""Lifecycle events: exactly these nine, recorded once, published at least once, in one order per workspace."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from pydantic import BaseModel, ConfigDict, JsonValue


class EventType(StrEnum):
    AGENT_SPAWNED = "agent.spawned"
    AGENT_RUNNING = "agent.running"
    AGENT_COMPLETED = "agent.completed"
    AGENT_FAILED = "agent.failed"
    AGENT_KILLED = "agent.killed"
    TASK_ASSIGNED = "task.assigned"
    TASK_EXECUTING = "task.executing"
    TASK_COMPLETED = "task.completed"
    TASK_FAILED = "task.failed"


class Event(BaseModel):
    """Everything a subscriber needs. `position` counts from 1 in each workspace, without gaps."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    position: int
    type: EventType
    workspace_id: UUID
    task_id: UUID
    agent_id: UUID | None = None
    attempt: int
    at: datetime
    data: dict[str, JsonValue]
