"""What Temporal keeps, with MUSTER_PAYLOAD_KEYS: nothing of what people wrote, however it got there."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from google.protobuf.message import Message
from pydantic import SecretStr
from temporalio.api.common.v1 import Payload, SearchAttributes
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHistory
from temporalio.service import RPCError

from api.commands import Commands
from muster.domain.ids import DEFAULT_WORKSPACE, workspace_of_workflow
from muster.payloads import INSTANCE, data_converter, is_sealed
from muster.settings import PayloadKeys, Settings
from tests.api.conftest import SLOTS, Api, a_stack, a_worker, admin, eventually, serving

MARKER = f"marmalade{uuid4().hex}"
"""Stands for what people write. A file name too, and not in base64 anywhere by chance."""


NOTED = {
    "seq", "attempt", "activity_id", "activity_type", "complete_time", "backoff", "original_schedule_time",
    "activation_index",
}  # fmt: skip


PLACES = {
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED,
    EventType.EVENT_TYPE_MARKER_RECORDED,
    EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED,
}
"""Where text certainly stands, once it can be read."""


def a_key(kid: str) -> str:
    return f"{kid}:{base64.b64encode(os.urandom(32)).decode()}"


@pytest.fixture(scope="module")
async def stack() -> AsyncIterator[Settings]:
    async with a_stack() as (settings, _):
        yield settings


@asynccontextmanager
async def running(stack: Settings, keys: str | None) -> AsyncIterator[Api]:
    """An API and a worker that know these keys."""
    settings = stack.model_copy(update={"payload_keys": SecretStr(keys) if keys else None})
    variables = {"MUSTER_PAYLOAD_KEYS": keys} if keys else {}
    async with serving(settings) as url, a_worker(settings, **variables) as worker, Api(url, admin(settings)) as api:
        commands = Commands(settings)

        async def polls() -> None:
            # Temporal knows those before it for a while.
            try:
                known = await commands.workers()
            except RPCError as error:
                raise AssertionError("Temporal does not answer in time") from error
            assert any(name.endswith(f":{worker.pid}") for name in known), (
                known, worker.pid, worker.poll(), (settings.home / "worker.log").read_text()[-3000:],
            )  # fmt: skip

        await eventually(polls, 100, every=0.2)
        yield api


async def a_client(stack: Settings, keys: str | None = None) -> Client:
    converter = data_converter(PayloadKeys.parse(keys) if keys else None)
    return await Client.connect(str(stack.temporal_address), data_converter=converter)


def payloads_of(message: Message) -> Iterator[Payload]:
    """All in it, wherever they are, but search attributes."""
    if isinstance(message, SearchAttributes):
        return
    if isinstance(message, Payload):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if not field.is_repeated:
            yield from payloads_of(value)
        elif field.message_type.GetOptions().map_entry:
            for entry in value.values():
                if isinstance(entry, Message):
                    yield from payloads_of(entry)
        else:
            for item in value:
                yield from payloads_of(item)


async def histories(client: Client, query: str = "") -> dict[str, WorkflowHistory]:
    return {found.id: await client.get_workflow_handle(found.id, run_id=found.run_id).fetch_history()
            async for found in client.list_workflows(query)}  # fmt: skip


def raw(history: WorkflowHistory) -> bytes:
    return b"".join(event.SerializeToString() for event in history.events)


def on_disk(stack: Settings) -> bytes:
    return b"".join(file.read_bytes() for file in sorted((stack.home / "temporal").glob("temporal.db*")))


async def much(api: Api) -> list[str]:
    """One of each thing that carries text through Temporal; answers the tasks' ids."""
    spec = {"prompt": MARKER, "labels": [MARKER[:40]], "metadata": {"why": MARKER}}
    made: list[str] = []

    async def task(*argv: str, env: dict[str, str] | None = None, **more: object) -> str:
        runner = {"kind": "command", "argv": argv, "env": env or {}}
        answer = await api.post("/v1/tasks", json={"title": f"About {MARKER}", "runner": runner, **spec, **more})
        assert answer.status_code == 201, answer.text
        made.append(answer.json()["id"])
        return made[-1]

    async def agent_of(task_id: str) -> str:
        await api.when(f"/v1/tasks/{task_id}", "executing")
        agent: str = (await api.get(f"/v1/tasks/{task_id}")).json()["agent_id"]
        return agent

    fails = await task("sh", "-c", f"echo {MARKER} >&2; exit 3", retry={"max_attempts": 2, "initial_seconds": 0.1})
    absent = await task(f"/nowhere/{MARKER}", env={"SECRET": MARKER})
    parent = await api.post("/v1/tasks", json={"title": f"Parent {MARKER}", **spec})
    child = await task("true", parent_id=parent.json()["id"])
    await api.when(f"/v1/tasks/{fails}", "failed", seconds=30)
    await api.when(f"/v1/tasks/{absent}", "failed", seconds=30)
    await api.when(f"/v1/tasks/{child}", "completed", seconds=30)

    # A full workspace: the one that waits is told of its slot by a signal, once somebody is killed.
    sleeping = [await task("sleep", "60") for _ in range(SLOTS)]
    waits = await task("echo", MARKER)
    agents = [await agent_of(one) for one in sleeping]
    assert (await api.get(f"/v1/tasks/{waits}")).json()["status"] == "pending"
    killed = await api.post(f"/v1/agents/{agents[0]}/kill?wait=true", json={"reason": f"because {MARKER}"})
    assert killed.status_code == 200, killed.text
    await api.when(f"/v1/tasks/{waits}", "completed", seconds=30)
    cancelled = await api.post(f"/v1/tasks/{sleeping[1]}/cancel", json={"reason": f"never mind {MARKER}"})
    assert cancelled.status_code == 202, cancelled.text
    await api.when(f"/v1/tasks/{sleeping[1]}", "failed", seconds=30)
    again = await api.post(f"/v1/tasks/{absent}/retry")
    assert again.status_code == 202, again.text
    all_killed = await api.post("/v1/agents/kill-all?wait=true", json={"reason": f"enough {MARKER}"})
    assert all_killed.status_code == 200, all_killed.text
    for one in made:
        await api.when(f"/v1/tasks/{one}", "completed", "failed", seconds=30)
    return [*made, parent.json()["id"]]


