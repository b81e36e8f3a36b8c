"""`muster members`: list, add, set, remove."""

from __future__ import annotations

from typing import Any

import click

from muster.cli import references
from muster.cli.client import Api
from muster.cli.command import api_command, print_json, progress
from muster.cli.groups import Group
from muster.cli.tables import age, print_table
from muster.domain.states import MemberRole

_ROLE = click.Choice([str(role) for role in MemberRole])


@click.group(cls=Group)
def members() -> None:
    """Keep who may work in the workspace, and as what.

    \b
    $ muster members add ada@example.org --role admin
    """


@api_command(group=members, name="list")
def list_(api: Api, as_json: bool) -> None:
    """List the workspace's members, newest first.

    \b
    $ muster members list
    """
    with progress("reading members"):
        found = list(api.pages("/v1/members"))
    if as_json:
        print_json(found)
        return
    print_table(
        ["email", "role", "user", "since", "name"],
        [
            [member["email"], member["role"], member["user_id"], age(member["created_at"]), member["name"]]
            for member in found
        ],
        empty="no members",
    )


@api_command(group=members)
@click.argument("email")
@click.option("--name", help="Of a user that is new. Default: the email.")
@click.option("--role", type=_ROLE, default=MemberRole.MEMBER.value, show_default=True, help="What it may do.")
def add(api: Api, email: str, name: str | None, role: str, as_json: bool) -> None:
    """Let somebody in; a user is made when there is none with this email. For administrators.

    \b
    $ muster members add ada@example.org --name 'Ada' --role admin
    """
    body = {"email": email, "role": role} | ({"name": name} if name else {})
    _report(api.post("/v1/members", body), as_json, f"is {role}")


@api_command(group=members, name="set")
@click.argument("member")
@click.option("--role", type=_ROLE, required=True, help="What it may do from now on.")
def set_(api: Api, member: str, role: str, as_json: bool) -> None:
    """Give a member another role, by email or user id.

    \b
    $ muster members set ada@example.org --role owner
    """
    user_id = references.user_id(api, member)
    _report(api.patch(f"/v1/members/{user_id}", {"role": role}), as_json, f"is {role}")


@api_command(group=members)
@click.argument("member")
def remove(api: Api, member: str, as_json: bool) -> None:
    """Take a member out, by email or user id; its keys for this workspace end.

    \b
    $ muster members remove ada@example.org
    """
    user_id = references.user_id(api, member)
    api.delete(f"/v1/members/{user_id}")
    _report({"user_id": user_id, "email": member}, as_json, "removed")


def _report(member: dict[str, Any], as_json: bool, what: str) -> None:
    if as_json:
        print_json(member)
    else:
        click.echo(f"member {member['email']} {what}")
