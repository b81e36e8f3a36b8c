"""A set: turns of several projects over a year, and questions with the turns that answer them.

It is put together from the material the same way each time, on every machine: each choice is made by a hash of what it
is for. What was written by hand lies scattered among exchanges of the same people about the same things.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import groupby
from typing import Literal, TypeVar

from benchmarks.recall import material
from benchmarks.recall.material import Exchange, Material, Project, Tongue

T = TypeVar("T")
Half = Literal["tuning", "held out"]

OPENERS = {
    "work": (
        "",
        "",
        "",
        "By the way: ",
        "Short one: ",
        "Hm. ",
        "So, ",
        "For the record: ",
        "Ok. ",
        "",
        "Two things, first this: ",
    ),
    "home": ("", "", "", "Oh, ", "You know what? ", "Hello dear! ", "Well. ", "Listen: ", "Imagine: ", "Sunday post. "),
}
TAILS = {
    "work": ("", "", "", "", " No hurry.", " More tomorrow.", " Just so that you know.", " Ask me if in doubt.",
             " I will write it down.", " Not urgent at all."),
    "home": ("", "", "", "", " Hugs!", " What about you?", " Typical.", " I had to laugh.", " More when we meet.",
             " Do not tell anyone."),
}  # fmt: skip
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November")
_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Turn:
    id: str
    project: str
    session: str
    speaker: str
    """`$` for a tool: its text is the call, ` => `, and the output."""
    text: str
    at: datetime
    kept: bool
    """Written by hand for a question, or to be mistaken for an answer to one."""

    @property
    def said(self) -> str:
        return f"$ {self.text}" if self.speaker == "$" else f"{self.speaker}: {self.text}"


@dataclass(frozen=True)
class Question:
    id: str
    project: str
    kind: str
    text: str
    evidence: tuple[str, ...]
    half: Half


@dataclass(frozen=True)
class RecallSet:
    turns: list[Turn]
    questions: list[Question]


def number(key: str, below: int) -> int:
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big") % below


def pick(options: list[T] | tuple[T, ...], key: str) -> T:
    return options[number(key, len(options))]


def shuffled(items: list[T], key: str) -> list[T]:
    order = sorted(range(len(items)), key=lambda place: number(f"{key}/{place}", 1 << 60))
    return [items[place] for place in order]


@cache
def recall_set(name: str = "known") -> RecallSet:
    of = material.SETS[name]
    turns: list[Turn] = []
    questions: list[Question] = []
    for name in of.projects:
        project = material.project(of, name)
        of_project, placed = _turns(of, project)
        turns += of_project
        for place, cluster in enumerate(project.clusters):
            # A cluster's questions stay together: what is tuned on one must not be judged by the other.
            half: Half = "held out" if of.name != "known" or number(f"{name}/{place}/half", 2) else "tuning"
            questions += [
                Question(
                    f"{name}-{place:02}-{index}", name, asked.kind, asked.text,
                    tuple(placed[place, label] for label in asked.labels), half,
                )
                for index, asked in enumerate(cluster.questions)
            ]  # fmt: skip
    return RecallSet(turns, questions)


def _turns(of: Material, project: Project) -> tuple[list[Turn], dict[tuple[int, str], str]]:
    """All of a project's, and where each that was written by hand went."""
    turns: list[Turn] = []
    placed: dict[tuple[int, str], str] = {}
    small_talk = _small_talk(of, project)
    for session in range(1, of.sessions + 1):
        key = f"{project.name}-{session:02}"
        by_hand = [
            ((place, label), said.speaker, said.text)
            for place, cluster in enumerate(project.clusters)
            for label, said in cluster.turns.items()
            if said.session == session
        ]
        wanted = of.fewer.get(project.name, of.turns) - len(by_hand)
        around: list[list[tuple[str, str]]] = []
        while (have := sum(map(len, around))) < wanted:
            around.append(next(small_talk)[: wanted - have])
        blocks = [list(said) for _, said in groupby(by_hand, lambda turn: turn[0][0] if of.together else turn[0])]
        blocks += [[(None, speaker, text) for speaker, text in exchange] for exchange in around]  # type: ignore[misc]
        at = datetime(2026, session, 3 + number(f"{key}/day", 20), 8, number(f"{key}/minute", 60), tzinfo=UTC)
        lines = [line for block in shuffled(blocks, key) for line in block]
        for place, (origin, speaker, text) in enumerate(lines):
            at += timedelta(seconds=20 + number(f"{key}/{place}/pause", 900))
            turn = Turn(f"{key}-{place:02}", project.name, key, speaker, text, at, origin is not None)
            turns.append(turn)
            if origin is not None:
                placed[origin] = turn.id
    return turns, placed


