"""The embedded servers: they start, come back, keep what they were given, and leave nothing running."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import pytest
import redis.asyncio
from temporalio.client import Client

from muster.domain.ids import new_id
from muster.services import identity, probes, stack
from muster.services.addresses import Addresses
from muster.services.child import Child, Program, RunAs, run_to_end
from muster.services.errors import StartupError
from muster.services.home import Home
from muster.services.ports import Claims
from muster.services.postgres import Postgres
from muster.services.stack import Stack
from muster.settings import Settings
from tests.pace import Stopwatch, patience, stretched

from . import cluster
from .conftest import FREE_PORTS, all_answer, eventually, family, nobody_left, processes_of, sql

MakeSettings = Callable[..., Settings]


@pytest.fixture(scope="module")
async def shared() -> AsyncIterator[tuple[Stack, Addresses]]:
    """One stack for the tests that only look."""
    with tempfile.TemporaryDirectory(prefix="muster-test-") as folder:
        await asyncio.to_thread(cluster.seed, Path(folder), migrated=False)
        stack = Stack(Settings(_env_file=None, MUSTER_HOME=folder, TEMPORAL_NAMESPACE="elsewhere", **FREE_PORTS))  # type: ignore[call-arg, arg-type]
        async with stack as addresses:
            yield stack, addresses


async def test_starts_everything_keeps_data_and_stops(make_settings: MakeSettings, home: Path) -> None:
    async with Stack(make_settings()) as addresses:
        await all_answer(addresses)
        assert await sql(addresses.database_url, "SHOW timezone") == [("UTC",)]
        assert await sql(addresses.database_url, "SELECT extname FROM pg_extension WHERE extname = 'vector'")
        assert await sql(addresses.database_url, "SELECT rolsuper FROM pg_roles WHERE rolname = 'muster'") == [(False,)]
        await sql(addresses.database_url, "CREATE TABLE kept AS SELECT 42 AS answer")
        await sql(addresses.database_url, "CREATE ROLE an_app NOLOGIN")
        await sql(addresses.database_url, "SET ROLE an_app")
        client = redis.asyncio.Redis.from_url(addresses.valkey_url)
        await client.set("kept", "42")
        await client.aclose()
        temporal = await Client.connect(addresses.temporal, namespace=addresses.temporal_namespace)
        await temporal.start_workflow("Nobody", id="kept", task_queue="nobody")
        assert (home.stat().st_mode & 0o077, (home / "postgres" / "socket").stat().st_mode & 0o077) == (0, 0)
    assert processes_of(home) == []

    async with Stack(make_settings()) as addresses:
        assert await sql(addresses.database_url, "SELECT answer FROM kept") == [(42,)]
        client = redis.asyncio.Redis.from_url(addresses.valkey_url)
        assert await client.get("kept") == b"42"
        await client.aclose()
        temporal = await Client.connect(addresses.temporal, namespace=addresses.temporal_namespace)
        assert (await temporal.get_workflow_handle("kept").describe()).id == "kept"
    assert processes_of(home) == []


async def test_temporal_is_tuned_and_bound_to_loopback(shared: tuple[Stack, Addresses]) -> None:
    stack, addresses = shared
    assert addresses.temporal_ui
    url = f"{addresses.temporal_ui}/api/v1/namespaces/elsewhere/search-attributes"
    with await asyncio.to_thread(urllib.request.urlopen, url) as reply:
        custom = json.load(reply)["customAttributes"]
    keyword, integer = "INDEXED_VALUE_TYPE_KEYWORD", "INDEXED_VALUE_TYPE_INT"
    assert custom == {
        "MusterWorkspace": keyword, "MusterProject": keyword, "MusterRunner": keyword, "MusterTask": keyword,
        "MusterAttempt": integer,
    }  # fmt: skip
    listening = {
        line.split()[1].partition(":")[0]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        if line.split()[3] == "0A" and int(line.split()[1].rpartition(":")[2], 16) in stack.ports.values()
    }
    assert listening == {"0100007F"}


async def test_a_server_is_given_up_also_by_a_client_that_does_not_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Told to stop in the middle of a refusal, it says that it was refused."""
    monkeypatch.setattr(stack, "EXTERNAL_SECONDS", 0.2)

    async def refused() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise ConnectionError("wrong password") from None
        return "never"

    async with patience(10):
        with pytest.raises(StartupError, match=r"It at nowhere does not answer \(.*wrong password.*see SETTING"):
            await stack._answers("It", "SETTING", "nowhere", refused)


