-- What is sent to memory leaves a trace too: a session's beginning and end, and one row for each request of events, which
-- says how many, of which sessions, and the ids of the first few; never what they say. What Muster records of its own
-- agents is no request, and leaves none.

ALTER TYPE activity_action ADD VALUE 'session_started';
ALTER TYPE activity_action ADD VALUE 'session_ended';
ALTER TYPE activity_action ADD VALUE 'events_recorded';

-- `note` for functions that do not enter as somebody: p_by is muster.domain.tenants.Actor.
CREATE FUNCTION note_by(p_workspace uuid, p_by jsonb, p_action text, p_entity uuid, p_detail jsonb) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO activity_log (workspace_id, user_id, key_id, agent_id, address, request_id, action, entity_id, detail)
    VALUES (p_workspace, (p_by ->> 'user_id')::uuid, (p_by ->> 'key_id')::uuid, (p_by ->> 'agent_id')::uuid,
            p_by ->> 'address', p_by ->> 'request_id', p_action::activity_action, p_entity, jsonb_strip_nulls(p_detail))
$$;

-- As before (0023_finished_forgetting.sql), but for the trace: `by` is who sent it.
CREATE OR REPLACE FUNCTION session_start(p_workspace uuid, p_project uuid, p_task uuid, p_session jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    n memory_sessions := jsonb_populate_record(NULL::memory_sessions, p_session);
    s memory_sessions; v_new boolean;
BEGIN
    PERFORM memory_enter(p_workspace, p_project, p_task);
    IF NOT EXISTS (SELECT 1 FROM projects WHERE workspace_id = p_workspace AND id = n.project_id) THEN
        RAISE EXCEPTION 'there is no project %', n.project_id USING ERRCODE = 'MUSTR', HINT = 'unknown_reference';
    ELSIF (p_session ->> 'sent')::boolean AND EXISTS (
            SELECT 1 FROM projects WHERE workspace_id = p_workspace AND id = n.project_id AND status = 'archived') THEN
        RAISE EXCEPTION 'project % is archived', n.project_id USING ERRCODE = 'MUSTR', HINT = 'project_archived';
    ELSIF n.agent_id IS NOT NULL
          AND NOT EXISTS (SELECT 1 FROM agents WHERE workspace_id = p_workspace AND id = n.agent_id) THEN
        RAISE EXCEPTION 'there is no agent %', n.agent_id USING ERRCODE = 'MUSTR', HINT = 'unknown_reference';
    ELSIF n.task_id IS NOT NULL
          AND NOT EXISTS (SELECT 1 FROM tasks WHERE workspace_id = p_workspace AND id = n.task_id) THEN
        RAISE EXCEPTION 'there is no task %', n.task_id USING ERRCODE = 'MUSTR', HINT = 'unknown_reference';
    END IF;
    -- A session that an agent is the whole of is of the agent's task.
    IF n.agent_id IS NOT NULL AND n.task_id IS NULL THEN
        SELECT task_id INTO n.task_id FROM agents WHERE workspace_id = p_workspace AND id = n.agent_id;
    END IF;
    INSERT INTO memory_sessions (id, workspace_id, project_id, key, external_id, platform, title, agent_id, task_id,
                                 metadata, started_at)
        VALUES (n.id, p_workspace, n.project_id, n.key, n.external_id, n.platform, n.title, n.agent_id, n.task_id,
                coalesce(n.metadata, '{}'), coalesce(n.started_at, clock_timestamp()))
        ON CONFLICT DO NOTHING RETURNING * INTO s;
    v_new := FOUND;
    IF v_new AND p_session ->> 'by' IS NOT NULL THEN
        PERFORM note_by(p_workspace, p_session -> 'by', 'session_started', s.id, jsonb_build_object('after',
            jsonb_build_object('project_id', s.project_id, 'platform', s.platform, 'agent_id', s.agent_id,
                               'task_id', s.task_id, 'started_at', s.started_at)));
    END IF;
    IF NOT v_new THEN
        SELECT * INTO s FROM memory_sessions
            WHERE workspace_id = p_workspace AND project_id = n.project_id AND (key = n.key OR id = n.id)
            ORDER BY key = n.key DESC LIMIT 1;
    END IF;
    RETURN session_json(s) || jsonb_build_object('new', v_new);
END $$;

-- As before (0010_ingest.sql), but for the trace.
DROP FUNCTION session_end(uuid, uuid, uuid, uuid, text);
CREATE FUNCTION session_end(p_workspace uuid, p_project uuid, p_task uuid, p_session uuid, p_request text,
                            p_by jsonb DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE s memory_sessions; v_was timestamptz; v_source text; v_job text;
BEGIN
    PERFORM memory_enter(p_workspace, p_project, p_task);
    SELECT * INTO s FROM memory_sessions WHERE workspace_id = p_workspace AND id = p_session FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no session %', p_session USING ERRCODE = 'MUSTR', HINT = 'not_found';
    END IF;
    v_was := s.ended_at;
    v_source := s.id || '/' || s.events;
    v_job := memory_job_id('sum', 'summary', p_workspace, s.project_id, 'session', v_source);
    IF memory_new_job(p_workspace, s.project_id, v_job, 'summary', s.id, 'session', v_source, p_request)
       OR s.ended_at IS NULL THEN
        UPDATE memory_sessions SET ended_at = clock_timestamp(), version = version + 1
            WHERE workspace_id = p_workspace AND id = p_session RETURNING * INTO s;
        IF p_by IS NOT NULL THEN
            PERFORM note_by(p_workspace, p_by, 'session_ended', s.id, jsonb_build_object(
                'before', jsonb_build_object('ended_at', v_was), 'after', jsonb_build_object('ended_at', s.ended_at)));
        END IF;
    END IF;
    RETURN session_json(s) || jsonb_build_object('job',
        (SELECT job_brief(j) FROM memory_jobs j WHERE workspace_id = p_workspace AND id = v_job));
END $$;

-- As before (0023_finished_forgetting.sql), but for the trace. A scope also says who sent the request (`by`), and which
-- events it holds (`ids`). What is grouped is hashed: joins are nested loops here, and would look at every pair.
CREATE OR REPLACE FUNCTION memory_record(p_workspace uuid, p_project uuid, p_task uuid, p_scopes json, p_jobs json, p_items json)
RETURNS json LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_bitmapscan = off AS $$
DECLARE v_refused json; v_without integer[]; v_new json; v_was text[]; v_is text[]; v_source text[];
BEGIN
    PERFORM memory_enter(p_workspace, p_project, p_task);
    SELECT json_agg(json_build_object('g', x.g, 'n', x.n, 'why', x.why) ORDER BY x.n), array_agg(x.g)
        INTO v_refused, v_without
        FROM (SELECT x.g, x.n, CASE
                WHEN p.id IS NULL OR memory_stamp(m.exclude_paths, m.exclude_tools) IS DISTINCT FROM x.stamp
                    THEN 'project'
                WHEN x.sent AND p.status = 'archived' THEN 'archived'
                WHEN s.id IS NULL THEN 'session' END AS why
              FROM json_to_recordset(p_scopes)
                   AS x (g integer, n integer, ref text, project uuid, stamp text, session uuid, sent boolean)
              LEFT JOIN projects p ON p.workspace_id = p_workspace AND p.id = x.project
                   AND (p.slug = x.ref OR p.id::text = x.ref)
              LEFT JOIN memory_settings m ON m.workspace_id = p_workspace AND m.project_id = x.project
              LEFT JOIN memory_sessions s ON s.workspace_id = p_workspace AND s.project_id = x.project
                   AND s.id = x.session) x
        WHERE x.why IS NOT NULL;

    -- A job that was here before any of its events had one that was forgotten since, and is sent anew. What it has done,
    -- or is about to do, is without that event: the next of its number is made. (Each is looked up by its key, also where
    -- this was planned while there were hardly any.)
    IF EXISTS (SELECT 1 FROM json_to_recordset(p_jobs) AS j (id text), LATERAL (
            SELECT 1 FROM memory_jobs o WHERE o.workspace_id = p_workspace AND o.id = j.id OFFSET 0) m) THEN
        SELECT array_agg(j.id), array_agg(n.id), array_agg(n.source_id) INTO v_was, v_is, v_source
            FROM json_to_recordset(p_jobs) AS j (id text, kind text, source_type text, source_id text),
            LATERAL (SELECT o.project_id FROM memory_jobs o WHERE o.workspace_id = p_workspace AND o.id = j.id OFFSET 0) m,
            LATERAL (SELECT q.id, q.source_id FROM generate_series(2, 1000) k,
                         LATERAL (SELECT j.source_id || '#' || k AS source_id,
                                         memory_job_id(split_part(j.id, '_', 1), j.kind, p_workspace, m.project_id,
                                                       j.source_type, j.source_id || '#' || k) AS id OFFSET 0) q
                     WHERE NOT EXISTS (SELECT 1 FROM memory_jobs o WHERE o.workspace_id = p_workspace AND o.id = q.id)
                     LIMIT 1) n;
    END IF;

    WITH recorded AS (
        INSERT INTO agent_events (id, workspace_id, project_id, session_id, job_id, type, adapter, source_id, payload,
                                  metadata, occurred_at)
            SELECT i.id, p_workspace, i.project, i.session,
                   coalesce(v_is[array_position(v_was, i.job)], i.job), i.type, i.adapter, i.source_id,
                   coalesce(i.payload, 'null'), i.metadata, i.occurred_at
            FROM json_to_recordset(p_items) AS i (g integer, n integer, id uuid, project uuid, session uuid, job text,
                 type text, adapter text, source_id text, payload jsonb, metadata jsonb, occurred_at timestamptz)
            WHERE v_without IS NULL OR NOT i.g = ANY (v_without)
            ORDER BY i.id, i.g, i.n
            -- Whichever index notices first: each of them holds the id.
            ON CONFLICT DO NOTHING RETURNING id, project_id, session_id, job_id
    ), queued AS (
        INSERT INTO memory_jobs (workspace_id, project_id, id, kind, session_id, source_type, source_id, request_id)
            SELECT p_workspace, r.project_id, r.job_id, j.kind, r.session_id, j.source_type,
                   coalesce(v_source[array_position(v_was, j.id)], j.source_id), j.request
            FROM (SELECT DISTINCT job_id, project_id, session_id FROM recorded WHERE job_id IS NOT NULL) r
            JOIN json_to_recordset(p_jobs) AS j (id text, kind memory_job_kind, source_type text, source_id text,
                 request text) ON coalesce(v_is[array_position(v_was, j.id)], j.id) = r.job_id
            ON CONFLICT DO NOTHING RETURNING project_id, id
    ), told AS (
        INSERT INTO memory_job_events (workspace_id, project_id, job_id, to_status, attempt)
            SELECT p_workspace, q.project_id, q.id, 'queued', 0 FROM queued q
    ), counted AS (
        UPDATE memory_sessions s SET events = s.events + c.events, version = s.version + 1
            FROM (SELECT r.session_id, count(*) AS events FROM recorded r GROUP BY 1 ORDER BY 1) c
            WHERE s.id = c.session_id
    ), noted AS (
        INSERT INTO activity_log (workspace_id, user_id, key_id, agent_id, address, request_id, action, entity_id, detail)
            SELECT p_workspace, (r.by ->> 'user_id')::uuid, (r.by ->> 'key_id')::uuid, (r.by ->> 'agent_id')::uuid,
                   r.by ->> 'address', r.by ->> 'request_id', 'events_recorded', r.sessions[1],
                   jsonb_build_object('events', r.events, 'sessions', r.sessions[1:20], 'first', r.first[1:5])
            FROM (SELECT max(q.by)::jsonb AS by, count(q.id) AS events,
                         array_agg(q.session ORDER BY q.n) FILTER (WHERE q.session IS NOT NULL) AS sessions,
                         array_agg(q.id ORDER BY q.place) FILTER (WHERE q.id IS NOT NULL) AS first
                  FROM (SELECT x.g, x.n, x.by, x.session, NULL::uuid AS id, NULL::bigint AS place
                        FROM json_to_recordset(p_scopes) AS x (g integer, n integer, session uuid, by text)
                        UNION ALL
                        -- An event that two requests sent is the first one's.
                        SELECT min(e.g), NULL, NULL, NULL, e.id, min(e.place)
                        FROM (SELECT x.g, i.id, 1000 * x.n + i.place AS place
                              FROM json_to_recordset(p_scopes) AS x (g integer, n integer, by text, ids uuid[]),
                                   unnest(x.ids) WITH ORDINALITY AS i (id, place)
                              WHERE x.by IS NOT NULL AND (v_without IS NULL OR NOT x.g = ANY (v_without))
                              UNION ALL SELECT NULL, r.id, NULL FROM recorded r) e
                        GROUP BY e.id HAVING count(e.g) > 0 AND bool_or(e.g IS NULL)) q
                  GROUP BY q.g HAVING count(q.id) > 0) r
    )
    SELECT json_agg(r.id) INTO v_new FROM recorded r;
    RETURN json_build_object('refused', coalesce(v_refused, '[]'), 'new', coalesce(v_new, '[]'),
                             'jobs', coalesce(json_object(v_was, v_is), '{}'));
END $$;
