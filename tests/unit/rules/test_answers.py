"""What the embedded generator makes of what tools answer: refusals, failures, silence, and patches."""

from __future__ import annotations

from typing import Any

import pytest

from muster.domain.rules.answers import answer_of
from muster.domain.rules.reading import Kind, read
from tests.pace import Stopwatch
from tests.unit.rules.observing import event, made, only, tool

REJECTED = (
    "The user doesn't want to proceed with this tool use. The tool use was rejected (eg. if it was a file edit, the "
    "new_string was NOT written to the file). STOP what you are doing and wait for the user to tell you how to proceed."
)
EDIT = ("Edit", {"file_path": "/a/pay.py", "old_string": "def refund():", "new_string": "def refund_order():"})
SILENT = {"stdout": "", "stderr": "", "interrupted": False, "isImage": False}


# -- Edits that were not made ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answered",
    [
        REJECTED,
        [{"type": "text", "text": REJECTED}],
        {"error": REJECTED},
        "[Request interrupted by user for tool use]",
        "The user rejected permission to use this specific tool call.",
        "patch rejected by user",
        "Claude requested permissions to write to /a/pay.py, but you haven't granted it yet.",
        "Permission to use Edit has been denied.",
        "[Operation Cancelled] Reason: User did not allow tool call",
        {"status": "declined"},
        "String to replace not found in file.\nString: def refund():",
        "Found 12 matches of the string to replace, but replace_all is false.",
        "File has not been read yet. Read it first before writing to it.",
        "File has been modified since read, either by the user or by a linter.",
        "The patch was not applied.",
        "Edit not applied: several candidates",
        "Replaced 0 occurrences in pay.py",
        "nothing was changed",
        "SyntaxError: bad patch",
        "Failed to edit, could not find the string to replace.",
        "<tool_use_error>File does not exist.</tool_use_error>",
        {"success": False, "message": "disk full"},
        {"ok": False},
        {"status": "failed"},
        {"error": {"message": "Failed to edit, 0 occurrences found", "type": "edit_no_occurrence_found"}},
        {"error": ["no space left on device"]},
        {"llmContent": "Error: could not write", "returnDisplay": "", "error": {"code": 5}},
        {"content": [{"type": "text", "text": "permission denied"}], "isError": True},
        {"content": [{"type": "text", "text": "Could not find an exact match in pay.py"}]},
    ],
    ids=str,
)
def test_an_edit_that_was_not_made_is_not_told(answered: Any) -> None:
    for name, asked in (EDIT, ("replace", EDIT[1]), ("Write", {"file_path": "d.py", "content": "def d(): ..."})):
        assert made(tool(name, asked, answered)) == []


@pytest.mark.parametrize(
    "more",
    [
        {"error": {"message": "String to replace not found"}},
        {"error": "String to replace not found in file."},
        {"success": False},
        {"status": "failed"},
        {"error_message": "it is locked", "failure_type": "error"},
    ],
    ids=str,
)
def test_what_comes_beside_an_answer_may_say_that_it_failed(more: dict[str, Any]) -> None:
    assert made(tool(*EDIT, None, **more)) == []


@pytest.mark.parametrize(
    "answered",
    [
        None,
        "",
        "The file /a/error_not_found.py has been updated. Here's the result of running `cat -n`:\n 1 cannot fail",
        "Success. Updated the following files:\nM failed.py",
        "Successfully modified file: pay.py (1 replacements). It had failed before.",
        "The edit was applied. New problems detected after saving the file: x is not defined",
        "Applied 2 of 2 edits. 0 failed",
        "1 file changed, 2 insertions(+)",
        {"filePath": "/a/pay.py", "oldString": "x", "newString": "error", "structuredPatch": [], "userModified": False},
        {"type": "create", "filePath": "/a/pay.py", "content": "Error: not found, could not be read"},
        {"success": True, "message": "No errors; not formatted"},
        {"error": None, "status": "completed"},
        {"error": "", "ok": True},
        {"llmContent": "Successfully modified file", "error": {}},
    ],
    ids=str,
)
def test_an_edit_that_was_made_is_told(answered: Any) -> None:
    assert only(tool(*EDIT, answered)).files_modified == ["/a/pay.py"]


@pytest.mark.parametrize("command", ["rm -rf build", "git commit -m 'Drop it'", "pip install left", "make"])
def test_a_command_that_was_not_allowed_is_not_told(command: str) -> None:
    for answered in (REJECTED, "exec command rejected by user", {"status": "rejected"}):
        assert made(tool("Bash", {"command": command}, answered)) == []
    assert made(tool("Bash", {"command": command}, None, error=REJECTED)) == []


