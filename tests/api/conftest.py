"""A real API on real servers, with a real worker: one of each for all tests of this folder."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from pydantic import SecretStr

from api.app import create_app
from muster.cli import serve
from muster.domain.ids import DEFAULT_WORKSPACE
from muster.services.stack import Stack
from muster.settings import Settings
from muster.storage import access, database, migrations
from tests.pace import Stopwatch, patience
from tests.services import cluster
from tests.services.conftest import pauses, with_us

ROOT = Path(__file__).parents[2]
SLOTS = 8
NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""All is plain HTTP here, and every client would read the certificates of all authorities: 20 ms, a thousand times."""


class Server(serve.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # the test run keeps its own


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[str]:
    """The API on a free port of this machine."""
    app = create_app(settings)
    # Named, since asyncio spares only sockets of TCP by name the 40 ms that Nagle's algorithm waits for an answer.
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        server = Server(serve.config(app, settings, log_level="error", timeout_graceful_shutdown=1))
        running = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            async with patience(10):
                while not server.started:
                    assert not running.done(), running.exception()
                    await asyncio.sleep(0.01)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await running


@asynccontextmanager
async def a_stack(**variables: object) -> AsyncIterator[tuple[Settings, Stack]]:
    folder = Path(tempfile.mkdtemp(prefix="muster-api-"))
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]
        **{
            "MUSTER_HOME": folder / "home",
            "MUSTER_API_PORT": 0,
            "MUSTER_TEMPORAL_PORT": 0,
            "MUSTER_TEMPORAL_UI_PORT": 0,
            "MUSTER_VALKEY_PORT": 0,
            "MUSTER_TEMPORAL_DURABILITY": "normal",
            "MUSTER_SECRET_KEY": "a secret of these tests, long enough",
            **variables,
        },
    )
    stack = Stack(settings)
    try:
        await asyncio.to_thread(cluster.seed, settings.home)
        addresses = await stack.start()
        await migrations.migrate(addresses.database_owner_url, max_concurrent_agents=SLOTS)
        pepper = settings.secret_key.get_secret_value().encode() if settings.secret_key else b""
        key = await access.make_administrator_key(addresses.database_url, pepper, "tests")
        await _let_ask(addresses.database_owner_url)
        yield addresses.apply(settings).model_copy(update={"api_key": SecretStr(key)}), stack
    finally:
        await stack.stop()
        shutil.rmtree(folder)


async def _let_ask(owner_url: str) -> None:
    """A quick machine's tests ask more often than a key may by default."""
    async with await database.connect(owner_url) as connection:
        await connection.execute(
            "SELECT set_config('role', 'muster_app', false), set_config('app.current_workspace_id', %s, false), "
            "set_config('app.administrator', 'on', false)",
            (str(DEFAULT_WORKSPACE),),
        )
        await connection.execute(
            "UPDATE workspaces SET requests_per_second = 10000 WHERE id = %s", (DEFAULT_WORKSPACE,)
        )


def environment(settings: Settings) -> dict[str, str]:
    """What another process needs to work with the same servers."""
    assert settings.database_url
    assert settings.valkey_url
    assert settings.secret_key
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MUSTER_", "TEMPORAL_"))}
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "MUSTER_HOME": str(settings.home),
        "TEMPORAL_ADDRESS": str(settings.temporal_address),
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "VALKEY_URL": settings.valkey_url.get_secret_value(),
        "MUSTER_SECRET_KEY": settings.secret_key.get_secret_value(),
    }


def admin(settings: Settings) -> str:
    """The administrator's key."""
    assert settings.api_key
    return settings.api_key.get_secret_value()


