"""The embedded PostgreSQL: one cluster under MUSTER_HOME, reachable through a Unix socket only.

The socket's folder is 0700, so being able to open it is the authentication (`trust`). There is no TCP port.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
from pathlib import Path
from urllib.parse import quote

from muster.services import binaries, identity, probes
from muster.services.child import Program, run_to_end
from muster.services.errors import StartupError
from muster.services.home import Home, socket_folder

DATABASE = OWNER = "muster"
SUPERUSER = "postgres"
MAJOR = "18"
PORT = 5432  # names the socket file; no TCP port is opened

# Run once in single-user mode, before the cluster exists under its final name. template1 gets the
# extension, so that every database made later has it without a superuser.
BOOTSTRAP = (
    ("template1", "CREATE EXTENSION vector;\n"),
    (
        "postgres",
        # The owner grants itself the application's role, which it creates in a migration.
        f"CREATE ROLE {OWNER} LOGIN CREATEROLE CREATEDB;\n"
        f"ALTER ROLE {OWNER} SET createrole_self_grant = 'set, inherit';\n"
        f"CREATE DATABASE {DATABASE} OWNER {OWNER};\n",
    ),
)

# On the command line, not in postgresql.conf: an old cluster gets the settings of the Muster that runs it.
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "fsync": "on",
    "synchronous_commit": "on",
    "max_wal_size": "1GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
    # Tables are counted soon after their first rows: plans made while they were empty go through all of them.
    "autovacuum_naptime": "2s",
    "log_checkpoints": "off",
    "log_min_messages": "warning",
    "logging_collector": "off",
}


def shared_buffers() -> int:
    """In MB. A quarter of what the machine, or the container, has: a search among many reads some thousand pages here
    and there. They take memory only as they come to be used."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):  # none, or not in a container
            limits.append(int(Path("/sys/fs/cgroup", name).read_text()))
    return max(128, min(1024, min(limits) // 4 >> 20))


class Postgres:
    def __init__(self, home: Home, env: dict[str, str]) -> None:
        self._folder = home.path / "postgres"
        self._data = self._folder / "data"
        self._log = home.log("postgres")
        self._env = {k: v for k, v in env.items() if not k.startswith("PG")} | {"LC_ALL": "C", "TZ": "UTC"}
        self._bin = binaries.postgres_bin()
        self._socket = self._folder / "socket"
        self._identity: identity.Identity | None = None

    def url(self, user: str = OWNER, database: str = DATABASE) -> str:
        # With the port, since libpq would otherwise take PGPORT from whoever connects.
        return f"postgresql://{user}@/{database}?host={quote(str(self._socket), safe='/')}&port={PORT}"

    @property
    def socket(self) -> Path:
        return self._socket

    async def prepare(self) -> Program:
        """Make the cluster if there is none; nothing runs yet."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._identity = await identity.choose(self._folder, self._data, self._bin / "postgres")
        if self._folder.stat().st_uid != self._identity.uid:
            os.chown(self._folder, self._identity.uid, self._identity.gid)
        self._socket = socket_folder(self._folder / "socket", self._identity.uid, self._identity.gid)
        await self._initialise()
        return Program(
            name="postgres",
            title="PostgreSQL",
            argv=[
                str(self._bin / "postgres"), "-D", str(self._data), "-k", str(self._socket), "-p", str(PORT),
                "-c", f"shared_buffers={shared_buffers()}MB",
                *(part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")),
            ],
            env=self._env,
            log=self._log,
            probe=lambda: probes.postgres(self.url()),
            run_as=self._identity.run_as,
            stop_signal=signal.SIGINT,  # "fast": ends sessions, writes a checkpoint
            death_signal=signal.SIGQUIT,  # "immediate": ends its own children too; recovery mends the rest
            before_start=self._clear_the_way,
            hint="set MUSTER_HOME to start from an empty folder, or DATABASE_URL to use another server",
        )  # fmt: skip

    def clean(self) -> None:
        """Remove a socket folder that is not under the home."""
        if self._folder not in self._socket.parents:
            shutil.rmtree(self._socket, ignore_errors=True)

    async def _initialise(self) -> None:
        version = self._data / "PG_VERSION"
        if version.exists():
            found = version.read_text().strip()
            if found != MAJOR:
                raise StartupError(
                    f"{self._data} was made by PostgreSQL {found}, and this Muster brings {MAJOR}; "
                    "dump and restore it, or set MUSTER_HOME to another folder"
                )
            return
        # Made beside its final place and renamed when complete: a crash in between leaves no half cluster.
        new = self._folder / "data.new"
        shutil.rmtree(new, ignore_errors=True)
        if self._data.exists():
            if any(self._data.iterdir()):
                raise StartupError(f"{self._data} holds something that is no database; set MUSTER_HOME elsewhere")
            self._data.rmdir()
        await self._run(
            "initdb", "-D", str(new), "-U", SUPERUSER, "--auth=trust", "--encoding=UTF8",
            # Sorting that is the same on every machine, and case mapping that knows Unicode.
            "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
            "--sync-method=syncfs" if _is_linux() else "--sync-method=fsync",
        )  # fmt: skip
        for database, statements in BOOTSTRAP:
            await self._run(
                "postgres", "--single", "-D", str(new), "-c", "log_checkpoints=off", database, stdin=statements
            )
        new.rename(self._data)

    async def _run(self, program: str, *arguments: str, stdin: str = "") -> None:
        assert self._identity is not None  # noqa: S101
        argv = [str(self._bin / program), *arguments]
        code, text = await run_to_end(self._identity.run_as, argv, self._env, stdin=stdin)
        # Single-user mode ends with 0 even when a statement failed.
        if code != 0 or "ERROR:" in text:
            last = text.splitlines()[-1] if text else f"exit code {code}"
            telling = next((line for line in text.splitlines() if re.search("ERROR:|error:|FATAL:|PANIC:", line)), last)
            telling = telling[max(0, telling.find("FATAL:")) :]  # it writes when, and who, before that
            raise StartupError(
                f"cannot make the database under {self._data}: {telling}; set MUSTER_HOME or DATABASE_URL"
            )

    async def _clear_the_way(self) -> None:
        """End what a killed postmaster left, then drop its lock file.

        A killed postmaster's children live until they notice, and hold its shared memory for as long; and
        its postmaster.pid may by now name a stranger (after a reboot, in a container), which PostgreSQL
        takes for itself and refuses to start. We hold the home's lock, so whoever still stands in the data
        folder is such a leftover, and with them gone the file means nothing.
        """
        for attempt in range(100):
            left = self._processes()
            if not left:
                break
            for pid in left:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    # Time for the orphan of a killed supervisor to end by itself, with its files in order.
                    os.kill(pid, signal.SIGQUIT if attempt < 20 else signal.SIGKILL)
            await asyncio.sleep(0.05)
        else:
            raise StartupError(f"another PostgreSQL runs on {self._data} (pid {left[0]}); stop it, or set MUSTER_HOME")
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    def _processes(self) -> list[int]:
        """Whoever has the data folder as working directory: every PostgreSQL process does."""
        try:
            data = self._data.stat()
        except FileNotFoundError:
            return []
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                cwd = (entry / "cwd").stat()
                name = (entry / "comm").read_text()
            except OSError:
                continue
            if (cwd.st_dev, cwd.st_ino) == (data.st_dev, data.st_ino) and name.startswith("postgres"):
                found.append(int(entry.name))
        return found


def _is_linux() -> bool:
    return os.uname().sysname == "Linux"
