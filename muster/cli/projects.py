"""`muster projects`: list, create, show, archive, delete."""

from __future__ import annotations

import re
import shlex
from typing import Any
from urllib.parse import quote

import click

from muster.cli.client import Api, Failure
from muster.cli.command import api_command, print_json, progress
from muster.cli.groups import Group
from muster.cli.tables import age, print_facts, print_table, when
from muster.domain.states import ProjectStatus


@click.group(cls=Group)
def projects() -> None:
    """Keep the bodies of work that tasks belong to.

    \b
    $ muster projects create apollo --name 'Apollo'
    $ muster spawn --project apollo -- make test
    """


@api_command(group=projects, name="list")
@click.option("--status", type=click.Choice([str(status) for status in ProjectStatus]), help="Only these.")
def list_(api: Api, status: str | None, as_json: bool) -> None:
    """List projects, newest first.

    \b
    $ muster projects list --status active
    """
    with progress("reading projects"):
        found = list(api.pages("/v1/projects", status=status))
    if as_json:
        print_json(found)
        return
    print_table(
        ["slug", "status", "created", "name"],
        [[project["slug"], project["status"], age(project["created_at"]), project["name"]] for project in found],
        empty="no projects",
    )


@api_command(group=projects)
@click.argument("slug")
@click.option("--name", help="What people see. Default: the slug.")
@click.option("--description", help="What it is about.")
def create(api: Api, slug: str, name: str | None, description: str | None, as_json: bool) -> None:
    """Create a project.

    \b
    $ muster projects create apollo --name 'Apollo'
    """
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?", slug):
        better = re.sub(r"[^a-z0-9]+", "-", slug.lower())[:64].strip("-")
        try_ = f": {better}, with --name {shlex.quote(name or slug)}" if better else ""
        raise Failure(f"a slug is up to 64 lower-case letters, digits and hyphens between them{try_}")
    body = {"slug": slug, "name": name or slug, "description": description}
    _report(
        api.post("/v1/projects", {key: value for key, value in body.items() if value is not None}), as_json, "created"
    )


@api_command(group=projects)
@click.argument("project")
def show(api: Api, project: str, as_json: bool) -> None:
    """Show a project, by slug or id.

    \b
    $ muster projects show apollo
    """
    found = api.get(_path(project))
    if as_json:
        print_json(found)
        return
    print_facts(
        [
            ("project", found["slug"]),
            ("name", found["name"]),
            ("description", found["description"]),
            ("status", found["status"]),
            ("id", found["id"]),
            ("created", when(found["created_at"])),
            ("updated", when(found["updated_at"])),
        ]
    )


@api_command(group=projects)
@click.argument("project")
@click.option("--undo", is_flag=True, help="Make it active again.")
def archive(api: Api, project: str, undo: bool, as_json: bool) -> None:
    """Keep a project, and take no new tasks for it.

    \b
    $ muster projects archive apollo
    """
    status = ProjectStatus.ACTIVE if undo else ProjectStatus.ARCHIVED
    _report(api.patch(_path(project), {"status": status}), as_json, f"is {status}")


@api_command(group=projects)
@click.argument("project")
def delete(api: Api, project: str, as_json: bool) -> None:
    """Delete a project that has no tasks. What it remembers goes with it.

    \b
    $ muster projects delete apollo
    """
    found = api.get(_path(project))
    while (gone := api.delete(_path(found["id"]))) and not gone["complete"]:
        pass  # a large memory goes in several requests
    _report(found, as_json, "deleted")


def _path(project: str) -> str:
    return f"/v1/projects/{quote(project, safe='')}"


def _report(project: dict[str, Any], as_json: bool, what: str) -> None:
    if as_json:
        print_json(project)
    else:
        click.echo(f"project {project['slug']} {what}")
