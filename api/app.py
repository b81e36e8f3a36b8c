"""The HTTP API, put together. It starts even when what it needs does not answer yet, and finds it when it does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api import (
    activity,
    agent_events,
    agents,
    archive,
    claude_mem,
    claude_mem_memories,
    codec,
    errors,
    events,
    fleet,
    forgetting,
    health,
    jobs,
    keys,
    mcp,
    memory,
    memory_settings,
    observations,
    pages,
    people,
    projects,
    reindex,
    sessions,
    signin,
    tasks,
    usage,
    workspaces,
)
from api.auth import Keyring
from api.commands import Commands
from api.context import Context
from api.edge import LOOPBACK, Edge
from api.hub import Hub
from api.limits import Limits
from api.pokes import Pokes
from api.slots import Slots
from muster.domain.version import VERSION
from muster.models.embeddings import Embeddings
from muster.settings import Settings
from muster.storage.agent_events import Recorder
from muster.storage.database import Database
from muster.storage.live import Live

DESCRIPTION = """\
Runs fleets of AI agents durably. A **task** is something to get done; an **agent** is one attempt at it.

* Every request but a health check carries a key: `Authorization: Bearer mst_…`. `x-muster-needs` of an operation
  names the scope it needs. An administrator's key names its workspace in a `Muster-Workspace` header.
* Errors are RFC 9457 problem documents with a stable `code`, `retryable` and `trace_id`.
* Every POST under `/v1` takes an `Idempotency-Key`.
* Agents find tools at `/mcp` (MCP, streamable HTTP), with the same keys. It and `/compat` speak protocols of
  others, which know no `Idempotency-Key`.
* Lists are paged by `cursor`; events and output are also live streams (`Accept: text/event-stream`).
"""


def create_app(settings: Settings) -> FastAPI:
    """`settings` name every address; see `muster.services.runtime.resolve`."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        database_url, valkey_url = settings.database_url, settings.external_valkey_url
        secret_key = settings.secret_key
        if database_url is None or valkey_url is None or settings.temporal_address is None or secret_key is None:
            raise ValueError("the API needs DATABASE_URL, VALKEY_URL, TEMPORAL_ADDRESS and MUSTER_SECRET_KEY")
        db = Database(
            database_url.get_secret_value(), size=settings.database_pool_size, name="muster-api", wait_seconds=3
        )
        live = Live(valkey_url)
        hub = Hub(db, live)
        keyring = Keyring(db, live, secret_key.get_secret_value().encode(), hub.streams)
        limits = Limits(valkey_url)
        await db.open()
        await hub.start()
        await limits.start()
        await keyring.start()
        app.state.mcp = mcp.Room()
        commands = Commands(settings)
        pokes = Pokes(commands.client, settings.temporal_task_queue)
        embeddings = Embeddings.of(
            settings.embeddings_url, settings.embeddings_model, settings.embeddings_secret,
            dimensions=settings.embeddings_dimensions, beside=settings.embedder_url,
        )  # fmt: skip
        recorder = Recorder(db)
        app.state.context = Context(
            settings, db, live, hub, commands, keyring, limits, {}, pokes=pokes, slots=Slots(db),
            embeddings=embeddings, recorder=recorder,
        )  # fmt: skip
        try:
            yield
        finally:
            await app.state.mcp.close()
            await pokes.close()
            await recorder.close()
            await embeddings.close()
            await keyring.stop()
            await hub.stop()
            await limits.close()
            await live.close()
            await db.close()

    app = FastAPI(
        openapi_url=None,  # see api/pages.py
        title="Muster",
        description=DESCRIPTION,
        version=VERSION,
        lifespan=lifespan,
        redirect_slashes=False,
        separate_input_output_schemas=False,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    app.add_middleware(
        Edge,
        max_body_bytes=settings.max_body_bytes,
        hosts=_hosts(settings),
        request_seconds=settings.request_seconds,
        guests=dict.fromkeys(codec.PATHS, codec.origins(settings)),
        larger=dict.fromkeys(codec.PATHS, codec.MAX_BODY_BYTES)
        | {archive.PATH: archive.MAX_BODY_BYTES}
        | dict.fromkeys((agent_events.BATCH_PATH, claude_mem.BATCH_PATH), agent_events.MAX_BATCH_BYTES)
        | dict.fromkeys((claude_mem.EVENT_PATH, claude_mem.START_PATH), claude_mem.MAX_EVENT_BODY_BYTES),
        patient=frozenset({archive.PATH}),
    )
    # Flat, and what is asked most first: a router in a router would be searched twice per request.
    rooms = (
        agent_events, memory, agents, tasks, events, projects, fleet, usage, keys, workspaces, people, activity, health,
        codec, jobs, mcp, archive, forgetting, reindex, claude_mem, claude_mem_memories, observations, sessions,
        memory_settings, pages, signin,
    )  # fmt: skip
    routes = [route for room in rooms for route in room.router.routes]
    app.router.routes[:0] = routes
    errors.install(app, routes)

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
    return app


def _hosts(settings: Settings) -> frozenset[str] | None:
    """The names it answers to; None: to any."""
    if not settings.allow_remote:
        return LOOPBACK
    named = frozenset(name.strip().lower() for name in (settings.allowed_hosts or "").split(",") if name.strip())
    return named or None


def document(app: FastAPI) -> dict[str, Any]:
    found: dict[str, Any] = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        license_info=app.license_info,
        separate_input_output_schemas=False,
    )
    schemas = found["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):  # FastAPI's own, which are never answered
        schemas.pop(unused, None)
    template = "#/components/schemas/{model}"
    schemas["Invalid"] = errors.Invalid.model_json_schema(ref_template=template)
    problem = errors.Problem.model_json_schema(ref_template=template)
    problem.pop("$defs", None)
    schemas["Problem"] = problem
    found["components"]["schemas"] = dict(sorted(schemas.items()))
    found["components"]["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer mst_…`; it wins."},
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    return found
