"""What was said, as observations: decisions, preferences, requests, and the facts people state.

Whatever somebody says in words is kept in their words; the rules only say what it is, and leave out mere courtesy.
"""

from __future__ import annotations

import re

from muster.domain import rules_statements as statements
from muster.domain.memory import NewObservation
from muster.domain.rules_reading import Act, Kind
from muster.domain.rules_sentences import sentences
from muster.domain.rules_text import (
    concepts_of,
    dated,
    language_of,
    one_line,
    pieces,
    unique,
)

PIECE_CHARS = 1600
MAX_PIECES = 14

_LABELS = {
    "decision": "decision|decided|resolution|agreed|entscheidung|beschluss|décision|decisión|decisione|decisão|"
    "决定|決定|결정|решение",
    "preference": "preference|convention|house rule|vorliebe|préférence|preferencia|preferenza|偏好",
    "bugfix": "fix(?:ed)?|bug ?fix|root cause|resolved|solution|workaround|lösung|ursache|correctif|solución|"
    "根本原因|原因|修复|解决",
    "error": "bug|(?:known )?(?:issue|problem)|error|failure|fehler|erreur|problème|problema|"
    "错误|バグ|エラー|버그|오류",
    "discovery": "note|nb|fyi|important|remember|learned|lesson(?: learned)?|finding|til|hinweis|wichtig|merke|"
    "nota|importante|注意|重要|メモ|참고|중요",
    "request": "to[- ]?do|task|action(?: item)?|next step|aufgabe|à faire|tarea|待办|할 일",
}
_LABELLED = {
    kind: re.compile(rf"\W{{0,4}}(?:{labels})\**(?:\s?[:：]|\s[-–—]\s)\**\s*(?=\w)", re.IGNORECASE)
    for kind, labels in _LABELS.items()
}
"""What people write before what they note down: "Decision: …"."""


def is_labelled(text: str) -> bool:
    return any(label.match(text) for label in _LABELLED.values())


_BECAUSE = re.compile(
    r"\b(?:because|since|so that|due to|the reason|weil|da sonst|parce que|porque)\b|因为|ため|から", re.I
)
_ASKS = re.compile(
    r"^(?:please\b|can you|could you|would you|i need you|i want you|i'd like you|help me|add|fix|make|"
    r"write|create|implement|"
    r"update|change|remove|delete|refactor|rename|run|test|check|find|look|show|explain|investigate|build|"
    r"deploy|review|"
    r"move|use|let's)\b",
    re.IGNORECASE,
)
_QUESTION = re.compile(
    r"[?？]\s*$|^(?:what|when|where|who|why|how|which|is|are|do|does|did|can|could|should|would|will|have|has)\b[^.!]*$"
    r"|(?:ですか|ますか|까요|吗|呢)[。?？]?$",
    re.IGNORECASE,
)
_COURTESY = re.compile(
    r"(?:(?:ok(?:ay)?|k|yes|yeah|yep|yup|no|nope|sure(?: thing)?|thanks?(?: you)?(?: so much| a lot|"
    r" very much)?|thx|ty|great|"
    r"good(?: morning| night| evening)?|nice|perfect|cool|awesome|excellent|done|got it|understood|"
    r"alright|right|fine|let['’]s (?:do (?:it|that|this)|go)|"
    r"hi|hello|hey(?: there)?|bye|goodbye|see you(?: later| soon)?|you(?:['’]re| are) welcome|no problem|"
    r"sounds good|will do|"
    r"on it|continue|go on|go ahead|proceed|please|lgtm|looks good(?: to me)?|"
    r"noted|makes sense|good (?:idea|point|catch|job|work)|well done|no worries|of course|absolutely|certainly|"
    r"definitely|hmm+|wow|haha+|lol|agreed|"
    r"exactly|ack|roger|true|false|null|none|undefined|"
    r"working on it|one moment|let me (?:check|see|look)|danke|merci|gracias|ja|nein|oui|non|si|sí|好的?|谢谢|はい|"
    r"いいえ|ありがとう(?:ございます)?|네|예|감사합니다|da|да|нет|спасибо)[\s,.!…:;)(\-👍🙏😀-🙏]*)+",
    re.IGNORECASE,
)
_BARE_ANSWER = re.compile(
    r"(?:yes|yeah|yep|no|nope|sure|true|false|none|agreed|ja|nein|oui|non|sí|はい|いいえ|네|да|нет|好的?)\b", re.I
)
_ASKS_TO_DO = re.compile(
    r"(?:can|could|would|will) you (?!please tell|tell|say|explain|remember|recall|name|give)", re.I
)
_TELLS = re.compile(
    r"(?:(?:I|we)(?!(?:'d|'ll| will| would| want| need| wish| have to| must| should)\b)|he|she|they|my|our)\b",
    re.IGNORECASE,
)
"""How somebody begins who tells of a life, and not what is to be done."""
_NO = re.compile(r"^(?:no(?:pe)?|stop)\b[\s,.!–-]+(?=\w)", re.IGNORECASE)
_LEAD = re.compile(
    r"^(?:(?:so|ok(?:ay)?|well|and|also|hey|hi|alright|right|anyway|yes|yeah|thanks?|great|sure)[,.!:\s–-]+)+(?=\w)",
    re.I,
)
_DECIDED_LEAD = re.compile(
    r"^(?:(?:we|i)(?:['’]ve| have)? (?:all )?(?:decided|agreed|chose|"
    r"opted) (?:that we (?:will|should) |to )|"
    r"let['’]s (?=go|use|stick|drop)|the decision is to )",
    re.IGNORECASE,
)

