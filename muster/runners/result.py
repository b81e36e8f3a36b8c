"""The result of an agent that prints: its last line of JSON.

Only objects and arrays count: a program whose last line is `42` or `null` rarely meant it as its result.
"""

from __future__ import annotations

import json
import re
from collections import deque

from pydantic import JsonValue

from muster.domain.tasks import storable_json

MAX_RESULT_BYTES = 256 * 1024

_KEPT_LINES = 64
_KEPT_BYTES = 1024 * 1024
_LOOKS_LIKE_JSON = re.compile(rb"^[ \t]*(?:\{.*\}|\[.*\])[ \t\r]*$", re.MULTILINE)


class ResultError(ValueError):
    """The last line of JSON cannot be kept; the message says why."""


class ResultFinder:
    """Sees all of standard output, keeps the last few lines that look like JSON, and parses as late as it can."""

    def __init__(self) -> None:
        self._tail = bytearray()
        self._overlong = False
        self._lines: deque[bytes | None] = deque()  # None: a line longer than a result may be
        self._bytes = 0

    def feed(self, data: bytes) -> None:
        end = data.rfind(b"\n")
        if end < 0:
            self._extend_tail(data)
            return
        begin = 0
        if self._tail or self._overlong:
            begin = data.find(b"\n") + 1
            self._extend_tail(data[: begin - 1])
            self._end_line()
        # One regular expression over the block: a program that prints millions of lines must not cost one step
        # of Python for each.
        for match in _LOOKS_LIKE_JSON.finditer(data, begin, end):
            self._keep(match.group())
        self._tail += data[end + 1 :]

    def result(self) -> JsonValue:
        """The last line of JSON, parsed; None if there is none. Raises ResultError. Call it once, at the end."""
        self._end_line()
        for line in reversed(self._lines):
            if line is None:
                raise ResultError(f"is longer than {MAX_RESULT_BYTES} bytes")
            found, value = _parse(line)
            if found:
                try:
                    return storable_json(value)  # type: ignore[no-any-return]
                except ValueError as error:
                    raise ResultError(str(error)) from None
        return None

    def _extend_tail(self, data: bytes) -> None:
        self._tail += data
        if len(self._tail) > MAX_RESULT_BYTES:
            self._overlong = True
            # Its ends are enough to tell whether it looked like JSON.
            del self._tail[64:-64]

    def _end_line(self) -> None:
        if _LOOKS_LIKE_JSON.fullmatch(bytes(self._tail)):
            self._keep(None if self._overlong else bytes(self._tail))
        self._tail.clear()
        self._overlong = False

    def _keep(self, line: bytes | None) -> None:
        if line is not None and len(line) > MAX_RESULT_BYTES:
            line = None
        self._lines.append(line)
        self._bytes += len(line or b"")
        if len(self._lines) > _KEPT_LINES or self._bytes > _KEPT_BYTES:
            self._forget_earlier()

    def _forget_earlier(self) -> None:
        # Only the last that parses can still become the result, unless a later one comes.
        last = next((line for line in reversed(self._lines) if line is None or _parse(line)[0]), b"")
        self._lines = deque([last] if last != b"" else [])
        self._bytes = len(last or b"")


def _parse(line: bytes) -> tuple[bool, object]:
    try:
        return True, json.loads(line.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False, None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
