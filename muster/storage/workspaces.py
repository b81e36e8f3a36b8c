"""Workspaces, and the people who may work in them. Their limits too, as they are set; moves hold work to them."""

from __future__ import annotations

from typing import Any, LiteralString
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from muster.domain.errors import Forbidden, MusterError, NotFound, SlugTaken, UnknownReference
from muster.domain.ids import new_id
from muster.domain.states import MemberRole
from muster.domain.tenants import RANK, Tenant
from muster.storage import pages
from muster.storage.database import Database

Row = dict[str, Any]

_WORKSPACE: LiteralString = (
    "jsonb_build_object('id', w.id, 'slug', w.slug, 'name', w.name, 'max_concurrent_agents', w.max_concurrent_agents, "
    "'max_waiting_tasks', w.max_waiting_tasks, 'requests_per_second', w.requests_per_second, "
    "'max_body_bytes', w.max_body_bytes, 'max_output_bytes', w.max_output_bytes, "
    "'daily_agent_seconds', w.daily_agent_seconds, 'weight', w.weight, 'admission', w.admission, "
    "'admission_by', w.admission_by, 'version', w.version, 'created_at', w.created_at, 'updated_at', w.updated_at)"
)
_USER: LiteralString = (
    "jsonb_build_object('id', u.id, 'email', u.email, 'name', u.name, 'administrator', u.administrator, "
    "'created_at', u.created_at)"
)
_MEMBER: LiteralString = (
    "jsonb_build_object('user_id', m.user_id, 'workspace_id', m.workspace_id, 'email', u.email, "
    "'name', u.name, 'role', m.role, 'created_at', m.created_at)"
)


class LastOwner(MusterError):
    """Without an owner nobody in the workspace could make another."""

    status, code = 409, "last_owner"


class LastAdministrator(MusterError):
    status, code = 409, "last_administrator"


class EmailTaken(MusterError):
    status, code = 409, "email_taken"


class MemberAlready(MusterError):
    status, code = 409, "member_already"


async def create(
    db: Database, who: Tenant, *, slug: str, name: str, limits: dict[str, Any], owner_id: UUID | None
) -> Row:
    """As an administrator, in the workspace that will be. Repeated with the same id, it answers with what is there."""
    try:
        rows = await db.query(
            who,
            "WITH w AS (INSERT INTO workspaces (id, slug, name, max_concurrent_agents, max_waiting_tasks, "
            "               requests_per_second, max_body_bytes, max_output_bytes, daily_agent_seconds, weight) "
            "           SELECT %s::uuid, %s, %s, (l.l ->> 'max_concurrent_agents')::integer, "
            "               (l.l ->> 'max_waiting_tasks')::integer, (l.l ->> 'requests_per_second')::integer, "
            "               (l.l ->> 'max_body_bytes')::integer, (l.l ->> 'max_output_bytes')::bigint, "
            "               (l.l ->> 'daily_agent_seconds')::bigint, (l.l ->> 'weight')::smallint "
            "           FROM (SELECT %s::jsonb AS l) l ON CONFLICT (id) DO NOTHING RETURNING *), "
            "log AS (INSERT INTO workspace_log (workspace_id) SELECT id FROM w), "
            "owner AS (INSERT INTO workspace_members (workspace_id, user_id, role) "
            "          SELECT w.id, x.x, 'owner' FROM w, (SELECT %s::uuid AS x) x WHERE x.x IS NOT NULL) "
            f"SELECT {_WORKSPACE} FROM w",
            (who.workspace_id, slug, name, Jsonb(limits), owner_id),
        )
    except psycopg.errors.UniqueViolation:
        raise SlugTaken(f"there is a workspace {slug} already") from None
    except psycopg.errors.ForeignKeyViolation:
        raise UnknownReference(f"there is no user {owner_id}") from None
    return rows[0][0] if rows else await get(db, who, str(who.workspace_id))


async def get(db: Database, who: Tenant, ref: str) -> Row:
    """By id or slug; its own only, but for administrators."""
    rows = await db.read(
        who, f"SELECT {_WORKSPACE} FROM workspaces w WHERE w.id = %s::uuid OR w.slug = %s", (_as_id(ref), ref)
    )
    if not rows:
        raise NotFound(f"there is no workspace {ref}")
    workspace: Row = rows[0][0]
    return workspace


async def page(
    db: Database, who: Tenant, *, cursor: str | None = None, limit: int = 50
) -> tuple[list[Row], str | None]:
    """All for administrators; for others their own."""
    at, last = pages.after(cursor)
    rows = await db.read(
        who,
        f"SELECT {_WORKSPACE} FROM workspaces w "
        "WHERE (%s::timestamptz IS NULL OR (created_at, id) < (%s::timestamptz, %s::uuid)) "
        "ORDER BY created_at DESC, id DESC LIMIT %s",
        (at, at, last, limit + 1),
    )
    return pages.page(rows, limit)


