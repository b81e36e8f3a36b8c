-- Vectors: which observations wait for one, and how a project moves from one model's to another's.

-- What has no vector of its project's model yet. Narrow and apart from the observations, whose every index a mark of
-- their own would write anew. A trigger puts rows here, so no writer can forget it; storing the vector takes them out.
CREATE TABLE memory_vectors_due (
    workspace_id   uuid NOT NULL,
    project_id     uuid NOT NULL,
    observation_id uuid NOT NULL,
    not_before     timestamptz NOT NULL DEFAULT now(),    -- later than now: somebody is at it, or the provider refused
    attempts       integer NOT NULL DEFAULT 0,            -- times that its text was refused
    error          text,
    PRIMARY KEY (workspace_id, project_id, observation_id),
    FOREIGN KEY (workspace_id, project_id, observation_id) REFERENCES observations (workspace_id, project_id, id)
        ON DELETE CASCADE
) WITH (fillfactor = 70);
CREATE INDEX memory_vectors_due_next ON memory_vectors_due (workspace_id, project_id, not_before);
ALTER TABLE memory_vectors_due ENABLE ROW LEVEL SECURITY;
ALTER TABLE memory_vectors_due FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON memory_vectors_due TO muster_app USING (workspace_id = (SELECT current_workspace()));
CREATE POLICY reach ON memory_vectors_due AS RESTRICTIVE TO muster_app USING
    ((SELECT reaches_all()) OR project_id = (SELECT current_project()));

CREATE FUNCTION note_vectors_due() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO memory_vectors_due (workspace_id, project_id, observation_id)
    SELECT workspace_id, project_id, id FROM arrived ORDER BY id
    ON CONFLICT (workspace_id, project_id, observation_id)
    DO UPDATE SET not_before = now(), attempts = 0, error = NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER note_vectors_due AFTER INSERT ON observations REFERENCING NEW TABLE AS arrived
    FOR EACH STATEMENT EXECUTE FUNCTION note_vectors_due();

CREATE FUNCTION note_vector_stale() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO memory_vectors_due (workspace_id, project_id, observation_id)
    VALUES (NEW.workspace_id, NEW.project_id, NEW.id)
    ON CONFLICT (workspace_id, project_id, observation_id)
    DO UPDATE SET not_before = now(), attempts = 0, error = NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER note_vector_stale AFTER UPDATE OF content_hash ON observations
    FOR EACH ROW WHEN (OLD.content_hash IS DISTINCT FROM NEW.content_hash) EXECUTE FUNCTION note_vector_stale();

-- Held shared by who stores a project's vectors, alone by who switches its model: nobody can store the old model's
-- after they were found complete in the new one's.
CREATE FUNCTION vectors_lock(p_project uuid) RETURNS bigint LANGUAGE sql IMMUTABLE
RETURN hashtextextended('vectors ' || p_project, 0);

-- p_default is what the instance embeds with, and so do projects that say nothing else.
CREATE FUNCTION vectors_model(p_workspace uuid, p_project uuid, p_default text, OUT model text, OUT next_model text)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    SELECT s.model, s.next_model INTO model, next_model FROM memory_settings s
        WHERE s.workspace_id = p_workspace AND s.project_id = p_project;
    model := coalesce(model, p_default);
END $$;

-- Stores vectors of p_model, each for the text it was made of: where that has changed since, nothing. Where the
-- project's model has, neither. Answers how many.
CREATE FUNCTION vectors_put(p_workspace uuid, p_project uuid, p_model text, p_default text, p_ids uuid[],
                            p_hashes text[], p_vectors text[]) RETURNS json LANGUAGE plpgsql AS $$
