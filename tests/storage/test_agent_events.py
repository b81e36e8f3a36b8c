"""Events and their jobs: recorded together or not at all, once however often, in their own project and in no other."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from muster.domain.errors import EventTooLarge, NotFound, UnknownReference
from muster.domain.ids import DEFAULT_USER, new_id
from muster.domain.intake import AllPrivate
from muster.domain.memory import (
    DrainRequest,
    JobKind,
    NewEvent,
    NewObservation,
    NewSession,
    Source,
    agent_event_id,
    job_id,
    observation_id,
)
from muster.domain.tenants import Tenant as Who
from muster.storage import agent_events, forgetting, jobs, memory_settings, observations, projects, sessions
from muster.storage.agent_events import Recorder

from .conftest import NewTenant, Tenant

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


class Place:
    """A project with a session in it."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant, self.db, self.id = tenant, tenant.db, new_id()
        self.slug = f"p-{self.id.hex}"
        self.session: UUID

    async def begin(self) -> Place:
        await projects.create(self.db, self.tenant.id, self.id, slug=self.slug, name="P", description=None)
        self.session = await self.new_session()
        return self

    async def new_session(self, **more: Any) -> UUID:
        session, _ = await sessions.start(self.db, self.tenant.id, NewSession(project=self.slug, **more))
        return UUID(session["id"])

    def event(self, text: Any = "something", **more: Any) -> NewEvent:
        return NewEvent(
            **{
                "project": self.slug, "session": self.session, "type": "message", "source": Source(adapter="test"),
                "occurred_at": NOW, "payload": {"text": text}, **more,
            }
        )  # fmt: skip

    async def record(self, *events: NewEvent, **more: Any) -> list[agent_events.Recorded]:
        return await agent_events.record(self.db, self.tenant.id, events, **more)

    async def everything(self) -> list[tuple[Any, ...]]:
        return await self.tenant.rows(
            "SELECT 'event', id::text, to_jsonb(e) FROM agent_events e UNION ALL "
            "SELECT 'job', id, to_jsonb(j) FROM memory_jobs j UNION ALL "
            "SELECT 'move', id::text, to_jsonb(m) FROM memory_job_events m UNION ALL "
            "SELECT 'session', id::text, to_jsonb(s) FROM memory_sessions s ORDER BY 1, 2"
        )


@pytest.fixture
async def place(tenant: Tenant) -> Place:
    return await Place(tenant).begin()


@pytest.fixture
async def elsewhere(new_tenant: NewTenant) -> Place:
    return await Place(await new_tenant()).begin()


async def test_an_event_comes_with_its_job(place: Place) -> None:
    event = place.event(source=Source(adapter="test", event_id="e-1"), metadata={"a": [1, None]})
    (recorded,) = await place.record(event, request_id="r-1")
    assert recorded.id == agent_event_id(place.tenant.id, place.id, place.session, event, event.payload, event.metadata)
    assert not recorded.repeated
    assert recorded.job is not None
    assert recorded.job["id"] == job_id(JobKind.EVENT, place.tenant.id, place.id, "agent_event", str(recorded.id)), (
        "the same in SQL as in Python"
    )
    found = await agent_events.get(place.db, place.tenant.id, recorded.id)
    assert found["payload"] == {"text": "something"}
    assert found["metadata"] == {"a": [1, None]}
    assert (found["adapter"], found["source_id"], found["type"]) == ("test", "e-1", "message")
    assert found["job"] == recorded.job
    assert found["observations"] == []
    history = await place.tenant.rows(
        "SELECT from_status, to_status::text, attempt FROM memory_job_events WHERE job_id = %s", (recorded.job["id"],)
    )
    assert history == [(None, "queued", 0)]
    assert await place.tenant.rows("SELECT request_id, session_id FROM memory_jobs") == [("r-1", place.session)]
    assert (await sessions.get(place.db, place.tenant.id, place.session))["events"] == 1


