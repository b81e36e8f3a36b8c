"""What must not be remembered: private text, secrets, and what a project excludes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from muster.domain.exclusions import Excluded
from muster.domain.secrets.kubernetes import is_kubernetes_secret, without_data
from muster.domain.secrets.names import holds_secrets, is_list_of_tokens, is_secret, without_any
from muster.domain.secrets.shapes import is_suspicious, without_secrets
from muster.domain.secrets.stores import without_stored_words
from muster.domain.secrets.tables import without_tables
from muster.domain.secrets.tokens import KEY_BEGIN, KEY_END, mark

as_json = TypeAdapter(Any).dump_json
"""A value as it is looked through, and as it is stored."""


class Removed(NamedTuple):
    """What was taken out, by kind, and how often; or why nothing of it may be kept."""

    kinds: dict[str, int]
    excluded: str | None = None
    """The project's glob that it met: all of it is dropped."""


def scrub(
    value: Any, exclude_paths: Sequence[str] = (), exclude_tools: Sequence[str] = (), *, text: str | None = None
) -> tuple[Any, Removed]:
    """The JSON value without what must not be kept. `text`: the value as JSON, where it is at hand."""
    if exclude_paths or exclude_tools:
        found = Excluded.of(tuple(exclude_paths), tuple(exclude_tools)).meets(value)
        if found is not None:
            return None, Removed({}, found)
    if text is None:
        text = as_json(value).decode()
    if not is_suspicious(text):
        return value, Removed({})
    kinds: dict[str, int] = {}
    if "private" in text.lower():
        value = _Across(kinds).kept(value)
    return _scrubbed(value, kinds), Removed(kinds)


def scrub_event(
    payload: Any, metadata: Any, exclude_paths: Sequence[str] = (), exclude_tools: Sequence[str] = (), *, text: str
) -> tuple[Any, Any, Removed]:
    """Both that an event holds: private text that begins in the one may end in the other. `text`: both as JSON."""
    if exclude_paths or exclude_tools:
        excluded = Excluded.of(tuple(exclude_paths), tuple(exclude_tools))
        for value in (payload, metadata):  # the tool or the path may be told in either
            if (found := excluded.meets(value)) is not None:
                return None, None, Removed({}, found)
    if not is_suspicious(text):
        return payload, metadata, Removed({})
    kinds: dict[str, int] = {}
    if "private" in text.lower():
        both = _Across(kinds).kept({"payload": payload, "metadata": metadata})
        payload, metadata = both["payload"], both["metadata"]
    return _scrubbed(payload, kinds), _scrubbed(metadata, kinds), Removed(kinds)


def scrub_text(text: str) -> str:
    return _scrub_string(text, {}) if is_suspicious(text) else text


def _scrubbed(value: Any, kinds: dict[str, int]) -> Any:
    if isinstance(value, str):
        return _scrub_string(value, kinds)
    if isinstance(value, dict):
        return _of_pair(
            {_scrub_string(name, kinds): _of_name(name, item, kinds) for name, item in _emptied(value, kinds)}, kinds
        )
    if isinstance(value, list | tuple):
        if all(map(_is_pair, value)):  # as headers are told
            value = [[name, _of_name(name, item, kinds) if is_secret(name, item) else item] for name, item in value]
        every: list[Any] = []
        for are_strings, items in groupby(value, key=lambda item: isinstance(item, str)):
            some = list(items)
            every += _together(some, kinds) if are_strings else [_scrubbed(item, kinds) for item in some]
        return every
    return value


def _emptied(value: dict[str, Any], kinds: dict[str, int]) -> Iterable[tuple[str, Any]]:
    return (without_data(value, kinds) if is_kubernetes_secret(value) else value).items()


_NAMES = ("name", "key", "header", "field", "label", "variable", "parameterkey", "id", "type")
_VALUES = frozenset(("value", "values", "parametervalue", "stringvalue", "defaultvalue"))


def _of_pair(value: dict[str, Any], kinds: dict[str, int]) -> dict[str, Any]:
    """Where a name and its value stand under names of their own, as in settings of containers."""
    theirs = [key for key in value if key.lower() in _VALUES]
    if theirs:
        names = {key.lower(): item for key, item in value.items() if isinstance(item, str)}
        for name in filter(None, map(names.get, _NAMES)):
            for key in theirs:
                value[key] = _of_name(name, value[key], kinds)
    return value


