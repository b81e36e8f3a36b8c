"""Stop, drain, resume, and what a workspace has used: each test in a workspace of its own, with real agents."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from temporalio.client import Client, WorkflowExecutionStatus

from muster.domain import credentials
from muster.domain.ids import DEFAULT_USER, new_id
from muster.domain.states import FINAL_AGENT
from muster.domain.tenants import Scope, Tenant
from muster.settings import Settings
from muster.storage.database import Database
from tests.api.conftest import Api, a_worker, admin, eventually, is_problem

SLEEP = ("sleep", "300")
HELLO = {"kind": "command", "argv": ["true"]}


@dataclass
class House:
    """A workspace, as an administrator sees it."""

    id: UUID
    slug: str
    api: Api
    db: Database
    url: str
    pepper: bytes

    async def limit(self, **limits: int) -> None:
        for name, value in limits.items():
            await self.db.query(self.id, f"UPDATE workspaces SET {name} = %s WHERE id = %s", (value, self.id))

    async def key(self, *scopes: Scope, project_id: str | None = None) -> Api:
        """A client with a key of this workspace."""
        key_id, secret = new_id(), credentials.new_secret()
        await self.db.query(
            Tenant(self.id, DEFAULT_USER, administrator=True),
            "INSERT INTO api_keys (id, workspace_id, project_id, user_id, name, hash, scopes, role) "
            "VALUES (%s, %s, %s, %s, 'test', %s, %s::key_scope[], 'owner')",
            (
                key_id, self.id, project_id, DEFAULT_USER, credentials.hash_secret(self.pepper, key_id, secret),
                [scope.value for scope in scopes],
            ),
        )  # fmt: skip
        return Api(self.url, credentials.key(key_id, secret))

    async def do(self, verb: str, **body: Any) -> dict[str, Any]:
        response = await self.api.post(f"/v1/workspaces/{self.slug}/{verb}", json=body)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    async def standing(self) -> dict[str, Any]:
        answer: dict[str, Any] = (await self.api.get(f"/v1/workspaces/{self.id}/stop")).json()
        return answer

    async def tasks(self, number: int, *argv: str, **more: Any) -> list[str]:
        made = await asyncio.gather(*(self.api.new_task(*argv, **more) for _ in range(number)))
        return [task["id"] for task in made]

    async def counts(self, what: str) -> dict[str, int]:
        rows = await self.db.query(
            self.id,
            f"SELECT status::text, count(*) FROM {what} WHERE workspace_id = %s GROUP BY 1",
            (self.id,),
        )
        return dict(rows)

    async def when(self, what: str, seconds: float = 30, **numbers: int) -> None:
        async def so() -> None:
            counts = await self.counts(what)
            assert {name: counts.get(name, 0) for name in numbers} == numbers, counts

        await eventually(so, seconds)


NewHouse = Callable[..., Awaitable[House]]


@pytest_asyncio.fixture(loop_scope="session")
async def new_house(settings: Settings, url: str, worker: None) -> AsyncIterator[NewHouse]:
    assert settings.database_url
    assert settings.secret_key
    db = Database(settings.database_url.get_secret_value(), size=2, name="muster-test")
    await db.open()
    pepper, houses = settings.secret_key.get_secret_value().encode(), []

    async def make(slots: int = 20, **limits: int) -> House:
        workspace_id = new_id()
        slug = f"house-{workspace_id.hex[-8:]}"
        api = Api(url, admin(settings))
        api.headers["Muster-Workspace"] = slug
        house = House(workspace_id, slug, api, db, url, pepper)
        await db.query(
            Tenant(workspace_id, DEFAULT_USER, administrator=True),
            "WITH w AS (INSERT INTO workspaces (id, slug, name) VALUES (%s, %s, 'A house') RETURNING id), "
            "l AS (INSERT INTO workspace_log (workspace_id) SELECT id FROM w) "
            "INSERT INTO workspace_members (workspace_id, user_id, role) SELECT id, %s, 'owner' FROM w",
            (workspace_id, slug, DEFAULT_USER),
        )
        await house.limit(max_concurrent_agents=slots, **limits)
        houses.append(house)
        return house

    try:
        yield make
    finally:
        for house in houses:
            await house.do("stop", grace_seconds=0, wait=True)
            await house.api.aclose()
        await db.close()


async def test_a_stop_kills_all_that_run_and_lets_the_others_wait(new_house: NewHouse, settings: Settings) -> None:
    house = await new_house(8)
    running = await house.tasks(8, *SLEEP)
    await house.when("agents", running=8)
    waiting = await house.tasks(16, "true")

    response = await house.api.post(
        f"/v1/workspaces/{house.id}/stop?wait=true", json={"reason": "costs run away", "grace_seconds": 1}
    )
    assert response.status_code == 200, response.text
    stopped = response.json()
    assert (stopped["state"], stopped["active_agents"], stopped["waiting_tasks"]) == ("stopped", 0, 16)
    assert (stopped["asked"], stopped["killed"], stopped["ended"]) == (8, 8, 0)
    # Not a moment later: when it is answered, nothing is left.
    assert await house.counts("agents") == {"killed": 8}
    await house.when("tasks", failed=8, pending=16)
    for task_id in running:
        task = (await house.api.get(f"/v1/tasks/{task_id}")).json()
        assert (task["status"], task["reason"], task["error"]) == ("failed", "killed", "costs run away")

    for body in ({"task_id": waiting[0]}, {"task": {"title": "t", "runner": HELLO}}):
        problem = is_problem(await house.api.post("/v1/agents", json=body), 409, "workspace_stopped")
        (name,) = (await house.db.query(house.id, "SELECT name FROM users WHERE id = %s", (DEFAULT_USER,)))[0]
        assert name in problem["detail"]
        assert "costs run away" in problem["detail"]
        assert not problem["retryable"]
    (later,) = await house.tasks(1, "true")
    standing = await house.standing()
    assert (standing["state"], standing["reason"], standing["by"]) == ("stopped", "costs run away", name)
    assert standing["workflow_id"] == stopped["workflow_id"]
    assert standing["workflow_id"].endswith(f".{house.id}")
    assert standing["temporal_url"].startswith(str(settings.temporal_ui_url))
    assert datetime.now(UTC) > datetime.fromisoformat(standing["since"])

    resumed = await house.do("resume", reason="the cap is in")
    assert (resumed["state"], resumed["reason"]) == ("open", "the cap is in")
    # At once: each free slot was given away when this was answered.
    assert sum((await house.counts("agents")).values()) >= 8 + 8
    await house.when("tasks", 60, completed=17, failed=8, pending=0)
    assert (await house.api.get(f"/v1/tasks/{later}")).json()["status"] == "completed"


async def test_a_drain_lets_the_running_finish(new_house: NewHouse, tmp_path: Path) -> None:
    house = await new_house(4)
    await house.tasks(4, "sh", "-c", f"until [ -e {tmp_path}/go ]; do sleep 0.1; done")
    await house.when("agents", running=4)
    await house.tasks(3, "true")
    drained = await house.do("drain", reason="a new release")
    assert (drained["state"], drained["active_agents"], drained["waiting_tasks"]) == ("draining", 4, 3)
    problem = is_problem(
        await house.api.post("/v1/agents", json={"task": {"title": "t", "runner": HELLO}}), 409, "workspace_stopped"
    )
    assert "is draining" in problem["detail"]
    assert "a new release" in problem["detail"]
    (tmp_path / "go").touch()
    await house.when("tasks", completed=4, pending=3)
    assert (await house.standing())["state"] == "drained"
    assert await house.counts("agents") == {"completed": 4}
    await house.do("resume")
    await house.when("tasks", completed=7)


async def test_twice_is_harmless(new_house: NewHouse) -> None:
    house = await new_house(2)
    await house.tasks(2, *SLEEP)
    await house.when("agents", running=2)
    first, second = await asyncio.gather(
        house.do("stop", reason="one", wait=True, grace_seconds=0.5),
        house.do("stop", reason="two", wait=True, grace_seconds=0.5),
    )
    assert {first["active_agents"], second["active_agents"]} == {0}
    assert first["reason"] == second["reason"]  # whoever came first
    again = await house.do("stop", reason="three", wait=True)
    assert (again["asked"], again["reason"]) == (0, first["reason"])
    # The same request sent twice is one stop.
    headers = {"Idempotency-Key": new_id().hex}
    sent = [await house.api.post(f"/v1/workspaces/{house.id}/stop", json={}, headers=headers) for _ in range(2)]
    assert sent[0].json() == sent[1].json()
    for verb, state in (("drain", "drained"), ("drain", "drained"), ("resume", "open"), ("resume", "open")):
        assert (await house.do(verb))["state"] == state
    actions = await house.db.query(
        house.id, "SELECT action::text FROM activity_log WHERE workspace_id = %s AND action::text LIKE 'workspace_%%' "
        "AND action::text NOT IN ('workspace_created', 'workspace_updated') ORDER BY id", (house.id,),
    )  # fmt: skip
    assert [row[0] for row in actions] == ["workspace_stopped", "workspace_draining", "workspace_resumed"]


async def test_nobody_slips_in_while_it_is_stopped(new_house: NewHouse) -> None:
    house = await new_house(200)
    over = asyncio.Event()
    answers: list[int] = []

    async def client() -> None:
        while not over.is_set():
            body = {"task": {"title": "t", "runner": {"kind": "command", "argv": SLEEP}}}
            answers.append((await house.api.post("/v1/agents", json=body)).status_code)
            if answers[-1] == 409:
                await asyncio.sleep(0.05)

    clients = [asyncio.create_task(client()) for _ in range(10)]
    try:
        await eventually(lambda: _enough(answers), 30)
        stopped = await house.do("stop", reason="race", wait=True, grace_seconds=0.5)
        assert stopped["active_agents"] == 0
        seen = await house.counts("agents")
        assert set(seen) <= set(FINAL_AGENT)
        assert seen["killed"] == stopped["killed"]
        for _ in range(10):  # the clients go on
            await asyncio.sleep(0.2)
            assert await house.counts("agents") == seen
    finally:
        over.set()
        await asyncio.gather(*clients)
    assert await house.counts("agents") == seen
    assert set(answers) == {201, 409}
    assert answers.count(201) == sum(seen.values())


async def _enough(answers: list[int]) -> None:
    assert len(answers) >= 12


async def test_a_resume_ends_a_stop_that_is_under_way(new_house: NewHouse) -> None:
    house = await new_house(2)
    await house.tasks(2, "sh", "-c", "trap '' TERM; while :; do sleep 1; done")
    await house.when("agents", running=2)
    (waiting,) = await house.tasks(1, *SLEEP)
    stopping = asyncio.create_task(
        house.api.post(f"/v1/workspaces/{house.id}/stop", json={"grace_seconds": 4, "wait": True})
    )
    await eventually(lambda: _is(house, "stopping"))
    await house.do("resume")
    assert is_problem(await stopping, 409, "illegal_move")["workflow_id"]
    await house.when("agents", killed=2, running=1)
    assert (await house.api.get(f"/v1/tasks/{waiting}")).json()["status"] == "executing"


async def _is(house: House, state: str) -> None:
    assert (await house.standing())["state"] == state


async def test_only_those_who_may_stop_can(new_house: NewHouse) -> None:
    house, other = await new_house(2), await new_house(2)
    project = (await house.api.post("/v1/projects", json={"slug": "p", "name": "P"})).json()["id"]
    everything = tuple(Scope)
    keys = {
        "admin": await house.key(Scope.ADMIN),
        "writer": await house.key(Scope.TASKS_WRITE, Scope.AGENTS_WRITE),
        "reader": await house.key(Scope.TASKS_READ),
        "project": await house.key(*everything, project_id=project),
        "foreign": await other.key(*everything),
    }
    try:
        for verb in ("stop", "drain", "resume"):
            path = f"/v1/workspaces/{house.id}/{verb}"
            is_problem(await keys["writer"].post(path), 403, "missing_scope")
            is_problem(await keys["project"].post(path), 403, "forbidden")
            for ref in (house.id, house.slug, new_id(), "nobody"):
                is_problem(await keys["foreign"].post(f"/v1/workspaces/{ref}/{verb}"), 404, "not_found")
                is_problem(await keys["foreign"].get(f"/v1/workspaces/{ref}/stop"), 404, "not_found")
            is_problem(await house.api.post(f"/v1/workspaces/{new_id()}/{verb}"), 404, "not_found")
        assert (await house.standing())["state"] == "open"
        for ref in (house.slug, str(house.id)):
            assert (await keys["admin"].post(f"/v1/workspaces/{ref}/stop?wait=true")).status_code == 200
            assert (await keys["admin"].post(f"/v1/workspaces/{ref}/resume")).json()["state"] == "open"
        assert (await keys["reader"].get(f"/v1/workspaces/{house.slug}/stop")).json()["state"] == "open"
        assert (await other.standing())["state"] == "open"
        is_problem(
            await house.api.post(f"/v1/workspaces/{house.id}/stop", json={"why": "?"}), 422, "invalid_request"
        )  # fmt: skip
    finally:
        for client in keys.values():
            await client.aclose()


# -- Usage and limits ----------------------------------------------------------------------------------------------


async def test_usage_tells_what_was_used_and_what_may_be(new_house: NewHouse, settings: Settings) -> None:
    house = await new_house(2, daily_agent_seconds=1000, max_output_bytes=2048)
    project = (await house.api.post("/v1/projects", json={"slug": "p", "name": "P"})).json()["id"]
    await house.api.spawn("sleep", "1")
    await house.when("tasks", completed=1)
    await house.api.spawn(*SLEEP)
    await house.when("agents", running=1)
    await house.tasks(1, *SLEEP)
    await house.tasks(3, "true")
    await house.when("tasks", executing=2, pending=3)
    usage = (await house.api.get("/v1/usage")).json()
    assert (usage["active_agents"], usage["waiting_tasks"], usage["admission"]) == (2, 3, "open")
    assert usage["limits"] == {
        "max_concurrent_agents": 2, "max_waiting_tasks": 10_000, "requests_per_second": 200,
        "max_body_bytes": settings.max_body_bytes, "max_output_bytes": 2048, "daily_agent_seconds": 1000, "weight": 1,
    }  # fmt: skip
    assert usage["today"]["agents"] == 1
    assert 1 <= usage["today"]["agent_seconds"] < 60
    assert usage["agent_seconds_left"] == pytest.approx(1000 - usage["today"]["agent_seconds"])
    (day,) = usage["days"]
    assert (day["day"], day["agents"]) == (usage["today"]["day"], 1)
    # A key of one project sees the same: the limits are shared by all.
    one = await house.key(Scope.TASKS_READ, project_id=project)
    seen = (await one.get("/v1/usage")).json()
    await one.aclose()
    assert (seen["active_agents"], seen["waiting_tasks"], seen["limits"]) == (2, 3, usage["limits"])


async def test_a_limit_that_is_changed_holds_at_once(new_house: NewHouse) -> None:
    house = await new_house(1)
    await house.tasks(5, *SLEEP)
    for slots in (2, 3, 4, 5):  # more often than a sweep, which does the same, comes by
        changed = await house.api.patch(f"/v1/workspaces/{house.id}", json={"max_concurrent_agents": slots})
        assert changed.status_code == 200, changed.text
        await house.when("agents", seconds=3, running=slots)
    changed = await house.api.patch(f"/v1/workspaces/{house.id}", json={"daily_agent_seconds": 1})
    assert changed.status_code == 200, changed.text

    async def told() -> None:
        rows = await house.db.query(
            house.id, "SELECT count(*) FROM agents WHERE workspace_id = %s AND reason = 'budget_exceeded'", (house.id,)
        )
        assert rows[0][0] == 5

    await eventually(told, 10)


async def test_a_day_that_becomes_shorter_ends_in_time(new_house: NewHouse) -> None:
    house = await new_house(2)
    agents = [await house.api.spawn(*SLEEP) for _ in range(2)]
    await house.when("agents", running=2)
    used = (await house.api.get("/v1/usage")).json()["today"]["agent_seconds"]
    limit = int(used) + 3  # in a second and a half, and mostly long before the next sweep
    changed = await house.api.patch(f"/v1/workspaces/{house.id}", json={"daily_agent_seconds": limit})
    assert changed.status_code == 200, changed.text
    for agent in agents:
        ended = await house.api.when(f"/v1/agents/{agent['id']}", "killed", seconds=30)
        assert ended["reason"] == "budget_exceeded"
    assert (await house.api.get("/v1/usage")).json()["today"]["agent_seconds"] < limit + 2 * 3


async def test_output_is_kept_up_to_the_workspaces_limit(new_house: NewHouse) -> None:
    house = await new_house(2, max_output_bytes=2048)
    agent = await house.api.spawn(
        "sh", "-c", "for i in $(seq 200); do echo 0123456789012345678901234567890123456789; done"
    )
    await house.when("tasks", completed=1)
    output = (await house.api.get(f"/v1/agents/{agent['id']}/output")).json()
    assert output["truncated"]
    assert sum(len(line["text"]) for line in output["items"] if line["stream"] == "stdout") <= 2048


async def test_a_day_that_is_spent_ends_what_runs(new_house: NewHouse, settings: Settings) -> None:
    house = await new_house(2, daily_agent_seconds=12)
    # It sweeps as it begins, and not again: what ends the agents is a look at what is nearly spent.
    async with a_worker(settings, MUSTER_SWEEP_SECONDS="600", MUSTER_TASK_QUEUE="nobodys"):
        agents = [await house.api.spawn(*SLEEP, retry={"max_attempts": 3}) for _ in range(2)]
        (waiting,) = await house.tasks(1, "true")
        for agent in agents:
            ended = await house.api.when(f"/v1/agents/{agent['id']}", "killed", seconds=45)
            assert ended["reason"] == "budget_exceeded"
            task = await house.api.when(f"/v1/tasks/{agent['task_id']}", "failed")
            assert (task["reason"], task["attempts"]) == ("budget_exceeded", 1)
            assert "12 agent-seconds" in task["error"]
    usage = (await house.api.get("/v1/usage")).json()
    assert usage["agent_seconds_left"] == 0
    assert 12 <= usage["today"]["agent_seconds"] < 12 + 2 * 3, "a second each, and what a busy machine adds"
    assert (await house.api.get(f"/v1/tasks/{waiting}")).json()["status"] == "pending"
    body = {"task": {"title": "t", "runner": HELLO}}
    spent = await house.api.post("/v1/agents", json=body)
    is_problem(spent, 429, "day_spent")
    assert (time.time() + int(spent.headers["retry-after"]) + 30) % 86_400 < 60, "tomorrow, in UTC"


async def test_who_is_refused_is_told_when_to_come_again(new_house: NewHouse, settings: Settings) -> None:
    house = await new_house(1, max_waiting_tasks=1)
    await house.api.spawn(*SLEEP)
    (waiting,) = await house.tasks(1, "true")
    new = {"title": "t", "runner": HELLO}
    for path, body, code in (
        ("/v1/agents", {"task": new}, "workspace_full"),
        ("/v1/agents", {"task": new}, "workspace_full"),
        ("/v1/agents", {"task_id": waiting}, "workspace_full"),
        ("/v1/tasks", new, "queue_full"),
    ):
        refused = await house.api.post(path, json=body)
        is_problem(refused, 429, code)
        assert int(refused.headers["retry-after"]) >= 1
    # Whoever keeps asking for a slot costs Temporal once: of these four, the first and the last alone had a workflow.
    assert settings.temporal_address
    temporal = await Client.connect(settings.temporal_address, namespace=settings.temporal_namespace)

    async def looked_at() -> None:
        query = f"WorkflowType = 'TaskWorkflow' AND MusterWorkspace = '{house.id}'"
        found = [one.status async for one in temporal.list_workflows(query)]
        assert found.count(WorkflowExecutionStatus.FAILED) == 2
        assert len(found) == 4

    await eventually(looked_at)
