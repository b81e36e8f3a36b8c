"""The `command` runner: all that every runner must do, and what is special to it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import datetime
from pathlib import Path

import pytest
import uvloop
from pydantic import JsonValue

from muster.domain.ids import new_id
from muster.domain.states import Reason
from muster.domain.tasks import CommandRunner, RunnerSpec
from muster.runners.command import Command, public_environment
from muster.runners.marks import worker_mark
from muster.runners.output import MAX_LINE_BYTES
from muster.runners.protocol import Runner, Stream
from muster.runners.registry import Runners
from muster.runners.tree import Forest
from tests.pace import Stopwatch, patience

from .conformance import Life, Listener, RunnerConformance, job_for, survivors

HIDER = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for _ in range(2):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(600)
        os._exit(0)
    os.wait()
print("ready", flush=True)
time.sleep(600)
"""

# Forks and exits for ever, each link in a session of its own, without environment. The
# arguments say how long it lasts at most, and each link: a table full of processes is a nuisance to others.
CHAIN = """
use POSIX; $SIG{TERM} = 'IGNORE'; $SIG{CHLD} = 'IGNORE'; %ENV = (); $end = time + $ARGV[0]; $| = 1;
if (!fork) {
    while (time < $end) {
        select(undef, undef, undef, $ARGV[1]);
        if (fork) { POSIX::_exit(0) }
        POSIX::setsid();
    }
    exit;
}
print "ready\\n"; sleep 600;
"""

STORM = """
import os, time
print("ready", flush=True)
end = time.monotonic() + 20
made = 0
while time.monotonic() < end and made < 400:
    made += 1
    if os.fork() == 0:
        if made % 2:
            os.setsid()
        time.sleep(30)
        os._exit(0)
    time.sleep(0.001)
time.sleep(30)
"""


def shell(script: str, *args: str, **fields: object) -> CommandRunner:
    return CommandRunner.model_validate({"argv": ["bash", "-c", script, "bash", *args], **fields})


def python(program: str, *args: str, **fields: object) -> CommandRunner:
    return CommandRunner.model_validate({"argv": [sys.executable, "-I", "-S", "-c", program, *args], **fields})


class TestConformance(RunnerConformance):
    @pytest.fixture
    def runner(self, command: Command) -> Runner:
        return command

    def prints(self, text: str) -> RunnerSpec:
        return CommandRunner(argv=["printf", "%s\\n", text])

    def fails(self) -> RunnerSpec:
        return shell("exit 3")

    def runs_for_long(self) -> RunnerSpec:
        return shell("echo ready; exec sleep 600")

    def ignores_sigterm(self) -> RunnerSpec:
        return shell("trap '' TERM; echo ready; sleep 600; sleep 600")

    def tidies_up_on_sigterm(self) -> RunnerSpec:
        return shell("trap 'sleep 0.3; /bin/echo tidy; exit 0' TERM; echo ready; sleep 600 & wait")

    def hides_children(self) -> RunnerSpec:
        return python(HIDER)

    def leaves_a_child(self) -> RunnerSpec:
        return shell("setsid sleep 600 & echo ready")

    def cannot_start(self) -> RunnerSpec:
        return CommandRunner(argv=["no-such-program-anywhere"])

    def prints_much(self, size: int) -> RunnerSpec:
        return shell('yes "a line of thirty characters…" | head -c "$1"', str(size))

    def results_in(self, value: JsonValue) -> RunnerSpec:
        return CommandRunner(argv=["printf", "%s\\n", "working", json.dumps(value), "done"])

    def with_timeout(self, spec: RunnerSpec, seconds: float) -> RunnerSpec:
        return spec.model_copy(update={"timeout_seconds": seconds})


async def test_it_is_registered(forest: Forest) -> None:
    assert isinstance(Runners(forest).runner_for(shell("")), Command)


