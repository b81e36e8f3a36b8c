"""What prints a failure failed, whatever the exit code of the pipe that it stands in."""

from __future__ import annotations

from typing import Any

import pytest

from muster.domain.memory import Event
from muster.domain.rules.summary import summarise
from tests.unit.rules.observing import made, only, tool

CONFTEST = """\
ImportError while loading conftest '/srv/shop/tests/conftest.py'.
tests/conftest.py:4: in <module>
    import cartlib
E   ModuleNotFoundError: No module named 'cartlib'"""


def ran(command: str, said: str, **more: Any) -> Event:
    return tool("Bash", {"command": command}, {"stdout": said, "stderr": "", "interrupted": False}, **more)


def edit() -> Event:
    return tool("Edit", {"file_path": "/srv/shop/cart.py", "old_string": "total = 3", "new_string": "total = 4"})


@pytest.mark.parametrize(
    ("command", "said", "title"),
    [
        ("uv run pytest tests -v 2>&1 | tee /tmp/run.log", CONFTEST, "pytest fails: ModuleNotFoundError: No module"),
        ("pytest -q | head -5", CONFTEST, "pytest fails: "),
        ("pytest -q 2>&1 | tail -4; echo done", CONFTEST, "pytest fails: "),
        ("pytest tests/none 2>&1 | tail -2", "ERROR: file or directory not found: tests/none", "pytest fails: "),
        ("tox -e lint 2>&1 | tail -3", "  lint: FAIL code 1 (2.5 seconds)\n  evaluation failed :( (2.6 seconds)",
         "tox fails: "),
        ("tox -e unit | grep -E 'PASSED|FAILED' | head -2",
         "tests/test_a.py::test_b PASSED\nFAILED tests/test_a.py::test_c - KeyError: 3", "tox fails: KeyError: 3"),
        ("python fill.py | tail -1", "KeyError: 'vat'", "python fails: KeyError: 'vat'"),
        ("python3 fill.py 2>&1 | head -20", "Traceback (most recent call last):\nKeyError: 'vat'", "python3 fails: "),
        ("cargo test | tail -3", "/bin/sh: 1: cargo: not found", "cargo test fails: "),
        ("mytool sync 2>&1 | tail -3", "bash: line 1: mytool: command not found", "mytool fails: "),
        ("./train --all | tee log", "Segmentation fault (core dumped)", "train fails: Segmentation fault"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("code", [None, 0])
def test_what_prints_a_failure_failed(command: str, said: str, title: str, code: int | None) -> None:
    more = {} if code is None else {"exit_code": code}
    one = only(ran(command, said, **more))
    assert (one.type, one.title[: len(title)]) == ("error", title)
    found = made(edit(), ran(command, said, **more))
    assert not any("passes" in fact for one in found for fact in one.facts)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("pytest -q 2>&1 | tail -3", "12 passed in 0.30s"),
        ("git log --oneline | head -3", "ValueError: say which one"),
        ("cat run.log | tail -1", "KeyError: 'vat'"),
        ("journalctl -u shop | tail -1", "KeyError: 'vat'"),
        ("docker logs shop | tail -1", "KeyError: 'vat'"),
        ("python errors.py --list | head -9", "KeyError: raised for a missing rate\nOK, 1 kind of error"),
        (
            "python -c 'import cart; help(cart.add)' | head -3",
            "add(one)\n    Raises:\n        KeyError: if it has no rate",
        ),
        ("cd /srv; pytest -q", "tests/test_errors.py::test_ImportError PASSED\n1 passed in 0.1s"),
    ],
)
def test_what_others_said_is_no_failure(command: str, said: str) -> None:
    assert not any(one.type == "error" for one in made(ran(command, said)))


@pytest.mark.parametrize(
    ("failed", "what", "again", "said"),
    [
        ("./publish prod", "refused: the window of prod is closed", "./publish prod | head -3",
         "checking\nrefused: the window of prod is closed"),
        ("terraform apply", "Error: Invalid reference in main.tf", "terraform apply | head -20",
         "╷\n│ Error: Invalid reference in main.tf"),
        ("sh setup.sh", "cannot reach the store of packages", "sh setup.sh 2>&1 | tail -2",
         "cannot reach the store of packages"),
    ],
)  # fmt: skip
def test_what_says_the_same_again_did_not_pass(failed: str, what: str, again: str, said: str) -> None:
    first = ran(failed, what, exit_code=1)
    for between in ((), (edit(),)):
        events = (first, *between, ran(again, said))
        found = made(*events)
        assert "bugfix" not in {one.type for one in found}
        assert not any("Run again" in one.content for one in found)
        (summary,) = summarise(None, events, found).observations
        assert "run again, it passed" not in (summary.narrative or "")
    # It says something else, and an exit code of its own is believed.
    for later in (ran(again, "All of it is done"), ran(failed, f"warning: {what}", exit_code=0)):
        assert any("Run again, it passed" in one.content for one in made(first, later))
