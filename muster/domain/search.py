"""How a question becomes a search: which rows are looked at, what words are worth, how two rankings become one."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import combinations, islice
from typing import Annotated, Literal, NamedTuple
from uuid import UUID

from pydantic import BeforeValidator, Field

from muster.domain import words
from muster.domain.memory import Concept, FilePath
from muster.domain.tasks import Spec, Text
from muster.domain.words import Wanted

Mode = Literal["fused", "lexical"]

CANDIDATES = 2_000
"""Rows whose words are compared, about: some 3 ms."""
EXACT = 4_000
"""Rows whose vectors are always all compared: some 2 ms."""
DEPTH = 60
"""How far down either ranking counts."""
MAX_DEPTH = 500


_Some = BeforeValidator(lambda value: [value] if isinstance(value, str) else value)
"""One alone need not be a list."""


class Query(Spec):
    """What is looked for, and where."""

    query: Text = Field(min_length=1, max_length=10_000, description="Words, a question, a path, an error code.")
    session: UUID | None = Field(default=None, description="What was learned in this session.")
    task: UUID | None = None
    agent: UUID | None = None
    type: Annotated[list[Text], _Some] = Field(
        default_factory=list, max_length=10, description="Any of these.", examples=[["decision"]]
    )
    concept: Annotated[list[Concept], _Some] = Field(default_factory=list, max_length=10, description="All of these.")
    file: FilePath | None = Field(default=None, description="Touched this file: its path, or its last parts.")
    after: datetime | None = Field(default=None, description="Happened at this time or later.")
    before: datetime | None = Field(default=None, description="Happened before this time.")

    def filters(self) -> list[list[str]]:
        """Sets of terms; what is found holds all of one set. None at all: nothing is filtered."""
        fixed = words.place_terms(None, self.session, self.task, self.agent)
        fixed += [words.concept_term(concept) for concept in self.concept]
        sets = [[*fixed, term] for term in words.file_terms(self.file)] if self.file else [fixed] if fixed else []
        if not self.type:
            return sets
        return [[*words.place_terms(kind), *one] for kind in self.type for one in sets or [[]]]


def for_meaning(query: str, common: frozenset[str] = frozenset()) -> str:
    """What of a query is embedded: an encoder reads some hundred words, and the first tell what it is about. Without
    the question mark, which puts questions near other questions instead of near what answers them, and without words
    that are `common`, if there are others."""
    text = " ".join(words.without(query, common).split())[:2_000]
    return text.strip(" ?？¿!。") or (for_meaning(query) if common else text)


Kind = Literal["identifier", "keywords", "question", "other"]

_FULL = 1.5
"""What a word counts in an observation that is about it."""
_IDENTIFIER, _WORDS, _CHANCE, _SURE = 25.0, 40.0, 0.18, 0.55
"""What words count, in the unit of `_nearness`: those of an identifier, and others. Of these nothing, in a row that
holds no more than the first share of the query's worth, and all of it in one that holds the second. Chosen with both
sets of `python -m benchmarks.recall` in sight, and with half of LoCoMo's conversations."""
_WHOLE, _OFTEN = 0.9, 2.0
"""Of an identifier's worth, what a row holds that holds all of it, and what counts that it says it more often or says
little else: `wc -l conf/sweep.yaml` is not more about that file than what was found in it."""
_COMMON, _COMMON_NAME, _FEW = 0.4, 0.2, 50
"""The share of all rows that hold a word that is `common`, of those that hold a name that is, and of how many rows at
least."""
_NOWHERE = 0.25
"""Of a word's worth, where nothing holds it and few words are asked for: who types `ENISA portal login` wants what says
ENISA. Of a question in other words it counts in full, since what its few known words find is there by chance."""
_BASE = 7.0
"""The nearness of the last to what is not near at all, so that scores can be compared by their ratio."""
_REQUESTS, _SHORT, _REPEATED = frozenset({"request", "question"}), 500, 0.4
"""Types of what was asked for, the longest that is looked at, and what is left of the score of one that says nothing
but what is asked now."""
_SUMMARY = 0.5
"""Of the score of a summary, which says a little of everything: what it was made of says more."""
_ASKS = 3.0
"""How much farther from a query is what only asks, in the unit of `_nearness`: a question is like another one, and
answers none. Who types two words may look for the question itself."""
_LITTLE, _LITTLE_WORDS = 1.0, 8
"""The same of what says no more than so many words: it is near to everything. `Hm.` was nearest to many a question."""
_TRIFLE, _TRIFLING = 0.75, 0.3
"""Of the score of what is no more important than that: that something was looked at is seldom what is asked for."""
_WORD = re.compile(f"[{words.DENSE}]{{1,2}}|[^\\W{words.DENSE}]+")

