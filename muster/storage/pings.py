"""Whether Postgres answers, and as what."""

from __future__ import annotations

from muster.storage.database import Database


async def postgres(db: Database) -> str:
    """Its version."""
    rows = await db.across("SELECT current_setting('server_version')")
    return str(rows[0][0]).split()[0]
