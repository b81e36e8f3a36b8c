"""What a project excludes: paths and tools, by globs."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from fnmatch import translate
from functools import lru_cache
from itertools import groupby
from typing import Any

from muster.domain.calls import plain, tools_named
from muster.domain.rules.json import opened

_SEPARATORS = r"""\s"'`=:,;()<>|&\[\]{}@"""
_ESCAPED = re.compile(r"\\{1,8}([ !#$&'()\[\]{},;=@~^`])")
"""As in a shell. A dot is not, since it begins the name of a file where backslashes divide a path."""
_COMBINED = re.compile(r"\w[\u0300-\u036f\u3099\u309a]{1,4}|[\u1100-\u1112][\u1161-\u1175][\u11a8-\u11c2]?")
"""Letters in several pieces, as some systems write names of files. All of a text at once takes longer than it is."""
_PATH_NAMES = ("path", "file", "dir", "folder", "cwd")
_COMMAND_NAMES = ("command", "cmd", "arg", "script", "shell", "input")


class Excluded:
    """Globs, compiled. Like those of .gitignore, one without a slash meets a part of a path at any depth."""

    def __init__(self, paths: tuple[str, ...], tools: tuple[str, ...]) -> None:
        self._paths = [(glob, pattern) for glob in paths if (pattern := _path_pattern(glob))]
        self._rooted = any(glob.strip().startswith("/") for glob in paths)
        self._folders = [(glob, folder) for glob in paths if (folder := _Folder.of(glob))]
        self._tools = [(glob, re.compile(translate(_one_line(glob.strip())))) for glob in tools if glob.strip()]

    @staticmethod
    @lru_cache(1000)
    def of(paths: tuple[str, ...], tools: tuple[str, ...]) -> Excluded:
        return Excluded(paths, tools)

    def meets(self, value: Any) -> str | None:
        """The first glob that something in it meets."""
        stack = [("", value)]
        here = value.get("cwd") if isinstance(value, dict) and self._rooted else None
        here = f"{_composed(here).rstrip('/')}/" if isinstance(here, str) and here.strip("/") else None
        while stack:
            name, item = stack.pop()
            if isinstance(item, str):
                if self._tools and (inner := opened(item)) is not item:
                    stack.append((name, inner))
                if self._paths and (found := self._met(name, item, here)):
                    return found
            elif isinstance(item, dict):
                if self._tools and (found := self._tool(plain(name), item)):
                    return found
                stack.extend(item.items())
                if self._paths:
                    stack.extend(("", key) for key in item)  # as in a map of paths to what was changed
            elif isinstance(item, list | tuple):
                if self._folders and item and all(isinstance(word, str) for word in item):
                    stack.append((name, " ".join(item)))
                stack.extend((name, one) for one in item)
        return None

    def _met(self, name: str, text: str, here: str | None) -> str | None:
        for read in _readings(text):
            if found := self._path(read) or self._folder(name, read):
                return found
            if here and here in read and (found := self._path(read.replace(here, ""))):
                return found
        return None

    def _path(self, text: str) -> str | None:
        text = text.replace("\\", "/").replace("/./", "/")
        return next((glob for glob, pattern in self._paths if pattern.search(text)), None)

    def _folder(self, name: str, text: str) -> str | None:
        return next((glob for glob, folder in self._folders if folder.is_meant(name, text)), None)

    def _tool(self, under: str, item: dict[str, Any]) -> str | None:
        for name in tools_named(under, item):
            for glob, pattern in self._tools:
                if pattern.match(_one_line(name)):
                    return glob
        return None


def _composed(text: str) -> str:
    if text.isascii():
        return text
    return _COMBINED.sub(lambda found: unicodedata.normalize("NFC", found[0]), text)


def _readings(text: str) -> Iterator[str]:
    """A backslash divides a path, or says in a shell that what follows belongs to a name."""
    text = _composed(text)
    yield text
    if "\\" in text and (plain_text := _ESCAPED.sub(r"\1", text)) != text:
        yield plain_text


