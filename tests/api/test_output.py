"""What agents write, seen as they write it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from tests.api.conftest import Api


async def test_output_is_seen_as_it_is_written(fleet: Api) -> None:
    script = "for i in 1 2 3; do echo line $i; sleep 0.2; done; echo problem >&2; sleep 0.3; exit 3"
    agent = await fleet.spawn("sh", "-c", script)
    path = f"/v1/agents/{agent['id']}/output"
    async with fleet.follow(path) as stream:
        first = await stream.next()
        assert (first.type, first.id, first.data["text"]) == ("line", 1, "line 1")
        assert (await fleet.get(f"/v1/agents/{agent['id']}")).json()["status"] == "running"
        end = await stream.until(lambda event: event.type == "end", 15)
        assert (end.id, end.data["status"], end.data["exit_code"]) == (None, "failed", 3)
        assert end.data["temporal_url"] == agent["temporal_url"]
        with pytest.raises(EOFError):
            await stream.next()
    lines = [(event.id, event.data["stream"], event.data["text"]) for event in stream.events[:-1]]
    assert lines == [
        (1, "stdout", "line 1"), (2, "stdout", "line 2"), (3, "stdout", "line 3"), (4, "stderr", "problem"),
    ]  # fmt: skip
    async with fleet.follow(path, last=3) as stream:
        assert (await stream.next()).id == 4
        assert (await stream.next()).type == "end"


async def test_whoever_follows_an_agent_that_writes_nothing_hears_of_its_end(fleet: Api) -> None:
    agent = await fleet.spawn("sleep", "0.7")
    async with fleet.follow(f"/v1/agents/{agent['id']}/output") as stream:
        end = await stream.until(lambda event: event.type == "end", 15)
    heard_after = datetime.now(UTC) - datetime.fromisoformat(end.data["finished_at"])
    assert heard_after.total_seconds() < 2


async def test_much_output_is_streamed_whole_to_those_who_come_early_and_late(fleet: Api) -> None:
    agent = await fleet.spawn("sh", "-c", "sleep 0.2; seq 1 20000")
    path = f"/v1/agents/{agent['id']}/output"

    async def read() -> list[str]:
        async with fleet.follow(path) as stream:
            await stream.until(lambda event: event.type == "end", 30)
        return [event.data["text"] for event in stream.events[:-1]]

    early = asyncio.create_task(read())
    await asyncio.sleep(0.5)
    for texts in await asyncio.gather(early, read()):
        assert texts == [str(number) for number in range(1, 20_001)]
