"""What a command that only looks was to find, and in which files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from muster.domain.rules.options import given
from muster.domain.rules.steps import Step
from muster.domain.rules.text import unique


class Sought(NamedTuple):
    query: str
    files: list[str]
    """None: wherever it was looked."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_GREP = _words(
    "-e -f -m -A -B -C -d -D --regexp --file --max-count --after-context --before-context --context --include "
    "--exclude --exclude-dir --binary-files --label"
)
_RG = _words(
    """
    -e -f -g -t -T -A -B -C -m -M -j -r -d -E --regexp --file --glob --iglob --type --type-not --after-context
    --before-context --context --max-count --max-columns --max-depth --threads --replace --sort --sortr --encoding
    --type-add --pre --color --colors
    """
)
_SEARCHES: dict[str, frozenset[str]] = {
    "grep": _GREP,
    "egrep": _GREP,
    "fgrep": _GREP,
    "zgrep": _GREP,
    "rg": _RG,
    "ag": _words("-A -B -C -G -g -m --ignore --ignore-dir --depth --file-search-regex -p"),
    "ack": _words("-A -B -C -m --type --ignore-dir --ignore-file"),
    "fd": _words("-e -t -E -d -g -S -x -X --extension --type --exclude --max-depth --min-depth --size --exec"),
    "locate": _words("-n -l -d --limit --database"),
}
_READS: dict[str, frozenset[str]] = {
    "cat": frozenset(),
    "bat": _words("-l -r -H -m --language --line-range --highlight-line --theme --style --map-syntax --paging --color"),
    "head": _words("-n -c --lines --bytes"),
    "tail": _words("-n -c -s --lines --bytes --pid --sleep-interval"),
    "less": _words("-p -j -o -x"),
    "more": _words("-n"),
    "sed": _words("-e -f -l --expression --file --line-length"),
    "awk": _words("-F -v -f --field-separator --assign --file"),
    "tac": _words("-s --separator"),
    "zcat": frozenset(),
    "bzcat": frozenset(),
    "xzcat": frozenset(),
    "zstdcat": frozenset(),
    "zless": frozenset(),
    "nl": _words("-b -d -f -h -i -l -n -s -v -w"),
}
NAMES = frozenset([*_SEARCHES, *_READS, "find"])
"""Programs that look for something, or into files."""
_PATTERNS = ("-e", "-f", "--regexp", "--file", "--expression")
"""Options that say what else the first word would: what is looked for, or what is done with each line."""
_FOUND_BY = ("-name", "-iname", "-path", "-ipath", "-wholename", "-regex", "-iregex")
_WHERE_ELSE = re.compile(r"[{}$*?;`\n]|^[+]|^-$")
_ASSIGNS = re.compile(r"[A-Za-z_]\w*=")
_IS_FILE = re.compile(
    r"(?:^|/)(?:[^/]*[\w-]\.[A-Za-z]\w{0,11}|\.env[\w.-]*|\.[a-z]+(?:rc|ignore|attributes)|(?:[A-Z]\w*|make)file|[A-Z]{4,20})$"
)
_RECURSIVE = re.compile(r"-[a-zA-Z]*[rR]|--(?:dereference-)?recursive")
_LINE_OF = re.compile(r"^([^\s:]{1,300}):\d{1,7}[:-]", re.MULTILINE)


def names_a_file(path: str) -> bool:
    """By its looks: it may as well be a folder."""
    return _IS_FILE.search(path) is not None and not _WHERE_ELSE.search(path)


def found_in(output: str, most: int = 8) -> list[str]:
    """The files whose lines a search printed, each behind its path and number."""
    return unique(filter(names_a_file, _LINE_OF.findall(output[:20_000])), most)


def read_by(step: Step) -> list[str]:
    """The files that `cat` and its kin were given."""
    if step.name not in _READS:
        return []
    operands, values = given(step.words[1:], _READS[step.name])
    if step.name in ("sed", "awk") and not any(option in _PATTERNS for option, _ in values):
        operands = operands[1:]
    return _files(word for word in operands if step.name != "awk" or not _ASSIGNS.match(word))


def sought_by(step: Step) -> Sought | None:
    if step.name == "find":
        names = (after for word, after in pairwise(step.words) if word in _FOUND_BY)
        return Sought(query[:200], []) if (query := next(names, "")) else None
    words, program = step.words[1:], step.name
    if (program, words[:1]) == ("git", ("grep",)):
        words, program = words[1:], "grep"
    if program not in _SEARCHES or "--files" in words:
        return None
    operands, values = given(words, _SEARCHES[program])
    patterns = [value for option, value in values if option in ("-e", "--regexp")]
    if not any(option in _PATTERNS for option, _ in values) or program in ("fd", "locate"):
        patterns, operands = operands[:1], operands[1:]
    # Where it does not go into folders, it was given files.
    sure = program.endswith("grep") and words == step.words[1:] and not any(map(_RECURSIVE.match, words))
    files = _files(path for path in operands if sure or names_a_file(path))
    return Sought(patterns[0][:200], files) if patterns and patterns[0] else None


def _files(words: Iterable[str]) -> list[str]:
    return unique((word[:1000] for word in words if word and not _WHERE_ELSE.search(word)), 10)
