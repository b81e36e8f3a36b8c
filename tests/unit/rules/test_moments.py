"""What an agent says that holds for a moment is nothing to remember, and no title beside what does."""

from __future__ import annotations

import time

import pytest

from muster.domain.memory import NewObservation
from muster.domain.rules import moments
from tests.pace import Stopwatch
from tests.unit.rules.observing import event, made, only


def agent(text: str) -> list[NewObservation]:
    return made(event({"role": "assistant", "content": [{"type": "text", "text": text}]}))


@pytest.mark.parametrize(
    "text",
    [
        "The tests are still running.",
        "The integration tests are still running. Let me wait a bit longer for them to finish.",
        "The tests are running in the background.",
        "Good! The label build is still in progress. Let me check it again:",
        "The deployment is taking a while.",
        "It's still running...",
        "It looks like the tests are still running.",
        "Waiting for the tests to finish.",
        "I'm waiting for the build to complete…",
        "Still waiting for the deployment.",
        "I need to import the scales:",
        "I need to import the scales. Let me look at the imports:",
        "First, I need to write the rates table.",
        "First, we need to create the folder for the labels.",
        "Now I have to add the zone to the printer:",
        "I should also update the README.",
        "I want to look at the scanner first.",
        "Now I understand the context.",
        "Now I understand the context. Let me write the first test:",
        "I see the problem!",
        "Now I see what's happening.",
        "I now have a clear picture of the queue.",
        "I have all the information I need.",
        "Now it's clear!",
        "That makes sense now.",
        "The path looks correct.",
        "The path looks correct. Let me check the label:",
        "Everything looks good so far!",
        "This seems fine.",
    ],
)
def test_what_holds_for_a_moment_is_nothing(text: str) -> None:
    assert agent(text) == []
    transcript = made(event({"role": "assistant", "text": text}, "assistant_message", "muster"))
    assert transcript == []


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("The integration tests are still running. The scale was attached to the depot without its driver.",
         "The scale was attached to the depot without its driver."),
        ("Now it's clear! We need to add an index file to the rates folder to make the loader find it. Let's do that:",
         "We need to add an index file to the rates folder to make the loader find it."),
        ("The path looks correct. The printer wants 203 dpi.", "The printer wants 203 dpi."),
    ],
)  # fmt: skip
def test_it_is_no_title_beside_what_lasts(text: str, title: str) -> None:
    (one,) = agent(text)
    assert (one.title, one.narrative) == (title, text)


@pytest.mark.parametrize(
    "text",
    [
        "The server is running on port 8080.",
        "The tests are running in the nightly pipeline only.",
        "The scanner is still running the old firmware.",
        "The integration tests take nine minutes.",
        "Waiting for Anna's review before the merge.",
        "Waiting for the customer to send the rates.",
        "I need to know the password of the depot.",
        "I need to use `weigh` instead of `scale` for the parcels.",
        "I should note that the rates are in cents.",
        "I need to pass --trust, otherwise the depot refuses the charm.",
        "I need to handle the fact that the zone of a parcel can be empty.",
        "I need to weigh 27 more parcels to reach 85% (from 159 to 186).",
        "We need to restart the scanner when the firmware changes.",
        "I have to correct myself: the rates are in cents.",
        "I understand the rates as cents per gram.",
        "I see the zone is missing in the rates table.",
        "The path looks correct, and the file is missing all the same.",
        "The tests look better than the code they are for.",
        "It is clear that the printer needs a driver.",
        "I want to warn you: the key of the depot expires in May.",
    ],
)
def test_what_says_more_is_kept(text: str) -> None:
    (one,) = agent(text)
    assert one.narrative == text


@pytest.mark.parametrize(
    "text", ["I need to buy a violin.", "Now I understand the context.", "The path looks correct."]
)
def test_people_are_read_otherwise(text: str) -> None:
    assert only(event({"speaker": "Ann", "text": text})).title == f"Ann: {text}"


def test_hostile_moments_take_no_longer_than_they_are() -> None:
    began = Stopwatch(time.process_time)
    for bit in ("now, ", "ok! ", "the ", "tests ", "the tests are ", "still ", "i see ", "a/", "`", "waiting for ",
                "i need to ", "in the background ", "now ", "it is clear "):  # fmt: skip
        text = bit * (256_000 // len(bit))
        for size in (100, 299, 300, len(text)):
            for _ in range(20):
                moments.passes(text[:size])
    assert began.fair < 3
