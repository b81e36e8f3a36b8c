"""Events as hooks send them, one at a time and each worked on before the next: what began earlier ends all the same."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from temporalio.testing import ActivityEnvironment

from activities.generation import Generation
from activities.memory import MemoryActivities
from muster.domain.memory import JobKind, Made, NewEvent, Source
from muster.domain.search import Query
from muster.storage import forgetting, search
from muster.storage.agent_events import Recorder

from .conftest import Tenant
from .sessions import Session, a_session

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)


async def sent(
    session: Session, *events: tuple[str, Any], together: bool = False, generation: Generation | None = None
) -> None:
    """All at the same moment, by their clock."""
    recorder = Recorder(session.db)
    of_memory = MemoryActivities(session.db, generation or Generation(session.db), lambda *place: None)
    told = [
        NewEvent(
            project=str(session.project), session=session.id, type=kind, occurred_at=AT, payload=payload,
            source=Source(adapter="claude-code", event_id=f"{kind} {payload} {number}"[-200:]),
        )
        for number, (kind, payload) in enumerate(events)
    ]  # fmt: skip
    try:
        for some in [told] if together else [[one] for one in told]:
            await recorder.record(session.tenant.id, some, batch=together)
            kind = JobKind.EVENT_BATCH if together else JobKind.EVENT
            await ActivityEnvironment().run(of_memory.drain_memory, session.request(kind))
    finally:
        await recorder.close()


async def remembered(session: Session) -> list[tuple[Any, ...]]:
    return await session.tenant.rows(
        "SELECT o.type, o.title, count(s.event_id), bool_and(o.job_id IS NOT NULL) FROM observations o "
        "JOIN observation_sources s ON s.observation_id = o.id WHERE o.session_id = %s "
        "GROUP BY o.id, o.type, o.title ORDER BY 1, 2",
        (session.id,),
    )


def ran(answer: str, **more: Any) -> tuple[str, Any]:
    return "tool_use", {
        "tool_name": "Bash", "tool_input": {"command": "pytest tests/test_coupon.py"},
        "tool_response": {"stdout": answer, "stderr": "", "interrupted": False}, **more,
    }  # fmt: skip


FAILED = ran("FAILED tests/test_coupon.py::test_twice - KeyError: 'coupon'\n1 failed in 0.1s", exit_code=1)
EDITED = (
    "tool_use",
    {
        "tool_name": "Edit",
        "tool_input": {"file_path": "shop/coupon.py", "old_string": "c['coupon']", "new_string": "c.get('coupon')"},
        "tool_response": {"success": True},
    },
)
PASSED = ran("1 passed in 0.1s")


async def test_a_failure_ends_with_the_run_that_passes(tenant: Tenant) -> None:
    for together in (False, True):
        session = await a_session(tenant)
        await sent(session, FAILED, EDITED, PASSED, together=together)
        found = await remembered(session)
        assert [(kind, count, own) for kind, _, count, own in found if kind == "bugfix"] == [("bugfix", 3, True)], found
        assert not any("passes" in title for kind, title, _, _ in found if kind == "discovery"), found


async def test_an_answer_keeps_its_question(tenant: Tenant) -> None:
    session = await a_session(tenant)
    asked = {"role": "assistant", "text": "Shall the numbat cache be kept for an hour?"}
    await sent(session, ("message", asked), ("message", {"role": "user", "text": "Yes, an hour is fine."}))
    found = await remembered(session)
    assert any(count == 2 for _, _, count, _ in found), found


async def test_what_is_forgotten_meanwhile_is_not_told_again(tenant: Tenant) -> None:
    class Slow(Generation):
        """Somebody forgets what came before while this thinks."""

        async def make(self, *about: Any) -> Made:
            made = await super().make(*about)
            assert any(one.type == "bugfix" for one in made.observations)
            ((old,),) = await tenant.rows(
                "SELECT id FROM observations WHERE type = 'error' AND workspace_id = %s", (tenant.id,)
            )
            await forgetting.observation(tenant.db, tenant.id, old)
            return made

    session = await a_session(tenant)
    await sent(session, FAILED, EDITED)
    await sent(session, PASSED, generation=Slow(session.db))
    told = await session.tenant.rows(
        "SELECT row_to_json(o)::text FROM observations o WHERE session_id = %s", (session.id,)
    )
    assert not any("KeyError" in text for (text,) in told), told


async def test_what_is_looked_at_is_not_told_again_and_again(tenant: Tenant) -> None:
    session = await a_session(tenant)
    looks = [
        (
            "tool_use",
            {"tool_name": "Read", "tool_input": {"file_path": f"/a/{name}.py"},
             "tool_response": {"file": {"content": f"class {name.title()}:\n    def feed(self, {name}): ..."}}},
        )
        for name in ("parser", "lexer", "writer", "reader")
    ]  # fmt: skip
    await sent(session, *looks)
    found = await remembered(session)
    assert all(count == 1 for _, _, count, _ in found), found
    assert len(found) <= len(looks)


async def test_what_comes_of_work_tells_what_it_was_for(tenant: Tenant) -> None:
    wanted = "Find the three biggest causes of the cloud bill."
    told = "The egress is the indexer, which reads from the other region."
    for together in (False, True):
        session = await a_session(tenant)
        events = [("user_prompt", {"prompt": wanted}), ("assistant_message", {"text": told})]
        await sent(session, *events, together=together)
        rows = await session.tenant.rows(
            "SELECT subtitle FROM observations WHERE session_id = %s AND narrative LIKE %s", (session.id, f"%{told}%")
        ) or await session.tenant.rows(
            "SELECT subtitle FROM observations WHERE session_id = %s AND title LIKE %s", (session.id, "%egress%")
        )
        assert rows == [(f"For: {wanted}",)]
        found = await search.search(
            session.db, session.tenant.id, [str(session.project)], Query(query="cloud bill causes egress")
        )
        assert "egress" in str(found.items[0]["title"])


async def test_what_it_was_for_makes_it_no_other(tenant: Tenant) -> None:
    told = "The egress is the indexer, which reads from the other region."
    wanted = ["Find the three biggest causes of the cloud bill.", "Explain why Frankfurt costs twice what Oregon does.",
              "Look into whether we need the indexer at all, and write it down."]  # fmt: skip
    first = await a_session(tenant)
    for prompt in wanted:
        session = first if prompt is wanted[0] else await a_session(tenant, first.project)
        said = {"text": told, "turn": prompt}
        await sent(session, ("user_prompt", {"prompt": prompt}), ("assistant_message", said))
    rows = await tenant.rows("SELECT subtitle, seen FROM observations WHERE narrative = %s", (told,))
    assert rows == [(f"For: {wanted[0]}", 3)]
    for query in ("causes of the cloud bill", "indexer other region"):
        found = await search.search(first.db, tenant.id, [str(first.project)], Query(query=query))
        assert told in [item["narrative"] for item in found.items]


async def test_who_says_something_else_for_the_same_says_another(tenant: Tenant) -> None:
    session = await a_session(tenant)
    said = ["The egress is the indexer.", "The storage is old snapshots.", "Nothing of it is the queue."]
    wanted = (
        "user_prompt",
        {"prompt": "Find the three biggest causes of the cloud bill, in the order of what they cost."},
    )
    await sent(session, wanted, *(("assistant_message", {"text": text}) for text in said))
    rows = await session.tenant.rows(
        "SELECT narrative FROM observations WHERE session_id = %s AND subtitle LIKE 'For: %%'", (session.id,)
    )
    assert sorted(row[0] for row in rows) == sorted(said)


async def test_a_conversation_is_no_work(tenant: Tenant) -> None:
    session = await a_session(tenant)
    said = [("user_prompt", {"prompt": "I bought a bike yesterday, a blue one."}),
            ("assistant_message", {"text": "The lanes along the river are the best for a first ride."})]  # fmt: skip
    await sent(session, *said)
    rows = await session.tenant.rows("SELECT subtitle FROM observations WHERE session_id = %s", (session.id,))
    assert not any(row[0] and row[0].startswith("For: ") for row in rows)


async def test_what_was_asked_for_long_before_is_what_it_was_done_for(tenant: Tenant) -> None:
    """However much was done since, and however much comes at once."""
    session = await a_session(tenant)
    await sent(session, ("UserPromptSubmit", {"prompt": "Find out why the coupons of March are counted twice."}))
    looks = [
        (
            "tool_use",
            {"tool_name": "Read", "tool_input": {"file_path": f"shop/part{number}.py"}, "tool_response": "x = 1"},
        )
        for number in range(60)
    ]
    await sent(session, *looks, together=True)
    finding = "The cache of part 7 keeps coupons for a day, and the import reads them from there."
    await sent(session, ("message", {"role": "assistant", "content": finding}))
    later = "The import of part 9 runs at six, an hour before the cache is emptied."
    await sent(session, *looks[:30], ("message", {"role": "assistant", "content": later}), together=True)
    found = await session.tenant.rows(
        "SELECT DISTINCT narrative, subtitle FROM observations WHERE session_id = %s "
        "AND narrative LIKE 'The %%' ORDER BY 1",
        (session.id,),
    )
    purpose = "For: Find out why the coupons of March are counted twice."
    assert found == [(finding, purpose), (later, purpose)]


def called(number: int, command: str) -> tuple[str, Any]:
    block = {"type": "tool_use", "id": f"toolu_{number}", "name": "Bash", "input": {"command": command}}
    return "assistant", {"type": "assistant", "message": {"role": "assistant", "content": [block]}}


def answered(number: int, text: str, *, failed: bool = False) -> tuple[str, Any]:
    block = {"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": text, "is_error": failed}
    return "user", {"type": "user", "message": {"role": "user", "content": [block]}}


async def test_an_answer_is_told_with_its_call_wherever_a_request_ends(tenant: Tenant) -> None:
    """Or a batch, of a request that is larger than one."""
    looks = [one for n in range(40) for one in (called(n, f"cat notes/{n}.md"), answered(n, f"note {n} of the ledger"))]
    run = called(99, "pytest tests/test_coupon.py")
    failed = answered(99, "FAILED tests/test_coupon.py::test_twice - KeyError: 'coupon'\n1 failed in 0.1s", failed=True)
    for requests in (
        [[*looks[:39], run], [failed, *looks[39:]]],
        [[*looks[:49], run, failed, *looks[49:]]],
        [[*looks[:10], run], [failed]],
    ):
        session = await a_session(tenant)
        for request in requests:
            await sent(session, *request, together=True)
        found = await remembered(session)
        errors = [title for kind, title, _, _ in found if kind == "error"]
        assert errors == ["pytest fails: KeyError: 'coupon'"], found
        assert not any("A tool" in title for _, title, _, _ in found)
