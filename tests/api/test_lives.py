"""From a request to a process and back, with a real worker."""

from __future__ import annotations

import asyncio
import uuid
from datetime import datetime
from pathlib import Path

from temporalio.client import Client

from muster.domain.version import VERSION
from muster.settings import Settings
from muster.temporal import connection
from tests.api.conftest import SLOTS, Api, is_problem
from tests.pace import Stopwatch


def key() -> dict[str, str]:
    return {"Idempotency-Key": uuid.uuid4().hex}


async def test_a_spawned_agent_runs_and_tells_its_result(fleet: Api, settings: Settings) -> None:
    agent = await fleet.spawn("sh", "-c", "echo hello; echo '{\"answer\": 42}'", title="Ask")
    assert agent["status"] == "spawning"
    assert agent["attempt"] == 1
    assert agent["workflow_id"] == f"agent-{agent['id']}.{agent['workspace_id']}"
    assert agent["temporal_url"] == (
        f"{settings.temporal_ui_url}/namespaces/{settings.temporal_namespace}/workflows/{agent['workflow_id']}"
    )
    done = await fleet.when(f"/v1/agents/{agent['id']}", "completed", "failed")
    assert (done["status"], done["exit_code"], done["result"]) == ("completed", 0, {"answer": 42})
    task = await fleet.when(f"/v1/tasks/{agent['task_id']}", "completed")
    assert [one["id"] for one in task["agents"]] == [agent["id"]]
    assert task["agents"][0]["temporal_url"] == agent["temporal_url"]
    assert task["workflow_id"] == f"task-{task['id']}.{task['workspace_id']}"

    output = (await fleet.get(f"/v1/agents/{agent['id']}/output")).json()
    assert [(line["n"], line["stream"], line["text"]) for line in output["items"]] == [
        (1, "stdout", "hello"),
        (2, "stdout", '{"answer": 42}'),
    ]
    assert (output["status"], output["truncated"], output["next_after"]) == ("completed", False, 2)
    rest = (await fleet.get(f"/v1/agents/{agent['id']}/output", params={"after": 1, "limit": 1})).json()
    assert [line["n"] for line in rest["items"]] == [2]

    events = (await fleet.get("/v1/events", params={"task": task["id"]})).json()["items"]
    assert [event["type"] for event in events] == [
        "task.assigned", "agent.spawned", "agent.running", "task.executing", "agent.completed", "task.completed",
    ]  # fmt: skip


async def test_a_backoff_of_less_than_a_second_is_one(fleet: Api) -> None:
    retry = {"max_attempts": 6, "initial_seconds": 0.1, "factor": 1}
    task = await fleet.new_task("false", title="Hasty", retry=retry)
    done = await fleet.when(f"/v1/tasks/{task['id']}", "failed", seconds=30)
    agents = sorted(done["agents"], key=lambda agent: int(agent["attempt"]))
    ended = [datetime.fromisoformat(agent["finished_at"]) for agent in agents]
    begun = [datetime.fromisoformat(agent["created_at"]) for agent in agents]
    gaps = [(after - before).total_seconds() for before, after in zip(ended, begun[1:], strict=False)]
    assert 0.1 <= min(gaps) < 0.8, gaps


async def test_temporal_learns_the_build_with_the_start(fleet: Api, settings: Settings) -> None:
    """Who takes up a workflow has nothing to add: to write its line in Temporal's list again costs like to begin it."""
    agent = await fleet.spawn("true")
    await fleet.when(f"/v1/tasks/{agent['task_id']}", "completed")
    client = await Client.connect(**connection(settings))
    for workflow_id in (agent["workflow_id"], f"task-{agent['task_id']}.{agent['workspace_id']}"):
        handle = client.get_workflow_handle(workflow_id)
        first = (await handle.fetch_history()).events[0].workflow_execution_started_event_attributes
        begun = first.search_attributes.indexed_fields["BuildIds"].data
        known = (await handle.describe()).raw_info.search_attributes.indexed_fields["BuildIds"].data
        assert begun == known == f'["unversioned","unversioned:muster-{VERSION}"]'.encode()


