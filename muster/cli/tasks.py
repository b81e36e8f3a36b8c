"""`muster tasks`, `cancel`, `retry`, `queue`."""

from __future__ import annotations

import itertools
from typing import Any

import click

from muster.cli.client import Api
from muster.cli.command import api_command, print_json, progress
from muster.cli.durations import Whole
from muster.cli.references import task_id
from muster.cli.tables import age, ident, in_terminal, print_table, status_of
from muster.domain.states import TaskStatus


@api_command()
@click.option("--status", multiple=True, type=click.Choice([str(status) for status in TaskStatus]), help="Repeatable.")
@click.option("--project", metavar="SLUG", help="Tasks of this project (slug or id).")
@click.option("--parent", metavar="TASK", help="Subtasks of this task.")
@click.option("--label", multiple=True, help="Tasks with this label; repeated: with all of them.")
@click.option("--limit", type=Whole(1), default=50, show_default=True, help="How many at most.")
def tasks(
    api: Api,
    status: tuple[str, ...],
    project: str | None,
    parent: str | None,
    label: tuple[str, ...],
    limit: int,
    as_json: bool,
) -> None:
    """List tasks, newest first.

    \b
    $ muster tasks --status failed --label nightly
    """
    with progress("reading tasks"):
        filters = {"status": status, "project": project, "label": label}
        filters["parent"] = task_id(api, parent) if parent else None
        found = list(api.pages("/v1/tasks", limit + 1, **filters))
    items = found[:limit]
    if as_json:
        print_json(items)
        return
    print_table(
        ["id", "status", "prio", "attempts", "created", "title"],
        [
            [
                ident(task["id"]),
                status_of(task),
                str(task["priority"]),
                str(task["attempts"]),
                age(task["created_at"]),
                task["title"],
            ]
            for task in items
        ],
        empty="no such tasks",
    )
    if len(found) > limit and in_terminal():
        click.echo(f"there are more; see --limit (now {limit})", err=True)


@api_command()
@click.argument("task")
@click.option("--reason", help="Why; kept with the task.")
def cancel(api: Api, task: str, reason: str | None, as_json: bool) -> None:
    """Cancel a task and its subtasks. Its agent is killed first.

    \b
    $ muster cancel 5c1b3f --reason 'not needed any more'
    """
    with progress("cancelling"):
        answer = api.post(f"/v1/tasks/{task_id(api, task)}/cancel", {"reason": reason} if reason else None)
    _report(answer, as_json, "is being cancelled")


@api_command()
@click.argument("task")
def retry(api: Api, task: str, as_json: bool) -> None:
    """Try a failed task again: the same task, a new attempt.

    \b
    $ muster retry 5c1b3f
    """
    with progress("asking for another attempt"):
        answer = api.post(f"/v1/tasks/{task_id(api, task)}/retry")
    _report(answer, as_json, "is tried again")


def _report(task: dict[str, Any], as_json: bool, what: str) -> None:
    if as_json:
        print_json(task)
    else:
        click.echo(f"task {task['id']} {what} ({status_of(task)})")


@api_command()
@click.option("--limit", type=Whole(1, 500), default=50, show_default=True, help="How many at most.")
def queue(api: Api, limit: int, as_json: bool) -> None:
    """Show which tasks wait for a slot, in the order they will get one.

    \b
    $ muster queue --json
    """
    with progress("reading the queue"):
        found = api.get("/v1/queue", limit=limit)
    if as_json:
        print_json(found)
        return
    print_table(
        ["place", "id", "prio", "waiting", "title"],
        [
            [str(place), ident(task["id"]), str(task["priority"]), age(task["queued_at"]), task["title"]]
            for place, task in zip(itertools.count(1), found["items"], strict=False)
        ],
        empty="no task waits for a slot",
    )
    if in_terminal():
        left = f"; {found['waiting'] - len(found['items'])} more wait" if found["waiting"] > len(found["items"]) else ""
        click.echo(f"{found['active_agents']} of {found['max_concurrent_agents']} agents run{left}", err=True)
