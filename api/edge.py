"""The outermost layer: trace ids, who may ask from where, how much may be sent, and the last resort.

Plain ASGI: the usual base class for middleware costs a task and a stream per request.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import BodyTooLarge, BodyTooSlow, problem
from muster import logs
from muster.domain.tenants import Actor, Tenant

log = logging.getLogger(__name__)
access = logging.getLogger("api.access")

_TRACE = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_OURS, _NUMBERS = os.urandom(8).hex(), itertools.count(1)
_LINGER_BYTES, _LINGER_SECONDS = 64_000_000, 3.0
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


SECURITY = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]
"""Of every answer that does not say otherwise: nothing here is for a browser to run, frame, guess at or keep."""
_SECURITY = frozenset(name for name, _ in SECURITY)


class Edge:
    def __init__(
        self,
        app: ASGIApp,
        *,
        max_body_bytes: int,
        hosts: frozenset[str] | None,
        request_seconds: float = 30.0,
        guests: Mapping[str, frozenset[str]] = MappingProxyType({}),
        larger: Mapping[str, int] = MappingProxyType({}),
        patient: frozenset[str] = frozenset(),
    ) -> None:
        """By path: `guests`, other origins whose pages may ask it, and `larger`, what more may be sent to it. To those
        in `patient` a body may take as long as it takes, while more of it keeps coming."""
        self._app = app
        self._max = max_body_bytes
        self._hosts = hosts
        self._seconds = request_seconds
        self._guests = guests
        self._larger = larger
        self._patient = patient

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        wanted = host = origin = site = length = None
        for name, value in scope["headers"]:
            if name == b"x-request-id":
                wanted = value
            elif name == b"host":
                host = value
            elif name == b"origin":
                origin = value
            elif name == b"sec-fetch-site":
                site = value
            elif name == b"content-length":
                length = value
        trace = wanted if wanted and _TRACE.fullmatch(wanted) else f"{_OURS}{next(_NUMBERS):016x}".encode()
        scope["trace_id"] = named = trace.decode()
        logs.request_id.set(named)
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _secured([*message.get("headers", ()), *scope.get("rate_limit", ())], trace)
            await send(message)

        try:
            if refused := self._foreign(scope, host, origin, site):
                await problem(scope, *refused)(scope, receive, answer)
            elif scope["method"] == "GET":
                await self._app(scope, receive, answer)
            else:
                declared = int(length[:20]) if length and length.isdigit() else 0
                await self._app(scope, self._limited(scope, receive, declared), answer)
        except Exception:
            log.exception("%s %s failed", scope["method"], scope["path"])
            if status:
                raise
            await problem(scope, 500, "internal", "something went wrong in Muster; its log has the trace_id")(
                scope, receive, answer
            )
        finally:
            if status >= 400 or scope["method"] not in _READING:
                _note(logging.INFO, scope, status, began)
            elif access.isEnabledFor(logging.DEBUG):
                _note(logging.DEBUG, scope, status, began)

    def _limited(self, scope: Scope, receive: Receive, declared: int) -> Receive:
        """The body, no more and no slower than it may be. A workspace's own limit is known once its key is."""
        larger, patient = self._larger.get(scope["path"]), scope["path"] in self._patient
        read, over, deadline = 0, False, asyncio.get_running_loop().time() + self._seconds

        async def limited() -> Message:
            nonlocal read, over, deadline
            if over:  # what follows is only that the client has gone
                return await receive()
            most = larger or min(scope.get("max_body") or self._max, self._max)
            if declared > most:
                await _let_it_come(scope, receive)
                raise BodyTooLarge(most)
            if patient:
                deadline = asyncio.get_running_loop().time() + self._seconds
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise BodyTooSlow(self._seconds) from None
            if message["type"] == "http.request":
                read += len(message.get("body", b""))
                over = not message.get("more_body")
                if read > most:
                    if not over:
                        await _let_it_come(scope, receive)
                    raise BodyTooLarge(most)
            return message

        return limited

    def _foreign(
        self, scope: Scope, host: bytes | None, origin: bytes | None, site: bytes | None
    ) -> tuple[int, str, str] | None:
        """A web page that somebody happens to look at gets nothing from here: not by naming this API
        (Sec-Fetch-Site, Origin), and not by a name of its own that resolves to this machine (Host)."""
        if self._hosts is not None and (host is None or _name(b"//" + host) not in self._hosts):
            return 421, "misdirected_request", "this API does not answer to that name"
        if origin is not None and origin.decode("latin-1") in self._guests.get(scope["path"], ()):
            return None
        if self._hosts is not None and origin is not None and _name(origin) not in self._hosts:
            return 403, "forbidden", "requests from other web sites are refused"
        if site == b"cross-site" and scope["method"] not in _READING:
            return 403, "forbidden", "requests from other web sites are refused"
        return None


async def _let_it_come(scope: Scope, receive: Receive) -> None:
    """What is still under way of a body that is refused: closed upon it, the connection would be reset, and the answer
    lost. Not all of a big one, and nothing from whoever waits to be told to send it."""
    if any(name == b"expect" for name, _ in scope["headers"]):
        return
    left = _LINGER_BYTES
    with suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_SECONDS):
            while left > 0:
                message = await receive()
                if not message.get("more_body"):
                    return
                left -= len(message.get("body", b""))


def _name(address: bytes) -> str | None:
    try:
        return urlsplit(address.decode("latin-1")).hostname
    except ValueError:
        return None


def _secured(headers: Sequence[tuple[bytes, bytes]], trace: bytes) -> list[tuple[bytes, bytes]]:
    for name, _ in headers:
        if name in _SECURITY:
            own = {name for name, _ in headers}
            return [*headers, (b"x-request-id", trace), *(header for header in SECURITY if header[0] not in own)]
    return [*headers, (b"x-request-id", trace), *SECURITY]


def _note(level: int, scope: Scope, status: int, began: float) -> None:
    """The line that says what was asked, by whom, and how it ended. Not the query: what it holds is theirs."""
    tenant: Tenant | None = scope.get("tenant")
    client = scope.get("client")
    access.log(
        level,
        "%s %s",
        scope["method"],
        scope["path"],
        extra={
            "status": status or None,  # none: it was broken off before there was one
            "ms": round((time.perf_counter() - began) * 1000, 1),
            "address": client[0] if client else None,
            "workspace": tenant and str(tenant.workspace_id),
            "key_id": tenant and _who(tenant.actor),
        },
    )


def _who(actor: Actor) -> str | None:
    return str(actor.key_id or actor.agent_id) if actor.key_id or actor.agent_id else None
