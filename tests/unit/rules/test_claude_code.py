"""What Claude Code keeps for itself in its session files is no knowledge; what somebody says or what ends in it is."""

from __future__ import annotations

from typing import Any

import pytest

from muster.domain.memory import Event
from muster.domain.rules.observing import observe
from tests.unit.rules.observing import event, made, only, tool

OF_LINE = {
    "parentUuid": "5a0c1f5e-08b6-4c1e-9f0b-6a9d0d5b7a11", "isSidechain": False, "userType": "external",
    "entrypoint": "cli", "cwd": "/srv/shop", "sessionId": "7b1f6a52-3c55-4f29-8f57-0b2f7a3f9c10", "version": "2.1.112",
    "gitBranch": "HEAD", "uuid": "0e1f9f3c-2d64-4d3b-8f0d-2f3f4b5c6d7e", "timestamp": "2026-11-20T12:00:00.000Z",
}  # fmt: skip
SESSION = OF_LINE["sessionId"]
RULE = "Automated behaviors (from now on when X) require hooks configured in settings.json. We decided to use hooks."
NOTICE = (
    "<task-notification>\n<task-id>b51c0de</task-id>\n<output-file>/tmp/tasks/b51c0de.output</output-file>\n"
    '<status>{0}</status>\n<summary>Background command "Test the system" {0} (exit code {1})</summary>\n'
    "</task-notification>"
)
STARTED = "Command running in background with ID: b51c0de. Output is being written to: /tmp/tasks/b51c0de.output"


def line(kind: str, **more: Any) -> Event:
    return event({"type": kind, **OF_LINE, **more}, kind)


def attached(kind: str, **more: Any) -> Event:
    return line("attachment", attachment={"type": kind, **more})


@pytest.mark.parametrize(
    "kept",
    [
        attached("skill_listing", content=f"- update-config: {RULE}", skillCount=3, isInitial=True),
        attached("task_reminder", content=[{"id": "8", "subject": "Deploy it", "status": "pending"}], itemCount=1),
        attached("todo_reminder", content=[{"content": "Deploy the shop", "status": "pending"}], itemCount=1),
        attached("deferred_tools_delta", addedNames=["Monitor"], addedLines=["mcp__mail__send"], removedNames=[]),
        attached("file", filename="/srv/shop/a.py", content={"type": "text", "file": {"content": "TOTAL = 3\n" * 9}}),
        attached("edited_text_file", filename="/srv/shop/a.py", snippet="12\tTOTAL = 3 because of the tax"),
        attached("compact_file_reference", filename="/srv/shop/a.py", displayPath="a.py"),
        attached("nested_memory", path="/srv/shop/CLAUDE.md", content={"content": RULE}),
        attached("plan_mode", reminderType="full", planFilePath="/srv/plan.md", planExists=False),
        attached("date_change", newDate="2026-11-21"),
        attached("hook_success", hookName="PostToolUse:Edit", content="formatted", stdout="", exitCode=0),
        attached("task_status", taskId="b51c0de", taskType="local_bash", status="running", description="Serve"),
        attached("queued_command", prompt=NOTICE.format("completed", 0), commandMode="task-notification"),
        attached("something_new", content=RULE),
        line("progress", data={"type": "bash_progress", "output": "half of it is built", "elapsedTimeSeconds": 2}),
        line("progress", data={"type": "hook_progress", "hookEvent": "PreToolUse", "command": "lint"}),
        line("progress", data={"type": "agent_progress", "prompt": RULE, "message": {"type": "user", "message": {
            "role": "user", "content": [{"type": "text", "text": RULE}]}}}),
        line("system", content="Conversation compacted", level="info", isMeta=False),
        line("system", subtype="turn_duration", durationMs=66047, messageCount=16),
        event({"type": "summary", "summary": "Mend the total of the cart", "leafUuid": OF_LINE["uuid"]}, "summary"),
        event({"type": "last-prompt", "lastPrompt": "Rename the column.", "sessionId": SESSION}, "last-prompt"),
        event({"type": "permission-mode", "permissionMode": "plan", "sessionId": SESSION}, "permission-mode"),
        event({"type": "mode", "mode": "normal", "sessionId": SESSION}, "mode"),
        event({"type": "custom-title", "customTitle": "The cart of the shop", "sessionId": SESSION}, "custom-title"),
        event({"type": "pr-link", "prNumber": 7, "prUrl": "https://a.example/pull/7", "sessionId": SESSION}, "pr-link"),
        event({"type": "queue-operation", "operation": "enqueue", "content": "Rename the column to weight, please.",
               "sessionId": SESSION}, "queue-operation"),
        event({"type": "file-history-snapshot", "messageId": "m", "snapshot": {"trackedFileBackups": {}}}, "event"),
    ],
    ids=lambda one: str(one.payload.get("attachment") or one.payload)[:60],
)  # fmt: skip
def test_what_is_kept_for_itself_is_no_knowledge(kept: Event) -> None:
    assert made(kept) == []
    assert made(event(kept.payload, "message")) == []


