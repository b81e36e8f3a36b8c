-- What several sessions saw is one observation, and each of them, its task and its agent have it: for search, in lists,
-- and when they are summarised. And an event that was stored alone may be made something of later.

-- What is seen again has happened then, too.
ALTER TABLE observations ADD COLUMN last_seen_at timestamptz;
CREATE INDEX observations_seen_again ON observations (workspace_id, last_seen_at) WHERE last_seen_at IS NOT NULL;
GRANT SELECT (workspace_id, project_id, id, occurred_at, last_seen_at) ON observations TO muster_chores;
CREATE POLICY chores ON observations FOR SELECT TO muster_chores USING (true);

-- Those that another joined are also found by where that one was seen. `places` are terms, `place_words` their hashes
-- (storage/observations.py: as_row). What is seen everywhere is found by the first of these places only: a row of words
-- stays small.
CREATE FUNCTION observation_seen_at(p_workspace uuid, p_rows jsonb, p_to uuid[]) RETURNS void LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE r record; o observation_words;
BEGIN
    FOR r IN SELECT p_to[g.n::integer] AS id, g.places, g.place_words
        FROM ROWS FROM (jsonb_to_recordset(p_rows) AS (id uuid, places text[], place_words bigint[]))
             WITH ORDINALITY AS g (id, places, place_words, n)
        WHERE p_to[g.n::integer] <> g.id AND cardinality(g.places) > 0 ORDER BY 1, g.n
    LOOP
        SELECT * INTO o FROM observation_words w
            WHERE w.workspace_id = p_workspace AND w.observation_id = r.id FOR NO KEY UPDATE;
        IF FOUND AND NOT o.terms @> r.places
           AND (SELECT count(*) FROM unnest(o.terms) t WHERE left(t, 3) IN (' s:', ' k:', ' a:')) < 64 THEN
            UPDATE observation_words w SET
                terms = o.terms || ARRAY(SELECT t FROM unnest(r.places) t WHERE NOT t = ANY (o.terms)),
                words = o.words || ARRAY(SELECT t FROM unnest(r.place_words) t WHERE NOT t = ANY (o.words))
                WHERE w.workspace_id = p_workspace AND w.observation_id = r.id;
        END IF;
    END LOOP;
END $$;

