"""The activities, over a table in memory: what the workflows see of a world whose rules the storage tests prove.

Each is registered under its real name. A test scripts what agents do, holds a step back at the moment it is
interested in, or makes it fail; `calls` keeps what was asked, in order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from muster.domain.agents import AgentStart, AskKill, SettleAgent
from muster.domain.fleet import Admission, Admit, EndAgents, Ending, LimitsChanged
from muster.domain.ids import agent_workflow_id, new_id, task_workflow_id
from muster.domain.states import ACTIVE_AGENT, FINAL_AGENT, FINAL_TASK, AgentStatus, Reason, TaskStatus
from muster.domain.tasks import (
    FinishTask,
    Grant,
    KillAllResult,
    KillAllStart,
    KillWish,
    Outcome,
    RescheduleTask,
    SpawnTask,
    Standing,
    TaskAt,
    TaskSpec,
    TaskStart,
)  # fmt: skip
from muster.domain.tenants import Actor
from tests.pace import patience

Run = Callable[[AgentStart], Awaitable[Outcome]]
OK = Outcome(status=AgentStatus.COMPLETED)


def failed(reason: Reason = Reason.EXIT_NONZERO) -> Outcome:
    return Outcome(status=AgentStatus.FAILED, reason=reason, error=f"it failed: {reason}")


LOST = failed(Reason.LOST)


@dataclass
class Row:
    spec: TaskSpec
    status: TaskStatus = TaskStatus.PENDING
    reason: Reason | None = None
    error: str | None = None
    attempts: int = 0
    agent: UUID | None = None
    queued: bool = False
    next_attempt_at: datetime | None = None
    by: Actor | None = None


@dataclass
class AgentRow:
    task: UUID
    attempt: int
    status: AgentStatus = AgentStatus.SPAWNING
    outcome: Outcome | None = None
    wish: KillWish | None = None


def refusal(code: str, message: str = "no") -> ApplicationError:
    return ApplicationError(message, type=code, non_retryable=True)


@dataclass
class World:
    """One workspace."""

    client: Client
    slots: int = 20
    workspace: UUID = field(default_factory=new_id)
    by: Actor = field(default_factory=lambda: Actor(user_id=new_id(), key_id=new_id(), request_id="r-1"))
    tasks: dict[UUID, Row] = field(default_factory=dict)
    agents: dict[UUID, AgentRow] = field(default_factory=dict)
    script: dict[UUID, list[Outcome | Run]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    held: dict[str, asyncio.Event] = field(default_factory=dict)
    broken: dict[str, list[Exception]] = field(default_factory=dict)
    reached: dict[str, asyncio.Event] = field(default_factory=dict)
    admission: Admission = Admission.OPEN
    silent: bool = False
    """Messages are lost: nobody is told of grants and ends."""

    # -- What tests do -------------------------------------------------------------------------------------------

    def hold(self, step: str) -> asyncio.Event:
        """Until it is set, this step does not begin."""
        self.held[step] = asyncio.Event()
        self.reached[step] = asyncio.Event()
        return self.held[step]

    async def at(self, step: str) -> None:
        async with patience(40):
            await self.reached[step].wait()

    def agents_of(self, task: UUID) -> list[AgentRow]:
        return [agent for agent in self.agents.values() if agent.task == task]

    # -- The rules, in short -------------------------------------------------------------------------------------

    async def enter(self, step: str, note: str = "") -> None:
        self.calls.append(f"{step} {note}".strip())
        if step in self.held:
            self.reached[step].set()
            await self.held[step].wait()
        if self.broken.get(step):
            raise self.broken[step].pop(0)

    def free(self) -> int:
        if self.admission != Admission.OPEN:
            return 0
        return self.slots - sum(agent.status in ACTIVE_AGENT for agent in self.agents.values())

    def grant(self, task_id: UUID) -> Grant:
        row = self.tasks[task_id]
        row.attempts += 1
        row.status, row.queued, row.next_attempt_at, row.agent = TaskStatus.ASSIGNED, False, None, new_id()
        self.agents[row.agent] = AgentRow(task_id, row.attempts)
        return Grant(task_id=task_id, agent_id=row.agent, attempt=row.attempts)

    async def fill(self, but: UUID | None = None) -> None:
        for task_id in [task_id for task_id, row in self.tasks.items() if row.queued][: max(0, self.free())]:
            grant = self.grant(task_id)
            if task_id != but:
                await self.tell(task_workflow_id(self.workspace, task_id), "granted", grant)

    async def tell(self, workflow: str, signal: str, *arguments: Any) -> None:
        if not self.silent:
            try:
                await self.client.get_workflow_handle(workflow).signal(signal, args=arguments)
            except RPCError:
                self.calls.append(f"nobody heard {signal}")

    def ready(self, row: Row) -> bool:
        return all(self.tasks[dep].status == TaskStatus.COMPLETED for dep in row.spec.depends_on)

    def blocked(self, row: Row) -> bool:
        return any(self.tasks[dep].status == TaskStatus.FAILED for dep in row.spec.depends_on)

    async def conclude(self, task_id: UUID, status: TaskStatus, reason: Reason | None, error: str | None) -> None:
        row = self.tasks[task_id]
        row.status, row.reason, row.error, row.queued, row.next_attempt_at = status, reason, error, False, None
        for other_id, other in self.tasks.items():
            if task_id in other.spec.depends_on and other.status == TaskStatus.PENDING:
                if self.ready(other):
                    other.queued = True
                elif self.blocked(other):
                    await self.tell(task_workflow_id(self.workspace, other_id), "wake")
            if other.spec.parent_id == task_id and status == TaskStatus.FAILED and other.status not in FINAL_TASK:
                await self.tell(task_workflow_id(self.workspace, other_id), "abort", "its parent task is over")
        if row.spec.parent_id:
            await self.tell(task_workflow_id(self.workspace, row.spec.parent_id), "wake")
        await self.fill()

    def standing(self, task_id: UUID) -> Standing:
        row = self.tasks[task_id]
        grant = None
        if row.status in (TaskStatus.ASSIGNED, TaskStatus.EXECUTING) and row.agent:
            grant = Grant(task_id=task_id, agent_id=row.agent, attempt=row.attempts)
        return Standing(
            status=row.status, reason=row.reason, error=row.error, title=row.spec.title, attempts=row.attempts,
            runner="command" if row.spec.runner else None,
            attempt_seconds=row.spec.runner.timeout_seconds if row.spec.runner else None,
            timeout_seconds=row.spec.timeout_seconds, retry=row.spec.retry, next_attempt_at=row.next_attempt_at,
            grant=grant,
        )  # fmt: skip

    async def virtual_now(self) -> datetime:
        """By the clock of the workflow that asks, which may have skipped ahead."""
        described = await self.client.get_workflow_handle(activity.info().workflow_id or "").describe()
        extended = described.raw_description.workflow_extended_info
        if extended.HasField("time_skipping_info"):
            return extended.time_skipping_info.current_time.ToDatetime(tzinfo=UTC)
        return datetime.now(UTC)

    async def finish_agent(self, agent_id: UUID, outcome: Outcome) -> Outcome:
        agent = self.agents[agent_id]
        if agent.status not in FINAL_AGENT:
            agent.status = outcome.status
            agent.outcome = outcome.model_copy(update={"wish": agent.wish})
            await self.fill()
        assert agent.outcome
        return agent.outcome

    async def until_killed(self, start: AgentStart) -> Outcome:
        """An agent that runs until it is told to end."""
        activity.heartbeat()
        try:
            while True:
                await asyncio.sleep(0.05)
                activity.heartbeat()
        except asyncio.CancelledError:
            wish = self.agents[start.agent_id].wish
            reason = wish.cause if wish else Reason.KILLED
            return Outcome(status=AgentStatus.KILLED, reason=reason, error="killed")


class Activities:
    def __init__(self) -> None:
        self.worlds: dict[UUID, World] = {}

    @activity.defn
    async def open_task(self, start: TaskStart) -> Standing:
        world = self.worlds[start.workspace_id]
        await world.enter("open_task", start.mode)
        row = world.tasks.get(start.task_id)
        if start.mode in ("create", "spawn") and row is None:
            assert start.spec
            row = Row(start.spec)
            if start.mode == "spawn" and world.free() <= 0:
                raise refusal("workspace_full")
            if any(dep not in world.tasks for dep in start.spec.depends_on):
                raise refusal("unknown_reference")
            world.tasks[start.task_id] = row
            if start.mode == "spawn":
                world.grant(start.task_id)
            elif row.spec.runner and world.ready(row):
                row.queued = True
            elif world.blocked(row):
                await world.tell(task_workflow_id(world.workspace, start.task_id), "wake")
        elif start.mode in ("retry", "respawn"):
            assert row
            if row.status != TaskStatus.FAILED:
                raise refusal("illegal_move")
            row.status, row.reason, row.error = TaskStatus.PENDING, None, None
            if start.mode == "respawn":
                world.grant(start.task_id)
            else:
                row.queued = True
        await world.fill(but=start.task_id)
        return world.standing(start.task_id)

    @activity.defn
    async def spawn_task(self, request: SpawnTask) -> Standing:
        world = self.worlds[request.workspace_id]
        await world.enter("spawn_task")
        if world.free() <= 0:
            raise refusal("workspace_full", "the workspace is full")
        if world.tasks[request.task_id].status != TaskStatus.PENDING:
            raise refusal("illegal_move")
        world.grant(request.task_id)
        return world.standing(request.task_id)

    @activity.defn
    async def advance_task(self, at: TaskAt) -> Standing:
        world = self.worlds[at.workspace_id]
        await world.enter("advance_task", "backoff" if at.backoff_over else "")
        row = world.tasks[at.task_id]
        if row.status == TaskStatus.PENDING and row.spec.runner and not row.queued:
            if world.blocked(row):
                await world.conclude(at.task_id, TaskStatus.FAILED, Reason.DEPENDENCY_FAILED, "a dependency failed")
            elif world.ready(row) and (row.next_attempt_at is None or at.backoff_over):
                row.queued, row.next_attempt_at = True, None
        children = [other for other in world.tasks.values() if other.spec.parent_id == at.task_id]
        if row.spec.runner is None and row.status not in FINAL_TASK and children:
            row.status = TaskStatus.EXECUTING
            if all(child.status in FINAL_TASK for child in children):
                good = all(child.status == TaskStatus.COMPLETED for child in children)
                await world.conclude(
                    at.task_id, TaskStatus.COMPLETED if good else TaskStatus.FAILED,
                    None if good else Reason.SUBTASK_FAILED, None if good else "a subtask failed",
                )  # fmt: skip
        await world.fill(but=at.task_id)
        return world.standing(at.task_id)

    @activity.defn
    async def reschedule_task(self, request: RescheduleTask) -> Standing:
        world = self.worlds[request.workspace_id]
        await world.enter("reschedule_task", f"after {request.after_attempt}, {request.wait_seconds:g} s")
        row = world.tasks[request.task_id]
        row.status = TaskStatus.PENDING
        if request.wait_seconds:
            row.next_attempt_at = await world.virtual_now() + timedelta(seconds=request.wait_seconds)
        else:
            row.queued = True
        await world.fill(but=request.task_id)
        return world.standing(request.task_id)

    @activity.defn
    async def finish_task(self, request: FinishTask) -> Standing:
        world = self.worlds[request.workspace_id]
        await world.enter("finish_task", request.reason or request.status)
        row = world.tasks[request.task_id]
        if row.status in FINAL_TASK and (row.status, row.reason) != (request.status, request.reason):
            raise refusal("illegal_move", f"the task is {row.status}")
        if any(agent.status in ACTIVE_AGENT for agent in world.agents_of(request.task_id)):
            raise refusal("illegal_move", "the task still has an agent at work")
        row.by = request.by
        await world.conclude(request.task_id, request.status, request.reason, request.error)
        return world.standing(request.task_id)

    @activity.defn
    async def ask_kill(self, request: AskKill) -> bool:
        world = self.worlds[request.workspace_id]
        await world.enter("ask_kill", request.command.cause)
        agent = world.agents[request.agent_id]
        agent.wish = agent.wish or request.command.wish
        return agent.status not in FINAL_AGENT

    @activity.defn
    async def settle_agent(self, request: SettleAgent) -> Outcome:
        world = self.worlds[request.workspace_id]
        await world.enter("settle_agent", request.reason)
        agent = world.agents[request.agent_id]
        reason = request.reason
        if request.status == AgentStatus.KILLED and agent.wish:
            reason = agent.wish.cause
        return await world.finish_agent(
            request.agent_id, Outcome(status=request.status, reason=reason, error=request.error)
        )  # fmt: skip

    @activity.defn
    async def run_agent(self, start: AgentStart) -> Outcome:
        world = self.worlds[start.workspace_id]
        await world.enter("run_agent", str(start.attempt))
        agent = world.agents[start.agent_id]
        if agent.status != AgentStatus.SPAWNING:
            return await world.finish_agent(start.agent_id, LOST)
        if agent.wish:
            return await world.finish_agent(
                start.agent_id, Outcome(status=AgentStatus.KILLED, reason=agent.wish.cause, error="before it started")
            )  # fmt: skip
        agent.status = AgentStatus.RUNNING
        world.tasks[start.task_id].status = TaskStatus.EXECUTING
        steps: Sequence[Outcome | Run] = world.script.get(start.task_id, [])
        step = steps[start.attempt - 1] if start.attempt <= len(steps) else OK
        return await world.finish_agent(start.agent_id, step if isinstance(step, Outcome) else await step(start))

    @activity.defn
    async def kill_agents(self, start: KillAllStart) -> KillAllResult:
        world = self.worlds[start.workspace_id]
        await world.enter("kill_agents")
        asked = [agent_id for agent_id, agent in world.agents.items() if agent.status in ACTIVE_AGENT]
        for agent_id in asked:
            world.agents[agent_id].wish = KillWish(**start.request.model_dump())
            await world.tell(agent_workflow_id(world.workspace, agent_id), "killed")
        while any(world.agents[agent_id].status in ACTIVE_AGENT for agent_id in asked):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        killed = sum(world.agents[agent_id].status == AgentStatus.KILLED for agent_id in asked)
        return KillAllResult(asked=len(asked), killed=killed, ended=len(asked) - killed)

    @activity.defn
    async def admit_workspace(self, admit: Admit) -> None:
        world = self.worlds[admit.workspace_id]
        await world.enter("admit_workspace", admit.admission)
        world.admission = admit.admission
        await world.fill()

    @activity.defn
    async def apply_limits(self, changed: LimitsChanged) -> None:
        world = self.worlds[changed.workspace_id]
        await world.enter("apply_limits")
        await world.fill()

    @activity.defn
    async def end_agents(self, request: EndAgents) -> Ending:
        world = self.worlds[request.workspace_id]
        await world.enter("end_agents")
        active = [agent_id for agent_id, agent in world.agents.items() if agent.status in ACTIVE_AGENT]
        left = len(active)
        for agent_id in active:
            if agent_id not in request.asked:
                world.agents[agent_id].wish = KillWish(**request.request.model_dump())
                await world.tell(agent_workflow_id(world.workspace, agent_id), "killed")
        asked = list(dict.fromkeys([*request.asked, *active]))
        while request.seconds and left:
            await asyncio.sleep(0.02)
            left = sum(agent.status in ACTIVE_AGENT for agent in world.agents.values())
        killed = sum(world.agents[agent_id].status == AgentStatus.KILLED for agent_id in asked)
        return Ending(admission=world.admission, asked=asked, left=left, killed=killed, ended=0)

    @property
    def all(self) -> list[Callable[..., Any]]:
        return [
            self.open_task, self.spawn_task, self.advance_task, self.reschedule_task, self.finish_task, self.ask_kill,
            self.settle_agent, self.run_agent, self.kill_agents, self.admit_workspace,
            self.apply_limits, self.end_agents,
        ]  # fmt: skip
