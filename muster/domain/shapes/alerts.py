"""What Alertmanager, Grafana, PagerDuty, Opsgenie and Sentry send: each alert by itself, with how that one stands."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from muster.domain.rules.fields import FAILS, WELL
from muster.domain.rules.json import line_of, text_of
from muster.domain.shapes.parts import Part, listed, mapping, record

MAX_ALERTS = 50
"""Of one message."""
MAX_LABELS = 40
_HARMLESS = frozenset({"none", "info", "information", "informational", "debug"})
_PLACES = ("instance", "host", "hostname", "node", "pod", "device")
_PLAIN_LABELS = frozenset({"alertname", "severity", "job", "prometheus", "namespace", "monitor", "team", *_PLACES})
"""What an alert's title does without."""


def alerts(kind: str, document: dict[str, Any]) -> list[Part] | None:
    """None: it is no message of these."""
    if "role" in document or "tool_name" in document:
        return None
    if found := [one for one in listed(document.get("alerts"), MAX_ALERTS) if _is_labelled(one)]:
        return [part for one in found for part in _alert(one, mapping(document.get("commonAnnotations")))]
    about = mapping(document.get("event"))
    if line_of(about, "event_type").startswith("incident.") and isinstance(about.get("data"), dict):
        return _incident(line_of(about, "event_type").removeprefix("incident."), about["data"])
    if sent := [one for one in listed(document.get("messages"), MAX_ALERTS) if isinstance(one.get("incident"), dict)]:
        return [
            part for one in sent for part in _incident(line_of(one, "event").removeprefix("incident."), one["incident"])
        ]
    told = mapping(document.get("alert"))
    if "alertId" in told and "action" in document:
        return _of_opsgenie(line_of(document, "action"), told)
    return _sentry(document)


def _is_labelled(one: dict[str, Any]) -> bool:
    return isinstance(one.get("labels"), dict) and bool(line_of(one["labels"], "alertname") or "startsAt" in one)


def _alert(one: dict[str, Any], shared: dict[str, Any]) -> list[Part]:
    labels = dict(list(one["labels"].items())[:MAX_LABELS])
    notes = {**shared, **mapping(one.get("annotations"))}
    name, state = line_of(labels, "alertname") or "An alert", line_of(one, "status").lower()
    place = line_of(labels, *_PLACES)
    words = line_of(notes, "summary", "message", "title", "description")
    apart = [f"{key}: {value}" for key, value in labels.items()
             if key not in _PLAIN_LABELS and isinstance(value, str) and value not in words][:2]  # fmt: skip
    which = f" on {place}" if place else f" ({', '.join(apart)})" if apart else ""
    over = state in ("resolved", "ok", "normal")
    standing = WELL if over else FAILS if line_of(labels, "severity").lower() not in _HARMLESS else ""
    number = line_of(one, "fingerprint")
    same = [number] if number else [f"{key}={value}" for key, value in sorted(labels.items())]
    told = text_of(notes.get("description"))
    return record(
        _titled(f"{name}{which}", words, over), told if told != words else "", standing=standing, same=("alert", *same),
        facts=(("status", state), *labels.items(),
               *((key, value) for key, value in notes.items() if key not in ("summary", "description")),
               ("url", line_of(one, "generatorURL"))),
    )  # fmt: skip


def _titled(name: str, words: str, over: bool) -> str:
    return f"{'Resolved: ' if over else ''}{name}{': ' if name and words else ''}{words}"


# -- PagerDuty and Opsgenie ------------------------------------------------------------------------------------------

_BEGINS = frozenset({"triggered", "trigger", "reopened", "unacknowledged", "unacknowledge", "escalated", "escalate"})
_ENDS = frozenset({"resolved", "resolve"})


def _incident(event: str, about: dict[str, Any]) -> list[Part]:
    inner = mapping(about.get("incident"))
    number = about.get("number") or about.get("incident_number")
    title = line_of(about, "title", "summary", "description")
    called = f"Incident #{number}" if isinstance(number, int | str) else "Incident"
    notes = text_of(about.get("content")) if inner else ""
    if inner:
        called, title = f"{called}: {event.replace('_', ' ')}", notes or line_of(inner, "summary", "title")
    begins, over = event in _BEGINS, event in _ENDS
    if not (begins or over or inner):
        called = f"{called} {event.replace('_', ' ').replace('.', ' ')}"
    who = ", ".join(name for one in listed(about.get("assignees"), 5) if (name := line_of(one, "summary", "name")))
    return record(
        _titled(called, title, over), text_of(mapping(about.get("body")).get("details")), kind="fact" if inner else "",
        standing=FAILS if begins else WELL if over else "", same=("incident", str(about.get("id") or number or title)),
        facts=(("status", line_of(about, "status")), ("urgency", line_of(about, "urgency")),
               ("priority", line_of(mapping(about.get("priority")), "summary", "name")),
               ("service", line_of(mapping(about.get("service")), "summary", "name")), ("assignees", who),
               ("url", line_of(about, "html_url"))),
    )  # fmt: skip


