-- The only doors between tenants: two read-only functions that name workspaces and tasks to look after, and
-- nothing of what is in them. They belong to muster_chores, which may read just these columns.

GRANT SELECT (id) ON workspaces TO muster_chores;
GRANT SELECT ON workspace_log TO muster_chores;
GRANT SELECT (id, workspace_id, parent_id, status, runs, attempts, agent_id, awaits_subtasks, updated_at, queued_at,
              next_attempt_at) ON tasks TO muster_chores;
GRANT SELECT ON task_dependencies TO muster_chores;
GRANT SELECT (id, workspace_id, status) ON agents TO muster_chores;
CREATE POLICY chores ON workspaces FOR SELECT TO muster_chores USING (true);
CREATE POLICY chores ON workspace_log FOR SELECT TO muster_chores USING (true);
CREATE POLICY chores ON tasks FOR SELECT TO muster_chores USING (true);
CREATE POLICY chores ON task_dependencies FOR SELECT TO muster_chores USING (true);
CREATE POLICY chores ON agents FOR SELECT TO muster_chores USING (true);

-- Every workspace, with how far its log and its publishing are.
CREATE FUNCTION chores_logs() RETURNS TABLE (workspace_id uuid, log_position bigint, published bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public AS $$
    SELECT l.workspace_id, l.position, l.published FROM workspace_log l
$$;

-- Open tasks that nothing has touched for a while. Without p_after: those to which something happened that they
-- have not acted on, as `needs` says: 'grant' (it has a slot and its agent has not begun), 'abort' (its parent
-- failed), 'wake' (a dependency ended, its subtasks have, its backoff is over). With it: all, in turns.
CREATE FUNCTION chores_quiet_tasks(p_seconds double precision, p_after uuid, p_limit integer)
RETURNS TABLE (workspace_id uuid, task_id uuid, attempts integer, agent_id uuid, needs text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public AS $$
    SELECT * FROM (
        SELECT t.workspace_id, t.id, t.attempts, t.agent_id,
            CASE WHEN EXISTS (SELECT 1 FROM tasks p WHERE p.workspace_id = t.workspace_id AND p.id = t.parent_id
                              AND p.status = 'failed') THEN 'abort'
                 WHEN t.status = 'assigned' AND a.status = 'spawning' THEN 'grant'
                 WHEN t.status = 'executing' AND t.awaits_subtasks AND NOT EXISTS (
                        SELECT 1 FROM tasks c WHERE c.workspace_id = t.workspace_id AND c.parent_id = t.id
                        AND c.status NOT IN ('completed', 'failed')) THEN 'wake'
                 WHEN t.status <> 'pending' OR t.queued_at IS NOT NULL OR NOT t.runs THEN NULL
                 WHEN t.next_attempt_at IS NOT NULL THEN
                        CASE WHEN t.next_attempt_at < now() - interval '10 seconds' THEN 'wake' END
                 WHEN coalesce((SELECT bool_or(d.status = 'failed') OR bool_and(d.status = 'completed')
                        FROM task_dependencies td JOIN tasks d
                          ON d.workspace_id = td.workspace_id AND d.id = td.depends_on_id
                        WHERE td.workspace_id = t.workspace_id AND td.task_id = t.id), true) THEN 'wake' END AS needs
        FROM tasks t LEFT JOIN agents a ON a.id = t.agent_id
        WHERE t.status IN ('pending', 'assigned', 'executing')
          AND t.updated_at < now() - make_interval(secs => p_seconds)
          AND (p_after IS NULL OR t.id > p_after)) q
    WHERE p_after IS NOT NULL OR q.needs IS NOT NULL
    ORDER BY q.id LIMIT p_limit
$$;

ALTER FUNCTION chores_logs() OWNER TO muster_chores;
ALTER FUNCTION chores_quiet_tasks(double precision, uuid, integer) OWNER TO muster_chores;
REVOKE ALL ON FUNCTION chores_logs(), chores_quiet_tasks(double precision, uuid, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION chores_logs(), chores_quiet_tasks(double precision, uuid, integer) TO muster_app;
REVOKE CREATE ON SCHEMA public FROM muster_chores;
