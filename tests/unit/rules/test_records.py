"""What programs record in fields is told with them: alerts, lines of a log, deployments; and messages stay messages."""

from __future__ import annotations

import json
from typing import Any

import pytest

from muster.domain.rules.summary import summarise
from tests.pace import Stopwatch
from tests.unit.rules.observing import TRACEBACK, event, made, only

FIRING = {"alertname": "DiskWillFillIn4Hours", "severity": "critical", "instance": "db3:9100", "status": "firing",
          "summary": "/var/lib/pg is 96% full"}  # fmt: skip
DECLINED = {"level": "error", "logger": "billing.charge", "message": "card was declined by the issuer",
            "order_id": "ZX-9981", "code": "insufficient_funds"}  # fmt: skip
ROLLED_OUT = {"service": "gateway", "version": "3.7.1", "env": "prod", "text": "Rollout finished without incidents"}


@pytest.mark.parametrize(
    ("kind", "sent", "type_", "title", "facts"),
    [
        ("alert", FIRING, "error", "DiskWillFillIn4Hours on db3:9100: /var/lib/pg is 96% full",
         ["alertname: DiskWillFillIn4Hours", "severity: critical", "instance: db3:9100", "status: firing"]),
        ("log", DECLINED, "error", "billing.charge: Card was declined by the issuer",
         ["order_id: ZX-9981", "code: insufficient_funds"]),
        ("deploy", ROLLED_OUT, "fact", "gateway 3.7.1: Rollout finished without incidents",
         ["service: gateway", "version: 3.7.1", "env: prod"]),
        ("deploy", {**ROLLED_OUT, "text": "done"}, "fact", "gateway 3.7.1: done", ["env: prod"]),
        ("log", {"level": "ERROR", "message": "disk full"}, "error", "disk full", ["level: ERROR"]),
        ("log", {"level": 50, "name": "api", "hostname": "web1", "message": "boom happened here",
                 "err": {"type": "TypeError", "message": "x is undefined"}}, "error",
         "api on web1: boom happened here", ["err.message: x is undefined"]),
        ("log", {"level": "info", "service": "cart", "message": "The basket was rebuilt", "items": 42}, "discovery",
         "cart: The basket was rebuilt", ["items: 42"]),
        ("log", {"level": "fatal", "service": "cart", "message": TRACEBACK}, "error",
         "cart fails: ValueError: invalid literal for int() with base 10: 'licence'", ["service: cart"]),
        ("message", {**DECLINED, "user": "bob"}, "error", "billing.charge: Card was declined by the issuer",
         ["order_id: ZX-9981", "user: bob"]),
        ("message", {"text": "card was declined", "order_id": "ZX-9981", "amount": 42}, "fact", "Card was declined",
         ["order_id: ZX-9981", "amount: 42"]),
        ("ci", {"status": "failed", "job": "build", "branch": "main", "message": "Unit tests stop in cart"}, "error",
         "build: Unit tests stop in cart", ["branch: main"]),
        ("ticket", {"title": "Nobody can pay", "text": "The basket stays empty.", "ticket": "SHOP-123"}, "fact",
         "Nobody can pay", ["ticket: SHOP-123"]),
        ("metric", {"content": "Latency is up", "tags": ["eu", "edge"], "labels": {"cell": "c4"}}, "fact",
         "Latency is up", ["tags: eu, edge", "labels.cell: c4"]),
        ("audit", {"data": {"text": "The bucket is public", "bucket": "img-9"}, "trace_id": "7f31"}, "fact",
         "The bucket is public", ["bucket: img-9", "trace_id: 7f31"]),
        ("alert", {"summary": "Nobody answers", "state": "alerting", "monitor": "shop", "severity": "warning"}, "error",
         "shop: Nobody answers", ["state: alerting"]),
        ("incident.opened", {"body": "Nobody can pay", "severity": "sev1", "service": "till"}, "error",
         "till: Nobody can pay", ["severity: sev1"]),
    ],
)  # fmt: skip
def test_what_stands_beside_the_words_is_told(
    kind: str, sent: dict[str, Any], type_: str, title: str, facts: list[str]
) -> None:
    for payload in (sent, json.dumps(sent)):
        one = only(event(payload, kind))
        assert (one.type, one.title) == (type_, title)
        assert set(facts) <= set(one.facts)


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        ("alert", {**FIRING, "status": "resolved"}),
        ("alert", {**FIRING, "status": "OK"}),
        ("alert", {"alertname": "Watchdog", "severity": "none", "status": "firing", "summary": "It is watched"}),
        ("log", {**DECLINED, "level": "warning"}),
        ("log", {"level": "info", "message": "The card of this order was accepted", "error_count": 0}),
        ("message", {"role": "user", "text": "The office moves to Lyon", "level": "error"}),
        ("message", {"speaker": "Ann", "text": "The office moves to Lyon", "status": "failed"}),
        ("prompt", {"prompt": "The office moves to Lyon", "severity": "critical"}),
        ("ticket", {"severity": "critical", "status": "closed", "text": "The till is new"}),
    ],
)
def test_what_is_well_or_only_said_is_no_error(kind: str, sent: dict[str, Any]) -> None:
    assert only(event(sent, kind)).type not in ("error", "bugfix")


