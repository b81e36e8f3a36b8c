-- Who may do what: keys, roles, how far a key reaches inside its workspace, and a trace of every write.

ALTER TYPE activity_action ADD VALUE 'workspace_created';
ALTER TYPE activity_action ADD VALUE 'workspace_updated';
ALTER TYPE activity_action ADD VALUE 'workspace_stopped';
ALTER TYPE activity_action ADD VALUE 'workspace_draining';
ALTER TYPE activity_action ADD VALUE 'workspace_resumed';
ALTER TYPE activity_action ADD VALUE 'user_created';
ALTER TYPE activity_action ADD VALUE 'user_updated';
ALTER TYPE activity_action ADD VALUE 'member_created';
ALTER TYPE activity_action ADD VALUE 'member_updated';
ALTER TYPE activity_action ADD VALUE 'member_deleted';
ALTER TYPE activity_action ADD VALUE 'key_created';
ALTER TYPE activity_action ADD VALUE 'key_updated';
ALTER TYPE activity_action ADD VALUE 'key_revoked';
ALTER TYPE activity_action ADD VALUE 'key_deleted';

CREATE TYPE key_scope AS ENUM (
    'tasks:read', 'tasks:write', 'agents:read', 'agents:write', 'events:read', 'memory:read', 'memory:write', 'admin'
);

-- What a transaction says of itself, beside its workspace and user. All of it ends with the transaction.
CREATE FUNCTION current_project() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
RETURN nullif(current_setting('app.current_project_id', true), '')::uuid;

CREATE FUNCTION current_task() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
RETURN nullif(current_setting('app.current_task_id', true), '')::uuid;

CREATE FUNCTION current_actor() RETURNS jsonb LANGUAGE sql STABLE PARALLEL SAFE
RETURN nullif(current_setting('app.actor', true), '')::jsonb;

CREATE FUNCTION is_administrator() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(current_setting('app.administrator', true), '') = 'on';

-- Whether it reaches the whole workspace, as all but the keys of one project and of one agent do.
CREATE FUNCTION reaches_all() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
RETURN current_project() IS NULL AND current_task() IS NULL;

ALTER TABLE users ADD COLUMN administrator boolean NOT NULL DEFAULT false;
-- They stay, as whatever they did does.
REVOKE DELETE ON users, workspaces FROM muster_app;

CREATE TABLE api_keys (
    id           uuid PRIMARY KEY,
    workspace_id uuid REFERENCES workspaces ON DELETE CASCADE,  -- null: an administrator's, good for any workspace
    project_id   uuid,
    user_id      uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    name         text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    hash         bytea NOT NULL CHECK (length(hash) = 32),
    scopes       key_scope[] NOT NULL CHECK (cardinality(scopes) > 0),
    role         member_role NOT NULL,
    created_by   uuid,
    created_with uuid,                                          -- the key that made it
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    last_used_at timestamptz,
    revoked_at   timestamptz,
    FOREIGN KEY (workspace_id, project_id) REFERENCES projects (workspace_id, id) ON DELETE CASCADE,
    CHECK (project_id IS NULL OR workspace_id IS NOT NULL)
);
CREATE INDEX api_keys_by_age ON api_keys (workspace_id, created_at DESC, id DESC);
CREATE INDEX api_keys_by_user ON api_keys (user_id);
CREATE INDEX api_keys_by_project ON api_keys (workspace_id, project_id) WHERE project_id IS NOT NULL;
-- A hash goes in, and comes out through chores_key() alone.
REVOKE ALL ON api_keys FROM muster_app;
GRANT INSERT ON api_keys TO muster_app;
GRANT SELECT (id, workspace_id, project_id, user_id, name, scopes, role, created_by, created_with, created_at,
              updated_at, expires_at, last_used_at, revoked_at) ON api_keys TO muster_app;
GRANT UPDATE (name, expires_at, last_used_at, revoked_at, updated_at) ON api_keys TO muster_app;
ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE api_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON api_keys TO muster_app USING (
    reaches_all() AND (workspace_id = (SELECT current_workspace()) OR (workspace_id IS NULL AND is_administrator()))
);

