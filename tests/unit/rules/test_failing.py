"""Which of several commands of a line failed, and what is no failure."""

from __future__ import annotations

import pytest

from muster.domain.memory import Event
from muster.domain.rules import commands
from muster.domain.rules.failing import failing
from tests.unit.rules.observing import event, made, only, tool


@pytest.mark.parametrize(
    ("command", "said", "program"),
    [
        ("sleep 5 && juju deploy ./shop.charm", 'ERROR cannot add application "shop": no such channel', "juju"),
        ("rm -f a.lock; snap remove tool", 'error: snap "tool" is not installed', "snap"),
        ("rm a.lock && snap run tool lock", 'error: snap "tool" is not installed', "snap"),
        ("rm a.lock && uv lock", "rm: cannot remove 'a.lock': No such file or directory", "rm"),
        ("cd /app && export A=1 && source venv/bin/activate && terraform apply", "Error: no credentials", "terraform"),
        ("echo start; terraform apply", "Error: no credentials", "terraform"),
        ("true && sleep 2; ./deploy.sh prod", "refused: the window is closed", "deploy.sh"),
        ("mkdir -p out && cp a out/ && helm upgrade shop .", "Error: UPGRADE FAILED: timed out", "helm"),
        ("pip install shop && python run.py", "ERROR: No matching distribution found for shop", "pip"),
        ("pip install shop && python run.py",
         "Traceback (most recent call last):\n  File \"run.py\", line 1\nKeyError: 'a'", "python"),
        ("ruff check . && mypy . && pytest -q", "a.py:1: error: no\nFound 1 error in 1 file (checked 9 source files)",
         "mypy"),
        ("ruff check . && mypy . && pytest -q", "FAILED tests/test_a.py::test_it - assert 1 == 2\n1 failed", "pytest"),
        ("docker build . && kubectl apply -f a.yaml", "Error from server (NotFound): namespaces x not found",
         "kubectl apply"),
        ("make && ./run --all", "bash: ./run: Permission denied", "run"),
        ("npm ci && frob --all", "/bin/sh: 1: frob: not found", "frob"),
        ("sleep 5", "sleep: invalid time interval", "sleep"),
        ("pytest -q", "1 failed", "pytest"),
        ("cd /nowhere", "cd: no such file", "cd"),
        ("cd /nowhere", "it says nothing", ""),
    ],
)  # fmt: skip
def test_of_a_chain_the_one_that_failed_is_named(command: str, said: str, program: str) -> None:
    assert failing(command, said, said.rpartition("\n")[2]) == program


def test_a_title_names_it() -> None:
    said = 'ERROR cannot add application "shop": no such channel'
    one = only(tool("Bash", {"command": "sleep 5 && juju deploy ./shop.charm"}, {"stdout": "", "stderr": said},
                    exit_code=1))  # fmt: skip
    assert (one.type, one.title) == ("error", f"juju fails: {said}")


@pytest.mark.parametrize(
    ("command", "program"),
    [
        ("sleep 5 && pytest -q", "pytest"),
        ("rm -rf build; make", "make"),
        ("echo a && date && cargo test", "cargo test"),
        ("rm a.txt && make", "rm"),
        ("sleep 5", "sleep"),
        ("rm -f a", "rm"),
        ("echo hi", "echo"),
    ],
)
def test_what_waits_or_tells_is_not_what_it_was_run_for(command: str, program: str) -> None:
    assert commands.program(command) == program


# -- What is no failure ---------------------------------------------------------------------------------------------

SHELL = "/bin/bash: line 9: /tmp/agent/cwd-01ab: Read-only file system"
COMMITTED = "[main 1a2b3c4] chore: one key for all\n"


def failed(command: str, said: str, code: int = 1) -> Event:
    asked = {"tool_name": "Bash", "tool_input": {"command": command}}
    return event({**asked, "error": f"Exit code {code}\n{said}"}, "PostToolUseFailure")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("grep -r key .", "[Request interrupted by user for tool use]\nCommand aborted before execution"),
        ("pytest -q", "Command aborted before execution"),
        ("make", "The operation was cancelled."),
        (
            "juju integrate shop ingress",
            'ERROR cannot add relation "shop:in ingress:in"\n'
            "relation shop:in ingress:in (already exists): \n\nUse 'juju status --relations' to view them.",
        ),
        ("mkdir out", "mkdir: cannot create directory 'out': File exists"),
        ("kubectl create namespace shop", 'Error from server (AlreadyExists): namespaces "shop" already exists'),
        ("docker network create shop", "Error response from daemon: network with name shop already exists"),
    ],
)
def test_what_was_stopped_or_is_there_already_is_no_failure(command: str, said: str) -> None:
    assert made(failed(command, said)) == []


@pytest.mark.parametrize(
    "said",
    [f"{COMMITTED}{SHELL}\n1 file changed, 4 insertions(+)", f"{COMMITTED} 1 file changed, 4 insertions(+)\nhook: sad"],
)
def test_a_commit_that_is_there_is_one(said: str) -> None:
    one = only(failed("git add a.yaml && git commit -m 'chore: one key for all'", said))
    assert (one.type, one.title, one.subtitle) == ("change", "One key for all", "Committed")


