"""What a summary tells first, and what it leaves out: the task, how it came out, what was found."""

from __future__ import annotations

import time

import pytest

from muster.domain.memory import Event, NewObservation
from muster.domain.rules.summary import summarise
from tests.pace import Stopwatch
from tests.unit.rules.observing import event, made, tool


def ran(command: str, output: str = "", code: int = 0) -> Event:
    return tool("Bash", {"command": command}, {"stdout": output}, exit_code=code)


def says(text: str) -> Event:
    return event({"role": "assistant", "content": text})


def asks(text: str) -> Event:
    return event({"prompt": text}, "prompt")


def summary(*events: Event, title: str | None = None) -> NewObservation:
    (one,) = summarise(title, events, made(*events)).observations
    return one


def section(name: str, *events: Event) -> list[str]:
    text = summary(*events).narrative or ""
    lines = f"\n\n{text}".partition(f"\n\n{name}:\n")[2].partition("\n\n")[0]
    return [line.removeprefix("- ") for line in lines.split("\n") if line]


WRITTEN = tool("Write", {"file_path": "src/rate.py", "content": "def rate(x): ..."}, {"ok": True})


@pytest.mark.parametrize(
    ("text", "reached"),
    [
        ("I've successfully rounded the totals to cents. The tests are next to it.",
         "I've successfully rounded the totals to cents."),
        ("Done! I moved the rates into a table of their own.", "I moved the rates into a table of their own."),
        ("All 14 tests of the shop pass now.\n\n- ✅ rates\n- ✅ totals", "All 14 tests of the shop pass now."),
        ("The issue with the rounding is fixed: cents are rounded last.",
         "The issue with the rounding is fixed: cents are rounded last."),
    ],
)  # fmt: skip
def test_how_it_came_out_is_told_first(text: str, reached: str) -> None:
    done = section("Done", asks("Mend the rounding of totals in the shop."), WRITTEN, says(text))
    assert done[0].endswith(reached)
    assert len([line for line in done if reached[:30] in line]) == 1


@pytest.mark.parametrize(
    "text",
    [
        "Now that the issue is fixed, we can remove the script that showed it.",
        "All tests should pass now, I think.",
        "Shall I commit it now that all tests pass?",
        "I could not finish it: the server is down.",
        "Let me run all tests and see that they pass.",
    ],
)
def test_what_is_not_said_to_be_reached_is_not_told_as_such(text: str) -> None:
    done = section("Done", asks("Mend the rounding of totals in the shop."), WRITTEN, says(text))
    assert "rate.py" in done[0]


def test_an_outcome_of_before_the_last_request_is_not_that_of_the_session() -> None:
    events = asks("Mend the totals."), says("I've successfully mended the totals."), asks("Now add the rates."), WRITTEN
    assert "Now add the rates" not in section("Done", *events)[0]
    assert "–" not in summary(*events).title


def test_a_flag_that_was_sought_is_the_outcome() -> None:
    task = asks("Solve the CTF challenge named Lighthouse. Its flag has the form flag{...}.")
    right, wrong = "flag{l1ght_0n_th3_r0ck}", "flag{l0st_1n_th3_f0g}"
    found = (task, ran("python solve.py", right), ran(f"submit '{right}'"))
    assert section("Done", *found)[0] == f"Found the flag: {right}"
    assert summary(*found).title.endswith(f" – Found the flag: {right}")
    for rest in (
        [ran("python solve.py", wrong), ran(f"submit '{wrong}'", "Wrong flag!")],
        [ran("cat solve.py", "known = 'flag{xxxxxxxxxxxx}'")],
        [says(f"It may be {right}.")],
    ):
        assert "Found the flag" not in (summary(task, *rest).narrative or "")
    other = asks("Format the templates of the shop."), ran("cat a.tex", r"textbf{some words in bold}")
    assert "flag" not in (summary(*other).narrative or "")


@pytest.mark.parametrize("flag", [r"flag{Ab\tuv{x\z{vw}", "CTF{a{b}c}", "flag{with some words}", "FLAG{un1_que}"])
@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_a_flag_is_what_was_handed_in_whatever_it_holds(flag: str, quote: str) -> None:
    task = asks("Solve the CTF challenge named Lighthouse. Its flag has the form flag{...}.")
    refused = ran(f"submit {quote}{flag.replace('a', 'o')}x{quote}", "Wrong flag!")
    assert section("Done", task, refused, ran(f"submit {quote}{flag}{quote}", flag))[0] == f"Found the flag: {flag}"
    doubled = flag.replace("\\", "\\\\")
    assert section("Done", task, ran(f"submit {quote}{doubled}{quote}", flag))[0] == f"Found the flag: {flag}"
    wrong = ran(f"submit {quote}{flag}{quote}", "Wrong flag!")
    assert "Found the flag" not in (summary(task, says("I looked at the program."), wrong).narrative or "")