DECLARE m record; v_stored uuid[];
BEGIN
    PERFORM set_config('app.current_workspace_id', p_workspace::text, true);
    PERFORM pg_advisory_xact_lock_shared(vectors_lock(p_project));
    m := vectors_model(p_workspace, p_project, p_default);
    IF p_model IS DISTINCT FROM m.model AND p_model IS DISTINCT FROM m.next_model THEN
        RETURN json_build_object('stored', 0);
    END IF;
    WITH same AS MATERIALIZED (
        SELECT o.id, o.content_hash, g.vector
        FROM unnest(p_ids, p_hashes, p_vectors) AS g (id, hash, vector)
        JOIN observations o ON o.workspace_id = p_workspace AND o.project_id = p_project AND o.id = g.id
                           AND o.content_hash = g.hash
        ORDER BY o.id FOR SHARE OF o),
    stored AS (
        INSERT INTO memory_embeddings (workspace_id, project_id, observation_id, model, content_hash, embedding)
        SELECT p_workspace, p_project, s.id, p_model, s.content_hash, s.vector::halfvec FROM same s
        ON CONFLICT (workspace_id, observation_id, model) DO UPDATE
            SET content_hash = excluded.content_hash, embedding = excluded.embedding, created_at = now()
        RETURNING observation_id)
    SELECT coalesce(array_agg(observation_id), '{}') INTO v_stored FROM stored;
    IF p_model = m.model THEN
        DELETE FROM memory_vectors_due WHERE workspace_id = p_workspace AND project_id = p_project
            AND observation_id = ANY (v_stored);
    END IF;
    RETURN json_build_object('stored', cardinality(v_stored));
END $$;

-- Of these, those whose text already has a vector of the model somewhere in the workspace get a copy of it. Answers
-- what is left to be embedded.
CREATE FUNCTION vectors_reuse(p_workspace uuid, p_project uuid, p_model text, p_default text, p_ids uuid[])
RETURNS json LANGUAGE plpgsql AS $$
DECLARE v_ids uuid[]; v_hashes text[]; v_vectors text[]; v_reused integer := 0;
BEGIN
    SELECT array_agg(o.id), array_agg(o.content_hash), array_agg(e.embedding::text) INTO v_ids, v_hashes, v_vectors
        FROM observations o, LATERAL (
            SELECT embedding FROM memory_embeddings
            WHERE workspace_id = p_workspace AND model = p_model AND content_hash = o.content_hash LIMIT 1) e
        WHERE o.workspace_id = p_workspace AND o.project_id = p_project AND o.id = ANY (p_ids);
    IF v_ids IS NOT NULL THEN
        v_reused := vectors_put(p_workspace, p_project, p_model, p_default, v_ids, v_hashes, v_vectors) ->> 'stored';
    END IF;
    RETURN json_build_object('reused', v_reused, 'texts', coalesce((
        SELECT json_agg(json_build_object('id', o.id, 'title', o.title, 'subtitle', o.subtitle,
            'narrative', o.narrative, 'facts', o.facts, 'content_hash', o.content_hash) ORDER BY o.id)
        FROM observations o WHERE o.workspace_id = p_workspace AND o.project_id = p_project
            AND o.id = ANY (p_ids) AND NOT o.id = ANY (coalesce(v_ids, '{}'))), '[]'));
END $$;

-- The next that wait for a vector of the project's model. Nobody else gets them for p_seconds: who took them has
-- stored their vectors by then, or died.
CREATE FUNCTION vectors_take(p_workspace uuid, p_project uuid, p_default text, p_limit integer, p_seconds double precision)
RETURNS json LANGUAGE plpgsql AS $$
DECLARE v_ids uuid[]; v_model text;
BEGIN
    PERFORM set_config('app.current_workspace_id', p_workspace::text, true);
    v_model := (vectors_model(p_workspace, p_project, p_default)).model;
    WITH next AS (
        SELECT d.observation_id FROM memory_vectors_due d
        WHERE d.workspace_id = p_workspace AND d.project_id = p_project AND d.not_before <= clock_timestamp()
        ORDER BY d.not_before LIMIT p_limit FOR UPDATE SKIP LOCKED),
    taken AS (
        UPDATE memory_vectors_due d SET not_before = clock_timestamp() + make_interval(secs => p_seconds)
        FROM next n WHERE d.workspace_id = p_workspace AND d.project_id = p_project
            AND d.observation_id = n.observation_id
        RETURNING d.observation_id)
    SELECT coalesce(array_agg(observation_id), '{}') INTO v_ids FROM taken;
    RETURN vectors_reuse(p_workspace, p_project, v_model, p_default, v_ids)::jsonb
        || jsonb_build_object('model', v_model, 'taken', cardinality(v_ids));
