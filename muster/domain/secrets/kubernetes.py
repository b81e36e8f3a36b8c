"""Secrets of Kubernetes: all that is their data, whatever each of it is called."""

from __future__ import annotations

import re
from typing import Any

from muster.domain.secrets.tokens import mark
from muster.domain.secrets.values import PLACE

_DATA = ("data", "stringData")
_LINE = re.compile(
    r"(?P<before>(?:[ \t]{0,8}[0-9]{1,6}(?:→|\t|\||: ?)|\+|-(?! \w|-))?)(?P<indent> {0,80}(?P<item>(?:- {1,8}){0,4}))"
    r"(?:(?P<key>[\w./\"'-]{1,253}):(?P<space>[ \t]{1,8}|$))?(?P<value>.*)"
)
"""Also one that has its number before it, or the sign of a diff."""
_BLOCK = re.compile(r"[|>][-+0-9]{0,2}")
_KIND = re.compile(r"\\{0,7}[\"']kind\\{0,7}[\"']\s{0,8}:\s{0,8}\\{0,7}[\"']Secret\\{0,7}[\"']")
_OBJECT = re.compile(r"(\\{0,7}[\"'](?:data|stringData)\\{0,7}[\"']\s{0,8}:\s{0,40}\{)([^{}]{1,262144}+)(?=\}|\Z)")
_ENTRY = re.compile(r"(:\s{0,8}\\{0,7}[\"'])(?!\[removed:)([^\"'\\]{1,262144}+)")


def is_kubernetes_secret(value: dict[str, Any]) -> bool:
    return value.get("kind") == "Secret" and any(isinstance(value.get(name), dict) for name in _DATA)


def without_data(value: dict[str, Any], kinds: dict[str, int]) -> dict[str, Any]:
    return {name: _emptied(item, kinds) if name in _DATA else item for name, item in value.items()}


def _emptied(item: Any, kinds: dict[str, int]) -> Any:
    if isinstance(item, dict):
        return {name: _emptied(one, kinds) for name, one in item.items()}
    if item is None or isinstance(item, bool) or _is_place(str(item)):
        return item
    kinds["secret"] = kinds.get("secret", 0) + 1
    return mark("secret")


def _is_place(value: str) -> bool:
    return not value or value.startswith("[removed:") or PLACE.fullmatch(value) is not None


def without_kubernetes(text: str, kinds: dict[str, int]) -> str:
    """The text without what stands in such a one, in YAML or JSON."""
    if "Secret" not in text or "kind" not in text or "ata" not in text:
        return text
    if _KIND.search(text):
        text = _OBJECT.sub(lambda found: found[1] + _ENTRY.sub(lambda entry: _entry(entry, kinds), found[2]), text)
    lines = text.split("\n")
    places = _places(lines)
    for first, column in sorted(places.items(), reverse=True):
        _empty(lines, first + 1, column, kinds)
    return "\n".join(lines) if places else text


def _entry(found: re.Match[str], kinds: dict[str, int]) -> str:
    if _is_place(found[2]):
        return found[0]
    kinds["secret"] = kinds.get("secret", 0) + 1
    return f"{found[1]}{mark('secret')}"


class _Object:
    def __init__(self, column: int) -> None:
        self.column = column
        self.is_secret = False
        self.data: list[int] = []


def _places(lines: list[str]) -> dict[int, int]:
    """The lines at which data of a secret begins, and the column of each."""
    places: dict[int, int] = {}
    open_ones: list[_Object] = []

    def close(column: int) -> None:
        while open_ones and open_ones[-1].column >= column:
            ended = open_ones.pop()
            if ended.is_secret:
                places.update(dict.fromkeys(ended.data, ended.column))

    for n, line in enumerate(lines):
        found = _LINE.match(line)
        if found is None or not found["key"]:
            if found is not None and not found["indent"] and found["value"].startswith("---"):
                close(0)
            continue
        column = len(found["indent"])
        close(column if found["item"] else column + 1)
        if not open_ones or open_ones[-1].column < column:
            open_ones.append(_Object(column))
        key, value = found["key"].strip("\"'"), found["value"].strip().strip("\"'")
        if key == "kind" and value == "Secret":
            open_ones[-1].is_secret = True
        elif key in _DATA and not value:
            open_ones[-1].data.append(n)
    close(0)
    return places


def _empty(lines: list[str], first: int, column: int, kinds: dict[str, int]) -> None:
    """Each entry from this line on, as long as they stand within."""
    kept: list[str] = []
    end, block = first, -1
    for end in range(first, len(lines) + 1):
        found = _LINE.match(lines[end]) if end < len(lines) else None
        if found is None:
            break
        value, at = found["value"].strip(), len(found["indent"])
        if not found["key"] and not value:
            kept.append(lines[end])
        elif at <= column:
            break
        elif block >= 0 and at > block:
            continue
        else:
            block = at if not found["key"] or not value or _BLOCK.fullmatch(value) else -1
            if found["key"] and _is_place(value.strip("\"'")):
                kept.append(lines[end])
                continue
            kinds["secret"] = kinds.get("secret", 0) + 1
            kept.append(lines[end][: found.start("value")] + mark("secret"))
    lines[first:end] = kept
