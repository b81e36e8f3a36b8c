"""What hooks of editors and command-line agents are called with, by the hook's name; and opencode's events."""

from __future__ import annotations

import re
from typing import Any

from muster.domain.rules.json import opened
from muster.domain.shapes.parts import Part, gave_up, mapping, said, type_of, use

# -- Hooks of Cursor, Claude Code and Gemini CLI ---------------------------------------------------------------------

_BEFORE = frozenset(
    """
    pretooluse beforetool permissionrequest beforeshellexecution beforemcpexecution beforereadfile beforetabfileread
    """.split()  # noqa: SIM905
)
"""What is to be, may still be refused."""
_QUIET_HOOKS = frozenset(
    """
    beforemodel aftermodel beforetoolselection precompact precompress afteragentthought sessionstart sessionend
    notification subagentstart workspaceopen
    """.split()  # noqa: SIM905
)


def hooked(kind: str, document: dict[str, Any]) -> list[Part] | None:
    """None: no hook's, or one that is read as any other event is."""
    named = document.get("hook_event_name")
    name = named if isinstance(named, str) else re.split(r"[.:/]", kind[:100])[-1]
    name = re.sub(r"[^a-z]", "", name[:60].lower())
    if name in _BEFORE or (name in _QUIET_HOOKS and isinstance(named, str)):
        return []
    if name in ("afterfileedit", "aftertabfileedit") and isinstance(document.get("file_path"), str):
        return use("Edit", {"file_path": document["file_path"], "edits": document.get("edits")})
    if name == "aftershellexecution" and isinstance(document.get("command"), str):
        told = {
            "output": document.get("output") or "",
            "exit_code": document.get("exit_code", document.get("exitCode")),
        }
        return use("Bash", {"command": document["command"]}, told)
    if name == "aftermcpexecution" and isinstance(document.get("tool_name"), str):
        return use(document["tool_name"], opened(document.get("tool_input")), opened(document.get("result_json")))
    if name in ("beforesubmitprompt", "userpromptsubmit") and isinstance(document.get("prompt"), str):
        return said(document["prompt"], "user")
    if name == "afteragentresponse" and isinstance(document.get("text"), str):
        return said(document["text"])
    if name == "afteragent" and isinstance(document.get("prompt_response"), str):
        return said(document["prompt_response"])
    if name in ("stop", "subagentstop") and isinstance(named, str):
        return said(document.get("last_assistant_message"))
    return None


# -- opencode --------------------------------------------------------------------------------------------------------

_QUIET = re.compile(
    r"(?:message\.(?:updated|removed|part\.(?:removed|delta))|session\.(?!error)\w+|server\.\w+|lsp\.[\w.]+|"
    r"installation\.[\w.-]+|file\.(?:edited|watcher\.\w+)|storage\.\w+|permission\.\w+|question\.\w+|pty\.\w+|"
    r"project\.\w+|vcs\.[\w.]+|tui\.[\w.]+|ide\.[\w.]+|command\.\w+|mcp\.[\w.]+)"
)
_PRINTED = frozenset({"text", "tool_use", "step_start", "step_finish", "reasoning"})


def opencode(kind: str, document: dict[str, Any]) -> list[Part] | None:
    name = type_of(document) or kind
    about = mapping(document.get("properties")) or document
    if isinstance(part := about.get("part"), dict) and (name == "message.part.updated" or name in _PRINTED):
        return _of_part(part)
    if name in ("error", "session.error") and isinstance(about.get("error"), dict) and "sessionID" in about:
        return gave_up(about["error"])
    if name == "todo.updated" and isinstance(about.get("todos"), list):
        return use("todowrite", {"todos": about["todos"]})
    return [] if _QUIET.fullmatch(name[:80]) and ("properties" in document or "info" in document) else None


def _of_part(part: dict[str, Any]) -> list[Part]:
    if type_of(part) == "text":
        time = mapping(part.get("time"))
        unfinished = "start" in time and "end" not in time
        return [] if unfinished or part.get("synthetic") is True else said(part.get("text"))
    state = mapping(part.get("state"))
    if type_of(part) != "tool" or state.get("status") not in ("completed", "error"):
        return []
    failed, meta = state["status"] == "error", mapping(state.get("metadata"))
    told: dict[str, Any] = {"error": state.get("error") or "error"} if failed else {"output": state.get("output")}
    told |= {"exit_code": meta["exit"]} if "exit" in meta else {}
    tool = str(part.get("tool"))
    return use("ls" if tool == "list" else tool, state.get("input"), told, failed=failed, number=part.get("callID"))
