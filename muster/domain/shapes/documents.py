"""Documents of other programs as parts; a call and its answer, which come apart, are one use of a tool."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Generic, TypeVar

from muster.domain.rules.notebooks import notebook
from muster.domain.shapes.alerts import alerts
from muster.domain.shapes.claude_code import claude_code
from muster.domain.shapes.codex import codex
from muster.domain.shapes.editors import hooked, opencode
from muster.domain.shapes.forges import forge
from muster.domain.shapes.langchain import langchain
from muster.domain.shapes.logs import logged
from muster.domain.shapes.parts import Part
from muster.domain.shapes.pi import pi
from muster.domain.shapes.providers import provided, streamed
from muster.domain.shapes.streams import in_bits

MAX_OPEN = 500
LEAST_CHARS = 9
"""Of what is handed on. "Go on." may be said by both."""
Place = TypeVar("Place")

_ALONE = {"tool_use": {"id", "name"}, "tool_result": {"tool_use_id"}}


def parts_of(kind: str, document: Any) -> list[Part] | None:
    """What it says, in its order; nothing where it only keeps books. None: it has no shape that is known here."""
    if (found := logged(kind, document)) is not None:
        return found
    if not isinstance(document, dict):
        return _first_known(document) if isinstance(document, list) else None
    if "type" not in document and kind in _ALONE and _ALONE[kind] <= document.keys():
        document = {"type": kind, **document}
    for known in (claude_code, pi, forge, alerts, hooked, opencode, codex, notebook, langchain, in_bits):
        if (found := known(kind, document)) is not None:
            return found
    found = streamed(document)
    return provided(document) if found is None else found


def _first_known(documents: list[Any]) -> list[Part] | None:
    found = langchain("", documents)
    return provided(documents) if found is None else found


class Calls(Generic[Place]):
    """Calls that wait for their answers. `Place` is where a call was made."""

    def __init__(self) -> None:
        self._open: dict[Hashable, list[tuple[Part, Place]]] = {}
        self._told: dict[Hashable, str] = {}
        self._said: dict[Hashable, str] = {}
        self._heard: dict[Hashable, set[str]] = {}
        self._given: dict[Hashable, set[str]] = {}
        """What others were told to do."""
        self._count = 0

    def made(self, part: Part, place: Place, session: Hashable = None) -> None:
        self._told.pop((session, part.id), None)  # some count their calls anew in each turn
        asked = part.payload.get("tool_input")
        if isinstance(asked, dict) and isinstance(prompt := asked.get("prompt"), str):
            given = self._given.setdefault(session, set())
            if len(given) < MAX_OPEN:
                given.add(prompt.strip())
        if self._count < MAX_OPEN:
            self._open.setdefault((session, part.id), []).append((part, place))
            self._count += 1

    def answered(self, part: Part, session: Hashable = None) -> tuple[Part, Place] | None:
        """As one use, and where the call was made. None: nobody knows what it answers."""
        waiting = self._open.get((session, part.id))
        if not waiting:
            return None
        asked, place = waiting.pop(0)
        self._count -= 1
        return Part("use", {**part.payload, **asked.payload}, part.id), place

    def tell(self, part: Part, session: Hashable = None) -> Place | None:
        """A whole use. Where a call of it waited, that is no longer."""
        found = self.answered(part, session) if part.id else None
        self._told[session, part.id] = repr(part.payload.get("tool_input"))
        return found[1] if found else None

    def has_said(self, text: str, session: Hashable = None) -> None:
        """In bits. What is said whole then is that once more."""
        self._said[session] = text

    def hands_on(self, text: str, session: Hashable = None) -> bool:
        """Whether a prompt is what an agent said last: some have another do it, and hand it on as it stands."""
        last = self._said.get(session, "")
        return len(text) >= LEAST_CHARS and text.split() == last.split()

    def is_told(self, part: Part, session: Hashable = None) -> bool:
        """Whether it came before, whole: some tell it in two forms, or once more."""
        if not part.id or self._open.get((session, part.id)):
            return False
        told = self._told.get((session, part.id))
        return (
            told is not None
            and part.type in ("answer", "use")
            and (part.type == "answer" or told == repr(part.payload.get("tool_input")))
        )

    def repeats(self, part: Part, session: Hashable = None) -> bool:
        """Whether it is what was said last: some write each message twice, or at the end once more. Where a message
        has a number, it is known by that, since some send all that was said before with each."""
        if part.id:
            heard = self._heard.setdefault(session, set())
            if part.id in heard:
                return True
            if len(heard) < MAX_OPEN:
                heard.add(part.id)
        text = str(part.payload.get("text") or part.payload.get("prompt"))
        if part.type == "prompt" and text.strip() in self._given.get(session, ()):
            return True  # by an agent, of one that works for it
        last, self._said[session] = self._said.get(session, ""), text
        return text == last or text.strip() == last.strip() != ""
