"""Who pastes a log, some code or a report asks once, in their own words, and what they pasted is kept."""

from __future__ import annotations

import time

import pytest

from muster.domain.memory import NewObservation
from muster.domain.rules import pasted
from tests.pace import Stopwatch
from tests.unit.rules.observing import event, made, only

LOG = "\n".join(
    f"scales.ts:{n} read parcel {n}: {{zone: 'north', grams: {n * 7}}}\n    at weigh (scales.ts:{n}:21)\n"
    f"pollScale @ scales.ts:{n}" for n in range(40)
)  # fmt: skip
SHELL = "\n".join(
    f'    if [ -z "$ZONE_{n}" ]; then\n        echo "no zone"\n    fi\n    RATE_{n}=$(rate {n})' for n in range(30)
)
REPORT = "\n".join(
    f"### {n}. Week {n} of the scales\n\n*   **What was believed (week {n}):** Please note that the scale sends grams. "
    f"We were certain of it.\n*   **What was found:** It sends ounces in zone {n}, and I always prefer grams.\n"
    f"    Deleting the table of rates while keeping the zones.\n" for n in range(1, 14)
)  # fmt: skip


def of_user(text: str) -> list[NewObservation]:
    return made(event({"role": "user", "content": text}))


@pytest.mark.parametrize("paste", [LOG, SHELL, REPORT, f"```\n{LOG}\n```"])
@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Fix the scale, it weighs nothing since today. Here is what it says:\n\n{}",
         "Fix the scale, it weighs nothing since today."),
        ("{}\n\n---\n\nCan you find out why zone 3 has no rate?", "Can you find out why zone 3 has no rate?"),
    ],
)  # fmt: skip
def test_one_message_is_one_request(paste: str, text: str, title: str) -> None:
    found = of_user(text.format(paste))
    assert [one.title for one in found if one.type in ("request", "question", "preference")] == [title]
    assert found[0].title == title
    whole = "".join(one.narrative or "" for one in found)
    assert all(line.strip() in whole for line in paste.split("\n"))


def test_what_programs_print_weighs_little() -> None:
    first, *rest = of_user(f"Please look at this log of the scale:\n\n{LOG}")
    assert first.importance == 0.55
    assert rest
    assert {(one.type, one.importance) for one in rest} == {("fact", 0.3)}


def test_what_a_report_says_is_kept_as_facts() -> None:
    _, *rest = of_user(f"Please read what the other agent wrote of the scales.\n\n{REPORT}")
    assert rest
    assert {one.type for one in rest} <= {"fact", "discovery", "error", "bugfix", "decision"}
    assert min(one.importance for one in rest) >= 0.5


def test_a_log_without_a_word_is_one_request() -> None:
    found = made(event({"prompt": LOG}, "prompt"))
    assert [one.type for one in found].count("request") <= 1


def test_a_question_in_what_is_pasted_is_not_the_persons() -> None:
    text = ("When I weigh on the small scale I get this:\n\n" + LOG[:900] +
            "\nImportError: no module named 'scales'. Did you forget to install the driver?")  # fmt: skip
    assert "Did you forget" not in only(event({"role": "user", "content": text})).title


@pytest.mark.parametrize(
    "text",
    [
        "Please add a column for the zone. " + "The scale sends grams and the table has ounces. " * 60
        + "Please add a test for it, too.",
        "Add `zone = 3` to the table.\n\n```\nzone = 3\n```\n\nAnd rename the column.",
        "Please print the labels:\n- north\n- south\n- the islands",
    ],
)  # fmt: skip
def test_what_a_person_writes_is_theirs(text: str) -> None:
    assert pasted.own_words(text) is None


def test_a_marked_list_has_titles() -> None:
    said = "It has done so for long. " * 50
    items = [f"**{n}. The scale of zone {n} (new)**\n*   **Fact:** it sends ounces. {said}" for n in range(1, 5)]
    found = of_user("Read what was found.\n\n" + "\n\n".join(items))
    assert not [one.title for one in found if one.title.strip("*").rstrip(".").isdecimal()]


def test_hostile_pastes_take_no_longer_than_they_are() -> None:
    began = Stopwatch(time.process_time)
    for bit in ("at x", "a.ts:1", " ", "=", "# a\n", "** ", "```\n", "| a |\n", "a @ b:1\n", "  at async ", "if [ ",
                "a;\n"):  # fmt: skip
        text = bit * (256_000 // len(bit))
        pasted.own_words(text)
        pasted.is_printed(text)
    assert began.fair < 3