@pytest.mark.parametrize(
    ("sent", "kind"),
    [({"level": "debug", "message": "tick", "seq": 3}, "log"), ({"text": "ok", "channel": "#a"}, "message"),
     ({"role": "user", "text": "Thanks!", "channel": "#oncall"}, "message")],
)  # fmt: skip
def test_a_word_that_says_nothing_does_not_with_fields_either(sent: dict[str, Any], kind: str) -> None:
    assert made(event(sent, kind)) == []


CARRIED = {
    "uuid": "0193a1b2-0000-8000-8000-000000000000", "parentUuid": None, "timestamp": "2026-11-20T10:00:00Z",
    "model": "claude-opus-4", "usage": {"input_tokens": 3, "output_tokens": 12}, "sessionId": "s1", "cwd": "/srv",
    "version": "2.0.1", "gitBranch": "main", "type": "chat.message", "id": "msg_01", "stop_reason": "end_turn",
    "request_id": "req_9", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "thread_ts": "1355517523.0",
    "client_msg_id": "0193a1b2-0000-8000-8000-000000000001", "pinned": False, "metadata": {"adapter": "x"},
    "session_id": "s1", "transcript_path": "/a", "hook_event_name": "x", "permission_mode": "plan", "tokens": 44,
    "created_at": "2026-11-20T10:00:00Z", "seen": "2026-11-20T10:00:00Z", "finish_reason": "stop", "index": 0,
}  # fmt: skip


@pytest.mark.parametrize(
    "sent",
    [{"role": "user", "text": "The office moves to Lyon."}, {"role": "assistant", "content": "The office moves."},
     {"message": {"role": "user", "content": [{"type": "text", "text": "The office moves to Lyon."}]}},
     {"speaker": "Ann", "text": "The office moves to Lyon."}, {"prompt": "The office moves to Lyon."},
     {"text": "The office moves to Lyon."}],
    ids=lambda sent: json.dumps(sent),
)  # fmt: skip
def test_a_message_stays_as_it_is_whatever_carries_it(sent: dict[str, Any]) -> None:
    for kind in ("message", "turn", "user_prompt"):
        plain, one = (only(event(payload, kind)) for payload in (sent, {**CARRIED, **sent}))
        assert (one.title, one.narrative, one.facts, one.type) == (plain.title, plain.narrative, [], plain.type)
        assert only(event({**CARRIED, **sent, "channel": "#oncall"}, kind)).facts == ["channel: #oncall"]


@pytest.mark.parametrize(
    "kind",
    ["assistant_message", "user_prompt_submit", "agent.reply", "chat.message", "model_response", "assistantmessage"],
)
def test_what_somebody_says_is_no_record_whatever_it_is_called(kind: str) -> None:
    said = {"text": "The egress is the indexer.", "turn": "third of the bill", "status": "failed"}
    plain, more = only(event({"text": said["text"]}, kind)), only(event(said, kind))
    assert (more.title, more.facts, more.type, more.narrative) == (plain.title, [], plain.type, plain.narrative)


def test_numbers_of_events_and_times_stay_out_of_records_too() -> None:
    carried = {"timestamp": "2026-11-20T10:00:00Z", "@timestamp": 1, "session_id": "s", "message_id": "m", "uuid": "u"}
    assert only(event({**DECLINED, **carried, "model": "gpt-4o", "usage": {"total": 3}}, "log")).facts == (
        only(event(DECLINED, "log")).facts
    )


def test_a_text_beside_the_words_is_told_as_one() -> None:
    stack = "TypeError: x is undefined\n    at f (a.js:3)"
    one = only(event({**DECLINED, "stack": stack}, "log"))
    assert stack in (one.narrative or "")
    assert not any("a.js" in fact for fact in one.facts)


def test_what_is_resolved_is_open_no_longer() -> None:
    def opened(*sent: tuple[str, dict[str, Any]]) -> bool:
        events = [event(payload, kind) for kind, payload in sent]
        (one,) = summarise(None, events, made(*events)).observations
        return any(fact.startswith("Open: ") for fact in one.facts)

    resolved = {**FIRING, "status": "resolved"}
    assert opened(("alert", FIRING))
    assert not opened(("alert", FIRING), ("alert", resolved))
    assert only(event(resolved, "alert")).title.startswith("Resolved: DiskWillFillIn4Hours on db3:9100: ")
    assert opened(("alert", FIRING), ("alert", {**resolved, "instance": "db4:9100"}))
    assert opened(("alert", resolved), ("alert", FIRING))
    failed = {"status": "failed", "job": "build", "branch": "main", "message": "The unit tests of the cart stop"}
    passed = {"status": "success", "job": "build", "branch": "main", "message": "All of it is built"}
    assert not opened(("ci", failed), ("ci", passed))
    assert opened(("ci", failed), ("ci", {**passed, "branch": "next"}))


def test_a_record_of_a_thousand_fields_costs_little() -> None:
    began = Stopwatch()
    many = {f"field{n}": "x" * 200 for n in range(1_000)}
    for payload in (
        {**many, "text": "It is full"},
        {"text": "It is full", "fields": many},
        {"text": "a " * 60_000, "tags": ["b" * 30] * 4_000},
        {"text": "It is full", "x": "y " * 120_000},
    ):
        for one in made(event({**payload, "level": "error"}, "log")):
            assert len(one.facts) <= 16
            assert len(one.narrative or "") <= 4_000
    assert began.fair < 3
