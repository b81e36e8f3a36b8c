"""Plain HTTP to the embedder: whatever pieces an answer comes in, and whatever comes instead of one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from muster.domain.memory import ErrorClass, GenerationFailed
from muster.models.wire import Direct, ask

WHOLE = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{"a": "b"}'

Says = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Says one thing after another, each when it is asked; of which connection is noted."""

    def __init__(self, says: Sequence[Says]) -> None:
        self.says = list(says)
        self.asked: list[tuple[int, bytes]] = []
        self.connections = 0
        self.url = ""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    (int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:")), 0
                )
                self.asked.append((number, head + await reader.readexactly(length)))
                await self.says.pop(0)(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def saying(*pieces: bytes, then_close: bool = False) -> Says:
    async def say(writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.005)
        if then_close:
            writer.close()

    return say


@asynccontextmanager
async def speaking(*says: Says) -> AsyncIterator[tuple[Server, Direct]]:
    server = Server(says)
    listening = await asyncio.start_server(server, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
    wire = Direct(server.url, "a key")
    try:
        yield server, wire
    finally:
        await wire.close()
        listening.close()


async def asked(wire: Direct, seconds: float = 20) -> object:
    return await ask(wire, "POST", "/embeddings", {"input": "ü"}, seconds=seconds)


async def failed(wire: Direct, seconds: float = 20) -> GenerationFailed:
    with pytest.raises(GenerationFailed) as failure:
        await asked(wire, seconds)
    return failure.value


async def test_an_answer_may_come_in_any_pieces_and_the_connection_is_kept() -> None:
    cuts = [
        saying(WHOLE[:at], WHOLE[at:]) for at in (1, 20, WHOLE.index(b"\r\n\r\n") + 2, len(WHOLE) - 10, len(WHOLE) - 1)
    ]
    async with speaking(saying(WHOLE), *cuts, saying(*(WHOLE[at : at + 1] for at in range(len(WHOLE))))) as (
        server,
        wire,
    ):
        for _ in range(7):
            assert await asked(wire) == {"a": "b"}
        assert server.connections == 1
        head, _, body = server.asked[0][1].partition(b"\r\n\r\n")
        assert head.split(b"\r\n")[0] == b"POST /v1/embeddings HTTP/1.1"
        assert b"Authorization: Bearer a key" in head
        assert json.loads(body) == {"input": "ü"}


async def test_a_server_that_was_restarted_is_asked_again() -> None:
    last = WHOLE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    async with speaking(
        saying(WHOLE), saying(b"HTTP/1.1 200", then_close=True), saying(WHOLE), saying(last), saying(WHOLE)
    ) as (
        server,
        wire,
    ):
        assert [await asked(wire) for _ in range(4)] == [{"a": "b"}] * 4
        assert [number for number, _ in server.asked] == [1, 1, 2, 2, 3], (
            "what broke, and what was to be closed, is new"
        )


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"hello, who is there?\r\n\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 two hundred\r\n\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\n\r\n{}", "how long"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", "how long"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "how long"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}{}", "longer than it says"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000, "does not end"),
    ],
)
async def test_what_is_no_answer_is_told_and_its_connection_left(said: bytes, why: str) -> None:
    async with speaking(saying(said), saying(WHOLE)) as (server, wire):
        failure = await failed(wire)
        assert (failure.kind, why in failure.message) == (ErrorClass.UNAVAILABLE, True), failure.message
        assert await asked(wire) == {"a": "b"}
        assert [number for number, _ in server.asked] == [1, 2]


async def test_half_an_answer_and_none_end_with_the_connection_or_the_time() -> None:
    async with speaking(saying(WHOLE[:-3], then_close=True), saying(WHOLE[:-3]), saying(WHOLE)) as (server, wire):
        assert (await failed(wire)).kind == ErrorClass.UNAVAILABLE
        assert (await failed(wire, 0.2)).kind == ErrorClass.TIMEOUT
        assert await asked(wire) == {"a": "b"}, "the rest of it is nobody's answer"
        assert [number for number, _ in server.asked] == [1, 2, 3]


async def test_what_nobody_asked_for_is_no_answer_to_the_next() -> None:
    async with speaking(saying(WHOLE, WHOLE), saying(WHOLE.replace(b"b", b"c"))) as (server, wire):
        assert await asked(wire) == {"a": "b"}
        await asyncio.sleep(0.05)
        assert await asked(wire) == {"a": "c"}
        assert [number for number, _ in server.asked] == [1, 2]
