"""`muster jobs`: what memory has to do, what failed, and the lanes it goes through."""

from __future__ import annotations

import re
from typing import Any

import click

from muster.cli.client import Api, Failure
from muster.cli.command import api_command, print_json, progress
from muster.cli.durations import Whole
from muster.cli.groups import Group
from muster.cli.references import memory_id
from muster.cli.tables import age, ident, in_terminal, print_facts, print_table, seconds_text, when
from muster.domain.memory import ErrorClass, JobKind, JobStatus

RECENT = 1000
SHORT = 13
"""So much of a job's id tells it from others in a terminal: its kind, and the first digits."""

_KIND = click.Choice([str(kind) for kind in JobKind])
_ERROR_CLASS = click.Choice([str(kind) for kind in ErrorClass])


@click.group(cls=Group, invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Alone: for scripts.")
@click.pass_context
def jobs(context: click.Context, as_json: bool) -> None:
    """Look after memory's jobs: what becomes observations, and what could not. Alone, it lists them.

    \b
    $ muster jobs list --status failed
    $ muster jobs requeue --error-class quota
    """
    if context.invoked_subcommand is None:
        context.invoke(list_, as_json=as_json)
    elif as_json:
        raise click.UsageError(f"write --json after {context.invoked_subcommand}")


@api_command(group=jobs, name="list")
@click.option("--project", metavar="SLUG", help="Of this project (slug or id).")
@click.option("--session", metavar="ID", help="Of this session.")
@click.option("--kind", type=_KIND, help="Only of this kind.")
@click.option("--status", multiple=True, type=click.Choice([str(status) for status in JobStatus]), help="Repeatable.")
@click.option("--error-class", type=_ERROR_CLASS, help="Whose last failure was of this class.")
@click.option("--limit", type=Whole(1), default=50, show_default=True, help="How many at most.")
def list_(
    api: Api,
    project: str | None = None,
    session: str | None = None,
    kind: str | None = None,
    status: tuple[str, ...] = (),
    error_class: str | None = None,
    limit: int = 50,
    as_json: bool = False,
) -> None:
    """List jobs, newest first.

    \b
    $ muster jobs list --status failed --project apollo
    """
    with progress("reading jobs"):
        filters = {"project": project, "kind": kind, "status": status, "error_class": error_class}
        filters["session"] = memory_id(api, "session", session) if session else None
        found = list(api.pages("/v1/jobs", limit, **filters))
    if as_json:
        print_json(found)
        return
    nothing = "no such jobs; `muster jobs` lists all" if any(filters.values()) else (
        "no jobs yet: they come with agent events; see `muster memory stats`"
    )  # fmt: skip
    print_table(
        ["id", "kind", "status", "try", "made", "created", "session", "why"],
        [
            [
                short(job["id"]),
                job["kind"],
                job["status"],
                f"{job['attempts']}/{job['max_attempts']}",
                "" if job["observations"] is None else str(job["observations"]),
                age(job["created_at"]),
                ident(job["session_id"]),
                _why(job),
            ]
            for job in found
        ],
        empty=nothing,
    )


@api_command(group=jobs)
@click.argument("job")
def show(api: Api, job: str, as_json: bool) -> None:
    """Show a job and its history.

    \b
    $ muster jobs show evt_5c1b3f20
    """
    found = api.get(f"/v1/jobs/{job_id(api, job)}")
    if as_json:
        print_json(found)
        return
    print_facts(
        [
            ("job", found["id"]),
            ("kind", found["kind"]),
            ("status", found["status"]),
            ("why", _why(found) or None),
            ("events", str(found["events"])),
            ("observations", None if found["observations"] is None else str(found["observations"])),
            ("attempts", f"{found['attempts']} of {found['max_attempts']}"),
            ("next attempt", when(found["not_before"]) if found["status"] == "queued" else None),
            ("project", found["project_id"]),
            ("session", found["session_id"]),
            ("created", when(found["created_at"])),
            ("finished", when(found["finished_at"])),
            ("workflow", found["temporal_url"] or found["workflow_id"]),
        ]
    )
    click.echo()
    print_table(
        ["at", "status", "try", "why"],
        [
            [
                str(when(move["at"])).partition(" (")[0],
                move["to_status"],
                str(move["attempt"]),
                ", ".join(f"{name} {value}" for name, value in move["detail"].items() if value not in (None, "")),
            ]
            for move in found["history"]
        ],
        empty="no history",
    )
    if found["status"] in (JobStatus.FAILED, JobStatus.CANCELLED) and in_terminal():
        click.echo(f"\nqueue it again:  muster jobs retry {short(found['id'])}", err=True)


@api_command(group=jobs)
@click.argument("job")
def retry(api: Api, job: str, as_json: bool) -> None:
    """Queue a failed or cancelled job again.

    \b
    $ muster jobs retry evt_5c1b3f20
    """
    _moved(api.post(f"/v1/jobs/{job_id(api, job)}/retry"), as_json, "queued again")


@api_command(group=jobs)
@click.argument("job")
def cancel(api: Api, job: str, as_json: bool) -> None:
    """Cancel a job that is not done. What it is about stays recorded.

    \b
    $ muster jobs cancel evt_5c1b3f20
    """
    _moved(api.post(f"/v1/jobs/{job_id(api, job)}/cancel"), as_json, "cancelled")


@api_command(group=jobs)
@click.option("--project", metavar="SLUG", help="Of this project (slug or id).")
@click.option("--session", metavar="ID", help="Of this session.")
@click.option("--kind", type=_KIND, help="Only of this kind.")
@click.option("--status", type=click.Choice(["failed", "cancelled"]), help="Only these. Default: both.")
@click.option("--error-class", type=_ERROR_CLASS, help="Whose last failure was of this class.")
@click.option("--all", "everything", is_flag=True, help="Without any filter.")
def requeue(api: Api, everything: bool, as_json: bool, **filters: str | None) -> None:
    """Queue all failed and cancelled jobs again that match.

    \b
    $ muster jobs requeue --error-class unavailable
    """
    if filters["session"]:
        filters["session"] = memory_id(api, "session", filters["session"])
    body = {name: value for name, value in filters.items() if value is not None}
    if everything == bool(body):
        raise click.UsageError("say which, or --all")
    number = 0
    with progress("queueing jobs again"):
        while some := api.post("/v1/jobs/requeue", body)["requeued"]:
            number += some
    if as_json:
        print_json({"requeued": number})
    else:
        click.echo(f"{number} {'job' if number == 1 else 'jobs'} queued again" if number else "no such jobs")


@api_command(group=jobs)
def lanes(api: Api, as_json: bool) -> None:
    """Show the lanes: what waits in each, how old it is, how fast it goes, what failed.

    \b
    $ muster jobs lanes
    """
    found = api.get("/v1/memory/lanes")["items"]
    if as_json:
        print_json(found)
        return
    print_table(
        ["lane", "status", "queued", "working", "oldest", "per hour", "retrying", "failed today", "why"],
        [
            [
                lane["kind"],
                "paused" if lane["paused"] else "parked" if lane["parked"] else "open",
                str(lane["queued"]),
                str(lane["processing"]),
                "" if lane["oldest_seconds"] is None else seconds_text(lane["oldest_seconds"]),
                str(lane["completed_last_hour"]),
                _counted(lane["retrying"]),
                _counted(lane["failed_last_day"]),
                _held(lane),
            ]
            for lane in found
        ],
        empty="no lanes",
    )


def _counted(failures: dict[str, int]) -> str:
    return ", ".join(f"{number} {kind}" for kind, number in sorted(failures.items()))


@api_command(group=jobs)
@click.argument("lane", type=_KIND)
@click.option("--reason", help="Why; shown with the lane.")
def pause(api: Api, lane: str, reason: str | None, as_json: bool) -> None:
    """Leave the jobs of a lane queued. What is being worked on is finished.

    \b
    $ muster jobs pause event --reason 'the model is being changed'
    """
    _switched(api.post(f"/v1/memory/lanes/{lane}/pause", {"reason": reason} if reason else {}), as_json, "paused")


@api_command(group=jobs)
@click.argument("lane", type=_KIND)
def resume(api: Api, lane: str, as_json: bool) -> None:
    """Work on the jobs of a lane again, also where a quota or a budget had parked it.

    \b
    $ muster jobs resume event
    """
    _switched(api.post(f"/v1/memory/lanes/{lane}/resume", {}), as_json, "open again")


# -- What they have in common -----------------------------------------------------------------------------------


def job_id(api: Api, text: str) -> str:
    """Of a job that is named whole, or by the beginning of its id."""
    if re.fullmatch(r"(evt|evtb|sum|rdx)_[0-9a-f]{64}", text):
        return text
    if not re.fullmatch(r"(evt|evtb|sum|rdx)_[0-9a-f]{4,63}", text):
        raise Failure(f"{text!r} is no job: give a whole id, or its beginning with at least 4 digits (evt_5c1b)")
    found = [job["id"] for job in api.pages("/v1/jobs", RECENT) if job["id"].startswith(text)]
    if not found:
        raise Failure(f"no job among the latest {RECENT} begins with {text}; give the whole id")
    if len(found) > 1:
        raise Failure(f"{text} is ambiguous: {', '.join(found[:4])}")
    return str(found[0])


def short(job: str) -> str:
    return job[:SHORT] if in_terminal() else job


def _why(job: dict[str, Any]) -> str:
    if job["error"]:
        return f"{job['error_class']}: {job['error']}"
    return job["note"] or ("nothing worth keeping" if job["outcome"] == "nothing" else "")


def _held(lane: dict[str, Any]) -> str:
    parked = [
        f"{one['reason'] or 'parked'} until {str(when(one['until'])).partition(' (')[0]}" for one in lane["parked"]
    ]  # fmt: skip
    return "; ".join([*([lane["reason"]] if lane["reason"] else []), *parked])


def _moved(job: dict[str, Any], as_json: bool, what: str) -> None:
    if as_json:
        print_json(job)
    else:
        click.echo(f"job {short(job['id'])} {what}")


def _switched(lane: dict[str, Any], as_json: bool, what: str) -> None:
    if as_json:
        print_json(lane)
    else:
        click.echo(f"lane {lane['kind']} is {what}; {lane['queued']} queued")
