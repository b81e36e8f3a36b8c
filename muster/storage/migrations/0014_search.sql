-- Finding what is remembered: observations are put here with their words, terms are counted, and both are looked up.

ALTER TYPE activity_action ADD VALUE 'observation_created';
ALTER TYPE activity_action ADD VALUE 'observation_updated';

-- Terms are counted apart from the writes: sessions that end at the same time would wait for each other's rows. What is
-- to be counted stands here meanwhile, also for rows that are gone.
CREATE TABLE memory_term_changes (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
    project_id   uuid NOT NULL,
    terms        text[] NOT NULL,
    by           integer NOT NULL
);
CREATE INDEX memory_term_changes_by_project ON memory_term_changes (workspace_id, project_id, id);
ALTER TABLE memory_term_changes ENABLE ROW LEVEL SECURITY;
ALTER TABLE memory_term_changes FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON memory_term_changes TO muster_app USING (workspace_id = (SELECT current_workspace()));
CREATE POLICY reach ON memory_term_changes AS RESTRICTIVE TO muster_app USING
    ((SELECT reaches_all()) OR project_id = (SELECT current_project()));

ALTER TABLE observation_words DROP COLUMN counted;  -- and its index: a row would be written twice for it

CREATE FUNCTION note_terms_in() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO memory_term_changes (workspace_id, project_id, terms, by)
    SELECT workspace_id, project_id, terms, 1 FROM arrived;
    RETURN NULL;
END $$;
CREATE FUNCTION note_terms_out() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- A project that goes takes its terms along.
    INSERT INTO memory_term_changes (workspace_id, project_id, terms, by)
    SELECT g.workspace_id, g.project_id, g.terms, -1 FROM gone g JOIN projects p ON p.id = g.project_id;
    RETURN NULL;
END $$;
CREATE FUNCTION note_terms_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO memory_term_changes (workspace_id, project_id, terms, by)
    SELECT workspace_id, project_id, terms, -1 FROM gone UNION ALL
    SELECT workspace_id, project_id, terms, 1 FROM arrived;
    RETURN NULL;
END $$;
CREATE TRIGGER note_terms_in AFTER INSERT ON observation_words REFERENCING NEW TABLE AS arrived
    FOR EACH STATEMENT EXECUTE FUNCTION note_terms_in();
CREATE TRIGGER note_terms_out AFTER DELETE ON observation_words REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION note_terms_out();
CREATE TRIGGER note_terms_changed AFTER UPDATE ON observation_words REFERENCING OLD TABLE AS gone NEW TABLE AS arrived
    FOR EACH STATEMENT EXECUTE FUNCTION note_terms_changed();

