"""What is forgotten is nowhere any more, and nothing beside it is touched."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest
from psycopg.types.json import Jsonb

from activities.forgetting import ForgettingActivities
from muster.domain.errors import NotFound
from muster.domain.ids import new_id
from muster.domain.memory import DrainRequest, ErrorClass, GenerationFailed, JobKind, NewObservation, NewSession
from muster.domain.states import AgentStatus
from muster.domain.tenants import Tenant as Who
from muster.storage import activity, forgetting, idempotency, jobs, moves, observations, recording, sessions
from muster.storage.database import Database
from muster.storage.idempotency import Answered, Taken

from .conftest import Tenant, make_workspace
from .furniture import tenant_tables
from .remembered import Memory, days_ago, read_all, where


@pytest.fixture
async def memory(own_db: Database, own_url: str) -> Memory:
    return await Memory(own_db, await make_workspace(own_url)).begin()


async def neighbours(url: str, memory: Memory) -> list[Memory]:
    """Of the same workspace and of another, each with something in every table."""
    beside = [Memory(memory.db, memory.workspace), Memory(memory.db, await make_workspace(url))]
    for one in beside:
        await one.begin()
        await one.worked("neighbour's")
    return beside


async def contents(url: str, *projects: UUID) -> list[tuple[Any, ...]]:
    """Every row of a project's memory."""
    found = set()
    for table in await tenant_tables(url):
        if table.startswith(("memory_", "observation", "agent_events")):
            found |= set(await read_all(
                url,
                f"SELECT %s, to_jsonb(t)::text FROM {table} t WHERE project_id = ANY (%s) ORDER BY 2",
                table, list(projects),
            ))  # fmt: skip
    return sorted(found)


async def test_a_session_goes_from_every_table(own_url: str, memory: Memory) -> None:
    beside = [one.project for one in await neighbours(own_url, memory)]
    before = await contents(own_url, *beside)
    kept = await memory.worked("other thing")
    session, *_ = await memory.worked("marker thing")
    await memory.observation("marker summary", session=session, summary=True, job=await memory.job(session))
    answer = {"status": 200, "body": {"id": str(session), "platform": "", "title": "marker"}}  # that it was ended
    await memory.rows(
        "INSERT INTO idempotency_keys (workspace_id, key, request_hash, request_id, answer) "
        "VALUES (%s, 'k', 'h', %s, %s)",
        memory.workspace, new_id(), Jsonb(answer),
    )  # fmt: skip
    assert await where(own_url, "marker") == {
        "memory_sessions", "memory_jobs", "memory_job_events", "agent_events", "observations", "observation_words",
        "memory_terms", "idempotency_keys",
    }  # fmt: skip

    found = await forgetting.everything_of(memory.db, memory.workspace, "session", session)

    assert found.complete
    assert {table: count for table, count in found.deleted.items() if count} == {
        "memory_sessions": 1, "agent_events": 1, "memory_jobs": 2, "memory_job_events": 2, "observations": 2,
        "observation_sources": 1, "observation_words": 2, "memory_embeddings": 2, "memory_terms": 2,
    }  # fmt: skip
    assert await where(own_url, "marker") == set()
    assert await memory.terms() == {"": 1, "other": 1, "thing": 1}
    assert (await memory.rows("SELECT id FROM memory_sessions WHERE project_id = %s", memory.project)) == [(kept[0],)]
    assert await contents(own_url, *beside) == before
    again = await forgetting.everything_of(memory.db, memory.workspace, "session", session)
    assert not any(again.deleted.values())
    noted = await memory.rows(
        "SELECT action::text, entity_id, detail -> 'deleted' ->> 'observations' FROM activity_log "
        "WHERE action::text LIKE '%%forgotten'"
    )
    assert noted == [("session_forgotten", session, "2")], "once, and nothing for what found nothing"


