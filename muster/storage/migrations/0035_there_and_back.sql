-- What is brought back to where it was exported from is there already, whatever id it was given on the way: the same
-- words of the same moment.
DO $$
DECLARE v_new text;
BEGIN
    v_new := replace(pg_get_functiondef('memory_import(uuid,uuid,jsonb,jsonb,jsonb)'::regprocedure),
        'WHERE NOT EXISTS (SELECT 1 FROM observations WHERE id = (x ->> ''id'')::uuid);',
        'WHERE NOT EXISTS (SELECT 1 FROM observations WHERE id = (x ->> ''id'')::uuid)
          AND NOT EXISTS (SELECT 1 FROM observations o WHERE o.workspace_id = p_workspace AND o.project_id = p_project
              AND o.occurred_at = (x ->> ''occurred_at'')::timestamptz AND o.type = x ->> ''type''
              AND o.title = x ->> ''title'' AND o.narrative IS NOT DISTINCT FROM x ->> ''narrative'');');
    IF strpos(v_new, 'o.narrative IS NOT') = 0 THEN
        RAISE EXCEPTION 'memory_import is not what it was';
    END IF;
    EXECUTE v_new;
END $$;
