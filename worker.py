"""Composition root of a worker: connect, build, poll. `python worker.py` runs one with the environment's settings.

A worker executes workflows and runs agents. Start as many as you like, anywhere the three services can be reached.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
import os
import re
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from pathlib import Path

from temporalio import activity
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.runtime import LogForwardingConfig, LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter
from temporalio.service import RPCError
from temporalio.worker import Worker

from activities.agents import AgentActivities
from activities.budgets import Budgets
from activities.context import Contexts, teller
from activities.fleet import FleetActivities
from activities.forgetting import ForgettingActivities
from activities.generation import Caps, Generation
from activities.memory import MemoryActivities
from activities.messages import Messages
from activities.recording import Recording
from activities.refusals import Refusals
from activities.tasks import TaskActivities
from activities.upkeep import Upkeep
from activities.vectors import VectorActivities
from api.pokes import Pokes
from muster import logs
from muster.domain.errors import MusterError
from muster.domain.forgetting import Expiry
from muster.domain.memory import JobKind, lane_queue
from muster.domain.version import BUILD
from muster.models.embeddings import Embeddings
from muster.runners.registry import Runners
from muster.runners.tree import Forest
from muster.runners.warden import Warden, sweep_dead
from muster.services.errors import StartupError
from muster.services.temporal import SEARCH_ATTRIBUTES
from muster.settings import Settings
from muster.storage import migrations
from muster.storage.database import Database
from muster.storage.mirror import Mirror
from muster.temporal import connection, leave
from workflows.agent import AgentWorkflow
from workflows.fleet import AdmitWorkflow, ApplyLimitsWorkflow, KillAllWorkflow, StopWorkspaceWorkflow
from workflows.memory import MemorySweepWorkflow, MemoryWorkflow
from workflows.memory_retention import MemoryRetentionWorkflow
from workflows.sandbox import Sandbox
from workflows.task import TaskWorkflow

log = logging.getLogger("worker")

WORKFLOWS = [
    TaskWorkflow, AgentWorkflow, KillAllWorkflow, StopWorkspaceWorkflow, AdmitWorkflow, ApplyLimitsWorkflow,
    MemoryWorkflow, MemorySweepWorkflow, MemoryRetentionWorkflow,
]  # fmt: skip

CACHED_WORKFLOWS = 160
"""At some 70 KB each. Waiting tasks need no place: they are replayed, from a short history, when they move."""

_STOP_SECONDS = 30.0
"""Agents have ten of them; the rest is for what hangs."""

_ROOM_FILES = re.compile(r"^(workflows|activities|api)(?:/|\.py,|$)", re.MULTILINE)


async def main(settings: Settings) -> None:
    """Run one worker until SIGINT or SIGTERM. Every address in the settings must be explicit."""
    logs.configure(settings, where=_where)
    _hear_the_core()
    _refuse_strangers()
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        if stopped.is_set():  # asked again
            _leave()
        stopped.set()
        loop.call_later(_STOP_SECONDS, _leave)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)

    await migrations.demand(_secret(settings))
    name = f"{socket.gethostname()}:{os.getpid()}"
    client = await Client.connect(**connection(settings), identity=f"worker@{name}")
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
        pokes, generation = Pokes(_always(client), settings.temporal_task_queue), _generation(db, settings)
        recording = Recording(db, pokes.poke)
        embeddings = _embeddings(settings)
        contexts = Contexts(teller(db, embeddings))
        of_agents = AgentActivities(
            db, mirror, messages, Runners(Forest(warden.mark)),
            worker=name, max_output_bytes=settings.max_output_bytes, api_url=settings.api_url,
            secret_key=_secret_key(settings), recording=recording, contexts=contexts,
        )  # fmt: skip
        budgets = Budgets(db, mirror, messages, sweep_seconds=settings.sweep_seconds)
        of_fleets = FleetActivities(db, mirror, messages, budgets)
        of_vectors = VectorActivities(db, embeddings, pokes.poke)
        of_memory = MemoryActivities(
            db, generation, pokes.poke, of_vectors,
            calls_at_once=settings.memory_calls, retry_seconds=settings.memory_retry_seconds,
        )  # fmt: skip
        of_vectors.busy = lambda: of_memory.making > 0
        of_forgetting = ForgettingActivities(db)
        upkeep = Upkeep(
            client, db, mirror, messages, budgets, sweep_seconds=settings.sweep_seconds,
            beside=(recording.catch_up, of_forgetting.finish),
        )  # fmt: skip
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
                of_fleets.apply_limits,
                of_fleets.end_agents,
                of_memory.look_memory,
                of_memory.sweep_memory,
                of_forgetting.expire_memory,
            ],
            interceptors=[Refusals()],
            build_id=BUILD,
            workflow_runner=Sandbox(),
            max_concurrent_activities=settings.worker_max_agents,
            max_cached_workflows=CACHED_WORKFLOWS,
            # How long the server waits for a worker that knew a workflow, and may have died, before it asks another.
            sticky_queue_schedule_to_start_timeout=timedelta(seconds=4),
            # A cancellation rides on a heartbeat's answer where the server cannot push it.
            max_heartbeat_throttle_interval=timedelta(seconds=1),
            default_heartbeat_throttle_interval=timedelta(seconds=1),
            graceful_shutdown_timeout=timedelta(seconds=10),
        )
        async with AsyncExitStack() as polling:
            for one in (worker, *lanes(client, settings, of_memory)):
                await polling.enter_async_context(one)
            log.info("worker %s polls %s at %s", name, settings.temporal_task_queue, settings.temporal_address)
            care = (
                upkeep.run(), of_vectors.keep(), _sweep_memory(client, settings, of_memory),
                _schedule_retention(client, settings.temporal_task_queue),
            )  # fmt: skip
            caring = {asyncio.create_task(one) for one in care}
            await stopped.wait()
            log.info("stopping")
            for task in caring:
                task.cancel()
            await asyncio.wait(caring, timeout=2)
        await messages.flush()
        await recording.close()
        await pokes.close()
        await generation.close()
        await embeddings.close()
        contexts.close()
    finally:
        await warden.stop()
        await mirror.close()
        await db.close()


def _leave() -> None:
    """Not properly: its agents are ended by its warden, and found lost by another worker."""
    log.error("stopping took too long, or was asked for twice: leaving at once")
    logging.shutdown()
    os._exit(1)


def lanes(client: Client, settings: Settings, of_memory: MemoryActivities) -> list[Worker]:
    """Each kind of memory's jobs has a task queue of its own, so that none waits behind another, or behind agents."""
    at_once = {
        JobKind.EVENT: settings.memory_event_concurrency,
        JobKind.EVENT_BATCH: settings.memory_event_batch_concurrency,
        JobKind.SUMMARY: settings.memory_summary_concurrency,
        JobKind.REINDEX: settings.memory_reindex_concurrency,
    }
    return [
        Worker(
            client,
            task_queue=lane_queue(settings.temporal_task_queue, kind),
            activities=[of_memory.drain_memory],
            interceptors=[Refusals()],
            build_id=BUILD,
            max_concurrent_activities=number,
            max_concurrent_activity_task_polls=min(2, number),
            max_heartbeat_throttle_interval=timedelta(seconds=1),
            default_heartbeat_throttle_interval=timedelta(seconds=1),
            graceful_shutdown_timeout=timedelta(seconds=5),
        )
        for kind, number in at_once.items()
    ]