def _one_line(tool: str) -> str:
    """Some join what `mcp__server__tool` has in it by one line only."""
    tool = tool.lower()
    return tool.replace("__", "_") if tool.startswith("mcp_") else tool


def _path_pattern(glob: str) -> re.Pattern[str] | None:
    glob = _composed(glob).strip().replace("\\", "/").removeprefix("./")
    rooted, below = glob.startswith("/"), glob.endswith(("/", "/**"))
    parts = [part for part in glob.split("/") if part]
    if parts and parts[0] == "**":
        rooted = False
    is_word = _Folder.of(glob) is not None
    # What stands between any number of folders. As with stars, the first place where the next one fits will do.
    chunks = [list(chunk) for folders, chunk in groupby(parts, lambda part: part == "**") if not folders]
    if not chunks:
        return None
    end = rf"(?![^{_SEPARATORS}/])"
    if below:  # the folder itself, too; but one word alone is most often no folder
        end = rf"(?:/|(?<=/{re.escape(parts[0])}){end})" if is_word else rf"(?:/|{end})"
    first, *more = [
        "/".join(map(_part_pattern, chunk)) + (end if number == len(chunks) - 1 else "/")
        for number, chunk in enumerate(chunks)
    ]
    folders = rf"(?:[^{_SEPARATORS}/]{{1,255}}+/){{0,64}}?"
    # Of the machine, or of where the work is done, as in .gitignore.
    start = rf"(?<![^{_SEPARATORS}])(?:\./|/)?" if rooted else rf"(?<![^{_SEPARATORS}/])"
    return re.compile(start + first + "".join(rf"(?>{folders}{chunk})" for chunk in more), re.IGNORECASE)


_OF_FILES = re.compile(
    r"\b(?:ls|ll|dir|cd|pushd|find|fd|tree|du|cat|rm|cp|mv|tar|zip|rsync|scp|chmod|chown|stat|open|code|vim?|nano|less"
    r"|grep|rg|ag|sed|awk|source|git\s+(?:add|rm|mv|log|diff|show|checkout|restore))\s",
    re.IGNORECASE,
)


class _Folder:
    """One that is a word, and called by it alone."""

    def __init__(self, name: str) -> None:
        self._word = re.compile(rf"(?<![^{_SEPARATORS}])(?:\./)?{re.escape(name)}(?![^{_SEPARATORS}])", re.IGNORECASE)

    @classmethod
    def of(cls, glob: str) -> _Folder | None:
        word = re.fullmatch(r"(?:\./)?([\w.-]+)/(?:\*\*)?", _composed(glob).strip().replace("\\", "/"))
        return cls(word[1]) if word else None

    def is_meant(self, name: str, text: str) -> bool:
        """As nothing but a path, or in a command that is about files. `name`: what the text stands under."""
        name = name.lower()
        if any(part in name for part in _PATH_NAMES):
            return self._word.fullmatch(text) is not None
        if not any(part in name for part in _COMMAND_NAMES):
            return False
        for command in re.split(r"[;&|\n]", text):
            if (of_files := _OF_FILES.search(command)) and self._word.search(command, of_files.end()):
                return True
        return False


def _part_pattern(part: str) -> str:
    """Of one part of a path. Each star but the last takes as little as will do, and does not think again."""
    pieces = [
        "".join(rf"[^{_SEPARATORS}/]" if char == "?" else re.escape(char) for char in piece)
        for piece in re.split(r"\*+", part)
    ]
    star = rf"[^{_SEPARATORS}/]"
    if len(pieces) == 1:
        return pieces[0]
    first, *middle, last = pieces
    return first + "".join(rf"(?>{star}{{0,255}}?{piece})" for piece in middle) + rf"{star}{{0,255}}{last}"
