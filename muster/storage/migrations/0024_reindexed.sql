-- After the move to the instance's model, until the last vector of the old one is gone, a project says which model it has:
-- one that says none, and has vectors of another, is one whose instance was set to another model.

-- As before (0013_vectors.sql), but for that.
CREATE OR REPLACE FUNCTION vectors_switch(p_workspace uuid, p_project uuid, p_model text, p_default text, p_except uuid[])
RETURNS json LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
DECLARE m record; v_missing integer;
BEGIN
    PERFORM set_config('app.current_workspace_id', p_workspace::text, true);
    PERFORM pg_advisory_xact_lock(vectors_lock(p_project));
    m := vectors_model(p_workspace, p_project, p_default);
    IF m.next_model IS DISTINCT FROM p_model THEN
        RETURN json_build_object('switched', m.model = p_model, 'wanted', m.next_model IS NOT NULL, 'missing', 0);
    END IF;
    SELECT count(*) INTO v_missing FROM (
        SELECT 1 FROM observations o
        WHERE o.workspace_id = p_workspace AND o.project_id = p_project AND NOT o.id = ANY (p_except)
          AND NOT EXISTS (SELECT 1 FROM memory_embeddings e WHERE e.workspace_id = p_workspace
              AND e.observation_id = o.id AND e.model = p_model AND e.content_hash = o.content_hash) LIMIT 1000) q;
    IF v_missing > 0 THEN
        RETURN json_build_object('switched', false, 'wanted', true, 'missing', v_missing);
    END IF;
    UPDATE memory_settings SET model = p_model, next_model = NULL, version = version + 1, updated_at = now()
        WHERE workspace_id = p_workspace AND project_id = p_project;
    DELETE FROM memory_vectors_due d WHERE d.workspace_id = p_workspace AND d.project_id = p_project
        AND NOT d.observation_id = ANY (p_except)
        AND EXISTS (SELECT 1 FROM memory_embeddings e WHERE e.workspace_id = p_workspace
                    AND e.observation_id = d.observation_id AND e.model = p_model);
    INSERT INTO memory_vectors_due (workspace_id, project_id, observation_id, not_before, error)
        SELECT p_workspace, p_project, o.id, now() + interval '1 hour', 'its text was refused' FROM observations o
        WHERE o.workspace_id = p_workspace AND o.project_id = p_project AND o.id = ANY (p_except)
        ON CONFLICT DO NOTHING;
    RETURN json_build_object('switched', true, 'wanted', true, 'missing', 0);
END $$;

CREATE OR REPLACE FUNCTION vectors_prune(p_workspace uuid, p_project uuid, p_default text, p_limit integer) RETURNS integer
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
DECLARE m record; v_gone integer;
BEGIN
    PERFORM set_config('app.current_workspace_id', p_workspace::text, true);
    PERFORM pg_advisory_xact_lock_shared(vectors_lock(p_project));
    m := vectors_model(p_workspace, p_project, p_default);
    DELETE FROM memory_embeddings WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM memory_embeddings WHERE workspace_id = p_workspace AND project_id = p_project
            AND model <> m.model AND model <> coalesce(m.next_model, m.model) LIMIT p_limit FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS v_gone = ROW_COUNT;
    -- From here on it follows the instance.
    UPDATE memory_settings SET model = NULL, version = version + 1, updated_at = now()
        WHERE workspace_id = p_workspace AND project_id = p_project AND model = p_default AND next_model IS NULL
          AND NOT EXISTS (SELECT 1 FROM memory_embeddings WHERE workspace_id = p_workspace AND project_id = p_project
                          AND model <> p_default);
    RETURN v_gone;
END $$;
