"""`muster demo`: a guided show in which everything is real, and every claim is checked."""

from __future__ import annotations

import json
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click

from muster.cli import INTERRUPTED
from muster.cli.client import Api, Failure
from muster.cli.stage import Stage
from muster.services import runtime
from muster.settings import Settings

MOST_TO_FILL = 40
"""Slots that the show is willing to fill to let one task wait."""

STUBBORN = """\
trap '' TERM                      # deaf to the polite signal
setsid sleep 300 &                # a child that leaves the process group
echo "$$ $!"
while true; do sleep 1; done
"""


@click.command()
@click.pass_context
def demo(ctx: click.Context) -> None:
    """Watch a one-minute show: a fleet, a failure, a kill, a queue, subtasks.

    Plays on the Muster that runs; without one, it starts it and stops it afterwards. Exit code 0 only when
    everything came out as it said.

    \b
    $ muster demo
    """
    settings = Settings()
    ours = not settings.api_url and runtime.running(settings) is None
    if ours:
        from muster.cli.runtime import start

        click.echo("No Muster runs here: starting one, and stopping it afterwards.")
        ctx.invoke(start)
    try:
        with Api() as api:
            failed = _play(api)
            _afterwards(api, ours)
    except KeyboardInterrupt:
        click.echo("\nThe show ends here. What it spawned ends by itself within half a minute.", err=True)
        ctx.exit(INTERRUPTED)
    finally:
        if ours:
            from muster.cli.runtime import stop

            ctx.invoke(stop)
    if failed:
        click.echo(f"{len(failed)} things did not come out as they should have", err=True)
        ctx.exit(1)


def _play(api: Api) -> list[str]:
    began = time.monotonic()
    with Stage(api) as stage:
        for scene in (_fleet, _failure, _kill, _queue, _family):
            try:
                scene(stage)
            except Failure as failure:
                stage.expect(False, f"this scene plays to its end: {failure.message}")
        stage.scene("Events")
        types = {event["type"] for event in stage.events}
        stage.expect(stage.gapless(), f"{len(stage.events)} events came live, in order and without a gap")
        stage.expect(len(types) == 9, "each of the nine kinds was among them", sorted(types))
    click.echo(f"\nThat took {time.monotonic() - began:.0f} s.")
    return stage.failed


def _fleet(stage: Stage) -> None:
    stage.scene("A small fleet", "Four tasks are handed over; each is given an agent: here, a small program.")
    names = ["read the logs", "count the words", "check the links", "draw the chart"]
    ids = [
        stage.task(name, f'echo begun; sleep {0.4 + 0.2 * place:.1f}; echo \'{{"done": "{name}"}}\'')
        for place, name in enumerate(names)
    ]
    tasks = stage.until_over(ids)
    stage.expect(all(task["status"] == "completed" for task in tasks), "all four completed", _ends(tasks))
    stage.expect(
        [task["result"] for task in tasks] == [{"done": name} for name in names],
        "the last line of JSON each one wrote is its result",
    )


def _failure(stage: Stage) -> None:
    stage.scene("A failure", "This agent fails. Its task allows three attempts, so another is spawned.")
    task_id = stage.task(
        "fetch the report",
        'echo "attempt $MUSTER_ATTEMPT"; sleep 0.5; [ "$MUSTER_ATTEMPT" -gt 1 ] || exit 3',
        retry={"max_attempts": 3, "initial_seconds": 0.5},
    )
    (task,) = stage.until_over([task_id])
    first = task["agents"][-1]
    stage.expect(
        (first["status"], first["exit_code"]) == ("failed", 3),
        "the first agent failed with exit code 3",
        f"({first['status']}, {first['exit_code']})",
    )
    stage.expect(
        (task["status"], task["attempts"]) == ("completed", 2),
        "the second one completed the task",
        f"({task['status']} after {task['attempts']})",
    )


