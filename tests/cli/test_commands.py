"""Lists, details, and the commands that change what runs."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

from tests.services.conftest import Muster

from .conftest import Cli


def test_a_life_as_the_commands_show_it(cli: Cli) -> None:
    agent = cli.spawn("bash", "-c", "echo one; echo two; exit 5", options=("--title", "Short life"))
    task = cli.json("show", agent)["task_id"]
    cli.ended(task)
    shown = cli.json("show", agent)
    assert (shown["kind"], shown["status"], shown["exit_code"]) == ("agent", "failed", 5)
    assert shown["temporal_url"] in cli("show", agent).stdout
    assert "Short life" in cli("show", task).stdout
    table = cli("tasks", "--status", "failed", "--limit", "1").stdout.splitlines()
    assert table[0].split() == ["ID", "STATUS", "PRIO", "ATTEMPTS", "CREATED", "TITLE"]
    assert table[1].startswith(f"{task}  failed (exit_nonzero)")
    assert cli.json("ps", "--all", "--limit", "1")[0]["id"] == agent
    assert cli("ps").stdout == ""
    # Its lines, by the agent's id and by its task's; as objects; behind one of them.
    assert cli("logs", task).stdout == "one\ntwo\n"
    assert cli("logs", "--after", "1", agent).stdout == "two\n"
    assert '"n": 2' in cli("logs", "--json", agent).stdout.splitlines()[1]
    events = [line.split()[2] for line in cli("events", "--task", task).stdout.splitlines()]
    assert events == [
        "task.assigned", "agent.spawned", "agent.running", "task.executing", "agent.failed", "task.failed",
    ]  # fmt: skip
    (last,) = cli("events", "--json", "--last", "1").stdout.splitlines()
    assert task in last


def test_an_id_may_be_short(cli: Cli) -> None:
    agents = [cli.spawn("true"), cli.spawn("true")]
    assert cli.json("show", agents[1][-8:])["id"] == agents[1]
    assert cli.json("show", f"agent-{agents[0]}")["id"] == agents[0]
    task = cli.json("show", agents[0])["task_id"]
    assert cli.json("show", task[:13])["id"] == task
    for reference, word in ((agents[0][:8], "ambiguous"), ("ffffffffffff", "no agent or task"), ("x", "no id")):
        done = cli("show", reference)
        assert (done.returncode, done.stdout) == (1, "")
        assert word in done.stderr
    unknown = "00000000-0000-7000-8000-00000000dead"
    for command in ("show", "logs", "kill", "cancel", "retry"):
        done = cli(command, unknown)
        assert (done.returncode, unknown in done.stderr) == (1, True), command


def test_kill_and_wait(cli: Cli) -> None:
    agent = cli.spawn("bash", "-c", "trap '' TERM; setsid sleep 60 & echo $!; while true; do sleep 1; done")
    with cli.open("logs", "-f", agent) as following:
        assert following.stdout
        child = int(following.stdout.readline())
        killed = cli.json("kill", agent, "--grace", "0.2", "--reason", "enough", "--wait")
        assert following.wait(10) == 0
    assert (killed["status"], killed["kill_request"]["reason"]) == ("killed", "enough")
    assert not Path(f"/proc/{child}/environ").exists() or not Path(f"/proc/{child}/cmdline").read_bytes()
    assert cli("kill", agent, "--wait").returncode == 0  # it is killed, as was asked
    ended = cli.spawn("true")
    cli.ended(cli.json("show", ended)["task_id"])
    refused = cli("kill", ended, agent)
    assert (refused.returncode, refused.stdout.strip()) == (1, f"agent {agent} killed")
    assert "completed already" in refused.stderr
    assert cli("kill").returncode == 2


def test_kill_with_retry_spawns_another(cli: Cli) -> None:
    agent = cli.spawn(
        "bash", "-c", '[ "$MUSTER_ATTEMPT" = 2 ] || sleep 60', options=("--retries", "1", "--backoff", "0")
    )
    assert cli("kill", agent, "--retry", "--wait").returncode == 0
    task = cli.ended(cli.json("show", agent)["task_id"])
    assert (task["status"], task["attempts"]) == ("completed", 2)


def test_cancel_and_retry(cli: Cli) -> None:
    task = cli.json("show", cli.spawn("sleep", "60"))["task_id"]
    assert cli("cancel", task, "--reason", "not now").returncode == 0
    cancelled = cli.ended(task)
    assert (cancelled["reason"], cancelled["agents"][0]["status"]) == ("cancelled", "killed")
    again = cli("cancel", task)
    assert (again.returncode, "cannot be cancelled" in again.stderr) == (1, True)
    again = cli("retry", task)
    assert again.returncode == 0
    assert "dependencies" not in again.stdout, "it has none"
    while (killed := cli("kill", task, "--wait")).returncode:  # the task's new agent, not the one it had
        assert "no agent now" in killed.stderr
    assert [agent["status"] for agent in cli.ended(task)["agents"]] == ["killed", "killed"]


def test_projects(cli: Cli) -> None:
    assert cli("projects", "create", "gemini", "--name", "Gemini").stdout == "project gemini created\n"
    assert cli.json("projects", "show", "gemini")["name"] == "Gemini"
    assert cli("projects", "create", "gemini").returncode == 1
    assert cli("projects", "archive", "gemini").returncode == 0
    assert "gemini" in cli("projects", "list", "--status", "archived").stdout
    refused = cli("spawn", "--project", "gemini", "--", "true")
    assert (refused.returncode, "archived" in refused.stderr) == (1, True)
    assert cli.json("projects", "archive", "gemini", "--undo")["status"] == "active"
    assert cli("projects", "delete", "gemini").returncode == 0
    assert cli("projects", "show", "gemini").returncode == 1


async def test_in_a_terminal(cli: Cli) -> None:
    """Colours, short ids, titles that cannot rewrite the screen, and a line that shows it goes on."""
    agent = cli.spawn("bash", "-c", "trap '' TERM; sleep 60", options=("--title", "a\x1b[2Jb"))
    task = cli.json("show", agent)["task_id"]
    for arguments, pattern in (
        (("ps",), rf"{agent[-12:]}.*\x1b\[1mrunning|{agent[-12:]}.*\x1b\[36m\x1b\[1mrunning"),
        (("tasks", "--limit", "1"), rf"{task[-12:]}.*a \[2Jb"),
        (("kill", agent, "--grace", "2", "--wait"), rf"killing {agent} … 1 s.*agent {agent} killed"),
    ):
        _code, seen = await asyncio.to_thread(_in_terminal, cli, *arguments)
        assert re.search(pattern, seen, re.DOTALL), seen
        assert "\x1b[2J" not in seen


def _in_terminal(cli: Cli, *arguments: str) -> tuple[int, str]:
    ours, theirs = pty.openpty()
    env = {**cli.env, "TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(
        [sys.executable, "-m", "muster.cli", *arguments], env=env, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        seen = b""
        try:
            while chunk := os.read(ours, 65536):
                seen += chunk
        except OSError:  # the terminal closes with its last user
            pass
    os.close(ours)
    return process.returncode, seen.decode()


async def test_without_an_api(tmp_path: Path) -> None:
    nowhere = Muster(tmp_path / "home", MUSTER_URL="http://127.0.0.1:9")
    wrong = Muster(tmp_path / "home", MUSTER_URL="localhost:8700")
    commands = [("ps",), ("spawn", "--follow", "--", "true"), ("events", "-f"), ("projects", "list", "--json")]
    for done in await asyncio.gather(*(asyncio.to_thread(nowhere, *command) for command in commands)):
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1), done.stderr
        assert "muster start" in done.stderr
        assert "MUSTER_URL" in done.stderr
    done = await asyncio.to_thread(wrong, "ps")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
