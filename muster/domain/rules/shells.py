"""What shells say of a program that is not there: each has its own words, and most tell it by no other sign."""

from __future__ import annotations

import re

from muster.domain.rules.steps import steps

READ_CHARS = 2000
MOST_LINES = 12

_NAME = r"[\"'‘`]?([^\s\"'’`:;]{1,120})[\"'’`]?"
_AT = r"(?:\(eval\)|[\w./-]{0,60}sh|eval)(?:\[\d{1,6}\])?: ?(?:line )?(?:\d{1,6}: ?)?"
_ABSENT = tuple(
    re.compile(said, re.IGNORECASE)
    for said in (
        # bash, sh, dash, ash, ksh, tcsh, sudo, make
        rf"-?(?:{_AT})?(?:(?:sudo|exec|nohup|time|xargs|make): (?:\d{{1,6}}: )?)?{_NAME}: (?:command )?not found\.?",
        rf"-?{_AT}{_NAME}: No such file or directory",
        # zsh
        rf"-?{_AT}command not found: {_NAME}",
        rf"-?{_AT}no such file or directory: {_NAME}",
        # fish, nushell
        rf"(?:fish: )?Unknown command:? {_NAME}",
        rf"(?:fish: )?No such command:? {_NAME}",
        rf"(?:\W{{0,4}}Error: )?(?:External )?command {_NAME} not found(?:, (?:did you mean|but can be).{{0,80}})?",
        # PowerShell and cmd
        rf"(?:.{{0,120}} ?: )?The term {_NAME} is not recognized as (?:a|the) name of a cmdlet.{{0,200}}",
        rf"{_NAME} is not recognized as an internal or external command,?.{{0,80}}",
        # what runs another
        r"(?:/usr/bin/)?(?:env|timeout|nohup|xargs|nice|exec|setsid|stdbuf): (?:(?:failed to|cannot) run command )?"
        rf"{_NAME}: (?:No such file or directory|command not found|not found)",
        rf"The program {_NAME} is (?:not in your PATH|currently not installed).{{0,200}}",
    )
)
_GOES_ON = re.compile(
    r"\s|fish: ?$|\^|operable program or batch file|Check the spelling of the name|the path is correct and try again|"
    r"(?:sudo )?(?:apt|apt-get|dnf|snap|brew|pkg|nix-env|nix-shell) |(?:\+ |At line:|or:? |\(?(?:use|run|try) )|"
    r"(?:make(?:\[\d+\])?: \*\*\* .{0,200}Error 127)$|(?:exit|Exit) (?:code|status):? 1(?:27)?$",
    re.IGNORECASE,
)
"""What some add to it."""
_PROMPT = re.compile(r"(?:\([\w.-]{1,40}\) )?[\w.-]{1,60}@[\w.-]{1,60}[^\n]{0,120}[%$#>❯]\s*(?P<typed>[^\n]{0,1000})$")
_ASKS = frozenset("which type command whence where whereis hash man apropos".split())  # noqa: SIM905
"""What is to find out whether there is such a program."""


def never_ran(output: str) -> bool:
    """Whether the shell says that there is no such program, and nothing else is said."""
    lines = _lines(output)
    return bool(lines) and _name(lines[0]) != "" and all(_GOES_ON.match(line) for line in lines[1:])


def is_absent(command: str, output: str) -> bool:
    """The same of a program that this command names, and not where something else is done in its place."""
    lines = [line for line in _lines(output) if line != command.partition("\n")[0].strip()]
    found = [_name(line) for line in lines]
    if not any(found) or len(lines) >= MOST_LINES:
        return False
    every = [step for step in steps(command) if not step.prepares]
    if not every or every[-1].name in _ASKS:
        return False
    rest = [line for line, name in zip(lines, found, strict=True) if not name and not _GOES_ON.match(line)]
    if not rest:
        return any(re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", command) for name in found if name)
    last = every[-1]
    return "||" not in command and any(name in (last.name, last.words[0]) for name in found if name)


def absent_in(output: str) -> str:
    """The first program that is said not to be there."""
    return next((name for line in _lines(output)[:MOST_LINES] if (name := _name(line))), "")


def _lines(output: str) -> list[str]:
    """Without what the terminal shows around it."""
    head = output.strip()[:READ_CHARS]
    lines = [line.rstrip() for line in head.split("\n") if line.strip()]
    return [line for line in lines if not _PROMPT.match(line)]


def _name(line: str) -> str:
    """Of the program that is not there. Empty: the line says something else."""
    line = line[:400].strip()
    return next((match[1].rpartition("/")[2] for said in _ABSENT if (match := said.fullmatch(line))), "")
