"""What a row of looks brought up: nothing is worth no observation, and a result is what it is about."""

from __future__ import annotations

import re
from collections.abc import Sequence

from muster.domain.memory import NewObservation
from muster.domain.rules import outcomes
from muster.domain.rules.reading import Act
from muster.domain.rules.text import one_line

_RESULT = re.compile(
    r"(?:^|[\s=])([1-9]\d{0,6} (?:failed|passed|errors?)(?:, \d{1,6} [a-z]{3,12}){0,6}"
    r"(?: in \d[\d.:]{0,12}s?)?)(?=[\s=(]|$)",
    re.MULTILINE,
)
_SEEKS = re.compile(r"error|fail|pass|exception|traceback|panic|critical|fatal", re.IGNORECASE)
"""What is sought to know how it went."""
_PRINTED = re.compile(r"\.(?:log|out|output|err|stderr|stdout)(?:\.\d+)?$|(?:^|/)(?:log|logs)/")
"""Files that hold what a program printed."""
END_CHARS = 20_000
SHOWN_CHARS = 2400
"""Of all that a row of looks showed of files whose names alone are told otherwise."""
_FILE_CHARS = 400
_WINDOW_CHARS = 1200
"""What an editor shows of a file was asked for by its place, and is not shown in any other way."""


def told(looks: Sequence[Act], made: NewObservation) -> NewObservation | None:
    if not made.narrative and not made.facts:
        for act in looks:
            act.note = "a look that brought nothing up"
        return None
    if shown := _shown(looks, made.narrative or ""):
        made = made.model_copy(update={"narrative": shown})
    result = next((found for act in reversed(looks) if (found := _result(act))), "")
    if not result:
        return made
    title = made.title[:1].lower() + made.title[1:]
    return made.model_copy(update={"title": one_line(f"{one_line(result, 110)} ({one_line(title, 80)})", 200),
                                   "importance": 0.5})  # fmt: skip


def _shown(looks: Sequence[Act], told: str) -> str:
    """What is told, and of each file that was read and is not told of there, what was shown of it."""
    parts, left = [told] if told else [], SHOWN_CHARS
    for act in looks:
        shown = outcomes.excerpt(act.text, min(_WINDOW_CHARS if act.window else _FILE_CHARS, left)) if left > 0 else ""
        head = f"{', '.join(act.files_read[:4])}: "
        if act.query or not shown or head in told or (part := f"{head}{shown}") in parts:
            continue
        left -= len(shown)
        parts.append(part)
    return "\n".join(parts)[:4000] if parts[bool(told) :] else ""


def _result(act: Act) -> str:
    """How it went, where it was looked for that, or into what a program printed."""
    printed = any(map(_PRINTED.search, act.files_read))
    if not printed and not (act.query and _SEEKS.search(act.query)):
        return ""
    end = act.text[-END_CHARS:]
    counts = _RESULT.findall(end)
    if counts:
        return str(counts[-1])
    # In a source, what is sought stands in the code.
    found = outcomes.told_in(end) if printed else ""
    return "" if found.startswith("assert ") else found
