-- Tasks, agents, what they wrote, and what happened to them.

CREATE TYPE task_status AS ENUM ('pending', 'assigned', 'executing', 'completed', 'failed');
CREATE TYPE agent_status AS ENUM ('spawning', 'running', 'completed', 'failed', 'killed');
CREATE TYPE failure_reason AS ENUM (
    'exit_nonzero', 'timeout', 'killed', 'cancelled', 'lost', 'spawn_failed', 'gate_failed', 'budget_exceeded',
    'provider_quota', 'invalid_spec', 'dependency_failed', 'subtask_failed', 'internal'
);
CREATE TYPE event_type AS ENUM (
    'agent.spawned', 'agent.running', 'agent.completed', 'agent.failed', 'agent.killed',
    'task.assigned', 'task.executing', 'task.completed', 'task.failed'
);
CREATE TYPE activity_action AS ENUM (
    'task_created', 'task_queued', 'task_assigned', 'task_executing', 'task_completed', 'task_failed',
    'task_rescheduled', 'task_retried', 'agent_spawned', 'agent_running', 'agent_completed', 'agent_failed',
    'agent_killed', 'agent_kill_requested', 'project_created', 'project_updated', 'project_deleted'
);

-- The moves of muster/domain/states.py, kept by the triggers below.
CREATE TABLE task_moves (
    from_status task_status, to_status task_status, PRIMARY KEY (from_status, to_status)
);
INSERT INTO task_moves VALUES
    ('pending', 'assigned'), ('pending', 'failed'),
    ('assigned', 'executing'), ('assigned', 'pending'), ('assigned', 'failed'),
    ('executing', 'completed'), ('executing', 'failed'), ('executing', 'pending'),
    ('failed', 'pending');
CREATE TABLE agent_moves (
    from_status agent_status, to_status agent_status, PRIMARY KEY (from_status, to_status)
);
INSERT INTO agent_moves VALUES
    ('spawning', 'running'), ('spawning', 'failed'), ('spawning', 'killed'),
    ('running', 'completed'), ('running', 'failed'), ('running', 'killed');
REVOKE INSERT, UPDATE, DELETE ON task_moves, agent_moves FROM muster_app;

