"""`muster show`: one task or agent, with all there is to know about it."""

from __future__ import annotations

import json
from typing import Any

import click

from muster.cli.client import Api
from muster.cli.command import api_command, print_json, progress
from muster.cli.references import find
from muster.cli.tables import command_of, duration, print_facts, print_table, seconds_text, status_of, when


@api_command()
@click.argument("reference", metavar="ID")
def show(api: Api, reference: str, as_json: bool) -> None:
    """Show a task or an agent. The beginning or end of its id is enough.

    \b
    $ muster show 5c1b3f
    """
    with progress("looking it up"):
        kind, item = find(api, reference)
    if as_json:
        print_json({"kind": kind, **item})
    elif kind == "agent":
        _show_agent(item)
    else:
        _show_task(item)


def _show_agent(agent: dict[str, Any]) -> None:
    kill = agent["kill_request"]
    print_facts(
        [
            ("agent", agent["id"]),
            ("status", status_of(agent)),
            ("error", agent["error"]),
            ("exit code", _text(agent["exit_code"])),
            ("result", _text(agent["result"])),
            ("task", agent["task_id"]),
            ("attempt", str(agent["attempt"])),
            ("command", command_of(agent["runner"])),
            ("directory", agent["runner"].get("cwd")),
            ("worker", agent["worker"]),
            ("kill asked", kill and (kill["reason"] or f"with {kill['grace_seconds']:g} s of grace")),
            ("output", f"{agent['output_lines']} lines{', cut off' if agent['output_truncated'] else ''}"),
            ("created", when(agent["created_at"])),
            ("started", when(agent["started_at"])),
            ("finished", when(agent["finished_at"])),
            ("ran", duration(agent)),
            ("workflow", agent["workflow_id"]),
            ("Temporal", agent["temporal_url"]),
        ]
    )


def _show_task(task: dict[str, Any]) -> None:
    retry = task["retry"]
    policy = str(task["attempts"])
    if retry["max_attempts"] > 1:
        policy += f", up to {retry['max_attempts']} a run"
        policy += f", first wait {retry['initial_seconds']:g} s, then ×{retry['factor']:g}"
    print_facts(
        [
            ("task", task["id"]),
            ("title", task["title"]),
            ("status", status_of(task)),
            ("error", task["error"]),
            ("result", _text(task["result"])),
            ("priority", f"{task['priority']} of 10"),
            ("attempts", policy),
            ("next attempt", when(task["next_attempt_at"])),
            ("command", command_of(task["runner"])),
            ("time limit", seconds_text(task["timeout_seconds"]) if task["timeout_seconds"] else None),
            ("labels", ", ".join(task["labels"])),
            ("project", task["project_id"]),
            ("parent", task["parent_id"]),
            ("depends on", ", ".join(task["depends_on"])),
            ("created", when(task["created_at"])),
            ("started", when(task["started_at"])),
            ("finished", when(task["finished_at"])),
            ("workflow", task["workflow_id"]),
            ("Temporal", task["temporal_url"]),
        ]
    )
    if task["agents"]:
        click.echo()
        print_table(
            ["agent", "try", "status", "exit", "ran", "why"],
            [
                [
                    agent["id"],
                    str(agent["attempt"]),
                    status_of(agent),
                    _text(agent["exit_code"]) or "",
                    duration(agent),
                    agent["error"] or "",
                ]
                for agent in task["agents"]
            ],
            empty="",
        )
    if task["subtasks"]:
        click.echo()
        print_table(
            ["subtask", "status", "title"],
            [[subtask["id"], subtask["status"], subtask["title"]] for subtask in task["subtasks"]],
            empty="",
        )


def _text(value: Any) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)
