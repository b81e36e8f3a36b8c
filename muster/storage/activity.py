"""The activity log: who did what. Written by the moves and by a trigger, in the transaction of what they note."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Any
from uuid import UUID

from muster.storage.database import Database, Who, workspace_of
from muster.storage.pages import BadCursor


async def page(
    db: Database,
    who: Who,
    *,
    actions: list[str] | None = None,
    entity_id: UUID | None = None,
    user_id: UUID | None = None,
    key_id: UUID | None = None,
    request_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> tuple[list[dict[str, Any]], str | None]:
    """Newest first. `since` is included, `until` is not."""
    rows = await db.read(
        who,
        "SELECT jsonb_build_object('id', l.id, 'at', l.at, 'user_id', l.user_id, 'key_id', l.key_id, "
        "   'agent_id', l.agent_id, 'action', l.action, 'entity_id', l.entity_id, 'address', l.address, "
        "   'request_id', l.request_id, 'detail', l.detail || coalesce(CASE l.action WHEN 'observation_updated' THEN ("
        # As long as the observation is not forgotten.
        "       SELECT jsonb_build_object('before', c.before, 'after', c.after) FROM observation_changes c "
        "       WHERE c.workspace_id = l.workspace_id AND c.observation_id = l.entity_id AND c.at = l.at) END, '{}')) "
        "FROM activity_log l WHERE workspace_id = %s AND (%s::bigint IS NULL OR id < %s::bigint) "
        "AND (%s::text[] IS NULL OR action = ANY (%s::text[]::activity_action[])) "
        "AND (%s::uuid IS NULL OR entity_id = %s::uuid) AND (%s::uuid IS NULL OR user_id = %s::uuid) "
        "AND (%s::uuid IS NULL OR key_id = %s::uuid) AND (%s::text IS NULL OR request_id = %s::text) "
        "AND (%s::timestamptz IS NULL OR at >= %s::timestamptz) "
        "AND (%s::timestamptz IS NULL OR at < %s::timestamptz) ORDER BY id DESC LIMIT %s",
        (
            workspace_of(who),
            *_twice(_behind(cursor), actions, entity_id, user_id, key_id, request_id, since, until),
            limit + 1,
        ),
    )
    items = [row[0] for row in rows[:limit]]
    return items, _cursor(items[-1]["id"]) if len(rows) > limit else None


def _twice(*values: Any) -> list[Any]:
    return [value for value in values for _ in range(2)]


def _cursor(number: int) -> str:
    return base64.urlsafe_b64encode(str(number).encode()).decode()


def _behind(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    try:
        text = base64.urlsafe_b64decode(cursor.encode()).decode("ascii")
        if not (text.isdigit() and len(text) <= 18):
            raise ValueError(text)
        return int(text)
    except (ValueError, binascii.Error):
        raise BadCursor("this cursor did not come from here") from None
