"""The order of the whole run, and where it keeps its files."""

from __future__ import annotations

import os
import tempfile

import pytest

from tests.services import cluster

MEMORY = "/dev/shm"


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

LONGEST = (
    "tests/faults/test_processes.py",
    "tests/integration/test_encryption.py",
    "tests/integration/test_fleet.py",
    "tests/faults/test_servers.py",
    "tests/api/test_fuzz.py",
    "tests/services/",
    "tests/cli/",
    "tests/api/test_stop.py",
    "tests/faults/",
    "tests/integration/",
    "tests/deploy/",
    "tests/api/",
    "tests/workflow/",
)
"""They go first: a file is one worker's, and a long one at the end would keep the others waiting."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        return next((place for place, path in enumerate(LONGEST) if item.nodeid.startswith(path)), len(LONGEST))

    items.sort(key=place)


def pytest_unconfigure() -> None:
    cluster.forget()
