-- What is forgotten of a session leaves no trace in what others saw, too: neither that it saw it nor when.

-- p_places: [{project, term, word}], of what is forgotten (storage/forgetting.py). What an observation was found by for its
-- sake, and no other source's, finds it no longer.
CREATE FUNCTION memory_unseen(p_workspace uuid, p_ids uuid[], p_places jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE r record;
BEGIN
    FOR r IN SELECT o.id, o.project_id, o.occurred_at, o.last_seen_at, left_over.at,
                    left_over.terms || ARRAY[' s:' || o.session_id, ' k:' || o.task_id, ' a:' || o.agent_id] AS terms
        FROM observations o, LATERAL (
            SELECT max(e.occurred_at) AS at, array_agg(' s:' || m.id) || array_agg(' k:' || m.task_id)
                   || array_agg(' a:' || m.agent_id) AS terms
            FROM observation_sources s
            JOIN agent_events e ON e.workspace_id = s.workspace_id AND e.id = s.event_id
            JOIN memory_sessions m ON m.workspace_id = e.workspace_id AND m.id = e.session_id
            WHERE s.workspace_id = p_workspace AND s.observation_id = o.id) left_over
        WHERE o.workspace_id = p_workspace AND o.id = ANY (p_ids) ORDER BY o.id FOR NO KEY UPDATE OF o
    LOOP
        IF r.last_seen_at IS NOT NULL THEN
            UPDATE observations SET last_seen_at = CASE WHEN r.at > r.occurred_at THEN least(r.last_seen_at, r.at) END
                WHERE workspace_id = p_workspace AND id = r.id;
        END IF;
        UPDATE observation_words w SET
            terms = ARRAY(SELECT t FROM unnest(w.terms) WITH ORDINALITY AS x (t, n) WHERE NOT t = ANY (g.terms) ORDER BY n),
            words = ARRAY(SELECT t FROM unnest(w.words) WITH ORDINALITY AS x (t, n) WHERE NOT t = ANY (g.words) ORDER BY n)
            FROM (SELECT array_agg(p.term) AS terms, array_agg(p.word) AS words
                  FROM jsonb_to_recordset(p_places) AS p (project uuid, term text, word bigint)
                  WHERE p.project = r.project_id AND coalesce(NOT p.term = ANY (array_remove(r.terms, NULL)), true)) g
            WHERE w.workspace_id = p_workspace AND w.observation_id = r.id AND w.terms && g.terms;
    END LOOP;
END $$;

DO $$
DECLARE v_new text;
BEGIN
    v_new := pg_get_functiondef('memory_forget(uuid,text,uuid,integer,boolean)'::regprocedure);
    v_new := replace(v_new, 'p_asked boolean)', 'p_asked boolean, p_places jsonb)');
    v_new := replace(v_new, 'v_gone bigint;', 'v_gone bigint; v_seen uuid[];');
    v_new := replace(v_new, '        v_deleted := add_counts(v_deleted, memory_drop_events(p_workspace, v_events));',
        '        SELECT array_agg(DISTINCT observation_id) INTO v_seen FROM observation_sources
            WHERE workspace_id = p_workspace AND event_id = ANY (v_events);
        v_deleted := add_counts(v_deleted, memory_drop_events(p_workspace, v_events));
        PERFORM memory_unseen(p_workspace, v_seen, p_places);');
    IF strpos(v_new, 'p_places jsonb)') = 0 OR strpos(v_new, 'v_seen uuid[]') = 0 OR strpos(v_new, 'memory_unseen') = 0 THEN
        RAISE EXCEPTION 'memory_forget is not what it was';
    END IF;
    DROP FUNCTION memory_forget(uuid, text, uuid, integer, boolean);
    EXECUTE v_new;
END $$;
