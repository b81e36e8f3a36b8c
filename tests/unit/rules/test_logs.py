"""Lines of logs are told by what was logged, with the error that it tells of; what is no trouble weighs little."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.pace import Stopwatch
from tests.unit.rules.observing import event, made, only

AT = "2026-11-20T10:00:00Z"
PINO = {"time": 1, "pid": 3, "hostname": "w1"}


@pytest.mark.parametrize(
    ("sent", "title", "fact"),
    [
        ({**PINO, "level": 50, "name": "cart", "msg": "cart lookup failed",
          "err": {"type": "TimeoutError", "message": "redis GET c:1 timed out", "stack": "TimeoutError: x\n  at y"}},
         "cart lookup failed: redis GET c:1 timed out", "logger: cart"),
        ({"level": "error", "msg": "charge failed", "err": {"stack": "Error: card declined\n at y"}},
         "charge failed: Error: card declined", "level: error"),
        ({"level": "error", "ts": 1.5, "logger": "bills", "msg": "could not render", "error": "template: no field"},
         "bills: could not render: template: no field", "logger: bills"),
        ({"level": "ERROR", "time": AT, "msg": "no answer of db3", "service": "till"},
         "till: no answer of db3", "logger: till"),
        ({"severity": "ERROR", "timestamp": AT, "jsonPayload": {"message": "quota exceeded"},
          "resource": {"labels": {"service_name": "till"}}}, "till: quota exceeded", "logger: till"),
        ({"severity": "CRITICAL", "timestamp": AT, "textPayload": "quota exceeded"}, "quota exceeded", "level: error"),
        ({"MESSAGE": "Failed to start it", "PRIORITY": "3", "_PID": "4", "_SYSTEMD_UNIT": "nginx.service"},
         "nginx: Failed to start it", "unit: nginx.service"),
        ({"@t": AT, "@l": "Error", "@mt": "No answer of {Host} in {Elapsed:0.0} ms", "Host": "db3", "Elapsed": 30,
          "@x": "System.TimeoutException: too late\n at A"},
         "No answer of db3 in 30 ms: System.TimeoutException: too late", "Host: db3"),
        ({"event": "payment failed", "level": "error", "logger": "pay.api", "timestamp": AT, "order": "Z-1",
          "exception": "Traceback (most recent call last):\n  File \"a.py\"\nKeyError: 'vat'"},
         "pay.api: payment failed: KeyError: 'vat'", "order: Z-1"),
        (f"{AT} ERROR [worker-4] shop.Orders - duplicate key value", "shop.Orders: duplicate key value",
         "logger: shop.Orders"),
        ("2026-11-20 10:00:00,123 - app.db - ERROR - could not connect", "app.db: could not connect", "level: error"),
        ("2026-11-20 10:00:00.123 [main] FATAL could not connect", "could not connect", "level: error"),
        ({"line": f"{AT} ERROR could not connect"}, "could not connect", "level: error"),
    ],
)  # fmt: skip
def test_an_error_is_told_once_by_what_was_logged(sent: Any, title: str, fact: str) -> None:
    for payload in (sent, json.dumps(sent) if isinstance(sent, dict) else sent):
        one = only(event(payload, "log"))
        assert (one.type, one.title) == ("error", title)
        assert fact in one.facts
        assert not any("_PID" in told or told.startswith(("time", "@t", "pid")) for told in one.facts)


def test_a_trace_is_told_with_it() -> None:
    stack = "TimeoutError: too late\n    at get (cart.js:3)"
    one = only(event({**PINO, "level": 50, "msg": "lookup failed", "err": {"message": "late", "stack": stack}}, "log"))
    assert stack in (one.narrative or "")


@pytest.mark.parametrize(
    ("sent", "title"),
    [
        ({**PINO, "level": 30, "msg": "request completed", "res": {"statusCode": 200}}, "request completed"),
        ({**PINO, "level": 20, "msg": "cache miss for key"}, "cache miss for key"),
        ({"level": "info", "msg": "request completed", "error": "none"}, "request completed"),
        ({"@t": AT, "@mt": "Handled {Path}", "Path": "/carts"}, "Handled /carts"),
        ({"MESSAGE": "Started Session 33 of user root.", "PRIORITY": "6"}, "Started Session 33 of user root."),
        ({"severity": "INFO", "textPayload": "the job began"}, "the job began"),
        (f"{AT} INFO [main] the worker began", "the worker began"),
    ],
)  # fmt: skip
def test_what_is_no_trouble_weighs_little(sent: Any, title: str) -> None:
    one = only(event(sent, "log"))
    assert (one.type, one.title) == ("discovery", title)
    assert one.importance <= 0.3


@pytest.mark.parametrize(
    "sent",
    [
        {"role": "user", "text": "The office moves to Lyon.", "level": "error", "msg": "x failed"},
        {"speaker": "Ann", "text": "The office moves to Lyon.", "level": 50, "msg": "x failed"},
        {"text": "The office moves to Lyon.", "event": "said", "level": 3},
    ],
)
def test_what_somebody_says_is_no_line_of_a_log(sent: dict[str, Any]) -> None:
    one = only(event(sent, "message"))
    assert one.type == "fact"
    assert "The office moves to Lyon." in one.title


@pytest.mark.parametrize(
    "line",
    ["The ERROR page is new and looks good", f"{AT} the ERROR page was redrawn by Ann in the end of it all again",
     "ERROR is what the page is called"],
)  # fmt: skip
def test_a_word_within_a_line_is_no_level(line: str) -> None:
    assert all(one.type != "error" for one in made(event(line, "log")))


def test_lines_are_read_fast() -> None:
    began = Stopwatch()
    for line in (f"{AT} " + "a " * 900, f"{AT} " + " " * 1_900 + "x", f"{AT} ERROR " + "[a] " * 400, "2026" * 60_000):
        made(event(line, "log"))
        made(event({"level": "error", "msg": line * 50, "error": "y\n" * 60_000}, "log"))
        made(event({"@t": AT, "@mt": "{" * 100_000 + line, "@l": "Error"}, "log"))
    assert began.fair < 4
