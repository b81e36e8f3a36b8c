"""Commands that answer with their exit code: 1 is no failure of `diff`, `grep` or `test`, but what they found."""

from __future__ import annotations

import re

from muster.domain.rules import outcomes
from muster.domain.rules.differences import split_at_pipes
from muster.domain.rules.options import given
from muster.domain.rules.steps import Step, steps
from muster.domain.rules.text import lines_of, one_line

_COMPARES = frozenset("diff cmp colordiff sdiff diff3 zdiff".split())  # noqa: SIM905
_SEEKS = frozenset("grep egrep fgrep zgrep rg ag ack pgrep".split())  # noqa: SIM905
_ASKS = frozenset("which type whence where whereis hash".split())  # noqa: SIM905
"""Whether there is such a program."""
_ANSWERS = _COMPARES | _SEEKS | _ASKS | {"test", "["}
_NOTHING = re.compile(r"(?:Error:?\s{0,9})?(?:\(?Exit code:? 1\)?)?", re.IGNORECASE)
"""What stands for an answer that nobody got."""
_VALUED = frozenset(
    """
    -U -C -W -x -X -I -F -D -S --label --unified --context --width --exclude --exclude-from
    """.split()  # noqa: SIM905
)
_OWN = re.compile(
    r"((?:\S{0,80}/)?(?:diff|cmp|colordiff|sdiff|diff3|zdiff|[ezf]?grep|rg|ag|ack|pgrep|"
    r"(?:-?(?:ba|z|da|k)?sh: (?:line \d{1,6}: )?)(?:test|\[)): .+|error: .+|fatal: .+|usage: .+)",
    re.IGNORECASE,
)
_CHANGED = re.compile(r"(?:[<>] ?|[+-](?!--|\+\+))\s*\S")
MAX_CHANGED = 4


def answers(command: str) -> bool:
    """Whether its exit code is that of one that says yes or no with it."""
    last = _last(command)
    return (last is not None and _does_answer(last)) or _ends_in_search(command)


def found_nothing(command: str, output: str) -> bool:
    """Whether what something else printed was looked through, and nothing was in it."""
    return _ends_in_search(command) and _NOTHING.fullmatch(output.strip()[:200]) is not None


def _ends_in_search(command: str) -> bool:
    parts = split_at_pipes(command)
    return len(parts) > 1 and parts[-1].split(maxsplit=1)[:1] != [] and parts[-1].split(maxsplit=1)[0] in _SEEKS


def complaint(command: str, output: str) -> str:
    """What it says is wrong itself: what it compares, or finds, may say anything."""
    found = [step for step in steps(command) if not step.prepares]
    only = bool(found) and all(map(_does_answer, found))
    if only and all(map(_compares, found)):
        lines = lines_of(output[:20_000])
        return next((one_line(match[1], 220) for line in lines if (match := _OWN.match(line[:600]))), "")
    return outcomes.complaint(output)


def difference(command: str, output: str) -> str:
    """In a title, what differs. Empty: nothing that it would show."""
    last = _last(command)
    if last is not None and last.name in _ASKS and "\n" not in (said := output.strip()):
        return said[:200]
    if last is None or not _compares(last) or not output.strip():
        return ""
    changed = [line.strip()[:80] for line in lines_of(output[:20_000]) if _CHANGED.match(line)][:MAX_CHANGED]
    files = given(last.words[1:], _VALUED).operands[-2:] if last.name != "git" else []
    what = f"{files[0]} and {files[1]} differ" if len(files) > 1 else f"{last.name} shows a difference"
    return f"{what}: {' '.join(changed)}" if changed else what


def _last(command: str) -> Step | None:
    return next((step for step in reversed(steps(command)) if not step.prepares), None)


def _does_answer(step: Step) -> bool:
    return step.name in _ANSWERS or (step.name == "git" and step.words[1:2] in (("diff",), ("grep",)))


def _compares(step: Step) -> bool:
    return step.name in _COMPARES or (step.name == "git" and step.words[1:2] == ("diff",))
