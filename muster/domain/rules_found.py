"""What a row of looks brought up: nothing is worth no observation, and a result is what it is about."""

from __future__ import annotations

import re
from collections.abc import Sequence

from muster.domain import rules_outcomes as outcomes
from muster.domain.memory import NewObservation
from muster.domain.rules_reading import Act
from muster.domain.rules_text import one_line

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


def told(looks: Sequence[Act], made: NewObservation) -> NewObservation | None:
    if not made.narrative and not made.facts:
        for act in looks:
            act.note = "a look that brought nothing up"
        return None
    result = next((found for act in reversed(looks) if (found := _result(act))), "")
    if not result:
        return made
    title = made.title[:1].lower() + made.title[1:]
    return made.model_copy(update={"title": one_line(f"{one_line(result, 110)} ({one_line(title, 80)})", 200),
                                   "importance": 0.5})  # fmt: skip


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
