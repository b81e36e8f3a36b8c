-- Memory: what agents do (events), what is to be made of it (jobs), and what was (observations).
--
-- Everything belongs to a project, and every reference carries workspace and project, so that nothing can point into
-- another's. Jobs are the only queue there is: a job is recorded with its source or not at all.

DROP TABLE memory_embeddings;

CREATE TYPE memory_job_kind AS ENUM ('event', 'event_batch', 'summary', 'reindex');
CREATE TYPE memory_job_status AS ENUM ('queued', 'processing', 'completed', 'failed', 'cancelled');
CREATE TYPE memory_outcome AS ENUM ('observed', 'nothing');

-- The moves of muster/domain/memory.py, kept by the trigger below.
CREATE TABLE memory_job_moves (
    from_status memory_job_status, to_status memory_job_status, PRIMARY KEY (from_status, to_status)
);
INSERT INTO memory_job_moves VALUES
    ('queued', 'processing'), ('queued', 'cancelled'),
    ('processing', 'completed'), ('processing', 'failed'), ('processing', 'cancelled'), ('processing', 'queued'),
    ('failed', 'queued'), ('cancelled', 'queued');
REVOKE INSERT, UPDATE, DELETE ON memory_job_moves FROM muster_app;

-- How a project remembers. No row: the defaults.
CREATE TABLE memory_settings (
    workspace_id      uuid NOT NULL,
    project_id        uuid NOT NULL,
    record_agents     boolean NOT NULL DEFAULT true,      -- agents of its tasks are recorded by themselves
    generator         text NOT NULL DEFAULT 'default',    -- rules, llm, or what the instance is set to
    batch_events      integer NOT NULL DEFAULT 50 CHECK (batch_events BETWEEN 1 AND 500),
    debounce_seconds  real NOT NULL DEFAULT 1 CHECK (debounce_seconds BETWEEN 0 AND 300),
    exclude_paths     text[] NOT NULL DEFAULT '{}',       -- globs: what touches them is not stored
    exclude_tools     text[] NOT NULL DEFAULT '{}',
    retain_days       integer CHECK (retain_days BETWEEN 1 AND 36500),
    retain_importance real CHECK (retain_importance BETWEEN 0 AND 1),  -- what is more important outlives retain_days
    daily_tokens      bigint CHECK (daily_tokens >= 0),   -- of the model, hard
    model             text,                               -- whose vectors are searched; null: the instance's
    next_model        text,                               -- whose vectors are being made beside them
    version           bigint NOT NULL DEFAULT 1,
    updated_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, project_id),
    FOREIGN KEY (workspace_id, project_id) REFERENCES projects (workspace_id, id) ON DELETE CASCADE
);

CREATE TABLE memory_usage (
    workspace_id  uuid NOT NULL,
    project_id    uuid NOT NULL,
    day           date NOT NULL,
    calls         bigint NOT NULL DEFAULT 0,
    input_tokens  bigint NOT NULL DEFAULT 0,
    output_tokens bigint NOT NULL DEFAULT 0,
    reserved      bigint NOT NULL DEFAULT 0,              -- by calls under way: what they may use at most
    PRIMARY KEY (workspace_id, project_id, day),
    FOREIGN KEY (workspace_id, project_id) REFERENCES projects (workspace_id, id) ON DELETE CASCADE
);

-- Whether a workspace's jobs of one kind are worked on. No row: they are.
CREATE TABLE memory_lanes (
    workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
    kind         memory_job_kind NOT NULL,
    paused       boolean NOT NULL DEFAULT false,          -- by a person
    parked_until timestamptz,                             -- by a provider's quota
    reason       text,
    updated_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, kind)
);

