"""Valkey, the real one: the live picture never goes back in time, and comes back whole after any loss."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
import redis.asyncio

from muster.domain.agents import Agent
from muster.domain.events import Event
from muster.domain.ids import new_id
from muster.domain.states import AgentStatus, Reason, TaskStatus
from muster.domain.tasks import Task
from muster.services.ports import free_port
from muster.storage import events, keys, moves, tasks
from muster.storage.database import Database
from muster.storage.mirror import Mirror
from muster.storage.moves import Changes
from tests.pace import Stopwatch

from .conftest import OWNER, Servers, Tenant, make_workspace


@pytest.fixture
async def valkey(servers: Servers) -> AsyncIterator[redis.asyncio.Redis]:
    client = redis.asyncio.Redis.from_url(servers.valkey.url, decode_responses=True)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
async def mirror(servers: Servers, valkey: redis.asyncio.Redis) -> AsyncIterator[Mirror]:
    mirror = Mirror(servers.valkey.url, terminal_ttl_seconds=100)
    yield mirror
    await mirror.close()


@pytest.fixture
async def own(own_url: str, own_db: Database, mirror: Mirror) -> Tenant:
    """A tenant in a database of its own, and a picture of it."""
    tenant = Tenant(own_db, await make_workspace(own_url, limit=2))
    await mirror.rebuild(own_db)
    await mirror.relay(own_db)
    return tenant


class Listener:
    def __init__(self, valkey: redis.asyncio.Redis) -> None:
        self._pubsub = valkey.pubsub()
        self.heard: list[dict[str, Any]] = []

    async def __aenter__(self) -> Listener:
        await self._pubsub.subscribe(keys.events())
        await self._pubsub.get_message(timeout=1)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pubsub.aclose()  # type: ignore[no-untyped-call]

    async def positions(self, count: int, workspace: UUID) -> list[int]:
        """The next ones, and a moment's silence after them."""
        waited = Stopwatch()
        while len(self.heard) < count and not waited.passed(3):
            await self._listen(0.1)
        await self._listen(0.03)
        found = [event["position"] for event in self.heard if event["workspace_id"] == str(workspace)]
        self.heard.clear()
        return found

    async def _listen(self, seconds: float) -> None:
        while message := await self._pubsub.get_message(ignore_subscribe_messages=True, timeout=seconds):
            self.heard.append(json.loads(message["data"]))


async def live(own: Tenant, mirror: Mirror, count: int) -> list[Changes]:
    """Moves of whole lives, in the order they were made."""
    made = []
    for n in range(count):
        made.append(await own.created(f"life {n}"))
        task = UUID(made[-1].tasks[-1]["id"])
        agent = await own.agent_of(task)
        made.append(await moves.start_agent(own.db, own.id, agent, "w"))
        made.append(await moves.finish_agent(own.db, own.id, agent, AgentStatus.COMPLETED, result={"n": n}))
        made.append(await moves.finish_task(own.db, own.id, OWNER, task, TaskStatus.COMPLETED))
    return made


async def picture_is_right(own: Tenant, valkey: redis.asyncio.Redis) -> None:
    for kind, model in (("task", Task), ("agent", Agent)):
        rows = await own.rows(f"SELECT id, {kind}_json(r) FROM {kind}s r")
        for row_id, row in rows:
            known = json.loads(await valkey.get(f"{keys.PREFIX}{kind}:{row_id}") or "{}")
            assert known == row, kind
            model.model_validate(known)
            final = row["finished_at"] is not None
            ttl = await valkey.ttl(f"{keys.PREFIX}{kind}:{row_id}")
            assert (0 < ttl <= 100) if final else ttl == -1
        held = {key async for key in valkey.scan_iter(f"{keys.PREFIX}{kind}:*")}
        assert held == {f"{keys.PREFIX}{kind}:{row_id}" for row_id, _ in rows}
    served = [item["id"] for item in (await tasks.queue(own.db, own.id, 1000))["items"]]
    assert await valkey.zrange(keys.queue(own.id), 0, -1) == served, "the queue, in the order it is served"


async def test_moves_show_at_once_and_are_published_in_order(
    own: Tenant, mirror: Mirror, valkey: redis.asyncio.Redis
) -> None:
    async with Listener(valkey) as listener:
        for changes in await live(own, mirror, 3):
            await mirror.apply(changes)
        assert await listener.positions(18, own.id) == list(range(1, 19))
    assert not mirror.stale.is_set()
    await picture_is_right(own, valkey)


