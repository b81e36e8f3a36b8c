"""How a command ends when somebody ends it: Ctrl-C at any moment, a reader who has gone; and what was mistyped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from muster.cli import cli

INTERRUPTED_WHILE_IMPORTING = """
import os, signal, sys
place = sys.argv.pop(1)
class Finder:
    def find_spec(self, name, *_):
        if name == place:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
from muster.cli import main
main()
"""


@pytest.mark.parametrize(
    ("place", "command", "action", "code"),
    [
        ("click", "ps", signal.SIG_DFL, -signal.SIGINT),
        ("muster.cli.agents", "ps", signal.SIG_DFL, -signal.SIGINT),
        ("httpx", "ps", signal.SIG_DFL, -signal.SIGINT),
        ("muster.services.supervisor", "up", signal.SIG_DFL, 130),
        ("muster.cli.agents", "ps", signal.SIG_IGN, 2),  # as a background job is started: it goes on
    ],
)
def test_ctrl_c_is_quiet_from_the_first_import_on(
    tmp_path: Path, place: str, command: str, action: signal.Handlers, code: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_WHILE_IMPORTING, place, command],
        env=os.environ | {"MUSTER_HOME": str(tmp_path), "MUSTER_URL": "http://127.0.0.1:9"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, action), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, "Traceback" in done.stderr, "Aborted" in done.stderr) == (code, False, False), done.stderr


@pytest.mark.parametrize("arguments", [("--help",), ("ps", "--help")])
def test_a_reader_who_has_gone_is_no_failure(arguments: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "muster.cli", *arguments], stdout=writing, stderr=subprocess.PIPE, timeout=60
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["pss"], 2, "No such command 'pss'. Did you mean ps?"),
        (["memory", "serch"], 2, "Did you mean search?"),
        (["zzzz"], 2, "No such command 'zzzz'.\n"),
        (["help"], 0, "Runs fleets of AI agents durably."),
        (["help", "memory", "search"], 0, "Usage: muster memory search"),
        (["version"], 0, "muster "),
    ],
)
def test_what_is_mistyped_is_told_from_what_there_is(arguments: list[str], code: int, word: str) -> None:
    done = CliRunner().invoke(cli, arguments, prog_name="muster")
    assert (done.exit_code, word in done.output) == (code, True), done.output