-- -- Who sees and changes what ------------------------------------------------------------------------------------

-- Users and workspaces are made by administrators. A member sees fellow members.
DROP POLICY own_or_fellow ON users;
CREATE POLICY own_or_fellow ON users FOR SELECT TO muster_app USING (
    id = (SELECT current_user_id()) OR (SELECT is_administrator())
    OR EXISTS (SELECT 1 FROM workspace_members m
               WHERE m.user_id = users.id AND m.workspace_id = (SELECT current_workspace()))
);
CREATE POLICY administrators ON users TO muster_app USING ((SELECT is_administrator()));

DROP POLICY tenant ON workspaces;
CREATE POLICY tenant ON workspaces FOR SELECT TO muster_app USING (
    id = (SELECT current_workspace()) OR (SELECT is_administrator())
);
CREATE POLICY own ON workspaces FOR UPDATE TO muster_app USING (
    id = (SELECT current_workspace()) AND (SELECT reaches_all())
);
CREATE POLICY administrators ON workspaces FOR INSERT TO muster_app WITH CHECK ((SELECT is_administrator()));

-- Whoever is held to a project sees the members and makes none.
DROP POLICY tenant ON workspace_members;
CREATE POLICY tenant ON workspace_members FOR SELECT TO muster_app USING (workspace_id = (SELECT current_workspace()));
CREATE POLICY whole ON workspace_members TO muster_app USING (
    workspace_id = (SELECT current_workspace()) AND (SELECT reaches_all())
);

-- Keys of one project, and those of agents, are held to what is theirs by the database too. What is reached through
-- a task or an agent is asked for row by row, and only for such keys: as a subquery of the policy it would be part of
-- every plan, and each statement would pay for starting it.
CREATE FUNCTION reaches_task(p_workspace uuid, p_task uuid) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN EXISTS (SELECT 1 FROM tasks t WHERE t.workspace_id = p_workspace AND t.id = p_task);
END $$;
CREATE FUNCTION reaches_agent(p_workspace uuid, p_agent uuid) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN EXISTS (SELECT 1 FROM agents a WHERE a.workspace_id = p_workspace AND a.id = p_agent);
END $$;
CREATE POLICY reach ON tasks AS RESTRICTIVE TO muster_app USING (
    (SELECT reaches_all()) OR project_id = (SELECT current_project())
    OR id = (SELECT current_task()) OR parent_id = (SELECT current_task())
);
CREATE POLICY reach ON task_dependencies AS RESTRICTIVE TO muster_app USING (
    (SELECT reaches_all()) OR reaches_task(workspace_id, task_id)
);
CREATE POLICY reach ON agents AS RESTRICTIVE TO muster_app USING (
    (SELECT reaches_all()) OR reaches_task(workspace_id, task_id)
);
CREATE POLICY reach ON agent_output AS RESTRICTIVE TO muster_app USING (
    (SELECT reaches_all()) OR reaches_agent(workspace_id, agent_id)
);
CREATE POLICY reach ON events AS RESTRICTIVE TO muster_app USING (
    (SELECT reaches_all()) OR reaches_task(workspace_id, task_id)
);
CREATE POLICY reach ON projects AS RESTRICTIVE TO muster_app USING (
    (SELECT reaches_all()) OR id = (SELECT current_project())
);
CREATE POLICY reach ON calendar_events AS RESTRICTIVE TO muster_app USING (
    (SELECT reaches_all()) OR project_id = (SELECT current_project())
);
CREATE POLICY reach ON memory_embeddings AS RESTRICTIVE TO muster_app USING (
    (SELECT reaches_all()) OR project_id = (SELECT current_project())
);
CREATE POLICY reach ON activity_log AS RESTRICTIVE FOR SELECT TO muster_app USING ((SELECT reaches_all()));

-- -- The doors between tenants ------------------------------------------------------------------------------------

