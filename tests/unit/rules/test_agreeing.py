"""What somebody says beside that they agree is what counts of it."""

from __future__ import annotations

import time

import pytest

from muster.domain.rules import asking, statements
from tests.pace import Stopwatch
from tests.unit.rules.observing import event, made, only


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("I agree. Let's do that. And I want to be approwing all your changes to the rates!",
         "And I want to be approwing all your changes to the rates!"),
        ("Ok. I want to be approving every commit.", "I want to be approving every commit."),
        ("Yes, do that. Always ask before you touch the rates.", "Always ask before you touch the rates."),
        ("Agreed! Please ask me before every release.", "Please ask me before every release."),
        ("I agree with you. Ask me before you delete a label.", "Ask me before you delete a label."),
        ("Good. Don't push to main without asking.", "Don't push to main without asking."),
        ("dont change the rates without my approval", "Dont change the rates without my approval"),
        ("We are practicing ATTD, we shoudl be going outside-in from the label to the scale.",
         "We are practicing ATTD, we shoudl be going outside-in from the label to the scale."),
        ("Remember: we should be working test-first.", "We should be working test-first."),
        ("Ok, I'd like to be asked before any migration.", "I'd like to be asked before any migration."),
    ],
)  # fmt: skip
def test_a_wish_beside_an_agreement_is_a_preference(text: str, wish: str) -> None:
    for one in (only(event({"prompt": text}, "prompt")), only(event({"role": "user", "content": text}))):
        assert one.type == "preference"
        assert one.title.removeprefix("Remember: ").casefold() in wish.casefold() or wish in one.title
        assert one.narrative == text
    shown = f"⏺ Read(rates.py)\n  ⎿ Read 40 lines\n\n> {text}\n\n⏺ Update(rates.py)\n  ⎿ Updated rates.py\n"
    found = made(event({"stream": "stdout", "text": shown}, "agent.output", "muster"))
    assert "preference" in [one.type for one in found]


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("I agree. Rename the label first.", "Rename the label first."),
        ("Ultrathink. Why does the scale drift?", "Why does the scale drift?"),
        ("Ultrathink. Find out why the scale drifts.", "Find out why the scale drifts."),
        ("Ok. Yes, do that. Then add the zone to the label.", "Then add the zone to the label."),
        ("I totally agree! Write the test for the zones.", "Write the test for the zones."),
    ],
)
def test_an_agreement_is_no_title(text: str, title: str) -> None:
    assert only(event({"prompt": text}, "prompt")).title == title


@pytest.mark.parametrize("text", ["I agree.", "Yes, do that.", "Ultrathink", "Do it!", "I agree, do that."])
def test_an_agreement_alone_is_nothing(text: str) -> None:
    assert made(event({"prompt": text}, "prompt")) == []
    assert made(event({"role": "user", "content": text})) == []


@pytest.mark.parametrize(
    "text",
    [
        "I agree to the terms of the lease.",
        "They agree on the rates.",
        "Think hard about the zones.",
        "Do that on Tuesday, with the new scale.",
    ],
)
def test_what_is_agreed_to_is_kept(text: str) -> None:
    assert only(event({"prompt": text}, "prompt")).title == text


@pytest.mark.parametrize(
    "text",
    [
        "We are practicing the violin.",
        "I appreciate all your help with the rates today.",
        "The scale cannot weigh without my help.",
        "Ask Anna before the release.",
        "We should be going to the lake.",
        "The printer asks me every time I open the label.",
    ],
)
def test_what_is_no_wish_stays_what_it_is(text: str) -> None:
    assert not statements.prefers(text)


def test_hostile_agreements_take_no_longer_than_they_are() -> None:
    began = Stopwatch(time.process_time)
    for bit in (
        "i agree ",
        "do that ",
        "don't a ",
        "no a ",
        "yes, ",
        "we are practising ",
        "i want to be ap",
        "think ",
    ):
        text = bit * (64_000 // len(bit))
        statements.prefers(text)
        asking.is_courtesy(text[:200])
        asking.without_courtesy(text)
    assert began.fair < 5
