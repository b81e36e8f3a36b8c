"""One whole Muster in a throw-away home: servers, API and worker, each a process, as `muster up` runs them."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import psycopg

from benchmarks import usage
from benchmarks.bare.program import Program as BareProgram
from benchmarks.fleet import Fleet
from muster.domain.ids import DEFAULT_WORKSPACE
from muster.services import probes
from muster.services.addresses import Addresses
from muster.services.child import Child, Program
from muster.services.stack import Stack
from muster.settings import Settings
from muster.storage import access, migrations

CHECKOUT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results"
AGENTS = 2000  # no row is to wait for a slot
FORBIDDEN = ("MUSTER_", "TEMPORAL_", "VALKEY_", "DATABASE_URL", "MAX_CONCURRENT_AGENTS", "PG")


# What a workspace starts with would refuse a generator that is as fast as it can be.
_UNLIMITED = f"""
BEGIN;
SET LOCAL ROLE muster_app;
SET LOCAL app.current_workspace_id = '{DEFAULT_WORKSPACE}';
UPDATE workspaces SET requests_per_second = 100000, max_waiting_tasks = 1000000 WHERE id = '{DEFAULT_WORKSPACE}';
COMMIT;
"""


_WITHOUT_RLS = """
DO $$ DECLARE t regclass; BEGIN
    FOR t IN SELECT oid FROM pg_class WHERE relrowsecurity LOOP
        EXECUTE format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', t);
    END LOOP;
