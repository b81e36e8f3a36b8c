"""What a person sees of single agents on the whole system: their output, their environment, their end."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.pace import Stopwatch
from tests.services.conftest import eventually, processes_of

from .fleet import System, a_system, is_healthy
from .test_encryption import MARKER, a_key, histories, raw

KEPT_BYTES = 20_000
OURS_ALONE = {
    "DATABASE_URL",
    "VALKEY_URL",
    "TEMPORAL_ADDRESS",
    "MUSTER_HOME",
    "MUSTER_SECRET_KEY",
    "MUSTER_PAYLOAD_KEYS",
}


@pytest.fixture(scope="module")
async def system() -> AsyncIterator[System]:
    async with a_system(MUSTER_MAX_OUTPUT_BYTES=str(KEPT_BYTES), MUSTER_PAYLOAD_KEYS=a_key("k1")) as system:
        yield system


@pytest.fixture
async def api(system: System) -> AsyncIterator[httpx.AsyncClient]:
    async with system.api() as client:
        yield client


async def test_it_runs_where_it_was_spawned(system: System, tmp_path: Path) -> None:
    """What stands beside whoever spawns it is there for it, too: `muster spawn -- ./nightly.sh`."""
    script = tmp_path / "nightly.sh"
    script.write_text("#!/bin/sh\npwd\n")
    script.chmod(0o755)
    for arguments, where in (((), tmp_path), (("--cwd", "."), tmp_path), (("--cwd", "/"), Path("/"))):
        program = "./nightly.sh" if where == tmp_path else str(script)
        done = await asyncio.to_thread(system.muster, "spawn", "--follow", *arguments, "--", program, cwd=tmp_path)
        assert (done.returncode, done.stdout.strip()) == (0, str(where)), done.stderr


async def spawn(api: httpx.AsyncClient, *argv: str, **more: Any) -> dict[str, Any]:
    runner = {"kind": "command", "argv": argv, **more}
    answer = await api.post("/v1/agents", json={"task": {"title": "one agent", "runner": runner}})
    assert answer.status_code == 201, answer.text
    agent: dict[str, Any] = answer.json()
    return agent


async def final(api: httpx.AsyncClient, agent: dict[str, Any]) -> dict[str, Any]:
    async def ended() -> dict[str, Any]:
        found: dict[str, Any] = (await api.get(f"/v1/agents/{agent['id']}")).json()
        assert found["status"] in ("completed", "failed", "killed"), found
        return found

    found: dict[str, Any] = await eventually(ended, 15)
    return found


async def lines(api: httpx.AsyncClient, agent: dict[str, Any]) -> dict[str, Any]:
    page: dict[str, Any] = (await api.get(f"/v1/agents/{agent['id']}/output", params={"limit": 5000})).json()
    return page


async def test_output_is_shown_live_and_kept(api: httpx.AsyncClient, system: System) -> None:
    gate = system.folder / "gate"
    script = f"echo first; echo second >&2; while [ ! -e {gate} ]; do sleep 0.05; done; echo last"
    agent = await spawn(api, "sh", "-c", script)
    seen: list[dict[str, Any]] = []
    async with api.stream(
        "GET", f"/v1/agents/{agent['id']}/output", headers={"Accept": "text/event-stream"}
    ) as stream:  # fmt: skip
        kind = ""
        async for line in stream.aiter_lines():
            if line.startswith("event: "):
                kind = line[7:]
            elif line.startswith("data: ") and kind == "line":
                seen.append(json.loads(line[6:]))
                if len(seen) == 2:
                    assert {entry["text"] for entry in seen} == {"first", "second"}
                    gate.touch()  # it was shown while the agent runs: only now may it go on
            elif line.startswith("data: ") and kind == "end":
                assert json.loads(line[6:])["status"] == "completed"
    assert [entry["n"] for entry in seen] == [1, 2, 3]
    assert (seen[2]["text"], {entry["text"]: entry["stream"] for entry in seen}["second"]) == ("last", "stderr")
    kept = await lines(api, agent)
    assert kept["items"] == seen
    assert (kept["status"], kept["truncated"]) == ("completed", False)


async def test_output_beyond_the_cap_is_dropped_with_a_marker(api: httpx.AsyncClient) -> None:
    agent = await spawn(api, "sh", "-c", "i=0; while [ $i -lt 2000 ]; do echo line $i of very many; i=$((i+1)); done")
    assert (await final(api, agent))["status"] == "completed"
    kept = await lines(api, agent)
    assert kept["truncated"]
    assert sum(len(item["text"]) for item in kept["items"] if item["stream"] == "stdout") <= KEPT_BYTES
    marks = [item for item in kept["items"] if item["stream"] == "muster"]
    assert len(marks) == 1
    assert str(KEPT_BYTES) in marks[0]["text"].replace(",", "")


async def test_a_result_and_an_environment(api: httpx.AsyncClient, system: System) -> None:
    script = "env; echo '{\"early\": 1}'; echo '{\"answer\": 42}'; echo bye"
    task = {
        "title": "look around",
        "prompt": "what it is told",
        "runner": {"kind": "command", "argv": ["sh", "-c", "cat; echo; " + script], "env": {"OWN": "yes"}},
    }
    agent = (await api.post("/v1/agents", json={"task": task})).json()
    ended = await final(api, agent)
    assert (ended["status"], ended["exit_code"], ended["result"]) == ("completed", 0, {"answer": 42})
    texts = [item["text"] for item in (await lines(api, agent))["items"]]
    assert texts[0] == "what it is told"
    environment = dict(text.split("=", 1) for text in texts if "=" in text)
    assert environment["MUSTER_AGENT_ID"] == agent["id"]
    assert environment["MUSTER_TASK_ID"] == agent["task_id"]
    assert (environment["MUSTER_ATTEMPT"], environment["MUSTER_TASK_TITLE"]) == ("1", "look around")
    assert environment["OWN"] == "yes"
    assert environment["MUSTER_URL"] == system.url
    assert not OURS_ALONE & set(environment)

    async def told() -> None:
        task = (await api.get(f"/v1/tasks/{agent['task_id']}")).json()
        assert (task["status"], task["result"]) == ("completed", {"answer": 42})

    await eventually(told)


@pytest.mark.parametrize("end", ["completed", "killed"])
async def test_its_key_lives_as_long_as_it_does(api: httpx.AsyncClient, system: System, end: str) -> None:
    gate = system.folder / f"gate-{end}"
    task = {
        "title": "asks for itself",
        "runner": {"kind": "command", "argv": ["sh", "-c", f"env; while [ ! -e {gate} ]; do sleep 0.05; done"]},
    }
    agent = (await api.post("/v1/agents", json={"task": task})).json()
    stranger = (await api.post("/v1/tasks", json={"title": "of nobody's business"})).json()
    environment: dict[str, str] = {}

    async def told() -> None:
        texts = [item["text"] for item in (await lines(api, agent))["items"]]
        environment.update(text.split("=", 1) for text in texts if "=" in text)
        assert {"MUSTER_API_KEY", "MUSTER_URL"} <= set(environment)

    await eventually(told)
    assert not OURS_ALONE & set(environment)
    key = {"Authorization": f"Bearer {environment['MUSTER_API_KEY']}"}
    async with httpx.AsyncClient(base_url=environment["MUSTER_URL"], headers=key, trust_env=False) as its:
        mine = await its.get(f"/v1/tasks/{agent['task_id']}")
        assert (mine.status_code, mine.json()["title"]) == (200, "asks for itself"), mine.text
        assert (await its.post("/v1/projects", json={"slug": "its-own", "name": "Its own"})).status_code == 403
        assert (await its.post("/v1/agents/kill-all")).status_code == 403
        assert (await its.get(f"/v1/tasks/{stranger['id']}")).status_code == 404
        if end == "completed":
            gate.touch()
        else:
            await api.post(f"/v1/agents/{agent['id']}/kill", params={"wait": "true"}, json={"grace_seconds": 1})
        assert (await final(api, agent))["status"] == end
        ended = Stopwatch()

        async def dead() -> None:
            assert (await its.get(f"/v1/tasks/{agent['task_id']}")).status_code == 401

        await eventually(dead, 2.5)
        assert ended.fair < 2.5  # remembered for 2 s at most, and the asking takes its time
        gate.touch()
    assert (await api.get(f"/v1/tasks/{stranger['id']}")).status_code == 200


@pytest.mark.parametrize(
    ("runner", "said"),
    [
        ({"argv": ["no-such-command-here"]}, "command not found: no-such-command-here"),
        ({"argv": ["true"], "cwd": "/no/such/folder"}, "working directory /no/such/folder"),
        ({"argv": ["/etc/passwd"]}, "cannot start /etc/passwd"),
    ],
)
async def test_what_cannot_be_started_says_why(api: httpx.AsyncClient, runner: dict[str, Any], said: str) -> None:
    agent = await spawn(api, *runner["argv"], **{name: runner[name] for name in runner if name != "argv"})
    ended = await final(api, agent)
    assert (ended["status"], ended["reason"], ended["started_at"]) == ("failed", "spawn_failed", None)
    assert said in ended["error"]


TREES = {
    "deaf": "trap '' TERM; while true; do sleep 0.1; done",
    "fled": "setsid sh -c 'trap \"\" TERM; while true; do sleep 0.1; done' & sleep 60",
    "without a parent": "(setsid sh -c 'while true; do sleep 0.1; done' &) ; sleep 60",
    "unmarked": "env -i setsid sleep 61 & env -i sh -c 'while true; do sleep 0.1; done'",
}


@pytest.mark.parametrize("script", TREES.values(), ids=TREES.keys())
async def test_killed_means_gone(api: httpx.AsyncClient, system: System, tmp_path: Path, script: str) -> None:
    agent = await spawn(api, "sh", "-c", script, cwd=str(tmp_path))

    async def grown() -> None:
        assert len(processes_of(tmp_path)) >= 2

    await eventually(grown)
    pids = processes_of(tmp_path)
    answer = await api.post(
        f"/v1/agents/{agent['id']}/kill", params={"wait": "true"}, json={"grace_seconds": 0.3, "reason": "over"}
    )
    # Nothing is waited for here: the answer says that it is gone.
    assert processes_of(tmp_path) == []
    assert [pid for pid in pids if os.path.exists(f"/proc/{pid}/cwd")] == []
    assert (answer.status_code, answer.json()["status"], answer.json()["reason"]) == (200, "killed", "killed")
    again = await api.post(f"/v1/agents/{agent['id']}/kill")
    assert (again.status_code, again.json()["status"]) == (200, "killed")


async def test_a_failed_task_tried_again_keeps_its_id(api: httpx.AsyncClient, tmp_path: Path) -> None:
    runner = {"kind": "command", "argv": ["test", "-e", str(tmp_path / "ready")]}
    task = (await api.post("/v1/tasks", json={"title": "again", "runner": runner})).json()

    async def became(status: str) -> None:
        assert (await api.get(f"/v1/tasks/{task['id']}")).json()["status"] == status

    await eventually(lambda: became("failed"))
    (tmp_path / "ready").touch()
    assert (await api.post(f"/v1/tasks/{task['id']}/retry")).status_code == 202
    await eventually(lambda: became("completed"))
    agents = (await api.get(f"/v1/tasks/{task['id']}")).json()["agents"]
    assert [(agent["attempt"], agent["status"]) for agent in agents] == [(2, "completed"), (1, "failed")]


async def test_its_own_tools_read_what_is_encrypted(api: httpx.AsyncClient, system: System) -> None:
    """`muster start` tells the Web UI of the codec, and `muster temporal` shows what it finds there."""
    runner = {"kind": "command", "argv": ["true"]}
    agent = (await api.post("/v1/agents", json={"task": {"title": MARKER, "runner": runner}})).json()
    found = await histories(await system.temporal())
    workflow_id = next(workflow_id for workflow_id in found if workflow_id.startswith(f"task-{agent['task_id']}"))
    assert all(MARKER.encode() not in raw(history) for history in found.values())
    show = ("temporal", "workflow", "show", "-w", workflow_id, "--output", "json")
    said = await asyncio.to_thread(system.cli, *show)
    texts = [base64.b64decode(text) for text in re.findall(r'"data": "([^"]+)"', said)]
    assert any(MARKER.encode() in text for text in texts), said
    async with httpx.AsyncClient(trust_env=False) as browser:
        settings = (await browser.get(f"{system.settings.temporal_ui_url}/api/v1/settings")).json()
        assert settings["Codec"]["Endpoint"] == f"{system.url}/codec", settings
        asked = {"Origin": str(system.settings.temporal_ui_url), "Access-Control-Request-Method": "POST"}
        answer = await browser.options(f"{system.url}/codec/decode", headers=asked)
        assert answer.headers["access-control-allow-origin"] == asked["Origin"]


async def test_two_musters_do_not_meet(system: System) -> None:
    async with a_system() as other:
        assert {other.url, other.record.addresses} & {system.url, system.record.addresses} == set()
        async with system.api() as here, other.api() as there:
            agents = await asyncio.gather(*(spawn(api, "sh", "-c", "echo $MUSTER_URL") for api in (here, there)))
            for api, agent in zip((here, there), agents, strict=True):
                assert (await final(api, agent))["status"] == "completed"
            assert (await there.get(f"/v1/agents/{agents[0]['id']}")).status_code == 404
            assert len((await there.get("/v1/tasks")).json()["items"]) == 1
    await is_healthy(system)


async def test_an_agent_of_a_project_is_remembered(api: httpx.AsyncClient, system: System) -> None:
    answer = await api.post("/v1/projects", json={"slug": "recorded", "name": "Recorded"})
    assert answer.status_code == 201, answer.text
    lives = (
        ("echo 'We decided to keep the old parser because customers use it.'", "completed"),
        ("echo 'We chose Redis over Memcached for what is counted.'; sleep 30", "killed"),
    )
    for script, ending in lives:
        runner = {"kind": "command", "argv": ["sh", "-c", script]}
        task = {"title": f"to be {ending}", "project": "recorded", "runner": runner}
        agent = (await api.post("/v1/agents", json={"task": task})).json()
        if ending == "killed":

            async def has_spoken(agent: dict[str, Any] = agent) -> None:
                assert (await lines(api, agent))["items"]

            await eventually(has_spoken, 15)
            await api.post(f"/v1/agents/{agent['id']}/kill", json={})
        assert (await final(api, agent))["status"] == ending

        async def remembered(agent: dict[str, Any] = agent) -> None:
            rows = await system.sql(
                "SELECT o.type FROM observations o JOIN memory_sessions s ON s.id = o.session_id "
                "WHERE s.agent_id = %s AND s.ended_at IS NOT NULL",
                agent["id"],
            )
            assert {"decision", "summary"} <= {row[0] for row in rows}

        await eventually(remembered, 20)
    alone = await spawn(api, "echo", "nobody listens")
    await final(api, alone)
    assert await system.sql("SELECT 1 FROM memory_sessions WHERE agent_id = %s", alone["id"]) == []
