"""`Idempotency-Key`: done once, and answered the same, whatever dies meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, LiteralString

import httpx
import pytest

from muster.domain.ids import DEFAULT_WORKSPACE
from muster.services.ports import free_port
from muster.settings import Settings
from muster.storage.database import Database
from tests.api.conftest import Api, admin, environment, eventually, is_problem, serving
from tests.api.people import bearer, key_in, made, new_workspace
from tests.pace import stretched
from tests.services.conftest import with_us

TRUE = {"title": "t", "runner": {"kind": "command", "argv": ["true"]}}
LONG = {"title": "t", "runner": {"kind": "command", "argv": ["sleep", "60"]}}
STUBBORN = {"title": "t", "runner": {"kind": "command", "argv": ["sh", "-c", "trap '' TERM; sleep 60 & wait; wait"]}}


@pytest.fixture
async def db(settings: Settings) -> AsyncIterator[Database]:
    assert settings.database_url
    db = Database(settings.database_url.get_secret_value(), size=2)
    await db.open()
    yield db
    await db.close()


class Keyed:
    """A client that sends with one key, and can make its request look as a crash leaves it."""

    def __init__(self, api: Api, db: Database) -> None:
        self.api, self.db, self.key = api, db, uuid.uuid4().hex

    async def send(self, path: str, body: object = None) -> httpx.Response:
        return await self.api.post(path, json=body, headers={"Idempotency-Key": self.key})

    async def forget_answer(self) -> None:
        """As if the process had died between the write and the answer, and time had passed."""
        await self.set("answer = NULL, taken_at = '-infinity'")

    async def set(self, what: LiteralString) -> None:
        await self.db.query(
            DEFAULT_WORKSPACE, "UPDATE idempotency_keys SET " + what + " WHERE key = %s", (self.key,)
        )  # fmt: skip


@pytest.fixture
def keyed(fleet: Api, db: Database) -> Keyed:
    return Keyed(fleet, db)


def is_replay(again: httpx.Response, first: httpx.Response) -> None:
    assert again.status_code == first.status_code
    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers.get("location") == first.headers.get("location")


async def test_every_post_takes_one_and_says_so(api: Api) -> None:
    document = (await api.get("/openapi.json")).json()
    for path, operations in document["paths"].items():
        operation = operations.get("post")
        if operation and path.startswith("/v1/"):
            assert "Idempotency-Key" in {one["name"] for one in operation["parameters"]}, path
            answers = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
            assert all("Idempotent-Replayed" in answer.get("headers", {}) for answer in answers), path


async def test_a_body_that_is_read_as_it_comes_counts_too(api: Api, db: Database) -> None:
    """What an import was is known at its end, or when it is sent again."""
    slug, key = f"p-{uuid.uuid4().hex[:12]}", uuid.uuid4().hex
    await made(api, "/v1/projects", {"slug": slug, "name": "x"})
    session = {"kind": "session", "id": str(uuid.uuid4()), "started_at": "2026-01-01T00:00:00Z"}
    lines = ({"kind": "muster-memory", "version": 1}, session)
    content = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    go_on = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield content[:50]
        await go_on.wait()
        yield content[50:]

    async def bring(what: Any) -> httpx.Response:
        headers = {"Idempotency-Key": key}
        return await api.post("/v1/memory/import", params={"project": slug}, content=what, headers=headers)

    async def begun() -> None:
        assert await db.query(DEFAULT_WORKSPACE, "SELECT 1 FROM idempotency_keys WHERE key = %s", (key,))

    bringing = asyncio.create_task(bring(slowly()))
    await eventually(begun)
    answer = await bring(content)
    is_problem(answer, 409, "request_in_flight")
    assert answer.headers["retry-after"] == "1"
    go_on.set()
    first = await bringing
    assert (first.status_code, first.json()["added"]["sessions"]) == (200, 1)
    is_replay(await bring(content), first)
    is_problem(await bring(content + b"\n"), 409, "idempotency_key_reused")


async def test_a_search_and_a_sweep_are_answered_again_too(api: Api, db: Database) -> None:
    for path, body in {"/v1/memory/search": {"query": "x"}, "/v1/memory/retention/run": None}.items():
        keyed = Keyed(api, db)
        first = await keyed.send(path, body)
        assert first.status_code == 200
        is_replay(await keyed.send(path, body), first)


async def test_the_first_answer_comes_again_as_it_was(fleet: Api, db: Database) -> None:
    made = Keyed(fleet, db)
    created = await made.send("/v1/tasks", LONG)
    assert created.status_code == 201
    task = created.json()["id"]
    agent = (await fleet.when(f"/v1/tasks/{task}", "executing"))["agent_id"]
    is_replay(await made.send("/v1/tasks", LONG), created)

    killing = Keyed(fleet, db)
    asked = await killing.send(f"/v1/agents/{agent}/kill")
    assert asked.status_code == 202
    await fleet.when(f"/v1/agents/{agent}", "killed")
    is_replay(await killing.send(f"/v1/agents/{agent}/kill"), asked)
    known = Keyed(fleet, db)
    gone = await known.send(f"/v1/agents/{agent}/kill")
    assert gone.status_code == 200
    is_replay(await known.send(f"/v1/agents/{agent}/kill"), gone)
    is_problem(await known.send(f"/v1/agents/{agent}/kill", {"reason": "another"}), 409, "idempotency_key_reused")


async def test_while_it_is_worked_on_it_is_in_flight(keyed: Keyed) -> None:
    agent = (await keyed.api.post("/v1/agents", json={"task": STUBBORN})).json()["id"]
    await keyed.api.when(f"/v1/agents/{agent}", "running")
    path, body = f"/v1/agents/{agent}/kill?wait=true", {"grace_seconds": stretched(2)}
    first = asyncio.create_task(keyed.send(path, body))
    await asyncio.sleep(stretched(0.3))
    refused = await keyed.send(path, body)
    assert is_problem(refused, 409, "request_in_flight")["retryable"]
    assert refused.headers["retry-after"] == "1"
    assert (await first).status_code == 200
    is_replay(await keyed.send(path, body), await first)


async def test_a_crash_before_the_answer_makes_no_second_task(keyed: Keyed) -> None:
    first = await keyed.send("/v1/tasks", TRUE)
    await keyed.api.when(f"/v1/tasks/{first.json()['id']}", "completed")
    await keyed.forget_answer()
    again = await keyed.send("/v1/tasks", TRUE)
    assert (again.status_code, again.json()["id"]) == (201, first.json()["id"])
    assert again.headers["location"] == first.headers["location"]
    await keyed.forget_answer()
    is_problem(await keyed.send("/v1/tasks", LONG), 409, "idempotency_key_reused")


async def test_a_crash_before_the_answer_makes_no_second_project(keyed: Keyed) -> None:
    body = {"slug": f"p{uuid.uuid4().hex[:12]}", "name": "x"}
    first = await keyed.send("/v1/projects", body)
    await keyed.forget_answer()
    again = await keyed.send("/v1/projects", body)
    assert (again.status_code, again.json()) == (201, first.json())


@pytest.mark.parametrize("status", ["new", "pending", "failed"])
async def test_a_crash_before_the_answer_makes_no_second_agent(keyed: Keyed, status: str) -> None:
    api = keyed.api
    body: dict[str, Any] = {"task": TRUE}
    if status != "new":
        retry = {"max_attempts": 2, "initial_seconds": 60} if status == "pending" else {}
        fails = {"title": "t", "runner": {"kind": "command", "argv": ["false"]}, "retry": retry}
        task = (await api.post("/v1/tasks", json=fails)).json()["id"]

        async def failed_once() -> None:
            found = (await api.get(f"/v1/tasks/{task}")).json()
            assert [agent["status"] for agent in found["agents"]] == ["failed"]
            assert found["status"] == status

        await eventually(failed_once)
        body = {"task_id": task}
    first = await keyed.send("/v1/agents", body)
    assert first.status_code == 201, first.text
    task = first.json()["task_id"]
    await api.when(f"/v1/tasks/{task}", "completed", "failed")
    for _ in range(2):
        await keyed.forget_answer()
        again = await keyed.send("/v1/agents", body)
        assert (again.status_code, again.json()["id"]) == (201, first.json()["id"]), again.text
    agents = (await api.get(f"/v1/tasks/{task}")).json()["agents"]
    assert len(agents) == (1 if status == "new" else 2)


async def test_a_crash_before_the_answer_retries_and_cancels_no_second_time(fleet: Api, db: Database) -> None:
    runs = {"title": "t", "runner": {"kind": "command", "argv": ["false"]}}
    task = (await fleet.post("/v1/tasks", json=runs)).json()["id"]
    await fleet.when(f"/v1/tasks/{task}", "failed")
    retrying = Keyed(fleet, db)
    assert (await retrying.send(f"/v1/tasks/{task}/retry")).status_code == 202
    await asyncio.sleep(0.2)
    await fleet.when(f"/v1/tasks/{task}", "failed")
    await retrying.forget_answer()
    assert (await retrying.send(f"/v1/tasks/{task}/retry")).status_code == 202
    await asyncio.sleep(0.5)
    assert len((await fleet.get(f"/v1/tasks/{task}")).json()["agents"]) == 2

    other = (await fleet.post("/v1/tasks", json=LONG)).json()["id"]
    cancelling = Keyed(fleet, db)
    assert (await cancelling.send(f"/v1/tasks/{other}/cancel")).status_code == 202
    await fleet.when(f"/v1/tasks/{other}", "failed")
    await cancelling.forget_answer()
    assert (await cancelling.send(f"/v1/tasks/{other}/cancel")).status_code == 202
    is_problem(await fleet.post(f"/v1/tasks/{other}/cancel"), 409, "illegal_move")


async def test_after_a_day_a_key_is_of_another_request(keyed: Keyed) -> None:
    first = await keyed.send("/v1/tasks", TRUE)
    await keyed.set("created_at = now() - interval '23 hours 59 minutes'")
    is_replay(await keyed.send("/v1/tasks", TRUE), first)
    await keyed.set("created_at = now() - interval '24 hours 1 minute'")
    second = await keyed.send("/v1/tasks", TRUE)
    assert second.status_code == 201
    assert second.json()["id"] != first.json()["id"]
    assert "idempotent-replayed" not in second.headers


async def test_a_key_is_of_its_workspace_alone(fleet: Api) -> None:
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    made = set()
    for _ in range(2):
        workspace = await new_workspace(fleet)
        key = await key_in(fleet, workspace)
        answer = await fleet.post("/v1/tasks", json=TRUE, headers=headers | bearer(key))
        assert answer.status_code == 201
        assert "idempotent-replayed" not in answer.headers
        made.add(answer.json()["id"])
    assert len(made) == 2


async def test_of_many_sendings_to_two_apis_one_makes_an_agent(fleet: Api, settings: Settings, db: Database) -> None:
    label = uuid.uuid4().hex
    body = {"task": {**TRUE, "labels": [label]}}
    async with serving(settings) as url, Api(url, admin(settings)) as other:
        one, two = Keyed(fleet, db), Keyed(other, db)
        two.key = one.key
        answers = await asyncio.gather(*(keyed.send("/v1/agents", body) for _ in range(8) for keyed in (one, two)))
    made = [answer for answer in answers if answer.status_code == 201]
    assert sum("idempotent-replayed" not in answer.headers for answer in made) == 1
    for answer in answers:
        if answer not in made:
            is_problem(answer, 409, "request_in_flight")
    [task] = (await fleet.get("/v1/tasks", params={"label": label})).json()["items"]
    agents = (await fleet.get("/v1/agents", params={"task": task["id"]})).json()["items"]
    assert [agent["id"] for agent in agents] == [made[0].json()["id"]]


class Process:
    """An API of its own, to be killed."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._settings, self._log = settings, log
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        env = environment(self._settings) | {"MUSTER_API_PORT": str(self.port)}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220 - returns at once
                with_us(sys.executable, "-m", "muster.cli", "api"),
                cwd=self._settings.home, env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip

        async def ready() -> None:
            async with Api(self.url, None) as api:
                try:
                    assert (await api.get("/readyz")).status_code == 200
                except httpx.TransportError as error:
                    raise AssertionError from error

        await eventually(ready, 30)

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()


