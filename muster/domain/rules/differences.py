"""How a command that passes differs from the one that failed: what it does first, sets, or is told besides."""

from __future__ import annotations

import re

from muster.domain.rules import commands
from muster.domain.rules.scripts import without_script
from muster.domain.rules.shells import absent_in
from muster.domain.rules.steps import READ_CHARS, Step, named, steps
from muster.domain.rules.text import one_line

MOST = 3
WORD_CHARS = 60

_SET = re.compile(
    r"(?<![^\s;&|(])([A-Za-z_]\w{1,60}+)=(\"[^\"\n]{0,200}\"|'[^'\n]{0,200}'|[^\s;&|\"'()]{1,200})(?=[\s;&|]|\Z)"
)
_SECRET = re.compile(r"secret|token|passw|credential|api_?key|private", re.IGNORECASE)
_ASIDE = frozenset("cd pushd popd echo printf sleep wait true : set export unset git".split())  # noqa: SIM905
"""What is told by what it sets, or changes nothing."""
_GOES = ("cd", "pushd")
_OPTION = re.compile(r"--[a-zA-Z][\w-]*(?:=.{1,200})?|-[fyukLrRp]", re.DOTALL)
_TALKS = frozenset(
    """
    --verbose --quiet --silent --color --colour --no-color --progress --no-progress --debug --json --format --output
    --message --stat --oneline --help --version --tb --maxfail --durations --show-trace --log-level --no-pager --wait
    --timeout --long --pretty --no-input --dry-run --check --list
    """.split()  # noqa: SIM905
)
"""Options of how much it says, or that it does nothing."""
_OF_THE_SHELL = ("$!", "$?", "$$")
"""Values that are known only as it runs."""
_VERSION = re.compile(r"(?<!\S)python[\d.]{1,6}(?=\s)")
SAID_CHARS = 4000
_OF_WAYS = re.compile(
    r"not found|No module named|not recogni[sz]ed|No such file|permission denied|EACCES|EPERM|not permitted|"
    r"must be (?:run as )?root|are you root|requires? (?:root|sudo|superuser|administrator)|"
    r"Cannot find (?:module|package)|MODULE_NOT_FOUND|externally.managed|Unknown command",
    re.IGNORECASE,
)
"""What may be wrong with a program or with whoever runs it, and not with what it works on."""
_UNKNOWN = r"\b(?:un(?:recogni[sz]ed|known|expected|supported)|invalid|illegal|no such|bad|ambiguous)\b"
_AN_OPTION = r"\b(?:option|argument|flag|parameter|switch)"
_REFUSES = re.compile(
    rf"{_UNKNOWN}[^\n]{{0,60}}{_AN_OPTION}|{_AN_OPTION}[^\n]{{0,80}}(?:{_UNKNOWN}|\bnot (?:recogni[sz]ed|allowed|"
    r"supported|found|defined|valid)|does not exist|no longer|removed)|wasn.t expected|provided but not defined|"
    r"is not a valid",
    re.IGNORECASE,
)
"""What is said of an option that a program does not know."""


def differences(passed: str, failed: str, said: str = "") -> list[str]:
    """Each as it stands in the command that passes; what it no longer has, behind "without". `said`: what the one that
    failed said, which may name it."""
    now, before = without_script(passed), without_script(failed)
    found = [
        f"`{_shown(name, value)}`"
        for name, value in _sets(now)
        if (name, value) not in _sets(before) and value not in _OF_THE_SHELL
    ]
    found += [f"`{one_line(text, WORD_CHARS)}`" for text in _first(now, before)]
    if _OF_WAYS.search(said[-SAID_CHARS:]):
        found += [f"`{one_line(way, WORD_CHARS)}`" for way in [_way(now)] if way not in ("", _way(before))]
    if (absent := absent_in(said)) and absent in _words(before) and absent not in _words(now):
        found.append(f"without `{absent}`")
    if commands.is_check(passed):
        # Options of a check are mostly of how much it says; one that it does not know is not.
        words = [word for step in steps(now) for word in step.words]
        found += [f"without `{one_line(word, WORD_CHARS)}`" for word in _refused(before, said) if word not in words]
    else:
        ours, theirs = _options(now), _options(before)
        found += [f"`{one_line(word, WORD_CHARS)}`" for word in ours if word not in theirs]
        found += [f"without `{one_line(word, WORD_CHARS)}`" for word in theirs if word not in ours]
    return list(dict.fromkeys(found))[:MOST]