GRANT SELECT (id, slug, weight, requests_per_second, max_body_bytes) ON workspaces TO muster_chores;
GRANT SELECT (id, status) ON projects TO muster_chores;
GRANT SELECT (created_by, project_id) ON tasks TO muster_chores;
GRANT SELECT (task_id) ON agents TO muster_chores;
GRANT SELECT (id, administrator) ON users TO muster_chores;
GRANT SELECT ON workspace_members, api_keys TO muster_chores;
CREATE POLICY chores ON users FOR SELECT TO muster_chores USING (true);
CREATE POLICY chores ON projects FOR SELECT TO muster_chores USING (true);
CREATE POLICY chores ON workspace_members FOR SELECT TO muster_chores USING (true);
CREATE POLICY chores ON api_keys FOR SELECT TO muster_chores USING (true);

-- One key, to check it by: its hash, what it opens, and what its user is in the workspace now.
CREATE FUNCTION chores_key(p_key uuid) RETURNS TABLE (
    hash bytea, project_id uuid, user_id uuid, scopes text[], role member_role, member member_role,
    administrator boolean, expires_at timestamptz, revoked boolean, last_used_at timestamptz,
    workspace_id uuid, slug text, weight smallint, requests_per_second integer, max_body_bytes integer
) LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public AS $$
    SELECT k.hash, k.project_id, k.user_id, k.scopes::text[], k.role, m.role, u.administrator,
           k.expires_at, k.revoked_at IS NOT NULL, k.last_used_at,
           w.id, w.slug, w.weight, w.requests_per_second, w.max_body_bytes
    FROM api_keys k JOIN users u ON u.id = k.user_id
    LEFT JOIN workspaces w ON w.id = k.workspace_id
    LEFT JOIN workspace_members m ON m.workspace_id = k.workspace_id AND m.user_id = k.user_id
    WHERE k.id = p_key
$$;

-- The agent that a token names: whether it lives, and what it may reach.
CREATE FUNCTION chores_agent(p_agent uuid) RETURNS TABLE (
    task_id uuid, project_id uuid, user_id uuid, alive boolean,
    workspace_id uuid, slug text, weight smallint, requests_per_second integer, max_body_bytes integer
) LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public AS $$
    SELECT a.task_id, t.project_id, t.created_by, a.status IN ('spawning', 'running'),
           w.id, w.slug, w.weight, w.requests_per_second, w.max_body_bytes
    FROM agents a JOIN tasks t ON t.workspace_id = a.workspace_id AND t.id = a.task_id
    JOIN workspaces w ON w.id = a.workspace_id
    WHERE a.id = p_agent
$$;

-- The workspace an administrator names, by id or slug.
CREATE FUNCTION chores_workspace(p_ref text) RETURNS TABLE (
    workspace_id uuid, slug text, weight smallint, requests_per_second integer, max_body_bytes integer
) LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public AS $$
    SELECT w.id, w.slug, w.weight, w.requests_per_second, w.max_body_bytes FROM workspaces w WHERE w.slug = p_ref OR w.id::text = lower(p_ref)
$$;

GRANT CREATE ON SCHEMA public TO muster_chores;
ALTER FUNCTION chores_key(uuid) OWNER TO muster_chores;
ALTER FUNCTION chores_agent(uuid) OWNER TO muster_chores;
ALTER FUNCTION chores_workspace(text) OWNER TO muster_chores;
REVOKE CREATE ON SCHEMA public FROM muster_chores;
REVOKE ALL ON FUNCTION chores_key(uuid), chores_agent(uuid), chores_workspace(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION chores_key(uuid), chores_agent(uuid), chores_workspace(text) TO muster_app;

-- -- The trace of every write -------------------------------------------------------------------------------------

-- Whoever writes a row need not think of these; the transaction knows.
ALTER TABLE activity_log
    ADD COLUMN key_id uuid DEFAULT (current_actor() ->> 'key_id')::uuid,
    ADD COLUMN agent_id uuid DEFAULT (current_actor() ->> 'agent_id')::uuid,
    ADD COLUMN address text DEFAULT current_actor() ->> 'address',
    ADD COLUMN request_id text DEFAULT current_actor() ->> 'request_id';
CREATE INDEX activity_log_by_request ON activity_log (workspace_id, request_id) WHERE request_id IS NOT NULL;

-- What changed, without what changes each time and what nobody may read.
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    v_silent text[] := ARRAY['hash', 'version', 'created_at', 'updated_at', 'last_used_at'];
    v_old jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) - v_silent END;
    v_new jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) - v_silent END;
    v_row jsonb := coalesce(v_new, v_old);
    v_action text := TG_ARGV[0] || CASE TG_OP WHEN 'INSERT' THEN '_created' WHEN 'UPDATE' THEN '_updated' ELSE '_deleted' END;
    v_before jsonb := v_old; v_after jsonb := v_new;
    v_workspace uuid := coalesce(
        CASE WHEN TG_ARGV[0] = 'workspace' THEN v_row ->> 'id' ELSE v_row ->> 'workspace_id' END::uuid,
        current_workspace());