-- What a misspelt word may be found by: the word, the word without any one of its letters, its first and its last four
-- letters. Two words one mistake apart share one of the former, hardly any others do.
CREATE FUNCTION memory_grams(p_project uuid, p_term text, p_asked boolean DEFAULT false) RETURNS bigint[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN length(p_term) BETWEEN 4 AND 32 AND p_term !~ '[[:digit:][:punct:][:space:]]'
        AND p_term !~ '[\u0E00-\u0EFF\u3040-\u30FF\u3400-\u9FFF\uAC00-\uD7A3]'
    THEN (SELECT array_agg(hashtextextended(p_project || g, 0)) FROM (
        SELECT ' ' || p_term AS g UNION ALL
        SELECT ' ' || overlay(p_term PLACING '' FROM n FOR 1) FROM generate_series(1, length(p_term)) n UNION ALL
        SELECT '^' || left(p_term, 4) WHERE p_asked OR length(p_term) >= 6 UNION ALL
        SELECT '$' || right(p_term, 4) WHERE length(p_term) >= 6) q)
    ELSE '{}' END
$$;

-- Counts what is uncounted, of one project or of all. Answers how many changes it took in; none when another session
-- is counting, unless told to wait for it.
CREATE FUNCTION memory_fold(p_workspace uuid, p_project uuid, p_limit integer DEFAULT 2000, p_wait boolean DEFAULT false)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE v_last bigint; v_taken integer; v_projects uuid[]; v_terms text[];
BEGIN
    PERFORM set_config('app.current_workspace_id', p_workspace::text, true);
    IF NOT EXISTS (SELECT 1 FROM memory_term_changes
                   WHERE workspace_id = p_workspace AND (p_project IS NULL OR project_id = p_project)) THEN
        RETURN 0;
    END IF;
    -- One at a time, and in order: what goes must not be counted before what came.
    IF p_wait THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('memory_fold' || p_workspace, 0));
    ELSIF NOT pg_try_advisory_xact_lock(hashtextextended('memory_fold' || p_workspace, 0)) THEN
        RETURN 0;
    END IF;
    SELECT max(id) INTO v_last FROM (
        SELECT id FROM memory_term_changes
        WHERE workspace_id = p_workspace AND (p_project IS NULL OR project_id = p_project)
        ORDER BY id LIMIT p_limit) q;
    WITH taken AS (
        DELETE FROM memory_term_changes
        WHERE workspace_id = p_workspace AND (p_project IS NULL OR project_id = p_project) AND id <= v_last
        RETURNING project_id, terms, by),
    sums AS MATERIALIZED (
        SELECT t.project_id, u.term, sum(t.by)::integer AS by
        FROM taken t JOIN projects p ON p.id = t.project_id, unnest(t.terms) AS u (term)
        GROUP BY 1, 2 HAVING sum(t.by) <> 0),
    counted AS (
        -- No join with what there is: nobody has looked at how much that is yet when a project is new.
        INSERT INTO memory_terms AS m (workspace_id, project_id, term, documents, grams)
        SELECT p_workspace, s.project_id, s.term, s.by,
               CASE WHEN EXISTS (SELECT 1 FROM memory_terms k WHERE k.workspace_id = p_workspace
                                 AND k.project_id = s.project_id AND k.term = s.term OFFSET 0) THEN '{}'
                    ELSE memory_grams(s.project_id, s.term) END
        FROM sums s ORDER BY s.project_id, s.term
        ON CONFLICT (workspace_id, project_id, term) DO UPDATE SET documents = m.documents + excluded.documents
        RETURNING m.project_id, m.term, m.documents)
    SELECT (SELECT count(*) FROM taken), array_agg(c.project_id), array_agg(c.term) INTO v_taken, v_projects, v_terms
    FROM counted c WHERE c.documents <= 0;
    IF v_terms IS NOT NULL THEN
        DELETE FROM memory_terms m USING unnest(v_projects, v_terms) AS n (project_id, term)
        WHERE m.workspace_id = p_workspace AND m.project_id = n.project_id AND m.term = n.term AND m.documents <= 0;
    END IF;
    RETURN v_taken;
END $$;

-- -- Doors ----------------------------------------------------------------------------------------------------------
-- An index over arrays is of no use under row-level security: its operators are not leakproof, so each row would be
-- looked at first. These answer ids, scores and counts, of the workspace and the projects they are asked for; what the
-- ids stand for is read as the tenant. That a caller reaches a project is checked here as the policies do.

GRANT SELECT (workspace_id, project_id, observation_id, words, weights, occurred_at) ON observation_words TO muster_chores;
GRANT SELECT (workspace_id, project_id, observation_id, model, embedding) ON memory_embeddings TO muster_chores;
GRANT SELECT (workspace_id, project_id, term, documents, grams) ON memory_terms TO muster_chores;
CREATE POLICY chores ON observation_words FOR SELECT TO muster_chores USING (true);
CREATE POLICY chores ON memory_embeddings FOR SELECT TO muster_chores USING (true);
CREATE POLICY chores ON memory_terms FOR SELECT TO muster_chores USING (true);

-- Whose rows, as a condition: the caller's workspace, and of the projects named those that it reaches.
CREATE FUNCTION memory_scope(p_workspace uuid, p_projects uuid[], p_after timestamptz, p_before timestamptz,
                             p_filters text[]) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE v_projects uuid[] := p_projects; v_scope text; v_filter text;
BEGIN
    IF NOT reaches_all() THEN
        v_projects := ARRAY(SELECT p FROM unnest(p_projects) p WHERE p = current_project());
    END IF;
    v_scope := format('w.workspace_id = %L AND w.project_id = ANY (%L)',
                      CASE WHEN p_workspace = current_workspace() THEN p_workspace END, v_projects);
    IF p_after IS NOT NULL THEN
        v_scope := v_scope || format(' AND w.occurred_at >= %L', p_after);
    END IF;
    IF p_before IS NOT NULL THEN
        v_scope := v_scope || format(' AND w.occurred_at < %L', p_before);
    END IF;
    IF p_filters IS NOT NULL THEN  -- one set of words for each project
        SELECT string_agg(format('w.words @> %L::bigint[]', f), ' OR ') INTO v_filter FROM unnest(p_filters) f;
        v_scope := v_scope || ' AND (' || coalesce(v_filter, 'false') || ')';
    END IF;
    RETURN v_scope;
END $$;