CREATE TABLE memory_sessions (
    id           uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    project_id   uuid NOT NULL,
    key          text NOT NULL,                           -- what makes it the same session: see domain/memory.py
    external_id  text CHECK (length(external_id) <= 500),
    platform     text NOT NULL DEFAULT '' CHECK (length(platform) <= 100),
    title        text CHECK (length(title) <= 500),
    agent_id     uuid,
    task_id      uuid,
    metadata     jsonb NOT NULL DEFAULT '{}',
    events       bigint NOT NULL DEFAULT 0,               -- recorded so far
    summarised   bigint NOT NULL DEFAULT 0,               -- of them, when it was last summarised
    version      bigint NOT NULL DEFAULT 1,
    started_at   timestamptz NOT NULL DEFAULT now(),
    ended_at     timestamptz,
    UNIQUE (workspace_id, project_id, id),
    UNIQUE (workspace_id, project_id, key),
    FOREIGN KEY (workspace_id, project_id) REFERENCES projects (workspace_id, id) ON DELETE CASCADE,
    FOREIGN KEY (workspace_id, agent_id) REFERENCES agents (workspace_id, id) ON DELETE CASCADE,
    FOREIGN KEY (workspace_id, task_id) REFERENCES tasks (workspace_id, id) ON DELETE CASCADE
) WITH (fillfactor = 80);
CREATE INDEX memory_sessions_by_age ON memory_sessions (workspace_id, project_id, started_at DESC, id DESC);
CREATE INDEX memory_sessions_by_agent ON memory_sessions (workspace_id, agent_id) WHERE agent_id IS NOT NULL;
CREATE INDEX memory_sessions_by_task ON memory_sessions (workspace_id, task_id) WHERE task_id IS NOT NULL;

CREATE TABLE memory_jobs (
    workspace_id uuid NOT NULL,
    project_id   uuid NOT NULL,
    id           text NOT NULL CHECK (id ~ '^(evt|evtb|sum|rdx)_[0-9a-f]{64}$'),
    kind         memory_job_kind NOT NULL,
    session_id   uuid,                                    -- null: the project's, as a reindex is
    source_type  text NOT NULL,
    source_id    text NOT NULL,
    status       memory_job_status NOT NULL DEFAULT 'queued',
    attempts     integer NOT NULL DEFAULT 0,              -- times it was taken up
    max_attempts integer NOT NULL DEFAULT 5,
    not_before   timestamptz,                             -- after a failure: when it may be taken up again
    claim        uuid,                                    -- who processes it: a later claim fences an earlier one
    claimed_at   timestamptz,
    outcome      memory_outcome,
    observations integer,
    note         text,                                    -- why there was nothing worth keeping, how far it is
    error_class  text,
    error        text,
    request_id   text,
    version      bigint NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    finished_at  timestamptz,
    PRIMARY KEY (workspace_id, id),
    UNIQUE (workspace_id, project_id, id),
    FOREIGN KEY (workspace_id, project_id) REFERENCES projects (workspace_id, id) ON DELETE CASCADE,
    FOREIGN KEY (workspace_id, project_id, session_id) REFERENCES memory_sessions (workspace_id, project_id, id)
        ON DELETE CASCADE,
    CHECK ((finished_at IS NOT NULL) = (status IN ('completed', 'failed', 'cancelled'))),
    CHECK ((claim IS NOT NULL) = (status = 'processing')),
    CHECK ((outcome IS NOT NULL) = (status = 'completed'))
) WITH (fillfactor = 70);
CREATE INDEX memory_jobs_open ON memory_jobs (workspace_id, session_id, kind, created_at)
    WHERE status IN ('queued', 'processing');
CREATE INDEX memory_jobs_by_age ON memory_jobs (workspace_id, created_at DESC, id DESC);
CREATE INDEX memory_jobs_by_session ON memory_jobs (workspace_id, project_id, session_id) WHERE session_id IS NOT NULL;
CREATE INDEX memory_jobs_failed ON memory_jobs (workspace_id, finished_at DESC) WHERE status = 'failed';

CREATE TABLE memory_job_events (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workspace_id uuid NOT NULL,
    project_id   uuid NOT NULL,
    job_id       text NOT NULL,
    from_status  memory_job_status,                       -- null: it was made
    to_status    memory_job_status NOT NULL,
    attempt      integer NOT NULL,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    detail       jsonb NOT NULL DEFAULT '{}',
    FOREIGN KEY (workspace_id, project_id, job_id) REFERENCES memory_jobs (workspace_id, project_id, id)
        ON DELETE CASCADE
);
CREATE INDEX memory_job_events_by_job ON memory_job_events (workspace_id, job_id, id);
REVOKE UPDATE, DELETE ON memory_job_events FROM muster_app;

