-- Agents that ended, and whose recording was lost with their worker: of tasks with a project, in the last day.

-- Next to nothing to keep, and enough to find the recent ones.
CREATE INDEX agents_by_end ON agents USING brin (finished_at) WITH (pages_per_range = 16);

GRANT SELECT (task_id, finished_at, forgotten) ON agents TO muster_chores;
GRANT SELECT (project_id, memory) ON tasks TO muster_chores;
GRANT SELECT (workspace_id, project_id, agent_id, ended_at) ON memory_sessions TO muster_chores;
GRANT SELECT (workspace_id, project_id, record_agents) ON memory_settings TO muster_chores;
CREATE POLICY chores_recording ON memory_sessions FOR SELECT TO muster_chores USING (true);
CREATE POLICY chores_recording ON memory_settings FOR SELECT TO muster_chores USING (true);

CREATE FUNCTION chores_unrecorded(p_seconds double precision, p_limit integer)
RETURNS TABLE (workspace_id uuid, agent_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public AS $$
    SELECT a.workspace_id, a.id FROM agents a
        JOIN tasks t ON t.workspace_id = a.workspace_id AND t.id = a.task_id
        LEFT JOIN memory_settings s ON s.workspace_id = t.workspace_id AND s.project_id = t.project_id
    WHERE a.finished_at BETWEEN now() - interval '1 day' AND now() - make_interval(secs => p_seconds)
      AND NOT a.forgotten AND t.project_id IS NOT NULL AND coalesce(s.record_agents, true)
      AND coalesce((t.memory ->> 'record')::boolean, true)
      AND NOT EXISTS (SELECT 1 FROM memory_sessions m WHERE m.workspace_id = a.workspace_id AND m.agent_id = a.id
                      AND m.project_id = t.project_id AND m.ended_at IS NOT NULL)
    ORDER BY a.finished_at LIMIT p_limit
$$;

GRANT CREATE ON SCHEMA public TO muster_chores;
ALTER FUNCTION chores_unrecorded(double precision, integer) OWNER TO muster_chores;
REVOKE CREATE ON SCHEMA public FROM muster_chores;
REVOKE ALL ON FUNCTION chores_unrecorded(double precision, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION chores_unrecorded(double precision, integer) TO muster_app;
