"""What a summary tells as learned: the cause and the fix, whole, before how the hands moved."""

from __future__ import annotations

import time

import pytest

from muster.domain.memory import NewObservation
from muster.domain.rules.learned import weigher
from muster.domain.rules.worth import done_worth
from tests.pace import Stopwatch
from tests.unit.rules.observing import event
from tests.unit.rules.test_worth import WRITTEN, asks, ran, says, section, summary

TASK = asks("Mend the rounding of totals in the shop.")


def learned(*told: str) -> list[str]:
    return section("Learned", TASK, *map(says, told))


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("Here is the section of `rate.py` where they are made. The present code cuts the number to an integer, which "
         "truncates the cents of each line. We'll have to change that.",
         "The present code cuts the number to an integer, which truncates the cents of each line."),
        ("The totals of March differ from the invoices in the archive. It turns out that the index is built before the "
         "rates are loaded.", "It turns out that the index is built before the rates are loaded."),
        ("I have looked at the logs of the server now. The root cause is a pool that hands out closed connections.",
         "The root cause is a pool that hands out closed connections."),
        ("Die Preise stehen in der Tabelle `rates`. Die Ursache ist ein Index, der nach dem Laden fehlt.",
         "Die Ursache ist ein Index, der nach dem Laden fehlt."),
        ("表的结构已经看过了。原因是索引在加载费率之前就已经建立。", "原因是索引在加载费率之前就已经建立。"),
        ("The rates come from a table of their own there. To fix this, we need to round the sum once instead of each "
         "line.", "To fix this, we need to round the sum once instead of each line."),
        ("Looking at `rate.py` again. The function has been updated to use `quantize`, so cents stay.",
         "The function has been updated to use `quantize`, so cents stay."),
    ],
)  # fmt: skip
def test_of_all_that_is_said_the_cause_is_told(text: str, cause: str) -> None:
    assert any(
        line.endswith(cause) for line in section("Learned", TASK, says(text)) + section("Done", TASK, says(text))
    )


HANDS = (
    "rm has no output when it deletes a file, so that must have worked in the end.",
    "My edit command used the wrong indentation in the file that I meant to change.",
    "It seems there was a syntax error in the edit due to an unmatched ']' character.",
    "The changes have not been applied correctly, because of a wrong edit command.",
    'I see that "Current directory" is still `/shop`, so we can just run `show.py` directly.',
    "The issue also points to a specific link with line number 1474 of that file.",
    "The `show.py` script has been successfully removed from the folder again.",
)


def test_the_cause_is_not_crowded_out_by_how_the_hands_moved() -> None:
    cause = "The totals are wrong because each line is rounded before the sum is taken."
    fix = "The sum should be rounded once, with `quantize`, after all of the lines are added."
    lines = learned(*HANDS[:4], cause, *HANDS[4:], fix)
    assert lines[:2] == [cause, fix]
    assert not any(hand in lines for hand in HANDS)


def test_commands_and_reads_are_nothing_learned_beside_what_is() -> None:
    looks = [ran("python3 show.py", "344"), event({"tool_name": "Read", "tool_input": {"file_path": "/shop/rate.py"}})]
    told = [says("The shop has three kinds of rates."), says("Totals are kept in a table of their own.")]
    lines = section("Learned", TASK, *looks, *told)
    assert len(lines) == 2
    assert not any(line.startswith(("Run ", "Read ")) for line in lines)


@pytest.mark.parametrize(
    "line",
    [
        "Two files arrive because the edit form of the shop sends the first one twice.",
        "The search is slow since the index of the shop is built anew at night.",
        "The root cause is that an edit command of the editor strips the last line.",
        "`pathlib.Path` objects are passed where the shop expects text.",
        "The scripts in `tools/` need a token of the shop in their environment.",
    ],
)
def test_what_is_of_the_matter_stays(line: str) -> None:
    assert line in learned("The shop has three pages.", line, "Totals are kept in a table of their own.")


def test_a_line_is_a_whole_sentence() -> None:
    long = (
        "The server answers each request with a new key of its own, which it builds of two numbers that are drawn "
        "anew, "
        "and it keeps neither of them for longer than the request lasts."
    )
    assert long in learned(f"{long} Let's go on.")
    joined = (
        "We have collected three answers of the server, each with the text that it sent and the key that belongs to "
        "it.All of them share the exponent.The keys differ because the server draws them anew each time."
    )
    (line,) = learned(joined)
    assert line == "The keys differ because the server draws them anew each time."
    (line,) = learned(
        "In this mode a name is opened as a file. In that case, it is read by a server that has no rights there."
    )
    assert line == "In this mode a name is opened as a file."
    (line,) = learned("In `raw` mode a name is a file. In that case, the loop ends early because the name is opened.")
    assert line == "In `raw` mode a name is a file. In that case, the loop ends early because the name is opened."
    for text in ("The rates are loaded by `shop.Rates` of the module `rates.Table` at night.", "Use `os.Path` there."):
        assert not any(
            one.endswith(("`shop.", "`rates.", "`os.")) for one in learned(text, "The shop has three pages.")
        )


