"""Tables and facts: coloured in a terminal; plain, aligned and complete text everywhere else."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import click

STYLES: dict[str, dict[str, Any]] = {
    "pending": {"fg": "yellow"},
    "assigned": {"fg": "cyan"},
    "executing": {"fg": "cyan", "bold": True},
    "spawning": {"fg": "cyan"},
    "running": {"fg": "cyan", "bold": True},
    "completed": {"fg": "green"},
    "failed": {"fg": "red"},
    "killed": {"fg": "magenta"},
    "active": {"fg": "green"},
    "archived": {"dim": True},
    "queued": {"fg": "yellow"},
    "processing": {"fg": "cyan", "bold": True},
    "cancelled": {"fg": "magenta"},
    "open": {"fg": "green"},
    "paused": {"fg": "yellow"},
    "parked": {"fg": "red"},
}
ELASTIC = {"title", "command", "name", "why"}
"""The last column of a table may be one of these; it gets the room that is left, and is cut off there."""
ELASTIC_WIDTH = 24
DISPENSABLE = ("created", "task", "try", "prio", "exit")
"""Left out in this order, where the terminal is too narrow for all."""


def in_terminal() -> bool:
    return sys.stdout.isatty()


def styled(text: str, **style: Any) -> str:
    return click.style(text, **style) if style and in_terminal() and "NO_COLOR" not in os.environ else text


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, empty: str) -> None:
    cells = [[clean(cell) for cell in row] for row in rows]
    if not cells:
        click.echo(empty, err=not in_terminal())  # a script that counts lines must count none
        return
    columns = list(zip([heading.upper() for heading in headings], *cells, strict=True))
    if in_terminal():
        columns = _fitting(dict(zip(headings, columns, strict=True)), shutil.get_terminal_size().columns)
    heading, *lines = _aligned(columns)
    click.echo(styled(heading, dim=True))
    statuses = columns[list(headings).index("status")][1:] if "status" in headings else [""] * len(lines)
    for line, status in zip(lines, statuses, strict=True):
        style = STYLES.get(status.partition(" ")[0], {})
        click.echo(line.replace(status, styled(status, **style), 1) if status else line)


def _fitting(table: dict[str, tuple[str, ...]], room: int) -> list[tuple[str, ...]]:
    last = next(reversed(table))

    def needed() -> int:
        fixed = sum(max(map(_width, column)) + 2 for heading, column in table.items() if heading != last)
        return fixed + min(ELASTIC_WIDTH, max(map(_width, table[last])))

    for heading in DISPENSABLE:
        if needed() > room:
            table.pop(heading, None)
    if last in ELASTIC:
        left = max(ELASTIC_WIDTH, room - needed() + min(ELASTIC_WIDTH, max(map(_width, table[last]))))
        table[last] = tuple(_cut(cell, left) for cell in table[last])
    return list(table.values())


def _cut(text: str, room: int) -> str:
    if _width(text) <= room:
        return text
    while _width(text) > room - 1:
        text = text[: min(len(text) - 1, room)]
    return text + "…"


def print_facts(facts: Iterable[tuple[str, str | None]]) -> None:
    """Names and values of one thing; without a value, no line."""
    shown = [(name, clean(value)) for name, value in facts if value]
    room = max(len(name) for name, _ in shown)
    for name, value in shown:
        style = STYLES.get(value.partition(" ")[0], {}) if name == "status" else {}
        click.echo(f"{styled(name.ljust(room), dim=True)}  {styled(value, **style)}")


def _aligned(columns: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(_width, column)) for column in columns]
    return [
        "  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in zip(*columns, strict=True)
    ]


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(character) else 1 + (unicodedata.east_asian_width(character) in "WF")
        for character in text
    )


def clean(text: str) -> str:
    """On one line, and without the control characters with which a title could rewrite the screen."""
    return "".join(character if character.isprintable() else " " for character in text)


# -- What cells hold --------------------------------------------------------------------------------------------


def ident(item_id: str | None) -> str:
    """Whole for scripts; in a terminal the last part, which any command takes as well."""
    return (item_id or "").rpartition("-")[2] if in_terminal() else item_id or ""


def command_of(runner: dict[str, Any] | None) -> str:
    return shlex.join(runner["argv"]) if runner and "argv" in runner else (runner or {}).get("kind", "")


def status_of(item: dict[str, Any]) -> str:
    """The status, and why it is that."""
    waits = item.get("waiting_for")
    if waits == "dependencies" and not item.get("depends_on"):
        waits = None  # it has none, and its workflow is about to find that out
    why = item.get("reason") or (waits and f"waits for {_waited_for(waits)}")
    if item["status"] == why:
        why = None
    return f"{item['status']} ({why})" if why else str(item["status"])


def _waited_for(what: str) -> str:
    return {"slot": "a slot", "backoff": "its next attempt"}.get(what, what)


def age(moment: str | None) -> str:
    return f"{seconds_text(_seconds(moment, None))} ago" if moment else ""


def duration(item: dict[str, Any]) -> str:
    """How long it has run, or ran."""
    return seconds_text(_seconds(item["started_at"], item["finished_at"])) if item.get("started_at") else ""


def clock(moment: str) -> str:
    return datetime.fromisoformat(moment).astimezone().strftime("%H:%M:%S")


def when(moment: str | None) -> str | None:
    if not moment:
        return None
    return f"{datetime.fromisoformat(moment).astimezone():%Y-%m-%d %H:%M:%S} ({age(moment)})"


def _seconds(begin: str | None, end: str | None) -> float:
    until = datetime.fromisoformat(end) if end else datetime.now(UTC)
    return max(0.0, (until - datetime.fromisoformat(begin or "")).total_seconds())


def seconds_text(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
