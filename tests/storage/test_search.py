"""What is remembered is found: in any language and form, exactly in small projects, and by nobody else."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from psycopg.types.json import Jsonb

from muster.domain.errors import UnknownReference
from muster.domain.ids import DEFAULT_USER, new_id
from muster.domain.memory import NewObservation
from muster.domain.search import Query
from muster.domain.tenants import Tenant as Caller
from muster.storage import observations, projects, search
from muster.storage.context import context_for
from muster.storage.database import Database
from muster.storage.pages import BadCursor
from tests.unit.failing_runs import RUNS, Run
from tests.unit.observing import only, tool

from .conftest import NewTenant, Tenant
from .crowd import Crowd

NOW = datetime.now(UTC)


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


@pytest.fixture
async def project(tenant: Tenant) -> Project:
    return await new_project(tenant)


async def new_project(tenant: Tenant) -> Project:
    project_id = new_id()
    await projects.create(tenant.db, tenant.id, project_id, slug=f"p-{project_id.hex}", name="P", description=None)
    return Project(tenant, project_id)


async def test_forms_scripts_and_parts_of_names(project: Project) -> None:
    said = (
        "Licensing was changed", "数据库连接池已耗尽", "データベースの接続が切れた",
        "Les connexions étaient fermées par le pare-feu",
        "Fixed muster/storage/words.py", "psycopg raised errors.UniqueViolation", "Error E11000 in v2.4.1",
        "The worker organises its queue",
    )  # fmt: skip
    await project.titled(*said)
    for query, place in {
        "licence": 0, "连接池": 1, "接続": 2, "connexion fermée": 3, "words.py": 4, "storage/words.py": 4,
        "unique violation": 5, "e11000": 6, "2.4.1": 6, "organizing": 7,
    }.items():  # fmt: skip
        assert (await project.find(query))[:1] == [said[place]], query
    assert await project.find("elephants") == []
    assert await project.find("what is this?") == []


@pytest.mark.parametrize("length", [7, 8, 10, 12, 40])
async def test_a_commit_is_found_by_its_beginning_however_near_others_are(project: Project, length: int) -> None:
    digests = [hashlib.sha1(bytes([n]), usedforsecurity=False).hexdigest() for n in range(120)]
    ids = await project.titled(*(f"Done in commit {digest}; the build is green" for digest in digests))
    await project.vectors(ids, [[1.0, number / 50, 0.1] for number in range(120)])
    for number in range(0, 120, 10):
        beginning = digests[number][:length]
        for vector in (None, [1.0, (number + 60) % 120 / 50, 0.1]):
            assert digests[number] in (await project.find(beginning, vector=vector, limit=1))[0], beginning


async def test_what_is_rare_and_short_goes_first(project: Project) -> None:
    await project.titled(*(f"The server restarted at night {number}" for number in range(30)))
    long = NewObservation(title="Notes", narrative="The quokka server " + "was seen to be doing other things " * 60)
    await project.put(long, NewObservation(title="Notes again", narrative="A quokka in the server"))
    assert (await project.find("server quokka"))[:2] == ["Notes again", "Notes"]


async def test_misspelt_words_are_corrected_and_beginnings_completed(project: Project) -> None:
    await project.titled("Connection pool exhausted", "PostgreSQL upgrade", "AuthenticationMiddleware was split")
    for query, title in {
        "conection": "Connection pool exhausted", "exhuasted": "Connection pool exhausted",
        "postgers": "PostgreSQL upgrade", "postgrsql": "PostgreSQL upgrade", "PostgreSQLL": "PostgreSQL upgrade",
        "authenticationmid": "AuthenticationMiddleware was split",
    }.items():  # fmt: skip
        assert (await project.find(query))[:1] == [title], query
    found = await project.found("conection pool", explain=True)
    assert found.explain is not None
    assert found.explain["corrections"] == {"conection": ["connect"]}


async def test_what_is_new_is_found_before_it_is_counted(project: Project) -> None:
    await project.put(NewObservation(title="Uncounted zebra"), count=False)
    assert await project.find("zebras") == ["Uncounted zebra"]


async def test_filters(project: Project) -> None:
    session, task, agent = new_id(), new_id(), new_id()
    await project.tenant.rows(
        "INSERT INTO memory_sessions (id, workspace_id, project_id, key) VALUES (%s, %s, %s, 'k')",
        (session, project.tenant.id, project.id),
    )
    await project.put(NewObservation(title="pool one", type="decision", concepts=["Pooling"]), session_id=session)
    soup = NewObservation(title="pool two", type="bugfix", files_read=["/home/bob/src/soup.py"])
    await project.put(soup, task_id=task, agent_id=agent)
    await project.put(NewObservation(title="pool three", files_modified=["src/db/pool.py"], concepts=["a", "b"]))
    await project.put(NewObservation(title="pool four", occurred_at=NOW - timedelta(days=9)))
    for vector in (None, [1.0, 0.0, 0.0]):
        for where, titles in (
            ({"session": session}, ["pool one"]),
            ({"task": task}, ["pool two"]),
            ({"agent": agent}, ["pool two"]),
            ({"type": ["decision", "bugfix"]}, ["pool one", "pool two"]),
            ({"type": ["nothing"]}, []),
            ({"concept": ["pooling"]}, ["pool one"]),
            ({"concept": ["a", "b"]}, ["pool three"]),
            ({"concept": ["a", "pooling"]}, []),
            ({"file": "src/db/pool.py"}, ["pool three"]),
            ({"file": "db/pool.py"}, ["pool three"]),
            ({"file": "pool.py"}, ["pool three"]),
            ({"file": "ool.py"}, []),
            ({"file": "/home/ada/proj/src/db/pool.py"}, ["pool three"]),
            ({"file": "C:\\proj\\src\\db\\pool.py", "concept": ["a"]}, ["pool three"]),
            ({"file": "/home/ada/proj/src/db/pool.py", "type": ["decision"]}, []),
            ({"file": "/home/ada/proj/db/pool.py"}, []),
            ({"file": "/home/bob/src/soup.py"}, ["pool two"]),
            ({"file": "/home/ada/src/soup.py"}, []),
            ({"before": NOW - timedelta(days=1)}, ["pool four"]),
            ({"after": NOW - timedelta(days=1), "type": ["bugfix"]}, ["pool two"]),
            ({"session": new_id()}, []),
        ):
            assert sorted(await project.find("pool", vector=vector, **where)) == sorted(titles), where


async def test_meaning_finds_what_words_do_not(project: Project) -> None:
    ids = await project.titled("The car broke down", "Soup is cooked slowly", "An automobile for hire")
    await project.vectors(ids, [[0.9, 0.1, 0], [0, 0, 1], [1, 0.05, 0]])
    found = await project.found("vehicle", vector=[1.0, 0.0, 0.0], limit=2)
    assert (found.mode, [item["title"] for item in found.items]) == (
        "fused", ["An automobile for hire", "The car broke down"],
    )  # fmt: skip
    both = await project.found("car", vector=[1.0, 0.0, 0.0], explain=True)
    assert both.items[0]["title"] == "The car broke down"
    assert both.items[0]["explain"]["words_rank"] == 1
    assert both.items[0]["explain"]["meaning_rank"] == 2
    assert (await project.found("car")).mode == "lexical"


async def test_who_asks_is_not_answered_with_the_question(project: Project) -> None:
    """Questions are alike; what answers one says something else."""
    asked = "Ada: why did the nightly import of customers fail?"
    ids = await project.titled(asked, "The import failed for want of a lock: two ran at once", "Soup is cooked slowly")
    await project.vectors(ids, [[1, 0.02, 0], [0.9, 0.4, 0], [0, 0, 1]])
    question = "What made the job that loads all clients stop?"
    assert (await project.find(question, vector=[1.0, 0.0, 0.0]))[
        0
    ] == "The import failed for want of a lock: two ran at once"
    by_vectors_alone = await project.find(question, vector=[1.0, 0.0, 0.0], by_words=False)
    assert by_vectors_alone[0] == asked
    assert (await project.find("nightly import", vector=[1.0, 0.0, 0.0]))[0] == asked, "what was asked for by its words"


async def test_a_vector_that_does_not_come_leaves_the_words(project: Project) -> None:
    await project.titled("The car broke down")

    async def none(model: str | None) -> None:
        return None

    found = await project.found("car", vector=none)
    assert (found.mode, len(found.items)) == ("lexical", 1)


async def test_pages_neither_repeat_nor_skip_while_others_write(project: Project) -> None:
    await project.titled(*(f"pool number {number}" for number in range(25)))
    seen: list[str] = []
    cursor = None
    for round_ in itertools.count():
        found = await project.found("pool", limit=7, cursor=cursor)
        seen += [item["title"] for item in found.items]
        cursor = found.next_cursor
        if cursor is None:
            break
        await project.titled(f"pool pool pool {round_}")
    old = [title for title in seen if title.startswith("pool number")]
    assert len(seen) == len(set(seen))
    assert len(old) == 25
    first = await project.found("pool", limit=7)
    for wrong in ("nonsense", "W10=", "eyJ9"):
        with pytest.raises(BadCursor):
            await project.found("pool", cursor=wrong)
    with pytest.raises(BadCursor):
        await project.found("other", cursor=first.next_cursor)
    with pytest.raises(BadCursor):
        await (await new_project(project.tenant)).found("pool", cursor=first.next_cursor)


@pytest.mark.parametrize("vector", [None, [1.0, 0.0, 0.0]], ids=["by words", "fused"])
async def test_a_large_page_has_all_that_smaller_ones_have(project: Project, vector: list[float] | None) -> None:
    ids = await project.titled(*(f"pool number {number}" for number in range(110)))
    await project.vectors(ids, [[1.0, number / 100, 0.0] for number in range(110)])
    for size in (59, 60, 100):
        seen: list[str] = []
        cursor = None
        while True:
            found = await project.found("pool", vector=vector, limit=size, cursor=cursor)
            assert len(found.items) == min(size, 110 - len(seen))
            seen += [item["id"] for item in found.items]
            cursor = found.next_cursor
            if cursor is None:
                break
        assert len(seen) == len(set(seen)) == 110


async def test_a_small_project_beside_a_big_one_is_exact(tenant: Tenant, project: Project) -> None:
    big = await new_project(tenant)
    rng = np.random.default_rng(3)
    ids = await big.titled(*(f"pool thing {number}" for number in range(300)))
    await big.vectors(ids[:50], [[float(x) for x in row] for row in rng.standard_normal((50, 3))])
    mine = await project.titled("pool of mine", "another thing")
    await project.vectors(mine, [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    found = await project.found("pool", vector=[0.0, 1.0, 0.0], explain=True)
    assert [item["title"] for item in found.items] == ["pool of mine", "another thing"]
    everywhere = await search.search(tenant.db, tenant.id, None, Query(query="pool mine"), limit=5)
    assert everywhere.items[0]["title"] == "pool of mine"
    assert len(everywhere.items) == 5
    with pytest.raises(UnknownReference):
        await search.search(tenant.db, tenant.id, ["nowhere"], Query(query="pool"))


async def test_nobody_finds_what_they_do_not_reach(new_tenant: NewTenant, project: Project) -> None:
    ids = await project.titled("the secret pool")
    await project.vectors(ids, [[1.0, 0.0, 0.0]])
    other = await new_project(project.tenant)
    stranger = await new_tenant()
    of_other = Caller(project.tenant.id, DEFAULT_USER, project_id=other.id)
    of_task = Caller(project.tenant.id, DEFAULT_USER, task_id=new_id())
    vector = [1.0, 0.0, 0.0]
    for who in (stranger.id, of_other, of_task):
        with pytest.raises(UnknownReference):
            await project.found("secret pool", who=who, vector=vector)
        everywhere = await search.search(project.tenant.db, who, None, Query(query="secret pool"), vector, model="m")
        assert everywhere.items == []
        # Nor through the doors themselves, whatever they are asked for.
        for workspace in (project.tenant.id, stranger.id):
            place = (workspace, [project.id])
            for call in (
                ("SELECT 1 FROM memory_by_meaning(%s, %s, 'm', '[1,0,0]', NULL, NULL, NULL, true, 80, 9)"),
                ("SELECT 1 FROM memory_by_meaning(%s, %s, 'm', '[1,0,0]', NULL, NULL, NULL, false, 80, 9)"),
                ("SELECT 1 FROM memory_alike(%s, %s, 'secret', '{secret}', '{secret}')"),
                ("SELECT 1 FROM memory_count(%s, %s, NULL, NULL, NULL, 9) WHERE found > 0"),
            ):
                assert await project.tenant.db.query(who, call, place) == []
    mine = Caller(project.tenant.id, DEFAULT_USER, project_id=project.id)
    assert (await project.found("secret pool", who=mine, vector=vector)).items[0]["title"] == "the secret pool"


async def test_what_was_prepared_for_one_shows_another_nothing(
    shared_url: str, new_tenant: NewTenant, project: Project
) -> None:
    ids = await project.titled("the secret pool")
    await project.vectors(ids, [[1.0, 0.0, 0.0]])
    other = await new_project(project.tenant)
    db = Database(shared_url, size=1)  # one connection, and its statements
    await db.open()
    try:

        async def found(who: Any, projects: list[str] | None) -> list[str]:
            query = Query(query="secret pool")
            hits = await search.search(db, who, projects, query, [1.0, 0.0, 0.0], model="m")
            assert await db.across("SELECT current_workspace(), current_project(), current_task()") == [(None,) * 3]
            return [item["title"] for item in hits.items]

        for _ in range(3):
            assert await found(project.tenant.id, [str(project.id)]) == ["the secret pool"]
            for who in (
                (await new_tenant()).id,
                Caller(project.tenant.id, DEFAULT_USER, project_id=other.id),
                Caller(project.tenant.id, DEFAULT_USER, task_id=new_id()),
            ):
                assert await found(who, None) == []
                with pytest.raises(UnknownReference):
                    await found(who, [str(project.id)])
            assert await found(Caller(project.tenant.id, DEFAULT_USER), None) == ["the secret pool"]
    finally:
        await db.close()


async def test_what_is_deleted_leaves_nothing_to_find(project: Project) -> None:
    ids = await project.titled("zebra crossing", "zebra stripes")
    await project.tenant.rows("DELETE FROM observations WHERE id = %s", (ids[0],))
    await project.count()
    assert await project.find("zebra crossing") == ["zebra stripes"]
    await project.tenant.rows("DELETE FROM observations WHERE id = %s", (ids[1],))
    await project.count()
    assert await project.tenant.rows("SELECT 1 FROM memory_terms WHERE project_id = %s", (project.id,)) == []
    assert await project.tenant.rows("SELECT 1 FROM memory_term_changes WHERE project_id = %s", (project.id,)) == []
    await project.titled("more zebras")
    await project.tenant.rows("DELETE FROM projects WHERE id = %s", (project.id,))
    assert await project.tenant.rows("SELECT 1 FROM memory_term_changes") == []


async def test_what_is_changed_is_found_by_what_it_says_now(project: Project) -> None:
    (one,) = await project.titled("a zebra")
    await project.vectors([one], [[1.0, 0.0]])
    changed = await observations.change(project.tenant.db, project.tenant.id, one, {"title": "an okapi"})
    assert (changed["title"], changed["version"]) == ("an okapi", 2)
    assert await project.find("zebra") == []
    assert await project.find("okapi") == ["an okapi"]
    assert await project.tenant.rows("SELECT 1 FROM memory_embeddings WHERE observation_id = %s", (one,)) == []


async def test_near_duplicates_of_a_generator_merge_and_keep_their_sources(project: Project) -> None:
    events = await project.events(3)
    text = "The worker opens a connection for each request and never gives it back, so that the pool runs dry at night"
    said = [
        NewObservation(title="Pool exhausted", narrative=text, sources=[events[0]]),
        NewObservation(title="Pool exhausted", narrative=text + " again", sources=[events[1]]),
        NewObservation(title="Pool exhausted", narrative=text, sources=[events[1]]),
        NewObservation(title="Pool exhausted", narrative="Another cause altogether: a leak", sources=[events[2]]),
        NewObservation(title="Pool exhausted", narrative=text, type="bugfix", sources=[events[2]]),
    ]
    await project.put(*said, job=True)
    rows = await project.tenant.rows(
        "SELECT o.narrative, o.type, o.seen, "
        "(SELECT count(*) FROM observation_sources s WHERE s.observation_id = o.id) FROM observations o "
        "WHERE project_id = %s ORDER BY 3 DESC, 2",
        (project.id,),
    )
    assert rows == [(text, "discovery", 2, 2), (text, "bugfix", 1, 1), (said[3].narrative, "discovery", 1, 1)]
    by_hand = await project.put(said[0], said[0])
    assert len(by_hand) == 2  # what a person writes is never merged
    assert await project.tenant.rows("SELECT count(*) FROM observations WHERE project_id = %s", (project.id,)) == [(5,)]


async def test_what_repeats_another_is_one_with_it_whoever_comes_first_and_however_often(project: Project) -> None:
    events = await project.events(6)
    text = "The worker opens a connection for each request and never gives it back, so that the pool runs dry at night"
    said = [
        NewObservation(title="Pool exhausted", narrative=text + more, sources=[event])
        for event, more in zip(events, ["", " again", "", " once again", "", ""], strict=True)
    ]
    ids = await project.put(*said[:2], job=True)
    for _ in range(2):  # the second time they are there
        await project.put(*said[:2], job=True, ids=ids)
    await asyncio.gather(*(project.put(*said[2:], job=True) for _ in range(2)))
    rows = await project.tenant.rows(
        "SELECT o.id, o.seen, (SELECT count(*) FROM observation_sources s WHERE s.observation_id = o.id) "
        "FROM observations o WHERE project_id = %s", (project.id,),
    )  # fmt: skip
    assert rows == [(ids[0], 6, 6)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("listens on port 8080", "listens on port 8081"),
        ("is pinned to 2.14.1", "is pinned to 2.14.2"),
        ("is kept in src/pool.py", "is kept in src/pools.py"),
        ("is called max_size there", "is called min_size there"),
        ("is closed at the end", "is not closed at the end"),
        ("is closed at the end", "isn't closed at the end"),
        ("moved from a.py to b.py", "moved from b.py to a.py"),
        ("has three connections", "has four connections"),
        ("端口可用", "端口不可用"),
        ("is filled before the deploy", "is filled after the deploy"),
        ("is copied to the bucket", "is copied from the bucket"),
        ("may be above the limit", "may be below the limit"),
        ("is closed if nobody asks", "is closed unless somebody asks"),
        ("is for admins and owners", "is for admins or owners"),
        ("wird vor dem Umzug geleert", "wird nach dem Umzug geleert"),
    ],
)
async def test_what_differs_in_what_counts_is_not_one(project: Project, one: str, other: str) -> None:
    text = "The worker opens a connection for each request and never gives it back, so that the pool runs dry at night"
    more = "; whoever restarts the service in the morning sees that everything works again until the evening: the pool "
    await project.put(*(NewObservation(title="Pool", narrative=text + more + end) for end in (one, other)), job=True)
    await project.put(*(NewObservation(title="Pool", narrative=text + more + end) for end in (other, one)), job=True)
    assert await project.tenant.rows("SELECT count(*) FROM observations WHERE project_id = %s", (project.id,)) == [(2,)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("copies the invoices from Postgres to Snowflake", "copies the invoices from Snowflake to Postgres"),
        ("we replaced httpx with requests", "we replaced requests with httpx"),
        ("the worker is restarted before the scheduler", "the scheduler is restarted before the worker"),
        ("Alice reviews what Bob writes", "Bob reviews what Alice writes"),
        ("the reader locks the queue while the writer waits", "the writer locks the queue while the reader waits"),
        ("der Leser sperrt und der Schreiber wartet", "der Schreiber sperrt und der Leser wartet"),
        ("甲通知乙", "乙通知甲"),
        ("cookies are kept in Redis", "cookies are kept in Memcached"),
        ("retries when latency >= budget", "retries when latency <= budget"),
        ("the fee is price * rate", "the fee is price / rate"),
        ("it runs if `ready` is set", "it runs if `!ready` is set"),
    ],
)
async def test_what_says_it_the_other_way_round_is_not_one(project: Project, one: str, other: str) -> None:
    """The same words, and the opposite: also where a session says both, and in a long text."""
    long = (
        "; whoever restarts the service in the morning sees that everything works again until the evening comes round"
    )
    for texts in ((one, other), (one + long, other + long)):
        for said in texts, texts[::-1]:
            await project.put(*(NewObservation(title=text[:60], narrative=text) for text in said), job=True)
            await project.put(NewObservation(title=said[0][:60], narrative=said[0]), job=True)
    rows = await project.tenant.rows("SELECT narrative FROM observations WHERE project_id = %s", (project.id,))
    assert sorted(row[0] for row in rows) == sorted((one, other, one + long, other + long))


async def test_an_accent_that_is_a_character_of_its_own_is_the_same(project: Project) -> None:
    for text in ("The café opens at eight", "The cafe\u0301 opens at eight"):
        await project.put(NewObservation(title=text), job=True)
    rows = await project.tenant.rows("SELECT title FROM observations WHERE project_id = %s", (project.id,))
    assert rows == [("The café opens at eight",)]


FAILURES = {
    "pytest": "FAILED tests/test_cart.py::test_total - AssertionError: 12 != 13\n1 failed, {n} passed in {n}.20s",
    "pytest at length": "collected {n} items\ntests/test_cart.py ....F  [ 87%]\nE   assert 12 == 13\n"
    "tests/test_cart.py:8: AssertionError\n===== 1 failed, {m} passed, 2 skipped in {n}.20s =====",
    "jest": "FAIL src/cart.test.ts\n  total adds\n    Expected: 13\n    Received: 12\n"
    "Tests: 1 failed, {n} passed, {m} total\nTime: {n}.281 s",
    "go": "--- FAIL: TestTotal (0.0{n}s)\n    cart_test.go:12: got 12 want 13\nFAIL\nFAIL\texample.com/cart\t0.0{n}s",
    "cargo": "error[E0425]: cannot find value `foo` in this scope\n --> src/main.rs:4:5\n"
    "error: could not compile `app` due to 1 previous error in {n}.20s",
    "log": "2026-11-{m} 10:0{n}:07,123 ERROR pool at 0x7f{n}0aa3b5c10 is exhausted\nwrote /tmp/pytest-{n}/report.txt",
}


@pytest.mark.parametrize("printed", FAILURES.values(), ids=FAILURES)
async def test_the_same_failure_is_one_however_long_it_took(project: Project, printed: str) -> None:
    for n in (4, 5, 8):
        text = f"`make test` failed with exit code 1.\n{printed.format(n=n, m=n + 10)}"
        await project.put(NewObservation(type="error", title="make fails: 12 is not 13", narrative=text), job=True)
    rows = await project.tenant.rows("SELECT count(*) FROM observations WHERE project_id = %s", (project.id,))
    assert rows == [(1,)]
    other = printed.format(n=4, m=14).replace("12", "11").replace("exhausted", "closed").replace("foo", "bar")
    text = f"`make test` failed with exit code 1.\n{other}"
    await project.put(NewObservation(type="error", title="make fails: 12 is not 13", narrative=text), job=True)
    rows = await project.tenant.rows("SELECT count(*) FROM observations WHERE project_id = %s", (project.id,))
    assert rows == [(2,)], "another failure"


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
async def test_a_test_that_fails_again_is_one_whatever_runs_it(project: Project, run: Run) -> None:
    def failing(output: str) -> NewObservation:
        one = only(tool("Bash", {"command": run.command}, {"stdout": output, "stderr": ""}, exit_code=1))
        return one.model_copy(update={"sources": []})

    again = [failing(run.output(n, t)) for n, t in ((9, 45), (11, 51), (40, 17))]
    others = [failing(run.output(9, 45).replace(old, new)) for old, new in run.others]
    for one in (*again, *others):
        await project.put(one, job=True)
    rows = await project.tenant.rows("SELECT title FROM observations WHERE project_id = %s", (project.id,))
    assert len(rows) == 1 + len(others), rows


@pytest.mark.parametrize("many", [1, 40])
async def test_what_several_say_at_once_is_one(project: Project, many: int) -> None:
    """Each in a transaction of its own, none of which sees the others' yet."""
    names = [f"{one}{other}" for one in ("amber", "cobalt", "ochre", "teal") for other in "abcdefghij"][:many]
    said = [f"The worker of {name} opens a connection for each request and never gives it back" for name in names]
    events = await project.events(3)
    await asyncio.gather(*(
        project.put(
            *(NewObservation(title=one, narrative=one, sources=[event]) for one in said), job=True, seconds=0.1
        )
        for event in events
    ))  # fmt: skip
    rows = await project.tenant.rows("SELECT title, seen FROM observations WHERE project_id = %s", (project.id,))
    assert sorted(rows) == sorted((one, 3) for one in said)


