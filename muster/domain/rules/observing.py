"""Agent events into observations. No network, no chance: the same makes the same.

What a second look at earlier events adds is told once, and what is told already is not told again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence, Set
from itertools import takewhile
from uuid import UUID

from muster.domain import purposes
from muster.domain.memory import Event, Made, NewObservation
from muster.domain.rules import outcomes, printed, refuted, unasked
from muster.domain.rules.agreed import decided
from muster.domain.rules.given import Choice
from muster.domain.rules.json import line_of
from muster.domain.rules.progress import progress_in, shape, without_progress
from muster.domain.rules.prompts import gist
from muster.domain.rules.reading import Act, Kind, read, read_after
from muster.domain.rules.records import recorded, with_fields
from muster.domain.rules.runs import joined
from muster.domain.rules.stories import broken
from muster.domain.rules.talk import asks_for_work, is_courtesy, is_labelled, is_of_user, said
from muster.domain.rules.text import concepts_of, language_of, one_line, pieces
from muster.domain.rules.work import Work
from muster.domain.shapes.parts import is_of_a_program

MAX_OUTPUT_PIECES = 6
_OF_CODE = 0.2
"""How much output weighs in which there is nothing but code."""
_A_FEW = 4
"""Lines of code."""
_TELLING = 16
"""Letters of a request that says what is wanted; "yes, go on" does not."""

_TOLD = frozenset({
    Kind.MESSAGE, Kind.PROMPT, Kind.CHOICE, Kind.OTHER, Kind.STARTED, Kind.OUTPUT, Kind.RESULT, Kind.ENDED,
    Kind.RECORD,
})  # fmt: skip
"""What is said, by whomever. All else is done."""
_WORKED = frozenset({
    Kind.READ, Kind.SEARCH, Kind.EDIT, Kind.COMMAND, Kind.WEB, Kind.DELEGATION, Kind.PLAN, Kind.CALL, Kind.TOOL,
})  # fmt: skip
"""By these, an agent is seen to work on what it was told."""
_Heard = dict[tuple[int, int], tuple[Act, Act | None, list[NewObservation]]]
"""What was made of an act by itself and the one before it, by their addresses, at which they stay as long. Most of the
time goes there, and all is looked at twice."""
_GROWS = frozenset({"error", "discovery", "change", "feature", "refactor"})
"""Types of what is told anew when more of it happens. All others end with what they end with."""


def observe(events: Sequence[Event], earlier: Sequence[Event] = ()) -> Made:
    """Observations of events in their order, and why there are none where there are none. `earlier`: what came right
    before, and was told of already; what it began may end here, as a failure does with the next run that passes, and
    what it called be answered. And what was asked for before that, which is what all of it is for."""
    new = {event.id for event in events}
    before, acts = read_after(earlier, events)
    heard: _Heard = {}
    made = _observe(events, [_once(act, new) for act in acts], heard, before)
    if all(is_of_user(act) or act.kind in (Kind.STARTED, Kind.NOTHING) for act in before):
        return made
    whole = _observe([*earlier, *events], [*before, *acts], heard).observations
    ended = [
        observation
        for observation in whole
        if observation.type not in _GROWS and new & set(observation.sources) and set(observation.sources) - new
    ]
    told = {source for observation in ended for source in observation.sources}
    stand = {(observation.type, observation.title, observation.narrative) for observation in whole}
    kept = [
        observation
        for observation in made.observations
        if not told.issuperset(observation.sources)
        # Several things may be in one event.
        or (observation.type, observation.title, observation.narrative) in stand
    ]
    return made.model_copy(update={"observations": kept + ended, "note": None if kept or ended else made.note})


def _once(act: Act, new: Set[UUID]) -> Act:
    """A call that is as good as done was told when it came, and its answer only says that it is."""
    if act.kind in (Kind.EDIT, Kind.PLAN) and not act.failed and act.call is not None and act.call not in new:
        return Act(act.event, Kind.NOTHING, note="told with its call")
    return act


def _observe(events: Sequence[Event], acts: Sequence[Act], heard: _Heard, before: Sequence[Act] = ()) -> Made:
    acts = joined(acts, before)
    by_session: dict[UUID, list[Act]] = {}
    for act in acts:
        by_session.setdefault(act.event.session_id, []).append(act)
    made = [
        _for_what(observation, place, session, [act for act in before if act.event.session_id == at])
        for at, session in by_session.items()
        for observation, place in _of_session(session, heard)
    ]
    made = [one.model_copy(update={"sources": [*dict.fromkeys(one.sources)]}) for one in made]
    places = {event.id: place for place, event in enumerate(events)}
    made.sort(key=lambda observation: places[observation.sources[0]])
    return Made(observations=made, note=None if made else _why_nothing(acts))


def worth_reading(event: Event) -> bool:
    """Whether there are words in it at all: of what has none, no generator can make anything."""
    return read(event).kind is not Kind.NOTHING


def called_before(earlier: Sequence[Event], events: Sequence[Event]) -> list[Event]:
    """Of what came right before, the calls of tools that are answered now."""
    calls = [event for event in earlier if read(event).kind is Kind.CALL]
    answered = {act.call for act in read_after(calls, events)[1]} if calls else set()
    return [event for event in calls if event.id in answered]


def _of_session(acts: Sequence[Act], heard: _Heard) -> list[tuple[NewObservation, int]]:
    """Each with the place of what it is of; -1: of several, which its sources name."""
    work = Work()
    made: list[tuple[NewObservation, int]] = []
    before: Act | None = None
    for place, act in enumerate(acts):
        if act.kind is Kind.NOTHING:
            continue
        if act.kind not in _TOLD:
            work.take(act)
        else:
            if (key := (id(act), id(before))) not in heard:
                told = recorded(act) if act.kind is Kind.RECORD else with_fields(act, _told(act, before))
                heard[key] = act, before, told
            if told := heard[key][-1]:
                work.turn()
                made += [(one, place) for one in told]
        before = act
    return refuted.weighed(made, acts) + [(one, -1) for one in work.end()]


def _told(act: Act, before: Act | None) -> list[NewObservation]:
    match act.kind:
        case Kind.STARTED:
            return [_asked(act)]
        case Kind.OUTPUT:
            return _written(act)
        case Kind.RESULT:
            return _resulted(act)
        case Kind.ENDED:
            return _ended(act)
        case Kind.CHOICE:
            return [_chosen(act, choice) for choice in act.choices]
    return decided(act, before, said(act, before))


def _chosen(act: Act, choice: Choice) -> NewObservation:
    title = f"{choice.question} {one_line(choice.answer)}"
    made = _plain(act, "decision", title, f"{choice.question} {choice.answer}\n{choice.about}".strip(), 0.8)
    return made.model_copy(update={"facts": [f"Not chosen: {', '.join(choice.others)}"] if choice.others else []})


def _for_what(made: NewObservation, place: int, acts: Sequence[Act], earlier: Sequence[Act]) -> NewObservation:
    """With the work it was done for: what comes of it seldom says that again, and is looked for by it."""
    at = place if place >= 0 else _worked_at(made, acts)
    if made.subtitle or at < 0 or is_of_user(acts[at]):
        return made
    if made.type != "discovery" and acts[at].kind not in (Kind.MESSAGE, Kind.OTHER):
        return made
    purpose = _purpose([*earlier, *acts], len(earlier) + at)
    return made.model_copy(update={"subtitle": purposes.told(one_line(purpose, 220))}) if purpose else made


def _worked_at(made: NewObservation, acts: Sequence[Act]) -> int:
    """Where it was done. -1: before or after somebody asked for something else, nobody knows."""
    places = [place for place, act in enumerate(acts) if act.event.id == made.sources[-1]]
    at = next((place for place in places if not is_of_user(acts[place])), places[0])
    return -1 if any(is_of_user(acts[place]) for place in places if place > at) else at


def _purpose(acts: Sequence[Act], at: int) -> str:
    """What was wanted last. What is neither asked for nor worked on afterwards is no purpose, and ends what was."""
    worked = any(act.kind in _WORKED for act in takewhile(lambda act: not is_of_user(act), acts[at:]))
    for act in reversed(acts[:at]):
        worked = worked or act.kind in _WORKED
        titled = act.kind is Kind.STARTED and not act.text.startswith(act.title)
        text = f"{act.title} {act.text}".strip() if titled else gist(act.text) or act.text
        if act.kind is not Kind.STARTED and (not is_of_user(act) or is_of_a_program(act.text)):
            continue
        if len(text) >= _TELLING and not is_courtesy(text):
            known = act.kind is Kind.STARTED or worked or gist(act.text) or asks_for_work(text)
            return text if known else ""
    return ""


# -- What agents run by Muster leave --------------------------------------------------------------------------------


def _asked(act: Act) -> NewObservation:
    return _plain(act, "request", act.title or act.text, act.text, 0.5)


def _written(act: Act) -> list[NewObservation]:
    """Of plain output: what went wrong in it, and what it says, or says after that."""
    text = outcomes.printed(printed.without_pages(act.text))
    if not _has_words(text):
        act.note = "output with hardly a word in it"
        return []
    if act.tool and unasked.is_refused(text):
        return [broken(act)]
    if act.tool and not outcomes.fails(text) and unasked.says_nothing(text):
        act.note = "an answer that tells nothing without what was asked"
        return []
    if outcomes.fails(text):
        rest = outcomes.since_failure(text)
        return [broken(act), *(_spoken(act, rest) if _has_words(rest) else ())]
    return _spoken(act, text)


def _has_words(text: str) -> bool:
    return (len(text) >= 20 or is_labelled(text)) and any(map(str.isalpha, text))


def _spoken(act: Act, text: str) -> list[NewObservation]:
    progress, text = progress_in(text), without_progress(text)
    if not _has_words(text):
        act.note = "output that only counts"
        return []
    found: list[NewObservation] = []
    if report := outcomes.passed(text):
        none = "; another run had no tests" if printed.ran_none(text) else ""
        found, told = [_plain(act, "discovery", f"Output: {report}{none}", text, 0.4)], printed.stated(text)
        talk = [_said(act, told, progress)] if _has_words(told) else []
    else:
        talk = [_said(act, part, progress) for part in pieces(text, 2400, MAX_OUTPUT_PIECES)]
    return found + [
        observation.model_copy(update={"type": "discovery", "importance": min(0.4, observation.importance)})
        if observation.type in ("fact", "request", "question")
        else observation
        for observations in talk
        for observation in observations
    ]


def _said(act: Act, part: str, progress: Set[str]) -> list[NewObservation]:
    """Lines of progress, that differ in their numbers only, are no title where there is another; nor is code."""
    made = said(Act(act.event, Kind.MESSAGE, text=part), None)
    lines = part.split("\n")
    if len(lines) >= _A_FEW and unasked.says_nothing(part) and not printed.stated(part):
        return [one.model_copy(update={"type": "fact", "importance": _OF_CODE}) for one in made]
    words = printed.without_code(lines)
    if len(words) < len(lines):
        if not _has_words(rest := "\n".join(words)):
            return [one.model_copy(update={"type": "fact", "importance": _OF_CODE}) for one in made]
        told = _said(act, rest, progress)
        whole = [one.model_copy(update={"narrative": other.narrative}) for one, other in zip(told, made, strict=False)]
        return whole + made[len(told) :]
    times = Counter(map(shape, lines))
    often = {known for known in times if known in progress or times[known] > 2}
    rest = "\n".join(line for line in lines if shape(line) not in often)
    if not often or not _has_words(rest) or [one.type for one in made] != ["fact"]:
        return made
    told = said(Act(act.event, Kind.MESSAGE, text=rest), None)
    return [one.model_copy(update={"title": other.title}) for one, other in zip(made, told, strict=False)] or made


def _resulted(act: Act) -> list[NewObservation]:
    """A bare value says nothing without what it answers."""
    bare = len(act.text) < 40
    if bare and not act.title and (not any(map(str.isalpha, act.text)) or act.text in ("true", "false", "null")):
        act.note = "a result with hardly a word in it"
        return []
    title = f"Result of {one_line(act.title)}" if bare and act.title else "Result"
    return [_plain(act, "discovery", f"{title}: {one_line(act.text)}", act.text, 0.6)]


def _ended(act: Act) -> list[NewObservation]:
    status = act.data.get("status")
    if not act.failed:
        act.note = "it ended well; what it made is told elsewhere"
        return []
    reason = line_of(act.data, "reason")
    why = " ".join(
        str(part) for part in (reason or None, f"exit code {act.exit_code}" if act.exit_code else None) if part
    )
    title = f"{act.title or 'The agent'} {'was killed' if status == 'killed' else 'failed'}: {act.text or why}"
    return [_plain(act, "error", title, f"{why}\n{act.text}".strip(), 0.55 if status == "failed" else 0.3)]


def _plain(act: Act, kind: str, title: str, narrative: str | None, importance: float) -> NewObservation:
    prose = f"{title}\n{narrative or ''}"
    title = one_line(title, 200) or kind.capitalize()
    return NewObservation(
        type=kind,
        title=title,
        narrative=narrative[:4000] if narrative and narrative.strip() != title else None,
        concepts=concepts_of(prose),
        language=language_of(prose),
        importance=importance,
        occurred_at=act.event.occurred_at,
        sources=[act.event.id],
    )


def _why_nothing(acts: Sequence[Act]) -> str:
    notes = list(dict.fromkeys(act.note for act in acts if act.note))
    return "; ".join(notes[:4]) or "nothing in it was worth keeping"
