"""What an agent printed, as events: in pieces of a sensible size, and where it prints what it does, as what it did.

Coding agents that are run as commands can print one JSON document a line (`claude --output-format stream-json`,
`codex exec --json`): their messages and tool uses are told apart here.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from muster.domain.agents import OutputLine
from muster.domain.privacy import Lines, without_private_across
from muster.domain.rules.talk import noted
from muster.domain.shapes import terminal
from muster.domain.shapes.documents import Calls, parts_of
from muster.domain.shapes.parts import Part
from muster.domain.shapes.streams import is_bit

PIECE_CHARS = 4000
BLOCK_CHARS = 1200
"""A piece this long ends at the next blank line."""
SHOWN_CHARS = 12_000
"""Of a coding agent's terminal, one that does not end before."""
MAX_PIECES = 120
"""Of what is printed. Of the rest, lines that tell something are kept: so many pieces have some."""
MAX_GLEANED = 60
MAX_DOCUMENTS = 1000
"""Messages and tool uses, which say more."""
_FIRST_PIECES = 40
_GLEANED_LINES = 8
_PAUSE = timedelta(seconds=60)
_BEGINNING = timedelta(minutes=30)
"""Of what is printed; a piece of it lasts no longer than a pause, since it is told while its agent runs."""
_LATE = timedelta(seconds=10)
"""For a line to be stored."""
_MAX_JSON_CHARS = 128 * 1024
_MAX_ANSWER_CHARS = 24_000


class Piece(NamedTuple):
    """One event to be: its type, when, the lines it comes from, what it says, and which of these lines it is."""

    type: str
    at: datetime
    first: int
    last: int
    payload: dict[str, Any]
    number: int = 0


