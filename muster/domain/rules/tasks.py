"""Plans that are kept a task at a time: each use of such a tool stands for the list as it is then."""

from __future__ import annotations

import re
from collections.abc import Sequence
from uuid import UUID

from muster.domain.rules.acts import Act, Kind
from muster.domain.rules.json import line_of

MAX_TASKS = 50
ADDS = frozenset({"taskcreate", "task_create"})
MOVES = frozenset({"taskupdate", "task_update"})
_NUMBER = re.compile(r"#(\d{1,6})\b|^task\.id: (\w{1,40})$", re.MULTILINE)


class _Tasks:
    """Of one session: what each is, and how far, by its number."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, str]] = {}

    def take(self, act: Act) -> bool:
        """Whether it made the list another."""
        before = dict(self._known)
        if act.tool.lower() in ADDS:
            found = _NUMBER.search(act.text[:400])
            number = (found[1] or found[2]) if found else str(len(self._known) + 1)
            if number in self._known:
                self._known = {}  # they are counted anew
            if what := line_of(act.data, "subject", "title", "content", "description"):
                self._known[number] = what, line_of(act.data, "status") or "pending"
        else:
            number = str(act.data.get("taskId", act.data.get("task_id", act.data.get("id"))))
            state = line_of(act.data, "status")
            if state == "deleted":
                self._known.pop(number, None)
            elif number in self._known:
                what, was = self._known[number]
                self._known[number] = line_of(act.data, "subject", "title") or what, state or was
        return self._known != before and len(self._known) <= MAX_TASKS

    @property
    def items(self) -> list[tuple[str, str]]:
        return list(self._known.values())


def listed(acts: Sequence[Act]) -> None:
    """Of several that come in a row, the last stands for all."""
    known: dict[UUID, _Tasks] = {}
    row: dict[UUID, Act] = {}
    for act in acts:
        session = act.event.session_id
        if act.kind in (Kind.NOTHING, Kind.CALL):
            continue
        if act.tool.lower() not in ADDS | MOVES:
            row.pop(session, None)
            continue
        tasks = known.setdefault(session, _Tasks())
        if act.failed or not tasks.take(act) or not tasks.items:
            act.kind, act.note = Kind.NOTHING, "a task that leaves the plan as it was"
            continue
        if before := row.get(session):
            before.kind, before.note = Kind.NOTHING, "a plan that was still being made"
        act.kind, act.items, act.text, row[session] = Kind.PLAN, tasks.items, "", act
