"""What is started in the background has no result until one is told, and then it is that of its command."""

from __future__ import annotations

from typing import Any

import pytest

from muster.domain.memory import Event
from muster.domain.rules.observing import observe
from muster.domain.rules.summary import summarise
from tests.unit.rules.observing import event, made, only, tool

EDIT = ("Edit", {"file_path": "/srv/shop/cart.py", "old_string": "total = 3", "new_string": "total = 4"})
COMMAND = "uv run tox -e system"
STARTED = "Command running in background with ID: b51c0de. Output is being written to: /tmp/tasks/b51c0de.output"
PLAIN = {"command": COMMAND}
FAILS = "FAILED tests/test_cart.py::test_total - assert 3 == 4\n=== 1 failed, 7 passed in 9.10s ==="


def edit() -> Event:
    return tool(*EDIT, {"filePath": "/srv/shop/cart.py"})


def start(command: str = COMMAND, **asked: Any) -> Event:
    return tool("Bash", {"command": command, **asked}, {"stdout": STARTED, "stderr": "", "interrupted": False})


def end(status: str, code: int | None, printed: str, name: str = "b51c0de") -> Event:
    told = f"<exit_code>{code}</exit_code>\n\n" if code is not None else ""
    answer = (
        f"<retrieval_status>success</retrieval_status>\n\n<task_id>{name}</task_id>\n\n<task_type>local_bash</task_type>"
        f"\n\n<status>{status}</status>\n\n{told}<output>\n{printed}\n</output>"
    )
    return tool("TaskOutput", {"task_id": name, "block": True, "timeout": 300000}, answer)


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        (PLAIN, STARTED),
        (PLAIN, {"stdout": STARTED, "stderr": ""}),
        (PLAIN, {"stdout": "", "stderr": "", "backgroundTaskId": "b51c0de"}),
        ({**PLAIN, "run_in_background": True}, {"stdout": "", "stderr": ""}),
        ({**PLAIN, "is_background": True}, "Command started."),
        (
            PLAIN,
            "Command was manually backgrounded by user with ID: b51c0de. Output is being written to: /tmp/b.output",
        ),
        (PLAIN, "Chunk ID: 5c1\nWall time: 10.0 seconds\nProcess running with session ID 7\nOutput:\ncollecting ..."),
        ({"command": f"{COMMAND} > /tmp/tox.log 2>&1 &"}, {"stdout": "", "stderr": ""}),
        ({"command": f"nohup {COMMAND} > /tmp/tox.log & echo $!"}, {"stdout": "4711", "stderr": ""}),
    ],
)
def test_what_is_only_started_passes_nothing(asked: dict[str, Any], answered: Any) -> None:
    started = tool("Bash", asked, answered)
    for one in made(edit(), started):
        assert "passe" not in one.content
        assert one.type != "bugfix"
    failed = tool("Bash", PLAIN, {"stdout": FAILS}, exit_code=1)
    found = made(failed, edit(), started)
    assert "bugfix" not in {one.type for one in found}
    assert not any("Run again" in one.content for one in found)
    (summary,) = summarise(None, [failed, edit(), started], found).observations
    assert "tox fails" in (summary.narrative or "").partition("Open:")[2]


@pytest.mark.parametrize("command", [f"true && {COMMAND}", f"{COMMAND} 2>&1", f"echo 'a & b'; {COMMAND}"])
def test_what_is_waited_for_passes(command: str) -> None:
    (one,) = made(edit(), tool("Bash", {"command": command}, {"stdout": "8 passed in 9.10s", "stderr": ""}))
    assert "8 passed" in one.content


@pytest.mark.parametrize(
    "ended",
    [
        end("failed", 1, FAILS),
        end("completed", 0, FAILS),
        tool("TaskOutput", {"task_id": "b51c0de"}, {"retrieval_status": "success", "task": {
            "task_id": "b51c0de", "status": "failed", "exitCode": 1, "output": FAILS}}),
        tool("BashOutput", {"bash_id": "b51c0de"},
             f"<status>failed</status>\n\n<exit_code>1</exit_code>\n\n<stdout>\n{FAILS}\n</stdout>"),
        tool("BashOutput", {"bash_id": "b51c0de"},
             {"shellId": "b51c0de", "command": COMMAND, "status": "failed", "exitCode": 1, "stdout": FAILS}),
    ],
)  # fmt: skip
def test_an_end_is_that_of_the_command(ended: Event) -> None:
    found = made(edit(), start(), ended)
    assert [(one.type, one.title) for one in found] == [
        ("change", "Change cart.py: `total = 4`"), ("error", "tox fails: assert 3 == 4"),
    ]  # fmt: skip
    assert not any("passes" in fact for fact in found[0].facts)
    assert found[1].sources == [ended.id]
    assert COMMAND in (found[1].narrative or "")


