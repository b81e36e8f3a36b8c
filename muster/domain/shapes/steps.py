"""What agents print of their steps, each under a label: thought, action and observation, or as aider does."""

from __future__ import annotations

import re
from collections.abc import Iterator

from muster.domain.shapes.aider import MAX_LINES, aider
from muster.domain.shapes.parts import Part, answer, call, said, use

_LABEL = re.compile(
    r"(?:(THOUGHT|DISCUSSION|ACTION|COMMAND|OBSERVATION)|(Thought|Action|Action Input|Observation|Final Answer):(.*))$"
)
_KINDS = {
    "THOUGHT": "said", "DISCUSSION": "said", "ACTION": "ran", "COMMAND": "ran", "OBSERVATION": "came",
    "Thought": "said", "Final Answer": "said", "Action": "tool", "Action Input": "given", "Observation": "came",
}  # fmt: skip
_ACTS = re.compile(r"^(?:ACTION|COMMAND)[ \t]{0,4}$|^Action: {0,4}\S[^\n]{0,200}\n{1,2}Action Input:", re.MULTILINE)
_OBSERVES = re.compile(r"^OBSERVATION[ \t]{0,4}$|^Observation:", re.MULTILINE)


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
        return aider(text)

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
