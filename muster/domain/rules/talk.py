"""What was said, as observations: decisions, preferences, requests, and the facts people state.

Whatever somebody says in words is kept in their words; the rules only say what it is, and leave out mere courtesy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial

from muster.domain.memory import NewObservation
from muster.domain.rules import asking, fixes, intents, moments, pasted, prompts, quoted, statements, wishes
from muster.domain.rules.asking import asks_for_work, is_courtesy
from muster.domain.rules.headed import is_labelled, label_of
from muster.domain.rules.reading import Act, Kind
from muster.domain.rules.sentences import sentences
from muster.domain.rules.text import (
    concepts_of,
    dated,
    language_of,
    one_line,
    pieces,
    unique,
)
from muster.domain.rules.titles import capitalised, changing, fails, led, told_best, with_failures

__all__ = ["asks_for_work", "is_courtesy", "is_labelled"]

PIECE_CHARS = 1600
MAX_PIECES = 14
"""Of a message. One that has more keeps how it begins and ends, and what weighs most of the rest."""
STEPS_CHARS = 1000
"""Of a message that may say no more than what is done next."""
_FIRST_PIECES, _LAST_PIECES = 4, 2
_PIECES_READ = 60

_BECAUSE = re.compile(
    r"\b(?:because|since|so that|due to|the reason|weil|da sonst|parce que|porque)\b|因为|ため|から", re.I
)
_ASKS_TO_DO = re.compile(
    r"(?:can|could|would|will) you (?!please tell|tell|say|explain|remember|recall|name|give)", re.I
)
_COMPLETED = re.compile(
    r"(?:(?:all |it(?:['’]s| is) )?(?:done|finished|complete[d]?)|ready|erledigt|fertig|terminé|c['’]est fait|hecho|"
    r"listo|fatto|"
    r"feito|完了|完成|готово)\b",
    re.IGNORECASE,
)
"""How somebody begins who tells of finished work: what failed before it does no longer."""
_REPORTS = re.compile(
    r"(?:\b(?:all|the|both|every|\d+)\s){0,3}\btests? (?:\w{1,12} ){0,2}(?:pass|green|ok|succeed)|\b(?:committed|"
    r"pushed)\b",
    re.IGNORECASE,
)
_SETS_RULES = ("system", "developer")
_AGENTS_SAY = frozenset({"assistant", "assistant_message", "agent.output", "output", "stdout"})
"""Types of events in which an agent speaks, or what it runs."""
_MARKS = " .!:。！：✅👍"
_NO = re.compile(r"^(?:no(?:pe)?|stop)\b[\s,.!–-]+(?=\w)", re.IGNORECASE)
_DECIDED_LEAD = re.compile(
    r"^(?:(?:we|i)(?:['’]ve| have)? (?:all )?(?:decided|agreed|chose|"
    r"opted) (?:that we (?:will|should) |to )|"
    r"let['’]s (?=go|use|stick|drop)|the decision is to )",
    re.IGNORECASE,
)

_IMPORTANCE = {
    "decision": 0.8, "preference": 0.75, "bugfix": 0.7, "change": 0.5, "error": 0.6, "discovery": 0.55, "fact": 0.5,
    "request": 0.55, "question": 0.35,
}  # fmt: skip
_OF_A_MOMENT = 0.3
"""Of what the next run says again, and of what people say who were made up."""
_OF_RULES = 0.2
"""Of what a program tells an agent with each task."""
_OF_A_STEP = 0.25
"""Of what an agent is about to do, where it says why."""


def said(act: Act, before: Act | None) -> list[NewObservation]:
    """Observations of one message, and of the question it answers where it cannot be understood without."""
    text = act.text
    question = _question_before(act, before)
    if is_courtesy(text) and not (question and asking.is_bare_answer(text)):
        act.note = "a courtesy, with nothing in it to keep"
        return []
    done = "" if question else _only_done(text)
    about = asked_in(before) if done and before and _is_answered_by(act, before) else ""
    if done and not about and not _REPORTS.search(text):
        act.note = "it says that something is done, and not what"
        return []
    if act.kind is Kind.MESSAGE and not act.speaker and _only_narrates(act):
        act.note = "it says what is done next, and not what came of it"
        return []
    if not question and len(text) < 40 and not any(map(str.isalpha, text)):
        act.note = "hardly a word in it"
        return []
    set_by = is_of_user(act) or (not act.speaker and _role(act) in _SETS_RULES)
    if set_by and (found := prompts.prompt_in(text, sets_task=is_of_user(act))):
        return _set(act, found)
    parts = pieces(text, PIECE_CHARS, _PIECES_READ)
    made = [
        _one(act, part, question if number == 1 else "", before, number, len(parts))
        for number, part in enumerate(parts, 1)
    ]
    if is_of_user(act) and (own := pasted.own_words(text)) is not None:
        made = pasted.asked_once(made, _one(act, own, question, before, 1, 1) if own else made[0])
    made = _most_telling(made)
    if about and before is not None:
        named = {"title": one_line(f"{done}: {about}", 200), "sources": [act.event.id, before.event.id]}
        return [one.model_copy(update={"type": "bugfix", **named}) for one in made]
    return made


def _set(act: Act, prompt: prompts.Prompt) -> list[NewObservation]:
    """The task is what is wanted. How it is to be done is the same each time."""
    (task, rules) = ([_one(act, text, "", None, 1, 1)] if text else [] for text in (prompt.task, prompt.rules))
    wanted = {"type": "request", "title": prompt.title, "importance": _IMPORTANCE["request"]}
    given = {"type": "fact", "title": one_line(f"Rules for the work: {prompt.rules}"), "importance": _OF_RULES}
    return [
        *(one.model_copy(update=wanted) for one in task),
        *(one.model_copy(update={**given, "facts": []}) for one in rules),
    ]


def _most_telling(made: list[NewObservation]) -> list[NewObservation]:
    if len(made) <= MAX_PIECES:
        return made
    between = range(_FIRST_PIECES, len(made) - _LAST_PIECES)
    kept = sorted(between, key=lambda n: (-made[n].importance, -len(made[n].facts), n))[
        : MAX_PIECES - _FIRST_PIECES - _LAST_PIECES
    ]
    return [*made[:_FIRST_PIECES], *(made[n] for n in sorted(kept)), *made[-_LAST_PIECES:]]


def _only_done(text: str) -> str:
    """ "Fixed.", where there is no more to it than thanks, or that the tests pass."""
    if len(text) > asking.COURTESY_CHARS:
        return ""
    parts = [part for line in sentences(text, 8) for part in re.split(r"[,;]\s", line) if not is_courtesy(part)]
    done = next((part for part in parts if statements.is_done(part)), "")
    return done.rstrip(_MARKS) if all(statements.is_done(part) or _REPORTS.match(part) for part in parts) else ""


def _is_answered_by(act: Act, before: Act) -> bool:
    return before.event.session_id == act.event.session_id and is_of_user(before) and not is_of_user(act)


def _only_narrates(act: Act) -> bool:
    if is_of_user(act) or dated(act.text, act.event.occurred_at):
        return False
    if is_of_agent(act) and len(act.text) <= STEPS_CHARS:
        lines = sentences(act.text, 20)
        return _are_steps(lines) and not any(intents.has_reason(line) for line in lines)
    lines = [line for line in sentences(act.text, 8) if not is_courtesy(line)]
    return (
        len(act.text) <= 240
        and bool(lines)
        and all(statements.narrates(line) and not _BECAUSE.search(line) for line in lines)
    )


def _are_steps(lines: list[str]) -> bool:
    """Whether an agent says in all of them what it does next."""
    told = [line for line in lines if not (is_courtesy(line) or intents.agrees(line))]
    return bool(told) and all(_is_step(line) for line in told)


def _is_step(line: str) -> bool:
    head = line[:600]
    ahead = intents.is_ahead(line) or moments.passes(line)
    return ahead and not statements.decides(head) and not is_labelled(line)


def _one(act: Act, part: str, question: str, before: Act | None, number: int, count: int) -> NewObservation:
    lines = sentences(part, 60)
    kind, telling = _kind(act, part, lines)
    if question and (is_courtesy(part) or _only_done(part)):
        kind, telling = "fact", f"{question} {part}"
    title = act.title if act.title and number == 1 and kind not in ("decision", "preference") else _title(kind, telling)
    title = led(title, telling, lines)
    if is_of_agent(act) and kind in ("fact", "discovery", "bugfix"):
        title = with_failures(title, lines)
    if act.speaker and not title.startswith(act.speaker):
        title = f"{act.speaker}: {title}"
    facts = dated(part, act.event.occurred_at)
    if len(lines) > 3:
        # Of a long text, what it hangs on; a short one says it as it stands.
        facts += [one_line(line, 300) for line in lines if line is not telling and _weighs(line)][:6]
    elif kind in ("decision", "preference"):
        facts += [
            one_line(line, 300)
            for line in lines
            if line is not telling and (statements.decides(line) or statements.prefers(line))
        ]
    narrative = f"{act.speaker}: {part}" if act.speaker and number == 1 else part
    where = f"Part {number} of {count}" if count > 1 else None
    answered = before is not None and bool(question)
    return NewObservation(
        type=kind,
        title=one_line(title, 200),
        subtitle=f"In answer to: {question}" if question else where,
        narrative=narrative,
        facts=unique(facts, 10),
        concepts=concepts_of(part, (*act.files_read, *act.files_modified)),
        files_read=act.files_read,
        files_modified=act.files_modified,
        language=language_of(part),
        importance=_OF_A_STEP if is_of_agent(act) and _are_steps(lines) else _weight(act, kind, part, lines),
        occurred_at=act.event.occurred_at,
        sources=[act.event.id, before.event.id] if before is not None and answered else [act.event.id],
    )


def _weight(act: Act, kind: str, part: str, lines: list[str]) -> float:
    weight = _importance(kind, part)
    if not is_of_agent(act) or kind not in ("fact", "discovery"):
        return weight
    told = [line for line in lines if not (is_courtesy(line) or intents.agrees(line) or _is_step(line))]
    slight = quoted.speaks_for_others(part) or all(map(moments.is_status, told))
    return min(weight, _OF_A_MOMENT) if slight else weight


def _kind(act: Act, part: str, lines: list[str]) -> tuple[str, str]:
    """What sort of statement it is, and the sentence that says so."""
    weight = intents.leaning if act.speaker or is_of_user(act) else intents.weight
    said_lines = lines
    if is_of_agent(act):
        lines = [line for line in lines if not (_is_step(line) or intents.agrees(line))] or lines
        if not any(map(fails, lines)):
            lines = [line for line in lines if not moments.is_status(line)] or lines
    first = next((line for line in lines if not _is_polite(act, line)), lines[0] if lines else part)
    standing = [line for line in lines if not line.endswith(statements.QUESTION_MARKS)]
    for line in standing:
        decides = statements.decides(line[:600]) or label_of("decision", line)
        if decides and not (is_of_agent(act) and intents.uses_now(line)):
            return "decision", line
    for line in standing:
        rules = is_of_user(act) and wishes.rules(line[:600])
        if (rules or statements.prefers(line[:600]) or label_of("preference", line)) and _may_wish(act, part, line):
            return "preference", line
    if statements.is_done(first) and len(lines) > 1:
        return "bugfix", _what_is_done(lines) or first
    if _is_asked(act, part, first, lines):
        return "request", asking.wanted(lines, first)
    mended = any(_COMPLETED.match(line) for line in lines[:1])
    breaks = partial(statements.breaks, past=not mended, hopes=is_of_agent(act))
    for kind, says in (("bugfix", statements.mends), ("error", breaks), ("discovery", statements.teaches)):
        saying = [line for line in lines if says(line[:600]) or label_of(kind, line)]
        if kind == "bugfix" and is_of_agent(act):
            if saying := [line for line in saying if not (fixes.goes_on(line) or fixes.mends_nothing(line))]:
                title = fixes.named(part, saying, lines, min(saying, key=weight))
                return ("change", fixes.tried(title)) if fixes.is_tried(part, saying, said_lines) else (kind, title)
        elif saying := [line for line in saying if kind != "bugfix" or not fixes.mends_nothing(line)]:
            return kind, min(saying, key=weight)
    if is_of_agent(act) and (changed := fixes.hoped(said_lines)):
        return "bugfix", changed
    if label_of("request", first):
        return "request", first
    # A question with something said beside it states that.
    told = [line for line in lines if not asking.asks_to_know(line) and not asking.begins_politely(line)]
    asked = [line for line in lines if asking.asks_to_know(line)]
    if asked and all(len(line) < 30 and line.endswith("!") for line in told):
        return "question", asked[0]
    if asking.asks(first) and len(lines) <= 2 and not is_of_agent(act):
        return "request", first
    if is_of_agent(act) and told:
        return "fact", changing(told, said_lines) or told_best(
            part, told, lambda line: intents.telling(line) - weight(line)
        )
    return "fact", max(told[:4], key=lambda line: intents.telling(line) - weight(line)) if told else first


def _is_polite(act: Act, line: str) -> bool:
    return asking.begins_politely(line) or (is_of_user(act) and wishes.reacts(line[:600]))


def _may_wish(act: Act, part: str, line: str) -> bool:
    """A program has no wishes, nor has what it prints. And who likes what an agent did wants no more of it."""
    if is_of_user(act) and wishes.reacts(line[:600]):
        return False
    if act.kind is Kind.PROMPT or act.event.type.lower() not in quoted.PRINTS or label_of("preference", line):
        return True
    return quoted.tells_of_a_person(line) or quoted.bare(line) in quoted.typed(part)


def _is_asked(act: Act, part: str, first: str, lines: list[str]) -> bool:
    """A prompt asks, unless it tells of something or wants to know; a person's message where it says so."""
    if act.kind is not Kind.PROMPT:
        return is_of_user(act) and any(asking.asks(line) and not is_labelled(line) for line in lines)
    if asking.asks_to_know(first) and not asking.asks(first):
        return False
    return not asking.tells(first) or asks_for_work(part)


