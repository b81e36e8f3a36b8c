"""What must not be remembered: private text, secrets, and what a project excludes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from muster.domain.exclusions import Excluded
from muster.domain.secret_shapes import is_secret, is_suspicious, mark, without_secrets

as_json = TypeAdapter(Any).dump_json
"""A value as it is looked through, and as it is stored."""


class Removed(NamedTuple):
    """What was taken out, by kind, and how often; or why nothing of it may be kept."""

    kinds: dict[str, int]
    excluded: str | None = None
    """The project's glob that it met: all of it is dropped."""


def scrub(
    value: Any, exclude_paths: Sequence[str] = (), exclude_tools: Sequence[str] = (), *, text: str | None = None
) -> tuple[Any, Removed]:
    """The JSON value without what must not be kept. `text`: the value as JSON, where it is at hand."""
    if exclude_paths or exclude_tools:
        found = Excluded.of(tuple(exclude_paths), tuple(exclude_tools)).meets(value)
        if found is not None:
            return None, Removed({}, found)
    if not is_suspicious(text if text is not None else as_json(value).decode()):
        return value, Removed({})
    kinds: dict[str, int] = {}
    return _scrubbed(value, kinds), Removed(kinds)


def scrub_text(text: str) -> str:
    return _scrub_string(text, {}) if is_suspicious(text) else text


def _scrubbed(value: Any, kinds: dict[str, int]) -> Any:
    if isinstance(value, str):
        return _scrub_string(value, kinds)
    if isinstance(value, dict):
        kept = {_scrub_string(name, kinds): _of_name(name, item, kinds) for name, item in value.items()}
        name = kept.get("name", kept.get("key"))
        if isinstance(name, str) and isinstance(kept.get("value"), str):  # as in settings of containers
            kept["value"] = _of_name(name, kept["value"], kinds)
        return kept
    if isinstance(value, list | tuple):
        return [_scrubbed(item, kinds) for item in value]
    return value


def _of_name(name: str, item: Any, kinds: dict[str, int]) -> Any:
    """What stands under a name that says that it is a secret is one, whatever its shape."""
    if isinstance(item, str) and is_secret(name, item):
        kinds["secret"] = kinds.get("secret", 0) + 1
        return mark("secret")
    return _scrubbed(item, kinds)


def _scrub_string(text: str, kinds: dict[str, int]) -> str:
    if len(text) < 8:
        return text
    if "private" in text.lower():
        text = _without_private(text, kinds)
    return without_secrets(text, kinds)


_PRIVATE = re.compile(
    r"(?:<|&lt;|\\u003c)\s{0,8}(/?)\s{0,8}private(?![\w-])[^<>&]{0,200}?(?:>|&gt;|\\u003e|(?=[<&])|$)", re.IGNORECASE
)


def _without_private(text: str, kinds: dict[str, int]) -> str:
    """Without what stands between the tags, tags of tags included. One that is not closed lasts to the end."""
    kept: list[str] = []
    depth, at = 0, 0
    for tag in _PRIVATE.finditer(text):
        if depth == 0:
            kept.append(text[at : tag.start()])
        if tag[1]:
            depth = max(0, depth - 1)
        else:
            depth += 1
            kinds["private"] = kinds.get("private", 0) + (depth == 1)
        at = tag.end()
    if not at and not kept:
        return text
    if depth == 0:
        kept.append(text[at:])
    return "".join(kept)
