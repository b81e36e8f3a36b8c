"""What can go wrong, named. Each error carries the HTTP status and stable code it is answered with."""

from __future__ import annotations


class MusterError(Exception):
    """Base of every refusal. `code` is stable; the message is for people."""

    status = 500
    code = "internal"
    retryable = False

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class NotFound(MusterError):
    status, code = 404, "not_found"


class Forbidden(MusterError):
    """It is there, or may be, and is not theirs to do."""

    status, code = 403, "forbidden"


class IllegalMove(MusterError):
    """The thing is not in a state in which this may be done to it."""

    status, code = 409, "illegal_move"


class KeyReused(MusterError):
    status, code = 409, "idempotency_key_reused"


class RequestInFlight(MusterError):
    status, code, retryable = 409, "request_in_flight", True


class ParentFinal(MusterError):
    status, code = 409, "parent_final"


class ProjectArchived(MusterError):
    status, code = 409, "project_archived"


class ProjectNotEmpty(MusterError):
    status, code = 409, "project_not_empty"


class SlugTaken(MusterError):
    status, code = 409, "slug_taken"


class UnknownReference(MusterError):
    """A body names a project, parent or dependency that this workspace does not have."""

    status, code = 422, "unknown_reference"


class WaitsForItself(MusterError):
    """A subtask depends on what waits for its parent."""

    status, code = 422, "waits_for_itself"


class EventTooLarge(MusterError):
    status, code = 413, "event_too_large"


class WorkspaceFull(MusterError):
    status, code, retryable = 429, "workspace_full", True


class QueueFull(MusterError):
    status, code, retryable = 429, "queue_full", True


class DaySpent(MusterError):
    """The workspace has used what it may use in a day."""

    status, code, retryable = 429, "day_spent", True


class WorkspaceStopped(MusterError):
    """Somebody closed it for new agents. It says who, and why."""

    status, code = 409, "workspace_stopped"


class Fenced(MusterError):
    """An attempt that is no longer the current one tried to write."""

    status, code = 409, "fenced"


class Unavailable(MusterError):
    """A service Muster needs does not answer."""

    status, code, retryable = 503, "unavailable", True


BY_CODE: dict[str, type[MusterError]] = {
    cls.code: cls
    for cls in (
        NotFound, Forbidden, IllegalMove, KeyReused, RequestInFlight, ParentFinal, ProjectArchived, ProjectNotEmpty,
        SlugTaken, UnknownReference, WaitsForItself, WorkspaceFull, QueueFull, DaySpent, WorkspaceStopped,
        Fenced, Unavailable,
    )
}  # fmt: skip
