"""What other agents write and send: the same things in many shapes."""

from __future__ import annotations

import json
from typing import Any

from muster.domain.agents import OutputLine
from muster.domain.memory import Event
from muster.domain.rules.reading import Act, Kind, read_all
from muster.domain.transcripts import Transcript
from tests.unit.rules.observing import AT, event

VETTED = "# shop\n./pay.go:7:2: result of fmt.Errorf call not used"
PATCH = "*** Begin Patch\n*** Update File: shop/pay.py\n@@\n-def refund():\n+def refund_order():\n*** End Patch"


def acts(*payloads: Any, kind: str = "message") -> list[Act]:
    found = read_all([event(payload, kind) for payload in payloads])
    return [act for act in found if act.kind is not Kind.NOTHING]


def item(kind: str, **more: Any) -> dict[str, Any]:
    return {"timestamp": "2026-11-20T12:00:00Z", "type": "response_item", "payload": {"type": kind, **more}}


def lived(kind: str, **more: Any) -> dict[str, Any]:
    return {"timestamp": "2026-11-20T12:00:00Z", "type": "event_msg", "payload": {"type": kind, **more}}


def blocks(role: str, *content: dict[str, Any]) -> dict[str, Any]:
    return {"role": role, "content": list(content)}


def part(**more: Any) -> dict[str, Any]:
    return {"type": "message.part.updated", "properties": {"part": {"id": "prt_1", "sessionID": "ses_1", **more}}}


