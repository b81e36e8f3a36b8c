"""What went wrong on the way of a session is open at its end only if nothing shows that it was got past."""

from __future__ import annotations

import time
from typing import Any

import pytest

from muster.domain.memory import Event
from muster.domain.rules.summary import summarise
from tests.pace import Stopwatch
from tests.unit.rules.observing import TRACEBACK, event, made, tool
from tests.unit.rules.test_unfinished import opened

ALL_WELL = "All 14 tests pass now and the change is committed."


def ran(command: str, output: str = "", code: int = 0) -> Event:
    return tool("Bash", {"command": command}, {"stdout": output}, exit_code=code)


def says(text: str) -> Event:
    return event({"role": "assistant", "content": text})


def worked(*, kept: bool = True) -> list[Event]:
    """A stretch of work that goes well."""
    edits = [
        tool("Write", {"file_path": f"src/part_{n}.py", "content": f"def part_{n}(): ..."}, {"ok": True})
        for n in range(9)
    ]
    return [*edits, ran("git commit -m 'feat: the parts'", "[main abc1234] feat: the parts")] if kept else edits


TRIED: list[tuple[str, Any, str]] = [
    ("WebFetch", {"url": "https://docs.example/guide"}, "Request failed with status code 404"),
    ("Bash", {"command": "python -m json.tool a.json"}, "/bin/bash: line 1: python: command not found"),
    ("Bash", {"command": "shipctl lint"}, "Error: no such command 'lint', maybe you meant 'init'"),
    ("Bash", {"command": "shipctl relate a b"}, 'ERROR cannot add relation "a:db b:db": relation already exists'),
    ("Bash", {"command": 'python3 -c "import shop; shop.total()"'}, TRACEBACK),
    ("Bash", {"command": "uv run python3 - <<'EOF'\nimport shop\nEOF"}, TRACEBACK),
    ("Bash", {"command": "kubectl exec shop-0 -- curl -f http://localhost/health"}, 'exec: "curl": not found in $PATH'),
    ("Bash", {"command": "tree src -L 3"}, "bash: tree: command not found"),
    ("Bash", {"command": "sqlite3 shop.db 'select * from x'"}, "Error: in prepare, no such table: x"),
    ("Bash", {"command": "pkill -f 'pytest.*slow'"}, ""),
]


@pytest.mark.parametrize(("name", "asked", "said"), TRIED)
def test_what_was_only_tried_is_not_open_once_the_work_went_on(name: str, asked: Any, said: str) -> None:
    failed = tool(name, asked, {"error": said, "stderr": said}, exit_code=1, error=said)
    start = event({"prompt": "Add the nine parts of the shop."}, "prompt")
    assert opened(start, failed, *worked(), says("The parts are there.")) == ""
    assert opened(start, failed, says(ALL_WELL)) == ""
    assert opened(start, *worked(), failed) != "", "it is the last that happened"


@pytest.mark.parametrize(("name", "asked", "said"), TRIED)
def test_what_was_tried_stays_open_while_little_came_after_it(name: str, asked: Any, said: str) -> None:
    failed = tool(name, asked, {"error": said, "stderr": said}, exit_code=1, error=said)
    assert opened(failed, says("I renamed the column of the orders."), ran("git status", "clean")) != ""


@pytest.mark.parametrize(
    ("command", "output"),
    [
        ("pytest tests/unit", TRACEBACK),
        ("npm test", "Tests: 2 failed, 2 total"),
        ("mypy src", "src/a.py:3: error: Missing return statement  [return]\nFound 1 error in 1 file"),
        ("cargo build", "error[E0382]: borrow of moved value"),
        ("terraform plan", "Error: Invalid reference"),
        ("kubectl apply -f shop.yaml", "error: unable to recognize shop.yaml"),
        ("shipctl deploy ./shop", "ERROR: the unit is in state error"),
        ("git push origin main", "! [rejected] main -> main (fetch first)"),
    ],
)
def test_what_was_checked_or_delivered_stays_open_whatever_else_went_well(command: str, output: str) -> None:
    failed = ran(command, output, 1)
    assert " fails: " in opened(failed, *worked(), says("The parts are there."))
    assert " fails: " in opened(*worked(), says(ALL_WELL), failed), "that was said before it"


@pytest.mark.parametrize(
    ("failed", "passed", "still_open"),
    [
        ("uv run pytest tests/unit/test_shop.py::test_total -v", "uv run tox -e unit", False),
        ("pytest -x tests/unit/test_shop.py", "nox -s unit", False),
        ("pytest tests/integration", "tox -e unit", True),
        ("pytest tests/unit/test_shop.py", "tox -e lint", True),
        ("pytest tests/unit", "tox -e unit -- -k other", True),
        ("pytest tests/unit", "make lint", True),
    ],
)
def test_a_wider_form_of_a_check_speaks_for_it(failed: str, passed: str, still_open: bool) -> None:
    events = ran(failed, TRACEBACK, 1), ran(passed, "30 passed in 2.1s\ncongratulations :)")
    assert (" fails: " in opened(*events)) is still_open


