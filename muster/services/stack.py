"""Temporal, PostgreSQL, Valkey and the embedder: embedded where settings name no address, checked where they do.

async with Stack(settings) as addresses:
    settings = addresses.apply(settings)
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Collection, Coroutine
from functools import partial
from types import TracebackType
from typing import Any

from muster.services import probes
from muster.services.addresses import Addresses
from muster.services.child import START_SECONDS, Child, Program, trim_log
from muster.services.embedder import MODEL, Embedder
from muster.services.errors import StartupError
from muster.services.home import Home
from muster.services.ports import Claims
from muster.services.postgres import Postgres
from muster.services.temporal import Temporal
from muster.services.valkey import Valkey
from muster.settings import Settings, mask

EXTERNAL_SECONDS = 7.0  # leaves time to start and to stop what started beside it, within the 10 s we promise
STOP_ORDER = ("api", "worker", "temporal", "embedder", "valkey", "postgres")
TRIM_SECONDS = 30.0


class Stack:
    def __init__(self, settings: Settings, on_change: Callable[[], None] | None = None) -> None:
        self.settings = settings
        self.home = Home(settings.home)
        self.claims = Claims()
        self.children: dict[str, Child] = {}
        self.ports: dict[str, int] = {}
        self.codec: str | None = None
        """Where the Web UI's pages have encrypted payloads opened; to be set before the start."""
        self._external_versions: dict[str, str] = {}
        self._on_change = on_change
        self._postgres: Postgres | None = None
        self._embedder: Embedder | None = None
        self._trimming: asyncio.Task[None] | None = None

    @property
    def versions(self) -> dict[str, str]:
        return self._external_versions | {name: child.version for name, child in self.children.items() if child.version}

    async def start(self) -> Addresses:
        """Either everything answers afterwards, or nothing is left running and a StartupError says why."""
        self.home.create()
        self.home.lock()
        try:
            return await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> Addresses:
        settings, env = self.settings, dict(os.environ)
        temporal: Temporal | None = None
        valkey: Valkey | None = None
        # All wheels and all ports before the first process.
        if settings.embeds_temporal:
            port = self.claims.claim(settings.temporal_port, "MUSTER_TEMPORAL_PORT")
            ui_port = self.claims.claim(settings.temporal_ui_port, "MUSTER_TEMPORAL_UI_PORT")
            self.ports |= {"temporal": port, "temporal_ui": ui_port}
            temporal = Temporal(
                self.home, env, port=port, ui_port=ui_port,
                namespace=settings.temporal_namespace, durability=settings.temporal_durability, codec=self.codec,
            )  # fmt: skip
        if settings.embeds_valkey:
            port = self.claims.claim(settings.embedded_valkey_port, "MUSTER_VALKEY_PORT", preferred=6379)
            self.ports |= {"valkey": port}
            valkey = Valkey(self.home, env, port)
        if settings.embeds_postgres:
            self._postgres = Postgres(self.home, env)
        if settings.embeds_embedder:
            if settings.embeddings_model != MODEL:
                raise StartupError(
                    f"MUSTER_EMBEDDINGS_MODEL={settings.embeddings_model} is not the embedded model: "
                    "set MUSTER_EMBEDDINGS_URL to who has it"
                )
            self.keep_embedder()

        mine = {"temporal": temporal, "postgres": self._postgres, "valkey": valkey}
        probes.load(name for name, service in mine.items() if service is None)
        jobs: list[Coroutine[Any, Any, None]] = []
        jobs.append(self._run(temporal.prepare()) if temporal else self._check_temporal())
        jobs.append(self._run(self._postgres.prepare()) if self._postgres else self._check_postgres())
        jobs.append(self._run(valkey.prepare()) if valkey else self._check_valkey())
        await all_or_none(jobs)
        self._trimming = asyncio.create_task(self._trim_logs(), name="trim logs")

        database = settings.database_url.get_secret_value() if settings.database_url else ""
        owner = settings.database_owner_url.get_secret_value() if settings.database_owner_url else database
        if self._postgres:
            database = owner = self._postgres.url()
        return Addresses(
            temporal=temporal.address if temporal else settings.temporal_address or "",
            temporal_ui=settings.temporal_ui_url or (temporal.ui if temporal else None),
            temporal_namespace=settings.temporal_namespace,
            database_url=database,
            database_owner_url=owner,
            valkey_url=valkey.url if valkey else settings.external_valkey_url or "",
            embeddings_url=self._embedder.url if self._embedder else settings.embeddings_url or "",
            embedder_url=settings.embedder_url or "",
        )

    def keep_embedder(self) -> str:
        """There will be one: where."""
        self.ports["embedder"] = self.claims.claim(0, "MUSTER_EMBEDDINGS_URL")
        self._embedder = Embedder(self.home, dict(os.environ), self.ports["embedder"])
        return self._embedder.url

    async def launch_embedder(self) -> None:
        """Not part of the start, which it would make a second longer: until it answers, words are enough."""
        if self._embedder:
            program = self._embedder.prepare()
            child = self.children[program.name] = Child(program, self._on_change)
            await child.launch()

    async def check(self, needs: Collection[str]) -> None:
        """For one part alone, whose settings name every address: each needed server answers, or a StartupError."""
        checks = {
            "temporal": self._check_temporal,
            "postgres": self._check_postgres,
            "valkey": self._check_valkey,
        }
        needed = [name for name in checks if name in needs]
        probes.load(needed)
        await all_or_none([checks[name]() for name in needed])

    async def add(self, program: Program, timeout: float = START_SECONDS) -> None:
        """Run one more child, supervised like the rest."""
        child = Child(program, self._on_change)
        self.children[program.name] = child
        await child.start(timeout)

    async def _run(self, preparation: Awaitable[Program]) -> None:
        await self.add(await preparation)

    async def _check_postgres(self) -> None:
        settings = self.settings
        for name, url in (
            ("DATABASE_URL", settings.database_url),
            ("MUSTER_DATABASE_OWNER_URL", settings.database_owner_url),
        ):
            if url:
                probe = partial(probes.postgres, url.get_secret_value())
                version = await _answers("PostgreSQL", name, mask(url.get_secret_value()), probe)
                self._external_versions["postgres"] = version

    async def _check_valkey(self) -> None:
        url = self.settings.external_valkey_url or ""
        name = "VALKEY_URL" if self.settings.valkey_url else "VALKEY_HOST"
        self._external_versions["valkey"] = await _answers("Valkey", name, mask(url), partial(probes.valkey, url))

    async def _check_temporal(self) -> None:
        address, namespace = self.settings.temporal_address or "", self.settings.temporal_namespace
        where, probe = f"{address}, namespace {namespace}", partial(probes.temporal, address, namespace)
        self._external_versions["temporal"] = await _answers("Temporal", "TEMPORAL_ADDRESS", where, probe)

    async def _trim_logs(self) -> None:
        while True:
            await asyncio.sleep(TRIM_SECONDS)
            for child in list(self.children.values()):
                trim_log(child.program.log)

    async def stop(self, before_unlock: Callable[[], None] | None = None) -> None:
        """Stop all children in good order."""
        if self._trimming:
            self._trimming.cancel()
            await asyncio.wait([self._trimming])
            self._trimming = None
        groups = (STOP_ORDER[:2], STOP_ORDER[2:3], STOP_ORDER[3:])
        for group in groups:
            await asyncio.gather(*(self.children[name].stop() for name in group if name in self.children))
        self.children.clear()
        if self._postgres:
            self._postgres.clean()
            self._postgres = None
        if before_unlock:
            before_unlock()
        self.home.unlock()

    async def __aenter__(self) -> Addresses:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


async def all_or_none(jobs: list[Coroutine[Any, Any, None]]) -> None:
    """Side by side. The first failure ends the others, and is the one that is raised."""
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        raise


async def _answers(title: str, setting: str, address: str, probe: Callable[[], Awaitable[str]]) -> str:
    """Exactly that server, or no start: tried again until the time is up, since it may be starting too."""
    problem: BaseException | None = None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(EXTERNAL_SECONDS) as limit:
            while not limit.expired():  # a client that is told to stop may call that a failure of its own
                try:
                    return await probe()
                except Exception as error:  # every client names its failures differently
                    problem = error
                await asyncio.sleep(0.3)
    why = f" ({probes.why(problem)})" if problem else ""
    if "Namespace" in why and "not found" in why:
        setting = "TEMPORAL_NAMESPACE"
    raise StartupError(f"{title} at {address} does not answer{why}; see {setting}")


__all__ = ["Addresses", "Stack", "StartupError"]
