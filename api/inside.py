"""The API's routes, asked from within by a request that speaks another language than theirs.

They hold whoever asks to the same scopes and the same reach as from outside. It counts as one request.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from starlette.types import Message

from api.tools import Refused
from muster.domain.errors import MusterError

_OWN = frozenset({"type", "title", "status", "detail", "code", "retryable", "trace_id", "instance"})


class Refusal(MusterError):
    """Of a route that was asked from within, to be answered as it is."""

    def __init__(self, refused: Refused) -> None:
        more = {name: value for name, value in refused.document.items() if name not in _OWN}
        super().__init__(refused.detail, **more)
        self.status, self.code, self.retryable = refused.status, refused.code, refused.retryable


class Inside:
    def __init__(self, request: Request, project: str | None = None) -> None:
        self._request = request
        self.project = project

    async def request(self, method: str, path: str, query: Mapping[str, Any] | None = None, body: Any = None) -> Any:
        return (await self.ask(method, path, query, body))[1]

    async def hand_on(self, method: str, path: str, **more: Any) -> tuple[int, Any]:
        """Status and answer; a refusal is the outer request's too."""
        try:
            return await self.ask(method, path, **more)
        except Refused as refused:
            raise Refusal(refused) from None

    async def ask(
        self, method: str, path: str, query: Mapping[str, Any] | None = None, body: Any = None
    ) -> tuple[int, Any]:
        """Status and answer. Raises Refused."""
        sent = b"" if body is None else json.dumps(body).encode()
        # What the outer layers know of the request, its tenant too, stays; `Guarded` looks at the scope it needs.
        scope = {
            **self._request.scope,
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "path_params": {},
            "query_string": urlencode(query or {}, doseq=True).encode(),
            "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(sent)).encode())],
        }
        status, answered, told = 500, bytearray(), False

        async def receive() -> Message:
            nonlocal told
            if told:
                await asyncio.Future()  # nobody goes away before the answer
            told = True
            return {"type": "http.request", "body": sent, "more_body": False}

        async def send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                answered.extend(message.get("body", b""))

        await self._request.app.router(scope, receive, send)
        found = json.loads(answered) if answered else None
        if status >= 400:
            raise Refused(status, found if isinstance(found, dict) else {})
        return status, found
