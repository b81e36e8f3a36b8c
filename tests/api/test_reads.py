"""What needs no worker: projects, lists, refusals, limits, health."""

from __future__ import annotations

import asyncio
import json
import uuid

import httpx
import pytest

from tests.api.conftest import Api, is_problem

NOBODY = "01939b6f-0000-7000-8000-000000000000"


def slug() -> str:
    return f"p{uuid.uuid4().hex[:12]}"


async def test_a_project_can_be_created_found_changed_and_deleted(api: Api) -> None:
    name = slug()
    created = await api.post("/v1/projects", json={"slug": name, "name": "Apollo"})
    assert created.status_code == 201
    project = created.json()
    assert created.headers["location"] == f"/v1/projects/{project['id']}"
    assert project["status"] == "active"
    assert (await api.get(f"/v1/projects/{name}")).json() == project
    assert (await api.get(created.headers["location"])).json() == project

    renamed = f"{name}-2"
    changed = await api.patch(f"/v1/projects/{name}", json={"slug": renamed, "description": "To the moon"})
    assert changed.json() | {"updated_at": ""} == project | {
        "slug": renamed, "description": "To the moon", "version": 2, "updated_at": "",
    }  # fmt: skip
    is_problem(await api.get(f"/v1/projects/{name}"), 404, "not_found")
    assert (await api.patch(f"/v1/projects/{renamed}", json={"description": None})).json()["description"] is None

    assert (await api.delete(f"/v1/projects/{renamed}")).status_code == 204
    is_problem(await api.delete(f"/v1/projects/{renamed}"), 404, "not_found")


async def test_a_slug_is_taken_once(api: Api) -> None:
    name = slug()
    answers = await asyncio.gather(*(api.post("/v1/projects", json={"slug": name, "name": "x"}) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    is_problem(next(answer for answer in answers if answer.status_code == 409), 409, "slug_taken")


async def test_lists_are_paged_by_cursor(api: Api) -> None:
    ids = [(await api.post("/v1/projects", json={"slug": slug(), "name": "x"})).json()["id"] for _ in range(5)]
    seen: list[str] = []
    cursor = None
    while len(seen) < 5:
        page = (await api.get("/v1/projects", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))).json()
        assert len(page["items"]) <= 2
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert seen[:5] == ids[::-1]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v1/tasks?limit=0", "invalid_request"),
        ("/v1/tasks?limit=501", "invalid_request"),
        (f"/v1/tasks?limit={10**40}", "invalid_request"),
        ("/v1/tasks?status=asleep", "invalid_request"),
        ("/v1/tasks?parent=7", "invalid_request"),
        ("/v1/tasks?cursor=nonsense", "bad_cursor"),
        ("/v1/tasks?label=%00", "invalid_request"),
        ("/v1/tasks?project=%00", "invalid_request"),
        ("/v1/tasks?project=not-there", "unknown_reference"),
        ("/v1/agents/7", "invalid_request"),
        ("/v1/projects/%00", "invalid_request"),
        (f"/v1/events?after={2**63}", "invalid_request"),
        ("/v1/events?after=-1", "invalid_request"),
        ("/v1/events?type=agent.slept", "invalid_request"),
    ],
)
async def test_a_bad_query_is_refused(api: Api, path: str, code: str) -> None:
    is_problem(await api.get(path), 422, code)


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("GET", "/v1/activity?request_id=x&limit=1", "request_id"),
        ("GET", "/v1/memory/search?query=x&projekt=y", "projekt"),
        ("POST", "/v1/agents/kill-all?project=apollo", "project"),
        ("POST", "/v1/agent-events?waits=1", "waits"),
    ],
)
async def test_a_parameter_that_is_not_there_is_refused(api: Api, method: str, path: str, name: str) -> None:
    document = is_problem(await api.request(method, path), 422, "invalid_request")
    assert document["errors"] == [{"at": f"query.{name}", "message": "there is no such parameter"}]


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/v1/tasks/",
        f"/v1/tasks/{NOBODY}",
        f"/v1/agents/{NOBODY}",
        f"/v1/agents/{NOBODY}/output",
        "/v1/projects/not-there",
    ],
)
async def test_what_is_not_there_is_404(api: Api, path: str) -> None:
    is_problem(await api.get(path), 404, "not_found")


async def test_a_stream_of_what_is_not_there_is_404(api: Api) -> None:
    answer = await api.get(f"/v1/agents/{NOBODY}/output", headers={"Accept": "text/event-stream"})
    is_problem(answer, 404, "not_found")


