"""`muster memory`: search what is remembered, see it, add to it, and say how a project remembers."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import click

from muster.cli import forgetting
from muster.cli.client import Api, Failure
from muster.cli.command import api_command, print_json, progress
from muster.cli.durations import Duration, Whole
from muster.cli.groups import Group
from muster.cli.references import memory_id, memory_ids
from muster.cli.tables import age, clean, ident, print_facts, print_table, styled, when


@click.group(cls=Group)
def memory() -> None:
    """Search what is remembered of agents' work, see it, and add to it.

    \b
    $ muster memory search 'why did the import fail' --project apollo
    $ muster memory context 'speed up the import' --project apollo
    """


for command in forgetting.COMMANDS:
    memory.add_command(command)

_project = click.option(
    "--project", metavar="SLUG", help="Of this project (slug or id). Default: all that the key reaches."
)
_the_project = click.option(
    "--project", metavar="SLUG", help="The project (slug or id). May be left out with a key of one project."
)


@api_command(group=memory)
@click.argument("query", nargs=-1, required=True)
@_project
@click.option("--type", "kinds", multiple=True, help="Only of this type, such as decision. May be repeated.")
@click.option("--concept", "concepts", multiple=True, help="Only about this. Repeated: about all of them.")
@click.option("--file", metavar="PATH", help="Only what read or changed this file; its last parts will do.")
@click.option("--session", metavar="ID", help="Only of this session.")
@click.option("--task", metavar="ID", help="Only of this task.")
@click.option("--agent", metavar="ID", help="Only of this agent.")
@click.option("--within", type=Duration(), help="Only what happened within 12h, 30d …")
@click.option("--limit", type=Whole(1, 100), default=10, show_default=True, help="How many at most.")
@click.option("--explain", is_flag=True, help="Say what each was found by.")
def search(
    api: Api,
    query: tuple[str, ...],
    project: str | None,
    kinds: tuple[str, ...],
    concepts: tuple[str, ...],
    within: int | None,
    limit: int,
    explain: bool,
    as_json: bool,
    file: str | None,
    **where: str | None,
) -> None:
    """Find what is remembered, by words and by meaning; the best first.

    \b
    $ muster memory search why did the import fail --project apollo
    """
    body = {
        "query": " ".join(query),
        "project": project,
        "type": list(kinds),
        "concept": list(concepts),
        "after": (datetime.now(UTC) - timedelta(seconds=within)).isoformat() if within else None,
        "limit": limit,
        "explain": explain or None,
        "file": file,
    }
    with progress("searching"):
        body |= memory_ids(api, **where)
        found = api.post("/v1/memory/search", {name: value for name, value in body.items() if value not in (None, [])})
    if as_json:
        print_json(found)
        return
    if found["mode"] == "lexical":
        click.echo("muster: found by words only: the embedder does not answer", err=True)
    narrowed = any((project, kinds, concepts, within, file, *where.values()))
    if explained := found.get("explain"):
        click.echo("\n".join(f"{name}: {_fact(value)}" for name, value in explained.items()))
    _print_observations(
        found["items"],
        scores=True,
        empty="nothing found; look with fewer filters"
        if narrowed
        else "nothing found; `muster memory stats` says what there is",
    )


_TASK_CHARS = 100_000
"""What the API takes; it looks at the beginning."""


@api_command(group=memory)
@click.argument("task", nargs=-1, required=True)
@_the_project
@click.option("--file", "files", multiple=True, metavar="PATH", help="A file that it is about. May be repeated.")
@click.option("--budget", type=Whole(100, 100_000), metavar="TOKENS", help="Longest answer. Default: 2000.")
def context(
    api: Api, task: tuple[str, ...], project: str | None, files: tuple[str, ...], budget: int | None, as_json: bool
) -> None:
    """Print what matters for a task, as an agent is told it: Markdown. TASK `-` reads the standard input.

    \b
    $ muster memory context 'speed up the import' --project apollo --file src/import.py
    """
    text = sys.stdin.buffer.read().decode(errors="replace") if task == ("-",) else " ".join(task)
    body = {"task": text[:_TASK_CHARS], "project": project, "files": list(files), "budget_tokens": budget}
    with progress("recalling"):
        found = api.post("/v1/memory/context", {name: value for name, value in body.items() if value not in (None, [])})
    if as_json:
        print_json(found)
    elif found["markdown"]:
        click.echo(found["markdown"])
    else:
        click.echo("nothing is known about this yet", err=True)


@api_command(group=memory)
@_the_project
@click.option("--around", metavar="ID", help="What happened before and after this observation.")
@click.option("--session", metavar="ID", help="Only of this session.")
@click.option("--limit", type=Whole(1, 500), default=30, show_default=True, help="How many at most.")
def timeline(api: Api, project: str | None, around: str | None, session: str | None, limit: int, as_json: bool) -> None:
    """Print what is remembered in the order in which it happened.

    \b
    $ muster memory timeline --project apollo --limit 10
    """
    with progress("reading"):
        where = {
            "around": memory_id(api, "observation", around) if around else None,
            "session": memory_id(api, "session", session) if session else None,
        }
        found = api.get("/v1/memory/timeline", project=project, limit=limit, **where)
    if as_json:
        print_json(found)
        return
    _print_observations(found["items"], empty="nothing is remembered yet; see `muster memory stats`")


@api_command(group=memory)
@click.argument("observation")
def show(api: Api, observation: str, as_json: bool) -> None:
    """Show an observation, and the events that it was made of.

    \b
    $ muster memory show 0193a1b2-0000-8000-8000-000000000000
    """
    found = api.get(f"/v1/observations/{memory_id(api, 'observation', observation)}")
    if as_json:
        print_json(found)
        return
    click.echo(styled(clean(found["title"]), bold=True))
    for text in (found["subtitle"], found["narrative"]):
        if text:
            click.echo(f"\n{_lines(text)}")
    for fact in found["facts"]:
        click.echo(f"- {clean(fact)}")
    click.echo()
    print_facts(
        [
            ("id", found["id"]),
            ("type", found["type"] + (" (a summary)" if found["summary"] else "")),
            ("concepts", ", ".join(found["concepts"])),
            ("files read", ", ".join(found["files_read"])),
            ("files modified", ", ".join(found["files_modified"])),
            ("importance", f"{found['importance']:.2f}"),
            ("seen", f"{found['seen']} times" if found["seen"] > 1 else None),
            ("made by", found["generator"]),
            ("happened", when(found["occurred_at"])),
            ("project", found["project_id"]),
            ("session", found["session_id"]),
            ("task", found["task_id"]),
            ("agent", found["agent_id"]),
            ("events", ", ".join(source["event_id"] for source in found["sources"]) or None),
        ]
    )


@api_command(group=memory)
@click.argument("title", nargs=-1, required=True)
@_the_project
@click.option("--type", "kind", default="discovery", show_default=True, help="Such as decision, bugfix, convention.")
@click.option("--narrative", help="The whole of it, and why; - reads standard input.")
@click.option("--fact", "facts", multiple=True, help="A statement that holds by itself. May be repeated.")
@click.option("--concept", "concepts", multiple=True, help="What it is about. May be repeated.")
@click.option("--file", "files", multiple=True, metavar="PATH", help="A file that it is about. May be repeated.")
def remember(
    api: Api,
    title: tuple[str, ...],
    project: str | None,
    kind: str,
    narrative: str | None,
    facts: tuple[str, ...],
    concepts: tuple[str, ...],
    files: tuple[str, ...],
    as_json: bool,
) -> None:
    """Keep something by hand. Prints its id.

    \b
    $ muster memory remember 'Imports run at night only' --project apollo --type decision
    """
    body = {
        "title": " ".join(title),
        "project": project,
        "type": kind,
        "narrative": sys.stdin.read() if narrative == "-" else narrative,
        "facts": list(facts),
        "concepts": list(concepts),
        "files_read": list(files),
    }
    made = api.post("/v1/observations", {name: value for name, value in body.items() if value not in (None, [])})
    if as_json:
        print_json(made)
    else:
        click.echo(made["id"])


@api_command(group=memory)
@_project
def stats(api: Api, project: str | None, as_json: bool) -> None:
    """Say how much is remembered, and how far behind memory is.

    \b
    $ muster memory stats --project apollo
    """
    with progress("counting"):
        found = api.get("/v1/memory/stats", project=project)
    if as_json:
        print_json(found)
        return
    print_facts((name.replace("_", " "), _fact(value)) for name, value in found.items())


@api_command(group=memory)
@click.argument("project")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="NAME=VALUE",
    help="Change a setting; null: the default. May be repeated.",
)
def settings(api: Api, project: str, changes: tuple[str, ...], as_json: bool) -> None:
    """Show how a project remembers, or change it.

    \b
    $ muster memory settings apollo
    $ muster memory settings apollo --set retain_days=90 --set 'exclude_paths=["secrets/**"]'
    """
    path = f"/v1/projects/{quote(project, safe='')}/memory"
    changed = dict(map(_assignment, changes))
    if any(isinstance(value, str) for value in changed.values()):
        lists = {name for name, value in api.get(path).items() if isinstance(value, list)}
        changed = {
            name: [value] if name in lists and isinstance(value, str) else value for name, value in changed.items()
        }
    found = api.patch(path, changed) if changed else api.get(path)
    if as_json:
        print_json(found)
        return
    dull = {"workspace_id", "project_id", "version", "updated_at"}
    print_facts((name, _fact(value)) for name, value in found.items() if name not in dull)


# -- What they have in common -----------------------------------------------------------------------------------


def _print_observations(items: list[dict[str, Any]], *, empty: str, scores: bool = False) -> None:
    print_table(
        ["id", *(["score"] if scores else []), "type", "happened", "title"],
        [
            [
                ident(item["id"]),
                *([f"{item['score']:.2f}"] if scores else []),
                item["type"],
                age(item["occurred_at"]),
                item["title"],
            ]
            for item in items
        ],
        empty=empty,
    )
    for item in items:
        if why := item.get("explain"):
            click.echo(
                f"{item['id']}  {', '.join(f'{name} {value}' for name, value in why.items() if value is not None)}"
            )


def _assignment(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise Failure(f"{text!r} changes nothing: write NAME=VALUE")
    if not value:
        raise Failure(f"{name} is given no value: --set {name}=null makes it the default")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value  # a word


def _lines(text: str) -> str:
    return "\n".join(map(clean, text.splitlines()))


def _fact(value: Any) -> str:
    if value is None:
        return "—"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_fact, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_fact(one)}" for name, one in value.items()) or "none"
    return str(value)
