"""What an agent event says, whoever sent it: hooks of coding assistants, providers' messages, Muster's own recording.

Any JSON is an event. What has a known shape is read as a tool's use or a message; of anything else, its texts.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from muster.domain.memory import Event
from muster.domain.rules import background, commands, delegated, plumbing, proposals, slashes, tasks
from muster.domain.rules.acts import Act, Kind
from muster.domain.rules.answers import answer_of, confirms
from muster.domain.rules.edits import applies_patch, changes_of, patch_in, patched
from muster.domain.rules.fields import beside, is_talk, level, standing
from muster.domain.rules.given import COMMAND_CHARS, choices_of, command_of, plan_of
from muster.domain.rules.json import (
    files_of,
    first,
    flattened,
    integer,
    line_of,
    opened,
    said_in,
    text_of,
)
from muster.domain.rules.known import Known
from muster.domain.rules.notebooks import from_kernel, has_raised
from muster.domain.rules.text import cleaned, readable
from muster.domain.rules.tools import IDLE_TOOLS, PATHS, TOOLS, tool_name
from muster.domain.rules.touched import judge, stood, through, was_there
from muster.domain.rules.windows import Seen, window, without_state
from muster.domain.shapes.documents import Calls, parts_of
from muster.domain.shapes.parts import Part
from muster.domain.shapes.streams import Bits, is_bit
from muster.domain.shapes.terminal import Screens

__all__ = ["Act", "Kind", "read", "read_after", "read_all"]


_QUIET_TYPES = re.compile(
    r"heart.?beat|keep.?alive|ping|pong|status.?line|session[._-]?(?:start(?:ed)?|end(?:ed)?|stop(?:ped)?)|"
    r"token.?usage|usage|progress|tick|connected|disconnected|pre.?tool.?use|notification|sub.?agent.?stop|stop",
    re.IGNORECASE,
)
_PROMPT_TYPES = re.compile(
    r"(?:user[._-]?)?prompt(?:[._-]?submit(?:ted)?)?|user[._-]?message|user|request", re.IGNORECASE
)


_WORDS_FIRST = {Kind.MESSAGE: 0, Kind.PROMPT: 0, Kind.CALL: 2, Kind.NOTHING: 3}


def read(event: Event) -> Act:
    """One by itself. Of several things in it, what was said, or else the last."""
    acts = read_all([event])
    return min(reversed(acts), key=lambda act: _WORDS_FIRST.get(act.kind, 1))


def read_all(events: Sequence[Event]) -> list[Act]:
    """What was done and said, in its order: several acts of an event, and one of a call and its answer. Never fails."""
    return read_after((), events)[1]


def read_after(earlier: Sequence[Event], events: Sequence[Event]) -> tuple[list[Act], list[Act]]:
    """What was done and said `earlier`, and since: who answers then may have been called before."""
    acts: list[Act] = []
    calls: Calls[int] = Calls()
    bits = Bits()
    shown: dict[UUID, Seen] = {}
    known: dict[UUID, Known] = {}
    screens = Screens()
    for some in (earlier, events):
        bits.begin_anew()
        since = len(acts)
        for event in some:
            payload, kind = opened(event.payload), event.type.lower()
            parts = screens.parts(event.session_id, kind, payload)
            if parts is None and not _is_musters(event, kind):
                parts = parts_of(kind, payload)
            if parts is None:
                act, said = _read(event, kind, payload), bits.ends(event.session_id)
                if said and act.kind is Kind.MESSAGE and act.text.strip() == said.strip():
                    act.kind, act.note = Kind.NOTHING, "said already"
                elif act.kind is Kind.PROMPT and calls.hands_on(act.text, event.session_id):
                    act.kind, act.note = Kind.NOTHING, "what was said already, handed on"
                elif said or act.kind in (Kind.MESSAGE, Kind.PROMPT):
                    calls.has_said(act.text, event.session_id)
                acts.append(act)
            elif not parts:
                acts.append(Act(event, Kind.NOTHING, note="it says nothing of what was done or said"))
            for part in parts or ():
                if is_bit(part):
                    goes_on = bits.goes_on(part, len(acts), event.session_id)
                    acts.append(Act(event, Kind.NOTHING, note="a bit of a message" if goes_on else ""))
                    continue
                if said := bits.ends(event.session_id):
                    calls.has_said(said, event.session_id)
                acts.append(_take(event, part, calls, acts))
        for place, payload in bits.whole():
            acts[place] = _read(acts[place].event, "message", payload)
    for act in acts:
        if act.window:
            stood(act, shown.setdefault(act.event.session_id, Seen()))
        was_there(act, known.setdefault(act.event.session_id, Known()))
    tasks.listed(acts)
    return delegated.each(acts, since)


def _take(event: Event, part: Part, calls: Calls[int], acts: list[Act]) -> Act:
    session = event.session_id
    if part.type == "output":
        return Act(event, Kind.OUTPUT, part.payload["text"])
    if part.type == "record":
        told = part.payload
        return Act(event, Kind.RECORD, told["text"], title=told["title"], data=told, standing=told["standing"])
    if part.type == "call":
        calls.made(part, len(acts), session)
        return _called(event, part)
    if calls.is_told(part, session):
        return Act(event, Kind.NOTHING, note="told already")
    if part.type in ("message", "prompt") and calls.repeats(part, session):
        return Act(event, Kind.NOTHING, note="said already")
    place = None
    if part.type == "use":
        place = calls.tell(part, session)
    elif part.type == "answer":
        if (found := calls.answered(part, session)) is None:
            return _answered(event, part)
        part, place = found
    act = _read(event, "tool_use" if part.type == "use" else part.type, part.payload)
    if place is not None:
        act.call = acts[place].event.id
        acts[place] = Act(acts[place].event, Kind.NOTHING, note="a call that is told with its answer")
    return act


def _called(event: Event, part: Part) -> Act:
    """Most edits apply; of anything else, what came of it is what matters."""
    act = _read(event, "tool_use", part.payload)
    if act.kind not in (Kind.EDIT, Kind.PLAN, Kind.DELEGATION, Kind.NOTHING):
        act.kind, act.note = Kind.CALL, "a call without its answer"
    return act


def _answered(event: Event, part: Part) -> Act:
    """Nobody knows what was asked."""
    tool = line_of(part.payload, "tool_name")
    answer = answer_of(from_kernel(tool, part.payload.get("tool_response")), part.payload, command=True)
    act = Act(event, Kind.OUTPUT, text=answer.text, tool=tool or "A tool")
    if answer.refused:
        return _refused(act, answer.instead)
    if answer.failed:
        act.kind, act.failed, act.exit_code = Kind.TOOL, True, answer.code
    elif not readable(act.text) or confirms(act.text):
        act.kind, act.note = Kind.NOTHING, "an answer that says nothing of its own"
    return act


def _is_musters(event: Event, kind: str) -> bool:
    return kind.startswith("agent.") and event.adapter == "muster"


def _read(event: Event, kind: str, payload: Any) -> Act:
    if isinstance(payload, dict):
        if _is_musters(event, kind):
            return _of_muster(event, kind, payload)
        if tool := tool_name(payload, kind):
            return _of_tool(event, tool, payload)
    if _QUIET_TYPES.fullmatch(kind) and not _says(payload):
        return Act(event, Kind.NOTHING, note=f"a {event.type} says nothing")
    text, speaker, role = said_in(payload)
    if not readable(text):
        return Act(event, Kind.NOTHING, note="there is no text in it, or all of it was taken out as private")
    prompt = _PROMPT_TYPES.fullmatch(kind) is not None or (isinstance(payload, dict) and "prompt" in payload)
    if not (wanted := plumbing.spoken(text, by_a_person=prompt or bool(speaker) or role == "user")):
        if prompt or role == "user":
            if answers := delegated.notified(text):
                return delegated.as_act(Act(event, Kind.DELEGATION), answers)
            if ended := background.notified(text):
                return Act(event, Kind.FINISHED, **ended.fields)
        note = "a program wrote it in somebody's name" if slashes.wanted_by(text) else slashes.TYPED
        return Act(event, Kind.NOTHING, note=note)
    text = wanted
    known = _is_message(kind, payload)
    act = Act(event, Kind.PROMPT if prompt else Kind.MESSAGE if known else Kind.OTHER, text=text, speaker=speaker)
    if role == "user" and not speaker and not prompt and kind not in ("message", "turn"):
        act.kind = Kind.PROMPT
    if kind in ("output", "stdout", "stderr", "log"):
        act.kind = Kind.OUTPUT
    if isinstance(payload, dict):
        act.data = payload
        act.title = line_of(payload, "title", "subject", "headline")
        act.standing = standing(kind, payload)
        act.speaker = speaker if is_talk(kind, payload) or not (act.standing or level(payload)) else ""
        act.beside = beside(kind, payload, text, act.speaker)
        if act.kind is Kind.MESSAGE and role == "assistant" and not act.title:
            act.title = proposals.title_of(text)
        act.files_read = files_of(payload, "files_read", "files", "filesRead")
        act.files_modified = files_of(payload, "files_modified", "filesModified")
    return act


def _is_message(kind: str, payload: Any) -> bool:
    if isinstance(payload, str) or kind in ("message", "turn", "utterance", "chat", "assistant", "say", "note"):
        return True
    keys = ("text", "content", "message", "messages", "parts")
    return isinstance(payload, dict) and any(key in payload for key in keys)


def _says(payload: Any) -> bool:
    """Whether an event of a type that is mostly quiet carries words all the same."""
    if not isinstance(payload, dict):
        return isinstance(payload, str) and len(payload) > 40
    return any(
        isinstance(payload.get(key), str) and payload[key].strip()
        for key in ("last_assistant_message", "assistant_message", "text", "content", "summary", "prompt")
    )


# -- Muster's own recording -----------------------------------------------------------------------------------------


def _of_muster(event: Event, kind: str, payload: dict[str, Any]) -> Act:
    act = Act(event, Kind.OTHER, data=payload, title=line_of(payload, "title"))
    if kind == "agent.started":
        act.kind, act.text = Kind.STARTED, text_of(payload.get("prompt"))
        if not readable(act.text):
            act.text = act.title
    elif kind == "agent.output":
        act.kind, act.text = Kind.OUTPUT, text_of(payload.get("text"))
        act.failed = payload.get("stream") == "stderr"
    elif kind == "agent.result":
        result = payload.get("result")
        act.kind, act.text = Kind.RESULT, flattened(result)
        if parts_of("", result) is not None or (isinstance(result, dict) and isinstance(result.get("tool_name"), str)):
            act.kind, act.note = Kind.NOTHING, "the last line of what it printed, which is told as it stands there"
    elif kind == "agent.ended":
        act.kind, act.text = Kind.ENDED, text_of(payload.get("error"))
        act.exit_code = integer(payload.get("exit_code"))
        act.failed = payload.get("status") in ("failed", "killed")
    else:
        act.text = flattened(payload)
    if act.kind is not Kind.ENDED and not readable(act.text):
        act.kind, act.note = Kind.NOTHING, "there is no text in it"
    return act


# -- Tools ----------------------------------------------------------------------------------------------------------


_NONE_FOUND = re.compile(
    r"\W{0,3}(?:No (?:files?|match(?:es|ing files)?|results?|lines)(?: (?:were |was )?(?:found|matched))?|"
    r"Found 0 \w{1,12}|0 (?:files|matches|results)|None|Nothing found)\b(?: (?:for|in|matching) \S.{0,120})?\W{0,3}",
    re.IGNORECASE,
)
"""What a search says in place of what it found."""


def _of_tool(event: Event, tool: str, payload: dict[str, Any]) -> Act:
    asked = first(payload, "tool_input", "toolInput", "toolArgs", "input", "arguments", "args", "parameters",
                  "params")  # fmt: skip
    answered = first(payload, "tool_response", "toolResponse", "tool_output", "tool_result", "toolResult", "output",
                      "result", "response")  # fmt: skip
    if not isinstance(asked, dict):
        asked = {"input": asked} if asked is not None else payload
    name = tool.rpartition("__")[2] if tool.startswith("mcp__") else tool
    kind = TOOLS.get(name.lower(), Kind.TOOL)
    if kind is Kind.TOOL and asked.get("command") and isinstance(asked.get("command"), str | list):
        kind = Kind.COMMAND
    act = Act(event, kind, tool=tool, data=asked, about=line_of(asked, "description", "explanation", "justification"))
    if tool.lower() in IDLE_TOOLS:
        told = payload if answered is None else answered
        if answers := delegated.answers_in(asked, told):
            return delegated.as_act(act, answers)
        if ended := background.ended(asked, told):
            return Act(event, Kind.FINISHED, tool=tool, **ended.fields)
        act.kind, act.note = Kind.NOTHING, f"{tool} does nothing of its own"
        return act
    if kind is Kind.COMMAND and applies_patch(command_of(asked)):
        kind = act.kind = Kind.EDIT
    answered = from_kernel(name, answered) if kind is Kind.TOOL else answered
    answer = answer_of(answered, payload, command=kind is Kind.COMMAND, edit=kind is Kind.EDIT)
    if answer.refused:
        return _refused(act, answer.instead)
    act.text, act.exit_code, act.failed = without_state(answer.text), answer.code, answer.failed
    places = (payload, answered) if isinstance(answered, dict) else (payload,)
    act.interrupted = any(place.get("interrupted") is True for place in places)
    if name.lower().startswith("str_replace") and asked.get("command") == "view":
        act.kind = Kind.READ
    command = command_of(asked) if kind is Kind.COMMAND else ""
    if answered is not None and (found := window(name, command, asked, answer.text)):
        return through(act, found, command)
    match act.kind:
        case Kind.READ:
            act.files_read = files_of(asked, *PATHS) or files_of(answered, *PATHS)
            if isinstance(answered, dict) and isinstance(inner := answered.get("file"), dict):
                act.text = text_of(inner.get("content")) or act.text
        case Kind.SEARCH:
            act.query = line_of(asked, "pattern", "query", "search_term", "path", "dir_path")
            act.files_read = (
                [] if name.lower() in ("ls", "list_dir", "list_directory") else files_of(answered, "filenames")
            )
            act.files_read = [path for path in act.files_read if not _NONE_FOUND.fullmatch(path)]
            act.text = "" if _NONE_FOUND.fullmatch(act.text[:200]) else act.text
        case Kind.EDIT:
            _read_edit(act, asked, answered)
        case Kind.COMMAND:
            act.command = command_of(asked)
            judge(act)
            if not act.failed and (run := background.begun(asked, answered, act.command)) is not None:
                act.kind, act.background, act.query, act.command = Kind.BEGUN, run, act.command, ""
            elif answered is not None and not (act.text or act.failed) and commands.only_looks(act.command):
                act.kind, act.note = Kind.NOTHING, "a look that showed nothing"
        case Kind.WEB:
            act.query = line_of(asked, "query", "url", "search_term")
            act.about = act.about or line_of(asked, "prompt")
        case Kind.DELEGATION:
            delegated.read(act, asked)
        case Kind.PLAN:
            act.items = plan_of(asked)
            act.text = text_of(asked.get("plan")) or act.text
        case Kind.CHOICE if asked.get("question") or asked.get("questions"):
            act.choices = choices_of(asked, answered)
            if not act.choices:
                act.kind, act.note = Kind.NOTHING, "a question that nobody answered"
        case _:
            act.kind = Kind.TOOL if act.kind is Kind.CHOICE else act.kind
            act.failed = act.failed or has_raised(name, act.text)
            act.query = cleaned(flattened(asked), 2000)
            act.files_read = files_of(asked, *PATHS)
    return act


def _read_edit(act: Act, asked: dict[str, Any], answered: Any) -> None:
    act.files_modified = files_of(asked, *PATHS) or files_of(answered, *PATHS)
    act.changes = changes_of(asked)
    if not act.changes and isinstance(answered, dict) and {"old_string", "new_string"} <= answered.keys():
        act.changes = changes_of({key: answered[key] for key in ("old_string", "new_string")})
    kind = answered.get("type") if isinstance(answered, dict) else None
    writes = act.tool.lower() in ("write", "create_file", "write_file", "write_to_file") or "file_text" in asked
    act.created = kind == "create" or (writes and kind != "update" and "updated" not in act.text[:200])
    deleted = act.tool.lower() in ("delete", "delete_file")
    if patch := patch_in(asked):
        files, changes, act.created, deleted, act.places = patched(patch)
        act.files_modified, act.changes = files or act.files_modified, changes
    if deleted and act.files_modified:
        # Nothing is left that an edit would show: it is told as the command that does the same.
        act.kind, act.command = Kind.COMMAND, f"rm {shlex.join(act.files_modified)}"[:COMMAND_CHARS]
        names = ", ".join(path.rpartition("/")[2] or path for path in act.files_modified)
        act.about = act.about or f"Delete {names}"


def _refused(act: Act, instead: str) -> Act:
    """Nothing was done. What somebody said in place of it is worth as much as anything they say."""
    if readable(instead):
        return Act(act.event, Kind.PROMPT, text=instead)
    act.kind, act.note = Kind.NOTHING, f"{act.tool} was not allowed"
    return act
