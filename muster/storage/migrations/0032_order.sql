-- What happened in which order, also where a clock says that it was at once; how long a provider wants to be left alone;
-- and how old is what was seen again.

-- When a provider says when to come back, all sessions of the project leave it alone until then.
ALTER TABLE memory_lanes ADD COLUMN resting_until timestamptz;

DO $$
DECLARE
    v_new text;
BEGIN
    -- Events of one request came in its order.
    v_new := pg_get_functiondef('memory_record(uuid,uuid,uuid,json,json,json)'::regprocedure);
    v_new := regexp_replace(v_new, 'metadata, occurred_at\)(\s+SELECT i\.id.*?)i\.metadata, i\.occurred_at\M',
        'metadata, occurred_at, received_at)\1i.metadata, i.occurred_at,
                   now() + i.n * interval ''1 microsecond''');
    IF strpos(v_new, 'i.n * interval') = 0 THEN
        RAISE EXCEPTION 'memory_record is not what it was';
    END IF;
    EXECUTE v_new;

    -- With what came right before, of a session in which little happens at a time: a failure, and its end a minute later.
    v_new := pg_get_functiondef('memory_claim(uuid,uuid,uuid,memory_job_kind,uuid,boolean)'::regprocedure);
    v_new := replace(v_new, 'ORDER BY e.occurred_at, e.id)', 'ORDER BY e.occurred_at, e.received_at, e.id)');
    v_new := replace(v_new, 'ORDER BY occurred_at DESC, id DESC', 'ORDER BY occurred_at DESC, received_at DESC, id DESC');
    v_new := replace(v_new, 'SELECT e.id, e.occurred_at FROM agent_events e',
                     'SELECT e.id, e.occurred_at, e.received_at FROM agent_events e');
    v_new := replace(v_new, 'ORDER BY e.occurred_at DESC, e.id DESC', 'ORDER BY e.occurred_at DESC, e.received_at DESC, e.id DESC');
    v_new := replace(v_new, 'ORDER BY l.occurred_at, l.id', 'ORDER BY l.occurred_at, l.received_at, l.id');
    v_new := replace(v_new, 'v_events json; v_observations json;',
                     'v_events json; v_earlier json; v_observations json; v_count bigint; v_first timestamptz; v_rest float8;');
    v_new := replace(v_new, '    v_most := coalesce((SELECT batch_events', '    SELECT extract(epoch FROM resting_until - clock_timestamp()) INTO v_rest FROM memory_lanes
        WHERE workspace_id = p_workspace AND project_id = p_project AND kind = p_kind;
    IF v_rest > 0 THEN
        RETURN json_build_object(''held'', ''resting'', ''wait_seconds'', v_rest * (1 + 0.2 * random()));
    END IF;
    v_most := coalesce((SELECT batch_events');
    v_new := regexp_replace(v_new,
        'INTO v_events(\s+)FROM agent_events e WHERE e\.workspace_id = p_workspace AND e\.job_id = ANY \(v_jobs\);', $sql$,
               count(*), min(e.occurred_at) INTO v_events, v_count, v_first
            FROM agent_events e WHERE e.workspace_id = p_workspace AND e.job_id = ANY (v_jobs);
        IF v_count < least(v_most, 20) AND p_session IS NOT NULL THEN
            SELECT json_agg(agent_event_json(e) ORDER BY e.occurred_at, e.received_at, e.id) INTO v_earlier FROM (
                SELECT * FROM agent_events a WHERE a.workspace_id = p_workspace AND a.session_id = p_session
                AND a.occurred_at <= v_first AND a.occurred_at > v_first - interval '1 hour'
                AND NOT a.job_id = ANY (v_jobs) AND pg_column_size(a.payload) < 16384
                ORDER BY a.occurred_at DESC, a.received_at DESC, a.id DESC LIMIT 20) e;
        END IF;$sql$);
    v_new := replace(v_new, '''events'', v_events,', '''events'', v_events, ''earlier'', v_earlier,');
    IF strpos(v_new, 'v_earlier FROM (') = 0 OR strpos(v_new, 'v_rest > 0') = 0 OR strpos(v_new, '''earlier''') = 0 THEN
        RAISE EXCEPTION 'memory_claim is not what it was';
    END IF;
    EXECUTE v_new;

    -- What came before may have been forgotten meanwhile: nothing is told of it then, nor of what it was told with.
    v_new := pg_get_functiondef('memory_complete(uuid,uuid,uuid,jsonb,jsonb,bigint)'::regprocedure);
    v_new := replace(v_new, '        IF v_rows <> ''[]'' THEN', $sql$        SELECT array_agg(s.id) INTO v_gone FROM (
            SELECT DISTINCT t::uuid AS id FROM jsonb_array_elements(v_rows) x, jsonb_array_elements_text(x -> 'sources') t
            WHERE NOT (x ->> 'summary')::boolean) s
            WHERE NOT EXISTS (SELECT 1 FROM agent_events e WHERE e.workspace_id = p_workspace AND e.id = s.id);
        IF v_gone IS NOT NULL THEN
            SELECT coalesce(jsonb_agg(x), '[]') INTO v_rows FROM jsonb_array_elements(v_rows) x
                WHERE (x ->> 'summary')::boolean OR NOT x -> 'sources' ?| v_gone::text[];
        END IF;
        IF v_rows <> '[]' THEN$sql$);
    v_new := replace(v_new, 'v_rows jsonb := p_rows;', 'v_rows jsonb := p_rows; v_gone uuid[];');
    IF strpos(v_new, '?| v_gone') = 0 OR strpos(v_new, 'v_gone uuid[]') = 0 THEN
        RAISE EXCEPTION 'memory_complete is not what it was';
    END IF;
    EXECUTE v_new;

    -- Who says when to come back is believed, and has not failed.
    v_new := pg_get_functiondef('memory_fail(uuid,uuid,uuid,text[],text,text,text,float8,float8,timestamptz)'::regprocedure);
    v_new := replace(v_new, 'attempts = attempts - (p_fate = ''park'')::integer',
                     'attempts = attempts - (p_fate = ''park'' OR x.later)::integer');
    v_new := replace(v_new, 'secs => greatest(p_retry_after, (0.8', 'secs => CASE WHEN p_retry_after > 0 THEN p_retry_after ELSE (0.8');
    v_new := replace(v_new, 'power(6, attempts - 1))))', 'power(6, attempts - 1)) END)');
    v_new := replace(v_new, 'p_fate = ''retry'' AND attempts >= max_attempts) AS ends',
                     'p_fate = ''retry'' AND attempts >= max_attempts AND NOT later.is) AS ends, later.is AS later');
    v_new := replace(v_new, 'FROM memory_jobs WHERE workspace_id = p_workspace AND id = ANY (p_jobs)) x',
                     'FROM memory_jobs, (SELECT p_class = ''rate_limit'' AND coalesce(p_retry_after > 0, false) AS is) later
                  WHERE workspace_id = p_workspace AND id = ANY (p_jobs)) x');
    v_new := replace(v_new, '    IF p_fate = ''park'' AND v_kind IS NOT NULL THEN',
        '    IF p_fate = ''retry'' AND p_retry_after > 0 AND v_kind IS NOT NULL THEN
        INSERT INTO memory_lanes AS l (workspace_id, project_id, kind, resting_until)
            VALUES (p_workspace, p_project, v_kind, clock_timestamp() + make_interval(secs => p_retry_after))
            ON CONFLICT ON CONSTRAINT memory_lanes_once DO UPDATE
                SET resting_until = greatest(l.resting_until, excluded.resting_until);
    END IF;
    IF p_fate = ''park'' AND v_kind IS NOT NULL THEN');
    IF strpos(v_new, 'x.later') = 0 OR strpos(v_new, 'later.is AS later') = 0 OR strpos(v_new, 'resting_until') = 0
       OR strpos(v_new, 'CASE WHEN p_retry_after > 0') = 0 OR strpos(v_new, 'attempts - 1)) END)') = 0 THEN
        RAISE EXCEPTION 'memory_fail is not what it was';
    END IF;
    EXECUTE v_new;

    -- As old as the last time it happened, not as the last time it was written.
    v_new := pg_get_functiondef('memory_expire(uuid,uuid,integer)'::regprocedure);
    v_new := replace(v_new, '(seen = 1 OR updated_at < v_before)', '(last_seen_at IS NULL OR last_seen_at < v_before)');
    IF strpos(v_new, 'last_seen_at < v_before') = 0 THEN
        RAISE EXCEPTION 'memory_expire is not what it was';
    END IF;
    EXECUTE v_new;

    v_new := pg_get_functiondef('memory_import(uuid,uuid,jsonb,jsonb,jsonb)'::regprocedure);
    v_new := replace(v_new, 'UPDATE observations o SET seen = x.seen FROM jsonb_to_recordset(v_rows) AS x (id uuid, seen integer)',
        'UPDATE observations o SET seen = x.seen, last_seen_at = x.last_seen_at
        FROM jsonb_to_recordset(v_rows) AS x (id uuid, seen integer, last_seen_at timestamptz)');
    v_new := regexp_replace(v_new, 'metadata,(\s+)occurred_at\)(.*?)e\.occurred_at(\s+)FROM(.*?)metadata jsonb, occurred_at timestamptz\)',
        'metadata,\1occurred_at, received_at)\2e.occurred_at, coalesce(e.received_at, now())\3FROM\4metadata jsonb, occurred_at timestamptz, received_at timestamptz)');
    IF strpos(v_new, 'coalesce(e.received_at') = 0 OR strpos(v_new, 'x.last_seen_at') = 0
       OR strpos(v_new, 'occurred_at timestamptz, received_at timestamptz)') = 0 THEN
        RAISE EXCEPTION 'memory_import is not what it was';
    END IF;
    EXECUTE v_new;
END $$;

-- What was merged before that was noted: when the last of its events happened.
ALTER TABLE observations NO FORCE ROW LEVEL SECURITY;
ALTER TABLE observation_sources NO FORCE ROW LEVEL SECURITY;
ALTER TABLE agent_events NO FORCE ROW LEVEL SECURITY;
UPDATE observations o SET last_seen_at = s.at FROM (
    SELECT x.workspace_id, x.observation_id, max(e.occurred_at) AS at
    FROM observation_sources x JOIN agent_events e ON e.workspace_id = x.workspace_id AND e.id = x.event_id GROUP BY 1, 2) s
    WHERE s.workspace_id = o.workspace_id AND s.observation_id = o.id AND o.seen > 1 AND o.last_seen_at IS NULL
    AND s.at > o.occurred_at;
ALTER TABLE observations FORCE ROW LEVEL SECURITY;
ALTER TABLE observation_sources FORCE ROW LEVEL SECURITY;
ALTER TABLE agent_events FORCE ROW LEVEL SECURITY;
