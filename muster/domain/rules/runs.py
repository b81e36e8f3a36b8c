"""What was run, once all that is told of it is known: how a command ended that was started in the background, unless it
was stopped there on purpose, and what is said of one that ended well."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from muster.domain.rules.background import named, notified
from muster.domain.rules.reading import Act, Kind
from muster.domain.rules.results import mark_doubted
from muster.domain.rules.steps import steps

_Key = tuple[UUID, str]
_STOPS = frozenset("killshell killbash kill_shell kill_bash taskstop task_stop stop_task".split())  # noqa: SIM905
_KILLS = re.compile(
    r"(?:p?kill|killall|taskkill|fuser|kill-port|Stop-Process)(?![\w.-])|"
    r"(?:docker|podman|systemctl|service|tmux|screen|pm2)\b(?: \S{1,80}){0,4} "
    r"(?:stop|kill|down|quit|delete|kill-\w{1,20})\b"
)
_BY_SIGNAL = 128
"""Exit codes above say that something ended it."""


class _Stopped:
    """What was stopped on purpose."""

    def __init__(self) -> None:
        self._runs: set[_Key] = set()
        self._in: set[UUID] = set()
        """Sessions in which something was killed, nobody knows what."""

    def see(self, act: Act) -> None:
        session = act.event.session_id
        if act.tool.lower() in _STOPS:
            self._runs.add((session, named(act.data)))
        elif act.kind in (Kind.COMMAND, Kind.CALL) and any(
            _KILLS.match(step.bare[:400]) for step in steps(act.command)
        ):
            self._in.add(session)

    def has(self, act: Act) -> bool:
        """Whether this end is of it. What fails by itself before anybody gets to stop it does fail."""
        if not act.failed or (act.exit_code is not None and act.exit_code <= _BY_SIGNAL):
            return False
        return _key(act) in self._runs or (act.exit_code is not None and act.event.session_id in self._in)


def joined(acts: Sequence[Act], earlier: Sequence[Act] = ()) -> list[Act]:
    """With each end of a run where it was started, as if it had been waited for: what was changed later is no part of
    it. Of a start that came `earlier`, before all else."""
    begun = {_key(act): act for act in earlier if act.kind is Kind.BEGUN}
    told = {_key(act) for act in map(_notified, earlier) if act.kind is Kind.FINISHED and act.text}
    made: list[Act] = []
    before: list[Act] = []
    places: dict[_Key, tuple[list[Act], int]] = {}
    starts: dict[_Key, Act] = {}
    stopped = _Stopped()
    for act in earlier:
        stopped.see(act)
    for one in acts:
        act = _notified(one)
        made.append(act)
        stopped.see(act)
        key = _key(act)
        if act.kind is Kind.BEGUN and act.background:
            starts[key], places[key] = act, (made, len(made) - 1)
        if act.kind is not Kind.FINISHED:
            continue
        if stopped.has(act):
            made[-1] = _nothing(act, "the end of a run that was stopped on purpose")
            continue
        place, at = places.setdefault(key, (made, len(made) - 1))
        if key in told or (
            place[at] is not act and place[at].kind is not Kind.BEGUN and not _tells_more(act, place[at])
        ):
            made[-1] = _nothing(act, "the end of a run that is told already")
        elif key in starts:
            place[at] = _as_run(starts[key], act)
            made[-1] = _nothing(act, "the end of a run that is told where it was started")
        elif key in begun:
            if place is made:
                places[key] = place, at = before, len(before)
                before.append(act)
            place[at] = _as_run(begun[key], act)
            made[-1] = _nothing(act, "the end of a run that was started earlier")
        elif place[at] is not act:
            place[at] = _nothing(place[at], "the end of a run that is told with what it printed")
            places[key] = made, len(made) - 1
    mark_doubted(found := [*before, *made])
    return found


def _notified(act: Act) -> Act:
    ended = notified(act.text) if act.kind is Kind.PROMPT else None
    return Act(act.event, Kind.FINISHED, **ended.fields) if ended else act


def _key(act: Act) -> _Key:
    return act.event.session_id, act.background


def _tells_more(act: Act, other: Act) -> bool:
    return len(act.text) > len(other.text)


def _nothing(act: Act, note: str) -> Act:
    return Act(act.event, Kind.NOTHING, note=note)


def _as_run(start: Act, end: Act) -> Act:
    """Where nothing is known but the exit code of the last of a pipe, nothing is known."""
    if not end.failed and not end.text and any(step.hidden for step in steps(start.query)):
        return _nothing(end, "a run whose exit code is that of another")
    return replace(
        end, kind=Kind.COMMAND, command=start.query or end.query, query="", tool=start.tool, data=start.data,
        about=start.about or end.about,
    )  # fmt: skip