async def test_an_event_is_one_however_often_it_is_sent(place: Place) -> None:
    named = place.event(source=Source(adapter="test", event_id="e-1"))
    unnamed = place.event("else")
    first = [(await place.record(event))[0] for event in (named, unnamed)]
    before = await place.everything()
    for batch in (False, True):
        again = await place.record(named, unnamed, named, batch=batch)
        assert [one.id for one in again] == [first[0].id, first[1].id, first[0].id]
        assert [one.job for one in again] == [first[0].job, first[1].job, first[0].job]
        assert all(one.repeated for one in again)
    assert await place.everything() == before
    # What is said beside it is part of what it says.
    (told,), (otherwise,) = [await place.record(place.event("else", metadata={"call": n, "by": "b"})) for n in (1, 2)]
    assert len({first[1].id, told.id, otherwise.id}) == 3
    (again,) = await place.record(place.event("else", metadata={"by": "b", "call": 2}))
    assert (again.id, again.repeated) == (otherwise.id, True)
    # Elsewhere it is another: in another session by what it says, in another project by any name.
    other = place.event("else", session=await place.new_session())
    assert not (await place.record(other))[0].repeated
    # The same moment, told in another zone.
    moved = place.event("else", occurred_at=NOW.astimezone(datetime.now().astimezone().tzinfo))
    assert (await place.record(moved))[0].id == first[1].id


async def test_the_same_source_id_in_another_project_is_another_event(place: Place) -> None:
    other = await Place(place.tenant).begin()
    source = Source(adapter="test", event_id="e-1")
    (one,), (two,) = await place.record(place.event(source=source)), await other.record(other.event(source=source))
    assert one.id != two.id
    assert not two.repeated
    assert one.job
    assert two.job
    assert one.job["id"] != two.job["id"]


async def test_a_batch_makes_one_job_for_each_session(place: Place) -> None:
    second = await place.new_session()
    (known,) = await place.record(place.event("known"))
    events = [place.event("known"), *(place.event(n) for n in range(4)), place.event(9, session=second)]
    recorded = await place.record(*events, batch=True)
    assert [one.repeated for one in recorded] == [True, *[False] * 5]
    assert recorded[0].job == known.job
    jobs = {one.job["id"] for one in recorded[1:5] if one.job}
    assert len(jobs) == 1
    assert recorded[5].job
    assert recorded[5].job["id"] not in jobs
    assert recorded[5].job["kind"] == "event_batch"
    assert len(await place.tenant.rows("SELECT 1 FROM memory_jobs")) == 3


async def test_without_generating_there_is_no_job(place: Place) -> None:
    (recorded,) = await place.record(place.event(), generate=False)
    assert recorded.job is None
    assert await place.tenant.rows("SELECT 1 FROM memory_jobs") == []
    assert (await agent_events.get(place.db, place.tenant.id, recorded.id or new_id()))["job"] is None
    (again,) = await place.record(place.event(), generate=False)
    assert (again.repeated, again.job) == (True, None)


@pytest.mark.parametrize("batch", [False, True])
async def test_what_was_stored_alone_is_made_something_of_when_it_is_sent_to_be(place: Place, batch: bool) -> None:
    alone = [place.event(n) for n in range(2)]
    await place.record(*alone, generate=False)
    first = await place.record(*alone, place.event("new"), batch=batch, request_id="r-2")
    assert [one.repeated for one in first] == [True, True, False]
    assert all(one.job and one.job["status"] == "queued" for one in first)
    assert len({one.job["id"] for one in first if one.job}) == (2 if batch else 3)
    again = await place.record(*alone, batch=batch)
    assert [one.job for one in again] == [one.job for one in first[:2]]
    rows = await place.tenant.rows("SELECT count(*), count(DISTINCT job_id) FROM agent_events WHERE job_id IS NOT NULL")
    assert rows == [(3, 2 if batch else 3)]


@pytest.mark.parametrize("batch", [False, True])
async def test_what_is_called_by_nothing_that_may_be_kept_is_refused(place: Place, batch: bool) -> None:
    before = await place.everything()
    for more in ({"type": "<private>x</private>"}, {"source": Source(adapter="<private>x</private>")}):
        with pytest.raises(AllPrivate, match=r"events\.1: " if batch else "^(type|source)"):
            await place.record(*([place.event()] if batch else []), place.event("other", **more), batch=batch)
    assert await place.everything() == before


async def test_two_who_send_it_again_at_once_make_one_job(place: Place) -> None:
    await place.record(place.event(), generate=False)
    both = await asyncio.gather(*(place.record(place.event()) for _ in range(4)))
    assert sum(one.job is not None for (one,) in both) >= 1
    assert len(await place.tenant.rows("SELECT 1 FROM memory_jobs")) == 1
    assert len(await place.tenant.rows("SELECT 1 FROM memory_job_events")) == 1


