"""The runtime: the stack's children, the API and a worker, each restarted when it dies.

Nothing outlives it. An orderly end (Ctrl-C, SIGTERM, SIGHUP) stops the children in order; when the
supervisor itself is killed, the kernel ends them (see launch.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from pydantic import SecretStr

from muster.domain.version import VERSION
from muster.services import probes, runtime
from muster.services.addresses import Addresses
from muster.services.child import Program
from muster.services.errors import StartupError
from muster.services.stack import Stack, all_or_none
from muster.settings import Settings, mask

logger = logging.getLogger("muster.services")

Prepare = Callable[[Settings], Awaitable[bool]]


class Supervisor:
    """`prepare` brings the database up to date, between the stack's start and the API's, and says whether there are
    vectors of the embedded model in it."""

    def __init__(self, settings: Settings, prepare: Prepare) -> None:
        self._settings = settings
        self._prepare = prepare
        self._stack = Stack(settings, on_change=self._write)
        self._api_port = 0
        self._addresses: Addresses | None = None
        self._ready = False
        self._since = datetime.now(UTC).isoformat(timespec="seconds")
        self._stop = asyncio.Event()
        self._signals = 0

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    async def run(self, on_ready: Callable[[], Awaitable[None]]) -> None:
        """Start, call `on_ready`, stay until a signal, stop. A StartupError leaves nothing behind.

        `on_ready` may go on for as long as the runtime lives; it is cancelled at the end.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._on_signal)
        home = self._stack.home
        home.create()
        home.lock()
        try:
            starting = asyncio.create_task(self._start())
            stopping = asyncio.create_task(self._stop.wait())
            await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                starting.cancel()
                await asyncio.wait([starting])
            if not starting.cancelled():
                starting.result()
                showing = asyncio.ensure_future(on_ready())
                await stopping
                showing.cancel()
                await asyncio.wait([showing])
            stopping.cancel()
        finally:
            self._ready = False
            with contextlib.suppress(StartupError):
                self._write()
            await self._stack.stop(before_unlock=self._forget)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                loop.remove_signal_handler(number)

    def _on_signal(self) -> None:
        self._signals += 1
        self._stop.set()
        if self._signals > 1:  # somebody is in a hurry
            for child in self._stack.children.values():
                child.kill()

    async def _start(self) -> None:
        settings = self._settings
        if settings.secret_key is None:
            secret = SecretStr(self._stack.home.make_secret())
            settings = self._settings = settings.model_copy(update={"secret_key": secret})
        self._api_port = self._stack.claims.claim(settings.api_port, "MUSTER_API_PORT", host=settings.api_host)
        if settings.payload_keys:
            self._stack.codec = f"{self.record.api}/codec"
        self._write()
        self._addresses = await self._stack.start()
        embedded = await self._prepare(self._addresses.apply(settings))
        if embedded and not (settings.embeds_embedder or settings.embedder_url or settings.embeddings_url == "off"):
            # Their vectors are made anew by the model that is set; until then they are searched by this one.
            self._addresses = self._addresses.model_copy(update={"embedder_url": self._stack.keep_embedder()})
        await all_or_none([self._stack.add(self._api()), self._stack.add(self._worker())])
        await self._stack.launch_embedder()
        self._ready = True
        self._write()
        logger.info("Muster %s is ready at %s", VERSION, self.record.api)

    def _environment(self) -> dict[str, str]:
        env = dict(os.environ)
        if self._settings.embeds_temporal:
            # TLS, keys or a profile that were meant for another server must not reach the embedded one.
            env = {name: value for name, value in env.items() if not name.startswith("TEMPORAL_")}
            env["TEMPORAL_CONFIG_FILE"] = os.devnull
        assert self._addresses is not None and self._settings.secret_key is not None  # noqa: S101, PT018
        return {
            **env,
            **self._addresses.environment(),
            "MUSTER_HOME": str(self._stack.home.path),
            "MUSTER_API_HOST": self._settings.api_host,
            "MUSTER_API_PORT": str(self._api_port),
            "MUSTER_SECRET_KEY": self._settings.secret_key.get_secret_value(),
            "MUSTER_URL": self.record.api,  # where its agents find it
            "PYTHONUNBUFFERED": "1",
        }

    def _api(self) -> Program:
        host = self._settings.api_host
        local = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - reached, not bound
        return Program(
            name="api",
            title="the API",
            argv=_part("api"),
            env=self._environment(),
            log=self._stack.home.log("api"),
            probe=lambda: probes.http_ready(local, self._api_port),
            cwd=str(Path.cwd()),
            stop_seconds=8.0,
            beats=True,
        )

    def _worker(self) -> Program:
        return Program(
            name="worker",
            title="the worker",
            argv=_part("worker"),
            env=self._environment(),
            log=self._stack.home.log("worker"),
            probe=self._worker_polls,
            cwd=str(Path.cwd()),
            stop_seconds=20.0,
            beats=True,
        )

    async def _worker_polls(self) -> None:
        # An external Temporal may have no Web UI to ask, and other workers besides; there, running must do.
        if port := self._stack.ports.get("temporal_ui"):
            await probes.has_poller(port, self._settings.temporal_namespace, self._settings.temporal_task_queue)

    @property
    def record(self) -> runtime.Record:
        found, host = self._addresses, self._settings.api_host
        name = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "::1": "[::1]"}.get(host, host)  # noqa: S104
        return runtime.Record(
            pid=os.getpid(),
            started=runtime.process_start(os.getpid()) or "",
            home=str(self._stack.home.path),
            since=self._since,
            ready=self._ready,
            api=f"http://{name}:{self._api_port}",
            ports={"api": self._api_port, **self._stack.ports},
            versions={"muster": VERSION, **self._stack.versions},
            addresses=found
            and found.model_copy(
                update={
                    "database_url": mask(found.database_url),
                    "database_owner_url": mask(found.database_owner_url),
                    "valkey_url": mask(found.valkey_url),
                    "embeddings_url": mask(found.embeddings_url),
                    "embedder_url": mask(found.embedder_url),
                }
            ),
            children={
                name: runtime.ChildRecord(
                    pid=child.pid,
                    since=child.since.isoformat(timespec="seconds") if child.since else None,
                    restarts=child.restarts,
                    hangs=child.hangs,
                )
                for name, child in self._stack.children.items()
            },
        )

    def _write(self) -> None:
        try:
            runtime.write(self._stack.home, self.record)
        except OSError as error:
            if not self._ready:
                raise StartupError(f"cannot write {self._stack.home.runtime_file} ({error.strerror})") from None
            logger.error("cannot write %s: %s", self._stack.home.runtime_file, error)  # a full disk passes

    def _forget(self) -> None:
        record = runtime.read(self._settings)
        if record is None or record.pid == os.getpid():  # not the one of a Muster that began since
            self._stack.home.runtime_file.unlink(missing_ok=True)


def _part(name: str) -> list[str]:
    # -P: a folder named `api` where the user stands is not ours.
    return [sys.executable, "-P", "-m", "muster.cli", name]
