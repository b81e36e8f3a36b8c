"""A spawn that would be refused anyhow is refused before there is a workflow for it.

To be refused costs Temporal and a worker as much as to be given a slot. To look first costs each spawn a question, so
that is done only where a refusal is likely: right after one, and where many ask at once. Either way the move decides.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from muster.domain.errors import WorkspaceFull
from muster.storage import fleet
from muster.storage.database import Database

MANY = 4
"""Spawns of one workspace under way in this process."""
LATELY_SECONDS = 2.0


class Slots:
    def __init__(self, db: Database) -> None:
        self._db = db
        self._asking: Counter[UUID] = Counter()
        self._full_at: dict[UUID, float] = {}

    @asynccontextmanager
    async def asked(self, workspace_id: UUID) -> AsyncIterator[None]:
        """Around what asks for a slot."""
        self._asking[workspace_id] += 1
        try:
            lately = time.monotonic() - self._full_at.get(workspace_id, 0.0) < LATELY_SECONDS
            if lately or self._asking[workspace_id] > MANY:
                await fleet.must_have_room(self._db, workspace_id)
            yield
        except WorkspaceFull:
            self._full_at[workspace_id] = time.monotonic()
            raise
        finally:
            self._asking[workspace_id] -= 1
            if not self._asking[workspace_id]:
                del self._asking[workspace_id]
