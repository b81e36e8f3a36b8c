-- A task says what its agents are told of what is known, and whether what they do is remembered.

ALTER TABLE tasks ADD COLUMN memory jsonb;  -- muster.domain.tasks.MemoryWish; null: its defaults

-- What muster.domain.tasks.Task reads.
CREATE OR REPLACE FUNCTION task_json(t tasks) RETURNS jsonb LANGUAGE sql STABLE
RETURN jsonb_build_object(
    'id', t.id, 'workspace_id', t.workspace_id, 'project_id', t.project_id, 'parent_id', t.parent_id,
    'depends_on', (SELECT coalesce(jsonb_agg(d.depends_on_id ORDER BY d.depends_on_id), '[]')
                   FROM task_dependencies d WHERE d.workspace_id = t.workspace_id AND d.task_id = t.id),
    'title', t.title, 'prompt', t.prompt, 'status', t.status, 'priority', t.priority, 'labels', t.labels,
    'metadata', t.metadata, 'timeout_seconds', t.timeout_seconds, 'retry', t.retry, 'runner', t.runner,
    'memory', t.memory, 'run', t.run, 'attempts', t.attempts, 'agent_id', t.agent_id, 'result', t.result,
    'reason', t.reason, 'error', t.error,
    'waiting_for', CASE
        WHEN t.queued_at IS NOT NULL THEN 'slot'
        WHEN t.next_attempt_at IS NOT NULL THEN 'backoff'
        WHEN t.status = 'pending' AND t.runner IS NULL THEN 'subtasks'
        WHEN t.status = 'executing' AND t.awaits_subtasks THEN 'subtasks'
        WHEN t.status = 'pending' THEN 'dependencies' END,
    'queued_at', t.queued_at, 'next_attempt_at', t.next_attempt_at, 'version', t.version,
    'created_at', t.created_at, 'updated_at', t.updated_at,
    'started_at', t.started_at, 'finished_at', t.finished_at);

-- Records a new task, once; queues it when nothing holds it back. p_spawn: refuse it unless it gets a slot now.
CREATE OR REPLACE FUNCTION task_create(p_workspace uuid, p_by jsonb, p_task jsonb, p_spawn boolean) RETURNS jsonb
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
                       timeout_seconds, retry, runner, memory, request_hash, request_id, created_by, created_at,
                       updated_at)
        VALUES (v_id, p_workspace, (p_task ->> 'project_id')::uuid, v_parent.id, p_task ->> 'title',
                p_task ->> 'prompt', (p_task ->> 'priority')::smallint,
                ARRAY(SELECT jsonb_array_elements_text(p_task -> 'labels')), p_task -> 'metadata',
                (p_task ->> 'timeout_seconds')::double precision, p_task -> 'retry',
                nullif(p_task -> 'runner', 'null'), nullif(p_task -> 'memory', 'null'), p_task ->> 'request_hash',
                p_task ->> 'request_id', (p_by ->> 'user_id')::uuid, clock_timestamp(), clock_timestamp())
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

-- Hooks that know a session by its name alone find it by that.
CREATE INDEX memory_sessions_by_name ON memory_sessions (workspace_id, project_id, external_id, started_at DESC)
    WHERE external_id IS NOT NULL;
