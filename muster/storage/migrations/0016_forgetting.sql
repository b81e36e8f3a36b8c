-- Forgetting: what goes, goes from every table, and is counted. Deletions are steps of bounded size, one transaction
-- each, so no lock is held for long; whoever wants all of it gone asks until there is no more. A step says, by table,
-- what it deleted, whether there is more, and whose sessions have something to make anew.

ALTER TYPE activity_action ADD VALUE 'observation_forgotten';
ALTER TYPE activity_action ADD VALUE 'session_forgotten';
ALTER TYPE activity_action ADD VALUE 'agent_memory_forgotten';
ALTER TYPE activity_action ADD VALUE 'task_memory_forgotten';
ALTER TYPE activity_action ADD VALUE 'project_memory_forgotten';
ALTER TYPE activity_action ADD VALUE 'memory_expired';
ALTER TYPE activity_action ADD VALUE 'memory_exported';
ALTER TYPE activity_action ADD VALUE 'memory_imported';

-- An answer that is kept for an Idempotency-Key tells what was made; it is found by what it made.
CREATE INDEX idempotency_keys_by_request ON idempotency_keys (workspace_id, request_id);
-- What is done to a session answers with the session, under whatever id the request has. A column of its own: an index
-- over the expression would be of no use under row-level security.
ALTER TABLE idempotency_keys ADD COLUMN session_id uuid GENERATED ALWAYS AS (
    CASE WHEN jsonb_exists(answer -> 'body', 'platform') THEN (answer -> 'body' ->> 'id')::uuid END) STORED;
CREATE INDEX idempotency_keys_by_session ON idempotency_keys (workspace_id, session_id) WHERE session_id IS NOT NULL;

