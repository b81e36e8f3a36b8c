"""Who asks, for whom, and how far that reaches."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from muster.domain.states import MemberRole


class Scope(StrEnum):
    """What a key may be used for."""

    TASKS_READ = "tasks:read"
    TASKS_WRITE = "tasks:write"
    AGENTS_READ = "agents:read"
    AGENTS_WRITE = "agents:write"
    EVENTS_READ = "events:read"
    MEMORY_READ = "memory:read"
    MEMORY_WRITE = "memory:write"
    ADMIN = "admin"
    """Keys, members, settings and the activity log of a workspace."""


_READS = frozenset({Scope.TASKS_READ, Scope.AGENTS_READ, Scope.EVENTS_READ, Scope.MEMORY_READ})
_WRITES = frozenset({Scope.TASKS_WRITE, Scope.AGENTS_WRITE, Scope.MEMORY_WRITE})

SCOPES_OF: dict[MemberRole, frozenset[Scope]] = {
    MemberRole.VIEWER: _READS,
    MemberRole.MEMBER: _READS | _WRITES,
    MemberRole.ADMIN: frozenset(Scope),
    MemberRole.OWNER: frozenset(Scope),
}
"""The most a member with this role can do, whatever its keys say."""

AGENT_SCOPES = _READS | {Scope.TASKS_WRITE, Scope.MEMORY_WRITE}
"""What an agent may do with its own token: read what is around it, make subtasks, remember. It ends nobody."""

RANK: dict[MemberRole, int] = {role: rank for rank, role in enumerate(MemberRole)}


def lesser(one: MemberRole, other: MemberRole) -> MemberRole:
    return min(one, other, key=RANK.__getitem__)


class Actor(BaseModel):
    """Who did something, as the activity log keeps it. All empty: Muster itself."""

    model_config = ConfigDict(frozen=True)

    user_id: UUID | None = None
    key_id: UUID | None = None
    agent_id: UUID | None = None
    address: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Tenant:
    """On whose behalf something is read or written."""

    workspace_id: UUID
    user_id: UUID
    scopes: frozenset[Scope] = frozenset()
    role: MemberRole = MemberRole.VIEWER
    project_id: UUID | None = None
    """Set: it reaches this project only."""
    task_id: UUID | None = None
    """Set: an agent's token. It reaches this task, its subtasks, and its project if it has one."""
    administrator: bool = False
    """Of the instance: makes workspaces, users and members."""
    weight: int = 1
    """Of its workspace, where workspaces wait for the same workers."""
    actor: Actor = field(default_factory=Actor)

    @property
    def reaches_all(self) -> bool:
        """Everything in its workspace, that is."""
        return self.project_id is None and self.task_id is None
