"""Two tenants on one Muster: whatever one asks with the other's ids is not there, and nothing changes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from api import limits
from muster.settings import Settings
from tests.api.conftest import ROOT, Api, admin, eventually, is_problem
from tests.api.people import ALL, inside, key_in, made, new_workspace

COMMAND = {"kind": "command", "argv": ["sleep", "600"]}
DOCUMENT = json.loads((ROOT / "openapi.json").read_text())
"""As the routes make it, which `tests/checks/test_openapi.py` sees to: to make it takes each process of a run half a
second."""
OPERATIONS = {
    operation["operationId"]: (method.upper(), path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
KEYED = sorted(name for name, (_, _, operation) in OPERATIONS.items() if operation["x-muster-needs"] != "open")


@dataclass
class Tenant:
    """A workspace with something in it, and a key that may do everything there."""

    workspace: dict[str, Any]
    api: Api
    key: dict[str, Any]
    mark: str
    """In every text of it."""
    project: dict[str, Any]
    waiting: dict[str, Any]
    failed: dict[str, Any]
    agent: dict[str, Any]
    spare: dict[str, Any]
    """A key nobody uses."""
    remembered: dict[str, str]
    """Of its project's memory: ids by kind."""
    eyes: Eyes

    @property
    def ids(self) -> list[str]:
        return [
            self.workspace["id"], self.workspace["owner_id"], self.key["id"], self.spare["id"], self.project["id"],
            self.waiting["id"], self.failed["id"], self.agent["id"], self.agent["task_id"], *self.remembered.values(),
        ]  # fmt: skip

    def names(self, operation: str) -> dict[str, str]:
        """What the parameters of a path are, when they are about this tenant."""
        return {
            "agent_id": self.agent["id"],
            "task_id": self.failed["id"] if operation == "retry_task" else self.waiting["id"],
            "project": self.project["id"],
            "workspace": self.workspace["id"],
            "key_id": self.spare["id"],
            "user_id": self.workspace["owner_id"],
            "session_id": self.remembered["session"],
            "event_id": self.remembered["event"],
            "observation_id": self.remembered["observation"],
            "job": self.remembered["job"],
            "kind": "event",
        }


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def tenants(settings: Settings, url: str, worker: None) -> AsyncIterator[tuple[Tenant, Tenant]]:
    async with AsyncExitStack() as stack:
        chief = await stack.enter_async_context(Api(url, admin(settings)))
        yield await a_tenant(stack, chief, settings, url), await a_tenant(stack, chief, settings, url)


async def a_tenant(stack: AsyncExitStack, chief: Api, settings: Settings, url: str) -> Tenant:
    workspace = await new_workspace(chief, max_concurrent_agents=2, requests_per_second=10_000)
    key, spare = await key_in(chief, workspace), await key_in(chief, workspace)
    api = await stack.enter_async_context(Api(url, key["key"]))
    stack.push_async_callback(api.post, "/v1/agents/kill-all", json={"grace_seconds": 0}, params={"wait": True})
    mark = f"only-of-{uuid.uuid4().hex[:12]}"
    project = await made(api, "/v1/projects", {"slug": mark, "name": mark})
    agent = await api.spawn(*COMMAND["argv"], title=mark, project=mark)
    failed = await api.new_task("sh", "-c", f"echo {mark}; exit 1", title=mark)
    await api.when(f"/v1/tasks/{failed['id']}", "failed")
    waiting = await api.new_task("true", title=mark, depends_on=[agent["task_id"]])
    await api.when(f"/v1/agents/{agent['id']}", "running")
    remembered = await a_memory(api, mark)
    assert settings.database_owner_url
    connection = await psycopg.AsyncConnection.connect(
        settings.database_owner_url.get_secret_value(), autocommit=True
    )  # fmt: skip
    eyes = Eyes(await stack.enter_async_context(connection), workspace["id"])
    await eyes.open()
    return Tenant(workspace, api, key, mark, project, waiting, failed, agent, spare, remembered, eyes)