def test_an_end_that_passes_is_the_check_of_what_was_there_when_it_began() -> None:
    failed = tool("Bash", PLAIN, {"stdout": FAILS}, exit_code=1)
    later = tool("Edit", {"file_path": "/srv/shop/tax.py", "old_string": "rate = 1", "new_string": "rate = 2"})
    found = made(failed, edit(), start(), later, end("completed", 0, "=== 8 passed in 9.10s ==="))
    fix = next(one for one in found if one.type == "bugfix")
    assert fix.title == "Fix assert 3 == 4 in cart.py"
    assert "8 passed" in (fix.narrative or "")
    assert [one.title for one in found if one is not fix] == ["Change tax.py: `rate = 2`"]


def test_what_goes_on_has_no_end_yet() -> None:
    for one in (end("running", None, FAILS), tool("KillShell", {"shell_id": "b51c0de"}, "Successfully killed"),
                end("killed", None, "")):  # fmt: skip
        (told,) = made(start(), one)
        assert told.title == f"Start in the background: `{COMMAND}`"
    found = made(start(), end("running", None, "collecting"), end("failed", 1, FAILS))
    assert [one.title for one in found] == ["tox fails: assert 3 == 4"]


def test_an_end_in_a_later_batch_is_that_of_the_command_too() -> None:
    before, ended = [edit(), start()], end("failed", 1, FAILS)
    (one,) = observe([ended], before).observations
    assert (one.type, one.title) == ("error", "tox fails: assert 3 == 4")
    passes = end("completed", 0, "8 passed in 9.10s")
    changed = tool("Edit", {"file_path": "/srv/shop/tax.py", "old_string": "rate = 1", "new_string": "rate = 2"})
    found = observe([changed, passes], before).observations
    assert not any("passes" in fact for one in found for fact in one.facts)
    assert observe([ended], [*before, ended]).observations == []


def test_an_end_of_what_nobody_saw_begin_is_told_by_its_name() -> None:
    one = only(end("failed", 1, FAILS))
    assert (one.type, one.title) == ("error", "The background run b51c0de failed: assert 3 == 4")
    one = only(end("completed", 0, "8 passed in 9.10s"))
    assert (one.type, one.title) == ("discovery", "The background run b51c0de passes: 8 passed in 9.10s")
    assert made(end("completed", 0, "")) == []


NOTIFIED = """<task-notification>
<task-id>b51c0de</task-id>
<output-file>/tmp/tasks/b51c0de.output</output-file>
<status>{0}</status>
<summary>Background command "Test the system" {0} (exit code {1})</summary>
</task-notification>
Read the output file to retrieve the result: /tmp/tasks/b51c0de.output"""
BARE = """b51c0de
/tmp/tasks/b51c0de.output
{0}

Background command "Test the system" {0} with exit code {1}.
Read the output file to retrieve the output."""


@pytest.mark.parametrize("form", [NOTIFIED, BARE])
def test_a_notice_is_the_end_of_what_it_names(form: str) -> None:
    failed = event({"prompt": form.format("failed", 2)}, "UserPromptSubmit")
    one = only(start(), failed)
    assert (one.type, one.title) == ("error", "tox fails: exit code 2")
    one = only(failed)
    assert (one.type, one.title.startswith("The background run b51c0de failed: ")) == ("error", True)
    (one,) = made(edit(), start(), event({"prompt": form.format("completed", 0)}, "UserPromptSubmit"))
    assert f"`{COMMAND}` passes" in one.facts
    # Of a pipe, the code is that of the last.
    for piped in (f"{COMMAND} 2>&1 | tee log", f"{COMMAND} | tail -5"):
        found = made(edit(), start(piped), event({"prompt": form.format("completed", 0)}, "UserPromptSubmit"))
        assert not any("passes" in one.content for one in found)
    # What it printed tells more, whenever it is told.
    found = made(start(), failed, end("failed", 2, FAILS))
    assert [one.title for one in found] == ["tox fails: assert 3 == 4"]
    assert [one.title for one in made(start(), end("failed", 2, FAILS), failed)] == ["tox fails: assert 3 == 4"]


def test_what_another_tool_says_of_a_status_is_no_end() -> None:
    assert made(tool("TaskOutput", {"task_id": "b51c0de"}, "No task found with ID: b51c0de")) == []
    (one,) = made(event({"prompt": "The background command that I started failed, please look into it"}, "prompt"))
    assert one.type != "discovery"


