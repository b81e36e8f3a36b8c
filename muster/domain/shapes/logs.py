"""Lines of logs as programs write them: what was logged, how grave it is, by whom, and the error that it tells of."""

from __future__ import annotations

import re
from typing import Any

from muster.domain.rules.fields import FAILS
from muster.domain.rules.json import leaves, line_of, text_of
from muster.domain.rules.text import cleaned, one_line
from muster.domain.shapes.parts import Part, mapping, record

MAX_FIELDS = 30
_LINE_CHARS = 2000
_ERROR, _WARNING, _INFO, _DEBUG = "error", "warning", "info", "debug"
_WEIGHTS = {_ERROR: 0.6, _WARNING: 0.4, _INFO: 0.3, _DEBUG: 0.2}
_WORDS = {
    word: level
    for level, words in {
        _ERROR: "error err eror critical crit fatal panic emerg emergency alert severe dpanic",
        _WARNING: "warning warn wrn",
        _INFO: "info inf information informational notice default log",
        _DEBUG: "debug dbg trace verbose vrb silly fine finer finest",
    }.items()
    for word in words.split()
}


def logged(kind: str, document: Any) -> list[Part] | None:
    """None: it is no line of a log that is known here."""
    if not isinstance(document, dict):
        return _written(document) if isinstance(document, str) and kind in _LOGS else None
    if not _BELONGS_ELSEWHERE.isdisjoint(document):
        return None
    for read in (_structured, _of_the_journal, _compact, _of_the_cloud):
        if (found := read(kind, document)) is not None:
            return found
    line = document.get("line") or document.get("log") or document.get("text") or document.get("message")
    return _written(line) if kind in _LOGS and isinstance(line, str) and _level(document) is None else None


_LOGS = frozenset({"log", "logs", "log.line", "log_line", "logline", "syslog"})
_BELONGS_ELSEWHERE = frozenset(
    {
        "role",
        "speaker",
        "author",
        "sender",
        "from",
        "who",
        "prompt",
        "tool_name",
        "toolName",
        "tool",
        "callback",
        "hook",
    }
)
_LEVELS = ("level", "severity", "levelname", "lvl", "log_level", "loglevel", "log.level", "@l")


def _level(document: dict[str, Any]) -> str | None:
    for key in _LEVELS:
        value = document.get(key)
        if isinstance(value, str) and (found := _WORDS.get(value.strip().lower()[:20])):
            return found
        if isinstance(value, int) and not isinstance(value, bool) and key in ("level", "lvl") and 10 <= value <= 60:
            return _ERROR if value >= 50 else _WARNING if value >= 40 else _INFO if value >= 30 else _DEBUG
    return None


# -- Structured ------------------------------------------------------------------------------------------------------

_NAMES = ("logger", "logger_name", "name", "service", "service.name", "service_name", "app", "component", "module",
          "SourceContext", "Application", "SYSLOG_IDENTIFIER")  # fmt: skip
_ERRORS = (
    "err",
    "error",
    "exception",
    "exc",
    "exc_info",
    "@x",
    "cause",
    "reason",
    "stack",
    "stacktrace",
    "errorVerbose",
)
_BOOKS = frozenset(
    """
    msg message level severity levelname lvl time ts timestamp v pid caller @t @l @mt @m @i @r @x log_level loglevel
    textpayload jsonpayload insertid receivetimestamp logname spanid traceid trace trace_id span_id tracesampled
    priority event
    """.split()  # noqa: SIM905
)


def _structured(kind: str, document: dict[str, Any]) -> list[Part] | None:
    """As pino, zap, bunyan, slog and structlog write them."""
    level, words = _level(document), document.get("msg")
    if not isinstance(words, str) and kind in _LOGS and "message" not in document:
        words = document.get("event")
    if level is None or not isinstance(words, str):
        return None
    return _told(level, words, line_of(document, *_NAMES), document)


def _of_the_journal(kind: str, document: dict[str, Any]) -> list[Part] | None:
    words, grave = document.get("MESSAGE"), str(document.get("PRIORITY", "6"))
    if not isinstance(words, str) or not any(key in document for key in _OF_THE_JOURNAL):
        return None
    level = _ERROR if grave in ("0", "1", "2", "3") else _WARNING if grave == "4" else _DEBUG if grave == "7" else _INFO
    unit = line_of(document, "_SYSTEMD_UNIT", "UNIT", "SYSLOG_IDENTIFIER").removesuffix(".service")
    about = {"unit": line_of(document, "_SYSTEMD_UNIT", "UNIT"), "host": line_of(document, "_HOSTNAME")}
    return _told(level, words, unit, {key: value for key, value in about.items() if value})


_OF_THE_JOURNAL = ("PRIORITY", "_PID", "_SYSTEMD_UNIT", "SYSLOG_IDENTIFIER", "__REALTIME_TIMESTAMP", "_TRANSPORT")
_HOLE = re.compile(r"\{[@$]?([A-Za-z_]\w{0,60})(?:,[-\d]{1,5})?(?::[^{}\n]{1,40})?\}")


