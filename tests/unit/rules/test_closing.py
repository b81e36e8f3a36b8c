"""What was open and is not when the session ends: done later by a command, in a terminal, or as somebody says."""

from __future__ import annotations

import time

import pytest

from muster.domain.rules import closing, terminal
from tests.pace import Stopwatch
from tests.unit.rules.observing import event, tool
from tests.unit.rules.test_unfinished import opened

MARK = "todo".upper()
"""What is left to do, as it is marked in code."""

ERR = "Error: updating RDS DB Instance (shop): cannot upgrade 13.4 to 16.1"
FAILS = "$ make build\ngcc -O2 -c main.c\nmain.c:12:5: error: 'foo' undeclared\nmake: *** [main.o] Error 1\n"
BUILDS = "gcc -O2 -c main.c\ngcc -o app main.o\n"
TESTS = "$ ./app --selftest\nselftest ok: 14 checks"


@pytest.mark.parametrize(
    ("text", "still_open"),
    [
        (f"{FAILS}$ sed -i s/foo/bar/ main.c\n$ make build\n{BUILDS}{TESTS}", False),
        (f"{FAILS}$ sed -i s/foo/bar/ main.c && make build\n{BUILDS}{TESTS}", False),
        (FAILS.replace("$ ", "dev@box:~/a$ ") + f"dev@box:~/a$ vi main.c\ndev@box:~/a$ make build\n{BUILDS}", False),
        (FAILS.replace("$ ", "root@box:/# ") + f"root@box:/# make build\n{BUILDS}", False),
        (FAILS.replace("$ ", "❯ ") + f"❯ make build\n{BUILDS}", False),
        (FAILS.replace("$ ", "(venv) ~/app $ ") + f"(venv) ~/app $ make build\n{BUILDS}", False),
        (f"{FAILS}$ sed -i s/foo/bar/ main.c\n{TESTS}", True),
        (f"{FAILS}$ make lint\nAll checks passed!\n{TESTS}", True),
        (f"{FAILS}$ make build\n{BUILDS}{FAILS}", True),
        (f"{FAILS}$ cat main.c\nint main;\n$ make docs\nok", True),
        (f"{FAILS}make build\n{BUILDS}", True),
        (f"$ cd web\n{FAILS}$ cd ../api\n$ make build\n{BUILDS}", True),
        (f"$ cd web\n{FAILS}$ cd ..\n$ cd web\n$ make build\n{BUILDS}", False),
        (f"$ pytest\nFAILED tests/a.py::b - x\n1 failed in 0.1s\n{FAILS}$ make build\n{BUILDS}", True),
    ],
)  # fmt: skip
def test_a_terminal_shows_what_was_run_again(text: str, still_open: bool) -> None:
    assert (" fails: " in opened(event({"text": text}, "output"))) is still_open


@pytest.mark.parametrize(
    ("failed", "later", "still_open"),
    [
        ("terraform apply", "sed -i 's/16.1/15.6/' rds.tf && terraform apply", False),
        ("terraform apply", "sed -i 's/16.1/15.6/' rds.tf && terraform apply -auto-approve && echo done", False),
        ("terraform plan && terraform apply", "sed -i 's/16.1/15.6/' rds.tf && terraform apply", False),
        ("cd /repo/infra && terraform apply", "cd /repo && cd infra && terraform apply", False),
        ("cd web && npm run build", "cd web && npm ci && npm run build && npm run deploy", False),
        ("docker ps && docker rm web", "docker rm web", False),
        ("terraform apply", "sed -i 's/16.1/15.6/' rds.tf && terraform plan", True),
        ("terraform apply", "sed -i 's/16.1/15.6/' rds.tf", True),
        ("cd /repo/infra && terraform apply", "cd /repo/other && terraform apply", True),
        ("make lint && make test", "make test", True),
        ("npm ci && npm run build", "npm ci && npm run docs", True),
    ],
)
def test_what_later_goes_well_in_a_chain_is_done(failed: str, later: str, still_open: bool) -> None:
    first = tool("Bash", {"command": failed}, {"stdout": "Updating RDS DB Instance...", "stderr": ERR}, exit_code=1)
    then = tool("Bash", {"command": later}, {"stdout": "Apply complete! Resources: 1 changed."}, exit_code=0)
    assert (" fails: " in opened(first, then)) is still_open