def _role(act: Act) -> str:
    inner = act.data.get("message")
    return str(act.data.get("role") or (inner.get("role") if isinstance(inner, Mapping) else None) or "")


def is_of_user(act: Act) -> bool:
    """Whether the person wrote it whom an assistant works for."""
    return act.kind is Kind.PROMPT or (act.kind is Kind.MESSAGE and not act.speaker and _role(act) == "user")


def is_of_agent(act: Act) -> bool:
    """Whether an assistant wrote it, and not somebody who has a name."""
    if act.kind is not Kind.MESSAGE or act.speaker:
        return False
    return _role(act) in ("assistant", "ai", "model", "bot") or act.event.type.lower() in _AGENTS_SAY


def asked_in(act: Act) -> str:
    """What the person wants done or wants to know, as a title says it; nothing where they only tell or are polite."""
    if not is_of_user(act) or is_courtesy(act.text):
        return ""
    if found := prompts.gist(act.text):
        return found
    part = next(iter(pieces(act.text, PIECE_CHARS, 1)), "")
    lines = sentences(part, 60)
    kind, telling = _kind(act, part, lines)
    if kind not in ("request", "question"):
        telling = next((line for line in lines if asking.asks(line) or asking.asks_to_know(line)), "")
    return _title("request", telling) if telling else ""