def _is_pair(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(item, str) for item in value)


_OPTION = re.compile(r"--?[A-Za-z][\w=.-]*")
_BEFORE, _BEFORE_CHARACTERS = 12, 400
"""Of a list, what is looked at beside a string: the command, its option, the name above."""


def _together(strings: list[str], kinds: dict[str, int]) -> list[str]:
    """What is divided among the strings of a list: words of a command, lines of a text. Each stays what it was, but for
    what goes; what is within something private goes as a whole."""
    seam = " " if any(map(_OPTION.fullmatch, strings)) else "\n"
    strings = without_stored_words(strings, kinds)
    lines = Lines(kinds)
    done: list[str] = []
    for string in strings:
        if (text := lines.kept(string)) is None:
            continue
        before = seam.join(done[-_BEFORE:])[-_BEFORE_CHARACTERS:] + seam if done else ""
        if before and is_suspicious(before + text):
            before = without_secrets(before, {})  # where it was cut, it may look like one
            found: dict[str, int] = {}
            kept = without_secrets(before + text, found)
            if kept != before + text:
                for kind, count in found.items():
                    kinds[kind] = kinds.get(kind, 0) + count
                whole = seam == " " and not any(map(str.isspace, text))
                text = kept[len(before) :] if kept.startswith(before) else mark("secret")
                if whole and text.startswith("[removed:"):  # a shell would end the word where it does not
                    text = text[: text.index("]") + 1]
        done.append(text if len(text) < 8 else without_secrets(text, kinds))
    if len(done) > 1 and not any("\n" in string for string in done):  # lines, perhaps of a table
        return without_tables("\n".join(done), kinds).split("\n")
    return done


def _of_name(name: str, item: Any, kinds: dict[str, int]) -> Any:
    """What stands under a name that says that it is a secret is one, whatever its shape."""
    if isinstance(item, str):
        if is_secret(name, item):
            kinds["secret"] = kinds.get("secret", 0) + 1
            return mark("secret")
    elif (
        isinstance(item, list | tuple)
        and name.lower().endswith("headers")
        and all(isinstance(one, str) for one in item)
    ):
        # As some tell them: a name, its value, a name...
        return [_of_name(item[n - 1] if n % 2 else "", one, kinds) for n, one in enumerate(item)]
    elif is_list_of_tokens(name, item):
        return [_of_name(name, one, kinds) for one in item]
    elif holds_secrets(name):
        return without_any(name, item, lambda key, value: _of_name(key, value, kinds), kinds)
    return _scrubbed(item, kinds)


def _scrub_string(text: str, kinds: dict[str, int]) -> str:
    if len(text) < 8:
        return text
    if "private" in text.lower():
        text = _without_private(text, kinds)
    return without_secrets(text, kinds)


_PRIVATE = re.compile(
    r"(?:<|&lt;|\\u003c)\s{0,8}(/?)\s{0,8}private(?![\w-])[^<>&]{0,200}?(?:>|&gt;|\\u003e|(?=[<&])|$)", re.IGNORECASE
)


def _without_private(text: str, kinds: dict[str, int]) -> str:
    return _outside(text, kinds, 0)[0]


def _outside(text: str, kinds: dict[str, int], depth: int) -> tuple[str, int]:
    """Without what stands between the tags, tags of tags included, beginning within so many. One that is not closed
    lasts to the end, and beyond: with how many that are."""
    kept: list[str] = []
    at = 0
    for tag in _PRIVATE.finditer(text):
        if depth == 0:
            kept.append(text[at : tag.start()])
        if tag[1]:
            depth = max(0, depth - 1)
        else:
            depth += 1
            kinds["private"] = kinds.get("private", 0) + (depth == 1)
        at = tag.end()
    if depth == 0:
        kept.append(text[at:])
    return "".join(kept), depth


