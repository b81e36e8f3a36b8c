"""Whose wishes and decisions they are: people's, and not those of what is printed, hoped for or explained."""

from __future__ import annotations

import time

import pytest

from muster.domain.rules import intents, quoted, statements, wishes
from tests.pace import Stopwatch
from tests.unit.rules.observing import event, made, only


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("It looks like the edit succeeded and the bug should be fixed. To be certain, I'll run it.", "fact"),
        ("The edit succeeded and the bug should be fixed.", "fact"),
        ("The rounding of rates should be fixed.", "fact"),
        ("The crash in the label printer should be fixed now.", "fact"),
        ("With this change the crash should be fixed.", "fact"),
        ("This must be fixed before Monday.", "error"),
        ("This should be fixed before Monday.", "error"),
        ("The crash should be fixed by the next release, it hits all customers.", "error"),
        ("The bug is not fixed yet.", "error"),
    ],
)
def test_what_should_be_fixed_by_now_is_no_failure(text: str, kind: str) -> None:
    assert only(event({"role": "assistant", "text": text})).type == kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("This is a design decision that affects all of the filters.", "fact"),
        ("That would be a big decision that somebody has to take.", "fact"),
        ("We made the decision that rates are in cents.", "decision"),
        ("The decision that rates are in cents stands.", "decision"),
        ("- `rates.py:12` - Modified `wait()` to sleep instead of using curl", "fact"),
        ("Updated the worker to take the queue instead of using cron.", "fact"),
        ("We switched to the queue instead of using cron.", "decision"),
        ("Use the queue instead of using cron.", "decision"),
        ("We will use an argument as before to print the file.", "fact"),
        ("We'll go with HTTP instead of a command for the check, because the image has no shell.", "decision"),
        ("I'll stick with the queue.", "decision"),
        ("We'll go with you to the lake.", "fact"),
        ("If we filter the list, it will almost always return nothing.", "fact"),
        ("The cache would always return the old rate.", "fact"),
        ("It always keeps the last parcel.", "fact"),
        ("You should always run the linter.", "preference"),
        ("Anything may stand there that we'd like, or nothing.", "fact"),
        ("The trip was on the day of the snow crash and the big storm.", "fact"),
        ("The workers crash at night.", "error"),
    ],
)
def test_what_is_explained_is_nobodys_decision(text: str, kind: str) -> None:
    assert only(event(text)).type == kind


@pytest.mark.parametrize(
    "text",
    [
        "I want to approve all your edits.",
        "I'd like to review every migration.",
        "I want us to work on one scenario at a time.",
        "I want you to ask me whenever a test is skipped.",
        "We practise ATDD, go outside-in.",
        "We follow trunk-based development here.",
        "Use strict TDD for the rates.",
    ],
)
def test_how_somebody_wants_to_work_is_a_preference(text: str) -> None:
    assert only(event({"prompt": text}, "prompt")).type == "preference"


@pytest.mark.parametrize(
    "text",
    [
        "I want to see the rates of last year.",
        "I'd like to approve the budget of the depot.",
        "We follow the river to the lake.",
        "We practise yoga on Mondays.",
    ],
)
def test_what_somebody_wants_once_is_none(text: str) -> None:
    assert only(event({"role": "user", "name": "Ann", "content": text})).type != "preference"


PRINTED = (
    "Welcome to the vault of riddles, stranger from afar.\n"
    "*I like to think of the old days when the harbour was full of ships.\n"
    "Never give your name to the keeper of the gate.\n"
)


@pytest.mark.parametrize("kind", ["agent.output", "stdout", "output"])
def test_what_a_program_prints_is_nobodys_wish(kind: str) -> None:
    payload = {"stream": "stdout", "text": PRINTED}
    found = made(event(payload, kind, "muster"))
    assert found
    assert "preference" not in [one.type for one in found]


@pytest.mark.parametrize(
    ("line", "wish"),
    [
        ("> Read the rates first. I dislike long functions with flags.", "I dislike long functions with flags."),
        ("> Never push to main without me.", "Never push to main without me."),
    ],
)
def test_what_somebody_types_in_a_terminal_is_theirs(line: str, wish: str) -> None:
    text = (
        f"⏺ Read(rates.py)\n  ⎿ Read 40 lines\n\n{line}\n\n⏺ Update(rates.py)\n  ⎿ Updated rates.py with 2 additions\n"
    )
    found = made(event({"stream": "stdout", "text": text}, "agent.output", "muster"))
    assert [(one.type, one.title) for one in found if one.type != "change"] == [("preference", wish)]


