"""A client of Muster's API that spawns agents and follows the events."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from benchmarks.wire import Connection, Frames, Stream

PATIENCE = 60.0
FINAL = ("task.completed", "task.failed")


class Fleet:
    def __init__(self, host: str, port: int, key: str) -> None:
        self._host, self._port, self._key = host, port, key
        self._free: list[Connection] = []
        self._stream: Stream | None = None
        self._following: asyncio.Task[None] | None = None
        self._position = ""
        self._seen: dict[tuple[str, str], tuple[float, dict[str, Any]]] = {}
        self._awaited: dict[tuple[str, str], asyncio.Future[None]] = {}
        self.events = 0

    async def follow(self) -> None:
        """From now on; connects again where it stopped when the server closes the stream."""
        await self._connect()
        self._following = asyncio.create_task(self._stay(), name="follow events")

    async def _connect(self) -> None:
        resume = f"?after={self._position}" if self._position else ""
        frames = Frames(self._on_frame)
        self._stream = await Stream.open(self._host, self._port, f"/v1/events{resume}", frames.feed, self._key)

    async def _stay(self) -> None:
        while True:
            assert self._stream is not None
            await self._stream.ended
            await asyncio.sleep(0.05)
            try:
                await self._connect()
            except OSError:
                continue

    def _on_frame(self, position: str, kind: str, data: str) -> None:
        if not position:
            return
        at = time.perf_counter()
        self._position = position
        self.events += 1
        event = json.loads(data)
        subject = event["agent_id"] if kind.startswith("agent.") else event["task_id"]
        self._seen[kind, subject] = at, event
        waiter = self._awaited.pop((kind, subject), None)
        if waiter and not waiter.done():  # whoever waited may have given up
            waiter.set_result(None)

    async def seen(self, kind: str, subject: str, patience: float = PATIENCE) -> float:
        """When the event arrived here (on the clock of `time.perf_counter`)."""
        if (kind, subject) not in self._seen:
            waiter = self._awaited.setdefault((kind, subject), asyncio.get_running_loop().create_future())
            try:
                await asyncio.wait_for(waiter, patience)
            except TimeoutError:
                raise TimeoutError(f"no {kind} of {subject} within {patience:.0f} s") from None
        return self._seen[kind, subject][0]

    def event(self, kind: str, subject: str) -> dict[str, Any] | None:
        found = self._seen.get((kind, subject))
        return found[1] if found else None

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        connection = self._free.pop() if self._free else Connection(self._host, self._port, self._key)
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await connection.call(method, path, body)
        except BaseException:
            connection.close()
            raise
        self._free.append(connection)
        return answer

    async def spawn(self, *argv: str, **task: Any) -> dict[str, Any]:
        runner = {"kind": "command", "argv": list(argv)}
        agent: dict[str, Any] = await self.call(
            "POST", "/v1/agents", {"task": {"title": "benchmark", "runner": runner, **task}}
        )
        return agent

    async def live(self) -> None:
        """One life, from the request to its end."""
        agent = await self.spawn("/bin/true")
        await self.seen("task.completed", agent["task_id"])

    def forget(self) -> None:
        self._seen.clear()

    async def close(self) -> None:
        if self._following:
            self._following.cancel()
            await asyncio.wait([self._following])
        if self._stream:
            self._stream.close()
        for connection in self._free:
            connection.close()
