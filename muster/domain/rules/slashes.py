"""What is typed to the program around an agent, as `/exit` is: commands of its own, by which nobody wants any work, and
what is wanted by those that carry it."""

from __future__ import annotations

import re

TYPED = "typed to the program around the agent"
"""Why there is nothing in it."""

_LINE = re.compile(r"/([a-z][\w-]{0,40})(?:[ \t]+(\S[^\n]{0,2000}))?[ \t]*(?:\n|\Z)", re.IGNORECASE)
_ENDS = frozenset({"exit", "quit", ":q", ":q!", ":wq", "exit()", "quit()"})
_ASKS = frozenset("ask code architect plan btw chat context".split())  # noqa: SIM905
"""Behind these stands what is wanted."""
_RUNS = frozenset("run git web test commit lint compact compress resume rename save bug feedback report".split())  # noqa: SIM905
"""Behind these stands what is not for the agent."""
_OF_PROGRAMS = frozenset(
    """
    about add add-dir agents approvals auth bashes bug chat chat-mode clean clear commands compact compress config copy
    copy-context corgi cost diff directory docs doctor drop edit editor editor-model effort exit experimental export
    extensions fast feedback fork help hooks hotkeys ide install-github-app load login logout ls map map-refresh mcp
    memory mention model models multiline-mode new ok output-style paste permissions personality plugin privacy
    privacy-settings prompts ps quit read-only reasoning-effort redo release-notes rename report reset restore resume
    rewind sandbox save scoped-models session sessions settings setup-github share skills stats status statusline tasks
    terminal-setup theme themes think-tokens todos tokens tools tree undo unshare upgrade usage vim voice weak-model
    """.split()  # noqa: SIM905
)
"""By which the program is set up, asked or left."""
_KNOWN = _OF_PROGRAMS | _ASKS | _RUNS
_NAME = re.compile(r"\S*[/\\.*=]\S*|--?\w\S*|\d+")
_SENTENCE = 4
"""Words that are no names of files: so many say something."""
MAX_LINES = 20


def wanted_by(text: str) -> str:
    """What is wanted. Nothing, where it is a command of the program; all of it, where it is none."""
    for _ in range(MAX_LINES):
        if text.strip().lower() in _ENDS:
            return ""
        if not (line := _LINE.match(text)) or not _is_known(line[1].lower(), alone=line[2] is None):
            return text
        name, told, below = line[1].lower(), line[2] or "", text[line.end() :].strip()
        if (name in _ASKS and len(told.split()) > 1) or (name not in _RUNS and _says(told)):
            return f"{told}\n{below}".strip()
        text = below
    return text


def _is_known(name: str, *, alone: bool) -> bool:
    """Some take the beginning of a name for it."""
    return name in _KNOWN or (alone and any(known.startswith(name) for known in _OF_PROGRAMS))


def _says(told: str) -> bool:
    return sum(not _NAME.fullmatch(word) for word in told.split()[:40]) >= _SENTENCE
