"""Which call of a tool an event is about: what its answer has in common with it, in whatever shape they are sent."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from muster.domain.rules.json import opened

_ID_NAMES = frozenset(
    "tooluseid toolcallid callid toolid functioncallid toolinvocationid itemid invocationid".split()  # noqa: SIM905
)
_TOOL_NAMES = frozenset({"toolname", "tool"})
_SERVERS = frozenset({"server", "servername", "serverlabel", "mcpserver", "mcpservername"})
_ASKED = frozenset(
    "input toolinput inputstr arguments args parameters params command cmd action changes query".split()  # noqa: SIM905
)
_ANSWERED = frozenset(
    """
    output tooloutput result toolresult tooluseresult resultjson results response toolresponse functionresponse stdout
    stderr aggregatedoutput formattedoutput iserror exitcode
    """.split()  # noqa: SIM905
)
_UNDER = frozenset("functioncall functionresponse toolcalls toolcall toolresult".split())  # noqa: SIM905
"""What stands under these names is a call, or an answer."""
_OF_TOOLS = re.compile(r"tool|call|function|command_?execution|exec_command|shell", re.IGNORECASE)
_OF_CALLS = re.compile(r"(?:server_|mcp_|custom_)?tool[_-]?(?:use|call)|function_?call|pre_?tool_?use", re.IGNORECASE)
_OF_ANSWERS = re.compile(
    r"(?:tool|function|call|command|shell|exec|bash|terminal)\w{0,40}?[_.:/ -]?"
    r"(?:results?|outputs?|responses?|answer|end|ended|done|completed|finished|failed)(?![a-z])"
    r"|post[_-]?tool|after[_-]?(?:tool|mcp|shell)",
    re.IGNORECASE,
)
_OF_RUNS = re.compile(r"(?:[\w.]{1,60}[.:/])?(?:on|handle)[_-]?tool[_-]?(start|end|error)", re.IGNORECASE)
"""LangChain's callbacks: a tool's run is known by its number."""
ITS_CALL = "its call"
"""Why something is excluded, where no more is remembered."""
_NO_NAME = re.compile(r"[^\w-]")
_NOTHING: tuple[Any, ...] = (None, "", "{}", {}, [], False)
_MOST = 500
"""Of one event, how many ids and names are looked at."""


def plain(key: str) -> str:
    return _plain(key) if len(key) <= 40 else ""


@lru_cache(4096)
def _plain(key: str) -> str:
    return key.lower().replace("_", "").replace("-", "")


def tools_named(under: str, item: dict[str, Any]) -> list[str]:
    """How the tool is called that this says it is about, also as `mcp__server__tool`. `under`: the name of the field
    that it stands in."""
    keys = {plain(key): value for key, value in item.items()}
    found: list[str] = []
    for key in _TOOL_NAMES:
        told = keys.get(key)
        told = told.get("name") if isinstance(told, dict) else told
        if isinstance(told, str) and told:
            found.append(told)
    name = keys.get("name")
    if isinstance(name, str) and name and _is_of_tools(under, keys):
        found.append(name)
    servers = [told for key in _SERVERS if isinstance(told := keys.get(key), str) and told]
    found += [f"mcp__{_NO_NAME.sub('_', server)}__{name}" for server in servers for name in found]
    found += [f"mcp__{name}" for name in found if "__" in name and not name.startswith("mcp__")]
    return found


def _is_of_tools(under: str, keys: dict[str, Any]) -> bool:
    """Whether it is a tool's name that stands there, and no person's."""
    return (
        under in _UNDER
        or under == "serialized"
        or _OF_RUNS.fullmatch(str(keys.get("event"))[:100]) is not None
        or keys.get("role") in ("tool", "function")
        or not (_ASKED.isdisjoint(keys) and _ANSWERED.isdisjoint(keys) and _ID_NAMES.isdisjoint(keys))
        or "tool" in str(keys.get("type", ""))
    )


class Trace(NamedTuple):
    """What of an event says of which calls it is. Hashes: of a session's ids, they tell nothing outside of it."""

    calls: frozenset[int]
    """What it calls."""
    answers: frozenset[int]
    """What it answers, or tells of."""
    called: frozenset[str]
    """The tools that it calls."""
    answered: frozenset[str]
    """The tools that answer here without an id."""
    is_loose: bool
    """It answers, and says no id of what."""


def hashed(session: UUID, *about: str) -> int:
    digest = hashlib.blake2b("\0".join(about).encode("utf-8", "replace"), digest_size=8, key=session.bytes).digest()
    return int.from_bytes(digest, signed=True)


def trace(session: UUID, kind: str, *values: Any) -> Trace:
    """Of an event of this kind: of its payload, and of what else it says."""
    calls: set[str] = set()
    answers: set[str] = set()
    called: set[str] = set()
    answered: set[str] = set()
    is_loose = False
    beside = [one for value in values[1:] if isinstance(value, dict) for one in _Told("", value, kind).ids]
    for under, item, is_root, is_within in _walk(values):
        found = _Told(under, item, kind if is_root else "", beside if item is values[0] else ())
        if len(calls) + len(answers) + len(called) + len(answered) > _MOST:
            break
        (calls if found.is_call else answers).update(found.ids)
        if is_within:
            continue
        if found.is_call:
            called.update(found.names)
        elif found.is_answer and not found.ids:
            answered.update(found.names)
            is_loose = True
    is_loose = is_loose or _OF_ANSWERS.search(kind[:200]) is not None
    return Trace(
        _all_hashed(session, calls), _all_hashed(session, answers - calls), frozenset(called), frozenset(answered),
        is_loose and not (calls or answers or called),
    )  # fmt: skip


def _all_hashed(session: UUID, ids: Iterable[str]) -> frozenset[int]:
    return frozenset(hashed(session, "id", one) for one in ids)


