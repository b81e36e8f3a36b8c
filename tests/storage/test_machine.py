"""The whole machine against a small model of it: any order of moves, and after each the two agree to the letter."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from muster.domain.errors import MusterError
from muster.domain.ids import event_id, new_id
from muster.domain.states import ACTIVE_AGENT, FINAL_TASK, AgentStatus, Reason, TaskStatus
from muster.domain.tasks import CommandRunner, KillWish, TaskSpec
from muster.storage import events, moves
from muster.storage.database import Database
from muster.storage.moves import Changes

from .conftest import OWNER, make_workspace

T = TypeVar("T")
PENDING, ASSIGNED, EXECUTING = TaskStatus.PENDING, TaskStatus.ASSIGNED, TaskStatus.EXECUTING
COMPLETED, FAILED = TaskStatus.COMPLETED, TaskStatus.FAILED


class Refuse(Exception):
    pass


@dataclass
class MAgent:
    id: UUID
    attempt: int
    run: int
    status: AgentStatus = AgentStatus.SPAWNING


@dataclass
class MTask:
    id: UUID
    order: int
    runs: bool
    priority: int
    deps: list[MTask]
    parent: MTask | None
    status: TaskStatus = PENDING
    reason: str | None = None
    queued: bool = False
    backoff: bool = False
    awaits: bool = False
    run: int = 1
    attempts: int = 0
    agent: MAgent | None = None
    children: list[MTask] = field(default_factory=list)
    request: str | None = None

    @property
    def active(self) -> bool:
        return self.agent is not None and self.agent.status in ACTIVE_AGENT


class Model:
    """What the rules are, in as few words as they can be said."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.tasks: dict[UUID, MTask] = {}
        self.events: list[tuple[str, UUID, int, int]] = []
        self.wake: set[UUID] = set()
        self.cancel: set[UUID] = set()
        self.new_agents: list[MTask] = []

    def emit(self, kind: str, task: MTask) -> None:
        of_agent = kind.startswith("agent.") and task.agent
        entity, attempt = (task.agent.id, task.agent.attempt) if of_agent and task.agent else (task.id, task.attempts)
        self.events.append((kind, entity, task.run, attempt))

    def free(self) -> int:
        return self.limit - sum(task.active for task in self.tasks.values())

    def deps(self, task: MTask) -> str:
        if any(dep.status == FAILED for dep in task.deps):
            return "failed"
        return "ready" if all(dep.status == COMPLETED for dep in task.deps) else "waiting"

    def grant(self, task: MTask) -> None:
        task.status, task.queued, task.backoff = ASSIGNED, False, False
        task.attempts += 1
        task.agent = MAgent(UUID(int=0), task.attempts, task.run)  # its id is the database's to choose
        self.new_agents.append(task)
        self.emit("task.assigned", task)
        self.emit("agent.spawned", task)

    def fill(self) -> None:
        for _ in range(max(0, self.free())):
            waiting = [task for task in self.tasks.values() if task.queued]
            if waiting:
                self.grant(min(waiting, key=lambda task: (-task.priority, task.order)))

    def enqueue(self, task: MTask) -> None:
        task.queued, task.backoff = True, False

    def begin(self, parent: MTask) -> None:
        parent.status = ASSIGNED
        self.emit("task.assigned", parent)
        parent.status, parent.awaits = EXECUTING, True
        self.emit("task.executing", parent)

    def conclude(self, task: MTask, status: TaskStatus, reason: str | None) -> None:
        if task.status in FINAL_TASK or (status == COMPLETED and task.status != EXECUTING):
            raise Refuse
        task.status, task.reason = status, reason
        task.awaits = task.queued = task.backoff = False
        self.emit(f"task.{status}", task)
        for dependent in self.tasks.values():
            if task in dependent.deps and dependent.status == PENDING:
                if status == FAILED:
                    self.wake.add(dependent.id)
                elif not dependent.queued and not dependent.backoff and self.deps(dependent) == "ready":
                    self.enqueue(dependent)
        if status == FAILED:
            self.cancel |= {child.id for child in task.children if child.status not in FINAL_TASK}
        if task.parent and all(child.status in FINAL_TASK for child in task.parent.children):
            self.wake.add(task.parent.id)
        self.fill()

    def spawn_now(self, task: MTask) -> None:
        if not task.runs or task.status != PENDING or self.deps(task) != "ready" or self.free() <= 0:
            raise Refuse
        self.grant(task)

    def waits(self, some: list[MTask], other: MTask) -> bool:
        """Whether one of them cannot end before the other."""
        return any(
            one is other or self.waits([*one.deps, *one.children], other)
            for one in some
            if one.status not in FINAL_TASK
        )

    def create(self, task: MTask, spawn: bool) -> None:
        if task.parent and (task.parent.status in FINAL_TASK or self.waits(task.deps, task.parent)):
            raise Refuse
        if spawn and (not task.runs or self.deps(task) != "ready" or self.free() <= 0):
            raise Refuse
        self.tasks[task.id] = task
        if task.parent:
            task.parent.children.append(task)
            if not task.parent.runs and task.parent.status == PENDING:
                self.begin(task.parent)
        if spawn:
            self.spawn_now(task)
        elif task.runs and self.deps(task) == "ready":
            self.enqueue(task)
            self.fill()
        elif task.runs and self.deps(task) == "failed":
            self.wake.add(task.id)

    def advance(self, task: MTask, backoff_over: bool) -> None:
        if task.status == PENDING and not task.runs and task.children:
            self.begin(task)
        if task.status == PENDING and task.runs and not task.queued and (not task.backoff or backoff_over):
            if self.deps(task) == "failed":
                self.conclude(task, FAILED, "dependency_failed")
            elif self.deps(task) == "ready":
                self.enqueue(task)
                self.fill()
        elif task.status == EXECUTING and task.awaits and all(child.status in FINAL_TASK for child in task.children):
            lost = any(child.status == FAILED for child in task.children)
            self.conclude(task, FAILED if lost else COMPLETED, "subtask_failed" if lost else None)

    def finish(self, task: MTask, status: TaskStatus, reason: str | None) -> None:
        if (task.status, task.reason) == (status, reason):
            # Said twice: everyone is told again.
            if task.parent:
                self.wake.add(task.parent.id)
            self.wake |= {d.id for d in self.tasks.values() if task in d.deps and d.status == PENDING}
            if status == FAILED:
                self.cancel |= {child.id for child in task.children if child.status not in FINAL_TASK}
            return
        if task.active or task.status in FINAL_TASK:
            raise Refuse
        if status == COMPLETED and task.status == EXECUTING:
            if any(child.status not in FINAL_TASK for child in task.children):
                task.awaits = True
                return
            if any(child.status == FAILED for child in task.children):
                task.awaits = True
                self.advance(task, False)
                return
        self.conclude(task, status, reason)

    def reschedule(self, task: MTask, attempt: int, wait: float) -> None:
        if not task.runs:
            raise Refuse
        if task.status in (ASSIGNED, EXECUTING) and task.attempts == attempt:
            if task.active:
                raise Refuse
            task.status, task.awaits, task.backoff = PENDING, False, wait > 0
            if not task.backoff:
                self.enqueue(task)
                self.fill()
        elif task.attempts == attempt and task.status != PENDING:
            raise Refuse

    def retry(self, task: MTask, spawn: bool, request: str) -> None:
        if task.status != FAILED or (task.parent and task.parent.status == COMPLETED):
            raise Refuse
        if spawn and (not task.runs or self.deps(task) != "ready" or self.free() <= 0):
            raise Refuse
        task.status, task.reason, task.run, task.request = PENDING, None, task.run + 1, request
        if spawn:
            self.spawn_now(task)
        else:
            self.wake.add(task.id)

    def start(self, task: MTask) -> None:
        if not task.agent or task.agent.status != AgentStatus.SPAWNING:
            raise Refuse
        task.agent.status, task.status = AgentStatus.RUNNING, EXECUTING
        self.emit("agent.running", task)
        self.emit("task.executing", task)

    def end(self, task: MTask, status: AgentStatus) -> None:
        assert task.agent
        if not task.active:
            return
        if status == AgentStatus.COMPLETED and task.agent.status == AgentStatus.SPAWNING:
            raise Refuse
        task.agent.status = status
        self.emit(f"agent.{status}", task)
        self.fill()

    def abandon(self, task: MTask) -> None:
        if task.status not in FINAL_TASK:
            if task.active and task.agent:
                task.agent.status = AgentStatus.FAILED
                self.emit("agent.failed", task)
            self.conclude(task, FAILED, "lost")


