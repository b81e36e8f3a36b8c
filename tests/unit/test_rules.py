"""What the embedded generator makes of what agents do: of realistic events, and of anything at all."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muster.domain.agents import OutputLine
from muster.domain.context import group_of, tell
from muster.domain.ids import derived_id
from muster.domain.memory import Event, NewObservation
from muster.domain.rules import GENERATOR, observe
from muster.domain.rules_summary import summarise, untold
from muster.domain.rules_text import cleaned, dated, language_of
from muster.domain.transcripts import MAX_PIECES, Transcript

SESSION = UUID(int=7)
AT = datetime(2026, 11, 20, 12, tzinfo=UTC)  # a Friday
_count = iter(range(10**9))


def event(payload: Any, kind: str = "message", adapter: str = "claude-code") -> Event:
    number = derived_id(f"{next(_count):032x}")
    return Event(id=number, session_id=SESSION, type=kind, adapter=adapter, occurred_at=AT, payload=payload)


def tool(name: str, asked: Any, answered: Any = None, **more: Any) -> Event:
    return event({"tool_name": name, "tool_input": asked, "tool_response": answered, **more}, "tool_use")


def made(*events: Event) -> list[NewObservation]:
    answer = observe(events)
    assert answer == observe(events), "the same events make the same"
    assert answer.generator == GENERATOR
    ids = {one.id for one in events}
    for one in answer.observations:
        assert one.sources
        assert ids.issuperset(one.sources)
        assert one.title.strip()
    assert (answer.note is None) == bool(answer.observations)
    return answer.observations


def only(*events: Event) -> NewObservation:
    (one,) = made(*events)
    return one


TRACEBACK = """\
Traceback (most recent call last):
  File "/app/tests/test_parser.py", line 3, in test_it
    parse("licence")
  File "/app/parser.py", line 42, in parse
    return int(value)
