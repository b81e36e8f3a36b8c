-- Ingestion: sessions, and the events in them. An event and the job that is to make something of it are recorded by one
-- statement, or neither is.

ALTER TYPE activity_action ADD VALUE 'memory_settings_updated';

-- Whom a function works for: the workspace, and what of it the caller reaches.
CREATE FUNCTION memory_enter(p_workspace uuid, p_project uuid, p_task uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('app.current_workspace_id', p_workspace::text, true);
    IF p_project IS NOT NULL OR p_task IS NOT NULL THEN
        PERFORM set_config('app.current_project_id', coalesce(p_project::text, ''), true),
                set_config('app.current_task_id', coalesce(p_task::text, ''), true);
    END IF;
END $$;

-- The same as muster.domain.memory.job_id.
CREATE FUNCTION memory_job_id(p_prefix text, p_kind text, p_workspace uuid, p_project uuid,
                              p_source_type text, p_source_id text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT p_prefix || '_' || encode(sha256(convert_to(
        '{"kind":"' || p_kind || '","project":"' || p_project || '","source_id":"' || p_source_id
        || '","source_type":"' || p_source_type || '","workspace":"' || p_workspace || '"}', 'UTF8')), 'hex')
$$;

-- What a project excludes, in short: what was looked through by older rules is looked through again.
CREATE FUNCTION memory_stamp(p_paths text[], p_tools text[]) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN cardinality(p_paths) + cardinality(p_tools) > 0
                THEN md5(array_to_json(p_paths)::text || array_to_json(p_tools)::text) END
$$;

CREATE FUNCTION session_json(s memory_sessions) RETURNS jsonb LANGUAGE sql STABLE
RETURN jsonb_build_object('id', s.id, 'workspace_id', s.workspace_id, 'project_id', s.project_id,
    'external_id', s.external_id, 'platform', s.platform, 'title', s.title, 'agent_id', s.agent_id,
    'task_id', s.task_id, 'metadata', s.metadata, 'events', s.events, 'summarised', s.summarised,
    'version', s.version, 'started_at', s.started_at, 'ended_at', s.ended_at);

CREATE FUNCTION recorded_event_json(e agent_events) RETURNS jsonb LANGUAGE sql STABLE
RETURN jsonb_build_object('id', e.id, 'workspace_id', e.workspace_id, 'project_id', e.project_id,
    'session_id', e.session_id, 'job_id', e.job_id, 'type', e.type, 'adapter', e.adapter, 'source_id', e.source_id,
    'payload', e.payload, 'metadata', e.metadata, 'occurred_at', e.occurred_at, 'received_at', e.received_at);

-- A job as an event's answer tells of it.
CREATE FUNCTION job_brief(j memory_jobs) RETURNS jsonb LANGUAGE sql STABLE
RETURN jsonb_build_object('id', j.id, 'kind', j.kind, 'status', j.status, 'attempts', j.attempts,
    'outcome', j.outcome, 'observations', j.observations, 'error_class', j.error_class, 'error', j.error);

CREATE FUNCTION memory_new_job(p_workspace uuid, p_project uuid, p_id text, p_kind memory_job_kind, p_session uuid,
                               p_source_type text, p_source_id text, p_request text) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO memory_jobs (workspace_id, project_id, id, kind, session_id, source_type, source_id, request_id)
        VALUES (p_workspace, p_project, p_id, p_kind, p_session, p_source_type, p_source_id, p_request)
        ON CONFLICT DO NOTHING;
    IF FOUND THEN
        INSERT INTO memory_job_events (workspace_id, project_id, job_id, to_status, attempt)
            VALUES (p_workspace, p_project, p_id, 'queued', 0);
    END IF;
    RETURN FOUND;
END $$;

-- Begins a session, or finds the one with its key.
CREATE FUNCTION session_start(p_workspace uuid, p_project uuid, p_task uuid, p_session jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    n memory_sessions := jsonb_populate_record(NULL::memory_sessions, p_session);
    s memory_sessions; v_new boolean;
BEGIN
    PERFORM memory_enter(p_workspace, p_project, p_task);
    IF NOT EXISTS (SELECT 1 FROM projects WHERE workspace_id = p_workspace AND id = n.project_id) THEN
        RAISE EXCEPTION 'there is no project %', n.project_id USING ERRCODE = 'MUSTR', HINT = 'unknown_reference';
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
    IF NOT v_new THEN
        SELECT * INTO s FROM memory_sessions
            WHERE workspace_id = p_workspace AND project_id = n.project_id AND (key = n.key OR id = n.id)
            ORDER BY key = n.key DESC LIMIT 1;
    END IF;
    RETURN session_json(s) || jsonb_build_object('new', v_new);
END $$;

-- Ends it, and has it summarised: once for what there is in it, however often it is said.
CREATE FUNCTION session_end(p_workspace uuid, p_project uuid, p_task uuid, p_session uuid, p_request text)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE s memory_sessions; v_source text; v_job text;
BEGIN
    PERFORM memory_enter(p_workspace, p_project, p_task);
    SELECT * INTO s FROM memory_sessions WHERE workspace_id = p_workspace AND id = p_session FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no session %', p_session USING ERRCODE = 'MUSTR', HINT = 'not_found';
    END IF;
    v_source := s.id || '/' || s.events;
    v_job := memory_job_id('sum', 'summary', p_workspace, s.project_id, 'session', v_source);
    IF memory_new_job(p_workspace, s.project_id, v_job, 'summary', s.id, 'session', v_source, p_request)
       OR s.ended_at IS NULL THEN
        UPDATE memory_sessions SET ended_at = clock_timestamp(), version = version + 1
            WHERE workspace_id = p_workspace AND id = p_session RETURNING * INTO s;
    END IF;
    RETURN session_json(s) || jsonb_build_object('job',
        (SELECT job_brief(j) FROM memory_jobs j WHERE workspace_id = p_workspace AND id = v_job));
END $$;

-- Records what several requests sent, each all or none: {"refused": [{g, n, why}], "new": [ids]}.
--   p_scopes  what each request (g) is about: the first item of it (n), a project by the name and with the exclusions
--             (stamp) that the caller knows, its id, and a session
--   p_jobs    the jobs they may make
--   p_items   the events
-- A request is refused, and leaves nothing, when a session is not there (`session`), or when a project is not any more
-- what the caller took it for (`project`). A job is made where one of its events is new.
--
-- It is planned once. Every table is looked into by a unique key alone, so there is nothing to decide by their sizes, and
-- a plan made while they were small must not read all of them when they are not. Sessions come last and in order: who
-- waits for one holds nothing that its holder could wait for.
CREATE FUNCTION memory_record(p_workspace uuid, p_project uuid, p_task uuid, p_scopes json, p_jobs json, p_items json)
RETURNS json LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_bitmapscan = off AS $$
DECLARE v_refused json; v_without integer[]; v_new json;
BEGIN
    PERFORM memory_enter(p_workspace, p_project, p_task);
    SELECT json_agg(json_build_object('g', x.g, 'n', x.n, 'why', x.why) ORDER BY x.n), array_agg(x.g)
        INTO v_refused, v_without
        FROM (SELECT x.g, x.n, CASE
                WHEN p.id IS NULL OR memory_stamp(m.exclude_paths, m.exclude_tools) IS DISTINCT FROM x.stamp
                    THEN 'project'
                WHEN s.id IS NULL THEN 'session' END AS why
              FROM json_to_recordset(p_scopes)
                   AS x (g integer, n integer, ref text, project uuid, stamp text, session uuid)
              LEFT JOIN projects p ON p.workspace_id = p_workspace AND p.id = x.project
                   AND (p.slug = x.ref OR p.id::text = x.ref)
              LEFT JOIN memory_settings m ON m.workspace_id = p_workspace AND m.project_id = x.project
              LEFT JOIN memory_sessions s ON s.workspace_id = p_workspace AND s.project_id = x.project
                   AND s.id = x.session) x
        WHERE x.why IS NOT NULL;

    WITH recorded AS (
        INSERT INTO agent_events (id, workspace_id, project_id, session_id, job_id, type, adapter, source_id, payload,
                                  metadata, occurred_at)
            SELECT i.id, p_workspace, i.project, i.session, i.job, i.type, i.adapter, i.source_id,
                   coalesce(i.payload, 'null'), i.metadata, i.occurred_at
            FROM json_to_recordset(p_items) AS i (g integer, n integer, id uuid, project uuid, session uuid, job text,
                 type text, adapter text, source_id text, payload jsonb, metadata jsonb, occurred_at timestamptz)
            WHERE v_without IS NULL OR NOT i.g = ANY (v_without)
            ORDER BY i.id, i.g, i.n
            ON CONFLICT (id) DO NOTHING RETURNING id, project_id, session_id, job_id
    ), queued AS (
        INSERT INTO memory_jobs (workspace_id, project_id, id, kind, session_id, source_type, source_id, request_id)
            SELECT p_workspace, r.project_id, j.id, j.kind, r.session_id, j.source_type, j.source_id, j.request
            FROM (SELECT DISTINCT job_id, project_id, session_id FROM recorded WHERE job_id IS NOT NULL) r
            JOIN json_to_recordset(p_jobs) AS j (id text, kind memory_job_kind, source_type text, source_id text,
                 request text) ON j.id = r.job_id
            ON CONFLICT DO NOTHING RETURNING project_id, id
    ), told AS (
        INSERT INTO memory_job_events (workspace_id, project_id, job_id, to_status, attempt)
            SELECT p_workspace, q.project_id, q.id, 'queued', 0 FROM queued q
    ), counted AS (
        UPDATE memory_sessions s SET events = s.events + c.events, version = s.version + 1
            FROM (SELECT r.session_id, count(*) AS events FROM recorded r GROUP BY 1 ORDER BY 1) c
            WHERE s.id = c.session_id
    )
    SELECT json_agg(r.id) INTO v_new FROM recorded r;
    RETURN json_build_object('refused', coalesce(v_refused, '[]'), 'new', coalesce(v_new, '[]'));
END $$;

CREATE FUNCTION memory_settings_json(p_project uuid, s memory_settings) RETURNS jsonb LANGUAGE sql STABLE
RETURN jsonb_build_object('project_id', p_project, 'record_agents', coalesce(s.record_agents, true),
    'generator', coalesce(s.generator, 'default'), 'batch_events', coalesce(s.batch_events, 50),
    'debounce_seconds', coalesce(s.debounce_seconds, 1), 'exclude_paths', to_jsonb(coalesce(s.exclude_paths, '{}')),
    'exclude_tools', to_jsonb(coalesce(s.exclude_tools, '{}')), 'retain_days', s.retain_days,
    'retain_importance', s.retain_importance, 'daily_tokens', s.daily_tokens, 'model', s.model,
    'next_model', s.next_model, 'version', coalesce(s.version, 0), 'updated_at', s.updated_at);

CREATE FUNCTION audit_memory_settings() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    v_silent text[] := ARRAY['workspace_id', 'version', 'updated_at'];
    v_old jsonb := CASE WHEN TG_OP = 'UPDATE' THEN to_jsonb(OLD) ELSE memory_settings_json(NEW.project_id, NULL) END;
    v_new jsonb := to_jsonb(NEW) - v_silent;
    v_before jsonb; v_after jsonb;
BEGIN
    SELECT jsonb_object_agg(n.key, v_old -> n.key), jsonb_object_agg(n.key, n.value) INTO v_before, v_after
        FROM jsonb_each(v_new) n WHERE n.value IS DISTINCT FROM v_old -> n.key;
    IF v_after IS NOT NULL THEN
        PERFORM note(NEW.workspace_id, 'memory_settings_updated', NEW.project_id,
                     jsonb_build_object('before', v_before, 'after', v_after));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER audit AFTER INSERT OR UPDATE ON memory_settings FOR EACH ROW EXECUTE FUNCTION audit_memory_settings();
