"""How processes log: a line per event, JSON or text, with the request it belongs to and without secrets.

Everything logs through `logging`, ours and what we stand on alike; structlog makes the lines of it.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from typing import IO, Any

from muster.settings import Settings, mask

# For the tracebacks of its own console, which nobody sees here, structlog would import rich: 4.6 MB in every process.
_rich = sys.modules.get("rich")
sys.modules["rich"] = None  # type: ignore[assignment]
import structlog  # noqa: E402
from structlog.typing import EventDict, ProcessorReturnValue  # noqa: E402

if _rich is None:
    del sys.modules["rich"]
else:
    sys.modules["rich"] = _rich

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Of the request that is worked on here and now."""

Whereabouts = Callable[[], Mapping[str, str]]
"""What else is known of where a line comes from."""

_SUSPECT = re.compile(r"mst_|://|bearer|basic|authorization|api-key|password", re.IGNORECASE)
_KEY = re.compile(r"(mst_a?[0-9a-f]{8,32})_[0-9A-Za-z]+")
_BEARER = re.compile(r"\b(bearer)\s+[\w.~+/=-]{6,}", re.IGNORECASE)
_HEADER = re.compile(
    r"""\b(authorization|x-api-key)\b(["'\s]*[:=,]\s*(?:b(?=["']))?["']?)((?:bearer|basic)\s+)?[^\s"',;)}\]]+""",
    re.IGNORECASE,
)
_SECRET_NAME = re.compile(r"authorization|x-api-key|api_?key|password|secret|token|credential", re.IGNORECASE)
_OF_RECORDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}
_OF_TEMPORAL = ("temporal_workflow", "temporal_activity", "temporal_log")


def configure(settings: Settings, *, where: Whereabouts | None = None) -> None:
    """Of this whole process, to its stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(formatter(settings, sys.stderr, where=where))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    logging.captureWarnings(True)


def formatter(settings: Settings, stream: IO[Any] | None, *, where: Whereabouts | None = None) -> logging.Formatter:
    """Lines for this stream; None: a file."""
    text = stream is not None and stream.isatty() if settings.log_format is None else settings.log_format == "text"
    return structlog.stdlib.ProcessorFormatter(
        processors=[_Describe(where), without_secrets, _as_text if text else _as_json]
    )


class _Describe:
    """The fields of a line, those that every line has first."""

    def __init__(self, where: Whereabouts | None) -> None:
        self._where = where

    def __call__(self, logger: Any, method: str, event: EventDict) -> EventDict:
        record: logging.LogRecord = event["_record"]
        line: EventDict = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": event["event"],
        }
        if (asked := request_id.get()) is not None:
            line["request_id"] = asked
        if self._where:
            line.update(self._where())
        more = vars(record)
        for name in _OF_TEMPORAL:
            of_temporal = more.get(name)
            if isinstance(of_temporal, Mapping) and "workflow_id" in of_temporal:
                line["workflow_id"] = of_temporal["workflow_id"]
        for name, value in more.items():
            if name not in _OF_RECORDS and name not in _OF_TEMPORAL and not name.startswith("_"):
                line[name] = value
        if (error := event.get("exc_info")) and error[0]:
            line["exception"] = "".join(traceback.format_exception(*error)).rstrip()
        return line


def without_secrets(logger: Any, method: str, event: EventDict) -> EventDict:
    return {name: _clean(value, name) for name, value in event.items()}


def _clean(value: object, name: str = "") -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if name and _names_a_secret(name):
        return "***"
    if isinstance(value, Mapping):
        return {str(key): _clean(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(item) for item in value]
    return hide(value if isinstance(value, str) else str(value))


@lru_cache(1000)
def _names_a_secret(field: str) -> bool:
    return bool(_SECRET_NAME.search(field)) and not field.endswith("_id")


def hide(text: str) -> str:
    """The text without keys, Authorization values and passwords of addresses."""
    if not _SUSPECT.search(text):
        return text
    text = _KEY.sub(r"\1_***", text)
    text = _HEADER.sub(r"\1\2\3***", _BEARER.sub(r"\1 ***", text))
    return mask(text)


def _as_json(logger: Any, method: str, event: EventDict) -> ProcessorReturnValue:
    # ASCII: what people sent may hold what UTF-8 cannot.
    return json.dumps(event, default=str)


def _as_text(logger: Any, method: str, event: EventDict) -> ProcessorReturnValue:
    exception = event.pop("exception", None)
    time, level, name, what = (str(event.pop(field)) for field in ("timestamp", "level", "logger", "event"))
    # One line each, whatever it quotes.
    more = "".join(f" {field}={json.dumps(value, default=str)}" for field, value in event.items())
    line = f"{time} {level.upper():<7} {name}: " + what.replace("\r", "\\r").replace("\n", "\\n") + more
    return f"{line}\n{exception}" if exception else line