async def update(db: Database, who: Tenant, changed: dict[str, Any]) -> Row:
    """Of the workspace it is in. `changed` holds any of slug, name and the limits."""
    try:
        rows = await db.query(
            who,
            # Only what is named changes, so two writers of different fields do not undo each other.
            "UPDATE workspaces w SET slug = coalesce(c.c ->> 'slug', slug), name = coalesce(c.c ->> 'name', name), "
            "  max_concurrent_agents = coalesce((c.c ->> 'max_concurrent_agents')::integer, max_concurrent_agents), "
            "  max_waiting_tasks = coalesce((c.c ->> 'max_waiting_tasks')::integer, max_waiting_tasks), "
            "  requests_per_second = coalesce((c.c ->> 'requests_per_second')::integer, requests_per_second), "
            "  weight = coalesce((c.c ->> 'weight')::smallint, weight), "
            "  max_body_bytes = CASE WHEN jsonb_exists(c.c, 'max_body_bytes') "
            "                        THEN (c.c ->> 'max_body_bytes')::integer ELSE max_body_bytes END, "
            "  max_output_bytes = CASE WHEN jsonb_exists(c.c, 'max_output_bytes') "
            "                          THEN (c.c ->> 'max_output_bytes')::bigint ELSE max_output_bytes END, "
            "  daily_agent_seconds = CASE WHEN jsonb_exists(c.c, 'daily_agent_seconds') "
            "                             THEN (c.c ->> 'daily_agent_seconds')::bigint ELSE daily_agent_seconds END, "
            "  version = version + 1, updated_at = now() "
            f"FROM (SELECT %s::jsonb AS c) c WHERE w.id = %s RETURNING {_WORKSPACE}",
            (Jsonb(changed), who.workspace_id),
        )
    except psycopg.errors.UniqueViolation:
        raise SlugTaken(f"there is a workspace {changed['slug']} already") from None
    if not rows:
        raise NotFound(f"there is no workspace {who.workspace_id}")
    updated: Row = rows[0][0]
    return updated


# -- Users ----------------------------------------------------------------------------------------------------------


async def create_user(
    db: Database, who: Tenant, user_id: UUID, *, email: str, name: str, administrator: bool
) -> Row:  # fmt: skip
    """Repeated with the same id, it answers with what is there."""
    try:
        rows = await db.query(
            who,
            "INSERT INTO users AS u (id, email, name, administrator) VALUES (%s, %s, %s, %s) "
            f"ON CONFLICT (id) DO NOTHING RETURNING {_USER}",
            (user_id, email, name, administrator),
        )
    except psycopg.errors.UniqueViolation:
        raise EmailTaken(f"there is a user {email} already") from None
    return rows[0][0] if rows else await user(db, who, user_id)


async def user(db: Database, who: Tenant, user_id: UUID) -> Row:
    rows = await db.read(who, f"SELECT {_USER} FROM users u WHERE id = %s", (user_id,))
    if not rows:
        raise UnknownReference(f"there is no user {user_id}")
    found: Row = rows[0][0]
    return found


async def update_user(
    db: Database, who: Tenant, user_id: UUID, *, name: str | None, administrator: bool | None
) -> Row:  # fmt: skip
    """Who is no administrator any more has no key that opens everything, and gets none back by becoming one again."""
    rows = await db.query(
        who,
        # Locked, so that of two administrators who leave at once one stays.
        "WITH others AS (SELECT id FROM users WHERE administrator ORDER BY id FOR UPDATE), "
        "changed AS (UPDATE users u SET name = coalesce(%s::text, name), "
        "                administrator = coalesce(%s::boolean, administrator) "
        "            WHERE id = %s AND (%s::boolean IS NOT FALSE OR NOT administrator "
        "                               OR EXISTS (SELECT 1 FROM others WHERE others.id <> u.id)) RETURNING *), "
        "ended AS (UPDATE api_keys k SET revoked_at = now(), updated_at = now() FROM changed c "
        "          WHERE k.user_id = c.id AND NOT c.administrator AND k.workspace_id IS NULL "
        "          AND k.revoked_at IS NULL) "
        f"SELECT {_USER} FROM changed u",
        (name, administrator, user_id, administrator),
    )
    if not rows:
        if not await db.query(who, "SELECT 1 FROM users WHERE id = %s", (user_id,)):
            raise NotFound(f"there is no user {user_id}")
        raise LastAdministrator(f"user {user_id} is the last administrator of this instance; make another one first")
    updated: Row = rows[0][0]
    return updated


async def user_by_email(db: Database, who: Tenant, email: str, name: str) -> UUID:
    """The one there is, or a new one."""
    for _ in range(2):
        rows = await db.query(who, "SELECT id FROM users WHERE email = %s", (email,))
        if rows:
            break
        rows = await db.query(
            who,
            "INSERT INTO users (id, email, name) VALUES (%s, %s, %s) ON CONFLICT (email) DO NOTHING RETURNING id",
            (new_id(), email, name),
        )
        if rows:
            break
    found: UUID = rows[0][0]
    return found


