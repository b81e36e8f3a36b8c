"""What failed, and whether what came after it mended it: each failure is followed for itself."""

from __future__ import annotations

import time

import pytest

from muster.domain.memory import Event
from muster.domain.rules import commands, outcomes
from muster.domain.rules.observing import observe
from muster.domain.rules.summary import summarise
from tests.pace import Stopwatch
from tests.unit.rules.observing import event, made, only, tool

TWICE = "FAILED tests/test_refund.py::test_twice - ValueError: refund paid twice\n1 failed, 3 passed in 0.20s"
REJECTED = "! [rejected] main -> main (fetch first)\nerror: failed to push some refs"
MISSING = "ModuleNotFoundError: No module named 'stripe'"


def ran(command: str, said: str = "") -> Event:
    """As hooks tell of what did not fail, and of what failed behind a pipe: without an exit code."""
    return tool("Bash", {"command": command}, {"stdout": said, "stderr": "", "interrupted": False, "isImage": False})


def failing(command: str, said: str) -> Event:
    payload = {"tool_name": "Bash", "tool_input": {"command": command}, "error": f"Exit code 1\n{said}"}
    return event(payload, "PostToolUseFailure")


def edited(path: str) -> Event:
    return tool("Edit", {"file_path": path, "old_string": "x = 3", "new_string": "x = 4"})


def opened(*events: Event) -> str:
    (summary,) = summarise(None, events, made(*events)).observations
    return (summary.narrative or "").partition("Open:")[2]


def test_each_failure_is_told_for_itself() -> None:
    events = (
        failing("git push origin main", REJECTED),
        failing("npm run build", "src/a.ts(3,1): error TS2345: Argument of type 'a'"),
        failing("psql -f m.sql", 'psql:m.sql:3: ERROR:  relation "refunds" does not exist'),
        failing("psql -f m.sql", 'psql:m.sql:3: ERROR:  relation "refunds" does not exist'),
        failing("psql -f n.sql", 'psql:n.sql:1: ERROR:  column "paid" does not exist'),
    )
    found = made(*events)
    assert [len(one.sources) for one in found] == [1, 1, 2, 1]
    for one, words in zip(found, ("failed to push", "TS2345", "refunds", "paid"), strict=True):
        assert one.type == "error"
        assert words in one.title
        assert words in opened(*events)


def test_what_is_mended_closes_nothing_else() -> None:
    events = (
        failing("terraform plan", "│ Error: Invalid reference"),
        failing("pytest -q", TWICE),
        edited("shop/refund.py"),
        ran("pytest -q", "4 passed in 0.20s"),
    )
    found = made(*events)
    assert [(one.type, len(one.sources)) for one in found] == [("error", 1), ("bugfix", 3)]
    assert "Invalid reference" in opened(*events)
    assert "paid twice" not in opened(*events)


@pytest.mark.parametrize(
    ("again", "mends"),
    [
        ("pytest", True),
        ("cd /app && python -m pytest -q 2>&1 | tail -3", False),
        ("uv run pytest -x --tb short", True),
        ("pytest -q tests/test_refund.py", True),
        ("pytest tests/test_refund.py::test_twice", True),
        ("pytest -k twice", True),
        ("pytest -q tests/test_docs.py", False),
        ("pytest tests/test_refund.py tests/test_docs.py", True),
        ("pytest tests/test_refund.py -k twice", True),
        ("pytest -k 'not refund'", False),
        ("pytest tests/test_refund.py -k 'not twice'", False),
        ("pytest tests/test_refund.py -k once", False),
        ("pytest --deselect tests/test_refund.py::test_twice", False),
        ("pytest --ignore=tests/test_refund.py", False),
        ("pytest --collect-only", False),
        ("pip install pytest", False),
        ("git commit -qm 'Run pytest'", False),
    ],
)
def test_a_fix_needs_what_failed_to_run_again(again: str, mends: bool) -> None:
    found = made(failing("pytest -q", TWICE), edited("shop/refund.py"), ran(again, "3 passed in 0.20s"))
    assert ("bugfix" in {one.type for one in found}) is mends
    assert ("pytest fails: ValueError: refund paid twice" in {one.title for one in found}) is not mends