def _walk(values: Iterable[Any]) -> Iterator[tuple[str, dict[str, Any], bool, bool]]:
    """Every object: what it stands under; whether it is outermost; whether it is within what is asked or answered."""
    stack = [("", value, True, False) for value in reversed(list(values))]
    while stack:
        under, item, is_root, is_within = stack.pop()
        item = opened(item)
        if isinstance(item, dict):
            yield under, item, is_root, is_within
            for key, value in item.items():
                name = plain(key)
                within = is_within or (name not in _UNDER and (name in _ASKED or name in _ANSWERED))
                stack.append((name, value, False, within))
        elif isinstance(item, list | tuple):
            stack.extend((under, value, is_root, is_within) for value in item)


class _Told:
    """What one object says of a call."""

    __slots__ = ("ids", "is_answer", "is_call", "names")

    def __init__(self, under: str, item: dict[str, Any], kind: str, beside: Sequence[str] = ()) -> None:
        keys = {plain(key): value for key, value in item.items()}
        said = (keys.get("type"), keys.get("hookeventname"), keys.get("event"), kind)
        told = [one[:200] for one in said if isinstance(one, str)]
        run = next((found[1].lower() for one in told if (found := _OF_RUNS.fullmatch(one))), "")
        self.names = [name.lower() for name in tools_named(under, item)]
        if isinstance(function := keys.get("function"), dict) and isinstance(name := function.get("name"), str):
            self.names.append(name.lower())
        of_tools = under in _UNDER or "jsonrpc" in keys or self.names or any(map(_OF_TOOLS.search, told))
        names = [*_ID_NAMES, "id"] if of_tools else _ID_NAMES
        names = ["runid", *names] if run else names
        self.ids = [one for name in names if (one := _as_id(keys.get(name)))] + list(beside)
        ends = under == "functionresponse" or keys.get("role") in ("tool", "function")
        ends = ends or run in ("end", "error") or any(map(_OF_ANSWERS.search, told))
        answers = ends or _holds(item, _ANSWERED, _NOTHING)
        asks = (
            under == "functioncall" or _holds(item, _ASKED, ()) or run == "start" or any(map(_OF_CALLS.fullmatch, told))
        )
        self.is_call = asks and not answers and bool(self.ids or self.names)
        self.is_answer = answers and not _holds(item, _ASKED, _NOTHING)  # else it stands for itself


def _as_id(value: Any) -> str | None:
    if isinstance(value, str):
        return value if 0 < len(value) <= 500 else None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _holds(item: dict[str, Any], keys: frozenset[str], nothing: tuple[Any, ...], depth: int = 0) -> bool:
    for key, value in item.items():
        name = plain(key)
        if name in keys:
            if value not in nothing:
                return True
            continue
        if name in _ASKED or name in _ANSWERED or depth == 3 or not isinstance(value, dict):
            continue
        if _holds(value, keys, nothing, depth + 1):
            return True
    return False


class Followed:
    """What events of one session, in their order, leave of calls that are excluded: their answers are, too.

    A number may be given again: whoever calls with it anew, and is not excluded, has it from then on. Where there is
    no number there is the tool's name, which holds until the answer came, and then until it is called again.
    """

    def __init__(self, session: UUID, remembered: Iterable[int], events: Sequence[tuple[Trace, str | None]]) -> None:
        self._session = session
        self._remembered = frozenset(remembered)
        self._is: dict[int, str | None] = dict.fromkeys(self._remembered, ITS_CALL)
        """Of each that is known of: what excluded it. None: it is not excluded."""
        self._later: dict[int, str | None] = {}
        """Of each, what becomes of the first call with it."""
        self._after: tuple[str, frozenset[str]] | None = None
        self.asked: set[int] = set()
        """What is not known from these, and may be from those before."""
        for told, why in events:
            for call in (*told.calls, *map(self._open, told.called)):
                self._later.setdefault(call, why)
        self.why = [self._followed(told, why) for told, why in events]
        """Of each event, what excludes it."""

    @property
    def excluded(self) -> list[int]:
        """What is to be remembered."""
        return [call for call, why in self._is.items() if why is not None and call not in self._remembered]

    @property
    def free(self) -> list[int]:
        """What is to be remembered no longer."""
        return [call for call, why in self._is.items() if why is None]

    def _followed(self, told: Trace, why: str | None) -> str | None:
        why = why or self._of_its_call(told)
        if why is None:
            self._is.update(dict.fromkeys(told.calls))
            self._is.update(dict.fromkeys(self._closed(name) for name in told.called))
            self._after = None
            return None
        self._is.update(dict.fromkeys(told.calls | told.answers, why))
        for name in told.called:
            self._is |= {self._open(name): why, self._closed(name): None}
        for name in told.answered:
            if self._is.get(self._open(name)):
                self._is |= {self._open(name): None, self._closed(name): why}
        if not told.is_loose:
            is_answer = told.answers and not (told.calls or told.called)
            self._after = None if is_answer else (why, told.called)
        return why

    def _of_its_call(self, told: Trace) -> str | None:
        found = [self._known(call) for call in told.answers]
        if told.is_loose:
            found += [self._known(mark_of(name)) for name in told.answered for mark_of in (self._open, self._closed)]
            if self._after is not None:
                why, called = self._after
                found.append(why if not (called and told.answered) or called & told.answered else None)
        return next(filter(None, found), None)

    def _known(self, call: int) -> str | None:
        if call in self._is:
            return self._is[call]
        self.asked.add(call)
        return self._later.get(call)

    def _open(self, name: str) -> int:
        return hashed(self._session, "called", name)

    def _closed(self, name: str) -> int:
        return hashed(self._session, "answered", name)