def _what_is_done(lines: list[str]) -> str:
    """ "Fixed." says nothing; what follows it does, best where it is more than that the tests pass."""
    done, *rest = [line for line in lines if not asking.begins_politely(line)]
    told = [line for line in rest if not asking.asks_to_know(line) and not statements.is_done(line)]
    what = next((line for line in told if not _REPORTS.match(line)), told[0] if told else "")
    return f"{done.rstrip(_MARKS)}: {what}" if what else ""


def _title(kind: str, sentence: str) -> str:
    line = one_line(asking.without_courtesy(sentence), 300)
    if (label := label_of(kind, line)) and not statements.is_done(label):
        line = line[len(label) :]
    if kind == "preference":
        line = _NO.sub("", line)
    if kind == "decision":
        line = _DECIDED_LEAD.sub("", line)
    return one_line(capitalised(line) if line else sentence)


def _weighs(line: str) -> bool:
    head = line[:600]
    return (
        any(says(head) for says in (statements.decides, statements.prefers, statements.mends, statements.teaches))
        or _BECAUSE.search(head) is not None
    )


_CUE = re.compile(
    r"found|cause|decid|decision|agree|because|error|fail|exception|warn|fix|resol|solution|learn|lesson|turns? out|"
    r"conclu|broke|bug|conven|always|never|must|prefer|instead",
    re.IGNORECASE,
)