_OF_OPSGENIE = {"create": FAILS, "close": WELL}


def _of_opsgenie(action: str, about: dict[str, Any]) -> list[Part]:
    standing = _OF_OPSGENIE.get(action.lower(), "")
    grave = line_of(about, "priority").upper() not in ("P5",)
    called = "" if standing else f"Alert: {action.lower()}"
    return record(
        _titled(called, line_of(about, "message"), standing == WELL), text_of(about.get("description")),
        standing=standing if grave or standing == WELL else "", same=("alert", str(about.get("alertId"))),
        facts=(("alias", line_of(about, "alias")), ("priority", line_of(about, "priority")),
               ("entity", line_of(about, "entity")), ("source", line_of(about, "source"))),
    )  # fmt: skip


# -- Sentry ----------------------------------------------------------------------------------------------------------

_BROKEN = frozenset({"created", "unresolved", "triggered", "regressed", "reopened"})
_FRAMES = 5


def _sentry(document: dict[str, Any]) -> list[Part] | None:
    data, action = mapping(document.get("data")), line_of(document, "action").lower()
    issue = mapping(data.get("issue"))
    if issue and ("shortId" in issue or "culprit" in issue or "permalink" in issue or "metadata" in issue
                  or "title" in issue) and action:  # fmt: skip
        return _issue(action, issue)
    event = mapping(data.get("event")) or mapping(data.get("error")) or document
    errors = event.get("exception")
    values = listed(errors.get("values")) if isinstance(errors, dict) else []
    if not any(isinstance(one.get("type"), str) or "value" in one for one in values):
        return None
    return _raised(event, values[-1])


def _issue(action: str, issue: dict[str, Any]) -> list[Part]:
    over = action == "resolved" or line_of(issue, "status") == "resolved"
    level = line_of(issue, "level").lower()
    fails = action in _BROKEN and not over and level not in _HARMLESS
    title = line_of(issue, "title") or line_of(mapping(issue.get("metadata")), "value", "title")
    project = line_of(mapping(issue.get("project")), "slug", "name")
    called = f"{project}: " if project else ""
    named = "" if over or action in _BROKEN else f"{action}: "
    return record(
        f"{'Resolved: ' if over else ''}{called}{named}{title}", standing=WELL if over else FAILS if fails else "",
        same=("issue", str(issue.get("id") or issue.get("shortId") or title)),
        facts=(("issue", line_of(issue, "shortId")), ("culprit", line_of(issue, "culprit")), ("level", level),
               ("status", line_of(issue, "status")), ("count", issue.get("count") or ""),
               ("url", line_of(issue, "permalink", "web_url"))),
    )  # fmt: skip


def _raised(event: dict[str, Any], error: dict[str, Any]) -> list[Part]:
    name, why = line_of(error, "type"), text_of(error.get("value"), 2000)
    frames = listed(mapping(error.get("stacktrace")).get("frames"), 200)[-_FRAMES:]
    places = [
        f"{line_of(one, 'filename', 'module')}:{one.get('lineno', '')} in {line_of(one, 'function')}" for one in frames
    ]
    level, number = line_of(event, "level").lower(), line_of(event, "issue_id", "groupid")
    first = why.partition("\n")[0]
    title = f"{name}: {first}" if name and first else name or first
    return record(
        title, "\n".join((why if why != first else "", *places)).strip(),
        standing="" if level in _HARMLESS or level == "warning" else FAILS, same=("issue", number) if number else (),
        facts=(("culprit", line_of(event, "culprit", "transaction")), ("release", line_of(event, "release")),
               ("environment", line_of(event, "environment")), ("server", line_of(event, "server_name")),
               ("platform", line_of(event, "platform")), *_tags(event.get("tags")),
               ("url", line_of(event, "web_url", "issue_url"))),
    )  # fmt: skip


def _tags(tags: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(tags, dict):
        tags = [[key, value] for key, value in tags.items()]
    pairs = [one for one in tags if isinstance(one, list) and len(one) == 2] if isinstance(tags, list) else []
    return [(str(key), value) for key, value in pairs[:MAX_LABELS] if isinstance(value, str | int)]
