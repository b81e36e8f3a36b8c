"""Connections to Postgres, and the quickest way to ask one of them.

What every request asks is prepared once by each connection, and sent by libpq's own calls: a cursor, and a turn in the
pool for each statement, take three times as much of a core as all the rest on this side. Whoever asks next gets the
connection that was used last, whose process is still warm. The pool makes them, replaces those that broke, and lets
those wait who find none.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import lru_cache
from typing import Any

from psycopg import AsyncClientCursor, AsyncConnection, Error, abc
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult
from psycopg_pool import AsyncConnectionPool

Row = tuple[Any, ...]

KEPT_SECONDS = 60.0
"""Then a connection goes through the pool, which ends those that are old, or more than are needed."""
CANCEL_SECONDS = 2.0
_GONE = {"keepalives_idle": 20, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 30_000}
"""A server whose machine or network went away without a word is given up after half a minute; the system would wait for
hours. A statement that takes longer has a limit of its own, kept by the server."""
MAX_PREPARED = 200
"""Of a connection. What is asked differs in the types of its parameters, too: an absent one has none."""


class Connection(AsyncConnection[Row]):
    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.taken_at = 0.0
        self._statements: dict[tuple[str, tuple[int, ...] | None], bytes] = {}
        self._kept_types: abc.Transformer | None = None
        self._watched: int | None = None
        self._woken = False
        self._waiter: asyncio.Future[None] | None = None

    async def ask(self, statement: str, params: Sequence[Any]) -> list[Row]:
        """The rows of one statement, with `%s` for each parameter."""
        types = self._types()
        values = types.dump_sequence(params, [PyFormat.AUTO] * len(params))
        name = self._statements.get((statement, types.types)) or await self._prepare(statement, types.types)
        self.pgconn.send_query_prepared(name, values, types.formats)
        return await self._rows(types)

    async def run(self, statements: str, params: Sequence[Any]) -> list[Row]:
        """The rows of the last of several statements, which are one transaction. They are planned anew each time, with
        the parameters in them."""
        text: str = AsyncClientCursor(self).mogrify(statements, params)
        self.pgconn.send_query(text.encode())
        return await self._rows(self._types())

    def _types(self) -> abc.Transformer:
        """Kept: to find out anew what each type is written and read by takes longer than to write and read it."""
        if self._kept_types is None:
            self._kept_types = Transformer(self)
        return self._kept_types

    async def _rows(self, types: abc.Transformer) -> list[Row]:
        result = await self._result()
        types.set_pgresult(result)
        rows = types.load_rows(0, result.ntuples, tuple)
        types.set_pgresult(None)
        return rows

    async def _prepare(self, statement: str, types: tuple[int, ...] | None) -> bytes:
        if len(self._statements) >= MAX_PREPARED:
            await self.execute("DEALLOCATE ALL")  # psycopg sees it, and forgets its own
            self._statements.clear()
        name = b"muster_%d" % len(self._statements)
        self.pgconn.send_prepare(name, _numbered(statement), types)
        await self._result()
        self._statements[statement, types] = name
        return name

    async def _result(self) -> PGresult:
        """Of what was sent. An error is raised as psycopg raises it."""
        pgconn, result = self.pgconn, None
        self._woken = False
        try:
            while pgconn.flush():
                await self._ready(writing=True)
                pgconn.consume_input()  # it may have to be read before it reads on
            while True:
                while pgconn.is_busy():
                    await self._ready()
                    pgconn.consume_input()
                if (found := pgconn.get_result()) is None:
                    break
                result = found
        except asyncio.CancelledError:
            # Nobody waits for it any more. The connection is in the middle of it, and is replaced.
            try:
                with suppress(Error):
                    await self.cancel_safe(timeout=CANCEL_SECONDS)
            finally:
                await self.close()
            raise
        assert result is not None  # noqa: S101 - libpq answers what was sent
        if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
            raise error_from_result(result)
        return result

    async def _ready(self, *, writing: bool = False) -> None:
        """The socket stays watched from one question to the next: the loop takes longer to begin and end that than to
        be told by it."""
        loop = asyncio.get_running_loop()
        if self._woken:  # perhaps by an error, after which uvloop watches it no longer, and says so to nobody
            self.unwatch()
        if self._watched is None:
            self._watched = self.pgconn.socket
            loop.add_reader(self._watched, self._wake)
        self._waiter = loop.create_future()
        if writing:
            loop.add_writer(self._watched, self._wake)
        try:
            await self._waiter
        finally:
            self._waiter, self._woken = None, True
            if writing and self._watched is not None:
                loop.remove_writer(self._watched)

    def _wake(self) -> None:
        if self._waiter is None:  # nobody asked for it: Postgres ends, or has news
            self.unwatch()
        elif not self._waiter.done():
            self._waiter.set_result(None)

    def unwatch(self) -> None:
        if self._watched is not None:
            asyncio.get_running_loop().remove_reader(self._watched)
            self._watched = None

    async def wait(self, gen: Any, *more: Any, **named: Any) -> Any:
        """psycopg's own way, which watches the socket itself."""
        self.unwatch()
        return await super().wait(gen, *more, **named)

    async def close(self) -> None:
        self.unwatch()
        await super().close()


