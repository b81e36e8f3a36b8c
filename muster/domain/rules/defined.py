"""What an edit defines that others can call or use, and in which file; what it only names for itself is no news."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from muster.domain.rules.acts import Act

MOST = 200

_DEFINED = re.compile(
    r"^([ \t]*)((?:export |default |declare |public |private |protected |internal |static |abstract |final |async |"
    r"inline |open |data |sealed |pub(?:\([a-z]+\))? |unsafe |override |readonly )*)"
    r"(def|class|function\*?|fn|func(?: \([^)\n]{1,60}\))?|fun|struct|enum|interface|trait|type|impl|module|"
    r"const|let|var|val|object|CREATE (?:OR REPLACE )?(?:TABLE|FUNCTION|INDEX|VIEW|TYPE))\s+([A-Za-z_$][\w$.]*)",
    re.MULTILINE | re.IGNORECASE,
)
_METHOD = re.compile(
    r"(?:\A|^[ \t]{1,12})(?:(?:public|private|protected|static|async|override|get|set) ){0,4}\*?"
    r"(?!(?:if|for|while|switch|catch|function|return|constructor|with|do|else|super|new|await)\b)"
    r"([A-Za-z_$][\w$]{0,80})\([^()\n]{0,200}\)(?:: ?[^\n;(){}=]{1,120})? ?\{$",
    re.MULTILINE,
)
"""Of a class, without a word that says what it is."""
_HAS_METHODS = re.compile(r"\.(?:[cm]?[jt]sx?|vue|svelte|java|cs|dart|groovy)$|^$")
_VALUES = frozenset("const let var val object".split())  # noqa: SIM905
_PROSE = re.compile(r"\.(?:md|mdx|rst|adoc|txt)$")


class Defined(NamedTuple):
    name: str
    path: str
    """Empty: nobody knows in which of several."""


def added(edits: Sequence[Act]) -> list[Defined]:
    """What is defined now and was not."""
    before, after = _all(edits, 0), _all(edits, 1)
    known = {one.name for one in before}
    return [one for one in after if one.name not in known]


def removed(edits: Sequence[Act]) -> list[Defined]:
    before, after = _all(edits, 0), _all(edits, 1)
    known = {one.name for one in after}
    return [one for one in before if one.name not in known]


def is_prose(path: str) -> bool:
    return _PROSE.search(path) is not None


def placed(act: Act) -> list[tuple[str, str, str]]:
    """Each change with its file: what stood there, and what stands there now."""
    only = act.files_modified[0] if len(act.files_modified) == 1 else ""
    places = act.places if len(act.places) == len(act.changes) else [only] * len(act.changes)
    return [(path, old, new) for path, (old, new) in zip(places, act.changes, strict=True)]


def _all(edits: Sequence[Act], side: int) -> list[Defined]:
    found: dict[str, Defined] = {}
    for act in edits:
        for path, *texts in placed(act):
            for name in _names(texts[side], path):
                found.setdefault(name, Defined(name, path))
    return list(found.values())[:MOST]


def _names(text: str, path: str) -> list[str]:
    """A value that is named within something else is its own affair."""
    named = [
        (found.start(), found[4])
        for found in _DEFINED.finditer(text)
        if found[3].lower() not in _VALUES or "export" in found[2].lower() or not _is_within(found, text)
    ]
    methods = [(found.start(), found[1]) for found in _METHOD.finditer(text)] if _HAS_METHODS.search(path) else []
    return [name for _, name in sorted([*named, *methods])]


def _is_within(found: re.Match[str], text: str) -> bool:
    """How far the first line stood from the edge nobody knows: what is no function there, nor named as a constant."""
    if found[1] or found.start():
        return found[1] != ""
    return not found[4].isupper() and not _FUNCTION.match(text[found.end() : found.end() + 200])


_FUNCTION = re.compile(
    r"(?:: ?[^=\n]{1,120})? = (?:async )?(?:function\b|\([^()\n]{0,160}\)[^\n=]{0,60}=>|[\w$]{1,40} =>)"
)
