"""A memory that is written out and read back in, here or elsewhere, once or twice."""

from __future__ import annotations

import codecs
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from muster.domain import archive
from muster.domain.archive import BadArchive
from muster.domain.ids import new_id
from muster.domain.memory import NewEvent, Source
from muster.domain.search import Query
from muster.storage import agent_events, forgetting, projects, search
from muster.storage import archive as archives
from muster.storage.agent_events import Recorder
from muster.storage.archive import Import
from muster.storage.database import Database

from .conftest import Tenant, make_workspace
from .remembered import Memory, where

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
async def memory(own_db: Database, own_url: str) -> Memory:
    return await Memory(own_db, await make_workspace(own_url)).begin()


async def exported(memory: Memory) -> list[bytes]:
    project = await projects.get(memory.db, memory.workspace, str(memory.project))
    text = b"".join([part async for part in archives.export(memory.db, memory.workspace, project)])
    return text.splitlines()


async def brought(memory: Memory, lines: list[bytes], **options: Any) -> Import:
    bringing = Import(memory.db, memory.workspace, memory.project, **options)
    await bringing.feed(list(enumerate(lines, 1)))
    await bringing.end()
    return bringing


async def told(memory: Memory) -> list[tuple[Any, ...]]:
    """What is remembered, without its ids."""
    return await memory.rows(
        "SELECT o.title, o.narrative, o.facts, o.seen, o.importance, o.summary, o.generator, o.occurred_at, s.title, "
        "(SELECT array_agg(e.payload ORDER BY e.payload) FROM observation_sources x "
        " JOIN agent_events e ON e.id = x.event_id WHERE x.observation_id = o.id) "
        "FROM observations o LEFT JOIN memory_sessions s ON s.id = o.session_id WHERE o.project_id = %s ORDER BY 1",
        memory.project,
    )


async def found_by(memory: Memory, words: str) -> list[str]:
    found = await search.search(memory.db, memory.workspace, [str(memory.project)], Query(query=words))
    return [item["title"] for item in found.items]


async def test_what_is_forgotten_comes_back_and_is_found(memory: Memory) -> None:
    tenant = Tenant(memory.db, memory.workspace)
    task, agent = await tenant.running()
    for number in range(3):
        await memory.worked(f"thing {number}", agent=agent, task=task, importance=0.7)
    await memory.observation("by hand", seen=3)
    await memory.rows(
        "INSERT INTO memory_settings (workspace_id, project_id, batch_events, exclude_tools) VALUES (%s, %s, 7, '{x}')",
        memory.workspace, memory.project,
    )  # fmt: skip
    lines, before, terms = await exported(memory), await told(memory), set(await memory.terms())
    kinds = [json.loads(line)["kind"] for line in lines]
    assert kinds == ["muster-memory", "settings", *["session"] * 3, *["event"] * 3, *["observation"] * 4, "end"]

    same = await brought(memory, lines)
    assert not any(same.added.values()), "all of it is here"
    assert same.whole

    await forgetting.everything_of(memory.db, memory.workspace, "project", memory.project)
    await forgetting.settings(memory.db, memory.workspace, memory.project)
    assert await told(memory) == []
    assert await found_by(memory, "things by hand") == []
    back = await brought(memory, lines, may_set=True)
    assert back.added == {"sessions": 3, "events": 3, "observations": 4}
    assert back.settings
    assert await told(memory) == before
    assert await found_by(memory, "by hand") == ["by hand"]
    assert set(await found_by(memory, "thing")) == {"thing 0", "thing 1", "thing 2"}
    assert await memory.rows("SELECT DISTINCT agent_id, task_id FROM memory_sessions") == [(agent, task)]
    assert await memory.rows("SELECT batch_events, exclude_tools FROM memory_settings") == [(7, ["x"])]
    await memory.rows("SELECT memory_fold(%s, %s)", memory.workspace, memory.project)
    assert {term for term in terms if term.isalpha() and len(term) > 3} <= set(await memory.terms())

    twice = await brought(memory, lines)
    assert not any(twice.added.values())
    assert twice.known == {"sessions": 3, "events": 3, "observations": 4}
    assert not any((await brought(memory, await exported(memory))).added.values())


@pytest.mark.parametrize("pending", [False, True])
async def test_what_was_told_there_is_not_told_once_more(memory: Memory, own_url: str, pending: bool) -> None:
    """By the next summary, that is. What was still to be worked on is worked on and told here."""
    for number in range(3):
        await memory.worked(f"thing {number}", importance=0.7)
    lines = []
    for text in await exported(memory):
        line = json.loads(text)
        lines.append(json.dumps({**line, "pending": True} if pending and line["kind"] == "event" else line).encode())
    other = await Memory(memory.db, await make_workspace(own_url)).begin()
    assert (await brought(other, lines)).added["events"] == 3
    counts = await other.rows(
        "SELECT events, summarised, concluded FROM memory_sessions WHERE workspace_id = %s", other.workspace
    )
    assert counts == [(1, 0, 0) if pending else (1, 1, 1)] * 3


