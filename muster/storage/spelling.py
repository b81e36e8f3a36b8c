"""What may have been meant by a word that nothing holds: what is spelt nearly so, or begins so."""

from __future__ import annotations

import asyncio
from uuid import UUID

from muster.domain import words
from muster.domain.search import total
from muster.domain.spelling import forms, nearest, restored
from muster.domain.words import Wanted
from muster.storage.database import Database, Who, workspace_of
from muster.storage.places import Place


async def corrected(
    db: Database, who: Who, wanted: list[Wanted], place: Place
) -> tuple[list[Wanted], dict[str, list[str]]]:
    """What may have been meant by words that nothing holds: they may be misspelt, or the beginning of others."""
    unknown = [
        want
        for want in wanted
        if words.correctable(want.text) and not any(total(place.counts, term) for term in want.terms)
    ][:4]
    if not unknown or not any(place.counts.values()):
        return [], {}
    found = await asyncio.gather(*(_alike(db, who, place, want) for want in unknown))
    corrections: dict[str, list[str]] = {}
    more: list[Wanted] = []
    for want, alike in zip(unknown, found, strict=True):
        for term, apart, held in alike:
            corrections.setdefault(want.text, []).append(term)
            more.append(Wanted(want.text, (term,), want.weight * 0.7**apart, False))
            for project, documents in held.items():
                place.counts[project][term] = documents
    return more, corrections


async def _alike(db: Database, who: Who, place: Place, want: Wanted) -> list[tuple[str, int, dict[UUID, int]]]:
    """The nearest by spelling, the commoner first, each with how many mistakes lie between and where it is held."""
    term, written, right = want.terms[0], {*want.terms, *forms(want.text)}, restored(want.text)
    rows = await db.read(
        who,
        "SELECT term, project_id, documents FROM memory_alike(%s, %s::uuid[], %s, %s::text[], %s::text[])",
        (workspace_of(who), list(place.counts), term, sorted(written), sorted(right)),
    )
    held: dict[str, dict[UUID, int]] = {}
    for other, project, documents in rows:
        held.setdefault(other, {})[project] = documents
    near = nearest(term, written, right, held)
    commonest = sorted(near, key=lambda other: (-sum(held[other].values()), other))
    return [(other, near[other], held[other]) for other in commonest[:3]]
