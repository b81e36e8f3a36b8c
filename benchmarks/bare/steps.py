"""The activities of the bare program. They do nothing, so what remains is Temporal's own price."""

from __future__ import annotations

from temporalio import activity


@activity.defn(name="bare.note")
async def note(what: str) -> str:
    return what


@activity.defn(name="bare.run")
async def run(agent: str) -> str:
    return agent
