"""Hooks before a commit, linters that fix and formatters: what they say is wrong, and that they rewrite files as they
fail."""

from __future__ import annotations

import re
from collections.abc import Sequence

from muster.domain.rules import causes
from muster.domain.rules.steps import Step, steps
from muster.domain.rules.text import one_line, unique

END_CHARS = 20_000
MOST_FILES = 12

_STATUS = re.compile(r"(\S[^\n]{0,200}?)\.{3,}(?:\([^)\n]{1,60}\))?(Passed|Failed|Skipped)$")
_AROUND = re.compile(
    r"- (?:hook id|exit code|duration): |- files were modified by this hook$|Read \S{1,200} \(\d{1,7} lines\)$|\s*$"
)
"""What stands around what a hook says; also of whoever ran it."""
_REWROTE = re.compile(
    r"^(?:- files were modified by this hook$|(?:Fixing|Rewriting|Reformatted|reformatted) \S{0,300}[./]\S{0,300}$|"
    r"[1-9]\d{0,6} files? reformatted\b|Found [1-9]\d{0,6} errors? \([1-9]\d{0,6} fixed, |"
    r"(?:Fixed|Formatted) [1-9]\d{0,6} (?:errors?|files?|issues?|of \d)|"
    r"[^\n]{0,200}\b[1-9]\d{0,6} (?:offenses?|violations?|problems?) (?:auto-?)?(?:corrected|fixed)\b|"
    r"Formatted code file )",
    re.MULTILINE,
)
"""What says that it changed files, though it fails."""
_NAMED = re.compile(r"^(?:Fixing|Rewriting|Reformatted|reformatted) (\S{1,300}?)(?: \([^)\n]{1,60}\))?$", re.MULTILINE)
_FORMATTERS = frozenset("black isort rustfmt swiftformat ktfmt autoflake pyupgrade".split())  # noqa: SIM905
_IN_PLACE = {
    "gofmt": "-w", "goimports": "-w", "gofumpt": "-w", "shfmt": "-w", "prettier": "-w", "yapf": "-i",
    "autopep8": "-i", "clang-format": "-i", "rubocop": "-a",
}  # fmt: skip
"""Programs that only do with this option, or the same as a capital letter."""
_FORMATS = re.compile(
    r"(?:cargo|go|terraform|tofu|deno|zig|nix|buf|just|make|task|npm|pnpm|yarn|bun|mix|dart|dotnet|ruff|biome|taplo)"
    r"(?: run)? (?:fmt|format|lint:fix|format:fix|fix)(?![\w:-])"
)
_FIXING = re.compile(r"--(?:fix(?:-only)?|write|autofix|apply|auto-?correct(?:-all)?|unsafe-fixes|in-place)")
_ONLY_CHECKS = re.compile(
    r"--?(?:check|diff|dry-run|list-different|verify-no-changes|set-exit-if-changed)(?![a-z])|-[dl]$"
)
_CHECKS_STYLE = re.compile(
    r"(?<![\w-])(?:fmt|format|lint\w{0,4}|eslint|ruff|black|isort|prettier|stylelint|biome|rubocop|clippy|pre-commit|"
    r"flake8|gofmt|rustfmt|swiftlint)\b"
)
_OF_STYLE = re.compile(
    r"would (?:be )?reformat|not (?:properly )?formatted|code style|formatting|fixable|"
    r"^- hook id: |\blint(?:er|ing)?\b",
    re.IGNORECASE | re.MULTILINE,
)


def rewrote(output: str) -> bool:
    """Whether a run that failed changed files itself: what it complained of may be right by now."""
    return _REWROTE.search(output[-END_CHARS:]) is not None


def rewritten(output: str) -> list[str]:
    """Those files, as far as they are named."""
    return unique((path for path in _NAMED.findall(output[-END_CHARS:]) if "." in path), MOST_FILES)


def said(lines: Sequence[str]) -> str:
    """Which hook failed, and what it says; one that only rewrote files, where no other failed."""
    blocks: list[tuple[str, list[str]]] = []
    within = False
    for line in lines:
        if status := _STATUS.match(line[:400]):
            within = status[2] == "Failed"
            if within:
                blocks.append((status[1], []))
        elif within:
            blocks[-1][1].append(line)
    told = [(name, body) for name, body in blocks if any(line.startswith("- hook id: ") for line in body)]
    if not told:
        return ""
    every = [(name, _said(body), rewrote("\n".join(body))) for name, body in told]
    # The first that says something, and was not put right at once.
    name, what, itself = min(every, key=lambda one: (not one[1], one[2]))
    return f"{name}: {what or ('files were modified by this hook' if itself else 'Failed')}"


def _said(body: Sequence[str]) -> str:
    found, _ = causes.cause_in(body)
    if not found or causes.is_echo(found):
        found = next((line.strip() for line in body if not _AROUND.match(line)), "")
    return one_line(found, 200).rstrip(".")


def is_status(line: str) -> bool:
    return _STATUS.match(line[:400]) is not None


def fixes(command: str) -> bool:
    """Whether it puts right what linters and formatters complain of."""
    return any(map(_fixes, steps(command)))


def _fixes(step: Step) -> bool:
    options = step.words[1:]
    if any(map(_ONLY_CHECKS.match, options)) and step.name not in _IN_PLACE:
        return False
    if any(map(_FIXING.fullmatch, options)) or step.name in _FORMATTERS or _FORMATS.match(step.bare):
        return True
    return step.name in _IN_PLACE and any(word.lower() == _IN_PLACE[step.name] for word in options)


def is_of_style(command: str, output: str) -> bool:
    """Whether it may have failed for what these put right."""
    return _CHECKS_STYLE.search(command[:2000]) is not None or _OF_STYLE.search(output[-END_CHARS:]) is not None


def stages(command: str) -> bool:
    """Whether it puts what changed into the next commit."""
    return any(
        step.name == "git"
        and (
            step.words[1:2] in (("add",), ("stage",)) or (step.words[1:2] == ("commit",) and _OF_ALL.search(step.bare))
        )
        for step in steps(command)
    )


_OF_ALL = re.compile(r" (?:--all\b|-[b-z]{0,4}a)")
