"""An event as it was read: what was done or said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

from muster.domain.memory import Event
from muster.domain.rules.given import Choice


class Kind(StrEnum):
    MESSAGE = "message"
    PROMPT = "prompt"
    READ = "read"
    SEARCH = "search"
    EDIT = "edit"
    COMMAND = "command"
    BEGUN = "begun"
    """A command in the background."""
    FINISHED = "finished"
    """What was begun there."""
    WEB = "web"
    DELEGATION = "delegation"
    PLAN = "plan"
    CHOICE = "choice"
    """Of whom a tool asked."""
    CALL = "call"
    """Of a tool, without its answer: nobody knows what came of it."""
    TOOL = "tool"
    RECORD = "record"
    """Of what a program tells of, and how that stands."""
    OUTPUT = "output"
    RESULT = "result"
    STARTED = "started"
    ENDED = "ended"
    OTHER = "other"
    NOTHING = "nothing"


@dataclass(slots=True)
class Act:
    """One event, read."""

    event: Event
    kind: Kind
    text: str = ""
    """What was said, or what a tool answered."""
    note: str = ""
    """Why there is nothing in it."""
    tool: str = ""
    about: str = ""
    """What the one who used the tool says it is for."""
    command: str = ""
    background: str = ""
    """The name of a run in the background."""
    exit_code: int | None = None
    failed: bool = False
    interrupted: bool = False
    speaker: str = ""
    title: str = ""
    query: str = ""
    files_read: list[str] = field(default_factory=list)
    files_modified: list[str] = field(default_factory=list)
    changes: list[tuple[str, str]] = field(default_factory=list)
    """What stood there before, and what stands there now."""
    places: list[str] = field(default_factory=list)
    """The file of each of these, where several are changed at once."""
    created: bool = False
    items: list[tuple[str, str]] = field(default_factory=list)
    """Of a plan: what is to be done, and how far it is."""
    choices: list[Choice] = field(default_factory=list)
    data: Mapping[str, Any] = field(default_factory=dict)
    beside: list[tuple[str, str]] = field(default_factory=list)
    """Fields of its own that stand beside what was said."""
    standing: str = ""
    """What it tells of fails, or does no longer."""
    call: UUID | None = None
    """The event that it was called in, where that is not its own."""
    window: str = ""
    """What an editor showed of the file, with the numbers of the lines."""
