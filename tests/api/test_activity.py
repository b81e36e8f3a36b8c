"""The activity log, read: who did what, with which key, from where, and what changed."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from muster.domain import credentials
from muster.domain.states import MemberRole
from muster.settings import Settings
from tests.api.conftest import Api, eventually, is_problem
from tests.api.people import bearer, inside, key_in, made, new_member, new_workspace

Items = list[dict[str, Any]]


@pytest.fixture
async def workspace(api: Api) -> dict[str, Any]:
    return await new_workspace(api)


async def log(api: Api, workspace: dict[str, Any], **filters: Any) -> Items:
    response = await api.get("/v1/activity", params=filters, headers=inside(workspace))
    assert response.status_code == 200, response.text
    items: Items = response.json()["items"]
    return items


async def test_it_says_who_with_what_from_where_and_what_changed(api: Api, workspace: dict[str, Any]) -> None:
    key = await key_in(api, workspace)
    request = uuid.uuid4().hex
    ours = bearer(key) | {"X-Request-ID": request}
    project = await made(api, "/v1/projects", {"slug": "apollo", "name": "Apollo"}, headers=ours)
    await api.patch(f"/v1/projects/{project['id']}", json={"name": "Apollo 11"}, headers=ours)
    await api.delete(f"/v1/projects/{project['id']}", headers=ours)
    items = await log(api, workspace, entity=project["id"])
    assert [item["action"] for item in items] == ["project_deleted", "project_updated", "project_created"]
    for item in items:
        assert (item["user_id"], item["key_id"]) == (workspace["owner_id"], key["id"])
        assert (item["address"], item["request_id"], item["agent_id"]) == ("127.0.0.1", request, None)
    assert items[1]["detail"] == {"before": {"name": "Apollo"}, "after": {"name": "Apollo 11"}}
    assert items[0]["detail"]["before"]["slug"] == "apollo"
    assert items[2]["detail"]["after"]["name"] == "Apollo"


async def test_what_is_sent_to_memory_is_in_it(api: Api, workspace: dict[str, Any]) -> None:
    key = await key_in(api, workspace)
    request = uuid.uuid4().hex
    ours = bearer(key) | {"X-Request-ID": request}
    await made(api, "/v1/projects", {"slug": "apollo", "name": "Apollo"}, headers=inside(workspace))
    session = await made(api, "/v1/sessions", {"project": "apollo", "title": "Landing"}, headers=ours)
    event = {
        "project": "apollo", "session": session["id"], "type": "note", "source": {"adapter": "test"},
        "occurred_at": datetime.now(UTC).isoformat(), "payload": {"text": "the eagle"},
    }  # fmt: skip
    one = await made(api, "/v1/agent-events", event, headers=ours)
    batch = [event | {"payload": n} for n in range(7)]
    many = await made(api, "/v1/agent-events/batch", {"events": batch}, headers=ours)
    assert (await api.post(f"/v1/sessions/{session['id']}/end", headers=ours)).status_code == 200
    for path, body in (("/v1/agent-events", event), ("/v1/agent-events/batch", {"events": batch})):
        assert (await api.post(path, json=body, headers=ours)).status_code == 200  # they are there: nothing is written
    ended, batched, recorded, started = await log(api, workspace, request=request)
    assert [item["action"] for item in (ended, batched, recorded, started)] == [
        "session_ended", "events_recorded", "events_recorded", "session_started",
    ]  # fmt: skip
    for item in (ended, batched, recorded, started):
        assert (item["entity_id"], item["user_id"], item["key_id"]) == (
            session["id"], workspace["owner_id"], key["id"],
        )  # fmt: skip
        assert item["address"] == "127.0.0.1"
    assert recorded["detail"] == {"events": 1, "sessions": [session["id"]], "first": [one["id"]]}
    assert batched["detail"]["events"] == 7
    assert batched["detail"]["first"] == [item["id"] for item in many["items"][:5]]


async def test_it_says_what_an_observation_was_before(api: Api, workspace: dict[str, Any]) -> None:
    headers = inside(workspace)
    await made(api, "/v1/projects", {"slug": "apollo", "name": "Apollo"}, headers=headers)
    new = {"project": "apollo", "title": "By night", "facts": ["one"], "narrative": "long " * 1000}
    found = await made(api, "/v1/observations", new, headers=headers)
    change = {
        "title": "By day", "facts": ["one", "token ghp_" + "a1B2" * 9], "narrative": None, "importance": 0.7,
    }  # fmt: skip
    changed = await api.patch(f"/v1/observations/{found['id']}", json=change, headers=headers)
    assert changed.status_code == 200, changed.text
    detail = (await log(api, workspace, entity=found["id"], action="observation_updated"))[0]["detail"]
    assert detail["fields"] == sorted(change)
    before, after = detail["before"], detail["after"]
    assert set(before) == set(after) == {"title", "facts", "narrative"}, "the importance is what it was"
    assert (before["title"], after["title"]) == ("By night", "By day")
    assert (before["facts"], len(after["facts"]), after["narrative"]) == (["one"], 2, None)
    assert len(before["narrative"]) == 500
    assert "ghp_" not in str(after)


async def test_it_knows_agents_from_those_who_spawned_them(fleet: Api, settings: Settings) -> None:
    assert settings.secret_key
    agent = await fleet.spawn("sleep", "60")
    token = credentials.agent_token(settings.secret_key.get_secret_value().encode(), uuid.UUID(agent["id"]))
    headers = {"Authorization": f"Bearer {token}"}
    task = await made(fleet, "/v1/tasks", {"title": "part", "parent_id": agent["task_id"]}, headers=headers)
    items = (await fleet.get("/v1/activity", params={"entity": task["id"]})).json()["items"]
    assert [(item["action"], item["agent_id"], item["key_id"]) for item in items] == [
        ("task_created", agent["id"], None)
    ]
    key = {"name": "k", "scopes": ["tasks:read"]}
    for answer in (
        await fleet.get("/v1/activity", headers=headers),
        await fleet.post("/v1/keys", json=key, headers=headers),
        await fleet.get("/v1/keys", headers=headers),
        await fleet.get("/v1/members", headers=headers),
        await fleet.patch("/v1/workspaces/default", json={"name": "Mine"}, headers=headers),
    ):
        is_problem(answer, 403, "missing_scope")
    await fleet.post(f"/v1/agents/{agent['id']}/kill", json={"grace_seconds": 0})
    await fleet.when(f"/v1/agents/{agent['id']}", "killed")

    async def dead() -> None:
        assert (await fleet.get("/v1/tasks", headers=headers)).status_code == 401

    await eventually(dead, 2.5)


async def test_every_write_of_people_and_keys_is_in_it(api: Api, workspace: dict[str, Any]) -> None:
    headers = inside(workspace)
    user = await new_member(api, workspace, MemberRole.VIEWER)
    await api.patch(f"/v1/members/{user}", json={"role": "member"}, headers=headers)
    key = await key_in(api, workspace, "tasks:read", user_id=user)
    new = await made(api, f"/v1/keys/{key['id']}/rotate", {"overlap_seconds": 60}, headers=headers)
    await api.delete(f"/v1/keys/{key['id']}", headers=headers)
    await api.delete(f"/v1/members/{user}", headers=headers)
    await api.patch(f"/v1/workspaces/{workspace['id']}", json={"weight": 7}, headers=headers)
    items = await log(api, workspace, limit=100)
    actions = [item["action"] for item in items]
    assert set(actions) == {
        "workspace_created", "workspace_updated", "user_created", "member_created", "member_updated", "member_deleted",
        "key_created", "key_updated", "key_revoked",
    }  # fmt: skip
    assert [item["entity_id"] for item in items if item["action"] == "key_revoked"] == [new["id"], key["id"]]
    weight = next(item for item in items if item["action"] == "workspace_updated")
    assert weight["detail"] == {"before": {"weight": 1}, "after": {"weight": 7}}
    role = next(item for item in items if item["action"] == "member_updated")
    assert (role["entity_id"], role["detail"]) == (user, {"before": {"role": "viewer"}, "after": {"role": "member"}})
    text = str(items)
    for shown in (key, new):
        assert shown["key"].rpartition("_")[2] not in text
    assert "hash" not in text
    assert {item["key_id"] for item in items} != {None}


async def test_it_is_filtered_and_paged(api: Api, workspace: dict[str, Any]) -> None:
    key = await key_in(api, workspace)
    began = datetime.now(UTC)
    request = uuid.uuid4().hex
    for number in range(5):
        body = {"slug": f"p{number}", "name": "P"}
        await made(api, "/v1/projects", body, headers=bearer(key) | {"X-Request-ID": request})
    await made(api, "/v1/projects", {"slug": "other", "name": "P"}, headers=inside(workspace))

    assert len(await log(api, workspace, action="project_created")) == 6
    assert len(await log(api, workspace, action=["project_created", "key_created"])) == 7
    assert len(await log(api, workspace, key=key["id"])) == 5
    assert len(await log(api, workspace, request=request)) == 5
    assert len(await log(api, workspace, user=workspace["owner_id"])) == 5
    assert len(await log(api, workspace, since=began.isoformat())) == 6
    assert {item["action"] for item in await log(api, workspace, until=began.isoformat())} >= {"key_created"}
    assert await log(api, workspace, since=(began + timedelta(hours=1)).isoformat()) == []
    assert await log(api, workspace, entity=str(uuid.uuid4())) == []

    seen: Items = []
    cursor = None
    while True:
        params = {"limit": 2, "action": "project_created"} | ({"cursor": cursor} if cursor else {})
        page = (await api.get("/v1/activity", params=params, headers=inside(workspace))).json()
        seen += page["items"]
        if (cursor := page["next_cursor"]) is None:
            break
    assert [item["detail"]["after"]["slug"] for item in seen] == ["other", "p4", "p3", "p2", "p1", "p0"]
    for params in ({"cursor": "x"}, {"cursor": "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5"}):
        is_problem(await api.get("/v1/activity", params=params), 422, "bad_cursor")
    for params in ({"action": "looked"}, {"since": "yesterday"}, {"since": "2026-01-01T00:00:00"}, {"limit": 0}):
        is_problem(await api.get("/v1/activity", params=params), 422, "invalid_request")


async def test_it_is_for_those_who_administer(api: Api, workspace: dict[str, Any]) -> None:
    theirs = await new_workspace(api)
    member = bearer(await key_in(api, workspace, "tasks:read", "events:read"))
    is_problem(await api.get("/v1/activity", headers=member), 403, "missing_scope")
    ours = bearer(await key_in(api, workspace))
    items = (await api.get("/v1/activity", params={"limit": 500}, headers=ours)).json()["items"]
    assert items
    assert theirs["id"] not in str(items)
    assert (await api.get("/v1/activity", params={"entity": theirs["id"]}, headers=ours)).json()["items"] == []
    is_problem(await api.get("/v1/activity", headers=ours | inside(theirs)), 403, "forbidden")
