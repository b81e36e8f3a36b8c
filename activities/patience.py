"""Waiting for Postgres where giving up would lose something."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from muster.domain.errors import Unavailable

T = TypeVar("T")


async def patiently(step: Callable[[], Awaitable[T]]) -> T:
    """Until Postgres is back. The process the step is about does not wait, nor can it be run again."""
    pause = 0.1
    while True:
        try:
            return await step()
        except Unavailable:
            await asyncio.sleep(pause)
            pause = min(2.0, pause * 2)
