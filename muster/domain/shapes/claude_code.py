"""Lines of Claude Code's session files that are no messages: what it keeps for itself, what was typed while it worked,
and what was done by those that work for it."""

from __future__ import annotations

from typing import Any

from muster.domain.rules.json import text_of
from muster.domain.shapes.parts import Part, mapping, said, type_of, use
from muster.domain.shapes.providers import streamed

_KEPT = frozenset({"file-history-snapshot", "attribution-snapshot", "queue-operation", "stream_event"})
"""What nobody else writes."""
_OF_A_SESSION = frozenset(
    """
    last-prompt permission-mode custom-title ai-title agent-name agent-setting agent-color worktree-state
    content-replacement speculation-accept pr-link task-summary tag mode
    """.split()  # noqa: SIM905
)
_MARKED = {
    "summary": {"leafUuid"},
    "system": {"parentUuid", "isSidechain", "logicalParentUuid"},
    "attachment": {"parentUuid", "isSidechain"},
    "progress": {"parentUuid", "isSidechain", "parentToolUseID"},
}
"""Others write lines of these types, too: by one of these fields its own are known."""


def claude_code(kind: str, document: dict[str, Any]) -> list[Part] | None:
    """None: it is none of these lines."""
    name = type_of(document)
    if name in _KEPT or (name in _OF_A_SESSION and isinstance(document.get("sessionId"), str)):
        return []
    if name not in _MARKED or _MARKED[name].isdisjoint(document):
        return None
    if name == "attachment":
        return _attached(mapping(document.get("attachment")))
    return _worked(mapping(document.get("data"))) if name == "progress" else []


def _attached(about: dict[str, Any]) -> list[Part]:
    """What somebody typed while the agent worked, and how a run in the background ended."""
    if type_of(about) == "queued_command":
        return said(text_of(about.get("prompt")), "user")
    if type_of(about) == "task_status":
        told = {key: about.get(key) for key in ("status", "description", "exitCode")}
        return use("TaskOutput", {"task_id": about.get("taskId")}, told)
    return []


def _worked(about: dict[str, Any]) -> list[Part]:
    """What was used by whom the agent gave work to. What they say comes with their answer."""
    if type_of(about) != "agent_progress":
        return []
    return [part for part in streamed(mapping(about.get("message"))) or [] if part.type in ("call", "answer")]
