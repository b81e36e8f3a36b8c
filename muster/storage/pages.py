"""Pages of a list, newest first. A cursor is opaque to whoever holds it."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from muster.domain.errors import MusterError
from muster.storage.connections import Row

MAX_LIMIT = 500


class BadCursor(MusterError):
    status, code = 422, "bad_cursor"


def after(cursor: str | None) -> tuple[str | None, UUID | None]:
    """What a cursor points behind: a time and an id."""
    if cursor is None:
        return None, None
    try:
        at, item = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        # Parsed here, and written anew: what PostgreSQL cannot read would be an error of ours.
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is None:
            raise ValueError(at)
        return moment.astimezone(UTC).isoformat(), UUID(item)
    except (ValueError, TypeError, AttributeError, OverflowError, binascii.Error, RecursionError):
        raise BadCursor("this cursor did not come from here") from None


def page(rows: list[Row], limit: int, *, by: str = "created_at") -> tuple[list[dict[str, Any]], str | None]:
    """Rows of (json,), one more than the limit asked for if there are more. `by`: the time they are sorted by."""
    items = [row[0] for row in rows[:limit]]
    if len(rows) <= limit:
        return items, None
    last = items[-1]
    return items, base64.urlsafe_b64encode(json.dumps([last[by], last["id"]]).encode()).decode()