async def test_a_foreign_item_refuses_the_batch(place: Place, elsewhere: Place) -> None:
    other = await Place(place.tenant).begin()
    await elsewhere.record(elsewhere.event(source=Source(adapter="test", event_id="e-1")))
    before, before_elsewhere = await place.everything(), await elsewhere.everything()
    mine = [place.event(n) for n in range(3)]
    for foreign in (
        place.event(session=elsewhere.session),
        place.event(session=other.session),
        place.event(session=new_id()),
        place.event(project=elsewhere.slug),
        place.event(project=str(elsewhere.id), session=elsewhere.session),
        place.event(project="nothing-like-it"),
    ):
        with pytest.raises(UnknownReference):
            await place.record(*mine, foreign, batch=True)
    assert await place.everything() == before
    assert await elsewhere.everything() == before_elsewhere


async def test_whoever_is_held_to_a_project_records_there_alone(place: Place) -> None:
    other = await Place(place.tenant).begin()
    held = Who(place.tenant.id, DEFAULT_USER, project_id=place.id)
    (recorded,) = await agent_events.record(place.db, held, [place.event()])
    assert recorded.job
    for foreign in (other.event(), place.event(session=other.session)):
        with pytest.raises(UnknownReference):
            await agent_events.record(place.db, held, [foreign])
    (theirs,) = await other.record(other.event())
    with pytest.raises(NotFound):
        await agent_events.get(place.db, held, theirs.id or new_id())
    with pytest.raises(NotFound):
        await sessions.end(place.db, held, other.session)


async def test_requests_that_come_together_share_a_transaction_and_nothing_else(place: Place, elsewhere: Place) -> None:
    recorder = Recorder(place.db)
    sent = [
        [place.event(1)],
        [place.event(2), place.event(1)],
        [place.event(3), place.event(session=elsewhere.session)],
        [place.event(1)],
        *([place.event(n)] for n in range(10, 40)),
    ]
    everything = await asyncio.gather(
        *(recorder.record(place.tenant.id, events, batch=len(events) > 1) for events in sent), return_exceptions=True
    )
    assert isinstance(everything.pop(2), UnknownReference)
    assert all(isinstance(one, list) for one in everything), everything
    rows = await place.tenant.rows("SELECT payload -> 'text', xmin::text FROM agent_events")
    assert {row[0] for row in rows} == {1, 2, *range(10, 40)}
    assert len(rows) == 32
    assert len({row[1] for row in rows}) < 8
    assert (await sessions.get(place.db, place.tenant.id, place.session))["events"] == 32
    # One that cannot be written at all is nobody else's fault.
    broken = place.event("x").model_copy(update={"type": "\x00"})
    got = await asyncio.gather(
        *(recorder.record(place.tenant.id, [event]) for event in (place.event(50), broken, place.event(51))),
        return_exceptions=True,
    )
    await recorder.close()
    assert [isinstance(one, Exception) for one in got] == [False, True, False]


async def test_racing_for_the_same_events_records_them_once(place: Place) -> None:
    second = await place.new_session()
    events = [place.event(n, source=Source(adapter="test", event_id=f"e-{n}")) for n in range(20)]
    # In another session and another order, under the same names.
    mirrored = [event.model_copy(update={"session": second}) for event in reversed(events)]
    got = await asyncio.gather(
        *(place.record(*some, batch=True) for some in (events, mirrored, events, mirrored, events[::-1]))
    )
    by_place = [{one.id for one in recorded} for recorded in got]
    assert all(ids == by_place[0] for ids in by_place)
    assert sum(not one.repeated for recorded in got for one in recorded) == 20
    assert len(await place.tenant.rows("SELECT 1 FROM agent_events")) == 20
    counted = await place.tenant.rows("SELECT sum(events)::int FROM memory_sessions")
    assert counted == [(20,)]


# -- What is not stored ----------------------------------------------------------------------------------------------


async def test_an_event_that_meets_the_forgetting_of_its_session_half_way_is_refused(place: Place) -> None:
    async with place.db._connections.one() as other, other.transaction():
        entered = "SELECT set_config('app.current_workspace_id', %s, true)"
        await other.execute(entered, (str(place.tenant.id),))
        await other.execute("DELETE FROM memory_sessions WHERE id = %s", (place.session,))
        recording = asyncio.create_task(place.record(place.event()))
        await asyncio.sleep(0.3)
        assert not recording.done()
    with pytest.raises(UnknownReference):
        await recording


