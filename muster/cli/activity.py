"""`muster activity`: who did what."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import click

from muster.cli.client import Api
from muster.cli.command import api_command, print_json, progress
from muster.cli.durations import Moment, Whole
from muster.cli.tables import ident, print_table
from muster.domain.states import Action


@api_command()
@click.option(
    "--action",
    "actions",
    multiple=True,
    type=click.Choice([str(action) for action in Action]),
    metavar="ACTION",
    help="Any of these: task_created, key_revoked … May be repeated.",
)
@click.option("--entity", help="What was done to this: the id of a task, an agent, a key …")
@click.option("--user", help="What this user did, by id.")
@click.option("--key", help="What was done with this key, by id.")
@click.option("--request", help="What this request did: its X-Request-ID.")
@click.option("--since", type=Moment(), help="From then on: 2026-01-31T12:00, or 1h for an hour ago.")
@click.option("--until", type=Moment(), help="Before then.")
@click.option("--limit", "-n", type=Whole(1), default=50, show_default=True, help="How many at most.")
def activity(
    api: Api,
    actions: tuple[str, ...],
    entity: str | None,
    user: str | None,
    key: str | None,
    request: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """Print who did what, newest first.

    \b
    $ muster activity --since 1h
    $ muster activity --action key_created --action key_revoked --json
    """
    with progress("reading the activity log"):
        found = list(
            api.pages(
                "/v1/activity",
                limit,
                action=actions,
                entity=entity,
                user=user,
                key=key,
                request=request,
                since=since and since.isoformat(),
                until=until and until.isoformat(),
            )
        )
    if as_json:
        print_json(found)
        return
    print_table(
        ["at", "action", "entity", "by", "from", "why"],
        [
            [
                f"{datetime.fromisoformat(item['at']).astimezone():%Y-%m-%d %H:%M:%S}",
                item["action"],
                ident(item["entity_id"]),
                _by(item),
                item["address"] or "",
                json.dumps(item["detail"], ensure_ascii=False) if item["detail"] else "",
            ]
            for item in found
        ],
        empty="nothing was done",
    )


def _by(item: dict[str, Any]) -> str:
    """The narrowest of what is known: the agent, the key, the user; else Muster did it by itself."""
    for kind in ("agent", "key", "user"):
        if item[f"{kind}_id"]:
            return f"{kind} {ident(item[f'{kind}_id'])}"
    return "muster"
