"""Forgetting, export and import as people ask for them."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio
from temporalio.client import Client

from muster.settings import Settings
from muster.temporal import connection
from tests.api.conftest import Api, admin, eventually, is_problem
from tests.api.people import key_in, made, new_workspace


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def workspace(settings: Settings, url: str) -> dict[str, Any]:
    async with Api(url, admin(settings)) as chief:
        return await new_workspace(chief, requests_per_second=10_000)


@pytest_asyncio.fixture(loop_scope="session")
async def own(settings: Settings, url: str, workspace: dict[str, Any]) -> AsyncIterator[Api]:
    async with a_key(settings, url, workspace) as api:
        yield api


@asynccontextmanager
async def a_key(
    settings: Settings, url: str, workspace: dict[str, Any], *scopes: str, **more: Any
) -> AsyncIterator[Api]:
    async with Api(url, admin(settings)) as chief:
        key = await key_in(chief, workspace, *scopes, **more)
    async with Api(url, key["key"]) as api:
        yield api


async def a_project(api: Api) -> str:
    slug = f"p-{uuid.uuid4().hex[:12]}"
    await made(api, "/v1/projects", {"slug": slug, "name": slug})
    return slug


def archive(*texts: str, days: float = 0, importance: float = 0.5, **session: Any) -> bytes:
    """Of each text a session, an event and an observation."""
    at = (datetime.now(UTC) - timedelta(days=days)).isoformat()
    lines: list[dict[str, Any]] = [{"kind": "muster-memory", "version": 1}]
    sessions, events = {text: str(uuid.uuid4()) for text in texts}, {text: str(uuid.uuid4()) for text in texts}
    lines += [{"kind": "session", "id": sessions[text], "started_at": at, "title": text, **session} for text in texts]
    lines += [
        {"kind": "event", "id": events[text], "session": sessions[text], "type": "message", "adapter": "test",
         "occurred_at": at, "payload": {"said": text}}
        for text in texts
    ]  # fmt: skip
    lines += [
        {"kind": "observation", "id": str(uuid.uuid4()), "session": sessions[text], "type": "discovery", "title": text,
         "generator": "rules/1", "occurred_at": at, "sources": [events[text]], "importance": importance}
        for text in texts
    ]  # fmt: skip
    lines.append({"kind": "end", "sessions": len(texts), "events": len(texts), "observations": len(texts)})
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


async def brought(api: Api, project: str, content: bytes) -> dict[str, Any]:
    answer = await api.post("/v1/memory/import", params={"project": project}, content=content)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def exported(api: Api, project: str) -> list[dict[str, Any]]:
    answer = await api.get("/v1/memory/export", params={"project": project})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


async def ids(api: Api, project: str, kind: str) -> dict[str, str]:
    """By title."""
    return {line["title"]: line["id"] for line in await exported(api, project) if line["kind"] == kind}


def went(answer: httpx.Response) -> dict[str, int]:
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["complete"]
    return {table: count for table, count in found["deleted"].items() if count}


async def test_an_observation_a_session_and_a_project(own: Api) -> None:
    project = await a_project(own)
    await brought(own, project, archive("first", "second", "third"))
    told = await ids(own, project, "observation")
    answers = await asyncio.gather(*(own.delete(f"/v1/observations/{told['first']}") for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 404, 404, 404]
    gone = went(next(answer for answer in answers if answer.status_code == 200))
    assert gone.items() >= {"observations": 1, "agent_events": 1, "observation_words": 1}.items()
    is_problem(await own.delete(f"/v1/observations/{told['first']}"), 404, "not_found")
    session = (await ids(own, project, "session"))["second"]
    gone = went(await own.delete(f"/v1/sessions/{session}"))
    assert gone.items() >= {"memory_sessions": 1, "observations": 1, "agent_events": 1}.items()
    is_problem(await own.delete(f"/v1/sessions/{session}"), 404, "not_found")
    assert set(await ids(own, project, "observation")) == {"third"}
    gone = went(await own.delete(f"/v1/projects/{project}/memory"))
    assert gone.items() >= {"memory_sessions": 2, "observations": 1}.items()
    assert went(await own.delete(f"/v1/projects/{project}/memory")) == {}
    assert [line["kind"] for line in await exported(own, project)] == ["muster-memory", "end"]
    done = [one["action"] for one in (await own.get("/v1/activity")).json()["items"]]
    assert done.count("project_memory_forgotten") == 1
    assert {"observation_forgotten", "session_forgotten", "memory_exported", "memory_imported"} <= set(done)


async def test_an_agents_and_a_tasks_memory(fleet: Api) -> None:
    project = await a_project(fleet)
    agent = await fleet.spawn("true", project=project)
    await fleet.when(f"/v1/tasks/{agent['task_id']}", "completed")
    for kind, path in (("agent_id", f"/v1/agents/{agent['id']}"), ("task_id", f"/v1/tasks/{agent['task_id']}")):
        of = agent["id"] if kind == "agent_id" else agent["task_id"]
        await brought(fleet, project, archive("theirs", **{kind: of}))
        await brought(fleet, project, archive("another's"))
        assert went(await fleet.delete(f"{path}/memory"))["observations"] >= 1
        assert went(await fleet.delete(f"{path}/memory")) == {}
        assert "theirs" not in await ids(fleet, project, "observation")
        assert (await fleet.get(path)).status_code == 200
    assert "another's" in await ids(fleet, project, "observation")
    for path in ("agents", "tasks"):
        is_problem(await fleet.delete(f"/v1/{path}/{uuid.uuid4()}/memory"), 404, "not_found")


async def test_a_project_goes_with_its_memory_and_not_with_its_tasks(own: Api, worker: None) -> None:
    project, busy = await a_project(own), await a_project(own)
    for name in (project, busy):
        await brought(own, name, archive("told"))
    await own.new_task("true", project=busy)
    is_problem(await own.delete(f"/v1/projects/{busy}"), 409, "project_not_empty")
    assert set(await ids(own, busy, "observation")) == {"told"}, "refused, so nothing of it is gone"
    assert went(await own.delete(f"/v1/projects/{project}"))["observations"] == 1
    is_problem(await own.get(f"/v1/projects/{project}"), 404, "not_found")
    assert (await own.delete(f"/v1/projects/{await a_project(own)}")).status_code == 204


async def test_what_is_exported_comes_back(own: Api) -> None:
    project, other = await a_project(own), await a_project(own)
    texts = [f"the pelican of {number}" for number in range(120)]
    first = await brought(own, project, archive(*texts))
    assert first["added"] == {"sessions": 120, "events": 120, "observations": 120}
    assert first["whole"]
    lines = await exported(own, project)
    content = "\n".join(map(json.dumps, lines)).encode()
    assert (await brought(own, project, content))["added"] == {"sessions": 0, "events": 0, "observations": 0}
    went(await own.delete(f"/v1/projects/{project}/memory"))
    assert (await brought(own, project, content))["added"]["observations"] == 120
    assert (await brought(own, other, content))["added"]["observations"] == 120
    for place in (project, other):
        assert set(await ids(own, place, "observation")) == set(texts)
    before = {line["id"] for line in lines if "id" in line}
    assert not before & {line.get("id") for line in await exported(own, other)}


async def test_an_archive_may_be_larger_than_a_body(own: Api, settings: Settings) -> None:
    project = await a_project(own)
    text = "x" * 200_000
    many = settings.max_body_bytes // len(text) + 3
    lines = archive(*(f"{number}" for number in range(many))).splitlines()
    big = [
        json.dumps({**json.loads(line), "payload": {"said": text}}).encode() if b'"event"' in line else line
        for line in lines
    ]
    content = b"\n".join(big)
    assert len(content) > settings.max_body_bytes
    assert (await brought(own, project, content))["added"]["events"] == many

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(content), 1_000_003):
            yield content[at : at + 1_000_003]

    answer = await own.post("/v1/memory/import", params={"project": project}, content=pieces())
    assert answer.json()["known"]["events"] == many, answer.text


async def test_an_archive_has_no_size(own: Api) -> None:
    """Only what wraps a body is limited on the wire: here lines of nothing, more than anything else may send."""
    project = await a_project(own)
    lines = archive("told").splitlines()
    content = b"\n".join([lines[0], *[b" " * 100_000] * 400, *lines[1:]])
    assert (await brought(own, project, content))["added"]["observations"] == 1


async def test_a_mistake_is_named_by_its_line(own: Api) -> None:
    project = await a_project(own)
    content = archive("told").replace(b'"kind": "observation"', b'"kind": "opinion"')
    answer = await own.post("/v1/memory/import", params={"project": project}, content=content)
    problem = is_problem(answer, 422, "bad_archive")
    assert problem["line"] == 4
    assert problem["detail"].startswith("line 4: ")
    assert problem["added"] == {"sessions": 0, "events": 0, "observations": 0}, "all of a chunk, or nothing"
    is_problem(await own.post("/v1/memory/import", content=b""), 422, "invalid_request")
    is_problem(await own.get("/v1/memory/export", params={"project": "nobodys"}), 404, "not_found")


async def test_age_and_importance_decide(own: Api) -> None:
    project = await a_project(own)
    settings = json.dumps({"kind": "settings", "settings": {"retain_days": 30, "retain_importance": 0.6}}).encode()
    await brought(own, project, settings)
    await brought(own, project, archive("old", days=50))
    await brought(own, project, archive("old and important", days=50, importance=0.9))
    await brought(own, project, archive("young", days=5))
    answer = await own.post("/v1/memory/retention/run")
    assert went(answer)["observations"] == 1
    assert answer.json()["projects"] == 1
    assert set(await ids(own, project, "observation")) == {"old and important", "young"}
    assert went(await own.post("/v1/memory/retention/run", params={"project": project})) == {}


async def test_it_goes_by_itself_once_a_day(own: Api, settings: Settings, worker: None) -> None:
    project = await a_project(own)
    await brought(own, project, json.dumps({"kind": "settings", "settings": {"retain_days": 30}}).encode())
    await brought(own, project, archive("old", days=50))
    await brought(own, project, archive("young"))
    schedule = (await Client.connect(**connection(settings))).get_schedule_handle("memory-retention")
    (every,) = (await schedule.describe()).schedule.spec.intervals
    assert every.every == timedelta(days=1)
    await schedule.trigger()

    async def gone() -> None:
        assert set(await ids(own, project, "observation")) == {"young"}

    await eventually(gone)


async def test_who_may_forget(own: Api, settings: Settings, url: str, workspace: dict[str, Any]) -> None:
    project, other = await a_project(own), await a_project(own)
    for name in (project, other):
        await brought(own, name, archive("told"))
    bound = (await own.get(f"/v1/projects/{project}")).json()["id"]
    theirs = (await ids(own, other, "session"))["told"]
    async with a_key(settings, url, workspace, project_id=bound) as narrow:
        is_problem(await narrow.delete(f"/v1/sessions/{theirs}"), 404, "not_found")
        is_problem(await narrow.delete(f"/v1/projects/{other}/memory"), 404, "not_found")
        is_problem(await narrow.get("/v1/memory/export", params={"project": other}), 404, "not_found")
        assert (await narrow.post("/v1/memory/retention/run")).status_code == 403
        mine = [json.loads(line) for line in (await narrow.get("/v1/memory/export")).text.splitlines()]
        assert [line["title"] for line in mine if line["kind"] == "observation"] == ["told"]
        assert (await narrow.post("/v1/memory/import", content=archive("more"))).json()["added"]["events"] == 1
    async with a_key(settings, url, workspace, "memory:write", "tasks:write") as writer:
        is_problem(await writer.delete(f"/v1/projects/{project}/memory"), 403, "missing_scope")
        is_problem(await writer.delete(f"/v1/projects/{project}"), 403, "missing_scope")
    assert set(await ids(own, other, "observation")) == {"told"}


@pytest.mark.parametrize("content", [b"\x00", b"\xff\xfe", b"[" * 10_000, b"{}\n" * 3, b'"' * 3_000_000])
async def test_what_is_no_archive_is_refused(own: Api, content: bytes) -> None:
    project = await a_project(own)
    answer = await own.post("/v1/memory/import", params={"project": project}, content=content)
    is_problem(answer, 422, "bad_archive")


async def test_an_agent_forgets_single_observations_only(own: Api, worker: None, url: str) -> None:
    """What it is told to do may come from anybody, and others' memory is not its to undo."""
    project = await a_project(own)
    await brought(own, project, archive("first", "second"))
    script = 'echo "{\\"key\\": \\"$MUSTER_API_KEY\\"}"; exec sleep 600'
    agent = await own.spawn("sh", "-c", script, project=project)

    async def told() -> str:
        lines = (await own.get(f"/v1/agents/{agent['id']}/output")).json()["items"]
        assert lines
        return str(json.loads(lines[0]["text"])["key"])

    try:
        async with Api(url, await eventually(told)) as api:
            session = (await ids(own, project, "session"))["first"]
            observation = (await ids(own, project, "observation"))["second"]
            for path in (f"sessions/{session}", f"agents/{agent['id']}/memory", f"tasks/{agent['task_id']}/memory"):
                is_problem(await api.delete(f"/v1/{path}"), 403, "forbidden")
            is_problem(await api.delete(f"/v1/projects/{project}/memory"), 403, "missing_scope")
            is_problem(await api.post("/v1/memory/import", content=archive("third")), 403, "forbidden")
            assert went(await api.delete(f"/v1/observations/{observation}"))["observations"] == 1
            sent = {"project": project, "title": "the okapi is remembered by hand"}
            own_words = (await api.post("/v1/observations", json=sent)).json()
            assert (own_words["agent_id"], own_words["task_id"]) == (agent["id"], agent["task_id"])
            found = await api.post("/v1/memory/search", json={"query": "okapi", "agent": agent["id"]})
            assert [item["id"] for item in found.json()["items"]] == [own_words["id"]]
    finally:
        await own.post(f"/v1/agents/{agent['id']}/kill", json={"grace_seconds": 0}, params={"wait": True})
    assert set(await ids(own, project, "observation")) >= {"first", sent["title"]}
    assert went(await own.delete(f"/v1/agents/{agent['id']}/memory"))["observations"] >= 1
    assert sent["title"] not in await ids(own, project, "observation")
