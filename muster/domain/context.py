"""What an agent is told of what is known: Markdown that keeps to a budget of tokens."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

Row = Mapping[str, Any]

DECISIONS, ERRORS, FACTS, PREFERENCES, QUESTIONS, REQUESTS, SUMMARIES, OPEN, FILES = (
    "Decisions", "Errors and fixes", "Facts", "Preferences", "Questions asked", "Asked for before", "Recent summaries",
    "Left open", "About these files",
)  # fmt: skip
GROUPS = (DECISIONS, ERRORS, FACTS, PREFERENCES, QUESTIONS, REQUESTS, FILES, SUMMARIES, OPEN)
ASKED = frozenset((QUESTIONS, REQUESTS))
"""What somebody wanted, and not what is known."""

_OF_TYPE = {
    "decision": DECISIONS, "convention": DECISIONS, "bugfix": ERRORS, "error": ERRORS, "failure": ERRORS,
    "question": QUESTIONS, "request": REQUESTS, "preference": PREFERENCES,
}  # fmt: skip
_LETTERS = re.compile(r"[A-Za-z ]")
_PARTED = re.compile(r"[.!?:;,…–—-]*(?:\s+(?:[–—-]\s+)?|$)")
_SECTION = re.compile(r"(?:^|\n\n)(Asked|Done|Decided|Learned|Open|How it ended):\n")
_NOTHING = re.compile(r"[- ]*(?:and \d{1,6} more|completed)?")
_SHARES = {"Open": 0.35, "Decided": 0.15, "Learned": 0.3, "Done": 0.2, "Asked": 0.1, "How it ended": 0.05}
"""The sections of a summary, as whoever goes on needs them, and how much of the room each may take while others want
some, too."""
_HEADING = "# What is known\n"
# Of what is told, wherever it is printed: also as a JSON string, with a name before it, with numbers of lines.
_NEW = r"(?:\\r)?(?:\\n|\n)"
_NUMBER = r"[ \t]*(?:\d+(?:[\t→:|]|\\t)[ \t]*)?"
_START, _END = rf"(?:^|{_NEW})(?:\w+: )?{_NUMBER}", rf"(?={_NEW}|\r|\"|$)(?:{_NEW}{_NUMBER}(?={_NEW}|$))*"
_REST = r"(?:(?!\\n)[^\n])*"
_TOLD_LINE = re.compile(
    rf"{_START}- \*\*{_REST}?\(\d{{4}}-\d\d-\d\d\) `[\da-f]{{8}}(?:-[\da-f]{{4}}){{3}}-[\da-f]{{12}}`{_END}"
    rf"(?:{_NEW}{_NUMBER}  - {_REST})*"
)
_TOLD_HEADING = re.compile(rf"{_START}#+ (?:What is known|{'|'.join(GROUPS)}){_END}")


_NAMED = 120
_DENSE = "\u2e80"
"""From here on, letters say as much as others' words."""
_SAYS_SOMETHING = 40
"""Letters of a title that was cut off and stands alone."""


class Told(NamedTuple):
    markdown: str
    """Empty: nothing is known."""
    items: list[Row]
    """What it tells, in its order, each with its `group`."""
    tokens: int


def tokens(text: str) -> int:
    """Never fewer than a model's own count, for any text we know of; about a quarter more for prose."""
    letters = len(_LETTERS.findall(text))
    ascii_rest = sum(1 for character in text if character < "\u0080") - letters
    near = sum(1 for character in text if "\u0080" <= character < "\u0530")  # accents, Greek, Cyrillic
    far = len(text) - letters - ascii_rest - near
    return math.ceil(letters / 3.3 + ascii_rest / 1.2 + near / 1.4 + far * 1.6)


def group_of(item: Row) -> str:
    return SUMMARIES if item.get("summary") else _OF_TYPE.get(item["type"], FACTS)