def _compact(kind: str, document: dict[str, Any]) -> list[Part] | None:
    """As Serilog writes them: a template, and what its names stand for."""
    words = document.get("@m") or document.get("@mt") or document.get("MessageTemplate")
    if not isinstance(words, str) or not ("@t" in document or "Timestamp" in document):
        return None
    given = {**mapping(document.get("Properties")), **document}
    words = _HOLE.sub(lambda hole: _given(given.get(hole[1]), hole[0]), words[:_LINE_CHARS])
    level = _level(document) or _WORDS.get(line_of(document, "Level").lower(), _INFO)
    return _told(level, words, line_of(given, *_NAMES), {k: v for k, v in given.items() if k not in _OF_SERILOG})


_OF_SERILOG = frozenset({"MessageTemplate", "Timestamp", "Level", "Properties"})


def _given(value: Any, otherwise: str) -> str:
    return str(value)[:200] if isinstance(value, str | int | float) else otherwise


def _of_the_cloud(kind: str, document: dict[str, Any]) -> list[Part] | None:
    inner = mapping(document.get("jsonPayload"))
    words = line_of(inner, "message", "msg") or line_of(document, "textPayload")
    if not words:
        return None
    labels = mapping(mapping(document.get("resource")).get("labels"))
    name = line_of(inner, *_NAMES) or line_of(labels, "service_name", "container_name", "function_name", "module_id")
    return _told(_level(document) or _level(inner) or _INFO, words, name, {**labels, **inner})


def _told(level: str, words: str, name: str, about: dict[str, Any], line: str = "") -> list[Part] | None:
    first = one_line(cleaned(words, _LINE_CHARS).strip().partition("\n")[0], 400)
    if not any(map(str.isalnum, first)):
        return None
    error, trace = _error(about) if level in (_ERROR, _WARNING) else ("", "")
    title = f"{first}: {error}" if error and error.lower() not in first.lower() else first
    if name and name.split(" ")[0].lower() not in title.lower():
        title = f"{name}: {title}"
    kept = {
        key: value for key, value in list(about.items())[:MAX_FIELDS] if key.lower() not in _BOOKS and value != name
    }
    facts = [(path, leaf) for path, leaf in leaves(kept) if len(leaf) <= 200 and "\n" not in leaf][:MAX_FIELDS]
    text = "\n".join(part for part in (line or (words if words.strip() != first else ""), trace) if part)
    return record(
        title, text, standing=FAILS if level == _ERROR else "", kind="error" if level == _ERROR else "discovery",
        importance=_WEIGHTS[level], facts=(("level", level), *((("logger", name),) if name else ()), *facts),
    )  # fmt: skip


def _error(about: dict[str, Any]) -> tuple[str, str]:
    """What went wrong, on a line, and the whole of it where there is more."""
    for key in _ERRORS:
        value = about.get(key)
        if isinstance(value, dict):
            trace = text_of(value.get("stack")) or text_of(value.get("stacktrace")) or text_of(value.get("traceback"))
            why = line_of(value, "message", "msg", "reason", "detail") or one_line(trace.partition("\n")[0], 300)
            if why := why or line_of(value, "type", "name", "code"):
                return why, trace
        elif isinstance(value, str) and value.strip():
            lines = cleaned(value).strip().split("\n")
            last = lines[-1] if lines[0].startswith("Traceback") else lines[0]
            return one_line(last, 300), "\n".join(lines) if len(lines) > 1 else ""
    return "", ""


# -- Plain -----------------------------------------------------------------------------------------------------------

_GRAVE = "|".join(("ERROR", "CRITICAL", "FATAL", "SEVERE", "PANIC", "WARN(?:ING)?", "INFO", "NOTICE", "DEBUG", "TRACE"))
_PLAIN = re.compile(
    r"\[?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d\S{0,24}\s{1,3}"
    r"(?P<before>(?:(?:\[[^\]\s]{0,60}\]|\([^)\s]{0,60}\)|[-|:]{1,3}|\d{1,8}|\S{0,40}[.:/]\S{0,40}|\S{1,40}(?=\s{1,4}[-|]))"
    r"\s{1,4}){0,4}?)"
    rf"[\[(]?(?P<level>{_GRAVE})[\])]?:?\s{{1,4}}(?P<rest>\S.*)"
)
_ASIDE = re.compile(r"(?:\[[^\]\n]{0,60}\]|\d{1,8}|---|[-|:])\s{1,4}")
_LOGGER = re.compile(r"(?P<name>[A-Za-z_$][\w.$-]{2,80})\s{0,20}(?: - | : |: )\s{0,4}(?=\S)")
_PROGRAM = re.compile(r"[A-Za-z_][\w.]{2,60}")


def _written(line: str) -> list[Part] | None:
    """One that begins with when it was, and says how grave it is."""
    line = line.strip()
    if len(line) > _LINE_CHARS or "\n" in line or not (found := _PLAIN.fullmatch(line)):
        return None
    rest = found["rest"]
    for _ in range(4):
        aside = _ASIDE.match(rest)
        rest = rest[aside.end() :] if aside else rest
    named = _LOGGER.match(rest)
    name = named["name"] if named else next(
        (word for word in found["before"].split() if _PROGRAM.fullmatch(word)), ""
    )  # fmt: skip
    words = rest[named.end() :] if named else rest
    return _told(_WORDS[found["level"].lower()], words, name, {}, line)
