"""What is remembered is found: in any language and form, exactly in small projects, and by nobody else."""

from __future__ import annotations

import hashlib
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from muster.domain.errors import UnknownReference
from muster.domain.ids import DEFAULT_USER, new_id
from muster.domain.memory import NewObservation
from muster.domain.search import Query
from muster.domain.tenants import Tenant as Caller
from muster.storage import observations, search
from muster.storage.database import Database
from muster.storage.pages import BadCursor

from .conftest import NewTenant, Tenant
from .crowd import Crowd
from .memories import Project, new_project

NOW = datetime.now(UTC)


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


async def test_what_says_nothing_is_no_nearer_than_what_says_something(project: Project) -> None:
    """An encoder finds a word or two near to everything."""
    answer = "Copies are kept for thirty days, and one of them is put back into an empty place on the first of a month"
    others = [f"The door of building {n} is painted green, and its key hangs beside the stairs" for n in range(9)]
    ids = await project.titled("Hm.", answer, *others)
    await project.vectors(ids, [[1, 0.1, 0], [1, 0.25, 0], *([0, 0.3, 1 + n / 9] for n in range(9))])
    asked = "What do we do so that nothing is ever lost when a disk breaks?"
    assert (await project.find(asked, vector=[1.0, 0.0, 0.0]))[:2] == [answer, "Hm."]


async def test_a_name_is_found_beside_words_that_nothing_holds(project: Project) -> None:
    others = [f"The door of building {n} is painted" for n in range(30)]
    ids = await project.titled("ENISA answered on Friday: the audit is moved", *others)
    await project.vectors(ids, [[0, 0, 1], *([1, n / 40, 0] for n in range(30))])
    for query in ("ENISA portal login", "portal ENISA", "login credentials enisa"):
        assert (await project.find(query, vector=[1.0, 0.1, 0.0]))[0].startswith("ENISA"), query


async def test_who_asks_for_one_is_given_the_first_of_ten(project: Project) -> None:
    """What questions stand before is looked at, however few are wanted."""
    questions = [f"Why is the pool exhausted, {n}?" for n in range(18)]
    await project.titled(*questions, "The pool is exhausted since the nightly batch holds its connections for hours")
    asked = "Can anybody say why the pool was exhausted?"
    ten = await project.find(asked)
    assert ten[0] not in questions
    for limit in (1, 3, 9):
        assert await project.find(asked, limit=limit) == ten[:limit]


async def test_a_vector_that_does_not_come_leaves_the_words(project: Project) -> None:
    await project.titled("The car broke down")

    async def none(text: str, model: str | None) -> None:
        return None

    found = await project.found("car", vector=none)
    assert (found.mode, len(found.items)) == ("lexical", 1)


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("When did Caroline go to Caroline's support group?", "When did go to support group"),
        ("when did caroline go to the support group", "when did go to the support group"),
        ("Caroline", "Caroline"),
        ("What did Melanie paint?", "What did Melanie paint"),
    ],
)
async def test_a_word_that_most_rows_hold_says_nothing_to_the_encoder(project: Project, query: str, asked: str) -> None:
    texts: list[str] = []

    async def embed(text: str, model: str | None) -> None:
        texts.append(text)

    await project.titled(*(f"Caroline: note {number} of the week" for number in range(49)))
    await project.found(query, vector=embed)
    assert texts[-1] == query.rstrip("?"), "of so few rows none is common"
    await project.titled("Melanie: note 1 of the week")
    await project.found(query, vector=embed)
    assert texts[-1] == asked
    texts.clear()
    await project.found(query, vector=embed)
    assert texts == [asked], "what is common is known by now"


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
