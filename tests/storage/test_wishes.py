"""A wish to kill that nobody could be told of: the agent's workflow had not begun when it was recorded."""

from __future__ import annotations

from typing import Any, cast

from temporalio.testing import ActivityEnvironment

from activities.agents import AgentActivities
from activities.messages import Messages
from muster.domain.agents import AgentStart
from muster.domain.ids import new_id
from muster.domain.states import AgentStatus, Reason
from muster.domain.tasks import CommandRunner, KillWish
from muster.runners.marks import worker_mark
from muster.runners.registry import Runners
from muster.runners.tree import Forest
from muster.storage import agents, moves
from muster.storage.mirror import Mirror

from .conftest import OWNER, Servers, Tenant


async def test_an_agent_that_is_not_wanted_any_more_is_not_started(tenant: Tenant, servers: Servers) -> None:
    task = await tenant.create(runner=CommandRunner(argv=["sleep", "60"]))
    agent = await tenant.agent_of(task)
    wish = KillWish(grace_seconds=0.1, reason="too many", cause=Reason.KILLED)
    await moves.ask_kill(tenant.db, tenant.id, OWNER, agent, wish)
    mirror = Mirror(servers.valkey.url, terminal_ttl_seconds=10)
    nobody = cast(Any, None)  # there is no workflow to be told
    messages = Messages(nobody, mirror)
    room = AgentActivities(
        tenant.db, mirror, messages, Runners(Forest(worker_mark(f"test {new_id()}"))),
        worker="worker-1", max_output_bytes=1024, secret_key="a pepper",
    )  # fmt: skip
    start = AgentStart(
        workspace_id=tenant.id, agent_id=agent, task_id=task, attempt=1, runner="command", max_seconds=10
    )  # fmt: skip
    try:
        outcome = await ActivityEnvironment().run(room.run_agent, start)
    finally:
        await messages.flush()
        await mirror.close()
    assert (outcome.status, outcome.reason, outcome.wish) == (AgentStatus.KILLED, Reason.KILLED, wish)
    row = await agents.get(tenant.db, tenant.id, agent)
    assert (row["status"], row["started_at"]) == ("killed", None)
