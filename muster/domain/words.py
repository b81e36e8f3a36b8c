"""What words a text is found by: the same way for what is remembered and for what is asked.

A text is cut into *tokens*; each gives one or more *terms*:

* a word gives its stem;
* an identifier, path, version or code gives itself whole, and its parts (`api/user_store.py`: itself, `user_store.py`,
  `api`, `user`, `store`, `py`);
* a digest in hexadecimal gives also its first seven digits;
* scripts that do not part words (Han, Kana, Hangul, Thai …) give pairs of neighbouring characters.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from muster.domain.stems import CALENDAR, QUESTION_WORDS, STOP_WORDS, guess_language, stem

MAX_TERMS = 4_000
"""Of one observation. One of the usual size has a hundred; what a log of 80,000 letters has beyond is not found."""

K1, B, USUAL_LENGTH = 1.2, 0.5, 40.0
"""BM25: how fast repetition stops to count, how much length does, and what length is neither short nor long. The last
is set and not counted, so that a row's weights do not change with the rows beside it."""
_LONGEST, _NAMES_LONGEST = 4.0, 1.5
"""Usual lengths: what is longer takes no more from what its words count, and less from identifiers, which nobody drops
by the way."""

MAX_TOKEN = 200
"""Characters."""

SPACE = 1_000_000_000
"""Dimensions of a sparsevec."""

DOCUMENT = ""
"""The term that every observation holds: how many hold it is how many there are."""

_TITLE, _SUBTITLE, _FACT, _CONCEPT, _FILE = 2.5, 1.5, 1.2, 1.5, 0.8
_SEGMENT, _PART, _NAME = 0.8, 0.6, 0.3  # of an identifier, beside the whole
_NAMED = 1.5
"""Of a query's word that is written as a name: who names something means that, and an encoder knows few names."""
_CAPITAL = re.compile(r"(?<![\w@#./\\-])[A-ZÀ-ÖØ-ÞА-ЯΑ-Ω][^\W\d_]{2,}")
_BEGUN = re.compile(r"(?:\A|[?!:…]|(?<![A-Z])(?<![A-Z][a-z])(?<![A-Z][a-z][a-z])\.)\s*\Z")
"""What stands before the first word of a sentence; not `Mrs.`"""

# Written without spaces between words.
DENSE = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3"
    "\uf900-\ufaff\U00020000-\U000323af"
)
_DENSE_START = re.compile(f"[{DENSE}]")
_TOKEN = re.compile(
    rf"[{DENSE}]+"
    rf"|[^\W{DENSE}]+(?:(?:[.:/\\@\-+#'’&=~]|::|->)[^\W{DENSE}]+)*(?:\+\+|#)?",
)
_JOINTS = re.compile(r"[^\w]+|_+")
_SEGMENTS = re.compile(r"[/:@=&~#\\]+|->")
_CAMEL = re.compile(r"[A-ZÀ-Þ]+(?=[A-ZÀ-Þ][a-zß-ÿ])|[A-ZÀ-Þ]?[a-zß-ÿ]+|[A-ZÀ-Þ]+|\d+(?:\.\d+)*|[^\W\d_A-Za-zÀ-ÿ]+")
_HYPHENATED = re.compile(r"[^\W\d_]+(?:[-'’][^\W\d_]+)+")
_HEX = re.compile(r"(?=.*(?:\d[a-f]+\d|[a-f]\d+[a-f]))[0-9a-f]{7,64}")
"""A digest, or the beginning of one: nobody writes more of a commit than tells it from others."""
_VERSION = re.compile(r"(\d+(?:\.\d+)+)[-+_]?[a-z]")
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af]")


class Indexed(NamedTuple):
    words: list[int]
    """Of project and term: a list of places that hold one is that project's alone."""
    weights: dict[int, float]
    """What each term counts here: BM25 without the rarity."""
    terms: list[str]


class Wanted(NamedTuple):
    """A word of a query."""

    text: str
    terms: tuple[str, ...]
    """Any of these is it. The first is the likeliest."""
    weight: float
    exact: bool
    """An identifier, a number, a pair of characters: not a word that has forms."""


@lru_cache(maxsize=50_000)
def _hash(term: str) -> int:
    return int.from_bytes(hashlib.blake2b(term.encode("utf-8", "surrogatepass"), digest_size=8).digest())