async def test_binary_garbage_becomes_text(command: Command) -> None:
    life = Life(job_for(python("import os; os.write(1, bytes(range(256)) * 400 + b'\\nend')")))
    assert (await life.run(command)).reason is None
    assert life.sink.text("stdout")[-1] == "end"


async def test_a_line_of_a_megabyte_comes_in_pieces(command: Command) -> None:
    life = Life(job_for(python("import sys; sys.stdout.buffer.write(('é' * 500_000 + '\\n').encode())"), limit=2 << 20))
    await life.run(command)
    pieces = life.sink.text("stdout")
    assert "".join(pieces) == "é" * 500_000
    assert max(len(piece.encode()) for piece in pieces) <= 65_536
    assert len(pieces) == 16


async def test_lines_are_kept_exactly(command: Command) -> None:
    life = Life(job_for(CommandRunner(argv=["printf", r"one\n\ntwo\r\nthree\rfour\0five\n  last"])))
    await life.run(command)
    assert life.sink.text("stdout") == ["one", "", "two", "three\rfourfive", "  last"]


async def test_both_streams(command: Command) -> None:
    life = Life(job_for(shell("for n in 1 2 3; do echo out $n; echo err $n >&2; sleep 0.02; done; printf end >&2")))
    await life.run(command)
    assert life.sink.text("stdout") == ["out 1", "out 2", "out 3"]
    assert life.sink.text("stderr") == ["err 1", "err 2", "err 3", "end"]


async def test_lines_are_told_as_they_come(command: Command) -> None:
    life = Life(job_for(shell("echo now; sleep 0.5; echo later")))
    running = life.start(command)
    begun = Stopwatch()
    await life.sink.hears("now")
    assert begun.fair < 0.4
    await running


async def test_a_line_too_long_is_told_in_pieces_that_end_between_words(command: Command) -> None:
    """What a secret looks like is known where its pieces are looked at."""
    line = f"printf '%0{MAX_LINE_BYTES - 20}d %s end\\n' 0 ghp_{'a' * 36}; printf '%0{MAX_LINE_BYTES + 9}d\\n' 0"
    life = Life(job_for(shell(line)))
    await life.run(command)
    told = life.sink.text("stdout")
    assert [len(piece) for piece in told] == [MAX_LINE_BYTES - 20, 45, MAX_LINE_BYTES, 9]
    assert told[1] == f" ghp_{'a' * 36} end"


async def test_a_program_that_closes_its_output_is_waited_for(command: Command) -> None:
    finish = await Life(job_for(shell("exec >&- 2>&-; sleep 0.2; exit 4"))).run(command)
    assert finish.exit_code == 4


async def test_standard_input_of_a_megabyte_while_output_flows(command: Command) -> None:
    text = "0123456789abcde\n" * 65_536
    life = Life(job_for(CommandRunner(argv=["cat"]), prompt=text, limit=4 << 20))
    assert (await life.run(command)).reason is None
    assert "\n".join(life.sink.text("stdout")) + "\n" == text


async def test_standard_input_that_nobody_reads(command: Command) -> None:
    finish = await Life(job_for(CommandRunner(argv=["true"]), prompt="x" * (1 << 20))).run(command)
    assert finish.reason is None


@pytest.mark.parametrize(
    ("stdin", "prompt", "read"), [("own", "prompt", "own"), (None, "prompt", "prompt"), ("", "p", "")]
)
async def test_standard_input_is_the_prompt_unless_given(
    command: Command, stdin: str | None, prompt: str, read: str
) -> None:
    life = Life(job_for(CommandRunner(argv=["cat"], stdin=stdin), prompt=prompt))
    await life.run(command)
    assert "".join(life.sink.text("stdout")) == read


