"""What may have been meant by a word that nothing holds: what is spelt nearly so, or begins so."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from muster.domain import words
from muster.domain.search import total
from muster.domain.spelling import forms, nearest, restored
from muster.domain.words import Wanted
from muster.storage.database import Database, Who
from muster.storage.places import Place, array

_SHORT, _DOUBT = 4, 0.4
"""So short a word has neighbours by chance ("sent" and "seat"): where others of the query are right, it may be, too."""


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
    corrections: dict[str, list[str]] = {}
    more: list[Wanted] = []
    held_beside = any(total(place.counts, term) for want in wanted for term in want.terms)
    for want, alike in zip(unknown, await _alike(db, who, place, unknown), strict=True):
        for term, apart, held in alike:
            corrections.setdefault(want.text, []).append(term)
            by_chance = held_beside and len(want.text) <= _SHORT and not term.startswith(want.text)
            more.append(Wanted(want.text, (term,), want.weight * 0.7**apart * (_DOUBT if by_chance else 1.0), False))
            for project, documents in held.items():
                place.counts[project][term] = documents
    return more, corrections


async def _alike(
    db: Database, who: Who, place: Place, unknown: list[Wanted]
) -> list[list[tuple[str, int, dict[UUID, int]]]]:
    """For each the nearest by spelling, the commoner first, with how many mistakes lie between and where it is held."""
    asked = [(want.terms[0], {*want.terms, *forms(want.text)}, restored(want.text)) for want in unknown]
    rows = await db.read_prepared(
        who,
        "SELECT q.place, a.term, a.project_id, a.documents FROM enter(%s) w, "
        "unnest(%s::text[], %s::text[], %s::text[]) WITH ORDINALITY q (term, forms, rights, place), "
        "memory_alike(w, %s::uuid[], q.term, q.forms::text[], q.rights::text[]) a",
        (
            [term for term, _, _ in asked], [_quoted(written) for _, written, _ in asked],
            [_quoted(right) for _, _, right in asked], array(place.counts),
        ),
    )  # fmt: skip
    held: list[dict[str, dict[UUID, int]]] = [{} for _ in unknown]
    for number, other, project, documents in rows:
        held[number - 1].setdefault(other, {})[project] = documents
    found = []
    for (term, written, right), where in zip(asked, held, strict=True):
        near = nearest(term, written, right, where)
        commonest = sorted(near, key=lambda other: (-sum(where[other].values()), other))
        found.append([(other, near[other], where[other]) for other in commonest[:3]])
    return found


def _quoted(terms: Iterable[str]) -> str:
    """As an array, one of them `null` perhaps. They are letters only."""
    return array(f'"{term}"' for term in terms)