@pytest.mark.parametrize(
    ("failed", "said", "again", "mends"),
    [
        ("npx jest", "FAIL src/refund.test.js\n  ● Refund › pays twice\nTests: 1 failed, 6 total",
         "npx jest src/refund.test.js", True),
        ("npx jest", "FAIL src/refund.test.js\n  ● Refund › pays twice\nTests: 1 failed, 6 total",
         "npx jest src/cart.test.js", False),
        ("npx jest", "FAIL src/refund.test.js\n  ● Refund › pays twice\nTests: 1 failed, 6 total",
         "npx jest -t 'pays twice'", True),
        ("pytest", f"FAILED tests/test_cart.py::test_sum - KeyError: 3\n{TWICE}", "pytest tests/test_refund.py", False),
        ("pytest", f"FAILED tests/test_cart.py::test_sum - KeyError: 3\n{TWICE}",
         "pytest tests/test_refund.py tests/test_cart.py", True),
        ("psql -f m.sql", "psql: error: no such table", "psql", False),
        ("npm install left-pad", "npm error code E404", "npm install", False),
        ("cd api && npm test", "FAIL a.test.js", "cd web && npm test", False),
        ("cd api && npm test", "FAIL a.test.js", "npm test", True),
        ("git push origin main", REJECTED, "git pull --rebase && git push", True),
        ("git commit -m 'Add it'", "ruff....Failed\n- hook id: ruff", "git add -A && git commit -m 'Add'", True),
        ("ruff check .", "Found 1 error.", "ruff check . --ignore F401", False),
    ],
)  # fmt: skip
def test_what_does_the_same_again(failed: str, said: str, again: str, mends: bool) -> None:
    found = made(failing(failed, said), edited("shop/refund.py"), ran(again, "Everything is well"))
    assert ("bugfix" in {one.type for one in found}) is mends


RATE = "FAILED tests/test_tax.py::test_rate - assert 16 == 19\n1 failed, 4 passed in 0.20s"
RATE_OF_UNITTEST = """\
FAIL: test_rate (tests.test_tax.TestTax.test_rate)
Traceback (most recent call last):
  File "/app/tests/test_tax.py", line 8, in test_rate
    self.assertEqual(rate(), 19)
AssertionError: 16 != 19

FAILED (failures=1)"""
RATE_OF_JEST = "FAIL src/tax.test.js\n  ● Tax › rate\n    Expected: 19\nTests: 1 failed, 6 passed, 7 total"


