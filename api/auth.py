"""Who asks: the key or token of a request, checked before anything of its body is read.

Every route says in its OpenAPI which scope it needs (`needs`), and `Guarded` holds it to that; a route that says
nothing cannot be made.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.responses import Response

from api.limits import Limits
from api.memo import Memo
from api.stream import EventStream
from muster.domain import credentials
from muster.domain.errors import Forbidden, MusterError, Unavailable
from muster.domain.ids import DEFAULT_USER, DEFAULT_WORKSPACE
from muster.domain.states import MemberRole
from muster.domain.tenants import AGENT_SCOPES, SCOPES_OF, Actor, Scope, Tenant, lesser
from muster.storage import access, keys
from muster.storage.access import Workspace
from muster.storage.database import Database
from muster.storage.live import Live

log = logging.getLogger(__name__)

CACHE_SECONDS = 1.0
"""How long an answer is believed: at most so long does a revoked key work, even where Valkey does not tell."""
_NOTED = 10_000
_USE_NOTED_SECONDS = 60.0
_CHECK_SECONDS = 1.0

OPEN = "open"
"""Instead of a scope: anybody may ask, without a key."""
ADMINISTRATOR = "administrator"
"""Instead of a scope: administrators of the instance only."""
ANY_KEY = "any"
"""Instead of a scope: whoever has a key that works."""

_NEEDS = "x-muster-needs"
_DEFAULT = str(DEFAULT_WORKSPACE)


class Unauthorized(MusterError):
    status, code = 401, "unauthorized"


class MissingScope(Forbidden):
    code = "missing_scope"


def needs(scope: Scope | str) -> dict[str, Any]:
    """A route's `openapi_extra`."""
    return {_NEEDS: str(scope), "security": [] if scope == OPEN else [{"bearer": []}, {"header": []}]}


@dataclass(frozen=True, slots=True)
class Identity:
    """What a credential opens."""

    user_id: UUID
    scopes: frozenset[Scope]
    role: MemberRole
    workspace: Workspace | None
    """None: an administrator's, who names one with each request."""
    project_id: UUID | None = None
    task_id: UUID | None = None
    key_id: UUID | None = None
    agent_id: UUID | None = None
    administrator: bool = False

    @property
    def holder(self) -> UUID:
        """The key, or the agent whose token it is."""
        return self.key_id or self.agent_id or self.user_id