def test_a_check_is_over_when_one_of_its_kind_passes_and_all_is_said_to() -> None:
    failed = ran("pytest tests/slow -k port", TRACEBACK, 1)
    passed = ran("tail -5 /tmp/run.log", "12 passed in 213.67s")
    assert opened(failed, passed, says("All integration tests are now passing.")) == ""
    assert opened(failed, ran("make test", "12 passed in 3s"), says("Everything is green.")) == ""
    for rest in (
        [passed, says("I changed the port.")],
        [says("All integration tests are now passing.")],
        [passed, says("All tests should pass now.")],
        [passed, says("Not all tests pass.")],
        [ran("ruff check .", "All checks passed!"), says("All checks pass now.")],
        [ran("tail -5 /tmp/run.log", "1 failed, 11 passed in 207.18s"), says("All tests pass.")],
    ):
        assert " fails: " in opened(failed, *rest), rest
    assert " fails: " in opened(passed, says("All tests pass."), failed)


@pytest.mark.parametrize(
    "text",
    [
        "The test fails because the clock cannot be replaced in the container.",
        "The issue is that the service is active before its port answers, so the request fails.",
        "It seems that the import failed because the key has the wrong length.",
    ],
)
def test_trouble_in_the_middle_of_the_work_is_not_left(text: str) -> None:
    start = event({"prompt": "Make the shop start faster."}, "prompt")
    assert opened(start, says(text), *worked(kept=False), says("The shop starts in two seconds.")) == ""
    assert opened(start, *worked(kept=False), says(text)) != ""
    for kept in (f"{text[:-1]}; I leave that for later.", f"Known issue: {text}"):
        assert opened(start, says(kept), *worked(kept=False), says("The shop starts in two seconds.")) != ""


def test_what_a_person_told_of_stays_until_it_is_mended() -> None:
    told = event({"role": "user", "content": "The login crashes when the session has no user."})
    assert "login crashes" in opened(told, *worked(), says("The parts are there."))


@pytest.mark.parametrize(
    "text",
    [
        "The first attack gives nothing. The next step is to factor the smaller key.",
        "My edit was not indented properly, I will mend that in a follow-up edit.",
        "We need to find those tests that are not yet marked.",
    ],
)
def test_what_an_agent_does_at_once_is_not_left(text: str) -> None:
    start = event({"prompt": "Mend the rounding of totals."}, "prompt")
    assert opened(start, says(text), ran("cat src/a.py", "a = 1"), says("Totals are rounded to cents.")) == ""


def test_what_is_ticked_off_is_not_left() -> None:
    start = event({"prompt": "Write the report of the shop."}, "prompt")
    text = (
        "I named these in it:\n\n- ✅ Known issues: two linters complain\n- [x] Still open: the prices\n- see "
        + "todo".upper()
        + ".md"
    )
    assert opened(start, says(text)) == ""