@lru_cache(maxsize=1000)
def _of_project(project_id: UUID) -> int:
    return int.from_bytes(hashlib.blake2b(project_id.bytes, digest_size=8).digest())


def word(project_id: UUID, term: str) -> int:
    """Signed, as a bigint is."""
    value = _hash(term) ^ _of_project(project_id)
    return value - (1 << 64) if value >> 63 else value


def dimension(term: str) -> int:
    """Of a sparsevec: 1 and up."""
    return _hash(term) % SPACE + 1


def file_term(path: str) -> str:
    """What a file is filtered by. A leading space: no text gives such a term."""
    return f" f:{_clean_path(path)}"


def _relative_term(path: str) -> str:
    """Of a whole path that is not told from the root."""
    return f" r:{_clean_path(path)}"


_FROM_ROOT = re.compile(r"\s*(?:[/\\~]|[A-Za-z]:[/\\])")
_MOST_PARTS = 10


def file_terms(path: str) -> list[str]:
    """What touched the file holds any of these: its path, or its last parts; and where all of the path is asked for,
    the rest of it from a folder on the way. Not its name alone, which files of other folders have."""
    parts = _clean_path(path).split("/")
    from_here = ["/".join(parts[-count:]) for count in range(2, min(len(parts), _MOST_PARTS))]
    return [file_term(path), *(map(_relative_term, from_here) if _FROM_ROOT.match(path) else ())]


def concept_term(concept: str) -> str:
    return f" c:{_fold(concept)}"


PLACES = (" s:", " k:", " a:")
"""How the terms of a session, a task and an agent begin."""


def place_terms(
    kind: str | None, session_id: UUID | None = None, task_id: UUID | None = None, agent_id: UUID | None = None
) -> list[str]:
    """What an observation is filtered by, beside its files and concepts."""
    terms = [f" t:{kind.casefold()}"] if kind is not None else []
    terms += [f" s:{session_id}"] if session_id else []
    terms += [f" k:{task_id}"] if task_id else []
    return [*terms, f" a:{agent_id}"] if agent_id else terms


def near_terms(kind: str, marks: str, terms: Iterable[str]) -> list[str]:
    """Texts that are nearly the same share one of these, others hardly ever: the least hashes of each of four classes
    of their words. Those that differ in their marks (domain/marks.py) share none."""
    classes: list[list[int]] = [[], [], [], []]
    for term in terms:
        if term and not term.startswith(" "):
            value = _hash(term)
            classes[value & 3].append(value >> 2)
    return [f" n:{kind}:{marks}:{at}:{sorted(found)[:2]}" for at, found in enumerate(classes) if found]


def spelled(text: str) -> list[tuple[str, str]]:
    """Its tokens, folded, and what each is: `dense` (of a script that does not part words), a `word`, or a `name`."""
    return [_spelled(token) for token in _tokens(text)]


@lru_cache(maxsize=20_000)
def _spelled(token: str) -> tuple[str, str]:
    return _fold(token), "dense" if _is_dense(token) else "word" if _is_plain(token) else "name"


def _clean_path(path: str) -> str:
    return unicodedata.normalize("NFC", path).replace("\\", "/").strip().strip("/").removeprefix("./")


def index(
    project_id: UUID,
    title: str,
    subtitle: str | None = None,
    narrative: str | None = None,
    facts: Sequence[str] = (),
    concepts: Sequence[str] = (),
    files: Sequence[str] = (),
    *,
    language: str | None = None,
) -> Indexed:
    """What stands first is kept where there is more than fits: titles, facts and concepts before long narratives."""
    fields = [(title, _TITLE), (subtitle or "", _SUBTITLE), *((fact, _FACT) for fact in facts)]
    fields += [(concept, _CONCEPT) for concept in concepts] + [(path, _FILE) for path in files]
    fields.append((narrative or "", 1.0))
    tokens = [(_tokens(text), weight) for text, weight in fields if text]
    if language not in STOP_WORDS:
        language = guess_language([_fold(token) for found, _ in tokens for token in found])
    # Concepts and whole paths are filters: they always have room.
    counts: dict[str, float] = {DOCUMENT: 0.0}
    counts |= dict.fromkeys([concept_term(concept) for concept in concepts], 0.0)
    counts |= dict.fromkeys([term for path in files for term in _endings(path)], 0.0)
    length = 0
    single: dict[str, float] = {}
    names: set[str] = set()
    for found, weight in tokens:
        length += len(found)
        for token in found:
            if not _is_plain(token) and not _is_dense(token):
                names.add(_whole(token))
            for term, part in _terms(token, language):
                if term in counts:
                    counts[term] += part * weight
                elif len(counts) < MAX_TERMS:
                    counts[term] = part * weight
            if _HAN.match(token):
                for character in token:
                    single[character] = single.get(character, 0.0) + weight
    for character, count in single.items():  # a query of one character finds these, if there was room
        if len(counts) >= MAX_TERMS:
            break
        counts.setdefault(character, count)
    norm, of_names = (K1 * (1 - B + B * min(length / USUAL_LENGTH, most)) for most in (_LONGEST, _NAMES_LONGEST))
    weights = {
        dimension(term): round(count * (K1 + 1) / (count + (of_names if term in names else norm)), 4)
        for term, count in counts.items()
        if count > 0
    }
    return Indexed([word(project_id, term) for term in counts], weights, list(counts))


