"""What is kept for a time only, in all workspaces: each project's goes as its own tenant."""

from __future__ import annotations

import logging
import time

from temporalio import activity

from muster.domain.forgetting import Expiry
from muster.storage import forgetting
from muster.storage.database import Database

log = logging.getLogger(__name__)

_UNFINISHED_SECONDS = 60.0
"""After which whoever asked for it is believed gone. The API itself stops after a third of that."""
_SWEEP_SECONDS = 3.0
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

    async def finish(self, unfinished_seconds: float = _UNFINISHED_SECONDS) -> None:
        """Go on with what was asked to be forgotten where somebody died over it, or had no more time."""
        until = time.monotonic() + _SWEEP_SECONDS
        for found in await forgetting.unfinished(self._db, seconds=unfinished_seconds):
            left = until - time.monotonic()
            if left <= 0:
                return  # the next sweep comes soon, and begins with those that waited longest
            # What is to be made anew of what others had seen too is found as every job is that nobody was told of.
            gone = await forgetting.go_on(self._db, found, seconds=left)
            log.info("forgot %d more rows of %s %s", sum(gone.deleted.values()), found.kind, found.target)
