"""Workspaces that wait for the same workers: each gets its share, whatever another has queued before it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
import pytest_asyncio
from temporalio.client import Client
from temporalio.service import RPCError

from muster.domain.ids import agent_workflow_id, new_id
from muster.settings import Settings
from tests.api.conftest import Api, a_stack, a_worker, admin, eventually, serving, somebody_polls

SLOTS = 4
IN_FLIGHT = 8


class Town:
    """One small worker, and workspaces that share it."""

    def __init__(self, settings: Settings, api: Api, folder: Path) -> None:
        assert settings.database_url
        self._url = settings.database_url.get_secret_value()
        self._temporal = settings.temporal_address or ""
        self._api = api
        self._folder = folder

    async def workspace(self, weight: int = 1) -> UUID:
        workspace = new_id()
        async with self._as(workspace) as connection:
            await connection.execute(
                "INSERT INTO workspaces (id, slug, name, max_concurrent_agents, requests_per_second, weight) "
                "VALUES (%s, %s, 'A workspace', 2000, 100000, %s)",
                (workspace, f"w-{workspace.hex}", weight),
            )
            await connection.execute("INSERT INTO workspace_log (workspace_id) VALUES (%s)", (workspace,))
        return workspace

    async def queue(self, workspace: UUID, *argv: str, priority: int = 5) -> str:
        spec = {"title": "t", "runner": {"kind": "command", "argv": argv}, "priority": priority}
        headers = {"Muster-Workspace": str(workspace), "Idempotency-Key": new_id().hex}

        async def queued() -> str:
            answer = await self._api.post("/v1/tasks", json=spec, headers=headers)
            assert answer.status_code in (200, 201), answer.text
            return str(answer.json()["id"])

        return str(await eventually(queued, 20))

    async def queue_many(self, workspaces: list[UUID], *argv: str, priority: int = 5) -> None:
        gate = asyncio.Semaphore(IN_FLIGHT)

        async def one(workspace: UUID) -> None:
            async with gate:
                await self.queue(workspace, *argv, priority=priority)

        await asyncio.gather(*(one(workspace) for workspace in workspaces))

    async def starts(self, *workspaces: UUID) -> list[tuple[UUID, str]]:
        """Whose tasks have started, in that order."""
        found = []
        for workspace in workspaces:
            async with self._as(workspace) as connection:
                cursor = await connection.execute("SELECT started_at, task_id FROM agents WHERE started_at IS NOT NULL")
                found += [(at, workspace, str(task)) for at, task in await cursor.fetchall()]
        return [(workspace, task) for _, workspace, task in sorted(found)]

    async def waits_for_a_worker(self, workspace: UUID, task: str) -> None:
        """Its agent is in the queue that workers are served from, and no longer on its way there."""
        client = await Client.connect(self._temporal)
        async with self._as(workspace) as connection:
            rows = await connection.execute("SELECT id FROM agents WHERE task_id = %s", (task,))
            (agent,) = await rows.fetchone() or (None,)
        assert isinstance(agent, UUID)
        workflow = client.get_workflow_handle(agent_workflow_id(workspace, agent))

        async def waits() -> None:
            with suppress(RPCError):
                assert (await workflow.describe()).raw_description.pending_activities
                return
            raise AssertionError("not begun yet")

        await eventually(waits, 20)

    @asynccontextmanager
    async def all_slots_taken(self) -> AsyncIterator[None]:
        """Until the end of the block, so that all that is queued in it waits together."""
        workspace, free = await self.workspace(), self._folder / new_id().hex
        for _ in range(SLOTS):
            await self.queue(workspace, "sh", "-c", f"while [ ! -e {free} ]; do sleep 0.5; done")

        async def taken() -> None:
            assert len(await self.starts(workspace)) == SLOTS

        await eventually(taken, 20)
        yield
        free.touch()

    @asynccontextmanager
    async def _as(self, workspace: UUID) -> AsyncIterator[psycopg.AsyncConnection[tuple[object, ...]]]:
        async with await psycopg.AsyncConnection.connect(self._url, autocommit=True) as connection:
            await connection.execute(
                "SELECT set_config('role', 'muster_app', false), set_config('app.administrator', 'on', false), "
                "set_config('app.current_workspace_id', %s, false)",
                (str(workspace),),
            )
            yield connection


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def town(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    async with (
        a_stack() as (settings, _),
        serving(settings) as url,
        a_worker(settings, MUSTER_WORKER_MAX_AGENTS=str(SLOTS)),
        Api(url, admin(settings)) as api,
    ):
        await somebody_polls(api)
        yield Town(settings, api, tmp_path_factory.mktemp("town"))


async def test_a_long_queue_does_not_delay_the_first_task_of_another(town: Town) -> None:
    crowd, newcomer = await town.workspace(), await town.workspace()
    async with town.all_slots_taken():
        # As urgent as can be: how urgent a task is counts inside its workspace.
        await town.queue_many([crowd] * 16, "sleep", "0.1", priority=10)
        task = await town.queue(newcomer, "true", priority=1)
        await town.waits_for_a_worker(newcomer, task)

    async def started() -> list[tuple[UUID, str]]:
        starts = await town.starts(crowd, newcomer)
        assert (newcomer, task) in starts
        return starts

    starts = await eventually(started, 20)
    # One slot's time: each slot is given away once at most before it is its turn.
    assert starts.index((newcomer, task)) <= SLOTS


async def test_shares_follow_the_weights(town: Town) -> None:
    light, other, heavy = [await town.workspace(weight) for weight in (1, 1, 2)]
    async with town.all_slots_taken():
        await town.queue_many([light, other, heavy] * 24, "true")

    async def half_of_all() -> list[tuple[UUID, str]]:
        starts = await town.starts(light, other, heavy)
        assert len(starts) >= 40
        return starts

    # As long as all three have something waiting.
    starts = Counter(workspace for workspace, _ in (await eventually(half_of_all, 20))[:40])
    assert starts[light] == pytest.approx(10, abs=3)
    assert starts[other] == pytest.approx(10, abs=3)
    assert starts[heavy] == pytest.approx(20, abs=4)
