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
_SPEAKERS = re.compile(
    r"^[ \t]{0,6}(?:#{1,4} |[-*•] |\d{1,2}[.)] )?\**[A-Z][\w.'’-]{1,20}(?: [A-Z][\w.'’-]{0,20}){1,3} \([^()\n]{3,60}\)"
    r"[*:： ]{0,6}\n{0,2}[ \t]{0,6}[*_]?[\"“«]",
    re.MULTILINE,
)
_COUNCIL = re.compile(
    r"\b(?:expert|advisory)s? (?:council|panel|round ?table|board)\b|\bpanel of experts\b", re.IGNORECASE
)


def typed(text: str) -> set[str]:
    """The sentences that somebody typed behind a mark."""
    text = text[:READ_CHARS]
    found: set[str] = set()
    for start in _TYPED.finditer(text):
        end = _NEXT.search(text, start.end())
        found.update(bare(line) for line in sentences(text[start.end() : end.start() if end else len(text)], 40))
    return found


def speaks_for_others(text: str) -> bool:
    """What an agent lets people say whom it made up: "Ann Example (Author of the book): …", one after another."""
    named = _SPEAKERS.findall(text[:READ_CHARS])
    return (
        len(named) > 1
        or (bool(named) and _COUNCIL.search(text[:READ_CHARS]) is not None)
        or (_COUNCIL.match(text.lstrip("#* 🎭🧠\n")[:80]) is not None)
    )


def bare(line: str) -> str:
    return line.lstrip("> |│\t").rstrip()


def tells_of_a_person(line: str) -> bool:
    """What a program says that somebody wants."""
    return _OF_A_PERSON.search(line[:600]) is not None
