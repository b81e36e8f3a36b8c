-- Every move of a task or an agent is one function here, and one statement for its caller: the workspace's
-- mutex is held while PostgreSQL works, never while a client thinks. Each function is idempotent, refuses what
-- the tables of moves forbid, and answers with everything that changed (see changes()).
--
-- Refusals are raised as SQLSTATE 'MUSTR'; the HINT is the error's code.

-- Enters the workspace and takes its mutex. Returns the log's position so far.
CREATE FUNCTION enter(p_workspace uuid, p_user uuid) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE v_position bigint;
BEGIN
    PERFORM set_config('app.current_workspace_id', p_workspace::text, true),
            set_config('app.current_user_id', coalesce(p_user::text, ''), true),
            set_config('app.enqueued', '', true);
    SELECT position INTO v_position FROM workspace_log WHERE workspace_id = p_workspace FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no workspace %', p_workspace USING ERRCODE = 'MUSTR', HINT = 'not_found';
    END IF;
    RETURN v_position;
END $$;

-- The same as muster.domain.ids.event_id.
CREATE FUNCTION event_id(p_entity uuid, p_type text, p_run integer, p_attempt integer) RETURNS uuid
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE b bytea := substring(
    sha256(convert_to(p_entity || '/' || p_type || '/' || p_run || '.' || p_attempt, 'UTF8')) FOR 16);
BEGIN
    b := set_byte(b, 6, (get_byte(b, 6) & 15) | 128);
    b := set_byte(b, 8, (get_byte(b, 8) & 63) | 128);
    RETURN encode(b, 'hex')::uuid;
END $$;

-- What muster.domain.tasks.Task reads.
CREATE FUNCTION task_json(t tasks) RETURNS jsonb LANGUAGE sql STABLE
RETURN jsonb_build_object(
    'id', t.id, 'workspace_id', t.workspace_id, 'project_id', t.project_id, 'parent_id', t.parent_id,
    'depends_on', (SELECT coalesce(jsonb_agg(d.depends_on_id ORDER BY d.depends_on_id), '[]')
                   FROM task_dependencies d WHERE d.workspace_id = t.workspace_id AND d.task_id = t.id),
    'title', t.title, 'prompt', t.prompt, 'status', t.status, 'priority', t.priority, 'labels', t.labels,
    'metadata', t.metadata, 'timeout_seconds', t.timeout_seconds, 'retry', t.retry, 'runner', t.runner,
    'run', t.run, 'attempts', t.attempts, 'agent_id', t.agent_id, 'result', t.result, 'reason', t.reason,
    'error', t.error,
    'waiting_for', CASE
        WHEN t.queued_at IS NOT NULL THEN 'slot'
        WHEN t.next_attempt_at IS NOT NULL THEN 'backoff'
        WHEN t.status = 'pending' AND t.runner IS NULL THEN 'subtasks'
        WHEN t.status = 'executing' AND t.awaits_subtasks THEN 'subtasks'
        WHEN t.status = 'pending' THEN 'dependencies' END,
    'queued_at', t.queued_at, 'next_attempt_at', t.next_attempt_at, 'version', t.version,
    'created_at', t.created_at, 'updated_at', t.updated_at,
    'started_at', t.started_at, 'finished_at', t.finished_at);

-- What muster.domain.agents.Agent reads.
CREATE FUNCTION agent_json(a agents) RETURNS jsonb LANGUAGE sql STABLE
RETURN jsonb_build_object(
    'id', a.id, 'workspace_id', a.workspace_id, 'task_id', a.task_id, 'attempt', a.attempt, 'status', a.status,
    'reason', a.reason, 'error', a.error, 'exit_code', a.exit_code, 'result', a.result, 'runner', a.runner,
    'worker', a.worker, 'kill_request', a.kill_request, 'output_lines', a.output_lines,
    'output_truncated', a.output_truncated, 'version', a.version, 'created_at', a.created_at,
    'updated_at', a.updated_at, 'started_at', a.started_at, 'finished_at', a.finished_at);