END $$;

-- Observations without a vector of p_model for what they say now, in the order of their ids.
CREATE FUNCTION vectors_missing(p_workspace uuid, p_project uuid, p_model text, p_default text, p_after uuid,
                                p_limit integer) RETURNS json
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
DECLARE v_ids uuid[];
BEGIN
    PERFORM set_config('app.current_workspace_id', p_workspace::text, true);
    SELECT coalesce(array_agg(q.id), '{}') INTO v_ids FROM (
        SELECT o.id FROM observations o
        WHERE o.workspace_id = p_workspace AND o.project_id = p_project AND o.id > p_after
          AND NOT EXISTS (SELECT 1 FROM memory_embeddings e WHERE e.workspace_id = p_workspace
              AND e.observation_id = o.id AND e.model = p_model AND e.content_hash = o.content_hash)
        ORDER BY o.id LIMIT p_limit) q;
    RETURN vectors_reuse(p_workspace, p_project, p_model, p_default, v_ids)::jsonb
        || jsonb_build_object('taken', cardinality(v_ids), 'last', v_ids[cardinality(v_ids)]);
END $$;

-- The project is searched by p_model from now on, if every observation has its vector but for those whose text the
-- provider refuses (p_except). `missing`: how many have not.
CREATE FUNCTION vectors_switch(p_workspace uuid, p_project uuid, p_model text, p_default text, p_except uuid[])
RETURNS json LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
DECLARE m record; v_missing integer;
BEGIN
    PERFORM set_config('app.current_workspace_id', p_workspace::text, true);
    PERFORM pg_advisory_xact_lock(vectors_lock(p_project));
    m := vectors_model(p_workspace, p_project, p_default);
    IF m.next_model IS DISTINCT FROM p_model THEN
        RETURN json_build_object('switched', m.model = p_model, 'wanted', m.next_model IS NOT NULL, 'missing', 0);
    END IF;
    SELECT count(*) INTO v_missing FROM (
        SELECT 1 FROM observations o
        WHERE o.workspace_id = p_workspace AND o.project_id = p_project AND NOT o.id = ANY (p_except)
          AND NOT EXISTS (SELECT 1 FROM memory_embeddings e WHERE e.workspace_id = p_workspace
              AND e.observation_id = o.id AND e.model = p_model AND e.content_hash = o.content_hash) LIMIT 1000) q;
    IF v_missing > 0 THEN
        RETURN json_build_object('switched', false, 'wanted', true, 'missing', v_missing);
    END IF;
    UPDATE memory_settings SET model = nullif(p_model, p_default), next_model = NULL, version = version + 1,
            updated_at = now()
        WHERE workspace_id = p_workspace AND project_id = p_project;
    DELETE FROM memory_vectors_due d WHERE d.workspace_id = p_workspace AND d.project_id = p_project
        AND NOT d.observation_id = ANY (p_except)
        AND EXISTS (SELECT 1 FROM memory_embeddings e WHERE e.workspace_id = p_workspace
                    AND e.observation_id = d.observation_id AND e.model = p_model);
    INSERT INTO memory_vectors_due (workspace_id, project_id, observation_id, not_before, error)
        SELECT p_workspace, p_project, o.id, now() + interval '1 hour', 'its text was refused' FROM observations o
        WHERE o.workspace_id = p_workspace AND o.project_id = p_project AND o.id = ANY (p_except)
        ON CONFLICT DO NOTHING;
    RETURN json_build_object('switched', true, 'wanted', true, 'missing', 0);
