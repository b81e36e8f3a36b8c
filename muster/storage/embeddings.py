"""Vectors of observations: which are missing, where they are put, and a project's move to another model.

All of it goes through the functions of 0013_vectors.sql. `default` is always the instance's model, which is what a
project has that names no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple
from uuid import UUID

from muster.domain.memory import JobKind, NewObservation, job_id
from muster.storage.database import Database, Who, connect, workspace_of

FIRST = UUID(int=0)
TAKEN_SECONDS = 120.0
"""For which what was taken is nobody else's. What a dead worker took waits for so long."""
REFUSED_SECONDS = 600.0
"""Until a text that was refused is tried again, twice as long each time."""
_TIMES = 20
"""How often a project may come back to the same model by jobs of a row."""


class Text(NamedTuple):
    """What an observation says, to be embedded."""

    id: UUID
    content: str
    content_hash: str


class Taken(NamedTuple):
    texts: list[Text]
    model: str
    taken: int
    """As many, but for those whose text had a vector already: 0 when nothing waits."""
    last: UUID | None = None


class Switched(NamedTuple):
    switched: bool
    wanted: bool
    """False: another model was asked for since, or none."""
    missing: int


class Errand(NamedTuple):
    """A project that needs something."""

    workspace_id: UUID
    project_id: UUID
    needs: Literal["embed", "reindex", "prune"]
    model: str | None
    """Whose vectors it has, where it is not what it should have."""


async def models(db: Database, who: Who, project_id: UUID, default: str) -> tuple[str, str | None]:
    """The one whose vectors are searched, and the one that is to follow it."""
    rows = await db.read(
        who, "SELECT model, next_model FROM vectors_model(%s, %s, %s)", (workspace_of(who), project_id, default)
    )
    return rows[0]


async def take(
    db: Database, workspace_id: UUID, project_id: UUID, default: str, *, limit: int = 64, seconds: float = TAKEN_SECONDS
) -> Taken:
    """The next that wait, for whoever asks alone."""
    found = await db.move(
        "SELECT vectors_take(%s, %s, %s, %s, %s)", (workspace_id, project_id, default, limit, seconds)
    )
    return Taken(_texts(found), found["model"], found["taken"])


async def missing(
    db: Database,
    workspace_id: UUID,
    project_id: UUID,
    model: str,
    default: str,
    *,
    after: UUID = FIRST,
    limit: int = 64,
) -> Taken:
    """Observations without a vector of this model, by id."""
    found = await db.move(
        "SELECT vectors_missing(%s, %s, %s, %s, %s, %s)", (workspace_id, project_id, model, default, after, limit)
    )
    return Taken(_texts(found), model, found["taken"], UUID(found["last"]) if found["last"] else None)


def _texts(found: dict[str, Any]) -> list[Text]:
    return [
        Text(UUID(row["id"]), NewObservation.model_construct(**row).content, row["content_hash"])
        for row in found["texts"]
    ]


async def put(
    db: Database,
    workspace_id: UUID,
    project_id: UUID,
    model: str,
    default: str,
    texts: Sequence[Text],
    vectors: Sequence[Sequence[float]],
) -> int:
    """How many were stored: not those whose text has changed or gone since, nor any of a model nobody wants now."""
    found = await db.move(
        "SELECT vectors_put(%s, %s, %s, %s, %s, %s, %s)",
        (
            workspace_id, project_id, model, default, [text.id for text in texts],
            [text.content_hash for text in texts], [literal(vector) for vector in vectors],
        ),
    )  # fmt: skip
    return int(found["stored"])


def literal(vector: Sequence[float]) -> str:
    """As PostgreSQL reads a halfvec. Half precision has three digits and a bit."""
    return f"[{','.join([f'{x:.5g}' for x in vector])}]"


async def put_back(
    db: Database, workspace_id: UUID, project_id: UUID, ids: Sequence[UUID], seconds: float, error: str | None = None
) -> None:
    """Taken, and not embedded: somebody's again after so long. `error`: why, where it is known."""
    await db.query(
        workspace_id,
        "UPDATE memory_vectors_due SET not_before = clock_timestamp() + make_interval(secs => %s), "
        "  error = coalesce(%s, error) "
        "WHERE workspace_id = %s AND project_id = %s AND observation_id = ANY (%s)",
        (seconds, error[:500].replace("\0", "") if error else None, workspace_id, project_id, list(ids)),
    )


