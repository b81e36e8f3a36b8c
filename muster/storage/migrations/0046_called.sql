-- What came right before is handed to the generator with any batch, also with a large one: a call of a tool and its answer
-- are often sent apart, and what failed may pass in the next batch.

DO $$
DECLARE
    v_old text := pg_get_functiondef('memory_claim(uuid,uuid,uuid,memory_job_kind,uuid,boolean)'::regprocedure);
    v_new text := regexp_replace(v_old, 'AND v_count < least\(v_most, 20\)\s+ORDER BY', 'ORDER BY');
BEGIN
    IF v_new = v_old THEN
        RAISE EXCEPTION 'memory_claim is not what it was';
    END IF;
    EXECUTE v_new;
END $$;