async def test_nothing_private_or_secret_reaches_the_table(place: Place) -> None:
    secret = "ghp_A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8"
    await place.record(
        place.event(f"a <private>hidden words</private> {secret}"),
        place.event(1, metadata={"env": f"TOKEN={secret}"}),
        place.event(2, type=f"t {secret}", source=Source(adapter="test", event_id=secret)),
    )
    titled, _ = await sessions.start(
        place.db, place.tenant.id,
        NewSession(project=place.slug, title=f"{secret} <private>hidden words", metadata={"password": "hunter2"}),
    )  # fmt: skip
    stored = str(await place.everything())
    for gone in (secret, "hidden words", "hunter2"):
        assert gone not in stored
    assert "[removed:github-token]" in titled["title"]
    # Two whose names look alike now are still two.
    (again,) = await place.record(place.event(2, source=Source(adapter="test", event_id=secret + "x")))
    assert not again.repeated


async def test_what_a_project_excludes_is_dropped_from_the_moment_it_does(place: Place) -> None:
    recorder, who = Recorder(place.db), place.tenant.id
    event = place.event({"file_path": "/repo/.env"})
    (kept,) = await recorder.record(who, [event])
    assert kept.id
    await memory_settings.update(place.db, who, place.slug, {"exclude_paths": [".env"], "exclude_tools": ["Bash"]})
    before = await place.everything()
    dropped = await recorder.record(
        who, [place.event({"path": "x/.env"}), place.event(payload={"tool_name": "Bash"}),
              place.event(payload=None, metadata={"tool": "bash"})]
    )  # fmt: skip
    assert [one.id for one in dropped] == [None] * 3
    assert [one.removed.excluded for one in dropped] == [".env", "Bash", "Bash"]
    assert await place.everything() == before
    await memory_settings.update(place.db, who, place.slug, {"exclude_paths": []})
    both = await recorder.record(who, [place.event({"path": "y/.env"}), place.event(payload={"tool": "Bash"})])
    assert both[0].id
    assert both[1].id is None


async def test_a_project_is_known_by_the_name_it_has_now(place: Place) -> None:
    recorder, who = Recorder(place.db), place.tenant.id
    await recorder.record(who, [place.event(1)])
    await projects.update(place.db, who, place.slug, {"slug": f"{place.slug[:40]}-n"})
    with pytest.raises(UnknownReference):
        await recorder.record(who, [place.event(2)])
    (recorded,) = await recorder.record(who, [place.event(3, project=str(place.id).upper())])
    assert recorded.project_id == place.id


async def test_too_large_an_event_is_refused(place: Place) -> None:
    large = place.event("x" * 256 * 1024)
    with pytest.raises(EventTooLarge, match=r"events\.1: .* 262144"):
        await place.record(place.event(), large, batch=True)
    assert await place.tenant.rows("SELECT 1 FROM agent_events") == []
    (recorded,) = await place.record(place.event("x" * 250 * 1024))
    assert recorded.id
    nothing: Any
    for nothing in (None, [], "", 0, False):
        (recorded,) = await place.record(place.event(payload=nothing))
        found = await agent_events.get(place.db, place.tenant.id, recorded.id or new_id())
        assert found["payload"] == nothing
        assert type(found["payload"]) is type(nothing)


# -- Sessions ---------------------------------------------------------------------------------------------------------


async def test_a_session_is_one_by_what_it_is_called(place: Place) -> None:
    async def start(**more: Any) -> tuple[str, bool]:
        session, new = await sessions.start(place.db, place.tenant.id, NewSession(project=place.slug, **more))
        return session["id"], new

    first, new = await start(external_id="s-1", platform="claude-code", title="one")
    assert new
    assert await start(external_id="s-1", platform="claude-code", title="two") == (first, False)
    assert (await start(external_id="s-1", platform="other"))[1]
    assert (await start())[0] != (await start())[0]
    both = await asyncio.gather(*(start(external_id="s-2") for _ in range(6)))
    assert len({session for session, _ in both}) == 1
    assert sum(new for _, new in both) == 1
    with pytest.raises(UnknownReference):
        await start(agent_id=new_id())


async def test_a_session_of_an_agent_is_of_its_task(place: Place) -> None:
    task, agent = await place.tenant.running(project_id=place.id)
    session, _ = await sessions.start(place.db, place.tenant.id, NewSession(project=place.slug, agent_id=agent))
    assert (session["agent_id"], session["task_id"]) == (str(agent), str(task))
    mine = await sessions.page(place.db, place.tenant.id, agent_id=agent)
    assert [one["id"] for one in mine[0]] == [session["id"]]


