"""What failed and rewrote files as it did: that, and what is staged again, is why it passes the next time."""

from __future__ import annotations

import pytest

from muster.domain.memory import Event
from muster.domain.rules import hooks
from muster.domain.rules.differences import differences, is_same_text
from tests.unit.rules.observing import made, only, tool

COMMIT = 'git commit -m "feat: carts"'
RUFF = (
    "check yaml...............................................................Passed\n"
    "ruff.....................................................................Failed\n- hook id: ruff\n"
    "- files were modified by this hook\n\nFound 3 errors (3 fixed, 0 remaining).\n\n"
    "mypy.....................................................................Passed"
)
ENDS = (
    "fix end of files.........................................................Failed\n- hook id: end-of-file-fixer\n"
    "- exit code: 1\n- files were modified by this hook\n\nFixing shop/cart.py\nFixing docs/carts.md\n"
)
TYPES = "mypy....Failed\n- hook id: mypy\n- exit code: 1\n\nshop/cart.py:3: error: Missing return statement  [return]\n"
DONE = "[main abc1234] feat: carts\n 2 files changed, 9 insertions(+)"


def ran(command: str, said: str = "", code: int | None = None) -> Event:
    more = {} if code is None else {"exit_code": code}
    return tool("Bash", {"command": command}, {"stdout": said, "stderr": "", "interrupted": False}, **more)


@pytest.mark.parametrize(
    ("said", "between", "again", "told"),
    [
        (
            RUFF,
            "git add -A",
            COMMIT,
            "ruff: Found 3 errors (3 fixed, 0 remaining): its hooks rewrote the files, which",
        ),
        (RUFF, "", f"git add shop/cart.py && {COMMIT}", "its hooks rewrote the files, which were staged again"),
        (RUFF, "", 'git commit -am "feat: carts"', "its hooks rewrote the files, which were staged again"),
        (RUFF, "git status --short", COMMIT, "its hooks rewrote the files"),
        (ENDS, "git add .", COMMIT, "Fix end of files: Fixing shop/cart.py: its hooks rewrote the files, which"),
        (f"{ENDS}{RUFF}", "git add -u", COMMIT, "its hooks rewrote the files, which were staged again"),
    ],
)
def test_what_hooks_rewrote_is_the_fix(said: str, between: str, again: str, told: str) -> None:
    steps = [ran(between, "")] if between else []
    found = made(ran(COMMIT, said, 1), *steps, ran(again, DONE))
    assert [one.type for one in found] == ["bugfix", "feature"]
    assert told in found[0].title
    assert "nothing was changed" not in found[0].content
    if "Fixing" in said:
        assert found[0].files_modified == ["shop/cart.py", "docs/carts.md"]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("pre-commit run --all-files", RUFF),
        ("pre-commit run --all-files", ENDS),
        ("ruff check --fix --exit-non-zero-on-fix .", "Found 2 errors (2 fixed, 0 remaining)."),
        ("black . --check-twice", "reformatted shop/cart.py\n1 file reformatted, 3 files left unchanged."),
        ("isort . ", "Fixing /app/shop/cart.py"),
        ("bundle exec rubocop -a", "9 files inspected, 4 offenses detected, 4 offenses corrected"),
        ("npx biome check --write .", "Fixed 3 files. Some errors were emitted"),
    ],
)
def test_what_rewrites_files_and_passes_the_next_time(command: str, said: str) -> None:
    (one, *_) = made(ran(command, said, 1), ran(command, "All is well", 0))
    assert one.type == "bugfix"
    assert one.title.endswith(": it rewrote the files")
    assert "nothing was changed" not in one.content


@pytest.mark.parametrize(
    ("check", "said", "fix"),
    [
        ("cargo fmt --check", "Diff in /app/src/main.rs:4:\n-let a=1;\n+let a = 1;", "cargo fmt"),
        ("terraform fmt -check", "main.tf", "terraform fmt"),
        ("npx prettier --check .", "[warn] src/cart.ts\n[warn] Code style issues found in the above file.",
         "npx prettier --write ."),
        ("npx eslint .", "src/cart.ts\n  3:1  error  Missing semicolon  semi\n✖ 1 problem", "npx eslint --fix ."),
        ("gofmt -l .", "cart.go", "gofmt -w ."),
        ("black --check .", "would reformat shop/cart.py\nOh no! 💥 1 file would be reformatted.", "black ."),
        ("ruff format --check", "Would reformat: shop/cart.py", "ruff format"),
        ("npm run lint", "src/cart.ts\n  3:1  error  Missing semicolon  semi", "npm run lint:fix"),
        (COMMIT, "prettier....Failed\n- hook id: prettier\n- exit code: 1\n\n[warn] src/cart.ts",
         "npx prettier -w src"),
    ],
)  # fmt: skip
def test_a_formatter_mends_what_a_check_of_the_form_complains_of(check: str, said: str, fix: str) -> None:
    found = made(ran(check, said, 1), ran(fix, "done"), ran(check, DONE if check == COMMIT else "", 0))
    fixed = next(one for one in found if one.type == "bugfix")
    assert fixed.title.endswith(f" with `{fix}`")


def test_a_formatter_mends_no_test() -> None:
    said = "FAILED tests/test_cart.py::test_sum - KeyError: 3\n1 failed in 0.1s"
    found = made(ran("pytest", said, 1), ran("black .", "1 file reformatted"), ran("pytest", "1 passed in 0.1s", 0))
    assert "bugfix" not in {one.type for one in found}
    assert "In between, `black .` was run." in found[0].content


