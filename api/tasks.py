"""Tasks, and the queue they wait in."""

from __future__ import annotations

import asyncio
import time
from contextlib import nullcontext
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Body, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import Field

from api import answers
from api.answers import Cursor, Json, Limit, problems
from api.auth import needs, router_of
from api.commands import Gone, NoWorker, StillOpen
from api.context import Context, Row, asking
from api.idempotency import Answer, IdempotencyKey, Sent, once
from muster.domain.errors import Forbidden, IllegalMove, NotFound, Unavailable, UnknownReference
from muster.domain.states import FINAL_TASK, Reason, TaskStatus
from muster.domain.tasks import CancelRequest, Label, Spec, Submitted, TaskSpec, TaskStart, Text
from muster.domain.tenants import Scope, Tenant
from muster.storage import idempotency, projects, tasks
from workflows.steps import start_options

router = router_of("tasks")

CLOSING_SECONDS = 2.0
"""How long a workflow may take to close after the row it kept was final."""

Ref = Annotated[Text, Query(min_length=1, max_length=200, description="Id or slug of a project.")]


class Cancel(Spec, json_schema_extra={"examples": [{"reason": "not needed any more"}]}):
    reason: Text | None = Field(default=None, max_length=1000, description="Why; kept with the task.")


async def submit_new(
    here: Context, tenant: Tenant, spec: TaskSpec, sent: Sent, mode: Literal["create", "spawn"]
) -> Submitted:
    if not spec.title.strip():
        # Here, not in the specification: tasks that were once taken so must still be read.
        where = ("body", "title") if mode == "create" else ("body", "task", "title")
        raise RequestValidationError([{"type": "blank", "loc": where, "msg": "it says nothing"}])
    project_id = await projects.resolve(here.db, tenant, spec.project) if spec.project is not None else None
    if not tenant.reaches_all:
        project_id = project_id or tenant.project_id
        spec = await _within_reach(here, tenant, spec)
    start = TaskStart(
        workspace_id=tenant.workspace_id,
        task_id=sent.id,
        by=tenant.actor,
        request_hash=sent.hash,
        spec=spec,
        project_id=project_id,
        mode=mode,
        request_id=str(sent.id),
        heartbeat_timeout_seconds=here.settings.heartbeat_timeout_seconds,
    )
    options = start_options(
        start,
        title=spec.title,
        runner=spec.runner.kind if spec.runner else None,
        priority=spec.priority,
        project_id=project_id,
        weight=tenant.weight,
    )
    try:
        async with here.slots.asked(tenant.workspace_id) if mode == "spawn" and not sent.again else nullcontext():
            return await here.commands.submit(start, options, again=False)
    except NoWorker:
        if sent.hash is None:  # without a key
            # Sent again it would be another task; so this one must not come to life later.
            if (row := await _find(here, tenant, sent.id)) is not None:
                return Submitted(task_id=sent.id, agent_id=row["agent_id"])
            await here.commands.take_back(tenant.workspace_id, sent.id, "no worker took it up while its sender waited")
        raise


async def _within_reach(here: Context, tenant: Tenant, spec: TaskSpec) -> TaskSpec:
    """What a key of one project refers to is in that project; what an agent makes is a subtask of its own task."""
    if tenant.task_id is not None:
        if spec.parent_id not in (None, tenant.task_id):
            raise Forbidden("an agent makes subtasks of its own task only")
        spec = spec.model_copy(update={"parent_id": tenant.task_id})
    named = {*spec.depends_on, *([spec.parent_id] if spec.parent_id else [])}
    if missing := sorted(named - await tasks.visible(here.db, tenant, named)):
        raise UnknownReference(f"there is no task {missing[0]}")
    return spec


def _must_be_its_own(tenant: Tenant, row: Row) -> None:
    if tenant.task_id is not None and row["parent_id"] != str(tenant.task_id):
        raise Forbidden("an agent changes subtasks of its own task only")


async def submit_again(here: Context, tenant: Tenant, row: Row, sent: Sent, mode: Literal["retry", "respawn"]) -> None:
    """A failed task gets a new run of its workflow. The old one may need a moment to close."""
    start = TaskStart(
        workspace_id=tenant.workspace_id,
        task_id=UUID(row["id"]),
        by=tenant.actor,
        mode=mode,
        request_id=str(sent.id),
        heartbeat_timeout_seconds=here.settings.heartbeat_timeout_seconds,
    )
    options = start_options(
        start,
        title=row["title"],
        runner=row["runner"]["kind"] if row["runner"] else None,
        priority=row["priority"],
        project_id=UUID(row["project_id"]) if row["project_id"] else None,
        weight=tenant.weight,
    )
    deadline = time.monotonic() + CLOSING_SECONDS
    while True:
        try:
            await here.commands.submit(start, options, again=True)
            return
        except StillOpen:
            await asyncio.sleep(0.05)
        row = await tasks.get(here.db, tenant, start.task_id)
        must_be_failed(row)
        if time.monotonic() > deadline:
            raise Unavailable(f"task {start.task_id} is still ending, or its retry waits for a worker")


def must_be_failed(row: Row) -> None:
    if row["status"] != TaskStatus.FAILED:
        raise IllegalMove(f"task {row['id']} is {row['status']}; only a failed task can be retried")


async def _find(here: Context, tenant: Tenant, task_id: UUID) -> Row | None:
    try:
        return await tasks.get(here.db, tenant, task_id)
    except NotFound:
        return None


