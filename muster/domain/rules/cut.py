"""Where a session broke off: at the limit of what its agent may use, or while something ran whose end nobody saw."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from muster.domain.memory import Event
from muster.domain.rules import commands, outcomes
from muster.domain.rules.json import opened, said_in
from muster.domain.rules.reading import Act, Kind
from muster.domain.rules.steps import steps
from muster.domain.rules.text import one_line

LIMIT_CHARS = 200
"""Of a message in which a program says so."""
LAST_EVENTS = 4
"""Of the end: behind that message come at most those that say nothing."""

_LIMIT = re.compile(
    r"\W{0,4}(?:(?:you['’]ve|you have) (?:hit|reached|exceeded) your (?:\w{1,20} ){0,2}(?:limit|quota)\b|"
    r"(?:claude (?:ai )?)?(?:usage|5-hour|weekly|session|message) limit (?:was )?(?:reached|exceeded|hit)\b|"
    r"credit balance is too low\b|(?:rate limit|quota) (?:reached|exceeded)\b|"
    r"(?:prompt is too long|maximum context length)\b)",
    re.IGNORECASE,
)
_CHECKS = re.compile(r"\b(?:tests?|spec|e2e|check|lint|verify|benchmark)\b")
_GOES_ON = re.compile(r"(?:^|\s)(?:--?watch\S{0,10}|-w|-f|--follow|--ui|serve|dev|watch)(?=\s|$)|^(?:tail|watch)\b")
"""What never ends by itself."""
_STOPS = re.compile(r"\b(?:kill|pkill|killall)\b")
_STOPPING_TOOLS = frozenset(["KillShell", "KillBash", "TaskStop", "kill_shell", "kill_process"])
_VERDICT = re.compile(
    r"\b\d{1,7} (?:tests? )?(?:passed|passing|failed|failing)\b|\bcongratulations :\)|"
    r"\bexit(?:ed with)? (?:code|status)\b|\bAll checks passed\b|\btest result: |^OK(?: \(|$)|^FAILED\b",
    re.MULTILINE,
)


def cut_off(events: Sequence[Event], acts: Sequence[Act]) -> Iterator[str]:
    """What is open because of it."""
    if limit := _limit(events, acts):
        yield one_line(f"Stopped before the end: {limit}", 160)
    stopped = _stopped(events)
    for n, act in enumerate(acts):
        if act.kind is not Kind.BEGUN or act.background in stopped:
            continue
        if _is_check(act.query) and not _is_seen(act, acts[n + 1 :]):
            yield one_line(f"Started, and nobody saw how it ended: {act.about or act.query}", 160)


def _limit(events: Sequence[Event], acts: Sequence[Act]) -> str:
    """Nothing was done after it."""
    acting = {act.event.id for act in acts}
    for event in reversed(events[-LAST_EVENTS:]):
        payload = opened(event.payload)
        text = "" if isinstance(payload, dict) and "tool_name" in payload else said_in(payload)[0].strip()
        if text and len(text) <= LIMIT_CHARS and _LIMIT.match(text):
            return text
        if event.id in acting:
            return ""
    return ""


def _stopped(events: Sequence[Event]) -> set[str]:
    """The names of the runs that were ended by hand."""
    found: set[str] = set()
    for event in events:
        payload = event.payload
        if isinstance(payload, dict) and str(payload.get("tool_name"))[:40] in _STOPPING_TOOLS:
            asked = payload.get("tool_input")
            if isinstance(asked, dict):
                found.update(one for one in asked.values() if isinstance(one, str))
    return found - {""}


def _is_check(command: str) -> bool:
    """That comes to an end."""
    found = [step for step in steps(command) if not step.prepares]
    return any(commands.is_check(command) or _CHECKS.search(step.bare) for step in found) and not any(
        _GOES_ON.search(step.bare[:2000]) for step in found
    )


def _is_seen(begun: Act, later: Sequence[Act]) -> bool:
    """Its end, or its being stopped, or the same once more."""
    return any(
        (act.command and any(_STOPS.match(step.name) for step in steps(act.command)))
        or (act.kind is not Kind.BEGUN and act.command and commands.covers(act.command, begun.query))
        or (act.kind is Kind.BEGUN and act.query and commands.covers(act.query, begun.query))
        or (_is_about(act, begun) and (_VERDICT.search(act.text) is not None or outcomes.has_trace(act.text)))
        for act in later
    )


def _is_about(act: Act, begun: Act) -> bool:
    if not act.tool:
        return False
    name = begun.background
    read = " ".join((act.command[:4000], *act.files_read))
    return bool(name) and (name in read or act.background == name)