CREATE TABLE agent_events (
    id           uuid PRIMARY KEY,                        -- derived from what makes it the same event
    workspace_id uuid NOT NULL,
    project_id   uuid NOT NULL,
    session_id   uuid NOT NULL,
    job_id       text,                                    -- null: stored alone
    type         text NOT NULL CHECK (length(type) BETWEEN 1 AND 100),
    adapter      text NOT NULL CHECK (length(adapter) BETWEEN 1 AND 100),
    source_id    text CHECK (length(source_id) <= 500),
    payload      jsonb NOT NULL,
    metadata     jsonb,
    occurred_at  timestamptz NOT NULL,
    received_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (workspace_id, project_id, id),
    FOREIGN KEY (workspace_id, project_id, session_id) REFERENCES memory_sessions (workspace_id, project_id, id)
        ON DELETE CASCADE,
    FOREIGN KEY (workspace_id, project_id, job_id) REFERENCES memory_jobs (workspace_id, project_id, id)
);
CREATE INDEX agent_events_by_session ON agent_events (workspace_id, session_id, occurred_at, id);
CREATE INDEX agent_events_by_job ON agent_events (workspace_id, job_id) WHERE job_id IS NOT NULL;

CREATE TABLE observations (
    id             uuid PRIMARY KEY,                      -- derived from key, or new when made by hand
    workspace_id   uuid NOT NULL,
    project_id     uuid NOT NULL,
    session_id     uuid,
    task_id        uuid,
    agent_id       uuid,
    job_id         text,                                  -- null: made by hand
    type           text NOT NULL CHECK (length(type) BETWEEN 1 AND 50),
    title          text NOT NULL CHECK (length(title) BETWEEN 1 AND 500),
    subtitle       text CHECK (length(subtitle) <= 1000),
    narrative      text,
    facts          text[] NOT NULL DEFAULT '{}',
    concepts       text[] NOT NULL DEFAULT '{}',
    files_read     text[] NOT NULL DEFAULT '{}',
    files_modified text[] NOT NULL DEFAULT '{}',
    language       text,                                  -- ISO 639-1
    importance     real NOT NULL DEFAULT 0.5 CHECK (importance BETWEEN 0 AND 1),
    summary        boolean NOT NULL DEFAULT false,
    seen           integer NOT NULL DEFAULT 1,            -- one more for each near duplicate merged into it
    generator      text NOT NULL DEFAULT 'manual',        -- and its version: rules/1, llm/1 model
    content_hash   text NOT NULL,                         -- of what is embedded
    occurred_at    timestamptz NOT NULL DEFAULT now(),
    version        bigint NOT NULL DEFAULT 1,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    UNIQUE (workspace_id, project_id, id),
    FOREIGN KEY (workspace_id, project_id) REFERENCES projects (workspace_id, id) ON DELETE CASCADE,
    FOREIGN KEY (workspace_id, project_id, session_id) REFERENCES memory_sessions (workspace_id, project_id, id)
        ON DELETE CASCADE,
    FOREIGN KEY (workspace_id, project_id, job_id) REFERENCES memory_jobs (workspace_id, project_id, id)
);
CREATE INDEX observations_by_time ON observations (workspace_id, project_id, occurred_at DESC, id DESC);
CREATE INDEX observations_by_type ON observations (workspace_id, project_id, type, occurred_at DESC);
CREATE INDEX observations_by_session ON observations (workspace_id, session_id, occurred_at) WHERE session_id IS NOT NULL;
CREATE INDEX observations_by_task ON observations (workspace_id, task_id) WHERE task_id IS NOT NULL;
CREATE INDEX observations_by_agent ON observations (workspace_id, agent_id) WHERE agent_id IS NOT NULL;
CREATE INDEX observations_by_job ON observations (workspace_id, job_id) WHERE job_id IS NOT NULL;
CREATE INDEX observations_by_concept ON observations USING gin (concepts);
CREATE INDEX observations_by_file ON observations USING gin ((files_read || files_modified));

CREATE TABLE observation_sources (
    workspace_id   uuid NOT NULL,
    project_id     uuid NOT NULL,
    observation_id uuid NOT NULL,
    event_id       uuid NOT NULL,
    PRIMARY KEY (workspace_id, observation_id, event_id),
    FOREIGN KEY (workspace_id, project_id, observation_id) REFERENCES observations (workspace_id, project_id, id)
        ON DELETE CASCADE,
    FOREIGN KEY (workspace_id, project_id, event_id) REFERENCES agent_events (workspace_id, project_id, id)
        ON DELETE CASCADE
);
CREATE INDEX observation_sources_by_event ON observation_sources (workspace_id, event_id);

