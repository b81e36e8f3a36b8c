"""HTTP from the other side: as little client as will do, so that the load generator is not what is measured."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable
from typing import Any, cast

IDLE_SECONDS = 2.0  # servers close what idles for a while; a request must not meet that


class Refused(Exception):
    def __init__(self, request: str, status: int, body: bytes) -> None:
        super().__init__(f"{request} answered {status}: {body[:400].decode(errors='replace')}")
        self.status = status


def authorization(key: str, workspace: str = "") -> str:
    """The headers' lines; a bare yardstick asks for no key."""
    named = f"Muster-Workspace: {workspace}\r\n" if workspace else ""
    return f"Authorization: Bearer {key}\r\n{named}" if key else ""


class Connection:
    """One kept-alive connection; one request at a time."""

    def __init__(self, host: str, port: int, key: str = "", workspace: str = "") -> None:
        self._host, self._port = host, port
        self._authorization = authorization(key, workspace)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._used = 0.0

    async def send(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        if time.monotonic() - self._used > IDLE_SECONDS:
            self.close()
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        writer.write(_request(method, path, f"{self._host}:{self._port}", self._authorization, body))
        status, length, last = _told(await reader.readuntil(b"\r\n\r\n"))
        answer = await reader.readexactly(length)
        self._used = time.monotonic()
        if last:
            self.close()
        return status, answer

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        status, answer = await self.send(method, path, body)
        if status >= 400:
            raise Refused(f"{method} {path}", status, answer)
        return json.loads(answer) if answer else None

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


class Blocking:
    """One client that does nothing else while it waits, as a program that asks a question does."""

    def __init__(self, host: str, port: int, key: str = "") -> None:
        self._server, self._authorization = f"{host}:{port}", authorization(key)
        self._socket = socket.create_connection((host, port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        self._socket.sendall(_request(method, path, self._server, self._authorization, body))
        came = b""
        while (end := came.find(b"\r\n\r\n") + 4) < 4:
            came += self._more()
        status, length, _ = _told(came[:end])
        while len(came) < end + length:
            came += self._more()
        return status, came[end:]

    def _more(self) -> bytes:
        if more := self._socket.recv(1 << 18):
            return more
        raise ConnectionError("the server closed the connection")

    def close(self) -> None:
        self._socket.close()


def _request(method: str, path: str, server: str, authorized: str, body: Any) -> bytes:
    payload = b"" if body is None else json.dumps(body).encode()
    kind = "Content-Type: application/json\r\n" if payload else ""
    head = f"{method} {path} HTTP/1.1\r\nHost: {server}\r\n{authorized}{kind}Content-Length: {len(payload)}\r\n\r\n"
    return head.encode() + payload


def _told(head: bytes) -> tuple[int, int, bool]:
    """Its status, how long the body is, and whether the connection ends with it."""
    low, length = head.lower(), 0
    if (at := low.find(b"content-length:")) >= 0:
        length = int(low[at + 15 : low.index(b"\r\n", at)])
    return int(head[9:12]), length, b"connection: close" in low


class Dechunker:
    """Takes HTTP's chunk framing off a body that comes in pieces."""

    def __init__(self) -> None:
        self._rest = b""
        self._wanted = 0

    def feed(self, data: bytes) -> bytes:
        data, body = self._rest + data, []
        while data:
            if self._wanted:
                piece = data[: self._wanted]
                body.append(piece)
                self._wanted -= len(piece)
                data = data[len(piece) :]
                continue
            if data.startswith(b"\r\n"):
                data = data[2:]
                continue
            size, found, rest = data.partition(b"\r\n")
            if not found:
                break
            self._wanted, data = int(size.split(b";")[0], 16), rest
            if not self._wanted:
                data = b""
        self._rest = data
        return b"".join(body)


class Stream(asyncio.Protocol):
    """One event stream. `on_data` gets each piece of it as it comes, its head first and chunk framing still on."""

    def __init__(self, request: bytes, on_data: Callable[[bytes], None]) -> None:
        self._request, self._on_data = request, on_data
        self._transport: asyncio.Transport | None = None
        self.started: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @classmethod
    async def open(cls, host: str, port: int, path: str, on_data: Callable[[bytes], None], key: str = "") -> Stream:
        head = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n{authorization(key)}Accept: text/event-stream\r\n\r\n"
        request = head.encode()
        _, stream = await asyncio.get_running_loop().create_connection(lambda: cls(request, on_data), host, port)
        begin = await asyncio.wait_for(asyncio.shield(stream.started), 10)
        if not begin.startswith(b"HTTP/1.1 200"):
            raise ConnectionError(begin[:300].decode(errors="replace"))
        return stream

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's has the methods and not the base
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if not self.started.done():
            self.started.set_result(data)
        self._on_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.started.done():
            self.started.set_exception(exc or ConnectionError("closed before it answered"))
        if not self.ended.done():
            self.ended.set_result(None)

    def close(self) -> None:
        if self._transport:
            self._transport.close()


class Frames:
    """The event frames in what a `Stream` hands over: (id, event, data)."""

    def __init__(self, on_frame: Callable[[str, str, str], None]) -> None:
        self._on_frame = on_frame
        self._head: bytes | None = b""
        self._chunks = Dechunker()
        self._text = b""

    def feed(self, data: bytes) -> None:
        if self._head is not None:
            self._head += data
            _, found, data = self._head.partition(b"\r\n\r\n")
            if not found:
                return
            self._head = None
        self._text += self._chunks.feed(data)
        *whole, self._text = self._text.replace(b"\r\n", b"\n").split(b"\n\n")
        for frame in whole:
            fields: dict[bytes, bytes] = {}
            for line in frame.split(b"\n"):
                name, _, value = line.partition(b":")
                fields[name] = value.removeprefix(b" ")
            if b"data" in fields:
                self._on_frame(
                    fields.get(b"id", b"").decode(), fields.get(b"event", b"").decode(), fields[b"data"].decode()
                )
