-- The moves of memory's jobs: taken up, done, failed, put back. Each is one statement for its caller, guarded by the
-- claim under which the jobs were taken up, and written to their history by a trigger.

ALTER TYPE activity_action ADD VALUE 'memory_job_retried';
ALTER TYPE activity_action ADD VALUE 'memory_job_cancelled';
ALTER TYPE activity_action ADD VALUE 'memory_jobs_requeued';
ALTER TYPE activity_action ADD VALUE 'memory_lane_paused';
ALTER TYPE activity_action ADD VALUE 'memory_lane_resumed';
ALTER TYPE activity_action ADD VALUE 'memory_lane_parked';

-- A lane is paused for the whole workspace, and parked for one project: what its provider or its budget refuses is no
-- matter of its neighbours'.
ALTER TABLE memory_lanes
    DROP CONSTRAINT memory_lanes_pkey,
    ADD COLUMN project_id uuid,
    ADD CONSTRAINT memory_lanes_once UNIQUE NULLS NOT DISTINCT (workspace_id, kind, project_id),
    ADD CONSTRAINT memory_lanes_project FOREIGN KEY (workspace_id, project_id) REFERENCES projects (workspace_id, id)
        ON DELETE CASCADE,
    ADD CONSTRAINT memory_lanes_paused_whole CHECK (NOT paused OR project_id IS NULL);
CREATE POLICY reach ON memory_lanes AS RESTRICTIVE TO muster_app USING (
    (SELECT reaches_all()) OR project_id IS NULL OR project_id = (SELECT current_project())
);

-- Whether a job is open shows in what changes once, and not in its status: so that taking it up writes to no index.
DROP INDEX memory_jobs_open, memory_jobs_failed;
CREATE INDEX memory_jobs_open ON memory_jobs (workspace_id, session_id, kind, created_at) WHERE finished_at IS NULL;
CREATE INDEX memory_jobs_completed ON memory_jobs (workspace_id, finished_at DESC) WHERE outcome IS NOT NULL;
CREATE INDEX memory_jobs_failed ON memory_jobs (workspace_id, finished_at DESC)
    WHERE finished_at IS NOT NULL AND outcome IS NULL;

CREATE FUNCTION note_memory_job_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO memory_job_events (workspace_id, project_id, job_id, from_status, to_status, attempt, detail) VALUES (
        NEW.workspace_id, NEW.project_id, NEW.id, OLD.status, NEW.status, NEW.attempts,
        jsonb_strip_nulls(jsonb_build_object(
            'claim', coalesce(NEW.claim, OLD.claim), 'outcome', NEW.outcome, 'observations', NEW.observations,
            'note', CASE WHEN NEW.status = 'completed' THEN NEW.note END,
            'error_class', CASE WHEN NEW.status IN ('queued', 'failed') THEN NEW.error_class END,
            'error', CASE WHEN NEW.status IN ('queued', 'failed') THEN left(NEW.error, 500) END,
            'not_before', CASE WHEN NEW.status = 'queued' THEN NEW.not_before END,
            'user_id', current_user_id())));
    RETURN NULL;
END $$;
CREATE TRIGGER note_move AFTER UPDATE OF status ON memory_jobs
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION note_memory_job_move();

CREATE FUNCTION job_json(j memory_jobs) RETURNS jsonb LANGUAGE sql STABLE
RETURN jsonb_build_object('id', j.id, 'workspace_id', j.workspace_id, 'project_id', j.project_id,
    'session_id', j.session_id, 'kind', j.kind, 'source_type', j.source_type, 'source_id', j.source_id,
    'status', j.status, 'attempts', j.attempts, 'max_attempts', j.max_attempts, 'not_before', j.not_before,
    'claimed_at', j.claimed_at, 'outcome', j.outcome, 'observations', j.observations, 'note', j.note,
    'error_class', j.error_class, 'error', j.error, 'request_id', j.request_id, 'version', j.version,
    'created_at', j.created_at, 'updated_at', j.updated_at, 'finished_at', j.finished_at);

-- Why a project's jobs of one kind are not worked on now; null: they are.
CREATE FUNCTION memory_lane_held(p_workspace uuid, p_project uuid, p_kind memory_job_kind) RETURNS text
LANGUAGE sql STABLE
RETURN (SELECT CASE WHEN paused THEN 'paused' ELSE 'parked' END FROM memory_lanes
        WHERE workspace_id = p_workspace AND kind = p_kind AND (project_id IS NULL OR project_id = p_project)
          AND (paused OR parked_until > clock_timestamp())
        ORDER BY paused DESC LIMIT 1);

