-- What is exactly as important as its project says outlives the project's days, too, as the documents have it.

DO $$
DECLARE
    v_old text := pg_get_functiondef('memory_expire(uuid,uuid,integer)'::regprocedure);
    v_new text := replace(v_old, 'importance <= s.retain_importance', 'importance < s.retain_importance');
BEGIN
    IF v_new = v_old THEN
        RAISE EXCEPTION 'memory_expire is not what it was';
    END IF;
    EXECUTE v_new;
END $$;
