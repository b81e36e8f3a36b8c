"""Vectors in Postgres: what waits for one, what becomes of those that come late, and the move to another model."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import psycopg
import pytest

from muster.domain.ids import new_id
from muster.domain.memory import content_hash
from muster.storage import embeddings, jobs, projects
from muster.storage.database import Database
from muster.storage.embeddings import Errand, Text

from .conftest import NewTenant, Tenant, make_workspace

OLD, NEW = "old-model", "new-model"


class Project:
    def __init__(self, tenant: Tenant) -> None:
        self.db, self.workspace, self.id = tenant.db, tenant.id, new_id()

    async def begin(self) -> Project:
        await projects.create(self.db, self.workspace, self.id, slug=f"p-{self.id.hex}", name="P", description=None)
        return self

    async def rows(self, statement: Any, *params: Any) -> list[tuple[Any, ...]]:
        return await self.db.query(self.workspace, statement, params)

    async def remember(self, *titles: str) -> list[UUID]:
        ids = [new_id() for _ in titles]
        await self.rows(
            "INSERT INTO observations (id, workspace_id, project_id, type, title, facts, content_hash) "
            "SELECT id, %s, %s, 'discovery', title, '{a fact}', hash "
            "FROM unnest(%s::uuid[], %s::text[], %s::text[]) AS x (id, title, hash)",
            self.workspace, self.id, ids, list(titles), [content_hash(f"{title}\na fact") for title in titles],
        )  # fmt: skip
        return ids

    async def change(self, observation: UUID, title: str) -> None:
        await self.rows(
            "UPDATE observations SET title = %s, content_hash = %s WHERE id = %s",
            title, content_hash(f"{title}\na fact"), observation,
        )  # fmt: skip

    async def take(self, **more: Any) -> embeddings.Taken:
        return await embeddings.take(self.db, self.workspace, self.id, OLD, **more)

    async def put(self, texts: list[Text], model: str = OLD) -> int:
        vectors = [[1.0, float(number), 0.5] for number in range(len(texts))]
        return await embeddings.put(self.db, self.workspace, self.id, model, OLD, texts, vectors)

    async def embed(self, model: str = OLD) -> int:
        """All that is missing."""
        found = await embeddings.missing(self.db, self.workspace, self.id, model, OLD, limit=1000)
        return await self.put(found.texts, model)

    async def switch(self, refused: list[UUID] | None = None) -> embeddings.Switched:
        return await embeddings.switch(self.db, self.workspace, self.id, NEW, OLD, refused or [])

    async def progress(self) -> dict[str, Any]:
        return await embeddings.progress(self.db, self.workspace, self.id, OLD)

    async def vectors(self) -> dict[str, int]:
        return dict(
            await self.rows(  # type: ignore[arg-type]
                "SELECT model, count(*)::int FROM memory_embeddings WHERE project_id = %s GROUP BY 1", self.id
            )
        )


@pytest.fixture
async def project(tenant: Tenant) -> Project:
    return await Project(tenant).begin()


async def test_what_is_remembered_waits_for_a_vector_until_it_has_one(project: Project) -> None:
    first, second = await project.remember("the first", "the second")
    taken = await project.take()
    assert {text.id: text.content for text in taken.texts} == {first: "the first\na fact", second: "the second\na fact"}
    assert (taken.model, taken.taken) == (OLD, 2)
    assert (await project.take()).taken == 0, "somebody is at it"
    assert await project.put(taken.texts[:1]) == 1
    await embeddings.put_back(project.db, project.workspace, project.id, [taken.texts[1].id], 0)
    again = await project.take()
    assert again.texts == taken.texts[1:]
    assert await project.put(again.texts) == 1
    assert await embeddings.waiting(project.db, project.workspace, project.id) == (0, None)
    found = await project.progress()
    assert (found["observations"], found["vectors"], found["model"], found["next_model"]) == (2, 2, OLD, None)


async def test_what_a_dead_worker_took_is_taken_again(project: Project) -> None:
    await project.remember("one")
    assert (await project.take(seconds=0.2)).taken == 1
    assert (await project.take()).taken == 0
    await asyncio.sleep(0.25)
    assert (await project.take()).taken == 1


async def test_a_vector_of_what_it_no_longer_says_is_not_stored(project: Project) -> None:
    changed, gone = await project.remember("before", "deleted")
    taken = await project.take()
    await project.change(changed, "after")
    await project.rows("DELETE FROM observations WHERE id = %s", gone)
    assert await project.put(taken.texts) == 0
    again = await project.take()
    assert [text.content for text in again.texts] == ["after\na fact"]
    assert await project.put(again.texts) == 1
    await project.change(changed, "after all")
    assert (await project.take()).taken == 1, "a vector of another text is none"


async def test_two_takers_share_and_never_take_the_same(project: Project) -> None:
    await project.remember(*(f"number {number}" for number in range(40)))
    takes = await asyncio.gather(*(project.take(limit=8) for _ in range(8)))
    ids = [text.id for taken in takes for text in taken.texts]
    assert len(ids) == len(set(ids))
    assert len(ids) + sum(text.taken for text in [await project.take()]) == 40


async def test_the_same_text_is_embedded_once_in_a_workspace(new_tenant: NewTenant) -> None:
    tenant, other = await new_tenant(), await new_tenant()
    here, beside, elsewhere = [await Project(owner).begin() for owner in (tenant, tenant, other)]
    for place in (here, beside, elsewhere):
        await place.remember("the same")
    assert await here.put((await here.take()).texts) == 1
    reused = await beside.take()
    assert (reused.taken, reused.texts) == (1, [])
    assert await beside.vectors() == {OLD: 1}
    assert len((await elsewhere.take()).texts) == 1, "another tenant's text is another tenant's"


async def test_a_refused_text_waits_longer_each_time_and_says_why(project: Project) -> None:
    (observation,) = await project.remember("refused")
    await project.take()
    await embeddings.refuse(project.db, project.workspace, project.id, observation, "too\0 long")
    _, first = await embeddings.waiting(project.db, project.workspace, project.id)
    await embeddings.refuse(project.db, project.workspace, project.id, observation, "too long")
    _, second = await embeddings.waiting(project.db, project.workspace, project.id)
    assert first
    assert second
    assert 500 < first < 700 < 1100 < second < 1300
    found = await project.progress()
    assert (found["waiting"], found["refused"], found["error"]) == (1, 1, "too long")


async def test_a_project_moves_to_another_model_when_all_of_it_has(project: Project) -> None:
    ids = await project.remember("a", "b", "c")
    await project.embed()
    job = await embeddings.reindex(project.db, project.workspace, project.id, NEW, OLD)
    assert job
    assert await embeddings.reindex(project.db, project.workspace, project.id, NEW, OLD) == job
    assert await embeddings.job_model(project.db, project.workspace, job) == NEW
    found = await project.progress()
    assert (found["model"], found["next_model"], found["vectors"], found["next_vectors"]) == (OLD, NEW, 3, 0)
    assert found["job"]["status"] == "queued"
    assert (await project.switch()) == embeddings.Switched(switched=False, wanted=True, missing=3)

    assert await project.embed(NEW) == 3
    (late,) = await project.remember("late")
    await project.change(ids[0], "a, and more")
    assert (await project.switch()).missing == 2
    on_the_way = (await project.take()).texts  # of the old model, which is still searched
    assert await project.embed(NEW) == 2
    assert (await project.switch()).switched
    assert await project.put(on_the_way) == 0, "what comes late is not stored"
    assert await embeddings.models(project.db, project.workspace, project.id, OLD) == (NEW, None)
    assert await embeddings.waiting(project.db, project.workspace, project.id) == (0, None)
    assert await embeddings.prune(project.db, project.workspace, project.id, OLD, limit=2) == 2
    while await embeddings.prune(project.db, project.workspace, project.id, OLD):
        pass
    assert await project.vectors() == {NEW: 4}
    assert late


async def test_who_is_refused_by_the_new_model_does_not_hold_it_up(project: Project) -> None:
    ids = await project.remember("good", "bad")
    await project.embed()
    await embeddings.reindex(project.db, project.workspace, project.id, NEW, OLD)
    taken = await embeddings.missing(project.db, project.workspace, project.id, NEW, OLD)
    await project.put([text for text in taken.texts if text.id == ids[0]], NEW)
    assert (await project.switch()).missing == 1
    assert (await project.switch([ids[1]])).switched
    number, seconds = await embeddings.waiting(project.db, project.workspace, project.id)
    assert number == 1
    assert seconds
    assert seconds > 1000


async def test_asking_for_the_model_it_has_ends_what_is_under_way(project: Project) -> None:
    await project.remember("a")
    await project.embed()
    first = await embeddings.reindex(project.db, project.workspace, project.id, NEW, OLD)
    other = await embeddings.reindex(project.db, project.workspace, project.id, "third-model", OLD)
    statuses = dict(await project.rows("SELECT id, status::text FROM memory_jobs WHERE project_id = %s", project.id))  # type: ignore[arg-type]
    assert statuses == {first: "cancelled", other: "queued"}
    assert not await embeddings.want(project.db, project.workspace, project.id, NEW, OLD)
    assert await embeddings.reindex(project.db, project.workspace, project.id, OLD, OLD) is None
    found = await project.progress()
    assert (found["model"], found["next_model"], found["job"]["status"]) == (OLD, None, "cancelled")
    # Queued again by a person, it is wanted again.
    assert await embeddings.want(project.db, project.workspace, project.id, NEW, OLD)
    assert (await project.progress())["next_model"] == NEW


async def test_a_reindex_that_is_cancelled_before_anybody_began_is_not_wanted_any_more(project: Project) -> None:
    for times in range(2):
        job = await embeddings.reindex(project.db, project.workspace, project.id, NEW, OLD)
        if times:
            taken_up = "UPDATE memory_jobs SET status = 'processing', claim = gen_random_uuid() WHERE id = %s"
            await project.rows(taken_up, job)
        await jobs.cancel(project.db, project.workspace, str(job))
        assert await embeddings.models(project.db, project.workspace, project.id, OLD) == (OLD, None)
    await jobs.retry(project.db, project.workspace, str(job))
    assert await embeddings.want(project.db, project.workspace, project.id, NEW, OLD)


async def test_a_project_may_come_back_to_a_model(project: Project) -> None:
    first = await embeddings.reindex(project.db, project.workspace, project.id, NEW, OLD)
    await project.rows("UPDATE memory_jobs SET status = 'processing', claim = id_ FROM (SELECT %s::uuid AS id_) x "
                       "WHERE id = %s", new_id(), first)  # fmt: skip
    assert await embeddings.note(project.db, project.workspace, str(first), "half of it")
    assert (await project.switch()).switched
    await project.rows(
        "UPDATE memory_jobs SET status = 'completed', claim = NULL, outcome = 'nothing', finished_at = now() "
        "WHERE id = %s", first,
    )  # fmt: skip
    assert not await embeddings.note(project.db, project.workspace, str(first), "more of it")
    assert await embeddings.reindex(project.db, project.workspace, project.id, OLD, OLD)
    assert (await embeddings.switch(project.db, project.workspace, project.id, OLD, OLD, [])).switched
    second = await embeddings.reindex(project.db, project.workspace, project.id, NEW, OLD)
    assert second != first
    assert await embeddings.job_model(project.db, project.workspace, str(second)) == NEW
    assert embeddings.model_of("text-embedding-004#x") == "text-embedding-004#x"


async def test_the_move_to_the_instance_s_model_is_made_once(own_db: Database, own_url: str) -> None:
    """While the old vectors go, nobody takes them for those of an instance that was set to another model since."""
    moved = await Project(Tenant(own_db, await make_workspace(own_url))).begin()
    await moved.remember("one", "two")
    await moved.embed()
    assert [errand.needs for errand in await embeddings.errands(own_db, NEW)] == ["reindex"]
    assert await embeddings.reindex(own_db, moved.workspace, moved.id, NEW, OLD)
    await moved.embed(NEW)
    assert (await embeddings.switch(own_db, moved.workspace, moved.id, NEW, NEW, [])).switched
    assert [errand.needs for errand in await embeddings.errands(own_db, NEW)] == ["prune"]
    assert await embeddings.prune(own_db, moved.workspace, moved.id, NEW) == 2
    assert await embeddings.errands(own_db, NEW) == []
    assert await moved.rows("SELECT model FROM memory_settings") == [(None,)], "it follows the instance"


async def test_errands_are_found_across_tenants(own_db: Database, own_url: str) -> None:
    tenants = [Tenant(own_db, await make_workspace(own_url)) for _ in range(3)]
    waits, moved, tidy = [await Project(tenant).begin() for tenant in tenants]
    await waits.remember("waits")
    await moved.remember("has a vector of what the instance had before")
    await moved.embed()
    await tidy.remember("in order")
    await tidy.embed()
    await embeddings.reindex(own_db, tidy.workspace, tidy.id, NEW, OLD)
    await tidy.embed(NEW)
    assert set(await embeddings.errands(own_db, OLD)) == {Errand(waits.workspace, waits.id, "embed", None)}
    found = {errand.project_id: errand.needs for errand in await embeddings.errands(own_db, NEW)}
    assert found == {waits.id: "embed", moved.id: "reindex"}
    assert (await tidy.switch()).switched
    assert [errand.needs for errand in await embeddings.errands(own_db, OLD) if errand.project_id == tidy.id] == [
        "prune"
    ]
    await waits.take()
    assert waits.id not in {errand.project_id for errand in await embeddings.errands(own_db, OLD)}


@pytest.mark.parametrize("size", [384, 512, 1536])
async def test_the_index_of_a_size_serves_its_models(shared_url: str, size: int) -> None:
    """An index over a cast, of a part of the rows, answers a query of exactly this shape."""
    async with await psycopg.AsyncConnection.connect(shared_url, autocommit=True) as connection:
        await connection.execute("SET ROLE muster_app; SET enable_seqscan = off; SET enable_sort = off")
        await connection.execute("SELECT set_config('app.current_workspace_id', %s, false)", (str(new_id()),))
        plan = await connection.execute(
            f"EXPLAIN SELECT observation_id FROM memory_embeddings WHERE vector_dims(embedding) = {size} "
            f"ORDER BY embedding::halfvec({size}) <=> '[{','.join(['1'] * size)}]'::halfvec({size}) LIMIT 10".encode()
        )
        text = "\n".join(row[0] for row in await plan.fetchall())
    assert f"memory_embeddings_{size}" in text, text
