"""What a project keeps for a time only goes by itself, once a day."""

from __future__ import annotations

from uuid import UUID

from pydantic import BaseModel, Field


class Expiry(BaseModel):
    """How far one look over all projects came."""

    workspace_id: UUID | None = Field(default=None, description="Of the last project that is done. None: none yet.")
    project_id: UUID | None = None
    rows: int = 0
    complete: bool = False