@asynccontextmanager
async def a_worker(settings: Settings, **variables: str) -> AsyncIterator[subprocess.Popen[bytes]]:
    with (settings.home / "worker.log").open("ab") as log:
        process = subprocess.Popen(  # noqa: ASYNC220 - returns at once
            with_us(sys.executable, "-m", "muster.cli", "worker"),
            cwd=settings.home, env=environment(settings) | variables, stdout=log, stderr=log,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        yield process
        assert process.poll() is None, (settings.home / "worker.log").read_text()[-3000:]
    finally:
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, 20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass
class Event:
    id: int | None
    type: str
    data: Any


class Stream:
    """A client of one event stream. Keeps what it got."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.aiter_lines()
        self.events: list[Event] = []
        self.start: int | None = None
        self.comments = 0

    async def next(self, seconds: float = 10.0) -> Event:
        async with patience(seconds):
            return await self._next()

    async def _next(self) -> Event:
        number: int | None = None
        kind, data = "", ""
        async for line in self._lines:
            if line.startswith(":"):
                self.comments += 1
            elif line.startswith("id: "):
                number = int(line[4:])
            elif line.startswith("event: "):
                kind = line[7:]
            elif line.startswith("data: "):
                data = line[6:]
            elif line == "" and kind:
                event = Event(number, kind, json.loads(data))
                self.events.append(event)
                return event
            elif line == "":
                self.start, number = (number if number is not None else self.start), None
        raise EOFError

    async def until(self, wanted: Callable[[Event], bool], seconds: float = 10.0) -> Event:
        async with patience(seconds):
            while True:
                event = await self._next()
                if wanted(event):
                    return event


class Api(httpx.AsyncClient):
    def __init__(self, url: str, key: str | None) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        super().__init__(base_url=url, headers=headers, timeout=120, trust_env=False, verify=NO_AUTHORITIES)

    @asynccontextmanager
    async def follow(self, path: str, *, last: int | None = None, **query: Any) -> AsyncIterator[Stream]:
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": str(last)} if last is not None else {})
        async with self.stream("GET", path, params=query, headers=headers) as response:
            assert response.status_code == 200, await response.aread()
            assert response.headers["content-type"].startswith("text/event-stream")
            yield Stream(response)

    async def new_task(self, *argv: str, **more: Any) -> dict[str, Any]:
        response = await self.post(
            "/v1/tasks", json={"title": "t", "runner": {"kind": "command", "argv": argv or ["true"]}, **more}
        )
        assert response.status_code == 201, response.text
        task: dict[str, Any] = response.json()
        return task

    async def spawn(self, *argv: str, **more: Any) -> dict[str, Any]:
        task = {"title": "t", "runner": {"kind": "command", "argv": argv or ["true"]}, **more}
        response = await self.post("/v1/agents", json={"task": task})
        assert response.status_code == 201, response.text
        agent: dict[str, Any] = response.json()
        return agent

    async def when(self, path: str, *statuses: str, seconds: float = 15.0) -> dict[str, Any]:
        """The thing, once it has one of these statuses."""
        waited = Stopwatch()
        for pause in pauses(0.03):
            thing: dict[str, Any] = (await self.get(path)).json()
            if thing["status"] in statuses:
                return thing
            assert not waited.passed(seconds), str(thing)
            await asyncio.sleep(pause)
        raise AssertionError


async def eventually(check: Callable[[], Awaitable[Any]], seconds: float = 10.0, every: float = 0.05) -> Any:
    waited = Stopwatch()
    for pause in pauses(every):
        try:
            return await check()
        except AssertionError:
            if waited.passed(seconds):
                raise
        await asyncio.sleep(pause)
    raise AssertionError


async def somebody_polls(api: Api) -> None:
    """Until a worker is there. Asked seldom: each answer costs all servers something."""

    async def polls() -> None:
        assert (await api.get("/v1/info")).json()["boundaries"]["workers"]["status"] == "active"

    await eventually(polls, 100, every=0.2)


def is_problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    document: dict[str, Any] = response.json()
    assert (response.status_code, document["code"]) == (status, code), document
    assert response.headers["content-type"] == "application/problem+json"
    assert document["status"] == status
    assert document["trace_id"] == response.headers["x-request-id"]
    assert document["instance"] == response.request.url.path
    assert document["title"]
    assert document["detail"]
    return document


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def settings() -> AsyncIterator[Settings]:
    async with a_stack() as (settings, _):
        yield settings


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def url(settings: Settings) -> AsyncIterator[str]:
    async with serving(settings) as url:
        yield url


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def worker(settings: Settings, url: str) -> AsyncIterator[None]:
    async with a_worker(settings), Api(url, admin(settings)) as api:
        await somebody_polls(api)
        yield


@pytest_asyncio.fixture(loop_scope="session")
async def api(settings: Settings, url: str) -> AsyncIterator[Api]:
    async with Api(url, admin(settings)) as api:
        yield api


@pytest.fixture
def fleet(api: Api, worker: None) -> Api:
    """The API, with somebody to run what is asked of it."""
    return api
