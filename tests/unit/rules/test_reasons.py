"""Why a command failed, where other lines of its output look more like it."""

from __future__ import annotations

import pytest

from muster.domain.rules import causes, outcomes
from tests.unit.rules.observing import made, only, tool

DIFF = "\n".join((
    "--- tests/test_cart.py", "+++ tests/test_cart.py", "@@ -10,7 +10,5 @@", "     cart = Cart()", " ",
    "-    cart.add(", "-        5, 8", "-    )", "+    cart.add(5, 8)", " ", "     assert cart.total() == 13", "",
))  # fmt: skip
TOX = "lint: exit 1 (0.33 seconds) /app> {0} pid=40\n  lint: FAIL code 1 (2.8=setup[0.8]+cmd[2] seconds)\n\
  evaluation failed :( (2.88 seconds)"
TRACE = 'Traceback (most recent call last):\n  File "/app/run.py", line 3, in <module>\n    go()\n'
EXEC = 'exec: "wget": executable file not found in $PATH'
WRAPPED = (
    "error: Internal error occurred: error executing command in container: failed to exec in container: "
    f'failed to start exec "0f3e5d7c9b1a0f3e5d7c9b1a": OCI runtime exec failed: exec failed: unable to start container '
    f"process: {EXEC}: unknown"
)


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ("'/srv/shop' is not empty (consider --force)\nFull execution log: '/home/me/.state/pack-1.log'",
         "'/srv/shop' is not empty (consider --force)"),
        ("no space in the store\nA complete log of this run can be found in: /home/me/.npm/_logs/1.log",
         "no space in the store"),
        ("the key was revoked\nSee above for details.", "the key was revoked"),
        ("the key was revoked\nPlease check the logs for more details", "the key was revoked"),
        (f"lint: commands[0]> codespell /app\n/app/README.md:4: teh ==> the\n{TOX.format('codespell /app')}",
         "/app/README.md:4: teh ==> the"),
        (f"lint: commands[0]> ruff format --diff\n{DIFF}\n1 file would be reformatted, 4 files already formatted\n"
         f"{TOX.format('ruff format')}", "1 file would be reformatted, 4 files already formatted"),
        (f"1 file would be reformatted\n\nlint: commands[0]> ruff format --check --diff\n{DIFF}{TOX.format('ruff')}",
         "1 file would be reformatted"),
        (f"{DIFF}\n1 file would be reformatted", "1 file would be reformatted"),
        (f"{TRACE}shop.errors.StockTaken: Nothing is left\n\nConnected: True\nExists: False",
         "shop.errors.StockTaken: Nothing is left"),
        (f"{TRACE}StopIteration\nExists: False", "StopIteration"),
        (f"{TRACE}KeyError: 'a'\n\nDuring handling of the above exception, another exception occurred:\n\n{TRACE}"
         "shop.Gone: it is gone\nbye", "shop.Gone: it is gone"),
        (WRAPPED, EXEC),
        ("ModuleNotFoundError: No module named 'yaml'\nERROR hook \"install\" (via dispatch) failed: exit status 1",
         "ModuleNotFoundError: No module named 'yaml'"),
        (f"E501 Line too long (102 > 99)\n   --> tests/test_a.py:2:100\n    |\n2 |     a = 1\n\nFound 1 error.\n{TOX}",
         "E501 Line too long (102 > 99)"),
        ("sh: 0: Illegal option --\nERROR command terminated with exit code 2", "sh: 0: Illegal option --"),
        ("npm ERR! code ELIFECYCLE\nsrc/a.js: line 3, Unexpected token\nnpm ERR! errno 1\nexit status 1",
         "src/a.js: line 3, Unexpected token"),
    ],
)  # fmt: skip
def test_what_only_tells_that_it_failed_is_not_why(said: str, what: str) -> None:
    assert outcomes.failure(said).what == what


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ("Error: failed to load config: open app.yaml: no such file or directory",
         "Error: failed to load config: open app.yaml: no such file or directory"),
        (f"{TRACE}ValueError: no\n", "ValueError: no"),
        ("evaluation failed :( (1.92 seconds)", "evaluation failed :( (1.92 seconds)"),
        ("Full output of the check: 3 of 4 rows are wrong", "Full output of the check: 3 of 4 rows are wrong"),
        ("@@ -1,1 +1,1 @@\n-a\n+b\nAssertionError: a is not b", "AssertionError: a is not b"),
    ],
)  # fmt: skip
def test_what_says_why_stays(said: str, what: str) -> None:
    assert outcomes.failure(said).what == what


def test_the_lines_of_a_diff_end_where_it_says() -> None:
    lines = ["x", "@@ -1,2 +1,2 @@ def a", " a", "-b", "+c", "assert a", "", "@@ -9 +9 @@", "-a", "+b", "error: no"]
    assert causes.differing(lines) == {1, 2, 3, 4, 7, 8, 9}


@pytest.mark.parametrize(
    "path",
    [
        "/usr/lib/python3.12/contextlib.py", "/app/.venv/lib/python3.12/site-packages/shop/a.py", "<string>",
        "<frozen importlib._bootstrap>", "/usr/local/lib/python3.11/runpy.py", "/usr/lib/python3/dist-packages/a.py",
    ],
)  # fmt: skip
def test_files_of_others_are_not_where_it_failed(path: str) -> None:
    alone = f'Traceback (most recent call last):\n  File "{path}", line 3, in run\n    go()\nKeyError: 1'
    assert outcomes.failure(alone).where == []
    ours = alone.replace("KeyError", '  File "/app/shop/cart.py", line 7, in total\n    go()\nKeyError')
    assert outcomes.failure(ours).where == ["/app/shop/cart.py"]


@pytest.mark.parametrize(
    ("said", "where"),
    [
        ("    at go (/app/node_modules/express/lib/a.js:3:9)\n    at it (src/cart.js:4:1)\nError: no", ["src/cart.js"]),
        ("    at go (node:internal/a.js:3:9)\nError: no", []),
        ("so it began\n\n…\n\ntegration/test_cart.py:4: error: no\ntests/test_a.py:9: error: no", ["tests/test_a.py"]),
        ("DEBUG root:_main.py:332 up and running\nsrc/a.py:3:1: E1 not so", ["src/a.py"]),
        ("e: file:///app/src/Cart.kt:3:1 Unresolved reference", ["///app/src/Cart.kt"]),
        ("/home/me/go/pkg/mod/x/y.go:3: no\n./cart.go:4:2: undefined: x", ["./cart.go"]),
    ],
)  # fmt: skip
def test_only_whole_paths_are_told(said: str, where: list[str]) -> None:
    assert outcomes.failure(said).where == where


@pytest.mark.parametrize("said", ["No files found", "No matches found", "Found 0 matches", "0 results", "No files."])
def test_a_search_that_found_nothing_names_no_file(said: str) -> None:
    assert made(tool("Glob", {"pattern": "**/*.spec"}, {"filenames": [said], "numFiles": 1})) == []
    assert (
        made(tool("Grep", {"pattern": "spec"}, {"mode": "files_with_matches", "content": said, "filenames": []})) == []
    )
    one = only(tool("Glob", {"pattern": "**/*.py"}, {"filenames": ["src/none.py"], "numFiles": 1}))
    assert one.files_read == ["src/none.py"]
