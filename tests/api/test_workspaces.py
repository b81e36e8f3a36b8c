"""Workspaces, users and members: who makes them, who changes what, and who stays."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest

from muster.domain.ids import DEFAULT_USER, DEFAULT_WORKSPACE
from muster.domain.states import MemberRole
from tests.api.conftest import Api, eventually, is_problem
from tests.api.people import bearer, inside, key_in, made, new_key, new_member, new_user, new_workspace

LIMITS: dict[str, Any] = {
    "max_concurrent_agents": 3, "max_waiting_tasks": 50, "requests_per_second": 20, "max_body_bytes": 4096,
    "max_output_bytes": 2048, "daily_agent_seconds": 3600, "weight": 5,
}  # fmt: skip


@pytest.fixture
async def workspace(api: Api) -> dict[str, Any]:
    return await new_workspace(api)


async def roles(api: Api, workspace: dict[str, Any]) -> dict[str, str]:
    members = (await api.get("/v1/members", headers=inside(workspace))).json()["items"]
    return {member["user_id"]: member["role"] for member in members}


# -- Workspaces -----------------------------------------------------------------------------------------------------


async def test_a_workspace_is_made_with_limits_and_an_owner(api: Api) -> None:
    email = f"{uuid.uuid4().hex}@Example.org"
    body = {"slug": f"w-{uuid.uuid4().hex[:8]}", "name": "Research", "owner_email": email, **LIMITS}
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    response = await api.post("/v1/workspaces", json=body, headers=headers)
    assert response.status_code == 201, response.text
    workspace = response.json()
    assert {name: workspace[name] for name in LIMITS} == LIMITS
    assert (workspace["admission"], workspace["admission_by"]) == ("open", None)
    assert response.headers["location"] == f"/v1/workspaces/{workspace['id']}"
    assert (await api.post("/v1/workspaces", json=body, headers=headers)).json() == workspace
    for ref in (workspace["id"], workspace["slug"]):
        assert (await api.get(f"/v1/workspaces/{ref}")).json() == workspace
    members = (await api.get("/v1/members", headers=inside(workspace))).json()["items"]
    assert [(member["email"], member["role"]) for member in members] == [(email.lower(), "owner")]
    is_problem(await api.post("/v1/workspaces", json=body), 409, "slug_taken")


async def test_a_new_workspace_works(fleet: Api, workspace: dict[str, Any]) -> None:
    key = bearer(await key_in(fleet, workspace))
    task = await made(fleet, "/v1/tasks", {"title": "t", "runner": {"argv": ["true"]}}, headers=key)

    async def done() -> None:
        assert (await fleet.get(f"/v1/tasks/{task['id']}", headers=key)).json()["status"] == "completed"

    await eventually(done, 15)
    is_problem(await fleet.get(f"/v1/tasks/{task['id']}"), 404, "not_found")


@pytest.mark.parametrize(
    "body",
    [
        {"slug": "UPPER", "name": "n"},
        {"slug": str(uuid.uuid4()), "name": "n"},
        {"slug": "s"},
        {"slug": "s", "name": "n", "max_concurrent_agents": 0},
        {"slug": "s", "name": "n", "weight": 1001},
        {"slug": "s", "name": "n", "max_concurrent_agents": True},
        {"slug": "s", "name": "n", "max_concurrent_agents": "5"},
        {"slug": "s", "name": "n", "max_body_bytes": 10},
        {"slug": "s", "name": "n", "requests_per_second": None},
        {"slug": "s", "name": "n", "admission": "open"},
        {"slug": "s", "name": "n", "owner_id": str(DEFAULT_USER), "owner_email": "a@example.org"},
        {"slug": "s", "name": "n", "owner_email": "nobody"},
    ],
)
async def test_what_makes_no_workspace(api: Api, body: dict[str, Any]) -> None:
    is_problem(await api.post("/v1/workspaces", json=body), 422, "invalid_request")


async def test_an_owner_must_be_somebody(api: Api) -> None:
    body = {"slug": f"w-{uuid.uuid4().hex[:8]}", "name": "n", "owner_id": str(uuid.uuid4())}
    is_problem(await api.post("/v1/workspaces", json=body), 422, "unknown_reference")
    is_problem(await api.get(f"/v1/workspaces/{body['slug']}"), 404, "not_found")


async def test_only_administrators_make_workspaces_users_and_members(api: Api, workspace: dict[str, Any]) -> None:
    owner = bearer(await key_in(api, workspace))
    for answer in (
        await api.post("/v1/workspaces", json={"slug": "mine", "name": "Mine"}, headers=owner),
        await api.post("/v1/users", json={"email": "a@example.org", "name": "A"}, headers=owner),
        await api.get("/v1/users", headers=owner),
        await api.post("/v1/members", json={"email": "a@example.org", "role": "viewer"}, headers=owner),
    ):
        is_problem(answer, 403, "forbidden")


async def test_a_tenant_sees_its_own_workspace_only(api: Api, workspace: dict[str, Any]) -> None:
    theirs = await new_workspace(api)
    ours = bearer(await key_in(api, workspace, "tasks:read"))
    assert [item["id"] for item in (await api.get("/v1/workspaces", headers=ours)).json()["items"]] == [workspace["id"]]
    assert (await api.get(f"/v1/workspaces/{workspace['slug']}", headers=ours)).status_code == 200
    for ref in (theirs["id"], theirs["slug"], "default"):
        is_problem(await api.get(f"/v1/workspaces/{ref}", headers=ours), 404, "not_found")
    everything, cursor = [], None
    while True:
        page = (await api.get("/v1/workspaces", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))).json()
        everything += [item["id"] for item in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert everything[:2] == [theirs["id"], workspace["id"]]
    assert str(DEFAULT_WORKSPACE) in everything
    assert len(everything) == len(set(everything))


async def test_an_owner_renames_and_an_administrator_limits(api: Api, workspace: dict[str, Any]) -> None:
    owner, path = bearer(await key_in(api, workspace)), f"/v1/workspaces/{workspace['id']}"
    renamed = (await api.patch(path, json={"name": "Other"}, headers=owner)).json()
    assert (renamed["name"], renamed["version"]) == ("Other", workspace["version"] + 1)
    slug = f"w-{uuid.uuid4().hex[:8]}"
    assert (await api.patch(path, json={"slug": slug}, headers=owner)).json()["slug"] == slug
    for name, value in LIMITS.items():
        problem = is_problem(await api.patch(path, json={name: value, "name": "No"}, headers=owner), 403, "forbidden")
        assert name in problem["detail"]
    assert (await api.get(path, headers=owner)).json()["name"] == "Other"

    limited = (await api.patch(path, json=LIMITS)).json()  # by its id, from the administrator's own workspace
    assert {name: limited[name] for name in LIMITS} == LIMITS
    freed = {"max_body_bytes": None, "max_output_bytes": None, "daily_agent_seconds": None}
    free = (await api.patch(f"/v1/workspaces/{slug}", json=freed)).json()
    assert {name: free[name] for name in LIMITS} == LIMITS | freed
    for body in ({}, {"name": None}, {"weight": None}, {"admission": "stopped"}, {"max_waiting_tasks": 0}):
        is_problem(await api.patch(path, json=body), 422, "invalid_request")
    is_problem(await api.patch(path, json={"slug": "default"}), 409, "slug_taken")


async def test_nobody_changes_another_workspace(api: Api, workspace: dict[str, Any]) -> None:
    theirs = await new_workspace(api)
    ours = bearer(await key_in(api, workspace))
    for ref in (theirs["id"], theirs["slug"]):
        is_problem(await api.patch(f"/v1/workspaces/{ref}", json={"name": "Mine"}, headers=ours), 404, "not_found")
    reader = bearer(await key_in(api, workspace, "tasks:write"))
    answer = await api.patch(f"/v1/workspaces/{workspace['id']}", json={"name": "Mine"}, headers=reader)
    is_problem(answer, 403, "missing_scope")
    assert (await api.get(f"/v1/workspaces/{theirs['id']}")).json()["name"] == "A workspace"


async def test_a_raised_cap_gives_slots_to_those_that_wait(fleet: Api) -> None:
    workspace = await new_workspace(fleet, max_concurrent_agents=1)
    key = bearer(await key_in(fleet, workspace))
    for _ in range(3):
        await made(fleet, "/v1/tasks", {"title": "t", "runner": {"argv": ["sleep", "60"]}}, headers=key)

    async def run(count: int) -> None:
        running = (await fleet.get("/v1/agents", params={"status": "running"}, headers=key)).json()["items"]
        assert len(running) == count

    await eventually(lambda: run(1))
    assert (
        await fleet.patch(f"/v1/workspaces/{workspace['id']}", json={"max_concurrent_agents": 3})
    ).status_code == 200
    # With the next thing that happens, which is this.
    await made(fleet, "/v1/tasks", {"title": "t", "runner": {"argv": ["true"]}}, headers=key)
    await eventually(lambda: run(3))
    ended = await fleet.post("/v1/agents/kill-all", params={"wait": True}, json={"grace_seconds": 0}, headers=key)
    assert ended.status_code in {200, 202}, ended.text


# -- Users and members ----------------------------------------------------------------------------------------------


async def test_users(api: Api) -> None:
    email = f"{uuid.uuid4().hex}@example.org"
    user = await made(api, "/v1/users", {"email": email.upper(), "name": "Ada"})
    assert (user["email"], user["name"], user["administrator"]) == (email, "Ada", False)
    is_problem(await api.post("/v1/users", json={"email": email, "name": "Again"}), 409, "email_taken")
    assert (await api.get("/v1/users", params={"limit": 1})).json()["items"] == [user]
    for body in (
        {"email": "x", "name": "X"},
        {"email": "İ" * 300 + "@x", "name": "X"},
        {"email": email},
        {"email": "a b@c", "name": "X"},
    ):
        is_problem(await api.post("/v1/users", json=body), 422, "invalid_request")


async def test_an_administrator_becomes_one_and_ceases_to_be(api: Api) -> None:
    user = await new_user(api)
    path = f"/v1/users/{user['id']}"
    changed = (await api.patch(path, json={"administrator": True, "name": "Root"})).json()
    assert (changed["administrator"], changed["name"]) == (True, "Root")
    key = await new_key(api, administrator=True, user_id=user["id"])
    assert (await api.get("/v1/users", headers=bearer(key))).status_code == 200
    assert (await api.patch(path, json={"administrator": False})).json()["administrator"] is False
    is_problem(await api.get("/v1/users", headers=bearer(key)), 401, "unauthorized")
    await api.patch(path, json={"administrator": True})
    is_problem(await api.get("/v1/users", headers=bearer(key)), 401, "unauthorized")
    await api.patch(path, json={"administrator": False})
    last = await api.patch(f"/v1/users/{DEFAULT_USER}", json={"administrator": False})
    is_problem(last, 409, "last_administrator")
    for body in ({}, {"name": None}, {"email": "a@example.org"}):
        is_problem(await api.patch(path, json=body), 422, "invalid_request")
    is_problem(await api.patch(f"/v1/users/{uuid.uuid4()}", json={"name": "N"}), 404, "not_found")


async def test_members_come_change_and_go(api: Api, workspace: dict[str, Any]) -> None:
    email = f"{uuid.uuid4().hex}@example.org"
    headers = inside(workspace)
    member = await made(api, "/v1/members", {"email": email, "name": "Ada", "role": "viewer"}, headers=headers)
    assert (member["email"], member["name"], member["role"]) == (email, "Ada", "viewer")
    assert member["workspace_id"] == workspace["id"]
    path = f"/v1/members/{member['user_id']}"
    answer = await api.post("/v1/members", json={"user_id": member["user_id"], "role": "admin"}, headers=headers)
    is_problem(answer, 409, "member_already")
    key = await key_in(api, workspace, "tasks:write", user_id=member["user_id"])
    is_problem(await api.post("/v1/tasks", json={"title": "t"}, headers=bearer(key)), 403, "missing_scope")
    assert (await api.patch(path, json={"role": "member"}, headers=headers)).json()["role"] == "member"
    # Allowed at once: what was remembered of its keys is forgotten.
    answer = await api.post("/v1/tasks", json={}, headers=bearer(key))
    is_problem(answer, 422, "invalid_request")
    # The same user, elsewhere.
    other = await new_workspace(api)
    again = await made(api, "/v1/members", {"email": email, "role": "admin"}, headers=inside(other))
    assert again["user_id"] == member["user_id"]
    assert (await api.delete(path, headers=headers)).status_code == 204
    is_problem(await api.delete(path, headers=headers), 404, "not_found")
    is_problem(await api.patch(path, json={"role": "admin"}, headers=headers), 404, "not_found")
    assert member["user_id"] in await roles(api, other)
    for body in (
        {"role": "viewer"}, {"email": email, "user_id": member["user_id"], "role": "viewer"}, {"email": email},
        {"email": email, "role": "king"},
    ):  # fmt: skip
        is_problem(await api.post("/v1/members", json=body, headers=headers), 422, "invalid_request")
    missing = {"user_id": str(uuid.uuid4()), "role": "viewer"}
    is_problem(await api.post("/v1/members", json=missing, headers=headers), 422, "unknown_reference")


async def test_members_come_in_pages(api: Api, workspace: dict[str, Any]) -> None:
    users = [await new_member(api, workspace, MemberRole.VIEWER) for _ in range(4)]
    seen, cursor = [], None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await api.get("/v1/members", params=params, headers=inside(workspace))).json()
        assert all(
            set(item) == {"user_id", "workspace_id", "email", "name", "role", "created_at"} for item in page["items"]
        )
        seen += [item["user_id"] for item in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert seen == [*reversed(users), workspace["owner_id"]]


async def test_nobody_reaches_above_himself(api: Api, workspace: dict[str, Any]) -> None:
    admin, viewer = [await new_member(api, workspace, role) for role in (MemberRole.ADMIN, MemberRole.VIEWER)]
    await new_member(api, workspace, MemberRole.OWNER)
    ours = bearer(await key_in(api, workspace, user_id=admin))
    owner = f"/v1/members/{workspace['owner_id']}"
    is_problem(await api.patch(owner, json={"role": "viewer"}, headers=ours), 403, "forbidden")
    is_problem(await api.delete(owner, headers=ours), 403, "forbidden")
    is_problem(await api.patch(f"/v1/members/{viewer}", json={"role": "owner"}, headers=ours), 403, "forbidden")
    is_problem(await api.patch(f"/v1/members/{admin}", json={"role": "owner"}, headers=ours), 403, "forbidden")
    assert (await api.patch(f"/v1/members/{viewer}", json={"role": "admin"}, headers=ours)).status_code == 200
    # A key that may be less than its user is held to that.
    low = bearer(await key_in(api, workspace, role="admin"))
    is_problem(await api.patch(f"/v1/members/{viewer}", json={"role": "owner"}, headers=low), 403, "forbidden")
    assert (await roles(api, workspace))[workspace["owner_id"]] == "owner"


async def test_the_last_owner_stays(api: Api, workspace: dict[str, Any]) -> None:
    path, headers = f"/v1/members/{workspace['owner_id']}", inside(workspace)
    is_problem(await api.delete(path, headers=headers), 409, "last_owner")
    is_problem(await api.patch(path, json={"role": "admin"}, headers=headers), 409, "last_owner")
    assert (await api.patch(path, json={"role": "owner"}, headers=headers)).status_code == 200
    for _ in range(5):
        second = await new_member(api, workspace, MemberRole.OWNER)
        # Both at once: one of them stays.
        answers = await asyncio.gather(
            api.patch(path, json={"role": "admin"}, headers=headers),
            api.delete(f"/v1/members/{second}", headers=headers),
        )
        assert sorted(answer.status_code for answer in answers) in ([200, 409], [204, 409])
        found = await roles(api, workspace)
        assert list(found.values()).count("owner") == 1
        if found[workspace["owner_id"]] != "owner":
            await api.patch(path, json={"role": "owner"}, headers=headers)
            assert (await api.delete(f"/v1/members/{second}", headers=headers)).status_code == 204


async def test_another_workspaces_members_are_not_there(api: Api, workspace: dict[str, Any]) -> None:
    theirs = await new_workspace(api)
    ours = bearer(await key_in(api, workspace))
    path = f"/v1/members/{theirs['owner_id']}"
    is_problem(await api.patch(path, json={"role": "viewer"}, headers=ours), 404, "not_found")
    is_problem(await api.delete(path, headers=ours), 404, "not_found")
    assert list(await roles(api, theirs)) == [theirs["owner_id"]]
    is_problem(await api.get("/v1/members", headers=ours | inside(theirs)), 403, "forbidden")
    stranger = (await new_user(api))["id"]
    is_problem(await api.patch(f"/v1/members/{stranger}", json={"role": "viewer"}, headers=ours), 404, "not_found")