BEGIN
    IF TG_OP = 'UPDATE' THEN
        SELECT jsonb_object_agg(o.key, o.value), jsonb_object_agg(o.key, v_new -> o.key) INTO v_before, v_after
            FROM jsonb_each(v_old) o WHERE o.value IS DISTINCT FROM v_new -> o.key;
        IF v_before IS NULL THEN
            RETURN NULL;
        END IF;
        IF TG_ARGV[0] = 'workspace' AND v_after ? 'admission' THEN
            v_action := CASE v_after ->> 'admission' WHEN 'stopped' THEN 'workspace_stopped'
                WHEN 'draining' THEN 'workspace_draining' ELSE 'workspace_resumed' END;
        ELSIF TG_ARGV[0] = 'key' AND v_after ->> 'revoked_at' IS NOT NULL THEN
            v_action := 'key_revoked';
        END IF;
    END IF;
    IF v_workspace IS NOT NULL THEN
        INSERT INTO activity_log (workspace_id, user_id, action, entity_id, detail) VALUES (
            v_workspace, current_user_id(), v_action::activity_action,
            coalesce(v_row ->> 'id', v_row ->> 'user_id')::uuid,
            jsonb_strip_nulls(jsonb_build_object('before', v_before, 'after', v_after)));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON projects FOR EACH ROW EXECUTE FUNCTION audit('project');
CREATE TRIGGER audit AFTER INSERT OR UPDATE ON workspaces FOR EACH ROW EXECUTE FUNCTION audit('workspace');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON workspace_members
    FOR EACH ROW EXECUTE FUNCTION audit('member');
CREATE TRIGGER audit AFTER INSERT OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION audit('user');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON api_keys FOR EACH ROW EXECUTE FUNCTION audit('key');

-- -- Moves that say who made them ---------------------------------------------------------------------------------

-- p_by is muster.domain.tenants.Actor: user_id, key_id, agent_id, address, request_id. Null: Muster itself.
DROP FUNCTION enter(uuid, uuid);
CREATE FUNCTION enter(p_workspace uuid, p_by jsonb) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE v_position bigint;
BEGIN
    PERFORM set_config('app.current_workspace_id', p_workspace::text, true),
            set_config('app.enqueued', '', true);
    IF p_by IS NOT NULL THEN
        PERFORM set_config('app.current_user_id', coalesce(p_by ->> 'user_id', ''), true),
                set_config('app.actor', p_by::text, true);
    END IF;
    SELECT position INTO v_position FROM workspace_log WHERE workspace_id = p_workspace FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no workspace %', p_workspace USING ERRCODE = 'MUSTR', HINT = 'not_found';
    END IF;
    RETURN v_position;
END $$;

DROP FUNCTION agent_read(uuid, uuid);
CREATE FUNCTION agent_read(p_workspace uuid, p_project uuid, p_task uuid, p_agent uuid) RETURNS jsonb
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('app.current_workspace_id', p_workspace::text, true);
    IF p_project IS NOT NULL OR p_task IS NOT NULL THEN
        PERFORM set_config('app.current_project_id', coalesce(p_project::text, ''), true),
                set_config('app.current_task_id', coalesce(p_task::text, ''), true);
    END IF;
    RETURN (SELECT agent_json(a) FROM agents a WHERE workspace_id = p_workspace AND id = p_agent);
END $$;