_NAMES = re.compile(r"\d|_|/|[a-z][A-Z]|\w\.\w")


def kind_of(query: str, wanted: Sequence[Wanted]) -> Kind:
    if any(ord(character) > 0x2E80 for character in query):
        return "other"
    if any(want.exact and _NAMES.search(want.text) for want in wanted):
        return "identifier"
    if query.rstrip().endswith("?") or len(query.split()) > 5:
        return "question"
    return "keywords"


Counts = Mapping[UUID, Mapping[str, int]]
"""By project: how many observations hold a term."""


class Plan(NamedTuple):
    """Which rows are looked at: those that hold one of `any`, or all of one of `sets`."""

    any: list[int]
    sets: list[list[int]]
    scan: int | None
    """Only the newest of them."""
    filters: list[list[int]] | None
    rows: int
    """That the filters let through, about."""
    why: str


def total(counts: Counts, term: str) -> int:
    return sum(held.get(term, 0) for held in counts.values())


def common(wanted: Sequence[Wanted], counts: Counts) -> frozenset[str]:
    """Words that so many rows hold that they tell none from another. To an encoder a name is the most telling word of
    a question: of a talk between two people it finds whatever names one of them."""
    documents = total(counts, words.DOCUMENT)
    if documents < _FEW:
        return frozenset()
    found = frozenset(
        want.text
        for want in wanted
        if not want.exact
        and max(total(counts, term) for term in want.terms)
        >= documents * (_COMMON_NAME if want.weight > 1 else _COMMON)
    )
    return found if any(want.text not in found for want in wanted) else frozenset()


def worths(wanted: Sequence[Wanted], counts: Counts) -> dict[int, float]:
    """What each term of a query is worth by its rarity, by dimension."""
    documents = total(counts, words.DOCUMENT)
    found: dict[int, float] = {}
    for want in wanted:
        for place, term in enumerate(want.terms):
            held = total(counts, term)
            if held == 0 and place > 0:
                continue
            rarity = math.log(1 + (max(documents, held) - held + 0.5) / (held + 0.5))
            worth = want.weight * rarity * (1.0 if place == 0 else 0.8)
            at = words.dimension(term)
            found[at] = max(found.get(at, 0.0), worth)
    return found


def scope(filters: list[list[str]], counts: Counts) -> tuple[list[list[int]] | None, int]:
    """The filters as words, and about how many rows pass."""
    if not filters:
        return None, total(counts, words.DOCUMENT)
    # A project that holds none of it is left out, unless it is the only one: what is new is not counted yet.
    sets, rows = [], 0
    for project, held in counts.items():
        for terms in filters:
            least = min(held.get(term, 0) for term in terms)
            if least or len(counts) == 1:
                sets.append([words.word(project, term) for term in terms])
                rows += least
    return sets, rows