async def refuse(db: Database, workspace_id: UUID, project_id: UUID, observation_id: UUID, error: str) -> None:
    """Its text was refused: it waits, longer each time, and says why."""
    await db.query(
        workspace_id,
        "UPDATE memory_vectors_due SET attempts = attempts + 1, error = %s, "
        "  not_before = clock_timestamp() "
        "    + least(interval '1 day', make_interval(secs => %s) * 2 ^ least(attempts, 10)) "
        "WHERE workspace_id = %s AND project_id = %s AND observation_id = %s",
        (error[:500].replace("\0", ""), REFUSED_SECONDS, workspace_id, project_id, observation_id),
    )


async def waiting(db: Database, who: Who, project_id: UUID) -> tuple[int, float | None]:
    """How many wait for a vector, and in how many seconds the first of them may have one."""
    rows = await db.read(
        who,
        "SELECT count(*), CASE WHEN count(*) > 0 "
        "  THEN greatest(0, extract(epoch FROM min(not_before) - clock_timestamp()))::float8 END "
        "FROM memory_vectors_due WHERE workspace_id = %s AND project_id = %s",
        (workspace_of(who), project_id),
    )
    return rows[0]


async def switch(
    db: Database, workspace_id: UUID, project_id: UUID, model: str, default: str, refused: Sequence[UUID]
) -> Switched:
    """From now on the project is searched by this model, if all of it has its vectors."""
    return Switched(
        **await db.move(
            "SELECT vectors_switch(%s, %s, %s, %s, %s)", (workspace_id, project_id, model, default, list(refused))
        )
    )


async def prune(db: Database, workspace_id: UUID, project_id: UUID, default: str, *, limit: int = 5_000) -> int:
    """Some of the vectors that no search will ask for; how many went."""
    gone: Any = await db.move("SELECT vectors_prune(%s, %s, %s, %s)", (workspace_id, project_id, default, limit))
    return int(gone)


async def reindex(
    db: Database, who: Who, project_id: UUID, model: str, default: str, *, request_id: str | None = None
) -> str | None:
    """Ask for it; the job that does it. None: the model is what the project has, and what was under way has ended."""
    workspace_id = workspace_of(who)
    # The first time its source is the model's name; a completed job is history, so another time has a number.
    for start in range(1, 10_000, _TIMES):
        sources = [model if n == 1 else f"{model}#{n}" for n in range(start, start + _TIMES)]
        jobs = [job_id(JobKind.REINDEX, workspace_id, project_id, "model", source) for source in sources]
        rows = await db.query(
            who,
            "SELECT memory_reindex(%s, %s, %s, %s, %s, %s, %s)",
            (workspace_id, project_id, model, default, jobs, sources, request_id),
        )
        found: str | None = rows[0][0]
        if found != "again":
            return found
    raise RuntimeError(f"project {project_id} was reindexed to {model} ten thousand times")


_PERSISTENT = 300
"""Attempts; with the longest wait between two, that is three days."""


async def persist(db: Database, workspace_id: UUID, job: str) -> None:
    """Let it be tried for as long as its provider may be away."""
    await db.query(
        workspace_id,
        "UPDATE memory_jobs SET max_attempts = %s WHERE workspace_id = %s AND id = %s AND max_attempts < %s",
        (_PERSISTENT, workspace_id, job, _PERSISTENT),
    )


def model_of(source: str) -> str:
    """The model that a job's source stands for."""
    name, hash_sign, number = source.rpartition("#")
    return name if hash_sign and number.isdigit() else source


async def job_model(db: Database, workspace_id: UUID, job: str) -> str | None:
    rows = await db.read(
        workspace_id, "SELECT source_id FROM memory_jobs WHERE workspace_id = %s AND id = %s", (workspace_id, job)
    )
    return model_of(rows[0][0]) if rows else None


async def want(db: Database, workspace_id: UUID, project_id: UUID, model: str, default: str) -> bool:
    """Whether the project is to have this model, or has it already. A job that was queued again after it was given up
    wants it anew, where nothing else is wanted."""
    current, following = await models(db, workspace_id, project_id, default)
    if model in (current, following) or following is not None:
        return model in (current, following)
    await db.query(
        workspace_id,
        "INSERT INTO memory_settings (workspace_id, project_id, model, next_model) VALUES (%s, %s, %s, %s) "
        "ON CONFLICT (workspace_id, project_id) DO UPDATE SET model = excluded.model, "
        "  next_model = excluded.next_model, version = memory_settings.version + 1, updated_at = now() "
        "WHERE memory_settings.next_model IS NULL",
        (workspace_id, project_id, current, model),
    )
    return (await models(db, workspace_id, project_id, default))[1] == model


