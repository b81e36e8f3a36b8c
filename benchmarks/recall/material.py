"""What was written by hand: clusters of turns with the questions they answer, and what is said around them.

A cluster is a few turns about one thing, `a3 Ines: …` (its label, the session, who speaks; `$` for a tool's call and
its output), and questions, `? temporal a: …` (the kind, the labels of the turns that answer). Turns that no question
names are there to be mistaken for the others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent / "material"
KINDS = ("single", "multi", "temporal", "paraphrase", "identifier", "language")


@dataclass(frozen=True)
class Material:
    name: str
    projects: Mapping[str, tuple[str, ...]]
    """And the exchanges that are around what was written by hand."""
    foreign: str
    """The project whose people speak many languages."""
    sessions: int
    """Of each project: one a month."""
    turns: int
    """Of a session."""
    fewer: Mapping[str, int] = field(default_factory=dict)
    """Of a project's session, where it is not as many."""
    together: bool = False
    """What is said about one thing in one session is said in a row, as in a conversation."""


_WORK, _HOME = ("work",), ("home",)
SETS = {
    "known": Material(
        "known",
        {"tidewater": _WORK, "lantern": _WORK, "quarry": _WORK, "kestrel": _WORK, "mosaic": _WORK, "babel": _WORK,
         "porch": _HOME},
        foreign="babel", sessions=11, turns=46, fewer={"porch": 26},
    ),
    "unseen": Material(
        "unseen",
        {"voyage": ("ask",), "hearth": ("ask",), "counter": ("crew",), "notebook": ("crew", "code"),
         "grotto": ("crew", "code"), "ledger": ("crew", "code"), "mehrsprachig": ("crew",)},
        foreign="mehrsprachig", sessions=10, turns=16, together=True,
    ),
}  # fmt: skip
"""Weights are set on what is known, and judged on what is not."""

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


def project(of: Material, name: str) -> Project:
    about, lists = "", dict[str, list[str]]()
    clusters = [Cluster()]
    for number, line in enumerate((HERE / of.name / f"{name}.txt").read_text(encoding="utf-8").splitlines(), 1):
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


def exchanges(of: Material, name: str) -> list[Exchange]:
    found: list[Exchange] = [[]]
    for line in (HERE / of.name / f"{name}.frames").read_text(encoding="utf-8").splitlines():
        if not line:
            found.append([])
        elif not line.startswith("#"):
            found[-1].append((line[0], line[2:].replace("\\n", "\n")))
    return [exchange for exchange in found if exchange]


def tongues(of: Material) -> list[Tongue]:
    found: list[Tongue] = []
    for line in (HERE / of.name / "tongues.frames").read_text(encoding="utf-8").splitlines():
        if line.startswith("="):
            code, *people = line[2:].split()
            found.append(Tongue(code, people, [], {}))
        elif line.startswith("~"):
            slot, _, values = line[2:].partition(": ")
            found[-1].slots[f"{slot}_{found[-1].code}"] = values.split("|")
        elif line and not line.startswith("#"):
            found[-1].sentences.append(line)
    return found
