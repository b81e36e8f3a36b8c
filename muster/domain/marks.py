"""What two texts must agree in to be the same memory, however alike they are otherwise: numbers, names of things and
paths, in the order in which they come, and what is said not to be.

Words are weighed when near duplicates are looked for, and a port, a version or a `not` in a long text weighs nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from muster.domain import words
from muster.domain.stems import STOP_WORDS

_NO, _NUMBERS = (
    frozenset(text.split())
    for text in (
        "no not never none neither nor without cannot cant kein keine keinen keiner keines nicht nie ohne ne pas "
        "jamais sans aucun sin nunca ningun ninguna nao sem nem non senza mai не нет без никогда",
        "zero one two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty hundred "
        "thousand half twice eins zwei drei vier funf sechs sieben acht neun zehn hundert tausend deux trois "
        "quatre cinq sept huit neuf dix cent mille dos tres cuatro cinco seis siete ocho nueve diez cien mil",
    )
)
_DENSE = re.compile(
    "[不没沒無无未非勿別别零〇一二三四五六七八九十百千万萬亿億两兩]|ない|なく|なかっ|ませ|않|못|없|아니|안|ไม่"
)
"""The same where words are not parted."""


def of(texts: Iterable[str | None], files: Iterable[str]) -> str:
    """In short. Each counts once, where it first comes: said again, it is no other."""
    found: dict[str, None] = {}
    for text in texts:
        no = False
        for token, kind in words.spelled(text or ""):
            if kind == "dense":
                found |= dict.fromkeys(_DENSE.findall(token))
            elif token in _NO or token.endswith(("n't", "n’t")):
                no = True
            elif kind == "name" or token in _NUMBERS or token.isdigit() or (no and token not in STOP_WORDS["en"]):
                found[f"not {token}" if no else token] = None
                no = False
        if no:
            found["not"] = None
    text = "\n".join([*found, *sorted(files)])
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).hexdigest()
