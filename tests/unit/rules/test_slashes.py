"""A command that is typed to the program around an agent asks for no work."""

from __future__ import annotations

import pytest

from muster.domain.rules.summary import summarise
from tests.unit.rules.observing import event, made, only

WANTED = "Rename the column to parcel_weight everywhere."


@pytest.mark.parametrize(
    "text",
    ["/exit", "/ex", "/ma", "/cha", "/cle", "/code", "/add", "/undo", "/map", "/chat-mode architect",
     "/add a.py lib/b.py", "/model openrouter/x", "/run npm test -- --watch all of it", "/drop", "/clear", "/compact",
     "/compact keep the plan of the new columns for me",
     "/git log --oneline", "exit", "quit", ":q", "/add a.py\n/exit", "/read-only docs/api.md", "/resume", "/EXIT"],
)  # fmt: skip
def test_a_command_of_the_program_is_nothing(text: str) -> None:
    for payload, kind in (({"prompt": text}, "UserPromptSubmit"), ({"role": "user", "content": text}, "user")):
        assert made(event(payload, kind)) == []


@pytest.mark.parametrize(
    "text",
    [f"/code {WANTED}", f"/ask {WANTED}", f"/architect {WANTED}", f"/plan {WANTED}", f"/add a.py\n{WANTED}",
     f"/clear\n{WANTED}", f"/add a.py\n/code {WANTED}"],
)  # fmt: skip
def test_what_is_wanted_by_a_command_is_asked_for(text: str) -> None:
    one = only(event({"role": "user", "content": text}, "user"))
    assert (one.type, one.title, one.narrative) == ("request", WANTED, WANTED)


def test_who_mistakes_a_command_says_something_all_the_same() -> None:
    one = only(event({"role": "user", "content": "/add web look at why the admin cannot approve the roles"}, "user"))
    assert "why the admin cannot approve the roles" in one.content


@pytest.mark.parametrize(
    "text",
    ["/review-pr 123", "/deploy", "/review", "/init", "/home/ann/shop is where it lives, move it to /srv.",
     "/etc/hosts", "/deploy staging with the new rates"],
)  # fmt: skip
def test_whatever_else_begins_with_a_stroke_is_kept(text: str) -> None:
    assert only(event({"role": "user", "content": text}, "user")).content.startswith(text[:20])


def test_a_summary_is_not_named_by_a_command() -> None:
    events = [event({"role": "user", "content": text}, "user") for text in ("/exit", WANTED, "/exit")]
    (summary,) = summarise(None, events, made(*events)).observations
    assert summary.title == f"Summary: {WANTED}"
    assert "/exit" not in (summary.narrative or "")
