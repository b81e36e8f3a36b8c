"""claude-mem's hooks against Muster, by URL and key alone: what they send is kept, and found again in their words."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest_asyncio

from muster.settings import Settings
from tests.api.conftest import Api, admin, eventually, is_problem
from tests.api.people import inside, key_in, made, new_workspace

BASE = "/compat/claude-mem"


@dataclass
class Place:
    workspace: dict[str, Any]
    api: Api
    """With what a hook's key may: read and write memory, and nothing else."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(settings: Settings, url: str, worker: None) -> AsyncIterator[Place]:
    async with Api(url, admin(settings)) as chief:
        workspace = await new_workspace(chief, requests_per_second=10_000)
        key = await key_in(chief, workspace, "memory:read", "memory:write")
    async with Api(f"{url}{BASE}", key["key"]) as api:
        yield Place(workspace, api)


def an_event(project: str, **more: Any) -> dict[str, Any]:
    return {
        "projectId": project,
        "sourceType": "hook",
        "eventType": "tool_use",
        "occurredAtEpoch": int(time.time() * 1000),
        "payload": {"tool_name": "Bash", "tool_input": {"command": "make test"}, "tool_response": "2 failed"},
        **more,
    }


async def test_a_hooks_life(place: Place) -> None:
    api, name = place.api, f"My Repo {uuid.uuid4().hex[:8]}"
    hook = str(uuid.uuid4())
    begin = {"projectId": name, "externalSessionId": hook, "contentSessionId": hook, "platformSource": "claude-code"}
    answer = await api.post("/v1/sessions/start", json=begin)
    assert answer.status_code == 201, answer.text
    session = answer.json()["session"]
    assert (session["externalSessionId"], session["platformSource"], session["endedAtEpoch"]) == (
        hook,
        "claude-code",
        None,
    )
    again = await api.post("/v1/sessions/start", json=begin)
    assert (again.status_code, again.json()["session"]["id"]) == (200, session["id"])

    # A tool was used; the answer was lost, and the hook sends it again.
    event = an_event(name, contentSessionId=hook, sourceEventId="toolu_1", metadata={"cwd": "/repo"})
    first = await api.post("/v1/events", json=event)
    assert first.status_code == 201, first.text
    assert first.json()["event"]["serverSessionId"] == session["id"]
    assert first.json()["generationJob"]["status"] in ("queued", "processing", "completed")
    repeated = await api.post("/v1/events", json=event)
    assert repeated.status_code == 201
    assert repeated.json()["event"]["id"] == first.json()["event"]["id"]
    assert repeated.json()["generationJob"]["id"] == first.json()["generationJob"]["id"]
    kept = (await api.get(f"/v1/events/{first.json()['event']['id']}")).json()["event"]
    assert (kept["sourceAdapter"], kept["sourceEventId"], kept["metadata"]) == ("hook", "toolu_1", {"cwd": "/repo"})
    assert kept["payload"] == event["payload"]
    assert kept["occurredAtEpoch"] == event["occurredAtEpoch"]

    batch = [
        an_event(name, serverSessionId=session["id"], payload={"tool_name": "Edit", "tool_input": {
            "file_path": "/repo/src/quokka_import.py", "old_string": "a", "new_string": "b"}, "tool_response": "ok"}),
        an_event(name, serverSessionId=session["id"], eventType="message", payload={
            "text": "The quokka importer failed because the retry loop never closed its cursor; fixed by closing it."}),
    ]  # fmt: skip
    answer = await api.post("/v1/events/batch", json=batch, params={"wait": "true"})
    assert answer.status_code == 201, answer.text
    assert "waitTimedOut" not in answer.json()
    assert {one["generationJob"]["status"] for one in answer.json()["events"]} == {"completed"}

    ended = await api.post(f"/v1/sessions/{session['id']}/end", json={})
    assert ended.status_code == 200, ended.text
    assert ended.json()["session"]["endedAtEpoch"]
    assert ended.json()["generationJob"]["id"].startswith("sum_")
    twice = await api.post(f"/v1/sessions/{session['id']}/end", json={})
    assert twice.json()["generationJob"]["id"] == ended.json()["generationJob"]["id"]

    async def found() -> None:
        answer = await api.post("/v1/search", json={"projectId": name, "query": "quokka import", "limit": 5})
        assert answer.status_code == 200, answer.text
        assert any("quokka" in item["content"] for item in answer.json()["observations"])

    await eventually(found, 20)
    said = answer.json()["events"][1]["event"]["id"]
    made_of_it = (await api.get(f"/v1/events/{said}/observations")).json()
    assert made_of_it["eventId"] == said
    assert any("quokka" in item["content"] for item in made_of_it["observations"])

    listed = (await api.get("/v1/jobs", params={"status": "completed", "source_type": "agent_event"})).json()
    jobs = {one["generationJob"]["id"] for one in answer.json()["events"]}
    assert jobs <= {job["id"] for job in listed["jobs"]}
    assert {job["sourceType"] for job in listed["jobs"]} == {"agent_event"}
    one = (await api.get("/v1/jobs", params={"limit": 1, "offset": 1})).json()
    assert (len(one["jobs"]), one["limit"], one["offset"]) == (1, 1, 1)
    assert (await api.get(f"/v1/jobs/{min(jobs)}")).json()["generationJob"]["status"] == "completed"
    is_problem(await api.post(f"/v1/jobs/{min(jobs)}/cancel"), 409, "illegal_move")
    is_problem(await api.delete(f"/v1/projects/{session['projectId']}/memory"), 403, "missing_scope")
    told = await api.post("/v1/context", json={"projectId": name, "query": "quokka import"})
    assert "quokka" in told.json()["context"]
    assert told.json()["observations"]