class _small_talk:  # noqa: N801 - read as a function: an endless one
    """Exchanges of a project, every one used before any comes again, and then in other words."""

    def __init__(self, of: Material, project: Project) -> None:
        self.project, self.count = project, 0
        manners = of.projects[project.name]
        self.exchanges = [exchange for manner in manners for exchange in material.exchanges(of, manner)]
        self.openers, self.tails = OPENERS.get(manners[0], ("",)), TAILS.get(manners[0], ("",))
        self.tongues = material.tongues(of) if project.name == of.foreign else []
        self.waiting: list[Exchange] = []
        self.sentences: dict[str, list[str]] = {}

    def __next__(self) -> list[tuple[str, str]]:
        self.count += 1
        key = f"{self.project.name}/{self.count}"
        if self.tongues and self.count % 3:
            return [self._foreign(pick(self.tongues, f"{key}/tongue"), key)]
        if not self.waiting:
            self.waiting = shuffled(self.exchanges, key)
        return self._filled(self.waiting.pop(), key)

    def _foreign(self, tongue: Tongue, key: str) -> tuple[str, str]:
        if not self.sentences.get(tongue.code):
            self.sentences[tongue.code] = shuffled(tongue.sentences, key)
        sentence = self.sentences[tongue.code].pop()
        return pick(tongue.people, f"{key}/who"), self._fill(sentence, key, {}, tongue.slots)

    def _filled(self, exchange: Exchange, key: str) -> list[tuple[str, str]]:
        people = shuffled([person for person in self.project.lists["people"] if person != "agent"], key)
        values = {"person": people[-1], "person2": people[-1]}
        speakers = {"p": people[0], "q": people[1 % len(people)], "a": "agent", "$": "$"}
        said = []
        for place, (who, sentence) in enumerate(exchange):
            text = self._fill(sentence, key, values, {})
            if place == 0 and who == "p":
                opener = pick(self.openers, f"{key}/opener")
                text = f"{opener}{text}{pick(self.tails, f'{key}/tail')}"
            said.append((speakers[who], text))
        return said

    def _fill(self, sentence: str, key: str, values: dict[str, str], slots: dict[str, list[str]]) -> str:
        def value(match: re.Match[str]) -> str:
            slot = match[1]
            if slot not in values:
                values[slot] = self._value(slot, f"{key}/{slot}", slots)
            return values[slot]

        return _SLOT.sub(value, sentence)

    def _value(self, slot: str, key: str, slots: dict[str, list[str]]) -> str:
        kind = slot.rstrip("23456789")
        if slot in slots:
            return pick(slots[slot], key)
        for listed in (f"{kind}s", kind):
            if options := self.project.lists.get(listed):
                return pick(options, key)
        made = {
            "n": lambda: str(2 + number(key, 8)),
            "small": lambda: str(11 + number(key, 80)),
            "ms": lambda: str(110 + 10 * number(key, 380)),
            "line": lambda: str(12 + number(key, 600)),
            "number": lambda: str(100 + number(key, 9000)),
            "port": lambda: str(8000 + number(key, 1000)),
            "hour": lambda: f"{number(key, 24):02}:{5 * number(key, 11):02}",
            "version": lambda: f"{1 + number(key, 9)}.{number(f'{key}a', 20)}.{number(f'{key}b', 12)}",
            "hex": lambda: f"{number(key, 1 << 28):07x}",
            "day": lambda: pick(DAYS, key),
            "month": lambda: pick(MONTHS, key),
        }
        return made[kind]()
