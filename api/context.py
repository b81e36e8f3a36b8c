"""What every route works with, and on whose behalf."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, cast

from fastapi import Request

from api.auth import Keyring
from api.commands import Commands
from api.hub import Hub
from api.limits import Limits
from api.pokes import Pokes
from api.slots import Slots
from muster.domain.ids import agent_workflow_id, task_workflow_id
from muster.domain.tenants import Tenant
from muster.models.embeddings import Embeddings
from muster.settings import Settings
from muster.storage.agent_events import Recorder
from muster.storage.database import Database
from muster.storage.live import Live

Row = dict[str, Any]


@dataclass(slots=True)
class Context:
    settings: Settings
    db: Database
    live: Live
    hub: Hub
    commands: Commands
    keyring: Keyring
    limits: Limits
    probes: dict[str, asyncio.Task[Any]]
    """Probes under way, by boundary."""
    pokes: Pokes
    slots: Slots
    embeddings: Embeddings
    recorder: Recorder

    def temporal_url(self, workflow_id: str) -> str | None:
        ui = self.settings.temporal_ui_url
        if not ui:
            return None
        return f"{ui.rstrip('/')}/namespaces/{self.settings.temporal_namespace}/workflows/{workflow_id}"

    def task(self, row: Row) -> Row:
        """The row as it is answered: with where to find it in Temporal."""
        row["workflow_id"] = workflow_id = task_workflow_id(row["workspace_id"], row["id"])
        row["temporal_url"] = self.temporal_url(workflow_id)
        for agent in row.get("agents", ()):
            self.agent(agent)
        return row

    def agent(self, row: Row) -> Row:
        row["workflow_id"] = workflow_id = agent_workflow_id(row["workspace_id"], row["id"])
        row["temporal_url"] = self.temporal_url(workflow_id)
        return row


def context(request: Request) -> Context:
    return cast(Context, request.app.state.context)


async def asking(request: Request) -> tuple[Context, Tenant]:
    """The start of every route. A call, since as dependencies the two would cost more than the route's own work."""
    return context(request), request.scope["tenant"]
