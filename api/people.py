"""The users of this instance, and who of them may work in which workspace."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import Request
from pydantic import AfterValidator, Field, model_validator
from starlette.responses import Response

from api import answers
from api.answers import Cursor, Json, Limit, Shown, problems
from api.auth import ADMINISTRATOR, must_administer, must_reach_all, needs, router_of
from api.context import Context, asking
from api.idempotency import Answer, IdempotencyKey, Sent, once
from api.projects import Name
from muster.domain.errors import Forbidden
from muster.domain.states import MemberRole
from muster.domain.tasks import Spec, Text
from muster.domain.tenants import RANK, Scope, Tenant
from muster.storage import workspaces

router = router_of("members")

MAX_EMAIL = 320


def _in_lower_case(email: str) -> str:
    lowered = email.lower()
    if len(lowered) > MAX_EMAIL:  # some letters are two when they are small
        raise ValueError(f"must have at most {MAX_EMAIL} characters")
    return lowered


Email = Annotated[
    Text,
    Field(min_length=3, max_length=MAX_EMAIL, pattern=r"^[^@\s]+@[^@\s]+$", examples=["ada@example.org"]),
    AfterValidator(_in_lower_case),
]


class NewUser(Spec, json_schema_extra={"examples": [{"email": "ada@example.org", "name": "Ada"}]}):
    email: Email
    name: Name
    administrator: bool = Field(default=False, description="Of this instance: may hold keys that open everything.")


class UserChange(Spec, json_schema_extra={"examples": [{"name": "Ada L."}]}):
    """What is named changes; the rest stays."""

    name: Name | None = None
    administrator: bool | None = Field(default=None, description="false: and revokes those keys that open everything.")

    @model_validator(mode="after")
    def _keeps_what_it_must(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("name at least one field to change")
        for field in self.model_fields_set:
            if getattr(self, field) is None:
                raise ValueError(f"{field} cannot be null")
        return self


class User(Shown):
    id: UUID
    email: str
    name: str
    administrator: bool
    created_at: datetime


class NewMember(Spec, json_schema_extra={"examples": [{"email": "ada@example.org", "role": "member"}]}):
    user_id: UUID | None = None
    email: Email | None = Field(default=None, description="Instead of user_id; a user is made when there is none.")
    name: Name | None = Field(default=None, description="Of a user that is made. Default: the email.")
    role: MemberRole = Field(examples=["member"])

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.user_id is None) == (self.email is None):
            raise ValueError("give either user_id or email")
        return self


class MemberChange(Spec, json_schema_extra={"examples": [{"role": "admin"}]}):
    role: MemberRole = Field(examples=["admin"])


class Member(Shown):
    user_id: UUID
    workspace_id: UUID
    email: str
    name: str
    role: MemberRole
    created_at: datetime


@router.post(
    "/users",
    operation_id="create_user",
    openapi_extra=needs(ADMINISTRATOR),
    summary="Make a user",
    status_code=201,
    response_model=User,
    responses={**answers.replayed(User), **problems(409, 413, 415)},
)
async def create_user(request: Request, new: NewUser, key: IdempotencyKey = None) -> Any:
    """Nobody signs in as a user: it is whom keys act as, and who is a member of workspaces."""
    here, tenant = await asking(request)
    must_administer(tenant)

    async def work(sent: Sent) -> Answer:
        return Answer(
            201,
            await workspaces.create_user(
                here.db, tenant, sent.id, email=new.email, name=new.name, administrator=new.administrator
            ),
        )

    return await once(here, tenant, request, key, new, work)


@router.get(
    "/users",
    operation_id="list_users",
    openapi_extra=needs(ADMINISTRATOR),
    summary="List users, newest first",
    response_model=answers.Page[User],
    responses=problems(),
)
async def list_users(request: Request, cursor: Cursor = None, limit: Limit = 50) -> Any:
    here, tenant = await asking(request)
    must_administer(tenant)
    items, following = await workspaces.users(here.db, tenant, cursor=cursor, limit=limit)
    return Json({"items": items, "next_cursor": following})


@router.patch(
    "/users/{user_id}",
    operation_id="update_user",
    openapi_extra=needs(ADMINISTRATOR),
    summary="Rename a user, or make it an administrator, or none",
    response_model=User,
    responses=problems(404, 409, 413, 415),
)
async def update_user(request: Request, user_id: UUID, change: UserChange) -> Any:
    """The last administrator stays one."""
    here, tenant = await asking(request)
    must_administer(tenant)
    row = await workspaces.update_user(
        here.db, tenant, user_id, name=change.name, administrator=change.administrator
    )  # fmt: skip
    await here.keyring.revoked(user_id)
    return Json(row)


@router.post(
    "/members",
    operation_id="add_member",
    openapi_extra=needs(ADMINISTRATOR),
    summary="Let a user into the workspace",
    status_code=201,
    response_model=Member,
    responses={**answers.replayed(Member), **problems(409, 413, 415)},
)
async def add_member(request: Request, new: NewMember, key: IdempotencyKey = None) -> Any:
    here, tenant = await asking(request)
    must_administer(tenant)
    if RANK[new.role] > RANK[tenant.role]:
        raise Forbidden(f"this key's role is {tenant.role}; it cannot grant {new.role}")

    async def work(sent: Sent) -> Answer:
        user_id = new.user_id or await _user_of(here, tenant, new)
        return Answer(201, await workspaces.add_member(here.db, tenant, user_id, new.role))

    return await once(here, tenant, request, key, new, work)


async def _user_of(here: Context, tenant: Tenant, new: NewMember) -> UUID:
    assert new.email is not None  # noqa: S101 - the validator saw to it
    return await workspaces.user_by_email(here.db, tenant, new.email, new.name or new.email[:200])


@router.get(
    "/members",
    operation_id="list_members",
    openapi_extra=needs(Scope.ADMIN),
    summary="List the workspace's members, newest first",
    response_model=answers.Page[Member],
    responses=problems(),
)
async def list_members(request: Request, cursor: Cursor = None, limit: Limit = 50) -> Any:
    here, tenant = await asking(request)
    must_reach_all(tenant)
    items, following = await workspaces.members(here.db, tenant, cursor=cursor, limit=limit)
    return Json({"items": items, "next_cursor": following})


@router.patch(
    "/members/{user_id}",
    operation_id="update_member",
    openapi_extra=needs(Scope.ADMIN),
    summary="Give a member another role",
    response_model=Member,
    responses=problems(404, 409, 413, 415),
)
async def update_member(request: Request, user_id: UUID, change: MemberChange) -> Any:
    """Nobody above the asking key's own role, and to none above it. The last owner stays one. The member's keys can
    do no more than the role, within 2 seconds."""
    here, tenant = await asking(request)
    must_reach_all(tenant)
    row = await workspaces.set_role(here.db, tenant, user_id, change.role)
    await here.keyring.revoked(user_id)
    return Json(row)


@router.delete(
    "/members/{user_id}",
    operation_id="remove_member",
    openapi_extra=needs(Scope.ADMIN),
    summary="Take a member out of the workspace",
    status_code=204,
    responses=problems(404, 409),
)
async def remove_member(request: Request, user_id: UUID) -> Response:
    """Its keys for this workspace are revoked. The last owner stays."""
    here, tenant = await asking(request)
    must_reach_all(tenant)
    await workspaces.remove_member(here.db, tenant, user_id)
    await here.keyring.revoked(user_id)
    return Response(status_code=204)
