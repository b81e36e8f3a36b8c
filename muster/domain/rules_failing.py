"""Of a line of several commands, the one that failed, as far as what was printed tells."""

from __future__ import annotations

import re
from collections.abc import Sequence

from muster.domain.rules_commands import is_check
from muster.domain.rules_steps import Step, is_aside, named, steps

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
    every = steps(command)
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
