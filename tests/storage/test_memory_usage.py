"""Token caps are hard: whatever begins together, whatever dies in between. And what a model is asked, and is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from activities.generation import Caps, Generation
from muster.domain.ids import new_id
from muster.domain.memory import ErrorClass, Event, GenerationFailed
from muster.models.chat import Chat
from muster.storage import memory_usage, projects
from muster.storage.memory_usage import OverBudget, Reservation
from tests.models.provider import Provider, a_provider, called, refused
from tests.pace import stretched

from .conftest import Tenant


async def a_project(tenant: Tenant, **settings: Any) -> UUID:
    project = new_id()
    await projects.create(tenant.db, tenant.id, project, slug=f"p-{project.hex}", name="P", description=None)
    if settings:
        await tenant.rows(
            "INSERT INTO memory_settings (workspace_id, project_id, generator, daily_tokens) VALUES (%s, %s, %s, %s)",
            (tenant.id, project, settings.get("generator", "default"), settings.get("daily_tokens")),
        )
    return project


async def used(tenant: Tenant, project: UUID) -> tuple[int, int, int, int]:
    rows = await tenant.rows(
        "SELECT calls, input_tokens, output_tokens, reserved FROM memory_usage WHERE project_id = %s", (project,)
    )
    return rows[0] if rows else (0, 0, 0, 0)  # type: ignore[return-value]


async def test_calls_that_begin_together_do_not_overrun(tenant: Tenant) -> None:
    one, two = await a_project(tenant), await a_project(tenant, daily_tokens=450)

    async def call(project: UUID) -> Reservation | OverBudget:
        held = await memory_usage.reserve(tenant.db, tenant.id, project, 100, workspace_cap=1000, project_cap=700)
        if isinstance(held, Reservation):
            await asyncio.sleep(0)
            await memory_usage.settle(tenant.db, held, calls=1, input_tokens=90, output_tokens=10)
        return held

    held = await asyncio.gather(*(call(project) for project in (one, two) * 20))
    first, second = await used(tenant, one), await used(tenant, two)
    # 450 of its own for the second, 700 by default for the first, 1,000 for both.
    assert second[0] <= 4
    assert first[0] <= 7
    assert first[0] + second[0] == 10 == sum(isinstance(one, Reservation) for one in held)
    assert (first[3], second[3]) == (0, 0)
    assert {one.of for one in held if isinstance(one, OverBudget)} <= {"workspace", "project"}


async def test_a_call_that_was_never_settled_counts(tenant: Tenant) -> None:
    project = await a_project(tenant)
    assert isinstance(await memory_usage.reserve(tenant.db, tenant.id, project, 80, project_cap=100), Reservation)
    refusal = await memory_usage.reserve(tenant.db, tenant.id, project, 30, project_cap=100)
    assert refusal == OverBudget("project", 80, 100, 80)
    assert (await memory_usage.days(tenant.db, tenant.id, project))[0]["reserved"] == 80


# -- The llm generator ----------------------------------------------------------------------------------------------


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with a_provider() as provider:
        yield provider


@pytest.fixture
async def chat(provider: Provider) -> AsyncIterator[Chat]:
    chat = Chat("small", url=provider.url, key="k", seconds=stretched(5))
    yield chat
    await chat.close()


def event(payload: Any, kind: str = "message") -> Event:
    return Event(
        id=new_id(), session_id=UUID(int=1), type=kind, adapter="a", occurred_at=datetime.now(UTC), payload=payload
    )


ONE = {"type": "decision", "title": "Use Postgres", "narrative": "For its row-level security.", "events": [2]}


async def test_a_batch_is_one_call_and_sources_are_set(tenant: Tenant, provider: Provider, chat: Chat) -> None:
    project = await a_project(tenant, generator="llm")
    provider.answer = called({"observations": [ONE, {"title": "No event named", "importance": 7}]})
    events = [event({"text": f"Statement number {n}"}) for n in range(50)]
    made = await Generation(tenant.db, chat=chat).make(tenant.id, project, events)
    assert len(provider.requests) == 1
    assert made.generator == "llm/1 small"
    assert made.observations[0].sources == [events[1].id]
    assert made.observations[1].sources == [one.id for one in events]
    assert made.observations[1].importance == 1.0
    assert (made.input_tokens, made.output_tokens) == (100, 20) == (await used(tenant, project))[1:3]
    assert all(f"Statement number {n}" in provider.prompts[0] for n in range(50))


async def test_a_model_is_told_the_call_that_an_answer_is_of(tenant: Tenant, provider: Provider, chat: Chat) -> None:
    """Which came with an earlier request; what else came then is not told again."""
    asked = {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "pytest tests/test_numbat.py"}}
    answer = {"type": "tool_result", "tool_use_id": "t1", "content": "FAILED tests/test_numbat.py - KeyError: 'tail'"}
    earlier = [event({"text": "The gecko is told already."}), event({"role": "assistant", "content": [asked]})]
    provider.answer = called({"observations": [ONE]})
    events = [event({"role": "user", "content": [answer]})]
    made = await Generation(tenant.db, generator="llm", chat=chat).make(
        tenant.id, await a_project(tenant), events, earlier
    )
    assert "pytest tests/test_numbat.py" in provider.prompts[0]
    assert "gecko" not in provider.prompts[0]
    assert made.observations[0].sources == [events[0].id]


async def test_reading_much_keeps_nobody_waiting(tenant: Tenant) -> None:
    """Heartbeats and kills are in the same loop."""
    project = await a_project(tenant)
    text = "\n".join(f"plain remark {n} about nothing in particular" for n in range(1300))
    reading = asyncio.create_task(Generation(tenant.db).make(tenant.id, project, [event({"text": text})] * 8))
    turns = 0
    while not reading.done():
        turns += 1
        await asyncio.sleep(0.005)
    assert len(reading.result().observations) > 10
    assert turns > 8, "a few in each event's time"


async def test_nothing_worth_keeping_is_an_answer(tenant: Tenant, provider: Provider, chat: Chat) -> None:
    provider.answer = called({"nothing": "small talk"})
    made = await Generation(tenant.db, generator="llm", chat=chat).make(
        tenant.id, await a_project(tenant), [event({"text": "Nice weather today, is it not?"})]
    )
    assert (made.observations, made.note) == ([], "small talk")


async def test_what_holds_no_words_makes_no_call(tenant: Tenant, provider: Provider, chat: Chat) -> None:
    generation = Generation(tenant.db, generator="llm", chat=chat)
    events = [
        event({}, "heartbeat"),
        event({"text": "[removed:private]"}),
        event(None),
        event({"text": "<private>x</private>"}),
    ]
    for some in ([], events):
        made = await generation.make(tenant.id, await a_project(tenant), some)
        assert made.observations == []
        assert made.note
    assert provider.requests == []


async def test_malformed_is_told_once_and_then_fails(tenant: Tenant, provider: Provider, chat: Chat) -> None:
    project = await a_project(tenant)
    generation = Generation(tenant.db, generator="llm", chat=chat)
    provider.answers = [called({"observations": [{"narrative": "no title"}]}), called({"observations": [ONE]})]
    made = await generation.make(tenant.id, project, [event("One."), event("Two.")])
    assert made.observations[0].title == "Use Postgres"
    assert "title: Field required" in provider.prompts[1]
    assert (await used(tenant, project)) == (2, 200, 40, 0)
    provider.answer = called({"observations": "what"})
    with pytest.raises(GenerationFailed) as caught:
        await generation.make(tenant.id, project, [event("One.")])
    assert caught.value.kind == ErrorClass.MALFORMED
    assert len(provider.requests) == 4


async def test_the_days_tokens_are_a_hard_cap(tenant: Tenant, provider: Provider, chat: Chat) -> None:
    project = await a_project(tenant, generator="llm", daily_tokens=12_000)
    provider.answer = called({"observations": [ONE]}, tokens=(1900, 900))
    provider.seconds = 0.02
    generation = Generation(tenant.db, chat=chat, caps=Caps(call=8000, output=1000))
    calls = [generation.make(tenant.id, project, [event(f"Thing {n}")]) for n in range(12)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    refusals = [one for one in answers if isinstance(one, GenerationFailed)]
    assert {one.kind for one in refusals} == {ErrorClass.BUDGET}
    calls_made, read, written, reserved = await used(tenant, project)
    assert calls_made == len(provider.requests) == 12 - len(refusals)
    assert reserved == 0
    assert read + written <= 12_000


async def test_a_day_that_is_too_short_for_a_batch_may_do_for_a_part(
    tenant: Tenant, provider: Provider, chat: Chat
) -> None:
    project = await a_project(tenant, generator="llm", daily_tokens=9_000)
    generation = Generation(tenant.db, chat=chat, caps=Caps(call=30_000, output=1000))
    events = [event({"text": f"Thing {n} " + "x" * 1000}) for n in range(12)]
    with pytest.raises(GenerationFailed) as caught:
        await generation.make(tenant.id, project, events)
    assert (caught.value.kind, caught.value.less_would_do) == (ErrorClass.BUDGET, True)
    assert (await generation.make(tenant.id, project, events[:1])).note
    await tenant.rows("UPDATE memory_usage SET input_tokens = 8000 WHERE project_id = %s", (project,))
    with pytest.raises(GenerationFailed) as caught:
        await generation.make(tenant.id, project, events[:2])
    assert (caught.value.kind, caught.value.less_would_do) == (ErrorClass.BUDGET, False)


async def test_what_a_model_says_is_looked_through(tenant: Tenant, provider: Provider, chat: Chat) -> None:
    told = {"type": "fact", "title": "It opens with <private>4417</private> now", "facts": ["password=hunter2"]}
    private = {"type": "fact", "title": "<private>all of it</private>"}
    provider.answer = called({"observations": [told, private]})
    made = await Generation(tenant.db, generator="llm", chat=chat).make(
        tenant.id, await a_project(tenant), [event({"text": "The vault has another number."})]
    )
    (one,) = made.observations
    assert (one.title, one.facts) == ("It opens with  now", ["password=[removed:password]"])


async def test_a_provider_that_takes_more_than_it_was_allowed_gets_no_other_call(
    tenant: Tenant, provider: Provider, chat: Chat
) -> None:
    project = await a_project(tenant, generator="llm", daily_tokens=50_000)
    provider.answer = called({"observations": [ONE]}, tokens=(40_000, 30_000))
    generation = Generation(tenant.db, chat=chat, caps=Caps(call=8000, output=1000))
    await generation.make(tenant.id, project, [event("Thing")])
    with pytest.raises(GenerationFailed) as caught:
        await generation.make(tenant.id, project, [event("Thing")])
    assert (caught.value.kind, len(provider.requests)) == (ErrorClass.BUDGET, 1)
    assert await used(tenant, project) == (1, 40_000, 30_000, 0)


async def test_what_is_only_held_by_a_call_under_way_is_waited_for(
    tenant: Tenant, provider: Provider, chat: Chat
) -> None:
    """A call holds the most it may use, several times what it uses: the day is not over for that."""
    project = await a_project(tenant, generator="llm", daily_tokens=6_000)
    provider.answer, provider.seconds = called({"observations": [ONE]}, tokens=(300, 100)), 0.3
    generation = Generation(tenant.db, chat=chat, caps=Caps(call=8000, output=1000))
    await asyncio.gather(*(generation.make(tenant.id, project, [event("Thing")]) for _ in range(2)))
    assert await used(tenant, project) == (2, 600, 200, 0)


async def test_one_call_stays_within_its_cap(tenant: Tenant, provider: Provider, chat: Chat) -> None:
    provider.answer = called({"nothing": "x"})
    generation = Generation(tenant.db, generator="llm", chat=chat, caps=Caps(call=6000, output=500))
    for text in ("word " * 20_000, "東京" * 20_000):
        await generation.make(
            tenant.id, await a_project(tenant), [event({"text": text}), event({"text": "The last one."})]
        )
        assert len(provider.prompts[-1]) < 12_000
        assert "The last one." in provider.prompts[-1]
    tight = Generation(tenant.db, generator="llm", chat=chat, caps=Caps(call=900, output=500))
    project = await a_project(tenant)
    with pytest.raises(GenerationFailed, match="MUSTER_MEMORY_CALL_TOKENS"):
        await tight.make(tenant.id, project, [event("text")])


async def test_a_refused_call_is_settled_and_a_project_without_a_model_is_told(
    tenant: Tenant, provider: Provider, chat: Chat
) -> None:
    project = await a_project(tenant, generator="llm")
    provider.status, provider.answer = 500, refused()
    with pytest.raises(GenerationFailed) as caught:
        await Generation(tenant.db, chat=chat).make(tenant.id, project, [event("text")])
    assert caught.value.kind == ErrorClass.UNAVAILABLE
    assert await used(tenant, project) == (1, 0, 0, 0)
    with pytest.raises(GenerationFailed, match="MUSTER_MEMORY_MODEL"):
        await Generation(tenant.db).make(tenant.id, project, [event("text")])


async def test_a_summary_by_the_model(tenant: Tenant, provider: Provider, chat: Chat) -> None:
    generation = Generation(tenant.db, generator="llm", chat=chat)
    provider.answer = called({"title": "The parser was mended", "done": ["Mended it"], "decided": [], "open": ["Docs"]})
    events = [event({"prompt": "Fix the parser please"}, "prompt"), event({"text": "I fixed the parser for licences."})]
    made = await generation.summarise(
        tenant.id, await a_project(tenant), {"title": "S", "ended_at": "2026"}, events, []
    )
    summary = made.observations[0]
    assert (summary.type, summary.title, summary.facts) == ("summary", "The parser was mended", ["Open: Docs"])
    assert "Mended it" in (summary.narrative or "")
    assert set(summary.sources) == {one.id for one in events}
    nothing = await generation.summarise(tenant.id, await a_project(tenant), {}, [event({}, "heartbeat")], [])
    assert (nothing.observations, len(provider.requests)) == ([], 1)
    assert nothing.note
