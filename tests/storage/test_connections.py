"""How Postgres is asked: prepared statements by libpq's own calls, over connections that are kept warm."""

from __future__ import annotations

import asyncio
import select
import socket
import threading
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import uvloop
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.json import Jsonb

from muster.storage import connections
from muster.storage.connections import Connection, Connections
from tests.services.conftest import eventually


async def _utc(connection: Connection) -> None:
    await connection.execute("SET TIME ZONE 'UTC'")


@pytest.fixture
async def asked(shared_url: str) -> AsyncIterator[Connections]:
    made = Connections(shared_url, size=2, name=f"test-{uuid4()}", wait_seconds=20, configure=_utc)
    await made.open()
    yield made
    await made.close()


async def test_what_is_sent_comes_back_in_its_type(asked: Connections) -> None:
    now, key = datetime.now(UTC), uuid4()
    sent = (now, key, "it's 50 % {a,b} ☃", 7, 2**40, True, None, [key, key], Jsonb({"a": [1, None]}), b"\x00\xff")
    rows = await asked.ask(
        "SELECT %s::timestamptz, %s::uuid, %s::text, %s::int, %s::bigint, %s::bool, %s::int, %s::uuid[], %s::jsonb, "
        "%s::bytea",
        sent,
    )
    assert rows == [(*sent[:8], {"a": [1, None]}, b"\x00\xff")]
    assert await asked.ask("SELECT 1 WHERE false", ()) == []
    assert await asked.ask("SELECT 7 %% %s, 'a' LIKE '%%'", (4,)) == [(3, True)]
    assert len(await asked.ask("SELECT generate_series(1, %s)", (10_000,))) == 10_000


async def test_a_server_that_went_away_without_a_word_is_given_up(asked: Connections) -> None:
    """The system would wait for it for hours."""
    async with asked.one() as connection:
        told = connection.info.get_parameters()
    assert {name: told.get(name) for name in ("tcp_user_timeout", "keepalives_idle", "keepalives_interval")} == {
        "tcp_user_timeout": "30000", "keepalives_idle": "20", "keepalives_interval": "5",
    }  # fmt: skip


async def test_statements_that_run_together_are_one_transaction(asked: Connections) -> None:
    both = "SELECT set_config('app.it', %s, true); SELECT current_setting('app.it', true), %s::uuid, %s"
    sent = ("it's % ☃", key := uuid4(), None)
    assert await asked.run(both, sent) == [("it's % ☃", key, None)]
    assert (await asked.run("SELECT current_setting('app.it', true)", ()))[0][0] in (None, "")
    assert await asked.run("SELECT 1; SET LOCAL work_mem = '1MB'", ()) == []
    with pytest.raises(psycopg.errors.DivisionByZero):
        await asked.run("CREATE TABLE never (a int); SELECT 1 / %s; SELECT 2", (0,))
    assert await asked.run("SELECT to_regclass('never')::text", ()) == [(None,)]
    with pytest.raises(psycopg.DataError):
        await asked.run("SELECT %s", ("a\x00b",))
    assert await asked.run("SELECT 'on'", ()) == [("on",)]


async def test_more_than_the_sockets_hold_is_sent_and_read(asked: Connections) -> None:
    text = "0123456789" * 2_000_000
    assert (await asked.ask("SELECT %s::text || 'x'", (text,)))[0][0] == text + "x"


async def test_an_error_is_psycopgs_and_leaves_the_connection_as_it_was(asked: Connections) -> None:
    (before,) = (await asked.ask("SELECT pg_backend_pid()", ()))[0]
    for wrong, kind in (("SELEC 1", psycopg.errors.SyntaxError), ("SELECT 1 / 0", psycopg.errors.DivisionByZero)):
        for _ in range(2):
            with pytest.raises(kind):
                await asked.ask(wrong, ())
    with pytest.raises(psycopg.errors.RaiseException) as refused:
        await asked.ask("DO $$ BEGIN RAISE EXCEPTION 'no' USING HINT = 'why'; END $$", ())
    assert (refused.value.diag.message_primary, refused.value.diag.message_hint) == ("no", "why")
    assert await asked.ask("SELECT pg_backend_pid()", ()) == [(before,)]


