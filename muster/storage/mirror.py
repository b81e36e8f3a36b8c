"""Valkey: the live picture and the event bus. Never the truth: it may be wiped at any moment.

* A row is written with its version; an older one is dropped, so retries and reordering are harmless.
* Events are published in the order of the log. Moves commit in that order but reach Valkey in any, so the script
  holds an early one back until those before it have come; the relay brings those whose bearer died.
* A Valkey that does not answer delays nobody: it is left alone for a moment, and the picture is rebuilt from
  Postgres when it is back.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import redis.asyncio as redis
from redis.exceptions import RedisError

from muster.domain.agents import OutputLine
from muster.domain.ids import new_id
from muster.domain.states import FINAL_AGENT, FINAL_TASK
from muster.storage import chores, events, keys
from muster.storage.database import Database
from muster.storage.moves import Changes
from muster.storage.valkey import once_more

log = logging.getLogger(__name__)

_TIMEOUT_SECONDS = 1.0
_REST_SECONDS = 1.0
_OUTPUT_KEPT = 1000
_EARLY_SECONDS = 600
_REFRESHED_SECONDS = 600
_REBUILD_SECONDS = 3600
_ENDINGS = frozenset(f"agent.{status}" for status in FINAL_AGENT)

# ARGV: time to live of final rows, then JSON of {rows: [[key, version, json, final, queue, member, score|false]],
# events: [[workspace, position, json]], ended?: [channel of output]}. A row's JSON begins with its version, which
# spares decoding the rest.
# Answers 'wiped' when this Valkey has lost, or never had, the picture.
_APPLY = """
local change = cjson.decode(ARGV[2])
for _, row in ipairs(change.rows) do
    local known = redis.call('GETRANGE', row[1], 0, 40)
    local version = tonumber(string.match(known, '^{"version":(%d+)')) or -1
    if row[2] >= version then
        if row[4] then redis.call('SET', row[1], row[3], 'EX', ARGV[1]) else redis.call('SET', row[1], row[3]) end
        if row[5] ~= false then
            if row[7] ~= false then redis.call('ZADD', row[5], row[7], row[6])
            else redis.call('ZREM', row[5], row[6]) end
        end
    end
end
local unknown = redis.call('EXISTS', KEYS[1]) == 0
for _, event in ipairs(change.events) do
    local workspace, position, text = event[1], event[2], event[3]
    local mark, early = KEYS[2] .. workspace, KEYS[2] .. workspace .. ':early'
    local told = tonumber(redis.call('GET', mark))
    if told == nil then
        unknown = true
    elseif position > told + 1 then
        redis.call('HSET', early, position, text)
        redis.call('EXPIRE', early, ARGV[3])
    elseif position == told + 1 then
        repeat
            redis.call('PUBLISH', KEYS[3], text)
            redis.call('PUBLISH', KEYS[3] .. ':' .. workspace, text)
            told = told + 1
            redis.call('HDEL', early, told)
            text = redis.call('HGET', early, told + 1)
        until not text
        redis.call('SET', mark, told)
    end
