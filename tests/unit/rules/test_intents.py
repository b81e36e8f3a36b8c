"""What an agent is about to do is nothing to remember; what it tells beside that is, and so is all that people say."""

from __future__ import annotations

import time

import pytest

from muster.domain.memory import NewObservation
from muster.domain.rules import intents
from tests.pace import Stopwatch
from tests.unit.rules.observing import event, made, only


def agent(text: str) -> list[NewObservation]:
    return made(event({"role": "assistant", "content": [{"type": "text", "text": text}]}))


@pytest.mark.parametrize(
    "text",
    [
        "Let me write the rates table.",
        "Now let me add the zone to the label printer:",
        "I'll start with the README, the changelog and the other pages:",
        "I’ll commit the changes following the git protocol.",
        "I will carefully review the code before submitting the edit command again.",
        "We will start by examining the server code which is supplied to us.",
        "We'll create a new file called `weigh.py` and paste the example into it.",
        "Next, I will use `curl` to upload the label to the server.",
        "Calling `submit` to submit.",
        "Calling submit.",
        "Now I'll create the worker:",
        "I'm going to rebuild the image with all of the fixes.",
        "You're absolutely right! Let me fix the version command:",
        "Perfect! Now let me run the tests to verify that the parcel fix works:",
        "Great question! Let me look into the rates.",
        "I'll help you build a queue for parcels. Let me start by researching what it has to hold.",
        "To be certain, I'll run the worker once more.",
        "Before we go on, let's list the files in the repository to get an idea of its structure.",
        "Let's first unzip the files",
        "Let's now try to run the file and see what it prints.",
        "Check the files provided again",
        "Try to locate the current directory",
        "First, I'll set up a model and deploy:",
        "Understood! Let me move on with the other tasks. Let me update the list:",
        "As suggested by the tips, I will open main.py and see what to change.",
        "Proceeding to the next file.",
    ],
)
def test_what_an_agent_is_about_to_do_is_nothing(text: str) -> None:
    assert agent(text) == []


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("The rates table has no zone for islands. Let me add one:", "The rates table has no zone for islands."),
        ("Let me see. The rates table has no zone for islands. Now I'll add one.",
         "The rates table has no zone for islands."),
        ("Perfect! All 23 dependencies are in the image now. Let me deploy it and look at the log of the worker:",
         "All 23 dependencies are in the image now."),
        ("I'll fix the labels of the parcels in the north. The printer knows no PNG.", "The printer knows no PNG."),
        ("Let me look at the types - it seems there are stubs missing for the printer.",
         "Let me look at the types - it seems there are stubs missing for the printer."),
        ("Running the tests takes nine minutes on the small runner.",
         "Running the tests takes nine minutes on the small runner."),
        ("I'll keep the old endpoint for the scanners.", "I'll keep the old endpoint for the scanners."),
        ("I will not touch the rates table.", "I will not touch the rates table."),
        ("Search works on the new index.", "Search works on the new index."),
        ("Check the VPN before you deploy to the depot.", "Check the VPN before you deploy to the depot."),
    ],
)  # fmt: skip
def test_what_an_agent_tells_beside_it_is_kept(text: str, title: str) -> None:
    (one,) = agent(text)
    assert (one.type, one.title, one.narrative) == ("fact", title, text)


@pytest.mark.parametrize(
    "text",
    [
        "Let me just disable the hook since the error is harmless and the file is formatted anyway:",
        "I'll run the import with Python 3.12 because 3.13 has no wheel for it.",
    ],
)
def test_a_reason_is_kept_and_weighs_little(text: str) -> None:
    (one,) = agent(text)
    assert (one.type, one.importance) == ("fact", 0.25)


def test_what_an_agent_promises_for_a_day_is_kept() -> None:
    (one,) = agent("I'll run the migration tomorrow.")
    assert one.facts == ["“tomorrow”: 21 November 2026"]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("We decided on grams. Let me change the rates table.", "decision"),
        ("I'll fix it. The root cause was the zone that is missing.", "bugfix"),
        ("Let me look. The worker crashes when a parcel has no zone.", "error"),
        ("I found that the rates are in cents. I'll check the tests.", "discovery"),
        ("We'll go with grams instead of ounces for the scales because the scanners know no others.", "decision"),
    ],
)
def test_what_counts_is_known_beside_it(text: str, kind: str) -> None:
    (one,) = agent(text)
    assert one.type == kind
    assert not one.title.startswith(("Let me", "I'll fix", "I'll check"))


@pytest.mark.parametrize(
    "text",
    [
        "Let me write to Anna and ask how her move went.",
        "I'll start with the violin in spring, I think.",
        "We will open a café by the lake.",
        "Let's go to the lake with the kids!",
        "I'm going to sell the boat.",
        "Now let me tell you about the trip:",
    ],
)
def test_people_tell_of_what_they_are_going_to_do(text: str) -> None:
    for payload in ({"speaker": "Ann", "text": text}, {"role": "user", "name": "Ann", "content": text},
                    {"role": "assistant", "name": "Ann", "content": text}):  # fmt: skip
        one = only(event(payload))
        assert one.title == f"Ann: {text}"
        assert one.importance > 0.25
    assert len(made(event({"role": "user", "content": text}))) == 1
    assert len(made(event({"prompt": text}, "prompt"))) == 1


@pytest.mark.parametrize(
    "text", ["Let's now run the worker.", "Check the scales again", "Run `make seed` on a new machine.",
             "Please restart the scanner. It has the new firmware.", "Could you restart the scanner?"]
)  # fmt: skip
def test_what_an_agent_says_is_no_request(text: str) -> None:
    assert "request" not in [one.type for one in agent(text)]
    # A person in a conversation asks in the same words.
    assert only(event({"role": "user", "content": text})).type == "request"


def test_hostile_intents_take_no_longer_than_they_are() -> None:
    began = Stopwatch(time.process_time)
    for bit in ("now, ", "ok! ", "let me ", "to be sure, ", "I'll ", "before it, ", "calling ", "running - it ", "try ",
                "however, ", "it ", "the next step is ", "check x", "so that ", "well - the "):  # fmt: skip
        text = bit * (256_000 // len(bit))
        for _ in range(20):
            intents.weight(text)
            intents.is_ahead(text)
            intents.agrees(text)
            intents.has_reason(text)
    assert began.fair < 3