async def test_an_api_that_is_killed_again_and_again_makes_one_agent(
    settings: Settings, fleet: Api, db: Database, tmp_path: Path
) -> None:
    process = Process(settings, tmp_path / "api.log")
    kills = 0
    try:
        for wait in (0.01, 0.03, 0.05, 0.1, random.uniform(0, 0.1)):
            await process.start()
            async with Api(process.url, admin(settings)) as api:
                keyed = Keyed(api, db)
                await api.get("/v1/queue")
                label = uuid.uuid4().hex
                body = {"task": {**TRUE, "labels": [label]}}
                sending = asyncio.create_task(keyed.send("/v1/agents", body))
                await asyncio.sleep(wait)
                process.kill()
                with contextlib.suppress(httpx.TransportError):
                    kills -= (await sending).status_code == 201
                kills += 1
            # Another process is asked meanwhile, and later.
            other = Keyed(fleet, db)
            other.key = keyed.key
            answers = [await other.send("/v1/agents", body) for _ in range(2)]
            # 503: on a slow machine no worker answers in time, and to come again is what it says.
            assert {answer.status_code for answer in answers} <= {201, 409, 503}
            await keyed.set("taken_at = '-infinity'")

            async def is_done(other: Keyed = other, body: dict[str, Any] = body) -> None:
                assert (await other.send("/v1/agents", body)).status_code == 201

            await eventually(is_done, 20)
            tasks = (await fleet.get("/v1/tasks", params={"label": label})).json()["items"]
            assert len(tasks) == 1
            assert len((await fleet.get("/v1/agents", params={"task": tasks[0]["id"]})).json()["items"]) == 1
    finally:
        process.kill()
    assert kills > 0
    for line in (tmp_path / "api.log").read_text().splitlines():
        assert json.loads(line)["event"], line
