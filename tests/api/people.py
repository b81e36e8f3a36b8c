"""Workspaces, people and keys that a test is about."""

from __future__ import annotations

import uuid
from typing import Any

from muster.domain.states import MemberRole
from muster.domain.tenants import Scope
from tests.api.conftest import Api

ALL = [scope.value for scope in Scope]


async def made(api: Api, path: str, body: dict[str, Any], **options: Any) -> dict[str, Any]:
    response = await api.post(path, json=body, **options)
    assert response.status_code == 201, response.text
    found: dict[str, Any] = response.json()
    return found


async def new_workspace(api: Api, **more: Any) -> dict[str, Any]:
    """With an owner, as `owner_id`."""
    owner = await new_user(api)
    slug = f"w-{uuid.uuid4().hex[:12]}"
    body = {"slug": slug, "name": "A workspace", "owner_id": owner["id"], **more}
    return {**await made(api, "/v1/workspaces", body), "owner_id": owner["id"]}


async def new_user(api: Api, **more: Any) -> dict[str, Any]:
    return await made(api, "/v1/users", {"email": f"{uuid.uuid4().hex}@example.org", "name": "Somebody", **more})


async def new_member(api: Api, workspace: dict[str, Any], role: MemberRole) -> str:
    """The user's id."""
    body = {"email": f"{uuid.uuid4().hex}@example.org", "name": f"The {role}", "role": role}
    return str((await made(api, "/v1/members", body, headers=inside(workspace)))["user_id"])


async def new_key(api: Api, *scopes: str, **more: Any) -> dict[str, Any]:
    return await made(api, "/v1/keys", {"name": "a key", "scopes": list(scopes) or ALL, **more})


async def key_in(api: Api, workspace: dict[str, Any], *scopes: str, **more: Any) -> dict[str, Any]:
    """By the administrator, for the workspace's owner if for nobody else."""
    place = {"workspace_id": workspace["id"], "user_id": workspace["owner_id"]}
    return await new_key(api, *scopes, **(place | more))


def inside(workspace: dict[str, Any]) -> dict[str, str]:
    """What an administrator's request says."""
    return {"Muster-Workspace": workspace["slug"]}


def bearer(key: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {key['key']}"}
