"""A task and its agent as a bare-Temporal program: parent, child, one activity, local activities that do nothing.

The numbers of local activities are those of Muster's common path (see `workflows/task.py` and `workflows/agent.py`).
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.workflow import ParentClosePolicy

from benchmarks.bare.steps import note, run

TASK_NOTES_BEFORE, TASK_NOTES_AFTER = 1, 1
AGENT_NOTES_BEFORE, AGENT_NOTES_AFTER = 0, 0
NOTE_SECONDS = timedelta(seconds=10)


async def notes(count: int, what: str) -> None:
    for _ in range(count):
        await workflow.execute_local_activity(note, what, start_to_close_timeout=NOTE_SECONDS)


@workflow.defn
class BareTask:
    @workflow.run
    async def run(self, task: str) -> str:
        await notes(TASK_NOTES_BEFORE, task)
        ended = await workflow.execute_child_workflow(
            BareAgent.run,
            task,
            id=f"bare-agent-{task}",
            parent_close_policy=ParentClosePolicy.REQUEST_CANCEL,
        )
        await notes(TASK_NOTES_AFTER, task)
        return ended


@workflow.defn
class BareAgent:
    @workflow.run
    async def run(self, agent: str) -> str:
        await notes(AGENT_NOTES_BEFORE, agent)
        ended = await workflow.execute_activity(
            run,
            agent,
            start_to_close_timeout=timedelta(days=30),
            heartbeat_timeout=timedelta(seconds=20),
            retry_policy=RetryPolicy(maximum_attempts=1),
        )
        await notes(AGENT_NOTES_AFTER, agent)
        return ended


@workflow.defn
class BareSubmission:
    """What an update-with-start costs by itself: accepted, answered, over."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()

    @workflow.run
    async def run(self, task: str) -> str:
        await self._asked.wait()
        return task

    @workflow.update
    async def submitted(self) -> str:
        self._asked.set()
        return workflow.info().workflow_id
