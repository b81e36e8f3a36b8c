"""Agents: run one, end it when told, record how it went."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Coroutine
from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from temporalio import activity

from activities.context import VARIABLE, Contexts
from activities.messages import Messages
from activities.output import Output, wait
from activities.patience import patiently
from activities.recording import Recording
from muster.domain.agents import AgentStart, AskKill, SettleAgent
from muster.domain.credentials import agent_token
from muster.domain.errors import Fenced, MusterError
from muster.domain.states import FINAL_AGENT, AgentStatus, Reason
from muster.domain.tasks import KillWish, Outcome, RunnerSpec
from muster.runners.protocol import Finish, Job, Stop, Stream
from muster.runners.registry import Runners
from muster.storage import agents, moves
from muster.storage.database import Database
from muster.storage.mirror import Mirror

log = logging.getLogger(__name__)

_SPEC: TypeAdapter[RunnerSpec] = TypeAdapter(RunnerSpec)
_BEAT_SECONDS = 1.0
_BEATS_PER_LOOK = 5
_WISH_SECONDS = 0.5
"""How often an agent that is being ended looks whether somebody shortened its grace."""


class AgentActivities:
    def __init__(
        self,
        db: Database,
        mirror: Mirror,
        messages: Messages,
        runners: Runners,
        *,
        worker: str,
        max_output_bytes: int,
        api_url: str | None = None,
        secret_key: str,
        contexts: Contexts | None = None,
        recording: Recording | None = None,
    ) -> None:
        self._db, self._mirror, self._messages, self._runners = db, mirror, messages, runners
        self._contexts = contexts or Contexts(None)
        self._recording = recording
        self._worker = worker
        self._max_output_bytes = max_output_bytes
        self._api_url = api_url
        self._pepper = secret_key.encode()
        self._lives: dict[UUID, _Life] = {}
        """The agents that run on this worker."""

    @activity.defn
    async def run_agent(self, start: AgentStart) -> Outcome:
        beating = asyncio.create_task(_beat())  # a Postgres that is away must not make its worker look dead
        try:
            found = await patiently(lambda: agents.job(self._db, start.workspace_id, start.agent_id))
        finally:
            beating.cancel()
        if found["status"] != AgentStatus.SPAWNING:
            # Ended while it waited for a worker, or run by a worker that then could not tell.
            return await self._settle(start, AgentStatus.FAILED, Reason.LOST, "its worker went away")
        if found["kill_request"]:
            # Recorded when its workflow had not begun, and so could not be told.
            return await self._settle(start, AgentStatus.KILLED, Reason.KILLED, "killed before it started")
        told = await self._contexts.write(start.workspace_id, start.agent_id, found)
        job = Job(
            workspace_id=start.workspace_id,
            task_id=start.task_id,
            agent_id=start.agent_id,
            attempt=start.attempt,
            spec=_SPEC.validate_python(found["runner"]),
            prompt=found["prompt"],
            max_output_bytes=min(self._max_output_bytes, found["max_output_bytes"] or self._max_output_bytes),
            env=self._environment(start, found) | ({VARIABLE: str(told)} if told else {}),
        )
        if self._recording and found["project_id"]:
            self._recording.began(start.workspace_id, start.agent_id)
        life = self._lives[start.agent_id] = _Life(self, start, job)
        try:
            return await life.live()
        finally:
            del self._lives[start.agent_id]
            life.gone.set()
            self._contexts.remove(told)
            if self._recording and found["project_id"]:
                self._recording.ended(start.workspace_id, start.agent_id)

    def _environment(self, start: AgentStart, found: dict[str, Any]) -> dict[str, str]:
        known = {
            "MUSTER_WORKSPACE_ID": str(start.workspace_id),
            "MUSTER_PROJECT_ID": found["project_id"],
            "MUSTER_TASK_ID": str(start.task_id),
            "MUSTER_TASK_TITLE": found["title"],
            "MUSTER_AGENT_ID": str(start.agent_id),
            "MUSTER_ATTEMPT": str(start.attempt),
            "MUSTER_URL": self._api_url,
            "MUSTER_API_KEY": agent_token(self._pepper, start.agent_id),
        }
        return {name: value for name, value in known.items() if value}

    @activity.defn
    async def ask_kill(self, request: AskKill) -> bool:
        command = request.command
        changes = await moves.ask_kill(
            self._db, request.workspace_id, command.by, request.agent_id, command.wish
        )  # fmt: skip
        self._messages.spread(changes)
        return changes.agents[0]["status"] not in FINAL_AGENT

    @activity.defn
    async def settle_agent(self, request: SettleAgent) -> Outcome:
        if life := self._lives.get(request.agent_id):
            # Given up, say after an outage that its heartbeats could not cross, and alive. It ends before another
            # may take its place, and tells its own end.
            life.give_up()
            await life.gone.wait()
        return await self._settle(request, request.status, request.reason, request.error)

    async def _settle(
        self, agent: AgentStart | SettleAgent, status: AgentStatus, reason: Reason, error: str
    ) -> Outcome:
        if status == AgentStatus.KILLED:
            found = await agents.get(self._db, agent.workspace_id, agent.agent_id)
            reason = _wish(found).cause if found["kill_request"] else reason
        outcome = await self.finish(agent.workspace_id, agent.agent_id, status, Finish(reason=reason, error=error))
        if self._recording:
            self._recording.ended(agent.workspace_id, agent.agent_id)
        return outcome

    async def finish(self, workspace_id: UUID, agent_id: UUID, status: AgentStatus, finish: Finish) -> Outcome:
        """Record an ending. Answers with the one that stands."""
        changes = await patiently(
            lambda: moves.finish_agent(
                self._db,
                workspace_id,
                agent_id,
                status,
                reason=finish.reason,
                error=finish.error,
                exit_code=finish.exit_code,
                result=finish.result,
            )
        )
        self._messages.spread(changes)
        agent = changes.agent or {}
        return Outcome(
            status=agent["status"],
            reason=agent["reason"],
            error=agent["error"],
            wish=_wish(agent) if agent["kill_request"] else None,
        )


async def _beat() -> None:
    while True:
        activity.heartbeat()
        await asyncio.sleep(_BEAT_SECONDS)


class _Life:
    """One run of one agent on this worker: the sink of its runner, and who listens for its end."""

    def __init__(self, room: AgentActivities, start: AgentStart, job: Job) -> None:
        self._room, self._start, self._job = room, start, job
        self._stop = Stop()
        self._began = False
        self._over = asyncio.Event()
        self._helpers: set[asyncio.Task[None]] = set()
        self.gone = asyncio.Event()
        """Set once nothing of it is left and its end is recorded."""
        self._output = Output(room._db, room._mirror, start.workspace_id, start.agent_id, room._worker)

    async def live(self) -> Outcome:
        """To its recorded end. Cancelling this only asks the runner to end it: a cancellation that arrived between
        the end of the process and the record of it would have the work done once more."""
        whole = asyncio.create_task(self._live())
        while not whole.done():
            try:
                await asyncio.wait({whole})
            except asyncio.CancelledError:
                self._beside(self._grant_the_wish())
        return whole.result()

    async def _live(self) -> Outcome:
        runner = self._room._runners.runner_for(self._job.spec)
        self._beside(self._keep_alive())
        watching = self._beside(self._watch_the_worker())
        try:
            status, finish = await self._ending(runner.run(self._job, self, self._stop))
            await self._output.close()
            return await self._room.finish(self._start.workspace_id, self._start.agent_id, status, finish)
        finally:
            # Told rather than cancelled: in the middle of a query, a cancellation may be lost.
            self._over.set()
            watching.cancel()

    def _beside(self, helper: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(helper)
        self._helpers.add(task)
        task.add_done_callback(self._helpers.discard)
        return task

    def give_up(self) -> None:
        """Its workflow has, or is gone itself."""
        self._stop.request(Reason.LOST, 0.0)

    async def _ending(self, running: Awaitable[Finish]) -> tuple[AgentStatus, Finish]:
        try:
            finish = await running
        except Fenced as fenced:
            return AgentStatus.FAILED, Finish(reason=Reason.LOST, error=fenced.message)
        except Exception as error:
            log.exception("the runner of agent %s broke", self._start.agent_id)
            return AgentStatus.FAILED, Finish(reason=Reason.INTERNAL, error=f"{type(error).__name__}: {error}")
        if finish.reason is None:
            if self._began:
                return AgentStatus.COMPLETED, finish
            return AgentStatus.FAILED, Finish(reason=Reason.INTERNAL, error="it ended without having begun")
        if self._stop.requested and finish.reason == self._stop.reason and finish.reason != Reason.LOST:
            return AgentStatus.KILLED, finish
        return AgentStatus.FAILED, finish

    # -- The runner's sink --------------------------------------------------------------------------------------

    async def started(self, pid: int | None) -> None:
        start, room = self._start, self._room
        changes = await patiently(
            lambda: moves.start_agent(room._db, start.workspace_id, start.agent_id, room._worker)
        )  # fmt: skip
        self._began = True
        room._messages.spread(changes)

    async def line(self, stream: Stream, at: datetime, text: str) -> None:
        await self._output.line(stream, at, text)

    # -- Beside it ----------------------------------------------------------------------------------------------

    async def _keep_alive(self) -> None:
        """Heartbeat, and see now and then whether the agent is still ours: another may run in its place."""
        beats, looking = 0, None
        # Each second, since a server that cannot push a cancellation answers with it.
        while not await self._over_within(_BEAT_SECONDS):
            activity.heartbeat()
            beats += 1
            if beats % _BEATS_PER_LOOK == 0 and (looking is None or looking.done()):
                # Beside the beats: a Postgres that is away must not make the agent look dead.
                looking = self._beside(self._look_whether_it_is_ours())

    async def _look_whether_it_is_ours(self) -> None:
        start = self._start
        with suppress(MusterError):
            found = await agents.job(self._room._db, start.workspace_id, start.agent_id)
            if found["status"] in FINAL_AGENT:
                self.give_up()

    async def _watch_the_worker(self) -> None:
        await activity.wait_for_worker_shutdown()
        # Say so now rather than be missed later: the task goes on elsewhere at once.
        self._stop.request(Reason.LOST, 2.0)

    async def _grant_the_wish(self) -> None:
        """End it as whoever asked wants it ended; later wishes may only shorten the grace.

        Nobody asked when the server gave it up, or its workflow was terminated: wishes are recorded first.
        """
        start, waited = self._start, 0.0
        while not self._over.is_set():
            try:
                found = await agents.job(self._room._db, start.workspace_id, start.agent_id)
            except MusterError:
                # Without Postgres a wish cannot be read. It is to end either way.
                if waited >= 3.0:
                    self.give_up()
            else:
                if found["kill_request"]:
                    wish = _wish(found)
                    self._stop.request(wish.cause, wish.grace_seconds)
                else:
                    self.give_up()
            await self._over_within(_WISH_SECONDS)
            waited += _WISH_SECONDS

    async def _over_within(self, seconds: float) -> bool:
        await wait(self._over, seconds)
        return self._over.is_set()


def _wish(agent: dict[str, Any]) -> KillWish:
    return KillWish.model_validate(agent["kill_request"])