class Transcript:
    """Fed with all lines; keeps the first pieces and the last, since a bounded number has to do, and what tells most of
    those between."""

    def __init__(self) -> None:
        self._head: list[Piece] = []
        self._tail: deque[Piece] = deque()
        self._documents: deque[Piece] = deque(maxlen=MAX_DOCUMENTS - _FIRST_PIECES)
        self._gleaned: deque[Piece] = deque(maxlen=MAX_GLEANED)
        self._count = self._taken = 0
        self._span, self._of_span = (0, 0), 0
        self._lines: dict[str, list[OutputLine]] = {"stdout": [], "stderr": []}
        self._sizes = {"stdout": 0, "stderr": 0}
        self._calls: Calls[None] = Calls()
        self._begun: dict[str, Any] | None = None
        self._bits_of = ""
        self._private = {"stdout": Lines(), "stderr": Lines()}
        self._began: datetime | None = None
        self._shows = False
        """Whether what it prints is what a coding agent shows in a terminal."""
        self._last: tuple[Any, Any] = (None, None)
        """The last line that was a document, and what of it may be kept."""

    def feed(self, lines: Iterable[OutputLine]) -> None:
        for line in lines:
            stream = line.stream
            if stream == "muster":
                continue
            self._began = self._began or line.at
            private = self._private[stream]
            document = _document(line.text) if stream == "stdout" else None
            told = None
            if isinstance(document, dict) and line.text[:1] == "{" and not private.within:
                told = self._told(document)
            if document is not None:
                self._last = document, private.kept_document(document, line.text, alone=told is not None)
            if told is not None:
                private.passed(line.text)
                self._end("stdout")
                for kind, payload in told:
                    self._keep(Piece(kind, line.at, line.n, line.n, payload))
                continue
            # A piece is looked through by itself, and would not show that it is the middle of something private.
            if (text := private.kept(line.text)) is None:
                continue
            line = line.model_copy(update={"text": text}) if text != line.text else line
            held = self._lines[stream]
            if held and (
                self._is_over(held, line.at)
                or self._sizes[stream] > (SHOWN_CHARS if self._shows else PIECE_CHARS)
                or (self._sizes[stream] > BLOCK_CHARS and self._may_end(line.text))
            ):
                self._end(stream)
            if not self._shows and stream == "stdout":
                self._shows = terminal.is_shown(line.text)
            self._lines[stream].append(line)
            self._sizes[stream] += len(line.text) + 1

    def ready(self, now: datetime) -> list[Piece]:
        """Of the first pieces, those that stay as they are, each once: what is told while it is still being fed."""
        for stream, lines in self._lines.items():
            if lines and self._is_over(lines, now - _LATE):  # a line that comes now begins another piece
                self._end(stream)
        ready = [piece for piece in self._head if piece.payload is not self._begun]
        self._head = [piece for piece in self._head if piece.payload is self._begun]
        self._taken += len(ready)
        return ready

    @property
    def is_full(self) -> bool:
        """What comes now is among the first no more."""
        return self._taken >= _FIRST_PIECES

    def pieces(self) -> list[Piece]:
        """In their order. Call it once, at the end."""
        for stream in self._lines:
            self._end(stream)
        found = sorted(
            (*self._head, *self._gleaned, *self._documents, *self._tail), key=lambda piece: (piece.first, piece.number)
        )
        left_out = self._count - self._taken - len(found) + len(self._gleaned)
        # Of lines that are documents, each is looked through by itself.
        seen = [n for n, piece in enumerate(found) if piece.payload.get("stream") != "stderr"]
        for n, payload in zip(seen, without_private_across([found[n].payload for n in seen]), strict=True):
            said = {key: value for key, value in found[n].payload.items() if key in ("role", "stream")}
            found[n] = found[n]._replace(payload=payload | said)
        if left_out and found:
            found[-1].payload["pieces_left_out"] = left_out
        return found

    def kept_result(self, result: Any) -> Any:
        """What of an agent's result, which is the last document that it printed, may be kept. None: nothing. Call it
        when all lines are fed."""
        document, kept = self._last
        if document == result:
            return kept
        # It was too long for a line, or printed when no more was kept: nobody knows where it stood.
        return None if self._private["stdout"].lasted else result

    def _may_end(self, line: str) -> bool:
        """Whether what begins with this line is another piece: of a coding agent's terminal, what was done and what
        came of it are one."""
        return terminal.begins(line) if self._shows else not line.strip()

    def _is_over(self, held: list[OutputLine], now: datetime) -> bool:
        begins = self._began is None or held[0].at - self._began <= _BEGINNING
        return now - held[-1].at > _PAUSE or (begins and now - held[0].at > _PAUSE)

    def _end(self, stream: str) -> None:
        lines, self._lines[stream], self._sizes[stream] = self._lines[stream], [], 0
        text = "\n".join(line.text for line in lines).strip()
        if text:
            payload = {"stream": stream, "text": text, "first_line": lines[0].n, "last_line": lines[-1].n}
            self._keep(Piece("agent.output", lines[0].at, lines[0].n, lines[-1].n, payload))

    def _keep(self, piece: Piece) -> None:
        self._count += 1
        span = (piece.first, piece.last)
        self._of_span = self._of_span + 1 if span == self._span else 0
        self._span, piece = span, piece._replace(number=self._of_span)
        if self._taken + len(self._head) < _FIRST_PIECES:
            self._head.append(piece)
        elif piece.type != "agent.output":
            self._documents.append(piece)
        else:
            self._tail.append(piece)
            if len(self._tail) > MAX_PIECES - _FIRST_PIECES:
                self._glean(self._tail.popleft())

    def _glean(self, piece: Piece) -> None:
        if lines := noted(piece.payload["text"], _GLEANED_LINES):
            self._gleaned.append(piece._replace(payload={**piece.payload, "text": "\n\n".join(lines), "gleaned": True}))

    # -- Lines that are documents -------------------------------------------------------------------------------

    def _told(self, document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]] | None:
        """What such a line says. None: it is output like any other."""
        if isinstance(document.get("tool_name"), str) and "tool_id" not in document:
            kept: dict[str, Any] = {
                key: document[key]
                for key in ("tool_name", "tool_input", "tool_response", "is_error")
                if key in document
            }
            return [("tool_use", kept)]
        parts = parts_of("", document)
        if parts is None or not all(map(is_bit, parts)):
            self._begun = None
        return None if parts is None else [told for part in parts for told in self._of(part)]

    def _of(self, part: Part) -> Iterator[tuple[str, dict[str, Any]]]:
        if self._calls.is_told(part):
            return
        if part.type == "call":
            self._calls.made(part, None)
        elif part.type == "answer":
            if (found := self._calls.answered(part)) is not None:
                yield "tool_use", _bounded(found[0].payload)
        elif part.type == "use":
            self._calls.tell(part)
            yield "tool_use", _bounded(part.payload)
        elif is_bit(part):
            yield from self._streamed(part)
        elif not self._calls.repeats(part):
            yield part.type, part.payload

    def _streamed(self, part: Part) -> Iterator[tuple[str, dict[str, Any]]]:
        """A message that comes in bits is one."""
        if self._begun is None or part.id != self._bits_of:
            self._begun, self._bits_of = {"role": part.payload["role"], "text": ""}, part.id
            yield part.type, self._begun
        if len(self._begun["text"]) < _MAX_ANSWER_CHARS:
            self._begun["text"] += part.payload["text"]
        self._calls.has_said(self._begun["text"])


def _document(line: str) -> dict[str, Any] | list[Any] | None:
    """What such a line is, as it may be an agent's result."""
    if len(line) > _MAX_JSON_CHARS:
        return None
    text = line.strip()
    if (text[:1], text[-1:]) not in (("{", "}"), ("[", "]")):
        return None
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict | list) else None


def _bounded(used: dict[str, Any]) -> dict[str, Any]:
    told = used.get("tool_response")
    if isinstance(told, dict):
        told = {key: _text(value) if isinstance(value, str | list) else value for key, value in told.items()}
    return {**used, "tool_response": _text(told) if isinstance(told, str | list) else told}


def _text(content: Any) -> str:
    if isinstance(content, list):
        parts = (block.get("text") for block in content if isinstance(block, dict))
        content = "\n".join(part for part in parts if isinstance(part, str))
    return content[:_MAX_ANSWER_CHARS] if isinstance(content, str) else ""
