"""Which of several commands of a line failed, and what is no failure."""

from __future__ import annotations

import pytest

from muster.domain import rules_commands as commands
from muster.domain.rules_failing import failing
from tests.unit.observing import only, tool


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
        ("cd /nowhere", "cd: no such file", ""),
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