class _Across:
    """Private text that begins in one field and ends in a later one. What does not end there is left to who looks at
    that field alone."""

    def __init__(self, kinds: dict[str, int]) -> None:
        self._kinds = kinds
        self._depth = 0
        self._n = -1
        self._last_end = -1

    def kept(self, value: Any) -> Any:
        begins = False
        for n, text in enumerate(_texts(value)):
            if "private" in text.lower():
                begins = begins or _outside(text, {}, 0)[1] > 0
                if begins and _ends_before_it_begins(text):
                    self._last_end = n
        return self._walk(value) if self._last_end > 0 else value

    def _walk(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, dict):
            return {name: self._walk(item) for name, item in value.items()}
        if isinstance(value, list | tuple):
            every: list[Any] = []
            for are_strings, items in groupby(value, key=lambda item: isinstance(item, str)):
                if are_strings:  # lines, most often
                    every += self._text("\n".join(items)).split("\n")
                else:
                    every += map(self._walk, items)
            return every
        return value

    def _text(self, text: str) -> str:
        self._n += 1
        kept, depth = _outside(text, {}, self._depth)
        if not self._depth and (not depth or self._n >= self._last_end):
            return text
        self._kinds["private"] = self._kinds.get("private", 0) + (not self._depth)
        self._depth = depth
        return kept


def without_private_across(values: list[Any]) -> list[Any]:
    """Without private text that begins in one of them and ends in a later one."""
    kept: list[Any] = _Across({}).kept(values)
    return kept


def _texts(value: Any) -> Iterator[str]:
    """In their order, those of a list together."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for are_strings, items in groupby(value, key=lambda item: isinstance(item, str)):
            if are_strings:
                yield "\n".join(items)
            else:
                for item in items:
                    yield from _texts(item)


def _ends_before_it_begins(text: str) -> bool:
    depth = 0
    for tag in _PRIVATE.finditer(text):
        depth += -1 if tag[1] else 1
        if depth < 0:
            return True
    return False


_NOTHING = object()


class _Within:
    """A document that may begin within something private. Unlike text, a number shows nothing of where it stands, so
    what is within goes with its name."""

    def __init__(self, depth: int) -> None:
        self._depth = self._first = depth

    def kept(self, value: Any) -> Any:
        began = self._depth
        kept: Any = value
        if isinstance(value, str):
            # Some tell the same text twice in one document.
            began = self._depth or (self._first if _ends_before_it_begins(value) else 0)
            kept, self._depth = _outside(value, {}, began)
        elif isinstance(value, dict):
            kept = {name: one for name, item in value.items() if (one := self.kept(item)) is not _NOTHING}
        elif isinstance(value, list):
            kept = [one for item in value if (one := self.kept(item)) is not _NOTHING]
        is_empty = not kept or not isinstance(kept, str | dict | list)
        return _NOTHING if began and self._depth and is_empty else kept


class Lines:
    """A text that comes line by line and is not seen as a whole again: what is private, or a key, in one of them may
    end in one that comes much later."""

    def __init__(self, kinds: dict[str, int] | None = None) -> None:
        self._kinds = kinds if kinds is not None else {}
        self._depth = 0
        self._key = False
        self._perhaps = 0
        self.lasted = False
        """Whether anything private went on beyond its line."""

    @property
    def within(self) -> bool:
        return self._key or self._depth > 0

    def passed(self, document: str) -> None:
        """A line that is looked through by itself. What begins in it is private beyond it only if its end comes."""
        if "private" in document.lower():
            self._perhaps = _outside(document, {}, self._perhaps)[1]
            self.lasted = self.lasted or self._perhaps > 0

    def kept_document(self, document: Any, line: str, *, alone: bool) -> Any:
        """What of a line that is this document may be kept, as a document; None: nothing. Asked before the line is
        fed. `alone`: the line is looked through by itself."""
        if self._key:
            return None
        try:
            depth = self._depth
            if not depth and self._perhaps and any(map(_ends_before_it_begins, _texts(document))):
                depth = self._perhaps
            if not depth and (alone or "private" not in line.lower()):
                return document
            kept = _Within(depth).kept(document)
        except RecursionError:
            return None
        return None if kept is _NOTHING else kept

    def kept(self, line: str) -> str | None:
        """What of the next one may be kept; None: nothing, not even that there was one."""
        within = self.within
        if not within and "private" not in line.lower():
            return line
        if self._key:
            if (end := KEY_END.search(line)) is None:
                return None
            self._key, line = False, line[end.end() :]
        line, self._depth = _outside(line, self._kinds, self._depth)
        begin = None
        for begin in KEY_BEGIN.finditer(line):  # noqa: B007 - the last one
            pass
        if begin is not None and KEY_END.search(line, begin.end()) is None:
            self._key, line = True, line[: begin.start()] + mark("private-key")
            self._kinds["private-key"] = self._kinds.get("private-key", 0) + 1
        self.lasted = self.lasted or self.within
        return None if within and not line.strip() else line
