"""What Postgres said a moment ago: for questions that every request asks again."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from muster.domain.errors import Unavailable

Answer = TypeVar("Answer")

MOST = 10_000
STALE_SECONDS = 60.0
"""How long an answer is believed while Postgres does not give another."""
_PATIENCE_SECONDS = 2.0
_SHORT_PATIENCE_SECONDS = 0.3
"""Where there is an old answer to fall back on."""


class Memo(Generic[Answer]):
    """Asks once for all who ask the same at the same time. Nobody waits for longer than anybody should."""

    def __init__(self, ask: Callable[[str], Awaitable[Answer]], seconds: float) -> None:
        self._ask = ask
        self._seconds = seconds
        self._known: OrderedDict[str, tuple[float, Answer]] = OrderedDict()
        self._asking: dict[str, asyncio.Task[Answer]] = {}

    async def get(self, what: str) -> Answer:
        now = time.monotonic()
        known = self._known.get(what)
        if known is not None and now - known[0] < self._seconds:
            return known[1]
        usable = known is not None and now - known[0] < STALE_SECONDS
        asking = self._asking.get(what)
        if asking is None:
            asking = self._asking[what] = asyncio.ensure_future(self._ask(what))
            asking.add_done_callback(lambda done: self._answered(what, done, now))
        patience = _SHORT_PATIENCE_SECONDS if usable else _PATIENCE_SECONDS
        done, _ = await asyncio.wait({asking}, timeout=patience)
        try:
            if not done:
                raise Unavailable(f"Postgres does not answer within {patience:g} s")
            return asking.result()
        except Unavailable:
            if usable and known is not None and what in self._known:
                return known[1]
            raise

    def young(self, what: str) -> Answer | None:
        """The last answer, if it is still believed: for whom waiting for `get` costs more than the answer."""
        known = self._known.get(what)
        return known[1] if known is not None and time.monotonic() - known[0] < self._seconds else None

    def last(self, what: str) -> Answer | None:
        """The last answer, however old."""
        known = self._known.get(what)
        return known[1] if known else None

    def _answered(self, what: str, asked: asyncio.Task[Answer], when: float) -> None:
        if self._asking.get(what) is asked:
            del self._asking[what]
        else:
            return  # forgotten meanwhile: what was asked before that is not to be believed
        if asked.cancelled() or asked.exception():
            return
        self._known[what] = when, asked.result()  # no younger than the question
        self._known.move_to_end(what)
        if len(self._known) > MOST:
            self._known.popitem(last=False)

    def forget(self, which: Callable[[Answer], bool]) -> None:
        """Those answers, and whatever is being asked."""
        for what in [what for what, (_, answer) in self._known.items() if which(answer)]:
            del self._known[what]
        self._asking.clear()

    async def close(self) -> None:
        left = list(self._asking.values())
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)
