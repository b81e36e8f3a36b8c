"""One real PostgreSQL and one real Valkey for all of these tests, in a throw-away home.

The schema is migrated once, into a template; a database of one's own is a clone of it and costs some 50 ms. Most
tests need none: a workspace of one's own in the shared database is as good, and free.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString
from uuid import UUID

import psycopg
import pytest

from muster.domain.ids import DEFAULT_USER, new_id
from muster.domain.tasks import CommandRunner, TaskSpec
from muster.domain.tenants import Actor
from muster.services.child import Child
from muster.services.home import Home
from muster.services.ports import free_port
from muster.services.postgres import DATABASE, Postgres
from muster.services.valkey import Valkey
from muster.storage import migrations, moves
from muster.storage.database import Database
from muster.storage.moves import Changes
from tests.services import cluster

from .memories import Project, new_project
from .sessions import Session, a_session

# What a developer's own shell may point at must not reach the tests.
for name in [name for name in os.environ if name.startswith("PG")]:
    os.environ.pop(name)

_TEMPLATE = "muster_template"

OWNER = Actor(user_id=DEFAULT_USER)
"""Who asks, where it does not matter who."""


@dataclass
class Servers:
    postgres: Postgres
    postgres_child: Child
    valkey: Valkey
    valkey_child: Child

    def url(self, database: str) -> str:
        return self.postgres.url(database=database)

    async def new_database(self, template: str = _TEMPLATE) -> str:
        """Its URL, as its owner."""
        name = f"t_{new_id().hex}"
        await sql(self.url("postgres"), f"CREATE DATABASE {name} TEMPLATE {template}")
        # What a commit costs on this disk is none of these tests' business.
        await sql(self.url("postgres"), f"ALTER DATABASE {name} SET synchronous_commit = off")
        return self.url(name)

    async def drop(self, url: str) -> None:
        name = url.rpartition("@/")[2].partition("?")[0]
        for wait in (0.2, 1, 5, 0):
            try:
                await sql(self.url("postgres"), f"DROP DATABASE {name} WITH (FORCE)")
                return
            except psycopg.errors.InsufficientPrivilege:
                if not wait:
                    raise
                await asyncio.sleep(wait)  # for autovacuum, which is not ours to end


async def sql(url: str, statement: str, params: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """As the database's owner."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        cursor = await connection.execute(statement.encode(), params or None)
        return await cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="session")
async def servers() -> AsyncIterator[Servers]:
    folder = Path(tempfile.mkdtemp(prefix="muster-storage-"))
    home = Home(folder / "home")
    await asyncio.to_thread(cluster.seed, home.path)
    postgres = Postgres(home, dict(os.environ))
    valkey = Valkey(home, dict(os.environ), free_port())
    children: list[Child] = []
    try:
        children = [Child(await postgres.prepare()), Child(await valkey.prepare())]
        await asyncio.gather(*(child.start() for child in children))
        servers = Servers(postgres, children[0], valkey, children[1])
        await sql(servers.url("postgres"), f"CREATE DATABASE {_TEMPLATE} TEMPLATE {DATABASE}")
        await migrations.migrate(servers.url(_TEMPLATE))
        yield servers
    finally:
        await asyncio.gather(*(child.stop() for child in children))
        postgres.clean()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
async def shared_url(servers: Servers) -> str:
    return await servers.new_database()


@pytest.fixture(scope="session")
async def db(shared_url: str) -> AsyncIterator[Database]:
    """Shared by many tests, each in workspaces of its own."""
    database = Database(shared_url, size=8)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
async def own_url(servers: Servers) -> AsyncIterator[str]:
    """A database that nobody else looks at."""
    url = await servers.new_database()
    yield url
    await servers.drop(url)


@pytest.fixture
async def own_db(own_url: str) -> AsyncIterator[Database]:
    database = Database(own_url, size=8)
    await database.open()
    yield database
    await database.close()


async def make_workspace(url: str, limit: int = 20) -> UUID:
    workspace = new_id()
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        # Not even the owner sees past row-level security; whoever makes a tenant works as the app.
        await connection.execute("SET ROLE muster_app")
        await connection.execute(
            "SELECT set_config('app.current_workspace_id', %s, false), set_config('app.administrator', 'on', false)",
            (str(workspace),),
        )
        await connection.execute(
            "INSERT INTO workspaces (id, slug, name, max_concurrent_agents) VALUES (%s, %s, 'A workspace', %s)",
            (workspace, f"w-{workspace.hex}", limit),
        )
        await connection.execute("INSERT INTO workspace_log (workspace_id) VALUES (%s)", (workspace,))
    return workspace


class Tenant:
    """A workspace, and moves in it."""

    def __init__(self, db: Database, workspace: UUID) -> None:
        self.db, self.id = db, workspace

    async def create(self, title: str = "a task", *, runs: bool = True, spawn: bool = False, **spec: Any) -> UUID:
        return UUID((await self.created(title, runs=runs, spawn=spawn, **spec)).tasks[-1]["id"])

    async def created(
        self,
        title: str = "a task",
        *,
        runs: bool = True,
        spawn: bool = False,
        task_id: UUID | None = None,
        project_id: UUID | None = None,
        **spec: Any,
    ) -> Changes:
        task_id = task_id or new_id()
        spec.setdefault("runner", CommandRunner(argv=["true"]) if runs else None)
        asked = TaskSpec(title=title, **spec)
        changes = await moves.create_task(self.db, self.id, OWNER, task_id, asked, project_id=project_id, spawn=spawn)
        # The task it is about comes last.
        changes.tasks.sort(key=lambda task: task["id"] == str(task_id))
        return changes

    async def task(self, task_id: UUID) -> dict[str, Any]:
        return (await self.rows("SELECT task_json(t) FROM tasks t WHERE id = %s", (task_id,)))[0][0]  # type: ignore[no-any-return]

    async def agent_of(self, task_id: UUID) -> UUID:
        return UUID((await self.task(task_id))["agent_id"])

    async def running(self, title: str = "a task", **spec: Any) -> tuple[UUID, UUID]:
        """A task that executes, and its agent."""
        task = await self.create(title, **spec)
        agent = await self.agent_of(task)
        await moves.start_agent(self.db, self.id, agent, "worker-1")
        return task, agent

    async def rows(self, statement: LiteralString, params: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        return await self.db.query(self.id, statement, params)

    async def everything(self) -> list[tuple[Any, ...]]:
        """All that a refused move must leave as it was."""
        return await self.rows(
            "SELECT 'task', id::text, to_jsonb(t) FROM tasks t UNION ALL SELECT 'agent', id::text, to_jsonb(a) "
            "FROM agents a UNION ALL SELECT 'event', id::text, to_jsonb(e) FROM events e UNION ALL "
            "SELECT 'activity', id::text, to_jsonb(l) FROM activity_log l UNION ALL "
            "SELECT 'log', workspace_id::text, to_jsonb(w) FROM workspace_log w ORDER BY 1, 2"
        )


NewTenant = Callable[..., Awaitable[Tenant]]


@pytest.fixture
def new_tenant(db: Database, shared_url: str) -> NewTenant:
    async def make(limit: int = 20) -> Tenant:
        return Tenant(db, await make_workspace(shared_url, limit))

    return make


@pytest.fixture
async def tenant(new_tenant: NewTenant) -> Tenant:
    return await new_tenant()


@pytest.fixture
async def project(tenant: Tenant) -> Project:
    return await new_project(tenant)


@pytest.fixture
async def session(tenant: Tenant) -> Session:
    return await a_session(tenant)
