"""Composition root of a worker: connect, build, poll. `python worker.py` runs one with the environment's settings.

A worker executes workflows and runs agents. Start as many as you like, anywhere the three services can be reached.
"""

from __future__ import annotations

import asyncio
import dataclasses
import importlib.metadata
import logging
import os
import py_compile
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from temporalio import activity
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.converter import StorageDriverStoreContext, WorkflowSerializationContext
from temporalio.envconfig import ClientConfig
from temporalio.service import RPCError
from temporalio.worker import Worker, WorkflowInstance, WorkflowInstanceDetails
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.workflow import SandboxImportNotificationPolicy

from activities.agents import AgentActivities
from activities.fleet import FleetActivities
from activities.messages import Messages
from activities.refusals import Refusals
from activities.tasks import TaskActivities
from activities.upkeep import Upkeep
from muster import logs
from muster.payloads import data_converter
from muster.runners.registry import Runners
from muster.runners.tree import Forest
from muster.runners.warden import Warden, sweep_dead
from muster.services.errors import StartupError
from muster.services.temporal import SEARCH_ATTRIBUTES
from muster.settings import Settings
from muster.storage.database import Database
from muster.storage.mirror import Mirror
from workflows.agent import AgentWorkflow
from workflows.fleet import AdmitWorkflow, KillAllWorkflow, StopWorkspaceWorkflow
from workflows.task import TaskWorkflow

log = logging.getLogger("worker")

WORKFLOWS = [TaskWorkflow, AgentWorkflow, KillAllWorkflow, StopWorkspaceWorkflow, AdmitWorkflow]

CACHED_WORKFLOWS = 160
"""At some 70 KB each. Waiting tasks need no place: they are replayed, from a short history, when they move."""

_NOWHERE = StorageDriverStoreContext(target=None)

_ROOMS = ("workflows", "activities", "api")


async def main(settings: Settings) -> None:
    """Run one worker until SIGINT or SIGTERM. Every address in the settings must be explicit."""
    logs.configure(settings, where=_where)
    _refuse_strangers()
    _compile_workflows()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)

    name = f"{socket.gethostname()}:{os.getpid()}"
    client = await connect(settings, identity=f"worker@{name}")
    await _ensure_search_attributes(client, settings.temporal_namespace)
    db = Database(_secret(settings), size=settings.database_pool_size, name="muster-worker", wait_seconds=30)
    mirror = Mirror(settings.external_valkey_url or "", terminal_ttl_seconds=settings.terminal_ttl_seconds)
    scope = _scope(settings)
    await sweep_dead(scope)
    warden = Warden(scope)
    await warden.start()
    await db.open()
    try:
        messages = Messages(client, mirror)
        of_tasks = TaskActivities(db, messages)
        of_agents = AgentActivities(
            db, mirror, messages, Runners(Forest(warden.mark)),
            worker=name, max_output_bytes=settings.max_output_bytes, api_url=settings.api_url,
            secret_key=_secret_key(settings),
        )  # fmt: skip
        of_fleets = FleetActivities(db, mirror, messages)
        upkeep = Upkeep(client, db, mirror, messages, sweep_seconds=settings.sweep_seconds)
        worker = Worker(
            client,
            task_queue=settings.temporal_task_queue,
            workflows=WORKFLOWS,
            activities=[
                of_tasks.open_task,
                of_tasks.spawn_task,
                of_tasks.advance_task,
                of_tasks.reschedule_task,
                of_tasks.finish_task,
                of_agents.run_agent,
                of_agents.ask_kill,
                of_agents.settle_agent,
                of_fleets.kill_agents,
                of_fleets.admit_workspace,
                of_fleets.end_agents,
            ],
            interceptors=[Refusals()],
            workflow_runner=Sandbox(restrictions=sandbox()),
            max_concurrent_activities=settings.worker_max_agents,
            max_cached_workflows=CACHED_WORKFLOWS,
            # How long the server waits for a worker that knew a workflow, and may have died, before it asks another.
            sticky_queue_schedule_to_start_timeout=timedelta(seconds=4),
            # A cancellation rides on a heartbeat's answer where the server cannot push it.
            max_heartbeat_throttle_interval=timedelta(seconds=1),
            default_heartbeat_throttle_interval=timedelta(seconds=1),
            graceful_shutdown_timeout=timedelta(seconds=10),
        )
        async with worker:
            log.info("worker %s polls %s at %s", name, settings.temporal_task_queue, settings.temporal_address)
            caring = asyncio.create_task(upkeep.run())
            await stopped.wait()
            log.info("stopping")
            caring.cancel()
            await asyncio.wait({caring}, timeout=2)
        await messages.flush()
    finally:
        await warden.stop()
        await mirror.close()
        await db.close()


