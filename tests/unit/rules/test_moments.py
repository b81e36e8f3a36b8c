"""What an agent says that holds for a moment is nothing to remember, and no title beside what does."""

from __future__ import annotations

import time

import pytest

from muster.domain.memory import NewObservation
from muster.domain.rules import intents, moments, quoted
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


@pytest.mark.parametrize(
    "text",
    [
        "You're absolutely right to question this! Let me look at the rates.",
        "Still failing! Let me check the labels:",
        "Good thinking! Let's run the scale before that:",
        "Excellent strategy! Let me read what the scales sent:",
        "You're right! I apologize for that error. Let me correct the label:",
        "Excellent! Stage 1 complete. Now let me go on with stage 2:",
        "My edit command did not use the proper indentation, I will fix it in the next one.",
        "Oh no! My edit did not use the proper indentation, let's fix that.",
        "We found a line that might be the zone, let's try to print it.",
        "Now update the table of rates:",
        "2. Now update the printer to know the zone:",
        "Now Step 3 — take the scale apart:",
        "You're right, let me look at the shortest way:",
        "Great! The commit is done. Let me update the list:",
        "Now I can fix the rates:",
    ],
)
def test_what_says_nothing_is_nothing(text: str) -> None:
    assert made(event({"role": "assistant", "text": text})) == []


@pytest.mark.parametrize(
    "text",
    ["All tests pass.", "Great! The unit test passes. Now let's wire it up:", "Perfect! All checks are green now.",
     "The test suite is indeed green.", "빌드 완료.", "저장소 생성 완료. 이제 확인하겠습니다."],
)  # fmt: skip
def test_how_the_tests_were_weighs_little(text: str) -> None:
    assert only(event({"role": "assistant", "text": text})).importance == 0.3


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("All tests pass. The scale sends grams since version 4.", "The scale sends grams since version 4."),
        ("You're absolutely right to question this! The scale sends ounces.", "The scale sends ounces."),
        ("We are now looking at the part of `scales.py` where it rounds. It uses integer division, which truncates.",
         "It uses integer division, which truncates."),
        ("The table has been changed to use `round`, which should do. I see that the folder is still `/mill`, so we "
         "can just run the scale.", "The table has been changed to use `round`, which should do."),
        ("The scales of the north hall know these units only:\n\n- grams\n- ounces",
         "The scales of the north hall know these units only: grams"),
    ],
)  # fmt: skip
def test_what_it_tells_beside_that_is_its_title(text: str, title: str) -> None:
    assert only(event({"role": "assistant", "text": text})).title == title


@pytest.mark.parametrize(
    "text",
    [
        "All 16 tests of the scales pass on the new driver.",
        "The tests pass only with the lock around the queue.",
        "You're right that the scale sends ounces.",
        "The commit 3f2a9c1 holds the new rates.",
        "Now the scale sends grams to all of the printers.",
        "We can see the zone of each parcel in the table.",
        "The edit of the rates failed in the depot.",
    ],
)
def test_what_tells_something_weighs_as_before(text: str) -> None:
    assert only(event({"role": "assistant", "text": text})).importance >= 0.5


@pytest.mark.parametrize(
    ("text", "is_error"),
    [
        ("I also failed to answer your question on the scales.", False),
        ("The message says that zones are mended but shows new labels, not any wrong zone being fixed.", False),
        ("The scale failed to start.", True),
        ("The rounding isn't being fixed by that.", True),
    ],
)
def test_an_apology_is_no_error(text: str, is_error: bool) -> None:
    assert (only(event({"role": "assistant", "text": text})).type == "error") is is_error


def test_what_an_agent_should_have_done_is_no_step() -> None:
    text = "You're absolutely right - I should have asked the scale for its version instead of the printer."
    assert only(event({"role": "assistant", "text": text})).importance == 0.5


COUNCIL = """
Ann Example (Author of Scales): "The scale teaches us something of the parcel. I would listen to it, and weigh again."

Bob Sample (Weighing Daily): "What matters is the gram, and not the ounce. I would change the unit of all of the rates."
"""


def test_what_people_say_who_were_made_up_weighs_little() -> None:
    assert {one.importance for one in made(event({"role": "assistant", "text": COUNCIL}))} == {0.3}
    named = "The files are:\n\nScale Rates (src/rates.py): holds the grams\n\nLabel Zones (src/zones.py): holds the "
    "zones"
    assert {one.importance for one in made(event({"role": "assistant", "text": named}))} == {0.5}
    assert only(event({"speaker": "Ann", "text": COUNCIL})).importance >= 0.5


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("結論: 運賃の単位をグラムに変更しました。\n\n- [src/rates.ts](/home/me/rates.ts:58)\n- 単位は `gram` です。",
         "結論: 運賃の単位をグラムに変更しました。"),
        ("The rates are in cents.\n\n- [src/rates.ts](/home/me/src/scales/of/the/north/rates.ts:58)",
         "The rates are in cents."),
    ],
)  # fmt: skip
def test_a_link_is_no_title(text: str, title: str) -> None:
    assert only(event({"role": "assistant", "text": text})).title == title


def test_hostile_moments_of_all_kinds_take_no_longer_than_they_are() -> None:
    began = Stopwatch(time.process_time)
    for bit in ("still ", "the tests ", "my edit ", "we are looking at ", "now add ", "A Bc (de): ", "the commit is ",
                "완료 ", "i see that ", "it may, "):  # fmt: skip
        text = bit * (256_000 // len(bit))
        for _ in range(5):
            moments.passes(text[:300])
            moments.is_status(text)
            intents.is_bare(text)
            quoted.speaks_for_others(text)
    assert began.fair < 3
