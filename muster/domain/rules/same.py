"""Whether two records tell of the same: an alert that fires and is over, a build that fails and passes.

What has a number of its own is known by that, and all else by its name and by everything that sets it apart from others
of that name. Being alike is not enough.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from muster.domain.rules.fields import NAMED, WHERE, first_of, places
from muster.domain.rules.json import line_of

MAX_LABELS = 60

_SURE = ("alert_cycle_key", "alertCycleKey", "dedup_key", "dedupKey", "incident_key", "fingerprint", "groupKey",
         "incident_id", "incidentId", "alert_id", "alertId", "monitor_id")  # fmt: skip
"""What is the same as long as it lasts, the surest first."""
_ALERTS = NAMED[:9]
_RUNS = ("job", "pipeline", "workflow", "deployment", "test", "task", "step")
_OF_OTHERS = ("service", "service_name", "service.name", "app", "application", "component", "project", "repository",
              "repo", "workflow", "pipeline")  # fmt: skip
_APART = (*WHERE, "env", "environment", "cluster", "namespace", "region", "branch", "ref", "target", "mountpoint",
          "queue", "topic", "database", "table", "volume", "disk", "path", "url", "endpoint", "shard", "tenant",
          "group", "scope", "alert_scope", "zone")  # fmt: skip
_LABELS = ("labels", "commonLabels", "groupLabels", "dimensions", "tags")
_MOVING = frozenset(
    "severity level priority status state value summary description message alertname urgency".split()  # noqa: SIM905
)
"""Labels that say how it is, and not which."""

_STATES = (
    r"(?:re-?)?(?:triggered|fir(?:ing|ed)|alert(?:ing)?|alarm|problem|critical|error|warn(?:ing)?|no data|"
    r"p[1-5]|sev-?[1-5]|recover(?:ed|y)|resolved|ok|closed|cleared|normal|opened|open|down|up|failed|failure|passed|success)"
)
_STATED = re.compile(
    rf"\s{{0,4}}(?:\[{_STATES}(?:[: ]\d{{1,4}})?(?: on \{{?(?P<where>[^\]{{}}\n]{{1,100}})\}}?)?\]\s{{0,3}}"
    rf"|{_STATES}:\s{{1,3}})",
    re.IGNORECASE,
)
"""How titles begin that are written anew with each state."""


def unstated(title: str) -> str:
    """A title without the state that it begins with, and with where it is so."""
    where = ""
    for _ in range(3):
        if not (found := _STATED.match(title)) or not title[found.end() :].strip():
            break
        where, title = where or (found["where"] or ""), title[found.end() :]
    return f"{title} ({where})" if where else title


def is_same(kind: str, one: Mapping[str, Any], other_kind: str, other: Mapping[str, Any]) -> bool:
    """Whether the records of these kinds tell of the same thing."""
    if _head(kind) != _head(other_kind):
        return False
    for key in _SURE:
        if (ours := _number(one, key)) and (theirs := _number(other, key)):
            return ours == theirs and _apart(one) == _apart(other) and _scope(one) == _scope(other)
    ours, theirs = _number(one, "id"), _number(other, "id")
    if ours and ours == theirs:
        return True
    name = _name(one)
    return bool(name) and (name, _apart(one)) == (_name(other), _apart(other))


def _head(kind: str) -> str:
    return re.split(r"[._-]", kind[:100].lower())[0]


def _number(payload: Mapping[str, Any], key: str) -> str:
    inner = payload.get("incident") if key == "incident_id" else payload.get("alert") if key == "alert_id" else None
    value = payload.get(key) or (inner.get("id") if isinstance(inner, dict) else None)
    return str(value)[:200] if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _scope(payload: Mapping[str, Any]) -> str:
    """Some tell of many under one number, and where it is so in the title only."""
    found = re.search(r"\([^()]{1,100}\)$", unstated(line_of(payload, "title")[:300]))
    return found.group() if found else ""


def _name(payload: Mapping[str, Any]) -> str:
    titled = unstated(line_of(payload, "title", "subject", "headline")[:300])
    found = first_of(payload, _ALERTS) or first_of(payload, _RUNS) or titled or first_of(payload, NAMED)
    return unstated(found).lower()


def _apart(payload: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """All that tells it from others of its name."""
    found = {key: value for key in (*_OF_OTHERS, *_APART) if (value := first_of(payload, (key,)))}
    for place in (payload, *places(payload)[1:]):
        for under in _LABELS:
            found |= _labels(place.get(under))
    return tuple(sorted(found.items()))


def _labels(value: Any) -> dict[str, str]:
    if isinstance(value, dict):
        return {
            str(key)[:80]: str(one)[:200]
            for key, one in list(value.items())[:MAX_LABELS]
            if isinstance(one, str | int) and str(key).lower() not in _MOVING
        }
    tags = (
        value.split(",") if isinstance(value, str) and len(value) < 4000 else value if isinstance(value, list) else []
    )
    pairs = (tag.strip().partition(":") for tag in tags[:MAX_LABELS] if isinstance(tag, str))
    return {key[:80]: one[:200] for key, _, one in pairs if one and key.lower() not in _MOVING}
