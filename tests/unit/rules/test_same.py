"""What failed is over when the same is told of again and is well, and not when something like it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from muster.domain.rules.same import unstated
from muster.domain.rules.summary import summarise
from tests.pace import Stopwatch
from tests.unit.rules.observing import event, made


def left(*sent: tuple[str, dict[str, Any]]) -> list[str]:
    events = [event(payload, kind) for kind, payload in sent]
    (one,) = summarise(None, events, made(*events)).observations
    return [fact.removeprefix("Open: ") for fact in one.facts if fact.startswith("Open: ")]


def alert(title: str, status: str, **more: Any) -> dict[str, Any]:
    return {"title": title, "status": status, "severity": "critical", **more}


RISES = "Error rate on checkout is high"
SEARCH = "Error rate on search is high"


@pytest.mark.parametrize(
    ("failing", "well"),
    [
        (alert(RISES, "firing"), alert(SEARCH, "resolved")),
        (alert("Queue emails is long", "firing"), alert("Queue sms is long", "resolved")),
        (alert("Queue emails is long", "firing", service="mail", id="AL-1"),
         alert("Queue sms is long", "resolved", service="text", id="AL-2")),
        (alert("Queue is long", "firing", service="mail"), alert("Queue is long", "resolved", service="text")),
        (alert("Queue is long", "firing", queue="emails"), alert("Queue is long", "resolved", queue="sms")),
        (alert("Queue is long", "firing", labels={"queue": "emails"}),
         alert("Queue is long", "resolved", labels={"queue": "sms"})),
        (alert("Queue is long", "firing", tags=["queue:emails", "env:prod"]),
         alert("Queue is long", "resolved", tags=["queue:sms", "env:prod"])),
        (alert(RISES, "firing", fingerprint="f1"), alert(RISES, "resolved", fingerprint="f2")),
        (alert(RISES, "firing", incident={"id": 4}), alert(RISES, "resolved", incident={"id": 5})),
        (alert("[Triggered on {host:web1}] CPU is high", "triggered", alert_id=7),
         alert("[Recovered on {host:web2}] CPU is high", "recovered", alert_id=7)),
        ({"status": "failed", "job": "unit", "workflow": "CI", "branch": "main", "message": "The cart's tests stop"},
         {"status": "success", "job": "unit", "workflow": "nightly", "branch": "main", "message": "The cart passes"}),
    ],
    ids=json.dumps,
)  # fmt: skip
def test_what_is_only_like_it_ends_nothing(failing: dict[str, Any], well: dict[str, Any]) -> None:
    for kind in ("alert", "webhook", "monitor"):
        assert len(left((kind, failing), (kind, well))) == 1


@pytest.mark.parametrize(
    ("failing", "well"),
    [
        (alert(RISES, "firing"), alert(RISES, "resolved", severity="info")),
        (alert(RISES, "firing", id="AL-1"), alert("Error rate on checkout is low again", "resolved", id="AL-1")),
        (alert(RISES, "firing", dedup_key="d1"), alert("All is well", "resolved", dedup_key="d1")),
        (alert(RISES, "firing", incident={"id": 4}), alert("All is well", "resolved", incident={"id": 4})),
        (alert(RISES, "firing", labels={"queue": "sms", "severity": "page"}),
         alert(RISES, "resolved", labels={"severity": "none", "queue": "sms"})),
        ({"title": f"[Triggered] {RISES}", "alert_type": "error", "alert_transition": "Triggered", "id": "1"},
         {"title": f"[Recovered] {RISES}", "alert_type": "success", "alert_transition": "Recovered", "id": "2"}),
        ({"title": f"[P1] [Re-Triggered] {RISES}", "alert_type": "error", "alert_transition": "Re-Triggered"},
         {"title": f"[P1] [Recovered] {RISES}", "alert_type": "error", "alert_transition": "Recovered"}),
        ({"title": "[Triggered on {host:web1}] CPU is high", "alert_transition": "Triggered", "alert_id": 7},
         {"title": "[Recovered on {host:web1}] CPU is high", "alert_transition": "Recovered", "alert_id": 7}),
        (alert(f"[FIRING:1] {RISES}", "firing"), alert(f"[RESOLVED] {RISES}", "resolved")),
        (alert(f"ALARM: {RISES}", "alarm"), alert(f"OK: {RISES}", "ok")),
    ],
    ids=json.dumps,
)  # fmt: skip
def test_the_same_that_is_well_again_is_open_no_longer(failing: dict[str, Any], well: dict[str, Any]) -> None:
    for kind in ("alert", "webhook", "monitor"):
        assert left((kind, failing), (kind, well)) == []
        assert len(left((kind, well), (kind, failing))) == 1


def test_that_an_alert_is_over_is_no_work_that_was_done() -> None:
    for told in (alert(RISES, "resolved"), {"title": f"[Recovered] {RISES}", "alert_transition": "Recovered"}):
        (one,) = made(event(told, "alert"))
        assert one.title == f"Resolved: {RISES}"
        assert one.type not in ("error", "bugfix", "change")


def test_what_somebody_mended_is_over_too() -> None:
    mended = ("message", {"text": f"Fixed: the error rate on checkout. {RISES} no longer."})
    assert left(("alert", alert(RISES, "firing")), mended) == []


@pytest.mark.parametrize(
    ("title", "plain"),
    [
        ("[Triggered] It is full", "It is full"), ("[FIRING:2] It is full", "It is full"),
        ("[P2] [Warn] It is full", "It is full"), ("ALARM: It is full", "It is full"),
        ("[Recovered on {host:web1}] It is full", "It is full (host:web1)"),
        ("[shop] It is full", "[shop] It is full"), ("Alert fatigue is real", "Alert fatigue is real"),
        ("OK button is gone", "OK button is gone"), ("[Triggered]", "[Triggered]"), ("", ""),
    ],
)  # fmt: skip
def test_a_title_is_the_same_whatever_state_it_begins_with(title: str, plain: str) -> None:
    assert unstated(title) == plain


def test_records_of_many_labels_are_compared_fast() -> None:
    began = Stopwatch()
    labels = {f"label{n}": "x" * 100 for n in range(2_000)}
    for sent in (labels, ["a:b" * 50] * 4_000, "a:b," * 60_000):
        left(("alert", alert("[" * 100_000, "firing", tags=sent)), ("alert", alert(RISES, "resolved", labels=labels)))
    assert began.fair < 3
