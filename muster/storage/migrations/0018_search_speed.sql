-- What a search asks most, planned once for each connection instead of with every search.

-- Whose the rest of the statement is, and their workspace. For functions that are given what it answers:
-- `FROM enter($1) w, memory_told(w, $2)`. They cannot run before it has, and the statement can be prepared.
CREATE FUNCTION enter(p_who text[]) RETURNS uuid LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('app.current_workspace_id', p_who[1], true);
    IF cardinality(p_who) > 1 THEN
        PERFORM set_config('app.current_user_id', p_who[2], true),
                set_config('app.current_project_id', p_who[3], true),
                set_config('app.current_task_id', p_who[4], true),
                set_config('app.administrator', p_who[5], true);
    END IF;
    RETURN p_who[1]::uuid;
END $$;

-- Where is searched: the projects named, or all that the caller reaches; of each whose vectors it has, and how many of
-- its observations hold each of the terms. With how many vectors there are of everybody, about.
CREATE FUNCTION memory_place(p_workspace uuid, p_refs text[], p_ids uuid[], p_terms text[])
RETURNS TABLE (project_id uuid, slug text, model text, term text, documents integer, vectors real)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan SET max_parallel_workers_per_gather = 0 AS $$
DECLARE v_vectors real := (SELECT reltuples FROM pg_class WHERE oid = 'memory_embeddings'::regclass);
BEGIN
    RETURN QUERY SELECT p.id, p.slug, s.model, t.term, t.documents, v_vectors FROM projects p
        LEFT JOIN memory_settings s ON s.workspace_id = p.workspace_id AND s.project_id = p.id
        LEFT JOIN memory_terms t ON t.workspace_id = p.workspace_id AND t.project_id = p.id AND t.term = ANY (p_terms)
        WHERE p.workspace_id = p_workspace AND (p_refs IS NULL OR p.slug = ANY (p_refs) OR p.id = ANY (p_ids));
END $$;

-- What ids stand for, as far as the caller may see it. As columns: to write JSON here takes longer than all else.
CREATE FUNCTION memory_told(p_workspace uuid, p_ids uuid[])
RETURNS TABLE (id text, type text, title text, subtitle text, narrative text, facts text[], concepts text[],
               files_read text[], files_modified text[], project_id text, session_id text, task_id text, agent_id text,
               importance real, summary boolean, seen integer, occurred_at timestamptz)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan SET max_parallel_workers_per_gather = 0 AS $$
BEGIN
    -- Each by its id, whatever share of all rows the workspace is believed to have.
    RETURN QUERY SELECT o.id::text, o.type, o.title, o.subtitle, o.narrative, o.facts, o.concepts, o.files_read,
               o.files_modified, o.project_id::text, o.session_id::text, o.task_id::text, o.agent_id::text, o.importance,
               o.summary, o.seen, o.occurred_at
        FROM unnest(p_ids) AS k (id), LATERAL (
            SELECT * FROM observations n WHERE n.id = k.id AND n.workspace_id = p_workspace OFFSET 0) o;
END $$;

-- What is new waits in a list that each correction of spelling reads to its end, up to 4 MB by default.
ALTER INDEX memory_terms_by_gram SET (gin_pending_list_limit = 128);

-- -- Behind the doors -----------------------------------------------------------------------------------------------
-- For the two that follow, which say whose rows; called by anybody else they see what that caller sees. A plan for any
-- project expects many rows, and to start other processes for them takes longer than to read those that there are.

