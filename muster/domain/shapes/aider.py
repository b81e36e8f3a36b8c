"""What aider prints around a chat: what it begins with, counts, asks and advises is decoration; what it applies and
commits is done."""

from __future__ import annotations

import re
from collections.abc import Iterator

from muster.domain.shapes.parts import Part, said, use

MAX_LINES = 20_000

_APPLIED = re.compile(r"^(?:> )?Applied edit to (\S[^\n]{0,300})$", re.MULTILINE)
_COMMITTED = re.compile(r"(?:> )?Commit ([0-9a-f]{7,40}) (\w[^\n]{1,400})$")
_WORDS = 3
"""Of what says what was committed."""
_DECORATION = (
    r"(?:> ?)?(?:Tokens: [\d.,]{1,12}[kM]? sent|Aider v\d|(?:Main model|Weak model|Editor model|Model): |Git repo: |"
    r"Repo-map: |Repo-map can['’]t include |Has it been deleted from the file system but not from git\?|"
    r"Warning for \S{1,200}: (?:Unknown context window|Unknown which environment)|"
    r"Warning: \S{1,200} expects these environment variables|- [A-Z][A-Z0-9_]{2,60}: (?:Not set|✓ Set)|"
    r"You can skip this check with --no-show-model-warnings|https://aider\.chat/docs/|\^C again to exit|"
    r"\^C KeyboardInterrupt|(?:\S{0,200}/)?aider(?: --?\w[^\n]{0,2000})?\s{0,4}$|Retrying in [\d.]{1,8} seconds|"
    r"[^\n]{1,300}\? \(Y\)es/\(N\)o|Cost estimates may be inaccurate when|Restored previous conversation history|"
    r"Added \S{1,300} to the chat\b|You can use /undo to undo and discard each aider commit|Commit [0-9a-f]{7,40} |"
    r"Use /help <question> for help|Initial repo scan can be slow|Scanning repo: |Newer aider version|"
    r"Note: in-chat filenames are always relative|Cur working dir: |Git working dir: |Dropping all files|"
    r"Did you mean one of these\?|Creating empty file |Update git (?:name|email) with: |Diff since [0-9a-f]{7,40}\b|"
    r"Use /(?:tokens|drop|clear) to |Ambiguous command: |Invalid command: |Only \d{1,3} reflections allowed)"
)
_SAYS = re.compile(rf"{_DECORATION}|(?:> )?# aider chat started|> |# aider chat started")
_LINE = re.compile(_DECORATION)
_HIDDEN = re.compile(
    r"\S{0,200}aider(?: |\s{0,4}$)|\^C Key|https://|Retrying|"
    r"(?!Add file to the chat|Open documentation url|Create new file|Run shell command)[^\n]{1,300}\? \(Y\)es"
)
"""Others print such lines, too: they tell nothing of who does."""
_SEARCH, _REPLACE = "<<<<<<< SEARCH", ">>>>>>> REPLACE"


def aider(text: str) -> list[Part] | None:
    """None: it is none of its."""
    if _APPLIED.search(text):
        return list(_applied(text))
    lines = text.split("\n")[:MAX_LINES]
    if not any(_LINE.match(line) and not _HIDDEN.match(line.removeprefix("> ")) for line in lines):
        return None
    kept = "\n".join(line for line in lines if not _LINE.match(line)).strip()
    committed = [part for line in lines for part in _committed(line)]
    return [*committed, *([Part("output", {"text": kept})] if kept else [])]


def _applied(text: str) -> Iterator[Part]:
    """What was said and asked, and to which files it was applied."""
    is_history = "\n#### " in f"\n{text}"
    lines: list[str] = []
    replaces = False
    for line in text.split("\n")[:MAX_LINES]:
        if line.startswith((_SEARCH, _REPLACE)):
            replaces = line.startswith(_SEARCH)
        elif replaces:
            continue
        elif applied := _APPLIED.match(line):
            yield from said("\n".join(lines).strip())
            yield from use("Edit", {"file_path": applied[1].strip()}, "")
            lines = []
        elif is_history and line.startswith("#### "):
            yield from said("\n".join(lines).strip())
            yield from said(line[5:], "user")
            lines = []
        elif found := _committed(line):
            yield from said("\n".join(lines).strip())
            yield from found
            lines = []
        elif not _SAYS.match(line):
            lines.append(line)
    yield from said("\n".join(lines).strip())


def _committed(line: str) -> list[Part]:
    """A model that was asked for a message may have written anything else."""
    found = _COMMITTED.match(line.rstrip())
    if not found or found[2].endswith(":") or len(found[2].split()) < _WORDS:
        return []
    told = found[2].replace("'", "’")
    return use("Bash", {"command": f"git commit -m '{told}'"}, f"[{found[1]}] {told}")
