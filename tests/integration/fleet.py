"""A whole Muster as people run it, fleets of tasks whose ends are known beforehand, and what must hold afterwards."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import redis.asyncio
from temporalio.client import Client

from muster.domain.ids import DEFAULT_WORKSPACE
from muster.services import runtime
from muster.services.home import Home
from muster.settings import Settings
from tests.pace import Stopwatch
from tests.services import cluster
from tests.services.conftest import Muster, eventually, processes_of

_ENTER = "SELECT set_config('role', 'muster_app', false), set_config('app.current_workspace_id', %(workspace)s, false)"

FINAL = ("completed", "failed")
ENDED = ("agent.completed", "agent.failed", "agent.killed")


class System:
    """One Muster in a throw-away home, started as a person would."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.muster = Muster(self.home, **variables)
        self._settings: Settings | None = None
        self._client: Client | None = None
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._one_asks = asyncio.Lock()

    async def start(self) -> None:
        await asyncio.to_thread(cluster.seed, self.home)
        started = await asyncio.to_thread(self.muster, "start")
        assert started.returncode == 0, started.stderr
        self._client = None
        self._settings = runtime.resolve(Settings(_env_file=None, MUSTER_HOME=self.home))

    async def stop(self) -> None:
        if self._connection:
            await self._connection.close()
        await asyncio.to_thread(self.muster, "stop")

    @property
    def settings(self) -> Settings:
        assert self._settings
        return self._settings

    @property
    def url(self) -> str:
        return self.record.api

    @property
    def authorization(self) -> dict[str, str]:
        """As the administrator that `start` made."""
        return {"Authorization": f"Bearer {Home(self.home).admin_file.read_text().strip()}"}

    @property
    def record(self) -> runtime.Record:
        record = runtime.read(self.settings)
        assert record
        return record

    def pid(self, child: str) -> int:
        pid = self.record.children[child].pid
        assert pid
        return pid

    def kill(self, child: str) -> None:
        os.kill(self.pid(child), 9)

    def cli(self, *arguments: str) -> str:
        done = self.muster(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    async def sql(self, statement: str, *params: Any) -> list[tuple[Any, ...]]:
        """As the default workspace sees it: row-level security holds for everybody."""
        async with self._one_asks:
            connection = await self._connected()
            cursor = await connection.execute(statement.encode(), params or None)
            return await cursor.fetchall() if cursor.description else []

    async def _connected(self) -> psycopg.AsyncConnection[Any]:
        """The same for as long as it lasts: to make one costs both sides ten times what a question does, and most are
        asked again and again."""
        if self._connection:
            try:
                await asyncio.wait_for(self._connection.execute("SELECT 1"), 3)
                return self._connection
            except (psycopg.OperationalError, TimeoutError):
                await self._connection.close()
                self._connection = None
        assert self.settings.database_url
        url = self.settings.database_url.get_secret_value()
        connection = await psycopg.AsyncConnection.connect(url, autocommit=True, connect_timeout=3)
        await connection.execute(_ENTER, {"workspace": str(DEFAULT_WORKSPACE)})
        self._connection = connection
        return connection

    async def position(self) -> int:
        rows = await self.sql("SELECT position FROM workspace_log WHERE workspace_id = %s", DEFAULT_WORKSPACE)
        position: int = rows[0][0]
        return position

    async def temporal(self) -> Client:
        if self._client is None:
            self._client = await Client.connect(
                str(self.settings.temporal_address), namespace=self.settings.temporal_namespace
            )
        return self._client

    async def count(self, query: str) -> int:
        found = await (await self.temporal()).count_workflows(f"MusterWorkspace = '{DEFAULT_WORKSPACE}' AND {query}")
        return found.count

    @asynccontextmanager
    async def valkey(self) -> AsyncIterator[redis.asyncio.Redis]:
        client = redis.asyncio.Redis.from_url(str(self.settings.external_valkey_url), decode_responses=True)
        try:
            yield client
        finally:
            await client.aclose()

    @asynccontextmanager
    async def api(self) -> AsyncIterator[httpx.AsyncClient]:
        limits = httpx.Limits(max_connections=200)
        async with httpx.AsyncClient(
            base_url=self.url, headers=self.authorization, timeout=120, limits=limits, trust_env=False
        ) as client:
            yield client


@asynccontextmanager
async def a_system(**variables: str) -> AsyncIterator[System]:
    """Leaves no process and no file behind, and says so when it would have."""
    folder = Path(tempfile.mkdtemp(prefix="muster-fleet-"))
    system = System(folder, **variables)
    try:
        await system.start()
        yield system
    finally:
        await system.stop()
        left = {pid: _command_line(pid) for pid in processes_of(folder)}
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, 9)
        shutil.rmtree(folder)
    assert left == {}, "processes outlived their Muster"


