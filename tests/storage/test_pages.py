"""Pages: every item once, also when others are made while somebody turns them."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from muster.domain.ids import new_id
from muster.domain.states import AgentStatus, TaskStatus
from muster.storage import agents, moves, pages, projects, tasks

from .conftest import Tenant

_ID = "01a1fcf3-2b8a-7df7-b281-4a49d0354221"

Page = Callable[[str | None], Awaitable[tuple[list[dict[str, Any]], str | None]]]


async def turn(page: Page, between: Callable[[], Awaitable[object]] | None = None) -> list[str]:
    found: list[str] = []
    cursor = None
    while True:
        items, cursor = await page(cursor)
        found += [item["id"] for item in items]
        if cursor is None:
            return found
        if between:
            await between()


async def test_pages_are_stable_under_inserts(tenant: Tenant) -> None:
    made = [str(await tenant.create(f"task {n}")) for n in range(11)]
    found = await turn(lambda cursor: tasks.page(tenant.db, tenant.id, cursor=cursor, limit=3), tenant.create)
    assert found == made[::-1], "newest first, all that were there at the start, none twice"


async def test_items_of_the_same_instant_are_all_found(tenant: Tenant) -> None:
    made = {str(await tenant.create()) for _ in range(7)}
    await tenant.rows("UPDATE tasks SET created_at = '2026-01-01T00:00:00.123456Z'")
    found = await turn(lambda cursor: tasks.page(tenant.db, tenant.id, cursor=cursor, limit=2))
    assert (set(found), len(found)) == (made, 7)


async def test_filters(tenant: Tenant) -> None:
    db, w = tenant.db, tenant.id
    project = new_id()
    await projects.create(db, w, project, slug="p", name="P", description=None)
    parent = await tenant.create("parent", runs=False)
    child, agent = await tenant.running("child", parent_id=parent, labels=["a", "b"])
    await tenant.create("other", labels=["b"])
    await tenant.rows("UPDATE tasks SET project_id = %s WHERE id = %s", (project, child))

    async def titles(**filters: Any) -> list[str]:
        return sorted(task["title"] for task in (await tasks.page(db, w, **filters))[0])

    assert await titles() == ["child", "other", "parent"]
    assert await titles(parent_id=parent) == ["child"]
    assert await titles(project_id=project) == ["child"]
    assert await titles(labels=["b"]) == ["child", "other"]
    assert await titles(labels=["a", "b"]) == ["child"]
    assert await titles(status=[TaskStatus.EXECUTING]) == ["child", "parent"]
    assert await titles(status=[TaskStatus.COMPLETED]) == []
    of_child = await agents.page(db, w, task_id=child)
    assert [item["id"] for item in of_child[0]] == [str(agent)]
    assert (await agents.page(db, w, project_id=project))[0] == of_child[0]
    assert (await agents.page(db, w, status=[AgentStatus.KILLED]))[0] == []
    whole = await tasks.get_with_agents(db, w, parent)
    assert [item["title"] for item in whole["subtasks"]] == ["child"]
    assert await tasks.counts(db, w) == {
        "tasks": {"executing": 2, "assigned": 1}, "agents": {"running": 1, "spawning": 1},
    }  # fmt: skip
    await moves.finish_agent(db, w, agent, AgentStatus.COMPLETED)
    assert (await tasks.counts(db, w))["agents"] == {"completed": 1, "spawning": 1}


@pytest.mark.parametrize(
    "cursor",
    [
        "", "x", "é", "\x00", "AAAA", base64.urlsafe_b64encode(b"[1, 2]").decode(),
        base64.urlsafe_b64encode(b'["2026-01-01", "no id"]').decode(),
        base64.urlsafe_b64encode(json.dumps(["x" * 9, _ID]).encode()).decode(),
        base64.urlsafe_b64encode(json.dumps(["2026 no time", _ID]).encode()).decode(),
        base64.urlsafe_b64encode(json.dumps(["2026-13-45T99:00:00", _ID]).encode()).decode(),
        base64.urlsafe_b64encode(json.dumps(["2026-W01-1", _ID]).encode()).decode(),
        base64.urlsafe_b64encode(json.dumps(["0001-01-01T00:00:00+23:59", _ID]).encode()).decode(),
        base64.urlsafe_b64encode(b"[" * 5000).decode(),
    ],
)  # fmt: skip
async def test_a_cursor_of_ones_own_making_is_refused(tenant: Tenant, cursor: str) -> None:
    with pytest.raises(pages.BadCursor):
        await tasks.page(tenant.db, tenant.id, cursor=cursor)
