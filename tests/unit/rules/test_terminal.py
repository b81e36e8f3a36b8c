"""What coding agents show in a terminal is read as what they did and said; what only looks like it, as it stands."""

from __future__ import annotations

import time

import pytest

from muster.domain.agents import OutputLine
from muster.domain.memory import Event
from muster.domain.rules.observing import observe
from muster.domain.rules.reading import Act, Kind, read_all
from muster.domain.transcripts import Transcript
from tests.pace import Stopwatch
from tests.unit.rules.observing import AT, TRACEBACK, event, made


def shown(*texts: str, kind: str = "agent.output", **more: str) -> list[Event]:
    return [event({"stream": "stdout", "text": text, **more}, kind, "muster") for text in texts]


def acts(*texts: str) -> list[Act]:
    return [act for act in read_all(shown(*texts)) if act.kind is not Kind.NOTHING]


def only_act(*texts: str) -> Act:
    (act,) = acts(*texts)
    return act


TEST_RUN = """\
⏺ Bash(cd /srv/mill && make test)
  ⎿  Error: Traceback (most recent call last):
       File "/srv/mill/grind.py", line 7, in grind
         return stones[3]
     IndexError: list index out of range
"""


@pytest.mark.parametrize("mark", ["⏺", "●"])
@pytest.mark.parametrize("gap", ["", "\n"])
def test_a_command_and_what_came_of_it(mark: str, gap: str) -> None:
    act = only_act(f"{mark} Bash(make flour)…\n{gap}  ⎿  12 sacks are full\n     1 sack is torn\n")
    assert (act.kind, act.command, act.text) == (Kind.COMMAND, "make flour", "12 sacks are full\n1 sack is torn")
    assert not act.failed


def test_a_command_that_fails_says_so() -> None:
    act = only_act(TEST_RUN)
    assert act.failed
    assert act.text.startswith("Traceback")
    one = made(*shown(TEST_RUN))[0]
    assert (one.type, one.title) == ("error", "make test fails: IndexError: list index out of range")


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("⏺ Bash(git commit -m \"Grind finer\n\n      - closer stones\")\n  ⎿  [main 1a2b3c4] Grind finer\n", "git"),
        ("⏺ Bash(timeout 9 make)\n  ⎿  Waiting…\n  ⎿  (timeout 9s)\n     all is ground\n", "timeout 9 make"),
        ("> ! make flour\n  ⎿  12 sacks are full\n", "make flour"),
        ("• Ran make flour\n  └ 12 sacks are full\n    … +3 lines\n", "make flour"),
        ("╭────────────╮\n│ ✔  Shell make flour (Grind it.) │\n│       │\n│    12 sacks │\n╰────╯\n", "make flour"),
        ("⏺\xa0Bash(make flour)\n  ⎿ \xa0 12 sacks are full (ctrl+r to expand)\n", "make flour"),
    ],
)  # fmt: skip
def test_commands_in_all_their_forms(text: str, command: str) -> None:
    act = only_act(text)
    assert act.kind is Kind.COMMAND
    assert act.command.startswith(command)
    assert act.text
    assert "+3 lines" not in act.text


@pytest.mark.parametrize(
    ("text", "kind", "files"),
    [
        ("⏺ Read(src/mill.py)\n  ⎿  Read 40 lines (ctrl+r to expand)\n", Kind.READ, ["src/mill.py"]),
        ("⏺ Update(src/mill.py)\n  ⎿  Updated src/mill.py with 1 addition and 1 removal\n"
         "       7 -      return stones[3]\n       7 +      return stones[2]\n", Kind.EDIT, ["src/mill.py"]),
        ("⏺ Write(s/a.py)\n  ⎿  Wrote 2 lines to s/a.py\n     A = 1\n     B = 2\n", Kind.EDIT, ["s/a.py"]),
        ("• Edited src/mill.py (+1 -1)\n    7 -    return a[3]\n    7 +    return a[2]\n", Kind.EDIT, ["src/mill.py"]),
        ("⏺ Task(Look)\n  ⎿  Wrote 1 lines to src/mill.py\n  ⎿  Done (2 tool uses · 4s)\n", Kind.EDIT, ["src/mill.py"]),
        ("╭─────╮\n│ ✔  WriteFile Writing to s/a.py │\n│     │\n│    1 A = 1 │\n╰─────╯\n", Kind.EDIT, ["s/a.py"]),
    ],
)  # fmt: skip
def test_files_are_read_and_written(text: str, kind: Kind, files: list[str]) -> None:
    act = only_act(text)
    assert act.kind is kind
    assert (act.files_read or act.files_modified) == files


