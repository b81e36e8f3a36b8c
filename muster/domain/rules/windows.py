"""An editor that lives in a shell and shows a file through a window of some lines: `open`, `create`, `edit 4:7`,
`insert`, `submit`. Which file it was is told by what it prints."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any, NamedTuple

_READS = frozenset("open goto scroll_up scroll_down".split())  # noqa: SIM905
_WRITES = frozenset("edit insert create".split())  # noqa: SIM905
_REPLACES = ("str_replace_editor", "str_replace_based_edit_tool")
_FILE = re.compile(r"^\[File: ([^\n]{1,500}?) \(\d{1,9} lines total\)\]", re.MULTILINE)
_OPENED = re.compile(r"^\(Open file: (?!n/a\))([^\n]{1,500})\)$", re.MULTILINE)
_STATE = re.compile(r"\n?\(Open file: [^\n]{1,500}\)\r?\n\(Current directory: [^\n]{1,500}\)(?:\r?\nbash-\$)?\s*\Z")
_SILENT = re.compile(r"Your command ran successfully and did not produce any output\.\s*")
_REFUSED = re.compile(
    r"Your proposed edit has introduced new syntax error|changes have NOT been applied|No replacement was performed|"
    r"The edit was not applied|did not appear verbatim"
)
_RANGE = re.compile(r"edit (\d{1,9})(?::(\d{1,9}))?(?=\s|$)")
_NUMBERED = re.compile(r"^[ \t]*(\d{1,9}):([^\n]*)$", re.MULTILINE)
MAX_LINES = 4000
"""That are kept of what was shown of a file."""


class Window(NamedTuple):
    kind: str
    """read, edit, create, submit or refused."""
    files: list[str]
    changes: list[tuple[str, str]]
    text: str
    patch: str = ""


def without_state(text: str) -> str:
    """Without what such a shell says of itself under each answer."""
    if "(Current directory: " in text:
        text = _STATE.sub("", text)
    return "" if _SILENT.fullmatch(text) else text


def window(tool: str, command: str, asked: Mapping[str, Any], answer: str) -> Window | None:
    """What was done with it. None: it was not used."""
    head = command.partition("\n")[0].strip()
    name = head.partition(" ")[0] if command else tool.lower()
    if name == "submit" and "\n" not in command.strip():
        begins = answer.find("diff --git ")
        return Window("submit", [], [], "", answer[begins:]) if 0 <= begins < 200 else None
    if name in _REPLACES and command:
        return _replaces(head, answer)
    if name not in _READS | _WRITES:
        return None
    refused = name in _WRITES and _REFUSED.search(answer[:4000]) is not None
    named = [*_FILE.findall(answer[:20_000]), *_FILE.findall(answer[-20_000:])]
    opened = _OPENED.findall(answer[-2000:])
    if not refused and not named:
        return None
    files = [path for path in (*opened[-1:], *named[-1:]) if path]
    files = [next((path for path in files if path.startswith("/")), files[-1])] if files else []
    if refused:
        return Window("refused", files, [], answer)
    if name in _READS:
        return Window("read", files, [], "\n".join(line for _, line in _NUMBERED.findall(answer)))
    return Window("create" if name == "create" else "edit", files, _changes(command, asked), answer)


def _replaces(head: str, answer: str) -> Window | None:
    try:
        words = shlex.split(head)
    except ValueError:
        words = head.split()
    if len(words) < 3 or words[1] not in ("view", "create", "str_replace", "insert"):
        return None
    if words[1] == "view":
        return Window("read", [words[2]], [], answer)
    if _REFUSED.search(answer[:4000]):
        return Window("refused", [words[2]], [], answer)
    return Window("create" if words[1] == "create" else "edit", [words[2]], [], answer)


def _changes(command: str, asked: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The new lines; what stood there before is not told."""
    new = command.partition("\n")[2] if command else asked.get("text")
    if not isinstance(new, str):
        return []
    return [("", new.removesuffix("\n").removesuffix("end_of_edit").rstrip("\n"))]


class Seen:
    """What was shown of the files, by which an edit of some lines has something that stood there before."""

    def __init__(self) -> None:
        self._lines: dict[str, dict[int, str]] = {}

    def show(self, path: str, answer: str) -> None:
        lines = self._lines[path] = {}
        for number, line in _NUMBERED.findall(answer[:100_000])[:MAX_LINES]:
            lines[int(number)] = line
        if len(self._lines) > 100:
            del self._lines[next(iter(self._lines))]

    def before(self, path: str, command: str) -> str | None:
        """None: nobody knows."""
        found, lines = _RANGE.match(command), self._lines.get(path, {})
        if found is None:
            return None
        first, last = int(found[1]), int(found[2] or found[1])
        if not 0 <= last - first < MAX_LINES or any(number not in lines for number in range(first, last + 1)):
            return None
        return "\n".join(lines[number] for number in range(first, last + 1))
