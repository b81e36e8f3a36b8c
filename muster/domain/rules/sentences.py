"""Where a sentence ends: not at an abbreviation, an ordinal, an initial or where words are left out."""

from __future__ import annotations

import re

_SENTENCE_END = re.compile(
    r"(?<=[.!?…])[\"'”’)\]]{0,2}\s+(?=[^\sa-z])|(?<=[。！？｡])|(?<=[؟।])\s+|\n\s*(?=[-*•#>\d])|\n{2,}|\n(?=[A-Z{\[<`$])|(?P<perhaps>\n)(?=\S)"
)
_WIDTH = 60
"""A line that had room for the next word was not broken for want of it."""
_WORD_CHARS = 40
"""Of what stands before an end and after it. No abbreviation is longer."""

_TITLES = frozenset(
    """
    Mr Mrs Ms Messrs Dr Prof Mt Rev Hon Gen Col Capt Lt Sgt Sen Gov Fr Hr Hrn Frl Dipl Ing Mme Mlle Sra Srta Dott Sig
    """.split()  # noqa: SIM905
)
_ALWAYS = frozenset(
    """
    e.g i.e eg viz vs cf approx incl excl esp resp z.b d.h u.a i.d.r m.e v.a o.ä zzgl bzw evtl ggf vgl bspw sog inkl
    exkl mind ca p.ex c.-à-d p.ej aprox núm nº т.е т.к г-н г-жа
    """.split()  # noqa: SIM905
)
"""Nothing ends with these."""
_BEFORE_NUMBERS = frozenset(
    """
    no nos nr nrn num fig figs abb tab eq sect ch chap kap vol pp pg pt art abs ziff rz bd ed ver vers rev rel max min
    est ext tel ln pág art cap стр гл рис
    """.split()  # noqa: SIM905
)
_DATES = frozenset("Jan Feb Mar Mär Apr Jun Jul Aug Sep Sept Oct Okt Nov Dec Dez Mon Tue Wed Thu Fri Sat Sun".split())  # noqa: SIM905
"""What a number comes after; before anything else they end a sentence."""
_MAY_END = frozenset("inc ltd co corp llc plc bros jr sr st dept a.m p.m u.s u.k ph.d b.sc m.sc s.a s.l".split())  # noqa: SIM905
"""Names and times go on behind these, or end."""
_STARTERS = frozenset(
    """
    the a an this that these those it its we i you they he she there here then now so but and or if when while after
    before since because in on at to for from with by as no not all both each every some our your their my his her
    please let do does did is are was were can could should would will what why how who which where also however
    der die das den dem ein eine wir ich sie er es du ihr dies diese dieser dieses dann jetzt aber und oder wenn weil
    da nach vor im am bei mit auf für von zu so auch nicht bitte alle le la les un une nous vous il elle on ce cette
    puis mais et si el los las una nosotros pero y
    """.split()  # noqa: SIM905
)
"""How sentences begin, and names do not."""
_CALLED_BY_A_LETTER = frozenset(
    """
    plan option vitamin type class grade variant choice part section appendix phase column team group point item case
    site zone block letter tier variante typ klasse teil gruppe anhang spalte punkt fall opción clase
    """.split()  # noqa: SIM905
)
_MONTH = re.compile(
    r"jan(?:uar|uary|vier)?\b|jänner\b|feb(?:ruar|ruary)?\b|février\b|mar(?:ch|s)\b|märz\b|apr(?:il)?\b|avril\b|ma[iyj]\b|"
    r"jun[ie]?\b|juin\b|jul[iy]?\b|juillet\b|aug(?:ust)?\b|août\b|sept?(?:ember|embre)?\b|o[ck]t(?:ober|obre)?\b|"
    r"nov(?:ember|embre)?\b|de[cz](?:ember)?\b|décembre\b",
    re.IGNORECASE,
)
_OPENING = "([{\"'“„‘«*_"
_DAY = re.compile(r"\d{1,2}\.")
_LETTER = re.compile(r"[^\W\d_]\.")
_OF_LETTERS = re.compile(r"(?:[^\W\d_]\.){1,4}[^\W\d_]")
_COUNTED = frozenset(
    """
    am im dem den der die das des vom zum zur beim bis ab seit ein eine einen einem einer jeder jede jedes jeden mein
    dein sein ihr unser und oder bzw. in ins auf nach vor mit als
    """.split()  # noqa: SIM905
)
"""What an ordinal stands behind, where it is written with a dot: "im 2. Versuch"."""


