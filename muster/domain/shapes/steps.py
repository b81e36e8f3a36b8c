"""What agents print of their steps, each under a label: thought, action and observation, or as aider does."""

from __future__ import annotations

import re
from collections.abc import Iterator

from muster.domain.shapes.parts import Part, answer, call, said, use

MAX_LINES = 20_000

_LABEL = re.compile(
    r"(?:(THOUGHT|DISCUSSION|ACTION|COMMAND|OBSERVATION)|(Thought|Action|Action Input|Observation|Final Answer):(.*))$"
)
_KINDS = {
    "THOUGHT": "said", "DISCUSSION": "said", "ACTION": "ran", "COMMAND": "ran", "OBSERVATION": "came",
    "Thought": "said", "Final Answer": "said", "Action": "tool", "Action Input": "given", "Observation": "came",
}  # fmt: skip
_ACTS = re.compile(r"^(?:ACTION|COMMAND)[ \t]{0,4}$|^Action: {0,4}\S[^\n]{0,200}\n{1,2}Action Input:", re.MULTILINE)
_OBSERVES = re.compile(r"^OBSERVATION[ \t]{0,4}$|^Observation:", re.MULTILINE)
_APPLIED = re.compile(r"^(?:> )?Applied edit to (\S[^\n]{0,300})$", re.MULTILINE)
_AIDER_SAYS = re.compile(r"(?:> )?(?:Tokens: \d|Commit [0-9a-f]{7,40} |Added \S{1,300} to the chat|Aider v\d|Model: |"
                         r"Git repo: |Repo-map: |Main model: |Weak model: )|# aider chat started|> ")  # fmt: skip
_SEARCH, _REPLACE = "<<<<<<< SEARCH", ">>>>>>> REPLACE"


class Steps:
    """Of one session. Fed with what was printed, in its order."""

    def __init__(self) -> None:
        self._known = False
        self._kind = ""
        self._open = 0
        self._waits = False

    def parts(self, text: str) -> list[Part] | None:
        """None: it is no such thing."""
        self._known = self._known or (_ACTS.search(text) is not None and _OBSERVES.search(text) is not None)
        if self._known:
            return list(self._steps(text))
        return list(_of_aider(text)) if _APPLIED.search(text) else None

    def _steps(self, text: str) -> Iterator[Part]:
        sections: list[tuple[str, list[str]]] = [(self._kind, [])]
        for line in text.split("\n")[:MAX_LINES]:
            if found := _LABEL.match(line.rstrip()[:2_000]):
                rest = line.rstrip().partition(":")[2].strip() if found[2] else ""
                sections.append((_KINDS[found[1] or found[2]], [rest]))
            else:
                sections[-1][1].append(line)
        tool = ""
        asked: tuple[str, dict[str, str]] | None = None
        for place, (kind, lines) in enumerate(sections):
            told = "\n".join(lines).strip("\n")
            if kind == "came" and (asked or (place > 0 and self._waits)):
                if asked:
                    yield from use(*asked, told)
                else:
                    yield from answer(told, f"step {self._open}")
                asked, self._waits = None, False
                continue
            match kind:
                case "said":
                    yield from said(told.strip())
                case "tool":
                    tool = told.strip()
                case "ran" | "given" if told.strip():
                    asked = ("Bash", {"command": told.strip()}) if kind == "ran" else (tool, {"input": told.strip()})
                case _ if told.strip():
                    yield Part("output", {"text": told})
        self._kind = sections[-1][0]
        if asked:
            self._open, self._waits = self._open + 1, True
            yield from call(*asked, f"step {self._open}")


def _of_aider(text: str) -> Iterator[Part]:
    """What was said and asked, and to which files it was applied."""
    is_history = "\n#### " in f"\n{text}"
    lines: list[str] = []
    replaces = False
    for line in text.split("\n")[:MAX_LINES]:
        if line.startswith((_SEARCH, _REPLACE)):
            replaces = line.startswith(_SEARCH)
        elif replaces:
            continue
        elif applied := _APPLIED.match(line):
            yield from said("\n".join(lines).strip())
            yield from use("Edit", {"file_path": applied[1].strip()}, "")
            lines = []
        elif is_history and line.startswith("#### "):
            yield from said("\n".join(lines).strip())
            yield from said(line[5:], "user")
            lines = []
        elif not _AIDER_SAYS.match(line):
            lines.append(line)
    yield from said("\n".join(lines).strip())