@pytest.mark.parametrize(
    "path", [f"/v1/tasks/{NOBODY}/cancel", f"/v1/tasks/{NOBODY}/retry", f"/v1/agents/{NOBODY}/kill"]
)
async def test_a_command_to_what_is_not_there_is_404(api: Api, path: str) -> None:
    is_problem(await api.post(path), 404, "not_found")


async def test_another_method_is_405(api: Api) -> None:
    answer = await api.delete("/v1/tasks")
    is_problem(answer, 405, "method_not_allowed")
    assert "GET" in answer.headers["allow"]


TASK = {"title": "t", "runner": {"kind": "command", "argv": ["true"]}}


@pytest.mark.parametrize(
    ("body", "at"),
    [
        ({**TASK, "colour": "red"}, "body.colour"),
        ({**TASK, "priority": 11}, "body.priority"),
        ({**TASK, "priority": 10**30}, "body.priority"),
        ({**TASK, "priority": "urgent"}, "body.priority"),
        ({**TASK, "title": ""}, "body.title"),
        ({**TASK, "title": " \t\u3000"}, "body.title"),
        ({**TASK, "title": "x" * 501}, "body.title"),
        ({**TASK, "title": "a\x00b"}, "body.title"),
        ({**TASK, "title": "\ud800"}, "body.title"),
        ({**TASK, "metadata": {"a": {"b": "\x00"}}}, "body.metadata"),
        ({**TASK, "metadata": {"a": 2**70}}, "body.metadata"),
        ({**TASK, "parent_id": "7"}, "body.parent_id"),
        ({**TASK, "timeout_seconds": -1}, "body.timeout_seconds"),
        ({**TASK, "retry": {"max_attempts": 0}}, "body.retry.max_attempts"),
        ({**TASK, "runner": {"kind": "command", "argv": []}}, "body.runner.argv"),
        ({**TASK, "runner": {"kind": "command", "argv": ["a\x00"]}}, "body.runner.argv.0"),
        ({**TASK, "runner": {"kind": "shell", "argv": ["a"]}}, "body.runner.kind"),
        ({**TASK, "runner": {"kind": "command", "argv": ["a"], "env": {"A=B": "c"}}}, "body.runner.env.A=B.[key]"),
        ([], "body"),
        (7, "body"),
    ],
)
async def test_a_bad_task_is_refused_and_told_where(api: Api, body: object, at: str) -> None:
    answer = await api.post("/v1/tasks", content=json.dumps(body), headers={"Content-Type": "application/json"})
    problem = is_problem(answer, 422, "invalid_request")
    assert problem["errors"][0]["at"] == at
    assert not problem["retryable"]


async def test_a_blank_title_is_refused_where_an_agent_is_spawned_too(api: Api) -> None:
    answer = await api.post("/v1/agents", json={"task": {**TASK, "title": " "}})
    assert is_problem(answer, 422, "invalid_request")["errors"][0]["at"] == "body.task.title"


@pytest.mark.parametrize(
    "body",
    [b"{", b'{"title": "\xff\xfe"}', b"\x00", b"[" * 100_000, b'{"title": ' + b"1" * 5_000 + b"}"],
    ids=["cut short", "not UTF-8", "NUL", "bottomless", "endless number"],
)
async def test_a_body_that_is_not_json_is_refused(api: Api, body: bytes) -> None:
    answer = await api.post("/v1/tasks", content=body, headers={"Content-Type": "application/json"})
    is_problem(answer, 422, "bad_json")


async def test_json_with_numbers_that_are_none_is_refused(api: Api) -> None:
    body = b'{"title": "t", "metadata": {"a": NaN}, "timeout_seconds": Infinity}'
    answer = await api.post("/v1/tasks", content=body, headers={"Content-Type": "application/json"})
    is_problem(answer, 422, "invalid_request")


async def test_a_body_of_another_kind_is_refused(api: Api) -> None:
    answer = await api.post("/v1/tasks", content=json.dumps(TASK), headers={"Content-Type": "text/plain"})
    is_problem(answer, 415, "unsupported_media_type")


async def test_a_body_that_is_too_large_is_not_read(api: Api) -> None:
    body = json.dumps({**TASK, "prompt": "x" * (1024 * 1024)}).encode()
    is_problem(
        await api.post("/v1/tasks", content=body, headers={"Content-Type": "application/json"}), 413, "body_too_large"
    )

    async def chunks() -> object:
        for start in range(0, len(body), 65_536):
            yield body[start : start + 65_536]

    sent = await api.post("/v1/tasks", content=chunks(), headers={"Content-Type": "application/json"})  # type: ignore[arg-type]
    is_problem(sent, 413, "body_too_large")