class Keyring:
    """Finds out what credentials open, and remembers it for a moment."""

    def __init__(self, db: Database, live: Live, pepper: bytes, streams: set[EventStream]) -> None:
        self._db, self._live, self._pepper, self._streams = db, live, pepper, streams
        # By the whole credential, so that a right id with a wrong secret is no quicker than a wrong id.
        self._known = Memo(self._find, CACHE_SECONDS)
        self._workspaces = Memo(lambda ref: access.workspace(db, ref), CACHE_SECONDS)
        self._noted: dict[UUID, float] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._checking: asyncio.Task[None] | None = None
        self._look = asyncio.Event()

    async def start(self) -> None:
        await self._live.listen(keys.revoked(), self._told)
        self._checking = asyncio.create_task(self._check_streams(), name="keys of streams")

    async def stop(self) -> None:
        if self._checking:
            self._checking.cancel()
            await asyncio.wait({self._checking})
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._known.close()
        await self._workspaces.close()

    async def identify(self, text: str) -> Identity:
        found = self._known.young(text) or await self._known.get(text)
        if found is None:
            raise Unauthorized("this key opens nothing: it is unknown, revoked or expired")
        return found

    def knows(self, text: str) -> bool:
        """Whether it opened something a moment ago."""
        return self._known.last(text) is not None

    async def _find(self, text: str) -> Identity | None:
        sent = credentials.parse(text)
        if sent is None:
            return None
        return await (self._agent(sent) if sent.of_agent else self._key(sent))

    async def _key(self, sent: credentials.Credential) -> Identity | None:
        row = await access.key(self._db, sent.id)
        # Compared in any case: whether there is such an id must not show in the time it takes.
        right = hmac.compare_digest(
            row.hash if row else bytes(32), credentials.hash_secret(self._pepper, sent.id, sent.secret)
        )
        if row is None or not right or row.revoked or (row.expires_at and row.expires_at <= datetime.now(UTC)):
            return None
        if row.workspace is None:
            if not row.administrator:
                return None
            role = row.role
        elif row.member is None:
            return None
        else:
            role = lesser(row.role, row.member)
        found = Identity(
            user_id=row.user_id,
            scopes=frozenset(map(Scope, row.scopes)) & SCOPES_OF[role],
            role=role,
            workspace=row.workspace,
            project_id=row.project_id,
            key_id=sent.id,
            administrator=row.workspace is None,
        )
        self._note_use(found, row.last_used_at)
        return found

    async def _agent(self, sent: credentials.Credential) -> Identity | None:
        row = await access.agent(self._db, sent.id)
        if not credentials.is_agents(self._pepper, sent.id, sent.secret) or row is None or not row.alive:
            return None
        return Identity(
            user_id=row.user_id or DEFAULT_USER,
            scopes=AGENT_SCOPES,
            role=MemberRole.MEMBER,
            workspace=row.workspace,
            project_id=row.project_id,
            task_id=row.task_id,
            agent_id=sent.id,
        )

    async def workspace(self, ref: str) -> Workspace:
        """The one an administrator names."""
        found = self._workspaces.young(ref) or await self._workspaces.get(ref)
        if found is None:
            raise Forbidden(f"there is no workspace {ref[:100]!r}")
        return found

    def forget(self, entity_id: UUID) -> None:
        """A key was revoked here: it ends at once in this process, and in the others when Valkey tells them."""
        self._known.forget(
            lambda identity: (
                identity is not None and entity_id in (identity.key_id, identity.agent_id, identity.user_id)
            )
        )
        self._look.set()

    async def revoked(self, entity_id: UUID) -> None:
        """Tell every process. Where Valkey is away, what is remembered there ends by its age."""
        self.forget(entity_id)
        # Beside the answer: a Valkey that hangs would hold it up, and without it memories end by their age.
        self._keep(asyncio.create_task(self._live.publish(keys.revoked(), str(entity_id)), name="tell of a key"))

    def _told(self, raw: bytes) -> None:
        try:
            self.forget(UUID(raw.decode()))
        except ValueError:
            log.warning("a message on %s is not an id", keys.revoked())

    def _note_use(self, identity: Identity, last: datetime | None) -> None:
        key_id, now = identity.key_id, time.monotonic()
        if key_id is None or (last and (datetime.now(UTC) - last).total_seconds() < _USE_NOTED_SECONDS):
            return
        if now - self._noted.get(key_id, -_USE_NOTED_SECONDS) < _USE_NOTED_SECONDS:
            return
        if len(self._noted) > _NOTED:
            self._noted.clear()
        self._noted[key_id] = now
        self._keep(asyncio.create_task(self._write_use(identity, key_id), name="last use of a key"))

    def _keep(self, task: asyncio.Task[Any]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _write_use(self, identity: Identity, key_id: UUID) -> None:
        workspace_id = identity.workspace.id if identity.workspace else DEFAULT_WORKSPACE
        who = Tenant(workspace_id, identity.user_id, administrator=identity.administrator)
        try:
            await access.used(self._db, who, key_id)
        except MusterError:
            self._noted.pop(key_id, None)

    async def _check_streams(self) -> None:
        """A stream lives no longer than the key it was opened with."""
        while True:
            self._look.clear()
            for text in {stream.credential for stream in self._streams if stream.credential}:
                try:
                    await self.identify(text)
                except Unauthorized:
                    for stream in [stream for stream in self._streams if stream.credential == text]:
                        stream.inbox.cut_off("its key is revoked or expired")
                except Unavailable:
                    break  # whoever is streamed to meanwhile hears nothing new: Postgres has it all
                except Exception:
                    log.exception("looking at the keys of streams failed")
            try:
                async with asyncio.timeout(_CHECK_SECONDS):
                    await self._look.wait()
            except TimeoutError:
                pass


def must_have(tenant: Tenant, scope: Scope) -> None:
    """A second scope, for what a body may ask beside what its route is for."""
    if scope not in tenant.scopes:
        raise MissingScope(f"this key lacks the scope {scope}", scope=scope)


def must_administer(tenant: Tenant) -> None:
    """An administrator's key that was made for less than that does less."""
    must_have(tenant, Scope.ADMIN)


def must_reach_all(tenant: Tenant) -> None:
    if not tenant.reaches_all:
        raise Forbidden("this key reaches one project only")


def credential(request: Request) -> str:
    return _sent(request)[0]


def _sent(request: Request) -> tuple[str, str | None]:
    """The credential, and the workspace that is named. Of a header that is sent twice, the first. In one go: every
    request comes by here, and looking each up by its name costs more than all else that is done about it."""
    bearer = key = named = None
    for name, value in request.scope["headers"]:
        if name == b"authorization" and bearer is None:
            bearer = value
        elif name == b"x-api-key" and key is None:
            key = value
        elif name == b"muster-workspace" and named is None:
            named = value.decode("latin-1")
    if bearer is not None:
        scheme, _, text = bearer.decode("latin-1").partition(" ")
        if scheme.lower() != "bearer" or not (text := text.strip()):
            raise Unauthorized("the Authorization header must be `Bearer mst_…`")
        return text, named
    text = key.decode("latin-1").strip() if key is not None else ""
    if not text:
        raise Unauthorized("send a key: `Authorization: Bearer mst_…`, or X-API-Key")
    return text, named


def _must_open(needed: str, holder: Identity | Tenant) -> None:
    if needed == ADMINISTRATOR:
        if not holder.administrator:
            raise Forbidden("only an administrator of this instance may do this")
    elif needed != ANY_KEY and needed not in holder.scopes:
        raise MissingScope(f"this key lacks the scope {needed}", scope=needed)


async def admit(request: Request, needed: str) -> Tenant:
    """The tenant of this request, if it may use a route that needs this."""
    let_in: Tenant | None = request.scope.get("tenant")
    if let_in is not None:  # asked from within (api/inside.py), by a route that has let it in
        _must_open(needed, let_in)
        return let_in
    here = request.app.state.context
    keyring: Keyring = here.keyring
    limits: Limits = here.limits
    (text, named), client = _sent(request), request.scope.get("client")
    address = client[0] if client else None
    if not keyring.knows(text):
        limits.check_address(address)
    try:
        identity = await keyring.identify(text)
    except Unauthorized:
        limits.note_wrong(address)
        raise
    workspace = identity.workspace
    if workspace is None:
        workspace = await keyring.workspace(_DEFAULT if named is None else named)
    request.scope["max_body"] = workspace.max_body_bytes  # the edge holds the body to it
    headers = request.scope["rate_limit"] = []
    await limits.admit(identity.holder, workspace.id, workspace.requests_per_second, headers)
    if named is not None and identity.workspace and named.lower() not in (str(workspace.id), workspace.slug):
        raise Forbidden("this key belongs to another workspace")
    _must_open(needed, identity)
    return Tenant(
        workspace_id=workspace.id,
        user_id=identity.user_id,
        scopes=identity.scopes,
        role=identity.role,
        project_id=identity.project_id,
        task_id=identity.task_id,
        administrator=identity.administrator,
        weight=workspace.weight,
        actor=Actor(
            user_id=identity.user_id,
            key_id=identity.key_id,
            agent_id=identity.agent_id,
            address=address,
            request_id=request.scope.get("trace_id"),
        ),
    )


def _must_be_known(request: Request, queries: set[str]) -> None:
    """A filter that is misspelt would otherwise list, or end, everything."""
    if unknown := [name for name in request.query_params if name not in queries]:
        error = {"type": "extra_forbidden", "loc": ("query", unknown[0]), "msg": "there is no such parameter"}
        raise RequestValidationError([error])


class Guarded(APIRoute):
    """A route that knows who asks before FastAPI reads the body."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.needed: str = (self.openapi_extra or {})[_NEEDS]
        # What speaks a protocol of others may be sent more than this knows of.
        self._queries = {field.alias for field in self.dependant.query_params} if self.path.startswith("/v1/") else None

    def answering(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers whoever was let in."""
        return super().get_route_handler()

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = self.answering()

        async def guarded(request: Request) -> Response:
            if self.needed == OPEN:
                return await answer(request)
            request.scope["tenant"] = await admit(request, self.needed)
            if request.scope["query_string"] and self._queries is not None:
                _must_be_known(request, self._queries)
            response = await answer(request)
            if isinstance(response, EventStream):
                response.credential = credential(request)
            return response

        return guarded


def router_of(tag: str, *, prefix: str = "/v1") -> APIRouter:
    return APIRouter(prefix=prefix, tags=[tag], route_class=Guarded)
