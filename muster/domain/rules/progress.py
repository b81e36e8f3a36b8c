"""Lines of progress in plain output: they follow one pattern and differ in their numbers only, many times over."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

OFTEN = 5
"""Lines of one shape in one text that are progress."""
_COUNTED = 12
"""So many that only count say nothing more by their first and last."""
_MANY = 30
"""Of results, all are kept; of more than that, the first and the last."""
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_WHOLE = re.compile(r"\d{1,15}")
_TELLS = re.compile(
    r"fail|fehl|error|warn|refus|den(?:y|ied)|lost|skip|miss|found|crash|timed? ?out|invalid|corrupt|drop|reject|leak",
    re.IGNORECASE,
)
_LONGEST = 400
"""Of a line; what is longer is more than progress."""


def shape(line: str) -> str:
    return _NUMBER.sub("0", line.strip())


def progress_in(text: str) -> set[str]:
    """The shapes that come often."""
    return set(_often(text.split("\n")))


def _often(lines: Sequence[str]) -> dict[str, list[int]]:
    """And the places of the lines that have them."""
    places: dict[str, list[int]] = {}
    for n, line in enumerate(lines):
        if len(line) <= _LONGEST and any(map(str.isdigit, line)):
            places.setdefault(shape(line), []).append(n)
    return {known: found for known, found in places.items() if len(found) >= OFTEN}


def without_progress(text: str) -> str:
    """Of the lines of a shape that comes very often, the first and the last; none, where they only count and tell of
    nothing that went wrong."""
    lines = text.split("\n")
    left_out: set[int] = set()
    for known, found in _often(lines).items():
        only_counts = not _TELLS.search(known) and _only_counts([lines[n] for n in found])
        if only_counts and len(found) >= _COUNTED:
            left_out.update(found)
        elif only_counts or len(found) > _MANY:
            left_out.update(found[1:-1])
    if not left_out:
        return text
    return "\n".join(line for n, line in enumerate(lines) if n not in left_out).strip("\n")


def _only_counts(lines: Sequence[str]) -> bool:
    """Whether each number stays as it is, or grows by the same each time: these tell no results."""
    rows = [_NUMBER.findall(line) for line in lines]
    return all(
        len(set(column)) == 1 or (all(map(_WHOLE.fullmatch, column)) and _steps(list(map(int, column))))
        for column in zip(*rows, strict=False)
    )


def _steps(numbers: Sequence[int]) -> bool:
    by = numbers[1] - numbers[0]
    return by != 0 and all(later - one == by for one, later in pairwise(numbers))