ValueError: invalid literal for int() with base 10: 'licence'
"""


# -- What it was told ------------------------------------------------------------------------------------------------


def told() -> str:
    ids = "0193a1b2-0000-8000-8000-00000000000"
    known = [
        {"id": f"{ids}1", "type": "decision", "title": "Use tabs", "narrative": "We decided to use tabs.",
         "facts": ["since 2019"], "occurred_at": "2026-11-02T10:00:00+00:00"},
        {"id": f"{ids}2", "type": "error", "title": "ImportLockError at night", "narrative": None, "facts": [],
         "occurred_at": "2026-11-03T10:00:00+00:00"},
    ]  # fmt: skip
    return tell([(group_of(one), one) for one in known], 1000).markdown


@pytest.mark.parametrize("indent", ["", "  ", "%6d\t"])
def test_what_an_agent_was_told_is_not_made_into_what_it_found(indent: str) -> None:
    """Else each agent that reads its context would leave a copy for the next."""
    numbered = "\n".join(indent.replace("%6d", f"{n:6}") + line for n, line in enumerate(told().splitlines(), 1))
    assert made(event(numbered, "output"), event({"text": numbered})) == []
    one = only(event(f"{numbered}\nDecision: spaces after all\n- **bold** as the (2026-11-04) list is"))
    assert one.title == "Spaces after all"
    assert one.narrative == "Decision: spaces after all\n- **bold** as the (2026-11-04) list is"
    read = {"tool_name": "Read", "tool_input": {"file_path": "/tmp/context.md"}, "tool_response": numbered}
    assert "tabs" not in cleaned(json.dumps(read)) + "".join(str(each) for each in made(event(read)))


# -- What is said ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind", "title"),
    [
        ("We decided to use Postgres instead of MySQL because of RLS.", "decision", "Use Postgres instead of MySQL"),
        ("We chose Redis over Memcached.", "decision", "We chose Redis over Memcached"),
        ("Wir haben uns für Rust entschieden.", "decision", "Wir haben uns für Rust"),
        ("Decision: the import runs at night, since it locks.", "decision", "The import runs at night"),
        ("**Entscheidung:** wir bleiben bei Postgres", "decision", "Wir bleiben bei Postgres"),
        ("決定：移行は日曜日に行う", "decision", "移行は日曜日に行う"),
        ("Bug: memory grows in the cache", "error", "Memory grows in the cache"),
        ("FIX - close the cursor before the connection", "bugfix", "Close the cursor"),
        ("Note: the staging server is called marble", "discovery", "The staging server is called marble"),
        ("To do: rotate the certificates in March", "request", "Rotate the certificates in March"),
        ("A note: nothing here is a decision - it is talk", "fact", "A note: nothing here is a decision"),
        ("I prefer tabs over spaces.", "preference", "I prefer tabs"),
        ("Please always run the linter before you commit.", "preference", "Please always run the linter"),
        ("Fixed it: the root cause was a stale cache in the gateway.", "bugfix", "root cause was a stale cache"),
        ("The login crashes when the session has no user.", "error", "The login crashes"),
        ("My sister Anna works at Siemens in Munich.", "fact", "My sister Anna works at Siemens"),
        ("Who owns the billing service?", "question", "Who owns the billing service?"),
        ("東京のオフィスは来月渋谷に移転します。", "fact", "東京のオフィス"),
    ],
)
def test_a_statement_is_kept_as_what_it_is(text: str, kind: str, title: str) -> None:
    for payload in (text, {"text": text}, {"content": text}, {"message": text}, {"role": "assistant", "content": text},
                    {"message": {"role": "user", "content": [{"type": "text", "text": text}]}}):  # fmt: skip
        one = only(event(payload))
        assert (one.type, one.narrative) == (kind, text)
        assert title in one.title


def test_a_short_line_is_kept_where_it_says_what_it_is() -> None:
    one = only(event({"stream": "stdout", "text": "Decision: use blue"}, "agent.output", "muster"))
    assert (one.type, one.title) == ("decision", "Use blue")
    assert made(event({"stream": "stdout", "text": "use blue"}, "agent.output", "muster")) == []


def test_a_speaker_and_a_day_are_kept() -> None:
    one = only(event({"speaker": "Caroline", "text": "I went to the support group yesterday, it was so powerful."}))
    assert one.title.startswith("Caroline: ")
    assert "19 November 2026" in one.facts[0]
    assert dated("last Friday, next month and two weeks ago", AT) == [
        "“last friday”: 13 November 2026",
        "“next month”: December 2026",
        "“two weeks ago”: the week of 2 November 2026",
    ]


def test_a_short_answer_keeps_its_question() -> None:
    question, answer = (
        event({"speaker": "Ann", "text": "When is the launch?"}),
        event({"speaker": "Bo", "text": "On 5 March."}),
    )
    one = made(question, answer)[1]
    assert "When is the launch?" in (one.subtitle or "")
    assert one.sources == [answer.id, question.id]
    agreed = made(
        event({"role": "assistant", "text": "Shall we drop Python 3.9?"}), event({"role": "user", "text": "Yes."})
    )
    assert len(agreed) == 2


def test_a_long_text_loses_nothing() -> None:
    text = "\n\n".join(
        f"Paragraph {n} says that module{n} depends on library{n} for its parsing work." for n in range(120)
    )
    found = made(event({"text": text}))
    assert 2 < len(found) <= 14
    assert all(any(f"library{n}" in (one.narrative or "") for one in found) for n in range(120))
    assert all(len(one.narrative or "") <= 2100 for one in found)


@pytest.mark.parametrize(
    "text", ["ok", "Thanks!", "ok, thank you so much!", "Yes.", "Got it 👍", "はい", "Danke", "", "  ", "..."]
)
def test_a_courtesy_is_nothing(text: str) -> None:
    assert made(event({"text": text})) == []


def test_private_text_that_was_taken_out_is_nothing() -> None:
    assert made(event({"text": "[removed:private]"}), event({"prompt": "<private>my key</private>"}, "prompt")) == []


# -- What is done ---------------------------------------------------------------------------------------------------


def test_a_cycle_of_failure_edit_and_success_is_one_bugfix() -> None:
    cycle = (
        tool("Bash", {"command": "cd /app && python -m pytest -q"}, {"stdout": "", "stderr": TRACEBACK}, exit_code=1),
        tool(
            "Edit",
            {"file_path": "/app/parser.py", "old_string": "return int(value)", "new_string": "return number(value)"},
        ),
        tool("Bash", {"command": "pytest -q"}, {"stdout": "12 passed in 0.30s", "stderr": ""}),
    )
    one = only(*cycle)
    assert one.type == "bugfix"
    assert one.title == "Fix ValueError: invalid literal for int() with base 10: 'licence' in parser.py"
    assert one.files_modified == ["/app/parser.py"]
    assert one.sources == [step.id for step in cycle]
    for words in ("number(value)", "12 passed", "ValueError"):
        assert words in (one.narrative or "")
    # Alone, each says what it can.
    assert [made(step)[0].type for step in cycle] == ["error", "change", "discovery"]


@pytest.mark.parametrize(
    ("output", "what", "where"),
    [
        (TRACEBACK, "ValueError: invalid literal", "/app/parser.py"),
        ("FAILED tests/test_a.py::test_b - assert 1 == 2\n1 failed", "assert 1 == 2", ""),
        ("src/app.ts(3,5): error TS2322: Type 'a' is not assignable.", "error TS2322", "src/app.ts"),
        ("error[E0382]: borrow of moved value\n --> src/main.rs:3:5", "error[E0382]", "src/main.rs"),
        ("panic: runtime error: index out of range\nmain.go:12 +0x1", "panic: runtime error", "main.go"),
        ("TypeError: x is not a function\n    at run (/srv/index.js:10:3)", "TypeError: x is not", "/srv/index.js"),
        (
            "Exception in thread main java.lang.NullPointerException: no\n\tat A.b(App.java:9)",
            "NullPointerException",
            "App.java",
        ),
        ("main.c:4:2: error: expected ';'", "error: expected ';'", "main.c"),
        ("bash: foo: command not found", "command not found", ""),
        ("fatal: not a git repository", "fatal: not a git", ""),
    ],
)
def test_an_error_is_found_where_it_stands(output: str, what: str, where: str) -> None:
    one = only(tool("Bash", {"command": "make all"}, {"stdout": output}, exit_code=2))
    assert one.type == "error"
    assert what in one.title
    assert where in " ".join(one.files_read)
    assert "exit code 2" in (one.narrative or "")


@pytest.mark.parametrize(
    ("asked", "kind", "title"),
    [
        (
            ("Write", {"file_path": "/a/lexer.py", "content": "def tokenize(t):\n    return 1\n"}),
            "feature",
            "Add lexer.py with `tokenize`",
        ),
        (
            ("Edit", {"file_path": "/a/b.py", "old_string": "x = 1", "new_string": "def go():\n  pass"}),
            "feature",
            "Add `go` to b.py",
        ),
        (
            ("Edit", {"file_path": "/a/b.py", "old_string": "def a():", "new_string": "def b():"}),
            "refactor",
            "Rename `a` to `b`",
        ),
        (
            ("MultiEdit", {"file_path": "/a/b.py", "edits": [{"old_string": "1", "new_string": "LIMIT = 20"}]}),
            "change",
            "LIMIT = 20",
        ),
        (
            ("apply_patch", {"input": "*** Begin Patch\n*** Update File: src/x.rs\n-fn a()\n+fn a2()\n"}),
            "refactor",
            "`a` to `a2` in x.rs",
        ),
        (("Bash", {"command": "pip install httpx pydantic"}), "change", "Install httpx, pydantic"),
        (("Bash", {"command": "git commit -m 'feat(api): add a cursor'"}), "feature", "Add a cursor"),
        (
            ("Bash", {"command": "kubectl rollout restart deploy/web", "description": "Restart the web"}),
            "change",
            "Restart the web",
        ),
        (("WebFetch", {"url": "https://x.org/doc", "prompt": "limits?"}), "discovery", "https://x.org/doc"),
        (("Task", {"description": "Find callers", "prompt": "Find who calls f"}), "discovery", "Find callers"),
        (("mcp__jira__get_issue", {"key": "MUS-12"}), "discovery", "MUS-12"),
    ],
)
def test_a_tool_use_is_told_as_a_person_would(asked: tuple[str, Any], kind: str, title: str) -> None:
    answered = {"stdout": "done: 3 things"} if asked[0] == "Bash" else "The answer is 42 requests a minute."
    for arguments in (asked[1], json.dumps(asked[1])):
        one = only(tool(asked[0], arguments, answered))
        assert (one.type, title in one.title) == (kind, True), one.title


@pytest.mark.parametrize(
    ("command", "output", "title"),
    [
        (
            "pytest tests 2>&1 | tail -3",
            "FAILED tests/a.py::test_a\n== 1 failed, 41 passed in 5.12s ==",
            "pytest fails: ",
        ),
        ("python -m pytest", "2 failed, 3 passed, 1 skipped in 0.10s", "pytest fails: 2 failed"),
        ("npm test", "FAIL src/a.test.js\nTests: 1 failed, 5 passed, 6 total", "npm test fails: "),
        ("cargo test", "test result: FAILED. 1 passed; 1 failed; 0 ignored", "cargo test fails: "),
        ("go test ./...", "--- FAIL: TestIt (0.00s)\nFAIL\tx/y\t0.2s", "go test fails: "),
        ("mypy .", "a.py:1: error: Missing return\nFound 1 error in 1 file", "mypy fails: error: Missing return"),
        ("make all", "cc a.c\nmake: *** [Makefile:3: all] Error 2", "make all fails: "),
        ("git merge x", "CONFLICT (content): Merge conflict in a.py\nAutomatic merge failed", "git merge fails: "),
        ("curl http://127.0.0.1:9", "curl: (7) Failed to connect to 127.0.0.1 port 9", "curl fails: "),
        ("npm run build || true", "src/a.ts(3,1): error TS2322: Type 'a' is not", "npm run build fails: error TS2322"),
        ("pytest", "41 passed, 3 xfailed in 5.12s", "pytest passes: 41 passed"),
        ("ruff check", "All checks passed!", "ruff passes: All checks passed!"),
        ("mypy .", "Success: no issues found in 3 source files", "mypy passes: Success"),
    ],
)
def test_what_failed_is_known_by_what_it_says(command: str, output: str, title: str) -> None:
    one = only(tool("Bash", {"command": command}, {"stdout": output, "stderr": "", "interrupted": False}))
    assert one.title.startswith(title), one.title
    assert (one.type == "error") is ("fails" in title)


def test_a_fix_is_none_while_its_test_fails() -> None:
    failed = tool(
        "Bash", {"command": "pytest tests"}, {"stdout": "FAILED tests/a.py::test_a - KeyError: 3"}, exit_code=1
    )
    edit = tool("Edit", {"file_path": "a.py", "old_string": "1", "new_string": "2"})
    again = tool("Bash", {"command": "pytest tests 2>&1 | tail -1"}, {"stdout": "=== 1 failed, 3 passed in 1s ==="})
    found = made(failed, edit, again)
    assert "bugfix" not in {one.type for one in found}
    (summary,) = summarise(None, [failed, edit, again], found).observations
    assert "pytest fails" in (summary.narrative or "").partition("Open:")[2]


def test_another_test_that_passes_mends_nothing() -> None:
    failed = tool("Bash", {"command": "pytest tests/a.py"}, {"stdout": TRACEBACK}, exit_code=1)
    passed = tool("Bash", {"command": "pytest tests/b.py"}, {"stdout": "3 passed in 0.1s"})
    edit = tool("Edit", {"file_path": "a.py", "old_string": "1", "new_string": "2"})
    for events in ((failed, passed), (failed, edit, passed)):
        found = made(*events)
        assert "bugfix" not in {one.type for one in found}
        assert not any("passed; nothing was changed" in (one.narrative or "") for one in found)
    narrower = tool("Bash", {"command": "pytest tests/a.py::test_it"}, {"stdout": "1 passed in 0.1s"})
    assert "bugfix" in {one.type for one in made(failed, edit, narrower)}


@pytest.mark.parametrize(
    ("answered", "kind"),
    [
        ({"code": 200, "codeText": "OK", "result": "RLock may be acquired several times"}, "discovery"),
        ({"code": 404, "codeText": "Not Found", "result": "There is nothing here"}, "error"),
        ({"status": 200, "body": "31 rows"}, "discovery"),
        ({"statusCode": 503, "body": "come back later"}, "error"),
    ],
)
def test_a_status_of_http_is_no_exit_code(answered: dict[str, Any], kind: str) -> None:
    for name in ("WebFetch", "http"):
        assert only(tool(name, {"url": "https://x.example/doc"}, answered)).type == kind


def test_a_row_of_looks_is_one_discovery() -> None:
    looks = (
        tool(
            "Read",
            {"file_path": "/a/x.py"},
            {"file": {"filePath": "/a/x.py", "content": "class Parser:\n  def feed(self): ...\n"}},
        ),
        tool("Grep", {"pattern": "Parser"}, {"filenames": ["/a/x.py", "/a/y.py"]}),
        tool("Bash", {"command": "cat /a/z.py"}, {"stdout": "def zed(): ..."}),
    )
    one = only(*looks)
    assert one.files_read == ["/a/x.py", "/a/y.py", "/a/z.py"]
    assert "Parser" in one.title
    assert "feed" in one.content
    assert one.importance < 0.3


@pytest.mark.parametrize(
    "noise",
    [
        tool("Bash", {"command": "ls -la"}, {"stdout": "a\nb"}),
        tool("Bash", {"command": "cd /x && pwd"}, {"stdout": "/x"}),
        tool("Bash", {"command": "git status"}, {"stdout": "clean"}),
        tool("Bash", {"command": "python x.py"}, {"stdout": ""}),
        tool("Bash", {"command": "grep -q a b"}, {"stdout": ""}, exit_code=1),
        tool("LS", {}, None),
        tool("BashOutput", {"id": 1}, "x"),
        tool("Edit", {"file_path": "x"}, "Error: not found", is_error=True),
        event({}, "heartbeat"),
        event(None, "session_start"),
        event({}),
        event([]),
        event(None),
        event("\x00"),
        event({"a": {}}),
        event("42"),
        event({"text": "total 8\n-rw------- 1 root root 4077 Nov 22 14:00 context.md"}, "agent.output", "muster"),
        event({"text": "true"}),
        event({"result": 42}, "agent.result", "muster"),
    ],
    ids=lambda one: json.dumps(one.payload)[:40],
)
def test_noise_is_nothing_with_a_reason(noise: Event) -> None:
    answer = observe([noise])
    assert answer.observations == []
    assert answer.note


def test_what_cannot_be_looked_at_is_worth_a_word() -> None:
    said = "find: '/srv/licences': No such file or directory"
    one = only(
        tool("Bash", {"command": "find /srv/licences -name '*.txt'"}, {"stdout": "", "stderr": said}, exit_code=1)
    )
    assert (one.type, one.title) == ("error", f"find fails: {said}")
    assert one.importance == 0.3


def test_a_bare_result_is_told_with_what_it_answers() -> None:
    one = only(event({"title": "Count the licences", "result": 42}, "agent.result", "muster"))
    assert one.title == "Result of Count the licences: 42"


def test_what_stands_beside_a_listing_is_kept() -> None:
    said = "Decision: licences are read at night\ntotal 8\n-rw------- 1 root root 4077 Nov 22 14:00 context.md\n" * 3
    one = only(event({"stream": "stdout", "text": said}, "agent.output", "muster"))
    assert (one.type, one.title) == ("decision", "Licences are read at night")
    assert "root" not in (one.narrative or "")


def test_sessions_do_not_mix() -> None:
    edit = tool("Edit", {"file_path": "a.py", "old_string": "1", "new_string": "2"})
    other = tool("Bash", {"command": "pytest"}, {"stdout": "1 passed"}).model_copy(update={"session_id": UUID(int=8)})
    assert [one.sources for one in made(edit, other)] == [[edit.id], [other.id]]


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


def test_a_flood_of_output_is_bounded() -> None:
    transcript = Transcript()
    transcript.feed(OutputLine(n=n, stream="stdout", at=AT, text=f"line {n} " + "x" * 100) for n in range(1, 20_001))
    pieces = transcript.pieces()
    assert len(pieces) == MAX_PIECES
    assert pieces[0].first == 1
    assert pieces[-1].last == 20_000
    assert pieces[-1].payload["pieces_left_out"] > 0


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


def test_a_summary_leaves_out_what_an_earlier_one_told() -> None:
    first = [tool("Write", {"file_path": "lexer.py", "content": "def tokenize(t): ..."}), event("The lexer is there.")]
    (earlier,) = summarise(None, first, made(*first)).observations
    later = [
        one.model_copy(update={"occurred_at": first[-1].occurred_at + timedelta(minutes=number)})
        for number, one in enumerate(
            [tool("Write", {"file_path": "cursor.py", "content": "def batches(): ..."}), event("The cursor is there.")],
            1,
        )
    ]
    known = untold([earlier, *made(*first), *made(*later)])
    (one,) = summarise(None, later, known).observations
    assert earlier in known
    assert one.files_modified == ["cursor.py"]
    assert "batches" in (one.narrative or "")
    assert "tokenize" not in (one.narrative or "")


def test_a_session_in_which_nothing_happened_has_no_summary() -> None:
    answer = summarise("Empty", [event({}, "heartbeat")], [])
    assert (answer.observations, bool(answer.note)) == ([], True)


# -- Anything at all ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The cache is stale and we should not use it", "en"),
        ("Der Speicher ist voll und wir haben es nicht gemerkt", "de"),
        ("Le serveur est dans la salle et il ne répond plus", "fr"),
        ("El servidor no responde y hay que reiniciarlo", "es"),
        ("キャッシュが古いので使わない", "ja"),
        ("缓存已经过期，不要使用", "zh"),
        ("캐시가 오래되었습니다", "ko"),
        ("Кэш устарел", "ru"),
        ("x = 3", None),
        ("pytest tests/es", None),
        ("retry the import", "en"),
        ("", None),
    ],
)
def test_languages(text: str, language: str | None) -> None:
    assert language_of(text) == language


_KEYS = st.sampled_from(
    [
        "tool_name",
        "tool_input",
        "tool_response",
        "text",
        "content",
        "message",
        "role",
        "prompt",
        "command",
        "file_path",
        "old_string",
        "new_string",
        "edits",
        "stdout",
        "stderr",
        "exit_code",
        "todos",
        "status",
        "type",
        "speaker",
        "filenames",
        "file",
        "result",
        "output",
        "query",
        "pattern",
        "messages",
        "name",
        "input",
    ]
)
_TEXTS = st.text(max_size=60) | st.sampled_from(
    [
        "Bash",
        "Edit",
        "Read",
        "Grep",
        "TodoWrite",
        "apply_patch",
        "user",
        TRACEBACK,
        "pytest -q",
        'git commit -m "',
        "{",
        "```json",
        "a" * 5000,
        "\ud800",
        "\x00",
        "We decided to",
        "???",
        "last week",
        "9999999999999 days ago",
        "next year",
    ]
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | _TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS | st.text(max_size=8), inner, max_size=6),
    max_leaves=25,
)
_TYPES = st.sampled_from(
    ["message", "prompt", "tool_use", "output", "agent.output", "agent.ended", "agent.started", "x", "stop", "edit"]
)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(_TYPES, st.sampled_from(["muster", "a"]), _JSON), max_size=6))
def test_whatever_is_sent_it_answers_in_bounds(sent: list[tuple[str, str, Any]]) -> None:
    events = [event(payload, kind, adapter) for kind, adapter, payload in sent]
    answer = observe(events)
    assert len(answer.observations) <= 20 * max(1, len(events))
    for one in (*answer.observations, *summarise(None, events, answer.observations).observations):
        assert 0 < len(one.title) <= 200
        assert len(one.narrative or "") <= 8000
        assert len(one.subtitle or "") <= 400
        assert len(one.facts) <= 16
        assert all(len(fact) <= 600 for fact in one.facts)
        assert all(0 < len(path) <= 1000 for path in one.files_read + one.files_modified)
        assert all(0 < len(concept) <= 100 for concept in one.concepts)
        assert 0 <= one.importance <= 1
        assert set(one.sources) <= {one.id for one in events}
        assert one.sources
        one.model_dump_json().encode()
        assert "\\u0000" not in one.model_dump_json()


def test_a_huge_text_costs_little() -> None:
    began = datetime.now(UTC)
    for text in (
        "a" * 2_000_000,
        "decided " * 200_000,
        "((((" * 100_000,
        "ok " * 300_000,
        "/a.b" * 300_000,
        "Error: " * 100_000,
        "Tests: " * 100_000,
        " \n" * 300_000,
        f"{'x' * 300}\n" * 2_000,
    ):
        made(event({"text": text}), tool("Bash", {"command": text}, {"stdout": text}, exit_code=1))
    assert (datetime.now(UTC) - began).total_seconds() < 10
