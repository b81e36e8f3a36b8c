"""docs/cli.md is every command's --help: `python tests/checks/test_cli_docs.py` writes it anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from muster.cli import COMMANDS, cli

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"

HEAD = """\
# The `muster` command

Written by `python tests/checks/test_cli_docs.py` from what each command says with `--help`.

Exit codes: 0 done, 1 refused or not well, 2 wrong usage or no Muster answers, 130 ended by Ctrl-C,
141 whoever read the output went away first.
`muster spawn --follow` ends as its agent does: its exit code, 137 when it was killed, 124 when its time was up.

Where the id of a task, an agent, a session, an observation or a key is wanted, the beginning or the end of a recent
one is enough; of a job, the beginning; `muster activity` wants it whole. Where an agent is wanted, a task's id means
its latest agent, except in `muster memory`. Commands find the API through `MUSTER_URL`, else through `MUSTER_HOME`.
"""


def _helps(command: click.Command, name: str, parent: click.Context | None) -> Iterator[str]:
    context = click.Context(command, parent, info_name=name.split()[-1], max_content_width=100, terminal_width=100)
    if name == "muster temporal":  # hands everything on, --help too
        yield f"### `{name}`\n\n{command.help}\n"
    else:
        yield f"### `{name}`\n\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for sub in command.list_commands(context):
            found = command.get_command(context, sub)
            assert found
            yield from _helps(found, f"{name} {sub}", context)


def rendered() -> str:
    root = click.Context(cli, info_name="muster", **cli.context_settings)
    parts = [HEAD]
    for section, commands in COMMANDS.items():
        parts.append(f"## {section}\n")
        for name in commands:
            command = cli.get_command(root, name)
            assert command
            parts += _helps(command, f"muster {name}", root)
    return "\n".join(parts)


def test_the_page_says_what_the_commands_say() -> None:
    assert PAGE.read_text() == rendered(), f"stale: run `python {Path(__file__).relative_to(PAGE.parents[1])}`"


def test_each_command_says_what_it_does() -> None:
    for commands in COMMANDS.values():
        for name, (_, summary) in commands.items():
            command = cli.get_command(click.Context(cli), name)
            assert command
            assert command.help
            assert summary.endswith(".")
            assert all(parameter.help for parameter in command.params if isinstance(parameter, click.Option)
                       if not parameter.hidden), name  # fmt: skip


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(rendered())
