"""The tools that coding agents name in a terminal, as what they are given elsewhere, and what came of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from muster.domain.shapes.parts import Part, answer, use

MAX_OUTPUT_LINES = 2_000
MAX_SHOWN_LINES = 40
"""Of an edit in which no line is marked as new."""
MAX_SHOWN_CHARS = 2_000

_CALLED = re.compile(r"([A-Za-z][\w.:/ -]{0,120}(?: \(MCP\))?)\((.*)$", re.DOTALL)
_MCP = re.compile(r"[\w.:/ -]{1,80} - ([\w.:/-]{1,60}) \(MCP\)")
_CUT = re.compile(r"(?:\s{0,9}(?:…|\.\.\.)){1,3}\s{0,9}\(ctrl[+-]\w to expand\)\s{0,9}\Z")
"""How a command ends that is too long to be shown."""
_COMMITTED = re.compile(r"^\[[\w./-]{1,80} (?:\([\w -]{1,30}\) )?[0-9a-f]{6,40}\] ([^\n]{1,400})$", re.MULTILINE)
_READ_TOO = re.compile(r"\s{0,9}(?:Read \S[^\n]{0,300} \(\d{1,6} lines?\)|[\w./-]{1,200}\.md)\s{0,9}")
"""What the program says of files that it shows the agent of itself."""
_ENDS = re.compile(r"\)(?:…|\.\.\.)?\s*$")
_RAN = re.compile(r"(Ran|Running|Edited|Added|Deleted|Explored|Exploring|Updated Plan)\b ?(.*)", re.DOTALL)
_COUNTED = re.compile(r" \(\+\d+ -\d+\)\s*$")
_FIELD = re.compile(r'\b(pattern|path|query|url|file_path|glob|description): ?("?)([^"\n]{1,400})\2(?=,|$|\))')
_SAYS_WHY = re.compile(r" (?:\[[^\]\n]{1,300}\] ?)?\(([^()\n]{8,300})\)$")
_PLACED = re.compile(r" \[(?:current working directory|in) [^\]\n]{1,300}\]")

_SHELL = frozenset({"bash", "shell", "ran"})
_EDITS = frozenset({"update", "edit", "multiedit", "notebookedit"})
_WRITES = frozenset({"write", "create", "writefile"})
_READS = frozenset({"read", "readfile", "view"})
_SEARCHES = {"search": "Grep", "grep": "Grep", "glob": "Glob", "list": "LS", "ls": "LS", "searchtext": "Grep",
             "findfiles": "Glob", "readfolder": "LS", "readmanyfiles": "Glob"}  # fmt: skip
_OTHERS = frozenset({"task", "call", "agent", "explore", "plan"})
_WEB = {"fetch": "WebFetch", "webfetch": "WebFetch", "web fetch": "WebFetch", "web search": "WebSearch",
        "websearch": "WebSearch", "googlesearch": "WebSearch"}  # fmt: skip
_INSTEAD_OF_WORDS = re.compile(
    r"\((?:no (?:content|output|changes)|empty|timeout [^)]{1,40}|todo list is empty)\)\s*$|"
    r"(?:Waiting|Running)(?:…|\.\.\.)|Running in the background|Allowed (?:by|\d+ tools)|Done\s*$",
    re.IGNORECASE,
)
_LEFT_OUT = re.compile(r"\s{0,12}(?:…|\.\.\.) ?\+?\d+ (?:more )?lines?\b|\s{0,8}\(ctrl[+-]\w to [^)\n]{1,40}\)\s*$")
_NOT_DONE = re.compile(
    r"(?:Error: )?(?:Interrupted\b|No \(tell Claude|User rejected\b|The user doesn['’]t want|User declined|"
    r"\[Request interrupted|Request cancelled|Tool use rejected)",
    re.IGNORECASE,
)
_ERROR = re.compile(r"Error: ?(?=\S)|(?=Error (?:editing|writing|reading) file)|(?=String to replace not found)")
_NUMBERED = re.compile(r" {0,8}(\d{1,6}) ?([ +-])(.*)$")
_CHANGED = re.compile(r"(Wrote \d+ lines to|Updated|Added \d+ lines? to|The file) ([^\s,]{1,300})")
_COUNTS = re.compile(r" with (?:(\d{1,6}) additions?(?: and (\d{1,6}) removals?)?|(\d{1,6}) removals?)")
_STEP = re.compile(r"\s{0,6}([☐☒☑✔◻◼□■]) ?(.*)$")
_STATES = {"☒": "completed", "☑": "completed", "✔": "completed", "◼": "in_progress", "■": "in_progress"}


@dataclass(slots=True)
class Used:
    """A tool, and what it was given."""

    name: str
    given: dict[str, Any] = field(default_factory=dict)
    kind: str = "other"
    state: str = ""
    waits: bool = True
    """Whether nothing is known of it before something comes of it."""

    def came(self, answers: Sequence[Sequence[str]]) -> Iterator[Part]:
        """What came of it. Nothing, where it was not done."""
        texts = [text for lines in answers if (text := _text(lines)) or not lines]
        texts = [text for number, text in enumerate(texts) if not (number and _READ_TOO.fullmatch(text[:400]))]
        said = "\n".join(words for text in texts if (words := _words(text)))
        if _NOT_DONE.match(said) or self.state in ("-", "?"):
            yield from answer(None, failed=True)
            return
        waits = not said and any(map(str.strip, texts)) and all(map(_only_waits, texts))
        if waits or self.state in ("o", "⊷"):
            return
        found = _ERROR.match(said)
        failed = found is not None or self.state in ("x", "✗")
        said = said[found.end() :] if found else said
        match self.kind:
            case "shell":
                self.given["command"] = _with_message(self.given["command"], said)
            case "edit" if not failed:
                self.given.update(_changes(said, whole=self.name == "Write"))
                said = said.partition("\n")[0] if _CHANGED.match(said) else ""
            case "read" | "search" if not failed:
                said = ""
            case "others" if not failed:
                for path in dict.fromkeys(found[2] for text in texts for found in _CHANGED.finditer(text)):
                    yield from use("Edit", {"file_path": path.rstrip(".")}, "")
                return
            case "others":
                return
            case "todos":
                return
        yield from answer(said, failed=failed)


def used(text: str, state: str = "") -> Used | None:
    """What is called. None: nothing that is worth telling, or nobody knows."""
    if state:
        name, _, rest = text.partition(" ")
        return _of(name, rest.strip(), state)
    if text.startswith(("Update Todos", "Updated Plan", "Update Plan", "Updated Todos")):
        return _Todos("TodoWrite", {}, "todos")
    if text.startswith("Read Todos"):
        return None
    if found := _RAN.match(text):
        return _of_codex(found[1], found[2])
    if not (found := _CALLED.match(text)):
        return None
    name = inner[1] if (inner := _MCP.match(found[1])) else found[1].strip()
    return _of(name, _ENDS.sub("", found[2]).strip(), state)


def _of_codex(name: str, rest: str) -> Used | None:
    rest = _COUNTED.sub("", rest.strip())
    if name in ("Ran", "Running"):
        return Used("Bash", {"command": re.sub(r"\n[ \t]*│ ?", "\n", rest)}, "shell")
    if name in ("Edited", "Added") and rest and "\n" not in rest.split(" (")[0] and not rest[:1].isdigit():
        path, _, diff = rest.partition("\n")
        path = _COUNTED.sub("", path)
        given = _changes(diff, whole=False) if diff else {}
        return Used("Write" if name == "Added" else "Edit", {"file_path": path, **given}, "edit", waits=False)
    return None


def _of(name: str, rest: str, state: str) -> Used | None:
    known = name.lower()
    if known in _SHELL:
        about, rest = "", _whole(rest)
        if state:
            if found := _SAYS_WHY.search(rest):
                about, rest = found[1], rest[: found.start()]
            rest = _PLACED.sub("", rest).strip()
        given = {"command": rest, "description": about} if about else {"command": rest}
        return Used("Bash", given, "shell", state) if rest else None
    if known in _EDITS or known in _WRITES:
        path = rest.removeprefix("Writing to ") if state else rest
        path = path.split(": ")[0].strip() if state else _field(path, "file_path") or path.split(", ")[0]
        return Used("Write" if known in _WRITES else "Edit", {"file_path": path}, "edit", state) if path else None
    if known in _READS:
        return Used("Read", {"file_path": _field(rest, "file_path") or rest.split(" · ")[0]}, "read", state)
    if known in _SEARCHES:
        given = {key: value for key, _, value in _FIELD.findall(rest[:2000])} or {"pattern": rest[:400]}
        return Used(_SEARCHES[known], given, "search", state)
    if known in _OTHERS:
        return Used("Task", {"prompt": _field(rest, "description") or rest}, "others", state, waits=False)
    if known in _WEB:
        key = "url" if _WEB[known] == "WebFetch" else "query"
        return Used(_WEB[known], {key: _field(rest, key) or rest.strip('"')}, "web", state)
    return Used(name, {"input": rest}, "other", state)


def _whole(command: str) -> str:
    """Where it was cut off, what was quoted ends there."""
    if not (cut := _CUT.search(command[-80:])):
        return command
    command = command[: len(command) - len(command[-80:]) + cut.start()].rstrip("… .")
    return f'{command}…"' if command.count('"') % 2 else command


def _with_message(command: str, said: str) -> str:
    """What was committed stands whole in what git says."""
    if command.endswith('…"') and (found := _COMMITTED.search(said[:4000])):
        head, quote, part = command[:-2].rpartition('"')
        if quote and found[1].startswith(part[:80]):
            return f'{head}"{found[1].rstrip()}"'
    return command


def _field(text: str, name: str) -> str:
    return next((value for key, _, value in _FIELD.findall(text[:2000]) if key == name), "")


def _only_waits(text: str) -> bool:
    return text.startswith(("Waiting", "Running")) or not text.strip()


def _words(text: str) -> str:
    """Without what is shown in their place."""
    line, _, rest = text.partition("\n")
    return rest.strip("\n") if _INSTEAD_OF_WORDS.match(line) else text


def _text(lines: Sequence[str]) -> str:
    kept = [line.rstrip() for line in lines[:MAX_OUTPUT_LINES] if not _LEFT_OUT.match(line)]
    return "\n".join(kept).strip("\n")


def _changes(text: str, *, whole: bool) -> dict[str, Any]:
    """What an edit took out and put in, where signs say so; of a new file, what it holds."""
    lines = [found for line in text.split("\n")[:MAX_OUTPUT_LINES] if (found := _NUMBERED.match(line))]
    taken = [found[3] for found in lines if found[2] == "-"]
    put = [found[3] for found in lines if found[2] == "+"]
    if whole:
        rest = text.split("\n")[1:] if _CHANGED.match(text) else []
        content = [found[3] if (found := _NUMBERED.match(line)) else line for line in rest]
        return {"content": "\n".join(content)} if any(map(str.strip, content)) else {}
    if taken or put:
        return {"old_string": "\n".join(taken), "new_string": "\n".join(put)}
    return _unmarked(text)


def _unmarked(text: str) -> dict[str, Any]:
    """Where no signs say what is new: how many lines there are of each, and what was taken out. That has the numbers
    that it had, so the same come again behind it."""
    counted = _COUNTS.search(text.partition("\n")[0][:400])
    put, taken = (int(counted[1] or 0), int(counted[2] or counted[3] or 0)) if counted else (0, 0)
    lines = _shown(text)
    gone = _gone(lines)
    if taken and len(gone) == taken:
        out = [lines[at].text for at in gone if lines[at].text]
        if not put:
            return {"old_string": "\n".join(out), "new_string": ""}
        told = [_count(put, taken), *(f"- {line}" for line in out)]
    elif taken:
        # Nobody knows which of these lines there are still.
        return {"shown": _count(put, taken)}
    else:
        told = [_count(put, taken)] if put else []
    kept = [line.text for at, line in enumerate(lines[:MAX_SHOWN_LINES]) if line.text and not (taken and at in gone)]
    return {"shown": "\n".join([*told, *kept])} if told or kept else {}


def _count(put: int, taken: int) -> str:
    each = [(put, "added"), (taken, "removed")]
    return ", ".join(f"{count} line{'s' if count > 1 else ''} {what}" for count, what in each if count) + ":"


class _Line(NamedTuple):
    number: int
    text: str
    apart: bool
    """It does not stand below the one before it."""


def _gone(lines: Sequence[_Line]) -> list[int]:
    """Where those stand after which the numbers go back."""
    found: list[int] = []
    begins, jumped = 0, False
    for at in range(1, len(lines)):
        before, line = lines[at - 1].number, lines[at]
        if line.number == before + 1 and not line.apart:
            continue
        if line.number <= before and not line.apart:
            first = begins if jumped else at - (before + 1 - line.number)
            found += range(max(begins, first), at)
        begins, jumped = at, line.number > before + 1 and not line.apart
    return found


def _shown(text: str) -> list[_Line]:
    """The lines around a change that is not marked; a long one goes on below, without a number."""
    kept: list[_Line] = []
    apart = False
    for line in text.split("\n")[1:MAX_OUTPUT_LINES]:
        if line.strip() in ("...", "…"):
            apart = True
        elif found := _NUMBERED.match(f"{line} "):
            kept.append(_Line(int(found[1]), found[3].strip(), apart))
            apart = False
        elif kept and line[:4].isspace() and line.strip() and len(kept[-1].text) < MAX_SHOWN_CHARS:
            kept[-1] = kept[-1]._replace(text=f"{kept[-1].text} {line.strip()}")
    return kept


class _Todos(Used):
    """A list of what is to be done: it is what comes of it."""

    def came(self, answers: Sequence[Sequence[str]]) -> Iterator[Part]:
        items: list[dict[str, str]] = []
        for line in (line for lines in answers for line in lines):
            if found := _STEP.match(line):
                items.append({"content": found[2].strip(), "status": _STATES.get(found[1], "pending")})
            elif items and line.strip():
                items[-1]["content"] += f" {line.strip()}"
        if items:
            yield from use("TodoWrite", {"todos": items[:50]})
