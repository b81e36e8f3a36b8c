"""A line of shell taken apart: the simple commands in it, what each runs, and where it writes."""

from __future__ import annotations

import re
import shlex
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from muster.domain.rules.options import behind_options
from muster.domain.rules.subcommands import command_first

READ_CHARS = 2000
"""Of one command."""

_PARTS = re.compile(r""""(?:[^"\\]|\\.)*"|'[^']*'|\\.|[<>]&|&>|&&|\|\||[;\n|&]|[^"'\\&|;\n<>]+|.""", re.DOTALL)
_SEPARATORS = frozenset(["&&", "||", ";", "\n", "|", "&"])
_HEREDOC = re.compile(r"(?<!<)<<(?!<)-?[ \t]*(['\"]?)(\w{1,40})\1([^\n]*)\n.*?(?:\n[ \t]*\2\b|\Z)", re.DOTALL)
_REDIRECTED = re.compile(r"(?:\d|&)?(>>?\|?|<{1,3})(&\d|&-|.*)", re.DOTALL)
_ASSIGNED = re.compile(r"[A-Za-z_]\w*=")
_BEFORE = frozenset(
    """
    sudo env time nice exec command nohup timeout xargs npx bunx pnpx uvx rtk doas stdbuf unbuffer ionice if
    while then do else ! {
    """.split()  # noqa: SIM905
)
"""What runs what comes after it."""
_RUNNERS = {
    "uv": ("run", "pip"), "poetry": ("run",), "pipenv": ("run",), "hatch": ("run",), "pdm": ("run",), "rye": ("run",),
    "pipx": ("run",), "bundle": ("exec",), "pnpm": ("exec", "dlx"), "yarn": ("exec", "dlx"), "npm": ("exec",),
    "bun": ("x",),
}  # fmt: skip
_WITH_VALUE = {
    "sudo": ("-u", "-g", "--user", "--group"),
    "xargs": ("-n", "-I", "-P", "-L"),
    "nice": ("-n",),
    "timeout": ("-k", "-s"),
    "env": ("-u", "-C", "--unset", "--chdir"),
    "npx": ("-p", "--package"),
    "bunx": ("-p", "--package"),
    "pnpx": ("-p", "--package"),
    "uvx": (
        "--from",
        "--with",
        "-p",
        "--python",
        "--with-editable",
        "--with-requirements",
        "--index",
        "--index-url",
        "--default-index",
        "--env-file",
        "-c",
        "--constraint",
    ),
}
_OF_RUNNERS: dict[str, frozenset[str]] = {
    "uv": frozenset(
        """
        --with --with-requirements --with-editable -p --python --extra --group --only-group --no-group --no-extra
        --package --env-file --directory --project --index --index-url --default-index --extra-index-url -f
        --find-links --cache-dir --config-file --color -w
        """.split()  # noqa: SIM905
    ),
    "poetry": frozenset(["-C", "--directory", "-P", "--project"]),
    "pdm": frozenset(["-p", "--project", "-c", "--config", "--venv"]),
    "hatch": frozenset(["-e", "--env", "-p", "--project", "--config", "--data-dir", "--cache-dir"]),
    "pipx": frozenset(["--spec", "--python", "--index-url", "--pip-args", "--with"]),
    "bundle": frozenset(["--gemfile"]),
}
"""Options with a value, of what runs others."""
_IN = frozenset(["-C", "--directory", "--project", "--package", "--prefix"])
"""By which it is run in another place."""
_OF_TWO_WORDS = frozenset("git cargo go npm pnpm yarn make docker kubectl bun just".split())  # noqa: SIM905
_PREPARES = frozenset("cd export source . set pushd popd unset".split())  # noqa: SIM905
_PREPARES_TOO = ("git add", "mkdir")


class Step(NamedTuple):
    """A simple command; of a pipe, the one that does something, else the first."""

    words: tuple[str, ...]
    """From the name of what is run on: `FOO=1 sudo -u me python -m pytest -q` is `pytest -q`."""
    writes: tuple[str, ...]
    """The files its output goes to."""
    hidden: bool
    """Whether its exit code is lost to a pipe or to what comes after it."""
    by: tuple[str, ...] = ()
    """What runs it, where that decides which one is run, or with which rights: `uv run`, `sudo`, `python -m`."""

    @property
    def name(self) -> str:
        return self.words[0].rpartition("/")[2]

    @property
    def bare(self) -> str:
        """Without what was quoted: a message is no command."""
        return " ".join((self.name, *(word for word in self.words[1:] if " " not in word and "\n" not in word)))

    @property
    def prepares(self) -> bool:
        """It only makes the place for what comes next."""
        return self.name in _PREPARES or self.bare.startswith(_PREPARES_TOO)


_ASIDE = frozenset("sleep echo printf true : wait clear date".split())  # noqa: SIM905


def is_aside(step: Step) -> bool:
    """It is not what the line was run for, where there is another: it waits, tells or clears away."""
    clears = step.name == "rm" and any(re.match(r"-[a-zA-Z]*f|--force", word) for word in step.words[1:])
    return step.prepares or clears or step.name in _ASIDE


