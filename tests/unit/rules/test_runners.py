"""The same failing test, seen again in a run that took longer and in which more passed, is the same failure."""

from __future__ import annotations

import math
from uuid import UUID

import pytest

from muster.domain import fleeting
from muster.domain.memory import NewObservation
from muster.domain.rules import runners
from muster.storage import observations
from tests.pace import Stopwatch
from tests.unit.rules.failing_runs import RUNS, Run
from tests.unit.rules.observing import only, tool

TIMES = ((9, 45), (11, 51), (40, 17))


def failing(run: Run, output: str) -> NewObservation:
    one = only(tool("Bash", {"command": run.command}, {"stdout": output, "stderr": ""}, exit_code=1))
    assert one.type == "error"
    return one


def compared(one: NewObservation) -> tuple[tuple[str, ...], dict[int, float]]:
    """What near duplicates share, and the weights that may hardly differ."""
    files = list(dict.fromkeys([*one.files_modified, *one.files_read]))
    row = observations.as_words(
        UUID(int=1), one, one.type, session_id=None, task_id=None, agent_id=None, files=files, merges=True
    )
    weights = dict(part.split(":") for part in row["weights"].partition("/")[0].strip("{}").split(","))
    return tuple(row["near"].strip("{}").split(",")), {int(at): float(weight) for at, weight in weights.items()}


def apart(one: dict[int, float], other: dict[int, float]) -> float:
    both = sum(weight * other.get(at, 0.0) for at, weight in one.items())
    return 1 - both / math.sqrt(sum(w * w for w in one.values()) * sum(w * w for w in other.values()))


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_a_failing_test_is_the_same_however_long_it_took(run: Run) -> None:
    first, *again = [failing(run, run.output(n, t)) for n, t in TIMES]
    assert first.title.startswith(run.title)
    for other in again:
        assert (other.title, other.facts, other.files_read) == (first.title, first.facts, first.files_read)
        assert fleeting.without(other.narrative or "").split() == fleeting.without(first.narrative or "").split()
        assert compared(other) == compared(first)


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_another_failure_is_another(run: Run) -> None:
    first = compared(failing(run, run.output(*TIMES[0])))
    for old, new in run.others:
        other = compared(failing(run, run.output(*TIMES[0]).replace(old, new)))
        assert set(other[0]).isdisjoint(first[0]) or apart(first[1], other[1]) > 0.05, (old, new)


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_what_runners_count_is_left_out(run: Run) -> None:
    """Also of the whole of it, where no line of it says more than others."""
    ends = ["\n".join(runners.without_passed(run.output(n, t).split("\n"))[-14:]) for n, t in TIMES]
    texts = [fleeting.without(end).split() for end in ends]
    assert texts[0] == texts[1] == texts[2]


@pytest.mark.parametrize(
    ("command", "printed", "title", "tests"),
    [
        (
            "npx jest",
            "FAIL src/cart.test.js\n  ● Test suite failed to run\n\n"
            "    Cannot find module './money' from 'src/cart.js'\n"
            "\n    Require stack:\n      src/cart.js\n\nTest Suites: 1 failed, 1 total\nTests:       0 total",
            "jest fails: src/cart.test.js: Cannot find module './money' from 'src/cart.js'",
            ["src/cart.test.js"],
        ),
        (
            "npm test",
            "FAIL src/a.test.js\nTests: 1 failed, 5 passed, 6 total",
            "npm test fails: src/a.test.js fails",
            [],
        ),
        (
            "npx jest",
            "FAIL a.test.js\n  ● Cart › one\n\n    TypeError: x is not a function\n\n      at a (a.js:3:1)\n\n"
            '  ● Cart › two\n\n    thrown: "Exceeded timeout of 5000 ms for a test."\n\nTests: 2 failed, 2 total',
            "jest fails: Cart › one: TypeError: x is not a function",
            ["Cart › one", "Cart › two"],
        ),
        (
            "mvn -q test",
            "[ERROR] Failures: \n[ERROR]   CartTest.sums:12 expected: <13> but was: <12>\n[ERROR] Errors: \n"
            "[ERROR]   CartTest.adds:30 » NullPointer\n[INFO] \n"
            "[ERROR] Tests run: 9, Failures: 1, Errors: 1, Skipped: 0",
            "mvn fails: CartTest.sums: expected: <13> but was: <12>",
            ["CartTest.sums", "CartTest.adds"],
        ),
        (
            "vendor/bin/phpunit",
            "There were 2 failures:\n\n1) CartTest::testSum with data set #0 (1, 2)\n"
            "Failed asserting that two strings are identical.\n"
            "--- Expected\n+++ Actual\n@@ @@\n-'a'\n+'b'\n\n/app/tests/CartTest.php:12\n\n"
            "2) CartTest::testTax\nTypeError: no\n\n/app/tests/CartTest.php:20\n\nFAILURES!\n"
            "Tests: 4, Assertions: 4, Failures: 2.",
            "phpunit fails: CartTest::testSum with data set #0 (1, 2): "
            "Failed asserting that two strings are identical., "
            "-'a', +'b'",
            ["CartTest::testSum with data set #0 (1, 2)", "CartTest::testTax"],
        ),
        (
            "ctest",
            "50% tests passed, 1 tests failed out of 2\n\nThe following tests FAILED:\n\t  2 - sums (SEGFAULT)\n"
            "Errors while running CTest",
            "ctest fails: sums: SEGFAULT",
            ["sums"],
        ),
    ],
)
def test_what_runners_say_in_other_ways(command: str, printed: str, title: str, tests: list[str]) -> None:
    one = only(tool("Bash", {"command": command}, {"stdout": printed, "stderr": ""}, exit_code=1))
    assert one.title == title
    assert [fact.removeprefix("Fails: ") for fact in one.facts if fact.startswith("Fails: ")] == tests


@pytest.mark.parametrize(
    "line",
    ["  ● " + "a " * 9000, "FAIL " + "x > " * 6000, "[ERROR] " + "a " * 9000, "A > " * 6000, "1) A::" + "b " * 9000,
     "  Failed " + "[1 " * 6000, "1/2 Test #1: a " + ". " * 9000, "  1) " + "a " * 9000, "Tests run: " + "1, " * 6000,
     "(" + "1" * 20_000, " " * 20_000, "a PASSED" * 3000, "Tests: 1" + "1 " * 9000],
    ids=lambda line: line[:8].strip() or "blanks",
)  # fmt: skip
def test_long_lines_and_many_take_their_time_only_once(line: str) -> None:
    def spent(text: str) -> float:
        watch = Stopwatch()
        runners.tests_of(runners.without_passed(text.split("\n")))
        fleeting.without(text)
        return watch.fair

    assert spent(line) < 1
    assert spent(f"FAIL a.js\nTest project x\nFailure/Error:\n{line[:60]}\n" * 2000) < 5
