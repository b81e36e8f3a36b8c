"""Events as agents send them, and what the embedded generator makes of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from muster.domain.ids import derived_id
from muster.domain.memory import RULES, Event, NewObservation
from muster.domain.rules.observing import observe

SESSION = UUID(int=7)
AT = datetime(2026, 11, 20, 12, tzinfo=UTC)  # a Friday
_count = iter(range(10**9))


def event(payload: Any, kind: str = "message", adapter: str = "claude-code") -> Event:
    number = derived_id(f"{next(_count):032x}")
    return Event(id=number, session_id=SESSION, type=kind, adapter=adapter, occurred_at=AT, payload=payload)


def tool(name: str, asked: Any, answered: Any = None, **more: Any) -> Event:
    return event({"tool_name": name, "tool_input": asked, "tool_response": answered, **more}, "tool_use")


def made(*events: Event) -> list[NewObservation]:
    answer = observe(events)
    assert answer == observe(events), "the same events make the same"
    assert answer.generator == RULES
    ids = {one.id for one in events}
    for one in answer.observations:
        assert one.sources
        assert ids.issuperset(one.sources)
        assert one.title.strip()
    assert (answer.note is None) == bool(answer.observations)
    return answer.observations


def only(*events: Event) -> NewObservation:
    (one,) = made(*events)
    return one


TRACEBACK = """\
Traceback (most recent call last):
  File "/app/tests/test_parser.py", line 3, in test_it
    parse("licence")
  File "/app/parser.py", line 42, in parse
    return int(value)
ValueError: invalid literal for int() with base 10: 'licence'
"""
