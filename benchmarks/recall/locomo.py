"""Conversations in the form of LoCoMo (snap-research/locomo, `locomo10.json`): data that nobody here wrote.

A conversation is a project, each of its sessions one; a photo that is shared is told by its caption. Questions whose
evidence is not marked are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.recall.questions import Question, RecallSet, Turn

_KINDS = {1: "several turns", 2: "time", 3: "inference", 4: "one turn", 5: "wrong person"}
_SECONDS = 20
"""From one turn to the next: only sessions have times."""
_EVIDENCE = re.compile(r"D\d+:\d+")


def read(path: Path) -> RecallSet:
    turns: list[Turn] = []
    questions: list[Question] = []
    for place, sample in enumerate(json.loads(path.read_text())):
        project = f"talk-{place}"
        said = list(_turns(project, sample.get("conversation", sample)))
        known = {turn.id for turn in said}
        turns += said
        for number, asked in enumerate(sample["qa"]):
            marked = _EVIDENCE.findall(" ".join(asked.get("evidence") or []))
            evidence = tuple(key for one in dict.fromkeys(marked) if (key := f"{project}/{one}") in known)
            if evidence:
                questions.append(Question(
                    f"{project}/{number}", project, _KINDS.get(asked["category"], "other"), asked["question"],
                    evidence, "tuning" if place % 2 else "held out",
                ))  # fmt: skip
    return RecallSet(turns, questions)


def _turns(project: str, talk: dict[str, Any]) -> Iterator[Turn]:
    number = 1
    while said := talk.get(f"session_{number}"):
        began = datetime.strptime(talk[f"session_{number}_date_time"], "%I:%M %p on %d %B, %Y").replace(tzinfo=UTC)
        for place, turn in enumerate(said):
            photo = f" [shares a photo: {turn['blip_caption']}]" if turn.get("blip_caption") else ""
            yield Turn(
                f"{project}/{turn['dia_id']}", project, f"{project}-{number}", turn["speaker"], turn["text"] + photo,
                began + timedelta(seconds=_SECONDS * place), kept=False,
            )  # fmt: skip
        number += 1
