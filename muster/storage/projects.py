"""Projects. Small, rare and without a life of their own: read and written here, with no workflow."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from muster.domain.errors import NotFound, ProjectNotEmpty, SlugTaken, UnknownReference
from muster.storage import pages
from muster.storage.database import Database


async def create(
    db: Database,
    workspace_id: UUID,
    user_id: UUID,
    project_id: UUID,
    *,
    slug: str,
    name: str,
    description: str | None,
) -> dict[str, Any]:
    """Repeated with the same id, it answers with what is there."""
    try:
        rows = await db.query(
            workspace_id,
            "WITH p AS (INSERT INTO projects (id, workspace_id, slug, name, description) VALUES (%s, %s, %s, %s, %s) "
            "           ON CONFLICT (id) DO NOTHING RETURNING id, slug, project_json(projects.*) AS item), "
            "logged AS (INSERT INTO activity_log (workspace_id, user_id, action, entity_id, detail) "
            "           SELECT %s, %s, 'project_created', id, jsonb_build_object('slug', slug) FROM p) "
            "SELECT item FROM p",
            (project_id, workspace_id, slug, name, description, workspace_id, user_id),
            user_id=user_id,
        )
    except psycopg.errors.UniqueViolation:
        raise SlugTaken(f"there is a project {slug} already") from None
    return rows[0][0] if rows else await get(db, workspace_id, str(project_id))


async def get(db: Database, workspace_id: UUID, ref: str) -> dict[str, Any]:
    """By id or slug."""
    rows = await db.read(
        workspace_id,
        "SELECT project_json(p) FROM projects p WHERE workspace_id = %s AND (p.id = %s::uuid OR p.slug = %s)",
        (workspace_id, _as_id(ref), ref),
    )
    if not rows:
        raise NotFound(f"there is no project {ref}")
    project: dict[str, Any] = rows[0][0]
    return project


async def resolve(db: Database, workspace_id: UUID, ref: str) -> UUID:
    """The id of a project that a body names."""
    try:
        return UUID((await get(db, workspace_id, ref))["id"])
    except NotFound as error:
        raise UnknownReference(error.message) from None


async def page(
    db: Database, workspace_id: UUID, *, status: str | None = None, cursor: str | None = None, limit: int = 50
) -> tuple[list[dict[str, Any]], str | None]:
    at, last = pages.after(cursor)
    rows = await db.read(
        workspace_id,
        "SELECT project_json(p) FROM projects p WHERE workspace_id = %s "
        "AND (%s::project_status IS NULL OR status = %s::project_status) "
        "AND (%s::timestamptz IS NULL OR (created_at, id) < (%s::timestamptz, %s::uuid)) "
        "ORDER BY created_at DESC, id DESC LIMIT %s",
        (workspace_id, status, status, at, at, last, limit + 1),
    )
    return pages.page(rows, limit)


async def update(db: Database, workspace_id: UUID, user_id: UUID, ref: str, changed: dict[str, Any]) -> dict[str, Any]:
    """`changed` holds any of slug, name, description, status."""
    project = await get(db, workspace_id, ref)
    try:
        rows = await db.query(
            workspace_id,
            # Only what is named changes, so two writers of different fields do not undo each other.
            "WITH p AS (UPDATE projects SET slug = coalesce(c.c ->> 'slug', slug), "
            "                  name = coalesce(c.c ->> 'name', name), "
            "                  description = CASE WHEN jsonb_exists(c.c, 'description') THEN c.c ->> 'description' "
            "                                     ELSE description END, "
            "                  status = coalesce((c.c ->> 'status')::project_status, status), "
            "                  version = version + 1, updated_at = now() "
            "           FROM (SELECT %s::jsonb AS c) c "
            "           WHERE workspace_id = %s AND id = %s RETURNING id, project_json(projects.*) AS item), "
            "logged AS (INSERT INTO activity_log (workspace_id, user_id, action, entity_id, detail) "
            "           SELECT %s, %s, 'project_updated', id, %s FROM p) "
            "SELECT item FROM p",
            (Jsonb(changed), workspace_id, project["id"], workspace_id, user_id, Jsonb(changed)),
            user_id=user_id,
        )
    except psycopg.errors.UniqueViolation:
        raise SlugTaken(f"there is a project {changed['slug']} already") from None
    if not rows:
        raise NotFound(f"there is no project {ref}")
    updated: dict[str, Any] = rows[0][0]
    return updated


async def delete(db: Database, workspace_id: UUID, user_id: UUID, ref: str) -> None:
    """Only an empty one; archive the others."""
    project = await get(db, workspace_id, ref)
    try:
        await db.query(
            workspace_id,
            "WITH p AS (DELETE FROM projects WHERE workspace_id = %s AND id = %s RETURNING *) "
            "INSERT INTO activity_log (workspace_id, user_id, action, entity_id, detail) "
            "SELECT workspace_id, %s, 'project_deleted', id, jsonb_build_object('slug', slug) FROM p",
            (workspace_id, project["id"], user_id),
            user_id=user_id,
        )
    except psycopg.errors.ForeignKeyViolation:
        raise ProjectNotEmpty(f"project {project['slug']} has tasks; archive it instead") from None


def _as_id(ref: str) -> UUID | None:
    try:
        return UUID(ref)
    except ValueError:
        return None