def test_what_was_handed_in_last_is_told_as_that() -> None:
    task = asks("Solve the CTF challenge named Lighthouse. Hand in its flag or its key.")
    assert section("Done", task, ran("submit '70361'"))[0] == "Submitted: 70361"
    for rest in ([ran("submit '70361'", "Wrong flag!")], [ran("submit '70361'"), ran("ls", "a b")], [ran("submit")]):
        assert "Submitted" not in (summary(task, says("I looked at the program."), *rest).narrative or "")
    other = asks("Send the form of the shop."), ran("submit '70361'")
    assert "Submitted" not in (summary(*other).narrative or "")


@pytest.mark.parametrize(
    ("text", "reached"),
    [
        ("It looks like the assertions succeeded! I will now submit.", "It looks like the assertions succeeded!"),
        ("The script ran successfully, printing `8.2`. Let's submit it.",
         "The script ran successfully, printing `8.2`."),
        ("Perfect.\n\nThe build of the shop now completes without errors.",
         "The build of the shop now completes without errors."),
        ("These four tests of the shop pass.", "These four tests of the shop pass."),
    ],
)  # fmt: skip
def test_that_what_was_tried_came_out_well_is_the_outcome(text: str, reached: str) -> None:
    assert section("Done", asks("Mend the rounding of totals in the shop."), WRITTEN, says(text))[0] == reached


@pytest.mark.parametrize(
    "text",
    [
        "The tests passed before the change. Two of the tests fail now.",
        "The script ran successfully, but the total is still wrong.",
        "The tests should pass once the server is up.",
        "The first of the tests passed. However, 3 tests are still failing.",
        "Let me see whether the script ran successfully.",
        "`done/error` is what the queue is called now.",
    ],
)
def test_what_is_taken_back_is_no_outcome(text: str) -> None:
    assert "rate.py" in section("Done", asks("Mend the rounding of totals in the shop."), WRITTEN, says(text))[0]


def test_a_long_task_is_shortened_and_not_how_it_came_out() -> None:
    task = "Mend the rounding of totals in the shop, " + "which is wrong for all invoices that have more lines, " * 3
    reached = "I've successfully rounded the totals of all invoices, so that they are what people pay in the end."
    title = summary(asks(task), WRITTEN, says(reached)).title
    assert title.startswith("Summary: Mend the rounding of totals")
    assert title.endswith(f"… – {reached}")
    assert len(title) <= 200
    long = f"I've successfully rounded the totals of all invoices, {'and of all of their lines as well, ' * 4}as asked."
    title = summary(asks(task), WRITTEN, says(long)).title
    assert "… – I've successfully rounded the totals of all invoices" in title
    assert title.endswith(".")
    assert not title.endswith("…")


def test_chores_are_not_what_was_done() -> None:
    events = (asks("Mend the rounding of totals in the shop."), WRITTEN, ran("rm reproduce.py"),
              ran("sqlite3 shop.db 'update x set a = 1'"))  # fmt: skip
    assert section("Done", *events) == [line for line in section("Done", *events) if not line.startswith("Run `")]
    assert any("rm" in line for line in section("Done", asks("Tidy up the folder, please."), ran("rm -r build")))


def test_what_is_learned_begins_with_causes_and_has_no_narration() -> None:
    told = [
        "The shop has three pages.",
        "The totals were wrong because cents were rounded before they were added.",
        "These will be simpler than the others:",
        "The tests are still running.",
        "You've hit your limit · resets 3pm",
        "The rates live in a table of their own.",
        "The requirement is that prices are shown with tax.",
    ]
    learned = section("Learned", asks("Look into the totals of the shop."), *map(says, told))
    assert "rounded before" in learned[0]
    assert any("table of their own" in line for line in learned)
    for line in ("simpler than", "still running", "your limit"):
        assert not any(line in one for one in learned)