@pytest.mark.parametrize(
    ("line", "wish"),
    [
        ("  The user prefers small commits with a reason.", "The user prefers small commits"),
        ("Preference: small commits with a reason", "Small commits with a reason"),
    ],
)
def test_what_a_program_tells_of_somebodys_wishes_is_theirs(line: str, wish: str) -> None:
    (found,) = made(event({"stream": "stdout", "text": f"{line}\n\nDone in 3 s.\n"}, "agent.output", "muster"))
    assert found.type == "preference"
    assert wish in found.title


def test_hostile_wishes_take_no_longer_than_they_are() -> None:
    began = Stopwatch(time.process_time)
    for bit in ("> a\n", ">\t", "it would ", "always ", "i want us to ", "we practise ", "instead of using ",
                "is a decision that ",
                "should be fixed ", "succeeded ", "the user really "):  # fmt: skip
        text = bit * (64_000 // len(bit))
        quoted.typed(text)
        for says in (quoted.tells_of_a_person, statements.decides, statements.prefers, statements.breaks):
            says(text[:2000])
    assert began.fair < 5


@pytest.mark.parametrize(
    "text",
    [
        "I like how you think!",
        "I like this design better.",
        "I like 2 or 3",
        "I love the idea of the second scale.",
        "I want you to think harder on this.",
        "I want you to prepare a plan for the labels in several stages.",
        "I have more things I want you to do, so maybe we should plan.",
        "I'd like you now to revert the labels.",
        "I don't want you to change any labels at this time.",
        "Great, I prefer option 2.",
    ],
)
def test_what_is_liked_or_wanted_at_hand_is_no_preference(text: str) -> None:
    for sent in (event({"role": "user", "content": text}), event({"prompt": text}, "prompt")):
        assert "preference" not in [one.type for one in made(sent)]


@pytest.mark.parametrize(
    "text",
    [
        "Next time I tell you to use the scale, do so.",
        "In future, ask me before you print labels.",
        "Next time please check the scale before you print.",
        "Whenever you change the rates, run the tests of the printer.",
        "When I ask for a plan, don't write code.",
        "I want you to always ask before you print.",
        "I want you to be brief.",
        "I don't want you to touch the rates.",
        "I dislike how you always rush to the printer.",
        "I hate it when labels are printed twice.",
        "I like tabs better than spaces.",
        "I prefer grams.",
    ],
)
def test_what_holds_from_now_on_is_a_preference(text: str) -> None:
    assert only(event({"role": "user", "content": text})).type == "preference"


@pytest.mark.parametrize("text", ["Next time, use the other scale.", "In future, check the zone first."])
def test_advice_of_an_agent_is_no_preference(text: str) -> None:
    assert only(event({"role": "assistant", "text": text})).type != "preference"


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("I like how you think! The scale is better named gate.", "The scale is better named gate."),
        ("I like this design better. Please check where the zones have to be changed.",
         "Please check where the zones have to be changed."),
    ],
)  # fmt: skip
def test_what_is_liked_is_no_title(text: str, title: str) -> None:
    assert only(event({"prompt": text}, "prompt")).title == title


@pytest.mark.parametrize(
    "text",
    [
        "I will use the list of zones for this.",
        "I'll use your table of rates as they stand there.",
        "Right, the scale has its own driver. Let's use it as suggested:",
        "I will use sqlite3 from the command line to query the rates of each zone.",
        "색상 규칙이 결정적 단서입니다.",
        "범위는 데이터로 자동 결정됩니다.",
        "這個表是用來看的,而不是「決定運費的公式」。",
        "这取决于重量，由仓库决定。",
        "決定的な違いは単位です。",
    ],
)
def test_a_step_or_what_determines_is_no_decision(text: str) -> None:
    assert "decision" not in [one.type for one in made(event({"role": "assistant", "text": text}))]


@pytest.mark.parametrize(
    "text",
    ["We will use Postgres for this.", "We will use the queue instead of cron because it is faster.", "我们决定用克。",
     "最终决定使用克作为单位。", "决定：用克。", "單位的設計決定是用克。", "グラムを使うことに決定しました。",
     "단위는 그램으로 결정했습니다.", "단위는 그램으로 결정되었습니다."],
)  # fmt: skip
def test_what_is_decided_stays_a_decision(text: str) -> None:
    assert only(event({"role": "assistant", "text": text})).type == "decision"


def test_hostile_rules_take_no_longer_than_they_are() -> None:
    began = Stopwatch(time.process_time)
    for bit in (
        "i like ",
        "i want you to ",
        "next time ",
        "when i ",
        "in future, ",
        "whenever you ",
        "and ",
        "i'll use ",
    ):
        text = bit * (20_000 // len(bit))
        wishes.rules(text)
        wishes.reacts(text)
        wishes.prefers(text[:2000])
        intents.uses_now(text)
    assert began.fair < 3
