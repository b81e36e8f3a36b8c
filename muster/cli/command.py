"""What the commands that talk to the API have in common."""

from __future__ import annotations

import functools
import itertools
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from muster.cli import INTERRUPTED
from muster.cli.client import Api
from muster.cli.interrupts import ending

PROGRESS_AFTER_SECONDS = 1.0


def api_command(
    *, patient: bool = False, group: click.Group | None = None, name: str | None = None, **attributes: Any
) -> Callable[[Callable[..., Any]], click.Command]:
    """A click command that is given `api` and `as_json`, and that Ctrl-C ends quietly."""

    def decorate(function: Callable[..., Any]) -> click.Command:
        @functools.wraps(function)
        def run(**arguments: Any) -> Any:
            try:
                with ending():  # which imports what speaks HTTP
                    connection = Api(patient=patient)
                with connection as api:
                    return function(api, **arguments)
            except KeyboardInterrupt:
                sys.exit(INTERRUPTED)

        make = group.command if group else click.command
        command: click.Command = make(name or function.__name__, **attributes)(run)
        command.params.append(click.Option(["--json", "as_json"], is_flag=True, help="For scripts."))
        return command

    return decorate


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_line(value: Any) -> None:
    """One object of a stream. Flushed: whoever reads it through a pipe wants it now."""
    click.echo(json.dumps(value, ensure_ascii=False))


def say(text: str) -> None:
    """For people, beside the output that scripts read."""
    click.echo(f"muster: {text}", err=True)


@contextmanager
def progress(text: str) -> Iterator[None]:
    """A line on the terminal that shows it goes on, for what takes more than a second; gone afterwards."""
    if not sys.stderr.isatty():
        yield
        return
    finished = threading.Event()
    spinner = threading.Thread(target=_spin, args=(text, finished), daemon=True)
    spinner.start()
    try:
        yield
    finally:
        finished.set()
        spinner.join()


def _spin(text: str, finished: threading.Event) -> None:
    began = time.monotonic()
    if finished.wait(PROGRESS_AFTER_SECONDS):
        return
    for frame in itertools.cycle("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"):
        sys.stderr.write(f"\r\x1b[2K{frame} {text} … {time.monotonic() - began:.0f} s")
        sys.stderr.flush()
        if finished.wait(0.12):
            break
    sys.stderr.write("\r\x1b[2K")
    sys.stderr.flush()
