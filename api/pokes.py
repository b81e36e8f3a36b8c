"""Waking the workflows that work on memory's jobs. Used by the API and by workers.

A poke is a hint: the jobs are in Postgres, and the sweep finds those whose poke was lost. So nobody waits for it, it
never fails, and costs a busy session one signal a second. A Temporal that is away for a moment is told when it is back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from temporalio.client import Client
from temporalio.service import RPCError

from muster.domain.memory import DrainStart, Poke
from workflows.memory import MemoryWorkflow
from workflows.steps import memory_start_options

log = logging.getLogger(__name__)

_BETWEEN_SECONDS = 1.0
_AT_ONCE = 8
_MOST = 10_000
"""Sessions that are remembered as poked. Those beyond are left to the sweep."""
_RPC_SECONDS = 5.0
_TRIES = 5
"""Of telling a Temporal that does not answer, each after twice the time: the sweep comes once a minute anyway."""


class _Key(NamedTuple):
    workspace_id: UUID
    project_id: UUID
    session_id: UUID | None


@dataclass(slots=True)
class _Poked:
    at_once: bool
    anew: bool
    again: bool = False
    hurry: asyncio.Event = field(default_factory=asyncio.Event)


class Pokes:
    def __init__(self, client: Callable[[], Awaitable[Client]], task_queue: str) -> None:
        self._client, self._task_queue = client, task_queue
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._poked: dict[_Key, _Poked] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def poke(
        self,
        workspace_id: UUID,
        project_id: UUID,
        session_id: UUID | None,
        *,
        at_once: bool = False,
        anew: bool = False,
    ) -> None:
        """There are jobs. `at_once`: somebody waits for them. `anew`: and wants them tried, whatever they wait for."""
        key = _Key(workspace_id, project_id, session_id)
        at_once = at_once or anew
        known = self._poked.get(key)
        if known:
            known.again = True
            if (at_once and not known.at_once) or (anew and not known.anew):
                known.at_once, known.anew = True, known.anew or anew
                known.hurry.set()
        elif len(self._poked) < _MOST:
            poked = self._poked[key] = _Poked(at_once, anew)
            task = asyncio.create_task(self._tell(key, poked), name="poke")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """What is not under way yet is the sweep's."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=2)

    async def _tell(self, key: _Key, poked: _Poked) -> None:
        failures = 0
        try:
            while True:
                told = Poke(at_once=poked.at_once, anew=poked.anew)
                poked.again = poked.at_once = poked.anew = False
                poked.hurry.clear()
                if await self._signal(key, told):
                    failures = 0
                else:
                    failures += 1
                    poked.again = poked.again or failures < _TRIES
                    poked.at_once, poked.anew = poked.at_once or told.at_once, poked.anew or told.anew
                try:
                    async with asyncio.timeout(_BETWEEN_SECONDS * 2 ** min(max(failures - 1, 0), _TRIES - 1)):
                        await poked.hurry.wait()
                except TimeoutError:
                    if not poked.again:
                        return
        finally:
            del self._poked[key]

    async def _signal(self, key: _Key, told: Poke) -> bool:
        start = DrainStart(**key._asdict(), task_queue=self._task_queue)
        async with self._slots:
            try:
                async with asyncio.timeout(_RPC_SECONDS):
                    client = await self._client()
                    await client.start_workflow(
                        MemoryWorkflow.run,
                        start,
                        task_queue=self._task_queue,
                        start_signal="poke",
                        start_signal_args=[told],
                        rpc_timeout=timedelta(seconds=_RPC_SECONDS),
                        **memory_start_options(start),
                    )
            except (RPCError, RuntimeError, TimeoutError) as error:
                log.debug("could not poke for %s: %s", key.session_id, error or type(error).__name__)
                return False
            except Exception:
                log.exception("poking for %s failed", key.session_id)
        return True