-- What there is to do for a session (or, without one, for the project itself), and when.
-- A summary waits for what came before it; where that is held, it goes ahead.
CREATE FUNCTION memory_look(p_workspace uuid, p_project uuid, p_session uuid) RETURNS json
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
DECLARE v_found json;
BEGIN
    PERFORM set_config('app.current_workspace_id', p_workspace::text, true);
    WITH lanes AS MATERIALIZED (
        SELECT k.kind FROM unnest(enum_range(NULL::memory_job_kind)) AS k (kind)
        WHERE memory_lane_held(p_workspace, p_project, k.kind) IS NULL),
    open AS MATERIALIZED (
        SELECT j.kind, min(j.created_at) AS since,
               -- Who asks has no drain under way: what is being processed was left behind.
               bool_or(j.status = 'processing' OR j.not_before IS NULL OR j.not_before <= clock_timestamp()) AS ready,
               min(j.not_before) FILTER (WHERE j.status = 'queued' AND j.not_before > clock_timestamp()) AS next
        FROM memory_jobs j JOIN lanes l ON l.kind = j.kind
        WHERE j.workspace_id = p_workspace AND j.finished_at IS NULL
          AND CASE WHEN p_session IS NULL THEN j.session_id IS NULL AND j.project_id = p_project
                   ELSE j.session_id = p_session END
        GROUP BY j.kind)
    SELECT json_build_object(
        'open_lanes', coalesce((SELECT json_agg(o.kind ORDER BY o.kind) FROM open o WHERE o.ready AND NOT (
            o.kind = 'summary'
            AND EXISTS (SELECT 1 FROM open e WHERE e.kind IN ('event', 'event_batch') AND e.since <= o.since))), '[]'),
        'wait_seconds', (SELECT greatest(0, extract(epoch FROM o.next - clock_timestamp())) FROM open o
                         WHERE o.next IS NOT NULL ORDER BY o.next LIMIT 1),
        'debounce_seconds', coalesce((SELECT debounce_seconds FROM memory_settings
                                      WHERE workspace_id = p_workspace AND project_id = p_project), 1))
        INTO v_found;
    RETURN v_found;
END $$;

CREATE FUNCTION agent_event_json(e agent_events) RETURNS json LANGUAGE sql STABLE
RETURN json_build_object('id', e.id, 'session_id', e.session_id, 'job_id', e.job_id, 'type', e.type,
    'adapter', e.adapter, 'source_id', e.source_id, 'occurred_at', e.occurred_at, 'payload', e.payload,
    'metadata', e.metadata);

-- Takes up the next jobs of one kind, as many as make up a batch of events, and answers with those events.
-- p_take_over: whoever asks is the only one who may work on these. What another claim holds was left by the dead; if
-- that one is not dead after all, it finds its claim gone.
CREATE FUNCTION memory_claim(p_workspace uuid, p_project uuid, p_session uuid, p_kind memory_job_kind, p_claim uuid,
                             p_take_over boolean) RETURNS json
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    v_held text; v_jobs text[]; v_events json; v_observations json;
    v_most integer; v_bytes integer := 4194304; s memory_sessions;
