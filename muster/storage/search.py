"""Search: by words and by meaning at once, as a tenant. The statements are doors of 0014_search.sql and
0018_search_speed.sql, which answer ids.

What is slow elsewhere is bounded here: how many rows are compared by words (domain/search.py chooses which), and how
many by their vectors (all of them where they are few, else as the index finds them).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from muster.domain import words
from muster.domain.search import (
    DEPTH,
    EXACT,
    MAX_DEPTH,
    Kind,
    Mode,
    Plan,
    Query,
    Ranked,
    common,
    compares_all,
    effort,
    for_meaning,
    fuse,
    kind_of,
    known,
    plan,
    repeats,
    says_little,
    settled,
    total,
    worths,
)
from muster.domain.words import Wanted
from muster.storage.database import Database, Halfvec, Who, workspace_of
from muster.storage.pages import BadCursor
from muster.storage.places import Place, array, place_of
from muster.storage.spelling import corrected

Row = dict[str, Any]
Vector = Sequence[float]
Embed = Callable[[str, str | None], Awaitable[Vector | None]]
"""Of a text, by the model named or the instance's own; None when there are no vectors to be had in time. How long it is
says how well the model could read the text, and 1 that nothing is known of that."""
Hits = list[tuple[str, float]]
_T = TypeVar("_T")


_Reach = tuple[UUID | str, ...]
_common: OrderedDict[_Reach, frozenset[str]] = OrderedDict()
"""Words that were found to be common, by where was searched: the next query with one is embedded without it at once."""
_MOST_COMMON, _MOST_PLACES = 100, 1_000


class Found(NamedTuple):
    items: list[Row]
    mode: Mode
    next_cursor: str | None
    explain: Row | None


class Told(NamedTuple):
    """What words found, and what is known of them by then: the vectors are still compared."""

    hits: Hits
    wanted: list[Wanted]
    corrections: dict[str, list[str]]
    kind: Kind
    worth: float


class Near(NamedTuple):
    """What meaning found."""

    hits: Hits
    exact: bool
    """Whether all there are were compared."""
    trust: float


class Watch:
    """Milliseconds that each stage took; the embedder and Postgres work side by side."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._took: dict[str, float] = {}

    async def on(self, stage: str, work: Awaitable[_T]) -> _T:
        began = time.perf_counter()
        try:
            return await work
        finally:
            self._took[stage] = time.perf_counter() - began

    def took(self) -> dict[str, float]:
        stages = self._took | {"all": time.perf_counter() - self._began}
        return {stage: round(seconds * 1000, 2) for stage, seconds in stages.items()}


async def search(
    db: Database,
    who: Who,
    projects: Sequence[str] | None,
    query: Query,
    vector: Vector | Embed | None = None,
    *,
    model: str | None = None,
    limit: int = 10,
    cursor: str | None = None,
    explain: bool = False,
    by_words: bool = True,
) -> Found:
    """`projects` by id or slug; None: all that `who` reaches. `vector`: the query's, by `model`; or what makes one of a
    text, which is waited for beside the words."""
    watch = Watch()
    reach: _Reach = (workspace_of(who), *sorted(projects or ()))
    asked = for_meaning(query.query, _common.get(reach, frozenset()))

    def embed(text: str, of_model: str | None) -> asyncio.Future[Vector | None] | None:
        return asyncio.ensure_future(watch.on("embedding", vector(text, of_model))) if callable(vector) else None

    coming = embed(asked, None)
    try:
        await asyncio.sleep(0)  # the embedder has something to do while the words are looked at
        about = _digest(query, projects)
        given, seen = _behind(cursor, about)
        depth = min(MAX_DEPTH, given + max(DEPTH, limit + _SPARE))
        wanted = words.wanted(query.query) if by_words else []
        filters = query.filters()
        place = await watch.on("place", place_of(db, who, projects, wanted, filters))
        text = for_meaning(query.query, _seen_common(reach, wanted, place))
        other = place.model if place.model != model else None
        if coming is not None and (text != asked or other is not None):
            coming.cancel()
            coming = embed(text, other)
        chosen, told, near = await _both(
            db, who, query, place, wanted, filters, coming or vector, place.model or model, depth, watch
        )
    finally:
        if coming is not None and not coming.done():
            coming.cancel()
    # By vectors alone is by their distances alone.
    kind = told.kind if by_words else "keywords"
    most = max(limit, _LEAST) + _SPARE
    by_meaning, trust = (near.hits, near.trust) if near else ([], 0.0)
    best = fuse(told.hits, by_meaning, told.worth, kind, most=most + len(seen), trust=trust if by_words else 1.0)
    ranked = [one for one in best if _mark(one.id) not in seen][:most]
    items = await watch.on("read", _read(db, who, ranked, kind, told.wanted, limit + 1, explain))
    more = len(items) > limit and given + limit < MAX_DEPTH
    items = items[:limit]
    return Found(
        items,
        "lexical" if near is None else "fused",
        _cursor(about, given + limit, seen | {_mark(item["id"]) for item in items}) if more else None,
        _explained(told, chosen, kind, near, watch) if explain else None,
    )


