"""What a task is: as it is asked for, and as it is recorded."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetCoreSchemaHandler, JsonValue, model_validator
from pydantic_core import CoreSchema

from muster.domain.ids import task_workflow_id
from muster.domain.states import AgentStatus, Reason, TaskStatus
from muster.domain.tenants import Actor

LOST_ATTEMPTS = 5
"""Attempts in a row that may be lost with their worker before the task fails. They do not count against
`retry.max_attempts`: the machine failed, not the agent."""

MAX_SECONDS = 30 * 86_400
"""Longest life of one attempt, also when the task sets no timeout."""


_MAX_DEPTH = 64


def storable(text: str) -> str:
    # PostgreSQL's text and jsonb hold neither; refusing here gives a 422 instead of a failed write.
    if "\x00" in text:
        raise ValueError("must not contain a NUL character")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError("must be valid Unicode (lone surrogate)") from None
    return text


def storable_json(value: Any) -> Any:
    _look_into(value, 1)
    return value


def _look_into(item: Any, depth: int) -> None:
    # Much is sent, and nearly all of it is short strings: those are looked at where they are met.
    if depth > _MAX_DEPTH:
        raise ValueError(f"is nested deeper than {_MAX_DEPTH} levels")
    if isinstance(item, str):
        storable(item)
    elif isinstance(item, dict):
        for name, part in item.items():
            storable(name)
            if isinstance(part, str) and depth < _MAX_DEPTH:
                storable(part)
            elif part is not None:
                _look_into(part, depth + 1)
    elif isinstance(item, list):
        for part in item:
            if isinstance(part, str) and depth < _MAX_DEPTH:
                storable(part)
            elif part is not None:
                _look_into(part, depth + 1)
    elif isinstance(item, float) and (item != item or item in (float("inf"), float("-inf"))):
        raise ValueError("must hold finite numbers only")
    elif isinstance(item, int) and not isinstance(item, bool) and abs(item) >= 2**63:
        raise ValueError("must hold integers of at most 64 bits")


def made_storable(value: Any) -> Any:
    """With U+FFFD for the characters that nothing stores, and numbers of too many digits as text: what others wrote is
    not lost for one of them."""
    try:
        return storable_json(value)
    except ValueError:
        return storable_json(_mended(value, 1))


def _mended(item: Any, depth: int) -> Any:
    if isinstance(item, str):
        return item.replace("\x00", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(item, int) and abs(item) >= 2**63:
        return str(item)
    if depth > _MAX_DEPTH:
        return item
    if isinstance(item, dict):
        return {_mended(name, depth): _mended(part, depth + 1) for name, part in item.items()}
    return [_mended(part, depth + 1) for part in item] if isinstance(item, list) else item


Text = Annotated[str, AfterValidator(storable)]
Label = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(storable)]
EnvName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=200)]
Metadata = Annotated[dict[str, JsonValue], AfterValidator(storable_json)]
Seconds = Annotated[float, Field(gt=0, le=MAX_SECONDS, allow_inf_nan=False)]


_NEVER_CONVERTED = frozenset({"int", "float", "bool"})
_BY_NAME = frozenset({"fields", "choices"})
_NO_SCHEMAS = frozenset({"default", "metadata", "serialization"})


def _unbending(schema: Any) -> Any:
    """What pydantic would make a number or a truth value of is refused; an integer is a number, too. Its own `strict`
    would also refuse texts for ids, dates and enums."""
    if isinstance(schema, list | tuple):
        return type(schema)(_unbending(part) for part in schema)
    if not isinstance(schema, dict):
        return schema
    told: dict[str, Any] = {}
    for key, part in schema.items():
        if key in _BY_NAME and isinstance(part, dict):
            told[key] = {name: _unbending(named) for name, named in part.items()}
        else:
            told[key] = part if key in _NO_SCHEMAS else _unbending(part)
    return told | {"strict": True} if told.get("type") in _NEVER_CONVERTED else told


class Spec(BaseModel):
    """Something a person wrote: unknown fields are mistakes, and so are `"5"` and `true` for 5."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        found: CoreSchema = _unbending(handler(source))
        return found


