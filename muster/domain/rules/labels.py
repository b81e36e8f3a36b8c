"""What people write before what is left to do: "To do: …", "Still open: …", "Known issue: …"."""

from __future__ import annotations

import re
from enum import StrEnum

_OF_WHAT = (
    r"(?: (?:work|tasks?|items?|issues?|questions?|points?|bugs?|punkte|fragen|aufgaben))?"
    r"(?: ?\([^()\n]{1,40}\))?"
)
_STATES = (
    r"known (?:issues?|problems?|bugs?|limitations?)|bekannte (?:fehler|probleme)|blocked(?: (?:by|on))?|blockers?|"
    r"blockiert|bloqué|bloquead[oa]|still open|noch offen"
)
_TO_DO = (
    r"(?:still |noch )?(?:open|to[- ]?dos?|fixme|to do|pending|remaining|outstanding|left(?: to do)?|next steps?|"
    r"follow[- ]?ups?|missing|offen|ausstehend|zu erledigen|nächste schritte?|"
    r"reste(?: à faire)?|à faire|restant|prochaines? étapes?|pendientes?|por hacer|falta|próximos? pasos?|"
    r"pendente|próximos passos|da fare|prossimi passi|осталось|открыто|残(?:件|作業|課題|り)|未対応|次のステップ|"
    r"今後の(?:対応|課題)|待办|待处理|待解决|下一步|剩余|남은 (?:작업|일)|할 일|다음 단계)"
)
_ENDS = r"\**\s?[:：]\**\s*"
_STATE = re.compile(rf"\W{{0,8}}(?:{_STATES}){_OF_WHAT}{_ENDS}", re.IGNORECASE)
_WORK = re.compile(
    rf"\W{{0,8}}(?:{_TO_DO}){_OF_WHAT}{_ENDS}|\W{{0,8}}(?-i:TO(?:DO)|FIX(?:ME))\b[\s–—-]{{1,4}}", re.IGNORECASE
)
_NEXT = re.compile(
    r"\W{0,8}(?:next|nächste|prochain|próximo|prossimi|下一步|次の|다음)", re.IGNORECASE
)  # fmt: skip
_BLOCKED = re.compile(r"\W{0,8}(?:bloc?[kq]|waiting)", re.IGNORECASE)


_ASKS_TO_KNOW = re.compile(
    r"\W{0,8}(?:\d{1,3}[.)] )?\W{0,4}(?:who|whose|what|which|when|where|why|how|whether|if|is|are|was|were|do|does|did|"
    r"can|could|should|shall|would|will|has|have|had|may|must|wer|was|welche\w?|wann|wo|warum|wie|ob|qui|que|"
    r"quel\w{0,3}|"
    r"quand|où|pourquoi|comment|qué|cuál|cuándo|dónde|cómo)\b",
    re.IGNORECASE,
)


_UNTRIED = re.compile(
    r"\b(?:was|were|is|are|has|have|had|did|could)(?: not|n['’]t) (?:yet |been |be ){0,2}(?:run|tested|verified|"
    r"executed|"
    r"checked|deployed|pushed|committed|merged)\b|\b(?:is|are|remains?|left) (?:still )?(?:untested|unverified)\b|"
    r"\bnicht (?:getestet|ausgeführt|geprüft|verifiziert)\b|\bpas (?:été )?(?:testée?s?|exécutée?s?|vérifiée?s?)\b|"
    r"\bno (?:se )?(?:ha|han|he|hemos|pude|pudo|pudieron) (?:podido )?(?:probad|ejecutad|verificad|probar|ejecutar)|"
    r"\bне (?:проверен|запускал|запущен|тестировал|протестирован)|未(?:実行|検証|確認|テスト|实测|测试|验证|运行|执行)|"
    r"実行できて(?:い)?(?:ない|いません)|(?:테스트|실행|검증)하지 (?:못|않)",
    re.IGNORECASE,
)
_POSTPONED = re.compile(
    r"\b(?:leave|keep|save|put off|postpone|defer|move|park|do|finish|continue|tackle|handle|address)\b[^.!?\n]{1,100}"
    r"\b(?:(?:for|to|until|till|in) (?:the |an?(?:other)? |our )?(?:next|other|later|another|new|future|separate|"
    r"follow-up) "
    r"(?:session|time|day|week|sprint|pr|release|round)|for (?:later|tomorrow|another day)|tomorrow|next week)\b",
    re.IGNORECASE,
)
_STILL_THERE = re.compile(
    r"\W{0,4}(?:however,? |but,? |note that )?(?:we|there|you|i)(?: do)? (?:still )?(?:have|are|is) (?:still )?"
    r"(?<=still )(?:[\w`./-]{1,40} ){0,5}?(?:errors?|failures?|warnings?|problems?|issues?|bugs?|violations?)\b|"
    r"\W{0,4}(?:however,? |but,? |note that )?(?:we|there|you|i) still (?:have|are|is) (?:[\w`./-]{1,40} ){0,5}?"
    r"(?:errors?|failures?|warnings?|problems?|issues?|bugs?|violations?)\b",
    re.IGNORECASE,
)


_WHY = re.compile(r"^\W{0,6}why (?=(?:we|i)\b[^?？]{1,200}$)", re.IGNORECASE)


class Label(StrEnum):
    STATE = "state"
    """How something is: it was not asked for."""
    BLOCKED = "blocked"
    NEXT = "next"
    """Which agents do at once, mostly."""
    WORK = "work"


def label_of(line: str) -> Label | None:
    if _STATE.match(line):
        return Label.BLOCKED if _BLOCKED.match(line) else Label.STATE
    if _WORK.match(line):
        return Label.NEXT if _NEXT.match(line) else Label.WORK
    return None


def unlabelled(line: str) -> str:
    """Without the labels it begins with. Empty: it has nothing else."""
    for _ in range(3):
        found = _STATE.match(line) or _WORK.match(line)
        if found is None:
            break
        line = line[found.end() :]
    return line


def offers(line: str) -> bool:
    """To do something, and asks whether to: "Record it in the notes?" What asks to know something does not."""
    return line.rstrip().endswith(("?", "？")) and _ASKS_TO_KNOW.match(line[:200]) is None


def is_untried(line: str) -> bool:
    """What was made was not run, or not handed on."""
    return _UNTRIED.search(line[:400]) is not None


def is_postponed(line: str) -> bool:
    """A person leaves it for another time."""
    return _POSTPONED.search(line[:400]) is not None and not line.rstrip().endswith(("?", "？"))


def is_still_there(line: str) -> bool:
    """Some trouble, beside what was done."""
    return _STILL_THERE.match(line[:400]) is not None


def plain(line: str) -> str:
    """ "Why we didn't reach it" is a heading: that it was not reached is what it says."""
    return _WHY.sub("", line)
