"""A session's jobs as numbers, and the activities that work on them: what the memory workflow sees of the world."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

from temporalio import activity
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Worker

from muster.domain.forgetting import Expiry
from muster.domain.ids import new_id
from muster.domain.memory import Drained, DrainRequest, DrainStart, JobKind, Look, Poke, lane_queue
from workflows.memory import MemorySweepWorkflow, MemoryWorkflow
from workflows.memory_retention import MemoryRetentionWorkflow
from workflows.sandbox import Sandbox
from workflows.steps import memory_start_options


@dataclass
class Memories:
    client: Client
    queue: str = field(default_factory=lambda: f"memories-{new_id()}")
    workspace: UUID = field(default_factory=new_id)
    session: UUID = field(default_factory=new_id)
    open: dict[JobKind, int] = field(default_factory=dict)
    waits: float | None = None
    """Until a job may be tried again."""
    held: set[JobKind] = field(default_factory=set)
    """Lanes that are paused or parked."""
    answers: list[Drained] = field(default_factory=list)
    """Of the next drains. What they do not take stays open."""
    debounce: float = 1.0
    done: int = 0
    calls: list[str] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    """Until it is set, no drain ends."""

    def __post_init__(self) -> None:
        self.gate.set()

    @property
    def start(self) -> DrainStart:
        return DrainStart(
            workspace_id=self.workspace, project_id=self.workspace, session_id=self.session, task_queue=self.queue
        )

    async def poke(self, jobs: int = 1, kind: JobKind = JobKind.EVENT, **how: bool) -> None:
        """As api/pokes.py does it, after jobs were recorded."""
        if jobs:
            self.open[kind] = self.open.get(kind, 0) + jobs
        await self.client.start_workflow(
            MemoryWorkflow.run, self.start, task_queue=self.queue, start_signal="poke",
            start_signal_args=[Poke(**how)], **memory_start_options(self.start),
        )  # fmt: skip

    @property
    def handle(self) -> WorkflowHandle[MemoryWorkflow, None]:
        return self.client.get_workflow_handle_for(MemoryWorkflow.run, memory_start_options(self.start)["id"])

    @activity.defn
    async def look_memory(self, start: DrainStart) -> Look:
        self.calls.append("look")
        lanes = [kind for kind, jobs in self.open.items() if jobs and kind not in self.held]
        return Look(open_lanes=lanes, wait_seconds=self.waits, debounce_seconds=self.debounce)

    @activity.defn
    async def drain_memory(self, request: DrainRequest) -> Drained:
        self.calls.append(f"drain {request.kind}")
        assert activity.info().task_queue == lane_queue(self.queue, request.kind)
        jobs = self.open.pop(request.kind, 0)
        await self.gate.wait()
        answer = self.answers.pop(0) if self.answers else Drained(jobs=jobs)
        self.done += answer.jobs
        if left := jobs - answer.jobs:
            self.open[request.kind] = self.open.get(request.kind, 0) + left
        return answer

    @activity.defn
    async def sweep_memory(self) -> int:
        self.calls.append("sweep")
        return 3

    @activity.defn
    async def expire_memory(self, expiry: Expiry) -> Expiry:
        """Two projects, one look each."""
        self.calls.append("expire")
        return expiry.model_copy(update={"rows": expiry.rows + 5, "complete": expiry.rows > 0})


@asynccontextmanager
async def memories(client: Client) -> AsyncIterator[Memories]:
    """With workers of their own: one for the workflows, one for each lane."""
    world = Memories(client)
    async with AsyncExitStack() as workers:
        await workers.enter_async_context(
            Worker(
                client, task_queue=world.queue,
                workflows=[MemoryWorkflow, MemorySweepWorkflow, MemoryRetentionWorkflow],
                activities=[world.look_memory, world.sweep_memory, world.expire_memory],
                workflow_runner=Sandbox(),
            )
        )  # fmt: skip
        for kind in JobKind:
            lane = Worker(client, task_queue=lane_queue(world.queue, kind), activities=[world.drain_memory])
            await workers.enter_async_context(lane)
        yield world
