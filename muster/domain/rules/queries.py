"""What a client of a database is told in its command: whether that only asks."""

from __future__ import annotations

import re
from itertools import pairwise

from muster.domain.rules.steps import Step

_SELECTS = re.compile(
    r"\s*(?:(?:select|show|table)\b(?![^;]*\binto\b)(?![^;]*\b(?:pg_(?!\w*size)\w+|nextval|setval|set_config|lo_\w+) ?"
    r"\()|"
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
    if step.name == "sqlite3":
        plain = [word for word in step.words[1:] if not word.startswith("-")]
        given = [*plain[1:], *_behind(step, r"--?cmd", "--cmd=")]
        return bool(given) and all(
            _OF_SQLITE.fullmatch(part) or _PRAGMA.fullmatch(part) or not part.strip() or _SELECTS.fullmatch(part)
            for text in given
            for part in ([text] if text.lstrip().startswith(".") else text.split(";"))
        )
    return None


def _behind(step: Step, option: str, long: str) -> list[str]:
    given = [after for word, after in pairwise(step.words) if re.fullmatch(option, word)]
    return given + [word.partition("=")[2] for word in step.words if word.startswith(long)]


def _all_select(given: list[str], step: Step, from_file: str) -> bool:
    return (
        bool(given)
        and not any(re.match(from_file, word) for word in step.words)
        and all(map(_SELECTS.fullmatch, given))
    )
