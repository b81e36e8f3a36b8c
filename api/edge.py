"""The outermost layer: trace ids, who may ask from where, how much may be sent, and the last resort.

Plain ASGI: the usual base class for middleware costs a task and a stream per request.
"""

from __future__ import annotations

import itertools
import logging
import os
import re
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import BodyTooLarge, problem

log = logging.getLogger(__name__)

_TRACE = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_OURS, _NUMBERS = os.urandom(8).hex(), itertools.count(1)
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Edge:
    def __init__(self, app: ASGIApp, *, max_body_bytes: int, hosts: frozenset[str] | None) -> None:
        self._app = app
        self._max = max_body_bytes
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
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
        scope["trace_id"] = trace.decode()
        started = False

        async def answer(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", trace)]
            await send(message)

        refused = self._foreign(scope, host, origin, site)
        if refused:
            await problem(scope, *refused)(scope, receive, answer)
            return
        if length and length.isdigit() and int(length[:20]) > self._max:
            too_large = BodyTooLarge(self._max)
            # The rest is not read, so nothing else can follow on this connection.
            await problem(scope, 413, "body_too_large", too_large.detail, headers={"Connection": "close"})(
                scope, receive, answer
            )
            return
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            if message["type"] == "http.request":
                read += len(message.get("body", b""))
                if read > self._max:
                    raise BodyTooLarge(self._max)
            return message

        try:
            await self._app(scope, receive if scope["method"] == "GET" else counted, answer)
        except Exception:
            log.exception("%s %s failed [%s]", scope["method"], scope["path"], scope["trace_id"])
            if started:
                raise
            await problem(scope, 500, "internal", "something went wrong in Muster; its log has the trace_id")(
                scope, receive, answer
            )

    def _foreign(
        self, scope: Scope, host: bytes | None, origin: bytes | None, site: bytes | None
    ) -> tuple[int, str, str] | None:
        """As long as there are no keys, being able to reach the API means being allowed to run commands.

        So a web page that somebody happens to look at must not: not by naming this API (Sec-Fetch-Site, Origin),
        and not by a name of its own that resolves to this machine (Host).
        """
        if self._hosts is not None:
            if host is None or _name(b"//" + host) not in self._hosts:
                return 421, "misdirected_request", "this API does not answer to that name"
            if origin is not None and _name(origin) not in self._hosts:
                return 403, "forbidden", "requests from other web sites are refused"
        if site == b"cross-site" and scope["method"] not in _READING:
            return 403, "forbidden", "requests from other web sites are refused"
        return None


def _name(address: bytes) -> str | None:
    try:
        return urlsplit(address.decode("latin-1")).hostname
    except ValueError:
        return None