def _endings(path: str) -> list[str]:
    """A path can be asked for by its last parts."""
    parts = _clean_path(path).split("/")
    found = [file_term("/".join(parts[-count:])) for count in range(1, min(len(parts), 5) + 1)] + [file_term(path)]
    return found if _FROM_ROOT.match(path) else [*found, _relative_term(path)]


def wanted(query: str) -> list[Wanted]:
    """The words of a query, each once. Small words are left out, unless there is nothing else."""
    tokens = _tokens(query)
    language = guess_language([_fold(token) for token in tokens])
    stops = STOP_WORDS["en"] | STOP_WORDS[language] | QUESTION_WORDS
    asked: dict[str, Wanted] = {}
    names = _names(query) if not query.islower() else frozenset[str]()
    for token in tokens:
        if _is_dense(token):
            pairs = [term for term, _ in _pairs(token)]
            for pair in pairs:
                asked.setdefault(pair, Wanted(pair, (pair,), 1.0 / max(1.0, len(pairs) ** 0.25), True))
            continue
        folded = _fold(token)
        if _HEX.fullmatch(folded):
            asked.setdefault(folded, Wanted(folded, (folded, *_beginnings(folded)), 1.0, True))
        elif not _is_plain(token):
            # Of words that are joined, each is one; of a name, the whole is.
            words = _HYPHENATED.fullmatch(token) is not None and token[1:].islower()
            for at, (term, weight) in enumerate(_terms(token, language)):
                if not words:
                    asked.setdefault(term, Wanted(term, (term,), weight, at == 0))
                elif term not in stops:
                    asked.setdefault(term, Wanted(term, (term,), 1.0 if term in _pieces(token) else _NAME, False))
        elif folded not in stops and (len(folded) > 1 or token.isupper()):
            forms = tuple(dict.fromkeys([stem(folded, language), stem(folded), *_elsewhere(folded), *_umlauts(token)]))
            asked.setdefault(forms[0], Wanted(folded, forms, _NAMED if token in names else 1.0, folded.isdigit()))
    return list(asked.values())


def without(query: str, gone: frozenset[str]) -> str:
    """A query without some of the words that are `wanted` of it."""
    bare = {_owned(word) for word in gone}
    return _TOKEN.sub(lambda found: "" if _owned(_fold(found[0])) in bare else found[0], query) if gone else query


def _owned(word: str) -> str:
    return word.removesuffix("'s").removesuffix("’s")


def _names(query: str) -> set[str]:
    """Words that are written as names are."""
    return {
        word[0]
        for word in _CAPITAL.finditer(query)
        if (word[0].isupper() or not _BEGUN.search(query[max(0, word.start() - 8) : word.start()]))
        and _fold(word[0]) not in CALENDAR
    }


def _beginnings(digest: str) -> list[str]:
    return [digest[:count] for count in (12, 10, 8, 7) if count < len(digest)]


_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})


@lru_cache(maxsize=5_000)
def _umlauts(token: str) -> tuple[str, ...]:
    """Schröder is Schroeder to whoever has no ö, and the other way round."""
    low = token.lower()
    written = low.translate(_UMLAUTS)
    if written == low:
        written = re.sub(r"(?<![aeq])([aou])e", r"\1", low)
    return (stem(_fold(written), "de"), stem(_fold(written))) if written != low and len(low) >= 5 else ()


