"""Whatever the document allows, and much that it does not, is sent. Nothing of it may be a 500, or undocumented."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from api import limits
from muster.domain.states import MemberRole
from muster.settings import Settings
from tests.api.conftest import Api, admin
from tests.api.people import key_in, made, new_member, new_workspace
from tests.api.test_isolation import a_memory

if TYPE_CHECKING:
    from tests.api.fuzzing import Askers


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(settings: Settings, url: str, worker: None) -> AsyncIterator[tuple[dict[str, str], Askers]]:
    """A workspace of its own, since what is sent stops it and takes away its members."""
    from tests.api.fuzzing import Askers

    async with Api(url, admin(settings)) as chief:
        place = await new_workspace(chief, requests_per_second=100_000, max_concurrent_agents=8)
        owner = await key_in(chief, place)
        other = await key_in(chief, await new_workspace(chief, requests_per_second=100_000))
        async with Api(url, owner["key"]) as api:
            mark = f"only-of-{uuid.uuid4().hex[:12]}"
            agent = await api.spawn("false", title=mark)
            project = await made(api, "/v1/projects", {"slug": mark, "name": mark})
            spare = await key_in(chief, place)
            remembered = await a_memory(api, mark)
            empty = await made(api, "/v1/projects", {"slug": f"empty-{uuid.uuid4().hex[:8]}", "name": "empty"})
            poor = await key_in(chief, place, "memory:read", project_id=empty["id"])
            known = {
                "agent_id": agent["id"],
                "task_id": agent["task_id"],
                "project": project["id"],
                "workspace": place["id"],
                "key_id": spare["id"],
                "user_id": str(await new_member(chief, place, MemberRole.VIEWER)),
                "session_id": remembered["session"],
                "event_id": remembered["event"],
                "observation_id": remembered["observation"],
                "job": remembered["job"],
                "kind": "event",
            }
            soon = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
            expired = await key_in(chief, place, expires_at=soon)
            await asyncio.sleep(2)
            # Of another project and without the scope, another tenant's.
            keys = {"poor": poor["key"], "other": other["key"], "owner": owner["key"]}
            yield known, Askers(keys, itertools.cycle((None, expired["key"])), mark)


# Cases are thought of in a thread beside the API's loop, where a pool that opens a connection draws its jitter.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module:hypothesis.errors.HypothesisDeprecationWarning")
@pytest.mark.parametrize("as_told", [True, False], ids=["as told", "otherwise"])
async def test_nothing_breaks_it_and_nothing_is_told_to_whom_it_does_not_concern(
    url: str, place: tuple[dict[str, str], Askers], as_told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.api.fuzzing import every_operation

    monkeypatch.setattr(limits, "WRONG_KEYS_PER_SECOND", 1_000_000)
    answered = await every_operation(url, as_told, *place)
    assert answered[200 if as_told else 422] > 50, answered
