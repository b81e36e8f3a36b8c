"""Where a search looks: the projects that a tenant reaches, and how many observations of each hold a word."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from muster.domain import words
from muster.domain.errors import UnknownReference
from muster.domain.words import Wanted
from muster.storage.database import Database, Who


class Place(NamedTuple):
    """Where is searched: projects, and how many observations of each hold the terms in question."""

    counts: dict[UUID, dict[str, int]]
    model: str | None
    """Whose vectors a project's are, where that is settled for it."""
    vectors: int
    """Of everybody, about."""


async def place_of(
    db: Database, who: Who, projects: Sequence[str] | None, wanted: Sequence[Wanted], filters: list[list[str]]
) -> Place:
    terms = {words.DOCUMENT, *(term for want in wanted for term in want.terms), *(t for one in filters for t in one)}
    refs = list(projects) if projects is not None else None
    rows = await counted(db, who, refs, terms)
    counts: dict[UUID, dict[str, int]] = {}
    names: set[str] = set()
    for project, slug, _, term, documents, _ in rows:
        held = counts.setdefault(project, {})
        names |= {slug, str(project)}
        if term is not None:
            held[term] = documents
    for ref in refs or ():
        if ref.lower() not in names and ref not in names:
            raise UnknownReference(f"there is no project {ref}")
    if refs is None and len(counts) > 1:  # a project that remembers nothing cannot answer
        counts = {project: held for project, held in counts.items() if held} or counts
    models = {row[2] for row in rows}
    return Place(counts, models.pop() if len(models) == 1 else None, max(0, int(rows[0][5])) if rows else 0)


async def counted(db: Database, who: Who, refs: list[str] | None, terms: Iterable[str]) -> list[tuple[Any, ...]]:
    return await db.read_prepared(
        who,
        "SELECT p.project_id, p.slug, p.model, p.term, p.documents, p.vectors "
        "FROM enter(%s) w, memory_place(w, %s::text[], %s::uuid[], %s::text[]) p",
        (refs, array(_ids(refs)), sorted(terms)),
    )


def _ids(refs: Sequence[str] | None) -> list[UUID]:
    found = []
    for ref in refs or ():
        try:
            found.append(UUID(ref))
        except ValueError:
            continue
    return found


def array(plain: Iterable[int | str | UUID]) -> str:
    """As Postgres writes it: psycopg would look at each to find out what it is."""
    return f"{{{','.join(map(str, plain))}}}"
