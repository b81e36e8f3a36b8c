"""Whether what was to be done is said to be done later, with the same words."""

from __future__ import annotations

import re
from collections.abc import Iterable

SENTENCE_CHARS = 400

_ED = r"(?!(?:need|feed|seed|speed|embed|shed|exceed|proceed)\b)\w{1,28}ed\b"
_JUST = r"(?:(?:all|now|also|already|just|finally|been|successfully|fully|since|both)\s){0,3}"
_DONE = re.compile(
    rf"\b(?:i|we|['’]ve)\s{_JUST}({_ED})"
    rf"|\b(?:is|are|was|were|been|got|now|already|has|have|had|['’]s|['’]ve)\s{_JUST}({_ED}|(?:done|gone|written|sent|"
    r"built|rebuilt|run|rerun|made|taken|set|reset|put|bought|drawn|chosen|found|given|kept|split|cut|shut)\b)"
    r"|^\W{0,6}(done|finished|fixed|completed?)\b|,\s(done|finished|fixed|completed?)\W{0,4}$"
    r"|\b(no longer (?:an? )?(?:issue|problem|bug|blocker|needed|necessary|required|happens?|occurs?|fails?|"
    r"crash(?:es)?))\b"
    r"|\b(works? (?:now|again)|nothing (?:is )?left(?: to do)?|in place|up to date)\b"
    r"|\b(?:ist|sind|wurden?|haben?|habe|bin|jetzt|nun|schon|bereits|worden)\s(?:[^\s.,;]{1,30}\s){0,8}?"
    r"(erledigt|fertig|behoben|gelöst|abgeschlossen|ge\w{2,30}(?:t|en)|\w{3,30}(?:iert|ert|et|gestellt|richtet))\b"
    r"|\b(?:est|sont|a été|ont été|ai|avons)\s(?:(?:maintenant|déjà|bien|enfin)\s)?"
    r"(\w{2,30}(?:é|ée|és|ées|i|ie|u|it|ite))\b"
    r"|\b(?:está|están|ha sido|han sido|fue|fueron|quedó|he|hemos|ha|han)\s(?:ya\s)?"
    r"(\w{2,30}(?:ad[oa]s?|id[oa]s?|echo|echa|uelt[oa]|rito|rita)|hecho|listo|lista)\b",
    re.IGNORECASE,
)
"""How it is said that something is so, or was done: what, is in a group."""
_SURELY = re.compile(
    r"(?:done|finished|complete[d]?|fixed|solved|resolved|closed|settled|gone|"
    r"no longer .{1,20}|works? (?:now|again)|nothing .{0,20}|in place|up to date|"
    r"erledigt|fertig|behoben|gelöst|abgeschlossen|fait|terminée?|résolue?|corrigée?|hecho|terminad[oa]|resuelt[oa]|"
    r"corregid[oa]|list[oa])s?",
    re.IGNORECASE,
)
"""Of whatever it is said, that is done."""
_OF_NOTHING = re.compile(
    r"\b(?:nothing (?:is |more )?(?:left|to do|open)(?: to do)?|no longer|not only|"
    r"no (?:more )?(?:problems?|issues?|errors?)|without (?:any )?(?:problems?|issues?|errors?)|"
    r"nichts mehr (?:offen|zu tun))\b",
    re.IGNORECASE,
)
"""Words of denial that deny nothing of it."""
_UNDONE = re.compile(
    r"\b(?:not|never|nobody|cannot|no|nothing|none|neither|without|except|unless|if|once|when|whenever|until|till|"
    r"before|after|should|must|will|would|could|may|might|needs?|wants?|wanted|yet|still|pending|almost|nearly|partly|"
    r"partially|half|plans?|planned|fail(?:s|ed|ing)?|going to|about to|let|please|whether|errors?|broke\w*|wrong|open|"
    r"blocked|only|but|however|tomorrow|supposed|claims?|thought|hoped?|expected|scheduled|"
    r"nicht|nie|kein\w{0,2}|noch|wenn|falls|sobald|muss|müssen|soll\w{0,3}|wird|werden|aber|fast|"
    r"pas|jamais|encore|si|quand|doit|doivent|sera|seront|mais|presque|"
    r"todavía|aún|cuando|debe|deben|será|serán|pero|casi|falta|sin)\b|n['’]t\b|[?？]\s*$",
    re.IGNORECASE,
)
_MARKED = re.compile(
    r"^\W{0,6}(?:to[- ]?dos?|next(?: steps?)?|still(?: open| to do)?|open|left(?: to do)?|remaining(?: work)?|pending|"
    r"follow[- ]?ups?|offen|noch zu tun|nächste schritte?|à faire|reste à faire|pendientes?|por hacer)\b\W{0,4}",
    re.IGNORECASE,
)
_IDLE = frozenset(
    """
    the and for with from that this these those there here then than into onto over under about its his her their our
    your you they them are was were been being has have had will would should could must may might can cannot not yet
    still open left todo next step steps need needs needed remain remains remaining pending later soon now also just
    first before after until till today tomorrow tonight week month monday tuesday wednesday thursday friday saturday
    sunday
    able unable manage get got because since while when where which who what how why all any some did does done
    we i it to of in on at by as an or is be do my so
    der die das den dem des ein eine einen einem einer und für mit von vom zum zur bei auf aus noch nicht muss müssen
    soll sollte werden wird wurde ist sind war wir ich habe haben konnte konnten
    les des une pour avec dans sur pas encore est sont reste faut nous
    los las una para con por que falta queda quedan pendiente pendientes
    está están hay
    """.split()  # noqa: SIM905
)
"""Words that do not say what is to be done."""
_WORD = re.compile(r"\w{2,40}")
_FORMS = {
    "written": "write", "wrote": "write", "sent": "send", "built": "build", "rebuilt": "rebuild", "ran": "run",
    "reran": "rerun", "made": "make", "took": "take", "taken": "take", "put": "put", "bought": "buy", "drawn": "draw",
    "chosen": "choose", "found": "find", "given": "give", "got": "get", "kept": "keep", "split": "split",
}  # fmt: skip


