"""What all of Muster's connections to Valkey have in common."""

from __future__ import annotations

from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as ConnectionLost


def once_more() -> Retry:
    """A connection that Valkey closed, as its restart does with all of them, is made anew. A Valkey that is away, or
    takes its time, is not asked again: its users have other ways."""
    return Retry(NoBackoff(), 1, supported_errors=(ConnectionLost,))
