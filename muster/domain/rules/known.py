"""Which files were there, by what was read and written before: to write one of them again is no new file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

MAX_KNOWN = 400
MAX_TEXT = 60_000
"""Of a file, beyond which nobody kept all of it."""
_DEFINES = re.compile(
    r"[ \t]*(?:[\w()]{1,20} ){0,4}(?:def|class|function\*?|fn|func|struct|enum|interface|trait|type|impl|module|const|"
    r"let|var|val|object|CREATE)\b",
    re.IGNORECASE,
)


def perhaps_before(after: str) -> str:
    """Of lines that are written over others which nobody saw, those that may have stood there: what they define."""
    return "\n".join(line for line in after.split("\n") if _DEFINES.match(line[:400]))


class Known:
    """The files of one session, each with its text where that is known."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def add(self, path: str, text: str) -> None:
        """Without a text, what is known of it stays."""
        path = self.found(path) or path
        if text or path not in self._texts:
            self._texts[path] = text if len(text) < MAX_TEXT else ""
        if len(self._texts) > MAX_KNOWN:
            del self._texts[next(iter(self._texts))]

    def change(self, path: str, changes: Sequence[tuple[str, str]]) -> None:
        path = self.found(path) or path
        text = self._texts.get(path, "")
        for before, after in changes:
            text = text.replace(before, after, 1) if before and before in text else ""
        self._texts.pop(path, None)
        self.add(path, text)

    def drop(self, paths: Iterable[str]) -> None:
        for path in paths:
            if known := self.found(path):
                del self._texts[known]

    def found(self, path: str) -> str:
        """As it was named before, from the root on or not. Empty: it was not. A bare name may be another folder's."""
        if path in self._texts or "/" not in path:
            return path if path in self._texts else ""
        if path.startswith("/"):
            parts = path.split("/")[-20:]
            return next((one for at in range(1, len(parts) - 1) if (one := "/".join(parts[at:])) in self._texts), "")
        return next((one for one in self._texts if one.endswith(f"/{path}")), "")

    def before(self, path: str, after: str) -> str:
        return self._texts.get(self.found(path)) or perhaps_before(after)