end
for _, channel in ipairs(change.ended or {}) do redis.call('PUBLISH', channel, '{"end":true}') end
return unknown and 'wiped' or 'ok'
"""


# Says that the picture is whole, unless what was painted first was wiped before the last of it was there.
_SEAL = """
if redis.call('DEL', KEYS[1]) == 0 then return 0 end
redis.call('SET', KEYS[2], ARGV[1], 'NX')
return 1
"""


class Mirror:
    """One worker's hand on Valkey."""

    def __init__(self, url: str, *, terminal_ttl_seconds: int) -> None:
        self._valkey = connect(url)
        self._ttl = terminal_ttl_seconds
        self._apply = self._valkey.register_script(_APPLY)
        self._seal = self._valkey.register_script(_SEAL)
        self._resting_until = 0.0
        self.stale = asyncio.Event()
        """Set when something was not mirrored: the picture needs a rebuild."""

    async def close(self) -> None:
        await self._valkey.aclose()

    async def apply(self, changes: Changes) -> None:
        """Mirror and publish what a move changed. Never fails, never takes long."""
        rows = [_task_row(task) for task in changes.tasks] + [_agent_row(agent) for agent in changes.agents]
        if rows or changes.events:
            await self._send(rows, changes.events)

    async def output(self, workspace_id: UUID, agent_id: UUID, lines: Sequence[OutputLine]) -> None:
        """Show lines live. They are kept elsewhere."""
        if self._resting():
            return
        message = json.dumps(
            {"lines": [[line.n, line.stream, line.at.isoformat(), line.text] for line in lines]}, ensure_ascii=False
        )
        key = keys.output(agent_id)
        try:
            pipe = self._valkey.pipeline(transaction=False)
            pipe.xadd(key, {"m": message}, maxlen=_OUTPUT_KEPT, approximate=True)
            pipe.expire(key, 600)
            pipe.publish(key, message)
            await pipe.execute()
        except (RedisError, OSError) as error:
            self._rest(error)

    async def _send(self, rows: list[list[Any]], published: Sequence[dict[str, Any]]) -> None:
        if self._resting():
            self.stale.set()
            return
        change = {
            "rows": rows,
            "events": [[event["workspace_id"], event["position"], _text(event)] for event in published],
            # Whoever reads its output hears of it, also of one that wrote nothing.
            "ended": [keys.output(UUID(event["agent_id"])) for event in published if event["type"] in _ENDINGS],
        }
        try:
            answer = await self._apply(
                keys=[keys.epoch(), keys.PREFIX + "log:", keys.events()],
                args=[self._ttl, _text(change), _EARLY_SECONDS],
            )
        except (RedisError, OSError) as error:
            self._rest(error)
            self.stale.set()
            return
        if answer == "wiped":
            self.stale.set()

    def _resting(self) -> bool:
        return time.monotonic() < self._resting_until

    def _rest(self, error: Exception) -> None:
        if not self._resting():
            log.warning("Valkey does not answer (%s); going on without it", error or type(error).__name__)
        self._resting_until = time.monotonic() + _REST_SECONDS

    async def wiped(self) -> bool:
        """Whether Valkey answers and holds no picture."""
        return not await self._valkey.exists(keys.epoch())

    async def relay(self, db: Database) -> None:
        """Publish what was recorded and not published, because its bearer died or Valkey was away."""
        for workspace in await chores.logs(db):
            mark = keys.log(workspace.workspace_id)
            known: Any = await self._valkey.get(mark)
            if known is None:
                # After a wipe: from the last position known to be out. Some are told twice, none is left out.
                await self._valkey.set(mark, workspace.published, nx=True)
                known = workspace.published
            told = int(known)
            while told < workspace.position:
                batch = await events.after(db, workspace.workspace_id, told, limit=500)
                if not batch:
                    break
                # Their rows too: whoever was to publish them was to write those in the same breath.
                await self._send(await _rows_of(db, workspace.workspace_id, batch), batch)
                told = batch[-1]["position"]
            if workspace.published < int(known):
                await chores.remember_published(db, workspace.workspace_id, int(known))

    async def rebuild(self, db: Database) -> int:
        """Write the picture anew. Returns how many rows it holds."""
        self.stale.clear()
        try:
            while True:
                mark = keys.rebuild(new_id())
                await self._valkey.set(mark, 1, ex=_REBUILD_SECONDS)
                self._resting_until = 0.0  # it answers
                written = await self._paint(db, self._ttl)
                await self._forget_unknown(db, written)
                if await self._seal(keys=[mark, keys.epoch()], args=[int(time.time())]):
                    return len(written)
                log.warning("Valkey was wiped while its picture was rebuilt; beginning again")
        except BaseException:
            self.stale.set()
            raise

    async def refresh(self, db: Database) -> None:
        """Write what is open or has just ended: a worker that died may have recorded it and not come this far."""
        await self._paint(db, _REFRESHED_SECONDS)

    async def _paint(self, db: Database, ttl: int) -> set[str]:
        written: set[str] = set()
        for workspace in await chores.logs(db):
            async for batch in _picture(db, workspace.workspace_id, ttl):
                await self._write(batch)
                written.update(row[0] for row in batch)
        return written

    async def _write(self, rows: list[list[Any]]) -> None:
        await self._apply(
            keys=[keys.epoch(), keys.PREFIX + "log:", keys.events()],
            args=[self._ttl, _text({"rows": rows, "events": []}), _EARLY_SECONDS],
        )

    async def _forget_unknown(self, db: Database, written: set[str]) -> None:
        """Keys of rows that are gone or long final, and queue entries of tasks that wait no more."""
        key: Any  # the client's types allow for everything that any command answers
        for kind in ("task", "agent"):
            async for key in self._valkey.scan_iter(f"{keys.PREFIX}{kind}:*", count=1000):
                if key in written:
                    continue
                try:
                    known = json.loads(await self._valkey.get(key) or "{}")
                    workspace_id, row_id = UUID(known["workspace_id"]), UUID(known["id"])
                except (ValueError, KeyError):
                    await self._valkey.unlink(key)
                    continue
                # Made since the picture was read, or nobody's: the row itself says.
                if row := await _row(db, kind, workspace_id, row_id):
                    await self._write([row])
                else:
                    await self._valkey.unlink(key)
        async for key in self._valkey.scan_iter(f"{keys.PREFIX}queue:*", count=100):
            members: Any = await self._valkey.zrange(key, 0, -1)
            for member in members:
                if keys.task(UUID(member)) in written:
                    continue
                if row := await _row(db, "task", UUID(key.rpartition(":")[2]), UUID(member)):
                    await self._write([row])
                else:
                    await self._valkey.zrem(key, member)