def _kill(stage: Stage) -> None:
    stage.scene(
        "A kill, proven",
        "This agent ignores SIGTERM, and its child has left the process group. It has",
        "half a second of grace. `killed` is only said once nothing of it is left.",
    )
    task_id = stage.task("run wild", STUBBORN)
    agent_id = stage.until("agent.running", task_id)["agent_id"]
    pids = _first_line(stage, agent_id).split()
    began = time.monotonic()
    agent = stage.api.post(
        f"/v1/agents/{agent_id}/kill", {"grace_seconds": 0.5, "reason": "the show wants it"}, wait="true"
    )  # fmt: skip
    seconds = time.monotonic() - began
    here = (agent["worker"] or "").partition(":")[0] == socket.gethostname()
    left = [pid for pid in pids if _still_that(pid)] if here else []
    stage.expect(agent["status"] == "killed", f"it was killed after {seconds:.1f} s", f"({agent['status']})")
    if here:
        stage.expect(len(pids) == 2 and not left, f"its processes {' and '.join(pids)} are gone", left)
    (task,) = stage.until_over([task_id])
    stage.expect(task["reason"] == "killed", "its task failed, with `killed` as the reason", _ends([task]))


def _first_line(stage: Stage, agent_id: str) -> str:
    for message in stage.api.stream(f"/v1/agents/{agent_id}/output", 0):
        if message.event == "line" and message.data:
            return str(json.loads(message.data)["text"])
    raise Failure(f"agent {agent_id} ended before it wrote anything")


def _still_that(pid: str) -> bool:
    """Whether the process is there and is ours, not a later one with its number."""
    try:
        return b"MUSTER_AGENT_ID" in Path("/proc", pid, "environ").read_bytes()
    except OSError:
        return False


def _queue(stage: Stage) -> None:
    queue = stage.api.get("/v1/queue")
    most, free = queue["max_concurrent_agents"], queue["max_concurrent_agents"] - queue["active_agents"]
    if free > MOST_TO_FILL:
        stage.scene("The queue", f"Left out: {free} slots are free, more than a show should fill.")
        return
    stage.scene(
        "The queue", f"The workspace may run {most} agents at once. With {free} more it is full, so one task waits."
    )
    with ThreadPoolExecutor(8) as pool:
        busy = f"sleep {3 + free // 8}"  # long enough for all of them to have begun
        filling = list(pool.map(lambda n: stage.task(f"keep a slot busy, {n}", busy), range(1, free + 1)))
    for task_id in filling:
        stage.until("agent.spawned", task_id)
    waiting = stage.task("wait for a slot", "echo 'my turn'", priority=9)
    task = stage.get(waiting)
    stage.expect(
        (task["status"], task["waiting_for"]) == ("pending", "slot"),
        "with all slots taken, the task waits",
        f"({task['status']}, {task['waiting_for']})",
    )
    (task,) = stage.until_over([waiting])
    stage.expect(task["status"] == "completed", "a slot became free, and it ran", _ends([task]))
    stage.until_over(filling)


def _family(stage: Stage) -> None:
    stage.scene("Subtasks", "A task stands for three others; the last of them depends on the first two.")
    parent = stage.task("release 1.2")
    parts = [stage.task(name, "sleep 1.2", parent_id=parent) for name in ("build", "test")]
    publish = stage.task("publish", "echo published", parent_id=parent, depends_on=parts)
    waits = stage.get(publish)["waiting_for"]
    whole, last, *before = stage.until_over([parent, publish, *parts])
    stage.expect(waits == "dependencies", "`publish` waited for `build` and `test`", f"({waits})")
    in_order = all(task["finished_at"] <= last["started_at"] for task in before)
    stage.expect(in_order, "and began when both were completed")
    stage.expect(whole["status"] == "completed", "the release completed with its subtasks", _ends([whole]))


def _ends(tasks: list[dict[str, Any]]) -> str:
    return ", ".join(f"{task['title']}: {task['status']} {task['reason'] or ''}".rstrip() for task in tasks)


def _afterwards(api: Api, ours: bool) -> None:
    newest = next(api.pages("/v1/agents", 1), None)
    web = ((newest or {}).get("temporal_url") or "").partition("/namespaces/")[0]
    click.echo("\nLook further:")
    if web:
        click.echo(f"  {web}   every task and agent in the Temporal Web UI")
    click.echo(f"  {api.url}/docs   the HTTP API")
    for command in (
        "muster tasks --label demo",
        "muster ps --all",
        "muster events -f",
        "muster spawn --retries 2 --follow -- bash -c 'echo hello; sleep 2'",
    ):
        click.echo(f"  {command}")
    if not ours:
        return
    if sys.stdin.isatty() and sys.stdout.isatty():
        try:
            click.pause("\nThis Muster runs until you press a key; `make up` brings it back with all of this. ")
        except KeyboardInterrupt:
            pass
    else:
        click.echo("\nThis Muster stops now; `make up` brings it back, with all of this.")
