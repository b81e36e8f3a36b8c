"""What an agent is told: a private file, on time or not at all, and gone afterwards."""

from __future__ import annotations

import asyncio
import fcntl
import os
import tempfile
import time
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from activities.context import Contexts
from tests.pace import Stopwatch

JOB: dict[str, Any] = {"title": "speed up the import", "prompt": "it takes an hour", "project_id": str(uuid4()),
                       "memory": None}  # fmt: skip


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


class Teller:
    def __init__(self, text: str = "## Known\n- so it is", *, seconds: float = 0.0) -> None:
        self.text, self.seconds = text, seconds
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, workspace_id: UUID, project_id: UUID, question: str, budget: int) -> str:
        self.asked.append((question, budget))
        await asyncio.sleep(self.seconds)
        return self.text


async def test_it_is_for_its_agent_alone_and_gone_with_it(temporary: Path) -> None:
    teller = Teller()
    contexts = Contexts(teller)
    path = await contexts.write(uuid4(), uuid4(), {**JOB, "memory": {"budget_tokens": 500}})
    assert path is not None
    assert path.read_text() == teller.text
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert teller.asked == [("speed up the import\nit takes an hour", 500)]
    contexts.remove(path)
    assert not path.exists()
    contexts.close()
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("title", "asked"),
    [
        ("sh -c 'cat notes; echo done'", "it takes an hour"),
        ("sh -c 'cat notes;…", "it takes an hour"),
        ("speed up the import", "speed up the import\nit takes an hour"),
        ("speed", "speed\nit takes an hour"),
    ],
)
async def test_how_it_is_run_is_not_what_it_is_about(title: str, asked: str) -> None:
    teller = Teller()
    job = {**JOB, "title": title, "runner": {"kind": "command", "argv": ["sh", "-c", "cat notes; echo done"]}}
    for one in (job, {**job, "prompt": None}):
        path = await Contexts(teller).write(uuid4(), uuid4(), one)
        assert path is not None
    assert [question for question, _ in teller.asked] == [asked, title]


@pytest.mark.parametrize(
    "job",
    [{**JOB, "project_id": None}, {**JOB, "memory": {"inject": False}}],
    ids=["without a project", "whose task does not wish it"],
)
async def test_nobody_is_asked_for_an_agent(job: dict[str, Any], temporary: Path) -> None:
    teller = Teller()
    assert await Contexts(teller).write(uuid4(), uuid4(), job) is None
    assert teller.asked == []
    assert list(temporary.iterdir()) == []


async def test_where_there_is_nothing_to_tell_there_is_no_file(temporary: Path) -> None:
    assert await Contexts(Teller("\n")).write(uuid4(), uuid4(), JOB) is None
    assert await Contexts(None).write(uuid4(), uuid4(), JOB) is None
    assert list(temporary.iterdir()) == []


async def test_an_agent_does_not_wait_long_and_does_not_fail() -> None:
    began = Stopwatch()
    assert await Contexts(Teller(seconds=30)).write(uuid4(), uuid4(), JOB) is None
    assert began.real > 0.9
    assert began.fair < 3

    async def broken(*_: Any) -> str:
        raise RuntimeError("no")

    assert await Contexts(broken).write(uuid4(), uuid4(), JOB) is None


async def test_what_a_killed_worker_left_is_removed(temporary: Path) -> None:
    for name in ("dead", "alive", "young"):
        folder = temporary / f"muster-context-{name}"
        folder.mkdir()
        (folder / "x.md").write_text("x")
        if name != "young":
            os.utime(folder, (time.time() - 100, time.time() - 100))
    lock = os.open(temporary / "muster-context-alive", os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        Contexts(None)
        assert sorted(path.name for path in temporary.iterdir()) == ["muster-context-alive", "muster-context-young"]
    finally:
        os.close(lock)