-- The best by words. A candidate holds one of p_any, or all of one of p_sets; where that is too many, they are the
-- newest p_scan that do. Then each is scored: the product of what its terms count with what they are worth.
CREATE FUNCTION memory_by_words(p_workspace uuid, p_projects uuid[], p_any bigint[], p_sets text[], p_worth sparsevec,
    p_filters text[], p_after timestamptz, p_before timestamptz, p_scan integer, p_limit integer)
RETURNS TABLE (observation_id uuid, score real) LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public AS $$
DECLARE v_scope text := memory_scope(p_workspace, p_projects, p_after, p_before, p_filters); v_words text;
BEGIN
    SELECT string_agg(c, ' OR ') INTO v_words FROM (
        SELECT format('w.words && %L::bigint[]', p_any) AS c WHERE cardinality(p_any) > 0
        UNION ALL SELECT format('w.words @> %L::bigint[]', s) FROM unnest(p_sets) s) q;
    IF p_scan IS NULL THEN
        PERFORM set_config('enable_seqscan', 'off', true), set_config('enable_indexscan', 'off', true);
        RETURN QUERY EXECUTE format(
            'SELECT w.observation_id, (-(w.weights <#> $1))::real FROM observation_words w WHERE %s AND (%s) '
            'ORDER BY 2 DESC, 1 DESC LIMIT %s', v_scope, v_words, p_limit) USING p_worth;
        PERFORM set_config('enable_seqscan', 'on', true), set_config('enable_indexscan', 'on', true);
    ELSE
        PERFORM set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true);
        RETURN QUERY EXECUTE format(
            'SELECT c.observation_id, (-(c.weights <#> $1))::real FROM (SELECT w.observation_id, w.weights '
            'FROM observation_words w WHERE %s AND (%s) ORDER BY w.occurred_at DESC LIMIT %s) c '
            'ORDER BY 2 DESC, 1 DESC LIMIT %s', v_scope, v_words, p_scan, p_limit) USING p_worth;
        PERFORM set_config('enable_seqscan', 'on', true), set_config('enable_bitmapscan', 'on', true);
    END IF;
END $$;

-- The nearest by meaning. p_exact: all that there are of the scope are compared, which is exact and, for some
-- thousands, as fast as the index. Else the index is followed until enough of what it finds is in the scope.
CREATE FUNCTION memory_by_meaning(p_workspace uuid, p_projects uuid[], p_model text, p_vector halfvec,
    p_filters text[], p_after timestamptz, p_before timestamptz, p_exact boolean, p_effort integer, p_limit integer)
RETURNS TABLE (observation_id uuid, distance real) LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public AS $$
DECLARE
    v_scope text := memory_scope(p_workspace, p_projects, p_after, p_before, p_filters);
    v_narrow boolean := p_filters IS NOT NULL OR p_after IS NOT NULL OR p_before IS NOT NULL;
    v_size integer := vector_dims(p_vector);
BEGIN
    IF p_exact AND v_narrow THEN
        PERFORM set_config('enable_seqscan', 'off', true);
        RETURN QUERY EXECUTE format(
            'SELECT e.observation_id, (e.embedding <=> $1)::real FROM '
            '(SELECT w.workspace_id, w.observation_id FROM observation_words w WHERE %s OFFSET 0) n '
            'JOIN memory_embeddings e ON e.workspace_id = n.workspace_id AND e.observation_id = n.observation_id '
            'WHERE e.model = %L AND vector_dims(e.embedding) = %s ORDER BY 2, 1 LIMIT %s',
            v_scope, p_model, v_size, p_limit) USING p_vector;
        PERFORM set_config('enable_seqscan', 'on', true);
    ELSIF p_exact THEN
        RETURN QUERY EXECUTE format(
            'SELECT w.observation_id, (w.embedding <=> $1)::real FROM memory_embeddings w '
            'WHERE %s AND w.model = %L AND vector_dims(w.embedding) = %s ORDER BY 2, 1 LIMIT %s',
            v_scope, p_model, v_size, p_limit) USING p_vector;
    ELSE
        PERFORM set_config('hnsw.iterative_scan', 'relaxed_order', true),
                set_config('hnsw.ef_search', p_effort::text, true),
                set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
                set_config('enable_sort', 'off', true);
        RETURN QUERY EXECUTE format(
            'SELECT q.observation_id, q.d FROM (SELECT e.observation_id, (e.embedding::halfvec(%1$s) <=> $1::halfvec(%1$s)) AS o, '
            '(e.embedding::halfvec(%1$s) <=> $1::halfvec(%1$s))::real AS d FROM memory_embeddings e '
            'WHERE e.workspace_id = %2$L AND e.project_id = ANY (%3$L) AND e.model = %4$L AND vector_dims(e.embedding) = %1$s %5$s '
            'ORDER BY e.embedding::halfvec(%1$s) <=> $1::halfvec(%1$s) LIMIT %6$s) q ORDER BY q.d, q.observation_id',
            v_size, CASE WHEN p_workspace = current_workspace() THEN p_workspace END,
            ARRAY(SELECT p FROM unnest(p_projects) p WHERE reaches_all() OR p = current_project()), p_model,
            CASE WHEN v_narrow THEN format('AND coalesce((SELECT %s FROM observation_words w WHERE '
                'w.workspace_id = e.workspace_id AND w.observation_id = e.observation_id), false)', v_scope) ELSE '' END,
            p_limit) USING p_vector;
        PERFORM set_config('enable_seqscan', 'on', true), set_config('enable_bitmapscan', 'on', true),
                set_config('enable_sort', 'on', true);
    END IF;
