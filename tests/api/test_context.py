"""What an agent is told of what its project remembers: there when it starts, for it alone, gone when it is."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest_asyncio

from tests.api.conftest import Api, eventually, is_problem
from tests.api.people import made

TELL = 'stat -c "%a %n" "$MUSTER_CONTEXT_FILE"; cat "$MUSTER_CONTEXT_FILE"; exec sleep 600'
SILENT = 'echo "told: ${MUSTER_CONTEXT_FILE:-nothing}"'


@pytest_asyncio.fixture(loop_scope="session")
async def project(fleet: Api) -> dict[str, Any]:
    project = await made(fleet, "/v1/projects", {"slug": f"told-{uuid.uuid4().hex[:8]}", "name": "x"})
    memory = {"project": project["slug"], "title": "Kakapos cannot fly", "narrative": "They climb, and they fall."}
    await made(fleet, "/v1/observations", memory)
    return project


async def lines_of(api: Api, agent: str, number: int) -> list[str]:
    async def written() -> list[str]:
        lines = (await api.get(f"/v1/agents/{agent}/output")).json()["items"]
        assert len(lines) >= number
        return [line["text"] for line in lines]

    found: list[str] = await eventually(written)
    return found


async def test_the_file_is_its_own_and_goes_with_it(fleet: Api, project: dict[str, Any]) -> None:
    agent = await fleet.spawn("sh", "-c", TELL, title="why do kakapos not fly?", project=project["slug"])
    first, *text = await lines_of(fleet, agent["id"], 3)
    mode, _, name = first.partition(" ")
    assert mode == "600"
    assert Path(name).parent.stat().st_mode & 0o777 == 0o700
    assert any("Kakapos cannot fly" in line for line in text)
    killed = await fleet.post(f"/v1/agents/{agent['id']}/kill", json={"grace_seconds": 0}, params={"wait": True})
    assert killed.json()["status"] == "killed"

    async def gone() -> None:
        assert not Path(name).exists()

    await eventually(gone, 5)


async def test_nothing_is_told_where_it_is_not_wished_or_nothing_is_known(fleet: Api, project: dict[str, Any]) -> None:
    empty = await made(fleet, "/v1/projects", {"slug": f"empty-{uuid.uuid4().hex[:8]}", "name": "x"})
    for more in (
        {"project": project["slug"], "memory": {"inject": False}},
        {"project": empty["slug"]},
        {},
    ):
        agent = await fleet.spawn("sh", "-c", SILENT, title="why do kakapos not fly?", **more)
        assert await lines_of(fleet, agent["id"], 1) == ["told: nothing"], more


async def test_the_wish_is_kept_with_the_task(fleet: Api, project: dict[str, Any]) -> None:
    task = await fleet.new_task("true", project=project["slug"], memory={"budget_tokens": 300, "record": False})
    kept = (await fleet.get(f"/v1/tasks/{task['id']}")).json()["memory"]
    assert kept == {"inject": True, "record": False, "budget_tokens": 300}
    assert (await fleet.new_task("true"))["memory"] is None
    answer = await fleet.post("/v1/tasks", json={"title": "x", "memory": {"budget_tokens": 1}})
    is_problem(answer, 422, "invalid_request")