async def test_what_two_sessions_saw_outlives_one_of_them(own_url: str, memory: Memory) -> None:
    """Merged copies: the one that tells the forgotten text goes, and the other session's own is made anew."""
    first, event, told = await memory.worked("marker")
    second = await memory.session("second")
    seen = await memory.event(second, "seen too", await memory.job(second))
    third, own, later = await memory.worked("later")
    for observation, source in ((told, seen), (later, event)):  # merged into the first's, and the first's into it
        await memory.rows(
            "INSERT INTO observation_sources VALUES (%s, %s, %s, %s)",
            memory.workspace, memory.project, observation, source,
        )  # fmt: skip
        await memory.rows("UPDATE observations SET seen = 2 WHERE id = %s", observation)

    found = await forgetting.everything_of(memory.db, memory.workspace, "session", first)

    assert await where(own_url, "marker") == set()
    assert await memory.rows("SELECT id, seen FROM observations WHERE project_id = %s", memory.project) == [(later, 1)]
    assert await memory.rows("SELECT event_id FROM observation_sources") == [(own,)]
    assert found.anew == [(memory.project, second)]
    jobs = await memory.rows(
        "SELECT j.session_id, j.kind::text, j.status::text FROM agent_events e JOIN memory_jobs j ON j.id = e.job_id "
        "WHERE e.id = %s", seen,
    )  # fmt: skip
    assert jobs == [(second, "event_batch", "queued")]
    await forgetting.everything_of(memory.db, memory.workspace, "session", third)
    assert await where(own_url, "later") == set()


async def test_what_an_answer_tells_is_not_kept_beyond_it(own_url: str, memory: Memory) -> None:
    """Neither one that is kept, nor one that was read before the forgetting and is to be kept after it."""
    _, _, told = await memory.worked("marker")
    db, tells = memory.db, [str(told)]
    held = {key: await idempotency.begin(db, memory.workspace, key, "h", reads=True) for key in ("kept", "late")}
    kept, late = held["kept"], held["late"]
    assert isinstance(kept, Taken)
    assert isinstance(late, Taken)
    await idempotency.finish(db, memory.workspace, "kept", kept, {"body": "marker"}, tells)
    assert isinstance(await idempotency.begin(db, memory.workspace, "kept", "h", reads=True), Answered)

    await forgetting.observation(db, memory.workspace, told)
    meanwhile = await idempotency.begin(db, memory.workspace, "later", "h", reads=True)
    assert isinstance(meanwhile, Taken)
    await idempotency.finish(db, memory.workspace, "late", late, {"body": "marker"}, tells)
    await idempotency.finish(db, memory.workspace, "later", meanwhile, {"body": "marker"}, tells)

    assert "idempotency_keys" not in await where(own_url, "marker")
    for key in ("kept", "late", "later"):
        assert isinstance(await idempotency.begin(db, memory.workspace, key, "h", reads=True), Taken), key


async def test_what_a_change_took_away_goes_with_its_observation(own_url: str, memory: Memory) -> None:
    told = await memory.observation("marker told")
    await observations.change(memory.db, memory.workspace, told, {"title": "other", "narrative": "other words"})
    assert "observation_changes" in await where(own_url, "marker")
    (noted,), _ = await activity.page(memory.db, memory.workspace, entity_id=told)
    assert noted["detail"]["before"]["title"] == "marker told"

    await forgetting.observation(memory.db, memory.workspace, told)

    assert await where(own_url, "marker") == set()
    _, noted = (await activity.page(memory.db, memory.workspace, entity_id=told))[0]
    assert noted["detail"] == {"fields": ["narrative", "title"]}


async def test_an_observation_goes_with_what_only_it_was_made_of(own_url: str, memory: Memory) -> None:
    session = await memory.session()
    job = await memory.job(session, text="marker, in a note")
    alone, shared = [await memory.event(session, text, job) for text in ("marker alone", "shared")]
    told = await memory.observation("marker told", alone, shared, session=session, job=job)
    other = await memory.observation("other told", shared, session=session, job=job)
    await memory.observation("marker retold", alone, session=session, job=await memory.job(session), summary=True)
    await memory.rows(
        "INSERT INTO idempotency_keys (workspace_id, key, request_hash, request_id, answer) "
        "VALUES (%s, 'k', 'h', %s, '{\"status\": 201, \"body\": {\"title\": \"marker\"}}')", memory.workspace, told,
    )  # fmt: skip

    found = await forgetting.observation(memory.db, memory.workspace, told)

    assert found.deleted["observations"] == 2
    assert found.deleted["agent_events"] == 1
    assert await where(own_url, "marker") == set()
    assert await memory.rows("SELECT id FROM observations") == [(other,)]
    assert await memory.rows("SELECT id, job_id FROM agent_events") == [(shared, job)]
    assert await memory.rows("SELECT to_status::text FROM memory_job_events WHERE job_id = %s", job) == [("completed",)]
    assert await memory.terms() == {"": 1, "other": 1, "told": 1}
    with pytest.raises(NotFound):
        await forgetting.observation(memory.db, memory.workspace, told)


