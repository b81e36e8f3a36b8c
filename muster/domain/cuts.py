"""Where a long text may be cut: between words, since a secret in two halves is known by nobody."""

from __future__ import annotations

import re
from typing import AnyStr

_REACH = 4096
"""So far from where it should be the cut is looked for; a longer word is cut."""
# Not between a name and what it is given.
_TEXT, _BYTES = re.compile(r"(?<![:=\s])[\s,;]"), re.compile(rb"(?<![:=\s])[\s,;]")


def before(text: AnyStr, at: int) -> int:
    """The last place between words up to `at`; `at` itself where there is none near."""
    if at >= len(text):
        return len(text)
    found = at
    for gap in _gaps(text, max(0, at - _REACH), at + 1):
        found = gap
    return found if found > max(0, at - _REACH) else at


def after(text: AnyStr, at: int) -> int:
    """The first place between words from `at` on; `at` itself where there is none near."""
    for gap in _gaps(text, max(0, at), min(len(text), at + _REACH)):
        return gap
    return at


def _gaps(text: AnyStr, begin: int, end: int) -> list[int]:
    if isinstance(text, str):
        return [found.start() for found in _TEXT.finditer(text, begin, end)]
    return [found.start() for found in _BYTES.finditer(text, begin, end)]
