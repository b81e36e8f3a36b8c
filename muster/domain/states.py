"""The states of tasks and agents, and every move between them.

The same tables stand as guards in SQL (`task_moves`, `agent_moves`) and in ARCHITECTURE.md; a test compares
the three.
"""

from __future__ import annotations

from enum import StrEnum


class TaskStatus(StrEnum):
    PENDING = "pending"
    """Waits for dependencies, subtasks, a slot or a backoff. The grant of a slot moves it on."""
    ASSIGNED = "assigned"
    """Has a slot and an agent that is starting. The agent's first sign of life moves it on."""
    EXECUTING = "executing"
    """Its agent runs, or its subtasks do. Their end moves it on."""
    COMPLETED = "completed"
    """Final."""
    FAILED = "failed"
    """Final, unless a person retries it."""


class AgentStatus(StrEnum):
    SPAWNING = "spawning"
    """Holds a slot; no worker has started its process yet. The worker that does moves it on."""
    RUNNING = "running"
    """A worker runs its process. The end of that process moves it on."""
    COMPLETED = "completed"
    """Final: the runner reported success."""
    FAILED = "failed"
    """Final: it ended by itself, or with its worker, without success."""
    KILLED = "killed"
    """Final: ended on command, and proven gone."""


TASK_MOVES: dict[TaskStatus, frozenset[TaskStatus]] = {
    TaskStatus.PENDING: frozenset({TaskStatus.ASSIGNED, TaskStatus.FAILED}),
    TaskStatus.ASSIGNED: frozenset({TaskStatus.EXECUTING, TaskStatus.PENDING, TaskStatus.FAILED}),
    TaskStatus.EXECUTING: frozenset({TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.PENDING}),
    TaskStatus.COMPLETED: frozenset(),
    TaskStatus.FAILED: frozenset({TaskStatus.PENDING}),
}

AGENT_MOVES: dict[AgentStatus, frozenset[AgentStatus]] = {
    AgentStatus.SPAWNING: frozenset({AgentStatus.RUNNING, AgentStatus.FAILED, AgentStatus.KILLED}),
    AgentStatus.RUNNING: frozenset({AgentStatus.COMPLETED, AgentStatus.FAILED, AgentStatus.KILLED}),
    AgentStatus.COMPLETED: frozenset(),
    AgentStatus.FAILED: frozenset(),
    AgentStatus.KILLED: frozenset(),
}

FINAL_TASK = frozenset({TaskStatus.COMPLETED, TaskStatus.FAILED})
FINAL_AGENT = frozenset({AgentStatus.COMPLETED, AgentStatus.FAILED, AgentStatus.KILLED})
ACTIVE_AGENT = frozenset({AgentStatus.SPAWNING, AgentStatus.RUNNING})


class ProjectStatus(StrEnum):
    ACTIVE = "active"
    ARCHIVED = "archived"
    """Kept and readable; takes no new tasks."""


class MemberRole(StrEnum):
    VIEWER = "viewer"
    MEMBER = "member"
    ADMIN = "admin"
    OWNER = "owner"


class Reason(StrEnum):
    """Why a task or an agent failed or was killed."""

    EXIT_NONZERO = "exit_nonzero"
    TIMEOUT = "timeout"
    KILLED = "killed"
    CANCELLED = "cancelled"
    LOST = "lost"
    """The worker that ran it went away, or the workflow that kept it did."""
    SPAWN_FAILED = "spawn_failed"
    GATE_FAILED = "gate_failed"
    BUDGET_EXCEEDED = "budget_exceeded"
    PROVIDER_QUOTA = "provider_quota"
    INVALID_SPEC = "invalid_spec"
    DEPENDENCY_FAILED = "dependency_failed"
    SUBTASK_FAILED = "subtask_failed"
    INTERNAL = "internal"
    """A defect in Muster, or in a runner. The message says what."""


RETRYABLE = frozenset(
    {
        Reason.EXIT_NONZERO,
        Reason.TIMEOUT,
        Reason.LOST,
        Reason.SPAWN_FAILED,
        Reason.GATE_FAILED,
        Reason.PROVIDER_QUOTA,
        Reason.INTERNAL,
    }
)
"""Reasons after which another attempt may end better."""


class Action(StrEnum):
    """What an activity-log row says was done."""

    TASK_CREATED = "task_created"
    TASK_QUEUED = "task_queued"
    TASK_ASSIGNED = "task_assigned"
    TASK_EXECUTING = "task_executing"
    TASK_COMPLETED = "task_completed"
    TASK_FAILED = "task_failed"
    TASK_RESCHEDULED = "task_rescheduled"
    TASK_RETRIED = "task_retried"
    AGENT_SPAWNED = "agent_spawned"
    AGENT_RUNNING = "agent_running"
    AGENT_COMPLETED = "agent_completed"
    AGENT_FAILED = "agent_failed"
    AGENT_KILLED = "agent_killed"
    AGENT_KILL_REQUESTED = "agent_kill_requested"
    PROJECT_CREATED = "project_created"
    PROJECT_UPDATED = "project_updated"
    PROJECT_DELETED = "project_deleted"
    WORKSPACE_CREATED = "workspace_created"
    WORKSPACE_UPDATED = "workspace_updated"
    WORKSPACE_STOPPED = "workspace_stopped"
    WORKSPACE_DRAINING = "workspace_draining"
    WORKSPACE_RESUMED = "workspace_resumed"
    USER_CREATED = "user_created"
    USER_UPDATED = "user_updated"
    MEMBER_CREATED = "member_created"
    MEMBER_UPDATED = "member_updated"
    MEMBER_DELETED = "member_deleted"
    KEY_CREATED = "key_created"
    KEY_UPDATED = "key_updated"
    KEY_REVOKED = "key_revoked"
    KEY_DELETED = "key_deleted"
    MEMORY_SETTINGS_UPDATED = "memory_settings_updated"
    MEMORY_JOB_RETRIED = "memory_job_retried"
    MEMORY_JOB_CANCELLED = "memory_job_cancelled"
    MEMORY_JOBS_REQUEUED = "memory_jobs_requeued"
    MEMORY_LANE_PAUSED = "memory_lane_paused"
    MEMORY_LANE_RESUMED = "memory_lane_resumed"
    MEMORY_LANE_PARKED = "memory_lane_parked"
    SESSION_STARTED = "session_started"
    SESSION_ENDED = "session_ended"
    EVENTS_RECORDED = "events_recorded"
    OBSERVATION_CREATED = "observation_created"
    OBSERVATION_UPDATED = "observation_updated"
    OBSERVATION_FORGOTTEN = "observation_forgotten"
    SESSION_FORGOTTEN = "session_forgotten"
    AGENT_MEMORY_FORGOTTEN = "agent_memory_forgotten"
    TASK_MEMORY_FORGOTTEN = "task_memory_forgotten"
    PROJECT_MEMORY_FORGOTTEN = "project_memory_forgotten"
    MEMORY_EXPIRED = "memory_expired"
    MEMORY_EXPORTED = "memory_exported"
    MEMORY_IMPORTED = "memory_imported"
