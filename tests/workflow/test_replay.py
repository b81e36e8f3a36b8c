"""Code that runs today must be able to go on with what began yesterday."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, Worker

from tests.workflow import clock_watcher, intruder
from tests.workflow.harness import FINGERPRINTS, HISTORIES, Play
from tests.workflow.scenarios import SCENARIOS, fingerprint, histories, squeeze
from worker import WORKFLOWS
from workflows.sandbox import Sandbox

KEPT = sorted(HISTORIES.glob("*.json"))
EXPLAIN = """{label}: the workflow now gives other commands than the recorded runs did:

    recorded  {recorded}
    now       {now}

Workflows that are under way when this version is installed would fail with a nondeterminism error. Keep the old
path for them:

    if workflow.patched("what-changed"):
        …                       # new runs
    else:
        …                       # as it was, until no such run is left; then workflow.deprecate_patch()

If no such run can exist (nothing was released yet), record anew:

    python tests/workflow/capture.py --accept {scenario}
"""


def kept(label: str) -> WorkflowHistory:
    text = (HISTORIES / f"{label}.json").read_text()
    started = json.loads(text)["events"][0]["workflowExecutionStartedEventAttributes"]
    return WorkflowHistory.from_json(started["workflowId"], text)


def test_every_scenario_has_its_histories() -> None:
    assert {path.stem.partition(".")[0] for path in KEPT} == set(SCENARIOS)


@pytest.mark.parametrize("label", [path.stem for path in KEPT])
async def test_kept_histories_replay(label: str) -> None:
    replayer = Replayer(
        workflows=WORKFLOWS,
        data_converter=pydantic_data_converter,
        workflow_runner=Sandbox(),
    )
    result = await replayer.replay_workflow(kept(label), raise_on_replay_failure=False)
    if result.replay_failure:
        raise AssertionError(
            EXPLAIN.format(
                label=label,
                recorded=squeeze(fingerprint(kept(label))),
                now=result.replay_failure,
                scenario=label.partition(".")[0],
            )
        )


def test_histories_and_fingerprints_belong_together() -> None:
    recorded = json.loads(FINGERPRINTS.read_text())
    found = {path.stem: squeeze(fingerprint(kept(path.stem))) for path in KEPT}
    assert found == recorded, "record both at once: python tests/workflow/capture.py --accept"


async def test_commands_are_those_of_the_fingerprints(
    new_world: Callable[[], Play], environment: WorkflowEnvironment
) -> None:
    with environment.with_time_skipping_disabled():
        played = await asyncio.gather(*(histories(play, new_world()) for play in SCENARIOS.values()))
    recorded = json.loads(FINGERPRINTS.read_text())
    for found in played:
        for label, history in found.items():
            now = squeeze(fingerprint(history))
            if now != recorded.get(label):
                raise AssertionError(
                    EXPLAIN.format(label=label, recorded=recorded.get(label), now=now, scenario=label.partition(".")[0])
                )


async def test_a_workflow_that_imports_activities_is_refused(environment: WorkflowEnvironment) -> None:
    with pytest.raises(RuntimeError, match="Failed validating workflow") as refused:
        Worker(
            environment.client,
            task_queue="intruder",
            workflows=[intruder.Intruder],
            workflow_runner=Sandbox(),
        )
    causes, error = [], refused.value.__cause__
    while error:
        causes.append(f"{type(error).__name__}: {error}")
        error = error.__cause__
    assert "activities" in "\n".join(causes), causes


async def test_runs_that_share_a_sandbox_are_all_held_by_it(environment: WorkflowEnvironment) -> None:
    watcher = clock_watcher.ClockWatcher
    async with Worker(environment.client, task_queue="clock-watchers", workflows=[watcher], workflow_runner=Sandbox()):
        runs = (
            environment.client.execute_workflow(watcher.run, id=f"clock-watcher-{n}", task_queue="clock-watchers")
            for n in range(8)
        )
        with environment.with_time_skipping_disabled():
            assert await asyncio.gather(*runs) == [2 * clock_watcher.LOOKS] * 8
