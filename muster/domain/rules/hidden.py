"""Failures that an exit code does not show: that of a pipe is that of its last program, and some tell none at all."""

from __future__ import annotations

import re

from muster.domain.rules import causes, commands, outcomes
from muster.domain.rules.steps import Step, steps

END_CHARS = 20_000
_OF_CHECKS = re.compile(
    r"^(?:ImportError while loading conftest|E {3}[\w.]{0,80}(?:Error|Exception)\b|INTERNALERROR>|"
    r"_{1,40} ERROR (?:collecting|at (?:setup|teardown)) |ERROR: (?:file or directory not found|not found: |usage: )|"
    r"(?:ERROR: )?usage: [^\n]{1,300}\n[^\n]{0,300}\berror: |[ \t]{0,9}evaluation failed :\(|"
    r"FAILED \S{1,300}::\S|\S{1,200}::\S{1,200} FAILED\b|[^\n:]{1,80}: FAIL code \d|"
    r"Error: Cannot find module |Could not find a (?:version|package)\b)",
    re.MULTILINE,
)
"""What checks print that did not get to run anything, or ran it and failed."""
_OF_SHELLS = re.compile(
    r"^(?:(?:/bin/|/usr/bin/)?(?:ba|z|da|k)?sh: (?:line )?[^\n]{1,300}: (?:command )?not found|"
    r"[^\n:]{1,200}: command not found|timeout: failed to run command |"
    r"[\w./-]{0,80}python[\d.]{0,6}: can['’]t open file |Segmentation fault\b|Aborted \(core dumped\)|Killed$|"
    r"(?:[^\n:]{1,80}: )?error while loading shared libraries: )",
    re.MULTILINE,
)
"""What is said of a program that did not start, or was ended."""
_OTHERS = frozenset("curl wget ssh docker podman kubectl gh psql mysql git cat tail head grep".split())  # noqa: SIM905
"""They print what others said."""


def is_hidden(command: str) -> bool:
    """Whether the exit code tells nothing of something that was run for itself."""
    return any(step.hidden for step in _runs(command))


def prints_failure(command: str, output: str) -> bool:
    """Whether a command fails by what it prints, whose exit code says nothing of it."""
    runs = _runs(command)
    if not runs or commands.shows(command) or all(step.name in _OTHERS for step in runs):
        return False
    end = output[-END_CHARS:]
    if commands.is_check(command) and (_OF_CHECKS.search(end) or _says_otherwise(command, end)):
        return True
    if outcomes.has_trace(end) or _OF_SHELLS.search(end):
        return True
    last = end.rstrip().rpartition("\n")[2][:400]
    return causes.RAISED.match(last) is not None and not last.startswith("assert ")


def is_silenced(command: str, output: str) -> bool:
    """Whether nothing tells how a check went: where it fails, something else is done (`|| true`)."""
    return commands.is_check(command) and _OTHERWISE.search(command) is not None and not outcomes.passed(output)


def _says_otherwise(command: str, end: str) -> bool:
    """Whether what it prints last is what it is to print where it fails."""
    last = end.rstrip().rpartition("\n")[2].strip()[:400]
    return any(last == found[2].strip() for found in _OTHERWISE.finditer(command) if found[2])


_OTHERWISE = re.compile(
    r"\|\|[ \t]{0,9}(?:true\b|:(?![\w:])|"
    r"""(?:echo|printf)(?:[ \t]{1,9}-\w{1,4})?[ \t]{1,9}(["']?)([^"'\n;&|]{1,200})\1)"""
)


def says_again(what: str, output: str) -> bool:
    """Whether the words of a failure are a line, or stand in a line, of what is printed now."""
    return len(what) >= _TELLING and what[:_SAME_CHARS] in " ".join(output[-END_CHARS:].split())


_TELLING = 16
_SAME_CHARS = 100


def _runs(command: str) -> list[Step]:
    return [step for step in steps(command) if not step.prepares and not commands.only_looks(" ".join(step.words))]
