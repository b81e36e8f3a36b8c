"""API keys: made, listed, rotated, revoked. What a key cannot do itself, no key that it makes can."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import Body, Query, Request
from pydantic import Field, field_validator, model_validator
from starlette.responses import Response

from api import answers
from api.answers import Cursor, Json, Limit, Moment, Shown, problems
from api.auth import MissingScope, must_reach_all, needs, router_of
from api.context import Context, asking
from api.idempotency import Answer, IdempotencyKey, Sent, once
from api.projects import Name
from muster.domain import credentials
from muster.domain.errors import Forbidden, MusterError, UnknownReference
from muster.domain.states import MemberRole
from muster.domain.tasks import Spec
from muster.domain.tenants import RANK, SCOPES_OF, Scope, Tenant
from muster.storage import access, api_keys, workspaces

router = router_of("keys")

MAX_OVERLAP_SECONDS = 7 * 86_400
_LONGEST_LIFE = timedelta(days=36_500)


class NoSuchUser(MusterError):
    """A key acts as somebody, and that somebody must be able to."""

    status, code = 422, "not_a_member"


class NewKey(Spec):
    name: Annotated[Name, Field(examples=["ci"])]
    scopes: list[Scope] = Field(
        min_length=1, max_length=len(Scope), description="What it may be used for; none that the asking key lacks."
    )
    role: MemberRole | None = Field(
        default=None,
        description="The most it can be, whatever its user becomes: of its scopes, those count that this role has. "
        "Default: the least that has them all.",
    )
    project_id: UUID | None = Field(
        default=None,
        description="Binds it to one project: it sees nothing else, and makes no projects, keys or members.",
    )
    workspace_id: UUID | None = Field(
        default=None, description="Administrators may name any. Default: the one that is asked in."
    )
    user_id: UUID | None = Field(
        default=None,
        description="Whom it acts as: a member of the workspace. Others than oneself: administrators only.",
    )
    administrator: bool = Field(
        default=False, description="Good for every workspace, and to make them. By administrators only."
    )
    expires_at: Moment | None = Field(
        default=None,
        description="Never later than the asking key's own end, which is also the default.",
        examples=["2030-01-01T00:00:00Z"],
    )

    @field_validator("expires_at")
    @classmethod
    def _not_over(cls, moment: datetime | None) -> datetime | None:
        if moment is None:
            return None
        if moment <= (now := datetime.now(UTC)):
            raise ValueError("must be in the future")
        if moment > now + _LONGEST_LIFE:  # past the year 9999 nobody here can read it again
            raise ValueError("must be within 100 years; without one the key lives until it is revoked")
        return moment.astimezone(UTC)

    @model_validator(mode="after")
    def _administrators_have_no_place(self) -> Self:
        if self.administrator and (self.workspace_id or self.project_id):
            raise ValueError("an administrator's key belongs to no workspace and no project")
        return self

    def ceiling(self) -> MemberRole:
        return self.role or min(
            (role for role in MemberRole if SCOPES_OF[role].issuperset(self.scopes)), key=RANK.__getitem__
        )


class Rotation(Spec, json_schema_extra={"examples": [{"overlap_seconds": 3600}]}):
    overlap_seconds: int = Field(
        default=0,
        ge=0,
        le=MAX_OVERLAP_SECONDS,
        description="How long the old key still works. 0: it ends at once.",
        examples=[3600],
    )


class Key(Shown):
    id: UUID
    name: str = Field(examples=["ci"])
    scopes: list[Scope]
    role: MemberRole = Field(description="The most it can be.")
    project_id: UUID | None = Field(description="The only project it reaches.")
    workspace_id: UUID | None = Field(description="null: an administrator's, good for every workspace.")
    user_id: UUID = Field(description="Whom it acts as.")
    created_by: UUID | None
    created_with: UUID | None = Field(description="The key that made it.")
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="To the minute.")
    revoked_at: datetime | None


class MadeKey(Key):
    key: str | None = Field(
        description="The key itself, shown this once; only a hash of it is kept. null when this answer repeats an "
        "earlier one for the same Idempotency-Key: if that was lost, rotate the key.",
        examples=["mst_01939b6f00007000800000000000_…"],
    )


EXAMPLES: dict[str, Any] = {
    "workspace": {
        "summary": "For a program that hands in tasks and follows them",
        "value": {"name": "ci", "scopes": ["tasks:read", "tasks:write", "events:read"]},
    },
    "project": {
        "summary": "For one project, until the end of the year",
        "value": {
            "name": "apollo's dashboard",
            "scopes": ["tasks:read", "agents:read", "events:read"],
            "project_id": "01939b6f-0000-7000-8000-000000000000",
            "expires_at": "2030-01-01T00:00:00Z",
        },
    },
}


@router.post(
    "/keys",
    operation_id="create_key",
    openapi_extra=needs(Scope.ADMIN),
    summary="Make a key",
    status_code=201,
    response_model=MadeKey,
    responses={**answers.replayed(MadeKey), **problems(409, 413, 415)},
)
async def create_key(
    request: Request, new: Annotated[NewKey, Body(openapi_examples=EXAMPLES)], key: IdempotencyKey = None
) -> Any:
    """No key grants what it lacks: neither scopes nor a role, a workspace, a user or a day of life."""
    here, tenant = await asking(request)
    must_reach_all(tenant)

    async def work(sent: Sent) -> Answer:
        inside = await _place(here, tenant, new)
        role = new.ceiling()
        user_id = new.user_id or tenant.user_id
        _must_have_itself(tenant, new.scopes, role, user_id)
        expires_at = await _end(here, tenant, new.expires_at)
        await _must_be_somebody(here, inside, user_id, administrator=new.administrator)
        secret = credentials.new_secret()
        row, made = await api_keys.create(
            here.db,
            inside,
            sent.id,
            credentials.hash_secret(_pepper(here), sent.id, secret),
            workspace_id=None if new.administrator else inside.workspace_id,
            project_id=new.project_id,
            user_id=user_id,
            name=new.name,
            scopes=list(dict.fromkeys(new.scopes)),
            role=role,
            expires_at=expires_at,
        )
        return _shown_once(row, secret if made else None)

    return await once(here, tenant, request, key, new, work)


async def _place(here: Context, tenant: Tenant, new: NewKey) -> Tenant:
    """The asking tenant, in the workspace where the key is made."""
    if new.administrator and not tenant.administrator:
        raise Forbidden("only an administrator of this instance makes administrators' keys")
    if new.workspace_id is None or new.workspace_id == tenant.workspace_id:
        return tenant
    if not tenant.administrator:
        raise Forbidden("this key makes keys for its own workspace only")
    if await access.workspace(here.db, str(new.workspace_id)) is None:
        raise UnknownReference(f"there is no workspace {new.workspace_id}")
    return replace(tenant, workspace_id=new.workspace_id)


def _must_have_itself(tenant: Tenant, scopes: list[Scope], role: MemberRole, user_id: UUID) -> None:
    for scope in scopes:
        if scope not in tenant.scopes:
            raise MissingScope(f"this key lacks the scope {scope}, and so cannot grant it", scope=scope)
    if RANK[role] > RANK[tenant.role]:
        raise Forbidden(f"this key's role is {tenant.role}; it cannot grant {role}")
    if user_id != tenant.user_id and not tenant.administrator:
        raise Forbidden("only an administrator of this instance makes keys for other users")


async def _end(here: Context, tenant: Tenant, wanted: datetime | None) -> datetime | None:
    own = await api_keys.ends_at(here.db, tenant)
    if own is None or wanted is None:
        return wanted or own
    if wanted > own:
        raise Forbidden(f"this key ends at {own.isoformat()}; none that it makes lives longer")
    return wanted


async def _must_be_somebody(here: Context, inside: Tenant, user_id: UUID, *, administrator: bool) -> None:
    if administrator:
        if not (await workspaces.user(here.db, inside, user_id))["administrator"]:
            raise NoSuchUser(f"user {user_id} is no administrator of this instance")
    elif await workspaces.member(here.db, inside, user_id) is None:
        itself = user_id == inside.user_id
        advice = "; name the member it is for as user_id" if itself and inside.administrator else ""
        whose = "you are" if itself else f"user {user_id} is"
        raise NoSuchUser(f"{whose} no member of workspace {inside.workspace_id}{advice}")


def _pepper(here: Context) -> bytes:
    assert here.settings.secret_key is not None  # noqa: S101 - without it the API does not start
    return here.settings.secret_key.get_secret_value().encode()


def _shown_once(row: dict[str, Any], secret: str | None) -> Answer:
    shown = credentials.key(UUID(row["id"]), secret) if secret else None
    return Answer(201, {**row, "key": shown}, f"/v1/keys/{row['id']}", kept={**row, "key": None})


@router.get(
    "/keys",
    operation_id="list_keys",
    openapi_extra=needs(Scope.ADMIN),
    summary="List keys, newest first",
    response_model=answers.Page[Key],
    responses=problems(),
)
async def list_keys(
    request: Request,
    include_revoked: Annotated[bool, Query(description="Also those that were revoked.")] = False,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Any:
    """Of the workspace; to administrators also their own kind, which belong to none."""
    here, tenant = await asking(request)
    must_reach_all(tenant)
    items, following = await api_keys.page(
        here.db, tenant, include_revoked=include_revoked, cursor=cursor, limit=limit
    )  # fmt: skip
    return Json({"items": items, "next_cursor": following})


@router.get(
    "/keys/{key_id}",
    operation_id="get_key",
    openapi_extra=needs(Scope.ADMIN),
    summary="What is known of a key",
    response_model=Key,
    responses=problems(404),
)
async def get_key(request: Request, key_id: UUID) -> Any:
    here, tenant = await asking(request)
    must_reach_all(tenant)
    return Json(await api_keys.get(here.db, tenant, key_id))


@router.delete(
    "/keys/{key_id}",
    operation_id="revoke_key",
    openapi_extra=needs(Scope.ADMIN),
    summary="Revoke a key",
    status_code=204,
    responses=problems(404),
)
async def revoke_key(request: Request, key_id: UUID) -> Response:
    """For good, everywhere within 2 seconds; its open streams end with it. Any key of the workspace: this grants
    nothing, and a key that leaked cannot wait for its owner."""
    here, tenant = await asking(request)
    must_reach_all(tenant)
    await api_keys.revoke(here.db, tenant, key_id)
    await here.keyring.revoked(key_id)
    return Response(status_code=204)


@router.post(
    "/keys/{key_id}/rotate",
    operation_id="rotate_key",
    openapi_extra=needs(Scope.ADMIN),
    summary="Replace a key by a new one like it",
    status_code=201,
    response_model=MadeKey,
    responses={**answers.replayed(MadeKey), **problems(404, 409, 413, 415)},
)
async def rotate_key(
    request: Request, key_id: UUID, rotation: Rotation | None = None, key: IdempotencyKey = None
) -> Any:
    """The same name, scopes, role, project, user and end; another id and secret. The end is the one that the key has by
    now: whoever rotates it once more during its overlap gets a key that ends with the overlap, since what was to end
    must not prolong itself. The asking key must have itself what the new one will: whoever rotates a key holds it."""
    here, tenant = await asking(request)
    must_reach_all(tenant)
    overlap = rotation.overlap_seconds if rotation else 0

    async def work(sent: Sent) -> Answer:
        was = await api_keys.get(here.db, tenant, key_id)
        if key_id != tenant.actor.key_id:
            scopes = [Scope(scope) for scope in was["scopes"]]
            _must_have_itself(tenant, scopes, MemberRole(was["role"]), UUID(was["user_id"]))
            own = await api_keys.ends_at(here.db, tenant)
            if own and (was["expires_at"] is None or datetime.fromisoformat(was["expires_at"]) > own):
                raise Forbidden(f"this key ends at {own.isoformat()}; key {key_id} lives longer")
        secret = credentials.new_secret()
        row, made = await api_keys.rotate(
            here.db,
            tenant,
            key_id,
            sent.id,
            credentials.hash_secret(_pepper(here), sent.id, secret),
            overlap_seconds=overlap,
        )
        await here.keyring.revoked(key_id)  # or it ends sooner than others remember
        return _shown_once(row, secret if made else None)

    return await once(here, tenant, request, key, rotation, work)