_IMPORTANCE = {
    "decision": 0.8, "preference": 0.75, "bugfix": 0.7, "error": 0.6, "discovery": 0.55, "fact": 0.5,
    "request": 0.55, "question": 0.35,
}  # fmt: skip


def is_courtesy(text: str) -> bool:
    return len(text) <= 200 and _COURTESY.fullmatch(text.strip()) is not None


def said(act: Act, before: Act | None) -> list[NewObservation]:
    """Observations of one message, and of the question it answers where it cannot be understood without."""
    text = act.text
    question = _question_before(act, before)
    if is_courtesy(text) and not (question and _BARE_ANSWER.match(text)):
        act.note = "a courtesy, with nothing in it to keep"
        return []
    if act.kind is Kind.MESSAGE and not act.speaker and _only_narrates(act):
        act.note = "it says what is done next, and not what came of it"
        return []
    if not question and len(text) < 40 and not any(map(str.isalpha, text)):
        act.note = "hardly a word in it"
        return []
    parts = pieces(text, PIECE_CHARS, MAX_PIECES)
    made = []
    for number, part in enumerate(parts, 1):
        made.append(_one(act, part, question if number == 1 else "", before, number, len(parts)))
    return made


def _only_narrates(act: Act) -> bool:
    if len(act.text) > 240 or act.data.get("role") == "user" or dated(act.text, act.event.occurred_at):
        return False
    lines = [line for line in sentences(act.text, 8) if not is_courtesy(line)]
    return bool(lines) and all(statements.narrates(line) and not _BECAUSE.search(line) for line in lines)


def _one(act: Act, part: str, question: str, before: Act | None, number: int, count: int) -> NewObservation:
    lines = sentences(part, 60)
    kind, telling = _kind(act, part, lines)
    if question and is_courtesy(part):
        kind, telling = "fact", f"{question} {part}"
    title = act.title if act.title and number == 1 and kind not in ("decision", "preference") else _title(kind, telling)
    if act.speaker and not title.startswith(act.speaker):
        title = f"{act.speaker}: {title}"
    facts = dated(part, act.event.occurred_at)
    if len(lines) > 3:
        # Of a long text, what it hangs on; a short one says it as it stands.
        facts += [one_line(line, 300) for line in lines if line is not telling and _weighs(line)][:6]
    elif kind in ("decision", "preference"):
        facts += [
            one_line(line, 300)
            for line in lines
            if line is not telling and (statements.decides(line) or statements.prefers(line))
        ]
    narrative = f"{act.speaker}: {part}" if act.speaker and number == 1 else part
    where = f"Part {number} of {count}" if count > 1 else None
    answered = before is not None and bool(question)
    return NewObservation(
        type=kind,
        title=one_line(title, 200),
        subtitle=f"In answer to: {question}" if question else where,
        narrative=narrative,
        facts=unique(facts, 10),
        concepts=concepts_of(part, (*act.files_read, *act.files_modified)),
        files_read=act.files_read,
        files_modified=act.files_modified,
        language=language_of(part),
        importance=_importance(kind, part),
        occurred_at=act.event.occurred_at,
        sources=[act.event.id, before.event.id] if before is not None and answered else [act.event.id],
    )