async def test_environment(forest: Forest, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "VALKEY_PASSWORD", "TEMPORAL_API_KEY", "MUSTER_DATABASE_OWNER_URL", "PGPASSWORD"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("ORDINARY", "kept")
    spec = CommandRunner(argv=["env"], env={"A": "spec", "MUSTER_AGENT_MARK": "forged"})
    job = job_for(spec)
    job.env.update({"A": "job", "MUSTER_AGENT_ID": "an-id"})
    life = Life(job)
    await life.run(Command(forest))
    said = dict(line.split("=", 1) for line in life.sink.text("stdout"))
    assert (said["ORDINARY"], said["A"], said["MUSTER_AGENT_ID"]) == ("kept", "spec", "an-id")
    assert said["MUSTER_AGENT_MARK"] == f"{job.agent_id}:{forest.worker}"
    assert "secret" not in said.values()


def test_every_setting_is_private() -> None:
    from muster.settings import Settings

    names = {field.alias: "x" for field in Settings.model_fields.values() if field.alias}
    assert public_environment(names) == {}


async def test_working_directory(command: Command, tmp_path: Path) -> None:
    life = Life(job_for(CommandRunner(argv=["pwd"], cwd=str(tmp_path))))
    await life.run(command)
    assert life.sink.text("stdout") == [str(tmp_path)]


async def test_what_cannot_start_says_why(command: Command, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("no program")
    binary = tmp_path / "executable"
    binary.write_text("no program either")
    binary.chmod(0o755)
    here = str(tmp_path)
    for spec, words in [
        (CommandRunner(argv=["no-such-program"]), ["command not found", "no-such-program"]),
        (CommandRunner(argv=[f"{here}/missing"]), [f"{here}/missing", "No such file"]),
        (CommandRunner(argv=[str(plain)]), [str(plain), "Permission denied"]),
        (CommandRunner(argv=[str(binary)]), [str(binary), "neither a program nor a script"]),
        (CommandRunner(argv=[here]), [here, "Permission denied"]),
        (CommandRunner(argv=["true"], cwd=f"{here}/gone"), ["working directory", f"{here}/gone", "No such file"]),
        (CommandRunner(argv=["true"], cwd=str(plain)), ["working directory", str(plain), "Not a directory"]),
        (CommandRunner(argv=["true", "x" * 200_000]), ["true", "too long"]),
    ]:
        life = Life(job_for(spec))
        finish = await life.run(command)
        assert finish.reason is Reason.SPAWN_FAILED, spec
        assert life.sink.pids == []
        for word in words:
            assert word in (finish.error or "")
    job = job_for(CommandRunner(argv=["true"]))
    job.env["BAD"] = "a\0b"
    assert (await Life(job).run(command)).reason is Reason.SPAWN_FAILED


@pytest.mark.parametrize(("script", "code", "words"), [("exit 7", 7, "code 7"), ("kill -SEGV $$", 139, "SIGSEGV")])
async def test_exit_codes(command: Command, script: str, code: int, words: str) -> None:
    finish = await Life(job_for(shell(script))).run(command)
    assert (finish.reason, finish.exit_code) == (Reason.EXIT_NONZERO, code)
    assert words in (finish.error or "")


@pytest.mark.parametrize(
    ("printed", "result"),
    [
        ('{"a": 1}', {"a": 1}),
        ('{"a": 1}\n{"b": 2}\nbye', {"b": 2}),
        ('{"a": 1}\n[12:00] not json [x]', {"a": 1}),
        ('{"a": 1}\n42\nnull\n"text"', {"a": 1}),
        ('  {"a": 1}  \r\n', {"a": 1}),
        ("\n".join(['{"a": 1}', *["[broken]"] * 500]), {"a": 1}),
        ('{"a": 1}\n{"b": NaN}', {"a": 1}),
        ("nothing", None),
        ("", None),
    ],
)
async def test_the_last_line_of_json_is_the_result(command: Command, printed: str, result: JsonValue) -> None:
    life = Life(job_for(CommandRunner(argv=["cat"]), prompt=printed))
    assert (await life.run(command)).result == result
    assert life.sink.text("muster") == []


@pytest.mark.parametrize(
    "printed",
    ['["\\u0000"]', '["\\ud800"]', "[1e999]", f"[{2**63}]", "[" * 65 + "]" * 65, '{"a": "' + "x" * 300_000 + '"}'],
)
async def test_a_result_that_cannot_be_kept_is_said_to_be(command: Command, printed: str) -> None:
    life = Life(job_for(CommandRunner(argv=["cat"]), prompt=f'{{"earlier": 1}}\n{printed}\n'))
    finish = await life.run(command)
    assert (finish.reason, finish.result) == (None, None)
    assert "not kept as the result" in life.sink.text("muster")[-1]


async def test_the_result_is_found_beyond_the_cut(command: Command) -> None:
    life = Life(job_for(shell("yes | head -c 500000; echo; echo '{\"ok\": true}'; exit 5"), limit=5_000))
    finish = await life.run(command)
    assert finish.result == {"ok": True}
    assert finish.exit_code == 5


class Slow(Listener):
    """As far as servers are away, or the machine has others to serve."""

    async def line(self, stream: Stream, at: datetime, text: str) -> None:
        await super().line(stream, at, text)
        if len(self.lines) % 50 == 0:
            await asyncio.sleep(0.02)


async def test_who_stops_a_flood_of_short_lines_does_not_wait_for_all_of_it(command: Command) -> None:
    life = Life(job_for(CommandRunner(argv=["yes"]), limit=1 << 30), Slow())
    running = life.start(command)
    await life.sink.hears("y")
    await asyncio.sleep(1)
    told, began = len(life.sink.lines), Stopwatch()
    life.stop.request(Reason.KILLED, 1)
    finish = await running
    assert finish.reason is Reason.KILLED
    assert began.fair < 12
    assert len(life.sink.lines) - told < 20_000
    (said,) = life.sink.text("muster")
    assert "cut here" in said


async def test_what_it_said_last_is_heard_of_one_that_was_stopped(command: Command) -> None:
    life = Life(job_for(shell("trap 'echo bye; exit' TERM; seq 1000; sleep 600 & wait")))
    running = life.start(command)
    await life.sink.hears("1000")
    life.stop.request(Reason.KILLED, 5)
    await running
    assert life.sink.text("stdout") == [*map(str, range(1, 1001)), "bye"]
    assert life.sink.text("muster") == []


async def test_empty_lines_take_some_of_the_limit_too(command: Command) -> None:
    life = Life(job_for(shell("yes '' | head -n 10000"), limit=16_000))
    await life.run(command)
    assert len(life.sink.text("stdout")) == 1000
    (said,) = life.sink.text("muster")
    assert "the limit is 16000 bytes" in said


async def test_last_words_of_what_outlives_the_program_are_heard(command: Command) -> None:
    life = Life(job_for(shell("(sleep 0.1; echo last words) & exit 0")))
    assert (await life.run(command)).reason is None
    assert life.sink.text("stdout") == ["last words"]
    assert life.sink.text("muster") == []


async def test_a_daemon_without_environment_is_ended_with_its_agent(command: Command) -> None:
    agent_id = new_id()
    # Its arguments carry the id, for this test to find it by.
    script = 'env -i setsid bash -c "sleep 600; :" "$1" >/dev/null 2>&1 & sleep 0.1'
    await Life(job_for(shell(script, str(agent_id)), agent_id=agent_id)).run(command)


async def test_a_stopped_process_is_ended(command: Command) -> None:
    life = Life(job_for(shell("echo ready; kill -STOP $$")))
    running = life.start(command)
    await life.sink.hears("ready")
    await asyncio.sleep(0.1)
    life.stop.request(Reason.KILLED, 20)
    async with patience(3):
        assert (await running).reason is Reason.KILLED


@pytest.mark.parametrize("how", ["kill", "cancel"])
async def test_one_that_forks_for_ever_is_ended(command: Command, forest: Forest, how: str) -> None:
    life = Life(job_for(CommandRunner(argv=["perl", "-e", CHAIN, "3", "0.0001"])))
    running = life.start(command)
    await life.sink.hears("ready")
    await asyncio.sleep(0.1)
    if how == "kill":
        life.stop.request(Reason.KILLED, 0.1)
        assert (await running).reason is Reason.KILLED
    else:
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    # A link carries no environment, but would have been adopted by this process.
    await asyncio.sleep(0.05)
    assert forest.orphans() == []


async def test_a_storm_of_forks_is_ended(command: Command) -> None:
    life = Life(job_for(python(STORM)))
    running = life.start(command)
    await life.sink.hears("ready")
    await asyncio.sleep(0.3)
    life.stop.request(Reason.KILLED, 0)
    assert (await running).reason is Reason.KILLED


async def test_timeout_that_sigterm_cannot_end(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muster.runners.command.TIMEOUT_GRACE_SECONDS", 0.3)
    spec = shell("trap '' TERM; while :; do sleep 1; done", timeout_seconds=0.3)
    finish = await Life(job_for(spec)).run(command)
    assert finish.reason is Reason.TIMEOUT
    assert finish.error == "ran longer than 0.3 s; SIGKILL was needed"
    assert finish.exit_code == 137


async def test_orphans_of_a_long_life_are_reaped_and_no_others(command: Command) -> None:
    stranger = await asyncio.create_subprocess_exec("sleep", "0.1")
    life = Life(job_for(shell("for n in {1..20}; do (true &); done; echo ready; sleep 600")))
    running = life.start(command)
    await life.sink.hears("ready")
    async with patience(5):
        while _zombie_children("true") or _zombie_children("bash"):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert await stranger.wait() == 0
    life.stop.request(Reason.KILLED, 1)
    await running


def _zombie_children(name: str) -> int:
    count = 0
    for pid in os.listdir("/proc"):
        try:
            with open(f"/proc/{pid}/stat") as file:
                stat = file.read()
        except OSError:
            continue
        fields = stat[stat.rfind(")") + 2 :].split()
        count += fields[:2] == ["Z", str(os.getpid())] and f"({name})" in stat
    return count


async def test_agents_of_one_worker_do_not_end_each_other(command: Command) -> None:
    one, other = (Life(job_for(shell("setsid sleep 600 & echo ready; sleep 600"))) for _ in range(2))
    running = one.start(command), other.start(command)
    await asyncio.gather(one.sink.hears("ready"), other.sink.hears("ready"))
    before = set(survivors(other.job.agent_id))
    one.stop.request(Reason.KILLED, 1)
    await running[0]
    assert before <= set(survivors(other.job.agent_id))
    other.stop.request(Reason.KILLED, 1)
    await running[1]


def test_a_loop_that_shuts_down_leaves_nothing() -> None:
    """`asyncio.run` cancels every task, the one that ends the agent too."""
    agent_id = new_id()

    async def main() -> None:
        sink = Listener()
        life = Life(job_for(python(HIDER), agent_id=agent_id), sink=sink)
        task = life.start(Command(Forest(worker_mark("shutdown"))))
        await sink.hears("ready")
        task.cancel()
        await asyncio.sleep(0)

    asyncio.run(main())
    assert survivors(agent_id) == []


def test_it_works_on_uvloop_too() -> None:
    async def main() -> None:
        command = Command(Forest(worker_mark("uvloop")))
        cases = TestConformance()
        await cases.test_success_with_its_output(command)
        await cases.test_nothing_outlives_its_agent(command)
        await cases.test_stop_at_any_moment(command)
        await cases.test_stop_finds_hidden_children(command)
        await cases.test_timeout(command)
        await cases.test_cancellation_leaves_nothing(command, 3)
        await cases.test_output_is_cut_and_the_agent_goes_on(command)
        await cases.test_a_slow_sink_delays_no_stop(command)
        await test_standard_input_of_a_megabyte_while_output_flows(command)
        await test_standard_input_that_nobody_reads(command)

    uvloop.run(main())
