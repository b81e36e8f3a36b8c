"""Lines in the logs: whole, findable, and without secrets."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from muster import logs
from muster.settings import Settings

KEY = "mst_0123456789abcdef0123456789abcdef_" + "s3cret" * 7 + "x"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def settings(**more: object) -> Settings:
    return Settings(_env_file=None, **more)  # type: ignore[call-arg, arg-type]


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    log = logging.Logger("api.test")
    yield log
    log.handlers.clear()


def written(log: logging.Logger, **more: object) -> io.StringIO:
    """Where its lines go to."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.formatter(settings(**more), stream))
    log.addHandler(handler)
    return stream


def last(stream: io.StringIO) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(stream.getvalue().splitlines()[-1])
    return line


def test_a_line_is_one_document(log: logging.Logger) -> None:
    stream = written(log)
    log.warning("%s of\n%s", "one", "two", extra={"status": 404, "at": [1, {"b": 2}]})
    assert len(stream.getvalue().splitlines()) == 1
    line = last(stream)
    assert list(line)[:4] == ["timestamp", "level", "logger", "event"]
    assert line["timestamp"].endswith("+00:00")
    assert (line["level"], line["logger"], line["event"]) == ("warning", "api.test", "one of\ntwo")
    assert (line["status"], line["at"]) == (404, [1, {"b": 2}])
    assert "request_id" not in line


def test_a_line_names_its_request_and_its_workflow(log: logging.Logger) -> None:
    stream = written(log)
    token = logs.request_id.set("r-1")
    try:
        log.info("x", extra={"temporal_activity": {"workflow_id": "task-1", "attempt": 1}})
    finally:
        logs.request_id.reset(token)
    line = last(stream)
    assert (line["request_id"], line["workflow_id"]) == ("r-1", "task-1")
    assert "temporal_activity" not in line


def test_an_error_is_told_whole(log: logging.Logger) -> None:
    stream = written(log)
    try:
        raise ValueError(f"no use for {KEY}")
    except ValueError:
        log.exception("it failed")
    line = last(stream)
    assert line["exception"].startswith("Traceback")
    assert "ValueError: no use for mst_0123456789abcdef0123456789abcdef_***" in line["exception"]
    assert "s3cret" not in stream.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        f"sent {KEY}.",
        f"sent {KEY.replace('mst_', 'mst_a')}",
        "Authorization: Bearer s3cret.of-some/sort",
        "{'authorization': 'Bearer s3cret-of-some-sort', 'a': 1}",
        "[(b'authorization', b'Bearer s3cret-of-some-sort')]",
        "X-API-Key: s3cret",
        "{\"x-api-key\": \"s3cret\"}",
        "Authorization: Basic dXNlcjpzM2NyZXQ=s3cret",
        "(b'authorization', b'Basic dXNlcjpzM2NyZXQ=s3cret')",
        "postgresql://muster:s3cret@db:5432/muster",
        "redis://:s3cret@valkey:6379/0 and redis://h:6379/0",
        "host=db password=s3cret user=x",
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["json", "text"])
def test_secrets_are_left_out(log: logging.Logger, text: str, form: str) -> None:
    stream = written(log, MUSTER_LOG_FORMAT=form)
    log.error("before %s after", text, extra={"detail": {"deep": [text]}})
    assert "s3cret" not in stream.getvalue()
    assert "before " in stream.getvalue()
    assert " after" in stream.getvalue()


@pytest.mark.parametrize("name", ["authorization", "api_key", "password", "secret_key", "token"])
def test_fields_with_the_name_of_a_secret_are_left_out(log: logging.Logger, name: str) -> None:
    stream = written(log)
    log.info("x", extra={name: "s3cret", "key_id": "k-1", "headers": {name: "s3cret"}})
    assert (last(stream)[name], last(stream)["key_id"], last(stream)["headers"]) == ("***", "k-1", {name: "***"})


def test_what_is_harmless_stays(log: logging.Logger) -> None:
    stream = written(log)
    said = "see https://example.org/a?b=c, key k-1 of workspace w, the Authorization header, a basic understanding"
    log.info(said)
    assert last(stream)["event"] == said


def test_text_is_for_terminals_unless_it_is_asked_for(log: logging.Logger) -> None:
    def line(stream: io.StringIO | None, **more: object) -> str:
        record = logging.makeLogRecord({"name": "n", "levelname": "INFO", "msg": "said\nso", "status": 1})
        return logs.formatter(settings(**more), stream).format(record)

    assert line(Terminal()).endswith(" INFO    n: said\\nso status=1")
    assert json.loads(line(io.StringIO()))["event"] == "said\nso"
    assert json.loads(line(None))["status"] == 1
    assert json.loads(line(Terminal(), MUSTER_LOG_FORMAT="json"))
    assert "n: said" in line(None, MUSTER_LOG_FORMAT="text")
