-- What is imported and known already may have been seen by more, there: these sources, places and times are added to it.
CREATE FUNCTION memory_known_again(p_workspace uuid, p_project uuid, p_observations jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE r record; v_new bigint;
BEGIN
    FOR r IN SELECT o.id, o.occurred_at, x.seen, x.last_seen_at, x.sources, x.places, x.place_words
        FROM jsonb_to_recordset(p_observations) AS x (id uuid, type text, title text, narrative text, occurred_at timestamptz,
            seen integer, last_seen_at timestamptz, sources uuid[], places text[], place_words bigint[]),
        LATERAL (
            SELECT m.id, m.occurred_at FROM observations m
            WHERE m.workspace_id = p_workspace AND m.project_id = p_project AND m.id = x.id
            UNION ALL
            SELECT m.id, m.occurred_at FROM observations m
            WHERE m.workspace_id = p_workspace AND m.project_id = p_project AND m.occurred_at = x.occurred_at
              AND m.type = x.type AND m.title = x.title AND m.narrative IS NOT DISTINCT FROM x.narrative
            LIMIT 1) o
        ORDER BY o.id
    LOOP
        PERFORM 1 FROM observations o WHERE o.workspace_id = p_workspace AND o.id = r.id FOR NO KEY UPDATE;
        INSERT INTO observation_sources (workspace_id, project_id, observation_id, event_id)
            SELECT p_workspace, p_project, r.id, e.id FROM agent_events e
            WHERE e.workspace_id = p_workspace AND e.project_id = p_project AND e.id = ANY (r.sources)
            ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS v_new = ROW_COUNT;
        IF v_new > 0 THEN
            UPDATE observations o SET seen = greatest(o.seen, r.seen), version = o.version + 1, updated_at = now(),
                    last_seen_at = CASE WHEN r.last_seen_at > o.occurred_at THEN greatest(o.last_seen_at, r.last_seen_at)
                                        ELSE o.last_seen_at END
                WHERE o.workspace_id = p_workspace AND o.id = r.id;
            UPDATE observation_words w SET
                    terms = w.terms || ARRAY(SELECT t FROM unnest(r.places) t WHERE NOT t = ANY (w.terms)),
                    words = w.words || ARRAY(SELECT t FROM unnest(r.place_words) t WHERE NOT t = ANY (w.words))
                WHERE w.workspace_id = p_workspace AND w.observation_id = r.id AND NOT w.terms @> r.places;
        END IF;
    END LOOP;
END $$;

DO $$
DECLARE v_new text;
BEGIN
    v_new := pg_get_functiondef('memory_import(uuid,uuid,jsonb,jsonb,jsonb)'::regprocedure);
    v_new := replace(v_new, '    v_observations := observation_put(p_workspace, p_project, v_rows);',
        '    PERFORM memory_known_again(p_workspace, p_project, (
        SELECT coalesce(jsonb_agg(x), ''[]'') FROM jsonb_array_elements(p_observations) x
        WHERE NOT x ->> ''id'' = ANY (ARRAY(SELECT n ->> ''id'' FROM jsonb_array_elements(v_rows) n))));
    v_observations := observation_put(p_workspace, p_project, v_rows);');
    IF strpos(v_new, 'memory_known_again') = 0 THEN
        RAISE EXCEPTION 'memory_import is not what it was';
    END IF;
    EXECUTE v_new;
END $$;
