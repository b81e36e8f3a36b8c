"""Memory's jobs and lanes, as a person sees and moves them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest_asyncio
from temporalio.client import Client
from temporalio.service import RPCError

from api.pokes import Pokes
from muster.domain.ids import DEFAULT_WORKSPACE, memory_workflow_id, new_id
from muster.settings import Settings
from muster.temporal import connection
from tests.api.conftest import Api, admin, eventually, is_problem
from tests.api.people import key_in, made, new_workspace


@pytest_asyncio.fixture(loop_scope="session")
async def own(settings: Settings, url: str, worker: None) -> AsyncIterator[tuple[Api, Api]]:
    """A workspace's own: of one who may do everything there, and of one who may not pause it."""
    async with Api(url, admin(settings)) as chief:
        workspace = await new_workspace(chief)
        keys = [await key_in(chief, workspace), await key_in(chief, workspace, "memory:read", "memory:write")]
    async with Api(url, keys[0]["key"]) as api, Api(url, keys[1]["key"]) as lesser:
        yield api, lesser


async def remember(api: Api, *texts: str, project: str | None = None) -> str:
    """Events that are still to be made into observations; answers with their project."""
    if project is None:
        project = f"p-{uuid.uuid4().hex[:12]}"
        await made(api, "/v1/projects", {"slug": project, "name": "P"})
    session, at = str(uuid.uuid4()), datetime.now(UTC).isoformat()
    lines = [{"kind": "session", "id": session, "title": "s", "started_at": at}] + [
        {"kind": "event", "id": str(uuid.uuid4()), "session": session, "type": "message", "adapter": "test",
         "occurred_at": at, "payload": {"role": "user", "text": text}, "pending": True}
        for text in texts
    ]  # fmt: skip
    content = "\n".join(map(json.dumps, lines)).encode()
    answer = await api.post("/v1/memory/import", params={"project": project}, content=content)
    assert answer.status_code == 200, answer.text
    return project


