"""What looks like a command that failed and is none: it was stopped, it had been done before, or only the shell around
it complained."""

from __future__ import annotations

import re

from muster.domain.rules import commands, outcomes
from muster.domain.rules.steps import is_aside, steps

_STOPPED = re.compile(
    r"(?:(?:Error: ?)?Exit code:? \d{1,3}\s+)?(?:\W{0,2}(?:\[Request interrupted by user[^\]\n]{0,60}\]|"
    r"(?:The )?(?:command|operation|tool use|execution|request) (?:was )?(?:aborted|cancel?led|interrupted|stopped)"
    r"(?: (?:before execution|by (?:the )?user))?)\W{0,3}\s*)+",
    re.IGNORECASE,
)
_OF_THE_SHELL = re.compile(
    r"(?:^|(?<=\n))[^\n:]{0,80}sh: (?:line \d{1,6}: )?/[^\n:]{0,200}\bcwd[^\n:]{0,60}: (?:Read-only file system|"
    r"Permission denied|No space left on device|No such file or directory|Operation not permitted)\n?"
)
"""Where a shell could not write down in which folder it ended, for the one that started it."""
_EXIT_CODE = re.compile(r"(?m)^Exit code \d{1,3}\n?")
_THERE = (
    (re.compile(r"juju (?:integrate|relate|add-relation)\b"), re.compile(r"\(already exists\)")),
    (re.compile(r"mkdir\b"), re.compile(r"mkdir: .{1,300}: File exists\Z")),
    (re.compile(r"kubectl (?:\S+ )*create (?:ns|namespace)\b|oc new-project\b"), re.compile(r"already ?exists", re.I)),
    (re.compile(r"(?:docker|podman) (?:network|volume) create\b"), re.compile(r"already exists|name is already used")),
    (re.compile(r"createdb\b"), re.compile(r'database "[^"\n]{1,80}" already exists')),
)  # fmt: skip
"""What needs to be done once only, and what it says the second time."""


def was_stopped(output: str) -> bool:
    """Whether somebody did, before it printed anything."""
    return len(output) < 400 and _STOPPED.fullmatch(output) is not None


def is_there(command: str, output: str) -> bool:
    """Whether it was to make what there is already: it is as it should be."""
    found = [step for step in steps(command) if not is_aside(step) or step.name == "mkdir"]
    if len(found) != 1 or len(output) > 2000:
        return False
    return any(does.match(found[0].bare) and says.search(output.strip()) for does, says in _THERE)


def has_committed(command: str, output: str) -> bool:
    """Whether the commit is there, and is the last thing that was to be done."""
    step, found = commands.commits(command), [step for step in steps(command) if not is_aside(step)]
    if step is None or not outcomes.has_committed(output):
        return False
    rest = found[found.index(step) + 1 :]
    return all(one.name == "git" and one.words[1:2] in (("log",), ("status",), ("show",)) for one in rest)


def without_shell(output: str) -> str:
    """What the command printed itself. The same, if nobody else did."""
    if "cwd" not in output or not (found := _OF_THE_SHELL.search(output)):
        return output
    return _EXIT_CODE.sub("", output[: found.start()] + output[found.end() :], count=1).strip()