async def a_memory(api: Api, mark: str) -> dict[str, str]:
    """A session, an event in it, what was made of that, and the job that made it."""
    session, event = str(uuid.uuid4()), str(uuid.uuid4())
    at = datetime.now(UTC).isoformat()
    lines = [
        {"kind": "session", "id": session, "title": mark, "started_at": at},
        {"kind": "event", "id": event, "session": session, "type": "message", "adapter": "test", "occurred_at": at,
         "payload": {"role": "user", "text": f"We decided that {mark} is the mark."}, "pending": True},
        {"kind": "observation", "id": str(uuid.uuid4()), "session": session, "type": "discovery", "title": mark,
         "occurred_at": at, "sources": [event]},
    ]  # fmt: skip
    content = "\n".join(map(json.dumps, lines)).encode()
    answer = await api.post("/v1/memory/import", params={"project": mark}, content=content)
    assert answer.status_code == 200, answer.text
    told = (await api.get("/v1/memory/export", params={"project": mark})).text.splitlines()
    found = {line["kind"]: line["id"] for line in map(json.loads, told) if "id" in line and mark in str(line)}

    async def worked_on() -> str:
        (job,) = [one for one in (await api.get("/v1/jobs")).json()["items"] if one["source_type"] == "import"]
        assert job["status"] == "completed", job
        return str(job["id"])

    return found | {"job": await eventually(worked_on, 30)}


EVENT = {
    "project": "mine", "session": str(uuid.uuid4()), "type": "message", "source": {"adapter": "test"},
    "occurred_at": "2026-11-21T12:00:00Z", "payload": {"text": "x"},
}  # fmt: skip
UNNAMED = {"list_agent_events", "export_memory", "get_vectors", "search_memory_by_url"}
"""Asked without saying of what: these are refused once they have let in whoever asks."""
BODIES: dict[str, Any] = {
    "spawn_agent": {"task": {"title": "x", "runner": {"kind": "command", "argv": ["true"]}}},
    "kill_agent": {"grace_seconds": 0},
    "create_task": {"title": "x", "runner": {"kind": "command", "argv": ["true"]}},
    "update_project": {"name": "taken over"},
    "create_project": {"slug": "x-y-z", "name": "x"},
    "create_key": {"name": "x", "scopes": ["tasks:read"]},
    "create_workspace": {"slug": "mine-all-mine", "name": "x"},
    "update_workspace": {"name": "taken over"},
    "create_user": {"email": "x@example.org", "name": "x"},
    "add_member": {"email": "x@example.org", "role": "owner"},
    "update_member": {"role": "viewer"},
    "update_user": {"name": "taken over"},
    "stop_workspace": {"grace_seconds": 0},
    "decode_payloads": {"payloads": []},
    "encode_payloads": {"payloads": []},
    "start_session": {"project": "mine"},
    "record_event": EVENT,
    "record_events": [EVENT],
    "update_memory_settings": {"batch_events": 7},
    "requeue_jobs": {},
    "reindex_memory": {"project": "mine", "model": "another-model"},
    "create_observation": {"project": "mine", "title": "x"},
    "update_observation": {"title": "taken over"},
    "search_memory": {"query": "only"},
    "memory_context": {"project": "mine", "task": "x"},
    "import_memory": {"kind": "muster-memory", "version": 1},
    "claude_mem_start_session": {"projectId": "hooked"},
    "claude_mem_record_event": {"projectId": "hooked", "eventType": "message", "occurredAtEpoch": 1},
    "claude_mem_record_events": [{"projectId": "hooked", "eventType": "message", "occurredAtEpoch": 1}],
    "claude_mem_remember": {"projectId": "hooked", "content": "x"},
    "claude_mem_search": {"projectId": "hooked", "query": "x"},
    "claude_mem_context": {"projectId": "hooked", "query": "x"},
}


def request(operation: str, about: Tenant) -> tuple[str, str, dict[str, Any]]:
    method, path, found = OPERATIONS[operation]
    body = BODIES.get(operation)
    assert body is not None or not found.get("requestBody", {}).get("required"), f"say here what {operation} is sent"
    return method, path.format(**about.names(operation)), {"json": body} if body is not None else {}


