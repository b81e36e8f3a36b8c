"""The one protocol between the activity that keeps an agent and the runner that executes it.

A runner is an object with a `kind` and an async `run`. It does not know Temporal, Postgres or Valkey: it gets a
`Job`, tells a `Sink` what happens, listens to a `Stop`, and returns a `Finish`. `tests/runners/conformance.py`
states what every runner must do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from pydantic import BaseModel, JsonValue

from muster.domain.states import Reason
from muster.domain.tasks import RunnerSpec

Stream = Literal["stdout", "stderr", "muster"]


@dataclass(frozen=True)
class Job:
    """What to run, for whom."""

    workspace_id: UUID
    task_id: UUID
    agent_id: UUID
    attempt: int
    spec: RunnerSpec
    prompt: str | None
    max_output_bytes: int
    env: dict[str, str] = field(default_factory=dict)
    """What Muster adds to the environment (ids, addresses). The specification's own `env` wins."""


class Sink(Protocol):
    """Where a runner reports to."""

    async def started(self, pid: int | None) -> None:
        """The agent lives. Called once, before the first line; not called when it could not be started."""

    async def line(self, stream: Stream, at: datetime, text: str) -> None:
        """One line of output, without its newline, decoded with replacement and free of NUL. May apply
        back-pressure by taking its time. `muster` is the stream for remarks such as "output cut here"."""


class Stop:
    """How a runner is told to end its agent. The first request wins; a later one may only shorten the grace."""

    def __init__(self) -> None:
        self._requested = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []
        self.reason: Reason | None = None
        self.grace_seconds = 0.0

    def request(self, reason: Reason, grace_seconds: float) -> None:
        if self.reason is None:
            self.reason, self.grace_seconds = reason, grace_seconds
        else:
            self.grace_seconds = min(self.grace_seconds, grace_seconds)
        self._requested.set()
        for listener in tuple(self._listeners):
            listener()

    def listen(self, listener: Callable[[], None]) -> None:
        """Call this at every request from now on, also at one that only shortens the grace."""
        self._listeners.append(listener)

    @property
    def requested(self) -> bool:
        return self._requested.is_set()

    async def wait(self) -> None:
        await self._requested.wait()


class Finish(BaseModel):
    """How it ended. `reason` None means success."""

    reason: Reason | None = None
    error: str | None = None
    exit_code: int | None = None
    """As a shell would say it: 128 + N for death by signal N."""
    result: JsonValue = None


class Runner(Protocol):
    kind: str

    async def run(self, job: Job, sink: Sink, stop: Stop) -> Finish:
        """Execute the job and return once nothing of it is left running.

        A requested stop returns a Finish with the stop's reason, or the true ending if that came first. An
        agent that cannot be started is a Finish with `spawn_failed`, not an exception. Cancellation of this
        coroutine means "now": nothing of the job may be left when it propagates.
        """
