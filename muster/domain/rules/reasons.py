"""A line that says what is wrong, as a reason: without what stands around it, and with what it announces."""

from __future__ import annotations

import re
from collections.abc import Sequence

_RULES = re.compile(r"^(?:={3,}|-{3,}|\*{3,}|#{3,}|_{3,}|~{3,})[ \t]+|[ \t]+(?:={3,}|-{3,}|\*{3,}|#{3,}|_{3,}|~{3,})$")
_SHELL = re.compile(
    r"^(?:\(eval\):\d{1,6}: |(?:[\w./-]{0,40}/)?-?(?:ba|z|da|k|a)?sh(?: line |: line |:|: )[1-9]\d{0,5}: |"
    r"__main__\.py: (?:error: )?)"
)
"""Where a shell says that it was in what it was given, that nobody wrote into a file."""
_ANNOUNCES = re.compile(r".{0,400}(?:\w:|\b(?:for|to|at|in|of|with|by|from|following|named|called|is|are|was))$")
_FRAME = re.compile(
    r"""\s*(?:at |File "|Traceback |in <|\^|~{2,}|[=_*#~-]{3,}|(?:platform|rootdir|plugins|configfile|cachedir)\b|$)"""
)
_ITEM = re.compile(r"\s{0,12}(?:[-*•+] |\d{1,3}[.)] )\S|\s+\S")
MAX_LINES = 6
"""Of what is announced."""
LINE_CHARS = 200
_HEADS = re.compile(
    r"\s*(?:=+ test session starts =+$|platform \w+ -- |(?:cachedir|rootdir|configfile|inifile|plugins|testpaths): |"
    r"(?:collecting \.{3}\s*)?collected \d+ items?(?: / \d+ (?:deselected|skipped|selected)){0,3}$|collecting \.{3}$|"
    r"bringing up nodes|Using --randomly-seed|usage: |(?:\.{3}|…) \+?\d+ (?:more )?lines)",
    re.IGNORECASE,
)
_TEST = re.compile(r"\s{0,8}(\S{1,300}\.py::\S.{0,200}?) (?:FAILED|ERROR)(?:\s+\[\s*\d{1,3}%\])?$")


def says_nothing(line: str) -> bool:
    """Whether it only tells what is about to be run."""
    return _HEADS.match(line[:400]) is not None


def test_in(line: str) -> str:
    """That failed, where each is listed with how it went."""
    found = _TEST.match(line[:600])
    return found[1] if found else ""


def whole(what: str, following: Sequence[str]) -> str:
    """With what is announced by it, that stands in the lines after it."""
    bare = _SHELL.sub("", _RULES.sub("", _RULES.sub("", what.strip(), count=1), count=1), count=1)
    if not _ANNOUNCES.match(bare[-400:]):
        return bare
    told: list[str] = []
    for line in following[:MAX_LINES]:
        if _FRAME.match(line) or (told and not _ITEM.match(line)):
            break
        told.append(" ".join(line[:LINE_CHARS].split()).removeprefix("- "))
        if not _ITEM.match(line):
            break
    return f"{bare} {', '.join(told)}" if told else bare


_OUTCOME = (
    r"(?:found|decrypted|decoded|deciphered|recovered|cracked|solved|result|answer|flag|password|solution|secret)"
)
_STATES = re.compile(
    rf"(?!>|E\s|\+ |- )\W{{0,8}}(?:[\w'-]{{1,20}} ){{0,4}}{_OUTCOME}s?\b"
    r"(?: [\w'-]{1,20}){0,4}[ \t]{0,4}(?::|=|->|=>|\bis\b)"
    r"(?=[ \t]{0,8}(?P<value>\S)|\s*$)",
    re.IGNORECASE,
)
_NO_RESULT = re.compile(
    r"\b(?:no|not|none|never|error|errors|failed|fail|cannot|could|unable|missing|invalid|undefined|traceback|warning)\b"
    r"|\w\(|[({\[;,]$",
    re.IGNORECASE,
)
_VALUE = re.compile(r"\W{0,8}[\w ()-]{1,30}?[ \t]{0,4}[:=][ \t]{0,8}\S")
MAX_RESULTS = 6


def results_in(lines: Sequence[str]) -> list[str]:
    """What a program had found by the time it failed; below a heading, each value that it names."""
    found: list[str] = []
    within = False
    for line in lines:
        head = line[:LINE_CHARS]
        stated = None if _NO_RESULT.search(head) else _STATES.match(head)
        if stated or (within and _VALUE.match(head) and not _NO_RESULT.search(head)):
            found.append(head.strip())
            within = within if stated is None else stated["value"] is None
        else:
            within = False
        if len(found) == MAX_RESULTS:
            break
    # A heading with nothing below it states nothing.
    return [one for n, one in enumerate(found) if one[-1:] not in ":=" or n + 1 < len(found)]
