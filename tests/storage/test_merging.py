"""What repeats another is one with it, and what differs in what counts is not."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from muster.domain.memory import NewObservation
from tests.unit.rules.failing_runs import RUNS, Run
from tests.unit.rules.observing import only, tool

from .memories import Project

NOW = datetime.now(UTC)


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