END $$;

-- How many of the scope there are, up to p_most.
CREATE FUNCTION memory_count(p_workspace uuid, p_projects uuid[], p_filters text[], p_after timestamptz,
    p_before timestamptz, p_most integer)
RETURNS TABLE (found integer) LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public AS $$
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT count(*)::integer FROM (SELECT 1 FROM observation_words w WHERE %s LIMIT %s) q',
        memory_scope(p_workspace, p_projects, p_after, p_before, p_filters), p_most);
END $$;

-- Terms that a misspelt one may have meant, and longer ones that begin with it.
CREATE FUNCTION memory_alike(p_workspace uuid, p_projects uuid[], p_term text)
RETURNS TABLE (term text, project_id uuid, documents integer)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public AS $$
DECLARE v_grams bigint[] := ARRAY(
    SELECT unnest(memory_grams(p, p_term, true)) FROM unnest(p_projects) p WHERE reaches_all() OR p = current_project());
BEGIN
    PERFORM set_config('enable_seqscan', 'off', true);
    RETURN QUERY EXECUTE
        'SELECT m.term, m.project_id, m.documents FROM memory_terms m WHERE m.grams && $1 AND m.workspace_id = $2 '
        'AND m.project_id = ANY ($3) AND (abs(length(m.term) - length($4)) <= 2 OR starts_with(m.term, $4)) '
        'ORDER BY 3 DESC LIMIT 1000'
        USING v_grams, CASE WHEN p_workspace = current_workspace() THEN p_workspace END, p_projects, p_term;
    PERFORM set_config('enable_seqscan', 'on', true);
END $$;

-- The oldest observation that a new one repeats: nearly all that they say weighs the same.
CREATE FUNCTION memory_repeats(p_workspace uuid, p_project uuid, p_near bigint[], p_weights sparsevec)
RETURNS TABLE (observation_id uuid) LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public AS $$
BEGIN
    PERFORM set_config('enable_seqscan', 'off', true);
    RETURN QUERY EXECUTE
        -- Apart, or it would be looked for along the project's whole time, for the sake of the order.
        'WITH near AS MATERIALIZED (SELECT observation_id, workspace_id, project_id, weights, occurred_at '
        '                           FROM observation_words WHERE words && $1) '
        'SELECT w.observation_id FROM near w WHERE w.workspace_id = $2 '
        'AND w.project_id = $3 AND w.weights <=> $4 <= 0.05 ORDER BY w.occurred_at, 1 LIMIT 1'
        USING p_near, CASE WHEN p_workspace = current_workspace() THEN p_workspace END,
              CASE WHEN reaches_all() OR p_project = current_project() THEN p_project END, p_weights;
    PERFORM set_config('enable_seqscan', 'on', true);
END $$;

GRANT CREATE ON SCHEMA public TO muster_chores;
DO $$
DECLARE f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY(SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname
            IN ('memory_by_words', 'memory_by_meaning', 'memory_count', 'memory_alike', 'memory_repeats')) LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO muster_chores', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO muster_app', f);
    END LOOP;
END $$;
REVOKE CREATE ON SCHEMA public FROM muster_chores;

-- -- Writing --------------------------------------------------------------------------------------------------------

