"""What the embedded generator makes of whole sessions: of agents run by Muster, and as summaries."""

from __future__ import annotations

import json
import re

import pytest

from muster.domain.agents import OutputLine
from muster.domain.memory import Event
from muster.domain.rules.summary import summarise
from muster.domain.transcripts import MAX_PIECES, Transcript
from tests.unit.rules.observing import AT, TRACEBACK, event, made, tool

# -- What agents of Muster leave ------------------------------------------------------------------------------------


def test_an_agents_life_is_told() -> None:
    found = made(
        event({"title": "Nightly report", "prompt": "Write the nightly report for finance"}, "agent.started", "muster"),
        event({"stream": "stdout", "text": "Revenue grew by 4 % in October."}, "agent.output", "muster"),
        event({"stream": "stderr", "text": TRACEBACK}, "agent.output", "muster"),
        event({"title": "Nightly report", "result": {"rows": 120}}, "agent.result", "muster"),
        event(
            {"title": "Nightly report", "status": "failed", "reason": "exit_nonzero", "exit_code": 3},
            "agent.ended",
            "muster",
        ),
    )
    assert [one.type for one in found] == ["request", "discovery", "error", "discovery", "error"]
    assert "Revenue grew" in (found[1].narrative or "")
    assert "ValueError" in found[2].title
    assert "rows: 120" in found[3].title
    assert "exit_nonzero" in found[4].title


def test_a_task_without_a_prompt_tells_once_what_it_was_for() -> None:
    for prompt, purpose in (
        (None, "Print return labels"),
        ("Print return labels", "Print return labels"),
        ("Print return labels for Switzerland, too.", "Print return labels for Switzerland, too."),
        ("Those for Switzerland, too.", "Print return labels Those for Switzerland, too."),
    ):
        found = made(
            event({"title": "Print return labels", "prompt": prompt}, "agent.started", "muster"),
            event({"role": "assistant", "text": "The printer needs the labels as PDF, since it knows no PNG."}),
        )
        assert [one.subtitle for one in found] == [None, f"For: {purpose}"]


def test_what_a_title_says_is_said_once() -> None:
    wanted = "Find who calls the importer, and when."
    for one in (
        *made(event({"prompt": wanted}, "agent.started", "muster")),
        *made(event({"title": wanted, "prompt": f" {wanted}\n"}, "agent.started", "muster")),
        *made(tool("Task", {"prompt": wanted}, "")),
    ):
        assert (one.title, one.narrative) == (wanted, None)


def test_what_a_coding_agent_prints_is_what_it_does() -> None:
    call = {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "pytest"}}
    documents = [
        {"type": "assistant", "message": {"content": [{"type": "text", "text": "I will run it."}, call]}},
        {"type": "user", "message": {"content": [{"type": "tool_result", "tool_use_id": "t1", "content": "1 passed"}]}},
        {"type": "item.completed", "item": {"type": "command_execution", "command": "make", "exit_code": 2}},
    ]
    transcript = Transcript()
    texts = [*map(json.dumps, documents), "plain", "", "{broken", '{"answer": 42}']
    transcript.feed(OutputLine(n=n, stream="stdout", at=AT, text=text) for n, text in enumerate(texts, 1))
    pieces = transcript.pieces()
    assert [piece.type for piece in pieces] == ["message", "tool_use", "tool_use", "agent.output"]
    assert pieces[1].payload["tool_response"] == "1 passed"
    assert pieces[3].payload["text"] == 'plain\n\n{broken\n{"answer": 42}'


@pytest.mark.parametrize(
    ("begin", "end", "left"),
    [
        ("<private>", "</private>", ""),
        ("note: <private> as follows", "so much </private> of it", "note:"),
        ("-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----", "[removed:private-key]"),
    ],
)
def test_what_is_private_in_output_is_so_in_all_of_its_pieces(begin: str, end: str, left: str) -> None:
    hidden = [f"SECRETLINE {n} of the vault " + "x" * 60 for n in range(300)]
    texts = [("stdout", text) for text in ("before", begin, *hidden, '{"tool_name": "SECRETLINE"}', end, "after")]
    texts[100:100] = [("stderr", "a warning"), ("stderr", "PRIVATE KEYS are read")]
    transcript = Transcript()
    transcript.feed(OutputLine(n=n, stream=stream, at=AT, text=text) for n, (stream, text) in enumerate(texts, 1))  # type: ignore[arg-type]
    said = [piece.payload["text"] for piece in transcript.pieces()]
    assert "SECRETLINE" not in "".join(said)
    assert "a warning\nPRIVATE KEYS are read" in said
    (printed,) = [text for text in said if "warning" not in text]
    assert [line.strip() for line in printed.split("\n") if line][0::2][:1] == ["before"]
    assert printed.endswith("after")
    assert left in printed