-- The read that is asked for most, planned once per connection.
CREATE FUNCTION agent_read(p_workspace uuid, p_agent uuid) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('app.current_workspace_id', p_workspace::text, true);
    RETURN (SELECT agent_json(a) FROM agents a WHERE workspace_id = p_workspace AND id = p_agent);
END $$;

-- What muster.domain.events.Event reads.
CREATE FUNCTION event_json(e events) RETURNS jsonb LANGUAGE sql STABLE
RETURN jsonb_build_object(
    'id', e.id, 'position', e.position, 'type', e.type, 'workspace_id', e.workspace_id, 'task_id', e.task_id,
    'agent_id', e.agent_id, 'attempt', e.attempt, 'at', e.at, 'data', e.data);

-- What the API answers for a project.
CREATE FUNCTION project_json(p projects) RETURNS jsonb LANGUAGE sql STABLE
RETURN jsonb_build_object(
    'id', p.id, 'workspace_id', p.workspace_id, 'slug', p.slug, 'name', p.name, 'description', p.description,
    'status', p.status, 'version', p.version, 'created_at', p.created_at, 'updated_at', p.updated_at);

-- Appends one event and its activity row. The caller holds the mutex. A move happens once, so its event does.
CREATE FUNCTION emit(p_type event_type, p_task tasks, p_agent agents) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_position bigint;
    v_of_agent boolean := p_type::text LIKE 'agent.%';
    v_entity uuid := CASE WHEN v_of_agent THEN p_agent.id ELSE p_task.id END;
    v_result jsonb := CASE WHEN v_of_agent THEN p_agent.result ELSE p_task.result END;
    v_data jsonb;
