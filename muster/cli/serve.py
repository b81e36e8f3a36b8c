"""How the API meets the network: what one connection may keep waiting, and how many there may be."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import socket
import sys
from http import HTTPStatus
from typing import Any, cast

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.edge import SECURITY
from api.stream import HANG_UP
from muster.services import beats
from muster.settings import Settings

IDLE_SECONDS = 30
"""Between two requests of a connection."""
_RESERVED_FILES = 128
"""For all that is not a client: Postgres, Valkey, Temporal, the code."""


def config(app: FastAPI, settings: Settings, **more: Any) -> uvicorn.Config:
    """For `uvicorn.Server`, as the API is always served."""
    return uvicorn.Config(
        app,
        **{
            "host": settings.api_host,
            "port": settings.api_port,
            "loop": "uvloop",
            "http": Connection,
            "ws": "none",
            "access_log": False,  # the edge writes one that knows who asked
            "log_config": None,
            "log_level": settings.log_level,
            "server_header": False,
            # By default uvicorn believes every local process, and with it everybody behind a local proxy.
            "proxy_headers": settings.trusted_proxies is not None,
            "forwarded_allow_ips": settings.trusted_proxies or "",
            "timeout_keep_alive": IDLE_SECONDS,
            # Event streams never end by themselves; a client resumes with its last event id.
            "timeout_graceful_shutdown": 2,
            **more,
        },
    )


class Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        beats.begin()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Streams would hold it up for as long as it may take: told first, their clients come back elsewhere.
        self.config.app.state.context.hub.end_streams()  # type: ignore[union-attr]
        await super().shutdown(sockets)


def run(app: FastAPI, settings: Settings) -> None:
    server = Server(config(app, settings))
    with contextlib.suppress(KeyboardInterrupt):  # raised anew when all is closed
        server.run()
    if not server.started:
        sys.exit(3)


def most_connections() -> int:
    """As many as there are file descriptors for: a server that runs out of them hears nobody any more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return max(64, (wanted if soft == resource.RLIM_INFINITY else soft) - _RESERVED_FILES)


class Connection(HttpToolsProtocol):
    """Ends connections that cost something and do nothing.

    uvicorn itself waits for ever for a client that connects and is silent, or sends its request a byte at a time.
    """

    most = most_connections()
    head_seconds = 10.0
    """For the head of a request to arrive, counted from its first byte, or from the connection's beginning."""
    head_bytes = 64 * 1024
    wrapping_bytes = 16 * 1024 * 1024
    """Of one request on the wire, without its body, which has a limit of its own: chunks may be wrapped in much."""
    unread_seconds = 60.0
    """After which the kernel ends a connection whose client does not take what was sent to it."""

    _clock: asyncio.TimerHandle | None = None
    _inside = False
    """The head of a request has come, and its body is not complete."""
    _turned = False
    """A head or a body was completed by what has just come."""
    _taken = 0
    """Bytes since then that are no body."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.most:
            self._refuse(503, "unavailable", "there are as many connections as there may be", retryable=True)
            return
        with contextlib.suppress(AttributeError, OSError):  # not TCP, or another kernel
            transport.get_extra_info("socket").setsockopt(
                socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(self.unread_seconds * 1000)
            )
        self._start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_clock()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._turned = False
        super().data_received(data)
        if self._turned:
            self._taken = 0
            return
        self._taken += len(data)
        if self.transport.is_closing():
            return
        if self._inside and self._taken > self.wrapping_bytes:
            self.transport.close()
        elif not self._inside and self._taken > self.head_bytes:
            self._refuse(431, "request_too_large", f"the head of a request may have {self.head_bytes} bytes")
        elif self._clock is None and (self.cycle is None or self.cycle.response_complete):
            # The next head, or the rest of a body that was answered without it.
            self._start_clock()

    def on_headers_complete(self) -> None:
        self._turned = self._inside = True
        self._stop_clock()
        cast(dict[str, Any], self.scope)[HANG_UP] = self.transport.abort
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._taken -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._turned, self._inside = True, False
        self._stop_clock()
        super().on_message_complete()

    def _start_clock(self) -> None:
        self._clock = self.loop.call_later(self.head_seconds, self._too_slow)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _too_slow(self) -> None:
        self._clock = None
        if not self.transport.is_closing():
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, "bad_request", "this is no request in HTTP/1.1, or its URL is longer than 64 KiB")

    def _refuse(self, status: int, code: str, detail: str, *, retryable: bool = False) -> None:
        """Before there is a request to speak of."""
        document = {
            "type": f"urn:muster:problem:{code}",
            "title": code.replace("_", " ").capitalize(),
            "status": status,
            "detail": detail,
            "code": code,
            "retryable": retryable,
            "trace_id": "",
            "instance": "",
        }
        body = json.dumps(document, separators=(",", ":")).encode()
        head = [
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode(),
            b"content-type: application/problem+json",
            b"content-length: %d" % len(body),
            b"connection: close",
            *([b"retry-after: 2"] if retryable else []),
            *(name + b": " + value for name, value in SECURITY),
        ]
        self.transport.write(b"\r\n".join([*head, b"", body]))
        self.transport.close()
