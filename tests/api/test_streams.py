"""Live streams: nothing lost, nothing twice, nobody waited for."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import uuid
from collections.abc import AsyncIterator

import httpx
import pytest
import redis.asyncio

from api import hub
from api import stream as streaming
from muster.domain.ids import DEFAULT_USER, DEFAULT_WORKSPACE, new_id
from muster.domain.states import AgentStatus, Reason, TaskStatus
from muster.domain.tasks import CommandRunner, TaskSpec
from muster.domain.tenants import Actor
from muster.services.stack import Stack
from muster.settings import Settings
from muster.storage import keys, moves
from muster.storage.database import Database
from tests.api.conftest import Api, a_stack, admin, eventually, is_problem, serving
from tests.pace import Stopwatch, patience
from tests.services.conftest import family

BY = Actor(user_id=DEFAULT_USER)
SPEC = TaskSpec(title="t", runner=CommandRunner(argv=["true"]))


class Pen:
    """Writes events as a worker does, and tells of them if it is told to."""

    def __init__(self, settings: Settings) -> None:
        assert settings.database_url
        self.db = Database(settings.database_url.get_secret_value(), size=4)
        self.valkey = redis.asyncio.Redis.from_url(settings.external_valkey_url or "")
        self.written: list[int] = []

    async def fail_a_task(self, task_id: uuid.UUID | None = None, *, publish: bool = True, size: int = 1) -> uuid.UUID:
        """Four events: of a task that gets an agent, and fails with it."""
        task_id = task_id or new_id()
        made = await moves.create_task(self.db, DEFAULT_WORKSPACE, BY, task_id, SPEC, project_id=None, spawn=False)
        events = list(made.events)
        if grant := made.grant(task_id):
            ended = await moves.finish_agent(
                self.db, DEFAULT_WORKSPACE, grant.agent_id, AgentStatus.FAILED, reason=Reason.LOST, error="x" * size
            )
            events += ended.events
        ended = await moves.finish_task(
            self.db,
            DEFAULT_WORKSPACE,
            BY,
            task_id,
            TaskStatus.FAILED,
            reason=Reason.CANCELLED,
            error="x" * size,
        )
        events += ended.events
        self.written += [event["position"] for event in events]
        if publish:
            for event in events:
                await self.valkey.publish(keys.events(), json.dumps(event))
        return task_id

    async def close(self) -> None:
        await self.db.close()
        await self.valkey.aclose()


@pytest.fixture(scope="module")
async def stack() -> AsyncIterator[tuple[Settings, Stack]]:
    """Servers on which nobody else writes, and which may be stopped."""
    async with a_stack() as found:
        yield found


@pytest.fixture(scope="module")
def settings(stack: tuple[Settings, Stack]) -> Settings:
    return stack[0]


@pytest.fixture
def pids(stack: tuple[Settings, Stack]) -> dict[str, int]:
    return {name: child.pid or 0 for name, child in stack[1].children.items()}


@pytest.fixture(scope="module")
async def url(settings: Settings) -> AsyncIterator[str]:
    async with serving(settings) as url:
        yield url


@pytest.fixture
async def pen(settings: Settings) -> AsyncIterator[Pen]:
    pen = Pen(settings)
    await pen.db.open()
    yield pen
    await pen.close()


async def last(api: Api) -> int:
    """The position of the last event there is."""
    task = {"task": str(uuid.uuid4())}
    position: int = (await api.get("/v1/events", params=task)).json()["next_after"]
    return position


async def test_a_page_says_where_to_go_on(api: Api, pen: Pen) -> None:
    start = await last(api)
    task_id = await pen.fail_a_task()
    page = (await api.get("/v1/events", params={"after": start, "limit": 2})).json()
    assert [event["position"] for event in page["items"]] == [start + 1, start + 2]
    assert page["next_after"] == start + 2
    failed = (await api.get("/v1/events", params={"after": start, "type": "task.failed", "task": str(task_id)})).json()
    assert [event["type"] for event in failed["items"]] == ["task.failed"]
    assert failed["next_after"] >= pen.written[-1]


async def test_a_stream_without_a_position_starts_now(api: Api, pen: Pen) -> None:
    await pen.fail_a_task()
    async with api.follow("/v1/events") as stream:
        task_id = await pen.fail_a_task()
        event = await stream.next()
        assert event.id == event.data["position"]
        assert event.type == event.data["type"] == "task.assigned"
        assert event.data["task_id"] == str(task_id)
        assert stream.start is not None
        assert stream.start < event.id


async def test_a_place_beyond_the_end_is_refused(api: Api) -> None:
    headers = {"Accept": "text/event-stream", "Last-Event-ID": "99999999"}
    assert "the last is" in is_problem(await api.get("/v1/events", headers=headers), 422, "invalid_request")["detail"]


async def test_a_stream_resumes_where_it_was_while_others_write(api: Api, pen: Pen) -> None:
    """Cut again and again under concurrent commits, read back: every position once, in order."""
    start = await last(api)
    enough = asyncio.Event()
    writing = asyncio.gather(*(_write(pen, enough=enough) for _ in range(4)))
    seen: list[int] = []
    position = start
    for cut in (1, 7, 2, 13, 5, 30):
        async with api.follow("/v1/events", last=position) as stream:
            while len(stream.events) < cut:
                await stream.next()
        ids = [event.id for event in stream.events]
        seen += [number for number in ids if number is not None]
        position = seen[-1]
    enough.set()
    await writing
    end = max(pen.written)
    async with api.follow("/v1/events", last=position) as stream:
        if position < end:
            await stream.until(lambda event: event.id == end)
        seen += [event.id for event in stream.events if event.id is not None]
    assert seen == list(range(start + 1, end + 1))


async def _write(pen: Pen, times: int = 10_000, *, enough: asyncio.Event | None = None) -> None:
    for _ in range(times):
        if enough and enough.is_set():
            return
        await pen.fail_a_task()


async def test_many_clients_that_join_while_others_write_miss_nothing(api: Api, pen: Pen) -> None:
    start, marker = await last(api), new_id()
    writing = asyncio.create_task(_write(pen, 40))

    async def reader() -> list[int | None]:
        async with api.follow("/v1/events", after=start) as stream:
            await stream.until(lambda event: event.type == "task.failed" and event.data["task_id"] == str(marker), 20)
        return [event.id for event in stream.events]

    readers = []
    for number in range(20):
        readers.append(asyncio.create_task(reader()))
        if number % 4 == 0:
            await asyncio.sleep(0.02)
    await writing
    await pen.fail_a_task(marker)
    for ids in await asyncio.gather(*readers):
        assert ids == list(range(start + 1, pen.written[-1] + 1))


async def test_a_filtered_stream_shows_what_was_asked_for(api: Api, pen: Pen) -> None:
    start = await last(api)
    before = await pen.fail_a_task()
    async with (
        api.follow("/v1/events", after=start, task=str(before)) as of_task,
        api.follow("/v1/events", after=start, type=["task.failed"]) as of_type,
    ):
        assert (await of_task.next()).type == "task.assigned"
        assert (await of_type.next()).data["task_id"] == str(before)
        after = await pen.fail_a_task()
        assert (await of_type.next()).data["task_id"] == str(after)
        await of_task.until(lambda event: event.type == "task.failed")
        with pytest.raises(TimeoutError):
            await of_task.next(0.3)
    assert {event.data["task_id"] for event in of_task.events} == {str(before)}


async def test_what_was_never_published_is_delivered_too(api: Api, pen: Pen) -> None:
    """A worker that dies between its commit and its message leaves a hole that the next message shows."""
    async with api.follow("/v1/events") as stream:
        await pen.fail_a_task(publish=False)
        silent = list(pen.written)
        await pen.fail_a_task()
        await stream.until(lambda event: event.id == pen.written[-1], 3)
    assert [event.id for event in stream.events] == list(range(silent[0], pen.written[-1] + 1))


async def test_a_message_that_comes_twice_or_late_is_delivered_once(api: Api, pen: Pen) -> None:
    async with api.follow("/v1/events") as stream:
        await pen.fail_a_task()
        events = (await api.get("/v1/events", params={"after": pen.written[0] - 1})).json()["items"]
        for event in reversed(events):
            await pen.valkey.publish(keys.events(), json.dumps(event))
        await pen.valkey.publish(keys.events(), "not an event")
        await pen.valkey.publish(keys.events(), '{"workspace_id": 7}')
        await pen.fail_a_task()
        await stream.until(lambda event: event.id == pen.written[-1], 3)
    assert [event.id for event in stream.events] == list(range(pen.written[0], pen.written[-1] + 1))


async def test_a_quiet_stream_is_kept_alive_and_ends_with_reconnect(
    api: Api, pen: Pen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "HEARTBEAT_SECONDS", 1.0)
    monkeypatch.setattr(streaming, "LIFE_SECONDS", 3.0)
    async with api.follow("/v1/events", task=str(uuid.uuid4())) as stream:
        event = await stream.next()
        assert (event.type, event.id) == ("reconnect", None)
        assert stream.comments >= 1
        with pytest.raises(EOFError):
            await stream.next()


async def test_a_client_that_does_not_read_is_cut_off(
    api: Api, url: str, pen: Pen, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(streaming, "WAITING_FRAMES", 100)
    monkeypatch.setattr(hub, "_PAGE", 20)
    start = await last(api)
    host, port = url.removeprefix("http://").split(":")
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((host, int(port)))
        key = api.headers["authorization"].encode()
        client.sendall(
            b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: " + key + b"\r\n"
            b"Accept: text/event-stream\r\n\r\n"
        )
        async with api.follow("/v1/events", after=start) as other:
            reading = asyncio.create_task(other.until(lambda event: event.id == start + 700, 60))
            while len(pen.written) < 700:  # more than the system's own buffers hold
                await asyncio.gather(*(pen.fail_a_task(size=24_000) for _ in range(2)))
            await reading
        assert [event.id for event in other.events] == list(range(start + 1, start + 701))
        client.settimeout(5)
        received = await asyncio.to_thread(_all, client)
    assert not received.endswith(b"0\r\n\r\n")
    assert f"id: {start + 1}\n".encode() in received
    assert f"id: {start + 700}\n".encode() not in received
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


def _all(client: socket.socket) -> bytes:
    parts = []
    while part := client.recv(1 << 20):
        parts.append(part)
    return b"".join(parts)


async def test_an_api_that_stops_lets_its_clients_go(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    async with contextlib.AsyncExitStack() as clients:
        async with serving(settings) as url:
            api = await clients.enter_async_context(Api(url, admin(settings)))
            stream = await clients.enter_async_context(api.follow("/v1/events"))
            began = Stopwatch()
        assert began.fair < 3
        with pytest.raises((EOFError, httpx.RemoteProtocolError)):
            await stream.until(lambda event: event.type != "reconnect")
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


async def test_without_valkey_streams_go_on_from_postgres(api: Api, pen: Pen, pids: dict[str, int]) -> None:
    async with api.follow("/v1/events") as stream:
        await pen.fail_a_task()
        await stream.until(lambda event: event.id == pen.written[-1], 3)
        os.kill(pids["valkey"], signal.SIGSTOP)
        try:
            await pen.fail_a_task(publish=False)
            await stream.until(lambda event: event.id == pen.written[-1], 8)
            async with api.follow("/v1/events") as other:
                await pen.fail_a_task(publish=False)
                await other.until(lambda event: event.id == pen.written[-1], 5)
        finally:
            os.kill(pids["valkey"], signal.SIGCONT)

        async def heard_again() -> None:
            assert "detail" not in (await api.get("/v1/info")).json()["boundaries"]["valkey"]

        await eventually(heard_again)
        await pen.fail_a_task()
        await stream.until(lambda event: event.id == pen.written[-1], 1)
    assert [event.id for event in stream.events] == list(range(pen.written[0], pen.written[-1] + 1))


async def test_connections_that_valkey_closed_are_no_reason_to_call_it_dead(api: Api, settings: Settings) -> None:
    """As after its restart: each that is kept is closed."""
    async with redis.asyncio.Redis.from_url(str(settings.external_valkey_url)) as valkey:
        for _ in range(5):
            answers = await asyncio.gather(*(api.get("/readyz") for _ in range(3)))
            await valkey.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            answers += await asyncio.gather(*(api.get("/readyz") for _ in range(3)))
            assert [answer.status_code for answer in answers] == [200] * 6, [answer.text for answer in answers]


@pytest.mark.parametrize("name", ["valkey", "postgres", "temporal"])
async def test_health_tells_of_a_stopped_server_in_time(settings: Settings, pids: dict[str, int], name: str) -> None:
    async with serving(settings) as url, Api(url, admin(settings)) as api:
        assert (await api.get("/readyz")).status_code == 200
        assert (await api.get("/v1/info")).status_code == 200  # and the key is known from now on
        # PostgreSQL's connections are processes of their own: stop them all.
        stopped = family(pids[name])
        for pid in stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        try:
            for path in ("/readyz", "/v1/info", "/readyz"):
                async with patience(2.5):
                    answer = (await api.get(path)).json()
                boundaries = answer["boundaries"]
                assert boundaries[name]["status"] == "errored"
                assert boundaries[name]["detail"]
                assert all(boundaries[other]["status"] == "active" for other in pids if other != name)
            assert (await api.get("/healthz")).status_code == 200
        finally:
            for pid in stopped:
                with contextlib.suppress(ProcessLookupError):  # it was just ending, and its parent went on before it
                    os.kill(pid, signal.SIGCONT)

        async def well() -> None:
            assert (await api.get("/readyz")).status_code == 200

        assert (await api.get("/v1/info")).status_code == 200  # and the key is known from now on

        await eventually(well, 20)
