"""Of a line of several commands, the one that failed, as far as what was printed tells; and whether one says so."""

from __future__ import annotations

import re
from collections.abc import Sequence

from muster.domain.rules.commands import is_check
from muster.domain.rules.steps import Step, is_aside, named, steps

_NAME_THEMSELVES = frozenset(
    """
    rm mv cp ln mkdir rmdir touch chmod chown cat ls head tail grep sed awk find sort wc cut tr tee cd pushd popd sleep
    echo printf true false export source set unset test date which wait pwd xargs basename dirname readlink tar unzip
    """.split()  # noqa: SIM905
)
"""Programs that say who complains: where no line does, it was another."""
_SAYS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (programs, re.compile(said, re.MULTILINE))
    for programs, said in (
        ("pytest|unittest|tox|nox|python|python3|coverage", r"^(?:FAILED|ERROR) \S{1,300}::|^=+ .{0,80}\d fail"),
        ("python|python3|pytest|py.test|tox|nox|unittest|coverage", r"^Traceback \(most recent call last\)"),
        ("mypy", r"^Found [1-9]\d* errors? in \d+ files? \(checked"),
        ("ruff", r"^Found [1-9]\d* errors?\.|^(?:\d+ files? w|W)ould (?:be )?reformat"),
        ("pip|pip3", r"^ERROR: (?:Could not find a version|No matching distribution|Could not (?:install|open|build))"),
        ("git", r"^fatal: |^error: (?:pathspec|failed to push|Your local changes)|^CONFLICT \("),
        ("npm", r"^npm (?:ERR!|error)"),
        ("make", r"^make(?:\[\d+\])?: \*\*\*"),
        ("docker|podman", r"^(?:Error response from daemon|ERROR: failed to solve|docker: )"),
        ("kubectl", r"^Error from server|^error: (?:resource mapping|unable to recognize)"),
        ("node", r"^node:internal|^Node\.js v\d"),
        ("cargo|rustc", r"^error\[E\d+\]|^error: could not compile"),
        ("tsc", r"error TS\d+: "),
    )
)  # fmt: skip
"""What nobody else prints."""


def failing(command: str, output: str, what: str) -> str:
    """The program, by `what` it is that it says is wrong; empty, where it runs none."""
    every = [step for step in steps(command) if step.name.strip(".…")]
    found = [step for step in every if not step.prepares]
    if len({named(step) for step in found}) < 2 and len(every) == len(found):
        return named(found[0]) if found else ""
    if step := _named_in(every, what[:400]):
        return named(step)
    if not found:
        return ""
    rest = [step for step in found if not is_aside(step) and step.name not in _NAME_THEMSELVES] or found
    end = output[-20_000:]
    for programs, said in _SAYS:
        alike = [step for step in rest if step.name in programs.split("|")]
        if alike and said.search(end):
            return named(alike[-1])
    checks = [step for step in rest if is_check(step.bare)]
    return named(checks[0] if checks else rest[-1])


def _named_in(found: Sequence[Step], what: str) -> Step | None:
    """Whose name stands before what it says, or is what is missing."""
    for step in reversed(found):
        name = re.escape(step.name)
        if re.match(rf"(?:\S{{0,80}}/)?{name}(?:\[\d+\])?: |(?:error|fatal|ERROR): {name}\b", what):
            return step
        if re.search(rf"[ /:'\"`]{name}['\"`]?: (?:(?:command )?not found|Permission denied)", what):
            return step
    return None


_WRONG = (
    r"(?!\s*(?:warning|warn|note|info|debug)\b)[^\n]{0,200}?\b(?:no such|invalid|cannot|can['’]t|could not|unable|"
    r"failed|fatal|error|permission denied|not found|unrecogni[sz]ed|unknown|missing|illegal|bad|is a directory|"
    r"refused|unexpected)"
    r"\b[^\n]{0,300}"
)
_ERROR_OF = re.compile(r"ERROR (?=[a-z])[^\n:=]{1,120}(?:[^\n]{0,400})$", re.MULTILINE)
_OWN_ERRORS = frozenset("juju charmcraft snapcraft rockcraft".split())  # noqa: SIM905
"""Programs that say so without a colon."""
_RAN_OUT = re.compile(
    r"^(?:(?:EXECUTION|COMMAND) TIMED OUT|(?:Execution|Command) timed out)\b(?! after \d)[^\n]{0,200}"
    r"(?:\n[^\n]{0,300})?\Z",
    re.MULTILINE,
)
_FEW = 3


def complains(command: str, output: str) -> bool:
    """Whether one of the programs says under its own name, first or last, that it could not, or time ran out."""
    text = output.strip()
    if not text:
        return False
    if _RAN_OUT.search(text[-700:]):
        return True
    first, last = text.partition("\n")[0][:600], text[text.rfind("\n") + 1 :][-600:]
    few = text.count("\n") < _FEW
    for step in steps(command):
        said = rf"{re.escape(step.name)}: {_WRONG}"
        if (few and re.fullmatch(said, first, re.IGNORECASE)) or re.fullmatch(said, last, re.IGNORECASE):
            return True
        if _is_behind(step.name, last):
            return True
        if step.name in _OWN_ERRORS and _ERROR_OF.match(first):
            return True
    return False


def _is_behind(name: str, line: str) -> bool:
    """Where what it printed ended without a new line."""
    at = line.rfind(f"{name}: ")
    return (
        at > 0
        and len(name) > 3
        and re.fullmatch(r"invalid input|(?:read|write) error\b.{0,80}", line[at + len(name) + 2 :]) is not None
    )
