"""A program that the shell did not find, and why it fails once it is found, are two things."""

from __future__ import annotations

import pytest

from muster.domain.memory import Event
from muster.domain.rules.outcomes import never_ran
from tests.unit.rules.observing import made, tool

FAILS = "collected 0 items\nno tests ran in 0.01s"


@pytest.mark.parametrize(
    "text",
    ["(eval):1: command not found: grind", "zsh: command not found: grind", "bash: grind: command not found",
     "bash: line 1: grind: command not found", "sh: 1: grind: not found"],
)  # fmt: skip
def test_the_shell_says_that_there_is_no_such_program(text: str) -> None:
    assert never_ran(text)
    assert not never_ran(f"{text}\nError: the mill stands still")


@pytest.mark.parametrize("text", ["", FAILS, "Error: stone 3 not found\nthe mill stands still", "x" * 5_000])
def test_others_ran(text: str) -> None:
    assert not never_ran(text)


def test_what_was_written_before_did_not_mend_what_was_wrong_after() -> None:
    def ran(command: str, answer: str, code: int) -> Event:
        return tool("Bash", {"command": command}, answer, exit_code=code)

    found = made(
        ran("pytest specs", "bash: pytest: command not found", 127),
        tool("Write", {"file_path": "specs/__init__.py", "content": "A = 1"}, "ok"),
        ran(". venv/bin/activate && pytest specs", FAILS, 5),
        tool("Write", {"file_path": "pytest.ini", "content": "[pytest]\npython_files = *_spec.py"}, "ok"),
        ran(". venv/bin/activate && pytest specs", "4 passed in 0.2s", 0),
    )
    (fixed,) = [one for one in found if one.type == "bugfix"]
    assert fixed.files_modified == ["pytest.ini"]
    assert "not found" not in fixed.title


def test_what_did_not_help_is_no_part_of_the_fix() -> None:
    def ran(answer: str, code: int) -> Event:
        return tool("Bash", {"command": "pytest specs"}, answer, exit_code=code)

    found = made(
        ran(FAILS, 5),
        tool("Write", {"file_path": "specs/__init__.py", "content": "A = 1"}, "ok"),
        tool("Write", {"file_path": "specs/mill/__init__.py", "content": "B = 1"}, "ok"),
        tool("Write", {"file_path": "conftest.py", "content": "C = 1"}, "ok"),
        ran(FAILS, 5),
        tool("Write", {"file_path": "pytest.ini", "content": "[pytest]\npython_files = *_spec.py"}, "ok"),
        ran("4 passed in 0.2s", 0),
    )
    (fixed,) = [one for one in found if one.type == "bugfix"]
    assert fixed.files_modified[0] == "pytest.ini"
    assert "in pytest.ini" in fixed.title
    assert fixed.files_modified == ["pytest.ini"], "what did not help is told by itself"
