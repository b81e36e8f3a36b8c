"""Whether what was to be done is said to be done later, with the same words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from muster.domain.rules.labels import Label, label_of, unlabelled

SENTENCE_CHARS = 400

_ED = r"(?!(?:need|feed|seed|speed|embed|shed|exceed|proceed)\b)\w{1,28}ed\b"
_JUST = r"(?:(?:all|now|also|already|just|finally|been|successfully|fully|since|both)\s){0,3}"
_DONE = re.compile(
    rf"\b(?:i|we|['’]ve)\s{_JUST}({_ED})"
    rf"|\b(?:is|are|was|were|been|got|now|already|has|have|had|['’]s|['’]ve)\s{_JUST}({_ED}|(?:done|gone|written|sent|"
    r"built|rebuilt|run|rerun|made|taken|set|reset|put|bought|drawn|chosen|found|given|kept|split|cut|shut)\b)"
    r"|^\W{0,6}(done|finished|fixed|solved|resolved|completed?)\b"
    r"|,\s(done|finished|fixed|solved|resolved|completed?)(?:\W{0,4}$|\s(?:by|with|via|through|in|thanks)\b)"
    r"|\b(no longer (?:an? )?(?:issue|problem|bug|blocker|needed|necessary|required|happens?|occurs?|fails?|"
    r"crash(?:es)?))\b"
    r"|\bno longer (?!an?\b|(?:works?|working|supported|available|possible|valid|respond|start|load|run|open|compile|"
    r"build|pass|able|reachable|maintained|accessible|visible))(\w{2,30})\b"
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
    r"\b(?:nothing (?:is |more )?(?:left|to do|open)(?: to do)?|no longer(?: \w{2,20})?|not only|"
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
_WAITS = re.compile(
    r"\W{0,6}(?:(?:we['’]re |we are |i['’]m |i am )?(?:still )?waiting (?:for|on|until)|wartet auf)\b", re.I
)
_AILS = re.compile(
    r"\b(?:is|are|was|were|looks?|seems?|remains?|stays?|gets?|keeps?|has|have|still|ist|sind)\s|"
    r"\b(?=(?:los|crash|fail|flicker|hang|break|leak|freez|throw|miss|drop|ignor|overlap|duplicat|stall|loop|block|"
    r"deadlock|stutter|jump|flash|lag|cut|truncat|skip|swallow)(?:e?s)\b)",
    re.IGNORECASE,
)
"""Behind it stands what is wrong with what was named before it."""
_AILED = re.compile(
    r"(?:crash|fail|flicker|leak|drop|ignor|overlap|duplicat|stall|loop|block|deadlock|stutter|jump|flash|skip|"
    r"swallow|happen|occur|appear|report|notic|complain|ask|want|need|tri|plan|start|discuss|promis|delay|postpon|"
    r"expir|refus|reject|deni|stopp|mention|wait|request|miss|confus|propos|suggest|reproduc)\w{0,4}"
)
"""What was done, and mends nothing."""
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
    "drew": "draw", "chose": "choose", "gave": "give", "set": "set", "reset": "reset", "cut": "cut", "shut": "shut",
}  # fmt: skip


_PAST = re.compile(rf"{_ED}|\b(?:written|wrote|sent|built|rebuilt|ran|rerun|reran|made|took|taken|put|bought|drew|"
                   r"chose|found|gave|got|kept|split|set|reset|cut|shut|moved)\b", re.IGNORECASE)  # fmt: skip


_MONTH = re.compile(r"(?<=[a-z\d,]\s)May\b")
"""Which is another word than that of what may be."""


class Told(NamedTuple):
    """A sentence that says that something is done."""

    words: list[str]
    done: list[str]
    """What it says so with."""
    past: list[str]
    """All that it says was done, by whomever."""


class _Left(NamedTuple):
    words: list[str]
    wrong: frozenset[str]
    """Those of them that say what is wrong with it: who mends it may name them or not."""
    label: Label | None
    named: bool
    """It begins with a thing and not with what to do."""


def told(sentence: str) -> Told | None:
    """None: it closes nothing."""
    sentence = _MONTH.sub("Maius", sentence[:SENTENCE_CHARS])
    if _UNDONE.search(_OF_NOTHING.sub(" ", sentence)):
        return None
    done = [next(group for group in found.groups() if group).lower() for found in _DONE.finditer(sentence)]
    past = [word.lower() for word in _PAST.findall(sentence) if not _AILED.fullmatch(word.lower())]
    return Told(_words(sentence), done, past) if done or past else None


def closed_by(left: str, later: Iterable[str]) -> bool:
    """`left`: a sentence that says what is to be done. `later`: those that came after it."""
    return is_closed(left, (one for sentence in later if (one := told(sentence))))


def is_closed(left: str, later: Iterable[Told]) -> bool:
    found = _left(left[:SENTENCE_CHARS])
    return len(found.words) > 1 and any(_closes(one, found) for one in later)


def is_closable(left: str) -> bool:
    """Whether it has words enough to be known by, when it is said to be done."""
    return len(_left(left[:SENTENCE_CHARS]).words) > 1


def _left(left: str) -> _Left:
    label = label_of(left)
    text = _MONTH.sub("Maius", unlabelled(left))
    if waits := _WAITS.match(text):
        label, text = Label.BLOCKED, text[waits.end() :]
    wrong: frozenset[str] = frozenset()
    if label not in (Label.WORK, Label.NEXT, Label.BLOCKED) or label_of(left) is None or _IS_OPEN.match(left):
        parts = _AILS.split(text, maxsplit=1)
        about, rest = (parts[0], parts[1]) if len(parts) > 1 else ("", "")
        # Names, numbers and versions tell it from others.
        plain = (word for word in _WORD.findall(rest) if word.isalpha() and word.islower())
        wrong = frozenset(_words(" ".join(plain))[:1]) if len(_words(about)) > 1 else frozenset()
    return _Left(_words(text), wrong, label, _NAMED.match(text) is not None)


_NAMED = re.compile(
    r"\W{0,6}(?:the|an?|our|my|your|its?|this|that|these|der|die|das|ein|eine|unser|le|la|les|el|los|las)\b", re.I
)


_IS_OPEN = re.compile(r"\W{0,8}(?:still |noch )?(?:open|offen|pending|outstanding)\b", re.IGNORECASE)


def _words(text: str) -> list[str]:
    found = (word for word in _WORD.findall(text.lower()) if word not in _IDLE)
    return list(dict.fromkeys(_FORMS.get(word, word) for word in found))


def _closes(said: Told, left: _Left) -> bool:
    """It says that it is done, or of what it was to be done with that all is. The first word mostly says what to do."""
    words = left.words
    missing = [word for word in words if not any(_is_same(word, one) for one in said.words)]
    is_wrong = bool(missing) and left.wrong.issuperset(missing)
    if missing and (missing != words[:1] or left.named) and not is_wrong:
        return False
    for what in said.done:
        if not missing and any(_is_same(word, _FORMS.get(what, what)) for word in words):
            return True
        if (len(words) > 2 or is_wrong) and _SURELY.fullmatch(what):
            return True
    return _was_done(said, left, missing)


def _was_done(said: Told, left: _Left, missing: list[str]) -> bool:
    """By somebody: "Legal approved it", "Renamed the column"."""
    blocked = left.label is Label.BLOCKED
    if missing and not (blocked and len(left.words) > 2):
        return False
    verbs = left.words if blocked else left.words[:1]
    return any(
        _is_same(word, _FORMS.get(past, past)) and (word != past or past in _FORMS)
        for past in said.past
        for word in verbs
    )


def _is_same(one: str, other: str) -> bool:
    """Forms of one word begin alike; numbers are what they are."""
    if one.isdecimal() or other.isdecimal() or min(len(one), len(other)) < 3:
        return one == other
    return one[:5] == other[:5] or one.startswith(other) or other.startswith(one) or _bare(one) == _bare(other)


def _bare(word: str) -> str:
    """Of German, without what stands before the stem of what was done."""
    return word.removeprefix("ge")[:4]
