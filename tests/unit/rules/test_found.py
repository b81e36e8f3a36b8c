"""What a row of looks brought up, and a plan by where it stands."""

from __future__ import annotations

import pytest

from muster.domain.memory import Event
from tests.unit.rules.observing import made, only, tool


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


def test_what_was_read_is_told_beside_the_names_in_it() -> None:
    code = "def sieve(flour):\n    return flour // 17\n"
    one = only(tool("Read", {"file_path": "/mill/sieve.py"}, code))
    assert one.facts == ["/mill/sieve.py has sieve"]
    assert "return flour // 17" in (one.narrative or "")


def test_of_several_files_each_is_shown_once_and_not_at_length() -> None:
    files = [tool("Read", {"file_path": f"/mill/s{n}.py"}, f"class Stone{n}:\n    weight = {n}7\n") for n in range(3)]
    one = only(*files, files[0])
    assert all((one.narrative or "").count(f"weight = {n}7") == 1 for n in range(3))
    long = "\n".join(f"def turn_{n}(stone):\n    return stone * {n}" for n in range(9000))
    one = only(*(tool("Read", {"file_path": f"/mill/l{n}.py"}, long) for n in range(8)))
    assert 800 < len(one.narrative or "") < 3200


def test_a_file_with_nothing_in_it_is_no_look() -> None:
    for empty in ("", "\n", "   \n\n", "---\n==="):
        assert made(tool("Read", {"file_path": "/mill/run.output"}, empty)) == []


def test_a_plan_that_only_moved_on_weighs_little() -> None:
    steps = ("Read it", "Write it", "Ship it")
    states = ("completed", "in_progress", "pending")
    first = plan(*zip(steps, ("in_progress", "pending", "pending"), strict=True))
    moved = plan(*zip(steps, states, strict=True))
    shorter = plan(("Write it", "completed"), ("Ship it", "in_progress"))
    more = plan(("Write it", "completed"), ("Test it", "pending"), ("Ship it", "in_progress"))
    over = plan(("Write it", "completed"), ("Test it", "completed"), ("Ship it", "completed"))
    told = made(first, moved, shorter, more, over)
    assert [one.importance for one in told] == [0.45, 0.25, 0.25, 0.45, 0.45]
    assert all(one.type == "plan" for one in told)


def test_a_plan_that_is_no_list_keeps_its_weight() -> None:
    asked = [{"plan": "Turn the stone once and weigh the flour."}, {"plan": "Turn it twice and weigh the flour."}]
    told = made(*(tool("ExitPlanMode", one) for one in asked))
    assert [one.importance for one in told] == [0.45, 0.45]