@pytest.mark.parametrize(
    "said",
    [
        "To tell you how to proceed, the user said:\n{}",
        "The user provided the following reason for the rejection:  {}",
        "The user said: {}\n\nNote: The user's next message may contain a correction.",
    ],
)
def test_what_is_said_with_a_refusal_is_kept(said: str) -> None:
    one = only(tool(*EDIT, f"{REJECTED} {said.format('Never rename public functions.')}", is_error=True))
    assert (one.narrative, one.files_modified) == ("Never rename public functions.", [])


def test_what_a_program_prints_is_no_refusal() -> None:
    said = "alice logged in\nThe user doesn't want to proceed with this tool use\nUser rejected: bob"
    for answered in (said, {"stdout": said}, {"stdout": REJECTED}):
        assert only(tool("Bash", {"command": "./auth-log"}, answered)).title == "Run `./auth-log`"


# -- What is said, and what is not -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command", ["python gen.py", "grep -rn foo src", "rg foo | head -3", "sleep 1", "./build.sh", "cat a.py"]
)
@pytest.mark.parametrize(
    "answered",
    [
        SILENT,
        {**SILENT, "noOutputExpected": True, "returnCodeInterpretation": "No matches found"},
        {"output": "", "exit_code": 0, "duration": 0.2},
        {"interrupted": False, "durationMs": 12},
        {"output": "", "metadata": {"exit_code": 0, "duration_seconds": 0.1}},
        "Exit code: 0\nWall time: 0.1 seconds\nOutput:\n",
    ],
    ids=str,
)
def test_a_command_that_said_nothing_is_not_told(command: str, answered: Any) -> None:
    assert made(tool("Bash", {"command": command}, answered)) == []


@pytest.mark.parametrize("command", ["touch a.py", "mkdir -p a/b", "cp a b"])
def test_a_silent_command_that_changes_something_is_told_without_more(command: str) -> None:
    assert only(tool("Bash", {"command": command}, SILENT)).narrative == f"`{command}`"


def test_a_search_without_a_hit_is_not_told() -> None:
    for said in ({"mode": "files_with_matches", "numFiles": 0}, {"truncated": False}, {"content": "", "numLines": 0}):
        assert made(tool("Grep", {"pattern": "foo"}, {**said, "filenames": []})) == []


def test_flags_are_no_answer_of_other_tools_either() -> None:
    one = only(tool("mcp__shop__stock", {"article": "A-7"}, {"success": True, "truncated": False, "rows": 3}))
    assert "rows: 3" in (one.narrative or "")
    assert "true" not in (one.narrative or "")
    assert "open: true" in (only(tool("mcp__shop__shut", {"day": 1}, {"open": True})).narrative or "")


@pytest.mark.parametrize(
    ("answered", "code", "text"),
    [
        ("Exit code: 101\nWall time: 3 seconds\nOutput:\nboom", 101, "boom"),
        ("Chunk ID: 3f\nWall time: 1.0 seconds\nProcess exited with code 2\nOutput:\nboom\nOutput:\n", 2,
         "boom\nOutput:"),
        ({"output": "boom", "metadata": {"exit_code": 1}}, 1, "boom"),
        ('{"output": "boom", "metadata": {"exit": 1}}', 1, "boom"),
        ("Command: cargo test\nDirectory: (root)\nStdout: (empty)\nStderr: boom\nError: (none)\nExit Code: 101\n"
         "Signal: (none)\nBackground PIDs: (none)\nProcess Group PGID: 77", 101, "boom"),
        ({"llmContent": "Output: boom\nbang\nExit Code: 1\nProcess Group PGID: 7"}, 1, "boom\nbang"),
        ("Error: (none)\nExit Code: 101", 101, ""),
        ("thread panicked\nError: (none)\nExit Code: 101\nSignal: (none)", 101, "thread panicked"),
        ("Output: (empty)\nError: spawn failed\nExit Code: (none)\nSignal: 9", None, "Error: spawn failed"),
        ("Wall time: 3\nExit Code: of the law", None, "Wall time: 3\nExit Code: of the law"),
        ("Exit code 2\nmake: *** [test] Error 2", 2, "make: *** [test] Error 2"),
        ("Error: Exit code 3\nboom", 3, "boom"),
        ("Exit codes: 2 of them", None, "Exit codes: 2 of them"),
    ],
)  # fmt: skip
def test_the_words_of_a_command_stand_without_their_frame(answered: Any, code: int | None, text: str) -> None:
    act = read(tool("shell", {"command": ["bash", "-lc", "cargo test"]}, answered))
    assert (act.kind, act.command, act.exit_code, act.text) == (Kind.COMMAND, "cargo test", code, text)
    assert act.failed is (bool(code) or text == "Error: spawn failed")


