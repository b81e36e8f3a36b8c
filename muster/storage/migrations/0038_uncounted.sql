-- Where words wait to be counted (memory_term_changes) although whoever stored them is gone: for the sweep.
GRANT SELECT (workspace_id, project_id) ON memory_term_changes TO muster_chores;
CREATE POLICY chores_uncounted ON memory_term_changes FOR SELECT TO muster_chores USING (true);

CREATE FUNCTION chores_uncounted(p_limit integer) RETURNS TABLE (workspace_id uuid, project_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public AS $$
    SELECT DISTINCT c.workspace_id, c.project_id FROM memory_term_changes c LIMIT p_limit
$$;

GRANT CREATE ON SCHEMA public TO muster_chores;
ALTER FUNCTION chores_uncounted(integer) OWNER TO muster_chores;
REVOKE CREATE ON SCHEMA public FROM muster_chores;
REVOKE ALL ON FUNCTION chores_uncounted(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION chores_uncounted(integer) TO muster_app;