async def test_nothing_people_wrote_is_readable_in_temporal(stack: Settings) -> None:
    keys = a_key("k1")
    async with running(stack, keys) as api:
        made = await much(api)
    blind, seeing = await a_client(stack), await a_client(stack, keys)
    found = await histories(blind)
    assert {f"task-{one}.{DEFAULT_WORKSPACE}" for one in made} <= found.keys()
    assert any(workflow_id.startswith("kill-all") for workflow_id in found)
    assert sum(workflow_id.startswith("agent-") for workflow_id in found) >= SLOTS + 5
    count = 0
    for workflow_id, history in found.items():
        assert MARKER.encode() not in raw(history), f"{workflow_id} tells"
        for event in history.events:
            for payload in payloads_of(event):
                marker = event.marker_recorded_event_attributes.details
                if "data" in marker and payload in marker["data"].payloads:
                    # The SDK's own note of which step a marker is the result of.
                    assert set(json.loads(payload.data)) <= NOTED, payload
                    continue
                count += 1
                assert is_sealed(payload), f"{workflow_id} keeps in the clear: {event}"
                # Muster's own, as its schedules start, is nobody's.
                owner = str(workspace_of_workflow(workflow_id) or INSTANCE)
                assert owner in (str(DEFAULT_WORKSPACE), INSTANCE)
                assert payload.metadata["muster-workspace"] == owner.encode(), event
    assert count > 200

    # It is there, and in each kind of place, for whoever has the key.
    opened: set[int] = set()
    for history in found.values():
        for event in history.events:
            for payload in payloads_of(event):
                assert seeing.data_converter.payload_codec
                if MARKER.encode() in (await seeing.data_converter.payload_codec.decode([payload]))[0].data:
                    opened.add(event.event_type)
    assert opened >= PLACES, PLACES - opened

    # Visibility keeps what it shows in lists in a place of its own.
    async for execution in blind.list_workflows():
        for payload in payloads_of(execution.raw_info):
            assert is_sealed(payload), execution.raw_info
        assert MARKER.encode() not in execution.raw_info.SerializeToString()
        assert (
            MARKER.encode()
            not in (await blind.get_workflow_handle(execution.id).describe()).raw_description.SerializeToString()
        )

    kept = on_disk(stack)
    assert MARKER.encode() not in kept
    assert base64.b64encode(MARKER.encode())[4:-4] not in kept
    assert made[0].encode() in kept, "these are not the files"