def is_same_text(one: str, other: str) -> bool:
    """Whether nothing differs but where it is run from, what is said of it, and how its output is cut."""
    return _run_for(one) == _run_for(other) and _sets(one) == _sets(other)


def _run_for(command: str) -> list[tuple[str, ...]]:
    found = [step for step in steps(command) if step.name not in _ASIDE - {"git"}]
    return [_does(step) if _does(step) == ("git commit",) else (*step.by, *step.words) for step in found]


def _words(command: str) -> frozenset[str]:
    return frozenset(word.rpartition("/")[2] for word in command.split())


def _way(command: str) -> str:
    """How it is run: by what, or by which path."""
    run = [step for step in steps(command) if not step.prepares]
    way = _VERSION.sub("python", " ".join((*run[-1].by, run[-1].words[0]))) if run else ""
    return way if " " in way or "/" in way else ""


def _refused(command: str, said: str) -> list[str]:
    """Its options that a complaint names."""
    lines = [line[:2000] for line in said[-SAID_CHARS:].split("\n") if _REFUSES.search(line[:400])][:9]
    told = frozenset(
        word.partition("=")[0].strip(".,;:") for line in lines for word in re.split(r"[\s'\"`‘’“”()]", line)
    )
    return [
        word for step in steps(command) for word in step.words if word[:1] == "-" and word.partition("=")[0] in told
    ]


def filters(command: str) -> frozenset[str]:
    """What its output goes through that makes something else of it."""
    return frozenset(piped(command))


def piped(command: str) -> list[str]:
    """The same in its order."""
    parts = split_at_pipes(command)[1:20]
    names = [part.split(maxsplit=1)[0].rpartition("/")[2] for part in parts if part.strip()]
    return [name for name in names if name not in _CUT]


def split_at_pipes(command: str) -> list[str]:
    """With a stroke in place of what was quoted."""
    return _PIPE.split(_QUOTED.sub("_", without_script(command)[:READ_CHARS]))


_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*+\"|'[^']*+'", re.DOTALL)
_PIPE = re.compile(r"(?<!\|)\|(?!\|)")
_CUT = frozenset("head tail tee cat less more grep egrep sed sort uniq true :".split())  # noqa: SIM905


def told(found: list[str]) -> str:
    """Of a title: " with `--force`"."""
    more = [one for one in found if not one.startswith("without ")]
    less = [one for one in found if one.startswith("without ")]
    return "".join((f" with {' and '.join(more)}" if more else "", f" {' and '.join(less)}" if less else ""))


def _sets(command: str) -> list[tuple[str, str]]:
    return _SET.findall(command)[:20]


def _shown(name: str, value: str) -> str:
    return one_line(f"{name}={'…' if _SECRET.search(name) else value}", WORD_CHARS)


def _first(passed: str, failed: str) -> list[str]:
    """What is done before it that changes something."""
    known = {_does(step) for step in steps(failed)}
    found = []
    for step in steps(passed):
        if _does(step) in known:
            if step.name in _GOES or (commands.only_looks(" ".join(step.words)) and not step.prepares):
                continue
            break
        text = " ".join(step.words)
        does = step.name not in _ASIDE or step.words[1:2] in (("config",), ("pull",), ("stash",), ("rebase",))
        looks = step.name not in (".", "source", "git") and (commands.only_looks(text) or commands.shows(text))
        if does and not looks and not commands.is_check(text):
            found.append(text)
    return found


def _does(step: Step) -> tuple[str, ...]:
    """Two commits are the same, whatever is said of them."""
    return ("git commit",) if step.words[:2] == ("git", "commit") else (named(step),)


def _options(command: str) -> list[str]:
    """Of what it was run for."""
    run = [step for step in steps(command) if not step.prepares]
    words = run[-1].words[1:] if run else ()
    return [word for word in words if _OPTION.fullmatch(word) and word.partition("=")[0] not in _TALKS][:20]
