"""How often a key may ask: the same limit over all processes, its own for each key, and no harm without Valkey."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from redis.asyncio import Redis

from api import limits
from muster.domain.ids import new_id
from muster.services.stack import Stack
from muster.settings import Settings
from muster.storage import access
from tests.pace import Stopwatch, stretched
from tests.services.conftest import with_us

from .conftest import Api, a_stack, admin, environment, eventually, is_problem, serving

ACT_AS = (
    "SELECT set_config('role', 'muster_app', false), set_config('app.current_workspace_id', %s, false), "
    "set_config('app.administrator', 'on', false)"
)


async def a_workspace(settings: Settings, requests_per_second: int) -> dict[str, str]:
    """The header that names it."""
    workspace = new_id()
    assert settings.database_url
    url = settings.database_url.get_secret_value()
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(ACT_AS, (str(workspace),))
        await connection.execute(
            "INSERT INTO workspaces (id, slug, name, requests_per_second) VALUES (%s, %s, 'A workspace', %s)",
            (workspace, f"w-{workspace.hex}", requests_per_second),
        )
        await connection.execute("INSERT INTO workspace_log (workspace_id) VALUES (%s)", (workspace,))
    return {"Muster-Workspace": str(workspace)}


async def change_limit(settings: Settings, workspace: str, requests_per_second: int) -> None:
    assert settings.database_url
    url = settings.database_url.get_secret_value()
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(ACT_AS, (workspace,))
        await connection.execute(
            "UPDATE workspaces SET requests_per_second = %s WHERE id = %s", (requests_per_second, workspace)
        )


async def another_key(settings: Settings) -> str:
    assert settings.database_url
    assert settings.secret_key
    return await access.make_administrator_key(
        settings.database_url.get_secret_value(), settings.secret_key.get_secret_value().encode(), "another"
    )


@asynccontextmanager
async def another_process(settings: Settings) -> AsyncIterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (settings.home / "api.log").open("ab") as log:
        process = subprocess.Popen(  # noqa: ASYNC220 - returns at once
            with_us(sys.executable, "-m", "muster.cli", "api"),
            cwd=settings.home, env=environment(settings) | {"MUSTER_API_PORT": str(port)},
            stdout=log, stderr=log, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        async with Api(f"http://127.0.0.1:{port}", None) as api:

            async def answers() -> None:
                try:
                    assert (await api.get("/healthz")).status_code == 200
                except httpx.TransportError as error:
                    raise AssertionError(error) from None

            await eventually(answers, 30)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, 10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def for_seconds(seconds: float, ask: Callable[[], Awaitable[httpx.Response]], in_flight: int) -> Counter[int]:
    """The statuses of all that could be asked in that time."""
    found: Counter[int] = Counter()
    end = time.monotonic() + seconds

    async def keep_asking() -> None:
        while time.monotonic() < end:
            found[(await ask()).status_code] += 1

    await asyncio.gather(*(keep_asking() for _ in range(in_flight)))
    return found


def remaining(response: httpx.Response) -> int:
    found = re.fullmatch(r'"key";r=(\d+);t=(\d+)', response.headers["ratelimit"])
    assert found, response.headers
    assert int(found[2]) >= 1
    return int(found[1])


async def test_two_processes_share_one_limit(settings: Settings, url: str) -> None:
    workspace, limit = await a_workspace(settings, 40), 40
    async with another_process(settings) as other, Api(url, admin(settings)) as one, Api(other, admin(settings)) as two:
        apis = [one, two]
        found: Counter[int] = Counter()
        for counted in await asyncio.gather(
            *(for_seconds(3, lambda api=api: api.get("/v1/projects", headers=workspace), 4) for api in apis)  # type: ignore[misc]
        ):
            found += counted
    assert set(found) == {200, 429}
    assert found[200] <= limit * (3 + 1)
    assert found[200] >= limit * 2, "and it is a limit, not a wall"


@pytest.mark.parametrize("at_once", [1, 8])
async def test_who_asks_quickly_does_not_ask_valkey_each_time(settings: Settings, at_once: int) -> None:
    """A round trip for each request costs more than many a request."""
    assert settings.valkey_url
    shared = limits.Limits(settings.valkey_url.get_secret_value())
    await shared.start()
    before = await commands(settings)
    holder, workspace = uuid4(), uuid4()
    try:
        for _ in range(400 // at_once):
            await asyncio.gather(*(shared.admit(holder, workspace, 100_000, []) for _ in range(at_once)))
            await asyncio.sleep(0)
    finally:
        await shared.close()
    assert await commands(settings) - before < 100


async def test_a_slow_valkey_lets_no_more_through(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow is not away: a burst waits for its answer."""
    monkeypatch.setattr(limits, "AWAY_SECONDS", stretched(limits.AWAY_SECONDS))
    assert settings.valkey_url
    shared = limits.Limits(settings.valkey_url.get_secret_value())
    await shared.start()
    holder, workspace = uuid4(), uuid4()
    try:
        async with Redis.from_url(settings.valkey_url.get_secret_value()) as valkey:
            await valkey.client_pause(150)
        admitted = await asyncio.gather(
            *(shared.admit(holder, workspace, 10, []) for _ in range(40)), return_exceptions=True
        )
    finally:
        await shared.close()
    assert {type(each) for each in admitted} == {type(None), limits.RateLimited}
    assert admitted.count(None) == 10


