"""What stands beside the words of an event: of an alert, a log's line or a deployment, what it is about.

Messages carry much that says nothing of the world: who sent them through what, when, and under which number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from muster.domain.rules.json import leaves, said_under, text_of
from muster.domain.rules.text import cleaned, one_line, readable

MAX_FIELDS = 60
_LINE_CHARS = 200
"""Of a value that is told as a fact; what is longer is told as a text."""
_VALUE_CHARS = 1500


def _plain(key: str) -> str:
    return re.sub(r"[^a-z0-9]", "", key[:80].lower())


_NEVER = frozenset(
    """
    role timestamp ts time datetime date eventtime eventts asctime created createdat updated updatedat received
    receivedat sent sentat occurredat loggedat recordedat observedat ingestedat startsat endsat epoch unixtime msecs
    uuid parentuuid messageid msgid clientmsgid parentid parentmessageid sessionid session conversationid turnid itemid
    eventid responseid completionid chatid promptid tooluseid toolcallid hookeventname transcriptpath permissionmode
    usertype issidechain ismeta adapter stream firstline lastline piecesleftout gleaned delta object logprobs
    systemfingerprint finishreason stopreason stopsequence servicetier usage tokens tokencount totaltokens inputtokens
    outputtokens prompttokens completiontokens maxtokens signature reasoning reasoningcontent thinking thought schema
    schemaversion specversion avatar avatarurl icon iconemoji iconurl messages parts blocks
    """.split()  # noqa: SIM905
)
"""What is kept of messages for the sake of those who carry them."""
_NOT_OF_TALK = frozenset(
    """
    id type subtype model modelname modelid provider version cwd gitbranch source status phase agent mode cost language
    lang locale format encoding mimetype direction platform entrypoint requestid traceid spanid correlationid threadid
    threadts userid teamid guildid channelid channeltype authorid senderid runid team nonce index seq sequence offset
    turn diaid level priority retries retry retrycount attempt attempts
    annotations refusal audio slug temperature topp effort visibility kind
    """.split()  # noqa: SIM905
)
"""The same of what somebody says; of what a program tells it may be what matters."""
_TALK = re.compile(
    r"user|assistant|ai|human|say|note|(?:[a-z]{2,20}[._ -]){0,3}(?:user|assistant|agent|ai|bot|chat)?"
    r"(?:messages?|prompts?|turns?|utterances?|chat|reply|replies)(?:[._ -][a-z]{2,20}){0,2}"
    r"|(?:user|assistant|agent|ai|bot|model)[._ -]?(?:response|answer|text|said|says)"
)
"""Kinds of what somebody says."""
_ROLES = frozenset("user human assistant ai model system tool bot developer function".split())  # noqa: SIM905
_SPEAKERS = ("speaker", "author", "sender", "from", "who")
_TITLES = frozenset({"title", "subject", "headline"})
_FILES = frozenset({"files_read", "files", "filesRead", "files_modified", "filesModified"})
_NUMBERED = re.compile(
    r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}|[0-9a-f]{32,64}|(?:msg|req|resp|chatcmpl)[-_]\w{8,80}"
)
_CHANNEL = re.compile(r"[CDGUTW](?=[A-Z]{0,14}\d)[A-Z0-9]{1,14}|-?\d{4,20}|\d{1,20}@\w{1,20}(?:\.\w{1,10}){0,2}")
"""The number of a channel. Its name is what people know it by."""
_MODEL = re.compile(
    r"(?:\w{1,20}[/.]){0,2}(?:gpt|claude|gemini|llama|mistral|mixtral|qwen|deepseek|grok|o\d)[-\d.:]", re.I
)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")


def beside(kind: str, payload: Mapping[str, Any], text: str, speaker: str) -> list[tuple[str, str]]:
    """What else it tells, with the names of the fields, where its words stand in one of them."""
    inner = payload.get("message")
    place = {**payload, **inner} if isinstance(inner, dict) else dict(payload)
    if not (said := said_under(place)):
        return []
    talk, told = is_talk(kind, payload), place.pop(said)
    if isinstance(inner, dict) and said != "message":
        place.pop("message", None)
    if isinstance(told, dict) and not talk:
        place |= {key: value for key, value in told.items() if key not in ("text", "content", "parts")}
    kept = {
        key: value
        for key, value in list(place.items())[:MAX_FIELDS]
        if not _keeps_books(key, value, talk) and key not in _TITLES | _FILES and value != speaker
        and not (isinstance(value, str) and value.lower() == kind)
    }  # fmt: skip
    found: dict[str, str] = {}
    for path, leaf in leaves(kept):
        if _says_nothing(path, leaf, text, talk):
            continue
        told = cleaned(leaf, _VALUE_CHARS)
        found[path] = f"{found[path]}, {told}"[:_VALUE_CHARS] if path in found else told
        if len(found) == MAX_FIELDS:
            break
    fields = [(cleaned(path, 100), value) for path, value in found.items() if readable(value)]
    return [(path, value) for path, value in fields if path not in _LEVELS or value.lower() not in _LIGHT]


def as_facts(fields: list[tuple[str, str]]) -> list[str]:
    return [f"{path}: {value}" for path, value in fields if _is_short(value)]


def as_text(fields: list[tuple[str, str]]) -> str:
    """Those that are too long to be facts."""
    return "\n".join(f"{path}: {value}" for path, value in fields if not _is_short(value))


def _is_short(value: str) -> bool:
    return len(value) <= _LINE_CHARS and "\n" not in value


def is_talk(kind: str, payload: Mapping[str, Any]) -> bool:
    """Whether somebody says it, and no program tells it."""
    role = payload.get("role")
    if (isinstance(role, str) and role.lower() in _ROLES) or isinstance(payload.get("message"), dict):
        return True
    if "prompt" in payload or any(isinstance(payload.get(key), str) for key in _SPEAKERS):
        return True
    return _TALK.fullmatch(kind[:100]) is not None and not level(payload)


def _keeps_books(key: str, value: Any, talk: bool) -> bool:
    name = _plain(key)
    if name in _NEVER or (name == "from" and talk):
        return True
    return talk and (name in _NOT_OF_TALK or isinstance(value, bool | dict) or name in ("name", "user", *_SPEAKERS))


def _says_nothing(path: str, leaf: str, text: str, talk: bool) -> bool:
    name = _plain(path.rpartition(".")[2])
    if name in _NEVER or (len(leaf) >= 20 and leaf in text):
        return True
    if talk and name in ("channel", "room", "chat", "conversation") and _CHANNEL.fullmatch(leaf[:40]):
        return True
    if talk and (_NUMBERED.fullmatch(leaf[:80]) or _MOMENT.match(leaf)):
        return True
    return name in ("model", "modelname", "modelid") and _MODEL.match(leaf) is not None


# -- How it stands --------------------------------------------------------------------------------------------------

FAILS, WELL = "fails", "well"

_LEVELS = ("level", "severity", "loglevel", "log_level", "logLevel", "levelname", "level_name", "lvl", "log.level",
           "severity_text", "severityText", "alert_type")  # fmt: skip
_SEVERE = frozenset(
    "error err critical crit fatal panic emerg emergency alert severe page p1 sev1 disaster".split()  # noqa: SIM905
)
_LIGHT = frozenset("info information informational none debug trace notice ok success low".split())  # noqa: SIM905
STATES = ("status", "state", "alert_status", "alertStatus", "alert_state", "alert_transition", "NewStateValue",
           "event_action", "action", "conclusion", "outcome")  # fmt: skip
_FAILING = frozenset(
    """
    failed failure failing error errored crashed firing alerting alarm triggered trigger re-triggered retriggered down
    unhealthy critical timed_out timeout oomkilled crashloopbackoff
    """.split()  # noqa: SIM905
)
_OVER = frozenset(
    """
    resolved resolve ok closed recovered recovery cleared normal inactive fixed up healthy success succeeded successful
    passed completed complete done finished green suppressed silenced
    """.split()  # noqa: SIM905
)
NAMED = ("alertname", "alert_name", "alertName", "AlarmName", "alarm", "alert", "monitor", "check", "incident",
          "service", "service_name", "service.name", "app", "application", "component", "logger", "logger_name",
          "job", "pipeline", "workflow", "deployment", "project", "name")  # fmt: skip
VERSIONS = ("version", "release", "tag")
WHERE = ("instance", "host", "hostname", "server", "node", "pod", "device")
_OF_ALERTS = ("alert_transition", "alert_type", "alert_status", "alertStatus", "alert_state", "alert_id", "alertId")
_ALERTS = re.compile(r"alert|alarm|incident|monitor|health", re.IGNORECASE)


def level(payload: Mapping[str, Any]) -> str:
    """How grave its program says that it is, as a word."""
    for place in places(payload):
        for key in _LEVELS:
            value = place.get(key)
            if isinstance(value, str) and 0 < len(value) <= 20:
                return value.strip().lower()
            if isinstance(value, int) and key == "level" and value in (50, 60):
                return "error"
            if isinstance(value, int) and not isinstance(value, bool) and key == "level" and value in (10, 20, 30, 40):
                return "info"
    return ""


def standing(kind: str, payload: Mapping[str, Any]) -> str:
    """Whether it fails, or does no longer. Empty: it does not say."""
    if is_talk(kind, payload):
        return ""
    grave, state = level(payload), _state(payload)
    if state in _OVER:
        return WELL
    if state in _FAILING:
        return "" if grave in _LIGHT else FAILS
    return FAILS if grave in _SEVERE else ""


def is_alert(kind: str, payload: Mapping[str, Any]) -> bool:
    return _ALERTS.search(kind[:100]) is not None or any(key in payload for key in (*NAMED[:5], *_OF_ALERTS))


def subject(payload: Mapping[str, Any]) -> str:
    """What it is about, by its name, its version and its place."""
    name = first_of(payload, NAMED)
    if not name:
        return ""
    version, where = first_of(payload, VERSIONS), first_of(payload, WHERE)
    return name + (f" {version}" if version else "") + (f" on {where}" if where else "")


def places(payload: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    inner = [payload.get(key) for key in ("labels", "commonLabels", "log")]
    return [payload, *(one for one in inner if isinstance(one, dict))]


def _state(payload: Mapping[str, Any]) -> str:
    for key in STATES:
        if isinstance(value := payload.get(key), str) and 0 < len(value) <= 40 and text_of(value):
            word = value.strip().lower().replace(" ", "_")
            if word in _FAILING | _OVER:
                return word
    return ""


def first_of(payload: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    for place in places(payload):
        for key in keys:
            value = place.get(key)
            if isinstance(value, str) and 0 < len(value) <= 80 and value != "root" and not _NUMBERED.fullmatch(value):
                return one_line(cleaned(value), 80)
    return ""
