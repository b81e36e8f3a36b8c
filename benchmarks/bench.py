"""One run: its options, and the system that rows share."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import TracebackType

from benchmarks.fleet import Fleet
from benchmarks.report import Say
from benchmarks.system import System


@dataclass
class Bench:
    quick: bool
    durability: str
    say: Say
    versions: dict[str, str] = field(default_factory=dict)
    _exits: AsyncExitStack = field(default_factory=AsyncExitStack)
    _shared: System | None = None
    _fleet: Fleet | None = None

    def system(
        self,
        *,
        durability: str | None = None,
        parts: tuple[str, ...] = ("api", "worker"),
        variables: Mapping[str, str] | None = None,
        unguarded: bool = False,
    ) -> System:
        """A fresh one, for a row that needs it; `async with` it."""
        return System(durability or self.durability, parts=parts, variables=variables, unguarded=unguarded)

    async def shared(self) -> tuple[System, Fleet]:
        """The one that most rows run on, and a client of it."""
        if self._shared is None or self._fleet is None:
            self.say("starting the servers, the API and a worker")
            self._shared = await self._exits.enter_async_context(System(self.durability))
            self.versions |= self._shared.stack.versions
            self._fleet = await self._shared.fleet()
            for _ in range(10):
                await self._fleet.live()
        self._fleet.forget()
        return self._shared, self._fleet

    async def stop_shared(self) -> None:
        """For rows whose own systems are not to share the machine with it."""
        self._shared = self._fleet = None
        await self._exits.aclose()

    async def __aenter__(self) -> Bench:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exits.aclose()
