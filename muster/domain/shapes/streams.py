"""Messages that come in bits, as models send them while they write: those that follow each other are one."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

from muster.domain.rules.json import opened, text_of
from muster.domain.shapes.parts import Part, call, listed, mapping, said, type_of

MAX_CHARS = 24_000
"""Of one message."""
_OF_ANTHROPIC = frozenset(
    "message_start message_delta message_stop content_block_start content_block_stop content_block_delta".split()  # noqa: SIM905
)
_OF_A_UI = frozenset(
    """
    text-start text-end start start-step finish-step reasoning-start reasoning-delta reasoning-end
    tool-input-start tool-input-delta
    """.split()  # noqa: SIM905
)


def bit(text: Any, number: Any = None, *, role: str = "assistant") -> list[Part]:
    """Blanks count: they stand between words."""
    if not isinstance(text, str) or not text:
        return []
    number = f"bits of {number}" if isinstance(number, str | int) else ""
    return [Part("message", {"role": role, "text": text, "delta": True}, number)]


def is_bit(part: Part) -> bool:
    return part.payload.get("delta") is True


class Bits:
    """Of each session, the message that is being written, and where it began."""

    def __init__(self) -> None:
        self._open: dict[Hashable, tuple[str, list[str]]] = {}
        self._places: dict[Hashable, int] = {}
        self._whole: dict[int, list[str]] = {}

    def goes_on(self, part: Part, place: int, session: Hashable) -> bool:
        """Whether it belongs to what began before. If not, it begins here."""
        number, texts = self._open.get(session, ("", []))
        if session in self._open and number != part.id:
            self.ends(session)
            texts = []
        self._open[session] = part.id, texts
        if sum(map(len, texts[-1:])) < MAX_CHARS:
            texts[:] = ["".join((*texts, part.payload["text"]))[:MAX_CHARS]]
        begins = session not in self._places
        at = self._places.setdefault(session, place)
        self._whole[at] = texts
        return not begins

    def ends(self, session: Hashable) -> str:
        """What was said, where something else comes now."""
        self._places.pop(session, None)
        return "".join(self._open.pop(session, ("", []))[1])

    def begin_anew(self) -> None:
        """What comes now is told by itself: a message that goes on, as a whole."""
        self._places, self._whole = {}, {}
        self._open = {session: (number, [*texts]) for session, (number, texts) in self._open.items()}

    def whole(self) -> Iterator[tuple[int, dict[str, Any]]]:
        for place, texts in self._whole.items():
            yield place, {"role": "assistant", "text": "".join(texts)}


def in_bits(kind: str, document: dict[str, Any]) -> list[Part] | None:
    """None: it is no part of such a stream."""
    name = type_of(document)
    if name in _OF_ANTHROPIC:
        told = mapping(document.get("delta"))
        return bit(told.get("text"), document.get("index")) if type_of(told) == "text_delta" else []
    if name.startswith("response."):
        return _of_openai(name, document)
    if name == "text-delta":
        return bit(document.get("delta", document.get("textDelta")), document.get("id"))
    if name in _OF_A_UI and document.keys() <= {"type", "id", "delta", "messageId", "toolCallId", "toolName",
                                                "inputTextDelta", "providerMetadata"}:  # fmt: skip
        return []
    if document.get("object") == "chat.completion.chunk":
        each = [mapping(choice.get("delta")).get("content") for choice in listed(document.get("choices"), 1)]
        return [part for text in each for part in bit(text, document.get("id"))]
    return _of_protocol(document)


def _of_openai(name: str, document: dict[str, Any]) -> list[Part] | None:
    if name == "response.output_text.delta":
        return bit(document.get("delta"), document.get("item_id"))
    if name == "response.output_item.done":
        return _item(mapping(document.get("item")))
    if name in ("response.failed", "response.incomplete"):
        return None
    return [] if not {"sequence_number", "item_id", "response"}.isdisjoint(document) else None


def _item(item: dict[str, Any]) -> list[Part]:
    if type_of(item) == "function_call":
        return call(item.get("name"), opened(item.get("arguments")), item.get("call_id"))
    return said(text_of(item.get("content"))) if type_of(item) == "message" else []


def _of_protocol(document: dict[str, Any]) -> list[Part] | None:
    """What an agent tells an editor of a session."""
    about = mapping(mapping(document.get("params")).get("update")) or mapping(document.get("update"))
    match about.get("sessionUpdate"):
        case "agent_message_chunk":
            return bit(mapping(about.get("content")).get("text"))
        case "user_message_chunk":
            return said(mapping(about.get("content")).get("text"), "user")
        case "agent_thought_chunk" | "available_commands_update" | "current_mode_update":
            return []
    return None
