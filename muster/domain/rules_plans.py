"""A plan, by what is being done of it, or is next."""

from __future__ import annotations

from collections.abc import Sequence

_DONE = ("completed", "done", "complete", "finished", "cancelled", "canceled")
_NOW = ("in_progress", "in progress", "inprogress", "active", "doing", "started", "current")


def is_done(state: str) -> bool:
    return state.lower() in _DONE


def titled(items: Sequence[tuple[str, str]], otherwise: str) -> str:
    """`otherwise`: what is told of a plan that is no list."""
    if not items:
        return f"Plan: {otherwise}"
    if all(is_done(state) for _, state in items):
        return f"Finished: {items[-1][0]}"
    now = next((what for what, state in items if state.lower() in _NOW), "")
    return f"Plan: {now or next(what for what, state in items if not is_done(state))}"