def _seen_common(reach: _Reach, wanted: list[Wanted], place: Place) -> frozenset[str]:
    """What is common of this query's words. It is kept in mind."""
    found, before = common(wanted, place.counts), _common.get(reach, frozenset())
    now = (before - {want.text for want in wanted}) | found
    if now != before and len(now) <= _MOST_COMMON:
        _common[reach] = now
        if len(_common) > _MOST_PLACES:
            _common.popitem(last=False)
    return found


async def _both(
    db: Database,
    who: Who,
    query: Query,
    place: Place,
    wanted: list[Wanted],
    filters: list[list[str]],
    vector: Any,
    model: str | None,
    depth: int,
    watch: Watch,
) -> tuple[Plan, Told, Near | None]:
    """Both at once, each as soon as it can."""

    async def by_words() -> Told:
        more, corrections = await corrected(db, who, wanted, place)
        every = [*wanted, *more]
        worth = worths(every, place.counts)
        with_more = plan(every, filters, place.counts) if more else chosen
        hits = await _by_words(db, who, query, place, with_more, worth, depth)
        # A word that nothing here holds may still be right; where that is so of all of them, they are mistakes.
        held = any(total(place.counts, term) for want in wanted for term in want.terms)
        meant = [want for want in wanted if held or want.text not in corrections] + more
        if corrections:
            worth = worths(meant, place.counts)
        kind = kind_of(query.query, every)
        return Told(hits, every, corrections, kind, known(meant, worth, kind, place.counts))

    async def by_meaning() -> Near | None:
        found = await vector if isinstance(vector, Awaitable) else vector
        if found is None or model is None:
            return None
        return await watch.on("meaning", _by_meaning(db, who, query, place, chosen, found, model, depth))

    chosen = plan(wanted, filters, place.counts)
    told, near = await asyncio.gather(watch.on("words", by_words()), by_meaning())
    return chosen, told, near


async def _by_words(
    db: Database, who: Who, query: Query, place: Place, chosen: Plan, worth: dict[int, float], depth: int
) -> Hits:
    if not chosen.any and not chosen.sets:
        return []
    weights = ",".join(f"{at}:{value:.4f}" for at, value in sorted(worth.items()))
    return [
        (row[0], row[1])
        for row in await db.read_prepared(
            who,
            "SELECT m.observation_id::text, m.score FROM enter(%s) w, memory_by_words(w, %s::uuid[], %s::bigint[], "
            "%s::text[], %s::sparsevec, %s::text[], %s::timestamptz, %s::timestamptz, %s::integer, %s::integer) m",
            (
                array(place.counts), array(chosen.any), [array(one) for one in chosen.sets],
                f"{{{weights}}}/{words.SPACE}", _filters(chosen), query.after, query.before, chosen.scan, depth,
            ),
        )
        if row[1] > 0
    ]  # fmt: skip


async def _by_meaning(
    db: Database,
    who: Who,
    query: Query,
    place: Place,
    chosen: Plan,
    vector: Vector,
    model: str,
    depth: int,
) -> Near:
    rows = chosen.rows
    if rows > EXACT and (query.after or query.before):
        counted = await db.read(
            who,
            "SELECT found FROM memory_count(%s, %s::uuid[], %s::text[], %s, %s, %s)",
            (workspace_of(who), list(place.counts), _filters(chosen), query.after, query.before, EXACT + 1),
        )
        rows = min(rows, counted[0][0]) if counted[0][0] <= EXACT else rows
    exact = compares_all(rows, place.vectors, depth)
    found = await db.read_prepared(
        who,
        "SELECT m.observation_id::text, m.distance FROM enter(%s) w, memory_by_meaning(w, %s::uuid[], %s::text, "
        "%s::halfvec, %s::text[], %s::timestamptz, %s::timestamptz, %s::boolean, %s::integer, %s::integer) m",
        (
            array(place.counts), model, Halfvec(vector), _filters(chosen), query.after, query.before, exact,
            effort(rows, place.vectors, depth), depth,
        ),
    )  # fmt: skip
    return Near([(row[0], row[1]) for row in found], exact, min(1.0, math.hypot(*vector)))