async def test_elsewhere_it_has_other_ids_and_touches_nothing(own_url: str, memory: Memory) -> None:
    tenant = Tenant(memory.db, memory.workspace)
    task, agent = await tenant.running()
    session, event, observation = await memory.worked("told", agent=agent, task=task)
    lines = await exported(memory)
    other = await Memory(memory.db, await make_workspace(own_url)).begin()
    beside = await Memory(memory.db, memory.workspace).begin()
    for place in (other, beside, other):
        await brought(place, lines)
    for place in (other, beside):
        assert [row[0] for row in await told(place)] == ["told"]
        ids = {
            row[0]
            for table in ("memory_sessions", "agent_events", "observations")
            for row in await place.rows(f"SELECT id FROM {table} WHERE project_id = %s", place.project)
        }
        assert len(ids) == 3
        assert not ids & {session, event, observation}
    assert await other.rows("SELECT agent_id, task_id FROM memory_sessions") == [(None, None)], "nobody's here"
    assert await beside.rows("SELECT agent_id FROM memory_sessions WHERE project_id = %s", beside.project) == [(agent,)]
    assert (await memory.rows("SELECT id FROM observations WHERE project_id = %s", memory.project)) == [(observation,)]


async def test_what_was_seen_again_is_as_old_there(memory: Memory) -> None:
    first, last = datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 6, 7, tzinfo=UTC)
    await memory.observation("okapi", at=first, seen=2, last_seen_at=last)
    beside = await Memory(memory.db, memory.workspace).begin()
    await brought(beside, await exported(memory))
    rows = await beside.rows(
        "SELECT occurred_at, last_seen_at, seen FROM observations WHERE project_id = %s", beside.project
    )
    assert rows == [(first, last, 2)]


async def test_there_and_back_doubles_nothing(memory: Memory) -> None:
    for text, more in (("okapi", {}), ("okapi", {"at": AT}), ("quokka", {"at": AT}), ("quokka", {"type": "decision"})):
        await memory.observation(text, **more)
    beside = await Memory(memory.db, memory.workspace).begin()
    assert (await brought(beside, await exported(memory))).added["observations"] == 4
    assert (await brought(memory, await exported(beside))).added["observations"] == 0
    assert (await brought(beside, await exported(memory))).added["observations"] == 0


async def test_what_is_sent_again_elsewhere_is_known(memory: Memory) -> None:
    """Whoever moves a project goes on sending what it was not sure to have sent."""

    async def record(place: Memory, session: UUID) -> list[tuple[UUID | None, bool]]:
        told = [
            NewEvent(project=str(place.project), session=session, type="x", source=source, occurred_at=AT, payload=text)
            for text, source in (
                ("named", Source(adapter="hook", event_id="e2")), ("first", Source(adapter="hook")),
                ("second", Source(adapter="hook")),
            )
        ]  # fmt: skip
        recorder = Recorder(place.db)
        try:
            return [(one.id, one.repeated) for one in await recorder.record(place.workspace, told, batch=True)]
        finally:
            await recorder.close()

    session = await memory.session()
    before = await record(memory, session)
    assert not any(repeated for _, repeated in before)
    beside = await Memory(memory.db, memory.workspace).begin()
    lines = await exported(memory)
    await brought(beside, lines)
    ((there,),) = await beside.rows("SELECT id FROM memory_sessions WHERE project_id = %s", beside.project)
    again = await record(beside, there)
    assert all(repeated for _, repeated in again)
    assert not {one for one, _ in again} & {one for one, _ in before}
    for whole_or_not in (lines, lines[1:]):  # its first line may be lost
        assert not any((await brought(beside, whole_or_not)).added.values())
    events, _ = await agent_events.page(memory.db, memory.workspace, there)
    assert [event["payload"] for event in events] == ["second", "first", "named"], "the latest first, of one moment too"
    pages = []
    cursor: str | None = None
    for _ in events:
        page, cursor = await agent_events.page(memory.db, memory.workspace, there, limit=1, cursor=cursor)
        pages += page
    assert pages == events


async def test_a_session_that_is_called_the_same_is_the_same(memory: Memory) -> None:
    await memory.worked("told")
    lines = await exported(memory)
    other = await Memory(memory.db, memory.workspace).begin()
    await brought(other, lines)
    again = [
        line.replace(b'"kind": "session", "title": "told"', b'"kind": "session", "title": "again"') for line in lines
    ]
    changed = [json.loads(line) for line in again]
    for line in changed:
        if line["kind"] == "session":
            line["id"] = str(new_id())
        elif "session" in line:
            line["session"] = changed[1]["id"]
    assert changed[1]["kind"] == "session"
    found = await brought(other, [json.dumps(line).encode() for line in changed])
    assert found.added == {"sessions": 0, "events": 0, "observations": 0}