def test_an_edit_tells_what_stood_there() -> None:
    text = "⏺ Update(src/mill.py)\n  ⎿  Updated src/mill.py with 1 addition and 1 removal\n       6   def grind():\n"
    act = only_act(f"{text}       7 -     return stones[3]\n       7 +     return stones[2]\n")
    assert act.changes == [("return stones[3]", "return stones[2]")]


@pytest.mark.parametrize(
    "answer",
    [
        "User rejected update to src/mill.py", "No (tell Claude what to do differently)", "Interrupted by user",
        "Error: The user doesn't want to proceed with this tool use.",
    ],
)  # fmt: skip
def test_what_was_not_allowed_was_not_done(answer: str) -> None:
    assert acts(f"⏺ Update(src/mill.py)\n  ⎿  {answer}\n") == []
    assert acts(f"⏺ Bash(rm -r mill)\n  ⎿  {answer}\n") == []
    assert acts("⏺ Update(src/mill.py)\n", f"  ⎿  {answer}\n") == []


def test_an_edit_that_did_not_apply_changed_nothing() -> None:
    text = "⏺ Update(src/mill.py)\n  ⎿  Error: String to replace not found in file.\n     String: return stones[9]\n"
    assert made(*shown(text)) == []


def test_a_list_of_what_is_to_be_done() -> None:
    act = only_act("⏺ Update Todos\n  ⎿  ☒ Mend the stones\n     ☐ Sew the sacks that the mice\n       have torn\n")
    assert act.kind is Kind.PLAN
    assert act.items == [("Mend the stones", "completed"), ("Sew the sacks that the mice have torn", "pending")]


SAID = "⏺ The wheat is dry.\n\n  **The trouble is that the third stone is gone.**\n"


def test_who_says_what() -> None:
    found = acts(f"> why does the mill stand still? please look at\n  the stones\n\n{SAID}\n{TEST_RUN}")
    assert [act.kind for act in found] == [Kind.PROMPT, Kind.MESSAGE, Kind.COMMAND]
    assert found[0].text == "why does the mill stand still? please look at\nthe stones"
    assert found[1].text == "The wheat is dry.\n\n**The trouble is that the third stone is gone.**"


@pytest.mark.parametrize(
    "typed",
    [
        "╭─────────────────╮\n│ > mend the mill │\n╰─────────────────╯\n",
        "╭─────────────────╮\n│ > mend     │\n│   the mill │\n╰─────────────────╯\n",
        "> mend the mill\n",
        "❯ mend the mill\n",
        "› mend the mill\n",
    ],
)
def test_what_is_typed_is_asked(typed: str) -> None:
    found = acts(f"{SAID}\n{typed}\n{TEST_RUN}")
    assert [" ".join(act.text.split()) for act in found if act.kind is Kind.PROMPT] == ["mend the mill"]


@pytest.mark.parametrize(
    "line",
    [
        "✻ Thinking…\n\n  The stones may be worn.\n", "✻ Grinding… (12s · ↑ 1.2k tokens · esc to interrupt)\n",
        "> /clear\n  ⎿  (no content)\n", "╭─────╮\n│ >   │\n╰─────╯\n", "  ? for shortcuts\n", "❯ 1. Yes\n",
        "╭────────────────────╮\n│ ✻ Welcome to it!   │\n│   cwd: /srv/mill   │\n╰────────────────────╯\n",
        " ※ Tip: Hit Enter to queue up messages\n", '> Try "edit <file> to…"\n', "⏺ Read Todos\n  ⎿  (empty)\n",
        "> \n",
    ],
)  # fmt: skip
def test_decoration_says_nothing(line: str) -> None:
    found = acts(f"{SAID}\n{line}\n{TEST_RUN}")
    assert [act.kind for act in found] == [Kind.MESSAGE, Kind.COMMAND]
    assert "third stone is gone" in found[0].text
    assert not any(word in act.text for act in found for word in ("Thinking", "Welcome", "worn", "Tip", "shortcuts"))