async def test_what_is_said_by_hand_goes_and_events_may_stay(own_url: str, memory: Memory) -> None:
    by_hand = await memory.observation("marker by hand")
    await forgetting.observation(memory.db, memory.workspace, by_hand)
    assert await where(own_url, "marker") == set()
    _, event, told = await memory.worked("to keep")
    found = await forgetting.observation(memory.db, memory.workspace, told, events=False)
    assert found.deleted["agent_events"] == 0
    assert await memory.rows("SELECT id FROM agent_events") == [(event,)]


@pytest.mark.parametrize("kind", ["agent", "task"])
async def test_an_agents_and_a_tasks_memory(own_url: str, memory: Memory, kind: forgetting.Kind) -> None:
    tenant = Tenant(memory.db, memory.workspace)
    task, agent = await tenant.running()
    other_task, other_agent = await tenant.running()
    kept = [(await memory.worked("other", agent=other_agent, task=other_task))[2]]
    await memory.worked("marker of the agent", agent=agent, task=task)
    await memory.observation("marker by hand", agent=agent)
    kept.append(await memory.observation("by nobody"))
    found = await forgetting.everything_of(
        memory.db, memory.workspace, kind, {"agent": agent, "task": task}[kind], step=1
    )
    assert found.deleted["observations"] == 2
    assert await where(own_url, "marker") == set()
    assert await memory.rows("SELECT id FROM observations ORDER BY id") == sorted((one,) for one in kept)
    assert (await tenant.task(task))["id"] == str(task), "the work itself stays"


async def test_what_an_agent_did_is_not_recorded_again(memory: Memory) -> None:
    """Agents are recorded from their output, once they have ended or whenever somebody comes to it."""
    tenant = Tenant(memory.db, memory.workspace)

    async def record(agent: UUID) -> UUID:
        session = NewSession(project=str(memory.project), external_id=str(agent), platform="muster", agent_id=agent)
        return UUID((await sessions.start(memory.db, memory.workspace, session))[0]["id"])

    found = []
    for kind in ("session", "agent", "task", "project"):
        task, agent = await tenant.running(project_id=memory.project)
        await moves.finish_agent(memory.db, memory.workspace, agent, AgentStatus.COMPLETED)
        assert await recording.recordable(memory.db, memory.workspace, agent)
        session = await record(agent)
        target = {"session": session, "agent": agent, "task": task, "project": memory.project}[kind]
        await forgetting.everything_of(memory.db, memory.workspace, kind, target)
        assert await recording.recordable(memory.db, memory.workspace, agent) is None
        with pytest.raises(NotFound):
            await record(agent)
        found.append(agent)
    unrecorded = await recording.unrecorded(memory.db, seconds=-1, limit=100)
    assert not {agent for _, agent in unrecorded} & set(found)