-- What words find an observation by. Narrow, so that many are compared in little time.
-- A word is a number: a hash of project and term (domain/words.py). A list of places that hold a word is then a list of
-- this project's alone, however large its neighbours are.
CREATE TABLE observation_words (
    workspace_id   uuid NOT NULL,
    project_id     uuid NOT NULL,
    observation_id uuid NOT NULL,
    words          bigint[] NOT NULL,
    weights        sparsevec(1000000000) NOT NULL,        -- what each counts here (BM25 without the rarity)
    terms          text[] NOT NULL,                       -- as they are written in memory_terms
    counted        boolean NOT NULL DEFAULT false,        -- in memory_terms
    occurred_at    timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, observation_id),
    FOREIGN KEY (workspace_id, project_id, observation_id) REFERENCES observations (workspace_id, project_id, id)
        ON DELETE CASCADE
);
ALTER TABLE observation_words ALTER COLUMN words SET STORAGE PLAIN, ALTER COLUMN weights SET STORAGE PLAIN;
CREATE INDEX observation_words_by_word ON observation_words USING gin (words) WITH (gin_pending_list_limit = 512);
CREATE INDEX observation_words_by_time ON observation_words (workspace_id, project_id, occurred_at DESC);
CREATE INDEX observation_words_uncounted ON observation_words (workspace_id, project_id) WHERE NOT counted;

-- How many observations of a project hold a term: what is rare weighs more, and what is misspelt is found here.
CREATE TABLE memory_terms (
    workspace_id uuid NOT NULL,
    project_id   uuid NOT NULL,
    term         text NOT NULL,
    documents    integer NOT NULL,
    grams        bigint[] NOT NULL DEFAULT '{}',          -- hashes of project and trigram
    PRIMARY KEY (workspace_id, project_id, term),
    FOREIGN KEY (workspace_id, project_id) REFERENCES projects (workspace_id, id) ON DELETE CASCADE
) WITH (fillfactor = 80);
CREATE INDEX memory_terms_by_gram ON memory_terms USING gin (grams);

CREATE TABLE memory_embeddings (
    workspace_id   uuid NOT NULL,
    project_id     uuid NOT NULL,
    observation_id uuid NOT NULL,
    model          text NOT NULL,
    content_hash   text NOT NULL,
    embedding      halfvec NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, observation_id, model),
    FOREIGN KEY (workspace_id, project_id, observation_id) REFERENCES observations (workspace_id, project_id, id)
        ON DELETE CASCADE
);
ALTER TABLE memory_embeddings ALTER COLUMN embedding SET STORAGE PLAIN;
CREATE INDEX memory_embeddings_by_content ON memory_embeddings (workspace_id, model, content_hash);
CREATE INDEX memory_embeddings_by_project ON memory_embeddings (workspace_id, project_id, model);
-- A vector without a length cannot be indexed; its cast to one can. One index for each size that models have.
DO $$
DECLARE d integer;
BEGIN
    FOREACH d IN ARRAY ARRAY[256, 384, 512, 768, 1024, 1536, 3072] LOOP
        EXECUTE format('CREATE INDEX memory_embeddings_%1$s ON memory_embeddings '
            'USING hnsw ((embedding::halfvec(%1$s)) halfvec_cosine_ops) WHERE vector_dims(embedding) = %1$s', d);
    END LOOP;
END $$;

CREATE FUNCTION guard_memory_job_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM memory_job_moves WHERE from_status = OLD.status AND to_status = NEW.status) THEN
        RAISE EXCEPTION 'job % is %; it cannot become %', OLD.id, OLD.status, NEW.status
            USING ERRCODE = 'MUSTR', HINT = 'illegal_move';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard_move BEFORE UPDATE OF status ON memory_jobs
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION guard_memory_job_move();

-- The tenant's, and within it a project's: keys of one project, and agents' tokens, see that project's memory.
DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['memory_settings', 'memory_usage', 'memory_sessions', 'memory_jobs', 'memory_job_events',
                             'agent_events', 'observations', 'observation_sources', 'observation_words',
                             'memory_terms', 'memory_embeddings'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON %I TO muster_app USING (workspace_id = (SELECT current_workspace()))', t);
        EXECUTE format('CREATE POLICY reach ON %I AS RESTRICTIVE TO muster_app USING '
            '((SELECT reaches_all()) OR project_id = (SELECT current_project()))', t);
    END LOOP;
    ALTER TABLE memory_lanes ENABLE ROW LEVEL SECURITY;
    ALTER TABLE memory_lanes FORCE ROW LEVEL SECURITY;
    CREATE POLICY tenant ON memory_lanes TO muster_app USING (workspace_id = (SELECT current_workspace()));
END $$;