def test_what_is_private_goes_over_lines_that_are_documents() -> None:
    def say(text: str) -> tuple[str, str]:
        return "stdout", json.dumps({"type": "assistant", "message": {"content": [{"type": "text", "text": text}]}})

    used = json.dumps({"tool_name": "Bash", "tool_input": {"command": "echo HUSH"}, "tool_response": "HUSH"})
    texts = [say("see <private>HUSH"), say("HUSH"), ("stdout", used), ("stderr", "a warning"),
             say("HUSH</private> done"), say("left <private>open"), say("after")]  # fmt: skip
    transcript = Transcript()
    transcript.feed(OutputLine(n=n, stream=stream, at=AT, text=text) for n, (stream, text) in enumerate(texts, 1))  # type: ignore[arg-type]
    said = [piece.payload for piece in transcript.pieces()]
    assert "HUSH" not in str(said)
    assert said[0] == {"role": "assistant", "text": "see "}
    assert {"role": "assistant", "text": " done"} in said
    assert said[-1] == {"role": "assistant", "text": "after"}, "where no end comes, it is that message's"
    assert any(one.get("text") == "a warning" for one in said)


RECOVERED = """\
$ pytest -q
FAILED test_calc.py::test_add - assert -1 == 5
1 failed in 0.53s
$ sed -i s/-/+/ calc.py
$ pytest -q
1 passed in 0.01s
[main 1a2b3c4] fix add
Done. The add function subtracted; fixed and all tests pass."""
TAGGED = """\
fatal: tag 'v1.2' already exists
hint: a tag can be moved with -f
using existing tag
Release v1.2 published at https://x.example/v1.2"""
LOADED = f"Reading it\n{TRACEBACK}Loaded 12311 customers. The PLZ column is optional since release 5."


def printed(text: str, status: str = "completed", *more: str) -> tuple[list[tuple[str, str]], str]:
    """What is made of it, and what is open then."""
    events = [event({"stream": "stdout", "text": said}, "agent.output", "muster") for said in (text, *more)]
    events.append(event({"title": "A", "status": status, "reason": "r"}, "agent.ended", "muster"))
    found = made(*events)
    (one,) = summarise(None, events, found).observations
    opened = (one.narrative or "").partition("Open:\n")[2].partition("\n\n")[0]
    return [(each.type, each.title) for each in found], opened


def test_what_an_agent_recovered_from_is_not_all_there_is() -> None:
    assert printed(RECOVERED) == ([("bugfix", "The add function subtracted; fixed and all tests pass.")], "")
    for text, failed, after in (
        (TAGGED, "the command fails: fatal: tag 'v1.2' already exists", "Release v1.2 published"),
        (LOADED, "the command fails: ValueError: ", "The PLZ column is optional since release 5."),
    ):
        ((kind, title), (told, what)), opened = printed(text)
        assert (kind, told, opened) == ("error", "discovery", "")
        assert title.startswith(failed)
        assert what.startswith(after)
        assert failed in printed(text, "failed")[1]
    assert printed(TRACEBACK, "completed", "Loaded 12311 customers with the other parser.")[1] == ""
    assert "ValueError" in printed(TRACEBACK)[1], "nothing followed it"
    assert "could not fix it" in printed(f"{RECOVERED}\n12 passed, 1 failed in 3s\nI could not fix it in time.")[1]


@pytest.mark.parametrize(
    "text",
    [
        "FAILED test_calc.py::test_add - assert -1 == 5\n1 failed in 0.53s",
        "=========== 2 failed in 0.53s ===========",
        "--- FAIL: TestTotal (0.00s)\n    cart_test.go:14: want 5, got 4\nFAIL\nFAIL\tshop/cart\t0.003s\nFAIL",
        "Test Suites: 1 failed, 1 total\nTests:       2 failed, 2 total",
        "Test Suites: 1 failed, 1 passed, 2 total\nTests:       3 passed, 3 total",
        "3 passed in 1s\n1 failed, 2 passed in 0.53s",
        "Ran 3 tests in 0.001s\n\nFAILED (failures=1)",
        "1 failed, 2 passed in 0.53s\nAll checks passed!",
        "a.py:1: error: Missing return\nFound 1 error in 1 file\n12 passed in 3s",
    ],
)
def test_a_failure_in_what_is_printed_stays_one(text: str) -> None:
    (kind, title), *_ = printed(text)[0]
    assert (kind, title[:18]) == ("error", "the command fails:")


@pytest.mark.parametrize(
    "text",
    [
        "Ran 3 tests in 0.001s\n\nFAILED (failures=1)\nfixed a.py\nRan 3 tests in 0.001s\n\nOK (3 tests)",
        "error[E0382]: borrow of moved value\nfixed lib.rs\ntest result: ok. 3 passed; 0 failed",
        "1 error in 0.12s\nmended the import\n3 passed in 0.12s",
        "Imported the orders: 3 failed, 120 were read in 2 s.",
    ],
)
def test_what_passes_in_the_end_is_no_failure(text: str) -> None:
    assert "error" not in [kind for kind, _ in printed(text)[0]]


