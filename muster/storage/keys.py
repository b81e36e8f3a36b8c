"""The names of Muster's keys and channels in Valkey. No other module spells one out."""

from uuid import UUID

PREFIX = "orchestrator:"


def task(task_id: UUID) -> str:
    return f"{PREFIX}task:{task_id}"


def agent(agent_id: UUID) -> str:
    return f"{PREFIX}agent:{agent_id}"


def queue(workspace_id: UUID) -> str:
    """Sorted set of the tasks that wait for a slot."""
    return f"{PREFIX}queue:{workspace_id}"


def events() -> str:
    """Channel of every event of all workspaces."""
    return f"{PREFIX}events"


def events_of(workspace_id: UUID) -> str:
    """Channel of one workspace's events."""
    return f"{PREFIX}events:{workspace_id}"


def output(agent_id: UUID) -> str:
    """Channel of an agent's live output, and the capped stream of the same name."""
    return f"{PREFIX}output:{agent_id}"


def epoch() -> str:
    """Present as long as this Valkey holds a picture built from Postgres; gone means: rebuild."""
    return f"{PREFIX}epoch"


def rebuild(rebuild_id: UUID) -> str:
    """Present as long as nothing was wiped since this rebuild began."""
    return f"{PREFIX}rebuild:{rebuild_id}"


def log(workspace_id: UUID) -> str:
    """The last position of the workspace's event log that was published."""
    return f"{PREFIX}log:{workspace_id}"


def revoked() -> str:
    """Channel of the ids of keys that were revoked, for whoever remembers them."""
    return f"{PREFIX}revoked"


def limits() -> str:
    """Prefix of the counts of requests."""
    return f"{PREFIX}limits"


def subscribed() -> str:
    """Channel that nobody publishes on: subscribed to last, its confirmation says that the others are too."""
    return f"{PREFIX}subscribed"
