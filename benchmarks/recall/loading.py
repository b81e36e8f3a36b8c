"""A real memory that was told the set: PostgreSQL in a throw-away home, and the vectors of the embedder."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from benchmarks.recall.questions import Question, Turn
from muster.domain.ids import DEFAULT_WORKSPACE, derived_id
from muster.domain.memory import (
    RULES,
    Event,
    NewEvent,
    NewObservation,
    NewSession,
    Source,
    content_hash,
    observation_id,
)
from muster.domain.rules.observing import observe
from muster.domain.rules.summary import summarise
from muster.domain.search import Query
from muster.models import embedder
from muster.services.child import Child
from muster.services.home import Home
from muster.services.postgres import Postgres
from muster.storage import agent_events, embeddings, migrations, projects, search, sessions
from muster.storage.database import Database
from muster.storage.observations import as_row

Row = dict[str, Any]

MODES = ("words", "vectors", "fused")
DEPTH = 50
"""How far down an answer is looked for."""
_TITLE = 120
_BATCH = 64


class Memory:
    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="muster-recall-"))
        self._projects: dict[str, UUID] = {}
        self._turns: dict[UUID, tuple[str, ...]] = {}
        """What an observation was made of."""
        self._encode = embedder.load()
        self._vectors: dict[str, list[float]] = {}
        self._child: Child | None = None
        self._db: Database | None = None

    async def __aenter__(self) -> Memory:
        home = Home(self._folder / "home")
        home.create()
        variables = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        self._postgres = Postgres(home, variables)
        try:
            self._child = Child(await self._postgres.prepare())
            await self._child.start()
            owner = self._postgres.url(database="postgres")
            async with await psycopg.AsyncConnection.connect(owner, autocommit=True) as connection:
                await connection.execute("CREATE DATABASE recall")
            url = self._postgres.url(database="recall")
            await migrations.migrate(url)
            self._db = Database(url, size=4)
            await self._db.open()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    @property
    def _database(self) -> Database:
        assert self._db is not None
        return self._db

    async def _close(self) -> None:
        if self._db:
            await self._db.close()
        if self._child:
            await self._child.stop()
        self._postgres.clean()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def tell(self, turns: Sequence[Turn], *, as_events: bool) -> int:
        """How many observations that made."""
        for slug, of_project in groupby(turns, key=lambda turn: turn.project):
            project = self._projects[slug] = _id(slug)
            await projects.create(self._database, DEFAULT_WORKSPACE, project, slug=slug, name=slug, description=None)
            for session, said in groupby(of_project, key=lambda turn: turn.session):
                make = self._by_rules if as_events else self._one_each
                await self._put(project, await make(slug, session, list(said)))
            while await self._database.query(
                DEFAULT_WORKSPACE,
                "SELECT 1 WHERE memory_fold(%s, %s, 100000, true) > 0",
                (DEFAULT_WORKSPACE, project),
            ):
                pass
            await self._embed(project)
        await self._sources()
        return len(self._turns)

    async def _one_each(self, slug: str, session: str, said: list[Turn]) -> list[Row]:
        rows = []
        for turn in said:
            head = turn.said
            if len(head) > _TITLE:
                head = head[:_TITLE].rpartition(" ")[0] or head[:_TITLE]
            rest = turn.said[len(head) :].strip()
            made = NewObservation(title=head, narrative=rest or None, occurred_at=turn.at)
            rows.append(as_row(DEFAULT_WORKSPACE, self._projects[slug], _id(turn.id), made))
            self._turns[_id(turn.id)] = (turn.id,)
        return rows

    async def _by_rules(self, slug: str, session: str, said: list[Turn]) -> list[Row]:
        """Through the door that agents' events come in by, and the generator that is there without a model."""
        begun, _ = await sessions.start(
            self._database, DEFAULT_WORKSPACE, NewSession(project=slug, external_id=session, started_at=said[0].at)
        )
        place = UUID(begun["id"])
        sent = [
            NewEvent(
                project=slug, session=place, type=_type(turn), source=Source(adapter="recall", event_id=turn.id),
                occurred_at=turn.at, payload=_payload(turn),
            )
            for turn in said
        ]  # fmt: skip
        recorded = await agent_events.record(self._database, DEFAULT_WORKSPACE, sent, batch=True)
        events = [
            Event(
                id=one.id, session_id=place, type=event.type, adapter="recall", source_id=event.source.event_id,
                occurred_at=event.occurred_at, payload=event.payload,
            )
            for one, event in zip(recorded, sent, strict=True)
            if one.id
        ]  # fmt: skip
        job = next(one.job["id"] for one in recorded if one.job)
        made = observe(events).observations
        told = summarise(None, events, made).observations
        return [
            as_row(
                DEFAULT_WORKSPACE, self._projects[slug], observation_id(job, number, one.content_hash), one,
                session_id=place, job_id=job, generator=RULES, summary=number >= len(made),
            )
            for number, one in enumerate([*made, *told])
        ]  # fmt: skip

    async def _put(self, project: UUID, rows: list[Row]) -> None:
        await self._database.query(
            DEFAULT_WORKSPACE, "SELECT observation_put(%s, %s, %s)", (DEFAULT_WORKSPACE, project, Jsonb(rows))
        )

    async def _sources(self) -> None:
        """What became of the events: those of near duplicates are one observation's. A summary, which is of all events
        of its session, answers nothing by itself."""
        for observation, turns in await self._database.query(
            DEFAULT_WORKSPACE,
            "SELECT s.observation_id, array_agg(e.source_id) FROM observation_sources s "
            "JOIN agent_events e ON e.id = s.event_id JOIN observations o ON o.id = s.observation_id "
            "WHERE NOT o.summary GROUP BY 1",
        ):
            self._turns[observation] = tuple(turns)

    async def _embed(self, project: UUID) -> None:
        while True:
            taken = await embeddings.take(self._database, DEFAULT_WORKSPACE, project, embedder.MODEL, limit=_BATCH)
            if not taken.taken:
                return
            vectors = await asyncio.to_thread(self._encode, [text.content for text in taken.texts])
            await embeddings.put(
                self._database, DEFAULT_WORKSPACE, project, embedder.MODEL, embedder.MODEL, taken.texts, vectors
            )

    async def ask(self, question: Question, mode: str) -> list[tuple[str, ...]]:
        """The turns that each answer was made of, best first."""
        found = await search.search(
            self._database, DEFAULT_WORKSPACE, [question.project], Query(query=question.text),
            self._vector if mode != "words" else None,
            model=embedder.MODEL, limit=DEPTH, by_words=mode != "vectors",
        )  # fmt: skip
        return [self._turns.get(UUID(item["id"]), ()) for item in found.items]

    async def _vector(self, text: str, model: str | None) -> list[float]:
        if text not in self._vectors:
            self._vectors[text] = self._encode([text])[0]
        return self._vectors[text]


def _type(turn: Turn) -> str:
    return {"$": "tool_use", "agent": "message"}.get(turn.speaker, "prompt")


def _payload(turn: Turn) -> dict[str, object]:
    if turn.speaker == "$":
        command, _, output = turn.text.partition(" => ")
        return {"tool": "Bash", "input": {"command": command}, "output": output}
    return {"role": "assistant" if turn.speaker == "agent" else "user", "name": turn.speaker, "text": turn.text}


def _id(name: str) -> UUID:
    return derived_id(content_hash(f"recall/{name}"))
