"""Questions about paragraphs of an encyclopaedia in the form of XQuAD (google-deepmind/xquad, `xquad.*.json`): the same
in many languages, and data that nobody here wrote.

A language is a project, a paragraph a session, and each sentence a turn. What answers a question is the sentence in
which its answer begins.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.recall.questions import Question, RecallSet, Turn

QUESTIONS = 300
"""Of each language, one of every so many."""

_BEGAN = datetime(2026, 3, 1, tzinfo=UTC)
_SECONDS = 20
_ENDS = {"zh": (re.compile("[。！？]"), 12), "th": (re.compile(r"\s+"), 80)}
"""Where a sentence ends, and how many letters it has at least. Thai marks no end."""
_END, _LEAST = re.compile(r"[.!?؟।][\"”)]*\s+"), 30


def read(folder: Path) -> RecallSet:
    turns: list[Turn] = []
    questions: list[Question] = []
    for path in sorted(folder.glob("xquad.*.json")):
        language = path.name.split(".")[1]
        asked: list[Question] = []
        for article in json.loads(path.read_text())["data"]:
            for paragraph in article["paragraphs"]:
                session = f"{language}-{len(turns)}"
                spans = list(_sentences(paragraph["context"], language))
                ids = [f"{session}/{place}" for place in range(len(spans))]
                for key, (start, end) in zip(ids, spans, strict=True):
                    at = _BEGAN + timedelta(seconds=_SECONDS * len(turns))
                    text = paragraph["context"][start:end].strip()
                    turns.append(Turn(key, language, session, "Ann", text, at, kept=False))
                for one in paragraph["qas"]:
                    begins = one["answers"][0]["answer_start"]
                    evidence = tuple(key for key, (start, end) in zip(ids, spans, strict=True) if start <= begins < end)
                    asked.append(Question(f"{language}/{one['id']}", language, language, one["question"], evidence,
                                          "held out"))  # fmt: skip
        questions += asked[:: max(1, len(asked) // QUESTIONS)][:QUESTIONS]
    return RecallSet(turns, questions)


def _sentences(text: str, language: str) -> Iterator[tuple[int, int]]:
    ends, least = _ENDS.get(language, (_END, _LEAST))
    start = 0
    for end in ends.finditer(text):
        if end.end() - start >= least:
            yield start, end.end()
            start = end.end()
    if start < len(text):
        yield start, len(text)
