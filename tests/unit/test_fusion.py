"""How a ranking by words and one by meaning become one."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import pytest

from muster.domain.search import DEPTH, Hits, Kind, effort, fuse, settled

NOW = datetime(2026, 11, 20, tzinfo=UTC)
IDS = [str(UUID(int=number)) for number in range(1, 401)]


def near(similarity: Callable[[float], float] = lambda value: value, count: int = DEPTH) -> Hits:
    """The first is nearest; how many there are does not move them."""
    return [(IDS[at], 1 - similarity(0.3 + 0.4 * 0.93**at)) for at in range(count)]


def order(by_words: Hits, by_meaning: Hits, worth: float = 10.0, kind: Kind = "question") -> list[int]:
    return [IDS.index(one.id) for one in fuse(by_words, by_meaning, worth, kind)]


# Of a worth of 10, a score of 15 is that of a row which is about all of it.
SURE, BY_CHANCE = 13.0, 2.5


def test_words_that_know_decide() -> None:
    assert order([(IDS[40], SURE)], near())[:2] == [40, 0]
    assert order([(IDS[200], SURE)], near())[0] == 200, "found by words alone"


def test_words_that_know_nothing_change_nothing() -> None:
    by_chance = [(IDS[at], BY_CHANCE * (1 + at / 1000)) for at in range(DEPTH - 1, -1, -1)]
    assert order(by_chance, near()) == order([], near())
    assert order([(IDS[200], BY_CHANCE)], near())[:40] == order([], near())[:40]


def test_what_one_row_holds_says_nothing_for_another() -> None:
    """A sure row does not lift those that hold a common word of the question by chance."""
    found = order([(IDS[200], SURE), *((IDS[at], BY_CHANCE) for at in range(50, 10, -1))], near())
    assert found[0] == 200
    assert found[1:41] == order([], near())[:40]


def test_among_rows_that_hold_as_much_the_nearest_is_first() -> None:
    assert order([(IDS[at], SURE) for at in (30, 5, 20)], near())[:3] == [5, 20, 30]


def test_an_identifier_is_found_by_its_words_whatever_is_near() -> None:
    assert order([(IDS[200], SURE), (IDS[50], 6.0)], near(), kind="identifier")[:2] == [200, 50]


def test_of_rows_that_hold_all_of_an_identifier_the_nearest_is_first() -> None:
    """One that says nothing else holds more of it, and is no more about it."""
    assert order([(IDS[30], 18.0), (IDS[2], 14.0), (IDS[1], 9.0)], near(), kind="identifier")[:3] == [2, 30, 1]


@pytest.mark.parametrize(
    "similarity",
    [
        pytest.param(lambda value: 0.9 + 0.05 * value, id="strangers are similar"),
        pytest.param(lambda value: 3 * value - 0.9, id="strangers are not"),
        pytest.param(lambda value: -1 + value / 1000, id="hardly apart, and below zero"),
    ],
)
def test_models_may_differ_in_what_they_find_similar(similarity: Callable[[float], float]) -> None:
    """Only how far apart things are, beside each other, counts."""
    for score in (3.0, 5.0, 5.5, 6.0, 6.5, 7.0, 9.0):
        by_words = [(IDS[25], score), (IDS[200], score)]
        assert order(by_words, near(similarity)) == order(by_words, near()), score


def test_a_model_that_squeezes_what_is_similar_changes_little() -> None:
    for squeeze in (math.tanh, math.sqrt, lambda value: value**2):
        for score, first in ((SURE, 25), (BY_CHANCE, 0)):
            assert order([(IDS[25], score)], near(squeeze))[0] == first


def test_looking_further_down_does_not_change_what_was_seen() -> None:
    by_words = [(IDS[25], SURE), (IDS[10], 6.0)]
    assert order(by_words, near(count=200))[:DEPTH] == order(by_words, near())


def test_scores_lie_between_nothing_and_one() -> None:
    for by_words in ([], [(IDS[3], 15.0)], [(IDS[390], 40.0)]):
        for by_meaning in ([], near(), near(count=300), near(count=1), near(lambda _: 0.5)):
            for kind in ("identifier", "question"):
                for one in fuse(by_words, by_meaning, 10.0, kind):  # type: ignore[arg-type]
                    assert 0 <= one.score <= 1


def test_the_index_is_looked_through_further_where_there_is_more_to_miss() -> None:
    alone = [effort(rows, rows, DEPTH) for rows in (1, 5_000, 10_000, 100_000, 1_000_000)]
    assert alone == [60, 60, 70, 100, 130]
    assert effort(10_000, 110_000, DEPTH) > 2 * effort(10_000, 10_000, DEPTH)  # others' are passed by
    assert effort(10_000, 10_000, 5 * DEPTH) == 5 * 70  # the pages behind
    assert effort(10, 10**7, 500) == 800


def test_what_was_only_looked_at_counts_less_where_something_is_asked() -> None:
    """By vectors alone, as by a few words typed, nothing but nearness counts."""
    one = fuse([], near(), 10.0, "question")[0]

    def score(kind: Kind, importance: float) -> float:
        return settled(one, kind, "Looked for the rates", importance, NOW, NOW)

    assert score("question", 0.3) == pytest.approx(0.75 * score("question", 0.31), rel=1e-3)
    assert score("keywords", 0.3) == pytest.approx(score("keywords", 0.31), rel=1e-3)


def test_a_query_that_the_model_cannot_read_is_answered_by_its_words() -> None:
    """By few of its words too, which by themselves may be there by chance."""
    by_words = [(IDS[200], 4.0), (IDS[201], 3.0), (IDS[40], 2.5)]

    def found(trust: float) -> list[int]:
        return [IDS.index(one.id) for one in fuse(by_words, near(), 10.0, "question", trust=trust)]

    assert found(1.0)[0] == 0
    assert sorted(found(0.1)[:3]) == [40, 200, 201]
    assert found(0.1)[3:43] == [*range(40)], "what is near comes after them, in its order"