@lru_cache(maxsize=1024)
def _numbered(statement: str) -> bytes:
    first, *others = statement.split("%s")
    return (first + "".join(f"${number}{text}" for number, text in enumerate(others, 1))).replace("%%", "%").encode()


class Connections:
    def __init__(
        self, url: str, *, size: int, name: str, wait_seconds: float, configure: Callable[[Connection], Awaitable[None]]
    ) -> None:
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url,
            connection_class=Connection,
            min_size=min(2, size),
            max_size=size,
            open=False,
            timeout=wait_seconds,
            name=name,
            reconnect_timeout=30.0,
            kwargs={"autocommit": True, "application_name": name, "connect_timeout": 5, **_GONE},
            configure=configure,
        )
        self._warm: list[Connection] = []
        self._waiting = 0
        self._closed = False

    async def open(self) -> None:
        await self._pool.open()

    async def close(self) -> None:
        self._closed = True
        await self._give_back(0.0)
        await self._pool.close(timeout=2.0)

    async def check(self) -> None:
        """Replaces those that broke while nobody asked them, as all do when Postgres ends."""
        await self._give_back(0.0)
        await self._pool.check()

    async def ask(self, statement: str, params: Sequence[Any]) -> list[Row]:
        connection = await self._take()
        try:
            return await connection.ask(statement, params)
        finally:
            await self._release(connection)

    async def run(self, statements: str, params: Sequence[Any]) -> list[Row]:
        connection = await self._take()
        try:
            return await connection.run(statements, params)
        finally:
            await self._release(connection)

    @asynccontextmanager
    async def one(self) -> AsyncIterator[Connection]:
        connection = await self._take()
        try:
            yield connection
        finally:
            await self._release(connection)

    async def _take(self) -> Connection:
        if self._warm:
            return self._warm.pop()
        self._waiting += 1
        try:
            connection = await self._pool.getconn()
        finally:
            self._waiting -= 1
        connection.taken_at = time.monotonic()
        return connection

    async def _release(self, connection: Connection) -> None:
        """Kept, unless somebody waits, or the pool should look at it."""
        if (
            self._closed
            or self._waiting
            or connection.pgconn.transaction_status != TransactionStatus.IDLE
            or time.monotonic() - connection.taken_at > KEPT_SECONDS
        ):
            await self._put_back(connection)
            await self._give_back(KEPT_SECONDS)
        else:
            self._warm.append(connection)

    async def _give_back(self, older: float) -> None:
        now = time.monotonic()
        old = [one for one in self._warm if now - one.taken_at >= older]
        self._warm = [one for one in self._warm if one not in old]
        for one in old:
            await self._put_back(one)

    async def _put_back(self, connection: Connection) -> None:
        connection.unwatch()
        await self._pool.putconn(connection)