def _filters(chosen: Plan) -> list[str] | None:
    return None if chosen.filters is None else [array(one) for one in chosen.filters]


_SPARE = 15
"""Read beyond those that are given: what they say may put others before them."""
_LEAST = 10
"""Who asks for fewer is given the first of these, in the same order."""
_TOLD = (
    "id", "type", "title", "subtitle", "narrative", "facts", "concepts", "files_read", "files_modified", "project_id",
    "session_id", "task_id", "agent_id", "importance", "summary", "seen", "occurred_at",
)  # fmt: skip
_TYPE, _TITLE, _NARRATIVE, _FACTS, _IMPORTANCE, _SUMMARY, _OCCURRED_AT = map(
    _TOLD.index, ("type", "title", "narrative", "facts", "importance", "summary", "occurred_at")
)


async def _read(
    db: Database, who: Who, ranked: list[Ranked], kind: Kind, wanted: Sequence[Wanted], most: int, explain: bool
) -> list[Row]:
    """What the ids stand for, as the tenant sees it, and in the order that follows from what it says."""
    if not ranked:
        return []
    rows = await db.read_prepared(
        who,
        "SELECT t.* FROM enter(%s) w, memory_told(w, %s::uuid[]) t",
        (array(one.id for one in ranked),),
    )
    known = {row[0]: row for row in rows}
    now = datetime.now(UTC)
    scored: list[tuple[float, str, Ranked]] = []
    for one in ranked:
        if (row := known.get(one.id)) is not None:
            said_as, text = row[_TYPE], row[_NARRATIVE] or row[_TITLE]
            score = settled(
                one, kind, text, row[_IMPORTANCE], row[_OCCURRED_AT], now,
                little=not row[_FACTS] and says_little(text), repeats=repeats(wanted, said_as, text),
                summary=row[_SUMMARY],
            )  # fmt: skip
            scored.append((-round(score, 9), one.id, one))
    items = []
    for under, _, one in sorted(scored)[:most]:
        item = dict(zip(_TOLD, known[one.id], strict=True))
        item["score"] = -under
        item["occurred_at"] = item["occurred_at"].isoformat()
        if explain:
            item["explain"] = {
                "words_rank": one.words_rank,
                "words_score": one.words_score,
                "meaning_rank": one.meaning_rank,
                "similarity": one.similarity,
            }
        items.append(item)
    return items


def _explained(told: Told, chosen: Plan, kind: str, near: Near | None, watch: Watch) -> Row:
    return {
        "kind": kind,
        "terms": list(dict.fromkeys(term for want in told.wanted for term in want.terms)),
        "corrections": told.corrections,
        "meaning": None if near is None else "exact" if near.exact else "index",
        "plan": {"words": chosen.why, "newest": chosen.scan, "rows": chosen.rows},
        "by_words": len(told.hits),
        "by_meaning": None if near is None else len(near.hits),
        "trust": None if near is None else round(near.trust, 2),
        "milliseconds": watch.took(),
    }


# A cursor holds what was given already: what is remembered between two pages moves nothing onto both, or onto neither.


def _mark(item: str) -> str:
    return item[-8:]


def _digest(query: Query, projects: Sequence[str] | None) -> str:
    asked = query.model_dump_json() + (json.dumps(sorted(projects)) if projects is not None else "")
    return hashlib.sha256(asked.encode()).hexdigest()[:12]


def _cursor(about: str, given: int, seen: set[str]) -> str:
    marks = bytes.fromhex("".join(sorted(seen)))
    text = json.dumps([about, given, base64.b85encode(marks).decode()])
    return base64.urlsafe_b64encode(text.encode()).decode()


def _behind(cursor: str | None, about: str) -> tuple[int, set[str]]:
    if cursor is None:
        return 0, set()
    try:
        said, given, marks = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        if said != about or not isinstance(given, int) or not 0 < given <= MAX_DEPTH:
            raise ValueError
        seen = base64.b85decode(marks).hex()
        return given, {seen[at : at + 8] for at in range(0, len(seen), 8)}
    except (ValueError, TypeError, AttributeError, OverflowError, binascii.Error, RecursionError):
        raise BadCursor("this cursor did not come from this search") from None
