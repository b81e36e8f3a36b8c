from __future__ import annotations

import random
import re
import string
from pathlib import Path

import pytest

from muster.domain.spelling import distance, forms, nearest, restored
from muster.domain.stems import stem

TEXTS = [Path("README.md"), *sorted(Path("docs").glob("*.md"))]
WORDS = sorted({word for text in TEXTS for word in re.findall(r"[a-z]{5,}", text.read_text().lower())})
STEMS = sorted({stem(word) for word in WORDS})


def meant(word: str) -> dict[str, int]:
    return nearest(stem(word), forms(word), restored(word), STEMS)


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [("pool", "pool", 0), ("pool", "poll", 1), ("pool", "polo", 1), ("licence", "licnece", 1), ("pool", "pole", 2),
     ("connection", "conection", 1), ("postgres", "postgresql", 2), ("abc", "xyz", 3), ("a", "abcd", 3)],
)  # fmt: skip
def test_mistakes_between_words(one: str, other: str, apart: int) -> None:
    assert distance(one, other) == distance(other, one) == apart


@pytest.mark.parametrize(
    ("typed", "word"),
    [("deploymnet", "deployment"), ("configuraton", "configuration"), ("permisions", "permissions"),  # the ending
     ("schedler", "scheduler"), ("mesages", "messages"), ("opdner", "opener"),  # what is left seems too short for one
     ("syncronization", "synchronization"), ("stoln", "stolen"), ("decicion", "decision"),  # exceptions
     ("settingsq", "settings"), ("ebmedding", "embedding")],
)  # fmt: skip
def test_a_mistake_changes_the_stem(typed: str, word: str) -> None:
    assert nearest(stem(typed), forms(typed), restored(typed), [stem(word), "other"]) == {stem(word): 1}


def mistaken(word: str, chance: random.Random) -> str:
    at = chance.randrange(len(word))
    letter = chance.choice(string.ascii_lowercase)
    return chance.choice(
        [
            word[:at] + word[at + 1 :],
            word[:at] + letter + word[at:],
            word[:at] + letter + word[at + 1 :],
            word[:at] + word[at : at + 2][::-1] + word[at + 2 :],
        ]
    )


def test_nearly_every_single_mistake_is_found_and_hardly_anything_else() -> None:
    # Each word's mistake is its own: another word in a document changes that of no other.
    typed = [(mistaken(word, random.Random(word)), word) for word in WORDS]
    unknown = [(typo, word) for typo, word in typed if stem(typo) not in STEMS]
    answers = [(meant(typo), stem(word)) for typo, word in unknown]
    assert sum(word in found for found, word in answers) > 0.97 * len(answers)
    assert sum(len(found) for found, _ in answers) < 1.5 * len(answers)


def test_what_is_the_beginning_of_others_stands_for_them() -> None:
    assert nearest("authenticationmid", set(), set(), ["authenticationmiddlewar", "authent"]) == {
        "authenticationmiddlewar": 1
    }


def test_two_mistakes_are_supposed_only_where_one_explains_nothing() -> None:
    assert nearest("conection", {"conection"}, set(), ["connection", "collection"]) == {"connection": 1}
    assert nearest("conectoin", {"conectoin"}, set(), ["connection", "collection"]) == {"connection": 2}
    assert nearest("poool", {"poool"}, set(), ["poll"]) == {}, "too short for two"
