"""A session as a whole: what was asked, done, decided and learned, and what is open."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from uuid import UUID

from muster.domain.memory import Event, Made, NewObservation
from muster.domain.rules import learned as lore
from muster.domain.rules import pipelines, unfinished, worth
from muster.domain.rules.cut import cut_off
from muster.domain.rules.json import MAX_FILES, line_of
from muster.domain.rules.labels import Label, label_of, unlabelled
from muster.domain.rules.reading import Act, Kind, read_all
from muster.domain.rules.runs import joined
from muster.domain.rules.sentences import sentences
from muster.domain.rules.talk import asked_in
from muster.domain.rules.text import language_of, one_line, unique

MAX_SOURCES = 200
LINES_OF_EACH = 8
ASKED_CHARS = 240
_LONG = 60
"""Letters by which what was cut off is known to be the same."""
_FIRST = 100.0
"""What it counts to have been asked first."""
ENOUGH = 4
"""Lines beside which those that say next to nothing are left out."""
_LIGHT = 0.1
_TELLING = 3
"""Words by which what is open is known to be the same."""
_LITTLE = frozenset("the and for that with this from into still open pendi".split())  # noqa: SIM905
TITLE_CHARS, OUTCOME_CHARS = 185, 130
"""Of a title that says how it came out, too, and of what says so: the task is what gets shorter."""

_DONE = frozenset({"feature", "bugfix", "refactor", "change"})
_LEARNED = frozenset({"discovery", "fact", "preference"})

_BESIDES = re.compile(r"[,;:] |,? (?:and|which|so that|where|because|with) ")

_CAUSE = re.compile(
    r"\broot cause\b|\bcause (?:was|is)\b|\bursache\b|原因|원인|السبب|سبب ال|причин|\bkök neden|\b(?:neden|sebeb)i\b|"
    r"\bprzyczyn|nguyên nhân|สาเหตุ|कारण",
    re.IGNORECASE,
)
_PUT_RIGHT = re.compile(
    r"\b(?:fix\w{0,5}|(?:re|un)?solved|resolved|mended|repaired|corrected|patched|replaced|restored|changed|removed|"
    r"added|updated|upgraded|renewed|raised|restarted|reverted|rolled back|switched|moved|now|no longer|gone|again|"
    r"works?|workaround|solution|so (?:i|we)|behoben|gelöst|repariert|korrigiert|ersetzt|erneuert|jetzt|wieder)\b|"
    r"修|解决|解決|直し|更新|替换|改|수정|해결|복구|고쳤|고쳐|갱신|교체|أصلح|حلل|عالج|إصلاح|تم حل|معالجة|جدد|تجديد|"
    r"ठीक|हल |बदल|düzelt|gider|çöz|onar|yenile|değiştir|napraw|rozwiąz|usun|odnow|wymien|zmieni|исправ|починил|устран|"
    r"реш[её]н|решили|обнов|замен|виправ|полагод|усун|вирішен|вирішили|оновил|замін|đã |แก้|เปลี่ยน",
    re.IGNORECASE,
)


def summarise(
    title: str | None,
    events: Sequence[Event],
    observations: Sequence[NewObservation],
    *,
    ended: bool = True,
    count: int = 0,
) -> Made:
    """`observations` are those made of the events, and of what came before them: of `count` in all. A rolling summary
    covers what came since the last."""
    told = [observation for observation in observations if observation.type != "summary"]
    every = joined(read_all(events))
    acts = [act for act in every if act.kind is not Kind.NOTHING]
    asked = _asked(acts, told)
    decided, more_decided = _telling(told, {"decision"})
    # What failed before these events may have passed before them, too.
    known = {event.id for event in events}
    failing = unfinished.failing([o for o in told if not (o.sources and known.isdisjoint(o.sources))], acts)
    over = [o for o in failing if unfinished.passed_since(o, acts)]
    # What still fails is not done, whatever is said of it.
    reached = worth.outcome(acts, said=len(over) == len(failing))
    left = (
        *(one_line(o.title, 160) for o in failing if o not in over),
        *filter(None, [pipelines.red(acts)]),
        *(line for line in unfinished.left_to_do(acts) if not worth.is_courtesy(line)),
        *cut_off(events, acts),
    )
    done, more_done = _telling(
        (o for o in told if not _only_explains(o)), _DONE, worth.done_worth, besides=left, first=reached
    )
    opened = _each_once(left)
    learnt = [o for o in told if o.type in _LEARNED or _only_explains(o)]
    known_already = (*asked, *done, *left, *unfinished.left_and_done(acts))
    learned, more_learned = _telling(
        learnt, _LEARNED | {"bugfix"}, lore.weigher(learnt), line=lore.line, besides=known_already, enough=2, best=True
    )
    passed = [one_line(f"{one_line(o.title, 130)}; run again, it passed", 160) for o in over]
    sections = (
        ("Asked", asked), ("Done", [*done, *_more(more_done)]), ("Decided", [*decided, *_more(more_decided)]),
        ("Learned", unique((*learned, *_more(more_learned), *passed), 2 * LINES_OF_EACH)), ("Open", opened),
        ("How it ended", _ending(acts)),
    )  # fmt: skip
    named = {name for name, lines in sections if lines}
    if not named - {"How it ended"} or (named <= {"Learned", "How it ended"} and worth.is_idle(every)):
        return Made(note="nothing happened in it that a summary could tell")
    narrative = "\n\n".join(
        f"{name}:\n" + "\n".join(f"- {line}" for line in lines) for name, lines in sections if lines
    )
    gist = title or worth.task_of(asked) or (done or asked or decided or learned or passed or opened)[0]
    if reached and ended and not opened and len(asked) <= 1 and gist != reached:
        outcome = _shortly(reached)
        gist = f"{one_line(gist, TITLE_CHARS - len(outcome)).rstrip(':：')} – {outcome}"
    modified = unique((path for o in told for path in o.files_modified), MAX_FILES)
    return Made(
        observations=[
            NewObservation(
                type="summary",
                title=one_line(f"{'Summary' if ended else 'So far'}: {gist}", 200),
                subtitle=_count(told, max(count, len(events))),
                narrative=narrative[:8000],
                facts=unique((*decided, *(f"Open: {_open(line)}" for line in opened)), 16),
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


def _shortly(reached: str) -> str:
    """Up to what it says besides, where all of it is too long."""
    if len(reached) <= OUTCOME_CHARS:
        return reached
    ends = [found.start() for found in _BESIDES.finditer(reached, OUTCOME_CHARS // 3, OUTCOME_CHARS)]
    return f"{reached[: ends[-1]]}." if ends else one_line(reached, OUTCOME_CHARS)


def _only_explains(told: NewObservation) -> bool:
    """Whether it says why something went wrong, and not a word of its being put right."""
    if told.type != "bugfix" or told.files_modified:
        return False
    text = f"{told.title}\n{told.narrative or ''}"[:4000]
    return _CAUSE.search(text) is not None and not _PUT_RIGHT.search(text)


def _each_once(lines: Iterable[str]) -> list[str]:
    """With a label and without, in other words or with more of them, it is the same."""
    found: dict[str, str] = {}
    for line in unique(lines, 4 * LINES_OF_EACH):
        found.setdefault(_bare(line), line)
    told: list[str] = []
    for line in found.values():
        same = next((n for n, other in enumerate(told) if _says_no_more(line, other) or _says_no_more(other, line)), -1)
        if same < 0:
            told.append(line)
        elif not _says_no_more(line, told[same]):
            told[same] = line
    return told[:LINES_OF_EACH]


def _says_no_more(line: str, other: str) -> bool:
    """By its words: of what failed, each is its own."""
    words = _words(line)
    return len(words) >= _TELLING and " fails: " not in f"{line}{other}" and words <= _words(other)


def _words(line: str) -> frozenset[str]:
    found = re.findall(r"\w{3,60}", unlabelled(line).casefold())
    return frozenset(word[:5] if word.isalpha() else word for word in found) - _LITTLE


def _bare(line: str) -> str:
    return (unlabelled(line).lstrip("-*•– ") or line).casefold().rstrip(". ")


def _open(line: str) -> str:
    """Without a label that says so again."""
    return line if label_of(line) is Label.BLOCKED else unlabelled(line) or line


def _telling(
    told: Iterable[NewObservation],
    kinds: Iterable[str],
    weigh: Callable[[NewObservation], float] = lambda one: one.importance,
    *,
    line: Callable[[NewObservation], str] = lore.whole,
    besides: Iterable[str] = (),
    first: str = "",
    enough: int = ENOUGH,
    best: bool = False,
) -> tuple[list[str], int]:
    """Those that count most, in the order in which they came, and how many more there are. Of what counts the same, the
    latest, and of what came before it some from everywhere. What is worth nothing is told where nothing else is.
    `best`: in the order of what they are worth. `first`: before all."""
    known = set(besides)
    weights: dict[str, float] = {}
    for observation in told:
        if observation.type not in kinds or one_line(observation.title, 160) in known:
            continue
        said = line(observation)
        if not any(said == other or (len(other) > _LONG and lore.is_same(said, other)) for other in known):
            weights[said] = max(weights.get(said, 0.0), round(weigh(observation), 2))
    if first:
        weights = {said: weight for said, weight in weights.items() if not lore.is_same(said, first)}
    weights = {said: weight for said, weight in weights.items() if weight > 0} or ({} if first else weights)
    if sum(weight >= _LIGHT for weight in weights.values()) >= enough:
        weights = {said: weight for said, weight in weights.items() if weight >= _LIGHT}
    lines, more = _weightiest(weights, LINES_OF_EACH - bool(first))
    if best:
        lines.sort(key=lambda line: -weights[line])
    return [*([first] if first else []), *lines], more


def _weightiest(weights: dict[str, float], most: int) -> tuple[list[str], int]:
    if len(weights) <= most:
        return list(weights), 0
    least = sorted(weights.values(), reverse=True)[most - 1]
    chosen = {line for line, weight in weights.items() if weight > least}
    equals = [line for line, weight in weights.items() if weight == least]
    room = most - len(chosen)
    latest = room - room // 2
    earlier = equals[:-latest]
    chosen |= {*equals[-latest:], *(earlier[n * len(earlier) // (room // 2)] for n in range(room // 2))}
    return [line for line in weights if line in chosen], len(weights) - len(chosen)


def _more(count: int) -> list[str]:
    return [f"and {count} more"] if count else []


def _asked(acts: Sequence[Act], told: Sequence[NewObservation]) -> list[str]:
    """In the order in which it was said, and of much that was, what says most by itself. An observation of it is the
    same once more."""
    prompts = [(act.event.occurred_at, one_line(line, ASKED_CHARS)) for act in acts if (line := _request(act))]
    said = {act.event.id for act in acts if _request(act)}
    noted = [
        (o.occurred_at or datetime.min.replace(tzinfo=UTC), one_line(lore.whole(o), ASKED_CHARS))
        for o in told
        if o.type == "request" and said.isdisjoint(o.sources) and worth.is_asked(o, acts)
    ]
    lines = [line for _, line in sorted([*prompts, *noted], key=lambda one: one[0])]
    wanted = unique(filter(worth.is_request, lines), MAX_SOURCES)
    if len(wanted) <= LINES_OF_EACH:
        return wanted
    weights = {line: worth.asked_worth(line) + _FIRST * (n == 0) for n, line in enumerate(wanted)}
    return _weightiest(weights, LINES_OF_EACH)[0]


def _request(act: Act) -> str:
    if act.kind is Kind.STARTED:
        return act.title or next(iter(sentences(act.text, 1)), act.text)
    return act.title if act.kind is Kind.PROMPT and act.title else asked_in(act)


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
    """The events of what it tells, then of the latest there are: bounded, and the most telling first."""
    by_weight = sorted(told, key=lambda o: -o.importance)
    found = dict.fromkeys(source for o in by_weight for source in o.sources)
    for event in events:
        if len(found) >= MAX_SOURCES:
            break
        found.setdefault(event.id)
    return list(found)[:MAX_SOURCES]