@pytest.mark.parametrize("what", ["session", "observation", "project", "expired"])
async def test_whoever_works_on_it_meanwhile_brings_nothing_back(own_url: str, memory: Memory, what: str) -> None:
    """Somebody has read an event, and comes back with what it was made into."""
    at = days_ago(50) if what == "expired" else None
    session = await memory.session("marker", at=at, ended=at)
    job = await memory.job(session, "queued", "marker")
    events = [await memory.event(session, f"marker {number}", job, at) for number in range(3)]
    told = await memory.observation("marker told", events[0], session=session, job=await memory.job(session), at=at)
    request = DrainRequest(
        workspace_id=memory.workspace, project_id=memory.project, session_id=session, kind=JobKind.EVENT_BATCH
    )
    token = new_id()
    assert len((await jobs.claim(memory.db, request, token)).events) == 3

    if what == "observation":
        await forgetting.observation(memory.db, memory.workspace, told)
    elif what == "expired":
        await memory.rows("INSERT INTO memory_settings (workspace_id, project_id, retain_days) VALUES (%s, %s, 30)",
                          memory.workspace, memory.project)  # fmt: skip
        await forgetting.expired(memory.db, memory.workspace, memory.project)
    else:
        target = session if what == "session" else memory.project
        await forgetting.everything_of(memory.db, memory.workspace, what, target)  # type: ignore[arg-type]

    late = NewObservation(title="marker, told late", sources=events)
    row = observations.as_row(
        memory.workspace, memory.project, new_id(), late, session_id=session, job_id=job, generator="rules/1"
    )
    done = await jobs.complete(memory.db, memory.workspace, memory.project, token, [jobs.Done(job, 1, None)], [row])
    assert (done.completed, done.stored) == (0, 0)
    failed = GenerationFailed(ErrorClass.TIMEOUT, "marker, too late")
    await jobs.fail(memory.db, memory.workspace, memory.project, token, [job], failed, base_seconds=1)
    assert await memory.rows("SELECT 1 FROM observations WHERE project_id = %s", memory.project) == []
    if what == "observation":
        left = await jobs.claim(memory.db, request, new_id())
        assert [event.id for event in left.events] == events[1:], "what is left is looked at again"
    else:
        assert await where(own_url, "marker") == set()


async def test_a_projects_memory_goes_in_steps_and_its_settings_stay(own_url: str, memory: Memory) -> None:
    beside = [one.project for one in await neighbours(own_url, memory)]
    before = await contents(own_url, *beside)
    for number in range(7):
        await memory.worked(f"marker {number}")
    await memory.observation("marker by hand")
    await memory.rows("INSERT INTO memory_settings (workspace_id, project_id) VALUES (%s, %s)",
                      memory.workspace, memory.project)  # fmt: skip
    await memory.rows(
        "INSERT INTO memory_jobs (workspace_id, project_id, id, kind, source_type, source_id) "
        "VALUES (%s, %s, 'rdx_' || repeat('0', 64), 'reindex', 'project', 's')", memory.workspace, memory.project,
    )  # fmt: skip
    found = await forgetting.everything_of(memory.db, memory.workspace, "project", memory.project, step=10)
    assert found.complete
    assert found.deleted["observations"] == 8
    assert found.deleted["memory_jobs"] == 8
    assert await where(own_url, "marker") == set()
    assert [table for table, _ in await contents(own_url, memory.project)] == ["memory_settings"]
    assert await contents(own_url, *beside) == before
    again = await forgetting.everything_of(memory.db, memory.workspace, "project", memory.project)
    assert not any(again.deleted.values())


async def test_what_broke_off_is_finished_as_far_as_it_was_asked_for(own_url: str, memory: Memory) -> None:
    """The process that was asked dies after the first step; what comes before another goes on is nobody's to forget."""
    for number in range(5):
        await memory.worked(f"marker {number}")
    begun = await forgetting.everything_of(memory.db, memory.workspace, "project", memory.project, seconds=0, step=10)
    assert not begun.complete
    assert "marker" in str(await memory.rows("SELECT title FROM observations"))
    session, event, observation = await memory.worked("came later")
    await memory.rows(
        "INSERT INTO observation_sources SELECT %s, %s, id, %s FROM observations WHERE title LIKE 'marker%%' LIMIT 1",
        memory.workspace, memory.project, event,
    )  # fmt: skip

    sweep = ForgettingActivities(memory.db)
    await sweep.finish()
    assert await forgetting.unfinished(memory.db, seconds=60) == [], "whoever began it may still be at it"
    assert "marker" in str(await memory.rows("SELECT title FROM observations"))
    await sweep.finish(-1)

    assert await where(own_url, "marker") == set()
    assert await memory.rows("SELECT id FROM observations WHERE project_id = %s", memory.project) == [(observation,)]
    assert await memory.rows("SELECT id FROM memory_sessions WHERE project_id = %s", memory.project) == [(session,)]
    anew = await memory.rows("SELECT j.status::text FROM agent_events e JOIN memory_jobs j ON j.id = e.job_id "
                             "WHERE e.id = %s", event)  # fmt: skip
    assert anew == [("queued",)], "what was merged into the forgotten is made of what stays"
    assert await forgetting.unfinished(memory.db, seconds=-1) == []
    assert not any((await forgetting.everything_of(memory.db, memory.workspace, "session", new_id())).deleted.values())
    assert await forgetting.unfinished(memory.db, seconds=-1) == []


