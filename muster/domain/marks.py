"""What two texts must agree in to be the same memory, however alike they are otherwise: numbers, names of things and
paths, in the order in which they come, what is said not to be, small words that turn a statement round, the signs
of what is compared or reckoned, and all that a command showed.

Words are weighed when near duplicates are looked for, and a port, a version, a `not`, a `before` or a `<` in a long
text weighs nothing.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator

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
_TURNS = frozenset(
    token
    for token, _ in words.spelled(
        # Of two that are each other's opposite, one is enough where the other is in every text.
        "before after until till since during above below over under up down more less fewer most least out "
        "from off or some all any every each both either only just unless except instead although must may "
        "might should could optional required always sometimes often rarely first last next previous old new "
        "earlier later sooner left right top bottom min max minimum maximum higher lower larger smaller "
        "faster slower true false success failure pass fail enable disable enabled disabled allow deny "
        "allowed denied accept reject accepted rejected add remove added removed open close opened closed "
        "start stop started stopped increase decrease increased decreased internal external public private "
        "read write inside outside against within beyond http https vor nach bis seit ab über unter mehr "
        "weniger aus oder alle einige jeder nur außer statt muss darf soll kann immer manchmal erst letzte "
        "alt neu ohne avant après depuis jusque sur sous plus moins ou tous quelques seulement sauf doit peut "
        "toujours antes después desde hasta sobre bajo más menos o todos algunos solo salvo debe puede "
        "siempre"
    )
)
_DENSE = re.compile(
    "[不没沒無无未非勿別别零〇一二三四五六七八九十百千万萬亿億两兩前后後上下内外]|ない|なく|なかっ|ませ|않|못|없|아니|안|ไม่"
)
"""The same where words are not parted."""
_SPELT = str.maketrans({
    "→": "->", "⇒": "=>", "←": "<-", "≥": ">=", "≤": "<=", "≠": "!=", "×": "*", "÷": "/", "−": "-", "＝": "=",
    "＞": ">", "＜": "<", "％": "%", "？": "? ",
})  # fmt: skip
_MAY_BE_SIGN = re.compile("[<>=!&|+*/%^:$€£¥‰°?-]")
_SIGN = re.compile(
    r"""
      ===?|!==?|<=>|<=|>=|=>|->|<-(?!\d)|&&|\|\||<<|>>|[-+*/%&|^]=|:=
      # Of one character: between two that it holds together, and not where a word or a list is begun.
    | (?<=[\w)\]"'`])[<>=+^&|*](?=[\w(\["'`$.-])
    | (?<=[\w)\]"'`][ ])[<>=+^&|*](?=[ ][\w(\["'`$.-])
    | (?<=[\w)\]"'`][ ])(?:\*\*|[/%])(?=[ ][\w(\["'`$.])
    | (?<=\w)\*\*(?=\w)
    | (?<![\w).\]-])[-+](?=\.?\d)
    | (?:(?<=\d)|(?<=\d[ ]))[%€£¥‰°](?!\w)
    | [$€£¥](?=\d)
    | (?<![\w!<>=\[])!(?=[\w(])
    | (?<=/)\*{1,2}
    | (?<=\w)\?(?!\S)  # asks, and does not say
    """,
    re.VERBOSE,
)
_GROUP = re.compile(r"\([^()\n]{1,80}\)")
_BEFORE, _AFTER = re.compile(r"\w{1,24}\W{0,3}$"), re.compile(r"\W{0,3}\w{1,24}")
_NEAR = 28
_RAN = re.compile(r"`[^\n]{1,500}`(?=\n| failed\b)")
"""How a text begins that tells what a command showed: it is mostly the command, and what came out decides."""


def of(texts: Iterable[str | None], files: Iterable[str]) -> str:
    """In short. Each counts once, where it first comes: said again, it is no other."""
    found: dict[str, None] = {}
    for text in texts:
        found |= dict.fromkeys(_signs(text or ""))
        if text and (ran := _RAN.match(text)):
            found |= dict.fromkeys(f"shown {token}" for token, _ in words.spelled(text[ran.end() :]))
        no = False
        for token, kind in words.spelled(text or ""):
            if kind == "dense":
                found |= dict.fromkeys(_DENSE.findall(token))
            elif token in _NO or token.endswith(("n't", "n’t")):
                no = True
            elif (
                kind == "name"
                or token in _NUMBERS
                or token in _TURNS
                or token.isdigit()
                or (no and token not in STOP_WORDS["en"])
            ):
                found[f"not {token}" if no else token] = None
                no = False
        if no:
            found["not"] = None
    text = "\n".join([*found, *sorted(files)])
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).hexdigest()


def _signs(text: str) -> Iterator[str]:
    """Each with what it stands between, and the brackets around it: `a < b` is not `b < a`, nor is `(a + b) * c`
    `a + (b * c)`."""
    text = text.translate(_SPELT)
    signs: list[tuple[int, int]] = []
    for place in _MAY_BE_SIGN.finditer(text):
        if (not signs or place.start() >= signs[-1][1]) and (sign := _SIGN.match(text, place.start())):
            signs.append(sign.span())
    for begin, end in signs:
        before = _BEFORE.search(text[max(0, begin - _NEAR) : begin])
        after = _AFTER.match(text[end : end + _NEAR])
        yield "".join(
            char
            for part in (before[0] if before else "", text[begin:end], after[0] if after else "")
            for char in part.lower()
            if char.isalnum() or char in "<>=!+-*/%^&|$€£¥‰°:?"
        )
    for group in _GROUP.finditer(text) if signs else ():
        first = bisect_right(signs, group.span())
        if first < len(signs) and signs[first][1] < group.end():
            yield "".join(group[0].lower().split())
