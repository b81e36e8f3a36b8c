"""What may have been meant by a word that nothing holds: what is spelt nearly so, or begins so."""

from __future__ import annotations

import asyncio
from uuid import UUID

from muster.domain import words
from muster.domain.search import total
from muster.domain.words import Wanted
from muster.storage.database import Database, Who, workspace_of
from muster.storage.places import Place, counted

_LONGEST_MISSPELT = 20
"""Letters. Of each there are 50 words that one mistake leads to."""


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
    found = await asyncio.gather(*(_alike(db, who, want, place) for want in unknown))
    corrections: dict[str, list[str]] = {}
    more: list[Wanted] = []
    for want, alike in zip(unknown, found, strict=True):
        for term, apart, held in alike:
            corrections.setdefault(want.text, []).append(term)
            more.append(Wanted(want.text, (term,), want.weight * 0.7**apart, False))
            for project, documents in held.items():
                place.counts[project][term] = documents
    return more, corrections


async def _alike(db: Database, who: Who, want: Wanted, place: Place) -> list[tuple[str, int, dict[UUID, int]]]:
    """The nearest by spelling, the commoner first, each with how many mistakes lie between and where it is held."""
    term = want.terms[0]
    rows = await db.read(
        who,
        "SELECT term, project_id, documents FROM memory_alike(%s, %s::uuid[], %s)",
        (workspace_of(who), list(place.counts), term),
    )
    held: dict[str, dict[UUID, int]] = {}
    for other, project, documents in rows:
        held.setdefault(other, {})[project] = documents
    most = 1 if len(term) < 6 else 2
    apart = {other: 1 if other.startswith(term) else words.distance(term, other, most) for other in held}
    if min(apart.values(), default=2) > 1 and want.text.isascii() and len(want.text) <= _LONGEST_MISSPELT:
        # A mistake may change what stem a word has. Then the stems are nothing alike.
        rows = await counted(db, who, [str(project) for project in place.counts], words.misspelt(want.text))
        for project, _, _, other, documents, _ in rows:
            if other is not None:
                held.setdefault(other, {})[project] = documents
                apart[other] = 1
    near = [other for other in held if apart[other] <= most]
    near.sort(key=lambda other: (apart[other], -sum(held[other].values()), other))
    if near:  # two mistakes are not supposed where one explains it
        near = [other for other in near if apart[other] == apart[near[0]]]
    return [(other, apart[other], held[other]) for other in near[:3]]
