"""What was mended, as a title of it: by what was changed, and not by that something was."""

from __future__ import annotations

import re
from collections.abc import Sequence

from muster.domain.rules import intents
from muster.domain.rules.text import one_line

MAX_ITEMS = 5
_LINE = 400
_TIDY_CHARS = 80
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
    r"(?:added|updated|changed|corrected|replaced|removed|modified|fixed|renamed|rewritten|adjusted|inserted|"
    r"restored|reverted|set)\b|"
    r"\b(?:i|we)(?:['’]ve| have)? (?:(?:now|also|successfully) )?"
    r"(?:added|updated|changed|corrected|replaced|removed|modified|fixed|renamed|rewrote|adjusted|inserted|restored|"
    r"reverted|set)\b",
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


_TOOLS = (
    r"(?:(?:the |our )?`?(?:pre-?commit|ruff|black|isort|prettier|eslint|biome|gofmt|goimports|rustfmt|clang-format|"
    r"autopep8|rubocop|stylelint|shfmt|ktlint|spotless|formatters?|linters?|auto-?fix(?:er)?|"
    r"trailing-whitespace|end-of-file-fixer)`?(?: (?:hooks?|checks?|run|formatter|linter))?|(?:the |our )?hooks?)"
)
_BY_TOOL = re.compile(
    rf"\W{{0,6}}(?:(?:great|good|perfect|ok(?:ay)?|so|it (?:looks like|seems))[,.!\s]{{1,3}})?(?:running )?{_TOOLS}"
    r"(?: run)?(?: --?[\w-]{1,20}){0,3} (?:has |have |just |already |auto(?:matically)?[- ]?|also ){0,4}fixed\b|"
    rf"\b(?:were|was|been|is|are) (?:already |automatically |just |auto-)?fixed by {_TOOLS}\b",
    re.IGNORECASE,
)
"""A program put right how something is written, as it does each time."""
_OFFERED = re.compile(
    r"\W{0,6}(?:option|approach|alternative|idea|variant|proposal|plan) (?:\d{1,2}|[a-z])\b\s?[:.)–-]|"
    r"\b(?:solution|fix|approach|workaround) (?:should|would|could|might) (?:be|include|involve)\b|"
    r"\bproposed (?:fix|solution)\b|\W{0,6}(?:a |one |another |the )?(?:better|possible|cleaner|simpler|elegant|"
    r"proper) "
    r"(?:fix|solution|approach)(?:es)? (?:is|are|would|could|might)\b",
    re.IGNORECASE,
)
"""It may be done so."""
_ADJECTIVE = re.compile(
    r"\b(?:auto-?stag\w{1,4}|stag(?:e[sd]?|ing)|only|add(?:s|ed|ing)?|commit(?:s|ted|ting)?|re-?add\w{0,3}|all|these|"
    r"those|"
    r"review(?:s|ed|ing)?|of) (?:only |just |the )?(?:auto-?)?fixed (?:files?|changes?|code|versions?|lines?|"
    r"imports?)\b",
    re.IGNORECASE,
)
_ADMITS = re.compile(
    r"\b(?:only|merely|just) (?:\w{1,20} )?(?:fixed|resolved|solved|corrected)\b[^\n]{0,200}\b(?:but|not|left|"
    r"without)\b|"
    r"\b(?:fixed|resolved|solved|corrected)\b[^.\n]{0,100}\bbut (?:i |we )?(?:left|missed|forgot|overlooked|"
    r"did ?n['o]t)\b",
    re.IGNORECASE,
)
"""Half of it is not mended."""
_AT_TIMES = re.compile(
    r"\b(?:broken|fail(?:s|ing|ed|ures?)?|errors?|issues?|problems?)\b[^()\n]{0,60}\((?:is |are |only )?(?:fixed|"
    r"solved|resolved) "
    r"(?:when|if|once|only|after|while)\b",
    re.IGNORECASE,
)
"""Where it is not, it fails still."""
_BECAUSE_FIXED = re.compile(
    r"\b(?:since|because|as|now that|after|given that) (?:we|i|you|they|it|this|that|the \w{1,20})(?:['’]ve| has|"
    r" have|['’]s| was|"
    r" were| is)?(?: now| already| just| been)* (?:fixed|resolved|solved|corrected)\b",
    re.IGNORECASE,
)
"""What was mended before is why something else is done."""
_RULE = re.compile(
    r"\W{0,6}(?:fix|solve|write|define) (?:it )?once\b|\bfixed (?:everywhere|for (?:all|everyone))[.!]?$", re.IGNORECASE
)


def mends_nothing(line: str) -> bool:
    """Though it says that something is fixed: by a program that does so each time, only half, elsewhere, or perhaps."""
    head = line[:_LINE]
    return any(
        said.search(head) for said in (_BY_TOOL, _OFFERED, _ADJECTIVE, _ADMITS, _AT_TIMES, _BECAUSE_FIXED, _RULE)
    )


def tidies(line: str) -> bool:
    """A program did, and nobody needs to know what."""
    return len(line) <= _TIDY_CHARS and _BY_TOOL.match(line) is not None and not any(map(str.isdecimal, line))


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