-- Appends one event and its activity row. The caller holds the mutex. A move happens once, so its event does.
CREATE OR REPLACE FUNCTION emit(p_type event_type, p_task tasks, p_agent agents) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_position bigint;
    v_of_agent boolean := p_type::text LIKE 'agent.%';
    v_entity uuid := CASE WHEN v_of_agent THEN p_agent.id ELSE p_task.id END;
    v_result jsonb := CASE WHEN v_of_agent THEN p_agent.result ELSE p_task.result END;
    v_data jsonb;
BEGIN
    IF v_of_agent THEN
        v_data := jsonb_build_object('status', p_agent.status, 'title', p_task.title,
            'project_id', p_task.project_id, 'parent_id', p_task.parent_id,
            'runner', p_agent.runner ->> 'kind', 'worker', p_agent.worker, 'reason', p_agent.reason,
            'error', p_agent.error, 'exit_code', p_agent.exit_code, 'version', p_agent.version);
    ELSE
        v_data := jsonb_build_object('status', p_task.status, 'title', p_task.title,
            'priority', p_task.priority, 'project_id', p_task.project_id, 'parent_id', p_task.parent_id,
            'labels', p_task.labels, 'reason', p_task.reason, 'error', p_task.error, 'version', p_task.version);
    END IF;
    -- A large result is read from the row: the log is sent to every subscriber.
    IF pg_column_size(v_result) <= 8192 THEN
        v_data := v_data || jsonb_build_object('result', v_result);
    END IF;
    UPDATE workspace_log SET position = position + 1 WHERE workspace_id = p_task.workspace_id
        RETURNING position INTO v_position;
    INSERT INTO events (workspace_id, position, id, type, task_id, agent_id, attempt, at, data) VALUES (
        p_task.workspace_id, v_position,
        event_id(v_entity, p_type::text, p_task.run, CASE WHEN v_of_agent THEN p_agent.attempt ELSE p_task.attempts END),
        p_type, p_task.id, coalesce(p_agent.id, p_task.agent_id),
        CASE WHEN v_of_agent THEN p_agent.attempt ELSE p_task.attempts END, clock_timestamp(), v_data);
    INSERT INTO activity_log (workspace_id, user_id, action, entity_id, detail) VALUES (
        p_task.workspace_id, current_user_id(), replace(p_type::text, '.', '_')::activity_action, v_entity,
        jsonb_strip_nulls(jsonb_build_object(
            'attempt', CASE WHEN v_of_agent THEN p_agent.attempt ELSE p_task.attempts END,
            'reason', CASE WHEN v_of_agent THEN p_agent.reason ELSE p_task.reason END)));
END $$;

DROP FUNCTION task_create(uuid, uuid, jsonb, boolean);
DROP FUNCTION task_spawn(uuid, uuid, uuid);
DROP FUNCTION task_retry(uuid, uuid, uuid, boolean, text);
DROP FUNCTION task_finish(uuid, uuid, uuid, task_status, failure_reason, text);
DROP FUNCTION agent_ask_kill(uuid, uuid, uuid, jsonb);
DROP FUNCTION sample_task(uuid, uuid, jsonb, failure_reason);

-- Records a new task, once; queues it when nothing holds it back. p_spawn: refuse it unless it gets a slot now.
CREATE FUNCTION task_create(p_workspace uuid, p_by jsonb, p_task jsonb, p_spawn boolean) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_since bigint := enter(p_workspace, p_by);
    v_id uuid := p_task ->> 'id';
    v_parent tasks; t tasks; v_missing uuid; v_depends uuid[]; v_state text; v_most integer;
