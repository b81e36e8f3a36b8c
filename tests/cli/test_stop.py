"""Stopping everything and letting it go on, as the commands do it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pace import Stopwatch

from .conftest import Cli

SLEEP = ("sleep", "300")


@pytest.fixture(autouse=True)
def _is_open_again(cli: Cli) -> Iterator[None]:
    yield
    cli("resume")


def running(cli: Cli, number: int) -> None:
    waited = Stopwatch()
    while sum(agent["status"] == "running" for agent in cli.json("ps")) != number:
        assert not waited.passed(15), cli.json("ps")
        time.sleep(0.1)


def test_everything_stops_and_goes_on(cli: Cli) -> None:
    for _ in range(2):
        cli.spawn(*SLEEP)
    running(cli, 2)
    done = cli("stop-all", "--reason", "costs run away", "--grace", "1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "default is stopped: 2 agents killed, 0 ended by themselves; 0 tasks waiting\n"
    assert cli("ps").stdout == ""
    refused = cli("spawn", "--", "true")
    assert refused.returncode == 1
    assert "costs run away" in refused.stderr
    shown = cli("usage").stdout
    assert "stopped by" in shown
    assert "costs run away" in shown
    again = cli.json("stop-all", "--no-wait")
    assert (again["state"], again["reason"], again["active_agents"]) == ("stopped", "costs run away", 0)
    assert cli("resume").stdout == "default is open: 0 agents active, 0 tasks waiting\n"
    cli.ended(cli.json("show", cli.spawn("true"))["task_id"])


def test_a_drain_waits_for_those_that_run(cli: Cli, tmp_path: Path) -> None:
    agent = cli.spawn("sh", "-c", f"until [ -e {tmp_path}/go ]; do sleep 0.1; done")
    running(cli, 1)
    assert cli("drain", "--reason", "release").stdout == "default is draining: 1 agent active, 0 tasks waiting\n"
    (tmp_path / "go").touch()
    assert cli.ended(cli.json("show", agent)["task_id"])["status"] == "completed"
    assert cli.json("drain")["state"] == "drained"
    assert cli.json("resume", "--reason", "released")["state"] == "open"


def test_usage_in_facts_and_a_table(cli: Cli) -> None:
    cli.ended(cli.json("show", cli.spawn("true"))["task_id"])
    found = cli.json("usage")
    lines = cli("usage").stdout.splitlines()
    assert lines[0].split() == ["workspace", "default"]
    assert lines[1].split() == ["admission", "open"]
    assert lines[2].split() == ["agents", "0", "of", "3", "active"]
    table = lines[lines.index("") + 1 :]
    assert table[0].split() == ["DAY", "AGENTS", "AGENT-SECONDS"]
    assert table[1].split()[:2] == [found["days"][0]["day"], str(found["days"][0]["agents"])]
