-- What may be meant by a word that nothing holds (0034_meant.sql), planned once for each connection: to plan it took as
-- long as to run it, and many a question to a small project has such a word.
CREATE OR REPLACE FUNCTION memory_alike(p_workspace uuid, p_projects uuid[], p_term text, p_forms text[], p_right text[])
RETURNS TABLE (term text, project_id uuid, documents integer)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public
SET plan_cache_mode = force_generic_plan SET max_parallel_workers_per_gather = 0
SET enable_seqscan = off SET enable_indexscan = off AS $$
DECLARE
    v_workspace uuid := CASE WHEN p_workspace = current_workspace() THEN p_workspace END;
    v_grams bigint[] := ARRAY(
        SELECT g FROM unnest(p_projects) p, LATERAL (
            SELECT unnest(memory_grams(p, p_term, true)) UNION
            SELECT hashtextextended(p || ' ' || f, 0) FROM unnest(p_forms || p_right) f UNION
            SELECT hashtextextended(p || ' ' || overlay(f PLACING '' FROM n FOR 1), 0)
            FROM unnest(p_forms) f, generate_series(1, length(f)) n) q (g)
        WHERE reaches_all() OR p = current_project());
BEGIN
    RETURN QUERY SELECT m.term, m.project_id, m.documents FROM memory_terms m
        -- Written so that no index but that of grams fits (0018_search_speed.sql).
        WHERE m.grams && v_grams AND m.workspace_id IS NOT DISTINCT FROM v_workspace
          AND array_position(p_projects, m.project_id) IS NOT NULL
          AND (abs(length(m.term) - length(p_term)) <= 2 OR starts_with(m.term, p_term) OR m.term = ANY (p_right)
               OR EXISTS (SELECT 1 FROM unnest(p_forms) f WHERE abs(length(m.term) - length(f)) <= 1))
        ORDER BY m.term = ANY (p_right) DESC, 3 DESC LIMIT 1000;
END $$;
