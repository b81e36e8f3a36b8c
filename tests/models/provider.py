"""A provider of chat models on loopback that answers as it is told: well, slowly, wrongly, half, or not at all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

SECRET = "sk-what-nobody-may-see"
"""In its errors, as real ones quote prompts and keys."""


def called(arguments: Any, *, tokens: tuple[int, int] = (100, 20)) -> dict[str, Any]:
    """A completion that fills in the form."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    call = {"id": "call_1", "type": "function", "function": {"name": "remember", "arguments": text}}
    return _completion({"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls", tokens)


def written(text: str, *, finish: str = "stop") -> dict[str, Any]:
    return _completion({"role": "assistant", "content": text}, finish, (100, 20))


def _completion(message: dict[str, Any], finish: str, tokens: tuple[int, int]) -> dict[str, Any]:
    return {
        "id": "c1", "object": "chat.completion", "created": 1, "model": "small",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)},
    }  # fmt: skip


def refused(message: str = "no", **error: Any) -> dict[str, Any]:
    return {"error": {"message": f"{message}: {SECRET}", "type": "some_error", **error}}


class Provider:
    def __init__(self) -> None:
        self.url = ""
        self.requests: list[dict[str, Any]] = []
        self.headers: list[str] = []
        self.status = 200
        self.answer: dict[str, Any] | str | Callable[[dict[str, Any]], dict[str, Any]] = called({"nothing": "nothing"})
        """A string is sent as it is, and is no JSON, nor said to be."""
        self.answers: list[dict[str, Any]] = []
        """Before `answer`, each once."""
        self.extra: dict[str, str] = {}
        self.seconds = 0.0
        self.half = False

    @property
    def prompts(self) -> list[str]:
        return [json.dumps(request["messages"], ensure_ascii=False) for request in self.requests]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                self.headers.append(head)
                size = next(int(line[15:]) for line in head.lower().split("\r\n") if line.startswith("content-length:"))
                request = json.loads(await reader.readexactly(size))
                self.requests.append(request)
                await asyncio.sleep(self.seconds)
                answer = self.answers.pop(0) if self.answers else self.answer
                answer = answer(request) if callable(answer) else answer
                body = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
                extra = "".join(f"{name}: {value}\r\n" for name, value in self.extra.items())
                kind = "text/html" if isinstance(answer, str) else "application/json"
                head = f"HTTP/1.1 {self.status} X\r\nContent-Type: {kind}\r\n{extra}"
                writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
                writer.write(body[: len(body) // 2] if self.half else body)
                await writer.drain()
                if self.half:
                    break
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def a_provider() -> AsyncIterator[Provider]:
    provider = Provider()
    server = await asyncio.start_server(provider._serve, "127.0.0.1", 0)
    provider.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield provider
    finally:
        server.close()
