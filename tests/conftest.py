"""The order of the whole run."""

from __future__ import annotations

import pytest

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
