"""What documents of other programs are read as: words that were said, and uses of tools, whole or in two halves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from muster.domain.rules.plumbing import spoken


class Part(NamedTuple):
    type: str
    """`message`, `prompt`, `use`; the halves of a use: `call` and `answer`; `record`, of what a program
    tells; or `output`, that was printed, nobody knows by what."""
    payload: dict[str, Any]
    id: str = ""
    """What a call and its answer have in common."""


_NOT_SAID = (
    "<environment_context>", "<user_instructions>", "<permissions instructions>", "# AGENTS.md instructions",
    "<INSTRUCTIONS>", "<turn_aborted>", "<system-reminder>", "<command-name>", "<command-message>", "<local-command",
    "<collaboration_mode>", "<skill>",
)  # fmt: skip
"""How texts begin that programs say in a person's name."""
_OF_A_PROGRAM = (
    *_NOT_SAID, "This session is being continued from a previous conversation", "Caveat: The messages below",
    "Error: Error during compaction", "Error during compaction", "<task-notification>", "<subagent_notification>",
    "<bash-", "[Request interrupted", "[SYSTEM NOTIFICATION",
)  # fmt: skip
"""The same of what is worth reading."""
_NOTICE = re.compile(r'Background (?:command|task|agent) "[^"\n]{0,400}" (?:completed|failed|was (?:stopped|killed))')


def is_of_a_program(text: str) -> bool:
    """Whether a program says it in a person's name: nobody asks for anything by it."""
    return text.lstrip().startswith(_OF_A_PROGRAM) or _NOTICE.search(text[:600]) is not None


def said(text: Any, role: str = "assistant") -> list[Part]:
    if not isinstance(text, str) or not text.strip():
        return []
    if role == "user" and text.lstrip().startswith(_NOT_SAID):
        # Somebody may have said something beside it.
        text = spoken(text, by_a_person=True)
        if not text or text.startswith(_NOT_SAID):
            return []
    return [Part("prompt", {"prompt": text}) if role == "user" else Part("message", {"role": role, "text": text})]


def call(name: Any, asked: Any, number: Any = None) -> list[Part]:
    if not isinstance(name, str) or not name.strip():
        return []
    about = {"tool_name": name, "tool_input": {} if asked is None else asked}
    return [Part("call", about, number if isinstance(number, str) and number else f"name {name}")]


def answer(answered: Any, number: Any = None, *, failed: bool = False, name: Any = None) -> list[Part]:
    told: dict[str, Any] = {"tool_response": answered, "is_error": failed}
    if isinstance(name, str) and name.strip():
        told = {"tool_name": name, **told}
    return [Part("answer", told, number if isinstance(number, str) and number else f"name {name}")]


def use(name: str, asked: Any, answered: Any = None, *, failed: bool = False, number: Any = None) -> list[Part]:
    told = {"tool_name": name, "tool_input": {} if asked is None else asked, "tool_response": answered}
    if failed:
        told["is_error"] = True
    return [Part("use", told, number if isinstance(number, str) else "")]


def gave_up(why: Any) -> list[Part]:
    """The agent as a whole could not go on."""
    if isinstance(why, Mapping):
        inner = why.get("data")
        why = why.get("message") or (inner.get("message") if isinstance(inner, Mapping) else None) or why.get("name")
    return use("The agent", {}, why, failed=True) if isinstance(why, str) and why.strip() else []


def record(
    title: str,
    text: str = "",
    *,
    standing: str = "",
    same: Iterable[str] = (),
    kind: str = "",
    importance: float = 0.0,
    facts: Iterable[tuple[str, Any]] = (),
    files: Iterable[str] = (),
) -> list[Part]:
    """What a program tells of, as a person would. `same` is what is so of it each time that it is told of."""
    told = [
        f"{name}: {value}" for name, value in facts if isinstance(value, str | int) and value not in ("", True, False)
    ]
    return (
        [
            Part(
                "record",
                {
                    "title": title,
                    "text": text,
                    "standing": standing,
                    "same": [*same],
                    "kind": kind,
                    "importance": importance,
                    "facts": told,
                    "files": [*files],
                },
            )
        ]
        if title.strip()
        else []
    )


def type_of(document: Mapping[str, Any]) -> str:
    found = document.get("type")
    return found if isinstance(found, str) else ""


def mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def listed(value: Any, most: int = 50) -> list[dict[str, Any]]:
    return [item for item in value[:most] if isinstance(item, dict)] if isinstance(value, list) else []
