"""Alerts of programs that watch others are told one by one, by their names, each with how it stands."""

from __future__ import annotations

from typing import Any

import pytest

from muster.domain.rules.summary import summarise
from tests.pace import Stopwatch
from tests.unit.rules.observing import event, made, only


def one_of(name: str, status: str, *, summary: str = "", severity: str = "critical", **labels: str) -> dict[str, Any]:
    return {"status": status, "labels": {"alertname": name, "severity": severity, **labels},
            "annotations": {"summary": summary, "runbook": "https://wiki/wal"},
            "startsAt": "2026-11-20T10:00:00Z"}  # fmt: skip


def sent(*alerts: dict[str, Any], status: str = "firing") -> dict[str, Any]:
    return {"version": "4", "status": status, "receiver": "oncall", "alerts": list(alerts), "groupLabels": {}}


def pagerduty(what: str, number: int = 4711) -> dict[str, Any]:
    data = {"id": f"Q{number}", "number": number, "title": "Payment latency above 3s in eu-west-1", "urgency": "high",
            "status": what, "service": {"summary": "payments"}}  # fmt: skip
    return {"event": {"event_type": f"incident.{what}", "resource_type": "incident", "data": data}}


def sentry(action: str, number: str = "1") -> dict[str, Any]:
    issue = {"id": number, "shortId": f"SHOP-{number}", "title": "KeyError: 'vat_id'", "culprit": "shop.cart in total",
             "status": "resolved" if action == "resolved" else "unresolved", "project": {"slug": "shop"}}  # fmt: skip
    return {"action": action, "data": {"issue": issue}}


def left(*payloads: dict[str, Any]) -> list[str]:
    events = [event(payload, "alert") for payload in payloads]
    (one,) = summarise(None, events, made(*events)).observations
    return [fact.removeprefix("Open: ") for fact in one.facts if fact.startswith("Open: ")]


def test_each_alert_of_a_message_is_one_observation() -> None:
    stuck = one_of("WalStuck", "firing", summary="The log of db3 does not move", instance="db3:9100")
    long = one_of("QueueLong", "resolved", queue="sms")
    first, second = made(event(sent(stuck, long), "webhook"))
    assert (first.type, first.title) == ("error", "WalStuck on db3:9100: The log of db3 does not move")
    assert {"severity: critical", "instance: db3:9100", "runbook: https://wiki/wal"} <= set(first.facts)
    assert (second.type, second.title) == ("discovery", "Resolved: QueueLong (queue: sms)")
    assert left(sent(stuck, long)) == [first.title]


def test_an_alert_is_over_when_that_one_is() -> None:
    stuck, emails, sms = one_of("WalStuck", "firing"), one_of("QueueLong", "firing", queue="emails"), {"queue": "sms"}
    assert left(sent(stuck, emails)) == ["WalStuck", "QueueLong (queue: emails)"]
    assert left(sent(stuck, emails), sent(one_of("WalStuck", "resolved"))) == ["QueueLong (queue: emails)"]
    assert left(sent(emails), sent(one_of("QueueLong", "resolved", **sms))) == ["QueueLong (queue: emails)"]
    assert left(sent(emails), sent(one_of("QueueLong", "resolved", queue="emails"))) == []
    assert left(sent(one_of("Watchdog", "firing", severity="none"))) == []


@pytest.mark.parametrize(
    ("payload", "type_", "title"),
    [
        (pagerduty("triggered"), "error", "Incident #4711: Payment latency above 3s in eu-west-1"),
        (pagerduty("acknowledged"), "fact", "Incident #4711 acknowledged: Payment latency above 3s in eu-west-1"),
        (pagerduty("resolved"), "discovery", "Resolved: Incident #4711: Payment latency above 3s in eu-west-1"),
        (sentry("created"), "error", "shop: KeyError: 'vat_id'"),
        (sentry("resolved"), "discovery", "Resolved: shop: KeyError: 'vat_id'"),
        (sentry("assigned"), "fact", "shop: assigned: KeyError: 'vat_id'"),
        ({"event_id": "a", "release": "shop@2.4.0", "platform": "python", "exception": {"values": [
            {"type": "ZeroDivisionError", "value": "division by zero"}]}}, "error",
         "ZeroDivisionError: division by zero"),
        ({"action": "Create", "alert": {"alertId": "a1", "message": "The disk is full", "priority": "P1"}},
         "error", "The disk is full"),
        ({"action": "Close", "alert": {"alertId": "a1", "message": "The disk is full"}},
         "discovery", "Resolved: The disk is full"),
    ],
)  # fmt: skip
def test_an_incident_is_told_by_its_title(payload: dict[str, Any], type_: str, title: str) -> None:
    for kind in ("webhook", "alert", "event"):
        one = only(event(payload, kind))
        assert (one.type, one.title) == (type_, title)


def test_incidents_are_known_by_their_numbers() -> None:
    for told in (pagerduty, sentry):
        begun = "triggered" if told is pagerduty else "created"
        assert len(left(told(begun))) == 1
        assert left(told(begun), told("resolved")) == []
    assert len(left(pagerduty("triggered"), pagerduty("resolved", 4712))) == 1
    assert len(left(sentry("created"), sentry("resolved", "2"))) == 1
    assert len(left(pagerduty("triggered"), pagerduty("resolved"), pagerduty("reopened"))) == 1


def test_where_an_error_was_raised_is_told() -> None:
    frames = [{"filename": "cart.py", "lineno": 31, "function": "total"}]
    raised = {"type": "KeyError", "value": "'vat_id'", "stacktrace": {"frames": frames}}
    one = only(
        event({"exception": {"values": [raised]}, "environment": "production", "tags": [["shop", "de"]]}, "error")
    )
    assert "cart.py:31 in total" in (one.narrative or "")
    assert {"environment: production", "shop: de"} <= set(one.facts)


def test_what_somebody_says_with_alerts_beside_it_stays_a_message() -> None:
    payload = {"role": "user", "text": "The office moves to Lyon.", "alerts": [one_of("WalStuck", "firing")]}
    assert only(event(payload)).title == "The office moves to Lyon."


def test_broken_and_huge_ones_are_told_fast() -> None:
    began = Stopwatch()
    many = {f"label{n}": "x" * 200 for n in range(2_000)}
    for payload in (
        sent(*[one_of("WalStuck", "firing", **many)] * 40),
        sent({"labels": {"alertname": 5}, "startsAt": 1, "annotations": []}),
        {"event": {"event_type": "incident.triggered", "data": {"title": "x" * 200_000}}},
        {"action": "created", "data": {"issue": {"title": None}}},
        {"exception": {"values": [{"type": "A", "value": "y\n" * 100_000, "stacktrace": {"frames": [{}] * 9_000}}]}},
    ):
        made(event(payload, "alert"))
    assert began.fair < 4
