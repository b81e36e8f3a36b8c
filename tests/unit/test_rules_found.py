"""What a row of looks brought up, and a plan by where it stands."""

from __future__ import annotations

import pytest

from muster.domain.memory import Event
from tests.unit.observing import made, only, tool


def plan(*items: tuple[str, str]) -> Event:
    return tool("TodoWrite", {"todos": [{"content": what, "status": state} for what, state in items]})


@pytest.mark.parametrize(
    ("items", "title"),
    [
        ([("Read the code", "completed"), ("Write the test", "in_progress"), ("Ship it", "pending")],
         "Plan: Write the test"),
        ([("Read the code", "completed"), ("Write the test", "pending")], "Plan: Write the test"),
        ([("Read the code", "pending"), ("Write the test", "pending")], "Plan: Read the code"),
        ([("Read the code", "completed"), ("Ship it", "completed")], "Finished: Ship it"),
    ],
)  # fmt: skip
def test_a_plan_is_told_by_what_is_done_now(items: list[tuple[str, str]], title: str) -> None:
    assert only(plan(*items)).title == title


def test_the_same_plan_again_is_told_once() -> None:
    first, then = (
        plan(("Read it", "in_progress"), ("Ship it", "pending")),
        plan(("Read it", "completed"), ("Ship it", "pending")),
    )
    again = plan(("Read it", "in_progress"), ("Ship it", "pending"))
    assert [one.title for one in made(first, again, then)] == ["Plan: Read it", "Plan: Ship it"]


@pytest.mark.parametrize(
    ("event", "title"),
    [
        (tool("Grep", {"pattern": "passed|failed", "path": "/tmp/run.log"},
              {"mode": "content", "content": "9:==== 1 failed, 11 passed in 90.2s ====", "filenames": []}),
         "1 failed, 11 passed in 90.2s (looked for “passed|failed” in run.log)"),
        (tool("Bash", {"command": "grep -E 'ERROR|FAILED' out.log"},
              {"stdout": "10:00:01 INFO a.b fine\nERROR: the key is not known to the store", "stderr": ""}),
         "ERROR: the key is not known to the store (looked for “ERROR|FAILED” in out.log)"),
        (tool("Read", {"file_path": "/tmp/tasks/b1.output"},
              {"type": "text", "file": {"filePath": "/tmp/tasks/b1.output", "content": "so\n12 passed in 3.1s\n"}}),
         "12 passed in 3.1s (read b1.output)"),
    ],
)  # fmt: skip
def test_a_result_that_was_looked_up_is_what_it_is_about(event: Event, title: str) -> None:
    one = only(event)
    assert (one.type, one.title, one.importance) == ("discovery", title, 0.5)


def test_a_look_into_code_is_none() -> None:
    said = {"mode": "content", "content": 'src/a.py:3:    raise ValueError("1 failed")', "filenames": []}
    one = only(tool("Grep", {"pattern": "raise .*Error", "path": "src/a.py"}, said))
    assert one.title == "Looked for “raise .*Error” in a.py"
    assert one.importance == 0.25


def test_a_look_that_shows_nothing_is_none() -> None:
    assert made(tool("Read", {"file_path": "/app/a.py"}, "")) == []
    assert made(tool("Glob", {"pattern": "*.py"}, {"filenames": [""], "numFiles": 0})) == []
