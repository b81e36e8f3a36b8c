"""What a person wrote themself, in a message into which they pasted a log, some code or a report."""

from __future__ import annotations

import re

from muster.domain.memory import NewObservation

READ_LINES = 2_000
_LINE = 240
"""Characters of a line that tell what it is."""
_LEAST = 3
"""Lines that show it. One or two are a person's own example."""
_LEAST_REPORT = 4
_LEAST_CHARS = 500
"""Of what is pasted. What is shorter is read as one with what is said of it."""
_SHARE = 0.3
_NAME_CHARS = 12
"""Of a line that is no sentence: a word over what is pasted."""

_ASKED = frozenset({"request", "question", "preference"})
"""What a person says for themself, and nothing that they paste."""
_OF_PRINT, _OF_REPORT = 0.3, 0.5
"""How much it weighs."""

_PRINTED = re.compile(
    r"\s{0,40}(?:at (?:async )?\S{1,100}(?: \(|:\d)|(?:\([\w .]{1,40}\)|await in|[\w$.]{1,80}) @ \S{1,120}:\d|"
    r"File \"[^\"\n]{1,200}\", line \d|[\w.$@/-]{1,120}\.\w{1,5}(?:\?\S{1,40})?:\d{1,6}\b|"
    r"\W{0,2}\d{4}-\d\d-\d\d[T ]\d\d:\d\d|\W{0,3}\d\d:\d\d:\d\d\b|"
    r"\[?(?:DEBUG|INFO|WARN(?:ING)?|ERROR|FATAL|TRACE|CRITICAL)\b[\]: |]|[\w.-]{1,40}: \[(?:warn|error|notice|emerg)\]|"
    r"/[\w./-]{2,200}: \S|(?:GET|POST|PUT|DELETE|PATCH|OPTIONS) \S{0,200}[/:]|Failed to load resource\b|Traceback \(|"
    r"[\w.]{0,60}(?:Error|Exception): \S|npm (?:ERR!|error)\b|E\s{2,}\S|[=_*]{5,}|\$ \S|>>> \S|[✗✘✕×] \S)"
)
_CODE = re.compile(
    r"\s{0,60}(?://|/\*|\* @|#!|(?:if|elif|while) \[|(?:fi|done|else|then|esac)$|echo [\"'$-]|export \w{1,60}=|"
    r"(?:import|from) [\w.{*'\"@/]{1,80}|(?:async )?(?:def|function) \w|class \w{1,60}[:({ ]|(?:const|let|"
    r"var) \w{1,60} ?[=:]|"
    r"return\b.{0,200};$|#include\b|</?\w{1,30}[ />]|curl -|\"[\w-]{1,60}\":|[\w.\[\]\"']{1,60} = \S|[A-Z_]{2,60}=\S|"
    r"[}\])]{1,6}[;,]?$|(?:diff --git|@@ -\d|\+\+\+ |--- a/))|.{0,200}(?:[;{]|\\|\);?)$"
)
_REPORTED = re.compile(
    r"\s{0,12}(?:#{1,6} \S|\*\*\S.{0,200}\*\*|[*•-] {1,4}\*\*\S|\d{1,2}\. {1,4}\*\*\S|\|.{1,400}\||> \S)"
)
_RULE = re.compile(r"\s{0,8}(?:-{3,}|_{3,}|\*{3,})\s{0,8}")
_FENCE = re.compile(r"\s{0,12}(?:```|~~~)")


def own_words(text: str) -> str | None:
    """Before and after it. None: nothing is pasted."""
    lines = text.split("\n")[:READ_LINES]
    marked = _marked(lines)
    if not marked:
        return None
    first, last = marked[0], marked[-1]
    reported = sum(_REPORTED.match(lines[at][:_LINE]) is not None for at in marked)
    least = _LEAST_REPORT if reported * 2 > len(marked) else _LEAST
    written = sum(bool(line.strip()) for line in lines[first : last + 1])
    if len(marked) < least or len(marked) < _SHARE * written:
        return None
    if sum(len(line) + 1 for line in lines[first : last + 1]) < _LEAST_CHARS:
        return None
    before = "\n".join(lines[:first]).strip()
    after = _after(lines, last, is_report=least == _LEAST_REPORT)
    if len(before) < _NAME_CHARS and after:
        return after
    return f"{before}\n\n{after}".strip()


def asked_once(made: list[NewObservation], own: NewObservation) -> list[NewObservation]:
    """Of a message in parts, what is asked in its own words, and the rest of it as what is told. `own`: what those "
    "words
    are by themselves."""
    first, *rest = made
    if own.type in _ASKED or first.type in _ASKED:
        first = first.model_copy(update={"type": own.type, "title": own.title, "importance": own.importance})
    return [first, *map(_told, rest)]


def _told(one: NewObservation) -> NewObservation:
    if is_printed(one.narrative or ""):
        return one.model_copy(update={"type": "fact", "importance": _OF_PRINT})
    return one.model_copy(update={"type": "fact", "importance": _OF_REPORT}) if one.type in _ASKED else one


def is_printed(part: str) -> bool:
    """Most of it is what programs print or read."""
    lines = [line[:_LINE] for line in part.split("\n")[:READ_LINES] if line.strip()]
    shown = sum(_PRINTED.match(line) is not None or _CODE.match(line) is not None for line in lines)
    return len(lines) > 1 and 2 * shown > len(lines)


def _marked(lines: list[str]) -> list[int]:
    """Where lines are that nobody types."""
    found = []
    fenced = False
    for at, line in enumerate(lines):
        if _FENCE.match(line):
            fenced = not fenced
            found.append(at)
        elif fenced or any(shown.match(line[:_LINE]) for shown in (_PRINTED, _CODE, _REPORTED)):
            found.append(at)
    return found


def _after(lines: list[str], last: int, *, is_report: bool) -> str:
    """What is said behind it. A report ends with sentences of its own, unless a line is drawn under it."""
    rest = lines[last + 1 :]
    if is_report:
        ruled = next((at for at, line in enumerate(rest) if _RULE.fullmatch(line)), None)
        rest = rest[ruled + 1 :] if ruled is not None else []
    return "\n".join(rest).strip()
