"""Projects. Small, rare and without a life of their own: read and written here, with no workflow."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from muster.domain.errors import NotFound, ProjectNotEmpty, SlugTaken, UnknownReference
from muster.storage import pages
from muster.storage.database import Database, Who, workspace_of


async def create(
    db: Database,
    who: Who,
    project_id: UUID,
    *,
    slug: str,
    name: str,
    description: str | None,
) -> dict[str, Any]:
    """Repeated with the same id, it answers with what is there."""
    try:
        rows = await db.query(
            who,
            "INSERT INTO projects (id, workspace_id, slug, name, description) VALUES (%s, %s, %s, %s, %s) "
            "ON CONFLICT (id) DO NOTHING RETURNING project_json(projects.*)",
            (project_id, workspace_of(who), slug, name, description),
        )
    except psycopg.errors.UniqueViolation:
        raise SlugTaken(f"there is a project {slug} already") from None
    return rows[0][0] if rows else await get(db, who, str(project_id))


async def get(db: Database, who: Who, ref: str) -> dict[str, Any]:
    """By id or slug."""
    rows = await db.read(
        who,
        "SELECT project_json(p) FROM projects p WHERE workspace_id = %s AND (p.id = %s::uuid OR p.slug = %s)",
        (workspace_of(who), _as_id(ref), ref),
    )
    if not rows:
        raise NotFound(f"there is no project {ref}")
    project: dict[str, Any] = rows[0][0]
    return project


async def resolve(db: Database, who: Who, ref: str) -> UUID:
    """The id of a project that a body names."""
    try:
        return UUID((await get(db, who, ref))["id"])
    except NotFound as error:
        raise UnknownReference(error.message) from None


async def page(
    db: Database, who: Who, *, status: str | None = None, cursor: str | None = None, limit: int = 50
) -> tuple[list[dict[str, Any]], str | None]:
    at, last = pages.after(cursor)
    rows = await db.read(
        who,
        "SELECT project_json(p) FROM projects p WHERE workspace_id = %s "
        "AND (%s::project_status IS NULL OR status = %s::project_status) "
        "AND (%s::timestamptz IS NULL OR (created_at, id) < (%s::timestamptz, %s::uuid)) "
        "ORDER BY created_at DESC, id DESC LIMIT %s",
        (workspace_of(who), status, status, at, at, last, limit + 1),
    )
    return pages.page(rows, limit)


async def update(db: Database, who: Who, ref: str, changed: dict[str, Any]) -> dict[str, Any]:
    """`changed` holds any of slug, name, description, status."""
    project = await get(db, who, ref)
    try:
        rows = await db.query(
            who,
            # Only what is named changes, so two writers of different fields do not undo each other.
            "UPDATE projects SET slug = coalesce(c.c ->> 'slug', slug), name = coalesce(c.c ->> 'name', name), "
            "       description = CASE WHEN jsonb_exists(c.c, 'description') THEN c.c ->> 'description' "
            "                          ELSE description END, "
            "       status = coalesce((c.c ->> 'status')::project_status, status), "
            "       version = version + 1, updated_at = now() "
            "FROM (SELECT %s::jsonb AS c) c "
            "WHERE workspace_id = %s AND id = %s RETURNING project_json(projects.*)",
            (Jsonb(changed), workspace_of(who), project["id"]),
        )
    except psycopg.errors.UniqueViolation:
        raise SlugTaken(f"there is a project {changed['slug']} already") from None
    if not rows:
        raise NotFound(f"there is no project {ref}")
    updated: dict[str, Any] = rows[0][0]
    return updated


async def must_be_idle(db: Database, who: Who, project: dict[str, Any]) -> None:
    """Without tasks, that is."""
    if await db.read(
        who,
        "SELECT 1 FROM tasks WHERE workspace_id = %s AND project_id = %s LIMIT 1",
        (workspace_of(who), project["id"]),
    ):
        raise ProjectNotEmpty(f"project {project['slug']} has tasks; archive it instead")


async def delete(db: Database, who: Who, ref: str) -> None:
    """Only an empty one; archive the others."""
    project = await get(db, who, ref)
    try:
        await db.query(
            who,
            "DELETE FROM projects WHERE workspace_id = %s AND id = %s",
            (workspace_of(who), project["id"]),
        )
    except psycopg.errors.ForeignKeyViolation:
        raise ProjectNotEmpty(f"project {project['slug']} has tasks; archive it instead") from None


def _as_id(ref: str) -> UUID | None:
    try:
        return UUID(ref)
    except ValueError:
        return None