def _command_line(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:200]
    return "?"


@dataclass
class Expected:
    """A task, and how it must end."""

    spec: dict[str, Any]
    status: str = "completed"
    reason: str | None = None
    attempts: int | None = None
    """None: not known where workers die."""
    lines: int = 0
    """How often its command must run to its end."""
    after: list[Expected] = field(default_factory=list)
    parent: Expected | None = None
    id: str = ""


class Fleet:
    """Tasks that note in a file when their command has run to its end: `task attempt`."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.folder = system.folder / f"fleet-{uuid4().hex[:8]}"
        self.folder.mkdir()
        self.done = self.folder / "done"
        self.done.touch()
        self.tasks: list[Expected] = []
        self._names = Counter[str]()

    # -- What it is made of -------------------------------------------------------------------------------------

    @property
    def hold(self) -> Path:
        """While it is there, no command comes to its end."""
        return self.folder / "hold"

    def script(self, seconds: float, before: str = "") -> list[str]:
        """Works for a while, waits while the fleet is held, notes that it was here."""
        line = f'echo "$MUSTER_TASK_ID $MUSTER_ATTEMPT" >> {self.done}'
        return ["sh", "-c", f"{before} sleep {seconds}; while [ -e {self.hold} ]; do sleep 0.5; done; {line}"]

    def failing_once(self, seconds: float) -> list[str]:
        mark = f"{self.folder}/$MUSTER_TASK_ID"
        return self.script(seconds, f"if [ ! -e {mark} ]; then touch {mark}; exit 1; fi;")

    def add(
        self,
        kind: str,
        argv: list[str] | None,
        *,
        status: str = "completed",
        reason: str | None = None,
        attempts: int | None = None,
        after: Iterable[Expected] = (),
        parent: Expected | None = None,
        retry: int | None = None,
        runner: dict[str, Any] | None = None,
        lines: int | None = None,
        **spec: Any,
    ) -> Expected:
        self._names[kind] += 1
        spec = {"title": f"{kind} {self._names[kind]}", "labels": [self.folder.name, kind], **spec}
        if argv:
            spec["runner"] = {"kind": "command", "argv": argv, "env": {"FLEET": str(self.folder)}, **(runner or {})}
        if retry:
            spec["retry"] = {"max_attempts": retry, "initial_seconds": 0.1, "factor": 1}
        expected = Expected(spec, status, reason, attempts, after=list(after), parent=parent)
        expected.lines = (1 if argv and status == "completed" else 0) if lines is None else lines
        self.tasks.append(expected)
        return expected

    async def submit(self, at_once: int = 16) -> None:
        """All of it, in parallel, each task with a key of its own: sent again for as long as it is not answered."""
        gate = asyncio.Semaphore(at_once)
        sent = {id(task): asyncio.Event() for task in self.tasks}

        async def send(task: Expected) -> None:
            for earlier in (*task.after, *([task.parent] if task.parent else [])):
                await sent[id(earlier)].wait()
            spec = {**task.spec}
            if task.after:
                spec["depends_on"] = [earlier.id for earlier in task.after]
            if task.parent:
                spec["parent_id"] = task.parent.id
            async with gate:
                task.id = (await self._post(spec))["id"]
            sent[id(task)].set()

        self._client = None
        try:
            async with asyncio.TaskGroup() as group:
                for task in self.tasks:
                    group.create_task(send(task))
        finally:
            if self._client is not None:
                await self._client.aclose()

    _client: httpx.AsyncClient | None = None

    async def _post(self, spec: dict[str, Any]) -> dict[str, Any]:
        headers = {"Idempotency-Key": f"{self.folder.name}/{spec['title'].replace(' ', '-')}"}
        waited = Stopwatch()
        while True:
            if self._client is None:
                self._client = httpx.AsyncClient(
                    base_url=self.system.url, headers=self.system.authorization, timeout=120, trust_env=False
                )
            try:
                answer = await self._client.post("/v1/tasks", json=spec, headers=headers)
            except httpx.HTTPError:
                assert not waited.passed(60), "the API did not come back"
            else:
                if answer.status_code in (200, 201):
                    task: dict[str, Any] = answer.json()
                    return task
                assert answer.headers["content-type"] == "application/problem+json", (answer, answer.text)
                assert answer.json()["retryable"], answer.text
                assert not waited.passed(60), answer.text
            await asyncio.sleep(0.1)

    # -- How it goes --------------------------------------------------------------------------------------------

    @property
    def ids(self) -> list[str]:
        return [task.id for task in self.tasks]

    async def rows(self, what: str = "status") -> list[tuple[Any, ...]]:
        return await self.system.sql(f"SELECT {what} FROM tasks WHERE id = ANY (%s::uuid[]) ORDER BY id", self.ids)

    async def in_full_swing(self, cap: int) -> None:
        """Submits it, and returns when some have ended, some run and some wait, however slow the machine is."""
        self.hold.touch()
        await self.submit()
        await self._until(completed=0, running=cap)
        self.release()
        await self._until(completed=3, running=1)

    async def _until(self, *, completed: int, running: int) -> None:
        async def swinging() -> None:
            found = await self.system.sql(
                "SELECT count(*) FILTER (WHERE t.status = 'completed'), count(*) FILTER (WHERE a.status = 'running'), "
                "count(*) FILTER (WHERE t.queued_at IS NOT NULL) "
                "FROM tasks t LEFT JOIN agents a ON a.id = t.agent_id WHERE t.id = ANY (%s::uuid[])",
                self.ids,
            )
            assert found[0][0] >= completed, found
            assert found[0][1] >= running, found
            assert found[0][2] > 0, found

        await eventually(swinging, 30)

    async def held(self) -> None:
        """From here on nothing comes to its end, and what had is recorded."""
        self.hold.touch()

        async def recorded() -> None:
            before = self.done.read_text().count("\n")
            await asyncio.sleep(0.3)
            rows = await self.system.sql(
                "SELECT count(*) FROM agents WHERE task_id = ANY (%s::uuid[]) AND status = 'completed'", self.ids
            )
            assert (rows[0][0], self.done.read_text().count("\n")) == (before, before)

        await eventually(recorded)

    def release(self) -> None:
        self.hold.unlink(missing_ok=True)

    async def over(self, seconds: float = 40.0) -> None:
        """Until every task has ended, whatever is down meanwhile."""

        async def ended() -> None:
            rows = await self.rows("status::text, id::text, title, reason::text")
            assert len(rows) == len(self.tasks)
            assert [row for row in rows if row[0] not in FINAL] == []

        await eventually(ended, seconds)

    async def ended_right(self) -> None:
        """Every task as expected; each command that was to end did so once."""
        rows = await self.rows("id::text, status::text, reason::text, attempts, error")
        found = {row[0]: row[1:] for row in rows}
        wrong = [
            (task.spec["title"], found[task.id])
            for task in self.tasks
            if found[task.id][:2] != (task.status, task.reason)
            or (task.attempts is not None and found[task.id][2] != task.attempts)
        ]
        assert wrong == []
        assert len(found) == len(self.tasks)
        lines = Counter(line.split()[0] for line in self.done.read_text().splitlines())
        twice = {task.spec["title"]: lines[task.id] for task in self.tasks if lines[task.id] != task.lines}
        assert twice == {}
        assert processes_of(self.folder) == []


class Witness:
    """An SSE client that comes back with Last-Event-ID whenever it loses its connection."""

    def __init__(self, system: System, on_event: Callable[[dict[str, Any]], Awaitable[None]] | None = None) -> None:
        self.system = system
        self.start = 0
        self.ids: list[int] = []
        self.events: list[dict[str, Any]] = []
        self.connections = 0
        self._on_event = on_event
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Witness:
        self.start = await self.system.position()
        self._task = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task
        if self._task.done():
            self._task.result()
        self._task.cancel()
        await asyncio.wait({self._task})

    @property
    def last(self) -> int:
        return self.ids[-1] if self.ids else self.start

    async def _follow(self) -> None:
        while True:
            timeout = httpx.Timeout(5.0, read=12.0)
            with suppress(httpx.HTTPError, AssertionError):
                async with httpx.AsyncClient(
                    base_url=self.system.url, headers=self.system.authorization, timeout=timeout, trust_env=False
                ) as client:
                    await self._connection(client)
            await asyncio.sleep(0.1)

    async def _connection(self, client: httpx.AsyncClient) -> None:
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(self.last)}
        async with client.stream("GET", "/v1/events", headers=headers) as answer:
            if answer.status_code != 200:
                return
            self.connections += 1
            number = None
            async for line in answer.aiter_lines():
                if line.startswith("id: "):
                    number = int(line[4:])
                elif line.startswith("data: ") and number is not None:
                    self.ids.append(number)
                    event = json.loads(line[6:])
                    assert event["position"] == number
                    self.events.append(event)
                    number = None
                    if self._on_event:
                        await self._on_event(event)

    async def saw_everything(self) -> None:
        """All positions, each once and in order, once it has caught up."""
        end = await self.system.position()

        async def caught_up() -> None:
            assert self.last >= end

        await eventually(caught_up, 15)
        assert self.ids[: end - self.start] == list(range(self.start + 1, end + 1))


async def picture_is_right(system: System, seconds: float = 10.0) -> None:
    """Valkey holds what Postgres says: every row at its version, the queues, the position of the log."""

    async def the_same() -> None:
        rows = {
            f"orchestrator:{kind}:{row_id}": row
            for kind in ("task", "agent")
            for row_id, row in await system.sql(f"SELECT id::text, {kind}_json(t) FROM {kind}s t")
        }
        waiting = {
            row[0] for row in await system.sql("SELECT id::text FROM tasks WHERE queued_at IS NOT NULL")
        }  # fmt: skip
        async with system.valkey() as valkey:
            keys = [key for kind in ("task", "agent") async for key in valkey.scan_iter(f"orchestrator:{kind}:*")]
            assert set(keys) == set(rows)
            values: Any = await valkey.mget(sorted(keys)) if keys else []
            pairs = zip(sorted(keys), values, strict=True)
            wrong = {key: text for key, text in pairs if json.loads(text) != rows[key]}
            assert wrong == {}
            queue: Any = await valkey.zrange(f"orchestrator:queue:{DEFAULT_WORKSPACE}", 0, -1)
            assert set(queue) == waiting
            assert await valkey.get(f"orchestrator:log:{DEFAULT_WORKSPACE}") == str(await system.position())
            assert not await valkey.exists(f"orchestrator:log:{DEFAULT_WORKSPACE}:early")

    try:
        await eventually(the_same, seconds)
    except AssertionError as error:
        told = (system.home / "logs" / "worker.log").read_text().splitlines()
        error.add_note("\n".join(line for line in told if "Valkey" in line)[-3000:])
        raise


async def log_is_sound(system: System, since: int = 0) -> None:
    """Gapless, every event once, versions that only grow, every life in the order of its states."""
    rows = await system.sql(
        "SELECT position, id, type::text, task_id::text, agent_id::text, attempt, data FROM events "
        "WHERE workspace_id = %s AND position > %s ORDER BY position",
        DEFAULT_WORKSPACE,
        since,
    )
    assert [row[0] for row in rows] == list(range(since + 1, since + 1 + len(rows)))
    assert len({row[1] for row in rows}) == len(rows)
    versions: dict[str, int] = {}
    lives: dict[str, list[str]] = {}
    for _, _, kind, task_id, agent_id, _, data in rows:
        entity = agent_id if kind.startswith("agent.") else task_id
        assert data["version"] > versions.get(entity, 0), (kind, entity)
        versions[entity] = data["version"]
        if kind.startswith("agent."):
            lives.setdefault(entity, []).append(kind)
    for agent_id, life in lives.items():
        assert life[0] == "agent.spawned", (agent_id, life)
        assert life[-1] in ENDED, (agent_id, life)
        assert life[1:-1] in ([], ["agent.running"]), (agent_id, life)


async def recorded_so_far(system: System) -> int:
    rows = await system.sql("SELECT coalesce(max(id), 0) FROM activity_log")
    last: int = rows[0][0]
    return last


async def slots_were_used(system: System, cap: int, since: int = 0) -> int:
    """After each transaction: never more agents than the cap, and fewer only when nobody waited. Returns the most."""
    rows = await system.sql(
        "SELECT action::text, entity_id::text, xmin::text FROM activity_log WHERE workspace_id = %s AND id > %s "
        "ORDER BY id",
        DEFAULT_WORKSPACE,
        since,
    )
    active: set[str] = set()
    waiting: set[str] = set()
    most = 0
    for number, (action, entity, transaction) in enumerate(rows):
        if action == "task_queued":
            waiting.add(entity)
        elif action in ("task_assigned", "task_failed"):
            waiting.discard(entity)
        elif action == "agent_spawned":
            active.add(entity)
        elif action in ("agent_completed", "agent_failed", "agent_killed"):
            active.remove(entity)
        last_of_its_transaction = number + 1 == len(rows) or rows[number + 1][2] != transaction
        if last_of_its_transaction:
            most = max(most, len(active))
            assert len(active) <= cap, (number, action)
            assert len(active) == cap or not waiting, (number, action, len(active), len(waiting))
    assert (active, waiting) == (set(), set())
    return most


async def is_healthy(system: System) -> None:
    async def well() -> None:
        done = await asyncio.to_thread(system.muster, "status")
        assert done.returncode == 0, done.stdout

    await eventually(well, 15, every=0.5)


async def nothing_runs(system: System) -> None:
    """In Temporal, once its visibility has caught up."""

    async def none() -> None:
        assert await system.count("ExecutionStatus = 'Running'") == 0

    await eventually(none, 15)
