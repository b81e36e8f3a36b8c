"""`muster events`: the lifecycle of everything, as it was and as it happens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import click

from muster.cli.client import Api
from muster.cli.command import api_command, print_line, progress
from muster.cli.durations import Whole
from muster.cli.references import agent_id, task_id
from muster.cli.tables import STYLES, clean, clock, ident, styled
from muster.domain.events import EventType

NOTHING = UUID(int=0)
TYPES = [str(kind) for kind in EventType]


@api_command(patient=True)
@click.option("--follow", "-f", "following", is_flag=True, help="Go on with events as they happen.")
@click.option("--after", type=Whole(0), metavar="N", help="Begin behind position N; 0 is the beginning.")
@click.option(
    "--last", "--limit", "last", type=Whole(0), default=20, show_default=True, help="Else, how many to begin with."
)
@click.option("--task", metavar="TASK", help="Events of this task and its agents.")
@click.option("--agent", metavar="AGENT", help="Events of this agent.")
@click.option("--type", "types", multiple=True, type=click.Choice(TYPES), help="Repeatable.")
def events(
    api: Api,
    following: bool,
    after: int | None,
    last: int,
    task: str | None,
    agent: str | None,
    types: tuple[str, ...],
    as_json: bool,
) -> None:
    """Print lifecycle events, oldest first. With --json, one event a line.

    --task and --agent begin at the beginning, everything else with the latest.

    \b
    $ muster events -f --type agent.failed --type agent.killed
    """
    with progress("reading events"):
        filters = {
            "task": task_id(api, task) if task else None,
            "agent": agent_id(api, agent) if agent else None,
            "type": types,
        }
        if after is None:
            after = 0 if task or agent else max(0, newest(api) - last)
    for event in _live(api, after, filters) if following else _recorded(api, after, filters):
        if as_json:
            print_line(event)
        else:
            click.echo(describe(event))


def newest(api: Api) -> int:
    """The last position of the log: an empty page says how far it has looked."""
    return int(api.get("/v1/events", task=NOTHING, limit=1)["next_after"])


def _recorded(api: Api, after: int, filters: dict[str, Any]) -> Iterator[dict[str, Any]]:
    while True:
        page = api.get("/v1/events", after=after, limit=500, **filters)
        yield from page["items"]
        if not page["items"]:
            return
        after = page["next_after"]


def _live(api: Api, after: int, filters: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for message in api.stream("/v1/events", after, **filters):
        if message.data is not None and message.id is not None:
            yield json.loads(message.data)


def describe(event: dict[str, Any]) -> str:
    data, about = event["data"], ident(event["agent_id"] if event["type"].startswith("agent.") else event["task_id"])
    style = STYLES.get(event["type"].partition(".")[2], {})
    kind = styled(f"{event['type']:<15}", **style)
    attempt = f" try {event['attempt']}" if event["attempt"] > 1 else ""
    why = f" ({data['reason']}{': ' + data['error'] if data.get('error') else ''})" if data.get("reason") else ""
    what = clean(data.get("title", "") + why)
    return f"{event['position']:>6}  {clock(event['at'])}  {kind}  {about}{attempt}  {what}"
