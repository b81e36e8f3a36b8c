"""Observations get their vectors whatever the provider does, and a project its new model whoever dies meanwhile."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from temporalio.testing import ActivityEnvironment

from activities.memory import MemoryActivities
from activities.vectors import VectorActivities
from muster.domain.memory import DrainRequest, ErrorClass, GenerationFailed, JobKind
from muster.models import embeddings as client
from muster.models.embedder import MODEL
from muster.models.embeddings import Embeddings
from muster.storage import embeddings as store
from muster.storage.database import Database
from tests.pace import Stopwatch, patience
from tests.services.conftest import eventually, with_us

from .conftest import Tenant, make_workspace
from .provider import Provider, a_provider
from .test_embeddings import NEW, OLD, Project

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with a_provider() as provider:
        yield provider


@pytest.fixture
async def embeddings(provider: Provider) -> AsyncIterator[Embeddings]:
    found = Embeddings.of(provider.url, OLD, "a key")
    yield found
    await found.close()


@pytest.fixture
async def project(tenant: Tenant) -> Project:
    return await Project(tenant).begin()


async def embed(project: Project, embeddings: Embeddings) -> Any:
    return await VectorActivities(project.db, embeddings).embed(project.workspace, project.id)


@asynccontextmanager
async def kept(db: Database, embeddings: Embeddings) -> AsyncIterator[None]:
    """As beside a worker."""
    keeping = asyncio.create_task(VectorActivities(db, embeddings).keep(look_seconds=0.05))
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.wait({keeping})


async def claimed(project: Project, model: str = NEW) -> str:
    """A job of reindexing that somebody works on."""
    job = await store.reindex(project.db, project.workspace, project.id, model, OLD)
    await take_up(project, str(job))
    return str(job)


async def take_up(project: Project, job: str) -> None:
    await project.rows(
        "UPDATE memory_jobs SET status = 'processing', claim = gen_random_uuid() WHERE id = %s AND status = 'queued'",
        job,
    )


# -- The client ------------------------------------------------------------------------------------------------


async def test_vectors_come_in_the_order_of_their_texts(provider: Provider, embeddings: Embeddings) -> None:
    texts = [f"text {number}" for number in range(150)]
    found = await embeddings.embed(texts)
    assert provider.requests == 3
    assert provider.authorization == "Bearer a key"
    for text, vector in zip(texts, found, strict=True):
        wanted = provider.vector(text, 8)
        assert sum(x * y for x, y in zip(vector, wanted, strict=True)) > 0
        assert sum(x * x for x in vector) == pytest.approx(1)
    assert (await embeddings.named(NEW).embed(["one"]))[0] != found[0]
    long = await embeddings.embed(["word " * 10_000])
    assert len(long) == 1
    assert provider.requests > 4, "in parts, since no model takes it whole"
    assert await embeddings.look() == "old-model, new-model"
    smaller = Embeddings.of(provider.url, OLD, dimensions=4)
    assert len((await smaller.embed(["a"]))[0]) == 4
    await smaller.close()


@pytest.mark.parametrize(
    ("answer", "kind", "retry_after"),
    [
        ((429, {"Retry-After": "7"}, {"error": {"message": "slowly"}}), ErrorClass.RATE_LIMIT, 7),
        ((429, {}, {"error": {"code": "insufficient_quota", "message": "pay"}}), ErrorClass.QUOTA, None),
        ((402, {}, {}), ErrorClass.QUOTA, None),
        ((500, {}, b"<html>"), ErrorClass.UNAVAILABLE, None),
        ((503, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, {}), ErrorClass.UNAVAILABLE, 0),
        ((401, {}, {"error": {"message": "a wrong key for 'not fine'"}}), ErrorClass.REFUSED, None),
        ((400, {}, {"error": "too long"}), ErrorClass.REFUSED, None),
        ((400, {}, {"error": {"message": "cannot read 'not fine'"}}), ErrorClass.REFUSED, None),
        ((200, {}, b"<html>"), ErrorClass.MALFORMED, None),
        ((200, {}, []), ErrorClass.MALFORMED, None),
        ((200, {}, {"data": []}), ErrorClass.MALFORMED, None),
        ((200, {}, {"data": [{"embedding": "%%%"}]}), ErrorClass.MALFORMED, None),
        ((200, {}, {"data": [{"embedding": [None]}]}), ErrorClass.MALFORMED, None),
        ((200, {}, {"data": [{"embedding": [1e999, 1.0]}]}), ErrorClass.MALFORMED, None),
        ((200, {}, {"data": [{"embedding": [1.0] * 9}]}), ErrorClass.MALFORMED, None),
        ((200, {}, {"data": [{"embedding": [1.0] * 8, "index": 5}]}), ErrorClass.MALFORMED, None),
    ],
)
@pytest.mark.parametrize("own", [True, False])
async def test_each_failure_has_its_class(
    provider: Provider, answer: Any, kind: ErrorClass, retry_after: float | None, own: bool
) -> None:
    provider.dimensions[MODEL] = 8
    embeddings = Embeddings.of(provider.url, MODEL if own else OLD)
    assert await embeddings.embed(["fine"])
    provider.behaves = lambda texts: answer
    with pytest.raises(GenerationFailed) as failed:
        await embeddings.embed(["not fine"])
    assert (failed.value.kind, failed.value.retry_after) == (kind, retry_after)
    assert "not fine" not in failed.value.message
    provider.behaves = lambda texts: None
    assert await embeddings.embed(["fine again"])
    await embeddings.close()


@pytest.mark.parametrize("own", [True, False])
async def test_a_dead_provider_costs_a_query_nothing_after_the_first_failures(
    provider: Provider, own: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_FIRST_PAUSE", 0.3)
    provider.dimensions[MODEL] = 8
    embeddings = Embeddings.of(provider.url, MODEL if own else OLD)
    known = await embeddings.embed(["known"])
    provider.seconds = 30
    for _ in range(2):
        with pytest.raises(GenerationFailed) as failed:
            await embeddings.embed(["a query"], seconds=0.1)
        assert failed.value.kind == ErrorClass.TIMEOUT
    began = Stopwatch()
    for number in range(100):
        with pytest.raises(GenerationFailed) as failed:
            await embeddings.embed([f"query {number}"], seconds=1)
        assert failed.value.retry_after
    assert began.fair < 0.2, "nobody is asked"
    assert (await embeddings.embed(["known"]))[0] == pytest.approx(known[0]), "what is remembered is"
    await provider.stop()
    provider.seconds = 0
    asked = provider.requests
    await provider.start()  # it is back, and its connections are new
    if own:  # nobody has to search for that to be seen
        async with patience(15):
            while provider.requests == asked:  # noqa: ASYNC110 - a number
                await asyncio.sleep(0.05)
    async with patience(15):
        while True:
            try:
                assert await embeddings.embed(["a query"], seconds=1)
                break
            except GenerationFailed:
                await asyncio.sleep(0.05)
    await embeddings.close()


@pytest.mark.parametrize("answer", [(500, {}, {}), (402, {}, {}), (200, {}, {"data": []})])
async def test_a_provider_that_is_there_and_does_not_answer_is_told_of(provider: Provider, answer: Any) -> None:
    embeddings = Embeddings.of(provider.url, OLD)
    await embeddings.look()
    provider.behaves = lambda texts: answer
    with pytest.raises(GenerationFailed):
        await embeddings.embed(["a query"])
    with pytest.raises(GenerationFailed):
        await embeddings.look()
    provider.behaves = lambda texts: None

    async def well() -> None:
        await embeddings.look()

    await eventually(well, 10)
    await embeddings.close()


async def test_what_a_provider_does_not_have_is_known_before_it_is_asked_for(provider: Provider) -> None:
    embeddings = Embeddings.of(provider.url, OLD)
    provider.behaves = lambda texts: (404, {}, {"error": {"message": "no such model"}})
    assert "no such model" in (await embeddings.refusal("nothing-like-it", 2) or "")
    provider.behaves = lambda texts: (503, {}, {})
    assert await embeddings.refusal("nothing-like-it", 2) is None, "it may have it"
    provider.behaves = lambda texts: None
    assert await embeddings.refusal(NEW, 2) is None
    await embeddings.close()


async def test_a_provider_that_restarts_between_two_queries_is_not_noticed(provider: Provider) -> None:
    provider.dimensions[MODEL] = 8
    embeddings = Embeddings.of(provider.url, MODEL)
    await embeddings.embed(["one"])
    await provider.stop()
    await provider.start()
    assert await embeddings.embed(["two"], seconds=2)
    await embeddings.close()


async def test_the_embedded_model_is_asked_beside_another_s_provider(provider: Provider) -> None:
    async with a_provider() as embedder:
        embedder.dimensions = {MODEL: 8}
        embeddings = Embeddings.of(provider.url, OLD, "a key", beside=embedder.url)
        await embeddings.named(MODEL).embed(["for whom has its vectors still"])
        await embeddings.named(OLD).embed(["for the others"])
        assert (embedder.requests, embedder.authorization, provider.requests) == (1, None, 1)
        await embeddings.close()


# -- What waits ------------------------------------------------------------------------------------------------


async def test_what_waits_is_embedded_once(provider: Provider, embeddings: Embeddings, project: Project) -> None:
    await project.remember(*(f"number {number}" for number in range(200)), "number 7")
    done = await asyncio.gather(*(embed(project, embeddings) for _ in range(3)))
    assert await project.vectors() == {OLD: 201}
    assert sum(one.observations for one in done) >= 199
    assert set(provider.texts.values()) <= {1, 2}
    assert sum(provider.texts.values()) <= 201
    assert (await embed(project, embeddings)).left == 0


async def test_a_dead_provider_delays_vectors_and_loses_none(
    provider: Provider, embeddings: Embeddings, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.vectors._PAUSE_SECONDS", 0.2)
    monkeypatch.setattr(client, "_FIRST_PAUSE", 0.1)
    await project.remember(*(f"number {number}" for number in range(100)))
    await provider.stop()
    found = await embed(project, embeddings)
    assert (found.observations, found.left) == (0, 100)
    assert found.wait_seconds == 0.2 or 0 < found.wait_seconds <= 1
    progress = await project.progress()
    assert (progress["waiting"], progress["refused"]) == (100, 0)
    assert "does not answer" in progress["error"], "it says why they wait"
    await provider.start()

    async def all_there() -> None:
        assert await project.vectors() == {OLD: 100}

    async with kept(project.db, embeddings):
        await eventually(all_there, 20)
    progress = await project.progress()
    assert (progress["waiting"], progress["error"]) == (0, None)


async def test_one_text_that_is_refused_does_not_keep_the_others(
    provider: Provider, embeddings: Embeddings, project: Project
) -> None:
    def picky(texts: list[str]) -> Any:
        return (400, {}, {"error": {"message": "that one"}}) if any("bad" in text for text in texts) else None

    provider.behaves = picky
    await project.remember("good", "bad", "better")
    found = await embed(project, embeddings)
    assert (found.observations, found.left) == (2, 1)
    assert found.wait_seconds > 60
    progress = await project.progress()
    assert (progress["waiting"], progress["refused"], "that one" in progress["error"]) == (1, 1, True)


async def test_a_provider_that_refuses_everything_refuses_no_text(
    provider: Provider, embeddings: Embeddings, project: Project
) -> None:
    provider.behaves = lambda texts: (400, {}, {"error": {"message": "no such parameter"}})
    await project.remember(*(f"number {number}" for number in range(50)))
    found = await embed(project, embeddings)
    assert (found.observations, found.left) == (0, 50)
    assert found.wait_seconds < 60
    assert (await project.progress())["refused"] == 0
    assert provider.requests < 12


async def test_vectors_of_another_length_are_not_stored(
    provider: Provider, embeddings: Embeddings, project: Project
) -> None:
    await embeddings.embed(["eight"])
    provider.dimensions[OLD] = 9
    await project.remember("nine")
    assert (await embed(project, embeddings)).left == 1
    assert await project.vectors() == {}


async def test_vectors_come_also_while_jobs_never_cease(
    provider: Provider, embeddings: Embeddings, project: Project
) -> None:
    await project.remember(*(f"number {number}" for number in range(200)))
    vectors = VectorActivities(project.db, embeddings)
    vectors.busy = lambda: True
    assert (await vectors.embed(project.workspace, project.id)).left == 0
    assert await project.vectors() == {OLD: 200}


async def test_without_embeddings_nothing_is_made(project: Project) -> None:
    await project.remember("two")
    assert (await embed(project, Embeddings.of("off"))).observations == 0


# -- Another model ---------------------------------------------------------------------------------------------


async def test_a_project_is_searched_by_the_new_model_once_it_is_complete(
    provider: Provider, embeddings: Embeddings, project: Project
) -> None:
    ids = await project.remember(*(f"number {number}" for number in range(300)))
    await embed(project, embeddings)
    job = await claimed(project)
    vectors = VectorActivities(project.db, embeddings)
    provider.seconds = 0.1
    running = asyncio.create_task(vectors.reindex(project.workspace, project.id, job))
    while not (await project.progress())["next_vectors"]:
        assert not running.done(), running.result()
        await asyncio.sleep(0.02)
    await project.remember("added meanwhile")
    await project.change(ids[0], "changed meanwhile")
    await embed(project, embeddings)
    found = await project.progress()
    assert (found["model"], found["next_model"]) == (OLD, NEW)
    assert found["vectors"] == 301, "the old ones are searched"
    assert "have vectors of new-model" in found["job"]["note"]
    note = await running
    assert note.startswith("searched by new-model now"), note
    assert await project.vectors() == {NEW: 301}
    assert await store.models(project.db, project.workspace, project.id, OLD) == (NEW, None)
    provider.seconds = 0
    await project.remember("added afterwards")
    await embed(project, embeddings)
    assert await project.vectors() == {NEW: 302}
    again = await vectors.reindex(project.workspace, project.id, job)
    assert again.startswith("searched by new-model now")


_WORKER = """
import asyncio, sys, uuid
from activities.vectors import VectorActivities
from muster.models.embeddings import Embeddings
from muster.storage.database import Database

