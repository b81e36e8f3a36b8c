"""docs/operating.md: every `temporal` command on the page is run against a real system, and does what the page says."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from muster.domain.ids import DEFAULT_WORKSPACE
from muster.services.ports import free_port
from muster.services.temporal import SEARCH_ATTRIBUTES
from muster.settings import Settings
from tests.deploy.conftest import PATIENCE, ROOT, Part, Servers
from tests.pace import patience
from tests.services.conftest import eventually

PAGE = (ROOT / "docs/operating.md").read_text()
COMMANDS = re.findall(r"^\$ muster (temporal .*)$", PAGE, re.MULTILINE)


@dataclass
class Scene:
    """What there is before a command, what it prints, and what Muster makes of it."""

    argv: list[str] = field(default_factory=lambda: ["sleep", "300"])
    retries: int = 0
    prints: str = ""
    task: tuple[str, str | None] | None = None
    agent: list[tuple[str, str | None]] = field(default_factory=list)
    attempts: int = 1
    over: bool = False
    """Whether the task has ended when the command is given."""


LOST, GOES_ON = ("failed", "lost"), ("executing", None)
KILLED, CANCELLED, RUNS = [("killed", "killed")], [("killed", "cancelled")], [("running", None)]
SCENES: dict[str, Scene] = {
    r"workflow list .*ExecutionStatus": Scene(prints="agent-$AGENT.$WORKSPACE"),
    r"workflow list .*MusterTask": Scene(prints="agent-$AGENT.$WORKSPACE"),
    r"workflow count": Scene(prints="values: Running"),
    r"workflow describe": Scene(prints="LastWorkerIdentity  worker@"),
    r"workflow metadata": Scene(prints="Attempt 1: agent `$AGENT`."),
    r"workflow trace": Scene(["sh", "-c", "exit 3"], retries=1, over=True, prints="run_agent"),
    r"workflow show": Scene(prints="StartChildWorkflowExecutionInitiated"),
    r"workflow cancel .*agent-": Scene(prints="Canceled", agent=KILLED, task=("failed", "killed")),
    r"workflow cancel .*task-": Scene(prints="Canceled", agent=CANCELLED, task=("failed", "cancelled")),
    r"workflow terminate .*task-": Scene(prints="terminated", agent=[*KILLED, LOST], task=LOST),
    r"workflow terminate .*agent-": Scene(prints="terminated", agent=[LOST], task=GOES_ON, attempts=2),
    r"workflow reset": Scene(prints="to event ID", task=GOES_ON, agent=RUNS),
    r"workflow cancel --query": Scene(prints="Started batch", agent=KILLED, task=("failed", "killed")),
    r"workflow terminate --query": Scene(prints="Started batch", agent=[*KILLED, LOST], task=LOST),
    r"workflow signal --query": Scene(prints="Started batch", task=GOES_ON, agent=RUNS),
    r"batch list": Scene(prints="Completed"),
    r"batch describe": Scene(prints="CompletedCount"),
    r"task-queue describe": Scene(prints="worker@"),
    r"operator namespace update": Scene(prints=""),
}


@pytest.fixture(scope="module")
async def system(migrated: Servers) -> AsyncIterator[tuple[Servers, httpx.AsyncClient]]:
    port = str(free_port())
    async with (
        Part(migrated, "api", "doc-api", MUSTER_API_PORT=port),
        Part(migrated, "worker", "doc-worker", MUSTER_SWEEP_SECONDS="1"),
        httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", headers=migrated.authorization, timeout=PATIENCE
        ) as client,
    ):

        async def ready() -> None:
            answer = await client.get("/v1/info")
            found = answer.json()["boundaries"]
            found.pop("embedder")  # nothing here searches
            assert all(boundary["status"] == "active" for boundary in found.values()), answer.text

        await eventually(ready, PATIENCE)
        yield migrated, client


def _scene(command: str) -> Scene:
    (found,) = [scene for pattern, scene in SCENES.items() if re.search(pattern, command)]
    return found


async def _spawn(client: httpx.AsyncClient, scene: Scene) -> dict[str, Any]:
    retry = {"max_attempts": 1 + scene.retries, "initial_seconds": 0.1}
    task = {"title": "nightly report", "retry": retry, "runner": {"kind": "command", "argv": scene.argv}}
    answer = await client.post("/v1/agents", json={"task": task})
    assert answer.status_code == 201, answer.text
    agent: dict[str, Any] = answer.json()
    wanted = {"failed"} if scene.over else {"executing"}

    async def begun() -> None:
        found = (await client.get(f"/v1/tasks/{agent['task_id']}")).json()
        assert found["status"] in wanted, found

    await eventually(begun, PATIENCE)
    return agent


async def _run(servers: Servers, command: str, variables: dict[str, str]) -> str:
    """As a shell runs the line, with `muster` found."""
    shell = f'muster() {{ "{sys.executable}" -m muster.cli "$@"; }}; muster {command}'
    process = await asyncio.create_subprocess_exec(
        "/bin/sh", "-euc", shell,
        env=servers.environment("api") | variables, cwd=servers.cwd,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with patience(PATIENCE):
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


def test_page_and_scenes_are_about_the_same_commands() -> None:
    assert len(COMMANDS) >= 10
    for pattern in SCENES:
        assert sum(bool(re.search(pattern, command)) for command in COMMANDS) == 1, pattern
    for command in COMMANDS:
        _scene(command)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command.split()[1:4]))
async def test_command_does_what_the_page_says(system: tuple[Servers, httpx.AsyncClient], command: str) -> None:
    servers, client = system
    scene = _scene(command)
    agent = await _spawn(client, scene)
    variables = {"WORKSPACE": str(DEFAULT_WORKSPACE), "AGENT": agent["id"], "TASK": agent["task_id"]}
    if "$JOB" in command or "batch list" in command:
        variables["JOB"] = await _batch(servers)
    expected = re.sub(r"\$([A-Z]+)", lambda match: variables[match[1]], scene.prints)

    async def printed() -> None:
        # Visibility follows a moment later; commands that change something are given once.
        assert expected in await _run(servers, command, variables)

    await eventually(printed, PATIENCE if scene.task is None else 0, every=0.3)

    async def so() -> None:
        task = (await client.get(f"/v1/tasks/{agent['task_id']}")).json()
        agents = sorted(task["agents"], key=lambda found: int(found["attempt"]))
        if scene.task:
            assert (task["status"], task["reason"]) == scene.task
        if scene.agent:
            assert (agents[0]["status"], agents[0]["reason"]) in scene.agent
            assert len(agents) == scene.attempts

    await eventually(so, PATIENCE)
    await client.post(f"/v1/tasks/{agent['task_id']}/cancel")


async def test_the_first_key_is_made_as_the_page_says(system: tuple[Servers, httpx.AsyncClient]) -> None:
    servers, client = system
    (command,) = re.findall(r"^docker compose run --rm api (keys \S+)", PAGE, re.MULTILINE)
    assert command in (ROOT / "deploy/env.example").read_text()
    process = await servers.muster("api", *command.split())
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    (key,) = re.findall(r"^mst_\w+$", output.decode(), re.MULTILINE)
    assert (await client.get("/v1/info", headers={"Authorization": f"Bearer {key}"})).status_code == 200
    assert (await client.get("/v1/info", headers={"Authorization": "Bearer mst_none"})).status_code == 401
    made = await client.post(
        "/v1/projects", json={"slug": "first", "name": "First"}, headers={"Authorization": f"Bearer {key}"}
    )
    assert made.status_code == 201, made.text
    assert (await client.delete(f"/v1/projects/{made.json()['id']}")).status_code == 204


async def _batch(servers: Servers) -> str:
    """A batch that has run."""
    query = "WorkflowType = 'TaskWorkflow' AND ExecutionStatus = 'Running'"
    await _run(servers, f'temporal workflow signal --query "{query}" --name wake --reason test --yes', {})

    async def job() -> str:
        listed = await _run(servers, "temporal batch list --limit 1", {})
        found = re.search(r"^\s*(\S{36})\s+Completed", listed, re.MULTILINE)
        assert found, listed
        return found[1]

    return str(await eventually(job, PATIENCE, every=0.3))


def test_page_names_what_exists() -> None:
    settings = {str(field.alias) for field in Settings.model_fields.values()}
    for name in re.findall(r"`((?:MUSTER|VALKEY|DATABASE|MAX)_[A-Z_]+)", PAGE):
        assert name in settings, name
    for path in re.findall(r"`((?:deploy|tests)/[\w./-]+|docker-compose\.yml)`", PAGE):
        assert os.path.exists(ROOT / path), path
    named = dict(re.findall(r"search-attribute create --name (\w+) --type (\w+)", PAGE))
    assert named == SEARCH_ATTRIBUTES