def test_what_people_want_comes_first_and_leaves_room() -> None:
    names = ("rates", "totals", "keys", "pages", "names", "colours", "tables")
    told = [NewObservation(type="preference", title=f"I prefer to see the {name} before they are written.",
                           importance=0.75) for name in names]  # fmt: skip
    told += [NewObservation(type="preference", title="I like it!", importance=0.75)]
    told += [
        NewObservation(type="fact", title=f"The {name} are wrong because each line is cut before the sum is taken.")
        for name in names
    ]
    weigh = weigher(told)
    first = sorted(told, key=weigh, reverse=True)[:8]
    assert [one.type for one in first] == ["preference"] * 4 + ["fact"] * 4
    assert all("I prefer" in one.title for one in first[:4])


def test_what_breaks_off_is_not_taken_for_the_cause() -> None:
    lines = learned(
        "The books of the shop are not there.\n\nThe issue likely happened because\n\n1. nobody loads them."
    )
    assert not any(line.endswith("because") for line in lines)
    assert "Root Cause Analysis" not in learned(
        "The shop has three pages in all. See the notes.\n\n## Root Cause Analysis\n\nThe keys are kept apart."
    )


def test_done_is_told_in_whole_sentences() -> None:
    fixed = (
        "I've changed the table of rates so that each of its rows holds the day from which it is valid, and fixed the "
        "totals of all invoices that were written with the row before."
    )
    assert any(line.endswith("with the row before.") for line in section("Done", TASK, WRITTEN, says(fixed)))


def test_long_words_take_no_longer_than_they_are() -> None:
    began = Stopwatch(time.process_time)
    for bit in (
        "the issue ",
        "edit ",
        "script ",
        "file ",
        "which ",
        "a.The ",
        "because ",
        "is in the ",
        "to fix this ",
    ):
        text = bit * (256_000 // len(bit))
        summary(TASK, says(text), says(text[:4000] + ". It fails."))
    assert began.fair < 12


def test_of_how_something_stood_only_the_end_is_told() -> None:
    rows = (
        "Coverage is now at 63%, up from 58%, in the shop.",
        "The fix worked - the shop is up.",
        "Coverage is now at 71%, with `rate.py` at 83%.",
        "All linting checks are now passing in the shop.",
        "I see the error of the hook is still appearing there.",
        "Based on my reading, I now have a good understanding of the shop.",
        "Coverage is now at 77%, with `rate.py` at 91%.",
    )
    kept = "Most of the lines that no test reaches are in the handlers.", "Rates are kept in a table of their own."
    lines = learned(*rows[:4], *kept, *rows[4:])
    assert set(lines) == {rows[-1], *kept}
    assert "The tests pass only if the server is up, because they ask it for rates." in learned(
        *kept, "The tests pass only if the server is up, because they ask it for rates."
    )
    assert learned("The fix worked - the shop is up again.") == ["The fix worked - the shop is up again."]


def test_what_is_taken_back_in_the_next_sentence_is_told_with_that() -> None:
    both = "The rounding fix worked - 6 tests passed. However, there are 4 failures that I need to look into."
    lines = learned("Rates are kept in a table of their own.", both)
    assert not any("passed" in line and "However" not in line for line in lines)
    (line,) = learned(both)
    assert "However, there are 4 failures" in line


@pytest.mark.parametrize(
    "little",
    ["I've fixed the critical issue!", "I've successfully fixed the failing unit test.", "Fixed the CI issue."],
)
def test_a_deed_that_says_what_was_done_is_told_before_one_that_does_not(little: str) -> None:
    deeds = [NewObservation(type="bugfix", title=title, importance=0.7)
             for title in (little, "I've fixed the lazy download of books.", "Fixed the rounding issue.")]  # fmt: skip
    assert done_worth(deeds[0]) < min(map(done_worth, deeds[1:]))
    change = NewObservation(type="change", title="Change rate.py", importance=0.5)
    assert done_worth(change) < done_worth(change.model_copy(update={"title": "Change rate.py: `RATE = 2`"}))
