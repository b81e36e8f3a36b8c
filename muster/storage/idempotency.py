"""Requests that carry an `Idempotency-Key`, and what was answered to them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from psycopg.types.json import Jsonb

from muster.domain.errors import KeyReused, RequestInFlight
from muster.domain.ids import new_id
from muster.storage.database import Database, Who, workspace_of

KEPT_HOURS = 24
HOLD_SECONDS = 3.0
"""How often a sending that is still worked on says so."""
_SILENT_SECONDS = 10
"""A sending that has not said so for this long has died with its process, and the next one takes over. One that was
only slow is not hurt: what both create or ask for has the same id, so nothing is done twice."""


class Taken(NamedTuple):
    """A key, held by one sending of its request."""

    request_id: UUID
    """The same for each sending until the key expires, so what is named after it comes to be once."""
    at: datetime
    again: bool
    """An earlier sending died or failed half-way, and may have done what it was asked."""


class Answered(NamedTuple):
    answer: dict[str, Any]


async def begin(db: Database, who: Who, key: str, request_hash: str, *, reads: bool = False) -> Taken | Answered:
    """Take the key for this sending, or hear what was answered to an earlier one. `reads`: of one that tells of memory,
    and is free again when something is forgotten."""
    rows = await db.query(
        who,
        "INSERT INTO idempotency_keys AS k (workspace_id, key, request_hash, request_id, reads) "
        "VALUES (%s, %s, %s, %s, %s) "
        "ON CONFLICT (workspace_id, key) DO UPDATE SET taken_at = clock_timestamp(), "
        "   request_hash = excluded.request_hash, reads = excluded.reads, "
        "   answer = CASE WHEN k.created_at < now() - make_interval(hours => %s) THEN NULL ELSE k.answer END, "
        "   request_id = CASE WHEN k.created_at < now() - make_interval(hours => %s) "
        "                     THEN excluded.request_id ELSE k.request_id END, "
        "   created_at = CASE WHEN k.created_at < now() - make_interval(hours => %s) "
        "                     THEN now() ELSE k.created_at END "
        "WHERE k.created_at < now() - make_interval(hours => %s) "
        "   OR (k.answer IS NULL AND k.request_hash = excluded.request_hash "
        "       AND k.taken_at < now() - make_interval(secs => %s)) "
        "RETURNING request_id, taken_at",
        (workspace_of(who), key, request_hash, mine := new_id(), reads, *[KEPT_HOURS] * 4, _SILENT_SECONDS),
    )
    if rows:
        return Taken(rows[0][0], rows[0][1], again=rows[0][0] != mine)
    rows = await db.query(
        who,
        "SELECT request_hash, answer FROM idempotency_keys WHERE workspace_id = %s AND key = %s",
        (workspace_of(who), key),
    )
    if not rows:  # given up between the two statements
        raise RequestInFlight("a request with this Idempotency-Key has just failed; send it again")
    known_hash, answer = rows[0]
    if known_hash != request_hash:
        raise KeyReused("this Idempotency-Key was used for another request")
    if answer is None:
        raise RequestInFlight("a request with this Idempotency-Key is still being worked on")
    return Answered(answer)


async def hold(db: Database, who: Who, key: str, taken: Taken) -> Taken:
    """It is still worked on. One that was taken over meanwhile changes nothing."""
    rows = await db.query(
        who,
        "UPDATE idempotency_keys SET taken_at = clock_timestamp() "
        "WHERE workspace_id = %s AND key = %s AND request_id = %s AND taken_at = %s AND answer IS NULL "
        "RETURNING taken_at",
        (workspace_of(who), key, taken.request_id, taken.at),
    )
    return taken._replace(at=rows[0][0]) if rows else taken


async def finish(
    db: Database, who: Who, key: str, taken: Taken, answer: dict[str, Any], tells: Sequence[str] = ()
) -> Answered | None:
    """Keep this answer, or hear the one that another sending of the same request was quicker to give. One that tells of
    observations is kept if they are all there: locked, so that whoever forgets one comes before this or after it."""
    workspace_id, told = workspace_of(who), sorted(set(tells))
    mine = (workspace_id, key, taken.request_id)
    rows = await db.query(
        who,
        "WITH told AS MATERIALIZED (SELECT id FROM observations WHERE workspace_id = %s AND id = ANY (%s::uuid[]) "
        "                           FOR KEY SHARE) "
        "UPDATE idempotency_keys SET answer = %s "
        "WHERE workspace_id = %s AND key = %s AND request_id = %s AND answer IS NULL "
        "  AND (SELECT count(*) FROM told) = %s RETURNING 1",
        (workspace_id, told, Jsonb(answer), *mine, len(told)),
    )
    if rows:
        return None
    rows = await db.query(
        who,
        "SELECT answer FROM idempotency_keys "
        "WHERE workspace_id = %s AND key = %s AND request_id = %s AND answer IS NOT NULL",
        mine,
    )
    if not rows and told:
        await forget(db, who, key, taken)
    return Answered(rows[0][0]) if rows else None


async def forget(db: Database, who: Who, key: str, taken: Taken) -> None:
    """The request was refused and has changed nothing: the key is free, also for another."""
    await db.query(
        who,
        "DELETE FROM idempotency_keys "
        "WHERE workspace_id = %s AND key = %s AND request_id = %s AND taken_at = %s AND answer IS NULL",
        (workspace_of(who), key, taken.request_id, taken.at),
    )


async def let_go(db: Database, who: Who, key: str, taken: Taken) -> None:
    """It is not known what became of the request: the next sending of it goes on at once, under the same id."""
    await db.query(
        who,
        "UPDATE idempotency_keys SET taken_at = '-infinity' "
        "WHERE workspace_id = %s AND key = %s AND request_id = %s AND taken_at = %s AND answer IS NULL",
        (workspace_of(who), key, taken.request_id, taken.at),
    )


async def began(db: Database, who: Who, request_id: UUID, task_id: UUID) -> bool:
    """Whether the task's present run was begun by this request."""
    rows = await db.read(
        who, "SELECT 1 FROM tasks WHERE workspace_id = %s AND id = %s AND run > 1 AND request_id = %s",
        (workspace_of(who), task_id, str(request_id)),
    )  # fmt: skip
    return bool(rows)


async def forget_old(db: Database, workspace_id: UUID) -> None:
    await db.query(
        workspace_id,
        "DELETE FROM idempotency_keys WHERE workspace_id = %s AND created_at < now() - make_interval(hours => %s)",
        (workspace_id, KEPT_HOURS),
    )
