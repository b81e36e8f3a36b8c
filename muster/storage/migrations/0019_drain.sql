-- A batch of observations is stored by a few statements, however many it holds.

-- Of some that are to be put, which repeat what is there (the oldest of it), and which repeat one that comes earlier among
-- themselves: they share a near term, and nearly all that they say weighs the same. Its caller forbids to read all rows.
DROP FUNCTION memory_repeats(uuid, uuid, bigint[], sparsevec);
CREATE FUNCTION memory_repeats(p_workspace uuid, p_project uuid, p_near text[], p_weights sparsevec[])
RETURNS TABLE (n integer, observation_id uuid, earlier integer)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public AS $$
BEGIN
    RETURN QUERY EXECUTE
        'WITH given AS MATERIALIZED (
            SELECT g.n::integer, g.near::bigint[] AS near, g.weights
            FROM unnest($1, $2) WITH ORDINALITY AS g (near, weights, n) WHERE g.near <> ''{}''),
        found AS MATERIALIZED (
            -- Apart, or they would be looked for along the project''s whole time, for the sake of the order; and at once,
            -- since each look goes through all that the index has not sorted in yet.
            SELECT o.workspace_id, o.project_id, o.observation_id, o.words, o.weights, o.occurred_at
            FROM observation_words o WHERE o.words && (SELECT array_agg(t) FROM given g, unnest(g.near) t)),
        there AS (
            SELECT DISTINCT ON (g.n) g.n, w.observation_id FROM given g JOIN found w ON w.words && g.near
            WHERE w.workspace_id = $3 AND w.project_id = $4 AND w.weights <=> g.weights <= 0.05
            ORDER BY g.n, w.occurred_at, w.observation_id),
        shared AS (
            SELECT array_agg(g.n ORDER BY g.n) AS places FROM given g, unnest(g.near) t GROUP BY t HAVING count(*) > 1)
        SELECT t.n, t.observation_id, NULL::integer FROM there t
        UNION ALL
        SELECT p.later, NULL::uuid, p.earlier
        FROM (SELECT DISTINCT later, earlier FROM shared s, unnest(s.places) AS later, unnest(s.places) AS earlier
              WHERE earlier < later) p
        WHERE ($2)[p.later] <=> ($2)[p.earlier] <= 0.05
        ORDER BY 1, 2 NULLS LAST, 3'
        USING p_near, p_weights, CASE WHEN p_workspace = current_workspace() THEN p_workspace END,
              CASE WHEN reaches_all() OR p_project = current_project() THEN p_project END;
