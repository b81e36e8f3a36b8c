"""The compose file's servers without an engine: the same roles, passwords, scripts and flags, on loopback."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from muster.services import binaries, probes
from muster.services.child import Child
from muster.services.home import Home
from muster.services.ports import free_port
from muster.services.postgres import Postgres
from muster.services.temporal import Temporal
from muster.services.valkey import Valkey
from muster.storage import access
from tests.pace import patience
from tests.services import cluster
from tests.services.conftest import nobody_left, processes_of, with_us

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PATIENCE = 60.0
"""Far more than anything here takes: on a busy machine several suites start servers at once."""
VARIABLE = re.compile(r"\$\{([A-Z_]+)(?::([?-])([^}]*))?\}")


def interpolate(text: str, given: Mapping[str, str]) -> str:
    """${NAME:?why} and ${NAME:-default}, as Compose fills them in."""

    def value(match: re.Match[str]) -> str:
        name, kind, rest = match.groups()
        if name in given:
            return given[name]
        assert kind == "-", f"{name} has no default and is not set"
        return rest or ""

    return VARIABLE.sub(value, text)


class Servers:
    """PostgreSQL with passwords on TCP, Valkey with a password, Temporal with a namespace made by the script."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        names = re.findall(r"^([A-Z_]+)=$", (ROOT / "deploy/env.example").read_text(), re.MULTILINE)
        self.secrets = {name: secrets.token_hex(24) for name in names}
        self.ports = {name: free_port() for name in ("postgres", "valkey", "temporal", "ui", "embedder")}
        self.key = ""
        """An administrator's, once the schema is there."""
        # A process reads its settings from a file in its folder, too: there must be none.
        self.cwd = folder / "cwd"

    @property
    def temporal(self) -> str:
        return f"127.0.0.1:{self.ports['temporal']}"

    @property
    def authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    @property
    def plain_environment(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"
        return {"PATH": path, "HOME": str(self.folder), "TEMPORAL_CONFIG_FILE": os.devnull, "PYTHONPATH": str(ROOT)}

    def environment(self, service: str) -> dict[str, str]:
        """What the compose file gives this service, with this machine's addresses in place of the network's."""
        found = {
            name: interpolate(str(value), self.secrets) for name, value in SERVICES[service]["environment"].items()
        }
        if "DATABASE_URL" in found:
            found["VALKEY_PORT"] = str(self.ports["valkey"])
            found["MUSTER_TEMPORAL_UI_URL"] = f"http://127.0.0.1:{self.ports['ui']}"
            found["MUSTER_HOME"] = str(self.folder / "home")
        for name, value in found.items():
            value = value.replace("@postgres:5432", f"@127.0.0.1:{self.ports['postgres']}")
            value = value.replace("temporal:7233", self.temporal)
            value = value.replace("embedder:8701", f"127.0.0.1:{self.ports['embedder']}")
            found[name] = "127.0.0.1" if value in ("valkey", "0.0.0.0") else value  # noqa: S104 - replaced, not bound
        return self.plain_environment | found

    def here(self, arguments: list[str]) -> list[str]:
        """A command of the compose file, on loopback and a port of ours."""
        ours = {"0.0.0.0": "127.0.0.1", "8701": str(self.ports["embedder"])}  # noqa: S104 - replaced, not bound
        return [ours.get(argument, argument) for argument in arguments]

    async def start(self, stack: AsyncExitStack) -> None:
        self.cwd.mkdir()
        home = Home(self.folder / "servers")
        home.create()
        await asyncio.gather(
            self._postgres(stack, home),
            self._valkey(stack, home),
            self._temporal(stack, home),
        )

    async def _postgres(self, stack: AsyncExitStack, home: Home) -> None:
        await asyncio.to_thread(cluster.seed, home.path, migrated=False)
        server, port = Postgres(home, dict(os.environ)), self.ports["postgres"]
        program = await server.prepare()
        stack.callback(server.clean)
        rules = home.path / "postgres/data/pg_hba.conf"
        rules.write_text("local all postgres trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        url = f"postgresql://postgres@/postgres?host={server.socket}&port={port}"
        more = ["-p", str(port), "-c", "listen_addresses=127.0.0.1"]
        program = dataclasses.replace(program, argv=[*program.argv, *more], probe=lambda: probes.postgres(url))
        await self._run(stack, Child(program))
        # What the wheel's cluster has from the start; the image's has not.
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            await connection.execute("DROP DATABASE muster")
            await connection.execute("DROP ROLE muster")
            await connection.execute("CREATE DATABASE bare TEMPLATE template0")
            await connection.execute("ALTER DATABASE template1 IS_TEMPLATE false")
            await connection.execute("ALTER DATABASE template1 RENAME TO with_vector")
            await connection.execute("ALTER DATABASE bare RENAME TO template1")
        await self.script(
            "deploy/postgres-init.sh",
            {**self.secrets, "POSTGRES_USER": "postgres", "PGHOST": str(server.socket), "PGPORT": str(port)},
            path=binaries.postgres_bin(),
        )

    async def _valkey(self, stack: AsyncExitStack, home: Home) -> None:
        program = await Valkey(home, dict(os.environ), self.ports["valkey"]).prepare()
        # The image's own command line, in a folder and on a port of ours.
        flags = [interpolate(flag, self.secrets) for flag in SERVICES["valkey"]["command"][1:]]
        argv = [program.argv[0], *flags, "--bind", "127.0.0.1", "--port", str(self.ports["valkey"])]
        url = f"redis://:{self.secrets['VALKEY_PASSWORD']}@127.0.0.1:{self.ports['valkey']}/0"
        argv += ["--dir", str(home.path / "valkey")]
        await self._run(stack, Child(dataclasses.replace(program, argv=argv, probe=lambda: probes.valkey(url))))

    async def _temporal(self, stack: AsyncExitStack, home: Home) -> None:
        server = Temporal(
            home, dict(os.environ), port=self.ports["temporal"], ui_port=self.ports["ui"],
            namespace="unused", durability="normal",
        )  # fmt: skip
        program = await server.prepare()
        argv = program.argv
        while "--search-attribute" in argv:  # the script makes them
            at = argv.index("--search-attribute")
            argv = argv[:at] + argv[at + 2 :]
        await self._run(stack, Child(dataclasses.replace(program, argv=argv)))
        await self.script("deploy/temporal-namespace.sh", self.environment("temporal-namespace"))

    async def _run(self, stack: AsyncExitStack, child: Child) -> None:
        await child.start(PATIENCE)
        stack.push_async_callback(child.stop)

    async def script(self, name: str, env: Mapping[str, str], path: Path | None = None) -> str:
        found = self.plain_environment | env
        if path:
            found["PATH"] = f"{path}:{found['PATH']}"
        return await self._finish(await self._process(["/bin/sh", str(ROOT / name)], found))

    async def muster(self, service: str, *arguments: str, **changes: str) -> asyncio.subprocess.Process:
        """`arguments` after the image's entry point, in the service's environment."""
        argv = [sys.executable, "-m", "muster.cli", *arguments]
        return await self._process(argv, self.environment(service) | changes)

    async def _process(self, argv: list[str], env: Mapping[str, str]) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *with_us(*argv),
            env=dict(env),
            cwd=self.cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    async def _finish(self, process: asyncio.subprocess.Process, seconds: float = PATIENCE) -> str:
        async with patience(seconds):
            output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()
        return output.decode()


class Part:
    """One long-lived process, whose output goes to a file."""

    def __init__(self, servers: Servers, service: str, name: str, **changes: str) -> None:
        self._servers, self._service, self._changes = servers, service, changes
        self.log = servers.folder / f"{name}.log"
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    async def __aenter__(self) -> Part:
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *with_us(sys.executable, "-m", "muster.cli", *self._servers.here(SERVICES[self._service]["command"])),
                env=self._servers.environment(self._service) | self._changes,
                cwd=self._servers.cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        return self

    async def stop(self) -> int:
        """As `docker stop` does. Its exit code."""
        assert self._process
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        async with patience(PATIENCE):
            return await self._process.wait()

    async def __aexit__(self, *_: object) -> None:
        assert self._process
        try:
            await self.stop()
        finally:
            if self._process.returncode is None:
                self._process.kill()
                await self._process.wait()


async def _servers() -> AsyncIterator[Servers]:
    folder = Path(tempfile.mkdtemp(prefix="muster-deploy-"))
    servers = Servers(folder)
    try:
        async with AsyncExitStack() as stack:
            await servers.start(stack)
            yield servers
        await nobody_left(folder)
    finally:
        for pid in processes_of(folder):
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


servers = pytest.fixture(scope="session")(_servers)


@pytest.fixture(scope="session")
async def migrated(servers: Servers) -> Servers:
    process = await servers.muster("migrate", *SERVICES["migrate"]["command"])
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    assert "applied 0001_tenants" in output.decode()
    given = servers.environment("api")
    servers.key = await access.make_administrator_key(
        given["DATABASE_URL"], given["MUSTER_SECRET_KEY"].encode(), "tests"
    )
    return servers
