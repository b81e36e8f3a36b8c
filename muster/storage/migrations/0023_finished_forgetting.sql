-- Forgetting in several steps is finished whoever dies on the way, and an archived project remembers nothing new.

-- -- What is asked to be forgotten, until it is ----------------------------------------------------------------------

-- What began after it was asked for is not meant. Sessions say when they began by their own clock; this is ours.
ALTER TABLE memory_sessions ADD COLUMN created_at timestamptz NOT NULL DEFAULT now();

CREATE TABLE memory_forgettings (
    workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
    project_id   uuid,                                    -- what whoever asked is held to; null: nothing
    kind         text NOT NULL CHECK (kind IN ('session', 'agent', 'task', 'project')),
    target       uuid NOT NULL,
    asked_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    stepped_at   timestamptz NOT NULL DEFAULT clock_timestamp(),  -- long ago: nobody goes on with it
    UNIQUE NULLS NOT DISTINCT (workspace_id, project_id, kind, target),
    FOREIGN KEY (workspace_id, project_id) REFERENCES projects (workspace_id, id) ON DELETE CASCADE
);
ALTER TABLE memory_forgettings ENABLE ROW LEVEL SECURITY;
ALTER TABLE memory_forgettings FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON memory_forgettings TO muster_app USING (workspace_id = (SELECT current_workspace()));
CREATE POLICY reach ON memory_forgettings AS RESTRICTIVE TO muster_app USING
    ((SELECT reaches_all()) OR project_id = (SELECT current_project()));

-- A step of forgetting what is a session's, an agent's, a task's or a project's: at most p_most events, or a fifth as
-- many observations. p_asked: it is asked for now; otherwise it is gone on with, as far as it was asked for.
DROP FUNCTION memory_forget(uuid, text, uuid, integer);
CREATE FUNCTION memory_forget(p_workspace uuid, p_kind text, p_id uuid, p_most integer, p_asked boolean) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    -- Of rows that have an agent, a task and a project. $1 is the workspace, $2 what it is all about.
    v_theirs text := CASE p_kind WHEN 'session' THEN 'session_id = $2' WHEN 'agent' THEN 'agent_id = $2'
        WHEN 'task' THEN '(task_id = $2 OR agent_id IN (SELECT a.id FROM agents a '
            'WHERE a.workspace_id = $1 AND a.task_id = $2))'
        WHEN 'project' THEN 'project_id = $2' END || ' AND created_at <= $3';
    v_which text := CASE p_kind WHEN 'session' THEN 'id = $2 AND created_at <= $3' ELSE v_theirs END;
    v_action activity_action := CASE p_kind WHEN 'session' THEN 'session_forgotten' ELSE p_kind || '_memory_forgotten' END;
    v_few integer := greatest(1, p_most / 5);
    v_asked timestamptz;
    v_sessions uuid[]; v_observations uuid[]; v_events uuid[]; v_jobs text[]; v_gone bigint;
    v_deleted jsonb := '{}'; v_anew jsonb := '[]'; v_more boolean := false; r record;