def connect(url: str) -> redis.Redis:
    return redis.Redis.from_url(
        url,
        decode_responses=True,
        socket_timeout=_TIMEOUT_SECONDS,
        socket_connect_timeout=_TIMEOUT_SECONDS,
        retry=once_more(),
        max_connections=64,
    )


async def rebuild(database_url: str, valkey_url: str, *, terminal_ttl_seconds: int) -> int:
    """For the command line: the same with connections of its own."""
    db, mirror = Database(database_url, size=2), Mirror(valkey_url, terminal_ttl_seconds=terminal_ttl_seconds)
    await db.open()
    try:
        rows = await mirror.rebuild(db)
        await mirror.relay(db)
        return rows
    finally:
        await db.close()
        await mirror.close()


def _task_row(task: dict[str, Any]) -> list[Any]:
    final = task["status"] in FINAL_TASK
    score: float | bool = False
    if task["waiting_for"] == "slot":
        score = queue_score(task["priority"], task["created_at"])
    queue = keys.queue(UUID(task["workspace_id"]))
    return [keys.task(UUID(task["id"])), task["version"], _text(_versioned(task)), final, queue, task["id"], score]


def _agent_row(agent: dict[str, Any]) -> list[Any]:
    final = agent["status"] in FINAL_AGENT
    return [keys.agent(UUID(agent["id"])), agent["version"], _text(_versioned(agent)), final, False, "", False]


def queue_score(priority: int, created_at: str) -> float:
    """Lower is served first: by priority, then by age in milliseconds. Exact in a double."""
    return (10 - priority) * 1e13 + int(datetime.fromisoformat(created_at).timestamp() * 1000)


def _versioned(row: dict[str, Any]) -> dict[str, Any]:
    return {"version": row["version"], **row}


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


async def _picture(db: Database, workspace_id: UUID, ttl: int) -> AsyncIterator[list[list[Any]]]:
    """Batches of the rows that belong in the picture: the open ones, and what ended a short while ago."""
    for table, made in (("tasks", _task_row), ("agents", _agent_row)):
        last = UUID(int=0)
        while True:
            rows = await db.read(
                workspace_id,
                f"SELECT {table[:-1]}_json(r) FROM {table} r WHERE workspace_id = %s AND id > %s "  # noqa: S608
                "AND (finished_at IS NULL OR finished_at > now() - make_interval(secs => %s)) ORDER BY id LIMIT 1000",
                (workspace_id, last, ttl),
            )
            if not rows:
                break
            yield [made(row[0]) for row in rows]
            last = UUID(rows[-1][0]["id"])


async def _row(db: Database, kind: str, workspace_id: UUID, row_id: UUID) -> list[Any] | None:
    made = _task_row if kind == "task" else _agent_row
    rows = await db.read(
        workspace_id,
        f"SELECT {kind}_json(r) FROM {kind}s r WHERE workspace_id = %s AND id = %s",  # noqa: S608
        (workspace_id, row_id),
    )
    return made(rows[0][0]) if rows else None


async def _rows_of(db: Database, workspace_id: UUID, batch: Sequence[dict[str, Any]]) -> list[list[Any]]:
    """The rows that these events speak of, as they are now."""
    found = await db.read(
        workspace_id,
        "SELECT "
        "(SELECT coalesce(jsonb_agg(task_json(t)), '[]') FROM tasks t WHERE workspace_id = %s AND id = ANY (%s)), "
        "(SELECT coalesce(jsonb_agg(agent_json(a)), '[]') FROM agents a WHERE workspace_id = %s AND id = ANY (%s))",
        (workspace_id, [UUID(event["task_id"]) for event in batch],
         workspace_id, [UUID(event["agent_id"]) for event in batch if event["agent_id"]]),
    )  # fmt: skip
    tasks, agents = found[0]
    return [_task_row(task) for task in tasks] + [_agent_row(agent) for agent in agents]