END $$;
GRANT CREATE ON SCHEMA public TO muster_chores;
ALTER FUNCTION memory_repeats(uuid, uuid, text[], sparsevec[]) OWNER TO muster_chores;
REVOKE CREATE ON SCHEMA public FROM muster_chores;
REVOKE ALL ON FUNCTION memory_repeats(uuid, uuid, text[], sparsevec[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION memory_repeats(uuid, uuid, text[], sparsevec[]) TO muster_app;

-- Puts what a generator or a person made (storage/observations.py: as_row), inside the caller's transaction. One whose
-- id is there changes nothing. One that repeats another, also one of the same batch, adds its sources to that. Answers
-- how many are new.
--
-- It is planned once, while tables may be small. So that no plan goes through a whole table, each is looked into for one
-- row at a time, by a unique key.
CREATE OR REPLACE FUNCTION observation_put(p_workspace uuid, p_project uuid, p_rows jsonb) RETURNS integer
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off AS $$
DECLARE
    r record; v_ids uuid[]; v_near text[]; v_weights sparsevec[]; v_made uuid[];
    v_to uuid[];                                          -- what each becomes or joins; null: it is there already
    v_again jsonb;
BEGIN
    SELECT array_agg(x.id ORDER BY x.n), array_agg(CASE WHEN NOT x.known THEN x.id END ORDER BY x.n),
           array_agg(CASE WHEN x.known THEN '{}' ELSE coalesce(x.near, '{}') END ORDER BY x.n),
           array_agg(x.weights ORDER BY x.n)
        INTO v_ids, v_to, v_near, v_weights
        FROM (SELECT g.n, g.id, g.near, g.weights,
                     o.id IS NOT NULL OR row_number() OVER (PARTITION BY g.id ORDER BY g.n) > 1 AS known
              FROM ROWS FROM (jsonb_to_recordset(p_rows) AS (id uuid, near text, weights sparsevec))
                   WITH ORDINALITY AS g (id, near, weights, n)
                   LEFT JOIN LATERAL (SELECT m.id FROM observations m WHERE m.id = g.id OFFSET 0) o ON true) x;
    IF v_ids IS NULL THEN
        RETURN 0;
    ELSIF v_near <> array_fill('{}'::text, ARRAY[cardinality(v_near)]) THEN
        FOR r IN SELECT * FROM memory_repeats(p_workspace, p_project, v_near, v_weights) LOOP
            IF v_to[r.n] <> v_ids[r.n] THEN
                CONTINUE;  -- it has joined an older one
            ELSIF r.observation_id IS NOT NULL THEN
                v_to[r.n] := r.observation_id;
            ELSIF v_to[r.earlier] = v_ids[r.earlier] THEN
                v_to[r.n] := v_ids[r.earlier];
            END IF;
        END LOOP;
        -- In order, so that two who join the same ones do not wait for each other.
        FOR r IN SELECT DISTINCT t AS id FROM unnest(v_to) t WHERE NOT t = ANY (v_ids) ORDER BY t LOOP
            PERFORM 1 FROM observations o WHERE o.id = r.id FOR NO KEY UPDATE;
        END LOOP;
    END IF;

    WITH given AS MATERIALIZED (
        SELECT g.*, coalesce(g.occurred_at, now()) AS at
        FROM ROWS FROM (jsonb_to_recordset(p_rows) AS (
            id uuid, session_id uuid, task_id uuid, agent_id uuid, job_id text, type text, title text, subtitle text,
            narrative text, facts text[], concepts text[], files_read text[], files_modified text[], language text,
            importance real, summary boolean, generator text, content_hash text, occurred_at timestamptz,
            words bigint[], weights sparsevec, terms text[])) WITH ORDINALITY AS g (
            id, session_id, task_id, agent_id, job_id, type, title, subtitle, narrative, facts, concepts, files_read,
            files_modified, language, importance, summary, generator, content_hash, occurred_at, words, weights, terms, n)
        WHERE v_to[g.n::integer] = g.id),
    made AS (
        INSERT INTO observations (id, workspace_id, project_id, session_id, task_id, agent_id, job_id, type, title,
            subtitle, narrative, facts, concepts, files_read, files_modified, language, importance, summary, generator,
            content_hash, occurred_at)
        SELECT g.id, p_workspace, p_project, g.session_id, g.task_id, g.agent_id, g.job_id, g.type, g.title, g.subtitle,
            g.narrative, coalesce(g.facts, '{}'), coalesce(g.concepts, '{}'), coalesce(g.files_read, '{}'),
            coalesce(g.files_modified, '{}'), g.language, coalesce(g.importance, 0.5), coalesce(g.summary, false),
            coalesce(g.generator, 'manual'), g.content_hash, g.at
        FROM given g ORDER BY g.id
        ON CONFLICT DO NOTHING RETURNING id),  -- another session may be faster
    worded AS (
        INSERT INTO observation_words (workspace_id, project_id, observation_id, words, weights, terms, occurred_at)
        SELECT p_workspace, p_project, g.id, g.words, g.weights, g.terms, g.at FROM made m JOIN given g ON g.id = m.id)
    SELECT coalesce(array_agg(m.id), '{}') INTO v_made FROM made m;

    WITH wanted AS MATERIALIZED (
        SELECT DISTINCT ON (t.id, e.id) t.id AS observation_id, e.id AS event_id, g.n, t.id <> g.id AS again, g.importance
        FROM ROWS FROM (jsonb_to_recordset(p_rows) AS (id uuid, importance real, sources uuid[]))
             WITH ORDINALITY AS g (id, importance, sources, n),
             LATERAL (SELECT v_to[g.n::integer] AS id) t, unnest(g.sources) AS s (id),
             LATERAL (SELECT a.id FROM agent_events a
                      WHERE a.id = s.id AND a.workspace_id = p_workspace AND a.project_id = p_project OFFSET 0) e
        WHERE t.id <> g.id OR g.id = ANY (v_made)
        ORDER BY t.id, e.id, g.n),
    linked AS (
        INSERT INTO observation_sources (workspace_id, project_id, observation_id, event_id)
        SELECT p_workspace, p_project, w.observation_id, w.event_id FROM wanted w
        ON CONFLICT DO NOTHING RETURNING observation_id, event_id),
    again AS (  -- made again of the same, it is not seen again
        SELECT w.observation_id, count(DISTINCT w.n) AS times, max(w.importance) AS importance
        FROM wanted w JOIN linked l ON l.observation_id = w.observation_id AND l.event_id = w.event_id
        WHERE w.again GROUP BY 1)
    SELECT coalesce(jsonb_agg(a), '[]') INTO v_again FROM again a;
    FOR r IN SELECT * FROM jsonb_to_recordset(v_again) AS a (observation_id uuid, times bigint, importance real) LOOP
        UPDATE observations o SET seen = o.seen + r.times, version = o.version + 1, updated_at = now(),
                importance = greatest(o.importance, r.importance)
            WHERE o.id = r.observation_id;
    END LOOP;
    RETURN cardinality(v_made);
END $$;

-- As before (0011_jobs.sql); but what is asked for when somebody else holds some of the jobs is asked for then alone, and
-- by their ids: planned while nothing was known of the table, it went through all of the workspace's jobs for each.
CREATE OR REPLACE FUNCTION memory_complete(p_workspace uuid, p_project uuid, p_claim uuid, p_jobs jsonb, p_rows jsonb,
                                p_summarised bigint) RETURNS json LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    v_ids text[] := ARRAY(SELECT x ->> 'id' FROM jsonb_array_elements(p_jobs) x);
    v_done text[]; v_before text[] := '{}'; v_lost integer := 0; v_stored integer := 0; v_rows jsonb := p_rows;
BEGIN
    PERFORM set_config('app.current_workspace_id', p_workspace::text, true);
    WITH done AS (
        UPDATE memory_jobs j SET status = 'completed', claim = NULL, claimed_at = NULL, observations = x.observations,
                outcome = CASE WHEN x.observations > 0 OR j.kind = 'reindex' THEN 'observed' ELSE 'nothing'
                          END::memory_outcome,
                note = x.note, error_class = NULL, error = NULL, finished_at = clock_timestamp(),
                version = version + 1, updated_at = clock_timestamp()
            FROM jsonb_to_recordset(p_jobs) AS x (id text, observations integer, note text)
            WHERE j.workspace_id = p_workspace AND j.project_id = p_project AND j.id = x.id
              AND j.status = 'processing' AND j.claim = p_claim
            RETURNING j.id)
    SELECT coalesce(array_agg(id), '{}') INTO v_done FROM done;

    IF cardinality(v_done) < cardinality(v_ids) THEN
        SELECT coalesce(array_agg(j.id), '{}') INTO v_before
            FROM unnest(v_ids) AS i (id) JOIN memory_jobs j ON j.workspace_id = p_workspace AND j.id = i.id
            WHERE j.status = 'completed' AND NOT j.id = ANY (v_done)
              AND EXISTS (SELECT 1 FROM memory_job_events e WHERE e.workspace_id = p_workspace AND e.job_id = j.id
                          AND e.to_status = 'completed' AND e.detail ->> 'claim' = p_claim::text);
        SELECT count(*) INTO v_lost
            FROM unnest(v_ids) AS i (id) JOIN memory_jobs j ON j.workspace_id = p_workspace AND j.id = i.id
            WHERE NOT j.id = ANY (v_done || v_before) AND j.status <> 'cancelled';
        SELECT coalesce(jsonb_agg(x), '[]') INTO v_rows
            FROM jsonb_array_elements(p_rows) x WHERE x ->> 'job_id' = ANY (v_done);
    END IF;

    IF cardinality(v_done) > 0 THEN
        IF v_rows <> '[]' THEN
            v_stored := observation_put(p_workspace, p_project, v_rows);
        END IF;
        IF p_summarised IS NOT NULL THEN
            UPDATE memory_sessions s SET summarised = greatest(s.summarised, p_summarised), version = s.version + 1
                FROM memory_jobs j WHERE j.workspace_id = p_workspace AND j.id = v_done[1]
                  AND s.workspace_id = p_workspace AND s.id = j.session_id;
        END IF;
    END IF;
    RETURN json_build_object('completed', cardinality(v_done) + cardinality(v_before), 'stored', v_stored,
                             'lost', v_lost);
END $$;

-- As before (0012_usage.sql); what is refused says how much of what is used is only held by calls under way.
CREATE OR REPLACE FUNCTION memory_usage_reserve(
    p_workspace uuid, p_project uuid, p_tokens bigint, p_workspace_cap bigint, p_project_cap bigint
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_day date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
    v_cap bigint; v_all record; v_own record;
BEGIN
    PERFORM set_config('app.current_workspace_id', p_workspace::text, true);
    -- Of the workspace, since its day is shared by its projects.
    PERFORM pg_advisory_xact_lock(hashtextextended('memory_usage/' || p_workspace, 0));
    v_cap := coalesce((SELECT daily_tokens FROM memory_settings
                       WHERE workspace_id = p_workspace AND project_id = p_project), p_project_cap);
    SELECT coalesce(sum(input_tokens + output_tokens + reserved), 0) AS used, coalesce(sum(reserved), 0) AS reserved
        INTO v_all FROM memory_usage WHERE workspace_id = p_workspace AND day = v_day;
    SELECT coalesce(sum(input_tokens + output_tokens + reserved), 0) AS used, coalesce(sum(reserved), 0) AS reserved
        INTO v_own FROM memory_usage WHERE workspace_id = p_workspace AND project_id = p_project AND day = v_day;
    IF v_all.used + p_tokens > p_workspace_cap THEN
        RETURN jsonb_build_object('refused', 'workspace', 'used', v_all.used, 'reserved', v_all.reserved,
                                  'cap', p_workspace_cap);
    ELSIF v_own.used + p_tokens > v_cap THEN
        RETURN jsonb_build_object('refused', 'project', 'used', v_own.used, 'reserved', v_own.reserved, 'cap', v_cap);
    END IF;
    INSERT INTO memory_usage AS u (workspace_id, project_id, day, reserved)
        VALUES (p_workspace, p_project, v_day, p_tokens)
        ON CONFLICT (workspace_id, project_id, day) DO UPDATE SET reserved = u.reserved + excluded.reserved;
    RETURN jsonb_build_object('day', v_day);
END $$;

-- As before (0011_jobs.sql); a reindex that is given up is not wanted any more, also when nobody had begun with it.
CREATE OR REPLACE FUNCTION memory_job_cancel(p_job text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE j memory_jobs; v_status memory_job_status;
BEGIN
    SELECT * INTO j FROM memory_jobs WHERE workspace_id = current_workspace() AND id = p_job FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no job %', p_job USING ERRCODE = 'MUSTR', HINT = 'not_found';
    ELSIF j.status NOT IN ('queued', 'processing') THEN
        RAISE EXCEPTION 'job % is % already', p_job, j.status USING ERRCODE = 'MUSTR', HINT = 'illegal_move';
    END IF;
    v_status := j.status;
    UPDATE memory_jobs SET status = 'cancelled', claim = NULL, claimed_at = NULL, not_before = NULL,
            finished_at = clock_timestamp(), version = version + 1, updated_at = clock_timestamp()
        WHERE workspace_id = current_workspace() AND id = p_job RETURNING * INTO j;
    IF j.kind = 'reindex' THEN
        UPDATE memory_settings SET next_model = NULL, version = version + 1, updated_at = now()
            WHERE workspace_id = current_workspace() AND project_id = j.project_id
              AND next_model = regexp_replace(j.source_id, '#[0-9]+$', '');
    END IF;
    PERFORM note(j.workspace_id, 'memory_job_cancelled', coalesce(j.session_id, j.project_id),
                 jsonb_build_object('job', j.id, 'was', v_status));
    RETURN job_json(j);
END $$;
