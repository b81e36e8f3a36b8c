"""A worker whose cache holds fewer workflows than are open."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

from muster.settings import Settings
from tests.api.conftest import Api, admin, environment, serving, somebody_polls
from tests.services.conftest import with_us

QUEUE = "forgetful"

WORKER = "import asyncio, worker; from muster.settings import Settings; worker.CACHED_WORKFLOWS = 4; "
WORKER += "asyncio.run(worker.main(Settings()))"


async def test_more_workflows_than_the_worker_remembers(settings: Settings, tmp_path: Path) -> None:
    """A workflow that is dropped from the cache lets go, and goes on from its history when it moves."""
    log = tmp_path / "worker.log"
    settings = settings.model_copy(update={"temporal_task_queue": QUEUE})
    env = environment(settings) | {"MUSTER_TASK_QUEUE": QUEUE}
    async with serving(settings) as url, Api(url, admin(settings)) as api:
        with log.open("wb") as file:
            worker = subprocess.Popen(  # noqa: ASYNC220 - returns at once
                with_us(sys.executable, "-c", WORKER), cwd=settings.home, env=env, stdout=file, stderr=file
            )

        try:
            await somebody_polls(api)
            made: list[dict[str, Any]] = []
            for _ in range(4):  # as many at once as have room: the others would wait for a worker, as they ought to
                made += await asyncio.gather(*(api.new_task("sleep", "1") for _ in range(4)))
            for task in made:
                await api.when(f"/v1/tasks/{task['id']}", "completed", seconds=30)
        finally:
            worker.terminate()
            code = await asyncio.to_thread(worker.wait, 20)
    assert code == 0
    assert "eviction" not in log.read_text()