@pytest.mark.parametrize(
    ("whole", "part", "said", "passing"),
    [
        ("pytest -q", "pytest -q tests/test_tax.py", RATE, "5 passed in 0.1s"),
        ("pytest tests/", "pytest tests/test_tax.py::test_rate", RATE, "5 passed in 0.1s"),
        ("pytest tests -q", "pytest tests/test_tax.py -k rate", RATE, "5 passed in 0.1s"),
        ("make test", "pytest tests/test_tax.py", RATE, "5 passed in 0.1s"),
        ("python -m unittest", "python -m unittest tests.test_tax.TestTax.test_rate", RATE_OF_UNITTEST,
         "Ran 5 tests in 0s"),
        ("python3 -m unittest discover -s tests", "python3 -m unittest tests.test_tax", RATE_OF_UNITTEST,
         "Ran 5 tests in 0s"),
        ("npm test", "npx jest src/tax.test.js", RATE_OF_JEST, "Tests: 7 passed, 7 total"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("cwd", [None, "/app"])
def test_what_fails_as_a_whole_and_in_part_is_mended_once(
    whole: str, part: str, said: str, passing: str, cwd: str | None
) -> None:
    events = [failing(whole, said), failing(part, said), edited("shop/tax.py"), ran(part, passing), ran(whole, passing)]
    for one in events:
        if cwd:
            one.payload["cwd"] = cwd
    for count in (4, 5):
        fixes = [one for one in made(*events[:count]) if one.type == "bugfix"]
        assert [(set(one.sources), one.files_modified) for one in fixes] == [
            ({one.id for one in events[:4]}, ["shop/tax.py"])
        ]
    assert "error" not in {one.type for one in made(*events)}
    later = [one for number, event in enumerate(events) for one in observe([event], events[:number]).observations]
    assert [one.type for one in later].count("bugfix") == 1


def test_what_fails_again_after_a_fix_is_mended_anew() -> None:
    whole = f"FAILED tests/test_cart.py::test_sum - KeyError: 3\n{RATE}"
    part = (
        failing("pytest tests/test_tax.py", RATE),
        edited("shop/tax.py"),
        ran("pytest tests/test_tax.py", "1 passed"),
    )
    more = (edited("shop/cart.py"), ran("make test", "5 passed in 0.1s"))
    # More failed there than what was mended.
    found = made(failing("make test", whole), *part, *more)
    assert [one.files_modified for one in found if one.type == "bugfix"] == [
        ["shop/tax.py", "shop/cart.py"],
        ["shop/tax.py"],
    ]
    # The same failed there once more.
    found = made(failing("make test", RATE), *part, failing("make test", RATE), *more)
    assert [one.type for one in found].count("bugfix") == 2
    # What was done after that is no part of it.
    found = made(failing("make test", RATE), *part, *more)
    assert [(one.type, one.files_modified) for one in found] == [
        ("bugfix", ["shop/tax.py"]), ("change", ["shop/cart.py"]),
    ]  # fmt: skip


def test_two_failures_that_one_edit_mends_are_two() -> None:
    found = made(
        failing("make test", RATE), failing("make lint", "a.py:1: error: Missing return\nFound 1 error in 1 file"),
        edited("shop/tax.py"), ran("make test lint", "All checks passed!"), ran("make test", "5 passed"),
        ran("make lint", "All checks passed!"),
    )  # fmt: skip
    assert [one.title for one in found if one.type == "bugfix"] == [
        "Fix assert 16 == 19 in tax.py", "Fix Missing return in tax.py",
    ]  # fmt: skip


def test_to_go_where_it_was_run_is_to_stay_there() -> None:
    for cwd, mends in (("/app", True), ("/other", False)):
        failed = failing("pytest -q", TWICE)
        failed.payload["cwd"] = cwd
        found = made(failed, edited("shop/refund.py"), ran("cd /app && uv run pytest 2>&1 | tail -3", "4 passed"))
        assert ("bugfix" in {one.type for one in found}) is mends


@pytest.mark.parametrize(
    ("between", "title"),
    [
        (ran("pip install stripe", "Successfully installed stripe"), f"Fix {MISSING} with `pip install stripe`"),
        (ran("pip install -r requirements.txt", "Successfully installed stripe"),
         f"Fix {MISSING} with `pip install -r requirements.txt`"),
        (ran("sed -i 's/3/4/' shop/pay.py"), f"Fix {MISSING} in pay.py"),
        (ran("cat > shop/pay.py <<'EOF'\nimport stripe; x = 1\nEOF"), f"Fix {MISSING} in pay.py"),
    ],
)  # fmt: skip
def test_what_was_done_without_an_editor_mends_too(between: Event, title: str) -> None:
    found = made(failing("pytest", MISSING), between, ran("pytest", "4 passed in 0.20s"))
    assert found[0].title == title
    assert (found[0].type, len(found[0].sources)) == ("bugfix", 3)


@pytest.mark.parametrize(
    ("between", "said"),
    [
        (ran("cat shop/pay.py", "x = 1"), "Run again, it passed; nothing was changed in between."),
        (ran("git push", "main -> main"), "Run again, it passed; nothing was changed in between."),
        (ran("npm install left-pad"), "Run again, it passed. In between, `npm install left-pad` was run."),
        (ran("python gen.py", "12 rows"), "Run again, it passed. In between, `python gen.py` was run."),
        (edited("README.md"), "Run again, it passed. In between, README.md was changed."),
        (tool("mcp__fs__write_anything", {"to": "x"}, "done"), "Run again, it passed."),
    ],
)
def test_what_passes_by_itself_is_no_fix(between: Event, said: str) -> None:
    found = made(failing("pytest", MISSING), between, ran("pytest", "4 passed in 0.20s"))
    assert "bugfix" not in {one.type for one in found}
    assert (found[0].narrative or "").endswith(said)


def test_a_text_mends_what_speaks_of_it() -> None:
    said = "docs/guide.md:3: error: the heading is missing\nFound 1 error."
    found = made(failing("make check", said), edited("docs/guide.md"), ran("make check", "All checks passed!"))
    assert [one.type for one in found] == ["bugfix"]


# -- Commits and installs -------------------------------------------------------------------------------------------

HOOK = (
    "ruff.....................................................................Failed\n- hook id: ruff\n- exit code: 1\n"
)


def test_a_commit_of_nothing_is_none() -> None:
    assert (
        made(ran('git commit -am "Drop Redis sessions"', "On branch main\nnothing to commit, working tree clean")) == []
    )
    said = "On branch main\nnothing to commit, working tree clean"
    assert made(failing('git commit -am "Drop Redis sessions"', said)) == []
    (one,) = made(ran('npm test && git commit -am "Drop Redis sessions"', f"Tests: 6 passed, 6 total\n{said}"))
    assert one.title.startswith("npm test passes")


@pytest.mark.parametrize(
    "command", ['git commit -m "feat: coupons"', 'git add -A && git commit -m "feat: coupons" | cat']
)
def test_a_commit_that_a_hook_stopped_is_an_error_until_it_is_made(command: str) -> None:
    one = only(ran(command, HOOK))
    assert (one.type, one.title) == ("error", "git commit fails: ruff: Failed")
    found = made(ran(command, HOOK), edited("a.py"), ran(command, "[main abc1234] feat: coupons\n 1 file changed"))
    assert [(each.type, each.title) for each in found] == [
        ("bugfix", "Fix ruff: Failed in a.py"), ("feature", "Coupons"),
    ]  # fmt: skip


def test_a_commit_is_believed_where_nothing_hides_a_complaint() -> None:
    assert only(ran('git commit -qm "Add coupons; and more"')).subtitle == "Committed"
    assert only(ran('git commit -qm "Add coupons" 2>&1 | tail -1')).subtitle is None
    written = "git commit -m \"$(cat <<'EOF'\nfix: close; then | wait\n\nmake test\nEOF\n)\""
    assert only(ran(written, "[main abc1234] fix: close; then | wait")).title == "Close; then | wait"


@pytest.mark.parametrize(
    ("command", "said", "title"),
    [
        ("pip install giftly 2>&1 | tail -2", "ERROR: No matching distribution found for giftly",
         "pip fails: ERROR: No matching distribution found for giftly"),
        ("sudo apt-get install -y libfoo 2>&1", "Reading package lists...\nE: Unable to locate package libfoo",
         "apt-get fails: E: Unable to locate package libfoo"),
        ("docker build . 2>&1 | tail", "ERROR: failed to solve: no", "docker build fails: ERROR: failed to solve"),
        ('psql -c "drop table a"', 'ERROR:  table "a" does not exist', 'psql fails: ERROR: table "a" does not exist'),
        ("kubectl apply -f a.yaml", "error: unable to recognize a.yaml", "kubectl apply fails: error: unable to"),
        ("terraform plan | tail", "╷\n│ Error: Invalid reference\n│", "terraform fails: Error: Invalid reference"),
        ("python manage.py test", "FAILED (failures=2)", "python fails: FAILED (failures=2)"),
        ("ruff check --fix", "Found 3 errors (1 fixed, 2 remaining).", "ruff fails: Found 3 errors"),
    ],
)  # fmt: skip
def test_what_did_nothing_is_no_change(command: str, said: str, title: str) -> None:
    one = only(ran(command, said))
    assert one.type == "error"
    assert one.title.startswith(title)


@pytest.mark.parametrize(
    ("command", "said", "kind", "title"),
    [
        ("pip install httpx 2>&1 | tail -2", "ERROR: pip's dependency resolver does not\nSuccessfully installed httpx",
         "change", "Install httpx"),
        ("npm i left-pad >/dev/null 2>&1", "", "change", "Install left-pad"),
        ("uv pip install 'a[b]>=2'", "Installed", "change", "Install a[b]>=2"),
        ('grep -rn "pip install httpx" docs', "docs/a.md", "discovery", "Looked for"),
        ("grep -l foo | xargs sed -i s/foo/bar/", "3 files", "change", "Run `grep -l foo"),
        ("docker logs web", "ERROR: of yesterday", "discovery", "Run `docker logs web`"),
        ("kubectl get pods", "web 1/1 Running", "discovery", "Run `kubectl get pods`"),
        ("ruff check --fix", "Found 1 error (1 fixed, 0 remaining).", "discovery", "ruff passes: Found 1 error (1"),
    ],
)  # fmt: skip
def test_what_only_sounds_like_a_failure(command: str, said: str, kind: str, title: str) -> None:
    one = only(ran(command, said))
    assert (one.type, one.title[: len(title)]) == (kind, title)


def test_a_hostile_line_takes_no_longer_than_it_is() -> None:
    began = Stopwatch(time.process_time)
    for bit in (
        "(",
        "'",
        '"',
        "<<A ",
        "a && ",
        "x|",
        "-e ",
        "=",
        "....",
        "[main ",
        "ERROR: ",
        "psql:a:",
        "1 error ",
        "\\",
    ):
        text = bit * (20_000 // len(bit))
        for command in (text, f"pytest {text}", f"sed {text}", f"git commit -m {text}"):
            commands.covers(command, text)
            commands.picks(command, "pytest", ["a::b"], text)
            outcomes.failed(command, text)
            outcomes.failed("make", text)
            outcomes.nothing_to_commit(text)
            commands.mutates(command)
            commands.commit_message(command)
    assert began.fair < 5