def test_what_was_mended_by_hand_is_told_by_that() -> None:
    edit = tool("Edit", {"file_path": "shop/cart.py", "old_string": "x = 1", "new_string": "x = 2"})
    found = made(ran(COMMIT, f"{RUFF}\n{TYPES}", 1), edit, ran("git add -A"), ran(COMMIT, DONE))
    assert found[0].title.endswith("Missing return statement [return] in cart.py")
    assert "rewrote" not in found[0].title


def test_a_hook_that_rewrote_nothing_is_no_fix() -> None:
    found = made(ran(COMMIT, TYPES, 1), ran(COMMIT, DONE))
    assert found[0].type == "error"
    assert "Run again, it passed; nothing was changed in between." in found[0].content
    found = made(ran(COMMIT, TYPES, 1), ran("git add shop/types.py"), ran(COMMIT, DONE))
    assert "Run again, it passed. In between, `git add shop/types.py` was run." in found[0].content


@pytest.mark.parametrize("said", ["Fixing permissions", "Fixed 3 issues in the schema", "Fixing data/rows.csv"])
def test_what_others_put_right_is_not_said_to_mend_them(said: str) -> None:
    found = made(ran("./deploy prod", f"{said}\nerror: the host is away", 1), ran("./deploy prod", "deployed", 0))
    assert "bugfix" not in {one.type for one in found}


@pytest.mark.parametrize(
    ("said", "title"),
    [
        (RUFF, "git commit fails: ruff: Found 3 errors (3 fixed, 0 remaining)"),
        (ENDS, "git commit fails: fix end of files: Fixing shop/cart.py"),
        (f"{ENDS}{TYPES}", "git commit fails: error: Missing return statement [return]"),
        ("ruff....Failed\n- hook id: ruff\n- files were modified by this hook\n",
         "git commit fails: ruff: files were modified by this hook"),
        ("ruff....Failed\n- hook id: ruff\n- exit code: 1\n", "git commit fails: ruff: Failed"),
        ("ruff....Failed\n- hook id: ruff\n- exit code: 1\n\nE501 Line too long (104 > 100)\n --> a.py:3:1",
         "git commit fails: ruff: E501 Line too long (104 > 100)"),
        (f"{RUFF}\ncheck json....Failed\n- hook id: check-json\n- exit code: 1\n\na.json: Failed to json decode (x)",
         "git commit fails: a.json: Failed to json decode (x)"),
    ],
)  # fmt: skip
def test_a_stopped_commit_is_told_by_what_its_hook_says(said: str, title: str) -> None:
    assert only(ran(COMMIT, said, 1)).title == title


UNKNOWN = "usage: pytest [options]\npytest: error: unrecognized arguments: --spec"


@pytest.mark.parametrize(
    ("failed", "said", "passed", "told"),
    [
        ("pytest --spec", UNKNOWN, "python -m pytest -v", "without `--spec`"),
        ("pre-commit install", "zsh: command not found: pre-commit",
         "source .venv/bin/activate && which pre-commit && pre-commit install", "with `source .venv/bin/activate`"),
        ("cd shop && pre-commit install", "zsh: command not found: pre-commit",
         "cd shop && . .venv/bin/activate && pre-commit install", "with `. .venv/bin/activate`"),
        ("cd shop && pytest", "bash: pytest: command not found", "cd shop && uv run pytest", "with `uv run pytest`"),
        ("pytest", "bash: pytest: command not found", ".venv/bin/pytest", "with `.venv/bin/pytest`"),
        ("pytest", "bash: pytest: command not found", "python3 -m pytest", "with `python -m pytest`"),
        ("apt-get install jq", "E: Could not open lock file - open (13: Permission denied)", "sudo apt-get install jq",
         "with `sudo apt-get`"),
        ("tsc --noEmit", "bash: tsc: command not found", "npx tsc --noEmit", "with `npx tsc`"),
        ("timeout 8 ./serve --once", "zsh: command not found: timeout", "./serve --once", "without `timeout`"),
        ("go test -raec ./...", "flag provided but not defined: -raec", "go test ./...", "without `-raec`"),
        ("jest --foo", "● Unrecognized CLI Parameter:\n  Unrecognized option \"--foo\".", "jest", "without `--foo`"),
        ("cargo build --relase", "error: unexpected argument '--relase' found", "cargo build", "without `--relase`"),
    ],
)  # fmt: skip
def test_what_differs_is_the_fix(failed: str, said: str, passed: str, told: str) -> None:
    found = made(ran(failed, said, 1), ran(passed, "3 passed in 0.1s", 0))
    assert found[0].type == "bugfix"
    assert found[0].title.endswith(told)


@pytest.mark.parametrize(
    ("failed", "passed"),
    [("pytest -q", "python -m pytest -q"), ("pytest", "uv run pytest -p no:cacheprovider"), ("./run", "sudo ./run")],
)
def test_what_is_run_otherwise_is_not_the_same_again(failed: str, passed: str) -> None:
    said = "FAILED tests/test_cart.py::test_sum - KeyError: 3\n1 failed in 0.1s"
    found = made(ran(failed, said, 1), ran(passed, "1 passed in 0.1s", 0))
    assert found[0].type == "error"
    assert f"Run again, it passed, as `{passed}`." in found[0].content
    assert not is_same_text(passed, failed)
    for same in (failed, f"cd /app && {failed}", f"{failed} 2>&1 | tail -3", f"sleep 3; {failed}"):
        assert is_same_text(same, failed)


def test_long_output_is_read_in_time() -> None:
    for text in ("Fixing " * 40_000, "." * 250_000, "ruff....Failed\n- hook id: x\n" * 9000, "-fix " * 50_000):
        assert not hooks.fixes(f"cat {text}")
        hooks.said(text.split("\n"))
        hooks.rewritten(text)
        hooks.rewrote(text)
        differences(text, text, text)
