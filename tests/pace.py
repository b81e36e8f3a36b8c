"""How slow the machine has been: what the tests' limits on the clock are stretched by.

They were set on a machine that has its two cores to itself, where a `Stopwatch` counts plain seconds. One that shares
them gets less: others take its turns (what /proc/stat calls stolen), and its cores do less in each. A limit that holds
there all the same says nothing on a good machine, and one that does not hold there says nothing about Muster.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

_SPIN_SECONDS = 0.0012
"""Of a core, for `_spin`, where the limits were set."""
_MOST = 10.0


def _spin() -> float:
    began = time.thread_time()
    total = 0
    for number in range(20_000):
        total += number * number % 7
    return time.thread_time() - began


def _ticks() -> tuple[int, int]:
    """Of all cores since the machine's start: worked, and stolen."""
    try:
        with open("/proc/stat") as file:
            user, nice, system, _idle, _io, irq, soft, stolen = map(int, file.readline().split()[1:9])
    except (OSError, ValueError):
        return 0, 0
    return user + nice + system + irq + soft, stolen


class Stopwatch:
    """Seconds since it was made, real ones and those that a good machine would have counted."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ticks = _ticks()
        self._began = clock()

    @property
    def real(self) -> float:
        return self._clock() - self._began

    @property
    def fair(self) -> float:
        return self.real / self.slowness()

    def passed(self, seconds: float) -> bool:
        """Whether so many are over, fairly counted. What it costs to count them so is spent only when they may be."""
        return self.real > seconds and self.fair > seconds

    def slowness(self) -> float:
        """1.0, or how many times as long things took since it was made."""
        cores = min(_spin() for _ in range(3)) / _SPIN_SECONDS
        if self._clock is not time.monotonic:  # the time of a core knows nothing of what was stolen
            return min(max(cores, 1.0), _MOST)
        worked, stolen = (now - then for now, then in zip(_ticks(), self._ticks, strict=True))
        turns = (worked + stolen) / worked if worked > 0 else 1.0
        return min(max(cores, 1.0) * turns, _MOST)


_here = Stopwatch()


def stretched(seconds: float) -> float:
    """For what is to come, on the machine as it was since these tests began."""
    return seconds * _here.slowness()


def patience(seconds: float) -> asyncio.Timeout:
    return asyncio.timeout(stretched(seconds))
