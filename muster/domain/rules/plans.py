"""A plan, by what is being done of it, or is next."""

from __future__ import annotations

from collections.abc import Sequence

_DONE = ("completed", "done", "complete", "finished", "cancelled", "canceled")
_NOW = ("in_progress", "in progress", "inprogress", "active", "doing", "started", "current")


def is_done(state: str) -> bool:
    return state.lower() in _DONE


def weight(items: Sequence[tuple[str, str]], before: Sequence[tuple[str, str]]) -> float:
    """Of a list that only moved on since it was told, little: it says again what is known, but for one step."""
    new = {" ".join(what.split()) for what, _ in items} - {" ".join(what.split()) for what, _ in before}
    moved_on = bool(items) and not new and not all(is_done(state) for _, state in items)
    return 0.25 if moved_on else 0.45


def titled(items: Sequence[tuple[str, str]], otherwise: str) -> str:
    """`otherwise`: what is told of a plan that is no list."""
    if not items:
        return f"Plan: {otherwise}"
    if all(is_done(state) for _, state in items):
        return f"Finished: {items[-1][0]}"
    now = next((what for what, state in items if state.lower() in _NOW), "")
    return f"Plan: {now or next(what for what, state in items if not is_done(state))}"
