"""Our own processes die, and each of the servers, in the middle of a running fleet, and of a stop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest

from muster.domain import credentials
from muster.domain.ids import new_id
from muster.services import runtime
from muster.services.errors import StartupError
from muster.services.home import Home
from muster.settings import Settings
from muster.storage import access
from tests.integration.fleet import Fleet, System, a_system, nothing_runs
from tests.pace import stretched
from tests.services.conftest import eventually, family, nobody_left, processes_of

from .conftest import CAP, all_at_work, at_work, lost, mixed, survived

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
async def system() -> AsyncIterator[System]:
    async with a_system(
        MAX_CONCURRENT_AGENTS=str(CAP), MUSTER_HEARTBEAT_TIMEOUT_SECONDS="3", MUSTER_SWEEP_SECONDS="2"
    ) as system:
        yield system


async def test_the_worker_is_killed(system: System) -> None:
    """Its agents die with it, are found lost, and their tasks go on elsewhere.

    An agent that ends in the very moment its worker dies, too late to be recorded, is run again: nobody can know.
    So at this moment none is about to end.
    """
    fleet = mixed(system)
    async with survived(system, fleet):
        await fleet.in_full_swing(CAP)
        await fleet.held()
        running = await all_at_work(system)
        system.kill("worker")

        async def died_with_it() -> None:
            assert processes_of(fleet.folder) == []

        await eventually(died_with_it, 4)

        async def works_again() -> None:
            assert not set(await at_work(system)) & set(running)

        # A second time, with those that were lost before: that does not count against a task's own attempts.
        await eventually(works_again, 25)
        again = await all_at_work(system)
        system.kill("worker")
        await eventually(died_with_it, 4)
        fleet.release()
    assert (await lost(system, running), await lost(system, again)) == (CAP, CAP)


async def test_the_worker_hangs_for_longer_than_a_heartbeat_may_take(system: System) -> None:
    """Its agents are given up and run on. They end before others take their place: no work is done twice, and no
    task hears that its agent was killed."""
    fleet = Fleet(system)
    late = fleet.folder / "late"
    for mark in (fleet.hold, late):
        mark.touch()
    begin = f"while [ -e {fleet.hold} ]; do sleep 0.5; done;"
    for number in range(CAP + 5):
        # Half of those that run meanwhile end while the worker hangs, the others when it is known that they were given
        # up. Who ends in that very moment is run again: nobody can know.
        if CAP // 2 <= number < CAP:
            fleet.add("completes", fleet.script(0.1, f"{begin} while [ -e {late} ]; do sleep 0.5; done;"))
        else:
            fleet.add("completes", fleet.script(0.5 + 0.4 * number if number < CAP else 0.1, begin))
    async with survived(system, fleet):
        await fleet.submit(at_once=1)  # in this order
        running = await all_at_work(system)
        fleet.release()
        worker = system.pid("worker")
        os.kill(worker, signal.SIGSTOP)
        try:
            await asyncio.sleep(stretched(4))
        finally:
            os.kill(worker, signal.SIGCONT)

        async def given_up() -> None:
            assert await lost(system, running) == CAP - CAP // 2

        try:
            await eventually(given_up, 20)
        finally:
            late.unlink()


async def test_the_api_is_killed(system: System) -> None:
    """While it takes tasks, and twice: whoever asks again with the same key makes no second one."""
    fleet = mixed(system)

    async def some_are_there() -> None:
        rows = await system.sql("SELECT count(*) FROM tasks WHERE labels[1] = %s", fleet.folder.name)
        assert rows[0][0] >= 6

    async with survived(system, fleet) as witness:
        submitting = asyncio.create_task(fleet.submit(at_once=4))
        await eventually(some_are_there)
        system.kill("api")
        await submitting
        system.kill("api")
    rows = await system.sql("SELECT count(*) FROM tasks WHERE labels[1] = %s", fleet.folder.name)
    assert rows == [(len(fleet.tasks),)]
    assert witness.connections >= 2


async def test_everything_is_killed(system: System) -> None:
    """The supervisor, and with it all else. The next start goes on where this one was.

    An administrator's key that opens nothing is as good as lost: another is made.
    """
    fleet, home = mixed(system), Home(system.home)
    useless = credentials.key(new_id(), credentials.new_secret())
    async with survived(system, fleet, seconds=60):
        await fleet.in_full_swing(CAP)
        await fleet.held()
        os.kill(system.record.pid, 9)
        await nobody_left(system.home, 5)
        await nobody_left(fleet.folder, 8)
        await asyncio.to_thread(what_it_left_is_recognised, system)
        fleet.release()
        home.write(home.admin_file, useless)
        await system.start()
        assert home.read(home.admin_file) != useless
        await asyncio.to_thread(system.cli, "ps")


def what_it_left_is_recognised(system: System) -> None:
    file = Home(system.home).runtime_file
    left = file.read_text()
    record = json.loads(left)
    shown = system.muster("status")
    assert shown.returncode == 1
    assert str(record["pid"]) in shown.stdout
    with pytest.raises(StartupError, match="muster start"):
        runtime.resolve(Settings(_env_file=None, MUSTER_HOME=system.home))
    # The pid belongs to somebody else by now.
    file.write_text(json.dumps(record | {"pid": os.getpid()}))
    assert json.loads(system.muster("status", "--json").stdout)["stale"]
    stopped = system.muster("stop")
    assert (stopped.returncode, "left by one that died" in stopped.stdout) == (0, True)
    file.write_text(left)


async def test_a_restart_in_the_middle(system: System) -> None:
    """`muster restart`: agents end with it, and are run again. Keys are known again."""
    fleet, home = mixed(system), Home(system.home)
    secret, first = home.read(home.secret_file), home.read(home.admin_file)
    assert secret
    assert system.settings.database_url
    url = system.settings.database_url.get_secret_value()
    other = await access.make_administrator_key(url, secret.encode(), "another")
    async with survived(system, fleet, seconds=60):
        await fleet.in_full_swing(CAP)
        await fleet.held()
        running = await all_at_work(system)
        await system.stop()
        assert processes_of(fleet.folder) == []
        fleet.release()
        await system.start()
        assert (home.read(home.secret_file), home.read(home.admin_file)) == (secret, first)
        async with system.api() as api:
            for key in (first, other):
                answer = await api.get("/v1/tasks", headers={"Authorization": f"Bearer {key}"})
                assert answer.status_code == 200, answer.text
    assert await lost(system, running) == len(running)


# -- The servers -----------------------------------------------------------------------------------------------------


async def test_temporal_is_killed(system: System) -> None:
    fleet = mixed(system)
    async with survived(system, fleet):
        await fleet.in_full_swing(CAP)
        system.kill("temporal")


async def test_postgres_is_killed(system: System) -> None:
    fleet = mixed(system)
    async with survived(system, fleet):
        await fleet.in_full_swing(CAP)
        system.kill("postgres")


async def test_postgres_hangs_for_longer_than_a_heartbeat_may_take(system: System) -> None:
    """Nobody is taken for dead who only cannot write."""
    fleet = mixed(system)
    async with survived(system, fleet):
        await fleet.in_full_swing(CAP)
        await fleet.held()
        running = await all_at_work(system)
        pid = system.record.children["postgres"].pid
        assert pid
        stopped = family(pid)
        for one in stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGSTOP)
        await asyncio.sleep(10)
        for one in stopped:
            # Who was just ending is gone once its parent goes on: autovacuum's come and go every two seconds.
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGCONT)
        assert set(running) <= set(await at_work(system))
        fleet.release()
    assert await lost(system, running) == 0


async def test_valkey_is_killed(system: System) -> None:
    fleet = mixed(system)
    async with survived(system, fleet) as witness:
        await fleet.in_full_swing(CAP)
        system.kill("valkey")
    assert witness.connections == 1, "a client noticed that Valkey was away"


async def test_valkey_is_wiped(system: System) -> None:
    fleet = mixed(system)
    async with survived(system, fleet) as witness:
        await fleet.in_full_swing(CAP)
        async with system.valkey() as valkey:
            await valkey.flushall()
    assert witness.connections == 1, "a client noticed that Valkey was wiped"


async def test_all_servers_are_killed_while_tasks_are_taken(system: System) -> None:
    """Whoever asks again with the same key finds what the first try has left, whatever that is."""
    fleet = mixed(system)

    async def some_are_there() -> None:
        rows = await system.sql("SELECT count(*) FROM tasks WHERE labels[1] = %s", fleet.folder.name)
        assert rows[0][0] >= 8

    async with survived(system, fleet, seconds=60):
        submitting = asyncio.create_task(fleet.submit(at_once=4))
        await eventually(some_are_there)
        for name in ("temporal", "valkey", "postgres"):
            system.kill(name)
        await submitting
    rows = await system.sql("SELECT count(*) FROM tasks WHERE labels[1] = %s", fleet.folder.name)
    assert rows == [(len(fleet.tasks),)]


# -- Of a stop -------------------------------------------------------------------------------------------------------

STUBBORN = ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"]


@pytest.mark.parametrize("victim", ["worker", "temporal"])
async def test_a_stop_goes_on(system: System, victim: str) -> None:
    """As it was asked to: it ends all that run, and leaves who waits alone."""
    async with system.api() as api:
        place = f"/v1/workspaces/{(await api.get('/v1/usage')).json()['workspace_id']}"

        async def standing() -> dict[str, Any]:
            answer: dict[str, Any] = (await api.get(f"{place}/stop")).json()
            return answer

        async def all_run() -> None:
            rows = await system.sql("SELECT count(*) FROM agents WHERE status = 'running'")
            assert rows == [(CAP,)]

        task = {"title": "stubborn", "labels": [victim], "runner": {"kind": "command", "argv": STUBBORN}}
        for _ in range(CAP):
            assert (await api.post("/v1/tasks", json=task)).status_code == 201
        await eventually(all_run)
        waiting = (await api.post("/v1/tasks", json=task)).json()["id"]
        begun = await api.post(f"{place}/stop", json={"reason": "faults", "grace_seconds": 6})
        assert (begun.status_code, begun.json()["state"], begun.json()["active_agents"]) == (202, "stopping", CAP)

        system.kill(victim)

        async def stopped() -> None:
            found = await standing()
            assert (found["state"], found["workflow_id"]) == ("stopped", begun.json()["workflow_id"])

        await eventually(stopped, 60)

        async def over() -> None:
            handle = (await system.temporal()).get_workflow_handle(begun.json()["workflow_id"])
            result = await handle.result()
            assert (result["asked"], result["left"], result["reopened"]) == (CAP, 0, False)

        await eventually(over, 30)
        assert (await api.get(f"/v1/tasks/{waiting}")).json()["status"] == "pending"

        async def their_tasks_failed() -> None:
            rows = await system.sql(
                "SELECT status::text, reason::text, count(*) FROM tasks WHERE labels[1] = %s AND id <> %s "
                "GROUP BY 1, 2",
                victim,
                waiting,
            )
            assert rows == [("failed", "killed", CAP)]

        await eventually(their_tasks_failed, 20)
        assert (await api.post(f"/v1/tasks/{waiting}/cancel")).status_code == 202
        assert (await api.post(f"{place}/resume")).json()["state"] == "open"
        await nothing_runs(system)