async def test_what_was_not_made_yet_is_made_there(memory: Memory) -> None:
    session = await memory.session()
    await memory.event(session, "waits", await memory.job(session, "queued"))
    lines = await exported(memory)
    other = await Memory(memory.db, memory.workspace).begin()
    found = await brought(other, lines)
    (where_to,) = found.anew
    assert where_to[0] == other.project
    assert await other.rows(
        "SELECT j.status::text, j.session_id FROM agent_events e JOIN memory_jobs j ON j.id = e.job_id "
        "WHERE e.project_id = %s", other.project,
    ) == [("queued", where_to[1])]  # fmt: skip
    assert (await brought(other, lines)).anew == set()


async def test_private_text_is_not_brought_in(own_url: str, memory: Memory) -> None:
    session = {
        "kind": "session", "id": str(new_id()), "started_at": "2026-01-01T00:00:00Z",
        "external_id": "a <private>sesame", "title": "sesame</private> b",
    }  # fmt: skip
    at = {"occurred_at": "2026-01-01T00:00:00Z"}
    lines = [
        {"kind": "muster-memory", "version": 1},
        session,
        {"kind": "event", "id": str(new_id()), "session": session["id"], "type": "message", "adapter": "a", **at,
         "payload": {"said": "open <private>sesame</private> now"}},
        {"kind": "observation", "id": str(new_id()), "type": "discovery", "title": "a key", **at,
         "narrative": "it is <private>sesame</private>"},
    ]  # fmt: skip
    found = await brought(memory, [json.dumps(line).encode() for line in lines])
    assert found.added == {"sessions": 1, "events": 1, "observations": 1}
    assert not found.whole
    assert await where(own_url, "sesame") == set()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"{", "line 2: "),
        (b'{"kind": "session"}', "line 2: session.id: Field required"),
        (b'{"kind": "thing"}', "line 2: "),
        (b"[" * 5000, "line 2: "),
        (b'"' + b"x" * archive.MAX_LINE_BYTES, "line 2: longer than"),
        (
            b'{"kind":"event","id":"%s","session":"%s","type":"t","adapter":"a","occurred_at":"2026-01-01T00:00:00Z"}',
            "nor",
        ),
        (
            b'{"kind":"session","id":"%s","started_at":"2026-01-01T00:00:00Z","title":"\\u0000"}',
            "line 2: session.title",
        ),
        (b'{"kind":"session","id":"%s","started_at":"2026-01-01T00:00:00Z","title":"\\ud800"}', "line 2: "),
        (b'{"kind":"settings","settings":{"batch_events":"many"}}', "line 2: settings"),
        (b'{"kind":"settings","settings":{"retain_days":-1}}', "line 2: settings"),
        (b'{"kind":"muster-memory","version":1}', "line 2: another archive"),
    ],
    ids=range(11),
)
async def test_what_is_wrong_is_named_by_its_line(memory: Memory, line: bytes, why: str) -> None:
    line = line.replace(b"%s", str(new_id()).encode())
    with pytest.raises(BadArchive, match=why) as refused:
        await brought(memory, [b'{"kind":"muster-memory","version":1}', line], may_set=True)
    assert refused.value.details == {"line": 2}
    assert len(refused.value.message) < 500


async def test_a_chunk_is_stored_whole_or_not_at_all(memory: Memory) -> None:
    good = [
        json.dumps({"kind": "session", "id": str(UUID(int=n)), "started_at": "2026-01-01T00:00:00Z"}).encode()
        for n in range(archive.CHUNK_LINES + 10)
    ]
    with pytest.raises(BadArchive, match="line 511"):
        await brought(memory, [*good, b"{}"])
    assert (await memory.rows("SELECT count(*) FROM memory_sessions"))[0][0] == archive.CHUNK_LINES


def test_lines_come_in_any_pieces() -> None:
    text = codecs.BOM_UTF8 + '{"a": 1}\n\n{"b": "ü"}\r\n{"c": 3}'.encode()
    for size in (1, 3, 100):
        lines = archive.Lines()
        found: list[tuple[int, bytes]] = []
        for at in range(0, len(text), size):
            found += lines.feed(text[at : at + size])
        found += lines.end()
        assert [(number, json.loads(line)) for number, line in found] == [(1, {"a": 1}), (3, {"b": "ü"}), (4, {"c": 3})]
    with pytest.raises(BadArchive):
        list(archive.Lines().feed(b"x" * (archive.MAX_LINE_BYTES + 1)))


async def test_what_the_project_excludes_is_not_brought_in(memory: Memory) -> None:
    """Neither an event that touches it, nor what was made of one elsewhere."""
    session = await memory.session()
    for text in ("cat secrets/prod.yaml", "cat notes.txt"):
        await memory.observation(f"ran {text}", await memory.event(session, text), session=session)
    lines = await exported(memory)
    other = await Memory(memory.db, memory.workspace).begin()
    await other.rows(
        "INSERT INTO memory_settings (workspace_id, project_id, exclude_paths) VALUES (%s, %s, '{secrets/**}')",
        other.workspace, other.project,
    )  # fmt: skip
    found = await brought(other, lines)
    assert (found.added["events"], found.added["observations"], found.excluded) == (1, 1, 2)
    assert [row[0] for row in await told(other)] == ["ran cat notes.txt"]