@router.post(
    "/tasks",
    operation_id="create_task",
    openapi_extra=needs(Scope.TASKS_WRITE),
    summary="Create a task",
    status_code=201,
    response_model=answers.Task,
    responses={**answers.replayed(answers.Task), **problems(409, 413, 415)},
)
async def create_task(
    request: Request,
    spec: Annotated[
        TaskSpec,
        Body(
            openapi_examples={
                "command": {
                    "summary": "Run a command, tried up to three times",
                    "value": {
                        "title": "Say hello",
                        "runner": {"kind": "command", "argv": ["echo", "hello"]},
                        "retry": {"max_attempts": 3},
                    },
                },
                "parent": {"summary": "A task that stands for its subtasks", "value": {"title": "Release 1.2"}},
            }
        ),
    ],
    key: IdempotencyKey = None,
) -> Any:
    """It is recorded when this returns. It runs once its dependencies are completed and a slot is free."""
    here, tenant = await asking(request)

    async def work(sent: Sent) -> Answer:
        submitted = await submit_new(here, tenant, spec, sent, "create")
        row = await tasks.get(here.db, tenant, submitted.task_id)
        return Answer(201, here.task(row), f"/v1/tasks/{submitted.task_id}")

    return await once(here, tenant, request, key, spec, work)


@router.get(
    "/tasks",
    operation_id="list_tasks",
    openapi_extra=needs(Scope.TASKS_READ),
    summary="List tasks, newest first",
    response_model=answers.Page[answers.Task],
    responses=problems(),
)
async def list_tasks(
    request: Request,
    status: Annotated[list[TaskStatus] | None, Query(max_length=5, description="Any of these.")] = None,
    project: Ref | None = None,
    parent: Annotated[UUID | None, Query(description="Subtasks of this task.")] = None,
    label: Annotated[list[Label] | None, Query(max_length=50, description="All of these.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Any:
    here, tenant = await asking(request)
    items, following = await tasks.page(
        here.db,
        tenant,
        status=status,
        project_id=await projects.resolve(here.db, tenant, project) if project else None,
        parent_id=parent,
        labels=label,
        cursor=cursor,
        limit=limit,
    )
    return Json({"items": [here.task(item) for item in items], "next_cursor": following})


@router.get(
    "/tasks/{task_id}",
    operation_id="get_task",
    openapi_extra=needs(Scope.TASKS_READ),
    summary="A task with its agents and subtasks",
    response_model=answers.TaskDetail,
    responses=problems(404),
)
async def get_task(request: Request, task_id: UUID) -> Any:
    here, tenant = await asking(request)
    return Json(here.task(await tasks.get_with_agents(here.db, tenant, task_id)))


@router.post(
    "/tasks/{task_id}/cancel",
    operation_id="cancel_task",
    openapi_extra=needs(Scope.TASKS_WRITE),
    summary="Cancel a task and its subtasks",
    status_code=202,
    response_model=answers.Task,
    responses={**answers.replayed(answers.Task, 202), **problems(404, 409, 413, 415)},
)
async def cancel_task(
    request: Request, task_id: UUID, cancel: Annotated[Cancel | None, Body()] = None, key: IdempotencyKey = None
) -> Any:
    """Its agent is killed; the task fails with `cancelled` once that is proven."""
    here, tenant = await asking(request)

    async def work(sent: Sent) -> Answer:
        row = await tasks.get(here.db, tenant, task_id)
        _must_be_its_own(tenant, row)
        if sent.again and row["reason"] == Reason.CANCELLED:
            return Answer(202, here.task(row), f"/v1/tasks/{task_id}")
        _must_be_open(row)
        try:
            asked = CancelRequest(by=tenant.actor, reason=cancel.reason if cancel else None)
            await here.commands.cancel(tenant.workspace_id, task_id, asked)
        except Gone:
            _must_be_open(await tasks.get(here.db, tenant, task_id))
            raise Unavailable(
                f"the workflow of task {task_id} is gone; a worker will notice and end the task"
            ) from None
        row = await tasks.get(here.db, tenant, task_id)
        return Answer(202, here.task(row), f"/v1/tasks/{task_id}")

    return await once(here, tenant, request, key, cancel, work)


def _must_be_open(row: Row) -> None:
    if row["status"] in FINAL_TASK:
        raise IllegalMove(f"task {row['id']} is {row['status']}; it cannot be cancelled")


@router.post(
    "/tasks/{task_id}/retry",
    operation_id="retry_task",
    openapi_extra=needs(Scope.TASKS_WRITE),
    summary="Try a failed task again",
    status_code=202,
    response_model=answers.Task,
    responses={**answers.replayed(answers.Task, 202), **problems(404, 409)},
)
async def retry_task(request: Request, task_id: UUID, key: IdempotencyKey = None) -> Any:
    """The same task with a new attempt, and with all the attempts its retry policy allows. What it stands for or
    depends on comes first: while a subtask or a dependency has failed, this is refused."""
    here, tenant = await asking(request)

    async def work(sent: Sent) -> Answer:
        row = await tasks.get(here.db, tenant, task_id)
        _must_be_its_own(tenant, row)
        if not (sent.again and await idempotency.began(here.db, tenant, sent.id, task_id)):
            must_be_failed(row)
            if why := await tasks.foredoomed(here.db, tenant, task_id):
                raise IllegalMove(f"task {task_id} would fail at once: {why}")
            await submit_again(here, tenant, row, sent, "retry")
            row = await tasks.get(here.db, tenant, task_id)
        return Answer(202, here.task(row), f"/v1/tasks/{task_id}")

    return await once(here, tenant, request, key, None, work)


@router.get(
    "/queue",
    operation_id="get_queue",
    openapi_extra=needs(Scope.TASKS_READ),
    summary="Tasks that wait for a slot",
    response_model=answers.Queue,
    responses=problems(),
)
async def get_queue(request: Request, limit: Limit = 50) -> Any:
    here, tenant = await asking(request)
    queue = await tasks.queue(here.db, tenant, limit)
    for item in queue["items"]:
        here.task(item)
    return Json(queue)
