"""Agents: spawn, watch, kill."""

from __future__ import annotations

import asyncio
import time
from contextlib import nullcontext
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import Body, Header, Query, Request
from pydantic import Field, model_validator

from api import answers
from api.answers import Cursor, Json, Limit, problems
from api.auth import must_have, must_reach_all, needs, router_of
from api.commands import Gone
from api.context import Context, Row, asking
from api.errors import NotYet
from api.events import wants_stream
from api.hub import Filter
from api.idempotency import Answer, IdempotencyKey, Sent, once
from api.output import Reader, as_json
from api.tasks import Ref, submit_again, submit_new
from muster.domain.errors import IllegalMove, Unavailable
from muster.domain.ids import new_id
from muster.domain.states import FINAL_AGENT, AgentStatus, TaskStatus
from muster.domain.tasks import KillAllStart, KillCommand, KillRequest, SpawnRequest, Spec, TaskSpec
from muster.domain.tenants import Scope, Tenant
from muster.storage import agents, idempotency, projects, tasks

router = router_of("agents")

WAIT_SECONDS = 30.0
"""Beyond the grace, until a request that waits for a kill is answered without it."""
_STARTING_SECONDS = 5.0
"""An agent has its row before it has its workflow: so long may that take."""

Wait = Annotated[bool, Query(description="Answer once nothing is left of it, instead of at once.")]


@router.get(
    "/agents/{agent_id}",
    operation_id="get_agent",
    openapi_extra=needs(Scope.AGENTS_READ),
    summary="An agent",
    response_model=answers.Agent,
    responses=problems(404),
)
async def get_agent(request: Request, agent_id: UUID) -> Any:
    here, tenant = await asking(request)
    return Json(here.agent(await agents.get(here.db, tenant, agent_id)))


class Spawn(Spec):
    """An agent for a task that is there (`task_id`), or for a new one (`task`)."""

    task_id: UUID | None = Field(default=None, description="A pending or failed task.")
    task: TaskSpec | None = Field(default=None, description="A task to create.")

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.task_id is None) == (self.task is None):
            raise ValueError("give either task_id or task")
        return self


@router.post(
    "/agents",
    operation_id="spawn_agent",
    openapi_extra=needs(Scope.AGENTS_WRITE),
    summary="Spawn an agent now, or be refused",
    status_code=201,
    response_model=answers.Agent,
    responses={**answers.replayed(answers.Agent), **problems(404, 409, 413, 415, 429)},
)
async def spawn_agent(
    request: Request,
    spawn: Annotated[
        Spawn,
        Body(
            openapi_examples={
                "new": {
                    "summary": "For a new task",
                    "value": {"task": {"title": "Say hello", "runner": {"kind": "command", "argv": ["echo", "hello"]}}},
                },
                "known": {
                    "summary": "For a task that is there",
                    "value": {"task_id": "01939b6f-0000-7000-8000-000000000000"},
                },
            }
        ),
    ],
    key: IdempotencyKey = None,
) -> Any:
    """Ahead of the queue, if a slot is free. To wait for one, create a task instead."""
    here, tenant = await asking(request)

    async def work(sent: Sent) -> Answer:
        if spawn.task is not None:
            must_have(tenant, Scope.TASKS_WRITE)
            submitted = await submit_new(here, tenant, spawn.task, sent, "spawn")
            task_id, agent_id = submitted.task_id, submitted.agent_id
        else:
            assert spawn.task_id is not None  # noqa: S101 - the validator saw to it
            task_id = spawn.task_id
            agent_id = await _spawn_for(here, tenant, task_id, sent)
        if agent_id is None:
            row = await tasks.get(here.db, tenant, task_id)
            agent_id = UUID(row["agent_id"]) if row["agent_id"] else None
        if agent_id is None:
            raise Unavailable(f"task {task_id} has no agent yet")
        agent = here.agent(await agents.get(here.db, tenant, agent_id))
        return Answer(201, agent, f"/v1/agents/{agent_id}")

    return await once(here, tenant, request, key, spawn, work)