@pytest.mark.parametrize(
    ("stop", "code"),
    [
        (tool("Bash", {"command": "kill 66012 2>/dev/null; pkill -f 'tox' ; sleep 1"}, {"stdout": "killed"}), 144),
        (tool("Bash", {"command": "sudo killall -9 tox"}, {"stdout": ""}), 137),
        (tool("Bash", {"command": "docker compose -f dev.yml down"}, {"stdout": "Stopped"}), 143),
        (tool("Bash", {"command": "npx kill-port 3000"}, {"stdout": "Process on port 3000 killed"}), 143),
        (tool("KillShell", {"shell_id": "b51c0de"}, "Successfully killed shell: b51c0de"), 137),
        (tool("TaskStop", {"task_id": "b51c0de"}, {"message": "Successfully stopped task", "task_id": "b51c0de"}), 143),
    ],
)
@pytest.mark.parametrize("form", [NOTIFIED, BARE])
def test_what_was_stopped_on_purpose_did_not_fail(stop: Event, code: int, form: str) -> None:
    failed = event({"prompt": form.format("failed", code)}, "UserPromptSubmit")
    assert "error" not in {one.type for one in made(start(), stop, failed)}
    assert "error" not in {one.type for one in made(stop, failed)}
    assert observe([failed], [start(), stop]).observations == []
    asked = end("failed", code, "Terminated")
    assert "error" not in {one.type for one in made(start(), stop, asked)}


@pytest.mark.parametrize(
    ("before", "code"),
    [
        (tool("Bash", {"command": "pkill -f tox"}, {"stdout": ""}), 1),
        (tool("KillShell", {"shell_id": "b51c0de"}, "Successfully killed shell: b51c0de"), 2),
        (tool("KillShell", {"shell_id": "b7777ff"}, "Successfully killed shell: b7777ff"), 137),
        (tool("Bash", {"command": "docker ps; ./killer.sh"}, {"stdout": "none"}), 137),
        (tool("Bash", {"command": "echo kill it; git log --grep kill"}, {"stdout": "kill it"}), 137),
    ],
)
def test_what_fails_by_itself_does_fail(before: Event, code: int) -> None:
    failed = event({"prompt": NOTIFIED.format("failed", code)}, "UserPromptSubmit")
    assert "error" in {one.type for one in made(start(), before, failed)}
    assert "error" in {one.type for one in made(start(), failed, before)}


def test_what_is_interrupted_by_a_key_did_not_fail() -> None:
    running = "Chunk ID: 5c1\nWall time: 10.0 seconds\nProcess running with session ID 7\nOutput:\nserving ..."
    over = "Chunk ID: 5c2\nWall time: 0.1 seconds\nProcess exited with code {}\nOutput:\n^C"
    begun = tool("exec_command", {"cmd": "npm run dev"}, running)
    for code in (1, 130):
        found = made(begun, tool("write_stdin", {"session_id": 7, "chars": "\x03"}, over.format(code)))
        assert [one.title for one in found] == ["Start in the background: `npm run dev`"]
    assert "error" in {one.type for one in made(
        begun, tool("write_stdin", {"session_id": 7, "chars": ""}, over.format(1)))}  # fmt: skip


@pytest.mark.parametrize("command", ["npm run lint", "npm test", "cargo check", "make test"])
def test_a_check_that_ends_well_without_a_word_passes(command: str) -> None:
    begun = f"Chunk ID: 5c1\nWall time: 1.0 seconds\nProcess running with session ID 7\nOutput:\n> {command}\n"
    over = "Chunk ID: 5c2\nWall time: 0.1 seconds\nProcess exited with code {}\nOriginal token count: 0\nOutput:\n"
    asks = tool("write_stdin", {"session_id": 7, "chars": "", "yield_time_ms": 1000}, over.format(0))
    one = only(tool("exec_command", {"cmd": command}, begun), asks)
    assert (one.type, one.title) == ("discovery", f"{command} passes")
    (one,) = observe([asks], [tool("exec_command", {"cmd": command}, begun)]).observations
    assert one.title == f"{command} passes"
    failed = tool("write_stdin", {"session_id": 7, "chars": ""}, over.format(1))
    assert only(tool("exec_command", {"cmd": command}, begun), failed).type == "error"
    piped = made(tool("exec_command", {"cmd": f"{command} | tail -3"}, begun), asks)
    assert not any("passes" in one.content for one in piped)


def test_the_tool_of_an_answer_in_a_later_batch_is_known() -> None:
    asked = {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "stat -f %Sm . -t %Y"}}
    told = {"type": "tool_result", "tool_use_id": "t1", "content": "stat: %Y: No such file", "is_error": True}
    before = event({"role": "assistant", "content": [asked]})
    (one,) = observe([event({"role": "user", "content": [told]})], [before]).observations
    assert one.title == "stat fails: stat: %Y: No such file"
    edits = {**asked, "name": "Edit", "input": {"file_path": "/srv/a.py", "old_string": "a = 1", "new_string": "a = 2"}}
    done = event({"role": "user", "content": [{**told, "content": "The file was updated.", "is_error": False}]})
    assert observe([done], [event({"role": "assistant", "content": [edits]})]).observations == []
