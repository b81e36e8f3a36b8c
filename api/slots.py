"""A spawn that would be refused anyhow is refused before there is a workflow for it.

To be refused costs Temporal and a worker as much as to be given a slot. To look first costs each spawn a question, so
that is done only where a refusal is likely: right after one, and where many ask at once. Of those, some go on and the
others wait: all would see the same free slots. Either way the move decides.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from muster.domain.errors import WorkspaceFull
from muster.storage import fleet
from muster.storage.database import Database

FEW = 4
AT_ONCE = 16
"""Spawns of one workspace that this process asks for: fewer than it takes to keep Temporal busy would hold them up."""
LATELY_SECONDS = 2.0


class _Asking:
    def __init__(self) -> None:
        self.count = 0
        self.gate = asyncio.Semaphore(AT_ONCE)


class Slots:
    def __init__(self, db: Database) -> None:
        self._db = db
        self._asking: defaultdict[UUID, _Asking] = defaultdict(_Asking)
        self._full_at: dict[UUID, float] = {}

    @asynccontextmanager
    async def asked(self, workspace_id: UUID) -> AsyncIterator[None]:
        """Around what asks for a slot."""
        asking = self._asking[workspace_id]
        asking.count += 1
        try:
            async with asking.gate:
                lately = time.monotonic() - self._full_at.get(workspace_id, 0.0) < LATELY_SECONDS
                if lately or asking.count > FEW:
                    await fleet.must_have_room(self._db, workspace_id)
                yield
        except WorkspaceFull:
            self._full_at[workspace_id] = time.monotonic()
            raise
        finally:
            asking.count -= 1
            if not asking.count:
                del self._asking[workspace_id]