def test_a_hooks_failure_has_its_exit_code() -> None:
    one = only(event({"tool_name": "Bash", "tool_input": {"command": "make test"}, "error": "Exit code 2\nno rule"}))
    assert one.title == "make test fails: no rule"
    assert "exit code 2" in (one.narrative or "")


# -- Patches ---------------------------------------------------------------------------------------------------------

PATCH = """\
*** Begin Patch
*** Update File: shop/pay.py
@@ def refund
-def refund():
+def refund_order():
-- stays
*** End Patch"""


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("apply_patch", {"command": PATCH}),
        ("apply_patch", {"command": ["apply_patch", PATCH]}),
        ("apply_patch", {"input": PATCH}),
        ("apply_patch", PATCH),
        ("patch", {"patchText": PATCH}),
        ("shell", {"command": ["apply_patch", PATCH]}),
        ("shell", {"command": ["bash", "-lc", f"apply_patch <<'EOF'\n{PATCH}\nEOF"]}),
        ("exec_command", {"cmd": f"cd /srv && apply_patch <<'PATCH'\n{PATCH}\nPATCH\n"}),
        ("Bash", {"command": f'applypatch "{PATCH}"'}),
    ],
    ids=lambda one: str(one)[:40],
)
def test_a_patch_is_an_edit_however_it_is_handed_over(name: str, asked: Any) -> None:
    one = only(tool(name, asked, "Success. Updated the following files:\nM shop/pay.py"))
    assert (one.title, one.files_modified) == ("Rename `refund` to `refund_order` in pay.py", ["shop/pay.py"])
    for answered in ("Failed to find expected lines in shop/pay.py", {"output": "", "exit_code": 1}, REJECTED):
        assert made(tool(name, asked, answered)) == []


def test_a_patch_that_is_only_written_down_is_no_edit() -> None:
    act = read(tool("Bash", {"command": f"cat > a.patch <<'EOF'\n{PATCH}\nEOF"}, SILENT))
    assert (act.kind, act.files_modified) == (Kind.COMMAND, [])


@pytest.mark.parametrize(
    ("patch", "title", "files"),
    [
        ("*** Begin Patch\n*** Add File: a.py\n+def a(): ...\n*** End Patch", "Add a.py with `a`", ["a.py"]),
        ("*** Begin Patch\n*** Delete File: src/b.py\n*** End Patch", "Delete b.py", ["src/b.py"]),
        ("*** Begin Patch\n*** Update File: a.py\n*** Move to: c.py\n@@\n-x = 1\n+x = 222\n*** End Patch",
         "Change a.py and c.py: `x = 222`", ["a.py", "c.py"]),
        ("diff --git a/q.sql b/q.sql\n--- a/q.sql\n+++ b/q.sql\n@@ -1 +1 @@\n--- old words\n+-- new words\n",
         "Change q.sql: `-- new words`", ["q.sql"]),
        ("--- a/b.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-def b(): ...\n", "Delete b.py", ["b.py"]),
        ("--- /dev/null\n+++ b/d.py\t2026-11-20\n@@ -0,0 +1 @@\n+def d(): ...\n", "Add d.py with `d`", ["d.py"]),
    ],
)  # fmt: skip
def test_a_patch_says_what_it_does(patch: str, title: str, files: list[str]) -> None:
    one = only(tool("apply_patch", {"patch": patch}))
    assert (one.title, one.files_modified) == (title, files)


def test_a_file_that_is_gone_was_not_changed() -> None:
    one = only(tool("delete_file", {"target_file": "src/old name.py"}))
    assert (one.type, one.title, one.narrative) == ("change", "Delete old name.py", "`rm 'src/old name.py'`")
    assert one.files_modified == ["src/old name.py"]


def test_hostile_answers_cost_little() -> None:
    began = Stopwatch()
    for text in ("Exit code: 1\n", "Wall time: 1\n", "user said:", "the user ", "a/", "a.b", "`a", "not ", "Output: ",
                 "Permission to use ", "Stdout: x\nExit Code: ", "apply_patch ", "*** Begin Patch ", "\n", " ",
                 "--- a\n+++ b\n", "<feedback>", "Claude requested permissions to "):  # fmt: skip
        long = text * (20_000 // len(text))
        for said in (long, f"Command: {long}", f"{REJECTED} {long}", f"Exit code: 1\nOutput:\n{long}"):
            answer_of(said, {"error": said}, command=True)
            answer_of({"message": said}, {}, edit=True)
            read(tool("shell", {"command": f"apply_patch {said}"}, said))
    assert began.fair < 10
