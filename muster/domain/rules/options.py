"""The words of a command told apart: what it is given, and its options with their values."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple


class Given(NamedTuple):
    operands: list[str]
    values: list[tuple[str, str]]
    """Options that take one, each with its own."""


def given(words: Sequence[str], valued: Collection[str]) -> Given:
    """`valued`: the options that have a value, as the next word (`-n 3`) or within their own (`-n3`, `--lines=3`)."""
    found = Given([], [])
    rest = iter(words)
    for word in rest:
        if word == "--":
            found.operands.extend(rest)
        elif not word.startswith("-") or word == "-":
            found.operands.append(word)
        elif option := _option(word, valued):
            found.values.append((option[0], option[1] or next(rest, "")))
    return found


def behind_options(words: Sequence[str], valued: Collection[str], start: int = 0, also: str = "") -> int:
    """Where the first word stands that is neither an option nor the value of one. `also`: letters with which others
    begin that are none."""
    at = start
    while at < len(words) and (words[at].startswith("-") or (words[at][:1] != "" and words[at][:1] in also)):
        if words[at] == "--":
            return at + 1
        option = _option(words[at], valued)
        at += 2 if option and not option[1] and "=" not in words[at] else 1
    return at


def _option(word: str, valued: Collection[str]) -> tuple[str, str] | None:
    """Of letters behind one stroke, the first that has a value takes what comes behind it."""
    name, _, value = word.partition("=")
    if name in valued:
        return name, value
    if not word.startswith("--"):
        for place, letter in enumerate(word[1:20], 2):
            if f"-{letter}" in valued:
                return f"-{letter}", word[place:]
    return None