class RetryPolicy(Spec):
    max_attempts: int = Field(default=1, ge=1, le=100, description="Attempts in all, the first included.")
    initial_seconds: float = Field(default=1.0, ge=0, le=86_400, description="Wait before the second attempt.")
    factor: float = Field(default=2.0, ge=1, le=10, description="What each further wait is multiplied by.")
    max_seconds: float = Field(default=300.0, ge=0, le=86_400, description="Longest wait.")

    def wait_before(self, attempt: int) -> float:
        """Seconds between the end of the attempt before and this one (`attempt` counts from 1)."""
        if attempt < 2:
            return 0.0
        # The exponent is bounded because max_attempts is: 10 ** 98 is still a float.
        return min(self.max_seconds, self.initial_seconds * self.factor ** (attempt - 2))


class CommandRunner(Spec):
    """Runs a program. Never through a shell: ask for one (`["bash", "-c", …]`) where one is wanted."""

    kind: Literal["command"] = "command"
    argv: list[Text] = Field(min_length=1, max_length=4096, description="The program and its arguments.")
    env: dict[EnvName, Text] = Field(default_factory=dict, max_length=1000, description="Added to its environment.")
    cwd: Text | None = Field(default=None, max_length=4096, description="Directory to run in. Default: the worker's.")
    stdin: Text | None = Field(default=None, description="Standard input. Default: the task's prompt.")
    timeout_seconds: Seconds | None = Field(default=None, description="Longest run of one attempt.")

    @model_validator(mode="after")
    def _names_a_program(self) -> Self:
        if not self.argv[0]:
            raise ValueError("argv[0] must name a program")
        return self


RunnerSpec = CommandRunner
"""The union of runner specs, by `kind`."""


class MemoryWish(Spec):
    """In a task's specification: what its agents are told of what is known, and whether they are recorded."""

    inject: bool = Field(default=True, description="Give each agent what the project remembers about its task.")
    record: bool = Field(default=True, description="Remember what its agents do.")
    budget_tokens: int = Field(default=2000, ge=100, le=100_000, description="Longest context, in tokens.")


class TaskSpec(Spec):
    """A task as a person asks for it."""

    title: Text = Field(min_length=1, max_length=500, json_schema_extra={"pattern": r"\S"})
    prompt: Text | None = Field(default=None, description="What the agent is told; its standard input.")
    project: Text | None = Field(default=None, max_length=200, description="Id or slug of a project.")
    parent_id: UUID | None = Field(default=None, description="Makes this a subtask.")
    depends_on: list[UUID] = Field(default_factory=list, max_length=1000, description="Tasks to complete first.")
    priority: int = Field(default=5, ge=1, le=10, description="10 is the most urgent.")
    labels: list[Label] = Field(default_factory=list, max_length=50)
    metadata: Metadata = Field(default_factory=dict)
    timeout_seconds: Seconds | None = Field(
        default=None, description="Longest life of the whole task: waiting, and all its attempts."
    )
    retry: RetryPolicy = Field(default_factory=RetryPolicy)
    runner: RunnerSpec | None = Field(
        default=None, description="How to execute it. Without one, the task stands for its subtasks."
    )
    memory: MemoryWish | None = Field(
        default=None, description="What its agents are told of what is known, with a project. Default: as MemoryWish."
    )

    @model_validator(mode="after")
    def _waits_only_if_it_runs(self) -> Self:
        if self.runner is None and self.depends_on:
            raise ValueError("a task without a runner stands for its subtasks; let those depend on other tasks")
        return self


