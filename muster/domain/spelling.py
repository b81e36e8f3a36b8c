"""Words that may have been meant by others.

A mistake may change what stem a word has: of `deploymnet` no ending is taken, and of `schedler` none since it seems too
short. So a word is compared with its endings put right, and without them, too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from muster.domain.stems import IRREGULAR, RELATED, SUFFIXES, stem

_ENDINGS = frozenset(
    "ability able ably age ages al ally ance ances ancies ancy ant ants ate ated ates ating ation ational ations ative "  # noqa: SIM905
    "ator ators ed edly ement ements ence ences encies ency ens ent ents er ers es ful fully ible ibly ic ical ically "
    "ics ied ies ing ingly ings ion ions isation ise ised iser ises ising ism ities ity ive ively iveness ization ize "
    "ized izer izes izing less ly ment ments ness or ors ously ous s tion tions".split()
)
_SHORTEST = 3
"""Letters of what is left without an ending. Shorter, it is like too many others; of so few, the ending is as long."""


def _without_one(text: str) -> set[str]:
    return {text[:at] + text[at + 1 :] for at in range(len(text))}


def _shortened(texts: Iterable[str]) -> dict[str, list[str]]:
    """They, by themselves and by what they are without one of their letters."""
    found: dict[str, list[str]] = {}
    for text in sorted(texts):
        for short in {text} | _without_one(text):
            found.setdefault(short, []).append(text)
    return found


def _mistaken(text: str, shortened: dict[str, list[str]]) -> set[str]:
    """What may have been meant by `text`, if it is a mistake."""
    return {
        other
        for short in {text} | _without_one(text)
        for other in shortened.get(short, ())
        if distance(text, other, 1) == 1
    }


_RIGHT_ENDINGS = _shortened(_ENDINGS)
_EXCEPTIONS = _shortened(form for form in (*IRREGULAR, *RELATED) if len(form) > _SHORTEST)
"""Words and stems that have nothing in common with their stems: `stolen`, `synchron`."""
_ELSEWHERE = _shortened({ending for endings in SUFFIXES.values() for ending in endings if len(ending) > _SHORTEST})
_LONGEST = max(map(len, (*_ENDINGS, *(ending for endings in SUFFIXES.values() for ending in endings)))) + 1


def forms(word: str) -> set[str]:
    """`word` as it is written, and without each of its endings."""
    ends = range(max(_SHORTEST, len(word) - _LONGEST), len(word))
    return {word, *(word[:end] for end in ends if word[end:] in _ENDINGS and (end > _SHORTEST or len(word) >= 2 * end))}


def restored(word: str) -> set[str]:
    """Stems of `word` with one mistake put right: one in its ending, in whatever language, or in an exception."""
    found = {other for form in forms(word) for other in _mistaken(form, _EXCEPTIONS)}
    for start in range(max(2, len(word) - _LONGEST), len(word)):
        found |= {word[:start] + ending for ending in _mistaken(word[start:], _RIGHT_ENDINGS)}
    right = {stem(other) for other in found}
    starts = range(max(_SHORTEST + 1, len(word) - _LONGEST), len(word))
    return right | {word[:start] for start in starts if _mistaken(word[start:], _ELSEWHERE)}


def nearest(term: str, written: set[str], right: set[str], others: Collection[str]) -> dict[str, int]:
    """Those of `others` that are nearest to a word, by its stem, forms and what it is `restored` to, and how many
    mistakes lie between: the fewest there are, at most two. What it is the beginning of is as near as one mistake."""
    all_forms = {term, *written}
    short = all_forms.union(*map(_without_one, all_forms))
    near = {
        other: 1
        for other in others
        if other in right
        or other.startswith(term)
        or other in short
        or (not short.isdisjoint(_without_one(other)) and any(distance(one, other, 1) == 1 for one in all_forms))
    }
    if near or len(term) < 6:
        return near
    return {other: 2 for other in others if distance(term, other, 2) == 2}


def distance(one: str, other: str, most: int = 2) -> int:
    """How many letters were left out, added, mistaken or swapped; `most` + 1 where it is more."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        older, before, row = before, row, [i]
        for j, b in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
    return row[-1]