BEGIN
    IF v_of_agent THEN
        v_data := jsonb_build_object('status', p_agent.status, 'title', p_task.title,
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

CREATE FUNCTION note(p_workspace uuid, p_action activity_action, p_entity uuid, p_detail jsonb) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO activity_log (workspace_id, user_id, action, entity_id, detail)
    VALUES (p_workspace, current_user_id(), p_action, p_entity, jsonb_strip_nulls(p_detail))
$$;

-- All that a function changed: the events after p_since, the rows they speak of and the one row it was called
-- for, the slots it gave away, and whose workflows should look again.
CREATE FUNCTION changes(p_workspace uuid, p_since bigint, p_task uuid, p_wake uuid[] DEFAULT '{}',
                        p_cancel uuid[] DEFAULT '{}') RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_events jsonb; v_tasks uuid[]; v_agents uuid[]; v_granted uuid[];
BEGIN
    SELECT coalesce(jsonb_agg(event_json(e) ORDER BY position), '[]'),
           -- Who was queued has no event of it, and its row is mirrored all the same.
           coalesce(array_agg(DISTINCT task_id), '{}') || p_task
               || string_to_array(ltrim(current_setting('app.enqueued')), ' ')::uuid[],
           coalesce(array_agg(DISTINCT agent_id) FILTER (WHERE type::text LIKE 'agent.%'), '{}'),
           coalesce(array_agg(agent_id) FILTER (WHERE type = 'agent.spawned'), '{}')
      INTO v_events, v_tasks, v_agents, v_granted
      FROM events e WHERE workspace_id = p_workspace AND position > p_since;
    RETURN jsonb_build_object(
        'events', v_events,
        'tasks', (SELECT coalesce(jsonb_agg(task_json(t)), '[]') FROM tasks t WHERE id = ANY (v_tasks)),
        'agents', CASE WHEN v_agents = '{}' THEN '[]' ELSE
            (SELECT coalesce(jsonb_agg(agent_json(a)), '[]') FROM agents a WHERE id = ANY (v_agents)) END,
        'grants', CASE WHEN v_granted = '{}' THEN '[]' ELSE (
            SELECT jsonb_agg(jsonb_build_object('task_id', task_id, 'agent_id', id, 'attempt', attempt))
            FROM agents WHERE id = ANY (v_granted)) END,
        'wake', p_wake, 'cancel', p_cancel);
END $$;

CREATE FUNCTION the_task(p_workspace uuid, p_task uuid) RETURNS tasks LANGUAGE plpgsql AS $$
DECLARE t tasks;
BEGIN
    SELECT * INTO t FROM tasks WHERE workspace_id = p_workspace AND id = p_task;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no task %', p_task USING ERRCODE = 'MUSTR', HINT = 'not_found';
    END IF;
    RETURN t;
END $$;

CREATE FUNCTION free_slots(p_workspace uuid) RETURNS integer LANGUAGE sql STABLE
RETURN (SELECT max_concurrent_agents FROM workspaces WHERE id = p_workspace)
     - (SELECT count(*) FROM agents WHERE workspace_id = p_workspace AND status IN ('spawning', 'running'));

-- Gives the task a slot: the only way an agent comes to be.
CREATE FUNCTION grant_slot(p_task tasks) RETURNS void LANGUAGE plpgsql AS $$
DECLARE t tasks; a agents; v_agent uuid := new_id();
BEGIN
    UPDATE tasks SET status = 'assigned', attempts = attempts + 1, agent_id = v_agent, queued_at = NULL,
            next_attempt_at = NULL, version = version + 1, updated_at = clock_timestamp()
        WHERE id = p_task.id RETURNING * INTO t;
    INSERT INTO agents (id, workspace_id, task_id, attempt, run, runner, created_at, updated_at)
        VALUES (v_agent, t.workspace_id, t.id, t.attempts, t.run, t.runner, clock_timestamp(), clock_timestamp())
        RETURNING * INTO a;
    PERFORM emit('task.assigned', t, a);
    PERFORM emit('agent.spawned', t, a);
END $$;

-- Hands free slots to the queue: the most urgent first, then the oldest.
CREATE FUNCTION fill_slots(p_workspace uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE t tasks; v_free integer;
BEGIN
    IF NOT EXISTS (SELECT 1 FROM tasks WHERE workspace_id = p_workspace AND queued_at IS NOT NULL) THEN
        RETURN;
    END IF;
    v_free := free_slots(p_workspace);
    IF v_free <= 0 THEN RETURN; END IF;
    FOR t IN SELECT * FROM tasks WHERE workspace_id = p_workspace AND queued_at IS NOT NULL
             ORDER BY priority DESC, created_at, id LIMIT v_free LOOP
        PERFORM grant_slot(t);
    END LOOP;
END $$;

-- 'ready', 'waiting', or 'failed' when a dependency has failed for good.
CREATE FUNCTION dependencies_state(p_workspace uuid, p_task uuid) RETURNS text LANGUAGE sql STABLE
RETURN (SELECT CASE WHEN bool_or(d.status = 'failed') THEN 'failed'
                    WHEN bool_and(d.status = 'completed') THEN 'ready'
                    WHEN count(*) = 0 THEN 'ready' ELSE 'waiting' END
        FROM task_dependencies td JOIN tasks d ON d.workspace_id = td.workspace_id AND d.id = td.depends_on_id
        WHERE td.workspace_id = p_workspace AND td.task_id = p_task);

CREATE FUNCTION enqueue(p_task tasks) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE tasks SET queued_at = clock_timestamp(), next_attempt_at = NULL, version = version + 1,
            updated_at = clock_timestamp()
        WHERE id = p_task.id AND status = 'pending' AND queued_at IS NULL;
    IF FOUND THEN
        PERFORM note(p_task.workspace_id, 'task_queued', p_task.id, '{}');
        PERFORM set_config('app.enqueued', concat(current_setting('app.enqueued'), ' ', p_task.id), true);
    END IF;
END $$;

-- A task that stands for its subtasks executes from the first of them on.
CREATE FUNCTION begin_subtasks(p_parent tasks) RETURNS void LANGUAGE plpgsql AS $$
DECLARE t tasks;
BEGIN
    UPDATE tasks SET status = 'assigned', version = version + 1, updated_at = clock_timestamp()
        WHERE id = p_parent.id RETURNING * INTO t;
    PERFORM emit('task.assigned', t, NULL);
    UPDATE tasks SET status = 'executing', awaits_subtasks = true, version = version + 1,
            started_at = coalesce(started_at, clock_timestamp()), updated_at = clock_timestamp()
        WHERE id = p_parent.id RETURNING * INTO t;
    PERFORM emit('task.executing', t, NULL);
END $$;

-- Records a final state and finds out whom it concerns.
CREATE FUNCTION conclude(p_task tasks, p_status task_status, p_reason failure_reason, p_error text, p_result jsonb,
                         OUT wake uuid[], OUT cancel uuid[]) LANGUAGE plpgsql AS $$
DECLARE t tasks; d tasks;
BEGIN
    wake := '{}'; cancel := '{}';
    UPDATE tasks SET status = p_status, reason = p_reason, error = p_error, result = coalesce(p_result, result),
            awaits_subtasks = false, queued_at = NULL, next_attempt_at = NULL, version = version + 1,
            updated_at = clock_timestamp(), finished_at = clock_timestamp()
        WHERE id = p_task.id RETURNING * INTO t;
    PERFORM emit(CASE p_status WHEN 'completed' THEN 'task.completed' ELSE 'task.failed' END::event_type, t, NULL);
    FOR d IN SELECT x.* FROM task_dependencies td
             JOIN tasks x ON x.workspace_id = td.workspace_id AND x.id = td.task_id
             WHERE td.workspace_id = t.workspace_id AND td.depends_on_id = t.id AND x.status = 'pending' LOOP
        IF p_status = 'failed' THEN
            wake := wake || d.id;
        ELSIF d.queued_at IS NULL AND d.next_attempt_at IS NULL
              AND dependencies_state(t.workspace_id, d.id) = 'ready' THEN
            PERFORM enqueue(d);
        END IF;
    END LOOP;
    IF p_status = 'failed' THEN
        SELECT coalesce(array_agg(id), '{}') INTO cancel FROM tasks
            WHERE workspace_id = t.workspace_id AND parent_id = t.id AND status NOT IN ('completed', 'failed');
    END IF;
    IF t.parent_id IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM tasks WHERE workspace_id = t.workspace_id AND parent_id = t.parent_id
            AND status NOT IN ('completed', 'failed')) THEN
        wake := wake || t.parent_id;
    END IF;
    PERFORM fill_slots(t.workspace_id);
END $$;

-- Records a new task, once; queues it when nothing holds it back. p_spawn: refuse it unless it gets a slot now.
CREATE FUNCTION task_create(p_workspace uuid, p_user uuid, p_task jsonb, p_spawn boolean) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_since bigint := enter(p_workspace, p_user);
    v_id uuid := p_task ->> 'id';
    v_parent tasks; t tasks; v_missing uuid; v_depends uuid[]; v_state text;
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

    INSERT INTO tasks (id, workspace_id, project_id, parent_id, title, prompt, priority, labels, metadata,
                       timeout_seconds, retry, runner, request_hash, request_id, created_by, created_at, updated_at)
        VALUES (v_id, p_workspace, (p_task ->> 'project_id')::uuid, v_parent.id, p_task ->> 'title',
                p_task ->> 'prompt', (p_task ->> 'priority')::smallint,
                ARRAY(SELECT jsonb_array_elements_text(p_task -> 'labels')), p_task -> 'metadata',
                (p_task ->> 'timeout_seconds')::double precision, p_task -> 'retry',
                nullif(p_task -> 'runner', 'null'), p_task ->> 'request_hash', p_task ->> 'request_id', p_user,
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

-- A slot now or a refusal: what a person who asks for an agent, not for a task, means.
CREATE FUNCTION spawn_now(t tasks) RETURNS void LANGUAGE plpgsql AS $$
DECLARE v_limit integer;
BEGIN
    IF t.runner IS NULL THEN
        RAISE EXCEPTION 'task % has no runner; its subtasks have agents, not it', t.id
            USING ERRCODE = 'MUSTR', HINT = 'illegal_move';
    ELSIF t.status <> 'pending' THEN
        RAISE EXCEPTION 'task % is %; it cannot be given an agent', t.id, t.status
            USING ERRCODE = 'MUSTR', HINT = 'illegal_move';
    ELSIF dependencies_state(t.workspace_id, t.id) <> 'ready' THEN
        RAISE EXCEPTION 'task % waits for tasks it depends on', t.id
            USING ERRCODE = 'MUSTR', HINT = 'illegal_move';
    END IF;
    IF free_slots(t.workspace_id) <= 0 THEN
        SELECT max_concurrent_agents INTO v_limit FROM workspaces WHERE id = t.workspace_id;
        RAISE EXCEPTION 'the workspace runs % agents, as many as it may', v_limit
            USING ERRCODE = 'MUSTR', HINT = 'workspace_full';
    END IF;
    PERFORM grant_slot(t);
END $$;

CREATE FUNCTION task_spawn(p_workspace uuid, p_user uuid, p_task uuid) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE v_since bigint := enter(p_workspace, p_user);
BEGIN
    PERFORM spawn_now(the_task(p_workspace, p_task));
    RETURN changes(p_workspace, v_since, p_task);
END $$;

-- Looks at a task again: queues it, fails it with its dependencies, or ends it with its subtasks. Harmless at
-- any time. p_backoff_over: its workflow has waited long enough.
CREATE FUNCTION task_advance(p_workspace uuid, p_task uuid, p_backoff_over boolean) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_since bigint := enter(p_workspace, NULL);
    t tasks := the_task(p_workspace, p_task);
    v_wake uuid[] := '{}'; v_cancel uuid[] := '{}'; v_state text; d tasks; v_open boolean; v_agent agents;
BEGIN
    IF t.status = 'pending' AND t.runner IS NULL
       AND EXISTS (SELECT 1 FROM tasks WHERE workspace_id = p_workspace AND parent_id = p_task) THEN
        PERFORM begin_subtasks(t);
        t := the_task(p_workspace, p_task);
    END IF;
    IF t.status = 'pending' AND t.runner IS NOT NULL AND t.queued_at IS NULL
       AND (t.next_attempt_at IS NULL OR p_backoff_over) THEN
        v_state := dependencies_state(p_workspace, p_task);
        IF v_state = 'failed' THEN
            SELECT x.* INTO d FROM task_dependencies td
                JOIN tasks x ON x.workspace_id = td.workspace_id AND x.id = td.depends_on_id
                WHERE td.workspace_id = p_workspace AND td.task_id = p_task AND x.status = 'failed'
                ORDER BY x.finished_at LIMIT 1;
            SELECT c.wake, c.cancel INTO v_wake, v_cancel FROM conclude(t, 'failed', 'dependency_failed',
                format('depends on task %s (%s), which failed: %s', d.id, d.title, d.reason), NULL) c;
        ELSIF v_state = 'ready' THEN
            PERFORM enqueue(t);
            PERFORM fill_slots(p_workspace);
        END IF;
    ELSIF t.status = 'executing' AND t.awaits_subtasks AND NOT EXISTS (
            SELECT 1 FROM tasks WHERE workspace_id = p_workspace AND parent_id = p_task
            AND status NOT IN ('completed', 'failed')) THEN
        SELECT * INTO d FROM tasks WHERE workspace_id = p_workspace AND parent_id = p_task AND status = 'failed'
            ORDER BY finished_at LIMIT 1;
        IF FOUND THEN
            SELECT c.wake, c.cancel INTO v_wake, v_cancel FROM conclude(t, 'failed', 'subtask_failed',
                format('subtask %s (%s) failed: %s', d.id, d.title, d.reason), NULL) c;
        ELSE
            SELECT c.wake, c.cancel INTO v_wake, v_cancel FROM conclude(t, 'completed', NULL, NULL, NULL) c;
        END IF;
    END IF;
    RETURN changes(p_workspace, v_since, p_task, v_wake, v_cancel);
END $$;

-- Its agent is done and so is the task, or it failed for good. A completed task with open subtasks waits for them.
-- Its result is that of its last agent.
CREATE FUNCTION task_finish(p_workspace uuid, p_user uuid, p_task uuid, p_status task_status,
                            p_reason failure_reason, p_error text) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_since bigint := enter(p_workspace, p_user);
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

-- An attempt failed and another may follow: at once, or after a backoff that its workflow waits out.
CREATE FUNCTION task_reschedule(p_workspace uuid, p_task uuid, p_attempt integer, p_wait_seconds double precision)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_since bigint := enter(p_workspace, NULL);
    t tasks := the_task(p_workspace, p_task);
BEGIN
    IF t.status IN ('assigned', 'executing') AND t.attempts = p_attempt THEN
        IF EXISTS (SELECT 1 FROM agents WHERE task_id = p_task AND status IN ('spawning', 'running')) THEN
            RAISE EXCEPTION 'task % still has an agent at work', p_task USING ERRCODE = 'MUSTR', HINT = 'illegal_move';
        END IF;
        UPDATE tasks SET status = 'pending', awaits_subtasks = false, version = version + 1,
                updated_at = clock_timestamp(),
                next_attempt_at = CASE WHEN p_wait_seconds > 0
                    THEN clock_timestamp() + make_interval(secs => p_wait_seconds) END
            WHERE id = p_task RETURNING * INTO t;
        PERFORM note(p_workspace, 'task_rescheduled', p_task,
            jsonb_build_object('after_attempt', p_attempt, 'wait_seconds', p_wait_seconds));
        IF t.next_attempt_at IS NULL THEN
            PERFORM enqueue(t);
            PERFORM fill_slots(p_workspace);
        END IF;
    ELSIF t.attempts = p_attempt AND t.status <> 'pending' THEN
        RAISE EXCEPTION 'task % is %; it cannot be tried again', p_task, t.status
            USING ERRCODE = 'MUSTR', HINT = 'illegal_move';
    END IF;
    RETURN changes(p_workspace, v_since, p_task);
END $$;

-- A person wants a failed task tried again.
CREATE FUNCTION task_retry(p_workspace uuid, p_user uuid, p_task uuid, p_spawn boolean, p_request_id text)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_since bigint := enter(p_workspace, p_user);
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

-- A worker started the agent. Refused ('fenced') when the agent is no longer the one its task waits for.
CREATE FUNCTION agent_running(p_workspace uuid, p_agent uuid, p_worker text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_since bigint := enter(p_workspace, NULL);
    a agents; t tasks;
BEGIN
    UPDATE agents SET status = 'running', worker = p_worker, version = version + 1,
            started_at = clock_timestamp(), updated_at = clock_timestamp()
        WHERE workspace_id = p_workspace AND id = p_agent AND status = 'spawning' RETURNING * INTO a;
    IF NOT FOUND THEN
        SELECT * INTO a FROM agents WHERE workspace_id = p_workspace AND id = p_agent;
        IF a.status = 'running' AND a.worker = p_worker THEN
            RETURN changes(p_workspace, v_since, a.task_id);
        END IF;
        RAISE EXCEPTION 'agent % is %', p_agent, coalesce(a.status::text, 'unknown')
            USING ERRCODE = 'MUSTR', HINT = 'fenced';
    END IF;
    UPDATE tasks SET status = 'executing', version = version + 1,
            started_at = coalesce(started_at, clock_timestamp()), updated_at = clock_timestamp()
        WHERE id = a.task_id AND agent_id = p_agent AND status = 'assigned' RETURNING * INTO t;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'agent % is not the current one of its task', p_agent
            USING ERRCODE = 'MUSTR', HINT = 'fenced';
    END IF;
    PERFORM emit('agent.running', t, a);
    PERFORM emit('task.executing', t, a);
    RETURN changes(p_workspace, v_since, a.task_id);
END $$;

-- An agent ended. The first to say so is believed; whoever says so later learns what was recorded. Its slot goes
-- to the queue in the same breath.
CREATE FUNCTION agent_finish(p_workspace uuid, p_agent uuid, p_status agent_status, p_reason failure_reason,
                             p_error text, p_exit_code integer, p_result jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_since bigint := enter(p_workspace, NULL);
    a agents; t tasks;
BEGIN
    UPDATE agents SET status = p_status, reason = p_reason, error = p_error, exit_code = p_exit_code,
            result = p_result, version = version + 1, updated_at = clock_timestamp(), finished_at = clock_timestamp()
        WHERE workspace_id = p_workspace AND id = p_agent AND status IN ('spawning', 'running') RETURNING * INTO a;
    IF FOUND THEN
        t := the_task(p_workspace, a.task_id);
        PERFORM emit(('agent.' || p_status)::event_type, t, a);
        PERFORM fill_slots(p_workspace);
    ELSE
        SELECT * INTO a FROM agents WHERE workspace_id = p_workspace AND id = p_agent;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'there is no agent %', p_agent USING ERRCODE = 'MUSTR', HINT = 'not_found';
        END IF;
    END IF;
    RETURN changes(p_workspace, v_since, a.task_id) || jsonb_build_object('agent', agent_json(a));
END $$;

-- Notes that somebody wants the agent gone; its workflow does the rest. The first wish stands, a later one may
-- only shorten the grace.
CREATE FUNCTION agent_ask_kill(p_workspace uuid, p_user uuid, p_agent uuid, p_request jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_since bigint := enter(p_workspace, p_user);
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

-- The workflow that kept this task is gone (terminated by an operator, or its server's state lost): say so, and
-- free what it held. Its agent, should a worker still run it, can write nothing any more.
CREATE FUNCTION task_abandon(p_workspace uuid, p_task uuid, p_error text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_since bigint := enter(p_workspace, NULL);
    t tasks := the_task(p_workspace, p_task);
    a agents; v_wake uuid[] := '{}'; v_cancel uuid[] := '{}';
BEGIN
    IF t.status NOT IN ('completed', 'failed') THEN
        UPDATE agents SET status = 'failed', reason = 'lost', error = p_error, version = version + 1,
                updated_at = clock_timestamp(), finished_at = clock_timestamp()
            WHERE task_id = p_task AND status IN ('spawning', 'running') RETURNING * INTO a;
        IF FOUND THEN
            PERFORM emit('agent.failed', t, a);
        END IF;
        SELECT c.wake, c.cancel INTO v_wake, v_cancel FROM conclude(t, 'failed', 'lost', p_error, NULL) c;
    END IF;
    RETURN changes(p_workspace, v_since, p_task, v_wake, v_cancel);
END $$;

-- Hands out slots that nobody was there to hand out: after a raised limit, as a net under a lost message.
CREATE FUNCTION workspace_fill(p_workspace uuid) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE v_since bigint := enter(p_workspace, NULL);
BEGIN
    PERFORM fill_slots(p_workspace);
    RETURN changes(p_workspace, v_since, NULL);
END $$;

-- One sample task and its life, from creation to its end, in one breath: nobody sees it waiting for a workflow.
CREATE FUNCTION sample_task(p_workspace uuid, p_user uuid, p_task jsonb, p_failure failure_reason) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_since bigint := enter(p_workspace, p_user);
    v_id uuid := p_task ->> 'id';
    t tasks;
BEGIN
    IF NOT EXISTS (SELECT 1 FROM tasks WHERE id = v_id) THEN
        PERFORM task_create(p_workspace, p_user, p_task, false);
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
            PERFORM task_finish(p_workspace, p_user, v_id,
                CASE WHEN p_failure IS NULL THEN 'completed' ELSE 'failed' END::task_status, p_failure,
                CASE WHEN p_failure IS NOT NULL THEN 'exited with code 1' END);
        END IF;
    END IF;
    RETURN changes(p_workspace, v_since, v_id);
END $$;