class Machine(RuleBasedStateMachine):
    url = ""
    db: Database
    loop: asyncio.AbstractEventLoop
    tasks = Bundle("tasks")

    def do(self, step: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(step)

    @initialize(limit=st.integers(1, 2))
    def begin(self, limit: int) -> None:
        self.workspace = self.do(make_workspace(self.url, limit))
        self.model = Model(limit)
        self.count = 0
        self.versions: dict[UUID, int] = {}
        self.told = 0

    def move(self, step: Coroutine[Any, Any, Changes], expected: Any, *arguments: Any) -> Changes | None:
        """Both, or neither."""
        self.model.wake, self.model.cancel, self.model.new_agents = set(), set(), []
        before = len(self.model.events)
        try:
            expected(*arguments)
        except Refuse:
            with pytest.raises(MusterError) as refused:
                self.do(step)
            assert refused.value.code in (
                "illegal_move", "workspace_full", "parent_final", "fenced", "waits_for_itself",
            ), refused.value  # fmt: skip
            return None
        changes = self.do(step)
        assert [grant.task_id for grant in sorted(changes.grants, key=lambda g: str(g.task_id))] == sorted(
            (task.id for task in self.model.new_agents), key=str
        )
        for task in self.model.new_agents:
            grant = changes.grant(task.id)
            assert grant
            assert task.agent
            assert grant.attempt == task.agent.attempt
            old, task.agent.id = task.agent.id, grant.agent_id
            assert old == UUID(int=0)
            for index, (kind, _, run, attempt) in enumerate(self.model.events[before:], before):
                # An event of an agent that had no id yet.
                if kind == "agent.spawned" and self.model.events[index][1] == UUID(int=0):
                    self.model.events[index] = (kind, grant.agent_id, run, attempt)
                    break
        assert set(changes.wake) == self.model.wake
        assert set(changes.cancel) == self.model.cancel
        # Whatever changed is in the answer: it is all that Valkey gets.
        answered = {UUID(row["id"]): row["version"] for row in changes.tasks}
        now = self.task_versions()
        for task_id, version in now.items():
            assert version >= self.versions.get(task_id, 1), "versions only grow"
            if version != self.versions.get(task_id):
                assert answered.get(task_id) == version, f"task {task_id} changed and is not in the answer"
        self.versions = now
        return changes

    def task_versions(self) -> dict[UUID, int]:
        return dict(self.do(self.db.query(self.workspace, "SELECT id, version FROM tasks")))

    @rule(
        target=tasks,
        runs=st.sampled_from([True, True, True, False]),
        priority=st.integers(1, 3),
        spawn=st.sampled_from([False, False, True]),
        wanted=st.lists(st.integers(0, 100), max_size=2),
        parent=st.integers(0, 6),
    )
    def create(self, runs: bool, priority: int, spawn: bool, wanted: list[int], parent: int) -> UUID:
        known = list(self.model.tasks.values())
        deps = list({t.id: t for t in (known[i % len(known)] for i in wanted)}.values()) if known and runs else []
        above = known[-parent] if 0 < parent <= min(3, len(known)) else None
        self.count += 1
        task = MTask(new_id(), self.count, runs, priority, deps, above)
        spec = TaskSpec(
            title=f"task {self.count}",
            priority=priority,
            depends_on=[dep.id for dep in deps],
            parent_id=above.id if above else None,
            runner=CommandRunner(argv=["true"]) if runs else None,
        )
        self.move(
            moves.create_task(self.db, self.workspace, OWNER, task.id, spec, project_id=None, spawn=spawn),
            self.model.create, task, spawn,
        )  # fmt: skip
        return task.id

    @rule(target=tasks, priorities=st.lists(st.integers(1, 3), min_size=3, max_size=3))
    def create_a_few(self, priorities: list[int]) -> Any:
        """Enough of them for a queue."""
        return multiple(*[self.create(True, priority, False, [], 0) for priority in priorities])

    def known(self, task_id: UUID) -> MTask | None:
        return self.model.tasks.get(task_id)

    @rule(task_id=tasks)
    def start(self, task_id: UUID) -> None:
        task = self.known(task_id)
        if task and task.agent:
            # A repeated start by the same worker is the same start.
            worker = f"worker {len(self.model.events)}"
            self.move(moves.start_agent(self.db, self.workspace, task.agent.id, worker), self.model.start, task)

    @rule(task_id=tasks, status=st.sampled_from([AgentStatus.COMPLETED, AgentStatus.FAILED, AgentStatus.KILLED]))
    def end(self, task_id: UUID, status: AgentStatus) -> None:
        task = self.known(task_id)
        if task and task.agent:
            reason = {AgentStatus.FAILED: Reason.EXIT_NONZERO, AgentStatus.KILLED: Reason.KILLED}.get(status)
            self.move(
                moves.finish_agent(self.db, self.workspace, task.agent.id, status, reason=reason),
                self.model.end, task, status,
            )  # fmt: skip

    @rule(
        task_id=tasks, status=st.sampled_from([COMPLETED, FAILED]), why=st.sampled_from([Reason.KILLED, Reason.TIMEOUT])
    )
    def finish(self, task_id: UUID, status: TaskStatus, why: Reason) -> None:
        if task := self.known(task_id):
            reason = why if status == FAILED else None
            self.move(
                moves.finish_task(self.db, self.workspace, None, task_id, status, reason=reason),
                self.model.finish, task, status, reason,
            )  # fmt: skip

    @rule(task_id=tasks, wait=st.sampled_from([0.0, 60.0]), late=st.booleans())
    def reschedule(self, task_id: UUID, wait: float, late: bool) -> None:
        if task := self.known(task_id):
            attempt = task.attempts - 1 if late else task.attempts
            self.move(
                moves.reschedule_task(self.db, self.workspace, task_id, after_attempt=attempt, wait_seconds=wait),
                self.model.reschedule, task, attempt, wait,
            )  # fmt: skip

    @rule(task_id=tasks, over=st.booleans())
    def advance(self, task_id: UUID, over: bool) -> None:
        if task := self.known(task_id):
            self.move(
                moves.advance_task(self.db, self.workspace, task_id, backoff_over=over), self.model.advance, task, over
            )  # fmt: skip

    @rule(task_id=tasks)
    def spawn(self, task_id: UUID) -> None:
        if task := self.known(task_id):
            self.move(
                moves.spawn_task(self.db, self.workspace, OWNER, task_id), self.model.spawn_now, task
            )  # fmt: skip

    @rule(task_id=tasks, spawn=st.booleans())
    def retry(self, task_id: UUID, spawn: bool) -> None:
        if task := self.known(task_id):
            request = str(new_id())
            self.move(
                moves.retry_task(self.db, self.workspace, OWNER, task_id, spawn=spawn, request_id=request),
                self.model.retry, task, spawn, request,
            )  # fmt: skip

    @rule(task_id=tasks)
    def ask_kill(self, task_id: UUID) -> None:
        task = self.known(task_id)
        if task and task.agent:
            self.move(moves.ask_kill(self.db, self.workspace, None, task.agent.id, KillWish()), lambda: None)

    @rule(task_id=tasks)
    def abandon(self, task_id: UUID) -> None:
        if task := self.known(task_id):
            self.move(moves.abandon_task(self.db, self.workspace, task_id, "gone"), self.model.abandon, task)

    @rule(limit=st.integers(1, 3))
    def change_the_limit(self, limit: int) -> None:
        self.do(self.db.query(self.workspace, "UPDATE workspaces SET max_concurrent_agents = %s", (limit,)))
        self.model.limit = limit
        self.move(moves.fill_workspace(self.db, self.workspace), self.model.fill)

    @invariant()
    def they_agree(self) -> None:
        if not hasattr(self, "model"):
            return
        rows = self.do(
            self.db.query(
                self.workspace,
                "SELECT t.id, t.status::text, t.reason::text, t.queued_at IS NOT NULL, t.next_attempt_at IS NOT NULL, "
                "t.awaits_subtasks, t.run, t.attempts, a.id, a.status::text FROM tasks t "
                "LEFT JOIN agents a ON a.id = t.agent_id",
            )
        )
        seen = {row[0]: row[1:] for row in rows}
        assert seen == {
            task.id: (
                task.status, task.reason, task.queued, task.backoff, task.awaits, task.run, task.attempts,
                task.agent.id if task.agent else None, task.agent.status if task.agent else None,
            )
            for task in self.model.tasks.values()
        }  # fmt: skip
        active = self.do(
            self.db.query(
                self.workspace,
                "SELECT task_id, count(*) FROM agents WHERE status IN ('spawning', 'running') GROUP BY 1",
            )
        )
        assert all(count == 1 for _, count in active), "one agent a task"
        log = self.do(events.after(self.db, self.workspace, self.told, limit=10_000))
        assert [event["position"] for event in log] == list(range(self.told + 1, len(self.model.events) + 1))
        for event, (kind, entity, run, attempt) in zip(log, self.model.events[self.told :], strict=True):
            assert (event["type"], event["attempt"]) == (kind, attempt)
            assert event["id"] == str(event_id(entity, kind, run, attempt))
        self.told = len(self.model.events)

    def teardown(self) -> None:
        """Everybody who should be woken looks again; then nobody sits ready and unqueued."""
        if not hasattr(self, "model"):
            return
        for _ in range(len(self.model.tasks) + 1):
            for task in list(self.model.tasks.values()):
                if task.status not in FINAL_TASK:
                    self.advance_once(task)
        for task in self.model.tasks.values():
            if task.status == PENDING and task.runs and not task.backoff:
                assert task.queued or self.model.deps(task) == "waiting"
        if self.model.free() > 0:
            assert not any(task.queued for task in self.model.tasks.values())
        self.they_agree()

    def advance_once(self, task: MTask) -> None:
        self.move(
            moves.advance_task(self.db, self.workspace, task.id, backoff_over=False), self.model.advance, task, False
        )


def test_the_machine_agrees_with_its_model(shared_url: str) -> None:
    loop = asyncio.new_event_loop()
    Machine.url, Machine.loop = shared_url, loop
    Machine.db = Database(shared_url, size=1)
    loop.run_until_complete(Machine.db.open())
    try:
        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=15, stateful_step_count=25, deadline=None, database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            ),
        )  # fmt: skip
    finally:
        loop.run_until_complete(Machine.db.close())
        loop.close()
