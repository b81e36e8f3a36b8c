"""The two keys that a Muster makes for itself: kept to their owner, used by the commands, and sent nowhere else."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from muster.domain import credentials
from muster.domain.ids import new_id
from muster.services import runtime
from muster.services.home import Home
from muster.settings import Settings
from muster.storage import access
from tests.cli.conftest import Cli

from . import cluster
from .conftest import Muster, eventually, processes_of

NOWHERE = {
    "DATABASE_URL": "postgresql://muster@127.0.0.1:9/muster",
    "VALKEY_URL": "redis://127.0.0.1:9/0",
    "TEMPORAL_ADDRESS": "127.0.0.1:9",
}


@pytest.fixture(scope="module")
def running() -> Iterator[Muster]:
    folder = Path(tempfile.mkdtemp(prefix="muster-test-"))
    command = Muster(folder / "home")
    cluster.seed(command.home)
    started = command("start")
    try:
        assert started.returncode == 0, started.stderr
        yield command
    finally:
        command("stop")
        left = processes_of(folder)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(folder)
        assert left == [], "processes outlived their test"


def record(muster: Muster) -> dict[str, Any]:
    """What `status` would say, without the start of a Python for each look."""
    found: dict[str, Any] = json.loads((muster.home / "runtime.json").read_text())
    return found


def status_with(muster: Muster, key: str | None) -> int:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx.get(f"{record(muster)['api']}/v1/tasks", headers=headers, trust_env=False).status_code


def with_variables(muster: Muster, **variables: str) -> Cli:
    return Cli(muster.home, **variables)


def test_both_are_made_for_their_owner_alone(running: Muster) -> None:
    home = Home(running.home)
    secret, key = home.read(home.secret_file), home.read(home.admin_file)
    assert secret
    assert key
    assert len(secret) >= 32
    assert credentials.parse(key)
    for file in (home.secret_file, home.admin_file):
        assert file.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in home.path.glob("*.key*")) == ["admin.key", "secret.key"]
    told = "".join(
        [running("start").stdout, running("status").stdout, running("status", "--json").stdout]
        + [path.read_text() for path in [home.runtime_file, *home.logs.iterdir()]]
    )
    assert (secret in told, key in told) == (False, False)


def test_nothing_but_health_answers_without(running: Muster) -> None:
    key = (running.home / "admin.key").read_text().strip()
    url = record(running)["api"]
    assert (status_with(running, None), status_with(running, key), status_with(running, key[:-1] + "_")) == (
        401, 200, 401,
    )  # fmt: skip
    for path in ("/healthz", "/readyz"):
        assert httpx.get(url + path, trust_env=False).status_code == 200
    assert running("ps").returncode == 0
    assert with_variables(running, MUSTER_URL=url)("ps").returncode == 0


def test_a_wrong_key_is_one_clear_line(running: Muster) -> None:
    known = credentials.parse((running.home / "admin.key").read_text().strip())
    assert known
    for wrong in (
        "mst_nonsense",
        credentials.key(new_id(), credentials.new_secret()),
        credentials.key(known.id, credentials.new_secret()),
    ):
        for command in (("ps",), ("spawn", "--follow", "--", "true"), ("events", "-f"), ("queue", "--json")):
            done = with_variables(running, MUSTER_API_KEY=wrong)(*command)
            assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1), done.stderr
            assert "set MUSTER_API_KEY" in done.stderr
            assert wrong not in done.stderr


def test_it_goes_to_no_other_address(running: Muster) -> None:
    key = (running.home / "admin.key").read_text().strip()
    with Listener() as listener:
        for url in (listener.url, f"{listener.url}/", f"{record(running)['api']}@{listener.address}"):
            done = with_variables(running, MUSTER_URL=url)("ps")
            assert done.returncode == 1, done.stderr
        named = with_variables(running, MUSTER_URL=listener.url, MUSTER_API_KEY="mst_meant_for_it")("ps")
    assert named.returncode == 1
    heard = listener.heard.lower()
    assert heard.count("get /v1/agents") >= 2, "nobody called, so nothing is shown"
    assert heard.count("authorization: bearer ") == 1
    assert "authorization: bearer mst_meant_for_it" in heard
    assert key.lower() not in heard


class Listener:
    """Somebody who answers HTTP on loopback, and keeps all that is said to him."""

    def __enter__(self) -> Listener:
        self.heard = ""
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.url = f"http://{self.address}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return self

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                said = b""
                while b"\r\n\r\n" not in said and (piece := connection.recv(65536)):
                    said += piece
                self.heard += said.decode()
                connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept
        self._socket.close()
        self._thread.join(10)


async def test_keys_survive_restarts_and_a_lost_one_is_made_anew(running: Muster) -> None:
    home = Home(running.home)
    secret, first = home.read(home.secret_file), home.read(home.admin_file)
    assert secret
    assert first
    settings = runtime.resolve(Settings(_env_file=None, MUSTER_HOME=running.home))  # type: ignore[call-arg]
    assert settings.database_url
    other = await access.make_administrator_key(settings.database_url.get_secret_value(), secret.encode(), "another")

    home.admin_file.unlink()
    away = await asyncio.to_thread(running, "ps")
    assert (away.returncode, len(away.stderr.splitlines())) == (1, 1), away.stderr
    assert "MUSTER_API_KEY" in away.stderr
    done = await asyncio.to_thread(running, "restart")
    assert done.returncode == 0, done.stderr
    made = home.read(home.admin_file)
    assert home.read(home.secret_file) == secret
    assert made != first
    assert home.admin_file.stat().st_mode & 0o777 == 0o600
    # Whoever had the old one keeps it until it is revoked: a file that is deleted is not a key that is.
    assert [status_with(running, key) for key in (first, made, other)] == [200, 200, 200]
    assert (await asyncio.to_thread(running, "ps")).returncode == 0


async def test_a_killed_api_knows_them_again(running: Muster) -> None:
    key = (running.home / "admin.key").read_text().strip()
    before = record(running)["children"]["api"]["pid"]
    os.kill(before, signal.SIGKILL)

    async def back() -> None:
        assert record(running)["children"]["api"]["pid"] not in (None, before)
        assert status_with(running, key) == 200

    await eventually(back, 15)


@pytest.mark.parametrize("part", ["api", "worker"])
def test_a_part_alone_needs_the_secret_key(home: Path, part: str) -> None:
    refused = Muster(home, **NOWHERE)(part)
    assert (refused.returncode, refused.stdout, len(refused.stderr.splitlines())) == (1, "", 1), refused.stderr
    assert "set MUSTER_SECRET_KEY" in refused.stderr
    short = Muster(home, **NOWHERE, MUSTER_SECRET_KEY="hunter2")(part)
    assert (short.returncode, len(short.stderr.splitlines())) == (1, 1), short.stderr
    assert re.search(r"MUSTER_SECRET_KEY.*32", short.stderr)
    assert "hunter2" not in short.stderr


def test_a_part_alone_takes_the_secret_of_its_home(home: Path) -> None:
    """It gets as far as asking for the servers, which are not there."""
    Home(home).create()
    Home(home).make_secret()
    refused = Muster(home, **NOWHERE)("api")
    assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1), refused.stderr
    assert "127.0.0.1:9" in refused.stderr
    assert "MUSTER_SECRET_KEY" not in refused.stderr