async def jobs(api: Api, **query: Any) -> list[dict[str, Any]]:
    answer = await api.get("/v1/jobs", params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def lane(api: Api, kind: str) -> dict[str, Any]:
    """As `/v1/info` shows it, which is as the lanes' own page does."""
    memory = (await api.get("/v1/info")).json()["boundaries"]["memory"]
    assert memory["status"] == "active"
    found: dict[str, Any] = next(one for one in memory["lanes"] if one["kind"] == kind)
    listed = next(one for one in (await api.get("/v1/memory/lanes")).json()["items"] if one["kind"] == kind)
    assert {**listed, "oldest_seconds": None} == {**found, "oldest_seconds": None}
    return found


async def test_a_temporal_that_is_away_for_a_moment_is_told_of_jobs_when_it_is_back(settings: Settings) -> None:
    temporal = await Client.connect(**connection(settings))
    session, asked = new_id(), 0

    async def away_at_first() -> Client:
        nonlocal asked
        asked += 1
        if asked < 3:
            raise RuntimeError("Failed client connect")
        return temporal

    pokes = Pokes(away_at_first, settings.temporal_task_queue)
    try:
        pokes.poke(DEFAULT_WORKSPACE, new_id(), session)

        async def told() -> None:
            handle = temporal.get_workflow_handle(memory_workflow_id(DEFAULT_WORKSPACE, session))
            with contextlib.suppress(RPCError):
                assert (await handle.describe()).workflow_type == "MemoryWorkflow"
                return
            raise AssertionError

        await eventually(told)
    finally:
        await pokes.close()
    assert asked == 3


async def test_a_lane_is_paused_and_resumed(own: tuple[Api, Api]) -> None:
    api, lesser = own
    is_problem(await lesser.post("/v1/memory/lanes/event_batch/pause"), 403, "missing_scope")
    for kind in ("event", "event_batch"):
        for said in ({"reason": "too dear"}, {}):  # who says nothing leaves what was said
            answer = await api.post(f"/v1/memory/lanes/{kind}/pause", json=said)
            assert answer.status_code == 200, answer.text
            assert (answer.json()["paused"], answer.json()["reason"]) == (True, "too dear")
    kept = await api.post("/v1/memory/lanes/event_batch/pause", json={"reason": "<private>Bo</private> pays"})
    assert kept.json()["reason"] == " pays"
    project = await remember(api, "We decided that the parser is written anew.")
    (job,) = await jobs(api, project=project)
    await asyncio.sleep(2.0)
    (job,) = await jobs(lesser, project=project, status="queued")
    found = await lane(api, job["kind"])
    assert (found["paused"], found["queued"], found["processing"]) == (True, 1, 0)
    assert found["oldest_seconds"] > 1
    detail = (await api.get("/v1/info")).json()["boundaries"]["memory"]["detail"]
    assert "1 jobs to do" in detail
    assert f"{job['kind']} is paused" in detail
    for kind in ("event", "event_batch"):
        assert (await api.post(f"/v1/memory/lanes/{kind}/resume")).json()["paused"] is False
    done = await api.when(f"/v1/jobs/{job['id']}", "completed", seconds=30)
    assert done["outcome"] == "observed"
    assert done["events"] == 1
    assert [move["to_status"] for move in done["history"]] == ["queued", "processing", "completed"]
    assert done["workflow_id"] == f"memory-{job['session_id']}.{job['workspace_id']}"
    assert (await lane(api, job["kind"]))["completed_last_minute"] == 1


async def test_jobs_are_cancelled_retried_and_queued_again_together(own: tuple[Api, Api]) -> None:
    api, _ = own
    for kind in ("event", "event_batch"):
        await api.post(f"/v1/memory/lanes/{kind}/pause")
    project = await remember(api, "We decided that releases are cut on Tuesdays.")
    await remember(api, "The build fails with E1234 when the cache is cold.", project=project)
    one, other = [job["id"] for job in await jobs(api, project=project)]
    answer = await api.post(f"/v1/jobs/{one}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    is_problem(await api.post(f"/v1/jobs/{one}/cancel"), 409, "illegal_move")
    is_problem(await api.post(f"/v1/jobs/{other}/retry"), 409, "illegal_move")
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    for replayed in (None, "true"):
        answer = await api.post(f"/v1/jobs/{one}/retry", headers=headers)
        assert (answer.status_code, answer.json()["status"]) == (200, "queued"), answer.text
        assert answer.headers.get("idempotent-replayed") == replayed
    for job in (one, other):
        await api.post(f"/v1/jobs/{job}/cancel")
    assert {job["id"] for job in await jobs(api, status=["cancelled", "failed"])} == {one, other}
    answer = await api.post("/v1/jobs/requeue", json={"project": project, "status": "failed"})
    assert answer.json() == {"requeued": 0}
    answer = await api.post("/v1/jobs/requeue", json={"project": project})
    assert answer.json() == {"requeued": 2}
    for kind in ("event", "event_batch"):
        await api.post(f"/v1/memory/lanes/{kind}/resume")
    for job in (one, other):
        assert (await api.when(f"/v1/jobs/{job}", "completed", seconds=30))["observations"] == 1
    is_problem(await api.post(f"/v1/jobs/{one}/retry"), 409, "illegal_move")
    is_problem(await api.get("/v1/jobs/evt_0"), 404, "not_found")
    is_problem(await api.get("/v1/jobs", params={"cursor": "x"}), 422, "bad_cursor")

    async def noted() -> None:
        log = (await api.get("/v1/activity", params={"limit": 500})).json()["items"]
        actions = {item["action"] for item in log}
        assert {"memory_job_cancelled", "memory_job_retried", "memory_jobs_requeued", "memory_lane_paused",
                "memory_lane_resumed"} <= actions  # fmt: skip

    await eventually(noted)