def test_what_is_said_around_a_failure_is_kept_by_itself() -> None:
    after = "⏺ **I see the issue - the mill counts its stones from one.** Let me fix the count:\n"
    found = {one.title: one.type for one in made(*shown(f"{SAID}\n{TEST_RUN}\n{after}"))}
    assert "make test fails: IndexError: list index out of range" in found
    assert "The trouble is that the third stone is gone." in found
    assert any("the mill counts its stones from one" in title for title in found)


def test_a_failure_is_mended_as_elsewhere() -> None:
    edit = "⏺ Update(grind.py)\n  ⎿  Updated grind.py with 1 addition\n       7 +     return stones[2]\n"
    (one,) = made(*shown(f"{TEST_RUN}\n{edit}\n⏺ Bash(cd /srv/mill && make test)\n  ⎿  4 passed in 0.1s\n"))
    assert (one.type, one.files_modified) == ("bugfix", ["grind.py"])


def test_a_program_that_was_not_found_was_mended_by_no_file() -> None:
    text = (
        "⏺ Bash(pytest specs)\n  ⎿  Error: (eval):1: command not found: pytest\n\n"
        "⏺ Write(specs/__init__.py)\n  ⎿  Wrote 1 lines to specs/__init__.py\n     (No content)\n\n"
        "⏺ Bash(. venv/bin/activate && pytest specs)\n  ⎿  Error: collected 0 items\n     no tests ran in 0.01s\n\n"
        "⏺ Write(pytest.ini)\n  ⎿  Wrote 2 lines to pytest.ini\n     [pytest]\n     python_files = *_spec.py\n\n"
        "⏺ Bash(. venv/bin/activate && pytest specs)\n  ⎿  4 passed in 0.25s\n"
    )
    fixed = next(one for one in made(*shown(text)) if one.type == "bugfix")
    assert "no tests ran" in fixed.title
    assert fixed.files_modified == ["pytest.ini"]


def test_a_piece_goes_on_where_another_ended() -> None:
    found = acts("⏺ Bash(make flour)\n", "  ⎿  12 sacks are full\n")
    assert [(act.kind, act.text) for act in found] == [(Kind.COMMAND, "12 sacks are full")]
    found = acts(f"{SAID}", "  It went with the flood.\n")
    assert [act.kind for act in found] == [Kind.MESSAGE, Kind.MESSAGE]


def test_a_beginning_that_is_cut_off_is_left_as_it_is() -> None:
    found = acts(f"     sacks of rye are in the loft\n\n{SAID}")
    assert [act.kind for act in found] == [Kind.OUTPUT, Kind.MESSAGE]


@pytest.mark.parametrize(
    "text",
    [
        "● nginx.service - A web server\n   Loaded: loaded\n   Active: failed",
        "  ● total › adds\n\n    Expected: 13\n    Received: 12",
        "> a line that somebody quoted\n\nAnd what was said of it.",
        "• one thing\n• another thing (with brackets)\n",
        "Ran 12 jobs\n  └ all of them passed through the gate",
        "│ name │ sacks │\n│ rye  │    12 │",
        TRACEBACK,
    ],
)
def test_other_output_is_none_of_it(text: str) -> None:
    assert [act.kind for act in acts(text)] == [Kind.OUTPUT]


def test_it_is_known_by_the_session() -> None:
    other = event({"stream": "stdout", "text": "> mend the mill"}, "agent.output", "muster")
    strange = other.model_copy(update={"session_id": other.id})
    assert [act.kind for act in read_all([*shown(SAID), strange])] == [Kind.MESSAGE, Kind.OUTPUT]
    assert [act.kind for act in read_all([*shown(SAID), other])][-1] is Kind.PROMPT


def test_errors_are_no_screen() -> None:
    assert [act.kind for act in read_all(shown(SAID, kind="agent.output", stream="stderr"))] == [Kind.OUTPUT]


