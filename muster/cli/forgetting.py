"""`muster memory forget|retention|export|import`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

import click

from muster.cli.client import Api, Failure
from muster.cli.command import api_command, print_json, progress, say
from muster.cli.references import memory_id

_PIECE = 256 * 1024


@api_command()
@click.option("--observation", metavar="ID", help="This one, and what only it was made of.")
@click.option("--session", metavar="ID", help="A session: its events and all that was made of them.")
@click.option("--agent", metavar="ID", help="All that an agent did.")
@click.option("--task", metavar="ID", help="All that was done for a task.")
@click.option("--project", metavar="SLUG", help="All that a project remembers.")
@click.option("--keep-events", is_flag=True, help="With --observation: leave the events it was made of.")
@click.option("--settings", is_flag=True, help="With --project: also how it remembers.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def forget(
    api: Api,
    observation: str | None,
    session: str | None,
    agent: str | None,
    task: str | None,
    project: str | None,
    keep_events: bool,
    settings: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Forget for good: in every table, and counted.

    \b
    $ muster memory forget --observation 0193a1b2-0000-8000-8000-000000000000
    $ muster memory forget --project apollo --yes
    """
    sorts = {"observation": observation, "session": session, "agent": agent, "task": task, "project": project}
    named = [(what, value) for what, value in sorts.items() if value is not None]
    if len(named) != 1:
        raise click.UsageError("name one of --observation, --session, --agent, --task and --project")
    what, value = named[0]
    if what != "project":
        value = memory_id(api, what, value)
    path = f"/v1/{what}s/{quote(value, safe='')}" + ("" if what in ("observation", "session") else "/memory")
    if not (yes or value == observation):  # a part of an id may be another's than was meant
        if not sys.stdin.isatty():
            raise click.UsageError(
                f"this forgets all of the {what}'s memory for good: say --yes where nobody can be asked"
            )
        click.confirm(f"forget all memory of {what} {value}? It cannot be brought back", abort=True, err=True)
    params: dict[str, Any] = {}
    if observation and keep_events:
        params["events"] = "false"
    if project and settings:
        params["settings"] = "true"
    _print_counts(_until_done(lambda: api.delete(path, **params)), as_json)


@api_command()
@click.option("--project", metavar="SLUG", help="Of this project (slug or id). Default: of all that have a limit.")
def retention(api: Api, project: str | None, as_json: bool) -> None:
    """Forget now what is kept no longer, by each project's settings. It happens by itself once a day.

    \b
    $ muster memory settings apollo --set retain_days=90 --set retain_importance=0.7
    $ muster memory retention
    """
    _print_counts(_until_done(lambda: api.post("/v1/memory/retention/run", project=project)), as_json)


@api_command()
@click.argument("project", required=False)
@click.option(
    "--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="A file. Default: standard output."
)
def export(api: Api, project: str | None, output: Path | None, as_json: bool) -> None:
    """Write a project's memory as lines of JSON.

    \b
    $ muster memory export apollo -o apollo.jsonl
    """
    del as_json  # it is nothing else
    pieces = api.download("/v1/memory/export", project=project)
    if output is None:
        for some in pieces:
            sys.stdout.buffer.write(some)
        sys.stdout.buffer.flush()
        return
    piece: bytes | None = next(pieces, b"")  # before there is a file: it may be refused
    written, last = 0, b""
    try:
        file = output.open("wb")
    except OSError as error:
        raise Failure(f"{output} cannot be written: {error.strerror}") from None
    with file:
        while piece is not None:
            written, last = written + file.write(piece), (last + piece)[-200:]
            piece = next(pieces, None)
    if b'"kind":"end"' not in last:
        raise Failure(f"the export was cut off after {written} bytes; send it again")
    say(f"wrote {written} bytes to {output}")


@api_command(name="import")
@click.argument("file", type=click.File("rb"))
@click.option("--project", metavar="SLUG", help="Into this project (slug or id). May be left out with a key of one.")
def import_(api: Api, file: BinaryIO, project: str | None, as_json: bool) -> None:
    """Read what `muster memory export` wrote. Read twice, it adds nothing. - reads standard input.

    \b
    $ muster memory import apollo.jsonl --project gemini
    """

    def pieces() -> Iterator[bytes]:
        while piece := file.read(_PIECE):
            yield piece

    with progress("importing"):
        found = api.upload("/v1/memory/import", pieces(), project=project)
    if as_json:
        print_json(found)
        return
    click.echo(f"added {_listed(found['added'])}; known already: {_listed(found['known'])}")
    if found["excluded"]:
        say(f"{found['excluded']} events met what the project excludes, and were left out")
    if not found["whole"]:
        raise Failure("the archive's last line is missing: it was cut off when it was written; what it holds is here")


COMMANDS = (forget, retention, export, import_)


def _until_done(ask: Any) -> dict[str, Any]:
    """As often as it takes; each time counts what went."""
    deleted: dict[str, int] = {}
    with progress("forgetting"):
        while True:
            found: dict[str, Any] = ask()
            for table, count in found["deleted"].items():
                deleted[table] = deleted.get(table, 0) + count
            if found["complete"]:
                return {**found, "deleted": deleted}


def _print_counts(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    went = {
        table.removeprefix("memory_").replace("_", " "): count for table, count in found["deleted"].items() if count
    }
    click.echo(f"forgotten: {_listed(went)}" if went else "nothing to forget")


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())