async def test_what_is_published_is_the_event(own: Tenant, mirror: Mirror, valkey: redis.asyncio.Redis) -> None:
    pubsub = valkey.pubsub()
    await pubsub.subscribe(keys.events_of(own.id))
    await mirror.apply(await own.created())
    heard: list[dict[str, Any]] = []
    while len(heard) < 2:
        if message := await pubsub.get_message(ignore_subscribe_messages=True, timeout=2):
            heard.append(json.loads(message["data"]))
    await pubsub.aclose()  # type: ignore[no-untyped-call]
    assert heard == await events.after(own.db, own.id, 0)
    assert [Event.model_validate(event).type for event in heard] == ["task.assigned", "agent.spawned"]


async def test_out_of_order_moves_are_published_in_order_and_the_latest_rows_stand(
    own: Tenant, mirror: Mirror, valkey: redis.asyncio.Redis
) -> None:
    made = await live(own, mirror, 3)
    async with Listener(valkey) as listener:
        for changes in reversed(made):
            await mirror.apply(changes)
        assert await listener.positions(18, own.id) == list(range(1, 19))
        for changes in made:  # and once more, as retried activities do
            await mirror.apply(changes)
        assert await listener.positions(0, own.id) == [], "nothing is told twice"
    await picture_is_right(own, valkey)


async def test_an_older_version_is_ignored(own: Tenant, mirror: Mirror, valkey: redis.asyncio.Redis) -> None:
    await own.create()
    await own.create()
    queued = await own.created("queued")
    task = UUID(queued.tasks[-1]["id"])
    ended = await moves.finish_task(own.db, own.id, None, task, TaskStatus.FAILED, reason=Reason.CANCELLED)
    await mirror.apply(ended)
    await mirror.apply(queued)
    assert json.loads(await valkey.get(keys.task(task)) or "")["status"] == "failed"
    assert await valkey.zcard(keys.queue(own.id)) == 0, "nor does it queue again"


async def test_the_queue_is_that_of_postgres(own: Tenant, mirror: Mirror, valkey: redis.asyncio.Redis) -> None:
    first = await own.created("first")
    await mirror.apply(first)
    await mirror.apply(await own.created("second"))
    task = UUID(first.tasks[-1]["id"])
    await mirror.apply(await own.created("dependent", depends_on=[task], priority=3))
    for priority in (5, 1, 10, 5, 9):
        await mirror.apply(await own.created(priority=priority))
    assert await valkey.zcard(keys.queue(own.id)) == 5
    agent = await own.agent_of(task)
    await mirror.apply(await moves.start_agent(own.db, own.id, agent, "w"))
    await mirror.apply(await moves.finish_agent(own.db, own.id, agent, AgentStatus.COMPLETED))
    # The slot is taken by another; the dependent joins the queue.
    await mirror.apply(await moves.finish_task(own.db, own.id, None, task, TaskStatus.COMPLETED))
    assert await valkey.zcard(keys.queue(own.id)) == 5
    await picture_is_right(own, valkey)


async def test_what_a_dead_bearer_did_not_publish_is_relayed(
    own: Tenant, mirror: Mirror, valkey: redis.asyncio.Redis
) -> None:
    made = await live(own, mirror, 2)
    async with Listener(valkey) as listener:
        await mirror.apply(made[0])
        await mirror.apply(made[-1])  # waits for those between, which never come
        assert await listener.positions(2, own.id) == [1, 2]
        await mirror.relay(own.db)
        assert await listener.positions(10, own.id) == list(range(3, 13))
        await mirror.relay(own.db)
        assert await listener.positions(0, own.id) == []
    assert await own.rows("SELECT published FROM workspace_log") == [(12,)]


async def test_a_wiped_valkey_is_rebuilt_and_the_bus_goes_on(
    own: Tenant, mirror: Mirror, valkey: redis.asyncio.Redis
) -> None:
    for changes in await live(own, mirror, 2):
        await mirror.apply(changes)
    await mirror.relay(own.db)
    await valkey.flushall()
    async with Listener(valkey) as listener:
        lost = await live(own, mirror, 1)
        for changes in lost:
            await mirror.apply(changes)
        assert mirror.stale.is_set()
        assert await mirror.wiped()
        await own.create("waits")
        assert await mirror.rebuild(own.db) == len(await own.rows("SELECT 1 FROM tasks UNION ALL SELECT 1 FROM agents"))
        await mirror.relay(own.db)
        assert not await mirror.wiped()
        told = await listener.positions(8, own.id)
        assert told == list(range(told[0], 21)), "in order, without a gap"
        assert told[0] <= 13, "nothing of what was lost is left out"
        await mirror.apply(await own.created())
        assert (await listener.positions(2, own.id)) == [21, 22]
    await picture_is_right(own, valkey)


