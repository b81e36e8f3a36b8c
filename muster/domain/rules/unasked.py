"""Answers of tools where nobody knows what was asked: code, listings, what was found where, and that it was done tell
nothing by themselves; what went wrong does."""

from __future__ import annotations

import re

from muster.domain.rules import printed
from muster.domain.rules.json import opened
from muster.domain.rules.shells import never_ran

READ_CHARS = 40_000
LINE_CHARS = 400
MOST_DONE = 600

_NUMBERED = re.compile(r"\s{0,12}\d{1,6}(?:\t|→|[:-](?=\S|\s{2,})|\s{2,})")
_PATH = r"(?:\.{0,2}/)?[\w.@+-]{1,80}(?:/[\w.@+ ()\[\]-]{1,80}){0,20}\.\w{1,10}"
_FOUND = re.compile(rf"{_PATH}(?:[:-]\d{{1,7}}[:-]|$)|\S{{1,300}}/\S{{0,200}}$")
_STATE = re.compile(
    r"\s?(?:[MADRCU?!]{1,2}|create mode \d{6}|delete mode \d{6}|rename|copy)\s{1,3}\S{1,300}$|"
    r"\s\S{1,300}\s{1,80}\|\s{1,9}(?:\d{1,7} [+-]{0,200}|Bin )|\s?\d{1,6} files? changed\b|"
    r"\[File: |\(Open file: |\(Current directory: |\(\d{1,9} more lines (?:above|below)\)|"
    r"(?:diff --git|index [0-9a-f]{6,40}\.\.|--- [ab/]|\+\+\+ [ab/]|@@ )"
)
_WORDS = (
    r"(?:export|const|let|var|import|from \S{1,80} import|async function|function|def|class|public|private|protected|"
    r"static|interface|type \w{1,60} =|enum|struct|impl|pub|fn|func|return|await|throw|yield|elif|assert|raise|"
    r"#include|package|namespace|using)"
)
_CODE = re.compile(
    rf"\s{{0,40}}(?:{_WORDS}\b.{{0,400}}[;:{{}}(),\[\]=>'\"`]?$|"
    r"(?:if|for|while|switch|else if|catch)\s?\(.{0,400}|(?:else|try|finally|do)\b.{0,4}[{:]$|"
    r"[}\])][\s;,)\]}]{0,9}.{0,60}$|</?[A-Za-z][^\n]{0,380}>?$|@\w{1,60}(?:\(.{0,200})?$|//|/\*|\*/|"
    r"[\w.$\[\]'\"-]{1,80}\s?[:=]\s?.{1,300}[;,{(\[]$|[\w.$]{1,80}\(.{0,300}[;,{(]$|"
    r"[.#&]?[\w-]{1,60}(?:[ ,>.:#][\w-]{1,60}){0,6} ?\{$|"
    r"[+-](?![-*•] |\d)\s{0,40}\S.{0,300}[;:{}(),\[\]=>]$|\.\w{1,60}\(.{0,300}$|[^\n]{0,300}(?:[;{]|=>)$)"
)
_THINGS = r"(?:file|todo|task|plan|notebook|cell|memory|edit|change|patch|result)s?"
_DONE = re.compile(
    rf"(?:Success(?:fully)?[.:! ].{{0,300}}|Done\W{{0,3}}|OK\W{{0,3}}|Plan updated\W{{0,3}}|"
    rf"(?:The )?{_THINGS} .{{0,300}}"
    r"\b(?:created|updated|modified|written|saved|applied|deleted|moved|edited|replaced)\b(?: successfully)?\b.{0,300}|"
    r"(?:Updated|Created|Wrote|Saved|Deleted|Replaced|Applied) "
    r"(?:task|todo|file|edit|\d{1,9} (?:bytes|lines|changes?|occurrences?)).{0,300})",
    re.IGNORECASE,
)
"""What tools say of a change that they made."""
_REFUSED = re.compile(
    r"^(?:apply_patch verification failed\b|(?:ERROR|Error|error|fatal|FATAL)(?:\[\w{1,12}\])?: |"
    r"\s?! \[(?:remote )?rejected\]|Failed to find expected lines\b|npm (?:ERR!|error) |"
    r"(?:The )?(?:patch|edit|command|request|tool) (?:was |has )?(?:failed|rejected|not applied)\b|"
    r"(?:String|Text) to replace not found\b)",
    re.MULTILINE,
)
_RECORD = re.compile(r"^\[[^\]\n]{1,200} [0-9a-f]{7,40}\] \S", re.MULTILINE)
"""What git says of a commit."""
_FEW_LINES = 12


def says_nothing(text: str) -> bool:
    """Whether most of it is code, or a list, or says only that something was done."""
    text = text[:READ_CHARS].strip("\n")
    lines = [line[:LINE_CHARS].rstrip() for line in text.split("\n") if line.strip()]
    if not lines:
        return True
    if _RECORD.search(text) or (text[:1] in ("{", "[") and opened(text) is not text):
        return False
    if len(text) <= MOST_DONE and _DONE.fullmatch(lines[0].strip()):
        return all(map(_tells_nothing, lines[1:]))
    return 2 * sum(map(_tells_nothing, lines)) > len(lines)


def _tells_nothing(line: str) -> bool:
    return (
        _NUMBERED.match(line) is not None
        or _FOUND.match(line) is not None
        or _STATE.match(line) is not None
        or _CODE.fullmatch(line) is not None
        or printed.is_code(line)
    )


def is_refused(text: str) -> bool:
    """Whether it says, in a few lines, that it was not done."""
    bare = text.strip()
    if never_ran(bare):
        return True
    return bare.count("\n") < _FEW_LINES and not says_nothing(bare) and _REFUSED.search(bare[:4000]) is not None
