"""A pipeline that failed when it was last looked at is open, though nothing failed here."""

from __future__ import annotations

import time

import pytest

from muster.domain.memory import Event
from tests.pace import Stopwatch
from tests.unit.rules.observing import event
from tests.unit.rules.test_unfinished import opened
from tests.unit.rules.test_worth import asks, ran, says, section

TASK = asks("Make the pages of the shop faster.")
LISTED = "completed\t{}\tRound the totals\tShop CI\tmain\tpush\t15\t30s\t2026-11-20T12:00:00Z"
LOG = "Test\tRun pytest\t2026-11-20T12:00:00Z === 2 failed, 2 passed in 0.06s ===\nTest\t##[error]Process completed"
RED: list[Event] = [
    ran("sleep 30 && gh run list --limit 1", LISTED.format("failure")),
    ran("gh run view 15 --log-failed", f"{LOG} with exit code 1."),
]


@pytest.mark.parametrize(
    ("command", "output"),
    [
        ("gh run list --limit 5", LISTED.format("failure")),
        ("cd shop && gh run view 15", "X main Shop CI · 15\nTo see what failed, try: gh run view 15 --log-failed"),
        ("gh pr checks 7", "unit\tfail\t30s\thttps://ci.example/1\nlint\tpass\t5s\thttps://ci.example/2"),
        ("gh run list", f"{LISTED.format('failure')}\n{LISTED.format('success')}"),
    ],
)
def test_what_fails_elsewhere_is_open(command: str, output: str) -> None:
    looked = ran(command, output)
    assert "CI failed when it was last looked at" in opened(TASK, looked, says("I put that into the notes."))
    green = ran("gh run list --limit 1", LISTED.format("success"))
    assert opened(TASK, looked, green) == ""
    assert opened(TASK, looked, says("CI is green now.")) == ""
    assert "CI failed" in opened(TASK, looked, says("CI is not green yet, but the checks passed here."))
    assert "CI failed" in opened(TASK, green, looked)


def test_what_failed_there_is_told() -> None:
    assert "CI failed when it was last looked at: 2 failed, 2 passed" in opened(TASK, *RED)
    assert "CI failed when it was last looked at: Round the totals" in opened(TASK, RED[0])


@pytest.mark.parametrize(
    ("command", "output"),
    [
        ("gh run list", f"{LISTED.format('success')}\n{LISTED.format('failure')}"),
        ("gh run view 16", "✓ main Shop CI · 16"),
        ("git commit -m 'gh run list said failure'", "[main abc1234] completed failure"),
        ("cat notes.txt", LISTED.format("failure")),
        ("gh run list", "in_progress\t\tRound the totals\tShop CI\tmain"),
    ],
)
def test_what_does_not_fail_elsewhere_is_not_open(command: str, output: str) -> None:
    assert opened(TASK, ran(command, output), says("The pages are fast.")) == ""


@pytest.mark.parametrize(
    "text",
    [
        "Because the registry is not reachable, `npm test` was not run.",
        "The importer is there; it has not been tested with the rates of May.",
        "この環境では `npm test` は未実行です。",
        "Die Seiten wurden nicht getestet.",
        "由于没有网络，测试未运行。",
        "We still have some type errors in the importer, but they don't hinder the build.",
        "There are still two warnings in the log of the shop.",
    ],
)
def test_what_the_final_answer_says_was_not_done_is_open(text: str) -> None:
    assert text.rstrip(".") in opened(TASK, says(f"The pages are fast now. {text}"))


def test_trouble_that_stays_is_not_done() -> None:
    text = "We still have some type errors in the pages, but we fixed the importer of rates."
    assert text not in section("Done", TASK, ran("python -m build"), says(text))
    later = [
        event({"tool_name": "Write", "tool_input": {"file_path": f"a{n}.py", "content": "A = 1"}}) for n in range(30)
    ]
    assert opened(TASK, says("We still have some type errors in the pages."), *later, says("So it is.")) == ""
    assert opened(TASK, says("So far the tests were not run."), ran("pytest", "3 passed in 1s")) == ""


@pytest.mark.parametrize(
    ("text", "still_open"),
    [
        ("Let's leave the hooks of the importer for another session and do the pages now.", True),
        ("Keep the rename of the table for later, please.", True),
        ("Finish the footer of the pages tomorrow.", True),
        ("Shall we leave the hooks for another session?", False),
        ("Leave the old table as it is.", False),
        ("Add the rates for the next country.", False),
    ],
)
def test_what_a_person_leaves_for_another_time_is_open(text: str, still_open: bool) -> None:
    talk = [each for n in range(5) for each in (asks(f"Paint page {n} of the shop green."), says("It is green."))]
    assert (text[8:40] in opened(asks(text), says("All right."), *talk)) is still_open
    done = says("The hooks of the importer are written, the table is renamed, and the footer of the pages is finished.")
    assert (
        "rename of the table" not in opened(asks("Keep the rename of the table for later."), *talk, done) or still_open
    )


def test_long_words_take_no_longer_than_they_are() -> None:
    began = Stopwatch(time.process_time)
    for bit in ("completed failure ", "X ", "leave it ", "not run ", "we still have ", "1 failed, ", "ci is ", "Run a"):
        text = bit * (256_000 // len(bit))
        opened(asks(text[:8_000]), ran("gh run list", text), says(text), says("So it is."))
    assert began.fair < 12
