"""Scripts that stand in a command itself: what is fed to an interpreter is what it does."""

from __future__ import annotations

import re
from functools import lru_cache

READ_CHARS = 8000
MAX_LINES = 200

_HEREDOC = re.compile(
    r"^(?P<before>[^\n]{0,400}?)(?<!<)<<(?!<)-?[ \t]{0,9}(['\"]?)(?P<end>\w{1,40})\2(?P<after>[^\n]*)\n"
    r"(?P<body>.*?)(?:\n[ \t]{0,40}(?P=end)\b|\Z)",
    re.DOTALL | re.MULTILINE,
)
_WRITES = re.compile(r"(?:^|[\s;&|(])(?:cat|tee|git)\b")
_FED_ON = re.compile(r"\|\s*\w")
_IMPORTS = re.compile(r"(?:import|from|use|require|const \w{1,60} = require)\b")


def without_script(command: str) -> str:
    return _HEREDOC.sub(lambda found: f"{found['before']}{found['after']}\n", command[:READ_CHARS])


@lru_cache(maxsize=256)
def script(command: str) -> tuple[str, ...]:
    """The lines of what is fed to something that does what it is told; not of a file that is written, or a message."""
    for found in _HEREDOC.finditer(command[:READ_CHARS]):
        if not _WRITES.search(found["before"]) or _FED_ON.match(found["after"].lstrip()):
            return tuple(line.strip() for line in found["body"].split("\n")[:MAX_LINES] if line.strip())
    return ()


def alike(one: str, other: str) -> bool:
    """Whether the one is the other, or was made of it: most of their lines are the same, whatever they import."""
    ours, theirs = script(one), script(other)
    if ours == theirs:
        return True
    mine, its = ({line for line in lines if not _IMPORTS.match(line)} for lines in (ours, theirs))
    return bool(mine and its) and 2 * len(mine & its) >= max(len(mine), len(its))
