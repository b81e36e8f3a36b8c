"""What a project excludes takes its answers with it, whoever records them and however much later."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from muster.domain.errors import UnknownReference
from muster.domain.ids import new_id
from muster.domain.memory import NewEvent, NewSession, Source
from muster.storage import agent_events, forgetting, memory_settings, projects, sessions
from muster.storage.agent_events import Recorder

from .conftest import Tenant
from .test_agent_events import NOW


class Place:
    """A project that excludes something, with a session in it."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant, self.db, self.who = tenant, tenant.db, tenant.id
        self.id = new_id()
        self.slug = f"p-{self.id.hex}"

    async def begin(self) -> Place:
        await projects.create(self.db, self.who, self.id, slug=self.slug, name="P", description=None)
        await memory_settings.update(self.db, self.who, self.slug, {"exclude_paths": [".env*"]})
        self.session = await self.new_session()
        return self

    async def new_session(self) -> UUID:
        session, _ = await sessions.start(self.db, self.who, NewSession(project=self.slug))
        return UUID(session["id"])

    def call(self, number: str, command: str = "cat .env", **more: Any) -> NewEvent:
        return self._event({"tool_name": "Bash", "tool_use_id": number, "tool_input": {"command": command}}, **more)

    def answer(self, number: str, said: str = "marker", **more: Any) -> NewEvent:
        return self._event({"type": "tool_result", "tool_use_id": number, "content": said}, **more)

    def _event(self, payload: dict[str, Any], **more: Any) -> NewEvent:
        about = {"project": self.slug, "session": self.session, "source": Source(adapter="test"), "type": "tool"}
        return NewEvent.model_validate({**about, "occurred_at": NOW, "payload": payload, **more})

    async def send(self, *events: NewEvent, **more: Any) -> list[str | None]:
        """By a process that knows nothing yet."""
        found = await Recorder(self.db).record(self.who, events, **{"batch": len(events) > 1, **more})
        return [one.removed.excluded for one in found]

    async def one(self, question: str) -> Any:
        return (await self.tenant.rows(question))[0][0]

    async def remembered(self) -> int:
        return int(await self.one("SELECT coalesce(sum(cardinality(excluded_calls)), 0) FROM memory_sessions"))


@pytest.fixture
async def place(tenant: Tenant) -> Place:
    return await Place(tenant).begin()


async def test_an_answer_that_comes_later_is_excluded_too(place: Place) -> None:
    assert await place.send(place.call("a")) == [".env*"]
    assert await place.send(place.answer("a")) == ["its call"]
    assert await place.send(place.call("b", "ls"), place.answer("a"), place.answer("b", "kept")) == [
        None, "its call", None
    ]  # fmt: skip
    assert await place.one("SELECT count(*) FROM agent_events WHERE payload::text LIKE '%%marker%%'") == 0
    assert await place.one("SELECT count(*) FROM agent_events") == 2
    assert await place.one("SELECT events FROM memory_sessions") == 2
    jobs = await place.tenant.rows(
        "SELECT count(e.id) FROM memory_jobs j LEFT JOIN agent_events e ON e.job_id = j.id GROUP BY j.id"
    )
    assert jobs == [(2,)], "no job without an event"


async def test_it_is_excluded_in_its_session_only(place: Place) -> None:
    other = await place.new_session()
    assert await place.send(place.call("a"), place.answer("a", session=other)) == [".env*", None]
    assert await place.send(place.answer("a", "x", session=other), place.answer("a")) == [None, "its call"]


async def test_a_number_that_is_given_again_is_another_calls(place: Place) -> None:
    await place.send(place.call("a"))
    assert await place.send(place.call("a", "ls"), place.answer("a", "1")) == [None, None]
    assert await place.send(place.answer("a", "2")) == [None]
    assert await place.remembered() <= 1, "that of the tool's name"
    assert await place.send(place.call("a"), place.answer("a", "3")) == [".env*", ".env*"]


async def test_what_is_remembered_tells_nothing_is_bounded_and_goes_with_the_session(place: Place) -> None:
    for first in range(0, 1500, 500):
        await place.send(*(place.call(f"toolu_{n}") for n in range(first, first + 500)))
    assert await place.remembered() == 1000
    assert "toolu" not in str(await place.tenant.rows("SELECT to_jsonb(s)::text FROM memory_sessions s"))
    assert await place.send(place.answer("toolu_1499"), place.answer("toolu_0", "kept")) == ["its call", None]
    await forgetting.everything_of(place.db, place.who, "session", place.session)
    assert await place.tenant.rows("SELECT id FROM memory_sessions") == []


async def test_who_excludes_nothing_any_more_keeps_all(place: Place) -> None:
    await place.send(place.call("a"))
    await memory_settings.update(place.db, place.who, place.slug, {"exclude_paths": []})
    assert await place.send(place.answer("a")) == [None]


async def test_what_is_written_costs_one_statement(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = []
    recorder = Recorder(place.db)
    await recorder.record(place.who, [place.call("0", "ls")])
    call = agent_events.Recorder._call

    async def counted(self: Recorder, *args: Any) -> Any:
        sent.append(args)
        return await call(self, *args)

    monkeypatch.setattr(agent_events.Recorder, "_call", counted)
    await recorder.record(place.who, [place.call("a", "ls")])
    await recorder.record(place.who, [place.answer("a")])
    assert len(sent) == 2
    assert (await recorder.record(place.who, [place._event({"text": "cat .env"})]))[0].id is None
    assert len(sent) == 2, "nothing, where there is nothing to remember"


async def test_what_is_excluded_is_not_looked_for_in_sessions(place: Place) -> None:
    nowhere = new_id()
    assert await place.send(place.call("a", session=nowhere)) == [".env*"]
    with pytest.raises(UnknownReference):
        await place.send(place.call("a", session=nowhere), place.call("b", "ls", session=nowhere))