_FEEDS = frozenset("echo printf cat yes find grep rg ls head tail sed awk".split())  # noqa: SIM905
_FED = re.compile(
    r"(?:rm|mv|cp|tee|psql|mysql|sqlite3|redis-cli|kubectl|docker|podman|patch|ssh|git apply|"
    r"sed (?:\S+ )*(?:-\w*i|--in-place))(?![\w-])"
)
"""What matters more in a pipe than where it gets its input."""


@lru_cache(maxsize=256)
def steps(command: str) -> tuple[Step, ...]:
    found: list[Step] = []
    ends: list[str] = []
    pipe: list[Step] = []
    text = ""
    for part in [*_PARTS.findall(_HEREDOC.sub(_first_line, command[:READ_CHARS])), "\n"]:
        if part not in _SEPARATORS:
            text += part
            continue
        if step := _step(text, hidden=part == "|"):
            pipe.append(step)
        text = ""
        if part != "|" and pipe:
            fed = (each for each in pipe if pipe[0].name in _FEEDS and _FED.match(each.bare))
            found.append(next(fed, pipe[0]))
            ends.append(part)
            pipe = []
    lost = [step.hidden or end != "&&" for step, end in zip(found, ends, strict=True)]
    lost[-1:] = [step.hidden for step in found[-1:]]
    return tuple(step._replace(hidden=hidden) for step, hidden in zip(found, lost, strict=True))[:20]


def _first_line(heredoc: re.Match[str]) -> str:
    """What is fed to a command is no command."""
    return f"{heredoc[3]}\n"


def _step(text: str, *, hidden: bool) -> Step | None:
    text = text.strip().lstrip("(")
    if text.endswith(")") and "(" not in text:
        text = text.rstrip(")")
    if not text or text.startswith("#"):
        return None
    try:
        tokens = shlex.split(text)
    except ValueError:
        tokens = text.split()
    words: list[str] = []
    writes: list[str] = []
    rest = iter(tokens)
    for token in rest:
        if match := _REDIRECTED.fullmatch(token):
            target = match[2] or next(rest, "")
            if ">" in match[1] and target and not target.startswith(("&", "/dev/")):
                writes.append(target)
        else:
            words.append(token)
    main = _main(words)
    by = _by(words, main)
    words = command_first(main or words)
    return Step(tuple(words), tuple(writes), hidden, by) if words and words[0] else None


_DECIDES = frozenset([*_RUNNERS, "sudo", "doas", "npx", "bunx", "pnpx", "uvx"])


def _by(words: list[str], main: list[str]) -> tuple[str, ...]:
    before = words[: words.index(main[0])] if main and main[0] in words else []
    at = next((at for at, word in enumerate(before) if _decides(word.rpartition("/")[2])), len(before))
    return tuple(before[at:])


def _decides(name: str) -> bool:
    return name in _DECIDES or re.fullmatch(r"python[\d.]{0,6}", name) is not None


def _main(words: list[str]) -> list[str]:
    """Without what only runs it."""
    while words:
        name = words[0].rpartition("/")[2]
        if _ASSIGNED.match(words[0]):
            words = words[1:]
        elif name in _BEFORE:
            words = words[1:]
            while words and (words[0].startswith("-") or re.fullmatch(r"[\d.]+[smh]?", words[0])):
                words = words[2 if words[0] in _WITH_VALUE.get(name, ()) else 1 :]
        elif re.fullmatch(r"python[\d.]*", name) and words[1:2] == ["-m"]:
            words = words[2:]
        elif name in _RUNNERS and (at := _runs_at(words, name)):
            words = _run_by(words, name, at)
        elif name == "git" and words[1:2] and words[1] in ("-C", "-c", "--no-pager"):
            words = ["git", *words[2 if words[1] == "--no-pager" else 3 :]]
        else:
            break
    return words


def _runs_at(words: list[str], name: str) -> int:
    """Where `run` stands in `poetry -C api run pytest`. 0: it runs nothing."""
    at = behind_options(words, _OF_RUNNERS.get(name, frozenset()), 1) if name in _OF_RUNNERS else 1
    return at if at < len(words) and words[at] in _RUNNERS[name] else 0


def _run_by(words: list[str], name: str, at: int) -> list[str]:
    """What it runs, and behind it the place that it is run in."""
    if words[at] == "pip":
        return words[at:]
    begins = behind_options(words, _OF_RUNNERS[name], at + 1) if name in _OF_RUNNERS else at + 1
    place = [part for pair in pairwise(words[1:begins]) if pair[0] in _IN for part in pair]
    if not words[begins:]:
        return []
    # What stands behind two strokes is none of its options.
    return [*words[begins:], *(place if "--" not in words[begins:] else ())]


def program(command: str) -> str:
    """What is run, without where and with which environment: `cd x && FOO=1 python -m pytest -q` is pytest."""
    found = steps(command)
    kinds = (
        (each for each in found if not is_aside(each)),
        (each for each in found if not each.prepares),
        (each for each in found if each.name not in _PREPARES),
    )
    step = next((each for kind in kinds for each in kind), None)
    return named(step) if step else ""


def named(step: Step) -> str:
    if step.name not in _OF_TWO_WORDS:
        return step.name
    rest = [word for word in step.words[1:3] if not word.startswith(("-", "+"))]
    return " ".join((step.name, *rest[: 2 if rest[:1] == ["run"] else 1]))
