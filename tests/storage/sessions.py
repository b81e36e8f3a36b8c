"""A session of a project with jobs, as the tests of jobs need it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any
from uuid import UUID

from muster.domain.ids import DEFAULT_USER, new_id
from muster.domain.memory import (
    DrainRequest,
    ErrorClass,
    GenerationFailed,
    JobKind,
    NewObservation,
    job_id,
    observation_id,
)
from muster.domain.tenants import Actor, Scope
from muster.domain.tenants import Tenant as Asker
from muster.storage import jobs, observations
from muster.storage.jobs import Done

if TYPE_CHECKING:
    from .conftest import Tenant


class Session:
    """A session of a project, and what is to be made of its events."""

    def __init__(self, tenant: Tenant, project: UUID, session: UUID | None) -> None:
        self.tenant, self.db, self.project, self.id = tenant, tenant.db, project, session

    async def add(self, events: int = 1, *, kind: JobKind = JobKind.EVENT, text: str = "it said something") -> str:
        source = new_id().hex
        job = job_id(kind, self.tenant.id, self.project, "agent_event", source)
        await self.tenant.rows(
            "INSERT INTO memory_jobs (workspace_id, project_id, id, kind, session_id, source_type, source_id, "
            "created_at) VALUES (%s, %s, %s, %s, %s, 'agent_event', %s, clock_timestamp())",
            (self.tenant.id, self.project, job, kind, self.id, source),
        )
        for number in range(events if kind != JobKind.SUMMARY else 0):
            await self.tenant.rows(
                "INSERT INTO agent_events (id, workspace_id, project_id, session_id, job_id, type, adapter, payload, "
                "occurred_at) VALUES (%s, %s, %s, %s, %s, 'message', 'tests', %s, clock_timestamp())",
                (new_id(), self.tenant.id, self.project, self.id, job, f'"{text} {number}"'),
            )
        await self.tenant.rows("UPDATE memory_sessions SET events = events + %s WHERE id = %s", (events, self.id))
        return job

    def request(self, kind: JobKind = JobKind.EVENT) -> DrainRequest:
        return DrainRequest(workspace_id=self.tenant.id, project_id=self.project, session_id=self.id, kind=kind)

    async def claim(self, token: UUID, *, kind: JobKind = JobKind.EVENT, take_over: bool = False) -> jobs.Claimed:
        return await jobs.claim(self.db, self.request(kind), token, take_over=take_over)

    async def complete(self, token: UUID, claimed: jobs.Claimed, *, each: int = 1) -> jobs.Completed:
        rows = []
        for job in claimed.jobs:
            sources = [event.id for event in claimed.events if event.job_id == job]
            for index in range(each):
                # Not alike: what is alike merges.
                words = hashlib.sha256(f"{job}{index}".encode()).hexdigest()
                found = NewObservation(title=" ".join(words[at : at + 6] for at in range(0, 60, 6)), sources=sources)
                rows.append(
                    observations.as_row(
                        self.tenant.id, self.project, observation_id(job, index, found.content_hash), found,
                        session_id=self.id, job_id=job, generator="rules/1",
                    )
                )  # fmt: skip
        done = [Done(job, each, None if each else "nothing") for job in claimed.jobs]
        return await jobs.complete(self.db, self.tenant.id, self.project, token, done, rows)

    async def fail(self, token: UUID, claimed: jobs.Claimed, kind: ErrorClass, **more: Any) -> float:
        until = more.pop("until", None)
        error = GenerationFailed(kind, f"it is {kind}", **more)
        return await jobs.fail(
            self.db, self.tenant.id, self.project, token, claimed.jobs, error, base_seconds=5, until=until
        )

    async def job(self, job: str) -> dict[str, Any]:
        return await jobs.get(self.db, self.tenant.id, job)

    async def statuses(self) -> dict[str, str]:
        rows = await self.tenant.rows("SELECT id, status::text FROM memory_jobs WHERE session_id = %s", (self.id,))
        return dict(rows)

    async def observed(self) -> int:
        rows = await self.tenant.rows("SELECT count(*) FROM observations WHERE session_id = %s", (self.id,))
        return int(rows[0][0])

    async def look(self) -> tuple[list[JobKind], float | None]:
        found = await jobs.look(self.db, self.tenant.id, self.project, self.id)
        return found.open_lanes, found.wait_seconds


async def a_session(tenant: Tenant, project: UUID | None = None) -> Session:
    session = new_id()
    if project is None:
        project = new_id()
        await tenant.rows(
            "INSERT INTO projects (id, workspace_id, slug, name) VALUES (%s, %s, %s, 'P')",
            (project, tenant.id, f"p-{project.hex}"),
        )
    await tenant.rows(
        "INSERT INTO memory_sessions (id, workspace_id, project_id, key) VALUES (%s, %s, %s, %s)",
        (session, tenant.id, project, session.hex),
    )
    return Session(tenant, project, session)


def asker(tenant: Tenant, project: UUID | None = None) -> Asker:
    return Asker(
        tenant.id, DEFAULT_USER, frozenset(Scope), project_id=project, actor=Actor(user_id=DEFAULT_USER, request_id="r")
    )


async def actions(tenant: Tenant) -> list[str]:
    rows = await tenant.rows("SELECT action::text FROM activity_log WHERE action::text LIKE 'memory_%%' ORDER BY id")
    return [row[0] for row in rows]
