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
