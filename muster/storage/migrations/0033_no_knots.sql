-- A task completes when its subtasks have, and begins when what it depends on has completed. A subtask that waits for
-- what waits for its parent would wait for ever, and its parent with it.

CREATE FUNCTION waits_for(p_workspace uuid, p_from uuid[], p_task uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
    WITH RECURSIVE waits (id) AS (
        SELECT t.id FROM tasks t WHERE t.workspace_id = p_workspace AND t.id = ANY (p_from)
            AND t.status NOT IN ('completed', 'failed')
        UNION
        SELECT n.id FROM waits w, LATERAL (
            SELECT d.depends_on_id AS id FROM task_dependencies d WHERE d.workspace_id = p_workspace AND d.task_id = w.id
            UNION ALL
            SELECT c.id FROM tasks c WHERE c.workspace_id = p_workspace AND c.parent_id = w.id) n
        JOIN tasks t ON t.workspace_id = p_workspace AND t.id = n.id
        WHERE t.status NOT IN ('completed', 'failed'))
    SELECT EXISTS (SELECT 1 FROM waits WHERE id = p_task)
$$;

DO $$
DECLARE v_new text;
BEGIN
    v_new := replace(pg_get_functiondef('task_create(uuid,jsonb,jsonb,boolean)'::regprocedure),
        '    -- How many wait is counted no further than it matters.',
        '    IF v_parent.id IS NOT NULL AND cardinality(v_depends) > 0 AND waits_for(p_workspace, v_depends, v_parent.id) THEN
        RAISE EXCEPTION ''it would wait for itself: what it depends on waits for task %, and that for its subtasks'',
            v_parent.id USING ERRCODE = ''MUSTR'', HINT = ''waits_for_itself'';
    END IF;

    -- How many wait is counted no further than it matters.');
    IF strpos(v_new, 'waits_for_itself') = 0 THEN
        RAISE EXCEPTION 'task_create is not what it was';
    END IF;
    EXECUTE v_new;
END $$;
