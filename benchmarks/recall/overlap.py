"""Which words of a question stand in what answers it, in one form or another."""

from __future__ import annotations

import re

# What a question is made of whatever it is about.
STOPWORDS = frozenset(
    """a about across after all almost also am an and any are aren as at away be because been before being below
    between both but by can cannot could did didn do does doesn doing done don down during each either else ever every
    few for from further get gets go goes had has hasn have haven having he her here hers him his how i if in instead
    into is isn it its itself just last least let like made make many may me more most much must my never no nobody
    none nor not nothing now nowadays of off often on once one only onto or other others our ours out over own per
    please rather said same say says she should shouldn since so some somebody someone something still such than that
    the their them then there these they thing things this those though through till to too under until up upon us
    very via was wasn way we well were weren what when where whether which while who whom whose why will with without
    won would yes yet you your s t re ve ll d m""".split()  # noqa: SIM905
)
_WORD = re.compile(r"[^\W_]+")


def content_words(text: str) -> set[str]:
    return {word for word in _WORD.findall(text.lower()) if word not in STOPWORDS and len(word) > 1}


def root(word: str) -> str:
    """Generous on purpose: words that begin alike count as forms of one."""
    for ending in ("ingly", "ing", "edly", "ed", "ies", "es", "s", "ly", "er", "e", "y"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word.removesuffix(ending)
            break
    return word.rstrip("eiy").replace("c", "s")[:6]


def shared(question: str, answer: str) -> set[str]:
    """Content words of the question that the answer holds, in this or another form."""
    held = {root(word) for word in content_words(answer)}
    return {word for word in content_words(question) if root(word) in held}