@lru_cache(maxsize=5_000)
def _elsewhere(folded: str) -> tuple[str, ...]:
    """Its stems in other languages. One word does not tell its language; what has no document falls away."""
    if not folded.isalpha() or len(folded) < 5:
        return ()
    return tuple(stem(folded, language) for language in STOP_WORDS if language != "en")


def _tokens(text: str) -> list[str]:
    found = _TOKEN.findall(text if text.isascii() else unicodedata.normalize("NFKC", text))
    # What is longer is data, not a name; text without spaces is as long as it is.
    return [token if len(token) <= MAX_TOKEN or _is_dense(token) else token[:MAX_TOKEN] for token in found]


def _is_dense(token: str) -> bool:
    return _DENSE_START.match(token) is not None


@lru_cache(maxsize=20_000)
def _is_plain(token: str) -> bool:
    """A word, and no identifier: letters alone, an apostrophe among them perhaps, no hump."""
    bare = token.replace("'", "").replace("’", "")
    if bare.isdigit():
        return True
    one_case = bare[1:].islower() or bare.isupper() or (bare[:-1].isupper() and bare[-1] == "s")
    return bare.isalpha() and (one_case or len(bare) == 1 or not bare.isascii())


@lru_cache(maxsize=50_000)
def _fold(text: str) -> str:
    """Lower case, and without accents where they are marks on a letter rather than a letter of their own."""
    folded = text.casefold()
    if folded.isascii():
        return folded
    plain = []
    for character in unicodedata.normalize("NFKC", folded):
        if character < "\u0530":  # Latin, Greek, Cyrillic
            character = "".join(c for c in unicodedata.normalize("NFD", character) if not unicodedata.combining(c))
        plain.append(character)
    return "".join(plain)


def _pairs(token: str) -> list[tuple[str, float]]:
    if len(token) == 1:
        return [(token, 1.0)]
    return [(token[at : at + 2], 1.0) for at in range(len(token) - 1)]


@lru_cache(maxsize=50_000)
def _terms(token: str, language: str) -> tuple[tuple[str, float], ...]:
    """With how much each counts. What is more than a word comes whole first."""
    if _is_dense(token):
        return tuple(_pairs(token))
    if _is_plain(token):
        folded = _fold(token)
        if folded in STOP_WORDS["en"] or folded in STOP_WORDS[language] or (len(folded) == 1 and not token.isupper()):
            return ()
        return ((stem(folded, language)[:64], 1.0),)
    whole = _whole(token)
    found = {whole: 1.0} if len(whole) <= 200 else {}
    if _HEX.fullmatch(whole):
        found |= dict.fromkeys(_beginnings(whole), 1.0)
    for segment in _SEGMENTS.split(whole):  # a file without its folders or line, a host without its port
        if segment != whole and not segment.isalpha() and 1 < len(segment) <= 100:
            found.setdefault(segment, _SEGMENT)
    if version := _VERSION.match(whole):  # 2.13.0-rc1 is one of 2.13.0
        found.setdefault(version[1], _SEGMENT)
    for piece in _pieces(token):
        found.setdefault(piece, _PART)
    for name in _joined(whole):
        found.setdefault(name, _NAME)
    return tuple(found.items())


def _whole(token: str) -> str:
    folded = _fold(token).replace("\\", "/").strip("_") or token
    for ending in ("'s", "’s"):
        folded = folded.removesuffix(ending)
    if re.match(r"v\d", folded):  # v1.2 and 1.2 are the same version
        folded = folded[1:]
    return folded


def _joined(whole: str) -> Iterable[str]:
    """check_out, check-out and checkOut are one name."""
    for name in re.split(r"[^\w-]+", whole):
        joined = name.replace("_", "").replace("-", "")
        if 4 <= len(joined) <= 64 and not joined.isdigit():
            yield stem(joined)


def _pieces(token: str) -> Iterable[str]:
    for joint in _JOINTS.split(token):
        if not joint:
            continue
        humps = _CAMEL.findall(joint)
        if len(humps) > 1:
            yield _fold(joint)[:64]
        for hump in humps:
            piece = _fold(hump)
            if piece.isdigit():
                if len(piece) > 1:
                    yield piece[:64]
            elif len(piece) > 1 and piece not in STOP_WORDS["en"]:
                yield stem(piece)[:64]


def correctable(term: str) -> bool:
    """Whether another spelling may have been meant: a word of letters, long enough to be told from others."""
    return 4 <= len(term) <= 32 and term.isalpha() and not _is_dense(term)
