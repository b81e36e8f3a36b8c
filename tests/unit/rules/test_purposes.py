"""What an agent says or finds tells what it was asked for, in whatever form it was asked."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from muster.domain.memory import Event, NewObservation
from muster.domain.rules.observing import observe
from tests.unit.rules.observing import AT, event, made, tool

TASK = 'You are to open the vault named "Lantern". Its door answers on port 7400. Find the word that it wants.'
FOUND = "The word was recovered from the third page of the ledger."


def user(text: str) -> Event:
    return event({"role": "user", "content": text})


def says(text: str = FOUND) -> Event:
    return event({"role": "assistant", "content": text})


def ran() -> Event:
    return tool("Bash", {"command": "nc localhost 7400"}, "the door asks for a word, and has a brass handle")


def told(one: NewObservation) -> str:
    return (one.subtitle or "").removeprefix("For: ") if (one.subtitle or "").startswith("For: ") else ""


def purpose(*events: Event) -> str:
    return told(next(one for one in made(*events) if FOUND in (one.narrative or one.title)))


@pytest.mark.parametrize(
    "asked",
    [
        user(TASK),
        event({"role": "user", "content": [{"type": "text", "text": TASK}]}),
        event({"prompt": TASK}, "UserPromptSubmit"),
        event({"message": {"role": "user", "content": TASK}}, "user"),
        event({"title": "", "prompt": TASK}, "agent.started", "muster"),
    ],
)
def test_a_task_is_the_purpose_in_whatever_form_it_comes(asked: Event) -> None:
    assert purpose(asked, ran(), says()).startswith("You are to open the vault")


@pytest.mark.parametrize(
    "text",
    [
        "The invoices fail in CI with an unknown option --pages.",
        "Why does the ledger have no third page?",
        "We're solving the riddle below.\n\nRIDDLE:\nThe ledger has no third page, and the vault stays shut.",
    ],
)
def test_what_an_agent_works_on_it_was_asked(text: str) -> None:
    assert purpose(user(text), ran(), says()) == " ".join(text.split())
    assert purpose(user(text), says("I look at the ledger, whose third page is gone."), ran(), says())
    assert purpose(user(text), says()) == "", "it is no work, as long as nothing is done"


def test_what_was_found_by_tools_tells_what_for() -> None:
    found = next(one for one in made(user(TASK), ran(), says()) if "brass" in (one.narrative or ""))
    assert told(found).startswith("You are to open the vault")


def test_the_request_of_an_earlier_batch_counts() -> None:
    asked, work, said = user(TASK), ran(), says()
    (*_, one) = observe([said], [asked, work]).observations
    assert told(one).startswith("You are to open the vault")


@pytest.mark.parametrize(
    "text",
    [
        "Continue",
        "yes, go on please",
        "Thanks! Looks good to me.",
        'completed\n\nBackground command "Pack it" completed (exit code 0).\nRead the output file.',
        "This session is being continued from a previous conversation that ran out of context. Summary: all is well.",
        "[Request interrupted by user]",
    ],
)
def test_what_asks_for_nothing_ends_no_purpose(text: str) -> None:
    assert purpose(user(TASK), ran(), event({"prompt": text}, "UserPromptSubmit"), ran(), says()).startswith("You are")


def test_the_last_request_counts() -> None:
    later = user("Now translate the ledger's third page into Frisian.")
    assert purpose(user(TASK), ran(), later, ran(), says()).startswith("Now translate")
    assert purpose(user(TASK), says(), later).startswith("You are to open")


def test_the_one_who_asks_does_it_for_nothing() -> None:
    heard: list[Any] = [user(TASK), ran(), user("My sister lives in Groningen and keeps bees.")]
    assert [told(one) for one in made(*heard) if "bees" in one.title] == [""]


def test_a_talk_has_no_purpose_but_what_it_asks_for() -> None:
    assert purpose(user("My sister lives in Groningen and keeps bees."), says()) == ""
    assert purpose(event({"name": "Anna", "text": "Find the third page of the ledger, please."}), says()) == ""


def test_many_events_take_no_longer_than_they_are() -> None:
    events = [user(TASK), *(one for _ in range(400) for one in (ran(), says()))]
    late = [one.model_copy(update={"occurred_at": AT + timedelta(seconds=n)}) for n, one in enumerate(events)]
    assert len(observe(late).observations) >= 400