BEGIN
    IF p_asked THEN
        INSERT INTO memory_forgettings AS f (workspace_id, project_id, kind, target)
            VALUES (p_workspace, current_project(), p_kind, p_id)
            ON CONFLICT (workspace_id, project_id, kind, target)
            DO UPDATE SET asked_at = clock_timestamp(), stepped_at = clock_timestamp() RETURNING f.asked_at INTO v_asked;
        IF p_kind = 'project' THEN
            -- Those that run are yet to be recorded; those that ended long ago will not be.
            UPDATE agents SET forgotten = true WHERE workspace_id = p_workspace AND NOT forgotten
                AND finished_at > now() - interval '2 days'
                AND task_id IN (SELECT id FROM tasks WHERE workspace_id = p_workspace AND project_id = p_id);
        ELSE
            EXECUTE 'UPDATE agents SET forgotten = true WHERE workspace_id = $1 AND NOT forgotten AND ' || CASE p_kind
                WHEN 'session' THEN 'id = (SELECT agent_id FROM memory_sessions WHERE workspace_id = $1 AND id = $2)'
                WHEN 'agent' THEN 'id = $2' ELSE 'task_id = $2' END USING p_workspace, p_id;
        END IF;
    ELSE
        UPDATE memory_forgettings SET stepped_at = clock_timestamp()
            WHERE workspace_id = p_workspace AND project_id IS NOT DISTINCT FROM current_project()
            AND kind = p_kind AND target = p_id RETURNING asked_at INTO v_asked;
        IF NOT FOUND THEN
            RETURN '{"deleted": {}, "more": false, "anew": []}';  -- another finished it
        END IF;
    END IF;
    EXECUTE format('SELECT coalesce(array_agg(id), ''{}'') FROM (SELECT id FROM memory_sessions '
        'WHERE workspace_id = $1 AND %s ORDER BY id LIMIT 500 FOR NO KEY UPDATE) s', v_which)
        INTO v_sessions USING p_workspace, p_id, v_asked;
    -- In the order in which those take them that complete jobs: the jobs first.
    PERFORM 1 FROM memory_jobs WHERE workspace_id = p_workspace AND session_id = ANY (v_sessions)
        AND status = 'processing' ORDER BY id FOR UPDATE;
    EXECUTE format('SELECT coalesce(array_agg(id), ''{}'') FROM (SELECT id FROM observations WHERE workspace_id = $1 '
        'AND (session_id = ANY ($4) OR %s) LIMIT $5) o', v_theirs)
        INTO v_observations USING p_workspace, p_id, v_asked, v_sessions, v_few;
    -- Others had seen the same, and theirs was merged into these: what they saw is looked at again.
    FOR r IN EXECUTE format('SELECT e.project_id, e.session_id, array_agg(DISTINCT e.id) AS events '
        'FROM observation_sources s JOIN agent_events e ON e.workspace_id = s.workspace_id AND e.id = s.event_id '
        'WHERE s.workspace_id = $1 AND s.observation_id = ANY ($4) AND NOT EXISTS ('
        'SELECT 1 FROM memory_sessions WHERE workspace_id = $1 AND id = e.session_id AND %s) GROUP BY 1, 2 ORDER BY 2',
        v_which) USING p_workspace, p_id, v_asked, v_observations
    LOOP
        PERFORM memory_make_anew(p_workspace, r.project_id, r.session_id, 'forgotten', r.events);
        v_anew := v_anew || jsonb_build_array(jsonb_build_array(r.project_id, r.session_id));
    END LOOP;
    v_deleted := memory_drop_observations(p_workspace, v_observations);
    v_more := cardinality(v_observations) = v_few;
    IF NOT v_more THEN
        SELECT array_agg(id) INTO v_events FROM (SELECT id FROM agent_events
            WHERE workspace_id = p_workspace AND session_id = ANY (v_sessions) LIMIT p_most) e;
        v_deleted := add_counts(v_deleted, memory_drop_events(p_workspace, v_events));
        v_more := coalesce(cardinality(v_events), 0) = p_most;
    END IF;
    IF NOT v_more THEN
        SELECT array_agg(id) INTO v_jobs FROM (SELECT id FROM memory_jobs WHERE workspace_id = p_workspace
            AND (session_id = ANY (v_sessions) OR (p_kind = 'project' AND project_id = p_id AND session_id IS NULL))
            LIMIT p_most) j;
        v_deleted := add_counts(v_deleted, memory_drop_jobs(p_workspace, v_jobs));
        v_more := coalesce(cardinality(v_jobs), 0) = p_most;
    END IF;
    IF NOT v_more THEN
        DELETE FROM memory_sessions WHERE workspace_id = p_workspace AND id = ANY (v_sessions);
        GET DIAGNOSTICS v_gone = ROW_COUNT;
        PERFORM memory_unanswer(p_workspace, v_sessions);
        v_deleted := add_counts(v_deleted, jsonb_build_object('memory_sessions', v_gone));
        v_more := cardinality(v_sessions) = 500;
    END IF;
    IF NOT v_more AND p_kind = 'project' THEN
        -- Nothing is left that a term could stand for.
        DELETE FROM memory_terms WHERE workspace_id = p_workspace AND project_id = p_id
            AND NOT EXISTS (SELECT 1 FROM observation_words WHERE workspace_id = p_workspace AND project_id = p_id);
        GET DIAGNOSTICS v_gone = ROW_COUNT;
        v_deleted := add_counts(v_deleted, jsonb_build_object('memory_terms', v_gone));
    END IF;
    IF NOT v_more THEN
        DELETE FROM memory_forgettings WHERE workspace_id = p_workspace
            AND project_id IS NOT DISTINCT FROM current_project() AND kind = p_kind AND target = p_id;
    END IF;
    RETURN memory_note(p_workspace, v_action, p_id,
        jsonb_build_object('deleted', v_deleted, 'more', v_more, 'anew', v_anew));
END $$;

-- The door between tenants: which forgetting was begun and is not gone on with.
GRANT SELECT ON memory_forgettings TO muster_chores;
CREATE POLICY chores ON memory_forgettings FOR SELECT TO muster_chores USING (true);
CREATE FUNCTION chores_forgettings(p_seconds double precision)
RETURNS TABLE (workspace_id uuid, project_id uuid, kind text, target uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public AS $$
    SELECT f.workspace_id, f.project_id, f.kind, f.target FROM memory_forgettings f
    WHERE f.stepped_at < now() - make_interval(secs => p_seconds) ORDER BY f.stepped_at LIMIT 100
$$;
GRANT CREATE ON SCHEMA public TO muster_chores;
ALTER FUNCTION chores_forgettings(double precision) OWNER TO muster_chores;
REVOKE CREATE ON SCHEMA public FROM muster_chores;
REVOKE ALL ON FUNCTION chores_forgettings(double precision) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION chores_forgettings(double precision) TO muster_app;

-- -- Archived projects -----------------------------------------------------------------------------------------------

-- What is sent to it is refused. Muster's own record of an agent that still ran is not: `sent` is false.

-- Begins a session, or finds the one with its key.
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
    IF NOT v_new THEN
        SELECT * INTO s FROM memory_sessions
            WHERE workspace_id = p_workspace AND project_id = n.project_id AND (key = n.key OR id = n.id)
            ORDER BY key = n.key DESC LIMIT 1;
    END IF;
    RETURN session_json(s) || jsonb_build_object('new', v_new);
END $$;

-- As before; a request is also refused when a project is archived (`archived`).
-- An event that is sent again after it was forgotten gets a job that is still to be done: `jobs` answers those that have
-- another id than the caller thought.
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
    )
    SELECT json_agg(r.id) INTO v_new FROM recorded r;
    RETURN json_build_object('refused', coalesce(v_refused, '[]'), 'new', coalesce(v_new, '[]'),
                             'jobs', coalesce(json_object(v_was, v_is), '{}'));
END $$;
