"""Sessions of pi and of what is made from it: lines of a file, and what it prints as JSON."""

from __future__ import annotations

import re
from typing import Any

from muster.domain.rules.json import text_of
from muster.domain.shapes.parts import Part, answer, call, gave_up, listed, mapping, said, type_of, use

MAX_PARTS = 40
"""Of one message."""
_KEPT = (
    ("session", {"id", "cwd"}),
    ("model_change thinking_level_change compaction branch_summary custom custom_message label session_info",
     {"id", "parentId"}),
    ("message_start message_update turn_end", {"message"}),
    ("tool_execution_start tool_execution_update tool_execution_end", {"toolCallId", "toolName"}),
    ("auto_compaction_start auto_compaction_end auto_retry_start auto_retry_end", {"type"}),
    ("agent_end", {"messages"}),
)  # fmt: skip
"""Lines that say nothing new, and by which fields its own are known."""
_MARKS = {name: marks for names, marks in _KEPT for name in names.split()}
_BARE = frozenset({"agent_start", "turn_start"})
_ROLES = frozenset({"user", "assistant", "toolResult", "bashExecution"})
_BLOCKS = frozenset({"toolCall", "thinking"})

_EXITED = re.compile(r"\n{0,4}(?:\(no output\)\n{0,4})?Command exited with code (\d{1,3})\s{0,4}\Z")
_EMPTY = frozenset({"(no output)", "[Compacted history content evicted to durable cold storage]"})
"""What stands where there is nothing, or nothing any more."""
_SKILL = re.compile(r'\s{0,9}<skill name="([^"\n]{1,80})"')
_AGENTS = "agent://"
"""Before the name of one that works for it, whose answer is read like a file."""
_LINES = re.compile(r"(?<=\w):(?:raw|\d{1,6}(?:[-,+]\d{1,6}){0,9})\Z")
_OF_PATCH = re.compile(r"^[§¶][ \t]?(\S[^\n#]{0,300})", re.MULTILINE)
_CHANGED = re.compile(r"([+-])\s{0,6}\d{1,6}(?:[a-z]{2})?[| ](.*)")
MAX_CHANGED = 400


def pi(kind: str, document: dict[str, Any]) -> list[Part] | None:
    """None: it is none of its lines."""
    name = type_of(document)
    message = mapping(document.get("message"))
    if name in ("message", "message_end") and message.get("role") in _ROLES and _is_its(document, message):
        return _message(message)[:MAX_PARTS]
    if name in _BARE and document.keys() == {"type"}:
        return []
    return [] if name in _MARKS and _MARKS[name] <= document.keys() else None


def _is_its(document: dict[str, Any], message: dict[str, Any]) -> bool:
    if (
        "parentId" in document
        or type_of(document) == "message_end"
        or message["role"] in ("toolResult", "bashExecution")
    ):
        return True
    return any(type_of(block) in _BLOCKS for block in listed(message.get("content")))


def _message(message: dict[str, Any]) -> list[Part]:
    role = message["role"]
    if role == "toolResult":
        return _answered(message)
    if role == "bashExecution":
        told = {"stdout": _words(message.get("output")), "exit_code": message.get("exitCode")}
        return use("Bash", {"command": message.get("command")}, told)
    content = message.get("content")
    if role == "user":
        return said(_wanted(text_of(content)), "user")
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else listed(content)
    found = [part for block in blocks for part in _block(block)]
    return found + (gave_up(message.get("errorMessage")) if message.get("stopReason") == "error" else [])


def _block(block: dict[str, Any]) -> list[Part]:
    if type_of(block) == "text":
        return said(_words(block.get("text")))
    if type_of(block) != "toolCall":
        return []
    name, asked = str(block.get("name")), mapping(block.get("arguments"))
    return call(*_known(name, asked), block.get("id"))


def _known(name: str, asked: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """By the names that others have for the same."""
    if why := asked.get("_i"):
        asked = {"description": why, **{key: value for key, value in asked.items() if key != "_i"}}
    path = asked.get("path")
    if name == "read" and isinstance(path, str):
        if path.startswith(("http://", "https://")):
            return "WebFetch", {**asked, "url": path}
        if path.startswith(_AGENTS):
            return "agent", {**asked, "action": "read", "id": path.removeprefix(_AGENTS), "path": None}
        return name, {**asked, "path": _LINES.sub("", path[:1000])}
    if name == "edit" and isinstance(patch := asked.get("input"), str):
        found = path if isinstance(path, str) else next((one[1] for one in _OF_PATCH.finditer(patch[:20_000])), None)
        return name, {"path": found}
    return ("Grep" if name == "search" and "pattern" in asked else name), asked


def _answered(message: dict[str, Any]) -> list[Part]:
    text, about, failed = (
        _words(text_of(message.get("content"))),
        mapping(message.get("details")),
        message.get("isError"),
    )
    told: Any = text
    over = _EXITED.search(text[-200:]) if message.get("toolName") == "bash" else None
    if over:
        told = {"stdout": text[: len(text) - len(text[-200:]) + over.start()], "exit_code": int(over[1])}
    elif message.get("toolName") == "bash" and failed is False:
        told = {"stdout": text, "exit_code": 0}
    elif isinstance(about.get("answers"), dict):
        told = {"content": text, "answers": about["answers"]}
    elif message.get("toolName") == "read" and isinstance(
        shown := mapping(about.get("displayContent")).get("text"), str
    ):
        told = shown
    elif message.get("toolName") == "edit" and failed is False and isinstance(diff := about.get("diff"), str):
        told = {"output": text, **_changes(diff)}
    return answer(told, message.get("toolCallId"), failed=failed is True, name=message.get("toolName"))


def _changes(diff: str) -> dict[str, Any]:
    lines = [found for line in diff.split("\n")[:MAX_CHANGED] if (found := _CHANGED.match(line[:2000]))]
    taken, put = ("\n".join(found[2] for found in lines if found[1] == mark) for mark in "-+")
    return {"old_string": taken, "new_string": put} if taken or put else {}


def _words(text: Any) -> str:
    return text if isinstance(text, str) and text.strip() not in _EMPTY else ""


def _wanted(text: str) -> str:
    """Behind a skill that was called by its name stands what it is called for."""
    if not (skill := _SKILL.match(text)):
        return text
    behind = text.rpartition("</skill>")[2].strip()
    return behind or f"Use the skill {skill[1]}."