async def test_a_task_is_there_when_its_creation_is_answered(fleet: Api) -> None:
    created = await fleet.post("/v1/tasks", json={"title": "stand-in"})
    assert created.status_code == 201
    task = created.json()
    found = (await fleet.get(created.headers["location"])).json()
    assert found["id"] == task["id"]
    assert (found["status"], found["waiting_for"], found["subtasks"]) == ("pending", "subtasks", [])
    child = await fleet.new_task(parent_id=task["id"], labels=["a", "b"])
    await fleet.when(f"/v1/tasks/{task['id']}", "completed")
    assert (await fleet.get("/v1/tasks", params={"parent": task["id"]})).json()["items"][0]["id"] == child["id"]
    both = (await fleet.get("/v1/tasks", params={"parent": task["id"], "label": ["a", "b"]})).json()["items"]
    assert [item["id"] for item in both] == [child["id"]]
    assert (await fleet.get("/v1/tasks", params={"parent": task["id"], "label": ["a", "c"]})).json()["items"] == []


async def test_a_creation_sent_again_is_answered_the_same(fleet: Api) -> None:
    body, headers = {"title": "once", "runner": {"kind": "command", "argv": ["true"]}}, key()
    first = await fleet.post("/v1/tasks", json=body, headers=headers)
    await fleet.when(f"/v1/tasks/{first.json()['id']}", "completed")
    again = await fleet.post("/v1/tasks", json=body, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    is_problem(await fleet.post("/v1/agents", json={"task": body}, headers=headers), 409, "idempotency_key_reused")


async def test_many_sendings_of_one_creation_make_one_task(fleet: Api) -> None:
    label, headers = uuid.uuid4().hex, key()
    body = {"title": "once", "labels": [label], "runner": {"kind": "command", "argv": ["true"]}}
    answers = await asyncio.gather(*(fleet.post("/v1/tasks", json=body, headers=headers) for _ in range(6)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len((await fleet.get("/v1/tasks", params={"label": label})).json()["items"]) == 1


async def test_a_reference_to_nothing_is_refused_and_leaves_nothing(fleet: Api) -> None:
    label = uuid.uuid4().hex
    body = {"title": "t", "labels": [label], "depends_on": [str(uuid.uuid4())], "runner": {"argv": ["true"]}}
    is_problem(await fleet.post("/v1/tasks", json=body), 422, "unknown_reference")
    for project in ("none", ""):
        asked = {"title": "t", "labels": [label], "project": project}
        is_problem(await fleet.post("/v1/tasks", json=asked), 422, "unknown_reference")
    is_problem(await fleet.post("/v1/tasks", json={"title": "t", "parent_id": str(uuid.uuid4())}), 422,
               "unknown_reference")  # fmt: skip
    assert (await fleet.get("/v1/tasks", params={"label": label})).json()["items"] == []


async def test_an_archived_project_takes_no_tasks(fleet: Api) -> None:
    slug = f"p{uuid.uuid4().hex[:12]}"
    await fleet.post("/v1/projects", json={"slug": slug, "name": "x"})
    task = await fleet.new_task(project=slug)
    assert [item["id"] for item in (await fleet.get("/v1/tasks", params={"project": slug})).json()["items"]] == [
        task["id"]
    ]
    await fleet.when(f"/v1/tasks/{task['id']}", "completed")
    assert len((await fleet.get("/v1/agents", params={"project": slug})).json()["items"]) == 1
    is_problem(await fleet.delete(f"/v1/projects/{slug}"), 409, "project_not_empty")
    await fleet.patch(f"/v1/projects/{slug}", json={"status": "archived"})
    body = {"title": "t", "project": slug, "runner": {"argv": ["true"]}}
    is_problem(await fleet.post("/v1/tasks", json=body), 409, "project_archived")


async def test_a_program_that_is_not_there_is_a_failed_agent(fleet: Api) -> None:
    agent = await fleet.spawn("/not/there")
    failed = await fleet.when(f"/v1/agents/{agent['id']}", "failed")
    assert failed["reason"] == "spawn_failed"
    assert "/not/there" in failed["error"]


async def test_a_failed_task_is_retried_with_a_new_agent(fleet: Api) -> None:
    agent = await fleet.spawn("false")
    path = f"/v1/tasks/{agent['task_id']}"
    failed = await fleet.when(path, "failed")
    assert failed["reason"] == "exit_nonzero"
    retried = await fleet.post(f"{path}/retry")
    assert retried.status_code == 202, retried.text
    assert retried.json()["id"] == agent["task_id"]
    is_problem(await fleet.post(f"{path}/cancel"), 409, "illegal_move") if (await fleet.when(path, "failed")) else None
    assert len((await fleet.get(path)).json()["agents"]) == 2
    again = await fleet.post("/v1/agents", json={"task_id": agent["task_id"]})
    assert again.status_code == 201, again.text
    assert again.json()["attempt"] == 3


async def test_only_a_failed_task_can_be_retried(fleet: Api) -> None:
    agent = await fleet.spawn("true")
    path = f"/v1/tasks/{agent['task_id']}"
    await fleet.when(path, "completed")
    is_problem(await fleet.post(f"{path}/retry"), 409, "illegal_move")
    is_problem(await fleet.post(f"{path}/cancel", json={"reason": "late"}), 409, "illegal_move")
    is_problem(await fleet.post("/v1/agents", json={"task_id": agent["task_id"]}), 409, "illegal_move")
    is_problem(await fleet.post(f"/v1/agents/{agent['id']}/kill"), 409, "illegal_move")


async def test_what_would_fail_at_once_is_not_retried_before_what_it_waits_for(fleet: Api, tmp_path: Path) -> None:
    parent = (await fleet.post("/v1/tasks", json={"title": "parent"})).json()["id"]
    part = (await fleet.new_task("test", "-e", str(tmp_path / "ready"), parent_id=parent))["id"]
    later = (await fleet.new_task("true", depends_on=[part]))["id"]
    assert (await fleet.when(f"/v1/tasks/{parent}", "failed"))["reason"] == "subtask_failed"
    assert (await fleet.when(f"/v1/tasks/{later}", "failed"))["reason"] == "dependency_failed"
    for task in (parent, later):
        refused = is_problem(await fleet.post(f"/v1/tasks/{task}/retry"), 409, "illegal_move")
        assert f"task {part} (t), which failed: retry that first" in refused["detail"]
    (tmp_path / "ready").touch()
    for task in (part, later, parent):
        answer = await fleet.post(f"/v1/tasks/{task}/retry")
        assert answer.status_code == 202, answer.text
        await fleet.when(f"/v1/tasks/{task}", "completed")


async def test_two_retries_at_once_are_one(fleet: Api) -> None:
    agent = await fleet.spawn("sh", "-c", "sleep 0.3; exit 1")
    path = f"/v1/tasks/{agent['task_id']}"
    await fleet.when(path, "failed")
    answers = await asyncio.gather(*(fleet.post(f"{path}/retry") for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [202, 409, 409]
    await fleet.when(path, "failed")
    assert len((await fleet.get(path)).json()["agents"]) == 2


async def test_a_kill_is_answered_when_nothing_is_left(fleet: Api) -> None:
    agent = await fleet.spawn("sleep", "60")
    path = f"/v1/agents/{agent['id']}"
    await fleet.when(path, "running")
    began = Stopwatch()
    killed = await fleet.post(f"{path}/kill?wait=true", json={"reason": "enough", "grace_seconds": 2})
    assert killed.status_code == 200, killed.text
    assert began.fair < 2
    assert (killed.json()["status"], killed.json()["reason"]) == ("killed", "killed")
    assert killed.json()["kill_request"]["reason"] == "enough"
    again = await fleet.post(f"{path}/kill")
    assert (again.status_code, again.json()["status"]) == (200, "killed")
    assert (await fleet.when(f"/v1/tasks/{agent['task_id']}", "failed"))["reason"] == "killed"


async def test_a_kill_right_after_the_spawn_is_not_lost(fleet: Api) -> None:
    agents = [await fleet.spawn("sleep", "60") for _ in range(3)]
    answers = await asyncio.gather(*(fleet.post(f"/v1/agents/{agent['id']}/kill") for agent in agents))
    for agent, answer in zip(agents, answers, strict=True):
        assert answer.status_code in {200, 202}, answer.text
        await fleet.when(f"/v1/agents/{agent['id']}", "killed")


async def test_a_task_can_be_cancelled(fleet: Api) -> None:
    agent = await fleet.spawn("sleep", "60")
    path = f"/v1/tasks/{agent['task_id']}"
    await fleet.when(path, "executing")
    cancelled = await fleet.post(f"{path}/cancel", json={"reason": "changed my mind"})
    assert cancelled.status_code == 202, cancelled.text
    task = await fleet.when(path, "failed")
    assert (task["reason"], task["error"]) == ("cancelled", "changed my mind")


async def test_a_full_workspace_refuses_spawns_and_queues_tasks(fleet: Api) -> None:
    agents = [await fleet.spawn("sleep", "60") for _ in range(SLOTS)]
    headers = key()
    body = {"task": {"title": "t", "runner": {"argv": ["sleep", "60"]}}}
    refused = await fleet.post("/v1/agents", json=body, headers=headers)
    assert is_problem(refused, 429, "workspace_full")["retryable"]
    assert int(refused.headers["retry-after"]) >= 1

    task = await fleet.new_task("sleep", "60", priority=9)
    queue = (await fleet.get("/v1/queue")).json()
    assert (queue["active_agents"], queue["waiting"]) == (SLOTS, 1)
    assert [item["id"] for item in queue["items"]] == [task["id"]]
    is_problem(await fleet.post("/v1/agents", json={"task_id": task["id"]}), 429, "workspace_full")
    assert (await fleet.post(f"/v1/tasks/{task['id']}/cancel")).status_code == 202
    await fleet.when(f"/v1/tasks/{task['id']}", "failed")

    asked = await fleet.post("/v1/agents/kill-all?wait=true", json={"grace_seconds": 1})
    assert asked.status_code == 200, asked.text
    assert (asked.json()["asked"], asked.json()["killed"]) == (SLOTS, SLOTS)
    for agent in agents:
        assert (await fleet.get(f"/v1/agents/{agent['id']}")).json()["status"] == "killed"

    # The refusal was no answer to keep: the same request works once there is room.
    admitted = await fleet.post("/v1/agents", json=body, headers=headers)
    assert admitted.status_code == 201, admitted.text
    await fleet.post(f"/v1/agents/{admitted.json()['id']}/kill?wait=true")


async def test_a_waiting_task_can_be_given_an_agent_only_when_it_is_ready(fleet: Api) -> None:
    first = await fleet.spawn("sleep", "60")
    task = await fleet.new_task(depends_on=[first["task_id"]])
    assert task["waiting_for"] == "dependencies"
    is_problem(await fleet.post("/v1/agents", json={"task_id": task["id"]}), 409, "illegal_move")
    await fleet.post(f"/v1/agents/{first['id']}/kill")
    failed = await fleet.when(f"/v1/tasks/{task['id']}", "failed")
    assert failed["reason"] == "dependency_failed"


async def test_kill_all_is_answered_at_once_unless_told_to_wait(fleet: Api) -> None:
    agent = await fleet.spawn("sleep", "60")
    asked = await fleet.post("/v1/agents/kill-all")
    assert asked.status_code == 202, asked.text
    assert asked.json()["asked"] == 1
    assert asked.json()["workflow_id"] in asked.json()["temporal_url"]
    await fleet.when(f"/v1/agents/{agent['id']}", "killed")


async def test_metadata_that_grows_on_its_way_is_refused_clearly(fleet: Api) -> None:
    """Short in a request, long as Temporal keeps it: too much for one payload there."""
    body = '{"title": "t", "metadata": {"a": [' + ",".join(["1e15"] * 180_000) + "]}}"
    answer = await fleet.post("/v1/tasks", content=body, headers={"Content-Type": "application/json"})
    is_problem(answer, 413, "body_too_large")
