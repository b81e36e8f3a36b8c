"""`muster stop-all`, `drain`, `resume`, `usage`."""

from __future__ import annotations

from typing import Any

import click

from muster.cli.agents import PROOF_SECONDS
from muster.cli.client import Api
from muster.cli.command import api_command, print_json, progress
from muster.cli.durations import Seconds
from muster.cli.tables import print_facts, print_table, when


@api_command(name="stop-all")
@click.option("--reason", help="Why; whoever asks for an agent meanwhile is told.")
@click.option("--grace", type=Seconds(0, 3600), metavar="SECONDS", help="Between SIGTERM and SIGKILL. Default: 5.")
@click.option("--wait/--no-wait", default=True, help="Return once it is proven that no agent is left. The default.")
def stop_all(api: Api, reason: str | None, grace: float | None, wait: bool, as_json: bool) -> None:
    """Stop everything in the workspace: no task is given an agent any more, and all agents are killed.

    Tasks wait until `muster resume`.

    \b
    $ muster stop-all --reason 'costs run away'
    """
    body = {name: value for name, value in (("reason", reason), ("grace_seconds", grace)) if value is not None}
    with progress("stopping everything"):
        path = _path(api, "stop")
        answer = api.post(path, body, timeout=(grace or 5.0) + PROOF_SECONDS + 10, wait="true" if wait else None)
    if as_json:
        print_json(answer)
    elif answer.get("killed") is None:
        click.echo(f"{answer['workspace']} is closed; {_agents(answer['active_agents'])} left to end")
    else:
        click.echo(
            f"{answer['workspace']} is stopped: {_agents(answer['killed'])} killed, {answer['ended']} ended by "
            f"themselves; {_tasks(answer['waiting_tasks'])} waiting"
        )


@api_command()
@click.option("--reason", help="Why; whoever asks for an agent meanwhile is told.")
def drain(api: Api, reason: str | None, as_json: bool) -> None:
    """Give no new agents in the workspace, and let those that run finish.

    Tasks wait until `muster resume`.

    \b
    $ muster drain --reason 'a new release'
    """
    _admit(api, "drain", reason, as_json)


@api_command()
@click.option("--reason", help="Why; kept with it.")
def resume(api: Api, reason: str | None, as_json: bool) -> None:
    """Undo `stop-all` or `drain`: tasks that wait are given agents at once.

    \b
    $ muster resume
    """
    _admit(api, "resume", reason, as_json)


def _admit(api: Api, verb: str, reason: str | None, as_json: bool) -> None:
    answer = api.post(_path(api, verb), {"reason": reason} if reason else {})
    if as_json:
        print_json(answer)
    else:
        what = {"open": "is open"}.get(answer["state"], f"is {answer['state']}")
        click.echo(
            f"{answer['workspace']} {what}: {_agents(answer['active_agents'])} active, "
            f"{_tasks(answer['waiting_tasks'])} waiting"
        )


@api_command()
def usage(api: Api, as_json: bool) -> None:
    """Show what the workspace may use, and what it has used.

    \b
    $ muster usage
    """
    with progress("reading usage"):
        found = api.get("/v1/usage")
    if as_json:
        print_json(found)
        return
    limits, today, daily = found["limits"], found["today"], found["limits"]["daily_agent_seconds"]
    print_facts(
        [
            ("workspace", found["workspace"]),
            ("admission", _admission(found)),
            ("agents", f"{found['active_agents']} of {limits['max_concurrent_agents']} active"),
            ("tasks", f"{found['waiting_tasks']} of {limits['max_waiting_tasks']} waiting"),
            ("today", f"{today['agent_seconds']:.0f}{f' of {daily}' if daily else ''} agent-seconds"),
            ("requests", f"{limits['requests_per_second']} per second and key"),
            ("body", f"{limits['max_body_bytes']} bytes"),
            ("output", f"{limits['max_output_bytes']} bytes per agent"),
            ("weight", str(limits["weight"])),
        ]
    )
    if found["days"]:
        click.echo()
        print_table(
            ["day", "agents", "agent-seconds"],
            [[day["day"], str(day["agents"]), f"{day['agent_seconds']:.0f}"] for day in found["days"]],
            empty="",
        )


def _admission(found: dict[str, Any]) -> str:
    if found["admission"] == "open" or not found["admission_since"]:
        return str(found["admission"])
    why = f": {found['admission_reason']}" if found["admission_reason"] else ""
    return f"{found['admission']} by {found['admission_by'] or 'somebody'}, {when(found['admission_since'])}{why}"


def _path(api: Api, verb: str) -> str:
    """In the workspace that the key, or the header beside it, means."""
    return f"/v1/workspaces/{api.get('/v1/usage')['workspace_id']}/{verb}"


def _agents(number: int) -> str:
    return "1 agent" if number == 1 else f"{number} agents"


def _tasks(number: int) -> str:
    return "1 task" if number == 1 else f"{number} tasks"
