"""`muster keys`: list, create, revoke, rotate, bootstrap."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import click

from muster.cli import references
from muster.cli.client import Api, Failure
from muster.cli.command import api_command, print_json, progress, say
from muster.cli.durations import Duration
from muster.cli.groups import Group
from muster.cli.tables import age, ident, print_table, when
from muster.domain.states import MemberRole
from muster.domain.tenants import Scope


@click.group(cls=Group)
def keys() -> None:
    """Keep the keys that programs and people ask with.

    \b
    $ muster keys create ci --scope tasks:write --scope tasks:read --expires 90d
    $ MUSTER_API_KEY=mst_… muster tasks
    """


@api_command(group=keys, name="list")
@click.option("--all", "revoked", is_flag=True, help="Also those that were revoked.")
def list_(api: Api, revoked: bool, as_json: bool) -> None:
    """List keys, newest first. Never the keys themselves.

    \b
    $ muster keys list
    """
    with progress("reading keys"):
        found = list(api.pages("/v1/keys", include_revoked=revoked or None))
    if as_json:
        print_json(found)
        return
    print_table(
        ["id", "status", "role", "scopes", "project", "used", "expires", "created", "name"],
        [
            [
                ident(key["id"]),
                _status(key),
                key["role"] if key["workspace_id"] else "administrator",
                _scopes(key["scopes"]),
                ident(key["project_id"]) if key["project_id"] else "all",
                age(key["last_used_at"]) or "never",
                _day(key["expires_at"]),
                age(key["created_at"]),
                key["name"],
            ]
            for key in found
        ],
        empty="no keys",
    )


@api_command(group=keys)
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice([*map(str, Scope), "all"]),
    help="What it may be used for. May be repeated.",
)
@click.option("--project", help="Bind it to this project, by slug or id.")
@click.option("--expires", type=Duration(), help="How long it works: 12h, 30d. Default: until it is revoked.")
@click.option(
    "--role",
    type=click.Choice([str(role) for role in MemberRole]),
    help="The most it can be. Default: the least that has its scopes.",
)
@click.option("--user", help="Whom it acts as, by id or email; others than oneself for administrators only.")
@click.option("--administrator", is_flag=True, help="Good for every workspace, and to make them.")
def create(
    api: Api,
    name: str,
    scopes: tuple[str, ...],
    project: str | None,
    expires: int | None,
    role: str | None,
    user: str | None,
    administrator: bool,
    as_json: bool,
) -> None:
    """Make a key, and print it: this once.

    \b
    $ muster keys create ci --scope tasks:write --scope tasks:read --expires 90d
    $ muster keys create dashboard --scope events:read --project apollo
    """
    body = {
        "name": name,
        "scopes": [str(scope) for scope in Scope] if "all" in scopes else scopes,
        "project_id": api.get(f"/v1/projects/{quote(project, safe='')}")["id"] if project else None,
        "expires_at": (datetime.now(UTC) + timedelta(seconds=expires)).isoformat() if expires else None,
        "role": role,
        "user_id": references.user_id(api, user) if user else None,
        "administrator": administrator or None,
    }
    made = api.post("/v1/keys", {field: value for field, value in body.items() if value is not None})
    _show(made, as_json)


@api_command(group=keys)
@click.argument("key")
def revoke(api: Api, key: str, as_json: bool) -> None:
    """End a key for good, and the streams that were opened with it.

    \b
    $ muster keys revoke 01939b6f-0000-7000-8000-000000000000
    """
    path = f"/v1/keys/{references.key_id(api, key)}"
    found = api.get(path)  # before: it may be the very key that asks
    api.delete(path)
    if as_json:
        print_json(found)
    else:
        click.echo(f"key {found['name']} ({found['id']}) revoked")


@api_command(group=keys)
@click.argument("key")
@click.option("--overlap", type=Duration(), default="0s", help="How long the old one still works: 1h, 2d; 7d at most.")
def rotate(api: Api, key: str, overlap: int, as_json: bool) -> None:
    """Replace a key by a new one like it, and print that: this once.

    It ends when the key would end by now; during an overlap, rotate the newer one.

    \b
    $ muster keys rotate 01939b6f-0000-7000-8000-000000000000 --overlap 1h
    """
    made = api.post(f"/v1/keys/{references.key_id(api, key)}/rotate", {"overlap_seconds": overlap})
    _show(made, as_json)


@keys.command()
@click.option("--name", default="bootstrap", help="What it is called in the list.")
def bootstrap(name: str) -> None:
    """Make an administrator's key straight in the database, and print it: this once.

    For servers where no `muster up` made one. Needs DATABASE_URL and MUSTER_SECRET_KEY, as the API has them.

    \b
    $ export MUSTER_API_KEY=$(muster keys bootstrap)
    """
    from muster.cli.parts import demand_schema, pepper, secret
    from muster.services import runtime
    from muster.settings import Settings
    from muster.storage import access

    settings = runtime.resolve(Settings(), needs=["postgres"])
    asyncio.run(demand_schema(settings))
    click.echo(asyncio.run(access.make_administrator_key(secret(settings), pepper(settings), name[:200])))
    say("this opens everything, and is shown this once: keep it where only administrators can read it")


def _show(made: dict[str, Any], as_json: bool) -> None:
    if made["key"] is None:
        raise Failure(
            f"key {made['id']} was made, but what was answered is lost and cannot be shown again: "
            f"`muster keys rotate {made['id']}` gives another"
        )
    if as_json:
        print_json(made)
        return
    click.echo(made["key"])
    ends = when(made["expires_at"])
    until = f"until {ends.partition(' (')[0]}" if ends else "until it is revoked"
    say(f"key {made['name']} ({made['id']}) works {until}; it is shown this once")


def _status(key: dict[str, Any]) -> str:
    if key["revoked_at"]:
        return "revoked"
    expires = key["expires_at"]
    return "expired" if expires and datetime.fromisoformat(expires) <= datetime.now(UTC) else "active"


def _scopes(scopes: list[str]) -> str:
    return "all" if len(scopes) == len(Scope) else ",".join(scopes)


def _day(moment: str | None) -> str:
    return f"{datetime.fromisoformat(moment).astimezone():%Y-%m-%d %H:%M}" if moment else "never"
