"""What is kept for a time only, in all workspaces: each project's goes as its own tenant."""

from __future__ import annotations

import logging
import time

from temporalio import activity

from muster.domain.forgetting import Expiry
from muster.storage import forgetting
from muster.storage.database import Database

log = logging.getLogger(__name__)

_SECONDS = 10.0
"""How long one look goes on. The rest is for the next."""


class ForgettingActivities:
    def __init__(self, db: Database) -> None:
        self._db = db

    @activity.defn
    async def expire_memory(self, expiry: Expiry) -> Expiry:
        """Go on behind the last project that is done."""
        until = time.monotonic() + _SECONDS
        found = expiry.model_copy()
        for place in await forgetting.with_retention_anywhere(self._db):
            workspace_id, project_id = place
            if (
                expiry.workspace_id is not None
                and expiry.project_id is not None
                and place <= (expiry.workspace_id, expiry.project_id)
            ):
                continue
            left = until - time.monotonic()
            if left <= 0:
                return found
            gone = await forgetting.expired(self._db, workspace_id, project_id, seconds=left)
            found.rows += (rows := sum(gone.deleted.values()))
            if rows:
                log.info("project %s keeps %d rows of its memory no longer", project_id, rows)
            if not gone.complete:
                return found
            found.workspace_id, found.project_id = workspace_id, project_id
        found.complete = True
        return found
