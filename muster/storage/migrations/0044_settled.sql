-- A summary tells of what is settled: of what came before the first event that is still to be worked on, and nobody knows
-- yet what that will give. What comes later is the next one's. Where the lane of events is held, it waits with them: what
-- went ahead had told of events from which nothing had been made, and nobody told of them again.

-- Whether there are events of its session to be worked on that came before it.
CREATE FUNCTION memory_unsettled(p_workspace uuid, p_session uuid, p_before timestamptz) RETURNS boolean
LANGUAGE sql STABLE
RETURN EXISTS (SELECT 1 FROM memory_jobs e WHERE e.workspace_id = p_workspace AND e.session_id = p_session
               AND e.kind IN ('event', 'event_batch') AND e.finished_at IS NULL AND e.created_at <= p_before);

GRANT SELECT (created_at) ON memory_jobs TO muster_chores;

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
    v_new := replace(v_new, 's memory_sessions;', 's memory_sessions; v_until bigint; v_last timestamptz; v_told uuid[];');
    v_new := replace(v_new, 'AND (j.not_before IS NULL OR j.not_before <= clock_timestamp())
          AND CASE',
        'AND (j.not_before IS NULL OR j.not_before <= clock_timestamp())
          AND NOT (p_kind = ''summary'' AND memory_unsettled(p_workspace, p_session, j.created_at))
          AND CASE');
    v_new := replace(v_new, 's.summarised ELSE s.concluded END;', $sql$s.summarised ELSE s.concluded END;
        SELECT count(*), max(e.received_at) INTO v_until, v_last FROM agent_events e
            WHERE e.workspace_id = p_workspace AND e.session_id = p_session AND e.received_at < coalesce((
                SELECT min(a.received_at) FROM memory_jobs j JOIN agent_events a
                    ON a.workspace_id = j.workspace_id AND a.job_id = j.id AND a.session_id = j.session_id
                WHERE j.workspace_id = p_workspace AND j.session_id = p_session AND j.kind IN ('event', 'event_batch')
                  AND j.finished_at IS NULL), 'infinity');
        v_told := ARRAY(SELECT e.id FROM agent_events e
            WHERE e.workspace_id = p_workspace AND e.session_id = p_session AND e.received_at <= v_last
            ORDER BY e.received_at DESC, e.id DESC LIMIT greatest(0, v_until - v_since));$sql$);
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
END $$;