def plan(wanted: Sequence[Wanted], filters: list[list[str]], counts: Counts) -> Plan:
    allowed, rows = scope(filters, counts)
    documents = max(1, total(counts, words.DOCUMENT))
    # By how many rows hold them; a word nobody has counted yet may be new.
    known = sorted(
        ((sum(total(counts, term) for term in want.terms), _words(want.terms, counts)) for want in wanted),
        key=lambda one: one[0],
    )
    known = [(held, found) for held, found in known if found]
    everything = [word for _, found in known for word in found]
    if rows <= CANDIDATES:
        return Plan(everything, [], None, allowed, rows, "all that hold a word")
    chosen: list[int] = []
    left = CANDIDATES
    for held, found in known:
        if held > left:
            break
        chosen += found
        left -= held
    common = [(held, found) for held, found in known if found[0] not in chosen]
    sets: list[list[int]] = []
    for size in (2, 3):
        if sets or len(counts) > 1:
            break
        for group in combinations(common[:6], size):
            # Words that stand together do so more often than chance has it.
            expected = 3 * documents * math.prod(held / documents for held, _ in group)
            if expected <= left:
                sets.append([found[0] for _, found in group])
                left -= int(expected)
    if chosen or sets:
        return Plan(chosen, sets, None, allowed, rows, "rare words" if chosen else "common words together")
    if not known:
        return Plan([], [], None, allowed, rows, "no words")
    held = known[0][0]
    if held <= 3 * CANDIDATES:
        return Plan(known[0][1], [], None, allowed, rows, "its rarest word")
    # So common that the newest do: as many as are met in a walk of some thousand rows.
    return Plan(everything, [], max(200, 2 * CANDIDATES * held // documents), allowed, rows, "the newest")


def _words(terms: Iterable[str], counts: Counts) -> list[int]:
    """Of many projects, only where it is known to be: most words are in few of them."""
    few = len(counts) <= 3
    return [
        words.word(project, term)
        for place, term in enumerate(terms)
        for project, held in counts.items()
        if held.get(term) or (few and place == 0)
    ]


def compares_all(rows: int, vectors: int, depth: int) -> bool:
    """Whether comparing all rows of a scope is cheaper than following an index over everybody's vectors, which passes
    by those of others: 0.6 µs for each row, against 10 µs for each that the index finds."""
    return rows <= EXACT or 0.6 * rows <= 10 * depth * max(vectors, rows) / rows


def effort(rows: int, vectors: int, depth: int) -> int:
    """How many candidates an index over all these vectors keeps in view (`hnsw.ef_search`). The same recall needs
    more the more vectors there are, some 30 for each power of ten; and the smaller a scope's share of them is,
    since the index has to pass by the others."""
    every = max(vectors, rows, 1)
    for_all = max(DEPTH, 30 * math.log10(every) - 50)
    return int(min(800, for_all * depth / DEPTH * (every / max(rows, 1)) ** 0.35))


Hits = Sequence[tuple[str, float]]
"""Ids, best first. As text: they are looked up by the hundred, and Python hashes text at no cost."""


class Ranked(NamedTuple):
    id: str
    score: float
    words_rank: int | None
    words_score: float | None
    meaning_rank: int | None
    similarity: float | None
    unit: float
    """What one of `_nearness` is of a score."""


def known(wanted: Sequence[Wanted], worth: Mapping[int, float], kind: Kind, counts: Counts) -> float:
    """What all words of a query are worth together, those too that nothing holds."""
    best: dict[str, float] = {}
    for want in wanted:  # spellings of a word are one
        most = max((worth.get(words.dimension(term), 0.0) for term in want.terms), default=0.0)
        if kind == "keywords" and not any(total(counts, term) for term in want.terms):
            most *= _NOWHERE
        best[want.text] = max(best.get(want.text, 0.0), most)
    return sum(best.values())


def _nearness(by_meaning: Hits) -> dict[str, float]:
    """How much nearer each is than the last of the first, in their spread. Models differ in how similar they find what
    has nothing in common, and in how much more similar what has; this is the same for all of them."""
    near = {item: -distance for item, distance in by_meaning}
    first = [-distance for _, distance in by_meaning[:DEPTH]]
    middle = sum(first) / len(first) if first else 0.0
    spread = math.sqrt(sum((value - middle) ** 2 for value in first) / len(first)) if first else 0.0
    return {item: (value - first[-1]) / spread if spread > 1e-9 else 0.0 for item, value in near.items()}


def _told(share: float, kind: Kind, trust: float) -> float:
    """What a row's words count, by what share of the query's worth it holds: those of a small share are there by
    chance, and would only disturb; but as far as there is nothing else, they are all that is known."""
    if kind == "identifier":
        return _IDENTIFIER * min(share, _WHOLE) ** 2 + _OFTEN * max(0.0, share - _WHOLE)
    sure = min(1.0, max(0.0, share - _CHANCE) / (_SURE - _CHANCE))
    return _WORDS * share * (1 - trust + trust * sure)


def fuse(
    by_words: Hits, by_meaning: Hits, worth: float, kind: Kind, most: int | None = None, *, trust: float = 1.0
) -> list[Ranked]:
    """Best first, all of them or so many. `by_words` with scores, of a query whose words are `known`; `by_meaning` with
    distances, and how far to `trust` them: how well the query could be read.

    Nearness decides, and words as far as they know. Ranks would hide that, since the best of a hopeless list is first,
    too.
    """
    full = _FULL * worth or 1.0
    trust = trust if by_meaning else 0.0
    near = {item: trust * nearness for item, nearness in _nearness(by_meaning).items()}
    base, least = (_BASE, min(near.values())) if near else (0.0, 0.0)
    scores = {item: base + nearness for item, nearness in near.items()}
    top = 1.0
    for item, score in by_words:
        # What only words found is no nearer than the last that meaning found.
        scores[item] = scores.get(item, base + least) + _told(score / full, kind, trust)
        top = max(top, score / full)
    best = base + max(near.values(), default=0.0) + _told(top, kind, trust)
    words_rank = {item: rank for rank, (item, _) in enumerate(by_words, 1)}
    meaning_rank = {item: rank for rank, (item, _) in enumerate(by_meaning, 1)}
    told, distances = dict(by_words), dict(by_meaning)
    return [
        Ranked(
            item,
            max(-under, 0.0) / best,
            words_rank.get(item),
            told.get(item),
            meaning_rank.get(item),
            1 - distances[item] if item in distances else None,
            1 / best,
        )
        for under, item in sorted([(-score, item) for item, score in scores.items()])[:most]
    ]


def repeats(wanted: Sequence[Wanted], said_as: str, text: str) -> bool:
    """Whether it only asks for what is asked for now, as the prompt of an agent that was to find it out."""
    if said_as not in _REQUESTS or len(text) > _SHORT:
        return False
    asked = {term for want in wanted for term in want.terms}
    return all(not asked.isdisjoint(want.terms) for want in words.wanted(text))


def says_little(text: str) -> bool:
    return sum(1 for _ in islice(_WORD.finditer(text), _LITTLE_WORDS + 1)) <= _LITTLE_WORDS


def settled(
    one: Ranked,
    kind: Kind,
    text: str,
    importance: float,
    occurred_at: datetime,
    now: datetime,
    *,
    little: bool = False,
    repeats: bool = False,
    summary: bool = False,
) -> float:
    """Its score, now that it is known what it says. What is more important or newer goes before its equals, and before
    nothing else."""
    asks = kind != "keywords" and text.rstrip(" \n\"'”’»』」)").endswith(("?", "？", "؟"))
    age = (now - occurred_at).total_seconds() / 86_400
    farther = (_ASKS if asks else 0.0) + (_LITTLE if little and kind != "keywords" else 0.0)
    score = max(0.0, one.score - farther * one.unit)
    score *= (_REPEATED if repeats else 1.0) * (_SUMMARY if summary else 1.0)
    score *= _TRIFLE if importance <= _TRIFLING and kind != "keywords" else 1.0
    return score * (1 + 0.004 * importance + 0.004 * math.exp(-max(0.0, age) / 60))
