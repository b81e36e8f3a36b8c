"""Messages of providers with the tools in them: Anthropic's blocks, OpenAI's calls, Gemini's parts.

Messages that hold nothing but words are none of these: they are read as whatever else is said.
"""

from __future__ import annotations

from typing import Any

from muster.domain.rules.json import opened, text_of
from muster.domain.shapes.parts import Part, answer, call, gave_up, listed, mapping, said, type_of, use
from muster.domain.shapes.streams import bit

_CALLS = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})
_ANSWERS = frozenset({"tool_result", "web_search_tool_result", "mcp_tool_result"})
MAX_PARTS = 12
"""Of one message."""


def provided(document: Any) -> list[Part] | None:
    """None: nothing in it is a tool's."""
    if isinstance(document, list):
        return _messages(document)
    if type_of(document) in _CALLS | _ANSWERS and (found := _block(document, "")) is not None:
        return found
    for inner in (document, mapping(document.get("message")), mapping(document.get("content"))):
        if (found := _message(inner)) is not None:
            return [] if document.get("isMeta") is True else found[:MAX_PARTS]
    for several in ("messages", "contents", "candidates", "choices"):
        if (found := _messages(document.get(several))) is not None:
            return found
    return None


def _messages(value: Any) -> list[Part] | None:
    found: list[Part] = []
    any_tool = False
    for item in listed(value):
        message = mapping(item.get("message")) or mapping(item.get("content")) or item
        parts = _block(item, "") if type_of(item) in _CALLS | _ANSWERS else _message(message)
        any_tool = any_tool or parts is not None
        role = str(message.get("role") or "assistant")
        plain = said(text_of(message), role) if role in ("user", "assistant", "model") else []
        found += plain if parts is None else parts
    return found[:MAX_PARTS] if any_tool else None


def _message(message: dict[str, Any]) -> list[Part] | None:
    role, content = str(message.get("role") or "assistant"), message.get("content")
    if role in ("tool", "function") and isinstance(content, str | list):
        return answer(content, message.get("tool_call_id"), name=message.get("name"))
    if calls := listed(message.get("tool_calls")):
        asked = [mapping(one.get("function")) | {"id": one.get("id")} for one in calls]
        made = [part for one in asked for part in call(one.get("name"), opened(one.get("arguments")), one["id"])]
        return [*said(text_of(content), role), *made]
    if isinstance(content, list) and any(type_of(block) in _CALLS | _ANSWERS for block in listed(content)):
        return [part for block in listed(content) for part in _block(block, role) or []]
    parts = listed(message.get("parts")) or [message]
    if any(_of_gemini(part) is not None for part in parts):
        own = "user" if role == "user" else "assistant"
        return [one for part in parts for one in _gemini(part, own)]
    return None


def _block(block: dict[str, Any], role: str) -> list[Part] | None:
    kind = type_of(block)
    if kind == "text":
        return said(block.get("text"), role or "assistant")
    if kind in _CALLS:
        if "tool_id" in block:
            return call(block.get("tool_name"), block.get("parameters"), block["tool_id"])
        whole = any(key in block for key in ("output", "result", "tool_response", "response"))
        return None if whole or "tool_name" in block else call(block.get("name"), block.get("input"), block.get("id"))
    if kind in _ANSWERS:
        if "tool_id" in block:
            told = mapping(block.get("error")).get("message") or block.get("output")
            return answer(told, block["tool_id"], failed=block.get("status") == "error")
        return answer(block.get("content"), block.get("tool_use_id"), failed=block.get("is_error") is True)
    return []


def _of_gemini(part: dict[str, Any]) -> list[Part] | None:
    for key in ("functionCall", "function_call"):
        if isinstance(asked := part.get(key), dict):
            return call(asked.get("name"), asked.get("args"), asked.get("id"))
    for key in ("functionResponse", "function_response"):
        if isinstance(told := part.get(key), dict):
            response = mapping(told.get("response"))
            return answer(response, told.get("id"), failed=bool(response.get("error")), name=told.get("name"))
    return None


def _gemini(part: dict[str, Any], role: str) -> list[Part]:
    found = _of_gemini(part)
    return found if found is not None else said(part.get("text"), role) if part.get("thought") is not True else []


# -- Lines that agents print, a document each -----------------------------------------------------------------------


def streamed(document: dict[str, Any]) -> list[Part] | None:
    """Those of Claude Code, which Cursor's agent prints too, and those of Gemini's."""
    kind, message = type_of(document), document.get("message")
    if kind in ("assistant", "user") and isinstance(message, dict):
        content = message.get("content")
        if document.get("isMeta") is True:
            return []
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else listed(content)
        return [part for block in blocks for part in _block(block, kind) or []][:MAX_PARTS]
    if kind == "result":
        return _ended(document)
    if kind == "system" and isinstance(document.get("subtype"), str):
        return []
    if kind == "tool_call" and isinstance(document.get("tool_call"), dict):
        return _of_cursor(document) if document.get("subtype") == "completed" else []
    if kind in ("thinking", "init") and "session_id" in document:
        return []
    if kind == "message" and isinstance(document.get("content"), str) and "timestamp" in document:
        by_user = document.get("role") == "user"
        if document.get("delta") is True and not by_user:
            return bit(document["content"])
        return said(document["content"], "user" if by_user else "assistant")
    return None


def _ended(document: dict[str, Any]) -> list[Part] | None:
    """What such an agent says last is what it said before, unless it failed."""
    text, state = document.get("result"), document.get("subtype") or document.get("status")
    if document.get("is_error") is True or (isinstance(state, str) and state.startswith("error")):
        return gave_up(text or document.get("error") or state)
    if isinstance(text, str):
        return said(text)
    return [] if isinstance(state, str) and not {"stats", "session_id", "usage"}.isdisjoint(document) else None


def _of_cursor(document: dict[str, Any]) -> list[Part]:
    for name, asked in list(document["tool_call"].items())[:5]:
        if name.endswith("ToolCall") and isinstance(asked, dict):
            how, told = next(iter(mapping(asked.get("result")).items()), ("success", None))
            args = mapping(asked.get("args"))
            changes = [mapping(args.get("strReplace"))] if "strReplace" in args else listed(args.get("edits"))
            args = {**args, "edits": changes} if changes else args
            answered = {**mapping(told), "status": how} if how != "success" else told
            tool = name.removesuffix("ToolCall")
            tool = "delete_file" if tool == "delete" else tool
            return use(tool, args, answered, failed=how != "success", number=document.get("call_id"))
    return []
