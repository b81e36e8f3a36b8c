-- A summary tells of what is settled: of what came before the first event that is still to be worked on, and nobody knows
-- yet what that will give; and of no more than there was at its end. What comes later is the next one's. Where the lane of events is held, it waits with them: what
-- went ahead had told of events from which nothing had been made, and nobody told of them again.

-- Whether there are events of its session to be worked on that came before it.
CREATE FUNCTION memory_unsettled(p_workspace uuid, p_session uuid, p_before timestamptz) RETURNS boolean
LANGUAGE sql STABLE
RETURN EXISTS (SELECT 1 FROM memory_jobs e WHERE e.workspace_id = p_workspace AND e.session_id = p_session
               AND e.kind IN ('event', 'event_batch') AND e.finished_at IS NULL AND e.created_at <= p_before);

GRANT SELECT (created_at) ON memory_jobs TO muster_chores;

-- The job that summarises a session at its end, and whether it is new: one for what there is in it. Where that was done,
-- and something in it was not told, the next of its number.
CREATE FUNCTION memory_conclude(s memory_sessions, p_request text, OUT id text, OUT new boolean) LANGUAGE plpgsql AS $$
DECLARE v_source text := s.id || '/' || s.events; v_number integer := 1; v_done text; v_open boolean;
BEGIN
    LOOP
        id := memory_job_id('sum', 'summary', s.workspace_id, s.project_id, 'session', v_source);
        v_open := (SELECT j.finished_at IS NULL FROM memory_jobs j
                   WHERE j.workspace_id = s.workspace_id AND j.id = memory_conclude.id);
        EXIT WHEN v_open IS NOT FALSE;
        v_done := id;
        v_number := v_number + 1;
        v_source := s.id || '/' || s.events || '#' || v_number;
    END LOOP;
    new := false;
    IF v_open IS NULL AND v_done IS NOT NULL AND s.concluded >= s.events THEN
        id := v_done;
    ELSIF v_open IS NULL THEN
        new := memory_new_job(s.workspace_id, s.project_id, id, 'summary', s.id, 'session', v_source, p_request);
    END IF;
END $$;

