"""Following an agent's output, and a task over all its agents."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import click

from muster.cli.client import Api
from muster.cli.command import progress
from muster.domain.states import FINAL_TASK

KILLED, TIMED_OUT, FAILED = 137, 124, 1


def print_output(line: dict[str, Any], *, timestamps: bool = False) -> None:
    """On the stream the agent wrote it to. What Muster has to say about the output is not the agent's answer."""
    click.echo(f"{line['at']} {line['text']}" if timestamps else line["text"], err=line["stream"] != "stdout")


def output(api: Api, agent_id: str, after: int = 0) -> Iterator[dict[str, Any]]:
    """The lines of an agent up to its end."""
    for message in api.stream(f"/v1/agents/{agent_id}/output", after):
        if message.event == "end":
            return
        if message.event == "line" and message.data is not None:
            yield json.loads(message.data)


@dataclass
class Followed:
    """What the follower of a task is told."""

    line: Callable[[dict[str, Any], dict[str, Any]], None]
    """An agent, and a line it wrote."""
    spawned: Callable[[dict[str, Any]], None]
    ended: Callable[[dict[str, Any], dict[str, Any]], None]
    """An agent, as it ended, and its task, which is not final yet."""


def task(api: Api, task_id: str, told: Followed) -> dict[str, Any]:
    """Follow a task through every agent it is given, and return it when it is final.

    One connection at a time: while an agent writes, nobody reads the event stream, which would be cut off.
    """
    attempt, position = 0, 0
    while True:
        found: dict[str, Any] = api.get(f"/v1/tasks/{task_id}")
        for agent in sorted(found["agents"], key=lambda agent: int(agent["attempt"])):
            if agent["attempt"] > attempt:
                attempt = agent["attempt"]
                told.spawned(agent)
                for line in output(api, agent["id"]):
                    told.line(agent, line)
                found = api.get(f"/v1/tasks/{task_id}")
                if found["status"] not in FINAL_TASK:
                    told.ended(next(ended for ended in found["agents"] if ended["id"] == agent["id"]), found)
        if any(agent["attempt"] > attempt for agent in found["agents"]):
            continue  # came after the last look
        if found["status"] in FINAL_TASK:
            return found
        position = _until_news(api, found, attempt, position)


def _until_news(api: Api, task: dict[str, Any], attempt: int, position: int) -> int:
    """Wait for an event that says the task has another agent, or has ended."""
    what = f"waits for {task['waiting_for']}" if task["waiting_for"] else "goes on"
    with progress(f"task {task['id']} {what}"):
        for message in api.stream("/v1/events", position, task=task["id"]):
            if message.data is None or message.id is None:
                continue
            position = int(message.id)
            event = json.loads(message.data)
            if event["type"] == "agent.spawned" and event["attempt"] > attempt:
                break
            if event["type"] in {"task.completed", "task.failed"} and event["data"]["version"] > task["version"]:
                break
    return position


def exit_code(task: dict[str, Any]) -> int:
    """The code with which its last agent ended, as far as it has one that says what happened."""
    if task["status"] == "completed":
        return 0
    agent = max(task["agents"], key=lambda agent: int(agent["attempt"]), default=None)
    if (agent or task)["reason"] == "timeout":  # which is a kill, too
        return TIMED_OUT
    if agent and agent["status"] == "killed":
        return KILLED
    code = (agent and agent["exit_code"]) or FAILED
    return code if code > 0 else 128 - code
