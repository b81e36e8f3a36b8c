"""Groups of commands: what was mistyped is told from what there is."""

from __future__ import annotations

import difflib
from typing import NoReturn

import click


class Group(click.Group):
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if not ctx.resilient_parsing and args and self.get_command(ctx, args[0]) is None and args[0][:1].isalnum():
            self._fail(ctx, args[0])
        return super().resolve_command(ctx, args)

    def _fail(self, ctx: click.Context, name: str) -> NoReturn:
        near = difflib.get_close_matches(name.lower(), self.list_commands(ctx), n=2)
        meant = f" Did you mean {' or '.join(near)}?" if near else ""
        ctx.fail(f"No such command {name!r}.{meant}")
