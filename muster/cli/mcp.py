"""`muster mcp`: the tools of agents over standard input and output, by way of the HTTP API."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import click

from muster.cli.client import Api, Problem, Unreachable

if TYPE_CHECKING:
    from api.tools import Door

ANSWER_SECONDS = 120.0
"""A kill is answered once it is proven, after its grace."""
_TOOLS_SECONDS = 5.0


@click.command()
@click.option("--project", metavar="SLUG", help="Of calls that name none (slug or id). Default: the agent's own.")
def mcp(project: str | None) -> None:
    """Offer Muster's tools to a model, over standard input and output (MCP).

    For clients that start their servers themselves. Those that take a URL need none: the API has the same tools at
    /mcp. Address and key come from MUSTER_URL and MUSTER_API_KEY, or from the Muster that runs here.

    \b
    $ MUSTER_URL=https://muster.example.org MUSTER_API_KEY=mst_… muster mcp --project apollo
    """
    with contextlib.suppress(KeyboardInterrupt), Api() as api:
        # A key that is refused is told to whoever starts this, and not to a model that cannot help it.
        allowed = _allowed(api)
        asyncio.run(_serve(_Outside(api, project or os.environ.get("MUSTER_PROJECT_ID")), allowed))


def _allowed(api: Api) -> frozenset[str] | None:
    """The tools that this key may use, as /mcp tells; None where that does not answer."""
    try:
        found = api.post("/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, _TOOLS_SECONDS)
        return frozenset(tool["name"] for tool in found["result"]["tools"])
    except Problem as problem:
        if problem.status == HTTPStatus.UNAUTHORIZED:
            raise
        return None
    except (Unreachable, KeyError, TypeError):
        return None


async def _serve(door: _Outside, allowed: frozenset[str] | None) -> None:
    from mcp.server.stdio import stdio_server

    from api import mcp_server, tools
    from muster.domain.version import VERSION

    async def offered(_: Any) -> tuple[Door, frozenset[str]]:
        nonlocal allowed
        if allowed is None:
            with contextlib.suppress(Problem):  # each call will say so
                allowed = await asyncio.to_thread(_allowed, door.api)
        return door, frozenset(tools.TOOLS) if allowed is None else allowed

    server = mcp_server.server(VERSION, offered)
    # A client that goes away ends its servers this way, and what waits for more input would not notice.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, os._exit, 0)
    async with stdio_server() as (reads, writes):
        await server.run(reads, writes, server.create_initialization_options())
    sys.stdout.flush()


class _Outside:
    """The API by its address, with this process's key."""

    def __init__(self, api: Api, project: str | None) -> None:
        self.api = api
        self.project = project

    async def request(self, method: str, path: str, query: Mapping[str, Any] | None = None, body: Any = None) -> Any:
        from api.tools import Refused

        try:
            if method == "GET":
                return await asyncio.to_thread(self.api.get, path, **(query or {}))
            return await asyncio.to_thread(self.api.post, path, body, ANSWER_SECONDS, **(query or {}))
        except Problem as problem:
            told = {"code": problem.code, "detail": problem.format_message(), "retryable": problem.retryable}
            raise Refused(problem.status, told) from None
        except Unreachable as error:
            told = {"code": "unavailable", "detail": error.format_message(), "retryable": True}
            raise Refused(503, told) from None