async def test_many_at_once_wait_for_few_connections(asked: Connections) -> None:
    answers = await asyncio.gather(
        *(asked.ask("SELECT %s::int, pg_backend_pid(), pg_sleep(0.01)", (number,)) for number in range(60))
    )
    assert [rows[0][0] for rows in answers] == list(range(60))
    assert len({rows[0][1] for rows in answers}) <= 2
    pids = [(await asked.ask("SELECT pg_backend_pid()", ()))[0][0] for _ in range(10)]
    assert len(set(pids)) == 1, "one after the other are asked of the one that is warm"


async def test_who_waits_no_longer_stops_what_was_asked(asked: Connections, shared_url: str) -> None:
    asking = asyncio.create_task(asked.ask("SELECT pg_sleep(600), 'nobody waits for this'", ()))
    async with await psycopg.AsyncConnection.connect(shared_url, autocommit=True) as other:

        async def asleep(count: int) -> None:
            query = (
                "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%%nobody waits%%' AND pid <> pg_backend_pid()"
            )
            rows = await (await other.execute(query + " AND state = 'active'")).fetchall()
            assert rows == [(count,)]

        await eventually(lambda: asleep(1))
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await eventually(lambda: asleep(0))
    answers = await asyncio.gather(*(asked.ask("SELECT %s::int, pg_sleep(0.05)", (number,)) for number in range(6)))
    assert [rows[0][0] for rows in answers] == list(range(6)), "both places are there again"


async def test_a_connection_whose_process_ended_is_replaced(asked: Connections) -> None:
    (pid,) = (await asked.ask("SELECT pg_backend_pid()", ()))[0]
    with pytest.raises(psycopg.OperationalError):
        await asked.ask("SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(5)", ())
    answers = await asyncio.gather(*(asked.ask("SELECT pg_backend_pid(), pg_sleep(0.05)", ()) for _ in range(6)))
    assert pid not in {rows[0][0] for rows in answers}


async def test_what_broke_while_nobody_asked_is_found_by_a_check(asked: Connections, shared_url: str) -> None:
    (pid,) = (await asked.ask("SELECT pg_backend_pid()", ()))[0]
    async with await psycopg.AsyncConnection.connect(shared_url, autocommit=True) as other:
        await other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
    with pytest.raises(psycopg.OperationalError):
        await asked.ask("SELECT 1", ())
    await asked.check()
    assert await asked.ask("SELECT 1", ()) == [(1,)]


