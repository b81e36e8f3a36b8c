"""A stop that loses its worker, or Temporal, in the middle: it goes on, and ends as it was asked to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.integration.fleet import System, a_system, nothing_runs
from tests.services.conftest import eventually

pytestmark = pytest.mark.faults

AGENTS = 4
STUBBORN = ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"]


@pytest.fixture(scope="module")
async def system() -> AsyncIterator[System]:
    async with a_system(
        MAX_CONCURRENT_AGENTS=str(AGENTS), MUSTER_HEARTBEAT_TIMEOUT_SECONDS="3", MUSTER_SWEEP_SECONDS="2"
    ) as system:
        yield system


@pytest.mark.parametrize("victim", ["worker", "temporal"])
async def test_it_goes_on(system: System, victim: str) -> None:
    async with system.api() as api:
        place = f"/v1/workspaces/{(await api.get('/v1/usage')).json()['workspace_id']}"

        async def standing() -> dict[str, Any]:
            answer: dict[str, Any] = (await api.get(f"{place}/stop")).json()
            return answer

        async def all_run() -> None:
            rows = await system.sql("SELECT count(*) FROM agents WHERE status = 'running'")
            assert rows == [(AGENTS,)]

        task = {"title": "stubborn", "labels": [victim], "runner": {"kind": "command", "argv": STUBBORN}}
        for _ in range(AGENTS):
            assert (await api.post("/v1/tasks", json=task)).status_code == 201
        await eventually(all_run)
        waiting = (await api.post("/v1/tasks", json=task)).json()["id"]
        begun = await api.post(f"{place}/stop", json={"reason": "faults", "grace_seconds": 6})
        assert (begun.status_code, begun.json()["state"], begun.json()["active_agents"]) == (202, "stopping", AGENTS)

        system.kill(victim)

        async def stopped() -> None:
            found = await standing()
            assert (found["state"], found["workflow_id"]) == ("stopped", begun.json()["workflow_id"])

        await eventually(stopped, 60)

        async def over() -> None:
            handle = (await system.temporal()).get_workflow_handle(begun.json()["workflow_id"])
            result = await handle.result()
            assert (result["asked"], result["left"], result["reopened"]) == (AGENTS, 0, False)

        await eventually(over, 30)
        assert (await api.get(f"/v1/tasks/{waiting}")).json()["status"] == "pending"

        async def their_tasks_failed() -> None:
            rows = await system.sql(
                "SELECT status::text, reason::text, count(*) FROM tasks WHERE labels[1] = %s AND id <> %s "
                "GROUP BY 1, 2",
                victim,
                waiting,
            )
            assert rows == [("failed", "killed", AGENTS)]

        await eventually(their_tasks_failed, 20)
        assert (await api.post(f"/v1/tasks/{waiting}/cancel")).status_code == 202
        assert (await api.post(f"{place}/resume")).json()["state"] == "open"
        await nothing_runs(system)
