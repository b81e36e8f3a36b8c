"""Many observations at once: words as rare and as common as in real text, and vectors that lie in clusters."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
import psycopg

from muster.domain.ids import new_id
from muster.domain.memory import NewObservation
from muster.models import embedder
from muster.storage.observations import as_row

SIZE = 512
TOPICS = 400
VOCABULARY = 30_000
_SYLLABLES = [a + b for a in ("tr", "st", "pl", *"bcdfghjklmnprstvwz") for b in "aeiou"]
_KINDS = ("decision", "bugfix", "feature", "discovery", "change")
_TABLES = (
    "projects", "memory_sessions", "observations", "observation_words", "memory_embeddings", "memory_term_changes",
    "memory_vectors_due",
)  # fmt: skip
_COLUMNS = (
    "id", "session_id", "task_id", "agent_id", "type", "title", "subtitle", "narrative", "facts", "concepts",
    "files_read", "files_modified", "language", "importance", "summary", "generator", "content_hash",
)  # fmt: skip


@dataclass
class Corpus:
    """The same for the same seed."""

    seed: int = 7
    words: list[str] = field(default_factory=list)
    centres: Any = None

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.numbers = np.random.default_rng(self.seed)
        pick = self.random
        self.words = list(
            dict.fromkeys(
                "".join(pick.choice(_SYLLABLES) for _ in range(pick.choice((1, 2, 2, 3, 3, 4))))
                for _ in range(VOCABULARY * 2)
            )
        )[:VOCABULARY]
        # Zipf: the n-th word is n times rarer than the first.
        self._ranks = np.cumsum(1.0 / np.arange(1, len(self.words) + 1))
        self._ranks /= self._ranks[-1]
        self.topics = [[pick.choice(self.words[200:]) for _ in range(40)] for _ in range(TOPICS)]

    def text(self, topic: int, count: int) -> str:
        common = np.searchsorted(self._ranks, self.numbers.random(count))
        return " ".join(
            self.random.choice(self.topics[topic])
            if self.random.random() < 0.25
            else self.words[min(at, VOCABULARY - 1)]
            for at in common
        )

    def observation(self, at: datetime) -> tuple[NewObservation, int]:
        topic = self.random.randrange(TOPICS)
        name = f"src/{self.topics[topic][0]}/{self.topics[topic][self.random.randrange(1, 6)]}.py"
        made = NewObservation(
            type=self.random.choice(_KINDS),
            title=self.text(topic, 7),
            narrative=self.text(topic, self.random.randrange(20, 70)),
            facts=[self.text(topic, 10) for _ in range(self.random.randrange(0, 3))],
            concepts=[self.topics[topic][0], self.topics[topic][1]],
            files_modified=[name],
            importance=self.random.random(),
            occurred_at=at,
        )
        return made, topic

    def vectors(self, topics: list[int]) -> Any:
        """Of length 1, around what the topic's words are encoded to."""
        if self.centres is None:
            # Not at import: the embedder is heavy, and most benchmarks do without.
            self.centres = np.array(embedder.load()([" ".join(words) for words in self.topics]), dtype=np.float32)
        noise = self.numbers.standard_normal((len(topics), SIZE)).astype(np.float32) * (0.8 / SIZE**0.5)
        found = self.centres[topics] + noise
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    def question(self) -> str:
        """Four words: two of a topic, the others as they come."""
        topic = self.random.randrange(TOPICS)
        return " ".join([*self.random.sample(self.topics[topic], 2), self.text(topic, 2)])


async def load(
    owner_url: str, workspace_id: UUID, project_id: UUID, corpus: Corpus, rows: int, *, model: str, sessions: int = 0
) -> None:
    """By COPY, as the database's owner. Counted, and the index of vectors made anew."""
    start = datetime.now(UTC) - timedelta(days=90)
    known = [new_id() for _ in range(sessions)]
    async with await psycopg.AsyncConnection.connect(owner_url) as connection:
        # COPY takes no policies; in this transaction its owner is above them.
        for table in _TABLES:
            await connection.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY".encode())
        index = f"memory_embeddings_{SIZE}"
        found = await connection.execute("SELECT pg_get_indexdef(%s::regclass)", (index,))
        made_anew = (await found.fetchall())[0][0]
        await connection.execute(f"DROP INDEX {index}".encode())
        for number, session in enumerate(known):
            await connection.execute(
                "INSERT INTO memory_sessions (id, workspace_id, project_id, key) VALUES (%s, %s, %s, %s)",
                (session, workspace_id, project_id, f"s{number}"),
            )
        for first in range(0, rows, 5000):
            made, topics = [], []
            for number in range(first, min(rows, first + 5000)):
                observation, topic = corpus.observation(start + timedelta(seconds=number * 70))
                place = known[number % sessions] if sessions else None
                made.append(as_row(workspace_id, project_id, new_id(), observation, session_id=place))
                topics.append(topic)
            await _copy(connection, workspace_id, project_id, made, corpus.vectors(topics), model)
        # They have their vectors.
        await connection.execute("DELETE FROM memory_vectors_due WHERE project_id = %s", (project_id,))
        for table in _TABLES:
            await connection.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY".encode())
        await connection.execute("SET LOCAL maintenance_work_mem = '512MB'")
        await connection.execute(made_anew.encode())
        await connection.commit()
        await connection.set_autocommit(True)
        await connection.execute("SET ROLE muster_app")
        counted = "SELECT memory_fold(%s, %s, 10000, true)"
        while (await (await connection.execute(counted, (workspace_id, project_id))).fetchall())[0][0]:
            pass
        await connection.execute("RESET ROLE")
        await connection.execute("VACUUM ANALYZE observation_words")
        await connection.execute("ANALYZE")


async def _copy(
    connection: psycopg.AsyncConnection[Any],
    workspace_id: UUID,
    project_id: UUID,
    rows: list[dict[str, Any]],
    vectors: Any,
    model: str,
) -> None:
    here = (workspace_id, project_id)
    cursor = connection.cursor()
    columns = ", ".join(_COLUMNS)
    statement = f"COPY observations (workspace_id, project_id, occurred_at, {columns}) FROM STDIN"
    async with cursor.copy(statement.encode()) as copy:
        for row in rows:
            await copy.write_row((*here, row["occurred_at"], *(row[name] for name in _COLUMNS)))
    async with cursor.copy(
        "COPY observation_words (workspace_id, project_id, observation_id, words, weights, terms, occurred_at) "
        "FROM STDIN"
    ) as copy:
        for row in rows:
            await copy.write_row((*here, row["id"], row["words"], row["weights"], row["terms"], row["occurred_at"]))
    async with cursor.copy(
        "COPY memory_embeddings (workspace_id, project_id, observation_id, model, content_hash, embedding) FROM STDIN"
    ) as copy:
        for row, vector in zip(rows, vectors, strict=True):
            text = "[" + ",".join(f"{number:.4f}" for number in vector) + "]"
            await copy.write_row((*here, row["id"], model, row["content_hash"], text))