async def commands(settings: Settings) -> int:
    """How many Valkey has carried out."""
    assert settings.valkey_url
    async with Redis.from_url(settings.valkey_url.get_secret_value()) as valkey:
        return int((await valkey.info("stats"))["total_commands_processed"])


async def test_the_headers_say_what_is_left(settings: Settings, api: Api) -> None:
    workspace = await a_workspace(settings, 30)
    answers = [await api.get("/v1/projects", headers=workspace) for _ in range(8)]
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"key";q=30;w=1'}
    left = [remaining(answer) for answer in answers]
    assert left[0] <= 30
    assert left[-1] < left[0]
    absent = await api.get(f"/v1/agents/{uuid4()}", headers=workspace)
    is_problem(absent, 404, "not_found")
    assert remaining(absent) <= 30


async def test_a_key_at_its_limit_is_told_and_touches_no_other(settings: Settings, url: str, api: Api) -> None:
    workspace = await a_workspace(settings, 10)
    answers = await asyncio.gather(*(api.get("/v1/projects", headers=workspace) for _ in range(40)))
    refused = [answer for answer in answers if answer.status_code == 429]
    assert 10 <= len(answers) - len(refused) <= 20
    document = is_problem(refused[0], 429, "rate_limited")
    assert document["retryable"] is True
    assert refused[0].headers["retry-after"] == "1"
    assert remaining(refused[0]) == 0
    async with Api(url, await another_key(settings)) as other:
        assert (await other.get("/v1/projects", headers=workspace)).status_code == 200
    assert (await api.get("/healthz")).status_code == 200
    await asyncio.sleep(1.1)
    assert (await api.get("/v1/projects", headers=workspace)).status_code == 200


async def test_a_changed_limit_holds_within_three_seconds(settings: Settings, api: Api) -> None:
    workspace = await a_workspace(settings, 50)
    assert (await api.get("/v1/projects", headers=workspace)).headers["ratelimit-policy"] == '"key";q=50;w=1'
    await change_limit(settings, workspace["Muster-Workspace"], 5)

    async def changed() -> None:
        answer = await api.get("/v1/projects", headers=workspace)
        assert answer.headers["ratelimit-policy"] == '"key";q=5;w=1'

    await eventually(changed, 3)
    found = await for_seconds(1, lambda: api.get("/v1/projects", headers=workspace), 2)
    assert found[200] <= 10


async def test_keys_cannot_be_tried_at_speed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "WRONG_KEYS_AT_ONCE", 40)
    monkeypatch.setattr(limits, "WRONG_KEYS_PER_SECOND", 5)
    async with serving(settings) as url, Api(url, admin(settings)) as known, Api(url, None) as guesser:
        assert (await known.get("/v1/projects")).status_code == 200

        async def guess() -> httpx.Response:
            key = f"mst_{UUID(int=0).hex}_{uuid4().hex}{uuid4().hex[:11]}"
            return await guesser.get("/v1/projects", headers={"Authorization": f"Bearer {key}"})

        began = Stopwatch()
        found: Counter[int] = Counter()
        while not found[429]:
            refused = await guess()
            found[refused.status_code] += 1
        most = limits.WRONG_KEYS_AT_ONCE + limits.WRONG_KEYS_PER_SECOND * began.real + 1
        assert found[401] <= most
        is_problem(refused, 429, "rate_limited")
        assert refused.headers["retry-after"] == "1"
        # Whoever shares the address and has a key is not shut out, and health is never limited.
        assert (await known.get("/v1/projects")).status_code == 200
        assert (await guesser.get("/healthz")).status_code == 200


async def test_without_valkey_requests_go_on(caplog: pytest.LogCaptureFixture) -> None:
    async with a_stack() as (settings, stack), serving(settings) as url, Api(url, admin(settings)) as api:
        workspace = await a_workspace(settings, 5)
        assert (await api.get("/v1/projects", headers=workspace)).status_code == 200
        valkey = pid_of(stack)
        os.kill(valkey, signal.SIGSTOP)
        try:
            took: list[float] = []
            for _ in range(60):
                began = Stopwatch()
                assert (await api.get("/v1/projects", headers=workspace)).status_code == 200
                took.append(began.fair)
        finally:
            os.kill(valkey, signal.SIGCONT)
        took.sort()
        assert took[len(took) // 2] < 0.05
        assert took[-1] < limits.AWAY_SECONDS + 0.2, "one wait, and what a busy machine adds"
        assert took[-2] < limits.AWAY_SECONDS
        told = [record for record in caplog.records if record.name == "api.limits" and record.levelno == logging.ERROR]
        assert len(told) == 1

        async def limited() -> None:
            answers = await asyncio.gather(*(api.get("/v1/projects", headers=workspace) for _ in range(20)))
            assert 429 in {answer.status_code for answer in answers}

        await eventually(limited, 10)


def pid_of(stack: Stack) -> int:
    pid = stack.children["valkey"].pid
    assert pid
    return pid
