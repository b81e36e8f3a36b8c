"""A program that is not there did nothing, whichever shell says so and whatever exit code is told, if any."""

from __future__ import annotations

import pytest

from muster.domain.rules.shells import is_absent, never_ran
from tests.unit.rules.observing import made, only, tool

SAID = [
    "bash: grind-all: command not found",
    "-bash: grind-all: command not found",
    "/bin/bash: line 1: grind-all: command not found",
    "bash: line 12: ./grind-all: No such file or directory",
    "sh: 1: grind-all: not found",
    "/bin/sh: grind-all: not found",
    "-ash: grind-all: not found",
    "ksh: grind-all: not found [No such file or directory]".partition(" [")[0],
    "grind-all: Command not found.",
    "zsh: command not found: grind-all",
    "zsh:1: command not found: grind-all",
    "(eval):1: command not found: grind-all",
    "zsh: no such file or directory: ./grind-all",
    "fish: Unknown command: grind-all\nfish: \ngrind-all down\n^~~~~~~~^".replace("\ngrind-all down", ""),
    "fish: Unknown command grind-all",
    "grind-all : The term 'grind-all' is not recognized as the name of a cmdlet, function, script file, or operable "
    "program. Check the spelling of the name.",
    "grind-all: The term 'grind-all' is not recognized as a name of a cmdlet, function, script file, or executable.\n"
    "Check the spelling of the name, or if a path was included, verify it.",
    "'grind-all' is not recognized as an internal or external command,\noperable program or batch file.",
    "sudo: grind-all: command not found",
    "env: ‘grind-all’: No such file or directory",
    "timeout: failed to run command ‘grind-all’: No such file or directory",
    "Command 'grind-all' not found, but can be installed with:\nsudo apt install grind",
    "ann@mill site % grind-all down\nzsh: command not found: grind-all\nann@mill site % ",
]


@pytest.mark.parametrize("said", SAID)
@pytest.mark.parametrize("command", ["grind-all down", "cd mill && ./grind-all down", "timeout 9 grind-all"])
def test_what_is_not_there_did_nothing(command: str, said: str) -> None:
    assert is_absent(command, said)
    one = only(tool("Bash", {"command": command}, {"stdout": said, "stderr": ""}))
    assert (one.type, one.importance) == ("error", 0.6)
    assert "grind-all" in one.title
    assert " fails: " in one.title


@pytest.mark.parametrize("program", ["docker-compose down", "systemctl restart shop", "kubectl apply -f a.yaml", "mvn"])
def test_what_would_change_something_changed_nothing(program: str) -> None:
    name = program.partition(" ")[0]
    for said in (f"zsh: command not found: {name}", f"'{name}' is not recognized as an internal or external command"):
        assert [one.type for one in made(tool("run_terminal_cmd", {"command": program}, said))] == ["error"]


def test_the_wrapper_may_be_what_is_not_there() -> None:
    said = "(eval):1: command not found: timeout"
    one = only(
        tool("Bash", {"command": "source .venv/bin/activate && timeout 8 streamlit run app.py 2>&1 | head -30"}, said)
    )
    assert (one.type, one.title.endswith("command not found: timeout")) == ("error", True)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("docker-compose up || docker compose up", "zsh: command not found: docker-compose\nStarted 3 containers"),
        ("grind-all; ls", "bash: grind-all: command not found\na.txt"),
        ("which grind-all", "grind-all not found"),
        ("type grind-all", "bash: type: grind-all: not found"),
        ("command -v grind-all", ""),
        ("cat notes.txt", "To set it up: zsh: command not found: brew means that it is missing"),
        ("cat build.log", "bash: grind-all: command not found"),
        ("curl -s localhost:1", "stone 3: not found"),
        ("grep -rn absent .", "docs/a.md:3: command not found: grind-all"),
        ("python mill.py", "stone 3: not found"),
        ("", ""),
    ],
)
def test_others_say_so_of_something_else(command: str, said: str) -> None:
    assert not is_absent(command, said)


def test_what_is_printed_beside_it() -> None:
    assert is_absent("pip list && grind-all", "Package Version\nmill 3\nbash: grind-all: command not found")
    assert not never_ran("Package Version\nbash: grind-all: command not found")
    for text in (": " * 130_000, "'" * 260_000, "sh: " * 60_000, "a@b " * 60_000, "command not found: " * 14_000):
        assert not never_ran(text)
        assert not is_absent(text, text)