def tell(chosen: Iterable[tuple[str, Row]], budget: int) -> Told:
    """`chosen`: the most important first, with their groups; a group comes where its first does. What does not fit in
    full is told shortly, or not."""
    left = budget - tokens(_HEADING)
    lines: dict[str, list[tuple[str, Row]]] = {}
    seen: set[str] = set()
    for place, (group, item) in enumerate(chosen):
        # No one item takes all the room; but what matters most is told with what it says.
        share = max(80, budget // (2 if place < 2 else 5))
        same = " ".join(re.findall(r"\w+", item["title"].casefold()))
        if item["id"] in seen or same in seen:
            continue
        heading = 0 if group in lines else tokens(f"\n## {group}\n")
        for line in _forms(item, group, alone=not lines):
            cost = tokens(line)
            if cost <= share and cost + heading <= left:
                lines.setdefault(group, []).append((line, item))
                left -= cost + heading
                seen |= {item["id"], same}
                break
    if not lines:
        return Told("", [], 0)
    parts = [_HEADING]
    told: list[Row] = []
    for group, of_group in lines.items():
        parts += [f"\n## {group}\n", *(line for line, _ in of_group)]
        told += [{**item, "group": group} for _, item in of_group]
    return Told("".join(parts), told, budget - left)


def without_told(text: str) -> str:
    """Whoever prints what it was told has not found it out."""
    if ") `" not in text or not _TOLD_LINE.search(text):
        return text
    return _TOLD_HEADING.sub("", _TOLD_LINE.sub("", text))


def is_open(item: Row) -> bool:
    """Whether a summary says that something is."""
    return "Open" in _sections(item.get("narrative") or "")


def _forms(item: Row, group: str, *, alone: bool) -> Sequence[str]:
    """Ever shorter, but not cut down to what says nothing where there is something else."""
    title, day = _line(item["title"], 300), str(item["occurred_at"])[:10]
    head, tail = f"- **{title}**", f" ({day}) `{item['id']}`\n"
    narrative = _after_title(item["title"], item.get("narrative") or "") or item.get("subtitle") or ""
    sections = _sections(item.get("narrative") or "") if item.get("summary") else {}
    if group == OPEN and "Open" in sections:
        sections = {"Open": sections["Open"]}
    sizes = (240, 120) if group == OPEN else (800, 480, 240, 120)
    said = [_shared(sections, most) if sections else _line(narrative, most) for most in sizes] if narrative else []
    facts = "".join(f"  - {_line(fact, 300)}\n" for fact in item.get("facts", ())[:5]) if not sections else ""
    told = [f"{head} {one}{tail}" for one in dict.fromkeys(said) if one]
    named = [] if title.endswith("…") and len(title) < _SAYS_SOMETHING else [head + tail]
    shorter = (_NAMED, 60, *((20,) if max(title[:20]) > _DENSE else ())) if alone else (_NAMED,)
    named += [f"- **{_line(title, most)}**{tail}" for most in shorter if most < len(title)]
    forms = [*told, *named] or [head + tail]
    return (forms[0] + facts, *forms) if facts else forms


def _sections(narrative: str) -> dict[str, list[str]]:
    """The lines of a summary by their headings."""
    parts = _SECTION.split(narrative)
    found = {
        name: [line.removeprefix("- ").strip() for line in text.split("\n") if not _NOTHING.fullmatch(line)]
        for name, text in zip(parts[1::2], parts[2::2], strict=True)
    }
    return {name: lines for name, lines in found.items() if lines}


def _shared(sections: Mapping[str, Sequence[str]], most: int) -> str:
    """Whole lines of each, as far as there is room: what is open before what was done."""
    kept: dict[str, list[str]] = {}
    left = most
    for fair in (True, False):  # what one leaves over is for the others
        for name in _SHARES:
            lines, room = sections.get(name, ()), most * _SHARES[name] if fair else left
            for line in lines[len(kept.get(name, ())) :]:
                cost = len(line) + (2 if name in kept else len(name) + 4)
                if cost > min(room, left):
                    break
                kept.setdefault(name, []).append(line.rstrip(".;:： "))
                room, left = room - cost, left - cost
    first = next((name for name in _SHARES if name in sections), "")
    if not kept and first:
        kept = {first: [_line(sections[first][0], most)]}
    told = (f"{name}: {'; '.join(kept[name])}" for name in _SHARES if name in kept)
    return " ".join(one if one.endswith(("!", "?", "…")) else f"{one}." for one in told)


def _after_title(title: str, narrative: str) -> str:
    """What it says that the title, with which it may begin, does not."""
    said, rest = title.strip().rstrip(".…:"), narrative.strip()
    parted = _PARTED.match(rest, len(said)) if said and rest.casefold().startswith(said.casefold()) else None
    return rest[parted.end() :] if parted else rest


def _line(text: str, most: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
