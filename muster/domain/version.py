"""Which Muster this is."""

from __future__ import annotations

import importlib.metadata


def _installed() -> str:
    try:
        return importlib.metadata.version("muster")
    except importlib.metadata.PackageNotFoundError:  # a checkout that is only on the path
        return "unknown"


VERSION = _installed()
BUILD = f"muster-{VERSION}"
"""Its workers' build id in Temporal."""
