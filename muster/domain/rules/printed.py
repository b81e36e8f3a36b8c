"""Plain output: which lines of it say nothing by themselves, and which state something."""

from __future__ import annotations

import re
from collections.abc import Sequence

PAGE = 8
"""Lines numbered one after the other that are a page of a file."""
_NUMBERED = re.compile(r"\s{0,12}(\d{1,6})(?::|→)")
_HAD = re.compile(
    r"\s{0,8}(?:Requirement already satisfied: |\[notice\] |Using cached \S|Building wheels for |Created wheel for |"
    r"Collecting [\w.\[\]-]{1,80}(?:[<>=!~]=?[^\n]{0,80})?$|Stored in directory: |Attempting uninstall: |"
    r"(?:Building (?:editable|wheel)|Preparing (?:editable )?metadata|Checking if build backend|"
    r"Getting requirements to build|Installing (?:build|backend) dependencies)\b[^\n]{0,120}: ?"
    r"(?:started|finished with status 'done'|still running\.{3})$)"
)
"""What installers say on their way."""
_CODE = re.compile(
    r"\s{0,12}\d{1,6}(?::\s{2,}|→|:$| {1,8}[+-](?:\s|$)|\s{3,}(?:[@#}\])]|def |class |import |from |return |if |for ))"
    r"|\s{0,12}(?:\(\d{1,9} more lines (?:above|below)\)|\[File: [^\n]{1,300} \(\d{1,9} lines total\)\])"
    r"|\s{0,12}\.(?:text|data|rodata|plt|got):[0-9a-fA-F]{6,16}\b|[@+-]{3} |\s{0,8}[0-9a-f]{4,16}:\s(?:[0-9a-f]{2} ){2}"
)
"""With line numbers or addresses, or what an editor says around them."""
_DECOMPILED = re.compile(
    r"std::(?:basic_|operator|char_traits|allocator|endl)|\b(?:param|local)_[0-9a-f]{1,4}\b|\bundefined\d\b|"
    r"\b(?:FUN|LAB|DAT|PTR|sub|loc)_[0-9a-fA-F]{4,16}\b|\b[a-z]{1,4}Var\d{1,3}\b"
)
_ENDS_AS_CODE = (";", "{", "}", "(", ")", ",", ">", "<", "<<", "*/", ":")
_GOES_ON = (";", "{", "}", "(", ",", "<<", "*/")
_SENTENCE = re.compile(r"\s{0,8}(?:[-*•⏺●] {1,3}|\d{1,2}[.)] )?[A-Z`\"“*_(][^\n]{24,600}[.!]\**")
_WORD = re.compile(r"(?<![\w./:])[A-Za-z][a-z'’]{1,20}(?![\w/:])")
_RAN_NONE = re.compile(r"^[= ]{0,80}(?:no tests (?:ran|collected)\b|collected 0 items$)", re.MULTILINE)


def without_pages(text: str) -> str:
    """Without what installers say of what was there, and without pages of files: their numbers follow one another."""
    lines = [line for line in text.split("\n") if not _HAD.match(line)]
    numbers = [int(found[1]) if (found := _NUMBERED.match(line)) else -1 for line in lines]
    kept: list[str] = []
    at = 0
    while at < len(lines):
        end = at + 1
        while numbers[at] >= 0 and end < len(lines) and numbers[end] == numbers[end - 1] + 1:
            end += 1
        if end - at < PAGE:
            kept += lines[at:end]
        at = end
    return "\n".join(kept).strip("\n")


def is_code(line: str) -> bool:
    """A numbered line of a file, of a difference or of a program that was taken apart: it is no title."""
    head = line[:400].rstrip()
    return _CODE.match(head) is not None or (head.endswith(_ENDS_AS_CODE) and _DECOMPILED.search(head) is not None)


def without_code(lines: Sequence[str]) -> list[str]:
    """Nor what goes on from such a line, as a long call does."""
    kept: list[str] = []
    within = False
    for line in lines:
        bare = line[:400].rstrip()
        within = is_code(line) or (within and (not bare or bare.endswith(_GOES_ON) or bare.startswith(" " * 8)))
        if not within:
            kept.append(line)
    return kept


def stated(text: str) -> str:
    """The sentences in it, that programs do not print of what they do."""
    lines = [line for line in text.split("\n") if _SENTENCE.fullmatch(line) and not is_code(line)]
    return "\n".join(line.strip() for line in lines if len(_WORD.findall(line[:600])) >= 6)


def ran_none(text: str) -> bool:
    """Whether a run in it had no tests."""
    return _RAN_NONE.search(text) is not None
