"""Why a command failed, where other lines of its output look more like it."""

from __future__ import annotations

import pytest

from muster.domain import rules_causes as causes
from muster.domain import rules_outcomes as outcomes

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
