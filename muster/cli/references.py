"""Ids as people give them: whole, or the beginning or end of one that was listed recently."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

from muster.cli.client import Api, Failure, Problem
from muster.domain.states import TaskStatus

RECENT = 1000


def task_id(api: Api, reference: str) -> str:
    """Of a task; an agent's id means the task it works on."""
    kind, item = find(api, reference)
    return str(item["id"] if kind == "task" else item["task_id"])


def agent_id(api: Api, reference: str, *, active: bool = False) -> str:
    """Of an agent; a task's id means its latest agent.

    `active`: a task that waits for its next agent has none, though it had one.
    """
    kind, item = find(api, reference)
    if kind == "agent":
        return str(item["id"])
    if item["agent_id"] is None or (active and item["status"] == TaskStatus.PENDING):
        waits = f", waits for {item['waiting_for']}" if item.get("waiting_for") else ""
        which = "no agent now" if item["agent_id"] else "no agent yet"
        raise Failure(f"task {item['id']} has {which} ({item['status']}{waits}); `muster cancel` ends a task")
    return str(item["agent_id"])


def find(api: Api, reference: str) -> tuple[str, dict[str, Any]]:
    """What has this id: ("agent" or "task", the thing itself)."""
    kinds: tuple[str, ...] = ("agent", "task")
    bare = reference.strip().lower()
    for kind in kinds:
        if bare.startswith(f"{kind}-"):  # a workflow id, as the Temporal Web UI shows it
            kinds, bare = (kind,), bare.removeprefix(f"{kind}-")
            break
    if whole := _whole(bare):
        for kind in kinds:
            try:
                return kind, api.get(f"/v1/{kind}s/{whole}")
            except Problem as problem:
                if problem.status != 404:
                    raise
        raise Failure(f"there is no {' or '.join(kinds)} {whole}")
    kind, item_id = _among_recent(api, kinds, bare)
    return kind, api.get(f"/v1/{kind}s/{item_id}")


def key_id(api: Api, reference: str) -> str:
    """Of an API key."""
    bare = reference.strip().lower()
    return str(_whole(bare) or _among_recent(api, ("key",), bare)[1])


def memory_id(api: Api, kind: str, reference: str) -> str:
    """Of a session or an observation; also of a task or an agent, which memory may have outlived."""
    bare = reference.strip().lower()
    return str(_whole(bare) or _among_recent(api, (kind,), bare)[1])


def memory_ids(api: Api, **references: str | None) -> dict[str, str | None]:
    return {kind: memory_id(api, kind, text) if text else None for kind, text in references.items()}


def user_id(api: Api, reference: str) -> str:
    """Of a member of the workspace, by email or user id."""
    if whole := _whole(reference.strip()):
        return str(whole)
    email = reference.strip().lower()
    for member in api.pages("/v1/members"):
        if member["email"] == email:
            return str(member["user_id"])
    raise Failure(f"nobody with the email {email} is a member of this workspace")


def _whole(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _among_recent(api: Api, kinds: tuple[str, ...], text: str) -> tuple[str, str]:
    part = text.replace("-", "")
    if not re.fullmatch(r"[0-9a-f]{4,31}", part):
        raise Failure(f"{text!r} is no id: give a whole one, or at least 4 characters of its beginning or end")
    found: list[tuple[str, str]] = []
    for kind in kinds:
        for item in api.pages(f"/v1/{kind}s", RECENT):
            digits = item["id"].replace("-", "")
            if digits.startswith(part) or digits.endswith(part):
                found.append((kind, item["id"]))
    if not found:
        raise Failure(
            f"no {' or '.join(kinds)} among the latest {RECENT} has an id that begins or ends with {text}; "
            "give the whole id"
        )
    if len(found) > 1:
        named = ", ".join(f"{kind} {item_id}" for kind, item_id in found[:4])
        more = f" and {len(found) - 4} more" if len(found) > 4 else ""
        raise Failure(f"{text} is ambiguous: {named}{more}; the end of an id is its distinctive part")
    return found[0]
