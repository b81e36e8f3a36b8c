"""A bare FastAPI app: one psycopg read, and one Valkey subscription fanned out to all who listen.

`python -m benchmarks.bare.api PORT DATABASE_URL VALKEY_URL`
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import redis.asyncio
import uvicorn
from fastapi import FastAPI
from fastapi.responses import JSONResponse, StreamingResponse
from psycopg_pool import AsyncConnectionPool

CHANNEL = "bench"


def create_app(database_url: str, valkey_url: str) -> FastAPI:
    pool = AsyncConnectionPool(database_url, min_size=2, max_size=8, open=False, kwargs={"autocommit": True})
    listeners: set[asyncio.Queue[bytes]] = set()

    async def fan_out() -> None:
        async with redis.asyncio.Redis.from_url(valkey_url).pubsub() as subscription:
            await subscription.subscribe(CHANNEL)
            async for message in subscription.listen():
                if message["type"] == "message":
                    frame = b"event: agent.running\ndata: " + message["data"] + b"\n\n"
                    for listener in listeners:
                        listener.put_nowait(frame)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await pool.open()
        hub = asyncio.create_task(fan_out())
        yield
        hub.cancel()
        await pool.close()

    app = FastAPI(lifespan=lifespan)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/agents/{agent_id}")
    async def agent(agent_id: str) -> JSONResponse:
        async with pool.connection() as connection:
            cursor = await connection.execute("SELECT agent_json(a) FROM agents a WHERE id = %s", (agent_id,))
            row: Any = await cursor.fetchone()
        return JSONResponse(row[0])

    @app.get("/events")
    async def events() -> StreamingResponse:
        listener: asyncio.Queue[bytes] = asyncio.Queue()
        listeners.add(listener)

        async def frames() -> AsyncIterator[bytes]:
            try:
                yield b": hello\n\n"
                while True:
                    yield await listener.get()
            finally:
                listeners.discard(listener)

        return StreamingResponse(frames(), media_type="text/event-stream")

    return app


if __name__ == "__main__":
    uvicorn.run(
        create_app(sys.argv[2], sys.argv[3]),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=1,
    )
