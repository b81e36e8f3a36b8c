"""What a client of a database is told in its command: whether that only asks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from muster.domain.rules.options import given
from muster.domain.rules.steps import Step
from muster.domain.rules.text import one_line

_SELECTS = re.compile(
    r"\s*(?:(?:select|show|table|values|with(?![^;]*\b(?:insert|update|delete|merge)\b))\b(?![^;]*\binto\b)"
    r"(?![^;]*\b(?:pg_(?!\w*size)\w+|nextval|setval|set_config|lo_\w+) ?\()|"
    r"explain\b(?! analy)|\\(?:d|l|conninfo))[^;]*;?\s*",
    re.IGNORECASE,
)
"""What only asks a database; some functions do more."""
_OF_SQLITE = re.compile(
    r"\s*\.(?:schema|tables?|indexes|indices|dump|databases|headers?|mode|width|nullvalue|separator|timer|show|stats)\b[^\n]*"
)
_PRAGMA = re.compile(r"\s*pragma\s+\w+(?:\(['\"\w]*\))?\s*;?\s*", re.IGNORECASE)


def only_asks(step: Step) -> bool | None:
    """None: it is no client of a database, or is told its queries elsewhere."""
    if step.name == "psql":
        return _all_select(_behind(step, r"-[a-zA-Z]*c|--command", "--command="), step, r"-[a-zA-Z]*f|--file")
    if step.name in ("mysql", "mariadb"):
        return _all_select(_behind(step, r"-[a-zA-Z]*e|--execute", "--execute="), step, r"(?!x)x")
    if step.name in _FILES:
        found = [*_of_file(step)[1:], *_behind(step, r"--?(?:cmd|c)", "--cmd=")]
        return bool(found) and all(
            _OF_SQLITE.fullmatch(part) or _PRAGMA.fullmatch(part) or not part.strip() or _SELECTS.fullmatch(part)
            for text in found
            for part in ([text] if text.lstrip().startswith(".") else text.split(";"))
        )
    return None


_FILES = ("sqlite3", "duckdb")
_OF_FILES = frozenset("-separator -newline -nullvalue -cmd -init -mmap -maxsize -vfs -c -s -f".split())  # noqa: SIM905
"""Options with a value."""


def _of_file(step: Step) -> list[str]:
    """The file and what is asked of it. What is cut in the middle of a quote is one all the same."""
    operands = given(step.words[1:], _OF_FILES).operands
    cut = next((at for at, word in enumerate(operands) if at and word[:1] in "\"'" and word), 0)
    query = " ".join(operands[cut:])[1:]
    return [operands[0], query] if cut and not _WRITES.search(query) else operands


_WRITES = re.compile(r"\b(?:insert|update|delete|drop|create|alter|replace|attach|vacuum|reindex)\b", re.IGNORECASE)


def asked(found: Sequence[Step]) -> str:
    """What a database is asked for, and which. Empty: none is, or something else is done too."""
    run = [step for step in found if not step.prepares]
    if len(run) != 1 or not only_asks(run[0]):
        return ""
    step, place = run[0], ""
    if step.name in _FILES:
        operands = _of_file(step)
        place = operands[0].rpartition("/")[2] if operands else ""
        queries = [*operands[1:], *_behind(step, r"--?(?:cmd|c)", "--cmd=")]
    else:
        queries = [*_behind(step, r"-[a-zA-Z]*[ce]|--command|--execute", "--command="),
                   *(word.partition("=")[2] for word in step.words if word.startswith("--execute="))]  # fmt: skip
    query = one_line("; ".join(queries), _QUERY_CHARS)
    return f"{query} ({one_line(place, 40)})" if place and query else query


_QUERY_CHARS = 100


def _behind(step: Step, option: str, long: str) -> list[str]:
    found = [after for word, after in pairwise(step.words) if re.fullmatch(option, word)]
    return found + [word.partition("=")[2] for word in step.words if word.startswith(long)]


def _all_select(queries: list[str], step: Step, from_file: str) -> bool:
    return (
        bool(queries)
        and not any(re.match(from_file, word) for word in step.words)
        and all(map(_SELECTS.fullmatch, queries))
    )