def test_what_only_the_shell_says_is_judged_by_the_rest() -> None:
    assert only(failed("pytest -q", f"30 passed in 2.1s\n{SHELL}")).title == "pytest passes: 30 passed in 2.1s"
    one = only(failed("pytest -q", f"FAILED tests/test_a.py::test_it - assert 1 == 2\n1 failed in 2.1s\n{SHELL}"))
    assert (one.type, one.title) == ("error", "pytest fails: assert 1 == 2")


@pytest.mark.parametrize(
    ("command", "said", "title"),
    [
        ("juju deploy shop", 'ERROR cannot add application "shop": application already exists',
         "juju fails: ERROR cannot"),
        ("git commit -m 'a b c' && git push", f"{COMMITTED}error: failed to push some refs to 'origin'",
         "git push fails: error: failed to push some refs"),
        ("git commit -m 'a b c'", "fatal: unable to auto-detect email address", "git commit fails: fatal: unable to"),
        ("touch /srv/a", "touch: cannot touch '/srv/a': Read-only file system", "touch fails: touch: cannot touch"),
        ("mkdir out && make", "mkdir: cannot create directory 'out': File exists", "mkdir fails: mkdir: cannot create"),
        ("make", "cc -c a.c\nThe build was cancelled by the server: no quota", "make fails: The build was cancelled"),
    ],
)  # fmt: skip
def test_what_fails_for_itself_does(command: str, said: str, title: str) -> None:
    one = only(failed(command, said))
    assert one.type == "error"
    assert one.title.startswith(title)


@pytest.mark.parametrize(
    "command", ["juju debug-log --replay | tail -50", "juju -m shop debug-log", "snap logs shop -n 40", "juju status"]
)
def test_a_log_that_tells_of_errors_was_shown(command: str) -> None:
    log = "unit-shop-0: 08:01:00 INFO shop began\n" * 5
    log += 'unit-shop-0: 08:01:01 ERROR shop.worker hook "install" failed: exit status 1'
    one = only(tool("Bash", {"command": command}, {"stdout": log, "stderr": ""}))
    assert one.type == "discovery"


@pytest.mark.parametrize(
    ("log", "told"),
    [
        ("unit-shop-0: 08:01:00 WARNING unit.shop/0.install ModuleNotFoundError: No module named 'yaml'\n"
         'unit-shop-0: 08:01:01 ERROR shop.worker hook "install" (via dispatch) failed: exit status 1\n'
         "unit-shop-0: 08:01:11 INFO shop.worker awaiting error resolution",
         ": ModuleNotFoundError: No module named 'yaml'"),
        ("2026-11-20T08:01:00.123Z ERROR app.db: connection refused by db:5432\n2026-11-20 08:01:00 INFO a.b again",
         ": ERROR connection refused by db:5432"),
        ("2026-11-20 08:01:00,123 INFO app.web 0 errors since the last look\n2026-11-20 08:01:00 INFO a.b fine", ""),
    ],
)  # fmt: skip
def test_a_log_is_titled_by_what_went_wrong_in_it(log: str, told: str) -> None:
    one = only(tool("Bash", {"command": "kubectl logs shop-0 --tail=50"}, {"stdout": log, "stderr": ""}))
    assert (one.type, one.title) == ("discovery", f"Run `kubectl logs shop-0 --tail=50`{told}")


@pytest.mark.parametrize(
    ("command", "said", "title"),
    [
        ("python slow.py", "EXECUTION TIMED OUT", "python fails: EXECUTION TIMED OUT"),
        ("./crack --all", "trying 1\ntrying 2\nEXECUTION TIMED OUT BECAUSE NOTHING WAS PRINTED FOR 60 S.\nREFINE IT.",
         "crack fails: EXECUTION TIMED OUT"),
        ("strings disk.img | grep key", "strings: 'disk.img': No such file", "strings fails: strings: 'disk.img'"),
        ("base64 -d a.txt", "the key is 99base64: invalid input", "base64 fails: the key is 99base64: invalid"),
        ("xxd -r a.txt", "xxd: a.txt: No such file or directory", "xxd fails: xxd: a.txt: No such"),
        ("juju add-model shop k9s 2>&1 | head", "ERROR cloud k9s not found\nUse 'juju clouds' to see all.",
         "juju fails: ERROR cloud k9s not found"),
        ("openssl rsa -in k", "openssl: cannot read k", "openssl fails: openssl: cannot read k"),
    ],
)  # fmt: skip
def test_what_says_that_it_could_not_failed(command: str, said: str, title: str) -> None:
    one = only(tool("Bash", {"command": command}, {"stdout": said, "stderr": ""}))
    assert one.type == "error"
    assert one.title.startswith(title)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("frob a.txt", "frob: warning: a.txt has an invalid date\nfrobbed"),
        ("strings disk.img", "GNU ld\nread error\nusage: frob\nthe base: invalid"),
        ("frob --all", "frob: 3 files done"),
        ("kubectl logs shop-0", "kubectl: cannot reach it\nthe next\nand one\nkubectl: cannot reach it"),
        ("echo it", "echo: cannot"),
        ("frob a", "frob: error: once\ntried again\nand again\nall is well"),
    ],
)
def test_what_goes_on_did_not(command: str, said: str) -> None:
    assert all(one.type != "error" for one in made(tool("Bash", {"command": command}, {"stdout": said, "stderr": ""})))