BEGIN
    PERFORM set_config('app.current_workspace_id', p_workspace::text, true);
    IF p_take_over THEN
        UPDATE memory_jobs j SET claim = NULL, claimed_at = NULL, not_before = NULL,
                status = CASE WHEN attempts >= max_attempts THEN 'failed' ELSE 'queued' END::memory_job_status,
                finished_at = CASE WHEN attempts >= max_attempts THEN clock_timestamp() END,
                error_class = 'lost', error = 'its worker went away', version = version + 1,
                updated_at = clock_timestamp()
            WHERE j.workspace_id = p_workspace AND j.kind = p_kind AND j.finished_at IS NULL
              AND j.status = 'processing' AND j.claim <> p_claim
              AND CASE WHEN p_session IS NULL THEN j.session_id IS NULL AND j.project_id = p_project
                       ELSE j.session_id = p_session END;
    END IF;
    v_held := memory_lane_held(p_workspace, p_project, p_kind);
    IF v_held IS NOT NULL THEN
        RETURN json_build_object('held', v_held);
    END IF;
    v_most := coalesce((SELECT batch_events FROM memory_settings
                        WHERE workspace_id = p_workspace AND project_id = p_project), 50);

    WITH queued AS MATERIALIZED (
        SELECT j.id, j.created_at, j.attempts >= 2 AND j.error_class IS NOT DISTINCT FROM 'lost' AS suspect
        FROM memory_jobs j
        WHERE j.workspace_id = p_workspace AND j.kind = p_kind AND j.finished_at IS NULL AND j.status = 'queued'
          AND (j.not_before IS NULL OR j.not_before <= clock_timestamp())
          AND CASE WHEN p_session IS NULL THEN j.session_id IS NULL AND j.project_id = p_project
                   ELSE j.session_id = p_session END
        ORDER BY j.created_at, j.id LIMIT CASE WHEN p_kind IN ('event', 'event_batch') THEN v_most ELSE 1 END
        FOR UPDATE SKIP LOCKED),
    counted AS (
        SELECT q.*, e.events, e.bytes FROM queued q, LATERAL (
            SELECT count(*) AS events, coalesce(sum(pg_column_size(payload)), 0) AS bytes
            FROM agent_events WHERE workspace_id = p_workspace AND job_id = q.id) e),
    summed AS (
        -- What lost its worker twice may have been what ended it: it is tried alone.
        SELECT id, row_number() OVER w = 1 AS first, suspect OR first_value(suspect) OVER w AS alone,
               sum(events) OVER w AS events, sum(bytes) OVER w AS bytes
        FROM counted WINDOW w AS (ORDER BY created_at, id)),
    taken AS (
        UPDATE memory_jobs j SET status = 'processing', claim = p_claim, claimed_at = clock_timestamp(),
                attempts = attempts + 1, not_before = NULL, version = version + 1, updated_at = clock_timestamp()
            FROM summed t WHERE j.workspace_id = p_workspace AND j.id = t.id
              AND (t.first OR (t.events <= v_most AND t.bytes <= v_bytes AND NOT t.alone))
            RETURNING j.id, j.created_at)
    SELECT array_agg(id ORDER BY created_at, id) INTO v_jobs FROM taken;
    IF v_jobs IS NULL THEN
        RETURN json_build_object('held', NULL);
    END IF;

    SELECT * INTO s FROM memory_sessions WHERE workspace_id = p_workspace AND id = p_session;
    IF p_kind = 'summary' THEN
        -- What is new since the last summary, as far as one call takes it; and what was made of it.
        SELECT coalesce(json_agg(agent_event_json(e) ORDER BY e.occurred_at, e.id), '[]') INTO v_events FROM (
            SELECT * FROM agent_events WHERE workspace_id = p_workspace AND session_id = p_session
            ORDER BY occurred_at DESC, id DESC LIMIT least(200, greatest(0, s.events - s.summarised))) e;
        SELECT coalesce(json_agg(to_json(o) ORDER BY o.occurred_at), '[]') INTO v_observations FROM (
            SELECT type, title, subtitle, narrative, facts, concepts, files_read, files_modified, language, importance,
                   occurred_at
            FROM observations WHERE workspace_id = p_workspace AND session_id = p_session AND job_id IS NOT NULL
            ORDER BY summary DESC, occurred_at DESC LIMIT 200) o;
    ELSE
        SELECT coalesce(json_agg(agent_event_json(e) ORDER BY e.occurred_at, e.id), '[]') INTO v_events
            FROM agent_events e WHERE e.workspace_id = p_workspace AND e.job_id = ANY (v_jobs);
    END IF;
    RETURN json_build_object('held', NULL, 'jobs', v_jobs, 'events', v_events, 'observations', v_observations,
        'batch_events', v_most,
        'session', CASE WHEN s.id IS NOT NULL THEN json_build_object('id', s.id, 'title', s.title,
            'platform', s.platform, 'external_id', s.external_id, 'agent_id', s.agent_id, 'task_id', s.task_id,
            'metadata', s.metadata, 'events', s.events, 'summarised', s.summarised, 'started_at', s.started_at,
            'ended_at', s.ended_at) END);
END $$;

-- They are done, and what was made of them is stored: both, or neither. p_jobs: [{id, observations, note}].
-- Of a job that was cancelled meanwhile, or that another has taken over, nothing is stored.
-- `lost`: how many are somebody else's now. Said twice, it is done once.
CREATE FUNCTION memory_complete(p_workspace uuid, p_project uuid, p_claim uuid, p_jobs jsonb, p_rows jsonb,
                                p_summarised bigint) RETURNS json LANGUAGE plpgsql AS $$