RAN = {"command": ["bash", "-lc", "go vet ./..."]}
FAILED_VET = [
    [
        item("function_call", name="shell", arguments=json.dumps(RAN), call_id="c1"),
        item("function_call_output", call_id="c1", output=f"Exit code: 1\nWall time: 1 seconds\nOutput:\n{VETTED}"),
    ],
    [
        {"type": "function_call", "name": "shell", "arguments": json.dumps(RAN), "call_id": "c1"},
        {"type": "function_call_output", "call_id": "c1",
         "output": json.dumps({"output": VETTED, "metadata": {"exit_code": 1, "duration_seconds": 0.3}})},
    ],
    [item("local_shell_call", call_id="c1", action={"type": "exec", **RAN}),
     item("local_shell_call_output", call_id="c1", output={"content": VETTED, "success": False})],
    [lived("exec_command_end", call_id="c1", aggregated_output=VETTED, exit_code=1, **RAN)],
    [{"id": "0", "msg": {"type": "exec_command_end", "call_id": "c1", "stdout": VETTED, "exit_code": 1, **RAN}}],
    [{"type": "item.completed", "item": {"id": "item_1", "type": "command_execution", "command": "go vet ./...",
                                         "aggregated_output": VETTED, "exit_code": 1, "status": "failed"}}],
    [part(type="tool", tool="bash", callID="c1", state={"status": "pending", "input": {}}),
     part(type="tool", tool="bash", callID="c1", state={
         "status": "completed", "input": {"command": "go vet ./..."}, "output": VETTED, "title": "Vet",
         "metadata": {"exit": 1, "output": VETTED}, "time": {"start": 1, "end": 2}})],
    [{"type": "tool_use", "timestamp": 1, "sessionID": "ses_1", "part": {
        "type": "tool", "tool": "bash", "callID": "c1", "state": {
            "status": "completed", "input": {"command": "go vet ./..."}, "output": VETTED, "metadata": {"exit": 1}}}}],
    [{"hook_event_name": "afterShellExecution", "conversation_id": "a", "command": "go vet ./...", "output": VETTED,
      "exit_code": 1}],
    [{"role": "assistant", "content": None, "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "bash", "arguments": '{"command": "go vet ./..."}'}}]},
     {"role": "tool", "tool_call_id": "c1", "content": f"Exit code: 1\n{VETTED}"}],
    [{"messages": [
        {"role": "assistant", "tool_calls": [
            {"id": "c1", "function": {"name": "bash", "arguments": '{"command": "go vet ./..."}'}}]},
        {"role": "tool", "tool_call_id": "c1", "content": f"Exit code: 1\n{VETTED}"}]}],
    [blocks("assistant", {"type": "tool_use", "id": "c1", "name": "Bash", "input": {"command": "go vet ./..."}}),
     blocks("user", {"type": "tool_result", "tool_use_id": "c1", "is_error": True,
                     "content": [{"type": "text", "text": f"Exit code 1\n{VETTED}"}]})],
    [{"type": "assistant", "uuid": "u1", "message": blocks(
        "assistant", {"type": "tool_use", "id": "c1", "name": "Bash", "input": {"command": "go vet ./..."}})},
     {"type": "user", "uuid": "u2", "message": blocks(
         "user", {"type": "tool_result", "tool_use_id": "c1", "is_error": True, "content": f"Exit code 1\n{VETTED}"})}],
    [{"type": "tool_use", "id": "c1", "name": "Bash", "input": {"command": "go vet ./..."}},
     {"type": "tool_result", "tool_use_id": "c1", "content": f"Exit code 1\n{VETTED}", "is_error": True}],
    [{"role": "model", "parts": [{"functionCall": {"name": "run_shell_command", "args": {"command": "go vet ./..."}}}]},
     {"role": "user", "parts": [{"functionResponse": {"name": "run_shell_command", "response": {
         "output": f"Command: go vet ./...\nDirectory: (root)\nStdout: (empty)\nStderr: {VETTED}\nError: (none)\n"
                   "Exit Code: 1\nSignal: (none)\nBackground PIDs: (none)"}}}]}],
    [{"type": "tool_use", "tool_name": "run_shell_command", "tool_id": "c1", "parameters": {"command": "go vet ./..."}},
     {"type": "tool_result", "tool_id": "c1", "status": "success", "output": f"Output: {VETTED}\nExit Code: 1"}],
    [{"type": "tool_call", "subtype": "started", "call_id": "c1", "tool_call": {"shellToolCall": {"args": {}}}},
     {"type": "tool_call", "subtype": "completed", "call_id": "c1", "tool_call": {"shellToolCall": {
         "args": {"command": "go vet ./..."}, "result": {"failure": {"exitCode": 1, "stderr": VETTED}}}}}],
]  # fmt: skip


EDITED = [
    [item("function_call", name="apply_patch", arguments=json.dumps({"input": PATCH}), call_id="c1"),
     item("function_call_output", call_id="c1", output="Success. Updated the following files:\nM shop/pay.py")],
    [item("custom_tool_call", name="apply_patch", input=PATCH, call_id="c1", status="completed")],
    [item("function_call", name="shell", arguments=json.dumps({"command": ["apply_patch", PATCH]}), call_id="c1")],
    [item("custom_tool_call", name="apply_patch", input=PATCH, call_id="c1"),
     lived("patch_apply_end", call_id="c1", success=True, stdout="Success.", stderr="", changes={
         "shop/pay.py": {"update": {"unified_diff": "@@ -1 +1 @@\n-def refund():\n+def refund_order():\n"}}}),
     item("custom_tool_call_output", call_id="c1", output='{"output": "Success.", "metadata": {"exit_code": 0}}')],
    [lived("patch_apply_end", success=True, changes={"shop/pay.py": {
        "type": "update", "unified_diff": "--- a\n+++ b\n@@\n-def refund():\n+def refund_order():"}})],
    [part(type="tool", tool="edit", callID="c1", state={
        "status": "completed", "output": "", "metadata": {"diagnostics": {}}, "input": {
            "filePath": "shop/pay.py", "oldString": "def refund():", "newString": "def refund_order():"}})],
    [{"hook_event_name": "afterFileEdit", "file_path": "shop/pay.py",
      "edits": [{"old_string": "def refund():", "new_string": "def refund_order():"}]}],
    [blocks("assistant", {"type": "text", "text": "I rename it."}, {
        "type": "tool_use", "id": "c1", "name": "Edit", "input": {
            "file_path": "shop/pay.py", "old_string": "def refund():", "new_string": "def refund_order():"}})],
    [{"role": "model", "parts": [{"functionCall": {"name": "replace", "args": {
        "file_path": "shop/pay.py", "old_string": "def refund():", "new_string": "def refund_order():"}}}]}],
    [{"type": "tool_call", "subtype": "completed", "call_id": "c1", "tool_call": {"editToolCall": {
        "args": {"path": "shop/pay.py", "strReplace": {"oldText": "def refund():", "newText": "def refund_order():"}},
        "result": {"success": {"linesAdded": 1}}}}}],
]  # fmt: skip


def printed(*documents: Any) -> list[Event]:
    transcript = Transcript()
    texts = [one if isinstance(one, str) else json.dumps(one) for one in documents]
    transcript.feed(OutputLine(n=n, stream="stdout", at=AT, text=text) for n, text in enumerate(texts, 1))
    found = [event(piece.payload, piece.type, "muster") for piece in transcript.pieces()]
    return [*found, event({"title": "Refunds", "result": json.loads(texts[-1])}, "agent.result", "muster")]
