"""The bare program's worker, in a process of its own: `python -m benchmarks.bare.worker ADDRESS NAMESPACE READY`."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import py_compile
import signal
import sys
from datetime import timedelta
from pathlib import Path

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.workflow import SandboxImportNotificationPolicy

from benchmarks.bare.steps import note, run
from benchmarks.bare.workflows import BareAgent, BareSubmission, BareTask

QUEUE = "bare"


async def main(address: str, namespace: str, ready: Path) -> None:
    # Without bytecode, each run would compile its module anew.
    with contextlib.suppress(OSError):
        py_compile.compile(sys.modules[BareTask.__module__].__file__ or "", quiet=2)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    client = await Client.connect(address, namespace=namespace, data_converter=pydantic_data_converter)
    # From here on with the options of Muster's own worker.py, and the SDK's own sandbox.
    allowed = SandboxRestrictions.default.with_passthrough_modules("benchmarks.bare.steps")
    restrictions = dataclasses.replace(
        allowed, import_notification_policy=SandboxImportNotificationPolicy.RAISE_ON_UNINTENTIONAL_PASSTHROUGH
    )
    worker = Worker(
        client,
        task_queue=QUEUE,
        workflows=[BareTask, BareAgent, BareSubmission],
        activities=[note, run],
        workflow_runner=SandboxedWorkflowRunner(restrictions=restrictions),
        max_concurrent_activities=200,
        max_cached_workflows=160,
        max_heartbeat_throttle_interval=timedelta(seconds=1),
        default_heartbeat_throttle_interval=timedelta(seconds=1),
        graceful_shutdown_timeout=timedelta(seconds=10),
    )
    async with worker:
        ready.touch()
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