END $$;

-- Vectors of models that the project neither is nor will be searched by, some at a time. Answers how many went.
CREATE FUNCTION vectors_prune(p_workspace uuid, p_project uuid, p_default text, p_limit integer) RETURNS integer
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
DECLARE m record; v_gone integer;
BEGIN
    PERFORM set_config('app.current_workspace_id', p_workspace::text, true);
    PERFORM pg_advisory_xact_lock_shared(vectors_lock(p_project));
    m := vectors_model(p_workspace, p_project, p_default);
    DELETE FROM memory_embeddings WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM memory_embeddings WHERE workspace_id = p_workspace AND project_id = p_project
            AND model <> m.model AND model <> coalesce(m.next_model, m.model) LIMIT p_limit FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS v_gone = ROW_COUNT;
    RETURN v_gone;
END $$;

-- Asks for a project's vectors of another model. p_jobs: ids the job may have, and the source each stands for: a job
-- that is completed stays so, and the next time is another's. Asking for the model that it has ends what is under way.
CREATE FUNCTION memory_reindex(p_workspace uuid, p_project uuid, p_model text, p_default text, p_jobs text[],
                               p_sources text[], p_request text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE s memory_settings; v_job text; v_source text; v_status memory_job_status;
BEGIN
    INSERT INTO memory_settings (workspace_id, project_id) VALUES (p_workspace, p_project) ON CONFLICT DO NOTHING;
    SELECT * INTO s FROM memory_settings WHERE workspace_id = p_workspace AND project_id = p_project FOR UPDATE;
    IF p_model = coalesce(s.model, p_default) THEN
        UPDATE memory_settings SET model = nullif(model, p_default), next_model = NULL, version = version + 1,
                updated_at = now()
            WHERE workspace_id = p_workspace AND project_id = p_project AND next_model IS NOT NULL;
    ELSE
        SELECT j.id, j.source, m.status INTO v_job, v_source, v_status
            FROM unnest(p_jobs, p_sources) WITH ORDINALITY AS j (id, source, n)
            LEFT JOIN memory_jobs m ON m.workspace_id = p_workspace AND m.id = j.id
            WHERE m.status IS DISTINCT FROM 'completed' ORDER BY j.n LIMIT 1;
        IF v_job IS NULL THEN
            RETURN 'again';
        END IF;
        UPDATE memory_settings SET model = coalesce(model, p_default), next_model = p_model, version = version + 1,
                updated_at = now()
            WHERE workspace_id = p_workspace AND project_id = p_project AND next_model IS DISTINCT FROM p_model;
    END IF;
    UPDATE memory_jobs SET status = 'cancelled', claim = NULL, claimed_at = NULL, finished_at = clock_timestamp(),
            note = 'another model was asked for', version = version + 1, updated_at = clock_timestamp()
        WHERE workspace_id = p_workspace AND project_id = p_project AND kind = 'reindex' AND session_id IS NULL
          AND status IN ('queued', 'processing') AND id IS DISTINCT FROM v_job;
    IF v_job IS NULL THEN
        RETURN NULL;
    ELSIF v_status IS NULL THEN
        INSERT INTO memory_jobs (workspace_id, project_id, id, kind, source_type, source_id, request_id, max_attempts)
            VALUES (p_workspace, p_project, v_job, 'reindex', 'model', v_source, p_request, 20);
        INSERT INTO memory_job_events (workspace_id, project_id, job_id, to_status, attempt)
            VALUES (p_workspace, p_project, v_job, 'queued', 0);
    ELSIF v_status IN ('failed', 'cancelled') THEN
        UPDATE memory_jobs SET status = 'queued', attempts = 0, not_before = NULL, finished_at = NULL, note = NULL,
                error_class = NULL, error = NULL, version = version + 1, updated_at = clock_timestamp()
            WHERE workspace_id = p_workspace AND id = v_job;
    END IF;
    RETURN v_job;
END $$;

-- -- Across tenants: where there is something to do ----------------------------------------------------------------

GRANT SELECT (workspace_id, project_id, not_before) ON memory_vectors_due TO muster_chores;
GRANT SELECT (workspace_id, project_id, model, next_model) ON memory_settings TO muster_chores;
GRANT SELECT (workspace_id, project_id, model) ON memory_embeddings TO muster_chores;
GRANT SELECT (id, workspace_id) ON projects TO muster_chores;
CREATE POLICY chores_vectors ON memory_vectors_due FOR SELECT TO muster_chores USING (true);
CREATE POLICY chores_vectors ON memory_settings FOR SELECT TO muster_chores USING (true);
CREATE POLICY chores_vectors ON memory_embeddings FOR SELECT TO muster_chores USING (true);
CREATE POLICY chores_vectors ON projects FOR SELECT TO muster_chores USING (true);

-- `embed`: something waits for a vector, and nobody is at it. `reindex`: the project says no model of its own, and has
-- vectors of another than the instance's, which was set anew. `prune`: it has vectors of a third.
CREATE FUNCTION chores_vectors(p_default text, p_limit integer)
RETURNS TABLE (workspace_id uuid, project_id uuid, needs text, model text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public AS $$
    SELECT q.* FROM (
        SELECT p.workspace_id, p.id, CASE
                WHEN s.model IS NULL AND s.next_model IS NULL AND m.first IS NOT NULL
                     AND (m.first <> p_default OR m.last <> p_default) THEN 'reindex'
                WHEN EXISTS (SELECT 1 FROM memory_vectors_due d WHERE d.workspace_id = p.workspace_id
                             AND d.project_id = p.id AND d.not_before <= clock_timestamp()) THEN 'embed'
                WHEN m.first NOT IN (coalesce(s.model, p_default), coalesce(s.next_model, s.model, p_default))
                     OR m.last NOT IN (coalesce(s.model, p_default), coalesce(s.next_model, s.model, p_default))
                     THEN 'prune' END AS needs,
            CASE WHEN m.first <> p_default THEN m.first ELSE m.last END
        FROM projects p
        LEFT JOIN memory_settings s ON s.workspace_id = p.workspace_id AND s.project_id = p.id,
        LATERAL (SELECT
            (SELECT e.model FROM memory_embeddings e WHERE e.workspace_id = p.workspace_id AND e.project_id = p.id
             ORDER BY e.model LIMIT 1) AS first,
            (SELECT e.model FROM memory_embeddings e WHERE e.workspace_id = p.workspace_id AND e.project_id = p.id
             ORDER BY e.model DESC LIMIT 1) AS last) m) q
    WHERE q.needs IS NOT NULL LIMIT p_limit
$$;

-- Whether there are vectors of a model at all.
CREATE FUNCTION chores_vectors_of(p_model text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public AS $$
    SELECT EXISTS (SELECT 1 FROM projects p WHERE EXISTS (
        SELECT 1 FROM memory_embeddings e
        WHERE e.workspace_id = p.workspace_id AND e.project_id = p.id AND e.model = p_model))
$$;
GRANT CREATE ON SCHEMA public TO muster_chores;
ALTER FUNCTION chores_vectors(text, integer) OWNER TO muster_chores;
ALTER FUNCTION chores_vectors_of(text) OWNER TO muster_chores;
REVOKE CREATE ON SCHEMA public FROM muster_chores;
REVOKE ALL ON FUNCTION chores_vectors(text, integer), chores_vectors_of(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION chores_vectors(text, integer), chores_vectors_of(text) TO muster_app;
