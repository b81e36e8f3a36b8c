"""What agents may ask of Muster as tools: one definition for both doors, `/mcp` and `muster mcp`.

A tool is a few requests of the HTTP API and a short way to tell their answers, so that it can do nothing that the
API would refuse. What is told is small: a model reads, and pays for, all of it.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Protocol
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field, JsonValue

from muster.domain.states import AgentStatus
from muster.domain.tasks import Spec
from muster.domain.tenants import Scope

NARRATIVE_LENGTH = 400
"""Of each item in a list; the whole is got by its id."""
SOURCES, PAYLOAD_LENGTH = 10, 600
OUTPUT_LINES = 200
LINE_LENGTH = 500

INSTRUCTIONS = """\
Muster keeps what agents did and learned, and runs agents. Before you begin something, ask `context` or `search` what \
is known; `get_observation` shows one in full. `remember` what will matter later: decisions and their reasons, causes \
of failures, conventions. Hand work to others with `spawn_agent`, and look after it with `agent_status`."""


class Refused(Exception):
    """The API's refusal of a request."""

    def __init__(self, status: int, document: Mapping[str, Any]) -> None:
        self.status, self.document = status, document
        self.code = str(document.get("code") or "internal")
        self.detail = str(document.get("detail") or document.get("title") or "something went wrong in Muster")
        self.retryable = bool(document.get("retryable"))
        super().__init__(self.detail)


class Door(Protocol):
    """Where the requests of a tool go, with the key of whoever calls it."""

    project: str | None
    """Meant where a call names none."""

    async def request(
        self, method: str, path: str, query: Mapping[str, Any] | None = None, body: Any = None
    ) -> Any:  # fmt: skip
        """What is answered. Raises Refused."""


class Project(Spec):
    project: str | None = Field(
        default=None, max_length=200, description="Id or slug of a project. Default: the one of this connection or key."
    )


Count = Annotated[int, Field(ge=1, le=50)]
ObservationId = Annotated[UUID, Field(description="Id of an observation, as a search told it.")]
AgentId = Annotated[UUID, Field(description="Id of an agent.")]
Names = list[Annotated[str, Field(min_length=1, max_length=1000)]]


class Search(Project):
    query: str = Field(
        min_length=1, max_length=2000, description="Words, a question, an identifier or a path; in any language."
    )
    type: str | None = Field(default=None, max_length=50, description="Only of this type, such as decision or bugfix.")
    concept: str | None = Field(default=None, max_length=100, description="Only about this.")
    file: str | None = Field(default=None, max_length=1000, description="Only what read or changed this file.")
    after: AwareDatetime | None = Field(default=None, description="Only what happened since, as 2026-03-31T08:00:00Z.")
    before: AwareDatetime | None = Field(
        default=None, description="Only what happened before, as 2026-03-31T08:00:00Z."
    )
    limit: Count = 8


class Timeline(Project):
    around: UUID | None = Field(default=None, description="Id of an observation: what happened before and after it.")
    session: UUID | None = Field(default=None, description="Only of this session.")
    after: AwareDatetime | None = Field(default=None, description="Only what happened since, as 2026-03-31T08:00:00Z.")
    before: AwareDatetime | None = Field(
        default=None, description="Only what happened before, as 2026-03-31T08:00:00Z."
    )
    limit: Count = 20


class GetObservation(Spec):
    id: ObservationId


class Context(Project):
    task: str = Field(min_length=1, max_length=20_000, description="What you are about to do, in your own words.")
    files: Names = Field(default_factory=list, max_length=100, description="Paths that it is about.")
    budget_tokens: int = Field(default=2000, ge=100, le=20_000, description="Longest answer.")


class Remember(Project):
    title: str = Field(min_length=1, max_length=500, description="What is worth knowing, in one line.")
    narrative: str | None = Field(default=None, max_length=50_000, description="The whole of it, and why.")
    type: str = Field(
        default="discovery", min_length=1, max_length=50,
        description="Such as decision, discovery, bugfix, feature, change, convention.",
    )  # fmt: skip
    facts: Names = Field(default_factory=list, max_length=50, description="Single statements that hold by themselves.")
    concepts: Names = Field(default_factory=list, max_length=50, description="What it is about, in a word or two each.")
    files_read: Names = Field(default_factory=list, max_length=100)
    files_modified: Names = Field(default_factory=list, max_length=100)


class RecordEvent(Project):
    type: str = Field(min_length=1, max_length=100, description="What kind of event: message, tool_use, prompt …")
    payload: JsonValue = Field(description="What happened: a text, or any JSON.")
    session: str = Field(
        default="mcp", min_length=1, max_length=500, description="Your name for the run that it is part of."
    )
    event_id: str | None = Field(
        default=None,
        min_length=1,
        max_length=500,
        description="Your id for it, in all of the project. Sent again with it, it is the same.",
    )
    occurred_at: AwareDatetime | None = Field(default=None, description="Default: now.")


class ListAgents(Project):
    status: list[AgentStatus] = Field(
        default=[AgentStatus.SPAWNING, AgentStatus.RUNNING], max_length=5, description="In any of these."
    )
    limit: Count = 20


