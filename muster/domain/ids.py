"""Identifiers: time-ordered for rows, derived for anything that may be written twice."""

from __future__ import annotations

import hashlib
import os
import time
from uuid import UUID

DEFAULT_WORKSPACE = UUID("00000000-0000-7000-8000-000000000001")
DEFAULT_USER = UUID("00000000-0000-7000-8000-000000000002")


def new_id() -> UUID:
    """A UUIDv7: sorts by creation, so primary-key indexes grow at one end."""
    millis = time.time_ns() // 1_000_000
    value = (millis << 80) | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | (0x7 << 76)
    value = value & ~(0x3 << 62) | (0x2 << 62)
    return UUID(int=value)


def event_id(entity_id: UUID, event_type: str, run: int, attempt: int) -> UUID:
    """The id of a lifecycle event. SQL's `event_id()` computes the same; a test compares them.

    UUIDv8 over SHA-256 rather than UUIDv5: PostgreSQL has no SHA-1 without an extension.
    """
    return derived_id(hashlib.sha256(f"{entity_id}/{event_type}/{run}.{attempt}".encode()).hexdigest())


def derived_id(digest: str) -> UUID:
    """A UUIDv8 of the first 128 bits of a SHA-256, in hexadecimal."""
    value = int(digest[:32], 16)
    value = value & ~(0xF << 76) | (0x8 << 76)
    value = value & ~(0x3 << 62) | (0x2 << 62)
    return UUID(int=value)


def task_workflow_id(workspace_id: UUID, task_id: UUID) -> str:
    return f"task-{task_id}.{workspace_id}"


def agent_workflow_id(workspace_id: UUID, agent_id: UUID) -> str:
    return f"agent-{agent_id}.{workspace_id}"


def memory_workflow_id(workspace_id: UUID, of: UUID) -> str:
    """`of`: the session whose jobs it works on, or the project."""
    return f"memory-{of}.{workspace_id}"


def workspace_of_workflow(workflow_id: str) -> UUID | None:
    """Whose workflow it is; None for one that is not ours."""
    try:
        return UUID(workflow_id.rpartition(".")[2])
    except ValueError:
        return None