CREATE TABLE tasks (
    id              uuid PRIMARY KEY,
    workspace_id    uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
    project_id      uuid,
    parent_id       uuid,
    title           text NOT NULL CHECK (length(title) BETWEEN 1 AND 500),
    prompt          text,
    status          task_status NOT NULL DEFAULT 'pending',
    priority        smallint NOT NULL DEFAULT 5 CHECK (priority BETWEEN 1 AND 10),
    labels          text[] NOT NULL DEFAULT '{}',
    metadata        jsonb NOT NULL DEFAULT '{}',
    timeout_seconds double precision CHECK (timeout_seconds > 0),
    retry           jsonb NOT NULL,
    runner          jsonb,                          -- null: it stands for its subtasks
    runs            boolean NOT NULL GENERATED ALWAYS AS (runner IS NOT NULL) STORED,
    run             integer NOT NULL DEFAULT 1,     -- one more for each retry by a person
    attempts        integer NOT NULL DEFAULT 0,
    agent_id        uuid,                           -- the current or latest agent
    result          jsonb,
    reason          failure_reason,
    error           text,
    awaits_subtasks boolean NOT NULL DEFAULT false,
    queued_at       timestamptz,                    -- set while it waits for a slot
    next_attempt_at timestamptz,                    -- set while it waits out a backoff
    request_hash    text,
    request_id      text,
    created_by      uuid,
    version         bigint NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    started_at      timestamptz,
    finished_at     timestamptz,
    UNIQUE (workspace_id, id),
    FOREIGN KEY (workspace_id, project_id) REFERENCES projects (workspace_id, id),
    FOREIGN KEY (workspace_id, parent_id) REFERENCES tasks (workspace_id, id),
    CHECK (parent_id <> id),
    CHECK ((finished_at IS NOT NULL) = (status IN ('completed', 'failed'))),
    CHECK ((reason IS NOT NULL) = (status = 'failed')),
    CHECK (queued_at IS NULL OR status = 'pending'),
    CHECK (next_attempt_at IS NULL OR status = 'pending')
) WITH (fillfactor = 80);
CREATE INDEX tasks_by_age ON tasks (workspace_id, created_at DESC, id DESC);
CREATE INDEX tasks_by_status ON tasks (workspace_id, status, created_at DESC, id DESC);
CREATE INDEX tasks_by_project ON tasks (workspace_id, project_id, created_at DESC, id DESC);
CREATE INDEX tasks_by_parent ON tasks (workspace_id, parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX tasks_by_label ON tasks USING gin (labels);
CREATE INDEX tasks_queue ON tasks (workspace_id, priority DESC, created_at, id) WHERE queued_at IS NOT NULL;
CREATE INDEX tasks_open ON tasks (workspace_id, updated_at) WHERE status IN ('pending', 'assigned', 'executing');

CREATE TABLE task_dependencies (
    workspace_id  uuid NOT NULL,
    task_id       uuid NOT NULL,
    depends_on_id uuid NOT NULL,
    PRIMARY KEY (workspace_id, task_id, depends_on_id),
    FOREIGN KEY (workspace_id, task_id) REFERENCES tasks (workspace_id, id) ON DELETE CASCADE,
    FOREIGN KEY (workspace_id, depends_on_id) REFERENCES tasks (workspace_id, id),
    CHECK (task_id <> depends_on_id)
);
CREATE INDEX task_dependents ON task_dependencies (workspace_id, depends_on_id);

CREATE TABLE agents (
    id               uuid PRIMARY KEY,
    workspace_id     uuid NOT NULL,
    task_id          uuid NOT NULL,
    attempt          integer NOT NULL CHECK (attempt >= 1),
    run              integer NOT NULL,
    status           agent_status NOT NULL DEFAULT 'spawning',
    reason           failure_reason,
    error            text,
    exit_code        integer,
    result           jsonb,
    runner           jsonb NOT NULL,
    worker           text,
    kill_request     jsonb,
    output_lines     bigint NOT NULL DEFAULT 0,
    output_truncated boolean NOT NULL DEFAULT false,
    version          bigint NOT NULL DEFAULT 1,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    started_at       timestamptz,
    finished_at      timestamptz,
    UNIQUE (workspace_id, id),
    UNIQUE (workspace_id, task_id, attempt),
    FOREIGN KEY (workspace_id, task_id) REFERENCES tasks (workspace_id, id) ON DELETE CASCADE,
    CHECK ((finished_at IS NOT NULL) = (status IN ('completed', 'failed', 'killed'))),
    CHECK ((reason IS NOT NULL) = (status IN ('failed', 'killed')))
) WITH (fillfactor = 80);
ALTER TABLE tasks ADD FOREIGN KEY (workspace_id, agent_id) REFERENCES agents (workspace_id, id)
    DEFERRABLE INITIALLY DEFERRED;
-- A task never has two agents at once, whatever the code above it believes.
CREATE UNIQUE INDEX agents_one_active ON agents (task_id) WHERE status IN ('spawning', 'running');
CREATE INDEX agents_active ON agents (workspace_id, created_at) WHERE status IN ('spawning', 'running');
CREATE INDEX agents_by_age ON agents (workspace_id, created_at DESC, id DESC);
CREATE INDEX agents_by_status ON agents (workspace_id, status, created_at DESC, id DESC);

CREATE TABLE agent_output (
    workspace_id uuid NOT NULL,
    agent_id     uuid NOT NULL,
    first_line   bigint NOT NULL,
    last_line    bigint NOT NULL CHECK (last_line >= first_line),
    lines        jsonb NOT NULL,                    -- [[n, stream, time, text], …]
    PRIMARY KEY (workspace_id, agent_id, first_line),
    FOREIGN KEY (workspace_id, agent_id) REFERENCES agents (workspace_id, id) ON DELETE CASCADE
);

-- The log's order. The row is also the workspace's mutex: every move takes it first and holds it until it
-- commits, so a position is visible only when all before it are, and readers need no horizon.
CREATE TABLE workspace_log (
    workspace_id uuid PRIMARY KEY REFERENCES workspaces ON DELETE CASCADE,
    position     bigint NOT NULL DEFAULT 0,
    published    bigint NOT NULL DEFAULT 0          -- subscribers were told up to here, and perhaps further
) WITH (fillfactor = 10);

CREATE TABLE events (
    workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
    position     bigint NOT NULL,
    id           uuid NOT NULL UNIQUE,
    type         event_type NOT NULL,
    task_id      uuid NOT NULL,
    agent_id     uuid,
    attempt      integer NOT NULL,
    at           timestamptz NOT NULL,
    data         jsonb NOT NULL,
    PRIMARY KEY (workspace_id, position),
    FOREIGN KEY (workspace_id, task_id) REFERENCES tasks (workspace_id, id) ON DELETE CASCADE,
    FOREIGN KEY (workspace_id, agent_id) REFERENCES agents (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX events_by_task ON events (workspace_id, task_id, position);
CREATE INDEX events_by_agent ON events (workspace_id, agent_id, position) WHERE agent_id IS NOT NULL;

CREATE TABLE activity_log (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
    at           timestamptz NOT NULL DEFAULT now(),
    user_id      uuid,
    action       activity_action NOT NULL,
    entity_id    uuid NOT NULL,
    detail       jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX activity_log_by_time ON activity_log (workspace_id, id DESC);
CREATE INDEX activity_log_by_entity ON activity_log (workspace_id, entity_id, id DESC);
REVOKE UPDATE, DELETE ON activity_log, events FROM muster_app;

CREATE TABLE idempotency_keys (
    workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
    key          text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    request_hash text NOT NULL,
    answer       jsonb,                             -- null while the request is in flight
    created_at   timestamptz NOT NULL DEFAULT now(),
    taken_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, key)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['tasks', 'task_dependencies', 'agents', 'agent_output', 'workspace_log', 'events',
                             'activity_log', 'idempotency_keys'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON %I TO muster_app USING (workspace_id = (SELECT current_workspace()))', t);
    END LOOP;
END $$;

CREATE FUNCTION guard_task_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM task_moves WHERE from_status = OLD.status AND to_status = NEW.status) THEN
        RAISE EXCEPTION 'task % is %; it cannot become %', OLD.id, OLD.status, NEW.status
            USING ERRCODE = 'MUSTR', HINT = 'illegal_move';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard_move BEFORE UPDATE OF status ON tasks
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION guard_task_move();

CREATE FUNCTION guard_agent_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM agent_moves WHERE from_status = OLD.status AND to_status = NEW.status) THEN
        RAISE EXCEPTION 'agent % is %; it cannot become %', OLD.id, OLD.status, NEW.status
            USING ERRCODE = 'MUSTR', HINT = 'illegal_move';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard_move BEFORE UPDATE OF status ON agents
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION guard_agent_move();
