"""What somebody typed, in what a terminal shows of their work with an agent: all else in it a program wrote."""

from __future__ import annotations

import re

from muster.domain.rules.sentences import sentences

READ_CHARS = 16_000
PRINTS = frozenset({"agent.output", "output", "stdout", "stderr", "log"})
"""Types of events that show what was printed."""

_TYPED = re.compile(r"^[ \t│|]{0,4}>[ \t]", re.MULTILINE)
_NEXT = re.compile(r"^[ \t│|]{0,4}(?:[⏺●✻✽✶⎿❯╭╰$>]|$)", re.MULTILINE)
_OF_A_PERSON = re.compile(
    r"\b(?:the )?(?:user|customer|client|human|they|he|she)(?:['’]ve| has| have| had)?(?: \w{1,20}){0,2} "
    r"(?:prefer|want|like|dislike|hate|love|ask|stat|insist|request)",
    re.IGNORECASE,
)


def typed(text: str) -> set[str]:
    """The sentences that somebody typed behind a mark."""
    text = text[:READ_CHARS]
    found: set[str] = set()
    for start in _TYPED.finditer(text):
        end = _NEXT.search(text, start.end())
        found.update(bare(line) for line in sentences(text[start.end() : end.start() if end else len(text)], 40))
    return found


def bare(line: str) -> str:
    return line.lstrip("> |│\t").rstrip()


def tells_of_a_person(line: str) -> bool:
    """What a program says that somebody wants."""
    return _OF_A_PERSON.search(line[:600]) is not None
