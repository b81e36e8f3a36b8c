"""What a person says right after that it is not so is no answer any more."""

from __future__ import annotations

import time

import pytest

from muster.domain.memory import NewObservation
from muster.domain.rules import refuted
from tests.pace import Stopwatch
from tests.unit.rules.observing import event, made, tool

SAID = "The scale sends grams, and the printer knows all of the zones."


def first_of(answer: str, *, said: str = SAID, between: bool = False) -> NewObservation:
    told = event({"role": "assistant", "text": said})
    work = [tool("Bash", {"command": "cat rates.txt"}, "north 3")] if between else []
    return made(told, *work, event({"prompt": answer}, "prompt"))[0]


@pytest.mark.parametrize(
    "answer",
    [
        "That's not true. It sends ounces.",
        "No, that is wrong: it sends ounces.",
        "You're wrong: the scale sends ounces.",
        "That's not strictly true, read the manual.",
        "this isn't correct, it sends ounces",
        "Das stimmt nicht, sie sendet Unzen.",
        "C'est faux, elle envoie des onces.",
        "Eso no es cierto.",
        "Это не так, весы отправляют унции.",
        "違います。オンスです。",
        "不对，是盎司。",
    ],
)
def test_what_is_refuted_weighs_little(answer: str) -> None:
    one = first_of(answer)
    assert (one.title, one.importance) == (SAID, 0.3)
    assert one.facts[-1].startswith("Refuted: ")


@pytest.mark.parametrize(
    "answer",
    [
        "That's right. Print the labels.",
        "Print the labels of the north.",
        "That's the wrong file, use rates.txt.",
        "That's not right yet, please weigh again.",
        "Is that not true?",
        "I do not think that nobody reads the labels, but fine.",
        "Something is wrong with the printer.",
    ],
)
def test_what_is_not_refuted_weighs_as_before(answer: str) -> None:
    assert first_of(answer).importance == 0.5


def test_of_a_long_message_nobody_knows_what_is_meant() -> None:
    assert first_of("That's not true.", said=f"{SAID} " * 20).importance == 0.5


def test_what_was_said_before_other_work_is_not_meant() -> None:
    assert first_of("That's not true.", between=True).importance == 0.5


def test_a_hostile_answer_takes_no_longer_than_it_is() -> None:
    began = Stopwatch(time.process_time)
    for bit in ("no, ", "that is ", "that's not ", "wrong ", "you are "):
        refuted.refutes(bit * (256_000 // len(bit)))
    assert began.fair < 3
