"""What a coding agent shows in a terminal, as what it does and says: `⏺ Bash(make)` with `⎿` and what came of it, what
the agent says behind such a dot, and what was typed behind `>`. All else there is decoration.

It comes in pieces: one may begin in the midst of what came of a call that another ends with.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from muster.domain.rules.json import first
from muster.domain.rules.text import cleaned
from muster.domain.shapes.parts import Part, answer, call, is_of_a_program, said, use
from muster.domain.shapes.steps import Steps
from muster.domain.shapes.terminal_tools import Used, used

MAX_LINES = 20_000
MAX_BLOCKS = 1_000
_LINE = 4_000
"""Of one line, so much is read."""

_PRINTED = frozenset({"agent.output", "output", "stdout"})
"""Types of events that hold what was printed."""
_CERTAIN = re.compile(
    r"^[⏺●] {1,3}(?:Bash|Read|Write|Update|Edit|MultiEdit|Create|Search|Grep|Glob|List|LS|Task|Call|Agent|Explore|"
    r"Fetch|WebFetch|Web Search|WebSearch|Skill)\([^\n]|^ {0,6}⎿|^⏺ {1,3}\S|^[⏺●] {1,3}(?:Update|Read) Todos[ \t]*$"
    r"|^• (?:Ran|Edited|Added|Explored|Updated Plan)\b[^\n]{0,400}(?:\n {0,8}│[^\n]{0,400}){0,20}"
    r"\n {2,6}(?:└|\d{1,6} [+-])"
    r"|^ ?│ [✔✓x✗?-] {1,3}(?:Shell|ReadFile|ReadManyFiles|Edit|WriteFile|FindFiles|ReadFolder|SearchText|GoogleSearch|"
    r"WebFetch) ",
    re.MULTILINE,
)
"""Nothing else prints this. A dot or a bullet alone may stand before anything."""
_BEGINS = re.compile(r"[⏺●•✦✻✢✳✶✽※›❯>╭]\s|╭─|[⏺●•✦]$")
_MARKED = re.compile(r" ?([⏺●•✦]) {0,3}(.*)")
_CAME = re.compile(r" {0,8}[⎿└] {0,3}(.*)")
_TYPED = re.compile(r"[>❯›](?: (.*))?$")
_THINKS = re.compile(r"[✻✢✳✶✽∴·] ?(?:[A-Z][\w'’ -]{2,60}(?:…|\.\.\.)|Thought for \d|\w{3,20} for \d+[ms])")
_NOISE = re.compile(
    r"\s{0,8}(?:[※✔] {1,3}(?:Tip:|Loaded )|⏵⏵ |\? for shortcuts|[─═━]{8,}|[╭╰├└][─═]{3,}|"
    r"… ?\+\d+ (?:more )?lines?|\.\.\. ?\+?\d+ (?:more )?lines?|\((?:esc|ctrl[+-]\w) to [^)\n]{1,60}\)$|"
    r"[↑↓⚒] ?[\d.,]+k? tokens|[^\n]{0,80}\(?esc to (?:interrupt|cancel)|Context left until|"
    r"[^\n]{0,40}\b(?:auto-accept edits|bypass permissions) (?:on|off)|ℹ )"
)
_ADDED = re.compile(
    r"\s{0,8}(?:Total (?:cost|duration \((?:API|wall)\)|code changes): |Token usage by model:|Usage by model:|"
    r"✅ Claude session completed|[=═─ ]{0,200}Previous Conversation Compacted\b|Tips for getting started:$|"
    r"1\. Ask questions, edit files, or run commands\.|2\. Be specific for the best results\.|"
    r"[34]\. (?:/help for more information|Create GEMINI\.md files)|Cleaning up orphaned requests|"
    r"Cleanup complete\. Logged \d|[\w.-]{3,60}: {1,9}[\d.]{1,9}[km]? input, [\d.]{1,9}[km]? output)"
)
"""What such a program prints of itself around a session."""
_ADDED_LINE = re.compile(rf"^{_ADDED.pattern}", re.MULTILINE)
_BOX_TOOL = re.compile(r"([✔✓x✗?o⊷-]) {1,3}([A-Z]\w{2,30})(?: (.*))?$")
_CALLED = re.compile(
    r"((?:[A-Za-z][\w.:/-]{0,60}(?: - [\w.:/-]{1,60})?(?: \(MCP\))?)|Web Search|Web Fetch)\((.*)$", re.S
)
_PLANNED = re.compile(r"(?:Update|Updated|Read) (?:Todos|Plan)\b")
_RAN = re.compile(r"(Ran|Running|Edited|Added|Deleted|Explored|Exploring|Updated Plan)\b ?(.*)", re.DOTALL)
_REFUSED = "The user doesn't want to proceed with this tool use."
_MENU = re.compile(
    r"\d{1,2}[.)] |Try \"|/\w[\w:-]{0,60}(?:\s|$)|Type your message|Implement \{|Press up to edit|w?\d{0,3}$"
)
"""What stands behind the mark of what is typed, and asks for nothing: choices, hints and commands of the terminal."""


@dataclass(slots=True)
class _Block:
    kind: str
    """`said`, `call`, `typed`, `left`: nobody knows of what; `none`: decoration."""
    lines: list[str] = field(default_factory=list)
    came: list[list[str]] = field(default_factory=list)
    blank: bool = False
    state: str = ""
    """Of a call in a box, how it went."""


class Screen:
    """Of one session. Fed with what was shown, in its order."""

    def __init__(self) -> None:
        self._marks = ""
        """Before what is said and done."""
        self._open = ""
        """The number of a call that nothing came of yet."""
        self._waits: Used | None = None
        self._count = 0
        self._last = "left"

    def parts(self, text: str) -> list[Part] | None:
        """None: it is no such thing."""
        if found := _CERTAIN.search(text):
            self._marks += "•" if found[0][0] == "•" else "⏺●✦"
        if not self._marks:
            return None
        parts: list[Part] = []
        blocks = _blocks(text.split("\n")[:MAX_LINES], "said" if self._last == "said" else "left", self._marks)
        for place, block in enumerate(blocks[:MAX_BLOCKS]):
            parts += self._told(block, is_first=place == 0)
        self._last = blocks[-1].kind if blocks else self._last
        return parts

    def _told(self, block: _Block, *, is_first: bool) -> Iterator[Part]:
        waits = self._waits
        if block.kind != "none":
            self._waits = None
        if block.kind == "left" and block.came and is_first and waits:
            for part in waits.came(block.came):
                if part.type == "answer" and part.payload["tool_response"] is None:
                    part = answer(_REFUSED, failed=True)[0]
                yield part._replace(id=self._open) if part.type == "answer" else part
            return
        text = "\n".join(block.lines).strip()
        match block.kind:
            case "call":
                yield from self._called(used(text, block.state), block, text)
            case "typed" if text.startswith("!"):
                yield from self._called(Used("Bash", {"command": text[1:].strip()}, "shell"), block, text)
            case "typed" if not _MENU.match(text):
                yield from said(text.removeprefix("#").strip(), "assistant" if is_of_a_program(text) else "user")
            case "said":
                yield from said(text)
            case "left":
                text = "\n".join([text, *("\n".join(lines) for lines in block.came)]).strip()
                yield from _left(text)

    def _called(self, asked: Used | None, block: _Block, text: str) -> Iterator[Part]:
        if asked is None:
            return
        if block.came or not asked.waits:
            for part in asked.came(block.came):
                if part.type == "use":
                    yield part
                elif part.payload["tool_response"] is not None:
                    told = part.payload
                    yield from use(asked.name, asked.given, told["tool_response"], failed=told["is_error"])
        elif asked.kind == "other" and "(MCP)" not in text:
            yield from said(text)
        else:
            self._count += 1
            self._open, self._waits = f"screen {self._count}", asked
            yield from call(asked.name, asked.given, self._open)


class Screens:
    """What is shown in each session."""

    def __init__(self) -> None:
        self._of: dict[Hashable, tuple[Screen, Steps]] = {}

    def parts(self, session: Hashable, kind: str, payload: Any) -> list[Part] | None:
        """None: it is no such thing."""
        if kind not in _PRINTED:
            return None
        if isinstance(payload, Mapping) and payload.get("stream") != "stderr":
            payload = first(payload, "text", "output", "content", "stdout", "message")
        text = cleaned(payload).replace("\xa0", " ") if isinstance(payload, str) else ""
        if not text:
            return None
        screen, steps = self._of.setdefault(session, (Screen(), Steps()))
        found = screen.parts(text)
        found = steps.parts(text) if found is None else found
        return list(_left(text)) if found is None and _ADDED_LINE.search(text) else found


def _left(text: str) -> Iterator[Part]:
    if kept := "\n".join(line for line in text.split("\n") if not _ADDED.match(line)).strip():
        yield Part("output", {"text": kept})


def is_shown(text: str) -> bool:
    """Whether it is surely of such a terminal."""
    return _CERTAIN.search(text) is not None


def begins(line: str) -> bool:
    """Whether something new is told from this line on, where it is of such a terminal."""
    return _BEGINS.match(line) is not None


def _blocks(lines: Iterable[str], first: str, marks: str) -> list[_Block]:
    """What belongs together."""
    blocks = [_Block(first)]
    boxed: _Block | None = None
    for raw in lines:
        line = raw[:_LINE].rstrip()
        now = blocks[-1]
        if not line.strip():
            now.blank = True
            _add(now, "")
            continue
        edge = line[:2].lstrip()[:1]
        if edge == "╭" and line.lstrip()[1:3] == "──":
            boxed = _Block("none")
            blocks.append(boxed)
            continue
        if edge in ("│", "┃"):
            if boxed is None:  # it begins in the midst of it
                boxed = _Block("none")
                blocks.append(boxed)
            _in_box(blocks, boxed, line.lstrip()[1:].rstrip("│┃").rstrip().removeprefix(" "))
            boxed = blocks[-1]
            continue
        if boxed is not None:
            boxed = None
            if line.lstrip()[:1] == "╰":
                blocks.append(_Block("none"))
                continue
        if _THINKS.match(line):
            blocks.append(_Block("none"))
        elif _NOISE.match(line):
            continue
        elif (inner := _CAME.match(line)) and (line.lstrip()[0] == "⎿" or (now.kind == "call" and not now.came)):
            now = _with_answer(blocks)
            now.came.append([inner[1]])
            now.blank = False
        elif (found := _MARKED.match(line)) and found[1] in marks:
            blocks.append(_marked(found[1], found[2]))
        elif found := _TYPED.match(line):
            if (found[1] or "").strip():
                blocks.append(_Block("typed", [found[1].strip()]))
        elif line[0] not in " \t" and _is_over(now):
            blocks.append(_Block("left", [line]))
        else:
            _add(now, line)
            now.blank = False
    return blocks


def _with_answer(blocks: list[_Block]) -> _Block:
    """The last block, where something can come of it."""
    if blocks[-1].kind not in ("call", "left", "none") and not (
        blocks[-1].kind == "typed" and blocks[-1].lines[0][:1] in "!/"
    ):
        blocks.append(_Block("none"))
    return blocks[-1]


def _is_over(block: _Block) -> bool:
    if block.kind == "call":
        return block.blank and (bool(block.came) or block.lines[-1].endswith((")", ")…")))
    return block.blank and block.kind in ("typed", "none")


def _add(block: _Block, line: str) -> None:
    if block.came:
        block.came[-1].append(line[5:] if line[:5].isspace() else line.lstrip() if line[:1] == " " else line)
    else:
        block.lines.append(line[2:] if line[:2].isspace() else line)


def _marked(mark: str, text: str) -> _Block:
    if mark in "⏺●" and (_CALLED.match(text) or _PLANNED.match(text)) and not _is_sentence(text):
        return _Block("call", [text])
    if mark == "•" and _RAN.match(text):
        return _Block("call", [text])
    return _Block("said", [text])


def _is_sentence(text: str) -> bool:
    """Names of tools begin with a capital, or are those of a server; a sentence may name a function."""
    found = _CALLED.match(text)
    return found is not None and not found[1][:1].isupper() and "(MCP)" not in found[1]


def _in_box(blocks: list[_Block], boxed: _Block, line: str) -> None:
    """In a box stands what was typed, or a call and what came of it."""
    if found := _BOX_TOOL.match(line):
        blocks.append(_Block("call", [f"{found[2]} {found[3] or ''}".strip()], [], state=found[1]))
    elif found := _TYPED.match(line):
        blocks.append(_Block("typed" if (found[1] or "").strip() else "none", [(found[1] or "").strip()]))
    elif boxed.kind == "call":
        if not line.strip() and not boxed.came:
            boxed.came.append([])
        elif boxed.came:
            boxed.came[-1].append(line[3:] if line[:3].isspace() else line)
        else:
            boxed.lines.append(line.strip())
    elif boxed.kind == "typed" and line.strip():
        boxed.lines.append(line.strip())