def _embeddings(settings: Settings) -> Embeddings:
    return Embeddings.of(
        settings.embeddings_url,
        settings.embeddings_model,
        settings.embeddings_secret,
        dimensions=settings.embeddings_dimensions,
        beside=settings.embedder_url,
    )


def _generation(db: Database, settings: Settings) -> Generation:
    return Generation.of(
        db,
        generator=settings.memory_generator,
        model=settings.memory_model,
        url=settings.memory_model_url,
        key=settings.memory_model_key.get_secret_value() if settings.memory_model_key else None,
        seconds=settings.memory_model_seconds,
        caps=Caps(
            call=settings.memory_call_tokens,
            output=settings.memory_output_tokens,
            workspace_day=settings.memory_daily_tokens,
            project_day=settings.memory_project_daily_tokens,
        ),
    )


def _always(client: Client) -> Callable[[], Awaitable[Client]]:
    async def same() -> Client:
        return client

    return same


async def _sweep_memory(client: Client, settings: Settings, of_memory: MemoryActivities) -> None:
    """Once at the start, and then as scheduled: by whichever worker Temporal asks."""
    try:
        await of_memory.sweep(1.0)
    except MusterError as error:
        log.warning("no first sweep of memory: %s", error.message)
    queue = settings.temporal_task_queue
    name = "memory-sweep" if queue == "muster" else f"memory-sweep-{queue}"
    schedule = Schedule(
        action=ScheduleActionStartWorkflow(
            MemorySweepWorkflow.run, id=name, task_queue=queue, execution_timeout=timedelta(minutes=5),
            static_summary="Memory: jobs that nobody works on",
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(seconds=settings.memory_sweep_seconds))]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(seconds=10)),
    )  # fmt: skip

    async def as_now(found: ScheduleUpdateInput) -> ScheduleUpdate | None:
        known = found.description.schedule
        return None if known.spec.intervals == schedule.spec.intervals else ScheduleUpdate(schedule)

    try:
        with suppress(ScheduleAlreadyRunningError):
            await client.create_schedule(name, schedule)
            return
        await client.get_schedule_handle(name).update(as_now)
    except RPCError as error:
        log.warning("could not schedule memory's sweep (%s): lost pokes wait for the next start", error.message)


