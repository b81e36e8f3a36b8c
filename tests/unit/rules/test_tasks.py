"""A plan that is kept a task at a time is told as the list that it is."""

from __future__ import annotations

from typing import Any

import pytest

from muster.domain.memory import Event
from muster.domain.rules.summary import summarise
from tests.unit.rules.observing import made, only, tool

TASKS = ("Read the orders", "Add the tax", "Test the totals")


def creates(number: int, what: str, *, as_hook: bool) -> Event:
    told: Any = f"Task #{number} created successfully: {what}"
    if as_hook:
        told = {"task": {"id": str(number), "subject": what}}
    return tool("TaskCreate", {"subject": what, "description": f"{what} as agreed", "activeForm": what}, told)


def moves(number: int, state: str, told: Any = "") -> Event:
    return tool("TaskUpdate", {"taskId": str(number), "status": state}, told or f"Updated task #{number} status")


@pytest.mark.parametrize("as_hook", [True, False])
def test_tasks_that_are_made_in_a_row_are_one_plan(as_hook: bool) -> None:
    one = only(*(creates(number, what, as_hook=as_hook) for number, what in enumerate(TASKS, 1)))
    assert (one.type, one.title) == ("plan", "Plan: Read the orders")
    assert one.narrative == "- [ ] Read the orders\n- [ ] Add the tax\n- [ ] Test the totals"


def test_a_plan_moves_on() -> None:
    begun = [creates(number, what, as_hook=False) for number, what in enumerate(TASKS, 1)]
    look = tool("Bash", {"command": "make orders"}, {"stdout": "made the orders anew", "stderr": ""})
    events = [*begun, moves(1, "in_progress"), look, moves(1, "completed"), moves(2, "in_progress")]
    found = made(*events)
    assert [one.title for one in found if one.type == "plan"] == ["Plan: Read the orders", "Plan: Add the tax"]
    assert found[-1].importance == 0.25
    (summary,) = summarise(None, events, found).observations
    left = (summary.narrative or "").partition("Open:")[2]
    assert "Add the tax" in left
    assert "Read the orders" not in left
    over = [*events, look, *(moves(number, "completed") for number in (2, 3))]
    assert made(*over)[-1].title == "Finished: Test the totals"
    assert "Open:" not in (summarise(None, over, made(*over)).observations[0].narrative or "")


@pytest.mark.parametrize(
    "more",
    [moves(1, "completed"), moves(7, "completed"), moves(1, "completed", "<tool_use_error>Cancelled</tool_use_error>"),
     tool("TaskUpdate", {"taskId": "1", "addBlockedBy": ["2"]}, "Updated task #1 blockedBy")],
)  # fmt: skip
def test_a_step_of_a_plan_that_nobody_knows_says_nothing(more: Event) -> None:
    assert made(more) == []


def test_what_is_no_longer_to_be_done_is_left_out() -> None:
    begun = [creates(number, what, as_hook=False) for number, what in enumerate(TASKS, 1)]
    one = only(*begun, moves(2, "deleted"))
    assert one.narrative == "- [ ] Read the orders\n- [ ] Test the totals"
    assert only(*begun, creates(1, "Ship it", as_hook=False)).narrative == "- [ ] Ship it"
