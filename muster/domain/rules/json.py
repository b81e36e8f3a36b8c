"""Texts, names and numbers out of any JSON, whatever its shape. Nothing in here fails."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from muster.domain.rules.text import READ_CHARS, cleaned, unique

MAX_FILES = 40

_SAID = ("text", "content", "message", "body", "prompt", "last_assistant_message", "assistant_message", "statement",
         "utterance", "note", "summary", "response", "value", "data", "parts")  # fmt: skip
_SPEAKER = ("speaker", "author", "sender", "name", "user", "from", "who", "role")
_ROLES = {"user": "", "human": "", "assistant": "", "ai": "", "model": "", "system": "", "tool": "", "bot": ""}


def opened(payload: Any) -> Any:
    """JSON within a string, as some adapters send it, is JSON."""
    if isinstance(payload, str) and payload[:1] in "{[" and len(payload) < 1_000_000:
        try:
            return json.loads(payload)
        except (ValueError, RecursionError):
            return payload
    return payload


def first(place: Mapping[str, Any], *keys: str) -> Any:
    for key in keys:
        if (value := place.get(key)) is not None:
            return opened(value) if key not in ("content", "command", "input", "old_string", "new_string") else value
    return None


def text_of(value: Any, limit: int = READ_CHARS) -> str:
    """The text in a value: itself, or that of the blocks that providers' messages are made of."""
    if isinstance(value, str):
        return cleaned(value, limit)
    if isinstance(value, list):
        parts = []
        for part in value[:200]:
            if isinstance(part, str):
                parts.append(part)
            elif isinstance(part, dict) and isinstance(text := part.get("text") or part.get("content"), str):
                parts.append(text)
        return cleaned("\n".join(parts), limit)
    if isinstance(value, dict):
        return next((text for key in ("text", "content", "parts") if (text := text_of(value.get(key), limit))), "")
    return ""


def said_in(payload: Any) -> tuple[str, str, str]:
    """The words, who said them where that is a name, and in which role."""
    if not isinstance(payload, dict):
        return (cleaned(payload), "", "") if isinstance(payload, str) else (flattened(payload), "", "")
    place = payload
    if isinstance(inner := payload.get("message"), dict):
        place = {**payload, **inner}
    speaker, role = "", ""
    for key in _SPEAKER:
        if isinstance(value := place.get(key), str) and value.strip():
            if value.lower() in _ROLES:
                role = role or value.lower()
            elif not speaker and key != "role":
                speaker = " ".join(cleaned(value, 60).split())
    if key := said_under(place):
        return text_of(place[key]), speaker, role
    if messages := dicts(place.get("messages")):
        text = "\n".join(
            f"{line_of(message, 'name', 'role')}: {text_of(message.get('content'))}" for message in messages[:50]
        )
        return cleaned(text), speaker, role
    rest = {key: value for key, value in place.items() if key not in ("role", "type", "id")}
    return flattened(rest), speaker, role


def said_under(place: Mapping[str, Any]) -> str:
    """The key under which the words stand. Empty: there is none for that."""
    return next((key for key in _SAID if text_of(place.get(key))), "")


def flattened(value: Any, limit: int = 6000) -> str:
    """Any JSON as lines of `key: value`."""
    if isinstance(value, str):
        return cleaned(value, limit)
    lines, size = [], 0
    for path, leaf in leaves(value):
        line = f"{path}: {leaf}" if path else leaf
        lines.append(line)
        size += len(line)
        if size > limit or len(lines) > 300:
            break
    return cleaned("\n".join(lines), limit)


def leaves(value: Any) -> Iterator[tuple[str, str]]:
    """All that is no list and no object, as text, and where it stands."""
    stack: list[tuple[str, Any]] = [("", value)]
    seen = 0
    while stack and seen < 5000:
        path, item = stack.pop()
        seen += 1
        if isinstance(item, dict):
            stack += [(f"{path}.{key}"[-80:].lstrip("."), part) for key, part in reversed(list(item.items())[:500])]
        elif isinstance(item, list):
            stack += [(path, part) for part in reversed(item[:500])]
        elif isinstance(item, str) and item.strip():
            yield path, item[:4000]
        elif isinstance(item, int | float):
            yield path, str(item).lower()


def dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value[:100] if isinstance(item, dict)] if isinstance(value, list) else []


def line_of(place: Any, *keys: str) -> str:
    """The first of these that is a text, on one line."""
    if isinstance(place, dict):
        for key in keys:
            if isinstance(value := place.get(key), str) and value.strip():
                return " ".join(cleaned(value, 500).split())
    return ""


def files_of(place: Any, *keys: str) -> list[str]:
    found: list[str] = []
    if isinstance(place, dict):
        for key in keys:
            value = place.get(key)
            if isinstance(value, dict):
                value = value.get("filePath") or value.get("path")
            for path in value if isinstance(value, list) else [value]:
                if isinstance(path, str) and 0 < len(path) <= 1000 and "\n" not in path:
                    found.append(cleaned(path, 1000))
    return unique(found, MAX_FILES)


def integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