async def _schedule_retention(client: Client, queue: str) -> None:
    """What is kept for a time only goes once a day; a day that was missed is made up for."""
    name = "memory-retention" if queue == "muster" else f"memory-retention-{queue}"
    schedule = Schedule(
        action=ScheduleActionStartWorkflow(
            MemoryRetentionWorkflow.run, Expiry(), id=name, task_queue=queue, static_summary="Memory: what is over age",
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(days=1))]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(days=1)),
    )  # fmt: skip
    try:
        with suppress(ScheduleAlreadyRunningError):
            await client.create_schedule(name, schedule)
    except RPCError as error:
        log.warning("could not schedule memory's retention (%s): the next start of a worker tries again", error.message)


def _hear_the_core() -> None:
    """The SDK's core would write to stderr in a form of its own, between the lines of this process."""
    forwarding = LogForwardingConfig(logging.getLogger("temporalio"), prepend_target_on_message=False)
    told = LoggingConfig(TelemetryFilter(core_level="WARN", other_level="ERROR"), forwarding)
    Runtime.set_default(Runtime(telemetry=TelemetryConfig(logging=told)), error_if_already_set=False)


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
    """Our top-level names are generic: a distribution that ships one too would be imported in its place.

    By the lists of installed files alone: to ask whose each package is would parse all about every distribution, a
    tenth of what starting a worker takes.
    """
    for distribution in importlib.metadata.distributions():
        files = distribution.read_text("RECORD") or distribution.read_text("top_level.txt") or ""
        if (found := _ROOM_FILES.search(files)) and distribution.name.lower() != "muster":
            raise StartupError(
                f"{distribution.name} also ships a module named {found[1]}: give Muster a venv of its own"
            )


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
    import uvloop

    from muster.services import runtime
    from muster.services.stack import Stack

    async def run(settings: Settings) -> None:
        await Stack(settings).check(("temporal", "postgres", "valkey"))
        await main(settings)

    try:
        uvloop.run(run(runtime.resolve(Settings())))
    except (StartupError, MusterError) as problem:
        sys.stderr.write(f"worker: {problem}\n")
        leave(1)
    leave(0)
