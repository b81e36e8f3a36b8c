"""Sessions: what events happen in. Begun, ended, found."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from muster.domain.errors import NotFound
from muster.domain.ids import new_id
from muster.domain.intake import as_utc, named_label
from muster.domain.memory import NewSession, session_key
from muster.domain.privacy import scrub, scrub_text
from muster.domain.tenants import Tenant
from muster.storage import pages, projects
from muster.storage.database import Database, Who, workspace_of


def reach(who: Who) -> tuple[UUID, UUID | None, UUID | None]:
    """The workspace, and the project and the task that whoever asks is held to."""
    return (who.workspace_id, who.project_id, who.task_id) if isinstance(who, Tenant) else (who, None, None)


def as_sent(who: Who) -> dict[str, str] | None:
    """Who sent it, for the trace; none of what Muster records itself."""
    return who.actor.model_dump(mode="json", exclude_none=True) if isinstance(who, Tenant) else None


async def start(
    db: Database, who: Who, session: NewSession, *, session_id: UUID | None = None
) -> tuple[dict[str, Any], bool]:
    """The session, and whether it is new. Known is one of the same external id on the same platform."""
    own_id = session_id or new_id()
    project_id = await projects.resolve(db, who, session.project)
    found: dict[str, Any] = await db.move(
        "SELECT session_start(%s, %s, %s, %s)",
        (
            *reach(who),
            Jsonb(
                {
                    "id": str(own_id),
                    "project_id": str(project_id),
                    # By what it is called, secret or not: two that look alike without their secrets are two.
                    "key": session_key(session.platform, session.external_id, own_id),
                    "external_id": (scrub_text(session.external_id) or None) if session.external_id else None,
                    "platform": named_label("platform", session.platform),
                    "title": scrub_text(session.title) if session.title else None,
                    "agent_id": str(session.agent_id) if session.agent_id else None,
                    "task_id": str(session.task_id) if session.task_id else None,
                    "metadata": scrub(session.metadata)[0],
                    "sent": isinstance(who, Tenant),
                    "by": as_sent(who),
                    "started_at": as_utc(session.started_at).isoformat() if session.started_at else None,
                }
            ),
        ),
    )
    return found, bool(found.pop("new"))


async def end(db: Database, who: Who, session_id: UUID, *, request_id: str | None = None) -> dict[str, Any]:
    """The session, with the `job` that summarises it: one, however often it is ended, until there is more in it."""
    by = as_sent(who)
    return await db.move(
        "SELECT session_end(%s, %s, %s, %s, %s, %s)",
        (*reach(who), session_id, request_id, Jsonb(by) if by is not None else None),
    )


async def get(db: Database, who: Who, session_id: UUID) -> dict[str, Any]:
    rows = await db.read(
        who,
        "SELECT session_json(s) FROM memory_sessions s WHERE workspace_id = %s AND id = %s",
        (workspace_of(who), session_id),
    )
    if not rows:
        raise NotFound(f"there is no session {session_id}")
    session: dict[str, Any] = rows[0][0]
    return session


async def page(
    db: Database,
    who: Who,
    *,
    project_id: UUID | None = None,
    agent_id: UUID | None = None,
    task_id: UUID | None = None,
    platform: str | None = None,
    external_id: str | None = None,
    ended: bool | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> tuple[list[dict[str, Any]], str | None]:
    """The latest to begin first."""
    at, last = pages.after(cursor)
    named = scrub_text(external_id) if external_id else None
    if named == "":  # all of it is private, and it is kept nowhere
        return [], None
    rows = await db.read(
        who,
        "SELECT session_json(s) FROM memory_sessions s WHERE workspace_id = %s "
        "AND (%s::uuid IS NULL OR project_id = %s::uuid) AND (%s::uuid IS NULL OR agent_id = %s::uuid) "
        "AND (%s::uuid IS NULL OR task_id = %s::uuid) AND (%s::text IS NULL OR platform = %s::text) "
        "AND (%s::text IS NULL OR external_id = %s::text) AND (%s::bool IS NULL OR (ended_at IS NOT NULL) = %s::bool) "
        "AND (%s::timestamptz IS NULL OR (started_at, id) < (%s::timestamptz, %s::uuid)) "
        "ORDER BY started_at DESC, id DESC LIMIT %s",
        (
            workspace_of(who), project_id, project_id, agent_id, agent_id, task_id, task_id, platform, platform,
            named, named, ended, ended, at, at, last, limit + 1,
        ),
    )  # fmt: skip
    return pages.page(rows, limit, by="started_at")
