"""A call and its answer are told as one use of a tool, also where one request ends between the two."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from muster.domain.memory import Event, NewObservation
from muster.domain.rules.observing import observe
from tests.unit.rules.observing import event
from tests.unit.rules.sent import FAILED_VET, PATCH, VETTED, item


def cut(events: Sequence[Event], *places: int) -> list[list[NewObservation]]:
    """What each piece of them is told as, by itself and what came before it."""
    ends = [0, *places, len(events)]
    return [observe(events[start:end], events[:start]).observations for start, end in pairwise(ends)]


@pytest.mark.parametrize("sent", [one for one in FAILED_VET if len(one) > 1], ids=lambda one: json.dumps(one)[:40])
def test_an_answer_that_comes_alone_is_told_with_its_call(sent: list[Any]) -> None:
    events = [event(payload) for payload in sent]
    (whole,) = observe(events).observations
    first, second = cut(events, 1)
    assert first == [], "nobody knows yet what came of it"
    assert [(one.type, one.title) for one in second] == [(whole.type, whole.title)]
    assert second[0].narrative == whole.narrative


def ran(number: int, command: str, output: str) -> tuple[Event, Event]:
    asked = json.dumps({"command": ["bash", "-lc", command]})
    return (
        event(item("function_call", name="shell", arguments=asked, call_id=f"c{number}")),
        event(item("function_call_output", call_id=f"c{number}", output=f"Exit code: 0\nOutput:\n{output}")),
    )


def test_many_answers_of_calls_that_were_made_at_once() -> None:
    """Of eleven files that are read at once, whatever of that is in which request."""
    code = "export async function find{0}(id: string): Promise<string> {{\n  const all = await load{0}(id)\n}}"
    pairs = [ran(number, f"sed -n 1,40p src/file{number}.ts", code.format(number)) for number in range(11)]
    events = [asked for asked, _ in pairs] + [answer for _, answer in pairs]
    for place in range(1, len(events)):
        for told in cut(events, place):
            assert all(one.title.startswith("Read ") for one in told), place


def test_one_event_at_a_time() -> None:
    (run, failed), (again, passed) = ran(1, "go vet ./...", VETTED), ran(2, "go vet ./...", "")
    failed = failed.model_copy(update={"payload": item(
        "function_call_output", call_id="c1", output=f"Exit code: 1\nOutput:\n{VETTED}")})  # fmt: skip
    patch = item("custom_tool_call", name="apply_patch", input=PATCH, call_id="c3")
    done = item("custom_tool_call_output", call_id="c3", output="Success. Updated the following files:\nM shop/pay.go")
    events = [run, failed, event(patch), event(done), again, passed]
    each = cut(events, *range(1, len(events)))
    assert [one.type for one in each[1]] == ["error"]
    assert sum(len(told) for told in each[2:4]) == 1, "an edit is told once, with its call or with its answer"
    assert [one.type for one in each[5]] == ["bugfix"]
