-- What ends a session tells of all that is new since it ended before, also of what was told on the way; and what is told on
-- the way tells of all that is new since then, however much came at once.

ALTER TABLE memory_sessions ADD COLUMN concluded bigint NOT NULL DEFAULT 0;  -- of its events, when it was last summarised at an end

DO $$
DECLARE v_new text;
BEGIN
    v_new := pg_get_functiondef('memory_claim(uuid,uuid,uuid,memory_job_kind,uuid,boolean)'::regprocedure);
    v_new := replace(v_new, 's memory_sessions;', 's memory_sessions; v_since bigint;');
    v_new := replace(v_new, '-- What is new since the last summary, as far as one call takes it; and what was made of it.',
        '-- All that was made of what is new; and the latest of that, as far as one call takes it.
        v_since := CASE WHEN s.ended_at IS NULL THEN s.summarised ELSE s.concluded END;');
    v_new := replace(v_new, 'LIMIT least(200, greatest(0, s.events - s.summarised))) e;',
                            'LIMIT least(200, greatest(0, s.events - v_since))) e;');
    v_new := replace(v_new, 'LIMIT least(200, greatest(0, s.events - s.summarised))),', 'LIMIT greatest(0, s.events - v_since)),');
    v_new := replace(v_new, 'AND session_id = p_session
                UNION SELECT observation_id', 'AND session_id = p_session
                    AND (summary OR s.events = 0)
                UNION SELECT observation_id');
    v_new := replace(v_new, 'ORDER BY q.summary DESC, occurred_at DESC LIMIT 200) o;',
                            'ORDER BY q.summary DESC, q.importance DESC, occurred_at DESC LIMIT 400) o;');
    v_new := replace(v_new, '''summarised'', s.summarised,', '''summarised'', s.summarised, ''since'', v_since,');
    IF strpos(v_new, 'v_since bigint') = 0 OR strpos(v_new, 'v_since :=') = 0 OR strpos(v_new, 's.events - s.summarised') > 0
       OR strpos(v_new, 'AND (summary OR s.events = 0)') = 0 OR strpos(v_new, 'LIMIT 400') = 0
       OR strpos(v_new, '''since''') = 0 THEN
        RAISE EXCEPTION 'memory_claim is not what it was';
    END IF;
    EXECUTE v_new;

    v_new := pg_get_functiondef('memory_complete(uuid,uuid,uuid,jsonb,jsonb,bigint)'::regprocedure);
    v_new := replace(v_new, 'SET summarised = greatest(s.summarised, p_summarised),', 'SET summarised = greatest(s.summarised, p_summarised),
                    concluded = CASE WHEN (p_jobs -> 0 ->> ''concludes'')::boolean THEN greatest(s.concluded, p_summarised)
                                     ELSE s.concluded END,');
    IF strpos(v_new, 'concludes') = 0 THEN
        RAISE EXCEPTION 'memory_complete is not what it was';
    END IF;
    EXECUTE v_new;

    v_new := pg_get_functiondef('memory_drop_events(uuid,uuid[])'::regprocedure);
    v_new := replace(v_new, 'summarised = greatest(0, s.summarised - g.n)', 'summarised = greatest(0, s.summarised - g.n),
            concluded = greatest(0, s.concluded - g.n)');
    IF strpos(v_new, 'concluded') = 0 THEN
        RAISE EXCEPTION 'memory_drop_events is not what it was';
    END IF;
    EXECUTE v_new;

    v_new := pg_get_functiondef('memory_summarise_anew(uuid,uuid,uuid,uuid)'::regprocedure);
    v_new := replace(v_new, 'SET summarised = 0,', 'SET summarised = 0, concluded = 0,');
    IF strpos(v_new, 'concluded') = 0 THEN
        RAISE EXCEPTION 'memory_summarise_anew is not what it was';
    END IF;
    EXECUTE v_new;
END $$;
