"""What was written by hand: clusters of turns with the questions they answer, and what is said around them.

A cluster is a few turns about one thing, `a3 Ines: …` (its label, the session, who speaks; `$` for a tool's call and
its output), and questions, `? temporal a: …` (the kind, the labels of the turns that answer). Turns that no question
names are there to be mistaken for the others.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent / "material"
PROJECTS = ("tidewater", "lantern", "quarry", "kestrel", "mosaic", "babel", "porch")
KINDS = ("single", "multi", "temporal", "paraphrase", "identifier", "language")
SESSIONS = 11
"""Of each project: one a month."""

_TURN = re.compile(r"^([a-z])(\d+) (\$|[^:$]+?:) (.+)$")
_QUESTION = re.compile(r"^\? (\w+) ([a-z](?: [a-z])*): (.+)$")
_LISTS = ("people", "parts", "files", "names", "things", "tools", "tickets", "codes", "gardens", "friends")


@dataclass(frozen=True)
class Said:
    session: int
    speaker: str
    text: str


@dataclass(frozen=True)
class Asked:
    kind: str
    labels: tuple[str, ...]
    text: str


@dataclass
class Cluster:
    turns: dict[str, Said] = field(default_factory=dict)
    questions: list[Asked] = field(default_factory=list)


@dataclass
class Project:
    name: str
    about: str
    lists: dict[str, list[str]]
    clusters: list[Cluster]


@dataclass(frozen=True)
class Tongue:
    """A language's people, sentences, and what stands in their slots."""

    code: str
    people: list[str]
    sentences: list[str]
    slots: dict[str, list[str]]


Exchange = list[tuple[str, str]]
"""Turns that follow each other: who (p, q, a, $), and a sentence with slots."""


def project(name: str) -> Project:
    about, lists = "", dict[str, list[str]]()
    clusters = [Cluster()]
    for number, line in enumerate((HERE / f"{name}.txt").read_text(encoding="utf-8").splitlines(), 1):
        head, _, rest = line.partition(":")
        if line.startswith("#"):
            about = line[2:]
        elif head in _LISTS:
            lists[head] = [item.strip() for item in rest.split(",") if item.strip()]
        elif not line:
            clusters.append(Cluster())
        elif turn := _TURN.match(line):
            label, session, speaker, text = turn.groups()
            clusters[-1].turns[label] = Said(int(session), speaker.removesuffix(":"), text.replace("\\n", "\n"))
        elif question := _QUESTION.match(line):
            kind, labels, text = question.groups()
            clusters[-1].questions.append(Asked(kind, tuple(labels.split()), text))
        else:
            raise ValueError(f"{name}.txt:{number}: {line}")
    return Project(name, about, lists, [cluster for cluster in clusters if cluster.turns])


def exchanges(name: str) -> list[Exchange]:
    found: list[Exchange] = [[]]
    for line in (HERE / f"{name}.frames").read_text(encoding="utf-8").splitlines():
        if not line:
            found.append([])
        elif not line.startswith("#"):
            found[-1].append((line[0], line[2:].replace("\\n", "\n")))
    return [exchange for exchange in found if exchange]


def tongues() -> list[Tongue]:
    found: list[Tongue] = []
    for line in (HERE / "tongues.frames").read_text(encoding="utf-8").splitlines():
        if line.startswith("="):
            code, *people = line[2:].split()
            found.append(Tongue(code, people, [], {}))
        elif line.startswith("~"):
            slot, _, values = line[2:].partition(": ")
            found[-1].slots[f"{slot}_{found[-1].code}"] = values.split("|")
        elif line and not line.startswith("#"):
            found[-1].sentences.append(line)
    return found