async def test_keys_come_and_go_while_tasks_wait(stack: Settings, tmp_path: Path) -> None:
    """Off, on, rotated, off again: each time with a task that began before, and goes on. Without its key it waits, and
    the log says for what."""
    k1, k2 = a_key("k1"), a_key("k2")
    waiting: list[str] = []

    async def begin(api: Api) -> None:
        """Fails, and would wait ten minutes for its second attempt, which succeeds."""
        mark = tmp_path / uuid4().hex
        task = await api.new_task(
            "sh", "-c", f"test -e {mark} && exit 0; touch {mark}; exit 1",
            title="patient", retry={"max_attempts": 9, "initial_seconds": 600, "max_seconds": 600},
        )  # fmt: skip
        waiting.append(task["id"])

        async def waits() -> None:
            row = (await api.get(f"/v1/tasks/{task['id']}")).json()
            assert (row["attempts"], row["waiting_for"]) == (1, "backoff"), row

        await eventually(waits, 20)

    async def goes_on(api: Api) -> None:
        task_id = waiting.pop(0)
        answer = await api.post("/v1/agents", json={"task_id": task_id})
        assert answer.status_code == 201, answer.text
        await api.when(f"/v1/tasks/{task_id}", "completed", seconds=20)

    async with running(stack, None) as api:
        await begin(api)
    async with running(stack, k1) as api:
        await goes_on(api)
        await begin(api)
    async with running(stack, f"{k2},{k1}") as api:
        await goes_on(api)
        await begin(api)
        await begin(api)
    path = f"/v1/tasks/{waiting[0]}"
    log = stack.home / "worker.log"
    before = len(log.read_text())
    async with running(stack, k1) as api:
        asked = asyncio.create_task(api.post(f"{path}/cancel"))

        async def complains() -> None:
            said = log.read_text()[before:]
            assert "encrypted with the key 'k2', which MUSTER_PAYLOAD_KEYS lacks" in said

        await eventually(complains, 30)
        assert (await asked).status_code == 503
        # Nobody else's task is held up.
        fine = await api.new_task("true")
        await api.when(f"/v1/tasks/{fine['id']}", "completed")
    async with running(stack, f"off,{k2},{k1}") as api:

        async def cancelled() -> None:
            await api.post(f"{path}/cancel")  # refused for as long as its workflow is stuck
            row = (await api.get(path)).json()
            assert (row["status"], row["reason"]) == ("failed", "cancelled"), row

        await eventually(cancelled, 30)
        del waiting[0]
        await goes_on(api)
        await begin(api)
    async with running(stack, None) as api:
        await goes_on(api)
    assert waiting == []


async def test_what_has_no_workspace_is_not_left_open(stack: Settings) -> None:
    """A client of somebody else's making, with Muster's converter, and a workflow id that is not one of ours."""
    client = await a_client(stack, a_key("k1"))
    handle = await client.start_workflow(
        "Nobody's", MARKER, id=f"odd-{uuid4()}", task_queue=f"nobody-{uuid4()}", memo={"m": MARKER},
        static_summary=MARKER,
    )  # fmt: skip
    await handle.signal("hello", MARKER)
    history = await (await a_client(stack)).get_workflow_handle(handle.id).fetch_history()
    found = [payload for event in history.events for payload in payloads_of(event)]
    assert len(found) >= 4
    assert {payload.metadata["muster-workspace"] for payload in found} == {INSTANCE.encode()}
    await handle.terminate()
