"""Whether it is alive, whether it can work, and how each thing it depends on is: told within 2 seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request
from temporalio.service import RPCError

from api import answers
from api.answers import Json
from api.auth import ANY_KEY, OPEN, needs, router_of
from api.context import Context, asking, context
from muster.domain.errors import MusterError
from muster.domain.memory import GenerationFailed
from muster.domain.tenants import Tenant
from muster.domain.version import VERSION
from muster.settings import mask
from muster.storage import jobs, pings

router = router_of("health", prefix="")

PROBE_SECONDS = 1.5
"""What is left of two seconds where Valkey is first waited for to count the request (`limits.AWAY_SECONDS`)."""

Probe = Callable[[Context], Awaitable[dict[str, Any]]]


async def _temporal(here: Context) -> dict[str, Any]:
    return {"version": await here.commands.version()}


async def _postgres(here: Context) -> dict[str, Any]:
    return {"version": await pings.postgres(here.db)}


async def _valkey(here: Context) -> dict[str, Any]:
    found = {"version": await here.live.ping()}
    return found if here.live.up else {**found, "detail": "reconnecting; live streams read Postgres meanwhile"}


async def _workers(here: Context) -> dict[str, Any]:
    workers = await here.commands.workers()
    if not workers:
        queue = here.settings.temporal_task_queue
        return {"status": "errored", "detail": f"no worker polls the task queue {queue}: start one (`muster worker`)"}
    return {"detail": f"{len(workers)} polling: {', '.join(workers[:5])}"}


async def _embedder(here: Context) -> dict[str, Any]:
    """Without it, search goes by words alone: worth a look, and no reason not to be ready."""
    embeddings = here.embeddings
    if not embeddings.enabled:
        return {"status": "disabled", "detail": "MUSTER_EMBEDDINGS_URL names none: search goes by words alone"}
    try:
        await embeddings.look(PROBE_SECONDS)
    except GenerationFailed as failure:
        return {"status": "errored", "detail": f"search goes by words alone: {failure.message}"}
    return {"detail": f"{embeddings.model} at {mask(embeddings.where)}"}


_PROBES: dict[str, Probe] = {
    "temporal": _temporal,
    "postgres": _postgres,
    "valkey": _valkey,
    "workers": _workers,
    "embedder": _embedder,
}


async def _memory(here: Context, tenant: Tenant) -> dict[str, Any]:
    """Of one workspace: what waits to be made into memory, and what stands in its way."""
    lanes = await jobs.lanes(here.db, tenant)
    held = [f"{lane['kind']} is {'paused' if lane['paused'] else 'parked'}" for lane in lanes
            if lane["paused"] or lane["parked"]]  # fmt: skip
    depth = sum(lane["queued"] + lane["processing"] for lane in lanes)
    return {"detail": "; ".join([f"{depth} jobs to do", *held]), "lanes": lanes}


async def _look(here: Context, name: str, probe: Probe | None = None) -> dict[str, Any]:
    """One boundary. A probe that hangs is not waited for, nor started a second time while it does."""
    began = time.monotonic()
    task = here.probes.get(name)
    if task is None:
        task = here.probes[name] = asyncio.ensure_future((probe or _PROBES[name])(here))
        task.add_done_callback(lambda done: _forget(here, name, done))
    done, _ = await asyncio.wait({task}, timeout=PROBE_SECONDS)
    if not done:
        return {"status": "errored", "detail": f"did not answer within {PROBE_SECONDS:g} s"}
    latency = round((time.monotonic() - began) * 1000, 1)
    try:
        return {"status": "active", "latency_ms": latency, **task.result()}
    except MusterError as error:
        return {"status": "errored", "detail": error.message}
    except RPCError as error:
        return {"status": "errored", "detail": f"{error.status.name.lower()}: {error.message}"[:300]}
    except Exception as error:  # each client names its failures differently; a health check reports them all
        return {"status": "errored", "detail": f"{type(error).__name__}: {error}"[:300]}


def _forget(here: Context, name: str, task: asyncio.Task[Any]) -> None:
    here.probes.pop(name, None)
    if not task.cancelled():
        task.exception()  # asked for, so that asyncio does not complain when nobody waited


async def boundaries(here: Context, *names: str) -> dict[str, dict[str, Any]]:
    found = await asyncio.gather(*(_look(here, name) for name in names))
    return dict(zip(names, found, strict=True))


@router.get(
    "/healthz",
    operation_id="get_health",
    openapi_extra=needs(OPEN),
    summary="Is it alive?",
    response_model=answers.Alive,
)
async def get_health() -> Any:
    return Json({"status": "ok"})


@router.get(
    "/readyz",
    operation_id="get_readiness",
    openapi_extra=needs(OPEN),
    summary="Can it work?",
    response_model=answers.Ready,
    responses={503: {"model": answers.Ready, "description": "Something it needs does not answer"}},
)
async def get_readiness(request: Request) -> Any:
    here = context(request)
    found = await boundaries(here, "temporal", "postgres", "valkey")
    ready = all(boundary["status"] == "active" for boundary in found.values())
    return Json({"status": "ready" if ready else "not_ready", "boundaries": found}, 200 if ready else 503)


@router.get(
    "/v1/info",
    operation_id="get_info",
    openapi_extra=needs(ANY_KEY),
    summary="Version and boundaries",
    response_model=answers.Info,
    responses=answers.problems(),
)
async def get_info(request: Request) -> Any:
    here, tenant = await asking(request)
    reach = f"memory of {tenant.workspace_id}/{tenant.project_id}/{tenant.task_id}"
    found, memory = await asyncio.gather(
        boundaries(here, *_PROBES), _look(here, reach, lambda here: _memory(here, tenant))
    )
    return Json({"version": VERSION, "boundaries": {**found, "memory": memory}})