async def test_context_keeps_to_its_budget_and_tells_what_matters(project: Project) -> None:
    await project.put(
        NewObservation(title="We pool connections", type="decision", narrative="Because opening costs 20 ms. " * 20),
        NewObservation(title="Pool exhausted under load", type="bugfix", facts=["The limit was 5", "It is 20 now"]),
        NewObservation(title="pool exhausted  under load!", type="bugfix"),
        NewObservation(title="The pool's file", files_modified=["src/pool.py"]),
    )
    await project.put(NewObservation(title="Session of Monday", type="summary"), summary=True)
    db, who = project.tenant.db, project.tenant.id
    told = await context_for(db, who, project.id, "make the connection pool larger", files=["src/pool.py"])
    titles = [item["title"] for item in told.items]
    assert len(titles) == 4  # of the two that say the same, one
    assert {"Session of Monday", "The pool's file", "We pool connections"} < set(titles)
    assert "## Decisions" in told.markdown
    assert "## Errors and fixes" in told.markdown
    assert all(item["id"] in told.markdown for item in told.items)
    for budget in (100, 150, 200, 400, 1000):
        told = await context_for(db, who, project.id, "make the connection pool larger", budget_tokens=budget)
        assert told.tokens <= budget
        assert len(told.markdown) / 4 <= budget
    empty = await new_project(project.tenant)
    assert (await context_for(db, who, empty.id, "anything")).markdown == ""


