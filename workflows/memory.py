"""What becomes of a session's events: its jobs are worked on, lane by lane, until there are none.

The jobs are rows in Postgres, and stay there; this workflow decides when to look at them. A poke says that there are
new ones. It never says which, so any number of them costs no more than one: a burst of events is let gather, and one
activity per lane then works on all there is, in batches. A poke that is lost is made up for by the sweep.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from temporalio import workflow

from muster.domain.errors import MusterError
from muster.domain.memory import DrainStart, JobKind, Poke
from workflows.steps import drain_memory, look_memory, sweep_memory

_ROUNDS = 100
"""After so many it continues as new. Each is some ten events of history."""


@workflow.defn(failure_exception_types=[MusterError])
class MemoryWorkflow:
    """One per session, and one per project for the jobs that are of no session."""

    @workflow.init
    def __init__(self, start: DrainStart) -> None:
        self._start = start
        self._poked = False
        self._at_once = False
        self._anew = False

    @workflow.signal
    def poke(self, poke: Poke) -> None:
        self._poked = True
        self._at_once = self._at_once or poke.at_once
        self._anew = self._anew or poke.anew

    @workflow.run
    async def run(self, start: DrainStart) -> None:
        rounds, fresh = 0, start.rounds == 0
        while True:
            hurry, self._poked, self._at_once = self._at_once, False, False
            seen = await look_memory(start)
            if seen.open_lanes:
                if fresh and not hurry:
                    await self._until(lambda: self._at_once, seen.debounce_seconds, "for events to gather")
                fresh = await self._drain(seen.open_lanes)
            elif seen.wait_seconds is not None:
                await self._until(lambda: self._poked, seen.wait_seconds, "for a job that is to be tried again")
                fresh = self._poked
            elif self._poked:
                fresh = True
            else:
                # A poke that comes while this is being answered keeps the run from closing.
                workflow.set_current_details("Nothing is left to do.")
                return
            rounds += 1
            if rounds >= _ROUNDS or workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(start.model_copy(update={"rounds": start.rounds + rounds}))

    async def _drain(self, lanes: list[JobKind]) -> bool:
        """Whether what comes next is new, and may be let gather; else it is what was left."""
        self._poked = self._at_once = self._anew = False  # whatever it was about is there by now
        drained = await asyncio.gather(*(drain_memory(self._start, kind) for kind in lanes))
        pause = max((lane.wait_seconds or 0 for lane in drained), default=0)
        if pause:
            # Its provider is away, or wants to be left alone: nobody's hurry changes that, but who knows better.
            await self._until(lambda: self._anew, pause, "for the provider")
        return not any(lane.left for lane in drained)

    async def _until(self, happens: Callable[[], bool], seconds: float, why: str) -> None:
        with suppress(TimeoutError):
            await workflow.wait_condition(happens, timeout=timedelta(seconds=max(0.01, seconds)), timeout_summary=why)


@workflow.defn(failure_exception_types=[MusterError])
class MemorySweepWorkflow:
    """Pokes for jobs that nobody works on: their poke was lost, or whoever worked on them."""

    @workflow.run
    async def run(self) -> int:
        return await sweep_memory()
