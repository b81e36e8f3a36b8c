"""What is done to a whole workspace: closing it for new agents, ending those it has, opening it again."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from pydantic import BaseModel, Field

from muster.domain.tasks import KillRequest
from muster.domain.tenants import Actor


class Admission(StrEnum):
    """Whether a workspace gives agents to tasks."""

    OPEN = "open"
    DRAINING = "draining"
    """It gives none; those that run may finish."""
    STOPPED = "stopped"
    """It gives none; those that ran are killed."""


class Admit(BaseModel):
    """Open or close a workspace."""

    workspace_id: UUID
    by: Actor
    admission: Admission
    reason: str | None = None


class LimitsChanged(BaseModel):
    """Others hold from now on: for those that wait, and for those that run."""

    workspace_id: UUID


class StopStart(BaseModel):
    """Argument of a StopWorkspaceWorkflow."""

    workspace_id: UUID
    by: Actor
    request: KillRequest = Field(default_factory=KillRequest)


class EndAgents(BaseModel):
    """One look at a workspace that is being stopped: whoever it still runs is told to end."""

    workspace_id: UUID
    by: Actor
    request: KillRequest
    asked: list[UUID] = Field(default_factory=list, description="Who was told already.")
    seconds: float = Field(default=0.0, description="How long to watch them end.")
    remind: bool = Field(default=False, description="Tell them again: the message may be lost.")


class Ending(BaseModel):
    """How far it has come."""

    admission: Admission
    asked: list[UUID]
    left: int
    killed: int
    ended: int


class StopProgress(BaseModel):
    """How far a stop has come. It is over when the workspace has no active agent, or was opened again."""

    closed: bool = Field(default=False, description="No task is given an agent any more.")
    asked: int = Field(default=0, description="Agents that were active.")
    killed: int = 0
    ended: int = Field(default=0, description="Ended by themselves before the kill reached them.")
    left: int = Field(default=0, description="Still active.")
    reopened: bool = Field(default=False, description="Somebody opened the workspace before it was over.")
