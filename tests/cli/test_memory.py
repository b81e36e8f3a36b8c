"""`muster memory` and `muster jobs`, as people and scripts use them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.pace import Stopwatch

from .conftest import Cli


@pytest.fixture(scope="module")
def project(cli: Cli) -> Iterator[str]:
    slug = f"memory-{uuid.uuid4().hex[:8]}"
    assert cli("projects", "create", slug).returncode == 0
    yield slug
    cli("memory", "forget", "--project", slug, "--yes")


def test_what_is_kept_is_found_and_shown(cli: Cli, project: str) -> None:
    kept = cli(
        "memory", "remember", "Numbats eat termites only", "--project", project, "--type", "decision",
        "--narrative", "So the feeder orders termites.", "--fact", "20,000 a day", "--concept", "feeding",
        "--file", "src/feeder.py",
    )  # fmt: skip
    assert kept.returncode == 0, kept.stderr
    item = kept.stdout.strip()
    found = cli("memory", "search", "what", "do", "numbats", "eat?", "--project", project)
    assert found.returncode == 0, found.stderr
    assert "Numbats eat termites only" in found.stdout
    assert cli.json("memory", "search", "numbats", "--project", project, "--limit", "1")["items"][0]["id"] == item
    for narrowed in (("--type", "decision"), ("--concept", "feeding"), ("--file", "feeder.py"), ("--within", "1h")):
        assert item in cli("memory", "search", "numbats", "--project", project, *narrowed).stdout, narrowed
    assert item not in cli("memory", "search", "numbats", "--project", project, "--type", "bugfix").stdout
    assert f"{item}  words_rank 1" in cli("memory", "search", "numbats", "--project", project, "--explain").stdout
    shown = cli("memory", "show", item)
    assert {"Numbats eat termites only", "So the feeder orders termites.", "- 20,000 a day"} <= set(
        shown.stdout.splitlines()
    )
    assert item in cli("memory", "timeline", "--project", project).stdout
    assert item in cli("memory", "timeline", "--around", item).stdout
    told = cli("memory", "context", "feed the numbats", "--project", project, "--file", "src/feeder.py")
    assert "Numbats eat termites only" in told.stdout
    assert cli.json("memory", "context", "feed the numbats", "--project", project)["tokens"] > 0
    pasted = cli("memory", "context", "--project", project, "-", given="feed the numbats\n" + "and more\n" * 20_000)
    assert "Numbats eat termites only" in pasted.stdout, pasted.stderr
    blank = cli("memory", "context", "--project", project, "-", given=" \n")
    assert (blank.returncode, "it is blank" in blank.stderr) == (1, True), blank.stderr
    assert cli.json("memory", "stats", "--project", project)["observations"] == 1
    assert "observations" in cli("memory", "stats").stdout


def test_where_there_is_nothing_it_says_what_to_do(cli: Cli, project: str) -> None:
    for arguments, told in (
        (("memory", "search", "zzyzx"), "muster memory stats"),
        (("memory", "search", "zzyzx", "--project", project), "fewer filters"),
        (("jobs", "list", "--project", project), "no such jobs"),
    ):
        done = cli(*arguments)
        assert (done.returncode, done.stdout) == (0, ""), done
        assert told in done.stderr
    for arguments, told in (
        (("memory", "search", "x", "--project", "nowhere"), "there is no project nowhere"),
        (("memory", "context", "x"), "--project: name a project"),
        (("memory", "show", str(uuid.uuid4())), "there is no observation"),
        (("memory", "show", "0193a1b2"), "no observation among the latest"),
        (("jobs", "show", "evt_" + "0" * 64), "there is no job"),
        (("jobs", "show", "sausage"), "is no job"),
    ):
        done = cli(*arguments)
        assert done.returncode == 1, done
        assert told in done.stderr
    assert cli("jobs", "requeue").returncode == 2
    assert "no such jobs" in cli("jobs", "requeue", "--all").stdout


def test_settings_are_shown_and_changed(cli: Cli, project: str) -> None:
    shown = cli("memory", "settings", project)
    assert shown.returncode == 0, shown.stderr
    assert "retain_days" in shown.stdout
    changed = cli.json(
        "memory", "settings", project, "--set", "retain_days=90", "--set", 'exclude_paths=["secrets/**"]'
    )
    assert (changed["retain_days"], changed["exclude_paths"]) == (90, ["secrets/**"])
    assert cli.json("memory", "settings", project)["retain_days"] == 90
    assert cli.json("memory", "settings", project, "--set", "retain_days=null")["retain_days"] is None
    assert cli("memory", "settings", project, "--set", "no_such=1").returncode == 1
    assert cli("memory", "settings", project, "--set", "nothing").returncode == 1


def test_a_lane_is_paused_and_opened(cli: Cli) -> None:
    assert {job["id"] for job in cli.json("jobs")} <= {job["id"] for job in cli.json("jobs", "list")}
    assert [lane["kind"] for lane in cli.json("jobs", "lanes")] == ["event", "event_batch", "summary", "reindex"]
    assert "paused" in cli("jobs", "pause", "reindex", "--reason", "lunch").stdout
    shown = cli("jobs", "lanes").stdout
    assert "lunch" in shown
    assert "open again" in cli("jobs", "resume", "reindex").stdout
    assert "lunch" not in cli("jobs", "lanes").stdout


def test_an_agents_work_becomes_jobs_and_memory(cli: Cli, project: str) -> None:
    script = "echo 'DECISION: quolls are spotted, so the icon is spotted'; exit 1"
    task = cli("spawn", "--project", project, "--queue", "--", "sh", "-c", script).stdout.strip()
    cli.ended(task)

    def jobs() -> Any:
        return cli.json("jobs", "list", "--project", project)

    eventually(lambda: jobs() and all(job["status"] == "completed" for job in jobs()))
    job = jobs()[0]["id"]
    shown = cli("jobs", "show", job[:20])
    assert shown.returncode == 0, shown.stderr
    assert "completed" in shown.stdout
    assert job in cli("jobs").stdout
    refused = cli("jobs", "cancel", job)
    assert refused.returncode == 1
    assert "completed" in refused.stderr
    eventually(lambda: cli.json("memory", "search", "quolls spotted icon", "--project", project)["items"])


def test_an_agent_is_told_unless_its_task_does_not_wish_it(cli: Cli, project: str) -> None:
    cli("memory", "remember", "Bilbies dig spirals", "--project", project)
    script = 'cat "${MUSTER_CONTEXT_FILE:-/dev/null}"; echo "told: ${MUSTER_CONTEXT_FILE:-nothing}"'
    command = ("--project", project, "--follow", "--", "sh", "-c", script)
    told = cli("spawn", "--title", "why do bilbies dig spirals", *command)
    assert "Bilbies dig spirals" in told.stdout, told
    told = cli("spawn", "--title", "why do bilbies dig spirals", "--no-memory", *command)
    assert told.stdout.strip().splitlines()[-1] == "told: nothing"
    assert cli("spawn", "--no-memory", "--memory-budget", "500", "--", "true").returncode == 2


def eventually(check: Any, seconds: float = 20.0) -> Any:
    waited = Stopwatch()
    while not (found := check()):
        assert not waited.passed(seconds)
        time.sleep(0.2)
    return found