async def test_an_end_is_summarised_once(place: Place) -> None:
    who = place.tenant.id
    await place.record(place.event())
    ended = await sessions.end(place.db, who, place.session)
    assert ended["ended_at"]
    assert ended["job"]["kind"] == "summary"
    assert ended["job"]["id"] == job_id(JobKind.SUMMARY, who, place.id, "session", f"{place.session}/1")
    before = await place.everything()
    assert await sessions.end(place.db, who, place.session) == ended
    assert await place.everything() == before
    # There is more in it by now: this is another end.
    await place.record(place.event("more"))
    again = await sessions.end(place.db, who, place.session)
    assert again["job"]["id"] != ended["job"]["id"]
    assert again["ended_at"] > ended["ended_at"]


async def test_lists_are_paged(place: Place) -> None:
    who = place.tenant.id
    await place.record(*(place.event(n, occurred_at=NOW + timedelta(seconds=n % 3)) for n in range(7)), batch=True)
    seen: list[str] = []
    cursor: str | None = None
    while True:
        items, cursor = await agent_events.page(place.db, who, place.session, cursor=cursor, limit=2)
        seen += [item["id"] for item in items]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 7
    assert (await agent_events.page(place.db, who, place.session, kind="other"))[0] == []
    found, _ = await sessions.page(place.db, who, project_id=place.id, ended=False)
    assert [one["id"] for one in found] == [str(place.session)]
    assert (await sessions.page(place.db, who, ended=True))[0] == []


async def test_settings_change_by_name_and_leave_a_trace(place: Place) -> None:
    who = place.tenant.id
    assert (await memory_settings.get(place.db, who, place.slug))["batch_events"] == 50
    changed = await memory_settings.update(place.db, who, place.slug, {"batch_events": 10, "retain_days": 30})
    assert (changed["batch_events"], changed["retain_days"], changed["debounce_seconds"]) == (10, 30, 1)
    changed = await memory_settings.update(place.db, who, str(place.id), {"retain_days": None})
    assert (changed["batch_events"], changed["retain_days"]) == (10, None)
    log = await place.tenant.rows(
        "SELECT detail FROM activity_log WHERE action = 'memory_settings_updated' AND entity_id = %s ORDER BY id",
        (place.id,),
    )
    assert log[0][0] == {"before": {"batch_events": 50}, "after": {"batch_events": 10, "retain_days": 30}}
    assert log[1][0] == {"before": {"retain_days": 30}, "after": {}}


@pytest.mark.parametrize("batch", [False, True])
async def test_an_event_that_was_forgotten_and_is_sent_again_is_made_into_something_again(
    place: Place, batch: bool
) -> None:
    """Also where the job it had is done, and stays for the sake of the others."""
    said = [place.event(f"fact number {n}") for n in range(3)]
    before = await place.record(*said, batch=batch)
    made = await made_of(place)
    assert sorted(made) == sorted(str(one.id) for one in before)
    gone = [one for one in before if not one.repeated][1]
    await forgetting.observation(place.db, place.tenant.id, made[str(gone.id)])
    again = await place.record(*said, batch=batch)
    assert [one.repeated for one in again] == [True, False, True]
    assert [one.id for one in again] == [one.id for one in before]
    assert again[1].job
    assert again[1].job["status"] == "queued"
    assert again[0].job
    assert again[0].job["status"] == "completed"
    assert list(await made_of(place)) == [str(gone.id)]
    assert [one.job["status"] for one in await place.record(*said, batch=batch) if one.job] == ["completed"] * 3


async def made_of(place: Place) -> dict[str, UUID]:
    """What waits is worked on: of each event an observation."""
    made: dict[str, UUID] = {}
    for kind in (JobKind.EVENT, JobKind.EVENT_BATCH):
        token, request = new_id(), DrainRequest(
            workspace_id=place.tenant.id, project_id=place.id, session_id=place.session, kind=kind
        )  # fmt: skip
        while (claimed := await jobs.claim(place.db, request, token)).jobs:
            rows = []
            for number, event in enumerate(claimed.events):
                found = NewObservation(title=str(event.payload), sources=[event.id])
                made[str(event.id)] = observation_id(str(event.job_id), number, found.content_hash)
                rows.append(
                    observations.as_row(
                        place.tenant.id, place.id, made[str(event.id)], found, session_id=place.session,
                        job_id=event.job_id, generator="rules/1",
                    )
                )  # fmt: skip
            done = [jobs.Done(job, 1, None) for job in claimed.jobs]
            assert (await jobs.complete(place.db, place.tenant.id, place.id, token, done, rows)).stored == len(rows)
    return made