class SpawnAgent(Project):
    title: str = Field(min_length=1, max_length=500, description="What people see it as.")
    command: Names = Field(
        min_length=1, max_length=1000, description='The program and its arguments; a shell is ["bash", "-c", "…"].'
    )
    prompt: str | None = Field(default=None, max_length=200_000, description="Its standard input.")
    cwd: str | None = Field(default=None, max_length=4096, description="Directory to run in, where the worker is.")
    timeout_seconds: float | None = Field(default=None, gt=0, le=30 * 86_400, description="Longest run.")
    retries: int = Field(default=0, ge=0, le=20, description="Further attempts when it fails.")
    queue: bool = Field(default=False, description="Wait for a free slot, instead of being refused when none is.")


class AgentStatusOf(Spec):
    agent_id: AgentId
    lines: int = Field(default=20, ge=0, le=OUTPUT_LINES, description="How many of its last lines of output to show.")


class KillAgent(Spec):
    agent_id: AgentId
    grace_seconds: float = Field(default=5.0, ge=0, le=60, description="Time between SIGTERM and SIGKILL.")
    reason: str | None = Field(default=None, max_length=1000, description="Why; kept with the agent.")


# -- What they do -----------------------------------------------------------------------------------------------------


async def search(door: Door, ask: Search) -> Any:
    body = ask.model_dump(mode="json", exclude_none=True) | _project(door, ask)
    for name in ("type", "concept"):
        if name in body:
            body[name] = [body[name]]
    found = await door.request("POST", "/v1/memory/search", body=body)
    return {"items": [brief(item) for item in found["items"]], "mode": found["mode"]}


async def timeline(door: Door, ask: Timeline) -> Any:
    query = ask.model_dump(mode="json", exclude_none=True) | _project(door, ask)
    found = await door.request("GET", "/v1/memory/timeline", query)
    return {"items": [brief(item) for item in found["items"]]}


async def get_observation(door: Door, ask: GetObservation) -> Any:
    found = await door.request("GET", f"/v1/observations/{ask.id}")
    dull = ("workspace_id", "version", "created_at", "updated_at", "job_id", "generator", "sources")
    told = {name: value for name, value in found.items() if value not in (None, [], "") and name not in dull}
    told["sources"] = [
        {
            "event_id": event["event_id"],
            "type": event["type"],
            "occurred_at": event["occurred_at"],
            "payload": _cut(json.dumps(event["payload"], ensure_ascii=False), PAYLOAD_LENGTH),
        }
        for event in found["sources"][:SOURCES]
    ]
    return told


async def context(door: Door, ask: Context) -> Any:
    body = ask.model_dump(mode="json", exclude_none=True) | _project(door, ask)
    found = await door.request("POST", "/v1/memory/context", body=body)
    return found["markdown"] or "Nothing is known about this yet."


async def remember(door: Door, ask: Remember) -> Any:
    body = ask.model_dump(mode="json", exclude_defaults=True) | _project(door, ask)
    made = await door.request("POST", "/v1/observations", body={**body, "type": ask.type})
    return {"id": made["id"], "title": made["title"]}


async def record_event(door: Door, ask: RecordEvent) -> Any:
    named = _project(door, ask)
    session = await door.request(
        "POST", "/v1/sessions", body={**named, "external_id": ask.session, "platform": "mcp"}
    )  # fmt: skip
    made = await door.request(
        "POST",
        "/v1/agent-events",
        body={
            "project": session["project_id"],
            "session": session["id"],
            "type": ask.type,
            "source": {"adapter": "mcp"} | ({"event_id": ask.event_id} if ask.event_id else {}),
            "occurred_at": (ask.occurred_at or datetime.now(UTC)).isoformat(),
            "payload": ask.payload,
        },
    )
    # One with the same id of yours is that one, wherever it was recorded first.
    return {"id": made["id"], "session": made["session_id"], "repeated": made["repeated"]}


async def list_agents(door: Door, ask: ListAgents) -> Any:
    query = {"status": [str(status) for status in ask.status], "limit": ask.limit} | _project(door, ask)
    found = await door.request("GET", "/v1/agents", query)
    return {"items": [_agent(item) for item in found["items"]]}


async def spawn_agent(door: Door, ask: SpawnAgent) -> Any:
    runner = {"kind": "command", "argv": ask.command, "cwd": ask.cwd, "timeout_seconds": ask.timeout_seconds}
    task = {
        "title": ask.title,
        "prompt": ask.prompt,
        "runner": {name: value for name, value in runner.items() if value is not None},
        "retry": {"max_attempts": ask.retries + 1},
        **_project(door, ask),
    }
    if not ask.queue:
        return _agent(await door.request("POST", "/v1/agents", body={"task": task}))
    made = await door.request("POST", "/v1/tasks", body=task)
    return {"task_id": made["id"], "status": made["status"], "agent_id": made["agent_id"]}