def _kind(act: Act, part: str, lines: list[str]) -> tuple[str, str]:
    """What sort of statement it is, and the sentence that says so."""
    first = next((line for line in lines if not _COURTESY.fullmatch(line[:200])), lines[0] if lines else part)
    for kind, says in (("decision", statements.decides), ("preference", statements.prefers)):
        for line in lines:
            if not line.endswith(("?", "？")) and (says(line[:600]) or _LABELLED[kind].match(line)):
                return kind, line
    is_asked = act.kind is Kind.PROMPT and (_ASKS.match(first) or not _QUESTION.search(first[:400]))
    if is_asked and (not _TELLS.match(first) or asks_for_work(part)):
        return "request", first
    for kind, says in (("bugfix", statements.mends), ("error", statements.breaks), ("discovery", statements.teaches)):
        for line in lines:
            if says(line[:600]) or _LABELLED[kind].match(line):
                return kind, line
    if _LABELLED["request"].match(first):
        return "request", first
    # A question with something said beside it states that.
    told = [line for line in lines if not _QUESTION.search(line[:400]) and not _COURTESY.fullmatch(line[:200])]
    asked = [line for line in lines if _QUESTION.search(line[:400])]
    if asked and all(len(line) < 30 and line.endswith("!") for line in told):
        return "question", asked[0]
    if _ASKS.match(first) and len(lines) <= 2:
        return "request", first
    return "fact", max(told[:4], key=_telling) if told else first


def asks_for_work(text: str) -> bool:
    """Not a statement, and not a question. In a language whose verbs are not known here, anything may."""
    if language_of(text) not in (None, "en"):
        return True
    return any(_ASKS.match(line) for line in sentences(text[:2_000], 300))


def _telling(line: str) -> int:
    """Names, numbers and some length: more to be known by than "That is nice"."""
    return min(len(line), 90) + 12 * len(re.findall(r"\d+|(?<!^)(?<![.!?] )\b[A-Z][\w-]+|`[^`]+`", line[:300]))


def _title(kind: str, sentence: str) -> str:
    line = one_line(_LEAD.sub("", sentence), 300)
    if kind in _LABELLED and (label := _LABELLED[kind].match(line)):
        line = line[label.end() :]
    if kind == "preference":
        line = _NO.sub("", line)
    if kind == "decision":
        line = _DECIDED_LEAD.sub("", line)
    return one_line(line[:1].upper() + line[1:] if line else sentence)


def _weighs(line: str) -> bool:
    head = line[:600]
    return (
        any(says(head) for says in (statements.decides, statements.prefers, statements.mends, statements.teaches))
        or _BECAUSE.search(head) is not None
    )


def _importance(kind: str, part: str) -> float:
    weight = _IMPORTANCE.get(kind, 0.4) + (0.05 if _BECAUSE.search(part[:2000]) else 0.0)
    return round(weight - (0.15 if len(part) < 30 and part.isascii() and kind in ("fact", "discovery") else 0.0), 2)


def _question_before(act: Act, before: Act | None) -> str:
    """ "On Tuesday" says nothing alone."""
    if before is None or before.event.session_id != act.event.session_id or len(act.text) > 160:
        return ""
    if before.kind not in (Kind.MESSAGE, Kind.PROMPT) or (before.speaker and before.speaker == act.speaker):
        return ""
    lines = sentences(before.text[-1500:], 60)
    asked = [
        line
        for line in lines[-3:]
        if line.endswith(("?", "？", "ですか。", "吗。"))
        and not (before.kind is Kind.PROMPT and _ASKS_TO_DO.match(line))
    ]
    return one_line(asked[-1], 300) if asked else ""