BEGIN
    SELECT * INTO t FROM tasks WHERE workspace_id = p_workspace AND id = v_id;
    IF FOUND THEN
        RETURN changes(p_workspace, v_since, v_id);
    END IF;
    IF p_task ->> 'project_id' IS NOT NULL THEN
        PERFORM 1 FROM projects WHERE workspace_id = p_workspace AND id = (p_task ->> 'project_id')::uuid
            AND status = 'active' FOR KEY SHARE;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'project % takes no tasks: it is archived, or gone', p_task ->> 'project_id'
                USING ERRCODE = 'MUSTR', HINT = 'project_archived';
        END IF;
    END IF;
    IF p_task ->> 'parent_id' IS NOT NULL THEN
        SELECT * INTO v_parent FROM tasks WHERE workspace_id = p_workspace AND id = (p_task ->> 'parent_id')::uuid;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'there is no task % to be the parent', p_task ->> 'parent_id'
                USING ERRCODE = 'MUSTR', HINT = 'unknown_reference';
        ELSIF v_parent.status IN ('completed', 'failed') THEN
            RAISE EXCEPTION 'task % is %; it takes no more subtasks', v_parent.id, v_parent.status
                USING ERRCODE = 'MUSTR', HINT = 'parent_final';
        END IF;
    END IF;
    SELECT coalesce(array_agg(DISTINCT x::uuid), '{}') INTO v_depends
        FROM jsonb_array_elements_text(p_task -> 'depends_on') x;
    SELECT x INTO v_missing FROM unnest(v_depends) x
        WHERE NOT EXISTS (SELECT 1 FROM tasks WHERE workspace_id = p_workspace AND id = x) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'there is no task % to depend on', v_missing
            USING ERRCODE = 'MUSTR', HINT = 'unknown_reference';
    END IF;

    -- How many wait is counted no further than it matters.
    SELECT max_waiting_tasks INTO v_most FROM workspaces WHERE id = p_workspace;
    IF NOT p_spawn AND v_most <= (SELECT count(*) FROM (
            SELECT 1 FROM tasks WHERE workspace_id = p_workspace AND status = 'pending' LIMIT v_most) x) THEN
        RAISE EXCEPTION 'the workspace has % tasks that wait, as many as it may', v_most
            USING ERRCODE = 'MUSTR', HINT = 'queue_full';
    END IF;

    INSERT INTO tasks (id, workspace_id, project_id, parent_id, title, prompt, priority, labels, metadata,
                       timeout_seconds, retry, runner, request_hash, request_id, created_by, created_at, updated_at)
        VALUES (v_id, p_workspace, (p_task ->> 'project_id')::uuid, v_parent.id, p_task ->> 'title',
                p_task ->> 'prompt', (p_task ->> 'priority')::smallint,
                ARRAY(SELECT jsonb_array_elements_text(p_task -> 'labels')), p_task -> 'metadata',
                (p_task ->> 'timeout_seconds')::double precision, p_task -> 'retry',
                nullif(p_task -> 'runner', 'null'), p_task ->> 'request_hash', p_task ->> 'request_id', (p_by ->> 'user_id')::uuid,
                clock_timestamp(), clock_timestamp())
        RETURNING * INTO t;
    INSERT INTO task_dependencies (workspace_id, task_id, depends_on_id)
        SELECT p_workspace, v_id, x FROM unnest(v_depends) x;
    PERFORM note(p_workspace, 'task_created', v_id, jsonb_build_object('title', t.title));
    IF v_parent.id IS NOT NULL AND v_parent.runner IS NULL AND v_parent.status = 'pending' THEN
        PERFORM begin_subtasks(v_parent);
    END IF;

    IF p_spawn THEN
        PERFORM spawn_now(t);
        RETURN changes(p_workspace, v_since, v_id);
    END IF;
    IF t.runner IS NOT NULL THEN
        v_state := dependencies_state(p_workspace, v_id);
        IF v_state = 'ready' THEN
            PERFORM enqueue(t);
            PERFORM fill_slots(p_workspace);
        ELSIF v_state = 'failed' THEN
            RETURN changes(p_workspace, v_since, v_id, ARRAY[v_id]);
        END IF;
    END IF;
    RETURN changes(p_workspace, v_since, v_id);
END $$;

CREATE FUNCTION task_spawn(p_workspace uuid, p_by jsonb, p_task uuid) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE v_since bigint := enter(p_workspace, p_by);
BEGIN
    PERFORM spawn_now(the_task(p_workspace, p_task));
    RETURN changes(p_workspace, v_since, p_task);
END $$;

-- A person wants a failed task tried again.
CREATE FUNCTION task_retry(p_workspace uuid, p_by jsonb, p_task uuid, p_spawn boolean, p_request_id text)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_since bigint := enter(p_workspace, p_by);
    t tasks := the_task(p_workspace, p_task);
    v_parent tasks;
