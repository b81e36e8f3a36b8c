"""The tools as an MCP server, for whichever transport."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from api.tools import INSTRUCTIONS, TOOLS, Door, Refused

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server

log = logging.getLogger(__name__)

Offered = Callable[[Any], Awaitable[tuple[Door, frozenset[str]]]]
"""From the context of a request: where its requests go, and the names of the tools it may use."""


def server(version: str, offered: Offered) -> Server[Any]:
    # Not before it is asked for: the SDK is 40 MB that an API without such clients does not need.
    from mcp import types
    from mcp.server.lowlevel import Server

    async def on_list(context: Any, _: Any) -> types.ListToolsResult:
        _, names = await offered(context)
        return types.ListToolsResult(
            tools=[
                types.Tool(
                    name=tool.name,
                    description=tool.description,
                    input_schema=tool.schema(),
                    annotations=types.ToolAnnotations(
                        read_only_hint=tool.reads,
                        destructive_hint=tool.destroys,
                        idempotent_hint=tool.reads or tool.repeats,
                        open_world_hint=False,
                    ),
                )
                for tool in TOOLS.values()
                if tool.name in names
            ]
        )

    def failure(code: str, detail: str, retryable: bool = False) -> types.CallToolResult:
        told = {"code": code, "detail": detail, "retryable": retryable}
        text = types.TextContent(type="text", text=f"{code}: {detail}")
        return types.CallToolResult(content=[text], structured_content=told, is_error=True)

    async def on_call(context: Any, params: Any) -> types.CallToolResult:
        door, names = await offered(context)
        tool = TOOLS.get(params.name)
        if tool is None:
            return failure("not_found", f"there is no tool {params.name[:100]}")
        if tool.name not in names:
            return failure("missing_scope", f"{tool.name} needs {' and '.join(tool.scopes)}, which this key lacks")
        try:
            told = await tool.run(door, tool.arguments.model_validate(params.arguments or {}))
        except ValidationError as error:
            return failure("invalid_request", _mistakes(error))
        except Refused as refused:
            return failure(refused.code, refused.detail, refused.retryable)
        except Exception:
            log.exception("the tool %s failed", tool.name)
            return failure("internal", "something went wrong in Muster; its log says what")
        text = told if isinstance(told, str) else json.dumps(told, ensure_ascii=False, separators=(",", ":"))
        return types.CallToolResult(content=[types.TextContent(type="text", text=text)])

    return Server(
        "muster",
        title="Muster",
        version=version,
        instructions=INSTRUCTIONS,
        on_list_tools=on_list,
        on_call_tool=on_call,
    )


def _mistakes(error: ValidationError) -> str:
    # Never the input itself: it may be a secret, and it may be a megabyte.
    found = error.errors(include_url=False, include_input=False)[:10]
    places = [".".join(str(part)[:100] for part in item["loc"]) or "arguments" for item in found]
    return "; ".join(
        f"{place}: {item['msg'].removeprefix('Value error, ')}" for place, item in zip(places, found, strict=True)
    )
