"""Commands that are handed something and say in words that it is not accepted: what is accepted later is what was
right."""

from __future__ import annotations

import re

from muster.domain.rules import commands
from muster.domain.rules.steps import Step, named, steps

MOST_CHARS = 160

_REJECTED = re.compile(
    r"\W{0,4}(?:sorry,? |error: |result: |status: )?(?:that(?:['’]s| is| was) |this is |it is |the )?"
    r"(?:[\w-]{1,20} (?:is|was) )?(?:still )?"
    r"(?:wrong|incorrect|invalid|rejected|denied|nope|no match|try again|bad|"
    r"not (?:correct|accepted|valid|right|the (?:right|correct|flag|answer))|"
    r"(?:access|login|permission|authentication) (?:denied|failed|refused))\b"
    r"[^\n:{}]{0,60}\W{0,4}",
    re.IGNORECASE,
)
_INTERPRETERS = re.compile(
    r"(?:python[\d.]{0,6}|node|ruby|perl|php|deno|bun|java|sh|bash|zsh|curl|wget|http|ssh|psql|mysql|sqlite3|echo|printf)$"
)
"""What prints what somebody made it print."""
_HANDS_IN = re.compile(r"(?:\S{0,80}/)?(?:submit|publish|upload|hand-?in|turn-?in|enrol|register)\b")


def is_rejected(command: str, output: str) -> bool:
    """Whether all it says is that what it was given is not right."""
    said = output.strip()
    if not 0 < len(said) <= MOST_CHARS or _handed(command) is None:
        return False
    return _REJECTED.fullmatch(said) is not None


def is_another_try(later: str, earlier: str) -> bool:
    """Whether the same program is handed something else, or the same in another way."""
    ours, theirs = _handed(later), _handed(earlier)
    return ours is not None and theirs is not None and named(ours) == named(theirs)


def differs_in_quotes(one: str, other: str) -> bool:
    return one != other and _QUOTES.sub("", one) == _QUOTES.sub("", other)


_QUOTES = re.compile(r"[\"'\\\s]")


def hands_in(command: str) -> bool:
    """Whether what it was given is worth knowing, though it says nothing."""
    step = _handed(command)
    return step is not None and _HANDS_IN.match(step.words[0]) is not None


def _handed(command: str) -> Step | None:
    """What is run with something that it is given. None: it is something else, or several things are."""
    run = [step for step in steps(command) if not step.prepares]
    if len(run) != 1 or len(run[0].words) < 2 or _INTERPRETERS.match(run[0].name):
        return None
    if commands.shows(command) or commands.is_check(command) or commands.mutates(command):
        return None
    return run[0]
