"""What people write before what they note down: "Decision: …"."""

from __future__ import annotations

import re

_LABELS = {
    "decision": "decision|decided|resolution|agreed|entscheidung|beschluss|décision|decisión|decisione|decisão|"
    "决定|決定|결정|решение|рішення|قرار|القرار|निर्णय|karar|decyzja|quyết định",
    "preference": "preference|convention|house rule|vorliebe|préférence|preferencia|preferenza|偏好",
    "bugfix": "fix(?:ed)?|bug ?fix|root cause|resolved|solution|workaround|lösung|ursache|correctif|solución|"
    "根本原因|原因|修复|解决|원인|근본 원인|السبب|الحل|причина|kök neden|przyczyna|nguyên nhân|สาเหตุ|कारण",
    "error": "bug|(?:known )?(?:issue|problem)|error|failure|fehler|erreur|problème|problema|"
    "错误|バグ|エラー|버그|오류|(?:핵심 )?문제|проблема|помилка|ошибка",
    "discovery": "note|nb|fyi|important|remember|learned|lesson(?: learned)?|findings?|found|til|hinweis|wichtig|merke|"
    "nota|importante|注意|重要|メモ|참고|중요",
    "request": "to[- ]?do|task|action(?: item)?|next step|aufgabe|à faire|tarea|待办|할 일",
}
_LABELLED = {
    kind: re.compile(rf"\W{{0,4}}(?:{labels})\**(?:\s?[:：]|\s[-–—]\s)\**\s*(?=\w)", re.IGNORECASE)
    for kind, labels in _LABELS.items()
}


def is_labelled(text: str) -> bool:
    return any(label.match(text) for label in _LABELLED.values())


def label_of(kind: str, text: str) -> str:
    """Empty: it has none of that kind."""
    found = _LABELLED[kind].match(text) if kind in _LABELLED else None
    return found.group() if found else ""