class Eyes:
    """Of somebody who sees all rows of a workspace, over one connection: a new one learns each table anew."""

    def __init__(self, connection: psycopg.AsyncConnection[Any], workspace: str) -> None:
        self._connection, self._workspace = connection, workspace
        self._all = b""

    async def open(self) -> None:
        # Not even the owner sees past row-level security.
        await self._connection.execute("SELECT set_config('app.current_workspace_id', %s, false)", (self._workspace,))
        found = await self._connection.execute(
            "SELECT table_name FROM information_schema.columns WHERE column_name = 'workspace_id' "
            "AND table_schema = 'public' ORDER BY 1"
        )
        columns = {table: "workspace_id" for (table,) in await found.fetchall()} | {"workspaces": "id"}
        assert len(columns) > 13
        self._all = (
            " UNION ALL ".join(
                f"SELECT '{table}', (to_jsonb(t) - 'last_used_at' - 'published')::text FROM {table} t "
                f"WHERE {column} = %(workspace)s"
                for table, column in columns.items()
            ).encode()
            + b" ORDER BY 1, 2"
        )

    async def snapshot(self) -> str:
        """A digest of every row of the workspace, but for what its own use of it changes."""
        rows = await (await self._connection.execute(self._all, {"workspace": self._workspace})).fetchall()
        return hashlib.sha256(str(rows).encode()).hexdigest()


# A lane is one's own, whatever its kind.
ABOUT_SOMETHING = sorted(name for name, (_, path, _) in OPERATIONS.items() if "{" in path.replace("{kind}", ""))


@pytest.mark.parametrize("operation", ABOUT_SOMETHING)
async def test_what_is_anothers_is_not_there(operation: str, tenants: tuple[Tenant, Tenant]) -> None:
    ours, theirs = tenants
    before = await theirs.eyes.snapshot()
    method, path, options = request(operation, theirs)
    for headers in ({}, {"Accept": "text/event-stream"}):
        answer = await ours.api.request(method, path, headers=headers, **options)
        if OPERATIONS[operation][2]["x-muster-needs"] == "administrator":
            is_problem(answer, 403, "forbidden")
        else:
            is_problem(answer, 404, "not_found")
        assert theirs.mark not in answer.text
    assert await theirs.eyes.snapshot() == before


@pytest.mark.parametrize("operation", sorted(set(KEYED) - set(ABOUT_SOMETHING)))
async def test_no_list_and_no_creation_shows_or_changes_anothers(
    operation: str, tenants: tuple[Tenant, Tenant]
) -> None:
    ours, theirs = tenants
    before = await theirs.eyes.snapshot()
    method, path, options = request(operation, theirs)
    if operation == "kill_all_agents":
        return  # what it ends is in test_stop and below
    answer = await ours.api.request(method, path, **options)
    assert answer.status_code < 500
    shown = [theirs.mark, *theirs.ids]
    assert not [one for one in shown if one in answer.text]
    named = [parameter["name"] for parameter in OPERATIONS[operation][2].get("parameters", ())]
    for name, value in {
        "task": theirs.waiting["id"],
        "agent": theirs.agent["id"],
        "project": theirs.mark,
        "parent": theirs.agent["task_id"],
        "entity": theirs.waiting["id"],
        "user": theirs.workspace["owner_id"],
        "key": theirs.key["id"],
    }.items():
        if name in named:
            answer = await ours.api.request(method, path, params={name: value}, **options)
            assert answer.status_code in {404, 422} or answer.json()["items"] == [], answer.text
            assert theirs.mark not in answer.text.replace(f"project {theirs.mark}", "")  # what was asked for, repeated
    assert await theirs.eyes.snapshot() == before


async def test_what_refers_to_anothers_is_refused(tenants: tuple[Tenant, Tenant]) -> None:
    ours, theirs = tenants
    before = await theirs.eyes.snapshot()
    runner = {"kind": "command", "argv": ["true"]}
    for status, path, body in (
        (422, "/v1/tasks", {"title": "x", "runner": runner, "parent_id": theirs.agent["task_id"]}),
        (422, "/v1/tasks", {"title": "x", "runner": runner, "depends_on": [theirs.waiting["id"]]}),
        (422, "/v1/tasks", {"title": "x", "runner": runner, "project": theirs.project["id"]}),
        (422, "/v1/agents", {"task": {"title": "x", "runner": runner, "project": theirs.mark}}),
        (404, "/v1/agents", {"task_id": theirs.waiting["id"]}),
        (422, "/v1/keys", {"name": "x", "scopes": ["tasks:read"], "project_id": theirs.project["id"]}),
        (403, "/v1/keys", {"name": "x", "scopes": ["tasks:read"], "workspace_id": theirs.workspace["id"]}),
        (403, "/v1/keys", {"name": "x", "scopes": ["tasks:read"], "user_id": theirs.workspace["owner_id"]}),
    ):
        answer = await ours.api.post(path, json=body)
        assert answer.status_code == status, (path, body, answer.text)
    for named in (theirs.workspace["slug"], ""):
        answer = await ours.api.get("/v1/tasks", headers={"Muster-Workspace": named})
        is_problem(answer, 403, "forbidden")
    assert await theirs.eyes.snapshot() == before


