"""Words are counted by whoever stores them, also while others count; and what nobody came to count, by the sweep."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import psycopg

from activities.memory import MemoryActivities
from muster.domain.ids import new_id
from muster.domain.memory import NewObservation
from muster.storage import observations
from tests.services.conftest import eventually

from .conftest import Tenant
from .remembered import Memory


async def test_who_stores_while_others_count_is_counted_too(tenant: Tenant, shared_url: str) -> None:
    memory = await Memory(tenant.db, tenant.id).begin()
    lock = (f"memory_fold{tenant.id}",)
    async with await psycopg.AsyncConnection.connect(shared_url, autocommit=True) as other:
        await other.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", lock)
        told = NewObservation(title="The marmalade gateway is restarted on Mondays")
        storing = asyncio.create_task(
            observations.create(memory.db, memory.workspace, memory.project, new_id(), told, session_id=None)
        )

        async def stored() -> None:
            assert await memory.rows("SELECT 1 FROM observations WHERE project_id = %s", memory.project)

        await eventually(stored)
        assert await memory.terms() == {}
        await other.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", lock)
        await storing
    assert "marmalad" in " ".join(await memory.terms())


async def test_what_nobody_came_to_count_is_counted_by_the_sweep(tenant: Tenant) -> None:
    memory = await Memory(tenant.db, tenant.id).begin()
    await memory.rows(
        "INSERT INTO memory_term_changes (workspace_id, project_id, terms, by) VALUES (%s, %s, '{kumquat}', 1)",
        memory.workspace, memory.project,
    )  # fmt: skip
    sweeping = MemoryActivities(memory.db, cast(Any, None), lambda *place: None)
    await sweeping.sweep(3600.0)
    assert await memory.terms() == {"kumquat": 1}
    assert (memory.workspace, memory.project) not in await observations.uncounted(memory.db, limit=10_000)