def test_progress_is_no_title() -> None:
    epochs = "\n".join(f"Epoch {n}/20 loss={2 / n:.2f} acc=0.{50 + 2 * n}" for n in range(1, 21))
    text = f"{epochs}\nSaved model to out/model.pt. Best accuracy 0.90 at epoch 20"
    ((kind, title),), _ = printed(text)
    assert (kind, title) == ("discovery", "Best accuracy 0.90 at epoch 20")
    found = made(event({"stream": "stdout", "text": text}, "agent.output", "muster"))
    assert "Epoch 7/20" in (found[0].narrative or "")
    assert printed(epochs)[0][0][1].startswith("Epoch ")


def test_a_flood_of_output_is_bounded() -> None:
    transcript = Transcript()
    transcript.feed(OutputLine(n=n, stream="stdout", at=AT, text=f"line {n} " + "x" * 100) for n in range(1, 20_001))
    pieces = transcript.pieces()
    assert len(pieces) == MAX_PIECES
    assert pieces[0].first == 1
    assert pieces[-1].last == 20_000
    assert pieces[-1].payload["pieces_left_out"] > 0


def test_what_tells_something_in_the_middle_of_a_flood_is_kept() -> None:
    lines = [f"noise line number {n}" for n in range(80_000)]
    lines[60_000] = "Found: the quokka cache evicts entries too early, since its clock is in seconds."
    lines[60_500] = "We decided that the quokka cache counts in milliseconds."
    transcript = Transcript()
    transcript.feed(OutputLine(n=n, stream="stdout", at=AT, text=text) for n, text in enumerate(lines, 1))
    pieces = transcript.pieces()
    assert len(pieces) == MAX_PIECES + 2
    assert [piece.first for piece in pieces] == sorted(piece.first for piece in pieces)
    found = made(*(event(piece.payload, piece.type, "muster") for piece in pieces if "quokka" in str(piece.payload)))
    assert [one.type for one in found] == ["discovery", "decision"]
    assert all("noise" not in one.content for one in found)


# -- Summaries ------------------------------------------------------------------------------------------------------


def test_a_summary_says_what_was_asked_done_decided_and_is_open() -> None:
    events = [
        event({"prompt": "Make the parser read licences"}, "prompt"),
        tool("Write", {"file_path": "lexer.py", "content": "def tokenize(t): ..."}),
        event("We decided to keep the old format because customers use it."),
        tool("Bash", {"command": "pytest"}, {"stdout": TRACEBACK}, exit_code=1),
        tool(
            "TodoWrite",
            {"todos": [{"content": "Write docs", "status": "pending"}, {"content": "x", "status": "completed"}]},
        ),
    ]
    (one,) = summarise(None, events, made(*events)).observations
    assert (one.type, one.title) == ("summary", "Summary: Make the parser read licences")
    sections = (one.narrative or "").split("\n\n")
    assert [section.partition(":")[0] for section in sections] == ["Asked", "Done", "Decided", "Open"]
    assert "`tokenize`" in sections[1]
    assert "ValueError" in sections[3]
    assert "Write docs" in sections[3]
    assert one.files_modified == ["lexer.py"]
    assert set(one.sources) == {e.id for e in events}
    assert summarise("t", events[:1], [], ended=False).observations[0].title.startswith("So far: ")


@pytest.mark.parametrize(
    ("failed", "passed", "still_open"),
    [
        ("pytest tests/a.py -x", "pytest tests/a.py", False),
        ("pytest tests/a.py", "pytest", False),
        ("pytest tests/a.py", "pytest tests/b.py", True),
        ("pytest tests/a.py", "make test", True),
    ],
)
@pytest.mark.parametrize("batches", [1, 2])
def test_what_failed_and_passed_later_is_not_open(failed: str, passed: str, still_open: bool, batches: int) -> None:
    first = [tool("Bash", {"command": failed}, {"stdout": TRACEBACK}, exit_code=1)]
    later = [tool("Bash", {"command": passed}, {"stdout": "3 passed in 0.1s"})]
    told = made(*first, *later) if batches == 1 else [*made(*first), *made(*later)]
    (one,) = summarise("Parser", [*first, *later], told).observations
    assert ("ValueError" in (one.narrative or "").partition("Open:")[2]) is still_open


