"""Exit codes that answer: what differs or is not found is no failure, what cannot be read is one."""

from __future__ import annotations

import time
from typing import Any

import pytest

from muster.domain.rules import verdicts
from tests.pace import Stopwatch
from tests.unit.rules.observing import event, made, only, tool
from tests.unit.rules.test_unfinished import opened

DIFFERS = "2c2\n< ERROR the disk is full\n---\n> ERROR: no such file or directory\n"
RETRIES = "--- old.cfg\n+++ new.cfg\n@@ -1,2 +1,2 @@\n host=a\n-retries=3\n+retries=5\n"
FAILED: tuple[dict[str, Any], ...] = ({"is_error": True}, {"exit_code": 1})


@pytest.mark.parametrize("how", FAILED)
@pytest.mark.parametrize(
    ("command", "output", "title"),
    [
        (
            "diff a.txt b.txt",
            DIFFERS,
            "a.txt and b.txt differ: < ERROR the disk is full > ERROR: no such file or directory",
        ),
        ("diff -u old.cfg new.cfg", RETRIES, "old.cfg and new.cfg differ: -retries=3 +retries=5"),
        ("cd etc && diff -U 3 old.cfg new.cfg", RETRIES, "old.cfg and new.cfg differ: -retries=3 +retries=5"),
        ("diff -q a.bin b.bin", "Files a.bin and b.bin differ", "a.bin and b.bin differ"),
        ("diff -i a.txt b.txt", "1c1\n< a\n---\n> b", "a.txt and b.txt differ: < a > b"),
        ("cmp a.bin b.bin", "a.bin b.bin differ: byte 5, line 1", "a.bin and b.bin differ"),
        ("git diff --exit-code", RETRIES, "git shows a difference: -retries=3 +retries=5"),
    ],
)
def test_what_differs_is_found_out(how: dict[str, Any], command: str, output: str, title: str) -> None:
    said = tool("Bash", {"command": command}, {"stdout": output, "stderr": ""}, **how)
    one = only(said)
    assert (one.type, one.title) == ("discovery", title)
    assert opened(said) == ""


def test_what_differs_is_found_out_in_messages() -> None:
    used = {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "diff -u old.cfg new.cfg"}}
    result = {"type": "tool_result", "tool_use_id": "t1", "is_error": True, "content": f"Exit code 1\n{RETRIES}"}
    found = made(event({"role": "assistant", "content": [used]}), event({"role": "user", "content": [result]}))
    assert [(one.type, "+retries=5" in one.title) for one in found] == [("discovery", True)]


@pytest.mark.parametrize("how", FAILED)
@pytest.mark.parametrize(
    "command",
    [
        "grep -r fooBar src",
        "rg fooBar",
        "git grep fooBar",
        "pgrep nginx",
        "test -f a.txt",
        "[ -f a.txt ]",
        "cmp -s a b",
    ],
)
def test_what_is_not_found_is_no_failure(how: dict[str, Any], command: str) -> None:
    assert made(tool("Bash", {"command": command}, {"stdout": "", "stderr": ""}, **how)) == []


@pytest.mark.parametrize("how", [*FAILED, {"exit_code": 2}])
@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("diff a.txt b.txt", "diff: b.txt: No such file or directory"),
        ("cmp a.bin b.bin", "cmp: b.bin: Permission denied"),
        ("grep foo a.txt", "grep: a.txt: No such file or directory"),
        ("cat a.txt; grep foo b.txt", "cat: a.txt: No such file or directory"),
    ],
)
def test_what_cannot_be_read_is_a_failure(how: dict[str, Any], command: str, said: str) -> None:
    one = only(tool("Bash", {"command": command}, {"stdout": "", "stderr": said}, **how))
    assert (one.type, said in one.title) == ("error", True)


def test_what_only_looks_like_it_fails_as_before() -> None:
    assert only(tool("Bash", {"command": "grep foo a.txt"}, {"stdout": ""}, exit_code=2)).type == "error"
    assert (
        only(tool("Bash", {"command": "diff a b && pytest"}, {"stdout": "1 failed in 3s"}, exit_code=1)).type == "error"
    )
    assert only(tool("Bash", {"command": "make diff"}, {"stdout": "no rule"}, exit_code=1)).type == "error"


def test_long_differences_are_told_in_no_time() -> None:
    began = Stopwatch(time.process_time)
    for bit in ("< a\n", "+", "-  ", "diff: ", "a/", "sh: line 1: "):
        text = bit * (250_000 // len(bit))
        verdicts.difference("diff a b", text)
        verdicts.complaint("diff a b", text)
    assert began.fair < 3