-- Puts what a generator or a person made (storage/observations.py: as_row), inside the caller's transaction. One whose
-- id is there changes nothing. One that repeats another adds its sources to that. Answers how many are new.
CREATE FUNCTION observation_put(p_workspace uuid, p_project uuid, p_rows jsonb) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE r record; v_older uuid; v_new integer := 0; v_sources integer;
BEGIN
    FOR r IN SELECT * FROM jsonb_to_recordset(p_rows) AS x (
            id uuid, session_id uuid, task_id uuid, agent_id uuid, job_id text, type text, title text, subtitle text,
            narrative text, facts text[], concepts text[], files_read text[], files_modified text[], language text,
            importance real, summary boolean, generator text, content_hash text, occurred_at timestamptz, sources uuid[],
            words bigint[], weights sparsevec, terms text[], near bigint[]) LOOP
        IF EXISTS (SELECT 1 FROM observations WHERE id = r.id) THEN
            CONTINUE;
        END IF;
        v_older := NULL;
        IF cardinality(r.near) > 0 THEN
            SELECT observation_id INTO v_older FROM memory_repeats(p_workspace, p_project, r.near, r.weights);
        END IF;
        IF v_older IS NULL THEN
            INSERT INTO observations (id, workspace_id, project_id, session_id, task_id, agent_id, job_id, type, title,
                subtitle, narrative, facts, concepts, files_read, files_modified, language, importance, summary,
                generator, content_hash, occurred_at)
            VALUES (r.id, p_workspace, p_project, r.session_id, r.task_id, r.agent_id, r.job_id, r.type, r.title,
                r.subtitle, r.narrative, coalesce(r.facts, '{}'), coalesce(r.concepts, '{}'),
                coalesce(r.files_read, '{}'), coalesce(r.files_modified, '{}'), r.language, coalesce(r.importance, 0.5),
                coalesce(r.summary, false), coalesce(r.generator, 'manual'), r.content_hash, coalesce(r.occurred_at, now()))
            ON CONFLICT (id) DO NOTHING;
            IF NOT FOUND THEN
                CONTINUE;  -- another session was faster
            END IF;
            INSERT INTO observation_words (workspace_id, project_id, observation_id, words, weights, terms, occurred_at)
            VALUES (p_workspace, p_project, r.id, r.words, r.weights, r.terms, coalesce(r.occurred_at, now()));
            v_new := v_new + 1;
        END IF;
        INSERT INTO observation_sources (workspace_id, project_id, observation_id, event_id)
        SELECT p_workspace, p_project, coalesce(v_older, r.id), e.id FROM agent_events e
        WHERE e.workspace_id = p_workspace AND e.project_id = p_project AND e.id = ANY (r.sources)
        ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS v_sources = ROW_COUNT;
        IF v_older IS NOT NULL AND v_sources > 0 THEN  -- made again of the same, it is not seen again
            UPDATE observations SET seen = seen + 1, version = version + 1, updated_at = now(),
                importance = greatest(importance, r.importance) WHERE id = v_older;
        END IF;
    END LOOP;
    RETURN v_new;
END $$;

-- What it says changed: it is found by its new words at once, and by its new meaning once it has a vector again.
CREATE FUNCTION observation_rewrite(p_workspace uuid, p_project uuid, p_row jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE r record;
BEGIN
    SELECT * INTO r FROM jsonb_to_record(p_row) AS x (
        id uuid, type text, title text, subtitle text, narrative text, facts text[], concepts text[], files_read text[],
        files_modified text[], importance real, content_hash text, occurred_at timestamptz, words bigint[],
        weights sparsevec, terms text[]);
    UPDATE observations SET type = r.type, title = r.title, subtitle = r.subtitle, narrative = r.narrative,
        facts = r.facts, concepts = r.concepts, files_read = r.files_read, files_modified = r.files_modified,
        importance = r.importance, content_hash = r.content_hash, occurred_at = r.occurred_at, version = version + 1,
        updated_at = now() WHERE workspace_id = p_workspace AND project_id = p_project AND id = r.id;
    UPDATE observation_words SET words = r.words, weights = r.weights, terms = r.terms, occurred_at = r.occurred_at
        WHERE workspace_id = p_workspace AND project_id = p_project AND observation_id = r.id;
    DELETE FROM memory_embeddings
        WHERE workspace_id = p_workspace AND observation_id = r.id AND content_hash <> r.content_hash;
END $$;

CREATE FUNCTION observation_json(o observations) RETURNS jsonb LANGUAGE sql STABLE
RETURN jsonb_build_object('id', o.id, 'workspace_id', o.workspace_id, 'project_id', o.project_id,
    'session_id', o.session_id, 'task_id', o.task_id, 'agent_id', o.agent_id, 'job_id', o.job_id, 'type', o.type,
    'title', o.title, 'subtitle', o.subtitle, 'narrative', o.narrative, 'facts', o.facts, 'concepts', o.concepts,
    'files_read', o.files_read, 'files_modified', o.files_modified, 'language', o.language, 'importance', o.importance,
    'summary', o.summary, 'seen', o.seen, 'generator', o.generator, 'occurred_at', o.occurred_at,
    'version', o.version, 'created_at', o.created_at, 'updated_at', o.updated_at);