async def connect(settings: Settings, identity: str) -> Client:
    """TLS, API keys and profiles come from the SDK's own environment configuration."""
    options: dict[str, Any] = dict(ClientConfig.load_client_connect_config())
    options |= {
        "target_host": settings.temporal_address,
        "namespace": settings.temporal_namespace,
        "data_converter": data_converter(settings.payload_key_ring),
        "identity": identity,
    }
    return await Client.connect(**options)


class Sandbox(SandboxedWorkflowRunner):
    """The SDK's own, but for two questions: for each payload, it enters the sandbox to learn on whose behalf that is
    converted, and where it might be stored. Whatever a workflow sends is of its own workspace, so its own context
    does for all of it, we have no such store, and the asking is a tenth of a worker's time."""

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        instance = super().create_instance(det)
        own = WorkflowSerializationContext(namespace=det.info.namespace, workflow_id=det.info.workflow_id)
        instance.get_serialization_context = lambda command_info: own  # type: ignore[method-assign]
        instance.get_external_store_context = lambda command_info: _NOWHERE  # type: ignore[method-assign]
        return instance


def sandbox() -> SandboxRestrictions:
    """Workflows see the domain and the steps as they are, and an import of anything else of ours is an error."""
    allowed = SandboxRestrictions.default.with_passthrough_modules("muster.domain", "workflows.steps")
    return dataclasses.replace(
        allowed, import_notification_policy=SandboxImportNotificationPolicy.RAISE_ON_UNINTENTIONAL_PASSTHROUGH
    )


def _where() -> Mapping[str, str]:
    """What a line in the log is about, when an activity writes it."""
    if not activity.in_activity():
        return {}
    info = activity.info()
    return {"workflow_id": info.workflow_id or "", "activity": info.activity_type}


def _scope(settings: Settings) -> str:
    """Whose agents these are, on this machine: those of a dead worker are ended by the next of the same Muster."""
    home = Path(settings.home).resolve()
    return f"{home}|{settings.temporal_address}|{settings.temporal_namespace}|{settings.temporal_task_queue}"


def _secret(settings: Settings) -> str:
    if settings.database_url is None:
        raise StartupError("set DATABASE_URL")
    return settings.database_url.get_secret_value()


def _secret_key(settings: Settings) -> str:
    if settings.secret_key is None:
        raise StartupError("set MUSTER_SECRET_KEY, the same for every API and worker")
    return settings.secret_key.get_secret_value()


def _refuse_strangers() -> None:
    """Our top-level names are generic: a distribution that ships one too would be imported in its place."""
    owners = importlib.metadata.packages_distributions()
    for room in _ROOMS:
        others = [name for name in owners.get(room, []) if name != "muster"]
        if others:
            raise StartupError(f"{others[0]} also ships a module named {room}: give Muster a venv of its own")


def _compile_workflows() -> None:
    """Each run of a workflow imports its module anew, in its sandbox: a third of that time goes into compiling it
    where nothing keeps bytecode (PYTHONDONTWRITEBYTECODE)."""
    for workflow in WORKFLOWS:
        source = sys.modules[workflow.__module__].__file__
        with suppress(OSError):  # installed read-only
            py_compile.compile(source or "", quiet=2)


async def _ensure_search_attributes(client: Client, namespace: str) -> None:
    """The embedded server is started with them; another may not have them yet."""
    kinds = {"Keyword": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD, "Int": IndexedValueType.INDEXED_VALUE_TYPE_INT}
    try:
        operator = client.operator_service
        known = await operator.list_search_attributes(ListSearchAttributesRequest(namespace=namespace))
        missing = {name: kinds[kind] for name, kind in SEARCH_ATTRIBUTES.items() if name not in known.custom_attributes}
        if missing:
            await operator.add_search_attributes(
                AddSearchAttributesRequest(namespace=namespace, search_attributes=missing)
            )  # fmt: skip
            log.info("added search attributes %s", ", ".join(missing))
    except RPCError as error:
        # A hosted Temporal does not let its users do this; it says which are missing when a workflow starts.
        log.warning("could not check the search attributes (%s): see docs/operating.md", error.message)


if __name__ == "__main__":
    from muster.services import runtime
    from muster.services.stack import Stack

    async def run(settings: Settings) -> None:
        await Stack(settings).check(("temporal", "postgres", "valkey"))
        await main(settings)

    try:
        asyncio.run(run(runtime.resolve(Settings())))
    except StartupError as problem:
        sys.exit(f"worker: {problem}")