async def agent_status(door: Door, ask: AgentStatusOf) -> Any:
    agent = await door.request("GET", f"/v1/agents/{ask.agent_id}")
    told = _agent(agent)
    if ask.lines:
        written = await door.request(
            "GET", f"/v1/agents/{ask.agent_id}/output",
            {"after": max(0, agent["output_lines"] - ask.lines), "limit": OUTPUT_LINES},
        )  # fmt: skip
        told["output"] = [_cut(line["text"], LINE_LENGTH) for line in written["items"][-ask.lines :]]
    return told


async def kill_agent(door: Door, ask: KillAgent) -> Any:
    wish = {"grace_seconds": ask.grace_seconds} | ({"reason": ask.reason} if ask.reason else {})
    killed = await door.request("POST", f"/v1/agents/{ask.agent_id}/kill", {"wait": "true"}, wish)
    return _agent(killed)


@dataclass(frozen=True, slots=True)
class Tool:
    run: Callable[[Door, Any], Awaitable[Any]]
    arguments: type[BaseModel]
    scopes: tuple[Scope, ...]
    """Whoever lacks one is not offered it."""
    description: str
    reads: bool = False
    destroys: bool = False
    repeats: bool = False
    """Done twice, it is as if done once."""

    @property
    def name(self) -> str:
        return self.run.__name__

    def schema(self) -> dict[str, Any]:
        schema = self.arguments.model_json_schema()
        schema.pop("description", None)
        schema.pop("title", None)
        for field in schema.get("properties", {}).values():
            field.pop("title", None)
        return schema


TOOLS: dict[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool(
            search, Search, (Scope.MEMORY_READ,),
            "Find what is remembered, by words and by meaning. Answers with the best first: id, type, title, the "
            "beginning of the narrative, when it happened, a score. Ask for one by its id to see all of it.",
            reads=True,
        ),
        Tool(
            timeline, Timeline, (Scope.MEMORY_READ,),
            "What is remembered in the order in which it happened: of a project, of a session, or around one "
            "observation.",
            reads=True,
        ),
        Tool(
            get_observation, GetObservation, (Scope.MEMORY_READ,),
            "One observation in full: narrative, facts, concepts, files, and the events that it was made of.",
            reads=True,
        ),
        Tool(
            context, Context, (Scope.MEMORY_READ,),
            "What is known that matters for a task, as Markdown of at most `budget_tokens`, with the ids of the "
            "observations. Ask this before you begin.",
            reads=True,
        ),
        Tool(
            remember, Remember, (Scope.MEMORY_WRITE,),
            "Keep something for those who come after you: a decision and its reason, the cause of a failure, a "
            "convention. It can be found at once. Text in <private>…</private> is left out.",
        ),
        Tool(
            record_event, RecordEvent, (Scope.MEMORY_WRITE,),
            "Record something that happened, as it happened. Observations are made of it in the background; use "
            "`remember` for what you know already. Text in <private>…</private> is left out.",
        ),
        Tool(
            list_agents, ListAgents, (Scope.AGENTS_READ,),
            "Agents, newest first: by default those that run.",
            reads=True,
        ),
        Tool(
            spawn_agent, SpawnAgent, (Scope.TASKS_WRITE,),
            "Start an agent: a program that Muster runs, watches and retries. Answers at once with its id. It is "
            "given what the project remembers about its task, in the file that MUSTER_CONTEXT_FILE names. With "
            "`queue` it waits for a slot instead; an agent's own key can start subtasks in no other way.",
        ),
        Tool(
            agent_status, AgentStatusOf, (Scope.AGENTS_READ,),
            "How an agent is, its result once it has one, and the last lines it wrote.",
            reads=True,
        ),
        Tool(
            kill_agent, KillAgent, (Scope.AGENTS_WRITE,),
            "End an agent and all it started. Answers once nothing of it is left.",
            destroys=True, repeats=True,
        ),
    )
}  # fmt: skip


# -- How answers are told ---------------------------------------------------------------------------------------------


def brief(item: Mapping[str, Any]) -> dict[str, Any]:
    """An observation in a list."""
    told = {
        "id": item["id"],
        "type": item.get("type"),
        "title": item.get("title"),
        "narrative": _cut(item.get("narrative") or item.get("subtitle") or "", NARRATIVE_LENGTH),
        "files": [*item.get("files_modified", ()), *item.get("files_read", ())][:5],
        "occurred_at": item.get("occurred_at"),
        "score": round(item["score"], 3) if item.get("score") is not None else None,
    }
    return {name: value for name, value in told.items() if value not in (None, "", [])}


def _agent(item: Mapping[str, Any]) -> dict[str, Any]:
    told = {
        name: item.get(name)
        for name in ("id", "task_id", "attempt", "status", "reason", "error", "exit_code", "result", "started_at",
                     "finished_at")
    }  # fmt: skip
    told["command"] = _cut(" ".join((item.get("runner") or {}).get("argv", [])), 200)
    return {name: value for name, value in told.items() if value not in (None, "")}


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _project(door: Door, ask: Project) -> dict[str, str]:
    project = ask.project or door.project
    return {"project": project} if project else {}
