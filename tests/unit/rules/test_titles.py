"""Of several sentences, a message is known by the one that states what came of it."""

from __future__ import annotations

import time

import pytest

from muster.domain.memory import NewObservation
from muster.domain.rules import titles
from tests.pace import Stopwatch
from tests.unit.rules.observing import event, made


def agent(text: str) -> list[NewObservation]:
    return made(event({"role": "assistant", "content": [{"type": "text", "text": text}]}))


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Great news! The scale patch worked - the depot reached ready state! The log shows:\n\n```\n"
         "+ .depots['north'].scales['north/0'].state.current = 'ready'\n+ .depots['north'].release = '0.4.0'\n```\n",
         "The scale patch worked - the depot reached ready state!"),
        ("The depot took the parcel.\n+ .depots['north'].scales['north/0'].state.current = 'ready' and all the others",
         "The depot took the parcel."),
        ("I can see that the label change worked - the label was printed.\nLet me print another:",
         "I can see that the label change worked - the label was printed."),
        ("Good! Coverage is now at 58%, up from 51%. Let me look at the report:\n- **src/labels.py**: 40% coverage - "
         "missing lines for print_label, list_labels, and the error cases\n"
         "- **src/scales.py**: 70% coverage - missing lines for the drift, and some error cases",
         "Coverage is now at 58%, up from 51%."),
        ('I can see there\'s already a list of words. I\'ll add "DHL" to the words that the checker ignores:',
         'I\'ll add "DHL" to the words that the checker ignores:'),
        ("From this code, it looks like the weighing in the depot may be off. Instead of being rounded down, it should "
         "be rounded to the next gram.",
         "Instead of being rounded down, it should be rounded to the next gram."),
        ("The labels of the parcels might have wrong zones somewhere. The reason is the table of 2019.",
         "The reason is the table of 2019."),
        ("- weigh.py: reads the scale of the Depot by `USB`\n\nWeighing now takes 3 s.", "Weighing now takes 3 s."),
    ],
)  # fmt: skip
def test_a_title_states_what_came_of_it(text: str, title: str) -> None:
    (one,) = agent(text)
    assert (one.type, one.title) == ("fact", title)


def test_what_leans_and_leads_is_nothing() -> None:
    assert agent("Let me write the tests of the labels. These will be simpler than those of the scale:") == []


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("These are the rates:\n- North: 4 euros\n- South: 5 euros", "North: 4 euros"),
        ("I can see there's already a list of words.", "I can see there's already a list of words."),
        ("I can see there's already a list of words. I'll open it.", "I can see there's already a list of words."),
        ("The depot may be closed on Mondays.", "The depot may be closed on Mondays."),
        ("```\nrates = 4\n```", "Rates = 4"),
    ],
)
def test_what_is_told_alone_is_the_title(text: str, title: str) -> None:
    assert title in agent(text)[0].title


def test_hostile_titles_take_no_longer_than_they_are() -> None:
    began = Stopwatch(time.process_time)
    for bit in ("```\n", "```\na\n", "~~~\n", "+ a", "+ .a[", "- a\n", "`", "is now ", "i can see ", "may be "):
        part = (bit * 2_000)[:1600]
        told = [bit * 200] * 4
        for _ in range(20):
            titles.told_best(part, told, len)
            titles.changing(told, [*told, "x"])
    assert began.fair < 3


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Great progress! The scale patch worked perfectly - 6 tests passed. However, there are 4 failures to address.",
         "The scale patch worked perfectly - 6 tests passed. However, there are 4 failures to address."),
        ("The tests completed successfully! Of the parcels, 2 failed: north and south.",
         "The tests completed successfully! Of the parcels, 2 failed: north and south."),
        ("All the labels were printed successfully. But some tests are still failing.",
         "All the labels were printed successfully. But some tests are still failing."),
        ("The upload now works. One label test still fails.", "The upload now works. One label test still fails."),
    ],
)  # fmt: skip
def test_what_takes_a_success_back_is_in_the_title(text: str, title: str) -> None:
    (one,) = agent(text)
    assert one.title == title


@pytest.mark.parametrize(
    "text",
    [
        "The upload of the labels now works. 0 failed, and nothing is left.",
        "The upload of the labels now works. No tests failed.",
        "The upload of the labels now works. The 3 failures of before are gone.",
        "The upload of the labels now works. It retries if some tests fail.",
        "The upload of the labels now works. Two printers are new.",
    ],
)
def test_what_takes_nothing_back_is_not(text: str) -> None:
    (one,) = agent(text)
    assert one.title == "The upload of the labels now works."