async def test_two_turns_as_the_hooks_send_them(place: Place) -> None:
    """Claude Code's hooks, of claude-mem 13.25: a start with every prompt and every stop, an end after every turn."""
    api, project, hook = place.api, f"Zebra Importer {uuid.uuid4().hex[:8]}", str(uuid.uuid4())
    known = {"projectId": project, "contentSessionId": hook, "platformSource": "claude"}

    async def sent(path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = await api.post(path, json=body)
        assert answer.status_code in (200, 201), answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def turn(prompt: str, tool: dict[str, Any], said: str) -> dict[str, Any]:
        asked = {"agentId": None, "agentType": None, "metadata": {"project": "repo", "prompt": prompt}}
        await sent("/v1/sessions/start", {**known, "externalSessionId": hook, **asked})
        used = {"sourceType": "hook", "eventType": "tool_use", "occurredAtEpoch": int(time.time() * 1000)}
        payload = {
            **tool,
            "cwd": "/home/me/repo",
            "platformSource": "claude",
            "tool_use_id": f"toolu_{uuid.uuid4().hex}",
        }
        await sent("/v1/events", {**known, **used, "payload": payload})
        session = (await sent("/v1/sessions/start", {**known, "externalSessionId": hook}))["session"]
        message = {"last_assistant_message": said, "platformSource": "claude"}
        at = {"serverSessionId": session["id"], "occurredAtEpoch": int(time.time() * 1000)}
        await sent(
            "/v1/events", {**known, **at, "sourceType": "hook", "eventType": "assistant_message", "payload": message}
        )
        return await sent(f"/v1/sessions/{session['id']}/end", {})

    edit = {
        "file_path": "/home/me/repo/zebra.py",
        "old_string": "for row in rows",
        "new_string": "for batch in batches",
    }
    first = await turn(
        "why is the zebra importer slow? Always use batches. <private>it is hunter2</private>",
        {"tool_name": "Edit", "tool_input": edit, "tool_response": {"filePath": edit["file_path"]}},
        "The zebra importer opened a cursor for each row; I batched the reads.",
    )
    write = {"file_path": "/home/me/repo/test_giraffe.py", "content": "def test_giraffe(): assert neck() > 2"}
    # Pasted whole, as people do: only the ends of it are kept, and the hook is not refused.
    second = await turn(
        "now write a test for giraffes, whose log is: " + "trumpet " * 200_000,
        {"tool_name": "Write", "tool_input": write, "tool_response": {"type": "create"}},
        "I added test_giraffe.py.",
    )
    assert first["session"]["id"] == second["session"]["id"]
    assert first["generationJob"]["id"] != second["generationJob"]["id"], "what came later would not be summarised"
    assert "prompt" not in second["session"]["metadata"], "whoever forgets what was made of it would leave it there"
    assert second["session"]["metadata"]["project"] == "repo"

    async def remembered(query: str, what: str) -> None:
        found = (await sent("/v1/search", {"projectId": project, "query": query, "limit": 20}))["observations"]
        assert any(what in item["content"] for item in found), found
        assert "hunter2" not in str(found)

    await eventually(lambda: remembered("importer slow", "Always use batches"), 20)
    await eventually(lambda: remembered("write a test for giraffes", "now write a test for giraffes"), 20)


async def test_what_is_kept_by_hand_is_found_at_once_and_forgotten(place: Place) -> None:
    api, name = place.api, f"by-hand-{uuid.uuid4().hex[:8]}"
    answer = await api.post(
        "/v1/memories", json={"projectId": name, "kind": "decision", "narrative": "Use axolotl pools."}
    )
    assert answer.status_code == 201, answer.text
    memory = answer.json()["memory"]
    assert (memory["kind"], memory["content"]) == ("decision", "Use axolotl pools.")
    found = await api.post("/v1/search", json={"projectId": name, "query": "axolotl"})
    assert [item["id"] for item in found.json()["observations"]] == [memory["id"]]
    assert (await api.delete(f"/v1/memories/{memory['id']}")).status_code == 200
    assert (await api.post("/v1/search", json={"projectId": name, "query": "axolotl"})).json()["observations"] == []
    is_problem(await api.delete(f"/v1/memories/{memory['id']}"), 404, "not_found")
    is_problem(await api.post("/v1/memories", json={"projectId": name}), 422, "invalid_request")
    is_problem(await api.post("/v1/memories", json={"projectId": "  ", "content": "x"}), 422, "invalid_request")


async def test_what_is_kept_by_hand_stays_as_it_was_sent(place: Place) -> None:
    text = "Deploys go through Argo.\nBy hand they are undone within a minute."
    sent = {"projectId": f"as-sent-{uuid.uuid4().hex[:8]}", "content": text, "subtitle": "since numbat"}
    memory = (await place.api.post("/v1/memories", json=sent)).json()["memory"]
    assert memory["content"] == f"since numbat\n{text}"
    assert (memory["title"], memory["subtitle"]) == ("Deploys go through Argo.", "since numbat")
    found = await place.api.post("/v1/search", json={"projectId": sent["projectId"], "query": "numbat"})
    assert [item["id"] for item in found.json()["observations"]] == [memory["id"]]


async def test_names_that_look_alike_are_projects_of_their_own(place: Place) -> None:
    plain = f"web{uuid.uuid4().hex[:8]}"
    names = [
        plain,
        f"клиент {plain}",
        f"{plain}.",
        plain.upper(),
        f"客户-{plain}",
        "x" * 64 + plain,
        "x" * 64 + plain[1:],
    ]
    ids = [
        (await place.api.post("/v1/sessions/start", json={"projectId": name})).json()["session"]["projectId"]
        for name in names
    ]
    assert len(set(ids)) == len(names)
    again = await place.api.post("/v1/sessions/start", json={"projectId": names[1]})
    assert again.json()["session"]["projectId"] == ids[1]


async def test_a_batch_that_is_refused_leaves_nothing(place: Place, url: str) -> None:
    name, elsewhere = (f"nothing-{uuid.uuid4().hex[:8]}" for _ in range(2))
    theirs = (await place.api.post("/v1/sessions/start", json={"projectId": elsewhere})).json()["session"]["id"]
    for foreign, status in (
        (an_event(str(uuid.uuid4())), 404),
        (an_event(name, serverSessionId=theirs), 422),
        (an_event(name, serverSessionId=str(uuid.uuid4())), 422),
        (an_event(name, metadata={"much": "x" * 300_000}), 413),
    ):
        answer = await place.api.post("/v1/events/batch", json=[an_event(name), foreign])
        assert answer.status_code == status, answer.text
        asked = await place.api.post(f"{url}/v1/memory/search", json={"project": name, "query": "x"})
        is_problem(asked, 422, "unknown_reference")


async def test_of_a_whole_file_the_ends_are_kept(place: Place) -> None:
    api, name = place.api, f"large-{uuid.uuid4().hex[:8]}"
    payload = {"tool_name": "Read", "tool_response": {"file": "first line\n" + "é" * 900_000 + "\nlast line"}}
    answer = await api.post("/v1/events", json=an_event(name, payload=payload), params={"generate": "false"})
    assert answer.status_code == 201, answer.text
    kept = (await api.get(f"/v1/events/{answer.json()['event']['id']}")).json()["event"]["payload"]
    assert kept["tool_name"] == "Read"
    assert kept["tool_response"]["file"].startswith("first line\n")
    assert kept["tool_response"]["file"].endswith("\nlast line")
    assert "left out" in kept["tool_response"]["file"]


async def test_private_text_is_not_kept(place: Place) -> None:
    api, name = place.api, f"private-{uuid.uuid4().hex[:8]}"
    payload = {"text": "the door <private>code is 1234</private> opens"}
    answer = await api.post("/v1/events", json=an_event(name, payload=payload), params={"generate": "false"})
    assert answer.status_code == 201, answer.text
    assert "generationJob" not in answer.json()
    kept = await api.get(f"/v1/events/{answer.json()['event']['id']}")
    assert "1234" not in kept.text
    assert "the door" in kept.text


async def test_what_answers_an_excluded_call_is_not_kept(place: Place, settings: Settings, url: str) -> None:
    api, name = place.api, f"hidden-{uuid.uuid4().hex[:8]}"
    await api.post("/v1/sessions/start", json={"projectId": name, "contentSessionId": name})
    async with Api(url, admin(settings)) as chief:
        headers = inside(place.workspace)
        changed = await chief.patch(f"/v1/projects/{name}/memory", json={"exclude_paths": [".env*"]}, headers=headers)
        assert changed.status_code == 200, changed.text
    asked = {"tool_name": "Bash", "tool_use_id": "toolu_1", "tool_input": {"command": "cat .env"}}
    answered = {"tool_name": "Bash", "tool_use_id": "toolu_1", "tool_response": {"stdout": "marker"}}
    for kind, payload in (("PreToolUse", asked), ("PostToolUse", answered)):
        event = an_event(name, payload=payload) | {"contentSessionId": name, "eventType": kind}
        answer = await api.post("/v1/events", json=event, params={"generate": "false"})
        assert answer.status_code == 201
        assert answer.json()["event"]["id"] is None


async def test_whoever_asks_is_held_to_its_key(place: Place, settings: Settings, url: str) -> None:
    name = f"held-{uuid.uuid4().hex[:8]}"
    session = (await place.api.post("/v1/sessions/start", json={"projectId": name})).json()["session"]
    async with Api(f"{url}{BASE}", None) as nobody:
        assert (await nobody.get("/healthz")).json()["status"] == "ok"
        is_problem(await nobody.post("/v1/search", json={"projectId": name, "query": "x"}), 401, "unauthorized")
    async with Api(url, admin(settings)) as chief:
        other = await new_workspace(chief)
        stranger, reader = await key_in(chief, other), await key_in(chief, place.workspace, "memory:read")
        owner = await key_in(chief, place.workspace)
        async with Api(url, owner["key"]) as api:
            project = await made(api, "/v1/projects", {"slug": f"bound-{uuid.uuid4().hex[:8]}", "name": "x"})
        bound = await key_in(chief, place.workspace, "memory:read", "memory:write", project_id=project["id"])
    async with Api(f"{url}{BASE}", stranger["key"]) as api:
        is_problem(await api.get(f"/v1/sessions/{session['id']}"), 404, "not_found")
        is_problem(await api.post(f"/v1/sessions/{session['id']}/end", json={}), 404, "not_found")
        is_problem(
            await api.post("/v1/search", json={"projectId": session["projectId"], "query": "x"}), 404, "not_found"
        )
    async with Api(f"{url}{BASE}", reader["key"]) as api:
        is_problem(await api.post("/v1/sessions/start", json={"projectId": name}), 403, "missing_scope")
        assert (await api.get(f"/v1/sessions/{session['id']}")).status_code == 200
    async with Api(f"{url}{BASE}", bound["key"]) as api:
        api.headers["X-Api-Key"] = api.headers.pop("Authorization").removeprefix("Bearer ")
        assert (await api.post("/v1/sessions/start", json={"projectId": project["slug"]})).status_code == 201
        for elsewhere in (name, "somewhere-new"):
            is_problem(await api.post("/v1/sessions/start", json={"projectId": elsewhere}), 403, "forbidden")
            for path in ("/v1/search", "/v1/context"):
                is_problem(await api.post(path, json={"projectId": elsewhere, "query": "x"}), 403, "forbidden")
        # One that is not its own refuses the whole batch.
        batch = [an_event(project["slug"], payload="kept?"), an_event(name)]
        is_problem(await api.post("/v1/events/batch", json=batch), 403, "forbidden")
        info = (await api.get("/v1/info")).json()
        assert (info["authMode"], info["postgres"]["status"]) == ("api-key", "active")
        assert set(info["queueLanes"]) == {"event", "event_batch", "summary", "reindex"}


async def test_many_hooks_begin_one_new_project_together(place: Place) -> None:
    name = f"Together {uuid.uuid4().hex[:8]}"
    answers = await asyncio.gather(
        *(place.api.post("/v1/sessions/start", json={"projectId": name, "externalSessionId": "x"}) for _ in range(6))
    )
    assert {answer.status_code for answer in answers} <= {200, 201}, [answer.text for answer in answers]
    assert len({answer.json()["session"]["projectId"] for answer in answers}) == 1
    assert len({answer.json()["session"]["id"] for answer in answers}) == 1
