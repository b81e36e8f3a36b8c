"""The `muster` command. May import anything; only tests import it.

Commands are named here and imported when they run: `muster ps` should not pay for what `muster api` needs.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from muster.cli.interrupts import ending

with ending():
    import click

    from muster.cli.groups import Group

INTERRUPTED = 130
UNREAD = 141

# section → command → (where its click command is, what the list says)
COMMANDS: dict[str, dict[str, tuple[str, str]]] = {
    "Run Muster": {
        "up": ("muster.cli.runtime:up", "Run everything in the foreground until Ctrl-C."),
        "start": ("muster.cli.runtime:start", "Run everything in the background."),
        "stop": ("muster.cli.runtime:stop", "Stop what `start` or `up` runs."),
        "restart": ("muster.cli.runtime:restart", "Stop, then start."),
        "status": ("muster.cli.runtime:status", "Say what runs, and where."),
        "doctor": ("muster.cli.doctor:doctor", "Check every dependency."),
        "api": ("muster.cli.parts:api", "Run the HTTP API alone."),
        "worker": ("muster.cli.parts:worker", "Run one worker alone."),
        "embedder": ("muster.cli.embedder:embedder", "Run the embedded model of meanings alone."),
        "migrate": ("muster.cli.parts:migrate", "Bring the database's schema up to date."),
        "seed": ("muster.cli.parts:seed", "Add sample data; may be repeated."),
        "rebuild": ("muster.cli.parts:rebuild", "Write Valkey's live picture anew from Postgres."),
        "temporal": ("muster.cli.parts:temporal", "Run the bundled Temporal CLI against this Muster."),
    },
    "Work with it": {
        "spawn": ("muster.cli.spawn:spawn", "Spawn an agent, and perhaps watch it."),
        "ps": ("muster.cli.agents:ps", "List agents that run."),
        "tasks": ("muster.cli.tasks:tasks", "List tasks."),
        "show": ("muster.cli.show:show", "Show a task or an agent."),
        "logs": ("muster.cli.agents:logs", "Print what an agent wrote, or writes."),
        "events": ("muster.cli.events:events", "Print lifecycle events, or follow them."),
        "kill": ("muster.cli.agents:kill", "Kill agents, and prove it."),
        "cancel": ("muster.cli.tasks:cancel", "Cancel a task."),
        "retry": ("muster.cli.tasks:retry", "Try a failed task again."),
        "queue": ("muster.cli.tasks:queue", "Show which tasks wait for a slot."),
        "projects": ("muster.cli.projects:projects", "Keep projects."),
        "memory": ("muster.cli.memory:memory", "Search what is remembered, and add to it."),
        "jobs": ("muster.cli.jobs:jobs", "Look after what memory has to do."),
        "mcp": ("muster.cli.mcp:mcp", "Offer Muster's tools to a model, over standard input and output."),
        "demo": ("muster.cli.demo:demo", "Watch a one-minute show on the real thing."),
    },
    "Share it": {
        "keys": ("muster.cli.keys:keys", "Keep API keys."),
        "workspaces": ("muster.cli.workspaces:workspaces", "Keep workspaces and their limits."),
        "members": ("muster.cli.members:members", "Keep who may work in the workspace."),
        "activity": ("muster.cli.activity:activity", "Print who did what."),
        "usage": ("muster.cli.fleet:usage", "Show what the workspace may use, and has used."),
        "stop-all": ("muster.cli.fleet:stop_all", "Kill all agents, and give no new ones."),
        "drain": ("muster.cli.fleet:drain", "Give no new agents; let the running finish."),
        "resume": ("muster.cli.fleet:resume", "Give agents again."),
    },
}


def _entries() -> Iterator[tuple[str, str, str]]:
    for commands in COMMANDS.values():
        for name, (target, summary) in commands.items():
            yield name, target, summary


@contextmanager
def _quietly() -> Iterator[None]:
    """Ctrl-C, and a reader who has gone, as `head` does, are no news to anybody."""
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left in the buffer has somewhere to go
        sys.exit(UNREAD)


class LazyGroup(Group):
    def make_context(self, *arguments: Any, **more: Any) -> click.Context:
        with _quietly(), ending():
            return super().make_context(*arguments, **more)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] == "help":
            args = [*args[1:], "--help"]
        elif args == ["version"]:
            args = ["--version"]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        with _quietly():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name, _, _ in _entries()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for name, target, _ in _entries():
            if name == cmd_name:
                module, _, attribute = target.partition(":")
                with ending():
                    command: click.Command = getattr(importlib.import_module(module), attribute)
                return command
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section, commands in COMMANDS.items():
            if commands:
                with formatter.section(section):
                    formatter.write_dl([(name, summary) for name, (_, summary) in commands.items()])


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from muster.domain.version import VERSION

        click.echo(f"muster {VERSION}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version, help="Show the version."
)
def cli() -> None:
    """Runs fleets of AI agents durably."""


def _explain(error: Exception) -> str | None:
    """One line for what people cause and can mend; None for what is a fault of ours."""
    from pydantic import ValidationError

    from muster.domain.errors import MusterError
    from muster.services.errors import StartupError

    if isinstance(error, StartupError | MusterError):
        return str(error)
    if isinstance(error, ValidationError) and error.title == "Settings":
        problems = []
        for problem in error.errors(include_url=False, include_context=False):
            name = ".".join(str(part) for part in problem["loc"])
            what = problem["msg"].removeprefix("Value error, ")
            if problem["type"] in ("too_short", "too_long"):  # of a text that is kept secret
                what = what.replace(" items", " characters")
            problems.append(f"{name}: {what}" if name else what)
        return "; ".join(problems)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EIO, errno.EDQUOT):
        return f"could not write: {os.strerror(error.errno)}"
    return None


def main() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - installed past the wheel's own check
        sys.exit(f"muster: Python 3.11 or later is needed, and this is {sys.version.split()[0]}")
    try:
        _run()
    except SystemExit as ended:
        if "temporalio.client" in sys.modules:
            from muster.temporal import leave

            leave(ended.code if isinstance(ended.code, int) else 0)
        raise


def _run() -> None:
    try:
        cli(prog_name="muster")
    except Exception as error:
        explanation = _explain(error)
        if explanation is None or os.environ.get("MUSTER_LOG_LEVEL") == "debug":
            raise
        click.echo(f"muster: {explanation}", err=True)
        sys.exit(1)
