"""`muster spawn`: what it asks for, what it prints, and how it ends."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from muster.domain.states import AgentStatus

from .conftest import SLOTS, Cli


async def test_follow_ends_as_the_agent_does(cli: Cli) -> None:
    succeeded, failed, timed_out, missing = await cli.together(
        ("spawn", "--queue", "-f", "--", "echo", "hello"),
        ("spawn", "--queue", "-f", "--", "bash", "-c", "echo out; echo err >&2; exit 3"),
        ("spawn", "--queue", "-f", "--timeout", "0.3", "--", "sleep", "60"),
        ("spawn", "--queue", "-f", "--", "no-such-program"),
    )
    assert (succeeded.returncode, succeeded.stdout, succeeded.stderr) == (0, "hello\n", "")
    assert (failed.returncode, failed.stdout) == (3, "out\n")
    assert failed.stderr.startswith("err\n")
    assert "exit_nonzero" in failed.stderr
    assert (timed_out.returncode, missing.returncode) == (124, 1)
    assert "no-such-program" in missing.stderr


def test_follow_says_137_when_it_is_killed(cli: Cli) -> None:
    with cli.open("spawn", "--follow", "--", "bash", "-c", "echo ready; sleep 60") as following:
        assert following.stdout
        assert following.stdout.readline() == "ready\n"
        (agent,) = cli.json("ps")
        assert cli("kill", agent["id"], "--wait").returncode == 0
        assert following.wait(10) == 137


async def test_follow_goes_through_the_retries(cli: Cli) -> None:
    script = 'echo "try $MUSTER_ATTEMPT"; [ "$MUSTER_ATTEMPT" = 3 ] || exit 7'
    command = ("spawn", "--retries", "2", "--backoff", "0.1", "--follow", "--", "bash", "-c", script)
    plain, lines = await cli.together(command, (*command[:1], "--json", *command[1:]))
    assert (plain.returncode, plain.stdout) == (0, "try 1\ntry 2\ntry 3\n")
    assert plain.stderr.count("exited with code 7") == 2
    found = [json.loads(line) for line in lines.stdout.splitlines()]
    assert [agent["agent"]["attempt"] for agent in found if "agent" in agent] == [1, 2, 3]
    assert [line["line"]["text"] for line in found if "line" in line] == ["try 1", "try 2", "try 3"]
    assert found[-1]["task"]["status"] == "completed"


def test_ctrl_c_ends_the_watching_and_not_the_agent(cli: Cli) -> None:
    with cli.open("spawn", "--follow", "--", "bash", "-c", "echo ready; sleep 60") as following:
        assert following.stdout
        assert following.stdout.readline() == "ready\n"
        following.send_signal(signal.SIGINT)
        _, said = following.communicate(timeout=60)
    (agent,) = cli.json("ps")
    assert following.returncode == 130
    assert f"muster kill {agent['id']}" in said
    assert "Traceback" not in said
    assert agent["status"] == AgentStatus.RUNNING


def test_the_task_is_what_the_options_say(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "input").write_text("from a file\n")
    cli("projects", "create", "apollo")
    options = (
        "--title", "Say it", "--priority", "8", "--retries", "1", "--backoff", "0.5", "--timeout", "20",
        "--label", "a", "--label", "b", "--env", "WORD=x=y", "--cwd", str(tmp_path), "--project", "apollo",
        "--stdin", str(tmp_path / "input"), "--follow",
    )  # fmt: skip
    done = cli("spawn", *options, "bash", "-c", 'cat; echo "$WORD $PWD"')
    assert (done.returncode, done.stdout) == (0, f"from a file\nx=y {tmp_path}\n"), done.stderr
    (task,) = cli.json("tasks", "--project", "apollo", "--label", "a", "--label", "b", "--status", "completed")
    assert (task["title"], task["priority"], task["labels"]) == ("Say it", 8, ["a", "b"])
    assert (task["retry"]["max_attempts"], task["retry"]["initial_seconds"]) == (2, 0.5)
    assert task["runner"]["timeout_seconds"] == 20
    assert cli.json("ps", "--all", "--project", "apollo")[0]["task_id"] == task["id"]


def test_the_prompt_is_what_the_agent_is_told(cli: Cli) -> None:
    done = cli("spawn", "--prompt", "find the last row", "--follow", "--", "cat")
    assert (done.returncode, done.stdout) == (0, "find the last row\n"), done.stderr
    piped = cli("spawn", "--prompt", "-", "--follow", "--", "cat", given="from a pipe\n")
    assert (piped.returncode, piped.stdout) == (0, "from a pipe\n"), piped.stderr
    assert {task["prompt"] for task in cli.json("tasks")} >= {"find the last row", "from a pipe\n"}
    both = cli("spawn", "--prompt", "-", "--stdin", "-", "--", "cat", given="for whom?")
    assert (both.returncode, "only one of" in both.stderr) == (2, True)


async def test_a_full_workspace_refuses_or_queues(cli: Cli) -> None:
    filled = await cli.together(*[("spawn", "--", "sleep", "60")] * SLOTS)
    assert [done.returncode for done in filled] == [0] * SLOTS
    refused = cli("spawn", "--", "true")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "--queue" in refused.stderr
    waiting = cli.spawn("echo", "my turn", options=("--queue", "--priority", "9"))
    queue = cli.json("queue")
    assert (queue["active_agents"], [task["id"] for task in queue["items"]]) == (SLOTS, [waiting])
    assert waiting in cli("queue").stdout
    assert "no agent yet" in cli("logs", waiting).stderr
    killed = cli.json("kill", "--all", "--wait")
    assert (killed["asked"], killed["killed"], killed["ended"]) == (SLOTS, SLOTS, 0)
    cli.ended(waiting)
    assert cli("logs", waiting).stdout == "my turn\n"


def test_a_task_waits_for_the_one_it_depends_on(cli: Cli) -> None:
    first = cli.spawn("sleep", "1", options=("--queue",))
    second = cli.spawn("true", options=("--depends-on", first[-12:]))
    assert cli.json("show", second)["waiting_for"] == "dependencies"
    done = cli.ended(second)
    assert (done["status"], done["started_at"] > cli.json("show", first)["finished_at"]) == ("completed", True)


def test_what_cannot_be_is_said_in_one_line(cli: Cli) -> None:
    for arguments, word in (
        (("--project", "no-such-project", "--", "true"), "no-such-project"),
        (("--", "echo", "\udcff"), "not UTF-8"),
        (("--depends-on", "0000-none", "--", "true"), "0000-none"),
    ):
        done = cli("spawn", *arguments)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1), done.stderr
        assert word in done.stderr
    for arguments in (("--env", "NOVALUE"), ("--timeout", "-1"), ("--timeout", "nan"), ("--backoff", "inf")):
        done = cli("spawn", *arguments, "--", "true")
        assert (done.returncode, arguments[0] in done.stderr) == (2, True), done.stderr