def test_where_it_was_run_is_where_it_was_gone_to() -> None:
    first = tool("Bash", {"command": "terraform apply"}, {"stderr": ERR}, exit_code=1, cwd="/repo/infra")
    ran = {"command": "cd infra && terraform apply"}
    assert opened(first, tool("Bash", ran, {"stdout": "Apply complete!"}, exit_code=0, cwd="/repo")) == ""
    assert opened(first, tool("Bash", ran, {"stdout": "Apply complete!"}, exit_code=0, cwd="/other")) != ""


CERTIFICATE = f"{MARK}: rotate the TLS certificate of mq.internal before Friday."
BACKFILL = "Next step: rerun the backfill for October."
CRASH = "I could not reproduce the crash on Windows."


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (CERTIFICATE, "The TLS certificate of mq.internal is rotated; nothing left to do there."),
        (CERTIFICATE, "I rotated the TLS certificate of mq.internal."),
        (CERTIFICATE, "The TLS certificate of mq.internal has already been rotated."),
        (CERTIFICATE, "Done: the TLS certificate of mq.internal is new."),
        (BACKFILL, "The backfill for October was rerun, 1.2 million rows, done."),
        (BACKFILL, "We have rerun the backfill for October without errors."),
        (BACKFILL, "The backfill for October is done."),
        (CRASH, "The crash on Windows is no longer an issue since the update of the driver."),
        (CRASH, "The crash on Windows is fixed."),
        ("The alert on failure is not configured yet.", "I configured the alert on failure."),
        ("Still open: write the docs of the parser.", "The docs of the parser are written."),
        ("Das Backup der neuen Daten ist noch nicht eingerichtet.", "Das Backup der neuen Daten ist eingerichtet."),
        ("Queda pendiente configurar la alerta de fallos.", "La alerta de fallos está configurada."),
    ],
)  # fmt: skip
def test_what_is_said_to_be_done_is_closed(left: str, said: str) -> None:
    asked = event({"prompt": "Look after the queue and the rows."}, "prompt")
    told = event({"role": "assistant", "text": f"I looked. {left}"})
    assert left in opened(asked, told)
    assert left not in opened(asked, told, event({"role": "assistant", "text": said}))
    assert left not in opened(asked, event({"role": "assistant", "text": f"I looked. {left} {said}"}))
    assert left in opened(asked, event({"role": "assistant", "text": said}), told), "what comes first closes nothing"


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (CERTIFICATE, "The TLS certificate of mq.internal is not rotated yet."),
        (CERTIFICATE, "The TLS certificate of db.internal is rotated."),
        (CERTIFICATE, "The TLS certificate of mq.internal is expired."),
        (CERTIFICATE, "Once the TLS certificate of mq.internal is rotated, restart it."),
        (CERTIFICATE, "The TLS certificate of mq.internal will be rotated on Thursday."),
        (CERTIFICATE, "Is the TLS certificate of mq.internal rotated?"),
        (CERTIFICATE, "We rotate the TLS certificate of mq.internal on Mondays."),
        (CERTIFICATE, "The TLS certificate of mq.internal was rotated, but the reload failed."),
        (CERTIFICATE, "The passwords were rotated."),
        (BACKFILL, "The backfill for September was rerun, done."),
        (BACKFILL, "The backfill for October was planned."),
        (BACKFILL, "The backfill for October should be done by noon."),
        (BACKFILL, "Done."),
        (CRASH, "The crash on Linux is no longer an issue."),
        (CRASH, "The crash on Windows is reported by many."),
        ("Next step: deploy.", "The branch is deployed."),
        ("Das Backup der neuen Daten ist noch nicht eingerichtet.", "Das Backup der alten Daten ist eingerichtet."),
    ],
)  # fmt: skip
def test_what_is_said_of_something_else_closes_nothing(left: str, said: str) -> None:
    asked = event({"prompt": "Look after the queue and the rows."}, "prompt")
    told = event({"role": "assistant", "text": f"I looked. {left}"})
    assert left in opened(asked, told, event({"role": "assistant", "text": said}))


def test_long_talk_and_long_terminals_take_no_longer_than_they_are() -> None:
    began = Stopwatch(time.process_time)
    for bit in ("is ", "ist a ", "done, ", "a ", "now ", "rotated ", "nothing ", "1 ", "$ ", "a@b ", "est ", "ha ya "):
        text = bit * (20_000 // len(bit))
        closing.closed_by(f"{MARK}: {text}", [text] * 40)
        terminal.is_mended(text)
        terminal.is_mended(f"$ make\nmake: *** [a] Error 1\n{bit}" * 5_000)
    assert began.fair < 8