async def test_it_is_finished_within_the_reach_of_whoever_asked(memory: Memory) -> None:
    """An agent of one project may have left something in another, which a key of the first does not reach."""
    beside = await Memory(memory.db, memory.workspace).begin()
    _, agent = await Tenant(memory.db, memory.workspace).running(project_id=memory.project)
    for _ in range(3):
        await memory.worked("marker", agent=agent)
    kept = await beside.worked("marker", agent=agent)
    key = Who(memory.workspace, new_id(), project_id=memory.project)
    await forgetting.everything_of(memory.db, key, "agent", agent, seconds=0, step=5)
    (left,) = await forgetting.unfinished(memory.db, seconds=-1)
    assert left == (memory.workspace, memory.project, "agent", agent)
    assert (await forgetting.go_on(memory.db, left, seconds=5)).complete
    assert await memory.rows("SELECT id FROM observations") == [(kept[2],)]
    assert await forgetting.unfinished(memory.db, seconds=-1) == []


async def test_nobody_forgets_anothers(own_url: str, memory: Memory) -> None:
    _, theirs = await neighbours(own_url, memory)
    session, _, observation = await theirs.worked("theirs")
    before = await contents(own_url, theirs.project)
    for kind, target in (("session", session), ("project", theirs.project), ("agent", new_id())):
        found = await forgetting.everything_of(memory.db, memory.workspace, kind, target)  # type: ignore[arg-type]
        assert not any(found.deleted.values())
    with pytest.raises(NotFound):
        await forgetting.observation(memory.db, memory.workspace, observation)
    assert await contents(own_url, theirs.project) == before


async def test_age_and_importance_decide_what_stays(own_url: str, memory: Memory) -> None:
    old, young = days_ago(40), days_ago(3)
    await memory.worked("marker old", at=old, importance=0.4)
    important = await memory.worked("important", at=old, importance=0.7)
    recent = await memory.worked("recent", at=young, importance=0.1)
    again = await memory.observation("seen again", at=old, seen=2, last_seen_at=young)
    await memory.observation("marker twice", at=old, seen=2)
    await memory.observation("marker thrice", at=old, seen=3, last_seen_at=days_ago(35))
    assert not any((await forgetting.expired(memory.db, memory.workspace, memory.project)).deleted.values())
    await memory.rows(
        "INSERT INTO memory_settings (workspace_id, project_id, retain_days, retain_importance) "
        "VALUES (%s, %s, 30, 0.7)",
        memory.workspace, memory.project,
    )  # fmt: skip
    assert await forgetting.with_retention(memory.db, memory.workspace) == [memory.project]
    assert await forgetting.with_retention_anywhere(memory.db) == [(memory.workspace, memory.project)]

    found = await forgetting.expired(memory.db, memory.workspace, memory.project, step=1)

    assert await where(own_url, "marker") == set()
    assert (found.deleted["memory_sessions"], found.deleted["agent_events"], found.deleted["observations"]) == (1, 1, 3)
    left = await memory.rows("SELECT id FROM observations ORDER BY id")
    assert left == sorted((one,) for one in (important[2], recent[2], again))
    events = await memory.rows("SELECT id FROM agent_events ORDER BY id")
    assert events == sorted((one,) for one in (important[1], recent[1])), "what still stands on them keeps them"
    assert not any((await forgetting.expired(memory.db, memory.workspace, memory.project)).deleted.values())


async def test_many_forget_at_once(own_url: str, memory: Memory) -> None:
    """Terms that all share are counted right, whoever meets whom half-way."""
    sessions = [(await memory.worked(f"shared words {number}"))[0] for number in range(12)]
    kept = (await memory.worked("shared words kept"))[2]
    found = await asyncio.gather(
        *(forgetting.everything_of(memory.db, memory.workspace, "session", session) for session in sessions),
        *(forgetting.everything_of(memory.db, memory.workspace, "session", session) for session in sessions[::-1]),
    )
    assert sum(one.deleted["observations"] for one in found) == 12
    assert await memory.rows("SELECT id FROM observations") == [(kept,)]
    assert await memory.terms() == {"": 1, "shared": 1, "words": 1, "kept": 1}