async def test_what_fits_a_task_best_comes_first_whatever_it_is(project: Project) -> None:
    others = [NewObservation(title=f"Widget report {word}", type="decision", narrative=f"Of the {word} widget")
              for word in ("amber", "cobalt", "ochre", "teal", "umber")]  # fmt: skip
    await project.put(
        *others,
        NewObservation(title="The zeppelin importer drops rows of last year", narrative="It reads 100 at a time."),
        NewObservation(title="Why does the zeppelin importer drop rows?", type="question"),
    )
    told = await context_for(project.tenant.db, project.tenant.id, project.id, "Mend the rows of the zeppelin importer")
    groups = list(dict.fromkeys(item["group"] for item in told.items))
    assert told.items[0]["title"].startswith("The zeppelin importer drops")
    assert groups[0] == "Facts"
    assert [item["title"] for item in told.items if item["group"] == "Questions asked"] == [
        "Why does the zeppelin importer drop rows?"
    ]
    places = [told.markdown.index(f"## {group}") for group in groups]
    assert places == sorted(places)


async def test_a_large_budget_is_used_and_a_small_one_goes_to_the_files(project: Project) -> None:
    await project.put(
        *(
            NewObservation(title=f"The pool number {n} has {n * 7} connections and a name of its own")
            for n in range(70)
        ),
        NewObservation(title="Never sort in here", files_modified=["src/sorting.py"]),
    )
    db, who = project.tenant.db, project.tenant.id
    told = await context_for(db, who, project.id, "make the connection pool larger", budget_tokens=8000)
    assert len(told.items) > 60
    told = await context_for(
        db, who, project.id, "make the connection pool larger", files=["src/sorting.py"], budget_tokens=130
    )
    assert "Never sort in here" in [item["title"] for item in told.items]
    assert len(told.items) < 4


# -- Recall ----------------------------------------------------------------------------------------------------------


async def test_the_nearest_are_found_in_every_shape_of_filter(own_url: str) -> None:
    """At least 95 of 100 of those that comparing all of them finds."""
    crowd = await Crowd(own_url).gather()
    try:
        for shape, where in crowd.shapes().items():
            recall, exact = await crowd.recall(where)
            assert recall >= 0.95, f"{shape}: {recall}"
            assert exact == (shape not in ("project", "type", "concept", "file", "before")), shape
    finally:
        await crowd.db.close()
