"""Fourteen thousand observations, with vectors in clusters, as those of real texts are, and whose nearest are known."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
import psycopg

from muster.domain import words
from muster.domain.ids import new_id
from muster.domain.search import Query
from muster.storage import projects, search
from muster.storage.database import Database

from .conftest import make_workspace

ROWS, OTHERS, SIZE, CLUSTERS, QUESTIONS = 12_500, 1_500, 256, 120, 12
START = datetime(2026, 1, 1, tzinfo=UTC)
_TABLES = ("observations", "observation_words", "memory_embeddings", "memory_term_changes", "memory_vectors_due")


class Crowd:
    """A project of many, beside another."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.db = Database(url, size=4)
        self.project, self.other, self.sessions = new_id(), new_id(), [new_id() for _ in range(30)]
        self.tasks, self.agents = [new_id() for _ in range(10)], [new_id() for _ in range(60)]
        rng = np.random.default_rng(11)
        self.centres = rng.standard_normal((CLUSTERS, SIZE))
        self.vectors = self._around(rng, rng.integers(0, CLUSTERS, ROWS + OTHERS))
        self.questions = self._around(rng, rng.integers(0, CLUSTERS, QUESTIONS))
        self.ids = [new_id() for _ in range(ROWS + OTHERS)]
        self.place: dict[UUID, int] = {key: number for number, key in enumerate(self.ids)}

    def _around(self, rng: Any, clusters: Any) -> Any:
        found = self.centres[clusters] + 0.8 * rng.standard_normal((len(clusters), SIZE))
        return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float16).astype(np.float32)

    def terms(self, number: int) -> list[str]:
        """Where it belongs: an even number is of the one type, each third about the concept, and so on."""
        found = [words.DOCUMENT, *words.place_terms(
            "decision" if number % 2 else "bugfix", self.sessions[number % 30], self.tasks[number % 10],
            self.agents[number % 60],
        )]  # fmt: skip
        found += [words.concept_term("pooling")] if number % 3 == 0 else []
        return [*found, *([words.file_term("pool.py")] if number % 5 < 2 else [])]

    def shapes(self) -> dict[str, tuple[dict[str, Any], Any]]:
        """Filters, and which numbers pass."""
        every = np.arange(ROWS)
        middle = START + timedelta(minutes=ROWS // 2)
        late = START + timedelta(minutes=ROWS - 900)
        return {
            "project": ({}, every >= 0),
            "type": ({"type": ["decision"]}, every % 2 == 1),
            "concept": ({"concept": ["pooling"]}, every % 3 == 0),
            "file": ({"file": "pool.py"}, every % 5 < 2),
            "before": ({"before": middle}, every < ROWS // 2),
            "after": ({"after": late}, every >= ROWS - 900),
            "session": ({"session": self.sessions[7]}, every % 30 == 7),
            "task": ({"task": self.tasks[3]}, every % 10 == 3),
            "agent": ({"agent": self.agents[21]}, every % 60 == 21),
            "type, file and time": (
                {"type": ["bugfix"], "file": "pool.py", "after": late},
                (every % 2 == 0) & (every % 5 < 2) & (every >= ROWS - 900),
            ),
        }

    async def gather(self) -> Crowd:
        await self.db.open()
        self.workspace = await make_workspace(self.url)
        for project, slug in ((self.project, "crowd"), (self.other, "other")):
            await projects.create(self.db, self.workspace, project, slug=slug, name=slug, description=None)
        async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as connection:
            # COPY takes no policies: for once, the owner is above them. The index is made once all are there.
            for table in _TABLES:
                await connection.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY".encode())
            index = f"memory_embeddings_{SIZE}"
            found = await connection.execute("SELECT pg_get_indexdef(%s::regclass)", (index,))
            made_anew = (await found.fetchall())[0][0]
            await connection.execute(f"DROP INDEX {index}".encode())
            await self._copy(connection)
            await connection.execute(made_anew.encode())
            for table in _TABLES:
                await connection.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY".encode())
            await connection.execute("ANALYZE")
        for project in (self.project, self.other):
            await self.db.query(
                self.workspace, "SELECT memory_fold(%s, %s, 100000, true)", (self.workspace, project)
            )  # fmt: skip
        return self

    async def _copy(self, connection: Any) -> None:
        cursor = connection.cursor()
        rows = [
            (self.workspace, self.project if number < ROWS else self.other, key, START + timedelta(minutes=number))
            for number, key in enumerate(self.ids)
        ]
        statement = (
            "COPY observations (workspace_id, project_id, id, occurred_at, type, title, content_hash) FROM STDIN"
        )
        async with cursor.copy(statement) as copy:
            for row in rows:
                await copy.write_row((*row, "decision", "x", "h"))
        statement = (
            "COPY observation_words (workspace_id, project_id, observation_id, occurred_at, words, weights, terms) "
            "FROM STDIN"
        )
        async with cursor.copy(statement) as copy:
            for number, row in enumerate(rows):
                terms = self.terms(number)
                hashes = "{" + ",".join(str(words.word(row[1], term)) for term in terms) + "}"
                await copy.write_row((*row, hashes, f"{{}}/{words.SPACE}", terms))
        statement = (
            "COPY memory_embeddings (workspace_id, project_id, observation_id, created_at, model, content_hash, "
            "embedding) FROM STDIN (FORMAT binary)"
        )
        head = struct.pack(">hh", SIZE, 0)
        async with cursor.copy(statement) as copy:
            # As pgvector sends them: five million numbers as text take seconds to write and to read.
            copy.set_types(["uuid", "uuid", "uuid", "timestamptz", "text", "text", "bytea"])
            for row, vector in zip(rows, self.vectors.astype(">f2"), strict=True):
                await copy.write_row((*row, "m", "h", head + vector.tobytes()))

    async def recall(self, where: tuple[dict[str, Any], Any]) -> tuple[float, bool]:
        """Of the ten nearest; and whether all were compared for it."""
        filters, passes = where
        hits, exact = 0, False
        allowed = np.flatnonzero(passes)
        for question in self.questions:
            nearest = allowed[np.argsort(-(self.vectors[:ROWS][allowed] @ question), kind="stable")[:10]]
            found = await search.search(
                self.db, self.workspace, [str(self.project)], Query(query="x", **filters),
                [float(value) for value in question], model="m", by_words=False, explain=True,
            )  # fmt: skip
            assert found.explain is not None
            exact = found.explain["meaning"] == "exact"
            told = {self.place[UUID(item["id"])] for item in found.items}
            hits += len(told & set(nearest.tolist()))
        return hits / (10 * len(self.questions)), exact
