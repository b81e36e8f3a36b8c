"""Code that an agent proposes in a message: what it is about stands in the words around it."""

from __future__ import annotations

import re

from muster.domain.rules.text import one_line

_SEARCH, _REPLACE = "<<<<<<< SEARCH", ">>>>>>> REPLACE"
_FENCE = re.compile(r"\s{0,8}(?:```|~~~)")
_PATH = re.compile(r"\W{0,4}[\w./@~-]{1,200}\.\w{1,8}\W{0,3}")
_MARK = re.compile(r"(?:#{1,6}|[-*•]|\d{1,3}[.)])\s{1,4}")
_LEAST = 12
"""Letters of a line that says something."""
MAX_LINES = 400


def title_of(text: str) -> str:
    """Where code would name a message, the first line of words. Empty: its words name it well enough, or there are
    none."""
    head = text.lstrip()
    if _SEARCH not in text and not _FENCE.match(head[:20]):
        return ""
    fenced = replaces = False
    lines = head.split("\n")[:MAX_LINES]
    # Cut off where it stood, a message may begin with the end of a block.
    lines = lines[1:] if not "".join(lines[:2]).strip(" `~") else lines
    for line in lines:
        if line.startswith((_SEARCH, _REPLACE)):
            replaces = line.startswith(_SEARCH)
        elif _FENCE.match(line):
            fenced = not fenced
        elif not (fenced or replaces or _PATH.fullmatch(line[:240])):
            bare = _MARK.sub("", line.strip(), count=1).rstrip(":： ")
            if sum(map(str.isalpha, bare)) >= _LEAST:
                return one_line(bare)
    return ""