DECLARE v_done text[]; v_before text[]; v_lost integer; v_stored integer := 0; v_rows jsonb;
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

    SELECT coalesce(array_agg(j.id), '{}') INTO v_before FROM memory_jobs j
        WHERE j.workspace_id = p_workspace AND j.status = 'completed' AND NOT j.id = ANY (v_done)
          AND j.id IN (SELECT x ->> 'id' FROM jsonb_array_elements(p_jobs) x)
          AND EXISTS (SELECT 1 FROM memory_job_events e WHERE e.workspace_id = p_workspace AND e.job_id = j.id
                      AND e.to_status = 'completed' AND e.detail ->> 'claim' = p_claim::text);
    SELECT count(*) INTO v_lost FROM memory_jobs j
        WHERE j.workspace_id = p_workspace AND j.id IN (SELECT x ->> 'id' FROM jsonb_array_elements(p_jobs) x)
          AND NOT j.id = ANY (v_done || v_before) AND j.status <> 'cancelled';

    IF cardinality(v_done) > 0 THEN
        SELECT jsonb_agg(x) INTO v_rows FROM jsonb_array_elements(p_rows) x WHERE x ->> 'job_id' = ANY (v_done);
        IF v_rows IS NOT NULL THEN
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

-- They could not be done. p_fate: 'final'; 'retry', as long as attempts are left; or 'park': the lane stops for their
-- project, and the attempt does not count. Answers how long to leave their like alone.
CREATE FUNCTION memory_fail(p_workspace uuid, p_project uuid, p_claim uuid, p_jobs text[], p_class text, p_error text,
                            p_fate text, p_base_seconds double precision, p_retry_after double precision,
                            p_until timestamptz) RETURNS json LANGUAGE plpgsql AS $$
DECLARE v_kind memory_job_kind; v_failed integer; v_queued integer; v_next timestamptz; v_parked boolean;
BEGIN
    PERFORM set_config('app.current_workspace_id', p_workspace::text, true);
    WITH failed AS (
        UPDATE memory_jobs j SET claim = NULL, claimed_at = NULL, error_class = p_class, error = p_error,
                status = CASE WHEN x.ends THEN 'failed' ELSE 'queued' END::memory_job_status,
                finished_at = CASE WHEN x.ends THEN clock_timestamp() END,
                attempts = attempts - (p_fate = 'park')::integer,
                -- 5 s, 30 s, 3 min, 15 min of the default, a fifth more or less, so that not all come back at once.
                not_before = CASE WHEN p_fate = 'retry' AND NOT x.ends THEN clock_timestamp() + make_interval(
                    secs => greatest(p_retry_after, (0.8 + 0.4 * random())
                        * least(180 * p_base_seconds, p_base_seconds * power(6, attempts - 1)))) END,
                version = version + 1, updated_at = clock_timestamp()
            FROM (SELECT id, p_fate = 'final' OR (p_fate = 'retry' AND attempts >= max_attempts) AS ends
                  FROM memory_jobs WHERE workspace_id = p_workspace AND id = ANY (p_jobs)) x
            WHERE j.workspace_id = p_workspace AND j.project_id = p_project AND j.id = x.id
              AND j.status = 'processing' AND j.claim = p_claim
            RETURNING j.kind, j.status, j.not_before)
    SELECT min(kind), count(*) FILTER (WHERE status = 'failed'), count(*) FILTER (WHERE status = 'queued'),
           min(not_before) INTO v_kind, v_failed, v_queued, v_next FROM failed;
    IF p_fate = 'park' AND v_kind IS NOT NULL THEN
        v_parked := memory_lane_held(p_workspace, p_project, v_kind) IS NOT DISTINCT FROM 'parked';
        INSERT INTO memory_lanes AS l (workspace_id, project_id, kind, parked_until, reason)
            VALUES (p_workspace, p_project, v_kind, coalesce(
                p_until, clock_timestamp() + make_interval(secs => coalesce(p_retry_after, 600))), p_class || ': ' || p_error)
            ON CONFLICT ON CONSTRAINT memory_lanes_once DO UPDATE
                SET parked_until = greatest(l.parked_until, excluded.parked_until), reason = excluded.reason,
                    updated_at = clock_timestamp();
        IF NOT v_parked THEN
            PERFORM note(p_workspace, 'memory_lane_parked', p_project, jsonb_build_object(
                'kind', v_kind, 'error_class', p_class, 'error', left(p_error, 500)));
        END IF;
    END IF;
    RETURN json_build_object('failed', v_failed, 'queued', v_queued,
        'wait_seconds', greatest(0, extract(epoch FROM v_next - clock_timestamp())));
