"""Connections to Postgres. Whoever asks names the tenant; row-level security holds them to it.

Three ways in:

* `move`: one call of a function in 0003_moves.sql. It enters its workspace itself.
* `read_prepared`: what is asked so often that planning it anew each time shows. Both are sent without a cursor
  (connections.py).
* `query`: one statement in one round trip, the tenant set before it in the same implicit transaction. That needs
  the simple protocol, hence parameters bound on this side.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, LiteralString, NoReturn
from uuid import UUID

import psycopg
from psycopg import AsyncConnection
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.types.json import Jsonb
from psycopg_pool import PoolTimeout

from muster.domain.errors import BY_CODE, MusterError, Unavailable
from muster.domain.tenants import Actor, Tenant
from muster.storage.connections import Connection, Connections, Row

REFUSED = "MUSTR"
"""SQLSTATE of a refusal; its hint is the error's code."""

_ENTER = "SELECT set_config('app.current_workspace_id', %s, true);"
_ENTER_AS = (
    "SELECT set_config('app.current_workspace_id', %s, true), set_config('app.current_user_id', %s, true), "
    "set_config('app.current_project_id', %s, true), set_config('app.current_task_id', %s, true), "
    "set_config('app.administrator', %s, true), set_config('app.actor', %s, true);"
)

Who = UUID | Tenant
"""A tenant, or a workspace as Muster itself sees it: all of it."""


def workspace_of(who: Who) -> UUID:
    return who.workspace_id if isinstance(who, Tenant) else who


def as_actor(by: Actor | None) -> Jsonb | None:
    """For the moves that note who made them."""
    return Jsonb(by.model_dump(mode="json", exclude_none=True)) if by else None


class Database:
    def __init__(self, url: str, *, size: int = 8, name: str = "muster", wait_seconds: float = 5.0) -> None:
        self._connections = Connections(url, size=size, name=name, wait_seconds=wait_seconds, configure=_configure)

    async def open(self) -> None:
        await self._connections.open()

    async def close(self) -> None:
        await self._connections.close()

    async def move(self, call: LiteralString, params: Sequence[Any]) -> dict[str, Any]:
        """`call` is `SELECT function(%s, …)`. Refusals come back as the error they name."""
        answer: dict[str, Any] = await self._call(call, params)
        return answer

    async def _call(self, call: LiteralString, params: Sequence[Any]) -> Any:
        return (await self._ask(call, params))[0][0]

    async def query(
        self,
        who: Who,
        statement: LiteralString,
        params: Sequence[Any] = (),
    ) -> list[Row]:
        """Rows of one statement, as this tenant."""
        enter, entered = (_ENTER_AS, _settings(who)) if isinstance(who, Tenant) else (_ENTER, (str(who),))
        try:
            return await self._connections.run(enter + statement, (*entered, *params))
        except psycopg.Error as error:
            _raise(error)

    async def read(self, who: Who, statement: LiteralString, params: Sequence[Any] = ()) -> list[Row]:
        """`query` for statements that write nothing: tried again when Postgres went away and came back."""
        try:
            return await self.query(who, statement, params)
        except Unavailable:
            await self._connections.check()
            return await self.query(who, statement, params)

    async def read_prepared(self, who: Who, statement: LiteralString, params: Sequence[Any] = ()) -> list[Row]:
        """`read` of functions that are given what `enter(%s)` answers (0018_search_speed.sql): it can be prepared."""
        entered = (_entering(who), *params)
        try:
            return await self._ask(statement, entered)
        except Unavailable:
            await self._connections.check()
            return await self._ask(statement, entered)

    async def _ask(self, statement: LiteralString, params: Sequence[Any]) -> list[Row]:
        try:
            return await self._connections.ask(statement, params)
        except psycopg.Error as error:
            _raise(error)

    async def read_call(self, call: LiteralString, params: Sequence[Any]) -> Any:
        """`read` for a function that enters its workspace itself, and so can be prepared."""
        try:
            return await self._call(call, params)
        except Unavailable:
            await self._connections.check()
            return await self._call(call, params)

    async def across(self, statement: LiteralString, params: Sequence[Any] = ()) -> list[Row]:
        """Rows of one of the chores_… functions, which look across tenants. No tenant is set."""
        return await self._ask(statement, params)

    @asynccontextmanager
    async def lock(self, number: int) -> AsyncIterator[bool]:
        """Whether this process now holds the advisory lock; let go at the end, or with the connection."""
        async with self._connection() as connection:
            row = await (await connection.execute("SELECT pg_try_advisory_lock(%s)", (number,))).fetchone()
            taken = bool(row and row[0])
            try:
                yield taken
            finally:
                if taken and not connection.closed:
                    await connection.execute("SELECT pg_advisory_unlock(%s)", (number,))

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        try:
            async with self._connections.one() as connection:
                yield connection
        except psycopg.Error as error:
            _raise(error)


def _raise(error: psycopg.Error) -> NoReturn:
    """As this project says it."""
    if (refusal := as_refusal(error)) is not None:
        raise refusal from None
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError | PoolTimeout):
        raise Unavailable(f"Postgres does not answer: {type(error).__name__}") from error
    raise error


def _settings(tenant: Tenant) -> tuple[str, ...]:
    return (*_reach(tenant), tenant.actor.model_dump_json(exclude_none=True))


def _reach(tenant: Tenant) -> tuple[str, ...]:
    return (
        str(tenant.workspace_id),
        str(tenant.user_id),
        str(tenant.project_id or ""),
        str(tenant.task_id or ""),
        "on" if tenant.administrator else "",
    )


def _entering(who: Who) -> str:
    """As an array, without who acts: a read leaves nothing that would say so."""
    settings = _reach(who) if isinstance(who, Tenant) else (str(who),)
    return "{" + ",".join(f'"{setting}"' for setting in settings) + "}"


def as_refusal(error: psycopg.Error) -> MusterError | None:
    if error.sqlstate != REFUSED:
        return None
    kind = BY_CODE.get(error.diag.message_hint or "", MusterError)
    return kind(error.diag.message_primary or str(error))


class Halfvec(tuple[float, ...]):
    """A vector on its way to Postgres, as Postgres keeps it: neither side writes or reads 512 numbers as text."""

    __slots__ = ()


class _HalfvecDumper(Dumper):
    format, oid = Format.BINARY, 0  # of whatever the statement casts it to

    def dump(self, obj: Halfvec) -> bytes:
        return struct.pack(f">HH{len(obj)}e", len(obj), 0, *obj)


async def _configure(connection: AsyncConnection[Row]) -> None:
    connection.adapters.register_dumper(Halfvec, _HalfvecDumper)
    # By statement, not by start-up option: connection poolers refuse those.
    await connection.execute(
        "SET ROLE muster_app; SET TIME ZONE 'UTC'; SET statement_timeout = '30s'; SET lock_timeout = '20s'; "
        "SET idle_in_transaction_session_timeout = '60s'"
    )


async def connect(url: str) -> AsyncConnection[Row]:
    """One connection outside any pool, as whoever the URL names: for migrations and seeds."""
    async with asyncio.timeout(10):
        return await AsyncConnection.connect(url, autocommit=True, connect_timeout=8, application_name="muster")
