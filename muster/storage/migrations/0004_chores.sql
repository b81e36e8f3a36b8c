-- The only doors between tenants: three read-only functions that name workspaces and tasks to look after, and
-- nothing of what is in them. They belong to muster_chores, which may read just these columns.

GRANT SELECT (id) ON workspaces TO muster_chores;
GRANT SELECT ON workspace_log TO muster_chores;
GRANT SELECT (id, workspace_id, status, agent_id, updated_at, queued_at, next_attempt_at) ON tasks TO muster_chores;
GRANT SELECT (id, workspace_id, status) ON agents TO muster_chores;
CREATE POLICY chores ON workspaces FOR SELECT TO muster_chores USING (true);
CREATE POLICY chores ON workspace_log FOR SELECT TO muster_chores USING (true);
CREATE POLICY chores ON tasks FOR SELECT TO muster_chores USING (true);
CREATE POLICY chores ON agents FOR SELECT TO muster_chores USING (true);

-- Every workspace, with how far its log and its publishing are.
CREATE FUNCTION chores_logs() RETURNS TABLE (workspace_id uuid, log_position bigint, published bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public AS $$
    SELECT l.workspace_id, l.position, l.published FROM workspace_log l
$$;

-- Open tasks that nothing has touched for a while: their workflow, or a message to it, may be gone.
CREATE FUNCTION chores_quiet_tasks(p_seconds double precision, p_limit integer)
RETURNS TABLE (workspace_id uuid, task_id uuid, task_status task_status, agent_id uuid, agent_status agent_status)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public AS $$
    SELECT t.workspace_id, t.id, t.status, t.agent_id, a.status
    FROM tasks t LEFT JOIN agents a ON a.id = t.agent_id
    WHERE t.status IN ('pending', 'assigned', 'executing')
      AND t.updated_at < now() - make_interval(secs => p_seconds)
    ORDER BY t.updated_at LIMIT p_limit
$$;

ALTER FUNCTION chores_logs() OWNER TO muster_chores;
ALTER FUNCTION chores_quiet_tasks(double precision, integer) OWNER TO muster_chores;
REVOKE ALL ON FUNCTION chores_logs(), chores_quiet_tasks(double precision, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION chores_logs(), chores_quiet_tasks(double precision, integer) TO muster_app;
REVOKE CREATE ON SCHEMA public FROM muster_chores;