CREATE FUNCTION add_counts(a jsonb, b jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(jsonb_object_agg(x.key, x.total), '{}') FROM (
        SELECT key, sum(value::bigint) AS total
        FROM (SELECT * FROM jsonb_each_text(a) UNION ALL SELECT * FROM jsonb_each_text(b)) e GROUP BY key) x
$$;

-- What went is counted out of the terms at once: until then, what is to be counted still tells its words.
CREATE FUNCTION memory_settle(p_workspace uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE v_project uuid;
BEGIN
    FOR v_project IN SELECT DISTINCT project_id FROM memory_term_changes
            WHERE workspace_id = p_workspace AND by < 0 ORDER BY 1 LOOP
        WHILE memory_fold(p_workspace, v_project, 2000, true) > 0 LOOP
        END LOOP;
    END LOOP;
END $$;

-- The answer that an Idempotency-Key repeats must not tell it either; nor may its request make it anew.
CREATE FUNCTION memory_unanswer(p_workspace uuid, p_made uuid[]) RETURNS void LANGUAGE sql AS $$
    UPDATE idempotency_keys SET answer = jsonb_build_object('status', 404, 'location', NULL, 'body',
        jsonb_build_object('type', 'urn:muster:problem:not_found', 'title', 'Not found', 'status', 404,
            'detail', 'what this request made is forgotten', 'code', 'not_found', 'retryable', false))
    WHERE workspace_id = p_workspace AND (request_id = ANY (p_made) OR session_id = ANY (p_made))
      AND answer IS NOT NULL
$$;

-- Observations, with their words, vectors and links.
CREATE FUNCTION memory_drop_observations(p_workspace uuid, p_ids uuid[]) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE v_observations bigint; v_sources bigint; v_words bigint; v_vectors bigint; v_terms jsonb; v_left bigint;
BEGIN
    IF coalesce(cardinality(p_ids), 0) = 0 THEN
        RETURN '{}';
    END IF;
    PERFORM 1 FROM observations WHERE workspace_id = p_workspace AND id = ANY (p_ids) ORDER BY id FOR UPDATE;
    SELECT coalesce(jsonb_agg(jsonb_build_array(project_id, term)), '[]') INTO v_terms FROM memory_terms
        WHERE workspace_id = p_workspace AND (project_id, term) IN (
            SELECT project_id, unnest(terms) FROM observation_words
            WHERE workspace_id = p_workspace AND observation_id = ANY (p_ids));
    DELETE FROM memory_embeddings WHERE workspace_id = p_workspace AND observation_id = ANY (p_ids);
    GET DIAGNOSTICS v_vectors = ROW_COUNT;
    DELETE FROM observation_words WHERE workspace_id = p_workspace AND observation_id = ANY (p_ids);
    GET DIAGNOSTICS v_words = ROW_COUNT;
    DELETE FROM observation_sources WHERE workspace_id = p_workspace AND observation_id = ANY (p_ids);
    GET DIAGNOSTICS v_sources = ROW_COUNT;
    DELETE FROM observations WHERE workspace_id = p_workspace AND id = ANY (p_ids);
    GET DIAGNOSTICS v_observations = ROW_COUNT;
    PERFORM memory_unanswer(p_workspace, p_ids);
    PERFORM memory_settle(p_workspace);
    SELECT count(*) INTO v_left FROM memory_terms WHERE workspace_id = p_workspace AND (project_id, term) IN (
        SELECT (x ->> 0)::uuid, x ->> 1 FROM jsonb_array_elements(v_terms) x);
    RETURN jsonb_build_object('observations', v_observations, 'observation_sources', v_sources,
        'observation_words', v_words, 'memory_embeddings', v_vectors,
        'memory_terms', jsonb_array_length(v_terms) - v_left);
END $$;

-- Jobs, with their history and with what was made of them and stands nowhere else.
CREATE FUNCTION memory_drop_jobs(p_workspace uuid, p_ids text[]) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE v_deleted jsonb; v_jobs bigint; v_history bigint;
BEGIN
    IF coalesce(cardinality(p_ids), 0) = 0 THEN
        RETURN '{}';
    END IF;
    PERFORM 1 FROM memory_jobs WHERE workspace_id = p_workspace AND id = ANY (p_ids) ORDER BY id FOR UPDATE;
    v_deleted := memory_drop_observations(p_workspace, ARRAY(
        SELECT id FROM observations WHERE workspace_id = p_workspace AND job_id = ANY (p_ids)));
    SELECT count(*) INTO v_history FROM memory_job_events WHERE workspace_id = p_workspace AND job_id = ANY (p_ids);
    DELETE FROM memory_jobs WHERE workspace_id = p_workspace AND id = ANY (p_ids);
    GET DIAGNOSTICS v_jobs = ROW_COUNT;
    RETURN add_counts(v_deleted, jsonb_build_object('memory_jobs', v_jobs, 'memory_job_events', v_history));
END $$;

-- What is processed has read what is forgotten now. It goes back to the queue: whoever holds the old claim can no
-- longer store what came of it.
CREATE FUNCTION memory_fence(p_workspace uuid, p_jobs text[]) RETURNS void LANGUAGE sql AS $$
    UPDATE memory_jobs SET status = 'queued', claim = NULL, claimed_at = NULL, not_before = NULL,
           version = version + 1, updated_at = clock_timestamp()
    WHERE workspace_id = p_workspace AND id = ANY (p_jobs) AND status = 'processing'
$$;

-- Events, with the links to them. What was merged of several sources loses these and goes with its last; a job goes
-- with its last event.
CREATE FUNCTION memory_drop_events(p_workspace uuid, p_ids uuid[]) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_deleted jsonb; v_jobs text[]; v_empty text[]; v_told text[]; v_touched uuid[]; v_events bigint; v_links bigint;
BEGIN
    IF coalesce(cardinality(p_ids), 0) = 0 THEN
        RETURN '{}';
    END IF;
    -- As they are completed: the jobs first.
    SELECT array_agg(DISTINCT job_id) INTO v_jobs
        FROM agent_events WHERE workspace_id = p_workspace AND id = ANY (p_ids) AND job_id IS NOT NULL;
    PERFORM 1 FROM memory_jobs WHERE workspace_id = p_workspace AND id = ANY (v_jobs) ORDER BY id FOR UPDATE;
    PERFORM memory_fence(p_workspace, v_jobs);
    WITH cut AS (
        SELECT s.observation_id, count(DISTINCT coalesce(e.job_id, e.id::text)) AS times
        FROM observation_sources s JOIN agent_events e ON e.workspace_id = s.workspace_id AND e.id = s.event_id
        WHERE s.workspace_id = p_workspace AND s.event_id = ANY (p_ids) GROUP BY 1
    ), less AS (
        UPDATE observations o SET seen = greatest(1, o.seen - cut.times), version = version + 1
        FROM cut WHERE o.workspace_id = p_workspace AND o.id = cut.observation_id RETURNING o.id
    )
    SELECT array_agg(id) INTO v_touched FROM less;
    DELETE FROM observation_sources WHERE workspace_id = p_workspace AND event_id = ANY (p_ids);
    GET DIAGNOSTICS v_links = ROW_COUNT;
    v_deleted := memory_drop_observations(p_workspace, ARRAY(
        SELECT o.id FROM observations o WHERE o.workspace_id = p_workspace AND o.id = ANY (v_touched)
        AND o.generator <> 'manual' AND NOT EXISTS (SELECT 1 FROM observation_sources s
            WHERE s.workspace_id = p_workspace AND s.observation_id = o.id)));
    WITH gone AS (
        DELETE FROM agent_events WHERE workspace_id = p_workspace AND id = ANY (p_ids) RETURNING session_id
    ), fewer AS (
        UPDATE memory_sessions s SET events = greatest(0, s.events - g.n), summarised = greatest(0, s.summarised - g.n)
        FROM (SELECT session_id, count(*) AS n FROM gone GROUP BY 1) g
        WHERE s.workspace_id = p_workspace AND s.id = g.session_id
    )
    SELECT count(*) INTO v_events FROM gone;
    PERFORM memory_unanswer(p_workspace, p_ids);
    SELECT array_agg(j.id) INTO v_empty FROM memory_jobs j
        WHERE j.workspace_id = p_workspace AND j.id = ANY (v_jobs)
        AND NOT EXISTS (SELECT 1 FROM agent_events e WHERE e.workspace_id = p_workspace AND e.job_id = j.id)
        AND NOT EXISTS (SELECT 1 FROM observations o WHERE o.workspace_id = p_workspace AND o.job_id = j.id);
    -- What a job says of itself may quote what it read.
    UPDATE memory_jobs SET note = NULL, error = NULL, version = version + 1
        WHERE workspace_id = p_workspace AND id = ANY (v_jobs) AND (note IS NOT NULL OR error IS NOT NULL);
    -- So may its history, which nobody changes. It goes with the row of its job, and that row comes back.
    WITH gone AS (
        DELETE FROM memory_jobs j WHERE workspace_id = p_workspace AND id = ANY (v_jobs) AND EXISTS (
            SELECT 1 FROM memory_job_events h WHERE h.workspace_id = p_workspace AND h.job_id = j.id
            AND jsonb_exists_any(h.detail, ARRAY['note', 'error']))
        RETURNING *
    ), back AS (
        INSERT INTO memory_jobs SELECT * FROM gone RETURNING id
    )
    SELECT array_agg(id) INTO v_told FROM back;
    INSERT INTO memory_job_events (workspace_id, project_id, job_id, to_status, attempt, detail)
        SELECT workspace_id, project_id, id, status, attempts, '{"history": "forgotten"}' FROM memory_jobs
        WHERE workspace_id = p_workspace AND id = ANY (v_told);
    RETURN add_counts(add_counts(v_deleted, memory_drop_jobs(p_workspace, v_empty)),
        jsonb_build_object('agent_events', v_events, 'observation_sources', v_links));
END $$;

-- One job for these events of a session, once.
CREATE FUNCTION memory_make_anew(p_workspace uuid, p_project uuid, p_session uuid, p_source_type text, p_events uuid[])
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_source text := encode(sha256(convert_to((SELECT string_agg(x::text, ',' ORDER BY x) FROM unnest(p_events) x),
                                              'UTF8')), 'hex');
    v_id text := memory_job_id('evtb', 'event_batch', p_workspace, p_project, p_source_type, v_source);
BEGIN
    IF memory_new_job(p_workspace, p_project, v_id, 'event_batch', p_session, p_source_type, v_source, NULL) THEN
        UPDATE agent_events SET job_id = v_id
            WHERE workspace_id = p_workspace AND project_id = p_project AND id = ANY (p_events);
    END IF;
END $$;

-- A summary of a session that had one, of all that is left in it.
CREATE FUNCTION memory_summarise_anew(p_workspace uuid, p_project uuid, p_session uuid, p_without uuid) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE memory_sessions SET summarised = 0, version = version + 1
        WHERE workspace_id = p_workspace AND id = p_session;
    PERFORM memory_new_job(p_workspace, p_project,
        memory_job_id('sum', 'summary', p_workspace, p_project, 'forgotten', p_session || '/' || p_without), 'summary',
        p_session, 'forgotten', p_session || '/' || p_without, NULL);
END $$;

-- An agent's work is recorded from its output once it has ended, by whoever comes to it. What is forgotten must not
-- come back that way, not even by the hands of one that has begun.
ALTER TABLE agents ADD COLUMN forgotten boolean NOT NULL DEFAULT false;
CREATE FUNCTION guard_forgotten() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF coalesce(current_setting('app.importing', true), '') <> 'on' AND EXISTS (
            SELECT 1 FROM agents WHERE workspace_id = NEW.workspace_id AND id = NEW.agent_id AND forgotten FOR SHARE) THEN
        RAISE EXCEPTION 'what agent % did is forgotten', NEW.agent_id USING ERRCODE = 'MUSTR', HINT = 'not_found';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard_forgotten BEFORE INSERT ON memory_sessions
    FOR EACH ROW WHEN (NEW.agent_id IS NOT NULL AND NEW.platform = 'muster') EXECUTE FUNCTION guard_forgotten();

-- The trace: who, what, and how much of it.
CREATE FUNCTION memory_note(p_workspace uuid, p_action activity_action, p_entity uuid, p_answer jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
BEGIN
    p_answer := jsonb_set(p_answer, '{deleted}', (
        SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM jsonb_each(p_answer -> 'deleted')
        WHERE value <> '0'));
    IF p_answer -> 'deleted' <> '{}' THEN
        PERFORM note(p_workspace, p_action, p_entity, p_answer - 'anew');
    END IF;
    RETURN p_answer;
END $$;

-- One observation, and every copy that was merged into it. Of what it was made, the events that nothing else was made
-- of go too, unless they are to stay: another look at them would remember it again. So do summaries of its sessions
-- that were written since; those are written anew. Null: there is none.
CREATE FUNCTION memory_forget_observation(p_workspace uuid, p_id uuid, p_events boolean) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    o observations; v_sessions uuid[]; v_summaries uuid[]; v_retold uuid[]; v_events uuid[] := '{}';
    v_deleted jsonb; v_anew jsonb := '[]'; r record;
BEGIN
    SELECT * INTO o FROM observations WHERE workspace_id = p_workspace AND id = p_id;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    SELECT coalesce(array_agg(DISTINCT x), '{}') INTO v_sessions FROM (
        SELECT o.session_id AS x UNION ALL
        SELECT e.session_id FROM observation_sources s
        JOIN agent_events e ON e.workspace_id = s.workspace_id AND e.id = s.event_id
        WHERE s.workspace_id = p_workspace AND s.observation_id = p_id) q WHERE x IS NOT NULL;
    PERFORM 1 FROM memory_sessions WHERE workspace_id = p_workspace AND id = ANY (v_sessions)
        ORDER BY id FOR NO KEY UPDATE;
    SELECT coalesce(array_agg(id), '{}'), array_agg(DISTINCT session_id) INTO v_summaries, v_retold FROM observations
        WHERE workspace_id = p_workspace AND session_id = ANY (v_sessions) AND summary AND NOT o.summary
        AND generator <> 'manual' AND created_at >= o.created_at;
    IF p_events AND NOT o.summary THEN
        SELECT coalesce(array_agg(s.event_id), '{}') INTO v_events FROM observation_sources s
            WHERE s.workspace_id = p_workspace AND s.observation_id = p_id AND NOT EXISTS (
                SELECT 1 FROM observation_sources other
                WHERE other.workspace_id = p_workspace AND other.event_id = s.event_id
                AND other.observation_id <> p_id AND other.observation_id <> ALL (v_summaries));
    END IF;
    PERFORM 1 FROM memory_jobs WHERE workspace_id = p_workspace AND session_id = ANY (v_sessions)
        AND status = 'processing' ORDER BY id FOR UPDATE;
    PERFORM memory_fence(p_workspace, ARRAY(
        SELECT id FROM memory_jobs WHERE workspace_id = p_workspace AND session_id = ANY (v_sessions)
        AND kind = 'summary' AND status = 'processing'));
    v_deleted := memory_drop_observations(p_workspace, p_id || v_summaries);
    v_deleted := add_counts(v_deleted, memory_drop_events(p_workspace, v_events));
    FOR r IN SELECT project_id, id FROM memory_sessions
        WHERE workspace_id = p_workspace AND id = ANY (v_retold) AND events > 0 ORDER BY id
    LOOP
        PERFORM memory_summarise_anew(p_workspace, r.project_id, r.id, p_id);
        v_anew := v_anew || jsonb_build_array(jsonb_build_array(r.project_id, r.id));
    END LOOP;
    RETURN memory_note(p_workspace, 'observation_forgotten', p_id,
        jsonb_build_object('deleted', v_deleted, 'more', false, 'anew', v_anew));
END $$;

-- A step of forgetting what is a session's, an agent's, a task's or a project's: at most p_most events, or a fifth as
-- many observations.
CREATE FUNCTION memory_forget(p_workspace uuid, p_kind text, p_id uuid, p_most integer) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    -- Of rows that have an agent, a task and a project. $1 is the workspace, $2 what it is all about.
    v_theirs text := CASE p_kind WHEN 'session' THEN 'session_id = $2' WHEN 'agent' THEN 'agent_id = $2'
        WHEN 'task' THEN '(task_id = $2 OR agent_id IN (SELECT a.id FROM agents a '
            'WHERE a.workspace_id = $1 AND a.task_id = $2))'
        WHEN 'project' THEN 'project_id = $2' END;
    v_which text := CASE p_kind WHEN 'session' THEN 'id = $2' ELSE v_theirs END;
    v_action activity_action := CASE p_kind WHEN 'session' THEN 'session_forgotten' ELSE p_kind || '_memory_forgotten' END;
    v_few integer := greatest(1, p_most / 5);
    v_sessions uuid[]; v_observations uuid[]; v_events uuid[]; v_jobs text[]; v_gone bigint;
    v_deleted jsonb := '{}'; v_anew jsonb := '[]'; v_more boolean := false; r record;
BEGIN
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
    EXECUTE format('SELECT coalesce(array_agg(id), ''{}'') FROM (SELECT id FROM memory_sessions '
        'WHERE workspace_id = $1 AND %s ORDER BY id LIMIT 500 FOR NO KEY UPDATE) s', v_which)
        INTO v_sessions USING p_workspace, p_id;
    -- In the order in which those take them that complete jobs: the jobs first.
    PERFORM 1 FROM memory_jobs WHERE workspace_id = p_workspace AND session_id = ANY (v_sessions)
        AND status = 'processing' ORDER BY id FOR UPDATE;
    EXECUTE format('SELECT coalesce(array_agg(id), ''{}'') FROM (SELECT id FROM observations WHERE workspace_id = $1 '
        'AND (session_id = ANY ($3) OR %s) LIMIT $4) o', v_theirs)
        INTO v_observations USING p_workspace, p_id, v_sessions, v_few;
    IF p_kind <> 'project' THEN
        -- Others had seen the same, and theirs was merged into these: what they saw is looked at again.
        FOR r IN EXECUTE format('SELECT e.project_id, e.session_id, array_agg(DISTINCT e.id) AS events '
            'FROM observation_sources s JOIN agent_events e ON e.workspace_id = s.workspace_id AND e.id = s.event_id '
            'WHERE s.workspace_id = $1 AND s.observation_id = ANY ($3) AND e.session_id NOT IN ('
            'SELECT id FROM memory_sessions WHERE workspace_id = $1 AND %s) GROUP BY 1, 2 ORDER BY 2', v_which)
            USING p_workspace, p_id, v_observations
        LOOP
            PERFORM memory_make_anew(p_workspace, r.project_id, r.session_id, 'forgotten', r.events);
            v_anew := v_anew || jsonb_build_array(jsonb_build_array(r.project_id, r.session_id));
        END LOOP;
    END IF;
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
    RETURN memory_note(p_workspace, v_action, p_id,
        jsonb_build_object('deleted', v_deleted, 'more', v_more, 'anew', v_anew));
END $$;

-- A step of forgetting what a project keeps no longer: observations by age and importance, events by age once nothing
-- that stays was made of them, sessions once nothing of them is left.
CREATE FUNCTION memory_expire(p_workspace uuid, p_project uuid, p_most integer) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    s memory_settings; v_before timestamptz; v_few integer := greatest(1, p_most / 5);
    v_observations uuid[]; v_events uuid[]; v_jobs text[]; v_sessions uuid[]; v_gone bigint;
    v_deleted jsonb := '{}'; v_more boolean;
BEGIN
    SELECT * INTO s FROM memory_settings WHERE workspace_id = p_workspace AND project_id = p_project;
    IF s.retain_days IS NULL THEN
        RETURN '{"deleted": {}, "more": false, "anew": []}';
    END IF;
    v_before := now() - make_interval(days => s.retain_days);
    -- What was seen again is as old as the last time.
    SELECT array_agg(id) INTO v_observations FROM (SELECT id FROM observations
        WHERE workspace_id = p_workspace AND project_id = p_project AND occurred_at < v_before
        AND (s.retain_importance IS NULL OR importance <= s.retain_importance)
        AND (seen = 1 OR updated_at < v_before) ORDER BY occurred_at LIMIT v_few) o;
    v_deleted := memory_drop_observations(p_workspace, v_observations);
    v_more := coalesce(cardinality(v_observations), 0) = v_few;
    IF NOT v_more THEN
        SELECT array_agg(id) INTO v_events FROM (SELECT e.id FROM memory_sessions m
            JOIN agent_events e ON e.workspace_id = m.workspace_id AND e.session_id = m.id
            WHERE m.workspace_id = p_workspace AND m.project_id = p_project AND e.occurred_at < v_before
            AND NOT EXISTS (SELECT 1 FROM observation_sources x WHERE x.workspace_id = p_workspace AND x.event_id = e.id)
            LIMIT p_most) q;
        PERFORM 1 FROM memory_sessions WHERE workspace_id = p_workspace AND id IN (
            SELECT session_id FROM agent_events WHERE workspace_id = p_workspace AND id = ANY (v_events))
            ORDER BY id FOR NO KEY UPDATE;
        v_deleted := add_counts(v_deleted, memory_drop_events(p_workspace, v_events));
        v_more := coalesce(cardinality(v_events), 0) = p_most;
    END IF;
    IF NOT v_more THEN
        SELECT array_agg(id) INTO v_jobs FROM (SELECT id FROM memory_jobs j
            WHERE workspace_id = p_workspace AND project_id = p_project AND finished_at < v_before
            AND NOT EXISTS (SELECT 1 FROM agent_events e WHERE e.workspace_id = p_workspace AND e.job_id = j.id)
            AND NOT EXISTS (SELECT 1 FROM observations o WHERE o.workspace_id = p_workspace AND o.job_id = j.id)
            LIMIT p_most) q;
        v_deleted := add_counts(v_deleted, memory_drop_jobs(p_workspace, v_jobs));
        v_more := coalesce(cardinality(v_jobs), 0) = p_most;
    END IF;
    IF NOT v_more THEN
        SELECT array_agg(id) INTO v_sessions FROM (SELECT id FROM memory_sessions m
            WHERE workspace_id = p_workspace AND project_id = p_project AND coalesce(ended_at, started_at) < v_before
            AND NOT EXISTS (SELECT 1 FROM agent_events e WHERE e.workspace_id = p_workspace AND e.session_id = m.id)
            AND NOT EXISTS (SELECT 1 FROM observations o WHERE o.workspace_id = p_workspace AND o.session_id = m.id)
            ORDER BY id LIMIT v_few FOR UPDATE) q;
        v_deleted := add_counts(v_deleted, memory_drop_jobs(p_workspace, ARRAY(
            SELECT id FROM memory_jobs WHERE workspace_id = p_workspace AND project_id = p_project
            AND session_id = ANY (v_sessions))));
        -- An event that came before it was locked keeps it.
        DELETE FROM memory_sessions m WHERE workspace_id = p_workspace AND id = ANY (v_sessions)
            AND NOT EXISTS (SELECT 1 FROM agent_events e WHERE e.workspace_id = p_workspace AND e.session_id = m.id);
        GET DIAGNOSTICS v_gone = ROW_COUNT;
        v_deleted := add_counts(v_deleted, jsonb_build_object('memory_sessions', v_gone));
        v_more := coalesce(cardinality(v_sessions), 0) = v_few;
    END IF;
    RETURN memory_note(p_workspace, 'memory_expired', p_project,
        jsonb_build_object('deleted', v_deleted, 'more', v_more, 'anew', '[]'::jsonb));
END $$;

-- -- Bringing back ----------------------------------------------------------------------------------------------------

-- A part of an archive, all of it or nothing. What is there already stays as it is. Answers how much was added, and
-- the sessions with something to make.
CREATE FUNCTION memory_import(p_workspace uuid, p_project uuid, p_sessions jsonb, p_events jsonb, p_observations jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE v_sessions bigint; v_events bigint; v_observations bigint; v_rows jsonb; v_anew jsonb := '[]'; r record;
BEGIN
    PERFORM set_config('app.importing', 'on', true);
    INSERT INTO memory_sessions (id, workspace_id, project_id, key, external_id, platform, title, agent_id, task_id,
                                 metadata, started_at, ended_at)
        SELECT s.id, p_workspace, p_project, s.key, s.external_id, s.platform, s.title, s.agent_id, s.task_id, s.metadata, s.started_at, s.ended_at
        FROM jsonb_to_recordset(p_sessions) AS s (id uuid, key text, external_id text, platform text, title text,
            agent_id uuid, task_id uuid, metadata jsonb, started_at timestamptz, ended_at timestamptz)
        ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS v_sessions = ROW_COUNT;

    WITH added AS (
        INSERT INTO agent_events (id, workspace_id, project_id, session_id, type, adapter, source_id, payload, metadata,
                                  occurred_at)
            SELECT e.id, p_workspace, p_project, e.session_id, e.type, e.adapter, e.source_id,
                coalesce(e.payload, 'null'), nullif(e.metadata, 'null'), e.occurred_at
            FROM jsonb_to_recordset(p_events) AS e (id uuid, session_id uuid, type text, adapter text, source_id text,
                payload jsonb, metadata jsonb, occurred_at timestamptz)
            ON CONFLICT DO NOTHING RETURNING id, session_id
    ), more AS (
        UPDATE memory_sessions s SET events = s.events + a.n, version = version + 1
            FROM (SELECT session_id, count(*) AS n FROM added GROUP BY 1) a
            WHERE s.workspace_id = p_workspace AND s.id = a.session_id
    )
    SELECT count(*), coalesce(jsonb_agg(id), '[]') INTO v_events, v_rows FROM added;
    FOR r IN SELECT e.session_id, array_agg(e.id) AS events
        FROM jsonb_to_recordset(p_events) AS e (id uuid, session_id uuid, pending boolean)
        WHERE e.pending AND v_rows ? e.id::text GROUP BY 1 ORDER BY 1
    LOOP
        PERFORM memory_make_anew(p_workspace, p_project, r.session_id, 'import', r.events);
        v_anew := v_anew || jsonb_build_array(jsonb_build_array(p_project, r.session_id));
    END LOOP;

    SELECT coalesce(jsonb_agg(x), '[]') INTO v_rows FROM jsonb_array_elements(p_observations) x
        WHERE NOT EXISTS (SELECT 1 FROM observations WHERE id = (x ->> 'id')::uuid);
    v_observations := observation_put(p_workspace, p_project, v_rows);
    UPDATE observations o SET seen = x.seen FROM jsonb_to_recordset(v_rows) AS x (id uuid, seen integer)
        WHERE o.workspace_id = p_workspace AND o.project_id = p_project AND o.id = x.id AND x.seen > 1;
    RETURN jsonb_build_object('added', jsonb_build_object(
        'sessions', v_sessions, 'events', v_events, 'observations', v_observations), 'anew', v_anew);
END $$;

-- -- The door between tenants: which projects keep what they remember for a time only ------------------------------

GRANT SELECT (workspace_id, project_id, retain_days) ON memory_settings TO muster_chores;
CREATE POLICY chores ON memory_settings FOR SELECT TO muster_chores USING (true);
CREATE FUNCTION chores_memory_retention() RETURNS TABLE (workspace_id uuid, project_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public AS $$
    SELECT s.workspace_id, s.project_id FROM memory_settings s WHERE s.retain_days IS NOT NULL ORDER BY 1, 2
$$;
GRANT CREATE ON SCHEMA public TO muster_chores;
ALTER FUNCTION chores_memory_retention() OWNER TO muster_chores;
REVOKE CREATE ON SCHEMA public FROM muster_chores;
REVOKE ALL ON FUNCTION chores_memory_retention() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION chores_memory_retention() TO muster_app;
