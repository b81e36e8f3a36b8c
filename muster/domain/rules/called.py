"""How a command is told in a title: where it ran, what it had run there, and what a commit of it says; and any other
tool, by what it was given; and files, by as much of their paths as it takes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from muster.domain.rules.elsewhere import sent
from muster.domain.rules.json import leaves, line_of
from muster.domain.rules.steps import Step, named, steps
from muster.domain.rules.text import one_line

WHERE_CHARS = 70
WHY_CHARS = 130
"""Of the rest of a title, where it says where."""
_DEEP = 3
_PLACES: dict[str, frozenset[str]] = {
    "make": frozenset(["-C", "--directory"]),
    "go": frozenset(["-C"]),
    "cargo": frozenset(["-C", "-p", "--package", "--manifest-path"]),
    "just": frozenset(["-d", "--working-directory"]),
    "npm": frozenset(["--prefix", "-C", "-w", "--workspace"]),
    "pnpm": frozenset(["-C", "--dir", "-F", "--filter"]),
    "yarn": frozenset(["--cwd"]),
    "bun": frozenset(["--cwd"]),
    "cmake": frozenset(["--build", "--install"]),
    "ctest": frozenset(["--test-dir"]),
    "ninja": frozenset(["-C"]),
    "mvn": frozenset(["-f", "-pl", "--file", "--projects"]),
    "gradle": frozenset(["-p", "--project-dir"]),
    "terraform": frozenset(["-chdir"]),
}
"""Options that say in which of several places it is done."""


def where(command: str) -> str:
    """`ssh web1 'pytest -q'` is run on web1, `make -C api test` in api. Empty: here."""
    found = [step for step in steps(command) if not step.prepares]
    return one_line(_where(found[0], _DEEP), WHERE_CHARS) if found else ""


def _where(step: Step, deep: int) -> str:
    there = sent(step)
    if there is None or not there.place:
        return f"in {place}" if (place := _place(step)) else ""
    inner = next((one for one in there.steps if not one.prepares), there.steps[0])
    further = _where(inner, deep - 1) if deep else ""
    return f"on {there.place}: {further.removeprefix('on ') if further.startswith('on ') else _told(inner, further)}"


def _told(step: Step, further: str) -> str:
    words = " ".join(word for word in step.words[:3] if not word.startswith("-")) or named(step)
    return f"{words} {further}".rstrip()


def _place(step: Step) -> str:
    options = _PLACES.get(step.name.removesuffix("w"), frozenset())
    end = step.words.index("--") if "--" in step.words else len(step.words)
    for at, word in enumerate(step.words[1:end], 1):
        option, is_set, value = word.partition("=")
        if option in options:
            return value if is_set else "".join(step.words[at + 1 : at + 2])
        if word.startswith("-C") and "-C" in options:
            return word[2:]
    return ""


def titled(what: str, why: str, command: str) -> str:
    """ "make test fails", and why, and where."""
    if place := where(command):
        return f"{what}: {one_line(why, WHY_CHARS)} ({place})"
    return f"{what}: {why}"


_RUN_CHARS, _END_CHARS = 150, 60


_FIRST = re.compile(
    r"\s*(?:(?:cd|pushd)\s+(?P<place>\"[^\"\n]{1,300}\"|'[^'\n]{1,300}'|[^\s;&|]{1,300})|"
    r"(?:source|\.)\s+[^\s;&|]{1,300}/activate|sleep\s+[\d.]{1,9}[smh]?|set\s+-\w{1,9}(?:\s+pipefail)?)\s*(?:&&|;|\n)\s*(?=\S)"
)
"""What only comes before: where it is, with which environment, and when."""


def run_told(command: str) -> str:
    """A command in one line, without what only prepares it; of a long one both ends: those that are alike often differ
    in the last words only."""
    place = ""
    for _ in range(4):
        if not (found := _FIRST.match(command)):
            break
        place = (found["place"] or place).strip("\"'")
        command = command[found.end() :]
    line = one_line(command, 2000)
    return _both_ends(f"{line} # in {place}" if place and not place.startswith(("/", "~", "$", ".")) else line)


def _both_ends(line: str) -> str:
    if len(line) <= _RUN_CHARS:
        return line
    return (
        f"{one_line(line, _RUN_CHARS - _END_CHARS)} {line[-_END_CHARS + 1 :].partition(' ')[2] or line[-_END_CHARS:]}"
    )


_MAIN = (
    "url", "uri", "href", "query", "q", "search_term", "pattern", "file_path", "filePath", "path", "target_file",
    "notebook_path", "filename", "file", "subject", "title", "name", "description", "command", "task_id",
)  # fmt: skip
"""What a tool is mostly given to work on, by the name of it."""
_NOT_TOLD = re.compile(r"(?:.*\.)?(?:code|source|script|content|text|input|body|data|\w{0,40}[_-]?id)", re.IGNORECASE)
_GIVEN_CHARS = 110
_MOST_GIVEN = 3


def used(tool: str, why: str, given: Mapping[str, Any]) -> str:
    """ "WebFetch fails", and why, and of what."""
    what = line_of(given, *_MAIN)
    if not what and "__" in tool:
        short = [
            (path, leaf) for path, leaf in leaves(given) if len(leaf) <= WHERE_CHARS and not _NOT_TOLD.fullmatch(path)
        ]
        what = ", ".join(f"{path}: {' '.join(leaf.split())}" for path, leaf in short[:_MOST_GIVEN])
    what = one_line(what, _GIVEN_CHARS)
    if len(what) < 3 or what in why:
        return f"{tool} fails: {why}"
    return f"{tool} fails: {one_line(why, 190 - len(tool) - len(what))} ({what})"


_REMOVED = re.compile(r"^[^\n:]{1,80}: \[(?:removed|redacted|private|secret|excluded)[^\]\n]{0,60}\]$\n?", re.MULTILINE)


def asked_told(tool: str, query: str, answer: str) -> str:
    """A tool, by what it was asked; where that may not be told, by what it answered."""
    asked = one_line(_REMOVED.sub("", query), _ASKED_CHARS)
    if not asked:
        lines = [line for line in answer.split("\n") if not _SAYS_LITTLE.match(line)]
        asked = one_line(lines[0] if lines else answer, _ASKED_CHARS)
    return f"{tool}: {asked}" if asked else f"{tool} was used"


_ASKED_CHARS = 90
_SAYS_LITTLE = re.compile(r"\W{0,3}(?:status|ok|success|code|type|id|version)\b.{0,80}$|\s*$", re.IGNORECASE)


# -- Files ----------------------------------------------------------------------------------------------------------

_PLAIN = re.compile(
    r"(?:__init__|__main__|index|mod|main|test_\w{1,80}|\w{1,80}[._](?:test|spec))\.\w{1,8}", re.IGNORECASE
)
"""Names that many folders have."""
_NOWHERE = frozenset(["", ".", "..", "app", "src", "home", "tmp", "work", "workspace", "repo", "testbed", "project"])
"""Folders whose name says nothing."""


def files_named(files: Sequence[str]) -> str:
    """By their names, and by their folders where a name alone could be another's."""
    every = [path.rstrip("/").split("/") for path in files]
    names = [parts[-1] for parts in every]
    told = [_named_among(parts, every, names) for parts in every]
    if len(told) > len(alike := dict.fromkeys(told)):
        told = [f"{name} ({told.count(name)} files)" if told.count(name) > 1 else name for name in alike]
    if len(told) > 3:
        return f"{', '.join(told[:2])} and {len(told) - 2} more files"
    return " and ".join((", ".join(told[:-1]), told[-1])) if len(told) > 1 else "".join(told) or "a file"


