"""What programs record, as observations: an alert, a log's line, a deployment, with the fields that it has."""

from __future__ import annotations

from collections.abc import Sequence

from muster.domain.memory import NewObservation
from muster.domain.rules import fields
from muster.domain.rules.json import MAX_FILES, said_under
from muster.domain.rules.reading import Act, Kind
from muster.domain.rules.same import is_same, unstated
from muster.domain.rules.states import deploys, stated
from muster.domain.rules.stories import NARRATIVE_CHARS, of
from muster.domain.rules.text import cleaned, one_line, unique

MAX_FACTS = 14
_TOLD_WITHOUT = frozenset({Kind.MESSAGE, Kind.OTHER})

_NAMELESS = "the command"
"""What is said to fail where nobody knows what does."""


def with_fields(act: Act, made: list[NewObservation]) -> list[NewObservation]:
    """With what stands beside the words, and as an error where the record is that of one."""
    plain = act.kind in _TOLD_WITHOUT and not act.speaker
    if plain and (line := stated(act.event.type.lower(), act.data)):
        return [_as_it_stands(act, line)]
    if not act.beside and not act.standing:
        return made
    subject = "" if act.kind is Kind.PROMPT or act.speaker else fields.subject(act.data)
    made = made or _alone(act, subject)
    if not made:
        return []
    first, *rest = made
    facts = unique((*first.facts, *fields.as_facts(act.beside)), 200)
    more = "\n".join(part for part in (*facts[MAX_FACTS:], fields.as_text(act.beside)) if part)
    narrative = f"{first.narrative or first.title}\n{more}"[:NARRATIVE_CHARS] if more else first.narrative
    told = first.model_copy(
        update={"title": _titled(act, first.title, subject), "facts": facts[:MAX_FACTS], "narrative": narrative}
    )
    if act.standing == fields.FAILS:
        told = told.model_copy(update={"type": "error", "importance": max(first.importance, 0.6)})
    elif act.standing == fields.WELL and (first.type == "error" or (first.type == "bugfix" and _is_bare(act))):
        told = told.model_copy(update={"type": "discovery", "importance": 0.4})
    return [told, *rest]


_WEIGHTS = {"error": 0.6, "change": 0.5, "discovery": 0.4, "fact": 0.45}


def recorded(act: Act) -> list[NewObservation]:
    """What has a known shape is told as that shape says."""
    told = act.data
    kind = told["kind"] or {fields.FAILS: "error", fields.WELL: "discovery"}.get(act.standing, "fact")
    facts = unique((cleaned(fact, 300) for fact in told["facts"]), MAX_FACTS)
    made = of(act, kind, act.title, act.text, importance=told["importance"] or _WEIGHTS[kind])
    files = unique((*made.files_modified, *told["files"]), MAX_FILES)
    return [made.model_copy(update={"title": _title_of(act), "facts": facts, "files_modified": files})]


def _title_of(act: Act) -> str:
    return one_line(cleaned(act.title, 400), 200)


def _as_it_stands(act: Act, line: str) -> NewObservation:
    kind = {fields.FAILS: "error", fields.WELL: "discovery"}.get(act.standing, "fact")
    if kind != "error" and deploys(act.event.type, act.data):
        kind = "change"
    resolved = kind == "discovery" and fields.is_alert(act.event.type, act.data)
    title = f"Resolved: {line}" if resolved else line
    return of(act, kind, one_line(title, 200), act.text, importance=_WEIGHTS[kind])


def is_over(error: NewObservation, acts: Sequence[Act]) -> bool:
    """Whether the same was told of again, and all is well with it."""
    failed = [
        (n, act)
        for n, act in enumerate(acts)
        if act.standing == fields.FAILS and act.event.id in error.sources
        and (act.kind is not Kind.RECORD or _title_of(act) == error.title)
    ]  # fmt: skip
    return bool(failed) and all(any(_is_well(later, act) for later in acts[n + 1 :]) for n, act in failed)


def _is_well(later: Act, failed: Act) -> bool:
    if Kind.RECORD in (later.kind, failed.kind):
        same = failed.data.get("same") if later.kind is failed.kind else None
        return later.standing == fields.WELL and bool(same) and later.data["same"] == same
    return later.standing == fields.WELL and is_same(later.event.type, later.data, failed.event.type, failed.data)


def _is_bare(act: Act) -> bool:
    """Whether it is an alert, or nobody says anything in it: that it is over is no work that was done."""
    return fields.is_alert(act.event.type, act.data) or not said_under(act.data)


def _alone(act: Act, subject: str) -> list[NewObservation]:
    """Words too few to be told by themselves are told where it is known of what they are said."""
    if act.standing != fields.FAILS and not (subject and act.kind in _TOLD_WITHOUT):
        return []
    return [of(act, "fact", one_line(act.text, 200), act.text, importance=0.4)]


def _titled(act: Act, title: str, subject: str) -> str:
    if subject and title.startswith(_NAMELESS):
        title = subject + title.removeprefix(_NAMELESS)
    elif subject and subject.split(" ")[0].lower() not in title.lower():
        title = f"{subject}: {title}"
    alert = bool(act.standing) and fields.is_alert(act.event.type, act.data)
    title = unstated(title) if alert else title
    well = alert and act.standing == fields.WELL
    return one_line(f"Resolved: {title}" if well and not title.lower().startswith("resolved") else title, 200)