class Task(BaseModel):
    """A task as it is recorded and mirrored."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    workspace_id: UUID
    project_id: UUID | None = None
    parent_id: UUID | None = None
    depends_on: list[UUID] = Field(default_factory=list)
    title: str
    prompt: str | None = None
    status: TaskStatus
    priority: int
    labels: list[str] = Field(default_factory=list)
    metadata: dict[str, JsonValue] = Field(default_factory=dict)
    timeout_seconds: float | None = None
    retry: RetryPolicy
    runner: RunnerSpec | None = None
    memory: MemoryWish | None = None
    run: int = Field(default=1, description="1, and one more for each time a person retried it.")
    attempts: int = Field(default=0, description="Agents spawned for it so far.")
    agent_id: UUID | None = Field(default=None, description="The current or latest agent.")
    result: JsonValue = None
    reason: Reason | None = None
    error: str | None = None
    waiting_for: Literal["dependencies", "slot", "backoff", "subtasks"] | None = None
    queued_at: datetime | None = None
    next_attempt_at: datetime | None = None
    version: int
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def workflow_id(self) -> str:
        return task_workflow_id(self.workspace_id, self.id)


class TaskStart(BaseModel):
    """Argument of a TaskWorkflow: what it needs to decide, and what it carries into its next run.

    The specification itself travels once, to be recorded; after that the rows are the reference.
    """

    workspace_id: UUID
    task_id: UUID
    by: Actor = Field(default_factory=Actor, description="Who asked for it.")
    request_hash: str | None = None
    spec: TaskSpec | None = Field(default=None, description="To be recorded first. None: the row is there.")
    project_id: UUID | None = None
    mode: Literal["create", "spawn", "retry", "respawn", "resume"] = Field(
        default="create",
        description="create: queue it. spawn: refuse unless a slot is free. retry, respawn: the same for a "
        "failed task. resume: go on from the state carried over.",
    )
    request_id: str | None = None
    deadline: datetime | None = None
    failures: int = Field(default=0, description="Attempts of this run that count against the retry policy.")
    losses: int = Field(default=0, description="Attempts in a row that were lost with their worker.")
    attempt: int = Field(default=0, description="The last attempt that was followed to its end.")
    heartbeat_timeout_seconds: float = 20.0


class Submitted(BaseModel):
    """The row is there; with a slot, its agent is too."""

    task_id: UUID
    agent_id: UUID | None = None


class SpawnRequest(BaseModel):
    by: Actor


class CancelRequest(BaseModel):
    by: Actor
    reason: str | None = None


class Grant(BaseModel):
    """A slot, given to a task: the agent that is to fill it."""

    task_id: UUID
    agent_id: UUID
    attempt: int


class KillRequest(Spec, json_schema_extra={"examples": [{"grace_seconds": 10, "reason": "it loops", "retry": True}]}):
    grace_seconds: float = Field(
        default=5.0, ge=0, le=3600, allow_inf_nan=False, description="Time between SIGTERM and SIGKILL."
    )
    reason: Text | None = Field(default=None, max_length=1000, description="Why; kept with the agent.")
    retry: bool = Field(default=False, description="Try the task again afterwards, if attempts remain.")


class KillWish(KillRequest):
    """As it is kept with the agent."""

    cause: Reason = Field(default=Reason.KILLED, description="killed; or cancelled or timeout, with its task.")


class KillCommand(BaseModel):
    """A kill, and who wants it."""

    by: Actor | None = None
    request: KillRequest = Field(default_factory=KillRequest)
    cause: Reason = Reason.KILLED

    @property
    def wish(self) -> KillWish:
        return KillWish(**self.request.model_dump(exclude={"cause"}), cause=self.cause)


class Halt(NamedTuple):
    """Why a task is to end before its time."""

    reason: Reason
    error: str
    by: Actor | None = None


class Standing(BaseModel):
    """Where a task stands, as far as its workflow needs to know."""

    status: TaskStatus
    reason: Reason | None = None
    error: str | None = None
    title: str = ""
    attempts: int = 0
    project_id: UUID | None = None
    runner: str | None = None
    attempt_seconds: float | None = None
    timeout_seconds: float | None = None
    retry: RetryPolicy = Field(default_factory=RetryPolicy)
    next_attempt_at: datetime | None = None
    grant: Grant | None = Field(default=None, description="The agent that holds its slot.")


class TaskAt(BaseModel):
    """A task to look at again."""

    workspace_id: UUID
    task_id: UUID
    backoff_over: bool = False


class SpawnTask(BaseModel):
    workspace_id: UUID
    task_id: UUID
    by: Actor


class FinishTask(BaseModel):
    workspace_id: UUID
    task_id: UUID
    by: Actor | None = None
    status: TaskStatus
    reason: Reason | None = None
    error: str | None = None


class RescheduleTask(BaseModel):
    workspace_id: UUID
    task_id: UUID
    after_attempt: int
    wait_seconds: float


class Outcome(BaseModel):
    """How an agent ended, as far as its task needs to know."""

    status: AgentStatus
    reason: Reason | None = None
    error: str | None = None
    wish: KillWish | None = Field(default=None, description="Whoever wanted it gone, and whether to try again.")


class KillAllStart(BaseModel):
    workspace_id: UUID
    by: Actor
    request: KillRequest = Field(default_factory=KillRequest)


class KillAllResult(BaseModel):
    asked: int
    killed: int = 0
    ended: int = Field(default=0, description="Ended by themselves before the kill reached them.")
