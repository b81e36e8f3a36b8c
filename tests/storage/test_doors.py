"""The functions that look across tenants: these and no others, and nothing but the columns they name."""

from __future__ import annotations

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from muster.domain.ids import new_id

from .conftest import make_workspace, sql
from .furniture import HASH, Connection, act, furnish

_WORKSPACE = ["workspace_id", "slug", "weight", "requests_per_second", "max_body_bytes"]
DOORS = {
    "chores_logs": ["workspace_id", "log_position", "published"],
    "chores_quiet_tasks": ["workspace_id", "task_id", "attempts", "agent_id", "needs"],
    "chores_key": [
        "hash", "project_id", "user_id", "scopes", "role", "member", "administrator", "expires_at", "revoked",
        "last_used_at", *_WORKSPACE,
    ],
    "chores_agent": ["task_id", "project_id", "user_id", "alive", *_WORKSPACE],
    "chores_workspace": _WORKSPACE,
    "chores_memory": ["workspace_id", "project_id", "session_id"],
    "chores_vectors_of": None,
    "chores_vectors": ["workspace_id", "project_id", "needs", "model"],
    "chores_forgettings": ["workspace_id", "project_id", "kind", "target"],
    "chores_memory_retention": ["workspace_id", "project_id"],
    "chores_unrecorded": ["workspace_id", "agent_id"],
    "chores_uncounted": ["workspace_id", "project_id"],
    "memory_by_words": ["observation_id", "score"],
    "memory_by_meaning": ["observation_id", "distance"],
    "memory_count": ["found"],
    "memory_alike": ["term", "project_id", "documents"],
    "memory_repeats": ["n", "observation_id", "earlier"],
}  # fmt: skip
"""Each, and what it tells."""
PLANNED = {
    "memory_alike": [
        "plan_cache_mode=force_generic_plan", "max_parallel_workers_per_gather=0", "enable_seqscan=off",
        "enable_indexscan=off",
    ],
}  # fmt: skip
"""How their statements are planned, where that is set."""


async def test_there_are_these_doors_and_no_others(own_url: str) -> None:
    rows = await sql(
        own_url,
        "SELECT proname::text, (SELECT array_agg(name ORDER BY n) FROM unnest(proargnames, proargmodes) "
        "WITH ORDINALITY a (name, mode, n) WHERE mode = 't'), proowner::regrole::text, provolatile::text, proconfig, "
        "has_function_privilege('muster_app', oid, 'EXECUTE'), "
        "EXISTS (SELECT 1 FROM aclexplode(proacl) WHERE grantee = 0) "
        "FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace",
    )
    assert {row[0]: row[1] for row in rows} == DOORS
    for name, _, *rest in rows:
        # They read only, cannot be led to another schema, and nobody but the app may call them.
        assert rest == ["muster_chores", "s", ["search_path=public", *PLANNED.get(name, [])], True, False], name


async def test_who_keeps_them_reads_no_more_than_they_tell(own_url: str) -> None:
    rights = await sql(
        own_url, "SELECT rolsuper, rolbypassrls, rolcanlogin FROM pg_roles WHERE rolname = 'muster_chores'"
    )
    assert rights == [(False, False, False)]
    written = await sql(
        own_url,
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' "
        "AND has_any_column_privilege('muster_chores', oid, 'INSERT, UPDATE, REFERENCES')",
    )
    assert written == []
    async with await psycopg.AsyncConnection.connect(own_url, autocommit=True) as chores:
        await chores.execute("SET ROLE muster_chores")
        for forbidden in (
            "SELECT title FROM tasks", "SELECT prompt FROM tasks", "SELECT result FROM agents", "SELECT * FROM agents",
            "SELECT email FROM users", "SELECT name FROM workspaces", "SELECT slug FROM projects",
            "SELECT * FROM events", "SELECT * FROM agent_output", "SELECT * FROM activity_log",
            "SELECT * FROM idempotency_keys", "SELECT * FROM memory_embeddings", "CREATE TABLE mine ()",
        ):  # fmt: skip
            with pytest.raises(InsufficientPrivilege):
                await chores.execute(forbidden.encode())


async def test_each_answers_for_what_it_is_asked_and_nothing_beside(own_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(own_url, autocommit=True) as app:
        await app.execute("SET ROLE muster_app")
        mine, other = await make_workspace(own_url), await make_workspace(own_url)
        ids, theirs = await furnish(app, mine), await furnish(app, other)
        await act(app, None)
        slug = f"w-{mine.hex}"

        async def ask(app: Connection, question: str, *params: object) -> list[tuple[object, ...]]:
            return await (await app.execute(question.encode(), params)).fetchall()

        of_workspace = (mine, slug, 1, 200, None)
        assert (mine, 0, 0) in await ask(app, "SELECT * FROM chores_logs()")
        assert await ask(app, "SELECT * FROM chores_key(%s)", ids["key"]) == [
            (HASH, None, ids["user"], ["tasks:read"], "owner", "owner", False, None, False, None, *of_workspace)
        ]
        assert await ask(app, "SELECT * FROM chores_key(%s)", ids["roaming"]) == [
            (HASH, None, ids["user"], ["tasks:read"], "owner", None, False, None, False, None, *([None] * 5))
        ]
        assert await ask(app, "SELECT * FROM chores_agent(%s)", ids["agent"]) == [
            (ids["task"], ids["project"], None, True, *of_workspace)
        ]
        for named in (str(mine), str(mine).upper(), slug):
            assert await ask(app, "SELECT * FROM chores_workspace(%s)", named) == [of_workspace]
        for question in ("chores_key", "chores_agent"):
            for wrong in (new_id(), theirs["task"], mine):
                assert await ask(app, f"SELECT * FROM {question}(%s)", wrong) == []
        for wrong_name in ("", "%", "nobody", "' OR true --"):
            assert await ask(app, "SELECT * FROM chores_workspace(%s)", wrong_name) == []
        quiet = await ask(app, "SELECT workspace_id, task_id FROM chores_quiet_tasks(-1, %s, 100)", new_id())
        assert quiet == [], "those after the last one"
