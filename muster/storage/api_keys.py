"""API keys: made, listed, rotated, revoked. A hash goes in here; it comes out nowhere but in `access`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

import psycopg

from muster.domain.errors import IllegalMove, MusterError, NotFound, UnknownReference
from muster.domain.states import MemberRole
from muster.domain.tenants import Scope, Tenant
from muster.storage import pages
from muster.storage.database import Database

Row = dict[str, Any]

_COLUMNS: LiteralString = (
    "workspace_id, project_id, user_id, name, hash, scopes, role, created_by, created_with, expires_at"
)
_JSON: LiteralString = (
    "jsonb_build_object('id', k.id, 'name', k.name, 'scopes', k.scopes, 'role', k.role, 'project_id', k.project_id, "
    "'workspace_id', k.workspace_id, 'user_id', k.user_id, 'created_by', k.created_by, 'created_with', k.created_with, "
    "'created_at', k.created_at, 'expires_at', k.expires_at, 'last_used_at', k.last_used_at, "
    "'revoked_at', k.revoked_at)"
)
# What is remembered of a key for a moment is good enough to read with, not to make something that lasts.
_ASKER_LIVES: LiteralString = (
    "NOT EXISTS (SELECT 1 FROM api_keys a WHERE a.id = %s AND (a.revoked_at IS NOT NULL OR a.expires_at <= now()))"
)


class KeyEnded(MusterError):
    """The key that asks was revoked, or expired, a moment ago."""

    status, code = 401, "unauthorized"


async def create(
    db: Database,
    who: Tenant,
    key_id: UUID,
    hashed: bytes,
    *,
    workspace_id: UUID | None,
    project_id: UUID | None,
    user_id: UUID,
    name: str,
    scopes: Iterable[Scope],
    role: MemberRole,
    expires_at: datetime | None,
) -> tuple[Row, bool]:
    """The key, and whether it is new: repeated with the same id, it answers with what is there."""
    try:
        rows = await db.query(
            who,
            f"INSERT INTO api_keys AS k (id, {_COLUMNS}) "
            "SELECT %s::uuid, %s::uuid, %s::uuid, %s::uuid, %s::text, %s::bytea, %s::key_scope[], %s::member_role, "
            f"       %s::uuid, %s::uuid, %s::timestamptz WHERE {_ASKER_LIVES} "
            f"ON CONFLICT (id) DO NOTHING RETURNING {_JSON}",
            (
                key_id, workspace_id, project_id, user_id, name, hashed, [scope.value for scope in scopes], role.value,
                who.user_id, who.actor.key_id, expires_at, who.actor.key_id,
            ),
        )  # fmt: skip
    except psycopg.errors.ForeignKeyViolation:
        raise UnknownReference(f"there is no project {project_id} in this workspace") from None
    return (rows[0][0], True) if rows else (await _there_already(db, who, key_id), False)


async def _there_already(db: Database, who: Tenant, key_id: UUID) -> Row:
    found = await find(db, who, key_id)
    if found is None:
        raise KeyEnded("this key opens nothing: it was revoked, or has expired")
    return found


async def find(db: Database, who: Tenant, key_id: UUID) -> Row | None:
    rows = await db.read(who, f"SELECT {_JSON} FROM api_keys k WHERE id = %s", (key_id,))
    return rows[0][0] if rows else None


async def get(db: Database, who: Tenant, key_id: UUID) -> Row:
    found = await find(db, who, key_id)
    if found is None:
        raise NotFound(f"there is no key {key_id}")
    return found


async def page(
    db: Database, who: Tenant, *, include_revoked: bool = False, cursor: str | None = None, limit: int = 50
) -> tuple[list[Row], str | None]:
    """Of the workspace; for administrators theirs too, which belong to none."""
    at, last = pages.after(cursor)
    rows = await db.read(
        who,
        f"SELECT {_JSON} FROM api_keys k WHERE (workspace_id = %s OR workspace_id IS NULL) "
        "AND (%s OR revoked_at IS NULL) "
        "AND (%s::timestamptz IS NULL OR (created_at, id) < (%s::timestamptz, %s::uuid)) "
        "ORDER BY created_at DESC, id DESC LIMIT %s",
        (who.workspace_id, include_revoked, at, at, last, limit + 1),
    )
    return pages.page(rows, limit)


async def revoke(db: Database, who: Tenant, key_id: UUID) -> None:
    """For good. One that is revoked already stays as it is."""
    rows = await db.query(
        who,
        "UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()), updated_at = now() WHERE id = %s RETURNING 1",
        (key_id,),
    )
    if not rows:
        raise NotFound(f"there is no key {key_id}")


async def rotate(
    db: Database, who: Tenant, old: UUID, new: UUID, hashed: bytes, *, overlap_seconds: int
) -> tuple[Row, bool]:
    """A key like the old one, which ends now or after the overlap, in one transaction. Repeated, as `create`."""
    rows = await db.query(
        who,
        "WITH was AS (SELECT id, workspace_id, project_id, user_id, name, scopes, role, expires_at FROM api_keys "
        f"             WHERE id = %s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()) "
        f"             AND {_ASKER_LIVES} AND NOT EXISTS (SELECT 1 FROM api_keys WHERE id = %s) FOR UPDATE), "
        "ended AS (UPDATE api_keys k SET updated_at = now(), "
        "              revoked_at = CASE WHEN %s = 0 THEN now() END, "
        "              expires_at = CASE WHEN %s = 0 THEN k.expires_at "
        "                                ELSE least(k.expires_at, now() + make_interval(secs => %s)) END "
        "          FROM was WHERE k.id = was.id) "
        f"INSERT INTO api_keys AS k (id, {_COLUMNS}) "
        "SELECT %s::uuid, workspace_id, project_id, user_id, name, %s::bytea, scopes, role, %s::uuid, %s::uuid, "
        f"       expires_at FROM was RETURNING {_JSON}",
        (
            old, who.actor.key_id, new, overlap_seconds, overlap_seconds, overlap_seconds,
            new, hashed, who.user_id, who.actor.key_id,
        ),
    )  # fmt: skip
    if rows:
        return rows[0][0], True
    if (found := await find(db, who, new)) is not None:
        return found, False
    was = await get(db, who, old)
    if was["revoked_at"]:
        raise IllegalMove(f"key {old} is revoked; make a new one instead")
    if was["expires_at"] and datetime.fromisoformat(was["expires_at"]).timestamp() <= datetime.now().timestamp():
        raise IllegalMove(f"key {old} has expired; make a new one instead")
    raise KeyEnded("this key opens nothing: it was revoked, or has expired")


async def ends_at(db: Database, who: Tenant) -> datetime | None:
    """When the key that asks expires, if it does."""
    rows = await db.read(who, "SELECT expires_at FROM api_keys WHERE id = %s", (who.actor.key_id,))
    moment: datetime | None = rows[0][0] if rows else None
    return moment