async def main(url, provider, workspace, project, job):
    db = Database(url)
    await db.open()
    vectors = VectorActivities(db, Embeddings.of(provider, "old-model"))
    print("begins", flush=True)
    await vectors.reindex(uuid.UUID(workspace), uuid.UUID(project), job)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_reindex_survives_the_death_of_its_worker(
    provider: Provider, embeddings: Embeddings, own_db: Database, own_url: str
) -> None:
    project = await Project(Tenant(own_db, await make_workspace(own_url))).begin()
    await project.remember(*(f"number {number}" for number in range(400)))
    await embed(project, embeddings)
    job = await claimed(project)
    provider.seconds = 0.1
    process = subprocess.Popen(  # noqa: ASYNC220 - returns at once
        with_us(sys.executable, "-c", _WORKER, own_url, provider.url, str(project.workspace), str(project.id), job),
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        async with patience(30):
            while (await project.progress())["next_vectors"] < 100:
                assert process.poll() is None
                await asyncio.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    half = await project.progress()
    assert (half["model"], half["vectors"]) == (OLD, 400)
    assert 100 <= half["next_vectors"] < 400
    provider.seconds = 0
    note = await VectorActivities(own_db, embeddings).reindex(project.workspace, project.id, job)
    assert note.startswith("searched by new-model now; 400 old"), note
    assert await project.vectors() == {NEW: 400}
    twice = sum(count - 1 for (model, _), count in provider.texts.items() if model == NEW)
    assert twice <= 64, "what was stored is not embedded again"


async def test_a_reindex_ends_when_it_is_cancelled_or_another_model_is_wanted(
    provider: Provider, embeddings: Embeddings, project: Project
) -> None:
    vectors = VectorActivities(project.db, embeddings)
    await project.remember(*(f"number {number}" for number in range(150)))
    await embed(project, embeddings)
    job = await claimed(project)
    await project.rows(
        "UPDATE memory_jobs SET status = 'cancelled', claim = NULL, finished_at = now() WHERE id = %s", job
    )
    assert await vectors.reindex(project.workspace, project.id, job) == "it was cancelled"
    assert await store.models(project.db, project.workspace, project.id, OLD) == (OLD, None)
    job = await claimed(project)
    await store.reindex(project.db, project.workspace, project.id, "third-model", OLD)
    assert await vectors.reindex(project.workspace, project.id, job) == "another model was asked for since"
    assert await project.vectors() == {OLD: 150}
    assert await vectors.reindex(project.workspace, project.id, "rdx_" + "0" * 64) == "the job is gone"


async def test_a_reindex_fails_as_its_provider_does_and_the_old_stays(
    provider: Provider, embeddings: Embeddings, project: Project
) -> None:
    await project.remember("one")
    await embed(project, embeddings)
    unknown = await claimed(project, "no-such-model")
    with pytest.raises(GenerationFailed) as failed:
        await VectorActivities(project.db, embeddings).reindex(project.workspace, project.id, unknown)
    assert (failed.value.kind, "no-such-model" in failed.value.message) == (ErrorClass.REFUSED, True)
    provider.behaves = lambda texts: (429, {"Retry-After": "9"}, {})
    busy = await claimed(project)
    with pytest.raises(GenerationFailed) as failed:
        await VectorActivities(project.db, embeddings).reindex(project.workspace, project.id, busy)
    assert (failed.value.kind, failed.value.retry_after) == (ErrorClass.RATE_LIMIT, 9)
    assert await project.vectors() == {OLD: 1}


async def test_a_page_in_place_of_vectors_ends_no_move(
    provider: Provider, embeddings: Embeddings, project: Project
) -> None:
    await project.remember("one")
    await embed(project, embeddings)
    job = await claimed(project)
    for answer in ((200, {}, b"<html>One moment</html>"), (200, {}, {"data": []})):
        provider.behaves = lambda texts, answer=answer: answer  # type: ignore[misc]
        with pytest.raises(GenerationFailed) as failed:
            await VectorActivities(project.db, embeddings).reindex(project.workspace, project.id, job)
        assert failed.value.kind == ErrorClass.UNAVAILABLE


async def test_a_model_that_is_not_there_is_not_waited_for(embeddings: Embeddings, project: Project) -> None:
    await project.remember("one")
    await embed(project, embeddings)
    job = await store.reindex(project.db, project.workspace, project.id, "no-such-model", OLD)
    of_memory = MemoryActivities(
        project.db, cast(Any, None), lambda *place: None, VectorActivities(project.db, embeddings)
    )
    request = DrainRequest(
        workspace_id=project.workspace, project_id=project.id, session_id=None, kind=JobKind.REINDEX
    )  # fmt: skip
    await ActivityEnvironment().run(of_memory.drain_memory, request)
    assert await project.rows("SELECT status, error_class FROM memory_jobs WHERE id = %s", job) == [
        ("failed", "refused")
    ]
    assert await store.models(project.db, project.workspace, project.id, OLD) == (OLD, None)


async def test_a_new_model_of_the_instance_is_every_project_s(
    provider: Provider, own_db: Database, own_url: str
) -> None:
    """The settings say another model than yesterday: vectors are made anew, and the old are searched meanwhile."""
    project = await Project(Tenant(own_db, await make_workspace(own_url))).begin()
    await project.remember("one", "two")
    before, now = Embeddings.of(provider.url, OLD), Embeddings.of(provider.url, NEW)
    await VectorActivities(own_db, before).embed(project.workspace, project.id)
    vectors = VectorActivities(own_db, now)

    async def asked_for() -> Any:
        found = await store.progress(own_db, project.workspace, project.id, NEW)
        assert found["job"]
        return found

    async with kept(own_db, now):
        found = await eventually(asked_for)
        assert (found["model"], found["next_model"], found["job"]["status"]) == (OLD, NEW, "queued")
        await take_up(project, found["job"]["id"])
        await vectors.reindex(project.workspace, project.id, found["job"]["id"])
        assert await project.vectors() == {NEW: 2}
        settings = await project.rows("SELECT model, next_model FROM memory_settings WHERE project_id = %s", project.id)
        assert settings == [(None, None)], "it follows the instance, as before"
    await before.close()
    await now.close()
