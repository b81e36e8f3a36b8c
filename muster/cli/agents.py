"""`muster ps`, `logs`, `kill`."""

from __future__ import annotations

import sys
from typing import Any

import click

from muster.cli import follow
from muster.cli.client import Api, Failure
from muster.cli.command import api_command, print_json, print_line, progress
from muster.cli.durations import Seconds, Whole
from muster.cli.references import agent_id, task_id
from muster.cli.tables import age, command_of, duration, ident, print_table, status_of
from muster.domain.states import ACTIVE_AGENT, AgentStatus

PROOF_SECONDS = 40.0  # more than the API waits beyond the grace


@api_command()
@click.option("--all", "-a", "everyone", is_flag=True, help="Those that have ended, too.")
@click.option("--status", multiple=True, type=click.Choice([str(status) for status in AgentStatus]), help="Repeatable.")
@click.option("--task", metavar="TASK", help="Agents of this task, ended or not.")
@click.option("--project", metavar="SLUG", help="Agents of this project (slug or id).")
@click.option("--limit", type=Whole(1), help="How many at most. Default: all that run, else 50.")
def ps(
    api: Api,
    everyone: bool,
    status: tuple[str, ...],
    task: str | None,
    project: str | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """List agents, newest first: those that run, unless told otherwise.

    \b
    $ muster ps --all --limit 5
    """
    only_active = not (everyone or status or task)
    with progress("reading agents"):
        found = list(
            api.pages(
                "/v1/agents",
                limit or (None if only_active else 50),
                status=sorted(ACTIVE_AGENT) if only_active else status,
                task=task_id(api, task) if task else None,
                project=project,
            )
        )
    if as_json:
        print_json(found)
        return
    print_table(
        ["id", "status", "exit", "try", "created", "ran", "task", "command"],
        [
            [
                ident(agent["id"]),
                status_of(agent),
                "" if agent["exit_code"] is None else str(agent["exit_code"]),
                str(agent["attempt"]),
                age(agent["created_at"]),
                duration(agent),
                ident(agent["task_id"]),
                command_of(agent["runner"]),
            ]
            for agent in found
        ],
        empty="no agent runs" if only_active else "no such agents",
    )


@api_command(patient=True)
@click.argument("agent")
@click.option("--follow", "-f", "following", is_flag=True, help="Go on until the agent ends.")
@click.option("--after", type=Whole(0), default=0, metavar="N", help="Begin behind line N.")
@click.option("--timestamps", "-t", is_flag=True, help="Say when each line was written.")
def logs(api: Api, agent: str, following: bool, after: int, timestamps: bool, as_json: bool) -> None:
    """Print what an agent wrote, each stream to its own. A task's id means its latest agent.

    \b
    $ muster logs -f 5c1b3f
    """
    with progress("looking for the agent"):
        found = agent_id(api, agent)
    lines = follow.output(api, found, after) if following else _kept(api, found, after)
    for line in lines:
        if as_json:
            print_line(line)
        else:
            follow.print_output(line, timestamps=timestamps)


def _kept(api: Api, agent: str, after: int) -> Any:
    while True:
        page = api.get(f"/v1/agents/{agent}/output", after=after, limit=5000)
        yield from page["items"]
        if not page["items"]:
            return
        after = page["next_after"]


@api_command()
@click.argument("agents", nargs=-1)
@click.option("--all", "everyone", is_flag=True, help="Every agent that runs now.")
@click.option("--grace", type=Seconds(0, 3600), metavar="SECONDS", help="Between SIGTERM and SIGKILL. Default: 5.")
@click.option("--reason", help="Why; kept with the agent.")
@click.option("--retry", is_flag=True, help="Try the task again afterwards, if attempts remain.")
@click.option("--wait", is_flag=True, help="Return once it is proven that nothing of it is left.")
def kill(
    api: Api,
    agents: tuple[str, ...],
    everyone: bool,
    grace: float | None,
    reason: str | None,
    retry: bool,
    wait: bool,
    as_json: bool,
) -> None:
    """Kill agents with their whole process trees. A task's id means its latest agent.

    Exit code 1 when one of them could not be killed, or had ended in another way. Tasks that wait for a slot get those
    that become free.

    \b
    $ muster kill 5c1b3f --grace 0 --wait
    """
    if everyone == bool(agents):
        raise click.UsageError("name the agents, or say --all" + (": not both" if everyone else ""))
    wish = {"grace_seconds": grace, "reason": reason, "retry": retry or None}
    body = {name: value for name, value in wish.items() if value is not None}
    options: dict[str, Any] = {"timeout": (grace or 5.0) + PROOF_SECONDS, "wait": "true" if wait else None}
    if everyone:
        _kill_all(api, body, options, as_json)
        return
    ended, refused = [], 0
    for reference in agents:
        try:
            with progress(f"killing {reference}"):
                killed = api.post(f"/v1/agents/{agent_id(api, reference, active=True)}/kill", body, **options)
        except Failure as failure:
            if failure.exit_code != 1 or len(agents) == 1:
                raise
            failure.show()
            refused += 1
            continue
        ended.append(killed)
        if killed["status"] == "killed":
            what = "killed"
        elif wait:
            what, refused = f"was not killed: it {status_of(killed)}", refused + 1
        else:
            what = "is being killed"
        if not as_json:
            click.echo(f"agent {killed['id']} {what}")
    if as_json:
        print_json(ended if len(agents) > 1 else ended[0])
    sys.exit(1 if refused else 0)


def _kill_all(api: Api, body: dict[str, Any], options: dict[str, Any], as_json: bool) -> None:
    with progress("killing all agents"):
        answer = api.post("/v1/agents/kill-all", body, **options)
    if as_json:
        print_json(answer)
    elif answer.get("killed") is None:
        click.echo(f"{_agents(answer['asked'])} asked to end")
    else:
        click.echo(f"{_agents(answer['killed'])} killed, {answer['ended']} ended by themselves")


def _agents(number: int) -> str:
    return "1 agent" if number == 1 else f"{number} agents"
