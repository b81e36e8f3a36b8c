"""What is answered when something is refused or goes wrong: RFC 9457 problem documents, always."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Scope

from muster.domain.errors import DaySpent, MusterError

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = {
    "unavailable": 2, "workspace_full": 1, "queue_full": 2, "request_in_flight": 1, "not_yet": 1, "rate_limited": 1,
}  # fmt: skip
"""Seconds."""
_DAY_SECONDS = 86_400


class Invalid(BaseModel):
    at: str = Field(description="Where: `body.runner.argv`, `query.limit` …", examples=["body.priority"])
    message: str = Field(examples=["Input should be less than or equal to 10"])


class Problem(BaseModel):
    """RFC 9457. `code` is stable; `detail` is for people."""

    type: str = Field(examples=["urn:muster:problem:workspace_full"])
    title: str = Field(examples=["Workspace full"])
    status: int = Field(examples=[429])
    detail: str = Field(examples=["the workspace runs 20 agents, as many as it may"])
    code: str = Field(examples=["workspace_full"])
    retryable: bool = Field(description="Whether the same request may do better later.")
    trace_id: str = Field(description="Also in the X-Request-ID header, and in the log.")
    instance: str = Field(description="The path that was asked.", examples=["/v1/agents"])
    errors: list[Invalid] | None = Field(default=None, description="What is wrong with the request, item by item.")


class NotYet(MusterError):
    """What was waited for has not come in the time one request may wait."""

    status, code, retryable = 504, "not_yet", True


_CLOSE = {"Connection": "close"}
"""The rest of the body is not read, so nothing else can follow on this connection."""


class BodyTooLarge(HTTPException):
    """An HTTPException because it is raised while FastAPI reads the body, and it lets only these through."""

    def __init__(self, limit: int) -> None:
        super().__init__(413, f"the body may have at most {limit} bytes", _CLOSE)


class BodyTooSlow(HTTPException):
    def __init__(self, seconds: float) -> None:
        super().__init__(408, f"the body did not arrive within {seconds:g} s", _CLOSE)


CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "body_too_slow",
    413: "body_too_large",
    415: "unsupported_media_type",
    421: "misdirected_request",
}


def trace_id(scope: Scope) -> str:
    return str(scope.get("trace_id", ""))


def problem(
    scope: Scope,
    status: int,
    code: str,
    detail: str,
    *,
    retryable: bool = False,
    errors: Sequence[dict[str, str]] | None = None,
    headers: dict[str, str] | None = None,
    more: Mapping[str, object] | None = None,
) -> Response:
    document: dict[str, Any] = {
        "type": f"urn:muster:problem:{code}",
        "title": code.replace("_", " ").capitalize(),
        "status": status,
        "detail": detail,
        "code": code,
        "retryable": retryable,
        "trace_id": trace_id(scope),
        "instance": scope.get("path", ""),
        **(more or {}),
    }
    if errors is not None:
        document["errors"] = errors
    headers = dict(headers or {})
    if retryable and code in RETRY_AFTER:
        headers["Retry-After"] = str(RETRY_AFTER[code])
    elif code == DaySpent.code:  # days are UTC, and so is the clock's zero
        headers["Retry-After"] = str(_DAY_SECONDS - int(time.time()) % _DAY_SECONDS)
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="muster"'
    # ASCII: what people sent may hold what UTF-8 cannot.
    body = json.dumps(document, separators=(",", ":"), default=str).encode()
    return Response(body, status, headers, MEDIA_TYPE)


def refusal(scope: Scope, error: MusterError) -> Response:
    if error.status >= 500 and error.code == "internal":
        return problem(scope, 500, "internal", "something went wrong in Muster; its log has the trace_id")
    return problem(scope, error.status, error.code, error.message, retryable=error.retryable, more=error.details)


def install(app: FastAPI, routes: Sequence[BaseRoute]) -> None:
    """`routes`: all there are, to tell what else a path can do."""
    app.state.routes = routes
    app.add_exception_handler(MusterError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, MusterError)  # noqa: S101 - registered for it
    return refusal(request.scope, error)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
    scope, status = request.scope, error.status_code
    headers = dict(error.headers or {})
    if status == 400:  # FastAPI's word for a body that could not be decoded at all
        said = (
            "the body could not be read: it is not JSON in UTF-8, nested too deeply, or has a number of too many digits"
        )
        return problem(scope, 422, "bad_json", said)
    if status == 404:
        return problem(scope, 404, "not_found", f"there is nothing at {scope['path']}")
    if status == 405:
        # The router names the methods of one route only, and several share a path.
        methods = {
            method
            for route in request.app.state.routes
            if isinstance(route, Route) and route.path_regex.match(scope["path"])
            for method in route.methods or ()
        }
        headers["Allow"] = ", ".join(sorted(methods))
        return problem(scope, 405, "method_not_allowed", f"{request.method} is not possible here", headers=headers)
    code = CODES.get(status) or HTTPStatus(status).phrase.lower().replace(" ", "_")
    return problem(scope, status, code, str(error.detail), headers=headers, retryable=status == 408)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for it
    scope, found = request.scope, error.errors()
    if any(item["type"] == "json_invalid" for item in found):
        return problem(scope, 422, "bad_json", f"the body is not JSON: {found[0].get('ctx', {}).get('error', '')}")
    if isinstance(error.body, bytes) and error.body:  # read, but not as JSON
        return problem(scope, 415, "unsupported_media_type", "send the body with Content-Type: application/json")
    errors = [
        # Never the input itself: it may be a secret, and it may be a megabyte.
        {"at": _place(item["loc"]), "message": _plain(item)}
        for item in found[:50]
    ]
    first = errors[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return problem(scope, 422, "invalid_request", f"{first['at']}: {first['message']}{more}", errors=errors)


def _place(parts: Sequence[int | str]) -> str:
    named = [str(part)[:100] for part in parts if not (isinstance(part, str) and _PYDANTICS.match(part))]
    return ".".join(named if len(named) <= _PARTS else [*named[: _PARTS - 1], "…", named[-1]])


_PYDANTICS = re.compile(r"(?:function-(?:after|before|wrap|plain)|list|constrained-str)\[")
"""Which of several ways to read it this was: of no use to whoever wrote it."""
_PARTS = 12


def _plain(item: dict[str, Any]) -> str:
    message = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] in ("too_long", "too_short") and isinstance(item.get("input"), str):
        message = re.sub(r" items?\b", " characters", message)
    return message[:500]
