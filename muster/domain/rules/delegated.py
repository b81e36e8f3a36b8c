"""What an agent had others do for it: what they answer is what they found, by whichever tool it is told, and when."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple
from uuid import UUID

from muster.domain.rules.acts import Act, Kind
from muster.domain.rules.json import dicts, first, flattened, line_of, opened, text_of
from muster.domain.rules.sentences import sentences
from muster.domain.rules.text import one_line, readable

TASK_CHARS = 2000
MAX_ANSWERS = 12
"""Of one event."""
_ASKED_CHARS = 300
"""Of a task that was answered."""
_BEGUN_CHARS = 1200
_BEGUN = re.compile(
    r"\W{0,9}(?:(?:agent_?id|agent_path|task_name|thread_id|job_?id)\W{1,4}[\w/-]{4,80}|Async agent launched|"
    r"Started \d{1,3} background |Successfully spawned |Agent (?:started|launched|is running)\b)",
    re.IGNORECASE,
)
"""How an answer begins that only says that others work on it."""
_NAME = re.compile(r"(?:agent_?id|agent_path|task_name|thread_id|\(job)\W{1,4}([\w/-]{4,80})", re.IGNORECASE)
_ASKS_HOW = frozenset("spawn list await wait inspect status cancel close stop poll".split())  # noqa: SIM905
_REPORT = re.compile(
    r"^#{2,4} {1,3}\[?(?P<id>[^\n\]—]{1,80}?)\]?(?: —| -|:)? {1,3}(?P<how>completed|done|succeeded|failed|errored)$",
    re.MULTILINE,
)
"""Over what one of several answered."""
_ABOUT = re.compile(r"\s{0,9}(?:Agent|Model|Description|Output|Guidance|Status): ?([^\n]{0,400})(?:\n|\Z)")
_HEAD_LINES = 6
_SHOWN = re.compile(r"\s{0,9}Result(?: preview)?:[ \t]{0,4}\n(?:```\w{0,20}\n)?")
_BEHIND = re.compile(
    r"\n{1,3}(?:agentId: [\w-]{1,64} \([^\n]{0,200}|<usage>[^<]{0,400}</usage>|<agentId>[^\n]{0,100}|"
    r"Full transcript available at: [^\n]{1,300})\s{0,9}\Z"
)
"""What its program writes below an answer."""
_SUMMARY = re.compile(r"<summary>\s{0,9}Agent \"([^\"\n]{1,300})\" (completed|finished|failed)\b:? ?([^<]{0,2000})")
_OF_AGENT = re.compile(r"<task_type>\s{0,9}(?:local_agent|remote_agent|agent)\s{0,9}</task_type>")
_IS_OVER = re.compile(r"<status>\s{0,9}(completed|failed)\s{0,9}</status>")
_OF_CODEX = "<subagent_notification>"

_WELL = frozenset({"completed", "complete", "done", "finished", "success"})
_BADLY = frozenset({"errored", "error", "failed"})
_GRAVE = re.compile(r"\W{0,6}\[?\b(?:critical|blocker|high|severe|major|P0|P1|BLOCK)\b\]?\W", re.IGNORECASE)
_HEAD = re.compile(r"(?:[\d.)#*\s]{0,8})?[^.!?。！？]{0,40}[:：]?\**\s{0,4}\Z")
_LABEL = re.compile(
    r"\W{0,4}(?:conclusion|summary|result|verdict|結論|结论|结果|결론|결과|fazit|résumé|итог)\W{1,4}", re.IGNORECASE
)
_OF_ITSELF = re.compile(
    r"\W{0,4}(?:I['’]ve|I have|I['’]ll|I will|I(?:['’]m| am)|Let me|Now\b|Here(?:['’]s| is| are)\b|Based on|Perfect|"
    r"Great|Excellent|Okay|OK|All done|Done)\b",
    re.IGNORECASE,
)
"""How it says what it did, and not what it found."""


class Told(NamedTuple):
    """What one of them answered."""

    name: str
    text: str
    failed: bool = False
    about: str = ""


class _Answers(dict[str, Sequence[Told]]):
    """In place of what a tool was given."""


def task_of(asked: Mapping[str, Any]) -> str:
    """What was to be done; of several, of each."""
    alone = first(asked, "prompt", "task", "message", "instructions", "objective", "assignment")
    if text := text_of(alone, TASK_CHARS):
        return text
    several = first(asked, "tasks", "agents")
    if isinstance(several, dict):
        several = list(several.values())
    if not isinstance(several, list):
        return ""
    each = [one if isinstance(one, str) else line_of(one, "description", "task", "prompt", "assignment", "message")
            for one in several[:MAX_ANSWERS]]  # fmt: skip
    return "\n".join(one for one in each if one)[:TASK_CHARS]


def read(act: Act, asked: Mapping[str, Any]) -> Act:
    """A use of a tool by which work is given away, or by which it is asked how that goes."""
    act.query = task_of(asked)
    if told := _reports(act.text, asked):
        return as_act(act, told)
    if len(act.text) <= _BEGUN_CHARS and _BEGUN.match(act.text):
        found = _NAME.search(act.text)
        act.background, act.text = found[1] if found else "", ""
    act.text = without_trailer(act.text)
    if line_of(asked, "action", "command").lower() in _ASKS_HOW:
        act.kind, act.note = Kind.NOTHING, f"{act.tool} says that others work"
    elif not (act.query or act.about) and asked.get("id") and readable(act.text):
        return as_act(act, [Told(str(asked["id"]), act.text)])
    elif not (act.query or act.about):
        act.kind, act.query = Kind.TOOL, flattened(asked, TASK_CHARS)
    elif act.text and not act.about and len(act.query) > _ASKED_CHARS:
        act.about = named(act.text)
    return act


def _reports(text: str, asked: Mapping[str, Any]) -> list[Told]:
    """What several answered, in the order in which they were asked."""
    each = dicts(asked.get("tasks"))
    found = list(_REPORT.finditer(text[:200_000]))[:MAX_ANSWERS]
    ends = [*(one.start() for one in found[1:]), len(text)]
    told = []
    for number, (one, end) in enumerate(zip(found, ends, strict=False)):
        part = text[one.end() : end]
        about = line_of(each[number], "description") if len(each) == len(found) else ""
        for _ in range(_HEAD_LINES):
            if head := _ABOUT.match(part):
                about = head[1] if head.group().lstrip().startswith("Description") else about
                part = part[head.end() :]
        if shown := _SHOWN.match(part):
            part = part[shown.end() :].rpartition("```")[0] or part[shown.end() :]
        if readable(part := part.strip()):
            told.append(Told(one["id"].strip(), part, one["how"].startswith(("fail", "err")), about))
    return told


def without_trailer(text: str) -> str:
    """Without what its program writes below an answer."""
    while found := _BEHIND.search(tail := text[-1500:]):
        text = text[: len(text) - len(tail) + found.start()].rstrip()
    return text


def answers_in(asked: Mapping[str, Any], answered: Any) -> list[Told]:
    """What a tool tells that asks for it, or ends one of them."""
    name = next((str(asked[key]) for key in ("id", "agent_id", "target", "task_id", "agentId") if asked.get(key)), "")
    answered = opened(answered)
    if isinstance(answered, dict):
        task = answered.get("task")
        if isinstance(task, dict) and "agent" in str(task.get("task_type")):
            about = line_of(task, "description")
            state = {"status": task.get("status"), "message": first(task, "result", "output")}
            return [told._replace(about=about) for told in _state(name, state)]
        states = first(answered, "status", "statuses", "agents_states", "previous_status")
        if isinstance(states, dict):
            return [*_state(name, states)] or [
                told for key, state in list(states.items())[:MAX_ANSWERS] for told in _state(str(key), state)
            ]
        answered = first(answered, "content", "output", "result", "text")
    text = text_of(answered)
    if _OF_AGENT.search(text[:_BEGUN_CHARS]) and (over := _IS_OVER.search(text[:_BEGUN_CHARS])):
        result = _within(text, "result") or _within(text, "output")
        return [Told(name, result, over[1] == "failed")] if readable(result) else []
    return []


def notified(text: str) -> list[Told]:
    """What is told in a prompt that nobody wrote."""
    head = text[:4000]
    if "<task-notification>" in head and (of := _SUMMARY.search(head)):
        told = _within(text, "result") or (of[3].strip() if of[2] == "failed" else "")
        return [Told(_within(head, "task-id"), told, of[2] == "failed", of[1])] if readable(told) else []
    if text.lstrip().startswith(_OF_CODEX):
        about = opened(_within(text, "subagent_notification"))
        if isinstance(about, dict):
            name = line_of(about, "agent_id", "agent_path", "thread_id")
            return [*_state(name, about.get("status") if isinstance(about.get("status"), dict) else about)]
    return []


def _within(text: str, name: str) -> str:
    """Between its marks. What stands there may have marks of its own."""
    opening, closing = f"<{name}>", f"</{name}>"
    start, end = text.find(opening), text.rfind(closing)
    return text[start + len(opening) : end].strip() if 0 <= start < end else ""


def _state(name: str, state: Any) -> Iterator[Told]:
    if not isinstance(state, dict):
        return
    for key, value in list(state.items())[:4]:
        if key in _WELL | _BADLY and isinstance(value, str) and readable(value):
            yield Told(name, value, key in _BADLY)
            return
    how, text = str(state.get("status")).lower(), text_of(first(state, "message", "result", "output"))
    if how in _WELL | _BADLY and readable(text):
        yield Told(name, text, how in _BADLY)


def as_act(act: Act, told: Sequence[Told]) -> Act:
    """Of what several answered, one act, of which `each` makes as many."""
    act.kind, act.note, act.data = Kind.DELEGATION, "", _Answers(told=told)
    return act


def each(acts: Sequence[Act], since: int) -> tuple[list[Act], list[Act]]:
    """What was given to whom, where it is answered, is told with the answer, and each answer once. Apart: what came
    before, and `since` that place."""
    came = 0
    made: list[Act] = []
    asked: dict[tuple[UUID, str], Act] = {}
    given: dict[tuple[UUID, str], str] = {}
    said: set[tuple[UUID, str]] = set()
    known: dict[tuple[UUID, str], str] = {}
    """What each is there for."""
    for place, act in enumerate(acts):
        if place == since:
            came = len(made)
        session = act.event.session_id
        if not isinstance(act.data, _Answers):
            if act.kind is Kind.DELEGATION and act.background:
                asked[session, act.background], given[session, act.background] = act, act.query
            elif act.tool.lower() in ("send_input", "followup_task") and (message := task_of(act.data)):
                given[session, str(first(act.data, "id", "target", "agent_id"))] = message
            made.append(act)
            continue
        for one in act.data["told"]:
            if (session, one.text) in said:
                continue
            said.add((session, one.text))
            start, task = asked.get((session, one.name)), given.get((session, one.name), "")
            if start:
                start.kind, start.note = Kind.NOTHING, "work that is told with what came of it"
            about = (
                one.about
                or (start.about if start and task == start.query else "")
                or known.get((session, one.name), "")
            )
            if about and one.name:
                known[session, one.name] = about
            about = about or named(one.text)
            made.append(replace(
                act, tool="A subagent", text=without_trailer(one.text), failed=one.failed, about=about, data={},
                query=one_line(task, _ASKED_CHARS),
            ))  # fmt: skip
        if not made or made[-1].event.id != act.event.id:
            made.append(Act(act.event, Kind.NOTHING, note="an answer that is told already"))
    return made[:came], made[came:]


def named(text: str) -> str:
    """The line of an answer that says what was found: what is gravest, or what it begins with."""
    lines = [_LABEL.sub("", line, count=1) if _LABEL.match(line) else line for line in sentences(text[:8000], 40)]
    told = [line for line in lines if len(line) >= 12 and not _HEAD.fullmatch(line[:200])] or lines
    found = next((line for line in told if not _OF_ITSELF.match(line[:40])), told[0] if told else "")
    line = next((line for line in told if _GRAVE.match(line[:40])), found)
    return one_line(line.replace("**", "").replace("__", ""), 200)
