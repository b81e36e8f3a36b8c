"""What the embedded generator makes of what agents do: of tools, edits, commands and their errors."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest

from muster.domain.memory import Event
from muster.domain.rules.observing import observe
from muster.domain.rules.summary import summarise
from tests.unit.rules.observing import TRACEBACK, event, made, only, tool


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
        (
            "go test ./...",
            "--- FAIL: TestTotal (0.00s)\n    cart_test.go:14: want 5, got 4\nFAIL\nFAIL\tshop/cart\t0.003s\nFAIL",
            "go test fails: cart_test.go:14: want 5, got 4",
        ),
        (
            "cargo test",
            "thread 'total' panicked at src/lib.rs:14:9:\nassertion `left == right` failed\n  left: 4\n right: 5\n\n"
            "test result: FAILED. 1 passed; 1 failed; 0 ignored\n\nerror: test failed, to rerun pass `--lib`",
            "cargo test fails: assertion `left == right` failed",
        ),
        (
            "cargo test",
            "thread 'total' panicked at 'want 5', src/lib.rs:14:9\ntest result: FAILED. 0 passed; 1 failed",
            "cargo test fails: want 5",
        ),
        ("pytest -q", "Command timed out after 2m 0s", "pytest fails: Command timed out after 2m 0s"),
        ("make all", "cc a.c\ncc b.c\nCommand timed out after 10000 milliseconds", "make all fails: Command timed out"),
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


def test_what_was_interrupted_says_so() -> None:
    for said, title in (
        ("", "pytest was interrupted"),
        ("collected 5 items", "pytest was interrupted: collected 5 items"),
    ):
        one = only(tool("Bash", {"command": "pytest"}, {"stdout": said, "stderr": "", "interrupted": True}))
        assert (one.type, one.title) == ("error", title)
    one = only(tool("Bash", {"command": "pytest"}, {"stdout": "", "stderr": ""}, is_error=True))
    assert one.title == "pytest fails: it does not say why"


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
        event({"result": {"tool_name": "Bash", "tool_input": {"command": "make"}}}, "agent.result", "muster"),
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
