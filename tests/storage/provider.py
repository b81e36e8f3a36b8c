"""A provider of embeddings on loopback that does as it is told: slow, dead, refusing, wrong."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any

Answer = tuple[int, dict[str, str], Any]


class Provider:
    """Each model has vectors of a length of its own, and each text one of its own."""

    def __init__(self) -> None:
        self.dimensions = {"old-model": 8, "new-model": 12}
        self.seconds = 0.0
        self.behaves: Callable[[list[str]], Answer | None] = lambda texts: None
        """What is answered in place of vectors."""
        self.requests = 0
        self.texts: Counter[tuple[str, str]] = Counter()
        self.authorization: str | None = None
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._begin, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Dead: connections break, and there are no new ones."""
        if self._server:
            self._server.close()
            for serving in self._serving:
                serving.cancel()
            if self._serving:
                await asyncio.wait(self._serving)
            await self._server.wait_closed()
            self._server = None

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.authorization = headers.get("authorization")
                status, more, answer = await self._answer(head[0].split()[1], body)
                text = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                lines = "".join(f"{name}: {value}\r\n" for name, value in more.items())
                writer.write(
                    f"HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n"
                    f"{lines}\r\n".encode()
                    + text
                )
                await writer.drain()
        except (OSError, EOFError):
            pass
        finally:
            writer.close()

    async def _answer(self, path: str, body: bytes) -> Answer:
        if path == "/v1/models":
            return 200, {}, {"data": [{"id": model} for model in self.dimensions]}
        asked = json.loads(body)
        texts, model = asked["input"], asked["model"]
        self.requests += 1
        await asyncio.sleep(self.seconds)
        if (otherwise := self.behaves(texts)) is not None:
            return otherwise
        if model not in self.dimensions:
            return 404, {}, {"error": {"message": f"there is no model {model}"}}
        self.texts.update((model, text) for text in texts)
        data = [
            {"index": index, "embedding": self.vector(text, asked.get("dimensions") or self.dimensions[model])}
            for index, text in enumerate(texts)
        ]
        return 200, {}, {"data": data[::-1]}  # in any order: the index says which is whose

    @staticmethod
    def vector(text: str, size: int) -> list[float]:
        digest = sha256(text.encode()).digest()
        return [(digest[place % 32] - 127) / 64 for place in range(size)]


@asynccontextmanager
async def a_provider() -> AsyncIterator[Provider]:
    provider = Provider()
    await provider.start()
    try:
        yield provider
    finally:
        await provider.stop()