async def test_a_stream_carries_nothing_of_anothers(tenants: tuple[Tenant, Tenant]) -> None:
    ours, theirs = tenants
    async with ours.api.follow("/v1/events") as stream, theirs.api.follow("/v1/events") as heard:
        task = await theirs.api.new_task("true", title=theirs.mark)
        await heard.until(lambda event: event.type == "task.completed" and event.data["task_id"] == task["id"])
        mine = await ours.api.new_task("true", title=ours.mark)
        await stream.until(lambda event: event.type == "task.completed" and event.data["task_id"] == mine["id"])
        assert {event.data["workspace_id"] for event in stream.events} == {ours.workspace["id"]}
        assert {event.data["workspace_id"] for event in heard.events} == {theirs.workspace["id"]}


async def test_an_answer_is_not_replayed_to_another(tenants: tuple[Tenant, Tenant]) -> None:
    ours, theirs = tenants
    headers = {"Idempotency-Key": f"shared-{uuid.uuid4()}"}
    body = {"title": "x", "runner": {"kind": "command", "argv": ["true"]}}
    one = await ours.api.post("/v1/tasks", json=body, headers=headers)
    other = await theirs.api.post("/v1/tasks", json=body, headers=headers)
    assert one.status_code == other.status_code == 201
    assert one.json()["id"] != other.json()["id"]
    assert "idempotent-replayed" not in other.headers


async def test_killing_all_ends_nobody_elses(tenants: tuple[Tenant, Tenant]) -> None:
    ours, theirs = tenants
    mine = await ours.api.spawn("sleep", "600")
    answer = await ours.api.post("/v1/agents/kill-all", json={"grace_seconds": 0}, params={"wait": True})
    assert answer.status_code == 200, answer.text
    assert (await ours.api.get(f"/v1/agents/{mine['id']}")).json()["status"] == "killed"
    assert (await theirs.api.get(f"/v1/agents/{theirs.agent['id']}")).json()["status"] == "running"


# -- Keys that open nothing, or not this ------------------------------------------------------------------------------