END $$;

-- Whoever holds them cannot go on, and says so in time: the attempt does not count.
CREATE FUNCTION memory_release(p_workspace uuid, p_claim uuid, p_jobs text[]) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE v_released integer;
BEGIN
    PERFORM set_config('app.current_workspace_id', p_workspace::text, true);
    UPDATE memory_jobs SET status = 'queued', claim = NULL, claimed_at = NULL, attempts = attempts - 1,
            version = version + 1, updated_at = clock_timestamp()
        WHERE workspace_id = p_workspace AND id = ANY (p_jobs) AND status = 'processing' AND claim = p_claim;
    GET DIAGNOSTICS v_released = ROW_COUNT;
    RETURN v_released;
END $$;

-- A long session is summarised on the way: one job for every p_every events, once what is new amounts to that.
CREATE FUNCTION memory_roll(p_workspace uuid, p_project uuid, p_session uuid, p_every bigint, p_job text, p_source text)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('app.current_workspace_id', p_workspace::text, true);
    INSERT INTO memory_jobs (workspace_id, project_id, id, kind, session_id, source_type, source_id)
        SELECT p_workspace, p_project, p_job, 'summary', s.id, 'session_part', p_source FROM memory_sessions s
        WHERE s.workspace_id = p_workspace AND s.project_id = p_project AND s.id = p_session AND s.ended_at IS NULL
          AND s.events - s.summarised >= p_every
          AND NOT EXISTS (SELECT 1 FROM memory_jobs j WHERE j.workspace_id = p_workspace AND j.session_id = p_session
                          AND j.kind = 'summary' AND j.finished_at IS NULL)
        ON CONFLICT DO NOTHING;
    IF FOUND THEN
        INSERT INTO memory_job_events (workspace_id, project_id, job_id, to_status, attempt)
            VALUES (p_workspace, p_project, p_job, 'queued', 0);
    END IF;
    RETURN FOUND;
END $$;

-- -- What people do. As the tenant who asks: row-level security holds them to what is theirs. ----------------------

