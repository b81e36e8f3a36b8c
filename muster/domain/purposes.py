"""What something was done for, as the subtitle of what came of it. It is found by that, and says nothing else by it."""

from __future__ import annotations

_BEGINS = "For: "


def told(purpose: str) -> str:
    return f"{_BEGINS}{purpose}"


def of(subtitle: str | None) -> str:
    """Nothing where it tells of something else."""
    return subtitle.removeprefix(_BEGINS) if subtitle and subtitle.startswith(_BEGINS) else ""
