"""Sample data: small, finished, and the same however often it is added."""

from __future__ import annotations

from uuid import UUID

from psycopg.types.json import Jsonb

from muster.domain.ids import DEFAULT_USER, DEFAULT_WORKSPACE
from muster.domain.tasks import CommandRunner, TaskSpec
from muster.domain.tenants import Actor
from muster.storage import moves
from muster.storage.database import Database, as_actor

_PROJECT = UUID("00000000-0000-7000-8000-000000000101")
_EVENT = UUID("00000000-0000-7000-8000-000000000102")


def _id(number: int) -> UUID:
    return UUID(f"00000000-0000-7000-8000-0000000002{number:02}")


def _echo(title: str, **more: object) -> TaskSpec:
    runner = CommandRunner(argv=["echo", title])
    return TaskSpec.model_validate({"title": title, "labels": ["sample"], "runner": runner.model_dump(), **more})


_TASKS: list[tuple[UUID, TaskSpec, str | None]] = [
    (_id(1), TaskSpec(title="Ship the release", labels=["sample"]), None),
    (_id(2), _echo("Write the release notes", parent_id=_id(1)), None),
    (_id(3), _echo("Tag the release", parent_id=_id(1), depends_on=[_id(2)]), None),
    (_id(4), _echo("Review the open questions", priority=8), None),
    (_id(5), _echo("Measure the start-up time"), "exit_nonzero"),
]


async def seed(database_url: str) -> dict[str, str]:
    """What there is afterwards. The tasks have run their course, so no workflow is missing for them."""
    db = Database(database_url, size=1, name="muster-seed")
    await db.open()
    try:
        await db.query(
            DEFAULT_WORKSPACE,
            "INSERT INTO projects (id, workspace_id, slug, name, description) "
            "VALUES (%s, %s, 'sample', 'Sample', 'What `muster seed` adds.') ON CONFLICT DO NOTHING",
            (_PROJECT, DEFAULT_WORKSPACE),
        )
        for task_id, spec, failure in _TASKS:
            task = spec.model_dump(mode="json", exclude={"project"}) | {
                "id": str(task_id),
                "project_id": str(_PROJECT),
                "request_hash": None,
                "request_id": None,
            }
            await db.move(
                "SELECT sample_task(%s, %s, %s, %s::failure_reason)",
                (DEFAULT_WORKSPACE, as_actor(Actor(user_id=DEFAULT_USER)), Jsonb(task), failure),
            )
        await moves.advance_task(db, DEFAULT_WORKSPACE, _id(1), backoff_over=False)  # its subtasks are done
        await db.query(
            DEFAULT_WORKSPACE,
            "INSERT INTO calendar_events (id, workspace_id, project_id, title, starts_at, ends_at, recurrence, "
            "task_template) VALUES (%s, %s, %s, 'Weekly review', '2026-01-05 09:00+00', '2026-01-05 10:00+00', "
            "'FREQ=WEEKLY;BYDAY=MO', %s) ON CONFLICT DO NOTHING",
            (_EVENT, DEFAULT_WORKSPACE, _PROJECT, Jsonb(_echo("Weekly review").model_dump(mode="json"))),
        )
        return await _report(db)
    finally:
        await db.close()


async def _report(db: Database) -> dict[str, str]:
    rows = await db.read(
        DEFAULT_WORKSPACE,
        "SELECT (SELECT email FROM users WHERE id = %s), (SELECT slug FROM workspaces WHERE id = %s), "
        "(SELECT slug FROM projects WHERE id = %s), "
        "(SELECT count(*) FROM tasks WHERE project_id = %s AND id = ANY (%s)), "
        "(SELECT title FROM calendar_events WHERE id = %s)",
        (DEFAULT_USER, DEFAULT_WORKSPACE, _PROJECT, _PROJECT, [task_id for task_id, _, _ in _TASKS], _EVENT),
    )
    return dict(zip(("user", "workspace", "project", "tasks", "event"), map(str, rows[0]), strict=True))