def test_a_summary_of_a_long_session_tells_what_counts_most_of_all_of_it() -> None:
    """Its events are the latest of many, what was made of the others is there."""
    asked = event("Please move the invoices to Postgres.", "user_prompt")
    edits = [tool("Write", {"file_path": f"m{n}.py", "content": f"def step_{n}(): ..."}) for n in range(30)]
    failed = tool("Bash", {"command": "pytest tests/old.py"}, {"stdout": TRACEBACK}, exit_code=1)
    told = made(asked, event("We decided to store invoices in Postgres instead of Mongo."), failed, *edits)
    told = [one.model_copy(update={"importance": 0.9}) if one.files_modified == ["m25.py"] else one for one in told]
    (one,) = summarise(None, edits[-3:], told, count=33).observations
    text = one.narrative or ""
    assert "Please move the invoices to Postgres" in text.partition("Done:")[0]
    assert "Store invoices in Postgres" in text.partition("Decided:")[2]
    assert "m25.py" in text
    assert "Open:" not in text, "what failed long ago may have passed long ago"
    assert (one.subtitle or "").startswith("33 events")
    assert {asked.id, edits[25].id} <= set(one.sources)


def test_a_session_in_which_nothing_happened_has_no_summary() -> None:
    answer = summarise("Empty", [event({}, "heartbeat")], [])
    assert (answer.observations, bool(answer.note)) == ([], True)


def test_what_is_fixed_elsewhere_leaves_open_what_fails() -> None:
    plan = tool("Bash", {"command": "terraform plan"}, {"stderr": "│ Error: Invalid reference"}, exit_code=1)
    tried = tool("mcp__db__query", {"sql": "select 1"}, {"error": "the connection was refused"})
    crash = event("The login crashes when the session has no user.")
    others = (
        event("I fixed the typo in the README."),
        tool("Bash", {"command": 'git commit -m "fix: typo"'}, {"stdout": "[main abc1234] fix: typo"}),
        tool("Bash", {"command": "git commit -m 'fix: the invalid reference'"}, {"stdout": "[main abc1235] fix: it"}),
    )

    def opened(*later: Event) -> str:
        events = (plan, tried, crash, *later)
        (one,) = summarise("Plan", events, made(*events)).observations
        return (one.narrative or "").partition("Open:")[2]

    left = opened(*others)
    for words in ("Invalid reference", "connection was refused", "login crashes"):
        assert words in left
    assert "login crashes" not in opened(event("Fixed the crash of the login: a user is always loaded."))
    assert "Invalid reference" not in opened(tool("Bash", {"command": "terraform plan"}, {"stdout": "No changes."}))
    assert "refused" not in opened(tool("mcp__db__query", {"sql": "select 1"}, {"content": "1 row"}))


def test_a_part_that_failed_and_passed_later_is_not_open() -> None:
    said = "FAILED tests/test_refund.py::test_twice - ValueError: refund paid twice"
    first = [tool("Bash", {"command": "pytest"}, {"stdout": said}, exit_code=1)]
    for again, still_open in (("pytest tests/test_refund.py", False), ("pytest tests/test_docs.py", True)):
        later = [tool("Bash", {"command": again}, {"stdout": "3 passed in 0.1s"})]
        (one,) = summarise("Refunds", [*first, *later], [*made(*first), *made(*later)]).observations
        assert ("paid twice" in (one.narrative or "").partition("Open:")[2]) is still_open


def test_an_answer_is_not_asked_and_a_next_step_not_learned() -> None:
    events = [
        event({"prompt": "The coupon is ignored. Can you find out why and fix it?"}, "prompt"),
        event("I'll use Grep to look for the coupon code first."),
        event("Noted."),
        event({"role": "assistant", "text": "Shall we drop Python 3.9?"}),
        event({"prompt": "yes"}, "prompt"),
    ]
    found = made(*events)
    assert [(one.type, one.title) for one in found] == [
        ("request", "The coupon is ignored."),
        ("question", "Shall we drop Python 3.9?"),
        ("fact", "Shall we drop Python 3.9? yes"),
    ]
    (one,) = summarise(None, events, found).observations
    asked, _, learned = (one.narrative or "").partition("Learned:")
    assert "yes" not in asked
    assert "Grep" not in learned
    assert made(event({"prompt": "yes"}, "prompt")) == []


def test_a_long_session_is_told_from_everywhere_and_how_it_stands() -> None:
    said = [f"We decided that hall {n} is painted white." for n in range(30)]
    events = [event({"role": "assistant", "text": text}) for text in (*said, "We decided that all halls are sold.")]
    (one,) = summarise(None, events, made(*events)).observations
    decided = (one.narrative or "").partition("Decided:\n")[2].split("\n\n")[0].splitlines()
    assert decided[-2:] == ["- We decided that all halls are sold.", "- and 23 more"]
    halls = [int(re.findall(r"\d+", line)[0]) for line in decided[:-2]]
    assert halls == sorted(halls)
    assert halls[0] < 3
    assert any(8 < hall < 20 for hall in halls)
    assert halls[-3:] == [27, 28, 29]
