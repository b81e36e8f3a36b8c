"""One part of Muster at a time: what servers run, and what a database or Valkey needs now and then."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import os
import socket
import sys
from collections.abc import Collection, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, NoReturn

import click

from muster import logs
from muster.services import beats, probes, runtime
from muster.services.errors import StartupError
from muster.settings import Settings

if TYPE_CHECKING:
    from api.commands import Commands

HEALTHCHECK_SECONDS = 5.0


def secret(settings: Settings, *, owner: bool = False) -> str:
    """The database's URL, of settings that are resolved."""
    url = (settings.database_owner_url if owner else None) or settings.database_url
    if url is None:
        raise StartupError("set DATABASE_URL")
    return url.get_secret_value()


def pepper(settings: Settings) -> bytes:
    """What keys are hashed with, of settings that are resolved."""
    if settings.secret_key is None:
        raise StartupError("set MUSTER_SECRET_KEY, the same for every API and worker")
    return settings.secret_key.get_secret_value().encode()


async def run_migrations(settings: Settings) -> list[str]:
    from muster.storage import migrations

    return await migrations.migrate(secret(settings, owner=True), max_concurrent_agents=settings.max_concurrent_agents)


async def pending_migrations(settings: Settings) -> list[str]:
    from muster.storage import migrations

    return await migrations.pending(secret(settings, owner=True))


async def demand_services(settings: Settings, needs: Collection[str] = ("temporal", "postgres", "valkey")) -> None:
    """Exactly the servers that are named, or no start and one line that says which does not answer."""
    from muster.services.stack import Stack

    await Stack(settings).check(needs)


@click.command()
@click.option(
    "--healthcheck", is_flag=True, help="Only ask the one that runs here whether it can work; exit code 0 or 1."
)
def api(healthcheck: bool) -> None:
    """Run the HTTP API alone, with the services the settings name or the Muster that runs here."""
    if healthcheck:
        _exit_with(_api_ready(Settings()))
    _frugal_memory()
    with _loading():
        settings = runtime.resolve(Settings())
        pepper(settings)
        asyncio.run(demand_schema(settings, ["temporal", "postgres", "valkey"]))
        from api.app import create_app
        from muster.cli import serve

        logs.configure(settings)
        app = create_app(settings)
    serve.run(app, settings)


async def demand_schema(settings: Settings, needs: Collection[str] = ("postgres",)) -> None:
    """That these answer, and that the database has been migrated."""
    from muster.storage import migrations

    await demand_services(settings, needs)
    await migrations.demand(secret(settings))


@contextlib.contextmanager
def _loading() -> Iterator[None]:
    """What is imported stays to the end: nobody needs to look, again and again, whether it is garbage. That is a tenth
    of a start."""
    gc.disable()
    try:
        yield
    finally:
        gc.collect()  # once; what is not found now would stay, too
        gc.freeze()
        gc.enable()


def _frugal_memory() -> None:
    """glibc gives each thread that allocates an arena of its own and keeps what was freed, the more the larger the
    largest piece was: together some 8 MB here, where one thread does the work. And FastAPI asks of each model whether
    it is one of pydantic's first version, which takes it 1.6 MB to find out."""
    sys.modules.setdefault("pydantic.v1", None)  # type: ignore[arg-type]
    with contextlib.suppress(AttributeError, OSError):  # another libc
        libc = ctypes.CDLL(None)
        libc.mallopt(-8, 2)  # M_ARENA_MAX
        libc.mallopt(-1, 128 * 1024)  # M_TRIM_THRESHOLD: what it is at first, but no longer raised
        libc.mallopt(-3, 128 * 1024)  # M_MMAP_THRESHOLD: likewise


async def _api_ready(settings: Settings) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.api_host, settings.api_host)  # noqa: S104 - asked, not bound
    await probes.http_ready(host, settings.api_port)
    return "ready"


@click.command()
@click.option("--healthcheck", is_flag=True, help="Only see whether one of this host asks for work; exit code 0 or 1.")
def worker(healthcheck: bool) -> None:
    """Run one worker alone, with the services the settings name or the Muster that runs here."""
    if healthcheck:
        settings = runtime.resolve(Settings(), needs=["temporal"])
        from api.commands import Commands  # which takes its time, and that is not the servers'

        _exit_with(_worker_polls(Commands(settings), settings))

    import uvloop

    async def run(settings: Settings) -> None:
        with _loading():
            pepper(settings)
            await demand_services(settings)
            import worker as composition_root
        beats.begin()
        await composition_root.main(settings)

    uvloop.run(run(runtime.resolve(Settings())))


async def _worker_polls(commands: Commands, settings: Settings) -> str:
    """Temporal has heard from it within the last minute, and its process is there: one alone says little."""
    mine = f"worker@{socket.gethostname()}:"
    polling = [identity for identity in await commands.workers() if identity.startswith(mine)]
    living = [identity for identity in polling if runtime.process_start(int(identity.removeprefix(mine)))]
    if not living:
        raise StartupError(
            f"no worker of this host polls {settings.temporal_task_queue} at {settings.temporal_address}"
        )
    return f"{', '.join(living)} polls {settings.temporal_task_queue}"


def _exit_with(check: Coroutine[Any, Any, str]) -> NoReturn:
    async def answer() -> str:
        async with asyncio.timeout(HEALTHCHECK_SECONDS):
            return await check

    code = 0
    try:
        click.echo(asyncio.run(answer()))
    except TimeoutError:
        code = 1
        click.echo(f"muster: no answer within {HEALTHCHECK_SECONDS:g} s", err=True)
    except Exception as error:  # every client names its failures differently, and a health check is one line
        code = 1
        click.echo(f"muster: {(str(error).strip() or type(error).__name__).splitlines()[-1]}", err=True)
    sys.exit(code)


@click.command()
def migrate() -> None:
    """Bring the database's schema up to date. Safe when two run at once."""
    settings = runtime.resolve(Settings(), needs=["postgres"])
    asyncio.run(demand_services(settings, ["postgres"]))
    applied = asyncio.run(run_migrations(settings))
    click.echo("\n".join(f"applied {name}" for name in applied) or "the schema is up to date")


@click.command()
def seed() -> None:
    """Add sample data: a user, a workspace, a project, tasks and an event. May be repeated."""
    from muster.storage import seed as samples

    settings = runtime.resolve(Settings(), needs=["postgres"])
    asyncio.run(demand_schema(settings))
    made = asyncio.run(samples.seed(secret(settings)))
    click.echo("\n".join(f"{name:<16}{value}" for name, value in made.items()))


@click.command()
def rebuild() -> None:
    """Write Valkey's live picture anew from Postgres."""
    from muster.storage import mirror

    settings = runtime.resolve(Settings(), needs=["postgres", "valkey"])
    asyncio.run(demand_schema(settings, ["postgres", "valkey"]))
    rows = asyncio.run(
        mirror.rebuild(
            secret(settings),
            settings.external_valkey_url or "",
            terminal_ttl_seconds=settings.terminal_ttl_seconds,
        )
    )
    click.echo(f"rebuilt: {rows} rows")


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
    if settings.payload_keys and (key := runtime.api_key(settings)):
        # In the environment, since everybody on the machine can read arguments.
        endpoint = f"{runtime.api_url(settings)}/codec"
        # Whoever set another endpoint means it.
        env = {"TEMPORAL_CODEC_ENDPOINT": endpoint, "TEMPORAL_CODEC_AUTH": f"Bearer {key}"} | env
    binary = str(binaries.temporal())
    os.execve(binary, [binary, *arguments], env)  # noqa: S606