CREATE FUNCTION memory_job_retry(p_job text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE j memory_jobs; v_status memory_job_status;
BEGIN
    SELECT * INTO j FROM memory_jobs WHERE workspace_id = current_workspace() AND id = p_job FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no job %', p_job USING ERRCODE = 'MUSTR', HINT = 'not_found';
    ELSIF j.status NOT IN ('failed', 'cancelled') THEN
        RAISE EXCEPTION 'job % is %; only a failed or cancelled job can be queued again', p_job, j.status
            USING ERRCODE = 'MUSTR', HINT = 'illegal_move';
    END IF;
    v_status := j.status;
    UPDATE memory_jobs SET status = 'queued', attempts = 0, not_before = NULL, finished_at = NULL, error_class = NULL,
            error = NULL, version = version + 1, updated_at = clock_timestamp()
        WHERE workspace_id = current_workspace() AND id = p_job RETURNING * INTO j;
    PERFORM note(j.workspace_id, 'memory_job_retried', coalesce(j.session_id, j.project_id),
                 jsonb_build_object('job', j.id, 'was', v_status));
    RETURN job_json(j);
END $$;

CREATE FUNCTION memory_job_cancel(p_job text) RETURNS jsonb LANGUAGE plpgsql AS $$
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
    PERFORM note(j.workspace_id, 'memory_job_cancelled', coalesce(j.session_id, j.project_id),
                 jsonb_build_object('job', j.id, 'was', v_status));
    RETURN job_json(j);
END $$;

-- Failed and cancelled jobs that match, oldest first: {project_id, session_id, kind, status, error_class}, each optional.
CREATE FUNCTION memory_jobs_requeue(p_filter jsonb, p_limit integer) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE v_found jsonb; v_number integer;
BEGIN
    WITH matching AS MATERIALIZED (
        SELECT id FROM memory_jobs
        WHERE workspace_id = current_workspace() AND finished_at IS NOT NULL AND outcome IS NULL
          AND (p_filter ->> 'status' IS NULL OR status = (p_filter ->> 'status')::memory_job_status)
          AND (p_filter ->> 'kind' IS NULL OR kind = (p_filter ->> 'kind')::memory_job_kind)
          AND (p_filter ->> 'project_id' IS NULL OR project_id = (p_filter ->> 'project_id')::uuid)
          AND (p_filter ->> 'session_id' IS NULL OR session_id = (p_filter ->> 'session_id')::uuid)
          AND (p_filter ->> 'error_class' IS NULL OR error_class = p_filter ->> 'error_class')
        ORDER BY created_at, id LIMIT p_limit FOR UPDATE SKIP LOCKED),
    queued AS (
        UPDATE memory_jobs j SET status = 'queued', attempts = 0, not_before = NULL, finished_at = NULL,
                error_class = NULL, error = NULL, version = version + 1, updated_at = clock_timestamp()
            FROM matching m WHERE j.workspace_id = current_workspace() AND j.id = m.id
            RETURNING j.project_id, j.session_id),
    places AS (SELECT project_id, session_id, count(*) AS jobs FROM queued GROUP BY 1, 2)
    SELECT coalesce(sum(jobs), 0), coalesce(jsonb_agg(jsonb_build_array(project_id, session_id)), '[]')
        INTO v_number, v_found FROM places;
    IF v_number > 0 THEN
        PERFORM note(current_workspace(), 'memory_jobs_requeued', current_workspace(),
                     jsonb_build_object('filter', p_filter, 'jobs', v_number));
    END IF;
    RETURN jsonb_build_object('requeued', v_number, 'places', v_found);
END $$;

CREATE FUNCTION memory_lane_switch(p_kind memory_job_kind, p_paused boolean, p_reason text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE v_changed integer; v_freed integer := 0;
BEGIN
    IF p_paused THEN
        INSERT INTO memory_lanes AS l (workspace_id, kind, paused, reason)
            VALUES (current_workspace(), p_kind, true, p_reason)
            ON CONFLICT ON CONSTRAINT memory_lanes_once DO UPDATE
                SET paused = true, reason = excluded.reason, updated_at = clock_timestamp()
                WHERE NOT l.paused OR l.reason IS DISTINCT FROM excluded.reason;
        GET DIAGNOSTICS v_changed = ROW_COUNT;
    ELSE
        DELETE FROM memory_lanes WHERE workspace_id = current_workspace() AND kind = p_kind;
        GET DIAGNOSTICS v_changed = ROW_COUNT;
    END IF;
    IF v_changed > 0 THEN
        PERFORM note(current_workspace(), CASE WHEN p_paused THEN 'memory_lane_paused' ELSE 'memory_lane_resumed' END::activity_action,
                     current_workspace(), jsonb_build_object('kind', p_kind, 'reason', p_reason));
    END IF;
    RETURN v_changed > 0;
END $$;

-- -- The sweep's door ----------------------------------------------------------------------------------------------

GRANT SELECT (workspace_id, project_id, session_id, kind, not_before, updated_at, finished_at) ON memory_jobs
    TO muster_chores;
GRANT SELECT (workspace_id, project_id, kind, paused, parked_until) ON memory_lanes TO muster_chores;
CREATE POLICY chores ON memory_jobs FOR SELECT TO muster_chores USING (true);
CREATE POLICY chores ON memory_lanes FOR SELECT TO muster_chores USING (true);

-- Sessions, and projects, with jobs that should have been taken up, or finished, so many seconds ago; in turns.
CREATE FUNCTION chores_memory(p_seconds double precision, p_after uuid, p_limit integer)
RETURNS TABLE (workspace_id uuid, project_id uuid, session_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public AS $$
    SELECT j.workspace_id, j.project_id, j.session_id FROM memory_jobs j
    WHERE j.finished_at IS NULL
      AND greatest(j.updated_at, j.not_before) < clock_timestamp() - make_interval(secs => p_seconds)
      AND coalesce(j.session_id, j.project_id) > p_after
      AND NOT EXISTS (SELECT 1 FROM memory_lanes l WHERE l.workspace_id = j.workspace_id AND l.kind = j.kind
                      AND (l.project_id IS NULL OR l.project_id = j.project_id)
                      AND (l.paused OR l.parked_until > clock_timestamp()))
    GROUP BY 1, 2, 3 ORDER BY coalesce(j.session_id, j.project_id) LIMIT p_limit
$$;

GRANT CREATE ON SCHEMA public TO muster_chores;
ALTER FUNCTION chores_memory(double precision, uuid, integer) OWNER TO muster_chores;
REVOKE CREATE ON SCHEMA public FROM muster_chores;
REVOKE ALL ON FUNCTION chores_memory(double precision, uuid, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION chores_memory(double precision, uuid, integer) TO muster_app;
