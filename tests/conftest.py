"""The order of the whole run, how many at a time, and where it keeps its files."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.pace import Stopwatch
from tests.services import cluster

MEMORY = "/dev/shm"
AT_A_TIME = 4
"""Files. Four are more than two cores carry, but most tests wait for servers, processes and clocks: with three, the
cores have nothing to do for a fourth of the time."""
AT_LEAST = 2
SHORT_OF_BREATH = 3.0
"""Seconds that `AT_A_TIME` processes take together that only start: some 1.6 where two cores have nothing else to do.
Each test has a whole Muster under it, and where those come too slowly to it, their waits would give up on each other.
"""


def _has_room(folder: str) -> bool:
    try:
        found = os.statvfs(folder)
    except OSError:
        return False
    free = found.f_bavail * found.f_frsize
    return free > 3 << 30 and not found.f_flag & os.ST_NOEXEC and os.access(folder, os.W_OK | os.X_OK)


# Homes are thrown away, and no test pulls the plug: what a disk takes to be sure of a commit is none of their business.
if "TMPDIR" not in os.environ and _has_room(MEMORY):
    tempfile.tempdir = MEMORY

# Temporal collects garbage less often: its heap is small here, and a twentieth of its time went into that. And each
# server keeps to one core, of which there are fewer than servers: a tenth went into handing work from one to another.
os.environ.setdefault("GOGC", "400")
os.environ.setdefault("GOMAXPROCS", "1")

LONGEST = (
    "tests/faults/test_deaths.py",
    "tests/integration/test_encryption.py",
    "tests/integration/test_fleet.py",
    "tests/deploy/",
    "tests/cli/",
    "tests/api/test_fuzz.py",
    "tests/services/",
    "tests/api/test_stop.py",
    "tests/faults/",
    "tests/integration/",
    "tests/api/",
    "tests/workflow/",
    "tests/unit/test_embedder.py",
    "tests/unit/test_privacy.py",
)
"""They go first: a file is one worker's, and a long one at the end would keep the others waiting."""

TOGETHER = ("tests/cli/", "tests/deploy/")
"""Folders that are one worker's as a whole: what they share takes seconds of a core to start."""


def pytest_xdist_auto_num_workers() -> int:
    starting = [sys.executable, "-c", "import worker"]
    subprocess.run(starting, check=True)  # what disks and bytecode take the first time
    began = time.monotonic()
    for started in [subprocess.Popen(starting) for _ in range(AT_A_TIME)]:
        started.wait()
    return AT_A_TIME if time.monotonic() - began < SHORT_OF_BREATH else AT_LEAST


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return next((folder for folder in TOGETHER if nodeid.startswith(folder)), super()._split_scope(nodeid))

    return Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """All that is imported and collected stays to the end: nobody needs to look whether it is garbage. What the tests
    leave is looked for less often: in some, it took a twentieth of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
        gc.set_threshold(10_000, 20, 20)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        return next((place for place, path in enumerate(LONGEST) if item.nodeid.startswith(path)), len(LONGEST))

    items.sort(key=place)


STARVED = 1.5
"""Times as long as on a machine of its own: from here on, what fails is asked once more."""
ONCE_MORE = 75
"""EX_TEMPFAIL: what failed is asked once more, alone (see `make test`)."""
_here = Stopwatch()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """On a machine that others take most of, also what Muster itself waits for comes too late now and then, beside
    other tests. Whether that was all is seen when nothing is beside it; what fails then, fails."""
    several = session.config.getoption("numprocesses", None) and not hasattr(session.config, "workerinput")
    if several and exitstatus == pytest.ExitCode.TESTS_FAILED and (slowness := _here.slowness()) > STARVED:
        print(f"\nThis machine took {slowness:.1f} times as long as it should: what failed is asked once more, alone.")
        session.exitstatus = ONCE_MORE


def pytest_unconfigure() -> None:
    cluster.forget()
