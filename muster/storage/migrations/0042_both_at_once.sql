-- What is forgotten while others see the same: theirs is not lost with it, whoever comes first.
DO $$
DECLARE v_new text;
BEGIN
    -- What is about to be joined may be forgotten in this moment: then the first of those that would join takes its place.
    v_new := pg_get_functiondef('observation_put(uuid,uuid,jsonb)'::regprocedure);
    v_new := replace(v_new, '            PERFORM 1 FROM observations o WHERE o.id = r.id FOR NO KEY UPDATE;
        END LOOP;', '            PERFORM 1 FROM observations o WHERE o.id = r.id FOR NO KEY UPDATE;
            IF NOT FOUND THEN
                v_first := array_position(v_to, r.id);
                FOR v_place IN v_first .. cardinality(v_to) LOOP
                    IF v_to[v_place] = r.id THEN
                        v_to[v_place] := v_ids[v_first];
                    END IF;
                END LOOP;
            END IF;
        END LOOP;');
    v_new := replace(v_new, 'v_said text[];', 'v_said text[]; v_first integer;');
    IF strpos(v_new, 'v_to[v_place] := v_ids[v_first]') = 0 OR strpos(v_new, 'v_first integer') = 0 THEN
        RAISE EXCEPTION 'observation_put is not what it was';
    END IF;
    EXECUTE v_new;

    -- Nobody joins them from here on, so all that did are seen.
    v_new := pg_get_functiondef('memory_forget(uuid,text,uuid,integer,boolean,jsonb)'::regprocedure);
    v_new := replace(v_new, '    -- Others had seen the same, and theirs was merged into these', '    PERFORM 1 FROM observations WHERE workspace_id = p_workspace AND id = ANY (v_observations) ORDER BY id FOR UPDATE;
    -- Others had seen the same, and theirs was merged into these');
    IF strpos(v_new, 'ANY (v_observations) ORDER BY id FOR UPDATE') = 0 THEN
        RAISE EXCEPTION 'memory_forget is not what it was';
    END IF;
    EXECUTE v_new;

    -- What is seen again in this moment is not old any more.
    v_new := pg_get_functiondef('memory_expire(uuid,uuid,integer)'::regprocedure);
    v_new := replace(v_new, 'ORDER BY occurred_at LIMIT v_few) o;', 'ORDER BY occurred_at LIMIT v_few FOR UPDATE) o;');
    IF strpos(v_new, 'LIMIT v_few FOR UPDATE) o;') = 0 THEN
        RAISE EXCEPTION 'memory_expire is not what it was';
    END IF;
    EXECUTE v_new;
END $$;
