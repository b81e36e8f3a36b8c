"""A project whose memory is written to and asked as the tenant does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from psycopg.types.json import Jsonb

from muster.domain.ids import new_id
from muster.domain.memory import NewObservation
from muster.domain.search import Query
from muster.storage import observations, projects, search

if TYPE_CHECKING:
    from .conftest import Tenant


@dataclass
class Project:
    tenant: Tenant
    id: UUID

    async def events(self, number: int) -> list[UUID]:
        session, events = new_id(), [new_id() for _ in range(number)]
        await self.tenant.rows(
            "INSERT INTO memory_sessions (id, workspace_id, project_id, key) VALUES (%s, %s, %s, 'k')",
            (session, self.tenant.id, self.id),
        )
        await self.tenant.rows(
            "INSERT INTO agent_events (id, workspace_id, project_id, session_id, type, adapter, payload, occurred_at) "
            "SELECT e, %s, %s, %s, 'm', 'a', '{}', now() FROM unnest(%s::uuid[]) e",
            (self.tenant.id, self.id, session, events),
        )
        return events

    async def put(
        self,
        *said: NewObservation,
        job: bool = False,
        count: bool = True,
        ids: list[UUID] | None = None,
        seconds: float = 0.0,
        **about: Any,
    ) -> list[UUID]:
        """`seconds`: for which nobody else sees it yet."""
        ids = ids or [new_id() for _ in said]
        rows = [
            observations.as_row(self.tenant.id, self.id, key, one, **about)
            for key, one in zip(ids, said, strict=True)
        ]  # fmt: skip
        if job:  # as a generator's are: those that repeat another are merged into it
            for row, one in zip(rows, said, strict=True):
                row |= observations.as_words(
                    self.id, one, one.type, session_id=None, task_id=None, agent_id=None, files=[], merges=True
                )
        given = (self.tenant.id, self.id, Jsonb(rows), seconds)
        await self.tenant.rows("SELECT observation_put(%s, %s, %s), pg_sleep(%s)", given)
        if count:
            await self.count()
        return ids

    async def count(self) -> None:
        await self.tenant.rows("SELECT memory_fold(%s, %s, 10000, true)", (self.tenant.id, self.id))

    async def titled(self, *titles: str) -> list[UUID]:
        return await self.put(*(NewObservation(title=title) for title in titles))

    async def vectors(self, ids: list[UUID], vectors: list[list[float]]) -> None:
        for key, vector in zip(ids, vectors, strict=True):
            await self.tenant.rows(
                "INSERT INTO memory_embeddings (workspace_id, project_id, observation_id, model, content_hash, "
                "embedding) VALUES (%s, %s, %s, 'm', 'h', %s::halfvec)", (self.tenant.id, self.id, key, str(vector)),
            )  # fmt: skip

    async def find(self, query: str, **more: Any) -> list[str]:
        return [item["title"] for item in (await self.found(query, **more)).items]

    async def found(self, query: str, who: Any = None, vector: Any = None, **more: Any) -> search.Found:
        options = {name: more.pop(name) for name in ("limit", "cursor", "explain", "by_words") if name in more}
        return await search.search(
            self.tenant.db, who or self.tenant.id, [str(self.id)], Query(query=query, **more), vector, model="m",
            **options,
        )  # fmt: skip


async def new_project(tenant: Tenant) -> Project:
    project_id = new_id()
    await projects.create(tenant.db, tenant.id, project_id, slug=f"p-{project_id.hex}", name="P", description=None)
    return Project(tenant, project_id)