async def unwant(db: Database, workspace_id: UUID, project_id: UUID, model: str) -> None:
    """Given up: it stays with what it has."""
    await db.query(
        workspace_id,
        "UPDATE memory_settings SET next_model = NULL, version = version + 1, updated_at = now() "
        "WHERE workspace_id = %s AND project_id = %s AND next_model = %s",
        (workspace_id, project_id, model),
    )


async def unwant_failed(db: Database, workspace_id: UUID, project_id: UUID, job: str) -> None:
    """Given up, if this job has failed for good."""
    await db.query(
        workspace_id,
        "UPDATE memory_settings s SET next_model = NULL, version = s.version + 1, updated_at = now() "
        "FROM memory_jobs j WHERE s.workspace_id = %s AND s.project_id = %s AND j.workspace_id = s.workspace_id "
        "AND j.id = %s AND j.status = 'failed' AND s.next_model = regexp_replace(j.source_id, '#[0-9]+$', '')",
        (workspace_id, project_id, job),
    )


async def note(db: Database, workspace_id: UUID, job: str, text: str) -> bool:
    """How far it is; whether it is still to be done."""
    rows = await db.query(
        workspace_id,
        "UPDATE memory_jobs SET note = %s, updated_at = clock_timestamp() "
        "WHERE workspace_id = %s AND id = %s AND status = 'processing' RETURNING true",
        (text, workspace_id, job),
    )
    return bool(rows)


async def progress(db: Database, who: Who, project_id: UUID, default: str) -> dict[str, Any]:
    """How many observations there are, and how many have vectors of which model."""
    rows = await db.read(
        who,
        "SELECT jsonb_build_object('project_id', a.p, 'model', m.model, 'next_model', m.next_model, "
        "  'observations', (SELECT count(*) FROM observations o WHERE o.workspace_id = a.w AND o.project_id = a.p), "
        "  'vectors', (SELECT count(*) FROM memory_embeddings e "
        "     WHERE e.workspace_id = a.w AND e.project_id = a.p AND e.model = m.model), "
        "  'next_vectors', (SELECT count(*) FROM memory_embeddings e "
        "     WHERE e.workspace_id = a.w AND e.project_id = a.p AND e.model = m.next_model), "
        "  'waiting', d.waiting, 'refused', d.refused, 'error', d.error, "
        "  'job', (SELECT jsonb_build_object('id', j.id, 'status', j.status, 'note', j.note, 'error', j.error, "
        "       'attempts', j.attempts, 'created_at', j.created_at, 'finished_at', j.finished_at) FROM memory_jobs j "
        "     WHERE j.workspace_id = a.w AND j.project_id = a.p AND j.kind = 'reindex' "
        "     ORDER BY j.finished_at IS NULL DESC, j.updated_at DESC, j.id LIMIT 1)) "
        "FROM (SELECT %s::uuid AS w, %s::uuid AS p, %s::text AS d) a, vectors_model(a.w, a.p, a.d) m, "
        "  LATERAL (SELECT count(*) AS waiting, count(*) FILTER (WHERE attempts > 0) AS refused, max(error) AS error "
        "    FROM memory_vectors_due WHERE workspace_id = a.w AND project_id = a.p) d",
        (workspace_of(who), project_id, default),
    )
    found: dict[str, Any] = rows[0][0]
    return found


async def are_there(url: str, model: str) -> bool:
    """Whether anybody has vectors of this model."""
    async with await connect(url) as connection:
        await connection.execute("SET ROLE muster_app")
        row = await (await connection.execute("SELECT chores_vectors_of(%s)", (model,))).fetchone()
    return bool(row and row[0])


async def errands(db: Database, default: str, *, limit: int = 200) -> list[Errand]:
    """Projects of any workspace that need something of this."""
    rows = await db.across(
        "SELECT workspace_id, project_id, needs, model FROM chores_vectors(%s, %s)", (default, limit)
    )
    return [Errand(*row) for row in rows]
