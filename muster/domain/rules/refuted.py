"""What an agent stated, and a person says right after that it is not so."""

from __future__ import annotations

import re
from collections.abc import Sequence

from muster.domain.memory import NewObservation
from muster.domain.rules.acts import Act, Kind
from muster.domain.rules.sentences import sentences
from muster.domain.rules.talk import is_of_agent, is_of_user
from muster.domain.rules.text import one_line

WEIGHT = 0.3
"""Of what was refuted: it is known to have been said, and is no answer."""
_STATED = frozenset({"fact", "discovery", "bugfix", "error"})
_SHORT = 600
"""Characters of a message that states one thing."""
_HEAD = 160

_REFUTES = re.compile(
    r"\W{0,4}(?:(?:no|nope|sorry|hmm+|well|but|wait|nah|nein|non|нет)\b[,.!:\s–-]{1,4}){0,3}(?:"
    r"(?:that|this|it)(?:['’]s| is) (?:(?:just|simply|absolutely|completely|plainly|also) )?(?:"
    r"not (?:(?:strictly|quite|really|at all) )?(?:true|right|correct|so|the case)|wrong|false|incorrect|untrue|"
    r"nonsense)\b|"
    r"(?:that|this|it) isn['’]t (?:(?:strictly|quite|really) )?(?:true|right|correct|so|the case)\b|"
    r"you(?:['’]re| are) (?:(?:just|simply|completely) )?(?:wrong|mistaken|misinterpreting|misreading|"
    r"misunderstanding)\b|"
    r"(?:wrong|not true|incorrect|false)\W{0,3}(?:$|\s)|"
    r"das (?:stimmt (?:so )?nicht|ist (?:falsch|nicht (?:wahr|richtig)))\b|(?:c['’]est faux|ce n['’]est pas (?:vrai|"
    r"exact))\b|"
    r"eso (?:no es (?:cierto|verdad|correcto)|es falso)\b|isso não é verdade\b|non è vero\b|"
    r"это (?:не так|неправда|неверно)(?!\w)|це (?:не так|неправда)(?!\w)|違います|それは(?:違|間違)い?|"
    r"(?:这|這|那)?(?:不对|不對|不是(?:这样|這樣)|错了|錯了)|(?:그건 )?(?:틀렸|아닙니다|사실이 아))",
    re.IGNORECASE,
)
_YET = re.compile(
    r"\b(?:wrong|right|true|correct) (?:place|file|folder|branch|order|name|way|one|direction|version|indentation)\b|"
    r"\bnot (?:right|correct|so) (?:yet|to)\b|[?？]\s*$",
    re.IGNORECASE,
)
"""It is about what was done, or asks."""


def refutes(text: str) -> bool:
    """By how it begins."""
    first = next(iter(sentences(text[:1000], 1)), "")
    return _REFUTES.match(first[:_HEAD]) is not None and not _YET.search(first[:_HEAD])


def weighed(made: list[tuple[NewObservation, int]], acts: Sequence[Act]) -> list[tuple[NewObservation, int]]:
    """With less weight for what was refuted. Of a long message nobody knows which of it is meant."""
    by = _refuted(acts)
    return [(_lowered(one, by[place]), place) if place in by else (one, place) for one, place in made] if by else made


def _refuted(acts: Sequence[Act]) -> dict[int, str]:
    """Where it was stated, with what was said to it."""
    found: dict[int, str] = {}
    stated = -1
    for place, act in enumerate(acts):
        if act.kind not in (Kind.MESSAGE, Kind.PROMPT):
            if act.kind is not Kind.NOTHING:
                stated = -1
        elif is_of_user(act):
            if stated >= 0 and refutes(act.text):
                found[stated] = act.text
            stated = -1
        else:
            stated = place if is_of_agent(act) and len(act.text) <= _SHORT else -1
    return found


def _lowered(one: NewObservation, said: str) -> NewObservation:
    if one.type not in _STATED or one.importance <= WEIGHT:
        return one
    return one.model_copy(update={"importance": WEIGHT, "facts": [*one.facts, f"Refuted: {one_line(said, 200)}"]})
