-- What may be meant by a word that nothing holds. Its stem is not all there is to go by: a mistake may keep an ending on
-- it, or take one off. So it is asked for as it is written, too, with and without its endings (`p_forms`, nearly), and with
-- an ending put right (`p_right`, exactly); muster/domain/spelling.py says which.
DROP FUNCTION memory_alike(uuid, uuid[], text);
CREATE FUNCTION memory_alike(p_workspace uuid, p_projects uuid[], p_term text, p_forms text[], p_right text[])
RETURNS TABLE (term text, project_id uuid, documents integer)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public AS $$
DECLARE v_grams bigint[] := ARRAY(
    SELECT g FROM unnest(p_projects) p, LATERAL (
        SELECT unnest(memory_grams(p, p_term, true)) UNION
        SELECT hashtextextended(p || ' ' || f, 0) FROM unnest(p_forms || p_right) f UNION
        SELECT hashtextextended(p || ' ' || overlay(f PLACING '' FROM n FOR 1), 0)
        FROM unnest(p_forms) f, generate_series(1, length(f)) n) q (g)
    WHERE reaches_all() OR p = current_project());
BEGIN
    PERFORM set_config('enable_seqscan', 'off', true);
    RETURN QUERY EXECUTE
        'SELECT m.term, m.project_id, m.documents FROM memory_terms m WHERE m.grams && $1 AND m.workspace_id = $2 '
        'AND m.project_id = ANY ($3) AND (abs(length(m.term) - length($4)) <= 2 OR starts_with(m.term, $4) '
        '    OR m.term = ANY ($6) OR EXISTS (SELECT 1 FROM unnest($5) f WHERE abs(length(m.term) - length(f)) <= 1)) '
        'ORDER BY m.term = ANY ($6) DESC, 3 DESC LIMIT 1000'
        USING v_grams, CASE WHEN p_workspace = current_workspace() THEN p_workspace END, p_projects, p_term, p_forms,
              p_right;
    PERFORM set_config('enable_seqscan', 'on', true);
END $$;

GRANT CREATE ON SCHEMA public TO muster_chores;
ALTER FUNCTION memory_alike(uuid, uuid[], text, text[], text[]) OWNER TO muster_chores;
REVOKE CREATE ON SCHEMA public FROM muster_chores;
REVOKE ALL ON FUNCTION memory_alike(uuid, uuid[], text, text[], text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION memory_alike(uuid, uuid[], text, text[], text[]) TO muster_app;
