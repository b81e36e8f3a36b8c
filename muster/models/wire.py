"""Requests to a provider of vectors: one document there, one back, or a GenerationFailed of the right kind."""

from __future__ import annotations

import asyncio
import email.utils
import json
import re
import time
from collections.abc import Mapping
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

from muster.domain.memory import ErrorClass, GenerationFailed

MAX_ANSWER_BYTES = 64 * 1024 * 1024
_IDLE_CONNECTIONS = 8
_MAX_HEAD = 1 << 16
_QUOTED = 16
"""So many characters of a text in a row are from there."""
_CODE = re.compile(r"[a-z][a-z_]{1,60}")
_SPENT = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active")
"""What providers call a 429 that waiting does not mend."""


class TextRefused(GenerationFailed):
    """It is the request that is wrong, and perhaps one text in it: another may fare better."""


Answer = tuple[int, Mapping[str, str], bytes]


class Wire(Protocol):
    async def send(self, method: str, path: str, body: bytes | None, seconds: float) -> Answer: ...

    async def close(self) -> None: ...


class Direct:
    """Plain HTTP/1.1 to the embedder of our own, whose answers always say their length.

    A query takes it a millisecond; a general client's own work would add another, and this adds 0.1.
    """

    def __init__(self, base: str, key: str | None) -> None:
        parts = urlsplit(base)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._path = parts.path
        secret = f"Authorization: Bearer {key}\r\n" if key else ""
        self._head = f"Host: {parts.netloc}\r\nContent-Type: application/json\r\n{secret}"
        self._idle: list[_Line] = []

    async def send(self, method: str, path: str, body: bytes | None, seconds: float) -> Answer:
        size = f"Content-Length: {len(body)}\r\n" if body is not None else ""
        request = f"{method} {self._path}{path} HTTP/1.1\r\n{self._head}{size}\r\n".encode() + (body or b"")
        async with asyncio.timeout(seconds):
            while self._idle:
                line = self._idle.pop()
                if line.closed:
                    continue
                try:
                    return await self._exchange(line, request)
                except (OSError, EOFError):
                    continue  # it was restarted since: asking twice for a vector does no harm
            loop = asyncio.get_running_loop()
            _, line = await loop.create_connection(_Line, self._host, self._port)
            return await self._exchange(line, request)

    async def _exchange(self, line: _Line, request: bytes) -> Answer:
        complete = False
        try:
            answer = await line.ask(request)
            complete = answer[1].get("connection", "").lower() != "close" and len(self._idle) < _IDLE_CONNECTIONS
            return answer
        finally:
            if complete:
                self._idle.append(line)
            else:  # also when nobody waits any more: the answer on its way is nobody's
                line.close()

    async def close(self) -> None:
        while self._idle:
            self._idle.pop().close()


