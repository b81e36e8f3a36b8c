"""A worker reduced to its care for agents: `python -m … SCOPE AGENT_ID…` starts one of each, and prints `up`."""

from __future__ import annotations

import asyncio
import sys
from uuid import UUID

from muster.runners.command import Command
from muster.runners.tree import Forest
from muster.runners.warden import Warden

from .conformance import Life, job_for
from .test_command import CHAIN, HIDER, CommandRunner, python, shell


async def main(scope: str, agent_ids: list[UUID]) -> None:
    warden = Warden(scope)
    await warden.start()
    command = Command(Forest(warden.mark))
    specs = [
        python(HIDER),
        shell("trap '' TERM; setsid sleep 600 & echo ready; sleep 600; sleep 600"),
        shell("echo ready; exec sleep 600"),
        CommandRunner(argv=["perl", "-e", CHAIN, "8", "0.003"]),
    ]
    lives = [Life(job_for(spec, agent_id=agent_id)) for spec, agent_id in zip(specs, agent_ids, strict=False)]
    running = [asyncio.create_task(command.run(life.job, life.sink, life.stop)) for life in lives]
    await asyncio.gather(*(life.sink.hears("ready") for life in lives))
    print("up", warden.pid, warden.mark, flush=True)
    await asyncio.wait(running)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], [UUID(word) for word in sys.argv[2:]]))
