"""Records that say only what something is and how it stands, as a line: "checkout 2.4.1 on production: failed"."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from muster.domain.rules.fields import NAMED, STATES, VERSIONS, WHERE, first_of, is_talk
from muster.domain.rules.json import line_of, said_under

_RUNS = ("test", "test_name", "job", "step", "task", "check")
_FLOWS = ("workflow", "pipeline", "suite")
_THINGS = ("order", "ticket", "invoice", "shipment", "parcel", "payment", "booking", "subscription", "backup", "build",
           "migration", "release", "device", "host", "machine", "import", "export", "experiment", "run")  # fmt: skip
_PLACES = ("environment", "env", *WHERE, "cluster", "region", "branch")
_WHY = ("reason", "error", "error_message", "failure_reason", "cause", "description", "detail", "details")
_STATE = re.compile(r"[^\W\d_][\w -]{1,39}")
_DEPLOYS = re.compile(r"deploy|release|roll.?out|roll.?back", re.IGNORECASE)
_MOVED = frozenset(
    """
    succeeded success successful completed done finished deployed live rolled_back rolled-back rolledback reverted
    """.split()  # noqa: SIM905
)


def stated(kind: str, payload: Mapping[str, Any]) -> str:
    """Empty: it is no such record."""
    if is_talk(kind, payload) or said_under(payload) or "messages" in payload or line_of(payload, "title", "subject"):
        return ""
    state = _state(payload)
    name = _name(payload)
    if not state or not name:
        return ""
    version, place = first_of(payload, VERSIONS), first_of(payload, _PLACES)
    where = f" on {place}" if place and place not in name else ""
    why = line_of(payload, *_WHY)
    version = f" {version}" if version and version not in name else ""
    return f"{name}{version}{where}: {state.replace('_', ' ')}{f': {why}' if why else ''}"


def deploys(kind: str, payload: Mapping[str, Any]) -> bool:
    """Whether something else runs there since."""
    known = _DEPLOYS.search(kind[:100]) is not None or "deployment" in payload
    return known and _state(payload).lower().replace(" ", "_") in _MOVED


def _state(payload: Mapping[str, Any]) -> str:
    found = line_of(payload, *STATES, "result")
    return found if _STATE.fullmatch(found) else ""


def _name(payload: Mapping[str, Any]) -> str:
    if name := first_of(payload, _RUNS):
        flow = first_of(payload, _FLOWS)
        return f"{flow} / {name}" if flow and flow != name else name
    if name := first_of(payload, NAMED):
        return name
    for key in _THINGS:
        value = payload.get(key, payload.get(f"{key}_id"))
        if isinstance(value, str | int) and not isinstance(value, bool) and 0 < len(str(value)) <= 80:
            return f"{key} {value}"
    return ""