class _Line(asyncio.Protocol):
    """A connection: one request, then its answer."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._asked: asyncio.Future[Answer] | None = None
        self._came = bytearray()
        self._head: tuple[int, dict[str, str]] | None = None
        self._whole = 0
        self.closed = False

    def ask(self, request: bytes) -> asyncio.Future[Answer]:
        assert self._transport is not None  # noqa: S101 - it is connected before anybody has it
        self._asked = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._asked

    def close(self) -> None:
        self.closed = True
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's has the methods and not the base

    def data_received(self, data: bytes) -> None:
        asked = self._asked
        if asked is None or asked.done():
            self.close()  # nobody asked for it
            return
        self._came += data
        try:
            answer = self._answer()
        except (ConnectionError, ValueError) as error:
            asked.set_exception(ConnectionError(f"does not speak HTTP: {error}"))
        else:
            if answer is not None:
                self._asked = self._head = None
                asked.set_result(answer)

    def _answer(self) -> Answer | None:
        """What has come, once it is all there."""
        if self._head is None:
            end = self._came.find(b"\r\n\r\n", 0, _MAX_HEAD)
            if end < 0:
                if len(self._came) >= _MAX_HEAD:
                    raise ConnectionError("its head does not end")
                return None
            self._head = _head_of(bytes(self._came[:end]))
            length = int(self._head[1].get("content-length", "-1"))
            if not 0 <= length <= MAX_ANSWER_BYTES:
                raise ConnectionError("answers without saying how long its answer is")
            del self._came[: end + 4]
            self._whole = length
        if len(self._came) < self._whole:
            return None
        if len(self._came) > self._whole:
            raise ConnectionError("its answer is longer than it says")
        body, self._came = bytes(self._came), bytearray()
        return *self._head, body

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self._asked is not None and not self._asked.done():
            self._asked.set_exception(exc or EOFError("it closed the connection"))


def _head_of(head: bytes) -> tuple[int, dict[str, str]]:
    lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    version, status, *_ = lines[0].split(" ")
    if not version.startswith("HTTP/1."):
        raise ValueError(f"it begins with {version[:20]!r}")
    return int(status), headers


class General:
    """Any server, with TLS, proxies and whatever else there is between here and there."""

    def __init__(self, base: str, key: str | None) -> None:
        self._base = base
        self._headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
        self._client: Any = None

    async def send(self, method: str, path: str, body: bytes | None, seconds: float) -> Answer:
        import httpx

        if self._client is None:
            local = (urlsplit(self._base).hostname or "") in ("127.0.0.1", "::1", "localhost")
            self._client = httpx.AsyncClient(headers=self._headers, trust_env=not local)
        try:
            async with (
                asyncio.timeout(seconds),
                self._client.stream(method, self._base + path, content=body, timeout=seconds) as response,
            ):
                pieces, size = [], 0
                async for piece in response.aiter_bytes():
                    pieces.append(piece)
                    size += len(piece)
                    if size > MAX_ANSWER_BYTES:
                        raise ConnectionError(f"answers with more than {MAX_ANSWER_BYTES} bytes")
                return response.status_code, response.headers, b"".join(pieces)
        except httpx.TimeoutException:
            raise TimeoutError from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ConnectionError(str(error) or type(error).__name__) from None

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()


async def ask(wire: Wire, method: str, path: str, document: Any, *, seconds: float) -> Any:
    """The document that is answered."""
    body = None if document is None else json.dumps(document, separators=(",", ":")).encode()
    try:
        status, headers, answer = await wire.send(method, path, body, seconds)
    except TimeoutError:
        raise GenerationFailed(ErrorClass.TIMEOUT, f"the embedder did not answer within {seconds:g} s") from None
    except (OSError, EOFError) as error:
        why = str(error) or type(error).__name__
        raise GenerationFailed(ErrorClass.UNAVAILABLE, f"the embedder does not answer: {why}") from None
    if status != 200:
        raise failure(status, headers, answer, document)
    try:
        return json.loads(answer)
    except (ValueError, RecursionError):
        raise GenerationFailed(ErrorClass.MALFORMED, "the embedder answers with what is not JSON") from None


def failure(status: int, headers: Mapping[str, str], answer: bytes, document: Any) -> GenerationFailed:
    message = f"the embedder answers {status}"
    if said := _said(status, answer, document):
        message += f": {said}"
    wait = retry_after(headers.get("retry-after"))
    if status == 402 or (status == 429 and any(word.encode() in answer for word in _SPENT)):
        return GenerationFailed(ErrorClass.QUOTA, message, retry_after=wait)
    if status == 429:
        return GenerationFailed(ErrorClass.RATE_LIMIT, message, retry_after=wait)
    if status in (408, 504):
        return GenerationFailed(ErrorClass.TIMEOUT, message, retry_after=wait)
    if status >= 500 or status < 400:
        return GenerationFailed(ErrorClass.UNAVAILABLE, message, retry_after=wait)
    if status in (400, 413, 422):
        return TextRefused(ErrorClass.REFUSED, message)
    return GenerationFailed(ErrorClass.REFUSED, message)


def _said(status: int, answer: bytes, document: Any) -> str:
    """What it says is wrong, where that quotes no key and nothing of the texts it was sent."""
    try:
        error = json.loads(answer)["error"]
        said = " ".join(str(error["message"]).split())[:300]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    texts = document.get("input", ()) if isinstance(document, dict) else ()
    sent = [" ".join(text.split()) for text in ([texts] if isinstance(texts, str) else texts)]
    parts = {said[at : at + _QUOTED] for at in range(max(1, len(said) - _QUOTED + 1))}
    if (
        status in (401, 403)
        or any(3 < len(text) < _QUOTED and text in said for text in sent)
        or any(part in text for text in sent if len(text) >= _QUOTED for part in parts)
    ):
        code = error.get("code")
        return code if isinstance(code, str) and _CODE.fullmatch(code) else ""
    return said


def retry_after(header: str | None) -> float | None:
    """In seconds, as the header of that name says it: a number, or a date."""
    if not header:
        return None
    try:
        return min(max(float(header), 0.0), 86_400.0)
    except ValueError:
        pass
    try:
        at = email.utils.parsedate_to_datetime(header).timestamp()
    except ValueError:
        return None
    return min(max(at - time.time(), 0.0), 86_400.0)
