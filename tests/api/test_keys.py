"""Keys: what they open, what they cannot grant, and how they end, in every process."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import json
import logging
import os
import signal
import statistics
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from api import limits
from muster.domain import credentials
from muster.domain.ids import DEFAULT_USER, DEFAULT_WORKSPACE
from muster.domain.states import MemberRole
from muster.services.stack import Stack
from muster.settings import Settings
from tests.api.conftest import Api, a_stack, admin, eventually, is_problem, serving
from tests.api.people import bearer, inside, key_in, made, new_key, new_member, new_user, new_workspace
from tests.pace import Stopwatch, patience, stretched

HEARD_SECONDS = 2.0
NAMES = {
    "id", "name", "scopes", "role", "project_id", "workspace_id", "user_id", "created_by", "created_with",
    "created_at", "expires_at", "last_used_at", "revoked_at",
}  # fmt: skip


@pytest.fixture(scope="module")
async def stack() -> AsyncIterator[tuple[Settings, Stack]]:
    """Servers of which one may be stopped."""
    async with a_stack() as found:
        yield found


@pytest.fixture(scope="module")
async def urls(stack: tuple[Settings, Stack]) -> AsyncIterator[tuple[str, str]]:
    """Two APIs that share them, each with a memory of its own."""
    async with serving(stack[0]) as one, serving(stack[0]) as other:
        yield one, other


@pytest.fixture
async def api(stack: tuple[Settings, Stack], urls: tuple[str, str]) -> AsyncIterator[Api]:
    async with Api(urls[0], admin(stack[0])) as api:
        yield api


@pytest.fixture
async def other(stack: tuple[Settings, Stack], urls: tuple[str, str]) -> AsyncIterator[Api]:
    """The other process, asked by the same administrator."""
    async with Api(urls[1], admin(stack[0])) as other:
        yield other


@pytest.fixture(scope="module")
async def workspace(stack: tuple[Settings, Stack], urls: tuple[str, str]) -> dict[str, Any]:
    async with Api(urls[0], admin(stack[0])) as api:
        return await new_workspace(api)


async def works(api: Api, key: dict[str, Any]) -> bool:
    response = await api.get("/v1/workspaces", headers=bearer(key))
    assert response.status_code in {200, 401}, response.text
    return response.status_code == 200


async def ends_within(key: dict[str, Any], seconds: float, *apis: Api) -> float:
    """How long after this it still worked anywhere."""
    began = Stopwatch()
    while any([await works(api, key) for api in apis]):
        assert not began.passed(seconds), "the key still works"
        await asyncio.sleep(0.02)
    return began.fair


async def is_revoked(api: Api, key: dict[str, Any], workspace: dict[str, Any]) -> None:
    """In Postgres, whoever knows it already."""
    waited = Stopwatch()
    while (await api.get(f"/v1/keys/{key['id']}", headers=inside(workspace))).json()["revoked_at"] is None:
        assert not waited.passed(3)
        await asyncio.sleep(0.02)


async def follow(place: Api, of: dict[str, Any], opened: asyncio.Semaphore) -> None:
    """Until the stream is cut."""
    asks = bearer(of) | {"Accept": "text/event-stream"}
    with contextlib.suppress(httpx.RemoteProtocolError):
        async with place.stream("GET", "/v1/events", headers=asks) as response:
            assert response.status_code == 200
            opened.release()
            async for _ in response.aiter_raw():
                pass


# -- Making ---------------------------------------------------------------------------------------------------------


async def test_a_key_is_shown_once(api: Api) -> None:
    response = await api.post("/v1/keys", json={"name": "ci", "scopes": ["tasks:read", "events:read"]})
    assert response.status_code == 201, response.text
    key = response.json()
    assert set(key) == NAMES | {"key"}
    assert response.headers["location"] == f"/v1/keys/{key['id']}"
    assert (key["workspace_id"], key["user_id"], key["project_id"]) == (str(DEFAULT_WORKSPACE), str(DEFAULT_USER), None)
    assert (key["role"], key["expires_at"], key["revoked_at"]) == ("viewer", None, None)
    sent = credentials.parse(key["key"])
    assert sent
    assert str(sent.id) == key["id"]

    known = await api.get(f"/v1/keys/{key['id']}")
    listed = await api.get("/v1/keys")
    assert set(known.json()) == NAMES
    assert key["id"] in {item["id"] for item in listed.json()["items"]}
    for answer in (known, listed, await api.get("/v1/activity", params={"limit": 500})):
        assert answer.status_code == 200
        assert sent.secret not in answer.text
        assert "hash" not in answer.text
    assert await works(api, key)
    is_problem(await api.post("/v1/tasks", json={"title": "t"}, headers=bearer(key)), 403, "missing_scope")


async def test_a_repeated_request_makes_one_key_and_does_not_show_it_again(api: Api) -> None:
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    body = {"name": "once", "scopes": ["tasks:read"]}
    first = await api.post("/v1/keys", json=body, headers=headers)
    again = await api.post("/v1/keys", json=body, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json() == {**first.json(), "key": None}

    headers = {"Idempotency-Key": uuid.uuid4().hex}
    path = f"/v1/keys/{first.json()['id']}/rotate"
    first = await api.post(path, headers=headers)
    again = await api.post(path, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201), again.text
    assert again.json() == {**first.json(), "key": None}


async def test_its_secret_is_kept_nowhere(api: Api, stack: tuple[Settings, Stack]) -> None:
    key = await new_key(api, "tasks:read", name="nowhere")
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    rotated = (await api.post(f"/v1/keys/{key['id']}/rotate", headers=headers)).json()
    await works(api, rotated)
    url = stack[0].database_owner_url or stack[0].database_url
    assert url
    async with await psycopg.AsyncConnection.connect(url.get_secret_value()) as connection:
        tables = await (
            await connection.execute(
                "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'api_keys'"
            )
        ).fetchall()
        # Rows are kept from the owner too.
        await connection.execute("SET LOCAL ROLE muster_app")
        await connection.execute(
            "SELECT set_config('app.current_workspace_id', %s, true), set_config('app.administrator', 'on', true)",
            (str(DEFAULT_WORKSPACE),),
        )
        seen = 0
        for (table,) in tables:
            if table == "schema_migrations":
                continue
            try:
                async with connection.transaction():
                    rows = await (await connection.execute(f"SELECT t::text FROM {table} t".encode())).fetchall()
            except psycopg.errors.InsufficientPrivilege:
                continue
            seen += len(rows)
            for (row,) in rows:
                for text in (key["key"], rotated["key"]):
                    assert text not in row
                    assert text.rpartition("_")[2] not in row
        assert seen > 5
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute("SELECT hash FROM api_keys")


async def test_no_key_grants_what_it_lacks(api: Api, workspace: dict[str, Any]) -> None:
    admin_id = await new_member(api, workspace, MemberRole.ADMIN)
    few = await key_in(api, workspace, "admin", "tasks:read", user_id=admin_id, role="admin")
    ours = bearer(few)

    async def refused(code: str = "forbidden", status: int = 403, **body: Any) -> str:
        answer = await api.post("/v1/keys", json={"name": "k", "scopes": ["tasks:read"], **body}, headers=ours)
        return str(is_problem(answer, status, code)["detail"])

    await refused("missing_scope", scopes=["tasks:read", "tasks:write"])
    await refused(role="owner")
    await refused(workspace_id=str(DEFAULT_WORKSPACE))
    await refused(workspace_id=str(uuid.uuid4()))  # which says nothing of whether there is one
    await refused(administrator=True)
    await refused(user_id=workspace["owner_id"])
    await refused("unknown_reference", 422, project_id=str(uuid.uuid4()))
    assert "future" in await refused("invalid_request", 422, expires_at="2020-01-01T00:00:00Z")
    await refused("invalid_request", 422, expires_at="2030-01-01T00:00:00")  # of which zone?
    await refused("invalid_request", 422, expires_at="9999-12-31T23:59:59-01:00")
    await refused("invalid_request", 422, scopes=[])
    await refused("invalid_request", 422, scopes=["everything"])
    await refused("invalid_request", 422, colour="red")

    child = await made(api, "/v1/keys", {"name": "k", "scopes": ["tasks:read"]}, headers=ours)
    assert (child["user_id"], child["created_with"], child["workspace_id"]) == (admin_id, few["id"], workspace["id"])
    is_problem(await api.post("/v1/keys", json={"name": "k", "scopes": ["tasks:read"]}, headers=bearer(child)),
               403, "missing_scope")  # fmt: skip


async def test_a_key_ends_no_later_than_the_one_that_made_it(api: Api, workspace: dict[str, Any]) -> None:
    end = datetime.now(UTC) + timedelta(hours=1)
    short = await key_in(api, workspace, expires_at=end.isoformat())
    lasting = await key_in(api, workspace)
    child = await made(api, "/v1/keys", {"name": "k", "scopes": ["admin"]}, headers=bearer(short))
    assert datetime.fromisoformat(child["expires_at"]) == end
    later = {"name": "k", "scopes": ["admin"], "expires_at": (end + timedelta(seconds=1)).isoformat()}
    is_problem(await api.post("/v1/keys", json=later, headers=bearer(short)), 403, "forbidden")
    is_problem(await api.post(f"/v1/keys/{lasting['id']}/rotate", headers=bearer(short)), 403, "forbidden")


async def test_a_projects_key_makes_no_keys(api: Api, workspace: dict[str, Any]) -> None:
    project = await made(api, "/v1/projects", {"slug": "p", "name": "P"}, headers=inside(workspace))
    key = await key_in(api, workspace, project_id=project["id"])
    whole = await key_in(api, workspace)
    ours = bearer(key)
    body = {"name": "k", "scopes": ["tasks:read"], "project_id": project["id"]}
    for answer in (
        await api.post("/v1/keys", json=body, headers=ours),
        await api.get("/v1/keys", headers=ours),
        await api.get(f"/v1/keys/{whole['id']}", headers=ours),
        await api.delete(f"/v1/keys/{whole['id']}", headers=ours),
        await api.post(f"/v1/keys/{whole['id']}/rotate", headers=ours),
        await api.get("/v1/members", headers=ours),
        await api.patch(f"/v1/members/{workspace['owner_id']}", json={"role": "viewer"}, headers=ours),
        await api.delete(f"/v1/members/{workspace['owner_id']}", headers=ours),
        await api.patch(f"/v1/workspaces/{workspace['id']}", json={"name": "Mine"}, headers=ours),
        await api.get("/v1/activity", headers=ours),
    ):
        is_problem(answer, 403, "forbidden")
    assert await works(api, whole)


async def test_a_key_acts_as_a_member(api: Api, workspace: dict[str, Any]) -> None:
    body = {"name": "k", "scopes": ["tasks:read"], "workspace_id": workspace["id"]}
    detail = is_problem(await api.post("/v1/keys", json=body), 422, "not_a_member")["detail"]
    assert "user_id" in detail
    stranger = (await new_user(api))["id"]
    is_problem(await api.post("/v1/keys", json={**body, "user_id": stranger}), 422, "not_a_member")
    is_problem(await api.post("/v1/keys", json={**body, "user_id": str(uuid.uuid4())}), 422, "not_a_member")
    missing = {**body, "workspace_id": str(uuid.uuid4())}
    is_problem(await api.post("/v1/keys", json=missing), 422, "unknown_reference")
    # What it can do is what its user can do now.
    viewer = await new_member(api, workspace, MemberRole.VIEWER)
    key = await key_in(api, workspace, "tasks:read", "tasks:write", user_id=viewer)
    assert (await api.get("/v1/tasks", headers=bearer(key))).status_code == 200
    is_problem(await api.post("/v1/tasks", json={"title": "t"}, headers=bearer(key)), 403, "missing_scope")


async def test_administrators_keys_are_made_by_administrators(api: Api, workspace: dict[str, Any]) -> None:
    key = await new_key(api, "admin", administrator=True)
    assert (key["workspace_id"], key["role"]) == (None, "admin")
    assert (await api.get("/v1/members", headers=bearer(key) | inside(workspace))).status_code == 200
    body = {"name": "k", "scopes": ["admin"], "administrator": True}
    is_problem(await api.post("/v1/keys", json={**body, "user_id": workspace["owner_id"]}), 422, "not_a_member")
    is_problem(await api.post("/v1/keys", json={**body, "workspace_id": workspace["id"]}), 422, "invalid_request")
    # Less than all is less for an administrator too.
    reader = bearer(await new_key(api, "tasks:read", administrator=True))
    for path, what in (
        ("/v1/workspaces", {"slug": "no", "name": "No"}),
        ("/v1/users", {"email": "no@example.org", "name": "No"}),
        ("/v1/members", {"user_id": workspace["owner_id"], "role": "viewer"}),
        ("/v1/keys", body),
    ):
        is_problem(await api.post(path, json=what, headers=reader), 403, "missing_scope")
    # Owners of workspaces neither see administrators' keys nor end them.
    owner = bearer(await key_in(api, workspace))
    assert key["id"] not in (await api.get("/v1/keys", headers=owner)).text
    is_problem(await api.get(f"/v1/keys/{key['id']}", headers=owner), 404, "not_found")
    is_problem(await api.delete(f"/v1/keys/{key['id']}", headers=owner), 404, "not_found")
    is_problem(await api.post(f"/v1/keys/{key['id']}/rotate", headers=owner), 404, "not_found")


async def test_another_workspaces_keys_are_not_there(api: Api, workspace: dict[str, Any]) -> None:
    theirs = await key_in(api, await new_workspace(api))
    ours = bearer(await key_in(api, workspace))
    is_problem(await api.get(f"/v1/keys/{theirs['id']}", headers=ours), 404, "not_found")
    is_problem(await api.delete(f"/v1/keys/{theirs['id']}", headers=ours), 404, "not_found")
    is_problem(await api.post(f"/v1/keys/{theirs['id']}/rotate", headers=ours), 404, "not_found")
    assert await works(api, theirs)
    listed = (await api.get("/v1/keys", headers=ours)).json()["items"]
    assert {item["workspace_id"] for item in listed} == {workspace["id"]}


async def test_keys_come_in_pages_newest_first(api: Api) -> None:
    place = await new_workspace(api)
    keys = [(await key_in(api, place, "tasks:read"))["id"] for _ in range(5)]
    assert (await api.delete(f"/v1/keys/{keys[3]}", headers=inside(place))).status_code == 204
    owner = bearer(await key_in(api, place))
    seen, cursor = [], None
    for _ in range(10):
        page = (
            await api.get("/v1/keys", params={"limit": 2} | ({"cursor": cursor} if cursor else {}), headers=owner)
        ).json()
        seen += [item["id"] for item in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert seen[1:] == [keys[4], keys[2], keys[1], keys[0]]
    everything = (await api.get("/v1/keys", params={"include_revoked": True}, headers=owner)).json()["items"]
    assert [item["id"] for item in everything if item["revoked_at"]] == [keys[3]]


# -- Rotating -------------------------------------------------------------------------------------------------------


async def test_a_rotated_key_ends_at_once(api: Api, other: Api, workspace: dict[str, Any]) -> None:
    key = await key_in(api, workspace, "tasks:read", name="rotates")
    assert await works(other, key)
    new = await made(api, f"/v1/keys/{key['id']}/rotate", {}, headers=inside(workspace))
    took = await ends_within(key, HEARD_SECONDS, api, other)
    assert took < HEARD_SECONDS
    assert await works(other, new)
    same = ("name", "scopes", "role", "project_id", "workspace_id", "user_id", "expires_at")
    assert [new[name] for name in same] == [key[name] for name in same]
    assert new["id"] != key["id"]
    again = await api.post(f"/v1/keys/{key['id']}/rotate", headers=inside(workspace))
    is_problem(again, 409, "illegal_move")


async def test_a_rotated_key_may_live_on_for_a_while(api: Api, workspace: dict[str, Any]) -> None:
    key = await key_in(api, workspace, "tasks:read")
    new = await made(api, f"/v1/keys/{key['id']}/rotate", {"overlap_seconds": 2}, headers=inside(workspace))
    assert await works(api, key)
    assert await works(api, new)
    assert new["expires_at"] is None
    await ends_within(key, 2 + HEARD_SECONDS, api)
    for seconds in (-1, 7 * 86_400 + 1):
        answer = await api.post(f"/v1/keys/{new['id']}/rotate", json={"overlap_seconds": seconds})
        is_problem(answer, 422, "invalid_request")


async def test_a_key_that_is_to_end_does_not_prolong_itself(api: Api, workspace: dict[str, Any]) -> None:
    key, headers = await key_in(api, workspace), inside(workspace)
    path = f"/v1/keys/{key['id']}/rotate"
    new = await made(api, path, {"overlap_seconds": 60}, headers=headers)
    ends = (await api.get(f"/v1/keys/{key['id']}", headers=headers)).json()["expires_at"]
    for asks in (headers, bearer(key)):
        again = await made(api, path, {"overlap_seconds": 3600}, headers=asks)
        assert again["expires_at"] == ends
    assert (await api.get(f"/v1/keys/{key['id']}", headers=headers)).json()["expires_at"] == ends
    assert (await made(api, f"/v1/keys/{new['id']}/rotate", {}, headers=headers))["expires_at"] is None


async def test_whoever_rotates_a_key_could_have_made_it(api: Api, workspace: dict[str, Any]) -> None:
    owner = await key_in(api, workspace)
    admin_id = await new_member(api, workspace, MemberRole.ADMIN)
    ours = bearer(await key_in(api, workspace, user_id=admin_id))
    is_problem(await api.post(f"/v1/keys/{owner['id']}/rotate", headers=ours), 403, "forbidden")
    narrow = await key_in(api, workspace, "admin", user_id=admin_id)
    broad = await key_in(api, workspace, user_id=admin_id)
    answer = await api.post(f"/v1/keys/{broad['id']}/rotate", headers=bearer(narrow))
    is_problem(answer, 403, "missing_scope")
    assert await works(api, owner)
    assert await works(api, broad)
    itself = await made(api, f"/v1/keys/{narrow['id']}/rotate", {}, headers=bearer(narrow))
    assert await works(api, itself)


async def test_two_who_rotate_at_once_get_one_new_key(api: Api, other: Api, workspace: dict[str, Any]) -> None:
    key = await key_in(api, workspace, "tasks:read")
    path = f"/v1/keys/{key['id']}/rotate"
    answers = await asyncio.gather(*(place.post(path, headers=inside(workspace)) for place in (api, other) * 3))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409, 409]


# -- Ending ---------------------------------------------------------------------------------------------------------


async def test_a_revoked_key_ends_in_every_process(api: Api, other: Api, workspace: dict[str, Any]) -> None:
    for first, second in ((api, other), (other, api)):
        key = await key_in(api, workspace, "tasks:read")
        assert await works(first, key)
        assert await works(second, key)
        assert (await first.delete(f"/v1/keys/{key['id']}", headers=inside(workspace))).status_code == 204
        assert not await works(first, key)  # here at once
        took = await ends_within(key, HEARD_SECONDS, second)
        assert took < 1.0, "Valkey tells, and not the end of what is remembered"
        assert (await second.delete(f"/v1/keys/{key['id']}", headers=inside(workspace))).status_code == 204
    problem = is_problem(await api.get("/v1/tasks", headers=bearer(key)), 401, "unauthorized")
    assert "revoked" in problem["detail"]
    is_problem(await api.delete(f"/v1/keys/{uuid.uuid4()}"), 404, "not_found")


async def test_it_ends_everywhere_without_valkey(
    api: Api, other: Api, workspace: dict[str, Any], stack: tuple[Settings, Stack]
) -> None:
    key = await key_in(api, workspace, "events:read", "tasks:read")
    assert await works(api, key)
    pid = stack[1].children["valkey"].pid
    assert pid
    opened = asyncio.Semaphore(0)
    streams = [asyncio.create_task(follow(place, key, opened)) for place in (api, other)]
    for _ in streams:
        await opened.acquire()
    os.kill(pid, signal.SIGSTOP)
    try:
        assert await works(other, key)
        revoking = asyncio.create_task(api.delete(f"/v1/keys/{key['id']}", headers=inside(workspace)))
        await is_revoked(other, key, workspace)
        assert await ends_within(key, HEARD_SECONDS + 0.2, api, other) <= HEARD_SECONDS + 0.2
        assert (await revoking).status_code == 204
        async with patience(4):
            await asyncio.gather(*streams)  # by what is looked at each second
    finally:
        os.kill(pid, signal.SIGCONT)
    await asyncio.sleep(1)


async def test_revoking_cuts_its_open_streams(
    api: Api, other: Api, workspace: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    key = await key_in(api, workspace, "events:read")
    stays = await key_in(api, workspace, "events:read")

    opened = asyncio.Semaphore(0)
    streams = [asyncio.create_task(follow(place, key, opened)) for place in (api, other)]
    others = [asyncio.create_task(follow(place, stays, opened)) for place in (api, other)]
    for _ in range(4):
        await opened.acquire()
    began = Stopwatch()
    assert (await api.delete(f"/v1/keys/{key['id']}", headers=inside(workspace))).status_code == 204
    async with patience(5):
        await asyncio.gather(*streams)
    assert began.fair < HEARD_SECONDS
    assert not any(stream.done() for stream in others)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []
    for stream in others:
        stream.cancel()
    await asyncio.wait(others)


async def test_a_key_expires(api: Api, other: Api, workspace: dict[str, Any]) -> None:
    seconds = stretched(1.5)
    soon = datetime.now(UTC) + timedelta(seconds=seconds)
    key = await key_in(api, workspace, "tasks:read", expires_at=soon.isoformat())
    assert await works(api, key)
    await ends_within(key, seconds + HEARD_SECONDS, api, other)
    assert datetime.now(UTC) >= soon
    is_problem(await api.get("/v1/tasks", headers=bearer(key)), 401, "unauthorized")
    is_problem(await api.post(f"/v1/keys/{key['id']}/rotate", headers=inside(workspace)), 409, "illegal_move")


async def test_a_key_that_is_remembered_but_revoked_makes_no_other(
    api: Api, other: Api, workspace: dict[str, Any], stack: tuple[Settings, Stack]
) -> None:
    key = await key_in(api, workspace)
    pid = stack[1].children["valkey"].pid
    assert pid
    assert await works(other, key)
    os.kill(pid, signal.SIGSTOP)
    try:
        revoking = asyncio.create_task(api.delete(f"/v1/keys/{key['id']}", headers=inside(workspace)))
        await is_revoked(other, key, workspace)
        answer = await other.post("/v1/keys", json={"name": "k", "scopes": ["admin"]}, headers=bearer(key))
        is_problem(answer, 401, "unauthorized")
        await revoking
    finally:
        os.kill(pid, signal.SIGCONT)
    await asyncio.sleep(1)


async def test_a_member_that_leaves_takes_its_keys_along(api: Api, other: Api, workspace: dict[str, Any]) -> None:
    user = await new_member(api, workspace, MemberRole.MEMBER)
    key = await key_in(api, workspace, "tasks:read", user_id=user)
    assert await works(api, key)
    assert await works(other, key)
    assert (await api.delete(f"/v1/members/{user}", headers=inside(workspace))).status_code == 204
    await ends_within(key, HEARD_SECONDS, api, other)
    # And they do not come back with it.
    await made(api, "/v1/members", {"user_id": user, "role": "member"}, headers=inside(workspace))
    await asyncio.sleep(HEARD_SECONDS)
    assert not await works(api, key)


async def test_its_last_use_is_noted(api: Api, workspace: dict[str, Any]) -> None:
    key = await key_in(api, workspace, "tasks:read")
    assert key["last_used_at"] is None
    began = datetime.now(UTC) - timedelta(seconds=1)
    assert await works(api, key)

    async def noted() -> None:
        last = (await api.get(f"/v1/keys/{key['id']}", headers=inside(workspace))).json()["last_used_at"]
        assert last
        assert datetime.fromisoformat(last) >= began

    await eventually(noted, 3)


async def test_an_administrator_that_names_no_workspace_is_not_taken_to_mean_one(api: Api) -> None:
    for named in ("", "nobodys"):
        answer = await api.get("/v1/tasks", headers={"Muster-Workspace": named})
        is_problem(answer, 403, "forbidden")


# -- Telling nothing ------------------------------------------------------------------------------------------------


async def test_bearer_wins_and_what_is_no_key_opens_nothing(api: Api, urls: tuple[str, str]) -> None:
    key = await new_key(api, "tasks:read")
    sent = credentials.parse(key["key"])
    assert sent
    async with Api(urls[0], None) as anybody:
        assert (await anybody.get("/v1/tasks", headers={"X-API-Key": key["key"]})).status_code == 200
        assert (await anybody.get("/v1/tasks", headers={"X-API-Key": "no"} | bearer(key))).status_code == 200
        both = {"X-API-Key": key["key"], "Authorization": "Bearer no"}
        for headers in (
            {}, both, {"X-API-Key": ""}, {"Authorization": "Basic bm86bm8="}, {"Authorization": "Bearer"},
            {"X-API-Key": credentials.key(sent.id, credentials.new_secret())},
            {"X-API-Key": credentials.key(uuid.uuid4(), sent.secret)}, {"X-API-Key": key["key"] + "x"},
            {"X-API-Key": key["key"].upper()}, {"X-API-Key": key["id"]}, {"X-API-Key": "x" * 5_000},
        ):  # fmt: skip
            problem = is_problem(await anybody.get("/v1/tasks", headers=headers), 401, "unauthorized")
            assert sent.secret not in json.dumps(problem)


async def test_keys_are_in_no_log(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    for name in (None, "psycopg", "psycopg.pool", "uvicorn.error"):
        caplog.set_level(logging.DEBUG, name)
    key = await new_key(api, "tasks:read")
    await works(api, key)
    await api.post(f"/v1/keys/{key['id']}/rotate")
    await api.delete(f"/v1/keys/{key['id']}")
    await works(api, key)
    secret = key["key"].rpartition("_")[2]
    assert not [record for record in caplog.records if secret in record.getMessage()]


async def test_the_time_it_takes_tells_no_ids(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a right id with a wrong secret, and of an id that is not there."""
    # Guessing is slowed down, and what is slowed down tells nothing.
    monkeypatch.setattr(limits, "WRONG_KEYS_AT_ONCE", 10_000)
    monkeypatch.setattr(limits, "WRONG_KEYS_PER_SECOND", 1_000_000)
    key = await new_key(api, "tasks:read")
    known = uuid.UUID(key["id"])

    async def ask(key_id: uuid.UUID) -> float:
        # Each secret is new: what was asked before is remembered.
        headers = {"Authorization": f"Bearer {credentials.key(key_id, credentials.new_secret())}"}
        began = Stopwatch()
        response = await api.get("/v1/tasks", headers=headers)
        took = began.real
        assert response.status_code == 401
        return took

    ratios = []
    for _ in range(3):
        times: dict[bool, list[float]] = {True: [], False: []}
        gc.disable()
        try:
            for right in itertools.islice(itertools.cycle((True, False)), 600):
                times[right].append(await ask(known if right else uuid.uuid4()))
        finally:
            gc.enable()
        ratios.append(statistics.median(times[True]) / statistics.median(times[False]))
        if 0.8 <= ratios[-1] <= 1.25:
            return
    pytest.fail(f"a right id shows in the time: {ratios}")
