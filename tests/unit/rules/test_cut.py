"""Where a session broke off is open: at a limit, or with something running whose end nobody saw."""

from __future__ import annotations

import time

import pytest

from muster.domain.memory import Event
from tests.pace import Stopwatch
from tests.unit.rules.observing import event, tool
from tests.unit.rules.test_unfinished import opened

TASK = event({"prompt": "Run the slow tests of the shop."}, "prompt")


def ran(command: str, output: str = "", code: int = 0) -> Event:
    return tool("Bash", {"command": command}, {"stdout": output}, exit_code=code)


def says(text: str) -> Event:
    return event({"role": "assistant", "content": text})


def begins(command: str, name: str = "b1c2d3e") -> Event:
    asked = {"command": command, "run_in_background": True}
    return tool("Bash", asked, {"stdout": "", "backgroundTaskId": name})


@pytest.mark.parametrize(
    "text",
    [
        "You've hit your limit · resets 3pm (UTC)",
        "You have reached your usage limit. It resets at 5am.",
        "Claude usage limit reached. Your limit will reset at 7pm.",
        "Credit balance is too low",
    ],
)
def test_a_limit_that_ended_it_is_open(text: str) -> None:
    limit = says(text)
    assert "Stopped before the end: " in opened(TASK, ran("ls", "a b"), limit)
    assert "Stopped" not in opened(TASK, limit, event({"prompt": "Go on with it."}, "prompt"), ran("ls", "a b"))
    long = says(f"{text} That is what the page says that I built for people who are over theirs. " + "It is new. " * 30)
    assert "Stopped" not in opened(TASK, long)
    assert "Stopped" not in opened(TASK, says(f"The page says: {text}"))


@pytest.mark.parametrize(
    ("command", "later", "is_open"),
    [
        ("shipctl test --verbose spread/basic", [], True),
        ("uv run pytest tests/slow 2>&1 | tee /tmp/slow.log", [], True),
        ("npm test", [ran("tail -20 /tmp/tasks/b1c2d3e.output", "Starting instance")], True),
        ("npm test", [ran("tail -20 /tmp/tasks/b1c2d3e.output", "12 passed in 213.67s")], False),
        ("npm test", [ran("tail -20 /tmp/tasks/other.output", "12 passed in 213.67s")], True),
        ("npm test", [ran("npm test", "12 passed")], False),
        ("pytest tests/slow", [ran("pkill -f pytest")], False),
        ("pytest tests/slow", [tool("KillShell", {"shell_id": "b1c2d3e"}, "killed")], False),
        ("npm run dev", [], False),
        ("npm test -- --watch", [], False),
        ("tail -f /tmp/tests.log", [], False),
        ("python server.py", [], False),
    ],
)
def test_a_check_whose_end_nobody_saw_is_open(command: str, later: list[Event], is_open: bool) -> None:
    told = opened(TASK, begins(command), *later, says("The page is there."))
    assert ("nobody saw how it ended" in told) is is_open


def test_a_check_that_ended_is_told_as_it_ended() -> None:
    task = {"task_id": "b1c2d3e", "status": "completed", "output": "3 passed in 2s", "exitCode": 0}
    ended = tool("TaskOutput", {"task_id": "b1c2d3e"}, {"retrieval_status": "success", "task": task})
    assert opened(TASK, begins("pytest tests/slow"), ended, says("The page is there.")) == ""


@pytest.mark.parametrize(
    ("text", "is_open"),
    [
        ("Coverage is at 77 % now.\n\n### Why we didn't reach 85 %:\n\nThe rest needs a server.", True),
        ("The page loads in 3 s. We could not quite get to the target of 2 s.", True),
        ("I did not meet the goal: two of the nine pages have no title.", True),
        ("We did not reach for a new library; 85 % of the tests are the old ones.", False),
        ("We reached 85 %.", False),
    ],
)
def test_what_fell_short_of_what_was_asked_is_open(text: str, is_open: bool) -> None:
    told = opened(TASK, ran("ls", "a b"), says(text))
    assert any(word in told for word in ("reach", "target", "goal")) is is_open


def test_many_runs_take_no_longer_than_they_are() -> None:
    began = Stopwatch(time.process_time)
    text = "1 passing "[:-2] * 20_000
    opened(TASK, *(begins(f"pytest tests/a{n}", f"b{n}") for n in range(60)), ran("cat b1.output", text), says(text))
    assert began.fair < 10
