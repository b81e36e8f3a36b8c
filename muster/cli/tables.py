"""Tables and facts: coloured in a terminal; plain, aligned and complete text everywhere else."""

from __future__ import annotations

import shlex
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import click

STYLES = {
    "pending": "yellow",
    "assigned": "cyan",
    "executing": "bold cyan",
    "spawning": "cyan",
    "running": "bold cyan",
    "completed": "green",
    "failed": "red",
    "killed": "magenta",
    "active": "green",
    "archived": "dim",
}
ELASTIC = {"title", "command", "name", "description", "runner", "why"}
"""Columns that give way when the terminal is narrow."""


def in_terminal() -> bool:
    return sys.stdout.isatty()


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, empty: str) -> None:
    cells = [[clean(cell) for cell in row] for row in rows]
    if not cells:
        click.echo(empty, err=not in_terminal())  # a script that counts lines must count none
    elif in_terminal():
        _print_rich(headings, cells)
    else:
        click.echo("\n".join(aligned([[heading.upper() for heading in headings], *cells])))


def _print_rich(headings: Sequence[str], rows: list[list[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for heading in headings:
        elastic = heading in ELASTIC
        table.add_column(
            heading.upper(),
            no_wrap=True,
            overflow="ellipsis",
            ratio=1 if elastic else None,
            min_width=None if elastic else max([len(heading), *(len(row[headings.index(heading)]) for row in rows)]),
        )
    for row in rows:
        table.add_row(*(Text(cell, style=STYLES.get(cell.split(" ")[0], "")) for cell in row))
    Console(highlight=False).print(table)


def print_facts(facts: Iterable[tuple[str, str | None]]) -> None:
    """Names and values of one thing; without a value, no line."""
    shown = [(name, clean(value)) for name, value in facts if value not in (None, "")]
    if not in_terminal():
        click.echo("\n".join(aligned(shown)))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for name, value in shown:
        table.add_row(Text(name, style="dim"), Text(value, style=STYLES.get(value.split(" ")[0], ""), overflow="fold"))
    Console(highlight=False).print(table)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _width(text: str) -> int:
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
    why = item.get("reason") or (item.get("waiting_for") and f"waits for {_waited_for(item['waiting_for'])}")
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