async def _spawn_for(here: Context, tenant: Tenant, task_id: UUID, sent: Sent) -> UUID | None:
    row = await tasks.get(here.db, tenant, task_id)
    if sent.again:
        if await idempotency.began(here.db, tenant, sent.id, task_id):
            return None
        if (before := await here.commands.spawned(tenant.workspace_id, task_id, sent.id)) is not None:
            return before.agent_id
    if row["status"] not in (TaskStatus.FAILED, TaskStatus.PENDING):
        raise IllegalMove(f"task {task_id} is {row['status']}; it cannot be given an agent")
    async with here.slots.asked(tenant.workspace_id) if not sent.again else nullcontext():
        return await _spawned(here, tenant, row, sent)


async def _spawned(here: Context, tenant: Tenant, row: Row, sent: Sent) -> UUID | None:
    if row["status"] == TaskStatus.FAILED:
        await submit_again(here, tenant, row, sent, "respawn")
        return None
    task_id = UUID(row["id"])
    try:
        # A second id where the first was refused: that answer would come again for ever.
        request_id = new_id() if sent.again else sent.id
        asked = SpawnRequest(by=tenant.actor)
        return (await here.commands.spawn(tenant.workspace_id, task_id, asked, request_id)).agent_id
    except Gone:
        raise Unavailable(f"the workflow of task {task_id} has just ended") from None


