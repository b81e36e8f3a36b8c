"""`muster embedder`: the embedded model alone, for servers; `muster up` runs one of its own."""

from __future__ import annotations

import os
import sys

import click

from muster.cli.durations import Whole
from muster.cli.parts import _exit_with
from muster.services import probes
from muster.services.errors import StartupError
from muster.settings import Settings

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address it listens on.")
@click.option("--port", default=8701, show_default=True, type=Whole(1, 65535), help="Port it listens on.")
@click.option(
    "--healthcheck", is_flag=True, help="Only ask the one at this host and port whether it can work; exit code 0 or 1."
)
def embedder(host: str, port: int, healthcheck: bool) -> None:
    """Run the embedded model alone, behind OpenAI's POST /v1/embeddings."""
    if healthcheck:
        _exit_with(_ready({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port))  # noqa: S104 - asked, not bound
    settings = Settings()
    if host not in _LOOPBACK and not settings.allow_remote:
        raise StartupError(
            f"--host {host} would send what is remembered over the network in the clear; set MUSTER_ALLOW_REMOTE=true "
            "if nobody else can listen there"
        )
    env = dict(os.environ)
    if settings.embeddings_secret:  # also where it comes from a file
        env["MUSTER_EMBEDDINGS_KEY"] = settings.embeddings_secret
    # In our place, with the same process id: it needs neither settings nor command line, which would double its start.
    os.execve(sys.executable, [sys.executable, "-P", "-m", "muster.models.embedder", host, str(port)], env)  # noqa: S606


async def _ready(host: str, port: int) -> str:
    await probes.http_ready(host, port, "/healthz")
    return "ready"