-- What is tried again was passed over by the summaries since: it is told, with what came after it, once it is done.
CREATE FUNCTION memory_untold(p_session uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE s memory_sessions; v_first timestamptz; v_told bigint;
BEGIN
    SELECT min(a.received_at) INTO v_first FROM memory_jobs j JOIN agent_events a
        ON a.workspace_id = j.workspace_id AND a.job_id = j.id AND a.session_id = j.session_id
        WHERE j.workspace_id = current_workspace() AND j.session_id = p_session
          AND j.kind IN ('event', 'event_batch') AND j.finished_at IS NULL;
    IF v_first IS NULL THEN
        RETURN;
    END IF;
    SELECT count(*) INTO v_told FROM agent_events e
        WHERE e.workspace_id = current_workspace() AND e.session_id = p_session AND e.received_at < v_first;
    UPDATE memory_sessions SET summarised = least(summarised, v_told), concluded = least(concluded, v_told),
            version = version + 1
        WHERE workspace_id = current_workspace() AND id = p_session AND greatest(summarised, concluded) > v_told
        RETURNING * INTO s;
    IF s.ended_at IS NOT NULL THEN
        PERFORM memory_conclude(s, NULL);
    END IF;
END $$;

DO $$
DECLARE v_new text;
BEGIN
    v_new := pg_get_functiondef('memory_look(uuid,uuid,uuid)'::regprocedure);
    v_new := regexp_replace(v_new, 'AND EXISTS \(SELECT 1 FROM open e WHERE [^)]*\)[^)]*\)',
                            'AND memory_unsettled(p_workspace, p_session, o.since)');
    IF strpos(v_new, 'memory_unsettled') = 0 OR strpos(v_new, 'FROM open e') > 0 THEN
        RAISE EXCEPTION 'memory_look is not what it was';
    END IF;
    EXECUTE v_new;

    v_new := pg_get_functiondef('memory_claim(uuid,uuid,uuid,memory_job_kind,uuid,boolean)'::regprocedure);
    v_new := replace(v_new, 's memory_sessions;', 's memory_sessions; v_until bigint; v_told uuid[];');
    v_new := replace(v_new, 'AND (j.not_before IS NULL OR j.not_before <= clock_timestamp())
          AND CASE',
        'AND (j.not_before IS NULL OR j.not_before <= clock_timestamp())
          AND NOT (p_kind = ''summary'' AND memory_unsettled(p_workspace, p_session, j.created_at))
          AND CASE');
    v_new := replace(v_new, 's.summarised ELSE s.concluded END;', $sql$s.summarised ELSE s.concluded END;
        SELECT least(count(*), (SELECT substring(source_id FROM '/(\d+)')::bigint FROM memory_jobs
                                WHERE workspace_id = p_workspace AND id = v_jobs[1] AND source_type = 'session'))
            INTO v_until FROM agent_events e
            WHERE e.workspace_id = p_workspace AND e.session_id = p_session AND e.received_at < coalesce((
                SELECT min(a.received_at) FROM memory_jobs j JOIN agent_events a
                    ON a.workspace_id = j.workspace_id AND a.job_id = j.id AND a.session_id = j.session_id
                WHERE j.workspace_id = p_workspace AND j.session_id = p_session AND j.kind IN ('event', 'event_batch')
                  AND j.finished_at IS NULL), 'infinity');
        v_told := ARRAY(SELECT e.id FROM agent_events e
            WHERE e.workspace_id = p_workspace AND e.session_id = p_session
            ORDER BY e.received_at, e.id OFFSET v_since LIMIT greatest(0, v_until - v_since));$sql$);
    v_new := regexp_replace(v_new, 'AND session_id = p_session\s+ORDER BY occurred_at DESC, received_at DESC, id DESC '
        'LIMIT least\(200, greatest\(0, s\.events - v_since\)\)\) e;', 'AND id = ANY (v_told)
            ORDER BY occurred_at DESC, received_at DESC, id DESC LIMIT 200) e;');
    v_new := regexp_replace(v_new, 'AND e\.session_id = p_session\s+ORDER BY e\.occurred_at DESC, e\.received_at DESC, '
        'e\.id DESC LIMIT greatest\(0, s\.events - v_since\)\),', 'AND e.id = ANY (v_told)),');
    v_new := replace(v_new, '''since'', v_since,', '''since'', v_since, ''until'', v_until,');
    IF strpos(v_new, 'v_told uuid[]') = 0 OR strpos(v_new, 'memory_unsettled') = 0 OR strpos(v_new, 'v_told := ') = 0
       OR strpos(v_new, 'AND id = ANY (v_told)') = 0 OR strpos(v_new, 'AND e.id = ANY (v_told)') = 0
       OR strpos(v_new, '''until''') = 0 OR strpos(v_new, 's.events - v_since') > 0 THEN
        RAISE EXCEPTION 'memory_claim is not what it was';
    END IF;
    EXECUTE v_new;

    -- The sweep leaves it alone as long.
    v_new := pg_get_functiondef('chores_memory(double precision,uuid,integer)'::regprocedure);
    v_new := replace(v_new, 'WHERE l.workspace_id = j.workspace_id AND l.kind = j.kind',
        'WHERE l.workspace_id = j.workspace_id AND (l.kind = j.kind
                      OR (j.kind = ''summary'' AND EXISTS (SELECT 1 FROM memory_jobs e
                          WHERE e.workspace_id = j.workspace_id AND e.session_id = j.session_id AND e.kind = l.kind
                            AND e.kind IN (''event'', ''event_batch'') AND e.finished_at IS NULL
                            AND e.created_at <= j.created_at)))');
    IF strpos(v_new, 'e.kind = l.kind') = 0 THEN
        RAISE EXCEPTION 'chores_memory is not what it was';
    END IF;
    EXECUTE v_new;

    -- What is forgotten lowers the number of events, and so the same number may come again.
    v_new := pg_get_functiondef('session_end(uuid,uuid,uuid,uuid,text,jsonb)'::regprocedure);
    v_new := regexp_replace(v_new, 'v_source := s\.id.*?OR s\.ended_at IS NULL THEN', $sql$SELECT c.id, c.new INTO v_job, v_new FROM memory_conclude(s, p_request) c;
    IF v_new OR s.ended_at IS NULL THEN$sql$);
    v_new := replace(v_new, 'v_source text; v_job text;', 'v_job text; v_new boolean;');
    IF strpos(v_new, 'memory_conclude') = 0 OR strpos(v_new, 'v_source') > 0 THEN
        RAISE EXCEPTION 'session_end is not what it was';
    END IF;
    EXECUTE v_new;

    v_new := pg_get_functiondef('memory_job_retry(text)'::regprocedure);
    v_new := replace(v_new, '    PERFORM note(', '    PERFORM memory_untold(j.session_id) WHERE j.kind IN (''event'', ''event_batch'');
    PERFORM note(');
    IF strpos(v_new, 'memory_untold') = 0 THEN
        RAISE EXCEPTION 'memory_job_retry is not what it was';
    END IF;
    EXECUTE v_new;

    v_new := pg_get_functiondef('memory_jobs_requeue(jsonb,integer)'::regprocedure);
    v_new := replace(v_new, '    IF v_number > 0 THEN', '    PERFORM memory_untold((p ->> 1)::uuid) FROM jsonb_array_elements(v_found) p WHERE p ->> 1 IS NOT NULL;
    IF v_number > 0 THEN');
    IF strpos(v_new, 'memory_untold') = 0 THEN
        RAISE EXCEPTION 'memory_jobs_requeue is not what it was';
    END IF;
    EXECUTE v_new;

    -- What an archive has was told where it comes from, but for what was still to be worked on there.
    v_new := pg_get_functiondef('memory_import(uuid,uuid,jsonb,jsonb,jsonb)'::regprocedure);
    v_new := replace(v_new, 'SET events = s.events + a.n, version = version + 1
            FROM (SELECT session_id, count(*) AS n FROM added GROUP BY 1) a',
        'SET events = s.events + a.n, summarised = s.summarised + a.told,
                concluded = s.concluded + a.told, version = version + 1
            FROM (SELECT d.session_id, count(*) AS n, count(*) FILTER (WHERE e.pending IS NOT TRUE) AS told FROM added d
                  JOIN jsonb_to_recordset(p_events) AS e (id uuid, pending boolean) ON e.id = d.id GROUP BY 1) a');
    IF strpos(v_new, 'a.told') = 0 THEN
        RAISE EXCEPTION 'memory_import is not what it was';
    END IF;
    EXECUTE v_new;
END $$;