def sentences(text: str, limit: int = 400) -> list[str]:
    found: list[str] = []
    start = 0
    for cut in _SENTENCE_END.finditer(text):
        if cut["perhaps"]:
            if _is_wrapped(text, cut.start()):
                continue
        elif text[cut.start() - 1 : cut.start()] in (".", "…") and cut.group().strip(" \t\"'”’)]\n") == "":
            if _is_marker(text, cut):
                start = cut.end()
                continue
            if _goes_on(text, cut):
                continue
        if _take(found, text[start : cut.start()], limit):
            return found
        start = cut.end()
    _take(found, text[start:], limit)
    return found


def _is_wrapped(text: str, at: int) -> bool:
    """Whether a sentence goes on in the next line, which begins as no new one does."""
    line = text[text.rfind("\n", 0, at) + 1 : at].rstrip()
    rest = text[at + 1 : at + 1 + _WIDTH]
    word = rest.split(maxsplit=1)[0]
    if line.endswith((".", "!", "?")) and not line.endswith(".."):
        words = line[-2 * _WORD_CHARS :].split()
        return _is_short(words[-1][:-1].lstrip(_OPENING), words[-2] if len(words) > 1 else "", rest)
    return line.endswith((",", ":", "(", "-", "–", "—")) or len(line) + 1 + len(word) > _WIDTH


def _take(found: list[str], part: str, limit: int) -> bool:
    sentence = " ".join(part.split())
    if sentence.endswith("**") and sentence.count("**") == 1:
        # Its number stood within the stars.
        sentence = sentence[:-2]
    if any(map(str.isalnum, sentence)):
        found.append(sentence)
    return len(found) >= limit


def _is_marker(text: str, cut: re.Match[str]) -> bool:
    """The number of an item in a list."""
    return (
        re.fullmatch(r"\s*(?:#{1,6} |\*\*)?\d{1,3}\.", _line_before(text, cut.start())) is not None
        and "\n" not in cut.group()
    )


def _line_before(text: str, at: int) -> str:
    """What stands before it in its line, or the last of that."""
    return text[max(0, at - 2 * _WORD_CHARS) : at].rpartition("\n")[2]


def _goes_on(text: str, cut: re.Match[str]) -> bool:
    """Whether what looks like the end of a sentence is within one."""
    if "\n\n" in cut.group():
        return False
    rest = text[cut.end() : cut.end() + _WORD_CHARS]
    if rest[:1].islower():
        return True
    words = _line_before(text, cut.start()).split()
    last = words[-1] if words else ""
    if last in ("…", "...", "..", "[…]", "[...]", "(…)", "(...)"):
        return len(words) > 1
    if not last.endswith(".") or last.endswith(".."):
        return False
    return _is_short(last[:-1].lstrip(_OPENING), words[-2] if len(words) > 1 else "", rest)


def _is_short(word: str, before: str, rest: str) -> bool:
    """Whether a word with a dot behind it is one that is written so."""
    small, starts = word.casefold(), _first_word(rest) in _STARTERS
    if word.isdecimal():
        return _is_ordinal(word, before, rest)
    if word in _TITLES or (small in _ALWAYS and not word.isupper()):
        return True
    if small in _BEFORE_NUMBERS or word in _DATES:
        # "5 min." is a time that is over.
        return rest[:1].isdecimal() and not (small == "min" and before[-1:].isdecimal())
    if small in _MAY_END:
        return not starts
    if len(word) == 1 and word.isalpha():
        return _is_initial(word, before, rest) and not starts
    return _OF_LETTERS.fullmatch(word) is not None and not starts


def _is_initial(letter: str, before: str, rest: str) -> bool:
    if _LETTER.match(rest):
        return True
    if letter.islower():
        return letter in "pvcs" and rest[:1].isdecimal()
    # Of "plan B." and "5 V." it is the name.
    return letter.isascii() and letter != "I" and before.casefold() not in _CALLED_BY_A_LETTER and (
        not before or before[-1].isalpha() or before[-1] in ".,;:")  # fmt: skip


def _first_word(text: str) -> str:
    match = re.match(r"[^\W\d_]+", text)
    return match.group().casefold() if match else ""


def _is_ordinal(number: str, before: str, rest: str) -> bool:
    if len(number) > 2:
        return False
    if _DAY.fullmatch(before) or (before.casefold() in _COUNTED and _DAY.match(rest)):
        return rest[:1].isdecimal()
    return _MONTH.match(rest) is not None or (before.casefold() in _COUNTED and not rest[:1].isdecimal()
                                              and _first_word(rest) not in _STARTERS)  # fmt: skip
