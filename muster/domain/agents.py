"""What an agent is: one attempt at a task, by one runner."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, JsonValue

from muster.domain.ids import agent_workflow_id
from muster.domain.states import AgentStatus, Reason
from muster.domain.tasks import KillCommand, KillWish, RunnerSpec


class Agent(BaseModel):
    """An agent as it is recorded and mirrored."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    workspace_id: UUID
    task_id: UUID
    attempt: int
    status: AgentStatus
    reason: Reason | None = None
    error: str | None = None
    exit_code: int | None = None
    result: JsonValue = None
    runner: RunnerSpec
    worker: str | None = None
    kill_request: KillWish | None = None
    output_lines: int = 0
    output_truncated: bool = False
    version: int
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def workflow_id(self) -> str:
        return agent_workflow_id(self.workspace_id, self.id)


class AgentStart(BaseModel):
    """Argument of an AgentWorkflow. A reference: the runner's specification is read where it is used."""

    workspace_id: UUID
    agent_id: UUID
    task_id: UUID
    project_id: UUID | None = None
    attempt: int
    runner: str
    heartbeat_timeout_seconds: float = 20.0
    max_seconds: float


class AskKill(BaseModel):
    workspace_id: UUID
    agent_id: UUID
    command: KillCommand


class SettleAgent(BaseModel):
    """Its worker did not say how it ended: record that, unless it was recorded after all."""

    workspace_id: UUID
    agent_id: UUID
    status: AgentStatus
    reason: Reason
    error: str


class OutputLine(BaseModel):
    """One line an agent wrote; of one over 64 KiB, a piece. `n` counts from 1 over both streams, in the order they were
    read."""

    n: int
    stream: Literal["stdout", "stderr", "muster"]
    at: datetime
    text: str
