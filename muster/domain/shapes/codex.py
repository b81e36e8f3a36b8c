"""What Codex writes: the lines of a rollout, those of `codex exec --json`, and what `notify` is called with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from muster.domain.rules.json import opened, text_of
from muster.domain.shapes.parts import Part, answer, call, gave_up, listed, mapping, said, type_of, use

_ENVELOPES = frozenset({"response_item", "event_msg"})
_BOOKKEEPING = frozenset(
    """
    session_meta turn_context compacted token_count reasoning agent_reasoning agent_reasoning_raw_content
    agent_reasoning_section_break agent_reasoning_delta agent_message_delta agent_message_content_delta
    reasoning_content_delta reasoning_raw_content_delta task_started turn_started turn_diff exec_command_begin
    exec_command_output_delta exec_approval_request apply_patch_approval_request patch_apply_begin mcp_tool_call_begin
    web_search_begin background_event session_configured item_started raw_response_item ghost_snapshot turn.started
    turn.completed thread.started item.started item.updated thread_rolled_back context_compacted
    """.split()  # noqa: SIM905
)


def codex(kind: str, document: dict[str, Any]) -> list[Part] | None:
    """None: it is nothing of Codex."""
    name = type_of(document) or kind
    if isinstance(inner := document.get("msg"), dict) and type_of(inner):
        return _event(type_of(inner), inner)
    if isinstance(inner := document.get("payload"), dict) and (name in _ENVELOPES or name in _BOOKKEEPING):
        return _enveloped(name, type_of(inner), inner)
    if kind in _ENVELOPES and name not in _ENVELOPES:
        return _enveloped(kind, name, document)
    if name in _BOOKKEEPING:
        return []
    if name == "agent-turn-complete":
        return _notified(document)
    if name == "item.completed" and isinstance(item := document.get("item"), dict):
        return _item(item)
    if name == "turn.failed":
        return gave_up(document.get("error"))
    if name == "error" and set(document) == {"type", "message"}:
        return gave_up(document)
    if name in _CALLS and ("call_id" in document or type_of(document) == name):
        return _CALLS[name](document)
    return _ENDED[name](document) if name in _ENDED else None


def _enveloped(envelope: str, name: str, inner: dict[str, Any]) -> list[Part]:
    if envelope == "event_msg":
        return _event(name, inner)
    if envelope != "response_item":
        return []
    if name == "message":
        role = str(inner.get("role"))
        return said(text_of(inner.get("content")), role) if role in ("user", "assistant") else []
    return _CALLS[name](inner) if name in _CALLS else []


def _event(name: str, inner: dict[str, Any]) -> list[Part]:
    if name in _ENDED:
        return _ENDED[name](inner)
    if name in ("user_message", "agent_message"):
        return said(inner.get("message"), "user" if name == "user_message" else "assistant")
    return gave_up(inner) if name == "error" else []


def _notified(document: dict[str, Any]) -> list[Part]:
    asked = document.get("input-messages", document.get("input_messages"))
    answered = document.get("last-assistant-message", document.get("last_assistant_message"))
    return [*said(text_of(asked), "user"), *said(answered)]


# -- Calls, and what they answered ----------------------------------------------------------------------------------


def _searched(item: dict[str, Any]) -> list[Part]:
    query = item.get("query") or mapping(item.get("action")).get("query")
    return use("web_search", {"query": query}, number=item.get("call_id")) if isinstance(query, str) else []


def _output(item: dict[str, Any]) -> list[Part]:
    told = opened(item.get("output"))
    failed = isinstance(told, dict) and told.get("success") is False
    return answer(told, item.get("call_id"), failed=failed)


def _executed(item: dict[str, Any]) -> list[Part]:
    words = item.get("aggregated_output") or item.get("formatted_output") or item.get("stdout")
    told = {"stdout": words, "stderr": item.get("stderr"), "exit_code": item.get("exit_code")}
    return use("shell", {"command": item.get("command")}, told, number=item.get("call_id"))


def _patched(item: dict[str, Any]) -> list[Part]:
    told = {"stdout": item.get("stdout"), "stderr": item.get("stderr"), "success": item.get("success")}
    patch = _as_patch(mapping(item.get("changes")))
    return use("apply_patch", {"patch": patch}, told, failed=item.get("success") is False, number=item.get("call_id"))


def _as_patch(changes: dict[str, Any]) -> str:
    lines = ["*** Begin Patch"]
    for path, change in list(changes.items())[:50]:
        change = mapping(change)
        kind = change.get("type") or next(iter(change), "update")
        told = mapping(change.get(str(kind))) or change
        content, diff = told.get("content"), told.get("unified_diff")
        if kind == "add":
            lines += [f"*** Add File: {path}", *_each("+", content)]
        elif kind == "delete":
            lines += [f"*** Delete File: {path}", *_each("-", content)]
        else:
            lines += [f"*** Update File: {path}", *_each("", _hunks(diff))]
            lines += [f"*** Move to: {moved}" for moved in [told.get("move_path")] if isinstance(moved, str)]
    return "\n".join(lines)


def _hunks(diff: Any) -> Any:
    return diff[max(0, diff.find("@@")) :] if isinstance(diff, str) else diff


def _each(mark: str, text: Any) -> list[str]:
    return [f"{mark}{line}" for line in text.split("\n")[:2000]] if isinstance(text, str) and text else []


def _of_mcp(item: dict[str, Any]) -> list[Part]:
    asked, told = mapping(item.get("invocation")), mapping(item.get("result"))
    good, bad = told.get("Ok"), told.get("Err")
    return use(str(asked.get("tool")), asked.get("arguments"), bad if good is None else good, failed=bad is not None,
               number=item.get("call_id"))  # fmt: skip


_CALLS: dict[str, Callable[[dict[str, Any]], list[Part]]] = {
    "function_call": lambda item: call(item.get("name"), opened(item.get("arguments")), item.get("call_id")),
    "custom_tool_call": lambda item: call(item.get("name"), item.get("input"), item.get("call_id")),
    "local_shell_call": lambda item: call("shell", mapping(item.get("action")), item.get("call_id")),
    "function_call_output": _output,
    "custom_tool_call_output": _output,
    "local_shell_call_output": _output,
    "web_search_call": _searched,
}
_ENDED: dict[str, Callable[[dict[str, Any]], list[Part]]] = {
    "exec_command_end": _executed,
    "patch_apply_end": _patched,
    "mcp_tool_call_end": _of_mcp,
    "web_search_end": _searched,
}


# -- Items of `codex exec --json` -----------------------------------------------------------------------------------


def _item(item: dict[str, Any]) -> list[Part]:
    kind, failed = type_of(item), item.get("status") in ("failed", "declined")
    if kind == "agent_message":
        return said(item.get("text"))
    if kind == "command_execution":
        told = {
            "stdout": item.get("aggregated_output"),
            "exit_code": item.get("exit_code"),
            "status": item.get("status"),
        }
        return use("Bash", {"command": item.get("command")}, told)
    if kind == "file_change":
        return [part for change in listed(item.get("changes"), 20) for part in _changed(change, failed)]
    if kind == "mcp_tool_call":
        why = mapping(item.get("error")).get("message")
        return use(str(item.get("tool")), item.get("arguments"), why or item.get("result"), failed=failed or bool(why))
    if kind == "collab_tool_call":
        asked = {"ids": item.get("receiver_thread_ids"), "message": item.get("prompt")}
        return use(str(item.get("tool")), asked, {"status": item.get("agents_states")}, failed=failed)
    if kind == "todo_list":
        steps = [{"step": one.get("text"), "status": "completed" if one.get("completed") else "pending"}
                 for one in listed(item.get("items"))]  # fmt: skip
        return use("update_plan", {"plan": steps})
    if kind == "error":
        return gave_up(item)
    return _searched(item) if kind == "web_search" else []


_TOOL_OF = {"add": "Write", "delete": "delete_file"}


def _changed(change: dict[str, Any], failed: bool) -> list[Part]:
    kind = change.get("kind")
    kind = kind.get("type") if isinstance(kind, dict) else kind
    return use(_TOOL_OF.get(str(kind), "Edit"), {"file_path": change.get("path")}, failed=failed)