def test_a_long_session_takes_no_longer_than_it_is() -> None:
    began = Stopwatch(time.process_time)
    for bit in ("all ", "1 passed ", "tox -e ", "successfully ", "i have ", "FAILED ", "not found: ", "each of "):
        text = bit * (256_000 // len(bit))
        opened(ran("pytest a", TRACEBACK, 1), ran(f"tox {bit * 200}", text), says(text), ran("cat b", text, 1))
    many = [ran(f"python -c 'f({n})'", TRACEBACK, 1) for n in range(150)]
    opened(*many, *worked(kept=False))
    assert began.fair < 20


def test_what_fails_in_the_background_again_is_open_once() -> None:
    def background(name: str, command: str, text: str) -> list[Event]:
        asked = {"command": command, "run_in_background": True}
        task = {"task_id": name, "status": "completed", "output": text, "exitCode": 1}
        return [
            tool("Bash", asked, {"backgroundTaskId": name}),
            tool("TaskOutput", {"task_id": name}, {"retrieval_status": "success", "task": task}),
        ]

    first = background("a1", "uv run pytest tests/integration", "TimeoutError: wait timed out after 300s")
    again = background("a2", "uv run tox -e integration", "AssertionError: no service on port 8091")
    other = background("a3", "uv run tox -e unit", "AssertionError: no service on port 8091")
    assert "timed out" not in opened(*first, *again)
    assert "port 8091" in opened(*first, *again)
    assert "timed out" in opened(*first, *other)


HOOKS = "trim trailing whitespace...............Passed\nruff-format............................{}"
HINDERED = HOOKS.format("Failed\n- hook id: ruff-format\n- files were modified by this hook")
COMMITTED = "[main abc1234] Round the totals\n 1 file changed"


@pytest.mark.parametrize(
    ("failed", "later", "said", "still_open"),
    [
        ("git commit -m 'Round the totals'", "git commit -am 'Round totals again'", COMMITTED, False),
        ("git add . && git commit -m 'Round'", "git commit -m 'Round the totals'", COMMITTED, False),
        ("pre-commit run --all-files", "git commit -m 'Round'", f"{COMMITTED}\n{HOOKS.format('Passed')}", False),
        ("pre-commit run ruff-format", "git commit -m 'Round'", f"{HOOKS.format('Passed')}\n{COMMITTED}", False),
        ("pre-commit run --all-files", "git commit --no-verify -m 'Sums'", COMMITTED, True),
        ("pre-commit run --all-files", "git commit -m 'Round the totals'", COMMITTED, True),
        ("pre-commit run --all-files", "git commit -m 'Round the totals'", HINDERED, True),
        ("pre-commit run --all-files", "git push", "main -> main", True),
        ("git commit -m 'Round the totals'", "git status", "nothing to commit", True),
    ],
)
def test_what_hindered_a_commit_is_over_with_a_commit(failed: str, later: str, said: str, still_open: bool) -> None:
    code = 1 if said == HINDERED else 0
    assert (opened(ran(failed, HINDERED, 1), ran(later, said, code)) != "") is still_open


def test_what_was_there_already_is_no_obstacle() -> None:
    said = "422 Repository creation failed: name already exists on this account"
    exists = tool("create_repository", {"name": "shop"}, {"is_error": True, "content": said}, is_error=True)
    assert opened(exists, ran("git push -u origin main", "main -> main")) == ""
    assert opened(ran("git remote add origin git@h:a/b", "error: remote origin already exists.", 3),
                  ran("git push -u origin main", "main -> main")) == ""  # fmt: skip
    assert opened(ran("git push", "main -> main"), exists) != "", "it is the last that happened"
    taken = tool("publish_page", {"name": "shop"}, {"is_error": True, "content": said}, is_error=True)
    assert opened(taken, ran("git push", "main -> main")) != ""


def test_a_try_is_over_when_something_is_handed_in() -> None:
    asked, tried = event({"prompt": "Find the sum of the rock."}, "prompt"), ran("python recover.py", TRACEBACK, 1)
    assert opened(asked, tried, says("Let's hand in the sum instead."), ran("submit '70361'")) == ""
    assert opened(asked, tried, ran("submit '70361'", "Wrong flag!")) != ""
    assert opened(asked, ran("submit '70361'"), tried) != ""
    failing = ran("pytest", "FAILED tests/test_rate.py::test_it - assert 1 == 2\n1 failed in 0.5s", 1)
    assert opened(asked, failing, ran("submit '70361'")) != ""


def test_a_check_that_fails_with_something_else_speaks_for_what_was_mended() -> None:
    spelling = ran("tox -e lint", "docs/guide.md:9: TEH ==> THE", 1)
    types = ran("tox -e lint", "src/rate.py:3:9 - error: No parameter named 'day' (reportCallIssue)\nlint: exit 1", 1)
    mended = says("The spelling error is fixed.")
    told = [*made(spelling), *made(mended), *made(types)]
    events = [spelling, mended, types]
    (one,) = summarise("Lint", events, told).observations
    assert "TEH" not in (one.narrative or "").partition("Open:")[2]
    assert "No parameter" in (one.narrative or "").partition("Open:")[2]
    silent = [spelling, types]
    (one,) = summarise("Lint", silent, [*made(spelling), *made(types)]).observations
    assert "TEH" in (one.narrative or "").partition("Open:")[2], "nobody says that it is mended"
    both = ran("tox -e lint", "docs/guide.md:9: TEH ==> THE\nsrc/rate.py:3:9 - error: No parameter named 'day'", 1)
    (one,) = summarise("Lint", [spelling, mended, both], [*made(spelling), *made(mended), *made(both)]).observations
    assert "TEH" in (one.narrative or "").partition("Open:")[2]


def test_that_less_was_reached_is_told_and_not_asked() -> None:
    reached = says("Coverage is at 77%.\n\n## Why We Didn't Reach 85%\n\nThe handlers need a server.")
    assert opened(event({"prompt": "Bring coverage to 85%."}, "prompt"), reached) == "- We Didn't Reach 85%"
