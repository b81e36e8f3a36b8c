"""What a credential opens: looked up by its id, before it is known whose it is."""

from __future__ import annotations

from datetime import datetime
from typing import LiteralString, NamedTuple
from uuid import UUID

from muster.domain import credentials
from muster.domain.ids import DEFAULT_USER, DEFAULT_WORKSPACE, new_id
from muster.domain.states import MemberRole
from muster.domain.tenants import Scope, Tenant
from muster.storage.database import Database, Who


class Workspace(NamedTuple):
    """A workspace, as far as each request to it needs to know."""

    id: UUID
    slug: str
    weight: int
    requests_per_second: int
    max_body_bytes: int | None


class KeyRow(NamedTuple):
    hash: bytes
    project_id: UUID | None
    user_id: UUID
    scopes: list[str]
    role: MemberRole
    member: MemberRole | None
    """What its user is in the workspace now."""
    administrator: bool
    expires_at: datetime | None
    revoked: bool
    last_used_at: datetime | None
    workspace: Workspace | None
    """None: an administrator's, who names one with each request."""


class AgentRow(NamedTuple):
    task_id: UUID
    project_id: UUID | None
    user_id: UUID | None
    alive: bool
    workspace: Workspace


_WORKSPACE: LiteralString = "workspace_id, slug, weight, requests_per_second, max_body_bytes"


async def key(db: Database, key_id: UUID) -> KeyRow | None:
    rows = await db.across(
        "SELECT hash, project_id, user_id, scopes, role::text, member::text, administrator, expires_at, revoked, "
        f"last_used_at, {_WORKSPACE} FROM chores_key(%s)",
        (key_id,),
    )
    if not rows:
        return None
    of_key, of_workspace = rows[0][:-5], rows[0][-5:]
    found = KeyRow._make([*of_key, Workspace(*of_workspace) if of_workspace[0] else None])
    return found._replace(role=MemberRole(found.role), member=MemberRole(found.member) if found.member else None)


async def agent(db: Database, agent_id: UUID) -> AgentRow | None:
    rows = await db.across(
        f"SELECT task_id, project_id, user_id, alive, {_WORKSPACE} FROM chores_agent(%s)", (agent_id,)
    )
    return AgentRow._make([*rows[0][:-5], Workspace(*rows[0][-5:])]) if rows else None


async def workspace(db: Database, ref: str) -> Workspace | None:
    """By id or slug; for administrators, who may name any."""
    rows = await db.across(f"SELECT {_WORKSPACE} FROM chores_workspace(%s)", (ref,))
    return Workspace(*rows[0]) if rows else None


async def used(db: Database, who: Who, key_id: UUID) -> None:
    await db.query(who, "UPDATE api_keys SET last_used_at = now() WHERE id = %s", (key_id,))


async def make_administrator_key(database_url: str, pepper: bytes, name: str) -> str:
    """The first key, for whoever has the database's address: it opens everything."""
    db = Database(database_url, size=1, name="muster-keys")
    await db.open()
    try:
        key_id, secret = new_id(), credentials.new_secret()
        owner = Tenant(DEFAULT_WORKSPACE, DEFAULT_USER, administrator=True)
        await db.query(
            owner,
            "WITH u AS (UPDATE users SET administrator = true WHERE id = %s AND NOT administrator) "
            "INSERT INTO api_keys (id, user_id, name, hash, scopes, role) "
            "VALUES (%s, %s, %s, %s, %s::key_scope[], 'owner')",
            (
                DEFAULT_USER, key_id, DEFAULT_USER, name, credentials.hash_secret(pepper, key_id, secret),
                [scope.value for scope in Scope],
            ),
        )  # fmt: skip
        return credentials.key(key_id, secret)
    finally:
        await db.close()


async def opens(database_url: str, pepper: bytes, text: str) -> bool:
    """Whether this is an administrator's key that still works."""
    sent = credentials.parse(text)
    if sent is None or sent.of_agent:
        return False
    db = Database(database_url, size=1, name="muster-keys")
    await db.open()
    try:
        row = await key(db, sent.id)
    finally:
        await db.close()
    return (
        row is not None
        and not row.revoked
        and row.administrator
        and row.workspace is None
        and row.hash == credentials.hash_secret(pepper, sent.id, sent.secret)
    )
