"""Numbered SQL files, applied once each, in order, forward only."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources

import psycopg
from psycopg import AsyncConnection

from muster.domain.errors import MusterError
from muster.domain.ids import DEFAULT_USER, DEFAULT_WORKSPACE
from muster.domain.states import MemberRole
from muster.storage.connections import Row
from muster.storage.database import connect

_LOCK = 7_208_645_117_301
"""Advisory lock: two processes that migrate at once take turns."""


class SchemaMismatch(MusterError):
    status, code = 500, "schema_mismatch"


class MigrationFailed(MusterError):
    status, code = 500, "migration_failed"


@dataclass(frozen=True)
class Migration:
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def all_migrations() -> list[Migration]:
    folder = resources.files("muster.storage") / "migrations"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return [Migration(file.name.removesuffix(".sql"), file.read_text(encoding="utf-8")) for file in files]


async def pending(owner_url: str, migrations: list[Migration] | None = None) -> list[str]:
    """Names of the migrations this database still needs. Raises SchemaMismatch for a database that is newer."""
    connection = await connect(owner_url)
    try:
        return [migration.name for migration in await _missing(connection, migrations or all_migrations())]
    finally:
        await connection.close()


async def demand(url: str) -> None:
    """Raises SchemaMismatch where something is missing. A newer database will do, while an upgrade goes round; and one
    that does not answer now is somebody else's to tell of."""
    try:
        connection = await connect(url)
    except (OSError, psycopg.Error):
        return
    try:
        missing = await _missing(connection, all_migrations())
    except (SchemaMismatch, psycopg.Error):
        return
    finally:
        await connection.close()
    if missing:
        count = f"{len(missing)} migrations are" if len(missing) > 1 else "a migration is"
        raise SchemaMismatch(f"{count} pending on this database, from {missing[0].name} on: run `muster migrate`")


async def migrate(
    owner_url: str, *, max_concurrent_agents: int | None = None, migrations: list[Migration] | None = None
) -> list[str]:
    """Apply what is missing; each file whole or not at all. Returns the names applied."""
    connection = await connect(owner_url)
    applied = []
    try:
        await connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        await connection.execute("SET client_min_messages = warning")
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations "
            "(name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        for migration in await _missing(connection, migrations or all_migrations()):
            try:
                async with connection.transaction():
                    # No parameters: that is what lets one execute hold many statements.
                    await connection.execute(migration.sql.encode())
                    await connection.execute(
                        "INSERT INTO schema_migrations (name, checksum) VALUES (%s, %s)",
                        (migration.name, migration.checksum),
                    )
            except psycopg.Error as error:
                why = (str(error).strip() or type(error).__name__).splitlines()[0]
                raise MigrationFailed(
                    f"migration {migration.name} failed and left nothing behind; those before it stand: {why}"
                ) from error
            applied.append(migration.name)
        if migrations is None:
            async with connection.transaction():
                await _ensure_default_workspace(connection, max_concurrent_agents)
    finally:
        await connection.close()  # which also lets go of the lock
    return applied


async def _missing(connection: AsyncConnection[Row], migrations: list[Migration]) -> list[Migration]:
    exists = await (await connection.execute("SELECT to_regclass('schema_migrations') IS NOT NULL")).fetchone()
    rows = (
        await (await connection.execute("SELECT name, checksum FROM schema_migrations")).fetchall()
        if exists and exists[0]
        else []
    )
    done: dict[str, str] = dict(rows)
    known = {migration.name: migration for migration in migrations}
    if newer := sorted(done.keys() - known.keys()):
        raise SchemaMismatch(
            f"the database has migration {newer[-1]}, which this Muster does not know: it was upgraded by a newer "
            "one; install that version"
        )
    if changed := sorted(name for name, checksum in done.items() if known[name].checksum != checksum):
        raise SchemaMismatch(f"migration {changed[0]} is not the one that was applied to this database")
    return [migration for migration in migrations if migration.name not in done]


async def _ensure_default_workspace(connection: AsyncConnection[Row], max_concurrent_agents: int | None) -> None:
    """What a new Muster begins with: one user, who administers it, and one workspace."""
    await connection.execute("SET LOCAL ROLE muster_app")
    await connection.execute(
        "SELECT set_config('app.current_workspace_id', %s, true), set_config('app.current_user_id', %s, true), "
        "set_config('app.administrator', 'on', true)",
        (str(DEFAULT_WORKSPACE), str(DEFAULT_USER)),
    )
    await connection.execute(
        "INSERT INTO workspaces (id, slug, name, max_concurrent_agents) VALUES (%s, 'default', 'Default', %s) "
        "ON CONFLICT (id) DO NOTHING",
        (DEFAULT_WORKSPACE, max_concurrent_agents or 20),
    )
    await connection.execute(
        "INSERT INTO users (id, email, name) VALUES (%s, 'owner@muster.invalid', 'Owner') ON CONFLICT DO NOTHING",
        (DEFAULT_USER,),
    )
    await connection.execute(
        "INSERT INTO workspace_members (workspace_id, user_id, role) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
        (DEFAULT_WORKSPACE, DEFAULT_USER, MemberRole.OWNER.value),
    )
    await connection.execute(
        "INSERT INTO workspace_log (workspace_id) VALUES (%s) ON CONFLICT DO NOTHING", (DEFAULT_WORKSPACE,)
    )
