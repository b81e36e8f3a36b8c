"""`/mcp`: the tools of agents over streamable HTTP, with the keys and scopes of the API.

Stateless: each request is whole in itself, so any process may answer it and none remembers its client. What a tool
asks, it asks of the API's own routes, as whoever called it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from fastapi import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from api import mcp_server, tools
from api.auth import ANY_KEY, needs, router_of
from api.errors import problem
from api.inside import Inside
from muster.domain.tenants import Tenant
from muster.domain.version import VERSION

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

PATH = "/mcp"

router = router_of("mcp", prefix=PATH)


# Not in the OpenAPI document: what is sent and answered is JSON-RPC, which says itself what there is (tools/list).
@router.api_route("", methods=["GET", "POST", "DELETE"], openapi_extra=needs(ANY_KEY), include_in_schema=False)
async def mcp(request: Request) -> Response:
    if request.method != "POST":
        # There is no session to end, and nothing that is not an answer.
        told = f"{request.method} is not possible here"
        return problem(request.scope, 405, "method_not_allowed", told, headers={"Allow": "POST"})
    body = await request.body()  # here, where one that is too large or too slow is refused as everywhere
    manager = await _manager(request.app)
    return _Handled(manager, body)


class _Handled(Response):
    """What the SDK answers."""

    def __init__(self, manager: StreamableHTTPSessionManager, sent: bytes) -> None:
        super().__init__()
        self._manager, self._sent = manager, sent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        read = False

        async def again() -> Message:
            nonlocal read
            if read:
                return await receive()
            read = True
            return {"type": "http.request", "body": self._sent, "more_body": False}

        await self._manager.handle_request(scope, again, send)


class Room:
    """The SDK's part, from the first request that needs it to the end of the process."""

    def __init__(self) -> None:
        self._running: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[StreamableHTTPSessionManager] | None = None
        self._over = asyncio.Event()

    async def manager(self) -> StreamableHTTPSessionManager:
        if self._ready is None:
            self._ready = asyncio.get_running_loop().create_future()
            self._running = asyncio.create_task(self._run(self._ready), name="mcp")
        return await asyncio.shield(self._ready)

    async def _run(self, ready: asyncio.Future[StreamableHTTPSessionManager]) -> None:
        try:
            manager = await asyncio.to_thread(_made)  # half a second of imports, while others are answered
            async with manager.run():
                ready.set_result(manager)
                await self._over.wait()
        except Exception as error:
            if ready.done():
                raise
            self._ready = None
            ready.set_exception(error)

    async def close(self) -> None:
        self._over.set()
        if self._running is not None:
            await asyncio.wait({self._running})


async def _manager(app: Any) -> StreamableHTTPSessionManager:
    room: Room = app.state.mcp
    return await room.manager()


def _made() -> StreamableHTTPSessionManager:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

    return StreamableHTTPSessionManager(
        mcp_server.server(VERSION, _offered), json_response=True, stateless=True, max_request_body_size=2**40
    )  # the edge holds bodies to their size


async def _offered(context: Any) -> tuple[tools.Door, frozenset[str]]:
    request: Request = context.request
    tenant: Tenant = request.scope["tenant"]
    names = (tool.name for tool in tools.TOOLS.values() if tenant.scopes.issuperset(tool.scopes))
    own = str(tenant.project_id) if tenant.project_id else None
    return Inside(request, request.query_params.get("project") or own), frozenset(names)