@pytest.mark.parametrize("prompt", [
    "Rename the column to parcel_weight.", [{"type": "text", "text": "Rename the column to parcel_weight."}],
    "<system-reminder>\nThe user sent a message.\n</system-reminder>\nRename the column to parcel_weight.",
])  # fmt: skip
def test_what_was_typed_while_it_worked_is_wanted(prompt: Any) -> None:
    one = only(attached("queued_command", prompt=prompt, commandMode="prompt"))
    assert (one.type, one.title) == ("request", "Rename the column to parcel_weight.")


def start(command: str = "uv run tox -e system") -> Event:
    return tool("Bash", {"command": command, "description": "Test the system"}, {"stdout": STARTED, "stderr": ""})


def test_a_run_ends_with_what_waited_in_the_queue() -> None:
    waited = attached("queued_command", prompt=NOTICE.format("failed", 2), commandMode="task-notification")
    one = only(start(), waited)
    assert (one.type, one.title) == ("error", "tox fails: exit code 2")
    (one,) = observe([waited], [start()]).observations
    assert (one.type, one.title) == ("error", "tox fails: exit code 2")
    ended = attached("task_status", taskId="b51c0de", taskType="local_bash", status="failed", description="Test it")
    assert only(start(), ended).type == "error"


def test_what_is_done_by_others_for_it_is_done() -> None:
    edits = {"file_path": "/srv/shop/cart.py", "old_string": "total = 3", "new_string": "total = 4"}
    asked = {"type": "tool_use", "id": "t1", "name": "Edit", "input": edits}
    nested = {"type": "assistant", "message": {"role": "assistant", "content": [
        {"type": "text", "text": "The cause is the tax."}, asked]}}  # fmt: skip
    told = line("progress", data={"type": "agent_progress", "agentId": "a1", "message": nested})
    assert only(told).title == "Change cart.py: `total = 4`"


@pytest.mark.parametrize(
    "other",
    [
        {"type": "summary", "summary": "The cause of the outage was a full disk on db-2.", "sessionId": "s-1"},
        {"type": "task-summary", "text": "The cause of the outage was a full disk on db-2."},
        {"type": "attachment", "text": "The cause of the outage was a full disk on db-2.", "name": "report.pdf"},
        {"type": "system", "text": "The cause of the outage was a full disk on db-2."},
        {"type": "progress", "text": "The cause of the outage was a full disk on db-2."},
    ],
    ids=lambda other: str(other["type"]),
)
def test_what_others_write_under_such_a_name_is_kept(other: dict[str, Any]) -> None:
    assert "full disk on db-2" in only(event(other, "event")).title


def test_what_an_agent_asks_of_another_is_no_persons_request() -> None:
    prompt = "Find out where the total is made."
    task = {"type": "tool_use", "id": "t1", "name": "Task", "input": {"description": "Find it", "prompt": prompt}}
    asks = {"type": "assistant", **OF_LINE, "message": {"role": "assistant", "content": [task]}}
    asked = {"type": "user", **OF_LINE, "isSidechain": True, "message": {"role": "user", "content": prompt}}
    assert only(event(asked, "user")).type == "request", "of a session of its own, that is what it is for"
    assert "request" not in {one.type for one in made(event(asks, "assistant"), event(asked, "user"))}
