"""One part of Muster at a time: what servers run, and what a database or Valkey needs now and then."""

from __future__ import annotations

import asyncio
import inspect
import os
from typing import Any

import click

from muster.services import runtime
from muster.services.errors import StartupError
from muster.settings import Settings


def secret(settings: Settings, *, owner: bool = False) -> str:
    """The database's URL, of settings that are resolved."""
    url = (settings.database_owner_url if owner else None) or settings.database_url
    if url is None:
        raise StartupError("set DATABASE_URL")
    return url.get_secret_value()


async def run_migrations(settings: Settings) -> list[str]:
    from muster.storage import migrations

    return await migrations.migrate(secret(settings, owner=True), max_concurrent_agents=settings.max_concurrent_agents)


async def pending_migrations(settings: Settings) -> list[str]:
    from muster.storage import migrations

    return await migrations.pending(secret(settings, owner=True))


@click.command()
def api() -> None:
    """Run the HTTP API alone, with the services the settings name or the Muster that runs here."""
    import uvicorn
    from api.app import create_app

    settings = runtime.resolve(Settings())
    uvicorn.run(
        create_app(settings),
        host=settings.api_host,
        port=settings.api_port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level=settings.log_level,
        # Event streams never end by themselves; a client resumes with its last event id.
        timeout_graceful_shutdown=2,
    )


@click.command()
def worker() -> None:
    """Run one worker alone, with the services the settings name or the Muster that runs here."""
    import worker as composition_root

    asyncio.run(composition_root.main(runtime.resolve(Settings())))


@click.command()
def migrate() -> None:
    """Bring the database's schema up to date. Safe when two run at once."""
    applied = asyncio.run(run_migrations(runtime.resolve(Settings(), needs=["postgres"])))
    click.echo("\n".join(f"applied {name}" for name in applied) or "the schema is up to date")


@click.command()
def seed() -> None:
    """Add sample data: a user, a workspace, a project, tasks and an event. May be repeated."""
    from muster.storage import seed as samples

    made: Any = asyncio.run(_await(samples.seed(secret(runtime.resolve(Settings(), needs=["postgres"])))))
    click.echo("\n".join(f"{name:<16}{value}" for name, value in made.items()))


@click.command()
def rebuild() -> None:
    """Write Valkey's live picture anew from Postgres."""
    from muster.storage import mirror

    settings = runtime.resolve(Settings(), needs=["postgres", "valkey"])
    written: Any = asyncio.run(_await(mirror.rebuild(secret(settings), settings.external_valkey_url)))
    click.echo(f"rebuilt: {written}")


async def _await(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def temporal(arguments: tuple[str, ...]) -> None:
    """Run the bundled Temporal CLI, with address and namespace filled in."""
    from muster.services import binaries

    settings = Settings()
    env = dict(os.environ)
    if settings.embeds_temporal:
        # TLS, keys or a profile that were meant for another server must not reach the embedded one.
        env = {name: value for name, value in env.items() if not name.startswith("TEMPORAL_")}
        settings = runtime.resolve(settings, needs=["temporal"])
    env |= {"TEMPORAL_ADDRESS": settings.temporal_address or "", "TEMPORAL_NAMESPACE": settings.temporal_namespace}
    binary = str(binaries.temporal())
    os.execve(binary, [binary, *arguments], env)  # noqa: S606
