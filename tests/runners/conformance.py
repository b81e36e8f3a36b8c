"""What every runner must do. A runner's own tests inherit `RunnerConformance` and say how to ask for each case."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from pydantic import JsonValue

from muster.domain.ids import new_id
from muster.domain.states import Reason
from muster.domain.tasks import RunnerSpec
from muster.runners.protocol import Finish, Job, Runner, Stop, Stream
from tests.pace import Stopwatch, patience


class Listener:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.pids: list[int | None] = []
        self.up = asyncio.Event()
        self.lines: list[tuple[Stream, datetime, str]] = []
        self.heard = asyncio.Event()

    async def started(self, pid: int | None) -> None:
        assert not self.lines, "a line before the start"
        self.pids.append(pid)
        self.up.set()

    async def line(self, stream: Stream, at: datetime, text: str) -> None:
        assert self.pids, "a line before the start"
        assert "\n" not in text
        assert "\0" not in text
        text.encode()
        self.lines.append((stream, at, text))
        self.heard.set()

    def text(self, stream: Stream) -> list[str]:
        return [text for name, _, text in self.lines if name == stream]

    async def hears(self, wanted: str) -> None:
        async with patience(20):
            while not any(wanted in text for _, _, text in self.lines):
                self.heard.clear()
                await self.heard.wait()


def survivors(agent_id: UUID) -> list[str]:
    """Living processes that carry the agent's id in their environment or arguments; read without Muster's help."""
    found = []
    needle = str(agent_id).encode()
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/status") as status:
                if "State:\tZ" in status.read():
                    continue
            with open(f"/proc/{name}/environ", "rb") as environ, open(f"/proc/{name}/cmdline", "rb") as cmdline:
                if needle in environ.read() or needle in cmdline.read():
                    found.append(name)
        except OSError:
            continue
    return found


def job_for(spec: RunnerSpec, *, agent_id: UUID | None = None, prompt: str | None = None, limit: int = 1 << 20) -> Job:
    return Job(
        workspace_id=new_id(), task_id=new_id(), agent_id=agent_id or new_id(), attempt=1,
        spec=spec, prompt=prompt, max_output_bytes=limit,
    )  # fmt: skip


@dataclass
class Life:
    """A runner at work on one job."""

    job: Job
    sink: Listener = field(default_factory=Listener)
    stop: Stop = field(default_factory=Stop)

    async def run(self, runner: Runner) -> Finish:
        async with patience(30):
            finish = await runner.run(self.job, self.sink, self.stop)
        assert survivors(self.job.agent_id) == []
        return finish

    def start(self, runner: Runner) -> asyncio.Task[Finish]:
        return asyncio.create_task(self.run(runner))


class RunnerConformance(ABC):
    """`specs` in these tests are whatever makes this runner behave as the method's name says. Each agent is asked to
    print `ready` once it is where the test wants it."""

    @pytest.fixture
    @abstractmethod
    def runner(self) -> Runner: ...

    @abstractmethod
    def prints(self, text: str) -> RunnerSpec: ...

    @abstractmethod
    def fails(self) -> RunnerSpec: ...

    @abstractmethod
    def runs_for_long(self) -> RunnerSpec: ...

    @abstractmethod
    def ignores_sigterm(self) -> RunnerSpec: ...

    @abstractmethod
    def tidies_up_on_sigterm(self) -> RunnerSpec:
        """At SIGTERM, does something for a moment that takes processes of its own, and prints `tidy`."""

    @abstractmethod
    def hides_children(self) -> RunnerSpec:
        """Runs for long, with children in sessions of their own that ignore SIGTERM and whose parent has gone."""

    @abstractmethod
    def leaves_a_child(self) -> RunnerSpec:
        """Ends with success while a child in a session of its own runs on, holding the output open."""

    @abstractmethod
    def cannot_start(self) -> RunnerSpec: ...

    @abstractmethod
    def prints_much(self, size: int) -> RunnerSpec: ...

    @abstractmethod
    def results_in(self, value: JsonValue) -> RunnerSpec: ...

    @abstractmethod
    def with_timeout(self, spec: RunnerSpec, seconds: float) -> RunnerSpec: ...

    async def test_success_with_its_output(self, runner: Runner) -> None:
        life = Life(job_for(self.prints("hello, 世界")))
        finish = await life.run(runner)
        assert (finish.reason, finish.error, finish.exit_code) == (None, None, 0)
        assert "hello, 世界" in life.sink.text("stdout")
        assert len(life.sink.pids) == 1
        times = [at for _, at, _ in life.sink.lines]
        assert times == sorted(times)
        assert all(at.utcoffset() == timedelta(0) for at in times)

    async def test_failure_has_a_reason(self, runner: Runner) -> None:
        finish = await Life(job_for(self.fails())).run(runner)
        assert finish.reason is Reason.EXIT_NONZERO
        assert finish.exit_code
        assert finish.error

    async def test_one_that_cannot_start(self, runner: Runner) -> None:
        life = Life(job_for(self.cannot_start()))
        finish = await life.run(runner)
        assert finish.reason is Reason.SPAWN_FAILED
        assert finish.error
        assert finish.exit_code is None
        assert life.sink.pids == []

    @pytest.mark.parametrize("value", [{"a": [1, 2.5, None, "ü"]}, [], [{"deep": {"er": True}}]])
    async def test_result(self, runner: Runner, value: JsonValue) -> None:
        finish = await Life(job_for(self.results_in(value))).run(runner)
        assert finish.reason is None
        assert finish.result == value

    async def test_stop_ends_it(self, runner: Runner) -> None:
        life = Life(job_for(self.runs_for_long()))
        running = life.start(runner)
        await life.sink.hears("ready")
        begun = Stopwatch()
        life.stop.request(Reason.KILLED, 20)
        finish = await running
        assert finish.reason is Reason.KILLED
        assert begun.fair < 2, "it obeys SIGTERM, so the grace is not to be waited out"

    async def test_stop_ends_one_that_ignores_sigterm_after_the_grace(self, runner: Runner) -> None:
        life = Life(job_for(self.ignores_sigterm()))
        running = life.start(runner)
        await life.sink.hears("ready")
        begun = Stopwatch()
        life.stop.request(Reason.CANCELLED, 0.3)
        finish = await running
        assert finish.reason is Reason.CANCELLED
        assert begun.real > 0.29
        assert begun.fair < 3
        assert finish.exit_code == 137

    async def test_a_later_stop_shortens_the_grace_and_no_more(self, runner: Runner) -> None:
        life = Life(job_for(self.ignores_sigterm()))
        running = life.start(runner)
        await life.sink.hears("ready")
        begun = Stopwatch()
        life.stop.request(Reason.KILLED, 60)
        await asyncio.sleep(0.2)
        assert not running.done()
        life.stop.request(Reason.CANCELLED, 0.1)
        assert (await running).reason is Reason.KILLED
        assert begun.fair < 5

    async def test_stop_leaves_time_to_tidy_up(self, runner: Runner) -> None:
        life = Life(job_for(self.tidies_up_on_sigterm()))
        running = life.start(runner)
        await life.sink.hears("ready")
        life.stop.request(Reason.KILLED, 20)
        assert (await running).reason is Reason.KILLED
        assert "tidy" in life.sink.text("stdout")

    async def test_stop_finds_hidden_children(self, runner: Runner) -> None:
        life = Life(job_for(self.hides_children()))
        running = life.start(runner)
        await life.sink.hears("ready")
        assert len(survivors(life.job.agent_id)) > 1
        life.stop.request(Reason.KILLED, 0.2)
        assert (await running).reason is Reason.KILLED

    async def test_stop_before_the_start_starts_nothing(self, runner: Runner) -> None:
        life = Life(job_for(self.runs_for_long()))
        life.stop.request(Reason.KILLED, 5)
        assert (await life.run(runner)).reason is Reason.KILLED
        assert life.sink.pids == []

    async def test_stop_at_any_moment(self, runner: Runner) -> None:
        async def stopped_after(seconds: float) -> Finish:
            life = Life(job_for(self.runs_for_long()))
            running = life.start(runner)
            await asyncio.sleep(seconds)
            life.stop.request(Reason.KILLED, 5)
            return await running

        ends = await asyncio.gather(*(stopped_after(0.004 * step) for step in range(25)))
        assert {end.reason for end in ends} == {Reason.KILLED}

    async def test_true_ending_wins_over_a_late_stop(self, runner: Runner) -> None:
        life = Life(job_for(self.leaves_a_child()))
        running = life.start(runner)
        await life.sink.hears("ready")
        await asyncio.sleep(0.1)
        life.stop.request(Reason.KILLED, 0)
        finish = await running
        assert (finish.reason, finish.exit_code) == (None, 0)

    async def test_nothing_outlives_its_agent(self, runner: Runner) -> None:
        life = Life(job_for(self.leaves_a_child()))
        finish = await life.run(runner)
        assert (finish.reason, finish.exit_code) == (None, 0)
        assert life.sink.text("muster"), "a person wants to know that something was ended"

    async def test_timeout(self, runner: Runner) -> None:
        life = Life(job_for(self.with_timeout(self.runs_for_long(), 0.4)))
        begun = Stopwatch()
        finish = await life.run(runner)
        assert finish.reason is Reason.TIMEOUT
        assert finish.error
        assert begun.real > 0.39
        assert begun.fair < 3

    @pytest.mark.parametrize("times", [1, 3])
    async def test_cancellation_leaves_nothing(self, runner: Runner, times: int) -> None:
        life = Life(job_for(self.hides_children()))
        running = life.start(runner)
        await life.sink.hears("ready")
        begun = Stopwatch()
        for _ in range(times):
            running.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await running
        assert survivors(life.job.agent_id) == []
        assert begun.fair < 3

    async def test_output_is_cut_and_the_agent_goes_on(self, runner: Runner) -> None:
        life = Life(job_for(self.prints_much(3_000_000), limit=100_000))
        finish = await life.run(runner)
        assert finish.reason is None
        kept = sum(len(text.encode()) + 1 for text in life.sink.text("stdout"))
        assert 90_000 < kept <= 100_001
        remarks = life.sink.text("muster")
        assert len(remarks) == 1
        assert "100000 bytes" in remarks[0]
        assert life.sink.lines[-1][0] == "muster", "it stands where the output was cut"

    async def test_a_sink_that_fails_ends_the_agent(self, runner: Runner) -> None:
        class Refusing(Listener):
            async def started(self, pid: int | None) -> None:
                raise PermissionError("no longer the current attempt")

        life = Life(job_for(self.runs_for_long()), sink=Refusing())
        with pytest.raises(PermissionError, match="no longer"):
            await life.run(runner)
        assert survivors(life.job.agent_id) == []

    async def test_a_slow_sink_delays_no_stop(self, runner: Runner) -> None:
        release = asyncio.Event()

        class Slow(Listener):
            async def line(self, stream: Stream, at: datetime, text: str) -> None:
                await super().line(stream, at, text)
                await release.wait()

        life = Life(job_for(self.prints_much(3_000_000), limit=10_000_000), sink=Slow())
        running = life.start(runner)
        await life.sink.heard.wait()
        await asyncio.sleep(0.3)
        assert survivors(life.job.agent_id), "the sink's pace holds it back"
        life.stop.request(Reason.KILLED, 1)
        async with patience(3):
            while survivors(life.job.agent_id):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        release.set()
        assert (await running).reason is Reason.KILLED

    async def test_many_at_once(self, runner: Runner) -> None:
        lives = [Life(job_for(self.prints(f"number {n}"))) for n in range(60)]
        ends = await asyncio.gather(*(life.run(runner) for life in lives))
        assert all(end.reason is None for end in ends)
        for n, life in enumerate(lives):
            assert f"number {n}" in life.sink.text("stdout")

    async def test_many_killed_at_once(self, runner: Runner) -> None:
        lives = [Life(job_for(self.runs_for_long())) for _ in range(60)]
        running = [life.start(runner) for life in lives]
        await asyncio.gather(*(life.sink.hears("ready") for life in lives))
        begun = Stopwatch()
        for life in lives:
            life.stop.request(Reason.KILLED, 30)
        ends = await asyncio.gather(*running)
        assert {end.reason for end in ends} == {Reason.KILLED}
        assert begun.fair < 15, "none has to be made to"

    async def test_nothing_stays_open(self, runner: Runner) -> None:
        await Life(job_for(self.prints("x"))).run(runner)
        gc.collect()  # what other tests left is not to be closed meanwhile
        before = _open_files()
        for spec in (
            self.prints("x"), self.fails(), self.cannot_start(), self.leaves_a_child(), self.prints_much(200_000),
            self.with_timeout(self.runs_for_long(), 0.1),
        ):  # fmt: skip
            await Life(job_for(spec)).run(runner)
        for _ in range(40):  # what has ended is taken leave of in the loop's next turns
            if (after := _open_files()).keys() == before.keys():
                break
            await asyncio.sleep(0.05)
        assert after.keys() == before.keys(), f"{before} {after}"


def _open_files() -> dict[str, str]:
    """By number, what each is; but for the one that looks."""
    found = {}
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found[number] = os.readlink(f"/proc/self/fd/{number}")
    return found