@pytest.fixture(scope="module", autouse=True)
def many_wrong_keys() -> Iterator[None]:
    """As many as these tests send would have the address refused, and with it the next test's new key."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "WRONG_KEYS_PER_SECOND", 1_000_000)
        yield


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def useless(tenants: tuple[Tenant, Tenant], settings: Settings, url: str) -> dict[str, str | None]:
    """Keys that open nothing."""
    ours, _ = tenants
    async with Api(url, admin(settings)) as chief:
        revoked = await key_in(chief, ours.workspace)
        assert (await chief.delete(f"/v1/keys/{revoked['id']}", headers=inside(ours.workspace))).status_code == 204
        soon = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
        expired = await key_in(chief, ours.workspace, expires_at=soon)
    ended = await ours.api.new_task("sh", "-c", 'echo "{\\"key\\": \\"$MUSTER_API_KEY\\"}"')
    task = await ours.api.when(f"/v1/tasks/{ended['id']}", "completed")
    await asyncio.sleep(2.0)
    right, agents = ours.key["key"], task["result"]["key"]
    return {
        "none": None,
        "revoked": revoked["key"],
        "expired": expired["key"],
        "wrong secret": right[:-4] + ("AAAA" if right[-4:] != "AAAA" else "BBBB"),
        "unknown": f"mst_{uuid.uuid4().hex}_{'a' * 43}",
        "an agent's that has ended": agents,
        "not a key": "Bearer",
    }


@pytest.mark.parametrize("operation", KEYED)
async def test_without_a_key_that_works_nothing_answers(
    operation: str, tenants: tuple[Tenant, Tenant], useless: dict[str, str | None], url: str
) -> None:
    ours, _ = tenants
    method, path, options = request(operation, ours)
    async with Api(url, None) as client:
        for name, key in useless.items():
            header = "X-API-Key" if name == "unknown" else "Authorization"
            headers = {header: f"Bearer {key}" if header == "Authorization" else key} if key else {}
            answer = await client.request(method, path, headers=headers, **options)
            assert answer.status_code == 401, (name, answer.text)
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert ours.mark not in answer.text
        # Not even what is wrong with a body is told.
        answer = await client.request(method, path, content=b"{", headers={"Content-Type": "application/json"})
        assert answer.status_code == 401


@pytest.mark.parametrize("operation", KEYED)
async def test_a_scope_opens_what_needs_it_and_nothing_else(
    operation: str, tenants: tuple[Tenant, Tenant], settings: Settings, url: str
) -> None:
    ours, _ = tenants
    method, path, options = request(operation, ours)
    needed = OPERATIONS[operation][2]["x-muster-needs"]
    others = [scope for scope in ALL if scope != needed]
    async with Api(url, admin(settings)) as chief:
        poor = await key_in(chief, ours.workspace, *others)
    async with Api(url, poor["key"]) as api:
        if needed == "any":
            assert (await api.request(method, path, **options)).status_code == 200
        else:
            problem = is_problem(
                await api.request(method, path, **options),
                403,
                "forbidden" if needed == "administrator" else "missing_scope",
            )
            assert needed == "administrator" or problem["scope"] == needed
    if method == "GET" and needed in ALL:
        async with Api(url, admin(settings)) as chief:
            just = await key_in(chief, ours.workspace, needed)
        async with Api(url, just["key"]) as api:
            answer = await api.request(method, path, **options)
        told = {200, 404} if operation not in UNNAMED else {422}
        assert answer.status_code in told, answer.text


# -- Inside a workspace -----------------------------------------------------------------------------------------------


async def test_a_key_of_a_project_reaches_that_project(
    tenants: tuple[Tenant, Tenant], settings: Settings, url: str
) -> None:
    ours, _ = tenants
    slug = f"other-{uuid.uuid4().hex[:8]}"
    other = await made(ours.api, "/v1/projects", {"slug": slug, "name": slug})
    async with Api(url, admin(settings)) as chief:
        key = await key_in(chief, ours.workspace, project_id=other["id"])
    async with Api(url, key["key"]) as api, api.follow("/v1/events") as stream:
        for operation in sorted({"get_task", "get_agent", "get_agent_output", "get_project", "cancel_task",
                                 "retry_task", "kill_agent", "update_project"}):  # fmt: skip
            method, path, options = request(operation, ours)
            is_problem(await api.request(method, path, **options), 404, "not_found")
        for path in ("/v1/tasks", "/v1/agents"):
            assert (await api.get(path)).json()["items"] == []
        assert [one["id"] for one in (await api.get("/v1/projects")).json()["items"]] == [other["id"]]
        for method, path, body in (
            ("POST", "/v1/projects", {"slug": "another", "name": "x"}),
            ("DELETE", f"/v1/projects/{other['id']}", None),
            ("POST", "/v1/keys", {"name": "x", "scopes": ["tasks:read"]}),
            ("GET", "/v1/keys", None),
            ("GET", "/v1/members", None),
            ("GET", "/v1/activity", None),
            ("POST", f"/v1/workspaces/{ours.workspace['id']}/stop", {}),
            ("PATCH", f"/v1/workspaces/{ours.workspace['id']}", {"name": "x"}),
            ("POST", "/v1/agents/kill-all", {}),
        ):
            answer = await api.request(method, path, **({"json": body} if body is not None else {}))
            assert answer.status_code == 403, (path, answer.text)
        # What it makes is in its project, whether it says so or not; and it sees what happens there.
        await ours.api.new_task("true", title=ours.mark)
        mine = await api.new_task("true")
        assert mine["project_id"] == other["id"]
        await stream.until(lambda event: event.type == "task.completed" and event.data["task_id"] == mine["id"])
        assert {event.data["task_id"] for event in stream.events} == {mine["id"]}
        assert {event["task_id"] for event in (await api.get("/v1/events")).json()["items"]} == {mine["id"]}
        runner = {"kind": "command", "argv": ["true"]}
        for refers in (
            {"parent_id": ours.agent["task_id"]},
            {"depends_on": [ours.waiting["id"]]},
            {"project": ours.mark},
        ):
            answer = await api.post("/v1/tasks", json={"title": "x", "runner": runner, **refers})
            is_problem(answer, 422, "unknown_reference")


async def an_agent(ours: Tenant, **task: str) -> tuple[dict[str, Any], str]:
    """With its token."""
    script = 'echo "{\\"key\\": \\"$MUSTER_API_KEY\\"}"; exec sleep 600'
    runner = {"kind": "command", "argv": ["sh", "-c", script]}
    agent = await made(ours.api, "/v1/agents", {"task": {"title": "mother", "runner": runner, **task}})

    async def told() -> str:
        lines = (await ours.api.get(f"/v1/agents/{agent['id']}/output")).json()["items"]
        assert lines
        return str(lines[0]["text"]).split('"')[3]

    return agent, await eventually(told)


async def test_an_agent_changes_nothing_about_its_project(tenants: tuple[Tenant, Tenant], url: str) -> None:
    ours, _ = tenants
    agent, key = await an_agent(ours, project=ours.mark)
    try:
        async with Api(url, key) as api:
            for operation in ("get_project", "get_job", "get_memory_settings"):
                method, path, _ = request(operation, ours)
                assert (await api.request(method, path)).status_code == 200, operation
            before = await ours.eyes.snapshot()
            for operation in (
                "update_project", "delete_project", "cancel_job", "retry_job", "requeue_jobs",
                "update_memory_settings", "forget_session",
            ):  # fmt: skip
                method, path, options = request(operation, ours)
                is_problem(await api.request(method, path, **options), 403, "forbidden")
            answer = await api.patch(f"/v1/projects/{ours.mark}", json={"status": "archived"})
            is_problem(answer, 403, "forbidden")
            assert await ours.eyes.snapshot() == before
    finally:
        await ours.api.post(f"/v1/agents/{agent['id']}/kill", json={"grace_seconds": 0}, params={"wait": True})


async def test_an_agent_reaches_its_task_and_its_project(tenants: tuple[Tenant, Tenant], url: str) -> None:
    ours, _ = tenants
    agent, key = await an_agent(ours)
    async with Api(url, key) as api:
        assert (await api.get(f"/v1/tasks/{agent['task_id']}")).json()["id"] == agent["task_id"]
        assert [one["id"] for one in (await api.get("/v1/tasks")).json()["items"]] == [agent["task_id"]]
        is_problem(await api.get(f"/v1/tasks/{ours.waiting['id']}"), 404, "not_found")
        is_problem(await api.get(f"/v1/agents/{ours.agent['id']}"), 404, "not_found")
        assert (await api.get("/v1/projects")).json()["items"] == []
        for path in ("/v1/keys", "/v1/activity", "/v1/members"):
            is_problem(await api.get(path), 403, "missing_scope")
        is_problem(await api.post(f"/v1/agents/{agent['id']}/kill", json={}), 403, "missing_scope")
        is_problem(await api.post(f"/v1/tasks/{agent['task_id']}/cancel", json={}), 403, "forbidden")
        # It may hand out work of its own, and take it back.
        child = await api.new_task("sleep", "600")
        assert child["parent_id"] == agent["task_id"]
        assert (await api.get(f"/v1/tasks/{child['id']}")).status_code == 200
        assert (await api.post(f"/v1/tasks/{child['id']}/cancel", json={})).status_code == 202
        answer = await api.post("/v1/tasks", json={"title": "x", "parent_id": ours.agent["task_id"]})
        is_problem(answer, 403, "forbidden")
        killed = await ours.api.post(f"/v1/agents/{agent['id']}/kill", json={"grace_seconds": 0}, params={"wait": True})
        assert killed.json()["status"] == "killed", killed.text
        began = asyncio.get_running_loop().time()

        async def dead() -> None:
            assert (await api.get(f"/v1/tasks/{agent['task_id']}")).status_code == 401

        await eventually(dead, 3)
        assert asyncio.get_running_loop().time() - began < 2.5
