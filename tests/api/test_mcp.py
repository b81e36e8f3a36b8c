"""Agents' tools over MCP, used with the SDK's own client: with keys and scopes, and no further than those reach."""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import pytest_asyncio

from api.tools import TOOLS
from muster.settings import Settings
from tests.api.conftest import Api, admin, environment, is_problem
from tests.api.people import key_in, made, new_workspace

if TYPE_CHECKING:  # a second's work, which every process that tests would do
    from mcp import Client
    from mcp.types import CallToolResult

MODES = ["auto", "legacy"]
"""Requests that are whole in themselves, and the handshake that most clients still begin with."""


@asynccontextmanager
async def a_client(url: str, key: str, *, mode: str = "auto", query: str = "") -> AsyncIterator[Client]:
    import httpx2
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client

    headers = {"Authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(headers=headers, timeout=120, trust_env=False) as http:
        transport = streamable_http_client(f"{url}/mcp{query}", http_client=http)
        async with Client(transport, mode=mode) as client:
            yield client


async def told(client: Client, tool: str, **arguments: Any) -> Any:
    answer = await client.call_tool(tool, arguments)
    assert not answer.is_error, text_of(answer)
    text = text_of(answer)
    return json.loads(text) if text.startswith("{") else text


async def refused(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    answer = await client.call_tool(tool, arguments)
    assert answer.is_error, text_of(answer)
    problem: dict[str, Any] = answer.structured_content
    assert text_of(answer).startswith(f"{problem['code']}: ")
    return problem


def text_of(answer: CallToolResult) -> str:
    (content,) = answer.content
    assert content.type == "text"
    return content.text


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(settings: Settings, url: str) -> AsyncIterator[dict[str, Any]]:
    async with Api(url, admin(settings)) as chief:
        place = await new_workspace(chief, requests_per_second=10_000, max_body_bytes=64 * 1024)
        key = await key_in(chief, place)
        async with Api(url, key["key"]) as api:
            project = await made(api, "/v1/projects", {"slug": "apollo", "name": "Apollo"})
            yield {"workspace": place, "key": key["key"], "project": project}


@pytest.mark.parametrize("mode", MODES)
async def test_every_tool_is_offered_and_described(url: str, place: dict[str, Any], mode: str) -> None:
    async with a_client(url, place["key"], mode=mode) as client:
        offered = (await client.list_tools()).tools
    assert [tool.name for tool in offered] == list(TOOLS)
    for tool in offered:
        assert tool.description
        assert tool.input_schema["type"] == "object"
        assert tool.input_schema["additionalProperties"] is False


@pytest.mark.parametrize("mode", MODES)
async def test_what_is_remembered_is_found(url: str, place: dict[str, Any], mode: str) -> None:
    async with a_client(url, place["key"], mode=mode, query="?project=apollo") as client:
        kept = await told(
            client, "remember", title=f"Wombats are counted at night: {mode}", type="decision", concepts=["wombats"],
            narrative="By day they sleep, and the counts were wrong.", files_modified=["src/wombats/count.py"],
        )  # fmt: skip
        found = await told(client, "search", query="when do we count wombats?", type="decision")
        assert kept["id"] in [item["id"] for item in found["items"]]
        whole = await told(client, "get_observation", id=kept["id"])
        assert whole["narrative"] == "By day they sleep, and the counts were wrong."
        assert "workspace_id" not in whole
        around = await told(client, "timeline", around=kept["id"])
        assert kept["id"] in [item["id"] for item in around["items"]]
        context = await told(client, "context", task="make the wombat count faster", files=["src/wombats/count.py"])
        assert f"Wombats are counted at night: {mode}" in context
        assert kept["id"] in context
        assert (await told(client, "search", query="wombats", file="count.py", limit=1))["items"]
        assert (await refused(client, "search", query="wombats", project="zeus"))["code"] == "unknown_reference"
        assert (await refused(client, "get_observation", id=str(place["project"]["id"])))["code"] == "not_found"


async def test_an_event_is_recorded_once(url: str, place: dict[str, Any]) -> None:
    async with a_client(url, place["key"], query="?project=apollo") as client:
        event = {"type": "message", "payload": "the <private>secret</private> wombats moved", "event_id": "1"}
        first = await told(client, "record_event", **event)
        for again in (event, event | {"session": "yet another"}):
            assert await told(client, "record_event", **again) == first | {"repeated": True}
        other = await told(client, "record_event", **event | {"event_id": "2", "session": "another"})
        assert other["session"] != first["session"]
        assert (await refused(client, "record_event", **event, project="zeus"))["code"] == "unknown_reference"


async def test_an_agents_life(fleet: Api, url: str, place: dict[str, Any]) -> None:
    async with a_client(url, place["key"], query="?project=apollo") as client:
        agent = await told(
            client, "spawn_agent", title="sing", command=["sh", "-c", "echo la; echo lo; exec sleep 600"]
        )
        listed = await told(client, "list_agents")
        assert agent["id"] in [one["id"] for one in listed["items"]]
        while len((status := await told(client, "agent_status", agent_id=agent["id"], lines=1)).get("output", ())) < 1:
            pass
        assert status["status"] == "running"
        killed = await told(client, "kill_agent", agent_id=agent["id"], grace_seconds=0)
        assert killed["status"] == "killed"
        problem = await refused(client, "kill_agent", agent_id=str(place["project"]["id"]))
        assert problem["code"] == "not_found"
        assert not problem["retryable"]
        assert (await refused(client, "spawn_agent", title="x"))["code"] == "invalid_request"
        assert (await refused(client, "no_such_tool"))["code"] == "not_found"


async def test_a_key_is_offered_what_its_scopes_allow(url: str, place: dict[str, Any], settings: Settings) -> None:
    async with Api(url, admin(settings)) as chief:
        poor = await key_in(chief, place["workspace"], "agents:read", "agents:write")
    async with a_client(url, poor["key"]) as client:
        assert {tool.name for tool in (await client.list_tools()).tools} == {
            "list_agents",
            "agent_status",
            "kill_agent",
        }
        assert (await refused(client, "search", query="x"))["code"] == "missing_scope"
        assert (await refused(client, "spawn_agent", title="x", command=["true"]))["code"] == "missing_scope"
    async with Api(url, admin(settings)) as chief:
        like_an_agents = await key_in(chief, place["workspace"], "tasks:write")
    async with a_client(url, like_an_agents["key"]) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["spawn_agent"]
        assert (await refused(client, "spawn_agent", title="x", command=["true"]))["code"] == "missing_scope"


async def test_what_is_anothers_is_not_there(url: str, place: dict[str, Any], fleet: Api) -> None:
    theirs = await fleet.spawn("sleep", "600")
    project = await made(fleet, "/v1/projects", {"slug": f"theirs-{uuid.uuid4().hex[:8]}", "name": "x"})
    known = await made(fleet, "/v1/observations", {"project": project["slug"], "title": "Their okapis are striped"})
    async with a_client(url, place["key"]) as client:
        assert (await told(client, "search", query="okapis are striped"))["items"] == []
        assert (await refused(client, "search", query="okapis", project=project["id"]))["code"] == "unknown_reference"
        assert (await refused(client, "get_observation", id=known["id"]))["code"] == "not_found"
        assert (await refused(client, "timeline", around=known["id"]))["code"] == "not_found"
        assert (await refused(client, "agent_status", agent_id=theirs["id"]))["code"] == "not_found"
        assert (await refused(client, "kill_agent", agent_id=theirs["id"]))["code"] == "not_found"
    killed = await fleet.post(f"/v1/agents/{theirs['id']}/kill", json={"grace_seconds": 0}, params={"wait": True})
    assert killed.json()["status"] == "killed"


async def test_the_edge_is_before_it(url: str, place: dict[str, Any]) -> None:
    ask = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        is_problem(await client.post("/mcp", json=ask), 401, "unauthorized")
        is_problem(await client.post("/mcp", json=ask, headers={"Authorization": "Bearer mst_x"}), 401, "unauthorized")
        keyed = {"X-API-Key": place["key"]}
        answer = await client.post("/mcp", json=ask, headers=keyed)
        assert answer.status_code == 200
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert len(answer.json()["result"]["tools"]) == len(TOOLS)
        is_problem(
            await client.post("/mcp", json=ask, headers={**keyed, "Host": "evil.example"}), 421, "misdirected_request"
        )
        is_problem(
            await client.post("/mcp", json=ask, headers={**keyed, "Origin": "https://evil.example"}), 403, "forbidden"
        )
        is_problem(await client.get("/mcp", headers=keyed), 405, "method_not_allowed")
        large = {**ask, "params": {"x": "x" * 100_000}}
        is_problem(await client.post("/mcp", json=large, headers=keyed), 413, "body_too_large")
        for junk in (b"{", b"[]", b"null", b'{"jsonrpc":"2.0"}', b"\xff", b"[" * 50_000, b'{"a":' * 10_000):
            answer = await client.post("/mcp", content=junk, headers={**keyed, "Content-Type": "application/json"})
            assert 400 <= answer.status_code < 500, (junk[:20], answer.text)


async def test_the_command_offers_the_same(url: str, place: dict[str, Any], settings: Settings) -> None:
    from mcp import Client, StdioServerParameters
    from mcp.client.stdio import stdio_client

    env = environment(settings) | {"MUSTER_URL": url, "MUSTER_API_KEY": place["key"]}
    command = ["-m", "muster.cli", "mcp", "--project", "apollo"]
    server = StdioServerParameters(command=sys.executable, args=command, env=env)
    async with Client(stdio_client(server)) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == list(TOOLS)
        assert (await refused(client, "agent_status", agent_id=place["project"]["id"]))["code"] == "not_found"
        assert "items" in await told(client, "list_agents")
    wrong = await asyncio.create_subprocess_exec(
        sys.executable, *command, env=env | {"MUSTER_API_KEY": place["key"][:-1] + "_"}, stderr=PIPE, stdin=PIPE
    )
    _, said = await wrong.communicate()
    assert wrong.returncode == 1
    assert b"MUSTER_API_KEY" in said