async def test_statements_do_not_pile_up(asked: Connections, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_PREPARED", 20)
    counting = "SELECT count(*)::int FROM pg_prepared_statements"
    async with asked.one() as held:
        for number in range(50):
            assert await held.ask(f"SELECT %s::int + {number}", (number,)) == [(2 * number,)]
            async with held.cursor() as cursor:
                await cursor.execute("SELECT %s::int", (number,), prepare=True)
                assert await cursor.fetchall() == [(number,)]
        ((kept,),) = await held.ask(counting, ())
        assert kept <= 22


async def test_what_is_kept_goes_through_the_pool_now_and_then(
    asked: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with asked.one(), asked.one():  # both are open, however long the second took
        pass
    kept = {(await asked.ask("SELECT pg_backend_pid()", ()))[0][0] for _ in range(8)}
    assert len(kept) == 1, "the one that was used last"
    monkeypatch.setattr(connections, "KEPT_SECONDS", 0.0)
    seen = {(await asked.ask("SELECT pg_backend_pid()", ()))[0][0] for _ in range(8)}
    assert len(seen) == 2, "the pool gives them in turns"


async def test_what_is_asked_while_it_closes_is_answered_and_then_closed(shared_url: str) -> None:
    made = Connections(shared_url, size=2, name="test-closing", wait_seconds=20, configure=_utc)
    await made.open()
    async with made.one() as held:
        await made.close()
        assert await held.ask("SELECT 1", ()) == [(1,)]
    assert held.closed
    with pytest.raises(psycopg.OperationalError):
        await made.ask("SELECT 1", ())


class Watching(uvloop.Loop):
    """The loop of the processes that ask much. It knows what it is told to watch, and how often."""

    def __init__(self) -> None:
        self.begun, self.watched = 0, set[int]()

    def add_reader(self, fileno: Any, *more: Any) -> None:
        self.begun += 1
        self.watched.add(fileno)
        super().add_reader(fileno, *more)

    def remove_reader(self, fileno: Any) -> None:
        self.watched.discard(fileno)
        super().remove_reader(fileno)


def test_the_socket_is_watched_once_and_by_nobody_when_the_pool_has_it(shared_url: str) -> None:
    async def ask() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Watching)
        asked = Connections(shared_url, size=2, name=f"test-{uuid4()}", wait_seconds=20, configure=_utc)
        await asked.open()
        async with asked.one(), asked.one():  # the pool has made both, in psycopg's way
            pass
        await asked.ask("SELECT %s::int, pg_sleep(0.001)", (-1,))
        before = loop.begun
        for number in range(20):
            assert await asked.ask("SELECT %s::int, pg_sleep(0.001)", (number,)) == [(number, "")]
        assert loop.begun == before
        async with asked.one() as held:
            for _ in range(3):  # psycopg's own way and ours in turns
                assert await (await held.execute("SELECT 1, pg_sleep(0.001)")).fetchall() == [(1, "")]
                assert await held.ask("SELECT 2, pg_sleep(0.001)", ()) == [(2, "")]
        assert loop.watched
        await asked.check()
        assert not loop.watched, "nobody watches it"
        await asked.close()

    with asyncio.Runner(loop_factory=Watching) as runner:
        runner.run(ask())


async def test_a_kept_connection_that_ends_wakes_nobody_for_ever(asked: Connections, shared_url: str) -> None:
    (pid,) = (await asked.ask("SELECT pg_backend_pid(), pg_sleep(0.01)", ()))[0][:1]
    async with await psycopg.AsyncConnection.connect(shared_url, autocommit=True) as other:
        await other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
    began = time.process_time()
    await asyncio.sleep(0.5)
    assert time.process_time() - began < 0.3, "its end can be read at any time, and is not looked at again and again"


FATAL = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0"


def _between(listening: socket.socket, behind: str, gone: threading.Event) -> None:
    """Hands on what one client and Postgres say to each other. Once Postgres is to be gone, it says so, and ends
    without reading what the client has just asked."""
    client, _ = listening.accept()
    with client, socket.socket(socket.AF_UNIX) as postgres:
        postgres.connect(behind)
        other = {client: postgres, postgres: client}
        while True:
            for ready in select.select(list(other), [], [], 20)[0]:
                if ready is client and gone.is_set():
                    client.sendall(b"E" + (len(FATAL) + 4).to_bytes(4) + FATAL)
                    return
                if not (data := ready.recv(1 << 16)):
                    return
                other[ready].sendall(data)


async def test_who_asks_while_postgres_ends_is_told(shared_url: str, tmp_path: Path) -> None:
    """On uvloop, which stops to watch a socket when there is an error on it: what was not read is one."""
    known, gone = conninfo_to_dict(shared_url), threading.Event()
    port = known.get("port", 5432)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / f".s.PGSQL.{port}"))
    listening.listen()
    listening.settimeout(20)

    async def ask() -> None:
        async with await Connection.connect(make_conninfo(shared_url, host=str(tmp_path)), autocommit=True) as asked:
            assert await asked.ask("SELECT 1, pg_sleep(0.01)", ()) == [(1, "")]
            gone.set()
            async with asyncio.timeout(10):
                with pytest.raises(psycopg.OperationalError):
                    await asked.ask("SELECT 1, pg_sleep(0.01)", ())

    between = asyncio.to_thread(_between, listening, f"{known['host']}/.s.PGSQL.{port}", gone)
    with listening:
        await asyncio.gather(between, asyncio.to_thread(uvloop.run, ask()))