def test_the_title_is_the_task_and_not_a_reaction() -> None:
    events = (
        asks("No, don't switch it off, mend it."),
        says("I see."),
        asks("Move the rates into a table of their own."),
    )
    assert summary(*events, WRITTEN).title == "Summary: Move the rates into a table of their own."
    assert summary(asks("No, don't switch it off, mend it."), WRITTEN).title.startswith("Summary: ")
    assert summary(*events, WRITTEN, title="Rates").title == "Summary: Rates"
    one = (
        asks("Move the rates into a table of their own."),
        WRITTEN,
        says("I've successfully moved the rates to a table."),
    )
    assert summary(*one).title == (
        "Summary: Move the rates into a table of their own. – I've successfully moved the rates to a table."
    )
    failed = ran("pytest", "FAILED tests/test_rate.py::test_it - assert 1 == 2\n1 failed in 0.5s", 1)
    assert "–" not in summary(*one, failed).title
    assert "successfully" not in section("Done", *one, failed)[0]
    no_task = WRITTEN, says("I've successfully moved the rates to a table.")
    assert summary(*no_task).title == "Summary: I've successfully moved the rates to a table."


def test_only_what_people_asked_was_asked() -> None:
    compacted = "This session is being continued from a previous conversation that ran out of context. Please go on."
    step = tool("Task", {"prompt": "Find all callers of the rates."}, {"content": "There are two callers: a and b."})
    events = (
        asks(compacted),
        step,
        asks("Move the rates into a table of their own."),
        says("Please wait for the tests."),
    )
    assert section("Asked", *events) == ["Move the rates into a table of their own."]


def talked(*asked: str) -> list[Event]:
    return [each for text in asked for each in (asks(text), says("I have looked at the pages of the shop."))]


WORTH_IT = (
    "Build the pages of the shop that show the rates of each country.",
    "Please put the totals of each invoice into a table of their own.",
    "Load the rates of May from `rates.csv` before the pages are built.",
    "Rename `total_of` to `sum_of` in all of the modules of the shop.",
    "Don't use the old importer of rates any more, it loses rows.",
    "Write a test for an invoice that has no lines at all.",
)
IN_PASSING = (
    "W8.", "Let's talk about that first.", "What should we do about it?", "Hm, not that again...", "Can you run the "
    "specs?",
    "Jeeez, these are shallow...", "No, that is not it.", "Commit the changes.", "Is that so?", "/compact", "Go on "
    "then.",
    "ana@desk shop % ls -la /home/ana/shop/rates/of/may/and/june/2026",
)  # fmt: skip


def test_of_much_that_was_asked_what_says_something_is_told() -> None:
    said = [text for pair in zip(IN_PASSING, (*WORTH_IT, *IN_PASSING[6:]), strict=True) for text in pair]
    lines = section("Asked", *talked("Mend the shop, please: its pages are slow.", *said), WRITTEN)
    assert lines[0] == "Mend the shop, please: its pages are slow."
    assert len(lines) == 8
    assert all(any(line in (text, text.removeprefix("Please ").capitalize()) for line in lines)
               or any(text[8:40] in line for line in lines) for text in WORTH_IT)  # fmt: skip
    assert sum(line.startswith(("W8", "Let's talk", "What should", "/compact", "ana@desk")) for line in lines) <= 1
    assert section("Asked", *talked("Mend the shop, please.", "And now for the rest of it?"), WRITTEN) != []


@pytest.mark.parametrize(
    "said", [["/exit"], ["/code", "/exit"], ["/model", "/help", "/quit"], ["exit"], ["/add rate.py"]]
)
def test_who_only_told_the_program_something_did_nothing(said: list[str]) -> None:
    events = [*map(asks, said), says("The program was started with the model `tern-2` and its usual settings.")]
    answer = summarise(None, events, made(*events))
    assert answer.observations == []
    assert answer.note
    more = [asks("Why are the pages of the shop slow?"), *events]
    (one,) = summarise(None, more, made(*more)).observations
    assert not any(f"- {text}" in (one.narrative or "") for text in said)
    assert one.title == "Summary: Why are the pages of the shop slow?"


@pytest.mark.parametrize("said", ["/deploy the shop to the edge", "/review"])
def test_a_command_of_the_project_is_asked(said: str) -> None:
    events = (asks(said), says("The pages of the shop are slow because of a query."))
    assert summary(*events).title.startswith("Summary: ")


def test_the_title_is_not_what_was_done_in_passing() -> None:
    events = *talked("Commit the changes", "The linting of the shop fails, because it can't find the rates."), WRITTEN
    assert summary(*events).title == "Summary: The linting of the shop fails, because it can't find the rates."
    assert summary(*talked("Commit the changes"), WRITTEN).title == "Summary: Commit the changes"


def test_long_words_take_no_longer_than_they_are() -> None:
    began = Stopwatch(time.process_time)
    for bit in ("flag{", "a{b c ", "now that ", "i have ", "let's ", "good, ", "you've hit your ", "}", "because "):
        text = bit * (256_000 // len(bit))
        summary(asks("Find the flag of the challenge."), says(text), ran("cat x", text), says(text[:3000]))
    assert began.fair < 12
