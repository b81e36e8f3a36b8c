"""With something missing: it starts, says what is wrong, does what can be done, and catches up when it is back."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr
from temporalio.client import Client, WorkflowExecutionStatus

from api import commands
from muster.settings import Settings
from tests.api.conftest import Api, a_stack, a_worker, admin, eventually, is_problem, serving
from tests.api.people import made
from tests.pace import patience

TASK = {"title": "t", "runner": {"argv": ["true"]}}
NOBODY = "127.0.0.1:1"


@pytest.fixture(scope="module")
async def alone() -> AsyncIterator[Settings]:
    """Servers, and nobody who works."""
    async with a_stack() as (settings, _):
        yield settings


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "ANSWER_SECONDS", 1.5)


async def test_it_starts_while_nothing_answers(alone: Settings, impatient: None) -> None:
    nothing = {
        "temporal_address": NOBODY,
        "valkey_url": SecretStr(f"redis://{NOBODY}"),
        "database_url": SecretStr(f"postgresql://muster@{NOBODY}/muster"),
    }
    async with serving(alone.model_copy(update=nothing)) as url, Api(url, admin(alone)) as api:
        assert (await api.get("/healthz")).status_code == 200
        async with patience(2.5):
            ready = await api.get("/readyz")
        assert ready.status_code == 503
        assert {boundary["status"] for boundary in ready.json()["boundaries"].values()} == {"errored"}
        async with patience(2.5):
            is_problem(await api.get("/v1/info"), 503, "unavailable")  # no key can be looked up


async def test_without_postgres_a_read_is_503(alone: Settings) -> None:
    dead = {"database_url": SecretStr(f"postgresql://muster@{NOBODY}/muster")}
    async with serving(alone.model_copy(update=dead)) as url, Api(url, admin(alone)) as api:
        headers = {"Accept": "text/event-stream"}
        answers = await asyncio.gather(api.get("/v1/tasks"), api.get("/v1/events", headers=headers))
        for answer in answers:
            problem = is_problem(answer, 503, "unavailable")
            assert problem["retryable"]
            assert int(answer.headers["retry-after"]) >= 1
            assert "SELECT" not in answer.text


async def test_without_an_embedder_words_find_and_it_is_said_why(alone: Settings) -> None:
    dead = {"embeddings_url": f"http://{NOBODY}/v1"}
    async with serving(alone.model_copy(update=dead)) as url, Api(url, admin(alone)) as api:
        await made(api, "/v1/projects", {"slug": "words", "name": "Words"})
        await made(api, "/v1/observations", {"project": "words", "title": "Okapis sleep at noon"})
        for explain in (True, False):
            answer = await api.post("/v1/memory/search", json={"query": "okapi", "explain": explain})
            found = answer.json()
            assert (found["mode"], [item["title"] for item in found["items"]]) == ("lexical", ["Okapis sleep at noon"])
            assert ("embedder" in found["explain"]["no_vector"]) if explain else ("explain" not in found)


async def test_without_temporal_or_valkey_what_is_there_can_be_read(alone: Settings, impatient: None) -> None:
    dead = {"temporal_address": NOBODY, "valkey_url": SecretStr(f"redis://{NOBODY}")}
    async with serving(alone.model_copy(update=dead)) as url, Api(url, admin(alone)) as api:
        assert (await api.get("/v1/tasks")).json()["items"] == []
        problem = is_problem(await api.post("/v1/tasks", json=TASK), 503, "unavailable")
        assert problem["retryable"]
        async with patience(1.5):  # whom it lets start hear of it later
            raised = await api.patch("/v1/workspaces/default", json={"max_concurrent_agents": 9})
        assert raised.json()["max_concurrent_agents"] == 9
        async with api.follow("/v1/events") as stream:
            with pytest.raises(TimeoutError):
                await stream.next(0.5)
            assert stream.start is not None


async def test_without_a_worker_a_task_is_refused_and_does_not_come_true_later(
    alone: Settings, impatient: None
) -> None:
    async with serving(alone) as url, Api(url, admin(alone)) as api:
        label, headers = uuid.uuid4().hex, {"Idempotency-Key": uuid.uuid4().hex}
        body = {**TASK, "labels": [label]}
        unkeyed, keyed = await asyncio.gather(
            api.post("/v1/tasks", json=body), api.post("/v1/tasks", json=body, headers=headers)
        )
        assert "worker" in is_problem(unkeyed, 503, "unavailable")["detail"]
        is_problem(keyed, 503, "unavailable")
        info = (await api.get("/v1/info")).json()
        assert info["boundaries"]["workers"]["status"] == "errored"
        assert "muster worker" in info["boundaries"]["workers"]["detail"]

        client = await Client.connect(alone.temporal_address or "")

        async def closed() -> None:
            found = [
                workflow.status async for workflow in client.list_workflows("WorkflowType = 'TaskWorkflow'")
            ]  # fmt: skip
            assert sorted(str(status) for status in found) == sorted(
                str(status) for status in (WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.TERMINATED)
            )

        await eventually(closed)
        # Sent again with its key it is the same task, and now somebody does it.
        async with a_worker(alone):

            async def created() -> None:
                again = await api.post("/v1/tasks", json=body, headers=headers)
                assert again.status_code in {200, 201}, again.text

            await eventually(created, 30)
            tasks = (await api.get("/v1/tasks", params={"label": label})).json()["items"]
            assert len(tasks) == 1
            await api.when(f"/v1/tasks/{tasks[0]['id']}", "completed")


async def test_a_defect_is_a_500_that_tells_nothing(alone: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError("the secret is 1234")

    monkeypatch.setattr("muster.storage.tasks.queue", broken)
    async with serving(alone) as url, Api(url, admin(alone)) as api:
        answer = await api.get("/v1/queue", headers={"X-Request-ID": "find-me"})
        problem = is_problem(answer, 500, "internal")
        assert problem["trace_id"] == "find-me"
        assert "1234" not in json.dumps(problem)
        assert "Traceback" not in answer.text
        assert (await api.get("/healthz")).status_code == 200
