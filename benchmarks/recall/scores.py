"""What a ranking is worth: how much of the evidence stands among the first, and how soon any of it comes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from benchmarks.recall.material import KINDS
from benchmarks.recall.questions import Question


class Score(NamedTuple):
    recall_5: float
    recall_10: float
    mrr: float

    @property
    def mean(self) -> float:
        return sum(self) / len(self)


Ranking = Sequence[tuple[str, ...]]
"""Best first: the turns that each was made of."""


def of(ranking: Ranking, evidence: Sequence[str]) -> Score:
    """What is not in the ranking at all counts as nothing."""
    ranks = []
    for turn in evidence:
        place = next((rank for rank, made_of in enumerate(ranking, 1) if turn in made_of), None)
        if place is not None:
            ranks.append(place)
    return Score(
        sum(rank <= 5 for rank in ranks) / len(evidence),
        sum(rank <= 10 for rank in ranks) / len(evidence),
        1 / min(ranks) if ranks else 0.0,
    )


def mean(scores: Iterable[Score]) -> Score:
    columns = list(zip(*scores, strict=True))
    return Score(*(sum(column) / len(column) for column in columns)) if columns else Score(0.0, 0.0, 0.0)


Table = dict[str, dict[str, Score]]
"""By kind (and "all" for all of them), by mode."""


def _order(kind: str) -> tuple[int, str]:
    return (KINDS.index(kind) if kind in KINDS else len(KINDS)), kind


def table(questions: Sequence[Question], scores: Mapping[str, Sequence[Score]]) -> Table:
    """`scores` by mode, one for each question."""
    return {
        kind: {
            mode: mean(
                score for question, score in zip(questions, given, strict=True) if kind in ("all", question.kind)
            )
            for mode, given in scores.items()
        }
        for kind in (*sorted({question.kind for question in questions}, key=_order), "all")
    }


def lost(found: Table) -> list[str]:
    """Kinds where fused is not ahead of words alone and of vectors alone: by the mean of the three figures."""
    return [
        kind
        for kind, by_mode in found.items()
        if not all(by_mode["fused"].mean > by_mode[mode].mean for mode in ("words", "vectors"))
    ]