END $$
"""


class System:
    """`parts`: which of "api" and "worker" to run beside the servers; `variables`: more settings of theirs;
    `unguarded`: one that asks nobody for a key, on a database without row-level security."""

    def __init__(
        self,
        durability: str,
        *,
        parts: tuple[str, ...] = ("api", "worker"),
        variables: Mapping[str, str] | None = None,
        unguarded: bool = False,
    ) -> None:
        self._parts = parts
        self._variables = variables or {}
        self._unguarded = unguarded
        # Beside the checkout rather than in /tmp, which may be memory: a disk's speed is part of the answer.
        RESULTS.mkdir(exist_ok=True)
        self._folder = Path(tempfile.mkdtemp(prefix="home-", dir=RESULTS))
        self.settings = Settings(
            _env_file=None,  # type: ignore[call-arg]
            MUSTER_HOME=self._folder / "home",
            MUSTER_API_PORT=0,
            MUSTER_TEMPORAL_PORT=0,
            MUSTER_TEMPORAL_UI_PORT=0,
            MUSTER_VALKEY_PORT=0,
            MUSTER_TEMPORAL_DURABILITY=durability,
            MUSTER_SECRET_KEY=secrets.token_urlsafe(48),
            MAX_CONCURRENT_AGENTS=AGENTS,
        )
        self.key = ""
        """An administrator's."""
        self.stack = Stack(self.settings)
        self.addresses: Addresses
        self.api_port = 0
        self._bare: dict[str, Child] = {}
        self._fleets: list[Fleet] = []

    async def __aenter__(self) -> System:
        try:
            self.addresses = await self.stack.start()
            await migrations.migrate(self.addresses.database_owner_url, max_concurrent_agents=AGENTS)
            await self.sql(_UNLIMITED)
            self.key = await access.make_administrator_key(
                self.addresses.database_url, self._secret_key.encode(), "benchmarks"
            )
            if self._unguarded:
                await self.sql(_WITHOUT_RLS)
            for part in self._parts:
                await self.start(part)
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def _stop(self) -> None:
        for fleet in self._fleets:
            await fleet.close()
        for child in self._bare.values():
            await child.stop()
        await self.stack.stop()
        if (self._folder / "home" / "logs").is_dir():
            shutil.copytree(self._folder / "home" / "logs", RESULTS / "logs", dirs_exist_ok=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _secret_key(self) -> str:
        assert self.settings.secret_key
        return self.settings.secret_key.get_secret_value()

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(FORBIDDEN)}
        return {
            **kept,
            **self.addresses.environment(),
            "MUSTER_HOME": str(self.stack.home.path),
            "MUSTER_API_PORT": str(self.api_port),
            "MUSTER_SECRET_KEY": self._secret_key,
            "MAX_CONCURRENT_AGENTS": str(AGENTS),
            "MUSTER_LOG_LEVEL": "warning",
            "TEMPORAL_CONFIG_FILE": os.devnull,
            "PYTHONPATH": str(CHECKOUT),
            "PYTHONUNBUFFERED": "1",
            **self._variables,
        }

    async def start(self, part: str) -> None:
        """ "api" or "worker", through the command a server would run."""
        if part == "api" and not self.api_port:
            self.api_port = self.stack.claims.claim(0, "MUSTER_API_PORT")
        await self.stack.add(
            Program(
                name=part,
                title=f"the {part}",
                argv=[sys.executable, "-P", "-m", self._module(part), part],
                env=self.environment(),
                log=self.stack.home.log(part),
                probe=self._api_answers if part == "api" else self._worker_polls,
                cwd=str(self._folder),
                stop_seconds=20.0,
            )
        )

    def _module(self, part: str) -> str:
        return "benchmarks.bare.unguarded" if self._unguarded and part == "api" else "muster.cli"

    async def stop(self, part: str) -> None:
        await self.stack.children.pop(part).stop()

    async def restart(self, part: str) -> None:
        await self.stop(part)
        await self.start(part)

    def kill(self, part: str) -> None:
        """As a crash would. Its supervisor starts it again."""
        pid = self.pid(part)
        os.kill(pid, signal.SIGKILL)

    async def _api_answers(self) -> None:
        await probes.http_ready("127.0.0.1", self.api_port)

    async def _worker_polls(self) -> None:
        settings = self.settings
        await probes.has_poller(
            self.stack.ports["temporal_ui"], settings.temporal_namespace, settings.temporal_task_queue
        )

    async def fleet(self) -> Fleet:
        """A client of the API that follows its events."""
        fleet = Fleet("127.0.0.1", self.api_port, self.key)
        self._fleets.append(fleet)
        await fleet.follow()
        return fleet

    async def bare_program(self) -> BareProgram:
        """The bare program, its worker in a process of its own."""
        if "bare worker" not in self._bare:
            ready = self._folder / "bare-worker-ready"
            arguments = [self.addresses.temporal, self.addresses.temporal_namespace, str(ready)]

            async def polls() -> None:
                if not ready.exists():
                    raise ConnectionError("not yet")

            await self._run_bare("bare worker", ["-m", "benchmarks.bare.worker", *arguments], polls)
        return await BareProgram.connect(self.addresses)

    async def bare_api(self) -> int:
        """The bare FastAPI app; answers its port."""
        port = self.stack.claims.claim(0, "")

        async def answers() -> None:
            await probes.http_ready("127.0.0.1", port, "/healthz")

        arguments = [str(port), self.addresses.database_url, self.addresses.valkey_url]
        await self._run_bare("bare api", ["-m", "benchmarks.bare.api", *arguments], answers)
        return port

    async def _run_bare(self, name: str, arguments: list[str], probe: object) -> None:
        child = Child(
            Program(
                name=name,
                title=f"the {name}",
                argv=[sys.executable, "-P", *arguments],
                env=self.environment(),
                log=self.stack.home.log(name.replace(" ", "-")),
                probe=probe,  # type: ignore[arg-type]
                cwd=str(self._folder),
            )
        )
        self._bare[name] = child
        await child.start()

    def pid(self, part: str) -> int:
        child = self.stack.children.get(part) or self._bare[part]
        assert child.pid is not None, f"{part} is not running"
        return child.pid

    def costs(self) -> dict[str, float]:
        """CPU seconds so far by process. A worker's children are its agents, and what watches over them."""
        found: dict[str, float] = {"generator": usage.own_seconds(os.getpid())}
        for name, child in {**self.stack.children, **self._bare}.items():
            if child.pid is None:
                continue
            all_of_it = usage.seconds(usage.tree(child.pid))
            if name == "worker":
                found[name] = usage.own_seconds(child.pid)
                found["agents"] = all_of_it - found[name]
            else:
                found[name] = all_of_it
        return found | {"machine": usage.machine_seconds()}

    async def sql(self, statement: str) -> list[tuple[object, ...]]:
        async with await psycopg.AsyncConnection.connect(
            self.addresses.database_owner_url, autocommit=True
        ) as connection:
            cursor = await connection.execute(statement.encode())
            return await cursor.fetchall() if cursor.description else []
