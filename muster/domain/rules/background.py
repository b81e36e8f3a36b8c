"""Runs in the background: that a command was only started there, and what is told later of how it ended."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from muster.domain.rules.json import first, integer, line_of, text_of
from muster.domain.rules.text import cleaned

HEAD_CHARS = 2000
"""In which is told that something goes on in the background."""

_ASKED = ("run_in_background", "runInBackground", "is_background", "isBackground", "background")
_IDS = ("backgroundTaskId", "background_task_id", "bash_id", "shell_id", "shellId", "task_id", "taskId", "session_id")
_STARTED = re.compile(
    r"Command [^\n]{0,160}?\bbackground(?:ed)?\b[^\n]{0,80}? ID: ?([\w-]{1,64})|"
    r"^Process running with session ID:? ?(\d{1,12})$|^Background PIDs: ?(\d{1,12})",
    re.MULTILINE,
)
_LEFT_RUNNING = re.compile(
    r"(?<![&>|])&[ \t]{0,9}\)?(?:[ \t\n;]{0,9}(?:disown\b[^\n]{0,40}|echo [^\n;&|]{0,120}))?\s{0,9}\Z"
)
"""How a line of shell ends that does not wait for what it runs."""
_TAG = r"<{0}>\s{{0,9}}([^<\n]{{1,200}}?)\s{{0,9}}</{0}>"
_STATUS = re.compile(_TAG.format("status"))
_CODE = re.compile(_TAG.format("exit_code"))
_ID = re.compile(_TAG.format("(?:task[_-]id|bash_id|shell_id)"))
_OUTPUT = re.compile(r"<(output|stdout|stderr)>\n?(.*?)(?:</\1>|\Z)", re.DOTALL)
_EXITED = re.compile(r"^Process exited with code (\d{1,3})$", re.MULTILINE)
_OF_CODEX = re.compile(r"^Output:(?:\n|\Z)", re.MULTILINE)
_NOTIFIED = re.compile(
    r"\s{0,9}(?:<task-notification>\s{0,9}<task-id>(?P<id>[\w-]{1,64})</task-id>|"
    r"(?P<bare>[\w-]{1,64})\n/\S{1,300}/(?P=bare)\.output\n)"
)
_ENDED = re.compile(
    r"Background command (?:\"(?P<about>[^\n]{1,300}?)\" )?(?:was )?(?P<how>completed|failed|finished|killed|stopped)\b"
    r"(?:[^\n]{0,40}?exit code:? ?(?P<code>\d{1,3})\b)?"
)
_INTERRUPTS = "\x03"
"""What is typed to stop a program."""
_OVER = frozenset("completed failed finished exited done success error".split())  # noqa: SIM905
_STOPPED = frozenset("killed stopped cancelled canceled".split())  # noqa: SIM905


class Ended(NamedTuple):
    """How a run in the background ended."""

    id: str
    failed: bool
    code: int | None
    text: str
    """What it printed, as far as that is told."""
    about: str = ""
    command: str = ""

    @property
    def fields(self) -> dict[str, Any]:
        """Of the act that it is."""
        return {"background": self.id, "text": self.text, "failed": self.failed, "exit_code": self.code,
                "about": self.about, "query": self.command[:4000]}  # fmt: skip


def begun(asked: Mapping[str, Any], answered: Any, command: str) -> str | None:
    """The name of the run, where a command was only started: nobody knows yet how it ends. Empty: it has none."""
    if isinstance(answered, dict) and (known := _id(answered, _IDS[:2])):
        return known
    places = [text_of(answered)] if not isinstance(answered, dict) else [
        text_of(answered.get(key)) for key in ("stdout", "output", "content", "result", "text", "llmContent", "message")
    ]  # fmt: skip
    for text in places:
        if (match := _STARTED.search(text[:HEAD_CHARS])) and not _EXITED.search(text[:HEAD_CHARS]):
            return match[1] or match[2] or match[3]
    if any(asked.get(key) is True for key in _ASKED):
        return ""
    return "" if _LEFT_RUNNING.search(command[-400:]) else None


def named(asked: Mapping[str, Any]) -> str:
    """The name of the run that a tool was given."""
    return _id(asked, _IDS)


def ended(asked: Mapping[str, Any], answered: Any) -> Ended | None:
    """What a tool tells that asks for it. Nothing, where the run goes on, or was stopped by whoever started it."""
    known = named(asked)
    if isinstance(answered, dict):
        task = answered.get("task")
        place = task if isinstance(task, dict) else answered
        if (status := line_of(place, "status").lower()) and "<status>" not in status:
            return _of_fields(known or _id(place, _IDS), status, place)
        answered = first(answered, "content", "output", "result", "text", "stdout")
    text = text_of(answered)
    if match := _EXITED.search(text[:HEAD_CHARS]):
        if match[1] != "0" and _INTERRUPTS in str(asked.get("chars"))[:HEAD_CHARS]:
            return None
        said = _OF_CODEX.search(text)
        return Ended(known, match[1] != "0", int(match[1]), text[said.end() :].strip() if said else "")
    head = text[:HEAD_CHARS]
    if not (status := (match[1].lower() if (match := _STATUS.search(head)) else "")):
        return None
    code = int(match[1]) if (match := _CODE.search(head)) and match[1].isdecimal() and len(match[1]) < 4 else None
    printed = "\n".join(part.strip("\n") for _, part in _OUTPUT.findall(text)).strip()
    return _ended(known or (match[1] if (match := _ID.search(head)) else ""), status, code, printed)


def notified(text: str) -> Ended | None:
    """What is told in a prompt that nobody wrote."""
    if not (match := _NOTIFIED.match(text)) or not (how := _ENDED.search(text[:4000])):
        return None
    code = int(how["code"]) if how["code"] else None
    found = _ended(match["id"] or match["bare"], how["how"], code, "")
    return found._replace(about=cleaned(how["about"] or "", 300)) if found else None


def _of_fields(known: str, status: str, place: Mapping[str, Any]) -> Ended | None:
    printed = [text_of(place.get(key)) for key in ("output", "stdout", "stderr", "error")]
    text = "\n".join(dict.fromkeys(part for part in printed if part))
    found = _ended(known, status, integer(first(place, "exitCode", "exit_code", "code")), text)
    command = place.get("command")
    about = line_of(place, "description")
    return found._replace(about=about, command=command if isinstance(command, str) else "") if found else None


def _ended(known: str, status: str, code: int | None, text: str) -> Ended | None:
    if status not in _OVER or status in _STOPPED:
        return None
    return Ended(known, bool(code) or (code is None and status in ("failed", "error")), code, text)


def _id(place: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    value = first(place, *keys)
    return str(value)[:64] if isinstance(value, str | int) and not isinstance(value, bool) else ""
