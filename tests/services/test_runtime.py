"""`muster up|start|stop|restart|status` as people and scripts use them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from muster.services import probes, runtime
from muster.settings import Settings
from tests.pace import Stopwatch

from . import cluster
from .conftest import Muster, eventually, processes_of


async def test_start_status_stop(muster: Muster, home: Path) -> None:
    muster.env.pop("MUSTER_EMBEDDINGS_URL")
    started = muster("start")
    assert started.returncode == 0, started.stderr
    status = muster.status()
    assert status["ok"]
    assert set(status["children"]) == {"api", "worker", "temporal", "embedder", "postgres", "valkey"}
    assert {"api", "temporal", "temporal_ui", "postgres", "valkey", "pid", "home", "version"} <= set(status)
    assert (home / "runtime.json").stat().st_mode & 0o777 == 0o600
    host, _, port = status["api"].removeprefix("http://").rpartition(":")
    await probes.http_ready(host, int(port))
    again = muster("start")
    assert again.returncode == 0
    assert "already runs" in again.stdout
    second = muster("up")
    assert (second.returncode, "already runs" in second.stderr, len(second.stderr.splitlines())) == (1, True, 1)

    settings = runtime.resolve(Settings(_env_file=None, MUSTER_HOME=home))  # type: ignore[call-arg]
    assert settings.temporal_address == status["temporal"]
    listed = muster("temporal", "operator", "namespace", "list")
    assert "default" in listed.stdout, listed.stderr
    examined = muster("doctor")
    assert examined.returncode == 0, examined.stdout + examined.stderr
    assert "18." in examined.stdout

    for name in ("worker", "api", "embedder"):
        os.kill(status["children"][name]["pid"], signal.SIGKILL)

    async def all_are_back() -> None:
        # What `status` says, without the start of a Python for each look.
        children = json.loads((home / "runtime.json").read_text())["children"]
        assert all(children[name]["restarts"] == 1 for name in ("worker", "api", "embedder"))
        await probes.http_ready(host, int(port))

    await eventually(all_are_back, 15)

    async def all_is_well() -> None:
        now = await asyncio.to_thread(muster.status)
        assert now["ok"]
        assert now["api"] == status["api"]

    await eventually(all_is_well, 15, every=2)

    os.kill(muster.status()["children"]["embedder"]["pid"], signal.SIGSTOP)
    stopped = muster("stop")
    assert (stopped.returncode, "stopped" in stopped.stdout) == (0, True)
    assert "the embedder did not stop within 5 s; killing it" in stopped.stdout.splitlines()
    assert processes_of(home) == []
    assert not (home / "runtime.json").exists()
    nothing = muster("stop")
    assert (nothing.returncode, "no Muster runs" in nothing.stdout) == (0, True)


async def test_up_ends_with_ctrl_c_and_says_where_things_are(muster: Muster, home: Path) -> None:
    await asyncio.to_thread(cluster.seed, home)
    process = muster.open("up")
    assert process.stdout
    lines: list[str] = []
    while not (lines and lines[-1].startswith("Try")):
        line = await asyncio.to_thread(process.stdout.readline)
        assert line, process.communicate()
        lines.append(line)
    assert all(name in "".join(lines) for name in ("API docs", "Temporal Web UI", str(home)))
    process.send_signal(signal.SIGINT)
    out, _ = await asyncio.to_thread(process.communicate)
    assert (process.returncode, "stopped" in out) == (0, True)
    assert processes_of(home) == []


async def test_stopped_while_it_starts(muster: Muster, home: Path) -> None:
    process = muster.open("up")

    async def begun() -> None:
        assert (home / "runtime.json").exists()

    await eventually(begun)
    process.terminate()
    _, said = await asyncio.to_thread(process.communicate)
    assert processes_of(home) == [], said
    assert not (home / "runtime.json").exists()


@pytest.mark.parametrize("command", ["up", "start"])
def test_a_taken_api_port_is_one_clear_line(home: Path, command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = Muster(home, MUSTER_API_PORT=port)(command)
    assert refused.returncode == 1
    assert len(refused.stderr.splitlines()) == 1, refused.stderr
    assert f"MUSTER_API_PORT={port}: that port is taken" in refused.stderr
    assert processes_of(home) == []
    assert not (home / "runtime.json").exists()


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"MUSTER_API_PORT": "many"}, "MUSTER_API_PORT"),
        ({"MUSTER_API_HOST": "192.0.2.1"}, "MUSTER_ALLOW_REMOTE"),
        ({"MUSTER_HOME": "/dev/null/home"}, "MUSTER_HOME"),
    ],
)
def test_bad_settings_are_one_clear_line(home: Path, variables: dict[str, str], said: str) -> None:
    refused = Muster(home, **variables)("up")
    assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1), refused.stderr
    assert said in refused.stderr


def test_an_external_database_that_does_not_answer(home: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        url = f"postgresql://me:secret@127.0.0.1:{nobody.getsockname()[1]}/x"
        began = Stopwatch()
        refused = Muster(home, DATABASE_URL=url)("up")
    assert began.fair < 13
    assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1), refused.stderr
    assert "PostgreSQL at postgresql://me:***@" in refused.stderr
    assert "Connection refused" in refused.stderr, "and why"
    assert "secret" not in refused.stderr + refused.stdout
    assert processes_of(home) == []


async def test_why_temporal_does_not_answer_is_said_in_words() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with pytest.raises(RuntimeError) as refused:
            await probes.temporal(f"127.0.0.1:{nobody.getsockname()[1]}", "default", embedded=True)
    assert probes.why(refused.value) == "tcp connect error: Connection refused"


def test_help_imports_no_server(muster: Muster) -> None:
    shown: subprocess.CompletedProcess[str] = muster("--help")
    assert "Run Muster" in shown.stdout
    muster.env["PYTHONPROFILEIMPORTTIME"] = "1"
    imported: Any = muster("--help").stderr
    assert "muster.cli" in imported
    assert not any(name in imported for name in ("fastapi", "temporalio", "psycopg", "muster.settings"))