def noted(text: str, most: int) -> list[str]:
    """Of much that was printed, the lines that somebody would note down."""
    found: dict[str, None] = {}
    asked = 0
    for line in text.split("\n"):
        if is_labelled(line):
            found[line] = None
        elif asked < 4 * most and _CUE.search(line):
            asked += 1
            if _weighs(line):
                found[line] = None
        if len(found) == most:
            break
    return list(found)


def _importance(kind: str, part: str) -> float:
    weight = _IMPORTANCE.get(kind, 0.4) + (0.05 if _BECAUSE.search(part[:2000]) else 0.0)
    return round(weight - (0.15 if len(part) < 30 and part.isascii() and kind in ("fact", "discovery") else 0.0), 2)


def _question_before(act: Act, before: Act | None) -> str:
    """ "On Tuesday" says nothing alone."""
    if before is None or before.event.session_id != act.event.session_id or len(act.text) > 160:
        return ""
    if before.kind not in (Kind.MESSAGE, Kind.PROMPT) or (before.speaker and before.speaker == act.speaker):
        return ""
    lines = sentences(before.text[-1500:], 60)
    asked = [
        line
        for line in lines[-3:]
        if line.endswith((*statements.QUESTION_MARKS, "ですか。", "吗。"))
        and not (before.kind is Kind.PROMPT and _ASKS_TO_DO.match(line))
    ]
    return one_line(asked[-1], 300) if asked else ""