BEGIN
    IF t.request_id = p_request_id AND t.run > 1 THEN
        RETURN changes(p_workspace, v_since, p_task);  -- this very retry was recorded already
    END IF;
    IF t.status <> 'failed' THEN
        RAISE EXCEPTION 'task % is %; only a failed task can be retried', p_task, t.status
            USING ERRCODE = 'MUSTR', HINT = 'illegal_move';
    END IF;
    IF t.parent_id IS NOT NULL THEN
        v_parent := the_task(p_workspace, t.parent_id);
        IF v_parent.status = 'completed' THEN
            RAISE EXCEPTION 'task % belongs to task %, which is completed', p_task, v_parent.id
                USING ERRCODE = 'MUSTR', HINT = 'parent_final';
        END IF;
    END IF;
    UPDATE tasks SET status = 'pending', run = run + 1, reason = NULL, error = NULL, result = NULL,
            request_id = p_request_id, finished_at = NULL, version = version + 1, updated_at = clock_timestamp()
        WHERE id = p_task RETURNING * INTO t;
    PERFORM note(p_workspace, 'task_retried', p_task, jsonb_build_object('run', t.run));
    IF p_spawn THEN
        PERFORM spawn_now(t);
        RETURN changes(p_workspace, v_since, p_task);
    END IF;
    RETURN changes(p_workspace, v_since, p_task, ARRAY[p_task]);
END $$;

-- Its agent is done and so is the task, or it failed for good. A completed task with open subtasks waits for them.
-- Its result is that of its last agent.
CREATE FUNCTION task_finish(p_workspace uuid, p_by jsonb, p_task uuid, p_status task_status,
                            p_reason failure_reason, p_error text) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_since bigint := enter(p_workspace, p_by);
    t tasks := the_task(p_workspace, p_task);
    v_result jsonb := (SELECT a.result FROM agents a WHERE a.id = t.agent_id AND p_status = 'completed');
    v_wake uuid[] := '{}'; v_cancel uuid[] := '{}';
BEGIN
    IF t.status = p_status AND t.reason IS NOT DISTINCT FROM p_reason THEN
        -- Said twice. Whom it concerns may not have heard the first time.
        SELECT coalesce(array_agg(x.id), '{}') INTO v_wake FROM task_dependencies td
            JOIN tasks x ON x.workspace_id = td.workspace_id AND x.id = td.task_id
            WHERE td.workspace_id = p_workspace AND td.depends_on_id = p_task AND x.status = 'pending';
        IF p_status = 'failed' THEN
            SELECT coalesce(array_agg(id), '{}') INTO v_cancel FROM tasks
                WHERE workspace_id = p_workspace AND parent_id = p_task AND status NOT IN ('completed', 'failed');
        END IF;
        RETURN changes(p_workspace, v_since, p_task, array_remove(v_wake || t.parent_id, NULL), v_cancel);
    ELSIF t.status IN ('completed', 'failed') THEN
        RAISE EXCEPTION 'task % is % already', p_task, t.status USING ERRCODE = 'MUSTR', HINT = 'illegal_move';
    END IF;
    IF EXISTS (SELECT 1 FROM agents WHERE task_id = p_task AND status IN ('spawning', 'running')) THEN
        RAISE EXCEPTION 'task % still has an agent at work', p_task USING ERRCODE = 'MUSTR', HINT = 'illegal_move';
    END IF;
    IF p_status = 'completed' AND t.status = 'executing' THEN
        IF EXISTS (SELECT 1 FROM tasks WHERE workspace_id = p_workspace AND parent_id = p_task
                   AND status NOT IN ('completed', 'failed')) THEN
            UPDATE tasks SET awaits_subtasks = true, result = v_result, version = version + 1,
                updated_at = clock_timestamp() WHERE id = p_task;
            RETURN changes(p_workspace, v_since, p_task);
        END IF;
        UPDATE tasks SET awaits_subtasks = true, result = v_result WHERE id = p_task AND EXISTS (
            SELECT 1 FROM tasks WHERE workspace_id = p_workspace AND parent_id = p_task AND status = 'failed');
        IF FOUND THEN
            RETURN task_advance(p_workspace, p_task, false);
        END IF;
    END IF;
    SELECT c.wake, c.cancel INTO v_wake, v_cancel FROM conclude(t, p_status, p_reason, p_error, v_result) c;
    RETURN changes(p_workspace, v_since, p_task, v_wake, v_cancel);