def test_what_it_prints_is_cut_where_something_new_begins() -> None:
    transcript = Transcript()
    lines = [
        line
        for number in range(60)
        for line in (f"⏺ Bash(make sack{number})", "", f"  ⎿  sack {number} is full", "", "     and sewn up well", "")
    ]
    transcript.feed(OutputLine(n=n, stream="stdout", at=AT, text=text) for n, text in enumerate(lines, 1))
    texts = [piece.payload["text"] for piece in transcript.pieces()]
    assert len(texts) > 1
    assert all(text.startswith("⏺ Bash(") and text.endswith("sewn up well") for text in texts)
    assert len(acts(*texts)) == 60


def test_what_came_before_is_told_once() -> None:
    first, second = shown(f"{TEST_RUN}\n{SAID}", "⏺ The mill was closed in 1921, as the deed in the loft says.\n")
    (one,) = observe([second], [first]).observations
    assert "1921" in one.title


@pytest.mark.parametrize(
    "bit",
    ["⏺ Bash(", "⏺ a\n", "  ⎿  b\n", "│ > c\n", "╭──\n│ ✔  Shell d", "• Ran e\n │\n", "> f\n", " ",
     "⏺ Bash(x)\n  ⎿ y\n",
     "(esc to ", "✻ a", "│" + " " * 3000 + "\n"],
)  # fmt: skip
def test_hostile_screens_take_no_longer_than_they_are(bit: str) -> None:
    text = "⏺ Bash(make)\n  ⎿  made\n" + bit * (256_000 // len(bit))
    began = Stopwatch(time.process_time)
    read_all(shown(text))
    assert began.fair < 3


@pytest.mark.parametrize(
    "text",
    ["Let's try the third stone again:", "Now let me look at `grind.py`:", "This is strange. Let's open the loft:"],
)
def test_what_is_done_next_is_no_request(text: str) -> None:
    assert made(*shown(f"⏺ {text}\n{TEST_RUN}"))[0].type == "error"
    assert made(event({"role": "assistant", "content": text})) == []


def test_what_somebody_wants_or_tells_is_kept() -> None:
    assert made(event({"role": "user", "content": "Let's try the third stone again:"}))
    assert made(event({"role": "assistant", "content": "Let's keep the mill closed on Sundays."}))
    assert made(event({"role": "assistant", "content": "The third stone is worn. Let me look at the others:"}))


def test_a_box_may_be_cut() -> None:
    cut = " │    7 sacks of rye │\n │ ✔  Shell make bread │\n │         │\n │    3 loaves       │\n"
    found = acts("╭───╮\n │ ✔  Shell make flour │\n │   │\n", f"{cut} ╰─────╯\n✦ The bread is done.\n")
    assert [(act.kind, act.command) for act in found][-2:] == [(Kind.COMMAND, "make bread"), (Kind.MESSAGE, "")]
    assert not any("│" in act.text for act in found)


def test_a_table_that_is_said_is_kept() -> None:
    act = only_act("⏺ There is:\n\n  ┌──────┬────┐\n  │ rye  │ 12 │\n  └──────┴────┘\n\n  The rest was sold.\n")
    assert "│ rye  │ 12 │" in act.text
    assert act.text.endswith("The rest was sold.")


def test_an_edit_without_marks_is_told_by_the_lines_around_it() -> None:
    page = "     29    make flour\n     30    \n     31    > The stone must be dressed each spring, or the flour\n"
    page += "         stays coarse.\n     32    ```\n"
    (one,) = made(*shown(f"⏺ Update(MILL.md)…\n\n  ⎿  Updated MILL.md with 2 additions\n{page}"))
    assert (one.type, one.title, one.files_modified) == ("change", "Change MILL.md", ["MILL.md"])
    assert "The stone must be dressed each spring, or the flour stays coarse." in (one.narrative or "")
    assert "+ " not in (one.narrative or "")
    marked = page.replace("31    >", "31 +  >")
    (one,) = made(*shown(f"⏺ Update(MILL.md)…\n\n  ⎿  Updated MILL.md with 1 addition\n{marked}"))
    assert "+ > The stone must be dressed each spring" in (one.narrative or "")
    assert "make flour" not in (one.narrative or "")


def test_a_long_page_around_an_edit_is_cut() -> None:
    page = "\n".join(f"     {n}    stone {n} {'x' * 300}" for n in range(10, 120))
    (one,) = made(*shown(f"⏺ Update(MILL.md)\n  ⎿  Updated MILL.md with 2 additions\n{page}"))
    assert 1000 < len(one.narrative or "") < 3000
