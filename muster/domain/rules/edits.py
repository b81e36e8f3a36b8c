"""What an edit changed: which files, what stood there before, and what stands there now."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from muster.domain.rules.json import MAX_FILES, dicts, first, text_of
from muster.domain.rules.text import cleaned, unique

MAX_CHANGES = 20

_BEFORE = ("old_string", "oldString", "old_str", "old_text", "oldText", "search")
_AFTER = ("new_string", "newString", "new_str", "new_text", "newText", "replace", "code_edit", "new_source",
          "insert_text", "content", "file_text", "fileText", "contents", "diff")  # fmt: skip
_PATCHES = ("patch", "input", "diff", "patchText", "patch_text", "command", "cmd")
_OURS = "*** Begin Patch"
_APPLIES = re.compile(r"(?:^|[\s;&|/'\"])apply_?patch\b[^\n]{0,200}\n?[^\n]{0,200}\*\*\* Begin Patch")
_HEADER = re.compile(r"\*\*\* (?:(Add|Update|Delete) File|Move to): (\S.{0,1000})")


class Patched(NamedTuple):
    files: list[str]
    changes: list[tuple[str, str]]
    added: bool
    """All of them are new."""
    deleted: bool
    """All of them are gone."""
    places: list[str]
    """The file of each change."""


def changes_of(asked: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = []
    for edit in (asked, *dicts(asked.get("edits"))):
        before, after = first(edit, *_BEFORE), first(edit, *_AFTER)
        if isinstance(before, str) or isinstance(after, str):
            found.append((text_of(before), text_of(after)))
    return found[:MAX_CHANGES]


def applies_patch(command: str) -> bool:
    return _OURS in command and _APPLIES.search(command[:4000]) is not None


def patch_in(asked: Mapping[str, Any]) -> str:
    """As it is handed to the tool: by itself, as the last of its words, or in the text that a shell reads."""
    for key in _PATCHES:
        for text in reversed(value if isinstance(value := asked.get(key), list) else [value]):
            if isinstance(text, str) and (_OURS in text or text.lstrip().startswith(("--- ", "diff --git"))):
                return cleaned(text[max(0, text.find(_OURS)) :])
    return ""


def patched(patch: str) -> Patched:
    lines = patch.split("\n")
    files: list[tuple[str, str]] = []
    gone: dict[int, list[str]] = {}
    come: dict[int, list[str]] = {}
    for number, line in enumerate(lines):
        after = lines[number + 1] if number + 1 < len(lines) else ""
        before = lines[number - 1] if number else ""
        if header := _HEADER.match(line):
            files.append((header[1] or "Update", header[2].strip()))
        elif line.startswith("+++ ") and before.startswith("--- "):
            files.append(_of_diff(before, line))
        elif line.startswith("-") and not (line.startswith("--- ") and after.startswith("+++ ")):
            gone.setdefault(len(files), []).append(line[1:])
        elif line.startswith("+"):
            come.setdefault(len(files), []).append(line[1:])
    places = sorted({*gone, *come})[:MAX_CHANGES]
    changes = [("\n".join(gone.get(place, [])), "\n".join(come.get(place, []))) for place in places]
    kinds = {kind for kind, _ in files}
    paths = unique((path for _, path in files if path), MAX_FILES)
    of_changes = [files[place - 1][1] if place else "" for place in places]
    return Patched(paths, changes, kinds == {"Add"}, kinds == {"Delete"}, of_changes)


def _of_diff(before: str, after: str) -> tuple[str, str]:
    was, now = (line[4:].partition("\t")[0].strip()[:1000] for line in (before, after))
    if now == "/dev/null":
        return "Delete", was.removeprefix("a/")
    return "Add" if was == "/dev/null" else "Update", now.removeprefix("b/")
