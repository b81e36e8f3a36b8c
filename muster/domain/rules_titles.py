"""How a title is written, and which sentence of several it is."""

from __future__ import annotations

import re

_IDENTIFIER = re.compile(r"[._/\\:=@#$<>(\[{`\d]|[a-z][A-Z]")
_PROGRAMS = frozenset(
    """
    npm npx pnpm yarn pip pip3 pipx uv git gh curl wget ssh scp rsync kubectl helm systemctl journalctl psql mysql
    pytest mypy ruff tsc eslint grep rg sed awk jq sudo apt apt-get brew cargo rustc gcc mvn javac terraform ansible
    docker podman tmux cron crontab chmod chown mkdir rm mv cp ls
    """.split()  # noqa: SIM905
)


def capitalised(line: str) -> str:
    """A name of a program's, a path or a command stays as it is written."""
    word = line.split(" ", 1)[0].rstrip(".,:;!?)")
    return line if word in _PROGRAMS or _IDENTIFIER.search(word) else line[:1].upper() + line[1:]
