"""`muster workspaces`: list, create, show, set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import click

from muster.cli.client import Api
from muster.cli.command import api_command, print_json, progress
from muster.cli.groups import Group
from muster.cli.tables import age, print_facts, print_table, when

_LIMITS = {
    "max_concurrent_agents": "Agents at once.",
    "max_waiting_tasks": "Tasks that may wait.",
    "requests_per_second": "Of each key.",
    "max_body_bytes": "Of one request.",
    "max_output_bytes": "Kept per agent.",
    "daily_agent_seconds": "Of all its agents together, per day (UTC).",
    "weight": "Its share where workspaces wait for the same workers.",
}
_REMOVABLE = ("max_body_bytes", "max_output_bytes", "daily_agent_seconds")


class _Limit(click.ParamType[Any]):
    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        removable = param is not None and param.name in _REMOVABLE
        if value == "none" and removable:
            return "none"
        try:
            return int(value)
        except ValueError:
            self.fail(f"{value!r} is no number{', and not `none`' if removable else ''}", param, ctx)


def _limits(function: Callable[..., Any]) -> Callable[..., Any]:
    for name, text in reversed(_LIMITS.items()):
        more = " `none`: no limit of its own." if name in _REMOVABLE else ""
        function = click.option(f"--{name.replace('_', '-')}", name, type=_Limit(), help=text + more)(function)
    return function


def _named(limits: dict[str, Any]) -> dict[str, Any]:
    return {name: None if value == "none" else value for name, value in limits.items() if value is not None}


@click.group(cls=Group)
def workspaces() -> None:
    """Keep workspaces: what belongs to whom, and how much each may use.

    \b
    $ muster workspaces create research --owner ada@example.org --max-concurrent-agents 5
    $ MUSTER_WORKSPACE=research muster members list
    """


@api_command(group=workspaces, name="list")
def list_(api: Api, as_json: bool) -> None:
    """List workspaces, newest first: all for administrators, for others their own.

    \b
    $ muster workspaces list
    """
    with progress("reading workspaces"):
        found = list(api.pages("/v1/workspaces"))
    if as_json:
        print_json(found)
        return
    print_table(
        ["slug", "admission", "agents", "weight", "created", "name"],
        [
            [
                item["slug"],
                item["admission"],
                str(item["max_concurrent_agents"]),
                str(item["weight"]),
                age(item["created_at"]),
                item["name"],
            ]
            for item in found
        ],
        empty="no workspaces",
    )


@api_command(group=workspaces)
@click.argument("slug")
@click.option("--name", help="What people see. Default: the slug.")
@click.option("--owner", help="Email of its first member; a user is made when there is none.")
@_limits
def create(api: Api, slug: str, name: str | None, owner: str | None, as_json: bool, **limits: Any) -> None:
    """Make a workspace. For administrators.

    \b
    $ muster workspaces create research --owner ada@example.org
    """
    body = {"slug": slug, "name": name or slug} | ({"owner_email": owner} if owner else {}) | _named(limits)
    _report(api.post("/v1/workspaces", body), as_json, "created")


@api_command(group=workspaces)
@click.argument("workspace")
def show(api: Api, workspace: str, as_json: bool) -> None:
    """Show a workspace and its limits, by slug or id.

    \b
    $ muster workspaces show research
    """
    found = api.get(_path(workspace))
    if as_json:
        print_json(found)
        return
    by = found["admission_by"] or {}
    why = ", ".join(part for part in (by.get("user"), by.get("reason")) if part)
    print_facts(
        [
            ("workspace", found["slug"]),
            ("name", found["name"]),
            ("id", found["id"]),
            ("admission", f"{found['admission']} ({why})" if why else found["admission"]),
            *((name.replace("_", " "), "none" if found[name] is None else str(found[name])) for name in _LIMITS),
            ("created", when(found["created_at"])),
            ("updated", when(found["updated_at"])),
        ]
    )


@api_command(group=workspaces, name="set")
@click.argument("workspace")
@click.option("--name", help="What people see.")
@click.option("--slug", help="Its name in commands.")
@_limits
def set_(api: Api, workspace: str, name: str | None, slug: str | None, as_json: bool, **limits: Any) -> None:
    """Rename a workspace, or change its limits (for administrators).

    \b
    $ muster workspaces set research --max-concurrent-agents 10 --daily-agent-seconds 86400
    """
    change = _named({"name": name, "slug": slug, **limits})
    if not change:
        raise click.UsageError("name at least one thing to change")
    _report(api.patch(_path(workspace), change), as_json, "changed")


def _path(workspace: str) -> str:
    return f"/v1/workspaces/{quote(workspace, safe='')}"


def _report(workspace: dict[str, Any], as_json: bool, what: str) -> None:
    if as_json:
        print_json(workspace)
    else:
        click.echo(f"workspace {workspace['slug']} {what}")