async def users(db: Database, who: Tenant, *, cursor: str | None, limit: int) -> tuple[list[Row], str | None]:
    at, last = pages.after(cursor)
    rows = await db.read(
        who,
        f"SELECT {_USER} FROM users u "
        "WHERE (%s::timestamptz IS NULL OR (created_at, id) < (%s::timestamptz, %s::uuid)) "
        "ORDER BY created_at DESC, id DESC LIMIT %s",
        (at, at, last, limit + 1),
    )
    return pages.page(rows, limit)


# -- Members --------------------------------------------------------------------------------------------------------


async def add_member(db: Database, who: Tenant, user_id: UUID, role: MemberRole) -> Row:
    try:
        await db.query(
            who,
            "INSERT INTO workspace_members (workspace_id, user_id, role) VALUES (%s, %s, %s::member_role) "
            "ON CONFLICT DO NOTHING",
            (who.workspace_id, user_id, role.value),
        )
    except psycopg.errors.ForeignKeyViolation:
        raise UnknownReference(f"there is no user {user_id}") from None
    found = await member(db, who, user_id)
    if found is None:
        raise NotFound(f"user {user_id} is no member of this workspace")
    if found["role"] != role:
        raise MemberAlready(f"{found['email']} is a member already, as {found['role']}; change that with PATCH")
    return found


async def member(db: Database, who: Tenant, user_id: UUID) -> Row | None:
    rows = await db.query(
        who,
        f"SELECT {_MEMBER} FROM workspace_members m JOIN users u ON u.id = m.user_id "
        "WHERE m.workspace_id = %s AND m.user_id = %s",
        (who.workspace_id, user_id),
    )
    return rows[0][0] if rows else None


async def members(db: Database, who: Tenant, *, cursor: str | None, limit: int) -> tuple[list[Row], str | None]:
    at, last = pages.after(cursor)
    rows = await db.read(
        who,
        f"SELECT {_MEMBER} || jsonb_build_object('id', m.user_id) "  # the id that pages go on behind
        "FROM workspace_members m JOIN users u ON u.id = m.user_id WHERE m.workspace_id = %s "
        "AND (%s::timestamptz IS NULL OR (m.created_at, m.user_id) < (%s::timestamptz, %s::uuid)) "
        "ORDER BY m.created_at DESC, m.user_id DESC LIMIT %s",
        (who.workspace_id, at, at, last, limit + 1),
    )
    items, following = pages.page(rows, limit)
    for item in items:
        del item["id"]
    return items, following


# Locked, so that of two owners who leave at once one stays.
_OWNERS: LiteralString = (
    "owners AS (SELECT user_id FROM workspace_members WHERE workspace_id = %s AND role = 'owner' "
    "           ORDER BY user_id FOR UPDATE)"
)
_MAY: LiteralString = "m.workspace_id = %s AND m.user_id = %s AND m.role <= %s::member_role"


async def set_role(db: Database, who: Tenant, user_id: UUID, role: MemberRole) -> Row:
    if RANK[role] > RANK[who.role]:
        raise Forbidden(f"this key is {_a(who.role)}'s; it cannot make anybody {_a(role)}")
    rows = await db.query(
        who,
        f"WITH {_OWNERS} UPDATE workspace_members m SET role = %s::member_role FROM users u "
        f"WHERE u.id = m.user_id AND {_MAY} "
        "AND (m.role <> 'owner' OR %s = 'owner' OR (SELECT count(*) FROM owners) > 1) "
        f"RETURNING {_MEMBER}",
        (who.workspace_id, role.value, who.workspace_id, user_id, who.role.value, role.value),
    )
    if not rows:
        raise await _why_not(db, who, user_id)
    changed: Row = rows[0][0]
    return changed


async def remove_member(db: Database, who: Tenant, user_id: UUID) -> None:
    """Its keys here are revoked with it, so that they do not come back when it does."""
    rows = await db.query(
        who,
        f"WITH {_OWNERS}, gone AS (DELETE FROM workspace_members m WHERE {_MAY} "
        "    AND (m.role <> 'owner' OR (SELECT count(*) FROM owners) > 1) RETURNING m.user_id), "
        "ended AS (UPDATE api_keys k SET revoked_at = now(), updated_at = now() FROM gone "
        "          WHERE k.workspace_id = %s AND k.user_id = gone.user_id AND k.revoked_at IS NULL) "
        "SELECT 1 FROM gone",
        (who.workspace_id, who.workspace_id, user_id, who.role.value, who.workspace_id),
    )
    if not rows:
        raise await _why_not(db, who, user_id)


async def _why_not(db: Database, who: Tenant, user_id: UUID) -> MusterError:
    found = await member(db, who, user_id)
    if found is None:
        return NotFound(f"user {user_id} is no member of this workspace")
    if RANK[MemberRole(found["role"])] > RANK[who.role]:
        return Forbidden(f"{found['email']} is {_a(found['role'])}, and this key is {_a(who.role)}'s")
    return LastOwner(f"{found['email']} is the last owner of this workspace; make another one first")


def _a(role: str) -> str:
    return f"{'an' if role[0] in 'ao' else 'a'} {role}"


def _as_id(ref: str) -> UUID | None:
    try:
        return UUID(ref)
    except ValueError:
        return None