def _named_among(parts: list[str], every: Sequence[list[str]], names: Sequence[str]) -> str:
    size = 1
    if names.count(parts[-1]) > 1:
        while size < min(len(parts), 4) and sum(parts[-size:] == other[-size:] for other in every) > 1:
            size += 1
    elif _PLAIN.fullmatch(parts[-1]) and len(parts) > 1 and parts[-2].lower() not in _NOWHERE:
        size = 2
    return "/".join(parts[-size:])


# -- Commits --------------------------------------------------------------------------------------------------------

_VERBS = frozenset(
    """
    accept add adjust align allow always apply assign avoid await block bound bump cache call cancel cap cast catch
    change check clamp clean clear close compare compute convert copy correct correctly count create decode default
    defer delete detect disable do don't drop enable encode ensure escape exclude expect export expose extend fall
    filter find fix flush follow force format free generate guard handle hide honor honour ignore implement import
    improve include increase init initialise initialize insert install invalidate isolate keep let limit link load lock
    log loosen lower make mark match merge mock move never no normalise normalize not only open parse pass patch pin
    prefer preserve prevent print properly protect provide put quote raise read rebuild reconnect record redirect reduce
    refresh register reject release reload remove rename render repair replace report require reset resolve respect
    restore restrict retry return reuse revert rewrite rework round run sanitise sanitize save send separate serialise
    serialize set show silence simplify skip solve sort specify split stop store strip support suppress swallow swap
    switch sync tell test throw tidy tighten treat trim truncate try turn unlock unset update upgrade use validate
    verify wait warn wrap write
    """.split()  # noqa: SIM905
)
"""What a commit does that mends something. Anything else is what was wrong."""
_NAMES_A_FAULT = re.compile(
    r"(?:build|cache|call|cast|change|check|count|export|filter|format|import|install|link|load|lock|log|merge|mock|"
    r"move|open|parse|patch|print|read|record|redirect|refresh|release|reload|render|report|reset|retry|return|run|"
    r"save|search|set|sort|split|stop|store|switch|sync|test|throw|update|upgrade|use|wait|write) "
    r"(?:of|on|in|when|after|errors?|crash\w{0,2}|bugs?|issues?|problems?|failures?|timeouts?|leaks?|"
    r"conflicts?|races?|loops?|regressions?|typos?|warnings?|flicker\w{0,3}|fails|hangs|breaks|loses)\b",
    re.IGNORECASE,
)
"""Words that are names as well, with what is wrong with what they name."""


def fix_told(what: str) -> str:
    """Of a commit that fixes: with what it does, or that it mends what it names."""
    first = re.match(r"[\w'’]{1,30}", what)
    word = first.group().casefold().replace("’", "'") if first else ""
    does = word in _VERBS and not _NAMES_A_FAULT.match(what)
    if does or word.startswith("fix") or not what:
        return what[:1].upper() + what[1:]
    return f"Fix {what}"
