"""What a terminal showed: the commands somebody typed, each with what it printed."""

from __future__ import annotations

import posixpath
import re
import shlex
from typing import NamedTuple

from muster.domain.rules import commands, outcomes

MAX_RUNS = 200

_TYPED = re.compile(
    r"^[ \t]{0,4}(?:\([\w.-]{1,40}\) ?)?(?:(?:[\w.~/-]{0,80} ?)?[$❯➜]|"
    r"\[?[\w.-]{1,40}@[\w.-]{1,60}[^$#%>❯\n]{0,80}[$#%>❯])"
    r"[ \t]{1,4}(\S[^\n]{0,1000})$",
    re.MULTILINE,
)
_WENT = re.compile(r"(?:cd|pushd) ([^\s;&|]{1,200})")


class Ran(NamedTuple):
    command: str
    output: str
    place: str
    """As far as is known: where the first was typed is the root."""

    @property
    def there(self) -> str:
        return f"cd {shlex.quote(self.place)}\n{self.command}"

    @property
    def failed(self) -> bool:
        if commands.only_looks(self.command) or commands.shows_logs(self.command):
            return False
        return outcomes.failed(self.command, self.output) or outcomes.fails(self.output)


def ran_in(text: str) -> list[Ran]:
    """In their order. None, where it shows no more than one."""
    typed = list(_TYPED.finditer(text))[:MAX_RUNS]
    ends = [*(found.start() for found in typed[1:]), len(text)]
    runs, place = [], "/"
    for found, end in zip(typed, ends, strict=False):
        command = found[1].strip()
        runs.append(Ran(command, text[found.end() : end].strip("\n"), place))
        if went := _WENT.fullmatch(command):
            place = posixpath.normpath(posixpath.join(place, went[1]))
    return runs if len(runs) > 1 else []


def is_mended(text: str) -> bool:
    """Whether all that fails in it is run again in it, and does not."""
    runs = ran_in(text)
    failed = [(number, run) for number, run in enumerate(runs) if run.failed]
    return bool(failed) and all(
        any(commands.covers(later.there, run.there) and not later.failed for later in runs[number + 1 :])
        for number, run in failed
    )
