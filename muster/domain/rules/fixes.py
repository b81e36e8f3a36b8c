"""What was mended, as a title of it: by what was changed, and not by that something was."""

from __future__ import annotations

import re
from collections.abc import Sequence

from muster.domain.rules import intents
from muster.domain.rules.text import one_line

MAX_ITEMS = 5
_READ = 8_000

_OF_SEVERAL = re.compile(
    r"\W{0,4}(?:(?:i|we)(?:['’]ve| have)?|here(?:['’]s| is| are)|all|both)\b[^\n]{0,80}?\b"
    r"(?:fixed|fixes|resolved|solved|corrected|addressed)\b[^\n]{0,80}[:：!]\W{0,4}$",
    re.IGNORECASE,
)
"""How somebody begins who then says what."""
_NUMBERED_HEAD = re.compile(r"^[ \t]{0,3}#{2,5}[ \t]{1,3}\d{1,2}[.)][ \t]{1,3}(\S[^\n]{0,300})$", re.MULTILINE)
_ITEM = re.compile(r"^[ \t]{0,3}(?:[-*•]|\d{1,2}[.)])[ \t]{1,3}(\S[^\n]{0,300})$", re.MULTILINE)
_NAMED = re.compile(r"[\w`(*][^\n]{2,}")
_BEHIND = re.compile(r"(?:\s{0,3}\([0-9a-f]{7,40}\))?[\s✅✔☑️✓.:*]{0,8}$")
_CHANGED = re.compile(
    r"\b(?:has|have|had|was|were|is now|are now) (?:(?:now|been|also|already|successfully) ){0,3}"
    r"(?:added|updated|changed|corrected|replaced|removed|modified|fixed|renamed|rewritten|adjusted|inserted|restored|reverted|set)\b|"
    r"\b(?:i|we)(?:['’]ve| have)? (?:(?:now|also|successfully) )?"
    r"(?:added|updated|changed|corrected|replaced|removed|modified|fixed|renamed|rewrote|adjusted|inserted|restored|reverted|set)\b",
    re.IGNORECASE,
)
_HOPED = re.compile(
    r"\b(?:fixed|resolved|solved|corrected|gone|no longer)\b|"
    r"\b(?:fix|change|correction) (?:is|was|works?|worked|did|does)\b",
    re.IGNORECASE,
)
_GOES_ON = re.compile(
    r"\W{0,4}(?:now that|with|after|once|since|before|as)\b[^,\n]{1,200},\s"
    r"(?:i|we|let['’]s|let me)(?:['’]ll| will| can| could| should| may| might| must| need)?\b",
    re.IGNORECASE,
)
"""How a sentence begins that goes on from what was mended."""


_TRIED = re.compile(
    r"\bshould (?:now |all |then |finally |also )*(?:work|pass|be (?:fixed|resolved|solved|green|gone|working|passing)|"
    r"fix|resolve|solve|succeed|help)\b|\bhopefully\b|\blet['’]?s? (?:me |us )?(?:now |just |quickly |first )*"
    r"(?:verify|test|re-?run|check|confirm|validate|try|see (?:if|whether)|run (?:the|it|all|them|these|those)\b)|"
    r"\bi['’]ll (?:now |just |quickly )*(?:verify|test|re-?run|check|confirm|validate|run (?:the|it|all|them))",
    re.IGNORECASE,
)
"""It is still to be seen."""


def named(part: str, saying: Sequence[str], lines: Sequence[str], line: str) -> str:
    """`saying`: the lines that say that something is mended, and `line` the best of them."""
    if _OF_SEVERAL.match(saying[0][:400]) and (items := _items(part, saying[0])):
        return one_line(f"Fixed: {'; '.join(items)}", 200)
    if not (intents.is_planned(line) or intents.leans(line)):
        return line
    others = [other for other in lines if other not in saying and not intents.is_planned(other)]
    changed = next((other for other in others if _CHANGED.search(other[:400])), "")
    if changed or not intents.leans(line):
        return changed or line
    # What it is about stands before it.
    at = lines.index(line)
    return lines[at - 1] if at and lines[at - 1] in others else line


def is_tried(part: str, saying: Sequence[str], lines: Sequence[str]) -> bool:
    """Whether several things are called fixed, and nobody has seen that they are."""
    unseen = any(_TRIED.search(line[:400]) for line in lines)
    return unseen and _OF_SEVERAL.match(saying[0][:400]) is not None and bool(_items(part, saying[0]))


def tried(title: str) -> str:
    """As a title of what was changed."""
    return f"Changed: {title.removeprefix('Fixed: ')}"


def goes_on(line: str) -> bool:
    """It says what is done next, now that something is mended."""
    return _GOES_ON.match(line[:400]) is not None


def hoped(lines: Sequence[str]) -> str:
    """What was changed, where it is only to be seen that it mends something."""
    if not any(intents.is_planned(line) and _HOPED.search(line[:400]) and not goes_on(line) for line in lines):
        return ""
    told = (line for line in lines if not intents.is_planned(line) and _CHANGED.search(line[:400]))
    return next(told, "")


def _items(part: str, line: str) -> list[str]:
    text = part[max(0, part.find(line[:20])) :][:_READ]
    found = [*_NUMBERED_HEAD.finditer(text)] or [*_ITEM.finditer(text)]
    items = [_BEHIND.sub("", one_line(item[1], 90)) for item in found[:MAX_ITEMS]]
    return [item for item in items if _NAMED.match(item)]