DO $$
DECLARE v_old text; v_new text;
BEGIN
    v_old := pg_get_functiondef('observation_put(uuid,uuid,jsonb)'::regprocedure);
    v_new := replace(v_old, '    RETURN cardinality(v_made);', '    IF v_again <> ''[]'' THEN
        PERFORM observation_seen_at(p_workspace, p_rows, v_to);
    END IF;
    RETURN cardinality(v_made);');
    v_new := replace(v_new, 't.id <> g.id AS again, g.importance', 't.id <> g.id AS again, g.importance, g.occurred_at');
    v_new := replace(v_new, '(id uuid, importance real, sources uuid[])',
                     '(id uuid, importance real, occurred_at timestamptz, sources uuid[])');
    v_new := replace(v_new, 'AS g (id, importance, sources, n)', 'AS g (id, importance, occurred_at, sources, n)');
    v_new := replace(v_new, 'max(w.importance) AS importance',
                     'max(w.importance) AS importance, max(coalesce(w.occurred_at, now())) AS at');
    v_new := replace(v_new, '(observation_id uuid, times bigint, importance real)',
                     '(observation_id uuid, times bigint, importance real, at timestamptz)');
    v_new := replace(v_new, 'importance = greatest(o.importance, r.importance)',
        'importance = greatest(o.importance, r.importance),
                last_seen_at = CASE WHEN r.at > o.occurred_at THEN greatest(o.last_seen_at, r.at) ELSE o.last_seen_at END');
    IF strpos(v_new, 'THEN greatest(o.last_seen_at') = 0 OR strpos(v_new, 'observation_seen_at') = 0 THEN
        RAISE EXCEPTION 'observation_put is not what it was';
    END IF;
    EXECUTE v_new;

    v_old := pg_get_functiondef('memory_scope(uuid,uuid[],timestamptz,timestamptz,text[])'::regprocedure);
    v_new := replace(v_old, 'v_scope := v_scope || format('' AND w.occurred_at >= %L'', p_after);', $sql$
        -- Also what was seen before that time, and again since. There is hardly any, and most often none.
        v_again := ARRAY(SELECT o.id FROM observations o
            WHERE o.workspace_id = CASE WHEN p_workspace = current_workspace() THEN p_workspace END
              AND o.project_id = ANY (v_projects) AND o.last_seen_at >= p_after AND o.occurred_at < p_after
            ORDER BY o.last_seen_at DESC LIMIT 1000);
        v_scope := v_scope || CASE WHEN v_again = '{}' THEN format(' AND w.occurred_at >= %L', p_after)
            ELSE format(' AND (w.occurred_at >= %L OR w.observation_id = ANY (%L))', p_after, v_again) END;$sql$);
    v_new := replace(v_new, 'v_filter text;', 'v_filter text; v_again uuid[];');
    IF strpos(v_new, 'v_again := ') = 0 OR strpos(v_new, 'v_again uuid[]') = 0 THEN
        RAISE EXCEPTION 'memory_scope is not what it was';
    END IF;
    EXECUTE v_new;

    v_old := pg_get_functiondef('memory_drop_observations(uuid,uuid[])'::regprocedure);
    v_new := replace(v_old, 'v_left bigint;', 'v_left bigint; v_changes bigint;');
    v_new := replace(v_new, '    DELETE FROM observations WHERE', '    SELECT count(*) INTO v_changes FROM observation_changes
        WHERE workspace_id = p_workspace AND observation_id = ANY (p_ids);
    DELETE FROM observations WHERE');
    v_new := replace(v_new, $sql$'observation_words', v_words,$sql$,
                     $sql$'observation_words', v_words, 'observation_changes', v_changes,$sql$);
    IF strpos(v_new, 'INTO v_changes') = 0 OR strpos(v_new, $sql$'observation_changes', v_changes$sql$) = 0 THEN
        RAISE EXCEPTION 'memory_drop_observations is not what it was';
    END IF;
    EXECUTE v_new;

    -- A summary tells what this session saw, whoever saw it first: it happened here when it was seen here.
    v_old := pg_get_functiondef('memory_claim(uuid,uuid,uuid,memory_job_kind,uuid,boolean)'::regprocedure);
    v_new := regexp_replace(v_old, 'SELECT type, title, subtitle.*?LIMIT 200\) o;', $sql$
            WITH latest AS MATERIALIZED (
                SELECT e.id, e.occurred_at FROM agent_events e
                WHERE e.workspace_id = p_workspace AND e.session_id = p_session
                ORDER BY e.occurred_at DESC, e.id DESC LIMIT least(200, greatest(0, s.events - s.summarised))),
            seen AS MATERIALIZED (
                SELECT x.observation_id, array_agg(l.id ORDER BY l.occurred_at, l.id) AS sources, max(l.occurred_at) AS at
                FROM latest l JOIN observation_sources x ON x.workspace_id = p_workspace AND x.event_id = l.id GROUP BY 1),
            these AS (
                SELECT id FROM observations WHERE workspace_id = p_workspace AND session_id = p_session
                UNION SELECT observation_id FROM seen)
            SELECT q.type, q.title, q.subtitle, q.narrative, q.facts, q.concepts, q.files_read, q.files_modified,
                   q.language, q.importance, coalesce(seen.sources, '{}') AS sources,
                   CASE WHEN q.session_id = p_session THEN q.occurred_at ELSE coalesce(seen.at, q.occurred_at) END
                       AS occurred_at
            FROM these t JOIN observations q ON q.workspace_id = p_workspace AND q.id = t.id
            LEFT JOIN seen ON seen.observation_id = q.id
            WHERE q.job_id IS NOT NULL AND (q.session_id = p_session OR NOT q.summary)
            ORDER BY q.summary DESC, occurred_at DESC LIMIT 200) o;$sql$);
    IF v_new = v_old THEN
        RAISE EXCEPTION 'memory_claim is not what it was';
    END IF;
    EXECUTE v_new;
END $$;

-- Jobs for events that have none, and that nothing was made of. p_jobs: as memory_record has them, each with its
-- `events`. Answers the jobs that there are now.
CREATE FUNCTION memory_take_up(p_workspace uuid, p_project uuid, p_task uuid, p_jobs json) RETURNS json
LANGUAGE plpgsql AS $$
DECLARE r record; v_events uuid[]; v_project uuid; v_session uuid; v_made text[] := '{}';
BEGIN
    PERFORM memory_enter(p_workspace, p_project, p_task);
    FOR r IN SELECT * FROM json_to_recordset(p_jobs) AS j (id text, kind memory_job_kind, source_type text,
        source_id text, request text, events uuid[])
    LOOP
        SELECT array_agg(e.id), min(e.project_id::text)::uuid, min(e.session_id::text)::uuid
            INTO v_events, v_project, v_session
            FROM (SELECT * FROM agent_events a WHERE a.workspace_id = p_workspace AND a.id = ANY (r.events)
                  AND a.job_id IS NULL ORDER BY a.id FOR NO KEY UPDATE) e
            WHERE NOT EXISTS (SELECT 1 FROM observation_sources x
                              WHERE x.workspace_id = p_workspace AND x.event_id = e.id);
        IF v_events IS NOT NULL AND memory_new_job(p_workspace, v_project, r.id, r.kind, v_session, r.source_type,
                                                   r.source_id, r.request) THEN
            UPDATE agent_events SET job_id = r.id WHERE workspace_id = p_workspace AND id = ANY (v_events);
            v_made := v_made || r.id;
        END IF;
    END LOOP;
    RETURN to_json(v_made);
END $$;

CREATE OR REPLACE FUNCTION observation_json(o observations) RETURNS jsonb LANGUAGE sql STABLE
RETURN jsonb_build_object('id', o.id, 'workspace_id', o.workspace_id, 'project_id', o.project_id,
    'session_id', o.session_id, 'task_id', o.task_id, 'agent_id', o.agent_id, 'job_id', o.job_id, 'type', o.type,
    'title', o.title, 'subtitle', o.subtitle, 'narrative', o.narrative, 'facts', o.facts, 'concepts', o.concepts,
    'files_read', o.files_read, 'files_modified', o.files_modified, 'language', o.language, 'importance', o.importance,
    'summary', o.summary, 'seen', o.seen, 'generator', o.generator, 'occurred_at', o.occurred_at,
    'last_seen_at', o.last_seen_at, 'version', o.version, 'created_at', o.created_at, 'updated_at', o.updated_at);

-- Another model that was asked for and then not is nothing that failed: it is tried again only where that is said.
DO $$
DECLARE
    v_old text := pg_get_functiondef('memory_jobs_requeue(jsonb,integer)'::regprocedure);
    v_new text := replace(v_old, 'AND (p_filter ->> ''kind'' IS NULL OR',
        'AND (kind <> ''reindex'' OR status <> ''cancelled'' OR coalesce(p_filter ->> ''status'', '''') = ''cancelled'')
          AND (p_filter ->> ''kind'' IS NULL OR');
BEGIN
    IF v_new = v_old THEN
        RAISE EXCEPTION 'memory_jobs_requeue is not what it was';
    END IF;
    EXECUTE v_new;
END $$;

-- A long text has more words than a page has room for. Those of a usual one still stand in its row.
ALTER TABLE observation_words ALTER COLUMN words SET STORAGE MAIN, ALTER COLUMN weights SET STORAGE MAIN;