END $$;

-- Notes that somebody wants the agent gone; its workflow does the rest. The first wish stands, a later one may
-- only shorten the grace.
CREATE FUNCTION agent_ask_kill(p_workspace uuid, p_by jsonb, p_agent uuid, p_request jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_since bigint := enter(p_workspace, p_by);
    a agents;
BEGIN
    UPDATE agents SET kill_request = CASE
                WHEN kill_request IS NULL THEN p_request
                WHEN (p_request ->> 'grace_seconds')::float < (kill_request ->> 'grace_seconds')::float
                    THEN kill_request || jsonb_build_object('grace_seconds', p_request -> 'grace_seconds')
                ELSE kill_request END,
            version = version + 1, updated_at = clock_timestamp()
        WHERE workspace_id = p_workspace AND id = p_agent AND status IN ('spawning', 'running') RETURNING * INTO a;
    IF FOUND THEN
        PERFORM note(p_workspace, 'agent_kill_requested', p_agent, p_request);
    ELSE
        SELECT * INTO a FROM agents WHERE workspace_id = p_workspace AND id = p_agent;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'there is no agent %', p_agent USING ERRCODE = 'MUSTR', HINT = 'not_found';
        END IF;
    END IF;
    RETURN changes(p_workspace, v_since, a.task_id) || jsonb_build_object('agents', jsonb_build_array(agent_json(a)));
END $$;

-- One sample task and its life, from creation to its end, in one breath: nobody sees it waiting for a workflow.
CREATE FUNCTION sample_task(p_workspace uuid, p_by jsonb, p_task jsonb, p_failure failure_reason) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_since bigint := enter(p_workspace, p_by);
    v_id uuid := p_task ->> 'id';
    t tasks;
BEGIN
    IF NOT EXISTS (SELECT 1 FROM tasks WHERE id = v_id) THEN
        PERFORM task_create(p_workspace, p_by, p_task, false);
        t := the_task(p_workspace, v_id);
        IF t.runner IS NOT NULL THEN
            IF t.status = 'pending' THEN
                PERFORM grant_slot(t);
                t := the_task(p_workspace, v_id);
            END IF;
            PERFORM agent_running(p_workspace, t.agent_id, 'sample');
            PERFORM agent_finish(p_workspace, t.agent_id,
                CASE WHEN p_failure IS NULL THEN 'completed' ELSE 'failed' END::agent_status, p_failure,
                CASE WHEN p_failure IS NOT NULL THEN 'exited with code 1' END,
                CASE WHEN p_failure IS NULL THEN 0 ELSE 1 END, NULL);
            PERFORM task_finish(p_workspace, p_by, v_id,
                CASE WHEN p_failure IS NULL THEN 'completed' ELSE 'failed' END::task_status, p_failure,
                CASE WHEN p_failure IS NOT NULL THEN 'exited with code 1' END);
        END IF;
    END IF;
    RETURN changes(p_workspace, v_since, v_id);
END $$;

-- Opens or closes the workspace for new agents. Opening it again hands out what is free.
CREATE FUNCTION workspace_admit(p_workspace uuid, p_by jsonb, p_admission admission, p_reason text) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE v_since bigint := enter(p_workspace, p_by);
BEGIN
    UPDATE workspaces SET admission = p_admission, version = version + 1, updated_at = clock_timestamp(),
            admission_by = jsonb_strip_nulls(jsonb_build_object(
                'user', (SELECT name FROM users WHERE id = current_user_id()), 'user_id', p_by ->> 'user_id',
                'key_id', p_by ->> 'key_id', 'reason', p_reason, 'at', clock_timestamp()))
        WHERE id = p_workspace AND admission <> p_admission;
    PERFORM fill_slots(p_workspace);
    RETURN changes(p_workspace, v_since, NULL);
END $$;
