"""Who agrees to what an agent recommends decides that."""

from __future__ import annotations

import time

import pytest

from muster.domain.memory import NewObservation
from muster.domain.rules import agreed
from tests.pace import Stopwatch
from tests.unit.rules.observing import event, made

ADVICE = "There are three ways.\n\nMy Recommendation: Option 3, weigh at the gate\n\nWhat do you think?"


def talk(advice: str, answer: str) -> list[NewObservation]:
    said = event({"role": "assistant", "content": [{"type": "text", "text": advice}]})
    found = made(said, event({"prompt": answer}, "prompt"))
    return [one for one in found if one.type in ("decision", "preference")]


@pytest.mark.parametrize("answer", ["I agree. Let's do that.", "Agreed!", "Yes, do that.", "Let's do that",
                                    "Sounds good.", "Yes, go with 3.", "Ok, go with option 3"])  # fmt: skip
def test_who_agrees_decides(answer: str) -> None:
    (one,) = talk(ADVICE, answer)
    assert (one.type, one.title) == ("decision", "Decided: Option 3, weigh at the gate")
    assert len(one.sources) == 2


@pytest.mark.parametrize(
    ("advice", "title"),
    [
        ("I recommend grams because the scales know no others.", "Decided: grams because the scales know no others."),
        ("## My Recommendation\n\nWeigh at the gate.", "Decided: Weigh at the gate."),
        ("**Recommendation:** weigh at the gate.", "Decided: weigh at the gate."),
        ("Option 1: weigh at the door\n\n**Option 2: weigh at the gate**\n\nMy Recommendation: Option 2",
         "Decided: Option 2: weigh at the gate"),
        ("I'd suggest using the old scale.", "Decided: the old scale."),
    ],
)  # fmt: skip
def test_it_is_what_was_recommended(advice: str, title: str) -> None:
    (one,) = talk(advice, "I agree.")
    assert (one.type, one.title) == ("decision", title)


def test_a_wish_beside_it_is_kept() -> None:
    found = talk(ADVICE, "I agree. Let's do that. And I want to be approving all your changes!")
    assert [one.type for one in found] == ["decision", "preference"]


@pytest.mark.parametrize(
    ("advice", "answer"),
    [
        (ADVICE, "No, weigh at the door."),
        (ADVICE, "Yes, go with 2."),
        (ADVICE, "Do you agree?"),
        (ADVICE, "I agree. But weigh at the door."),
        (ADVICE, "I agree, but the gate is closed on Mondays."),
        ("The scale drifts. What do you think?", "I agree."),
        ("I recommend grams for the scale. I recommend ounces for the label.", "I agree."),
        ("I recommend you look at the scale.", "I agree."),
    ],
)
def test_nobody_decides_by_anything_else(advice: str, answer: str) -> None:
    assert talk(advice, answer) == []


def test_hostile_advice_takes_no_longer_than_it_is() -> None:
    began = Stopwatch(time.process_time)
    for bit in ("I recommend ", "recommendation: ", "**", "ok, ", "I agree ", "recommendation\n\n", "option 3 "):
        text = bit * (256_000 // len(bit))
        agreed.agreed_to("I agree. Let's do that.", text)
        agreed.agreed_to(text[:400], text)
    assert began.fair < 3


OFFERS = (
    "There are three ways to weigh:\n\n1. **Weigh at the gate**\n2. Weigh in the hall\n3. Weigh nothing\n\n"
    "Which one do you want?"
)
OPTIONS = "### Option A: weigh at the gate\n\n1. open it\n2. close it\n\n### Option B: weigh in the hall\n\n1. open it"


@pytest.mark.parametrize(
    ("offers", "answer", "title"),
    [
        (OFFERS, "1", "Decided: Weigh at the gate"),
        (OFFERS, "2.", "Decided: Weigh in the hall"),
        (OFFERS, "Let's go with 2, please", "Decided: Weigh in the hall"),
        (OFFERS, "Option 3", "Decided: Weigh nothing"),
        (OFFERS, "I'd go with number 1", "Decided: Weigh at the gate"),
        (OPTIONS, "Option B", "Decided: weigh in the hall"),
        (OPTIONS, "ok, let's do option A", "Decided: weigh at the gate"),
    ],
)
def test_who_chooses_decides(offers: str, answer: str, title: str) -> None:
    (one,) = talk(offers, answer)
    assert (one.type, one.title, len(one.sources)) == ("decision", title, 2)


@pytest.mark.parametrize(
    ("offers", "answer"),
    [
        (OFFERS, "2 or 3"),
        (OFFERS, "4"),
        (OFFERS, "I'm leaning towards 2, but explain what it costs"),
        (OFFERS, "2?"),
        (OFFERS.partition("Which")[0], "2"),
        (OPTIONS, "1"),
        ("I did one thing:\n\n1. Weighed\n\nHow many scales are there?", "1"),
        ("1. a first\n2. a second\n\nThen:\n1. a third\n2. a fourth\n\nWhich?", "1"),
    ],
)
def test_nobody_knows_what_was_chosen(offers: str, answer: str) -> None:
    assert talk(offers, answer) == []


def test_hostile_offers_take_no_longer_than_they_are() -> None:
    began = Stopwatch(time.process_time)
    for bit in ("1. a\n", "option 1: b\n", "# ", "**", "(a) b\n", " "):
        agreed.chosen("option 1", bit * (256_000 // len(bit)))
        agreed.chosen((bit * 40)[:80], OFFERS)
    assert began.fair < 3
