"""One real Muster for all tests of the commands, with room for three agents."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from muster.cli import cli as root
from muster.domain.states import FINAL_TASK
from tests.pace import Stopwatch
from tests.services import cluster
from tests.services.conftest import Muster, pauses, processes_of

SLOTS = 3


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


class Cli(Muster):
    """The commands, as scripts use them. Called, they run in this process, which spares the start of Python;
    `open` and `process` start one."""

    def __call__(self, *arguments: str, timeout: float = 60, given: str | None = None) -> Any:
        if arguments[0] in {"start", "stop", "status"}:
            return self.process(*arguments)
        result = CliRunner().invoke(root, arguments, prog_name="muster", env=self.env, input=given)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Done(result.exit_code, result.stdout, result.stderr)

    def process(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return super().__call__(*arguments)

    def json(self, *arguments: str) -> Any:
        done = self(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def spawn(self, *command: str, options: tuple[str, ...] = ()) -> str:
        done = self("spawn", *options, "--", *command)
        assert done.returncode == 0, done.stderr
        return str(done.stdout.strip())

    def ended(self, task_id: str, seconds: float = 10.0) -> Any:
        waited = Stopwatch()
        for pause in pauses(0.03):
            task = self.json("show", task_id)
            if task["status"] in FINAL_TASK:
                break
            assert not waited.passed(seconds), task
            time.sleep(pause)
        return task

    def open(self, *arguments: str, **more: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "muster.cli", *arguments],
            env=self.env, cwd=self.home.parent, text=True, bufsize=1,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more},
            # A shell's background job ignores Ctrl-C, and what it starts inherits that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip

    async def together(self, *commands: tuple[str, ...]) -> list[subprocess.CompletedProcess[str]]:
        return await asyncio.gather(*(asyncio.to_thread(self.process, *command) for command in commands))


@pytest.fixture(scope="package")
def cli() -> Iterator[Cli]:
    folder = Path(tempfile.mkdtemp(prefix="muster-test-"))
    command = Cli(folder / "home", MAX_CONCURRENT_AGENTS=str(SLOTS))
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


@pytest.fixture(autouse=True)
def _slots_are_free(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test hands its agents to the next one."""
    yield
    if "cli" in request.fixturenames:
        cli: Cli = request.getfixturevalue("cli")
        for task in cli.json("tasks", "--status", "pending"):
            cli("cancel", task["id"])
        cli("kill", "--all", "--grace", "0", "--wait")
