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