@pytest.mark.parametrize("wiped_after", ["_paint", "_forget_unknown"])
async def test_what_is_wiped_in_the_middle_of_a_rebuild_is_rebuilt(
    own: Tenant, mirror: Mirror, valkey: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch, wiped_after: str
) -> None:
    await live(own, mirror, 1)
    step, times = getattr(mirror, wiped_after), 0

    async def and_wipe(*arguments: Any) -> Any:
        nonlocal times
        done, times = await step(*arguments), times + 1
        if times == 1:
            await valkey.flushall()
        return done

    monkeypatch.setattr(mirror, wiped_after, and_wipe)
    await mirror.rebuild(own.db)
    await mirror.relay(own.db)
    assert times == 2
    assert not await mirror.wiped()
    await picture_is_right(own, valkey)
    assert [key async for key in valkey.scan_iter(f"{keys.PREFIX}rebuild:*")] == []


async def test_a_rebuild_forgets_what_is_no_more(own: Tenant, mirror: Mirror, valkey: redis.asyncio.Redis) -> None:
    await mirror.apply(await own.created())
    ghost = new_id()
    await valkey.set(keys.task(ghost), json.dumps({"version": 9, "id": str(ghost), "workspace_id": str(own.id)}))
    await valkey.set(keys.agent(new_id()), "no json")
    await valkey.zadd(keys.queue(own.id), {str(ghost): 1.0})
    await mirror.rebuild(own.db)
    await picture_is_right(own, valkey)


async def test_a_rebuild_under_moves_loses_none(own: Tenant, mirror: Mirror, valkey: redis.asyncio.Redis) -> None:
    over = asyncio.Event()

    async def rebuild() -> None:
        while not over.is_set():
            await valkey.flushall()
            await mirror.rebuild(own.db)
            await mirror.relay(own.db)

    async def move() -> None:
        for _ in range(12):
            for changes in await live(own, mirror, 1):
                await mirror.apply(changes)
        for _ in range(4):
            await mirror.apply(await own.created())
        over.set()

    await asyncio.gather(rebuild(), move())
    await mirror.rebuild(own.db)
    await mirror.relay(own.db)
    await picture_is_right(own, valkey)


async def test_a_dead_valkey_delays_nothing(own: Tenant) -> None:
    mirror = Mirror(f"redis://127.0.0.1:{free_port()}/0", terminal_ttl_seconds=100)
    made = await live(own, mirror, 5)
    began = Stopwatch()
    for changes in made:
        await mirror.apply(changes)
    await mirror.output(own.id, new_id(), [])
    assert began.fair < 0.5
    assert mirror.stale.is_set()
    await mirror.close()


async def test_a_stopped_valkey_delays_little_and_is_caught_up_with(
    servers: Servers, own: Tenant, mirror: Mirror, valkey: redis.asyncio.Redis
) -> None:
    """Stopped, not dead: it takes connections and never answers."""
    pid = servers.valkey_child.pid
    assert pid
    made = await live(own, mirror, 5)
    os.kill(pid, signal.SIGSTOP)
    try:
        began = Stopwatch()
        await asyncio.gather(*(mirror.apply(changes) for changes in made))
        for changes in made:
            await mirror.apply(changes)
        # One time-out, perhaps tried again on a fresh connection; not one for each move.
        assert began.fair < 4.5
        assert mirror.stale.is_set()
    finally:
        os.kill(pid, signal.SIGCONT)
    await mirror.rebuild(own.db)
    await mirror.relay(own.db)
    await mirror.apply(await own.created())
    assert not mirror.stale.is_set(), "it answers again: nothing is kept from it"
    await picture_is_right(own, valkey)


async def test_connections_that_valkey_closed_are_made_anew(
    own: Tenant, mirror: Mirror, valkey: redis.asyncio.Redis
) -> None:
    """As after its restart: each of them may be closed, and none is a reason to go on without it."""
    made = await live(own, mirror, 5)
    await asyncio.gather(*(mirror.output(own.id, new_id(), []) for _ in range(5)))
    assert await valkey.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes") >= 5
    await asyncio.gather(*(mirror.apply(changes) for changes in made))
    assert not mirror.stale.is_set()
    await picture_is_right(own, valkey)


async def test_ten_thousand_rows_are_rebuilt_quickly(
    own: Tenant, mirror: Mirror, valkey: redis.asyncio.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    await own.rows(
        "INSERT INTO tasks (id, workspace_id, title, retry, runner, queued_at, created_at) "
        'SELECT new_id(), %s, \'task \' || n, \'{"max_attempts": 1}\', \'{"kind": "command", "argv": ["true"]}\', '
        "       now(), now() + n * interval '1 ms' FROM generate_series(1, 10000) n",
        (own.id,),
    )
    began = Stopwatch()
    rows = await mirror.rebuild(own.db)
    took = began.fair
    with capsys.disabled():
        print(f"\n  Valkey rebuilt from {rows} rows in {took:.2f} s")
    assert rows == 10_000
    assert await valkey.zcard(keys.queue(own.id)) == 10_000
    assert took < 20, "a hang, not a slow machine"
