"""What a person chose when a tool asked is a decision."""

from __future__ import annotations

import json
from typing import Any

import pytest

from muster.domain.rules.summary import summarise
from tests.unit.rules.observing import event, made, only, tool
from tests.unit.rules.sent import blocks

KEEP, WHERE = "Keep YAML one release?", "Where do the labels go?"
OPTIONS = [{"label": "Yes", "description": "It warns until 3.0"}, {"label": "No", "description": "It is dropped now"}]
ONE = {"questions": [{"question": KEEP, "header": "Compat", "options": OPTIONS, "multiSelect": False}]}
BOTH = {"questions": [*ONE["questions"], {"question": WHERE, "header": "Labels", "options": ["left", "right", "top"],
                                          "multiSelect": True}]}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "asked", "answered"),
    [
        ("AskUserQuestion", ONE, {**ONE, "answers": {KEEP: "Yes"}}),
        ("AskUserQuestion", ONE, f'User has answered your questions: "{KEEP}"="Yes". You can now continue.'),
        ("AskUserQuestion", ONE, [{"type": "text", "text": f'User has answered your questions: "{KEEP}"="Yes".'}]),
        ("AskUserQuestion", {**ONE, "answers": {KEEP: "Yes"}}, None),
        ("AskUserQuestion", {"questions": json.dumps(ONE["questions"])}, {"answers": {"Compat": "Yes"}}),
        ("request_user_input", {"questions": [{**ONE["questions"][0], "id": "q1"}]},
         {"answers": {"q1": {"answers": ["Yes"]}}}),
        ("ask_followup_question", {"question": KEEP, "follow_up": ["Yes", "No"]}, "<answer>\nYes\n</answer>"),
        ("ask_user", {"question": KEEP, "choices": ["Yes", "No"]}, "User selected: Yes"),
        ("question", ONE, {"output": f'User has answered your questions: "{KEEP}"="Yes". You can now continue'}),
        ("question", ONE, {"answers": [["Yes"]]}),
        ("mcp__ui__ask_user", {"question": KEEP, "options": OPTIONS}, {"answer": "Yes"}),
    ],
    ids=lambda one: json.dumps(one)[:50],
)  # fmt: skip
def test_what_was_chosen_is_a_decision(name: str, asked: Any, answered: Any) -> None:
    one = only(tool(name, asked, answered))
    assert (one.type, one.title) == ("decision", f"{KEEP} Yes")
    assert one.facts == ["Not chosen: No"]
    (told,) = summarise(None, [tool(name, asked, answered)], [one]).observations
    assert "Decided:\n- Keep YAML one release? Yes" in (told.narrative or "")
    assert "Open:" not in (told.narrative or "")


def test_each_question_has_its_answer() -> None:
    for answered in (
        {"answers": {KEEP: "No", WHERE: "left, top"}},
        {"answers": {KEEP: ["No"], WHERE: ["left", "top"]}},
        f'User has answered your questions: "{KEEP}"="No", "{WHERE}"="left, top". You can now go on.',
    ):
        first, second = made(tool("AskUserQuestion", BOTH, answered))
        assert (first.title, second.title) == (f"{KEEP} No", f"{WHERE} left, top")
        assert (first.narrative, second.facts) == (f"{KEEP} No\nIt is dropped now", ["Not chosen: right"])


def test_an_answer_in_own_words_and_a_note_are_kept() -> None:
    own = "Two releases; the 'old' one, and \"3.1\" too"
    assert only(tool("AskUserQuestion", ONE, {"answers": {KEEP: own}})).title == f"{KEEP} {own}"
    noted = {"answers": {KEEP: "Yes"}, "annotations": {KEEP: {"notes": "Ask Mara again in May"}}}
    assert "Ask Mara again in May" in (only(tool("AskUserQuestion", ONE, noted)).narrative or "")


def test_an_answer_that_comes_apart_is_one_with_its_question() -> None:
    asked = {"type": "tool_use", "id": "c1", "name": "AskUserQuestion", "input": ONE}
    told = {"type": "tool_result", "tool_use_id": "c1", "content": f'User has answered your questions: "{KEEP}"="No".'}
    one = only(event(blocks("assistant", asked)), event(blocks("user", told)))
    assert (one.type, one.title) == ("decision", f"{KEEP} No")


@pytest.mark.parametrize(
    ("name", "asked", "answered"),
    [
        ("AskUserQuestion", ONE, None),
        ("AskUserQuestion", ONE, {"answers": {}}),
        ("AskUserQuestion", ONE, {"questions": [], "answers": {KEEP: ""}}),
        ("AskUserQuestion", ONE, "The user doesn't want to proceed with this tool use. The tool use was rejected."),
        ("ask_user", {"question": KEEP}, "User did not answer"),
        ("ask_user", {"topic": "labels"}, "They are on the left"),
        ("ask_docs", {"question": KEEP}, "Yes"),
    ],
)
def test_where_nobody_chose_nothing_is_decided(name: str, asked: Any, answered: Any) -> None:
    assert all(one.type != "decision" for one in made(tool(name, asked, answered)))