def closed_by(left: str, later: Iterable[str]) -> bool:
    """`left`: a sentence that says what is to be done. `later`: those that came after it."""
    words = _words(_MARKED.sub("", left[:SENTENCE_CHARS], count=1))
    if len(words) < 2:
        return False
    return any(_closes(sentence[:SENTENCE_CHARS], words) for sentence in later)


def _words(text: str) -> list[str]:
    found = (word for word in _WORD.findall(text.lower()) if word not in _IDLE)
    return list(dict.fromkeys(_FORMS.get(word, word) for word in found))


def _closes(sentence: str, words: list[str]) -> bool:
    """It says that it is done, or of what it was to be done with that all is. The first word mostly says what to do."""
    if _UNDONE.search(_OF_NOTHING.sub(" ", sentence)):
        return False
    said = _words(sentence)
    missing = [word for word in words if not any(_is_same(word, one) for one in said)]
    if missing not in ([], words[:1]):
        return False
    for found in _DONE.finditer(sentence):
        what = next(group for group in found.groups() if group).lower()
        if not missing and any(_is_same(word, _FORMS.get(what, what)) for word in words):
            return True
        if len(words) > 2 and _SURELY.fullmatch(what):
            return True
    return False


def _is_same(one: str, other: str) -> bool:
    """Forms of one word begin alike; numbers are what they are."""
    if one.isdecimal() or other.isdecimal() or min(len(one), len(other)) < 3:
        return one == other
    return one[:5] == other[:5] or one.startswith(other) or other.startswith(one) or _bare(one) == _bare(other)


def _bare(word: str) -> str:
    """Of German, without what stands before the stem of what was done."""
    return word.removeprefix("ge")[:4]
