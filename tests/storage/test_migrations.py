"""Migrations: together, once, whole or not at all, and never on a database from the future."""

from __future__ import annotations

import asyncio
import sys

import psycopg
import pytest

from muster.domain.ids import DEFAULT_WORKSPACE
from muster.storage import migrations
from muster.storage.migrations import Migration, MigrationFailed, SchemaMismatch, all_migrations, migrate, pending

from .conftest import Servers, sql


@pytest.fixture
async def empty(servers: Servers) -> str:
    return await servers.new_database(template="template1")


async def test_all_of_them_in_order_then_none(empty: str) -> None:
    names = [migration.name for migration in all_migrations()]
    assert names == sorted(names)
    assert await pending(empty) == names
    assert await migrate(empty) == names
    assert await pending(empty) == []
    assert await migrate(empty) == []


async def test_two_processes_at_once(empty: str) -> None:
    program = f"import asyncio; from muster.storage.migrations import migrate; print(asyncio.run(migrate({empty!r})))"
    both = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=-1, stderr=-1) for _ in range(2)
    ]  # fmt: skip
    answers = [await process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], answers
    everything = str([migration.name for migration in all_migrations()])
    assert sorted(out.decode().strip() for out, _ in answers) == sorted([everything, "[]"])


async def test_a_half_failed_one_leaves_nothing(empty: str) -> None:
    good = Migration("0001_good", "CREATE TABLE good (x int)")
    bad = Migration("0002_bad", "CREATE TABLE half (x int); INSERT INTO half VALUES (1); SELECT 1 / 0")
    with pytest.raises(MigrationFailed, match=r"0002_bad .* division by zero"):
        await migrate(empty, migrations=[good, bad])
    assert await sql(empty, "SELECT to_regclass('good') IS NOT NULL, to_regclass('half') IS NULL") == [(True, True)]
    assert await sql(empty, "SELECT name FROM schema_migrations") == [("0001_good",)]
    mended = Migration("0002_bad", "CREATE TABLE half (x int)")
    assert await migrate(empty, migrations=[good, mended]) == ["0002_bad"]


async def test_a_newer_database_is_refused_and_left_alone(empty: str) -> None:
    await migrate(empty)
    await sql(empty, "INSERT INTO schema_migrations (name, checksum) VALUES ('9999_tomorrow', 'x')")
    with pytest.raises(SchemaMismatch, match=r"9999_tomorrow.*newer"):
        await migrate(empty, max_concurrent_agents=3)
    with pytest.raises(SchemaMismatch, match="9999_tomorrow"):
        await pending(empty)


async def test_a_changed_file_is_refused(empty: str) -> None:
    await migrate(empty, migrations=[Migration("0001_a", "SELECT 1")])
    with pytest.raises(SchemaMismatch, match="0001_a is not the one"):
        await migrate(empty, migrations=[Migration("0001_a", "SELECT 2"), Migration("0002_b", "CREATE TABLE b ()")])
    assert await sql(empty, "SELECT to_regclass('b') IS NULL") == [(True,)]


async def test_a_limit_that_is_set_is_what_a_new_workspace_begins_with(empty: str) -> None:
    read = f"SET ROLE muster_app; SET app.current_workspace_id = '{DEFAULT_WORKSPACE}'"

    async def limit() -> int:
        async with await psycopg.AsyncConnection.connect(empty, autocommit=True) as connection:
            await connection.execute(read.encode())
            row = await (await connection.execute("SELECT max_concurrent_agents FROM workspaces")).fetchone()
            assert row
            return int(row[0])

    await migrate(empty, max_concurrent_agents=7)
    assert await limit() == 7
    for later in (9, None):
        await migrate(empty, max_concurrent_agents=later)
        assert await limit() == 7, "whoever may changes it later; starting Muster again does not"


async def test_new_ids_are_uuid7_and_sort_by_time(own_url: str) -> None:
    rows = await sql(own_url, "SELECT new_id()::text, pg_sleep(0.002) FROM generate_series(1, 5)")
    ids = [row[0] for row in rows]
    assert ids == sorted(ids)
    assert {(item[14], item[19] in "89ab") for item in ids} == {("7", True)}
    assert migrations.all_migrations()[0].checksum == migrations.all_migrations()[0].checksum


async def test_vectors_of_every_length_have_an_index_made_with_the_same_effort(own_url: str) -> None:
    rows = await sql(
        own_url, "SELECT indexdef FROM pg_indexes WHERE indexdef LIKE '%% USING hnsw %%halfvec_cosine_ops%%'"
    )
    assert len(rows) == 7
    assert all("(ef_construction='128')" in definition for (definition,) in rows), rows