-- The best by words of a project that is not filtered.
CREATE FUNCTION memory_worded(p_workspace uuid, p_projects uuid[], p_any bigint[], p_worth sparsevec, p_limit integer)
RETURNS TABLE (observation_id uuid, score real) LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan SET max_parallel_workers_per_gather = 0
SET enable_seqscan = off SET enable_indexscan = off AS $$
BEGIN
    RETURN QUERY SELECT w.observation_id, (-(w.weights <#> p_worth))::real FROM observation_words w
        -- Written so that no index but that of words fits: a plan for any project might take a large one for small.
        WHERE w.words && p_any AND w.workspace_id IS NOT DISTINCT FROM p_workspace
          AND array_position(p_projects, w.project_id) IS NOT NULL
        ORDER BY 2 DESC, 1 DESC LIMIT p_limit;
END $$;

-- The nearest of all there are.
CREATE FUNCTION memory_compared(p_workspace uuid, p_projects uuid[], p_model text, p_vector halfvec, p_limit integer)
RETURNS TABLE (observation_id uuid, distance real) LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan SET max_parallel_workers_per_gather = 0 SET enable_seqscan = off AS $$
DECLARE v_size integer := vector_dims(p_vector);
BEGIN
    RETURN QUERY SELECT e.observation_id, (e.embedding <=> p_vector)::real FROM memory_embeddings e
        WHERE e.workspace_id = p_workspace AND e.project_id = ANY (p_projects) AND e.model = p_model
          AND vector_dims(e.embedding) = v_size ORDER BY 2, 1 LIMIT p_limit;
END $$;

-- The nearest as the index finds them, for each length that has one (0009_memory.sql).
DO $$
DECLARE d integer;
BEGIN
    FOREACH d IN ARRAY ARRAY[256, 384, 512, 768, 1024, 1536, 3072] LOOP
        EXECUTE format($f$
CREATE FUNCTION memory_nearest_%1$s(p_workspace uuid, p_projects uuid[], p_model text, p_vector halfvec, p_limit integer)
RETURNS TABLE (observation_id uuid, distance real) LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan
SET max_parallel_workers_per_gather = 0 SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $b$
BEGIN
    RETURN QUERY SELECT q.observation_id, q.d FROM (
        SELECT e.observation_id, (e.embedding::halfvec(%1$s) <=> p_vector::halfvec(%1$s))::real AS d
        FROM memory_embeddings e
        WHERE e.workspace_id = p_workspace AND e.project_id = ANY (p_projects) AND e.model = p_model
          AND vector_dims(e.embedding) = %1$s
        ORDER BY e.embedding::halfvec(%1$s) <=> p_vector::halfvec(%1$s) LIMIT p_limit) q ORDER BY q.d, q.observation_id;
END $b$ $f$, d);
    END LOOP;
END $$;

-- -- The doors ------------------------------------------------------------------------------------------------------

-- As in 0014_search.sql; what neither filters nor asks for words that stand together is planned already.
CREATE OR REPLACE FUNCTION memory_by_words(p_workspace uuid, p_projects uuid[], p_any bigint[], p_sets text[],
    p_worth sparsevec, p_filters text[], p_after timestamptz, p_before timestamptz, p_scan integer, p_limit integer)
RETURNS TABLE (observation_id uuid, score real) LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public AS $$
DECLARE v_scope text; v_words text;
BEGIN
    IF p_scan IS NULL AND cardinality(p_sets) = 0 AND p_filters IS NULL AND p_after IS NULL AND p_before IS NULL THEN
        RETURN QUERY SELECT m.observation_id, m.score FROM memory_worded(
            CASE WHEN p_workspace = current_workspace() THEN p_workspace END,
            ARRAY(SELECT p FROM unnest(p_projects) p WHERE reaches_all() OR p = current_project()),
            p_any, p_worth, p_limit) m;
        RETURN;
    END IF;
    v_scope := memory_scope(p_workspace, p_projects, p_after, p_before, p_filters);
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

-- As in 0014_search.sql; what is not filtered is planned already.
CREATE OR REPLACE FUNCTION memory_by_meaning(p_workspace uuid, p_projects uuid[], p_model text, p_vector halfvec,
    p_filters text[], p_after timestamptz, p_before timestamptz, p_exact boolean, p_effort integer, p_limit integer)
RETURNS TABLE (observation_id uuid, distance real) LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public AS $$
DECLARE
    v_narrow boolean := p_filters IS NOT NULL OR p_after IS NOT NULL OR p_before IS NOT NULL;
    v_size integer := vector_dims(p_vector);
    v_workspace uuid := CASE WHEN p_workspace = current_workspace() THEN p_workspace END;
    v_projects uuid[] := ARRAY(SELECT p FROM unnest(p_projects) p WHERE reaches_all() OR p = current_project());
    v_scope text;
BEGIN
    IF p_exact AND NOT v_narrow THEN
        RETURN QUERY SELECT m.observation_id, m.distance
            FROM memory_compared(v_workspace, v_projects, p_model, p_vector, p_limit) m;
        RETURN;
    END IF;
    IF NOT p_exact THEN
        PERFORM set_config('hnsw.iterative_scan', 'relaxed_order', true),
                set_config('hnsw.ef_search', p_effort::text, true);
    END IF;
    IF NOT v_narrow AND v_size IN (256, 384, 512, 768, 1024, 1536, 3072) THEN
        RETURN QUERY EXECUTE format('SELECT * FROM memory_nearest_%s($1, $2, $3, $4, $5)', v_size)
            USING v_workspace, v_projects, p_model, p_vector, p_limit;
        RETURN;
    END IF;
    v_scope := memory_scope(p_workspace, p_projects, p_after, p_before, p_filters);
    IF p_exact THEN
        PERFORM set_config('enable_seqscan', 'off', true);
        RETURN QUERY EXECUTE format(
            'SELECT e.observation_id, (e.embedding <=> $1)::real FROM '
            '(SELECT w.workspace_id, w.observation_id FROM observation_words w WHERE %s OFFSET 0) n '
            'JOIN memory_embeddings e ON e.workspace_id = n.workspace_id AND e.observation_id = n.observation_id '
            'WHERE e.model = %L AND vector_dims(e.embedding) = %s ORDER BY 2, 1 LIMIT %s',
            v_scope, p_model, v_size, p_limit) USING p_vector;
        PERFORM set_config('enable_seqscan', 'on', true);
    ELSE
        PERFORM set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
                set_config('enable_sort', 'off', true);
        RETURN QUERY EXECUTE format(
            'SELECT q.observation_id, q.d FROM (SELECT e.observation_id, (e.embedding::halfvec(%1$s) <=> $1::halfvec(%1$s)) AS o, '
            '(e.embedding::halfvec(%1$s) <=> $1::halfvec(%1$s))::real AS d FROM memory_embeddings e '
            'WHERE e.workspace_id = %2$L AND e.project_id = ANY (%3$L) AND e.model = %4$L AND vector_dims(e.embedding) = %1$s %5$s '
            'ORDER BY e.embedding::halfvec(%1$s) <=> $1::halfvec(%1$s) LIMIT %6$s) q ORDER BY q.d, q.observation_id',
            v_size, v_workspace, v_projects, p_model,
            CASE WHEN v_narrow THEN format('AND coalesce((SELECT %s FROM observation_words w WHERE '
                'w.workspace_id = e.workspace_id AND w.observation_id = e.observation_id), false)', v_scope) ELSE '' END,
            p_limit) USING p_vector;
        PERFORM set_config('enable_seqscan', 'on', true), set_config('enable_bitmapscan', 'on', true),
                set_config('enable_sort', 'on', true);
    END IF;
END $$;
