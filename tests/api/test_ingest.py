"""Sessions and events over HTTP: what is sent is kept and read back, and what cannot be kept says why."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import psycopg
import pytest
import pytest_asyncio

from muster.domain.ids import DEFAULT_WORKSPACE
from muster.settings import Settings
from tests.api.conftest import Api, admin, is_problem
from tests.api.people import key_in, made, new_workspace
from tests.pace import Stopwatch

PEM = "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----"


class Place:
    def __init__(self, api: Api, project: dict[str, Any], session: dict[str, Any]) -> None:
        self.api, self.project, self.session = api, project, session

    def event(self, **more: Any) -> dict[str, Any]:
        return {
            "project": self.project["slug"], "session": self.session["id"], "type": "tool_use",
            "source": {"adapter": "tests", "event_id": uuid.uuid4().hex}, "occurred_at": "2026-11-21T12:00:00Z",
            "payload": {"tool_name": "Bash", "said": "hello"}, **more,
        }  # fmt: skip

    async def events(self) -> int:
        return int((await self.api.get(f"/v1/sessions/{self.session['id']}")).json()["events"])

    async def send(self, raw: bytes, path: str = "/v1/agent-events") -> httpx.Response:
        return await self.api.post(path, content=raw, headers={"Content-Type": "application/json"})


async def a_place(api: Api) -> Place:
    slug = f"ingest-{uuid.uuid4().hex[:10]}"
    project = await made(api, "/v1/projects", {"slug": slug, "name": slug})
    return Place(api, project, await made(api, "/v1/sessions", {"project": slug}))


@pytest_asyncio.fixture(loop_scope="session")
async def place(api: Api) -> Place:
    return await a_place(api)


async def test_what_was_sent_is_read_back(place: Place) -> None:
    sent = place.event(payload={"a": [1, 2.5, None, True, "é 見"], "": {}}, metadata={"cwd": "/srv", "deep": [[["x"]]]})
    answer = await place.api.post("/v1/agent-events", json=sent)
    assert answer.status_code == 201, answer.text
    recorded = answer.json()
    assert answer.headers["location"] == f"/v1/agent-events/{recorded['id']}"
    assert recorded["job"]["status"] == "queued"
    assert recorded["removed"] == {}
    found = (await place.api.get(answer.headers["location"])).json()
    assert {name: found[name] for name in ("payload", "metadata", "type")} == {
        name: sent[name] for name in ("payload", "metadata", "type")
    }
    assert (found["adapter"], found["source_id"]) == ("tests", sent["source"]["event_id"])
    assert found["occurred_at"].startswith("2026-11-21T12:00:00")
    assert found["job"] == recorded["job"]
    listed = (await place.api.get("/v1/agent-events", params={"session": place.session["id"]})).json()["items"]
    assert [one["id"] for one in listed] == [recorded["id"]]
    again = await place.api.post("/v1/agent-events", json=sent)
    assert again.status_code == 200
    assert again.json() == recorded | {"repeated": True}


async def test_a_session_has_a_life(place: Place) -> None:
    body = {"project": place.project["id"], "external_id": "run-1", "platform": "claude-code", "title": PEM}
    session = await made(place.api, "/v1/sessions", body)
    assert session["title"] == "[removed:private-key]"
    known = await place.api.post("/v1/sessions", json=body)
    assert (known.status_code, known.json()) == (200, session)
    path = f"/v1/sessions/{session['id']}"
    assert (await place.api.get(path)).json() == session
    first = await place.api.post(f"{path}/end")
    assert first.status_code == 200, first.text
    assert first.json()["job"]["kind"] == "summary"
    assert first.json()["ended_at"]
    assert (await place.api.post(f"{path}/end")).json() == first.json()
    query = {"project": place.project["slug"], "ended": True, "platform": "claude-code", "external_id": "run-1"}
    listed = (await place.api.get("/v1/sessions", params=query)).json()["items"]
    assert [one["id"] for one in listed] == [session["id"]]
    is_problem(await place.api.post(f"/v1/sessions/{uuid.uuid4()}/end"), 404, "not_found")
    is_problem(await place.api.post("/v1/sessions", json={"project": "no-such-project"}), 422, "unknown_reference")


async def test_an_id_that_is_all_private_is_none(place: Place) -> None:
    body = {"project": place.project["id"], "external_id": "<private>run</private>"}
    session = await made(place.api, "/v1/sessions", body)
    assert session["external_id"] is None
    assert (await place.api.post("/v1/sessions", json=body)).json()["id"] == session["id"], (
        "it is the same all the same"
    )
    query = {"project": place.project["id"], "external_id": "<private>run</private>"}
    assert (await place.api.get("/v1/sessions", params=query)).json()["items"] == []


async def test_an_archived_project_takes_nothing_new(place: Place) -> None:
    api, slug = place.api, place.project["slug"]
    known = place.event()
    await made(api, "/v1/agent-events", known)
    other = await a_place(api)
    assert (await api.patch(f"/v1/projects/{slug}", json={"status": "archived"})).status_code == 200
    told = {"project": slug, "title": "by hand"}
    for path, body in (
        ("agent-events", place.event()), ("agent-events", known),
        ("agent-events/batch", [other.event(), place.event()]), ("sessions", {"project": slug}), ("observations", told),
    ):  # fmt: skip
        is_problem(await api.post(f"/v1/{path}", json=body), 409, "project_archived")
    assert (await place.events(), await other.events()) == (1, 0)
    assert (await api.post(f"/v1/sessions/{place.session['id']}/end")).status_code == 200, "what there is may end"
    assert (await api.patch(f"/v1/projects/{slug}", json={"status": "active"})).status_code == 200
    await made(api, "/v1/agent-events", place.event())


@pytest.mark.parametrize("bare", [False, True])
async def test_a_batch_is_all_or_none(place: Place, bare: bool) -> None:
    def body(*events: dict[str, Any]) -> Any:
        return list(events) if bare else {"events": list(events)}

    path = "/v1/agent-events/batch"
    known = place.event()
    await place.api.post("/v1/agent-events", json=known)
    answer = await place.api.post(path, json=body(place.event(), known, place.event()))
    assert answer.status_code == 201, answer.text
    batch = answer.json()
    assert [one["repeated"] for one in batch["items"]] == [False, True, False]
    assert (batch["recorded"], batch["repeated"], batch["excluded"]) == (2, 1, 0)
    assert {job["kind"] for job in batch["jobs"]} == {"event", "event_batch"}
    assert await place.events() == 3
    other = await a_place(place.api)
    for wrong, status, code in (
        (place.event(session=other.session["id"]), 422, "unknown_reference"),
        (place.event(session=str(uuid.uuid4())), 422, "unknown_reference"),
        (place.event(project=str(uuid.uuid4())), 422, "unknown_reference"),
        (place.event(type=""), 422, "invalid_request"),
        (place.event(occurred_at="yesterday"), 422, "invalid_request"),
        (place.event(type="a\x00b"), 422, "invalid_request"),
        (place.event(payload="x" * 256 * 1024), 413, "event_too_large"),
        ({}, 422, "invalid_request"),
        (place.event(surprise=1), 422, "invalid_request"),
    ):
        problem = is_problem(await place.api.post(path, json=body(place.event(), wrong)), status, code)
        if code == "invalid_request":
            assert problem["errors"][0]["at"].startswith("body.1." if bare else "body.events.1."), problem
        elif code == "event_too_large":
            assert "events.1" in problem["detail"]
    assert await place.events() == 3
    assert await other.events() == 0
    for many in (0, 501):
        is_problem(await place.api.post(path, json=body(*[place.event()] * many)), 422, "invalid_request")
    answer = await place.api.post(path, json=body(*[place.event()] * 500))
    assert answer.json()["recorded"] == 1
    assert len(answer.json()["items"]) == 500


@pytest.mark.parametrize(
    ("payload", "kept"),
    [
        (b'"a\\u0000b"', "a\ufffdb"),
        (b'{"files\\u0000": ["x\\u0000y"]}', {"files\ufffd": ["x\ufffdy"]}),
        (b'"cut \\ud83d"', "cut \ufffd"),
        (b'"\\udc00 \\ud83d\\ude00 \\\\ud83d"', "\ufffd \U0001f600 \\ud83d"),
        (b'{"\\ud83d": {"id": 18446744073709551615}}', {"\ufffd": {"id": "18446744073709551615"}}),
    ],
    ids=range(5),
)
async def test_nothing_is_lost_for_a_character_that_nobody_stores(place: Place, payload: bytes, kept: Any) -> None:
    body = json.dumps(place.event(payload="HERE", metadata={"at": "HERE"})).encode().replace(b'"HERE"', payload)
    batch = b'{"events": [%b, %b]}' % (json.dumps(place.event(payload="é")).encode(), body)
    answer = await place.send(batch, "/v1/agent-events/batch")
    assert answer.status_code == 201, answer.text
    again = await place.send(body)
    assert (again.status_code, again.json()["repeated"]) == (200, True), again.text
    event = (await place.api.get(f"/v1/agent-events/{again.json()['id']}")).json()
    assert (event["payload"], event["metadata"]) == (kept, {"at": kept})


@pytest.mark.parametrize(
    ("payload", "status", "code"),
    [
        (b"[" * 70 + b"]" * 70, 422, "invalid_request"),
        (b"[" * 5_000 + b"]" * 5_000, 422, "invalid_request"),
        (b'{"a":' * 150_000 + b"1" + b"}" * 150_000, 422, "invalid_request"),
        (b"9" * 5_000, 422, "invalid_request"),
        (b"1e999", 422, "invalid_request"),
        (b"NaN", 422, "invalid_request"),
        (b'"\xff"', 422, "bad_json"),
        (b'"' + b"x" * 300_000 + b'"', 413, "event_too_large"),
        (b'"' + b"x" * 1_100_000 + b'"', 413, "body_too_large"),
    ],
    ids=range(9),
)
async def test_what_cannot_be_kept_is_refused_by_name(place: Place, payload: bytes, status: int, code: str) -> None:
    body = json.dumps(place.event(payload="HERE")).encode().replace(b'"HERE"', payload)
    problem = is_problem(await place.send(body), status, code)
    assert len(problem["detail"]) < 1_000
    batch = b'{"events": [%b,\n %b]}' % (json.dumps(place.event(payload="é")).encode(), body)
    if code == "body_too_large":  # there, it is one event that is
        status, code = 413, "event_too_large"
    problem = is_problem(await place.send(batch, "/v1/agent-events/batch"), status, code)
    if code == "invalid_request":
        assert problem["errors"][0]["at"].startswith("body.events.1"), problem
    assert await place.events() == 0


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [(b"", 422, "invalid_request"), (b"{", 422, "bad_json"), (b"null", 422, "invalid_request"),
     (b"[]", 422, "invalid_request"), (b"[{}", 422, "bad_json"), (b'"x"', 422, "invalid_request")],
)  # fmt: skip
async def test_what_is_no_event_is_told_so(place: Place, raw: bytes, status: int, code: str) -> None:
    for path in ("/v1/agent-events", "/v1/agent-events/batch"):
        is_problem(await place.send(raw, path), status, code)
    answer = await place.api.post("/v1/agent-events", content=b"a=b", headers={"Content-Type": "text/plain"})
    is_problem(answer, 415, "unsupported_media_type")
    for query in ({"wait": "31"}, {"wait": "nan"}, {"wait": "-1"}, {"generate": "perhaps"}):
        answer = await place.api.post("/v1/agent-events", json=place.event(), params=query)
        problem = is_problem(answer, 422, "invalid_request")
        assert problem["errors"][0]["at"] == f"query.{next(iter(query))}"
    answer = await place.api.post("/v1/agent-events", json=place.event(), headers={"Idempotency-Key": "a b"})
    assert is_problem(answer, 422, "invalid_request")["errors"][0]["at"] == "header.Idempotency-Key"


async def test_a_large_batch_is_taken(place: Place) -> None:
    events = [place.event(payload={"text": f"{n} " + "x" * 70_000}) for n in range(100)]
    answer = await place.api.post("/v1/agent-events/batch", json=events)
    assert answer.status_code == 201, answer.text
    assert await place.events() == 100


async def test_a_key_answers_as_it_did(place: Place) -> None:
    for path, body in (("/v1/agent-events", place.event()), ("/v1/agent-events/batch", [place.event()])):
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        first = await place.api.post(path, json=body, headers=headers)
        again = await place.api.post(path, json=body, headers=headers)
        assert first.status_code == again.status_code == 201
        assert again.json() == first.json()
        assert again.headers["idempotent-replayed"] == "true"
        other: Any = place.event() if isinstance(body, dict) else [place.event()]
        is_problem(await place.api.post(path, json=other, headers=headers), 409, "idempotency_key_reused")
    assert await place.events() == 2


async def test_nothing_private_is_kept(place: Place) -> None:
    await place.api.patch(f"/v1/projects/{place.project['id']}/memory", json={"exclude_paths": [".env*"]})
    sent = place.event(
        payload={"text": f"a<private>b</private>c {PEM}", "password": "hunter2"},
        metadata={"url": "postgres://u:hunter2@db/x"},
    )
    recorded = (await place.api.post("/v1/agent-events", json=sent)).json()
    assert recorded["removed"] == {"private": 1, "private-key": 1, "secret": 1, "password": 1}
    stored = (await place.api.get(f"/v1/agent-events/{recorded['id']}")).json()
    assert stored["payload"]["text"] == "ac [removed:private-key]"
    assert "hunter2" not in json.dumps(stored)
    dropped = await place.api.post("/v1/agent-events", json=place.event(payload={"path": "/srv/.env.local"}))
    assert dropped.status_code == 200
    assert (dropped.json()["id"], dropped.json()["excluded"], dropped.json()["job"]) == (None, ".env*", None)
    both = await place.api.post("/v1/agent-events/batch", json=[place.event(payload={"path": "x/.env"}), place.event()])
    assert [one["id"] is None for one in both.json()["items"]] == [True, False]
    assert await place.events() == 2


async def test_settings_are_read_and_changed(place: Place, settings: Settings, url: str) -> None:
    path = f"/v1/projects/{place.project['slug']}/memory"
    found = (await place.api.get(path)).json()
    assert (found["version"], found["batch_events"], found["exclude_paths"]) == (0, 50, [])
    changed = await place.api.patch(path, json={"retain_days": 30, "exclude_tools": ["Bash"]})
    assert changed.json() == (await place.api.get(path)).json()
    assert changed.json()["retain_days"] == 30
    for wrong in ({}, {"batch_events": 0}, {"exclude_paths": [""]}, {"exclude_paths": ["!a"]}, {"model": "x"}):
        is_problem(await place.api.patch(path, json=wrong), 422, "invalid_request")
    named = is_problem(await place.api.patch(path, json={"exclude_tools": ["Bash(curl*)"]}), 422, "invalid_request")
    assert "by its name alone" in str(named)
    usual = await place.api.patch(path, json={"exclude_tools": None, "batch_events": None, "retain_days": None})
    assert [usual.json()[name] for name in ("exclude_tools", "batch_events", "retain_days")] == [[], 50, None]
    is_problem(await place.api.get("/v1/projects/no-such-project/memory"), 404, "not_found")
    async with Api(url, admin(settings)) as chief:
        workspace = await new_workspace(chief)
        poor = await key_in(chief, workspace, "memory:write", "memory:read", "tasks:write")
    async with Api(url, poor["key"]) as api:
        mine = await a_place(api)
        path = f"/v1/projects/{mine.project['id']}/memory"
        assert (await api.patch(path, json={"debounce_seconds": 0})).status_code == 200
        for reserved in ({"retain_days": 1}, {"daily_tokens": None}, {"retain_importance": 0.5}):
            is_problem(await api.patch(path, json=reserved), 403, "missing_scope")


async def test_a_key_of_a_project_sends_there_alone(place: Place, settings: Settings, url: str) -> None:
    other = await a_place(place.api)
    asked = {"name": "k", "scopes": ["memory:write", "memory:read"], "project_id": other.project["id"]}
    key = await made(place.api, "/v1/keys", asked)
    async with Api(url, key["key"]) as api:
        assert (await api.post("/v1/agent-events", json=other.event())).status_code == 201
        for foreign in (place.event(), other.event(session=place.session["id"])):
            is_problem(await api.post("/v1/agent-events", json=foreign), 422, "unknown_reference")
            is_problem(
                await api.post("/v1/agent-events/batch", json=[other.event(), foreign]), 422, "unknown_reference"
            )
        is_problem(await api.get(f"/v1/sessions/{place.session['id']}"), 404, "not_found")
        is_problem(await api.post(f"/v1/sessions/{place.session['id']}/end"), 404, "not_found")
        assert [one["id"] for one in (await api.get("/v1/sessions")).json()["items"]] == [other.session["id"]]
        is_problem(await api.get(f"/v1/projects/{place.project['id']}/memory"), 404, "not_found")
    assert await place.events() == 0
    assert await other.events() == 1


@pytest_asyncio.fixture(loop_scope="session")
async def idle(api: Api) -> AsyncIterator[None]:
    """Nobody works on what is recorded, though a worker of other tests may be there."""
    lanes = ("event", "event_batch")
    for kind in lanes:
        await api.post(f"/v1/memory/lanes/{kind}/pause")
    yield
    for kind in lanes:
        await api.post(f"/v1/memory/lanes/{kind}/resume")


@pytest.mark.usefixtures("idle")
async def test_waiting_ends_with_the_job_or_with_the_time(place: Place, settings: Settings) -> None:
    began = Stopwatch()
    late = await place.api.post("/v1/agent-events", json=place.event(), params={"wait": 0.3})
    assert began.real > 0.25
    assert began.fair < 5
    assert late.status_code == 201
    assert (late.json()["wait_timed_out"], late.json()["job"]["status"]) == (True, "queued")
    alone = await place.api.post("/v1/agent-events", json=place.event(), params={"wait": 20, "generate": "false"})
    assert (alone.json()["job"], alone.json()["wait_timed_out"]) == (None, False)

    waiting = asyncio.create_task(
        place.api.post("/v1/agent-events/batch", json=[place.event(), place.event()], params={"wait": 20})
    )
    await asyncio.sleep(0.3)
    assert settings.database_url
    async with await psycopg.AsyncConnection.connect(settings.database_url.get_secret_value()) as app:
        await app.execute("SET ROLE muster_app")
        await app.execute("SELECT set_config('app.current_workspace_id', %s, true)", (str(DEFAULT_WORKSPACE),))
        for change in ("status = 'processing', claim = gen_random_uuid()",
                       "status = 'completed', claim = NULL, outcome = 'nothing', finished_at = now()"):  # fmt: skip
            await app.execute(
                f"UPDATE memory_jobs SET {change} WHERE session_id = %s AND kind = 'event_batch'".encode(),
                (place.session["id"],),
            )
    batch = (await waiting).json()
    assert not batch["wait_timed_out"]
    assert batch["jobs"][0]["status"] == "completed"
    assert batch["items"][0]["job"]["outcome"] == "nothing"


async def test_who_waits_for_the_end_is_told_what_is_then(place: Place, settings: Settings) -> None:
    await place.api.post("/v1/agent-events", json=place.event(), params={"generate": "false"})
    path, token = f"/v1/sessions/{place.session['id']}", str(uuid.uuid4())
    waiting = asyncio.create_task(place.api.post(f"{path}/end", params={"wait": 20}))
    await asyncio.sleep(0.3)
    assert settings.database_url
    # As a worker does; where one runs beside this test, it may have done so already.
    async with await psycopg.AsyncConnection.connect(settings.database_url.get_secret_value()) as app:
        await app.execute("SET ROLE muster_app")
        await app.execute("SELECT set_config('app.current_workspace_id', %s, true)", (str(DEFAULT_WORKSPACE),))
        taken = await app.execute(
            "UPDATE memory_jobs SET status = 'processing', claim = %s "
            "WHERE session_id = %s AND kind = 'summary' AND status = 'queued'", (token, place.session["id"]),
        )  # fmt: skip
        if taken.rowcount:
            await app.execute(
                "UPDATE memory_jobs SET status = 'completed', claim = NULL, outcome = 'nothing', finished_at = now() "
                "WHERE session_id = %s AND claim = %s", (place.session["id"], token),
            )  # fmt: skip
            await app.execute("UPDATE memory_sessions SET summarised = 1 WHERE id = %s", (place.session["id"],))
    ended = (await waiting).json()
    assert (ended["events"], ended["summarised"], ended["job"]["status"]) == (1, 1, "completed")


async def test_many_at_once_are_all_recorded(place: Place) -> None:
    events = [place.event() for _ in range(60)]
    answers = await asyncio.gather(
        *(place.api.post("/v1/agent-events", json=event) for event in events * 2),
        *(place.api.post("/v1/agent-events", json=place.event(session=str(uuid.uuid4()))) for _ in range(5)),
    )
    assert sorted(answer.status_code for answer in answers) == [200] * 60 + [201] * 60 + [422] * 5
    assert len({answer.json()["id"] for answer in answers[:120]}) == 60
    assert await place.events() == 60
