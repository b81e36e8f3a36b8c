"""`muster spawn`: hand a task over, and perhaps watch it to its end."""

from __future__ import annotations

import os
import shlex
import sys
from typing import Any

import click

from muster.cli import INTERRUPTED, follow
from muster.cli.client import Api, Problem
from muster.cli.command import api_command, print_json, print_line, progress, say
from muster.cli.durations import Seconds, Whole
from muster.cli.references import task_id
from muster.cli.tables import in_terminal
from muster.domain import cuts

TITLE_LENGTH = 100


def _variables(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    for name, equals, _text in pairs:
        if not name or not equals:
            raise click.BadParameter(f"{name!r} has no value: write {name or 'NAME'}=VALUE")
    return {name: text for name, _equals, text in pairs}


# What follows COMMAND is the command's, not ours.
@api_command(patient=True, context_settings={"allow_interspersed_args": False})
@click.argument("command", nargs=-1, required=True, metavar="[--] COMMAND [ARGUMENT]...", type=click.UNPROCESSED)
@click.option("--title", help="What people see it as. Default: the command.")
@click.option("--priority", type=Whole(1, 10), help="10 is the most urgent. Default: 5.")
@click.option("--retries", type=Whole(0, 99), help="Further attempts when it fails. Default: 0.")
@click.option(
    "--backoff",
    type=Seconds(0, 86_400),
    metavar="SECONDS",
    help="Wait before the second attempt; it doubles. Default: 1.",
)
@click.option(
    "--timeout", type=Seconds(0, 30 * 86_400, min_open=True), metavar="SECONDS",
    help="Longest run of one attempt.",
)  # fmt: skip
@click.option(
    "--task-timeout", type=Seconds(0, 30 * 86_400, min_open=True), metavar="SECONDS",
    help="Longest life of the whole task: waiting, and all its attempts.",
)  # fmt: skip
@click.option("--project", metavar="SLUG", help="Project it belongs to (slug or id).")
@click.option("--label", "labels", multiple=True, help="May be repeated.")
@click.option("--env", multiple=True, metavar="NAME=VALUE", callback=_variables, help="May be repeated.")
@click.option(
    "--cwd", type=click.Path(),
    help="Directory to run in, on the worker's machine. Default: this one, where Muster runs here; else the worker's.",
)  # fmt: skip
@click.option(
    "--prompt", metavar="TEXT",
    help="What it is told, on its standard input; its project's memory is searched by it. -: this one's.",
)  # fmt: skip
@click.option(
    "--stdin", type=click.Path(exists=True, dir_okay=False, readable=True, allow_dash=True), metavar="FILE",
    help="Its standard input, as data; - is this one's.",
)  # fmt: skip
@click.option("--parent", metavar="TASK", help="Make it a subtask of this task.")
@click.option(
    "--depends-on", multiple=True, metavar="TASK", help="Task to complete first; repeatable, implies --queue."
)
@click.option("--no-memory", is_flag=True, help="Tell it nothing of what its project remembers, and remember nothing.")
@click.option("--memory-budget", type=Whole(100, 100_000), metavar="TOKENS", help="Longest context. Default: 2000.")
@click.option("--queue", is_flag=True, help="Wait for a free slot, instead of being refused when none is.")
@click.option("--follow", "-f", "following", is_flag=True, help="Show its output live, and end as it ends.")
def spawn(api: Api, command: tuple[str, ...], following: bool, as_json: bool, **options: Any) -> None:
    """Spawn an agent that runs COMMAND.

    Prints the agent's id (with --queue, the task's). With --follow it prints what the agent writes and ends with
    its exit code: 137 when it was killed, 124 when its time was up, 1 when it failed without one. Retries are
    followed too. Ctrl-C ends the watching, not the agent.

    \b
    $ muster spawn --retries 2 --follow -- bash -c 'echo working; exit 0'
    """
    waits = bool(options["queue"] or options["depends_on"])
    spec = _specification(api, list(command), **options)
    with progress("spawning"):
        try:
            made = api.post("/v1/tasks", spec) if waits else api.post("/v1/agents", {"task": spec})
        except Problem as problem:
            if problem.code == "workspace_full":
                problem.advice = "; with --queue it waits for its turn"
            elif problem.status == 503:
                problem.advice = "; it may still come to life: see `muster tasks` before sending it again"
            raise
    if following:
        sys.exit(_follow(api, made["id"] if waits else made["task_id"], as_json))
    if as_json:
        print_json(made)
        return
    click.echo(made["id"])
    if in_terminal():
        click.echo(
            f"watch it:  muster logs -f {made['id']}" if not waits else f"see it:  muster show {made['id']}", err=True
        )


def _specification(api: Api, argv: list[str], **options: Any) -> dict[str, Any]:
    runner: dict[str, Any] = {"kind": "command", "argv": argv}
    if options["env"]:
        runner["env"] = options["env"]
    if cwd := _directory(api, options["cwd"]):
        runner["cwd"] = cwd
    if options["stdin"]:
        runner["stdin"] = _text(options["stdin"], "--stdin")
    if options["timeout"] is not None:
        runner["timeout_seconds"] = options["timeout"]
    prompt = options["prompt"]
    if prompt == "-":
        if options["stdin"] == "-":
            raise click.UsageError("only one of --prompt and --stdin can read the standard input")
        prompt = _text(prompt, "--prompt")
    spec: dict[str, Any] = {"title": options["title"] or _title(argv), "prompt": prompt or None, "runner": runner}
    retry = {
        "max_attempts": options["retries"] + 1 if options["retries"] is not None else None,
        "initial_seconds": options["backoff"],
    }
    spec |= {
        "priority": options["priority"],
        "timeout_seconds": options["task_timeout"],
        "project": options["project"],
        "labels": list(options["labels"]),
        "retry": {name: value for name, value in retry.items() if value is not None},
        "parent_id": task_id(api, options["parent"]) if options["parent"] else None,
        "depends_on": [task_id(api, reference) for reference in options["depends_on"]],
        "memory": _memory(options["no_memory"], options["memory_budget"]),
    }
    return {name: value for name, value in spec.items() if value not in (None, [], {})}


def _text(path: str, option: str) -> str:
    try:
        with click.open_file(path, "rb") as file:
            return bytes(file.read()).decode()
    except UnicodeDecodeError as error:
        raise click.BadParameter(
            f"is not UTF-8 text ({error.reason} at byte {error.start})", param_hint=option
        ) from None


def _directory(api: Api, named: str | None) -> str | None:
    if not named and not api.is_here:
        return None
    try:
        return os.path.abspath(named or ".")  # noqa: PTH100 - a path of the worker's machine
    except FileNotFoundError:  # this one was removed
        return None


def _memory(none: bool, budget: int | None) -> dict[str, Any] | None:
    if none and budget is not None:
        raise click.UsageError("--memory-budget has no use with --no-memory")
    if none:
        return {"inject": False, "record": False}
    return {"budget_tokens": budget} if budget is not None else None


def _title(argv: list[str]) -> str:
    title = " ".join(shlex.join(argv).split())
    return title if len(title) <= TITLE_LENGTH else title[: cuts.before(title, TITLE_LENGTH - 1)] + "…"


def _follow(api: Api, task: str, as_json: bool) -> int:
    current: dict[str, Any] = {}
    untold: dict[str, Any] = {}

    def spawned(agent: dict[str, Any]) -> None:
        current.update(agent)
        if untold and not as_json:
            say(f"attempt {untold['attempt']} {untold['status']} ({_why(untold)}); attempt {agent['attempt']} begins")
        untold.clear()
        if as_json:
            print_line({"agent": agent})
        elif sys.stderr.isatty():
            say(f"agent {agent['id']}, attempt {agent['attempt']}; Ctrl-C ends the watching")

    def line(agent: dict[str, Any], written: dict[str, Any]) -> None:
        if as_json:
            print_line({"line": {"agent_id": agent["id"], **written}})
        else:
            follow.print_output(written)

    def ended(agent: dict[str, Any], found: dict[str, Any]) -> None:
        # The last one's end is the task's, which is told when it is there. Which one is the last is known only when
        # there is no other: a lost one is not counted.
        if agent["status"] == "completed" or as_json:
            return
        if agent["attempt"] < found["retry"]["max_attempts"]:
            say(f"attempt {agent['attempt']} {agent['status']} ({_why(agent)})")
        else:
            untold.update(agent)

    try:
        final = follow.task(api, task, follow.Followed(line=line, spawned=spawned, ended=ended))
    except KeyboardInterrupt:
        if current:
            say(f"agent {current['id']} goes on; kill it with `muster kill {current['id']}`")
        else:
            say(f"task {task} goes on; cancel it with `muster cancel {task}`")
        return INTERRUPTED
    if as_json:
        print_line({"task": final})
    elif final["status"] != "completed":
        say(f"task {task} failed ({_why(final)})")
    return follow.exit_code(final)


def _why(item: dict[str, Any]) -> str:
    reason = item["reason"] or item["status"]
    return f"{reason}: {item['error']}" if item["error"] else reason
