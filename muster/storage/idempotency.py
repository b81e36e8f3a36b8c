"""Requests that carry an `Idempotency-Key`, and what was answered to them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from muster.domain.errors import KeyReused, RequestInFlight
from muster.storage.database import Database

KEPT_HOURS = 24
_IN_FLIGHT_SECONDS = 15
"""A request that has not answered by then has most likely died with its process, and its key may be taken over.
One that only takes long, say because it waits for an agent to be gone, is not hurt: what it creates or asks for has
an id derived from the key, so nothing is done twice."""


async def begin(db: Database, workspace_id: UUID, key: str, request_hash: str) -> dict[str, Any] | None:
    """Take the key for this request. Returns the answer if it was answered before."""
    rows = await db.query(
        workspace_id,
        "INSERT INTO idempotency_keys AS k (workspace_id, key, request_hash) VALUES (%s, %s, %s) "
        "ON CONFLICT (workspace_id, key) DO UPDATE SET taken_at = now(), "
        "   request_hash = excluded.request_hash, "
        "   answer = CASE WHEN k.created_at < now() - make_interval(hours => %s) THEN NULL ELSE k.answer END, "
        "   created_at = CASE WHEN k.created_at < now() - make_interval(hours => %s) "
        "                     THEN now() ELSE k.created_at END "
        "WHERE k.created_at < now() - make_interval(hours => %s) "
        "   OR (k.answer IS NULL AND k.request_hash = excluded.request_hash "
        "       AND k.taken_at < now() - make_interval(secs => %s)) "
        "RETURNING 1",
        (workspace_id, key, request_hash, KEPT_HOURS, KEPT_HOURS, KEPT_HOURS, _IN_FLIGHT_SECONDS),
    )
    if rows:
        return None
    rows = await db.query(
        workspace_id,
        "SELECT request_hash, answer FROM idempotency_keys WHERE workspace_id = %s AND key = %s",
        (workspace_id, key),
    )
    if not rows:  # given up between the two statements
        raise RequestInFlight("a request with this Idempotency-Key has just failed; send it again")
    known_hash, answer = rows[0]
    if known_hash != request_hash:
        raise KeyReused("this Idempotency-Key was used for another request")
    if answer is None:
        raise RequestInFlight("a request with this Idempotency-Key is still being worked on")
    found: dict[str, Any] = answer
    return found


async def finish(db: Database, workspace_id: UUID, key: str, answer: dict[str, Any]) -> None:
    await db.query(
        workspace_id,
        "UPDATE idempotency_keys SET answer = %s WHERE workspace_id = %s AND key = %s",
        (Jsonb(answer), workspace_id, key),
    )


async def give_up(db: Database, workspace_id: UUID, key: str) -> None:
    """The request was refused and changed nothing: the key is free again."""
    await db.query(
        workspace_id,
        "DELETE FROM idempotency_keys WHERE workspace_id = %s AND key = %s AND answer IS NULL",
        (workspace_id, key),
    )


async def forget_old(db: Database, workspace_id: UUID) -> None:
    await db.query(
        workspace_id,
        "DELETE FROM idempotency_keys WHERE workspace_id = %s AND created_at < now() - make_interval(hours => %s)",
        (workspace_id, KEPT_HOURS),
    )