async def test_what_was_sent_is_not_sent_back(api: Api) -> None:
    answer = await api.post("/v1/tasks", json={**TASK, "priority": "hunter2"})
    assert "hunter2" not in answer.text


async def test_a_trace_id_is_taken_over_or_made(api: Api) -> None:
    assert (await api.get("/healthz", headers={"X-Request-ID": "abc-1"})).headers["x-request-id"] == "abc-1"
    assert len((await api.get("/healthz", headers={"X-Request-ID": "a b<script>"})).headers["x-request-id"]) == 32


async def test_web_pages_from_elsewhere_are_refused(api: Api) -> None:
    is_problem(await api.get("/v1/tasks", headers={"Host": "evil.example"}), 421, "misdirected_request")
    is_problem(await api.get("/v1/tasks", headers={"Origin": "https://evil.example"}), 403, "forbidden")
    crossing = {"Sec-Fetch-Site": "cross-site"}
    is_problem(await api.post("/v1/agents/kill-all", headers=crossing), 403, "forbidden")
    for host in ("localhost:8700", "127.0.0.1", "[::1]:8700"):
        assert (await api.get("/healthz", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "é"])
async def test_a_bad_idempotency_key_is_refused(api: Api, key: str) -> None:
    answer = await api.post(
        "/v1/projects", json={"slug": slug(), "name": "x"}, headers={"Idempotency-Key": key.encode("latin-1")}
    )
    is_problem(answer, 422, "invalid_request")


async def test_a_request_sent_twice_is_done_once_and_answered_the_same(api: Api) -> None:
    body, headers = {"slug": slug(), "name": "x"}, {"Idempotency-Key": uuid.uuid4().hex}
    first = await api.post("/v1/projects", json=body, headers=headers)
    again = await api.post(
        "/v1/projects", content=json.dumps(body, indent=2), headers={**headers, "Content-Type": "application/json"}
    )
    assert (first.status_code, again.status_code) == (201, 201)
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]
    assert again.json() == first.json()
    other = await api.post("/v1/projects", json={**body, "name": "y"}, headers=headers)
    is_problem(other, 409, "idempotency_key_reused")


async def test_a_refused_request_may_be_mended_with_the_same_key(api: Api) -> None:
    taken = slug()
    await api.post("/v1/projects", json={"slug": taken, "name": "x"})
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    refused = await api.post("/v1/projects", json={"slug": taken, "name": "x"}, headers=headers)
    is_problem(refused, 409, "slug_taken")
    assert (await api.post("/v1/projects", json={"slug": slug(), "name": "x"}, headers=headers)).status_code == 201


async def test_the_same_request_many_times_at_once_is_done_once(api: Api) -> None:
    body, headers = {"slug": slug(), "name": "x"}, {"Idempotency-Key": uuid.uuid4().hex}
    answers = await asyncio.gather(*(api.post("/v1/projects", json=body, headers=headers) for _ in range(8)))
    made = [answer for answer in answers if answer.status_code == 201]
    assert sum("idempotent-replayed" not in answer.headers for answer in made) == 1
    assert len({answer.json()["id"] for answer in made}) == 1
    for answer in answers:
        if answer not in made:
            assert is_problem(answer, 409, "request_in_flight")["retryable"]
            assert answer.headers["retry-after"]


async def test_health(api: Api) -> None:
    assert (await api.get("/healthz")).json() == {"status": "ok"}
    ready = await api.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")
    info = (await api.get("/v1/info")).json()
    assert list(info["boundaries"]) == ["temporal", "postgres", "valkey", "workers", "embedder", "memory"]
    for name in ("temporal", "postgres", "valkey"):
        assert info["boundaries"][name]["status"] == "active"
        assert info["boundaries"][name]["version"]
        assert info["boundaries"][name]["latency_ms"] < 2000


async def test_the_document_describes_itself(api: Api) -> None:
    document = (await api.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.")
    assert (await api.get("/docs")).status_code == 200
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["operationId"], (path, method)
            assert operation["summary"], (path, method)


async def test_the_queue_says_how_full_the_workspace_is(api: Api) -> None:
    queue = (await api.get("/v1/queue")).json()
    assert queue["max_concurrent_agents"] >= 1
    assert set(queue) == {"max_concurrent_agents", "active_agents", "waiting", "items"}


async def test_head_of_line(url: str) -> None:
    """A request that is not HTTP does not disturb the others."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"\x00\x01nonsense\r\n\r\n")
    assert b"400" in await reader.read(100)
    writer.close()
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(f"{url}/healthz")).status_code == 200
