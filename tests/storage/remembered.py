"""Projects that remember something: rows as the pipeline leaves them, and where a text is still found."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from muster.domain.ids import new_id
from muster.domain.memory import JobKind, content_hash, job_id
from muster.storage import projects
from muster.storage.database import Database

from .conftest import sql
from .furniture import tenant_tables


@dataclass
class Memory:
    """Of one project."""

    db: Database
    workspace: UUID
    project: UUID = field(default_factory=new_id)

    async def begin(self) -> Memory:
        slug = f"p-{self.project.hex}"
        await projects.create(self.db, self.workspace, self.project, slug=slug, name="P", description=None)
        return self

    async def rows(self, statement: Any, *params: Any) -> list[tuple[Any, ...]]:
        return await self.db.query(self.workspace, statement, params)

    async def session(self, text: str = "a session", **more: Any) -> UUID:
        session = new_id()
        await self.rows(
            "INSERT INTO memory_sessions (id, workspace_id, project_id, key, external_id, title, agent_id, task_id, "
            "metadata, started_at, ended_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            session, self.workspace, self.project, session.hex, text, text, more.get("agent"), more.get("task"),
            Jsonb({"about": text}), more.get("at") or datetime.now(UTC), more.get("ended"),
        )  # fmt: skip
        return session

    async def job(self, session: UUID, status: str = "completed", text: str | None = None) -> str:
        name = job_id(JobKind.EVENT_BATCH, self.workspace, self.project, "test", new_id().hex)
        await self.rows(
            "INSERT INTO memory_jobs (workspace_id, project_id, id, kind, session_id, source_type, source_id, status, "
            "claim, claimed_at, outcome, finished_at, note) "
            "VALUES (%s, %s, %s, 'event_batch', %s, 'test', 's', %s, %s, %s, %s, %s, %s)",
            self.workspace, self.project, name, session, status,
            new_id() if status == "processing" else None, datetime.now(UTC) if status == "processing" else None,
            "observed" if status == "completed" else None, datetime.now(UTC) if status == "completed" else None, text,
        )  # fmt: skip
        await self.rows(
            "INSERT INTO memory_job_events (workspace_id, project_id, job_id, to_status, attempt, detail) "
            "VALUES (%s, %s, %s, 'queued', 0, %s)",
            self.workspace, self.project, name, Jsonb({"error": text} if text else {}),
        )  # fmt: skip
        return name

    async def event(self, session: UUID, text: str, job: str | None = None, at: datetime | None = None) -> UUID:
        event = new_id()
        await self.rows(
            "INSERT INTO agent_events (id, workspace_id, project_id, session_id, job_id, type, adapter, source_id, "
            "payload, metadata, occurred_at) VALUES (%s, %s, %s, %s, %s, 'message', 'test', %s, %s, %s, %s)",
            event, self.workspace, self.project, session, job, text, Jsonb({"said": text}), Jsonb({"of": [text]}),
            at or datetime.now(UTC),
        )  # fmt: skip
        await self.rows(
            "UPDATE memory_sessions SET events = events + 1 WHERE workspace_id = %s AND id = %s",
            self.workspace, session,
        )  # fmt: skip
        return event

    async def observation(self, text: str, *sources: UUID, **more: Any) -> UUID:
        """With words (two terms of its own and one that all share), counted, and a vector."""
        observation, ours = new_id(), (self.workspace, self.project)
        at, terms = more.get("at") or datetime.now(UTC), more.get("terms") or ["", *text.lower().split()]
        await self.rows(
            "INSERT INTO observations (id, workspace_id, project_id, session_id, task_id, agent_id, job_id, type, "
            "title, narrative, facts, concepts, files_read, summary, importance, seen, generator, content_hash, "
            "occurred_at, last_seen_at) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, 'discovery', %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            observation, *ours, more.get("session"), more.get("task"), more.get("agent"), more.get("job"), text, text,
            [text], [text], [f"src/{text}"], more.get("summary", False), more.get("importance", 0.5),
            more.get("seen", 1), "rules/1" if more.get("job") else "manual", content_hash(text), at,
            more.get("last_seen_at"),
        )  # fmt: skip
        for event in sources:
            await self.rows("INSERT INTO observation_sources VALUES (%s, %s, %s, %s)", *ours, observation, event)
        await self.rows(
            "INSERT INTO observation_words (workspace_id, project_id, observation_id, words, weights, terms, "
            "occurred_at) VALUES (%s, %s, %s, '{1}', '{1:0.5}/1000000000', %s, %s)",
            *ours, observation, terms, at,
        )  # fmt: skip
        await self.rows("SELECT memory_fold(%s, %s)", *ours)
        await self.rows(
            "INSERT INTO memory_embeddings (workspace_id, project_id, observation_id, model, content_hash, embedding) "
            "VALUES (%s, %s, %s, 'm', %s, '[1,2,3]')", *ours, observation, content_hash(text),
        )  # fmt: skip
        return observation

    async def worked(self, text: str, **more: Any) -> tuple[UUID, UUID, UUID]:
        """A session with an event, its job and the observation that came of it."""
        session = await self.session(text, **more)
        job = await self.job(session, text=text)
        event = await self.event(session, text, job, more.get("at"))
        about = {name: value for name, value in more.items() if name in ("agent", "task", "at", "importance")}
        return session, event, await self.observation(text, event, session=session, job=job, **about)

    async def terms(self) -> dict[str, int]:
        found = await self.rows(
            "SELECT term, documents FROM memory_terms WHERE workspace_id = %s AND project_id = %s",
            self.workspace, self.project,
        )  # fmt: skip
        return dict(found)


async def read_all(url: str, statement: str, *params: Any) -> list[tuple[Any, ...]]:
    """As the owner, in every workspace after the other: one at a time is all that even the owner sees."""
    found = []
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        for (workspace,) in await sql(url, "SELECT id FROM workspaces"):
            await connection.execute("SELECT set_config('app.current_workspace_id', %s, false)", (str(workspace),))
            found += await (await connection.execute(statement.encode(), params)).fetchall()
    return found


async def where(url: str, text: str) -> set[str]:
    """The tables that hold a text in any column."""
    found = set()
    for table in await tenant_tables(url):
        rows = await read_all(
            url, f"SELECT 1 FROM {table} t WHERE position(%s in lower(to_jsonb(t)::text)) > 0", text.lower()
        )
        if rows:
            found.add(table)
    return found


def days_ago(days: float) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)
