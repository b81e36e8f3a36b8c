"""Server-sent events, parsed by hand.

HTTP libraries split text at everything Unicode calls a line end; the format knows three, and a JSON payload may
hold the others as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True)
class Message:
    event: str
    data: str | None
    """None when it only says which place in the log the stream has reached."""
    id: str | None = None
    """None on control frames, which have no place in the log."""


def messages(chunks: Iterable[bytes]) -> Iterator[Message]:
    """What a stream says, up to its end. A message that the end cuts off is dropped, as the format demands."""
    fields: dict[str, list[str]] = {}
    for line in _lines(chunks):
        if not line:
            if "data" in fields or "id" in fields:
                yield Message(
                    event=fields.get("event", ["message"])[-1],
                    data="\n".join(fields["data"]) if "data" in fields else None,
                    id=fields["id"][-1] if "id" in fields else None,
                )
            fields = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            fields.setdefault(name, []).append(value.removeprefix(" "))


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    pending, first = b"", True
    for chunk in chunks:
        pending += chunk
        # A carriage return at the very end may be half of a line end.
        whole = pending[:-1] if pending.endswith(b"\r") else pending
        begin = 0
        for end in _LINE_END.finditer(whole):
            text = whole[begin : end.start()].decode(errors="replace")
            yield text.removeprefix("\ufeff") if first else text
            begin, first = end.end(), False
        pending = pending[begin:]
    if pending.endswith(b"\r"):
        yield pending[:-1].decode(errors="replace")
