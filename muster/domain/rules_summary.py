"""A session as a whole: what was asked, done, decided and learned, and what is open."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from uuid import UUID

from muster.domain import rules_commands as commands
from muster.domain import rules_outcomes as outcomes
from muster.domain.memory import Event, Made, NewObservation
from muster.domain.rules_json import MAX_FILES, line_of
from muster.domain.rules_reading import Act, Kind, read_all
from muster.domain.rules_sentences import sentences
from muster.domain.rules_stories import has_failed, placed
from muster.domain.rules_talk import is_courtesy
from muster.domain.rules_text import language_of, one_line, unique

MAX_SOURCES = 200
LINES_OF_EACH = 8

_DONE = frozenset({"feature", "bugfix", "refactor", "change"})
_LEARNED = frozenset({"discovery", "fact", "preference"})
_OPEN_WORDS = ("todo", "next step", "still need", "remains to", "remaining", "not yet", "follow-up", "follow up",
               "left to do", "later we", "unresolved", "blocked")  # fmt: skip


def summarise(
    title: str | None, events: Sequence[Event], observations: Sequence[NewObservation], *, ended: bool = True
) -> Made:
    """`observations` are those made of the events; a rolling summary covers what came since the last."""
    told = [observation for observation in observations if observation.type != "summary"]
    acts = [act for act in read_all(events) if act.kind is not Kind.NOTHING]
    asked = _asked(acts, told)
    done = _titles(told, _DONE)
    decided = _titles(told, {"decision"})
    learned = [one_line(o.title, 160) for o in sorted(told, key=lambda o: -o.importance) if o.type in _LEARNED]
    failing = _failing(told, acts)
    over = [o for o in failing if _passed_since(o, acts)]
    learned += [one_line(f"{one_line(o.title, 130)}; run again, it passed", 160) for o in over]
    learned = unique((line for line in learned if line not in asked), LINES_OF_EACH)
    opened = _open(acts, [o for o in failing if o not in over])
    ending = _ending(acts)
    sections = (
        ("Asked", asked), ("Done", done), ("Decided", decided), ("Learned", learned), ("Open", opened),
        ("How it ended", ending),
    )  # fmt: skip
    if not any(lines for name, lines in sections if name != "How it ended"):
        return Made(note="nothing happened in it that a summary could tell")
    narrative = "\n\n".join(
        f"{name}:\n" + "\n".join(f"- {line}" for line in lines) for name, lines in sections if lines
    )
    gist = title or (asked or done or decided or learned or opened)[0]
    modified = unique((path for o in told for path in o.files_modified), MAX_FILES)
    return Made(
        observations=[
            NewObservation(
                type="summary",
                title=one_line(f"{'Summary' if ended else 'So far'}: {gist}", 200),
                subtitle=_count(told, len(events)),
                narrative=narrative[:8000],
                facts=unique((*decided, *(f"Open: {line}" for line in opened)), 16),
                concepts=_most((concept for o in told for concept in o.concepts), 10),
                files_read=unique((p for o in told for p in o.files_read if p not in modified), MAX_FILES),
                files_modified=modified,
                language=language_of(narrative.replace("Learned:", "").replace("Asked:", "")),
                importance=0.7 if done or decided else 0.55,
                occurred_at=max((event.occurred_at for event in events), default=None),
                sources=_sources(told, events),
            )
        ]
    )


def untold(observations: Sequence[NewObservation]) -> list[NewObservation]:
    """Without what an earlier summary tells. That one stays: a session that is ended after each turn, as assistants do,
    would otherwise be told from its beginning every time."""
    until = max((o.occurred_at for o in observations if o.type == "summary" and o.occurred_at), default=None)
    return [o for o in observations if not (until and o.occurred_at and o.type != "summary" and o.occurred_at <= until)]


def _titles(told: Iterable[NewObservation], kinds: Iterable[str]) -> list[str]:
    return unique((one_line(o.title, 160) for o in told if o.type in kinds), LINES_OF_EACH)


def _asked(acts: Sequence[Act], told: Sequence[NewObservation]) -> list[str]:
    prompts = (
        one_line(act.title or _first_words(act.text), 160)
        for act in acts
        if act.kind in (Kind.PROMPT, Kind.STARTED) and (act.title or not is_courtesy(act.text))
    )
    return unique((*prompts, *(one_line(o.title, 160) for o in told if o.type == "request")), LINES_OF_EACH)


def _first_words(text: str) -> str:
    return next(iter(sentences(text, 1)), text)


def _failing(told: Sequence[NewObservation], acts: Sequence[Act]) -> list[NewObservation]:
    """What failed, and nothing that was mended later says that this was it."""
    tried = {act.event.id for act in acts if act.tool}
    errors = [(place, o) for place, o in enumerate(told) if o.type == "error"]
    return [
        o
        for place, o in errors
        if not any(
            _mends(later, o, said=tried.isdisjoint(o.sources)) for later in told[place + 1 :] if later.type == "bugfix"
        )
    ]


def _mends(fix: NewObservation, error: NewObservation, *, said: bool) -> bool:
    """What was tried is mended when it passes; what somebody only said, when somebody says it of the same."""
    if not said:
        return not set(fix.sources).isdisjoint(error.sources)
    about, mended = _words(error.title), _words(f"{fix.title} {(fix.narrative or '')[:300]}")
    return len(about & mended) >= min(2, max(1, len(about)))


_IDLE = frozenset(
    """
    error fails faile fixed still again there where which after befor withi while cause becau since
    """.split()  # noqa: SIM905
)


def _words(text: str) -> set[str]:
    """The beginnings of its long words: crash and crashes are the same."""
    return {word[:5] for word in re.findall(r"\w{4,40}", text.lower())} - _IDLE


def _open(acts: Sequence[Act], failing: Sequence[NewObservation]) -> list[str]:
    """What fails, what is still to do, and the question nobody answered."""
    found = [one_line(o.title, 160) for o in failing]
    plan = next((act for act in reversed(acts) if act.kind is Kind.PLAN and act.items), None)
    if plan:
        found += [one_line(what, 160) for what, state in plan.items if state not in ("completed", "done", "cancelled")]
    talk = [act for act in acts if act.kind in (Kind.MESSAGE, Kind.PROMPT)]
    for act in talk[-6:]:
        for line in sentences(act.text, 40):
            if any(words in line.lower() for words in _OPEN_WORDS):
                found.append(one_line(line, 160))
    if talk and talk[-1].text.rstrip().endswith(("?", "？")):
        found.append(one_line(sentences(talk[-1].text)[-1], 160))
    return unique(found, LINES_OF_EACH)


def _passed_since(error: NewObservation, acts: Sequence[Act]) -> bool:
    """Whether all that failed was done again, and did not."""
    failed = [(n, act) for n, act in enumerate(acts) if act.tool and act.event.id in error.sources and has_failed(act)]
    return bool(failed) and all(
        any(_passes(later, act) for later in acts[n + 1 :] if later.tool and not has_failed(later)) for n, act in failed
    )


def _passes(later: Act, failed: Act) -> bool:
    if not failed.command:
        return later.tool == failed.tool and later.data == failed.data
    return commands.covers(later.command, placed(failed)) or (
        commands.program(later.command) == commands.program(failed.command)
        and commands.picks(later.command, placed(failed), outcomes.failure(failed.text).tests, failed.text)
    )


def _ending(acts: Sequence[Act]) -> list[str]:
    last = next((act for act in reversed(acts) if act.kind is Kind.ENDED), None)
    if last is None:
        return []
    status = line_of(last.data, "status") or "ended"
    lines = [one_line(f"{status}: {last.text}" if last.text else status, 200)]
    result = next((act.text for act in reversed(acts) if act.kind is Kind.RESULT), "")
    return [*lines, *([f"Result: {one_line(result, 300)}"] if result else [])]


def _most(items: Iterable[str], most: int) -> list[str]:
    counts: dict[str, int] = {}
    for item in items:
        counts[item] = counts.get(item, 0) + 1
    return sorted(counts, key=lambda item: (-counts[item], item))[:most]


def _count(told: Sequence[NewObservation], events: int) -> str:
    kinds: dict[str, int] = {}
    for o in told:
        kinds[o.type] = kinds.get(o.type, 0) + 1
    parts = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    return one_line(f"{events} events" + (f": {parts}" if parts else ""), 300)


def _sources(told: Sequence[NewObservation], events: Sequence[Event]) -> list[UUID]:
    """The events of what it tells, else of all there is: bounded, and the most telling first."""
    known = {event.id for event in events}
    by_weight = sorted(told, key=lambda o: -o.importance)
    found = dict.fromkeys(source for o in by_weight for source in o.sources if source in known or not known)
    for event in events:
        if len(found) >= MAX_SOURCES:
            break
        found.setdefault(event.id)
    return list(found)[:MAX_SOURCES]