async def test_who_is_given_up_while_it_is_begun_takes_what_it_began_along() -> None:
    """Before anybody has so much as a handle on it."""
    mark = str(new_id())
    for turns in (1, 3, 10, 30, 100, 300):
        script = "sleep 61.5 & sleep 61.5"
        running = asyncio.create_task(run_to_end(RunAs(), ["/bin/sh", "-c", script], dict(os.environ) | {"MARK": mark}))
        for _ in range(turns):
            await asyncio.sleep(0)
        time.sleep(0.1)  # noqa: ASYNC251 - the loop is late, as on a busy machine: it has begun, and nobody knows
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled()
        assert [pid for pid in os.listdir("/proc") if pid.isdigit() and mark.encode() in environment_of(pid)] == []


def environment_of(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


async def test_a_start_that_is_given_up_leaves_nothing_running(home: Path) -> None:
    """Also not what makes the cluster, which is a program that starts others."""
    folder = Home(home)
    folder.create()
    before = set(family(os.getpid())) - {os.getpid()}

    def those() -> list[str]:
        found = {*family(os.getpid()), *processes_of(home)}
        # Servers that other tests share have children of their own, which come and go.
        others = {os.getpid(), *family(*before)}
        return [argv_of(pid) for pid in found - others if Path(f"/proc/{pid}").exists()]

    for begun in ("--version", "initdb", "--boot", "--single"):
        seen = False
        while not seen:  # some are there for a moment only
            making = asyncio.create_task(Postgres(folder, dict(os.environ)).prepare())
            while not making.done() and not seen:
                await asyncio.sleep(0.001)
                seen = any(begun in argv for argv in those())
            making.cancel()
            await asyncio.wait([making])
            assert making.cancelled() or making.exception() is None
            assert those() == []
            shutil.rmtree(home / "postgres")


def argv_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


async def test_killed_children_come_back_on_their_ports(make_settings: MakeSettings, home: Path) -> None:
    await asyncio.to_thread(cluster.seed, home, migrated=False)
    stack = Stack(make_settings())
    async with stack as addresses:
        # A session that is busy notices its postmaster's death last, and holds the shared memory.
        busy = asyncio.create_task(sql(addresses.database_url, "SELECT count(*) FROM generate_series(1, 2000000000)"))
        await asyncio.sleep(0.3)
        for child in stack.children.values():
            before = child.pid
            assert before
            os.kill(before, signal.SIGKILL)
            await eventually(partial(_is_another, child, before))
            assert child.restarts >= 1
        await eventually(lambda: all_answer(addresses))
        assert isinstance((await asyncio.gather(busy, return_exceptions=True))[0], Exception)


async def _is_another(child: Child, before: int) -> None:
    assert child.pid not in {None, before}


async def test_servers_die_with_a_supervisor_that_is_killed_and_start_again(
    make_settings: MakeSettings, home: Path
) -> None:
    program = (
        "import asyncio, sys\n"
        "from muster.services.stack import Stack\n"
        "from muster.settings import Settings\n"
        "async def main():\n"
        "    await Stack(Settings()).start()\n"
        "    print('up', flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    settings = make_settings()
    await asyncio.to_thread(cluster.seed, home, migrated=False)
    env = {**os.environ, "MUSTER_HOME": str(home), "MUSTER_TEMPORAL_PORT": "0", "MUSTER_TEMPORAL_UI_PORT": "0"}
    pipe = asyncio.subprocess.PIPE
    supervisor = await asyncio.create_subprocess_exec(sys.executable, "-c", program, env=env, stdout=pipe)
    assert supervisor.stdout
    assert await supervisor.stdout.readline() == b"up\n"
    assert len(processes_of(home)) > 3
    supervisor.kill()
    await supervisor.wait()
    # At once, while the old PostgreSQL may still be on its way out.
    async with Stack(settings) as addresses:
        await all_answer(addresses)
    await nobody_left(home)


async def test_a_second_stack_on_the_same_home_is_refused(shared: tuple[Stack, Addresses]) -> None:
    stack, addresses = shared
    with pytest.raises(StartupError, match=r"already runs in .*MUSTER_HOME"):
        await Stack(stack.settings).start()
    await all_answer(addresses)


async def test_two_homes_side_by_side_one_with_a_long_path(make_settings: MakeSettings, home: Path) -> None:
    long = home.parent / ("a-rather-long-name-of-a-folder-" * 4) / "it's, odd"
    first, second = Stack(make_settings()), Stack(make_settings(MUSTER_HOME=long))
    await asyncio.to_thread(cluster.seed, home, migrated=False)
    async with first as one, second as other:
        await sql(other.database_url, "CREATE TABLE mine ()")
        assert not await sql(one.database_url, "SELECT FROM pg_tables WHERE tablename = 'mine'")
        await asyncio.gather(all_answer(one), all_answer(other))
        short = Path(other.database_url.partition("host=")[2].partition("&")[0])
        assert short.stat().st_mode & 0o077 == 0
        assert len(str(short)) < 80
    assert not short.exists()
    assert processes_of(home.parent) == []


@pytest.mark.parametrize("variable", ["MUSTER_TEMPORAL_PORT", "MUSTER_TEMPORAL_UI_PORT", "MUSTER_VALKEY_PORT"])
async def test_a_taken_port_names_its_setting_and_starts_nothing(
    make_settings: MakeSettings, home: Path, variable: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartupError, match=f"{variable}={port}.*taken"):
            await Stack(make_settings(**{variable: port})).start()
    assert not (home / "postgres").exists()


def test_a_preferred_port_that_is_taken_is_left_alone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert Claims().claim(None, "MUSTER_VALKEY_PORT", preferred=port) not in {0, port}
    assert Claims().claim(None, "MUSTER_VALKEY_PORT", preferred=port) == port


async def test_a_home_that_is_no_folder(make_settings: MakeSettings, home: Path) -> None:
    home.write_text("a file")
    with pytest.raises(StartupError, match=r"cannot write to .*MUSTER_HOME"):
        await Stack(make_settings()).start()
    home.unlink()


@pytest.mark.parametrize(
    ("variable", "url", "shown"),
    [
        ("DATABASE_URL", "postgresql://me:secret@127.0.0.1:{port}/x", r"PostgreSQL at postgresql://me:\*\*\*@"),
        ("VALKEY_URL", "redis://:secret@127.0.0.1:{port}/0", r"Valkey at redis://:\*\*\*@"),
        ("TEMPORAL_ADDRESS", "127.0.0.1:{port}", r"Temporal at 127\.0\.0\.1:"),
    ],
)
async def test_an_external_server_that_is_silent_is_named_in_time(
    make_settings: MakeSettings, home: Path, monkeypatch: pytest.MonkeyPatch, variable: str, url: str, shown: str
) -> None:
    monkeypatch.setattr("muster.services.stack.EXTERNAL_SECONDS", 1.0)
    # It accepts and says nothing: worse than a refusal.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = make_settings(**{variable: url.format(port=silent.getsockname()[1])})
        began = Stopwatch()
        with pytest.raises(StartupError, match=shown) as failure:
            await Stack(settings).start()
    assert began.fair < 6
    assert "secret" not in str(failure.value)
    assert variable in str(failure.value)
    assert processes_of(home) == []


async def test_a_server_is_not_silent_because_its_client_is_long_in_coming(
    shared: tuple[Stack, Addresses], tmp_path: Path
) -> None:
    """On a machine that is busy, imports take longer than an answer may."""
    _, addresses = shared
    program = f"""if True:
        import asyncio, importlib.abc, os, sys, time

        class Slow(importlib.abc.MetaPathFinder):
            def find_spec(self, name, path=None, target=None):
                if name in ("temporalio", "psycopg", "redis"):
                    time.sleep({stretched(1)})

        sys.meta_path.insert(0, Slow())
        from muster.services import stack
        from muster.settings import Settings

        stack.EXTERNAL_SECONDS = {stretched(2)}
        asyncio.run(stack.Stack(Settings()).check(("temporal", "postgres", "valkey")))
        os._exit(0)  # under threads of Temporal's client, an interpreter that ends in good order may abort
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MUSTER_", "TEMPORAL_"))}
    env |= {
        "MUSTER_HOME": str(tmp_path), "DATABASE_URL": addresses.database_url, "VALKEY_URL": addresses.valkey_url,
        "TEMPORAL_ADDRESS": addresses.temporal, "TEMPORAL_NAMESPACE": addresses.temporal_namespace,
    }  # fmt: skip
    command = (sys.executable, "-c", program)
    ended = await asyncio.to_thread(subprocess.run, command, env=env, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr


async def test_a_namespace_that_there_is_not_is_named(
    shared: tuple[Stack, Addresses], make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("muster.services.stack.EXTERNAL_SECONDS", 1.0)
    settings = make_settings(TEMPORAL_ADDRESS=shared[1].temporal, TEMPORAL_NAMESPACE="nowhere")
    with pytest.raises(StartupError, match=r"namespace nowhere .*see TEMPORAL_NAMESPACE"):
        await Stack(settings).check(("temporal",))


async def test_external_servers_are_used_and_nothing_else_is_started(
    shared: tuple[Stack, Addresses], make_settings: MakeSettings
) -> None:
    _, addresses = shared
    other = Stack(addresses.apply(make_settings()))
    async with other as seen:
        assert other.children == {}
        assert seen == addresses
        assert set(other.versions) == {"postgres", "valkey", "temporal"}


async def test_a_child_stops_at_once_also_where_its_supervisor_ignores_the_signal(tmp_path: Path) -> None:
    """As what a script runs in its background does: it is told while the launcher is not through yet."""

    async def probe() -> None:
        raise ConnectionError

    program = Program("sleep", "Sleep", ["/bin/sleep", "30"], dict(os.environ), tmp_path / "log", probe,
                      stop_signal=signal.SIGINT, stop_seconds=5)  # fmt: skip
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        child = Child(program)
        await child.launch()
        assert await child.stop()
    finally:
        signal.signal(signal.SIGINT, before)


BEATING = """
import asyncio
from muster.services import beats

async def main():
    await asyncio.sleep(1)  # a start may take longer than a sign may be late
    beats.begin()
    await asyncio.sleep(600)

beats.EVERY_SECONDS = 0.05
asyncio.run(main())
"""


async def test_one_that_hangs_is_told_and_ended_and_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("muster.services.beats.EVERY_SECONDS", stretched(0.3))
    told: list[bool] = []

    async def probe() -> None:
        return None

    argv = [sys.executable, "-c", BEATING]
    child = Child(
        Program("it", "It", argv, dict(os.environ), tmp_path / "log", probe, beats=True),
        lambda: told.append(child.hangs),
    )
    await child.start()
    try:
        first = child.pid
        assert first
        await asyncio.sleep(stretched(2))
        assert (child.pid, told) == (first, []), "who gives signs is left alone, and so is who starts"
        os.kill(first, signal.SIGSTOP)
        await eventually(partial(_says, told, [True]))
        os.kill(first, signal.SIGCONT)
        await eventually(partial(_says, told, [True, False]))
        assert child.pid == first
        os.kill(first, signal.SIGSTOP)
        await eventually(partial(_is_another, child, first))
        assert (child.restarts, child.hangs) == (1, False)
        assert [line for line in caplog.messages if "ending it" in line]
    finally:
        assert await child.stop()
    assert "it" not in {task.get_name().partition(" ")[2] for task in asyncio.all_tasks()}


async def _says(told: list[bool], wanted: list[bool]) -> None:
    assert told == wanted


@contextlib.asynccontextmanager
async def only_postgres(settings: Settings) -> AsyncIterator[Child]:
    stack = Stack(settings)
    stack.home.create()
    try:
        server = Postgres(stack.home, dict(os.environ))
        await stack.add(await server.prepare())
        await probes.postgres(server.url())
        yield stack.children["postgres"]
    finally:
        await stack.stop()


async def test_half_made_cluster_is_made_anew(make_settings: MakeSettings, home: Path) -> None:
    half = home / "postgres" / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    async with only_postgres(make_settings()):
        assert not half.exists()


async def test_a_stranger_with_the_pid_in_the_lock_file_is_no_obstacle(make_settings: MakeSettings, home: Path) -> None:
    await asyncio.to_thread(cluster.seed, home, migrated=False)
    lock = home / "postgres" / "data" / "postmaster.pid"
    async with only_postgres(make_settings()):
        kept = lock.read_text().splitlines()
    kept[0] = str(os.getpid())
    lock.write_text("\n".join(kept) + "\n")
    async with only_postgres(make_settings()):
        assert lock.read_text().splitlines()[0] != kept[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can hand a folder over")
async def test_root_without_user_namespaces_steps_down_to_nobody(
    make_settings: MakeSettings, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asyncio.to_thread(cluster.seed, home, migrated=False)
    data, runs = home / "postgres" / "data", identity._runs

    async def no_namespaces(run_as: identity.RunAs, binary: Path) -> bool:
        return not run_as.namespace and await runs(run_as, binary)

    async with only_postgres(make_settings()):
        assert data.stat().st_uid == 0
    monkeypatch.setattr(identity, "_runs", no_namespaces)
    with pytest.raises(StartupError, match=rf"cannot pass {home.parent} .*MUSTER_HOME"):
        await Stack(make_settings()).start()
    home.parent.chmod(0o711)
    async with only_postgres(make_settings()) as child:
        assert data.stat().st_uid != 0
        assert Path(f"/proc/{child.pid}").stat().st_uid == data.stat().st_uid
    monkeypatch.undo()
    async with only_postgres(make_settings()):
        assert data.stat().st_uid != 0  # the folder remembers