@router.get(
    "/agents",
    operation_id="list_agents",
    openapi_extra=needs(Scope.AGENTS_READ),
    summary="List agents, newest first",
    response_model=answers.Page[answers.Agent],
    responses=problems(),
)
async def list_agents(
    request: Request,
    status: Annotated[list[AgentStatus] | None, Query(max_length=5, description="Any of these.")] = None,
    task: Annotated[UUID | None, Query(description="Agents of this task.")] = None,
    project: Ref | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Any:
    here, tenant = await asking(request)
    items, following = await agents.page(
        here.db,
        tenant,
        status=status,
        task_id=task,
        project_id=await projects.resolve(here.db, tenant, project) if project else None,
        cursor=cursor,
        limit=limit,
    )
    return Json({"items": [here.agent(item) for item in items], "next_cursor": following})


@router.post(
    "/agents/kill-all",
    operation_id="kill_all_agents",
    openapi_extra=needs(Scope.AGENTS_WRITE),
    summary="Kill every agent of the workspace",
    status_code=202,
    response_model=answers.KillAll,
    responses={
        **answers.replayed(answers.KillAll, 202, done="Waited for: all are gone."),
        **problems(409, 413, 415, 504),
    },
)
async def kill_all_agents(
    request: Request, kill: Annotated[KillRequest | None, Body()] = None, wait: Wait = False, key: IdempotencyKey = None
) -> Any:
    """Those that run when this is asked. Tasks that wait for a slot get the slots that free."""
    here, tenant = await asking(request)
    must_reach_all(tenant)
    wish = kill or KillRequest()

    async def work(sent: Sent) -> Answer:
        workflow_id = f"kill-all-{sent.id}.{tenant.workspace_id}"
        asked = len(await agents.active(here.db, tenant))
        start = KillAllStart(workspace_id=tenant.workspace_id, by=tenant.actor, request=wish)
        await here.commands.kill_all(workflow_id, start)
        body: dict[str, Any] = {"workflow_id": workflow_id, "temporal_url": here.temporal_url(workflow_id)}
        if not wait:
            return Answer(202, {**body, "asked": asked})
        try:
            result = await here.commands.killed_all(workflow_id, wish.grace_seconds + WAIT_SECONDS)
        except Unavailable as error:
            raise NotYet("not all agents are gone yet", **body) from error
        return Answer(200, {**body, **result.model_dump()})

    return await once(here, tenant, request, key, kill, work)


@router.post(
    "/agents/{agent_id}/kill",
    operation_id="kill_agent",
    openapi_extra=needs(Scope.AGENTS_WRITE),
    summary="Kill an agent",
    status_code=202,
    response_model=answers.Agent,
    responses={
        **answers.replayed(answers.Agent, 202, done="It is gone: waited for, or killed before."),
        **problems(404, 409, 413, 415, 504),
    },
)
async def kill_agent(
    request: Request,
    agent_id: UUID,
    kill: Annotated[KillRequest | None, Body()] = None,
    wait: Wait = False,
    key: IdempotencyKey = None,
) -> Any:
    """SIGTERM, then SIGKILL after the grace, to its whole process tree. `killed` means that none of it is left."""
    here, tenant = await asking(request)
    wish = kill or KillRequest()

    async def work(sent: Sent) -> Answer:
        if not wait:
            agent = await _ask_kill(here, tenant, agent_id, wish)
            return Answer(200 if agent["status"] in FINAL_AGENT else 202, here.agent(agent))
        async with here.hub.watch(tenant.workspace_id, Filter(agent_id=agent_id)) as inbox:
            agent = await _ask_kill(here, tenant, agent_id, wish)
            deadline = time.monotonic() + wish.grace_seconds + WAIT_SECONDS
            while agent["status"] not in FINAL_AGENT:
                if time.monotonic() > deadline:
                    raise NotYet(f"agent {agent_id} is being killed, and is not gone yet")
                await inbox.take(1.0)
                agent = await agents.get(here.db, tenant, agent_id)
        return Answer(200, here.agent(agent))

    return await once(here, tenant, request, key, kill, work)


async def _ask_kill(here: Context, tenant: Tenant, agent_id: UUID, wish: KillRequest) -> Row:
    """The agent, once its workflow knows. Refused when it ended by itself before."""
    command = KillCommand(by=tenant.actor, request=wish)
    deadline = time.monotonic() + _STARTING_SECONDS
    while True:
        agent = await agents.get(here.db, tenant, agent_id)
        if agent["status"] == AgentStatus.KILLED:
            return agent
        if agent["status"] in FINAL_AGENT:
            raise IllegalMove(f"agent {agent_id} has {agent['status']} already")
        if time.monotonic() > deadline:
            raise Unavailable(f"agent {agent_id} has no workflow; a worker will notice and end it")
        try:
            await here.commands.kill(tenant.workspace_id, agent_id, command)
            return await agents.get(here.db, tenant, agent_id)
        except (Gone, IllegalMove):  # not started yet, or over: the row will tell
            await asyncio.sleep(0.05)


@router.get(
    "/agents/{agent_id}/output",
    operation_id="get_agent_output",
    openapi_extra=needs(Scope.AGENTS_READ),
    summary="What an agent wrote: a page, or a live stream",
    response_model=answers.OutputPage,
    responses={200: {"content": answers.STREAM}, **problems(404)},
)
async def get_agent_output(
    request: Request,
    agent_id: UUID,
    after: Annotated[int, Query(ge=0, le=answers.MAX_POSITION, description="Number of the last line seen.")] = 0,
    limit: Annotated[int, Query(ge=1, le=5_000, description="How many lines at most.")] = 1_000,
    accept: Annotated[str | None, Header()] = None,
    last_event_id: Annotated[str | None, Header(description="Resumes a stream; wins over `after`.")] = None,
) -> Any:
    """With `Accept: text/event-stream`: each line as an event `line` whose id is its number, then one event `end`
    with the agent."""
    here, tenant = await asking(request)
    agent = await agents.get(here.db, tenant, agent_id)
    if wants_stream(accept):
        return Reader(here, tenant, agent_id, answers.resumes_at(last_event_id, after)).stream()
    lines, status = await agents.output(here.db, tenant, agent_id, after=after, limit=limit)
    return Json(
        {
            "items": [as_json(line) for line in lines],
            "next_after": lines[-1].n if lines else after,
            "status": status,
            "truncated": agent["output_truncated"],
        }
    )
