-- The moves keep their plans. What changed used to be read as "all events after this one", which looks like a third of
-- the log to the planner, so each move was planned anew. Each row is looked up by its key, also where a plan was made
-- while there were few.

CREATE OR REPLACE FUNCTION changes(p_workspace uuid, p_since bigint, p_task uuid, p_wake uuid[] DEFAULT '{}',
                                   p_cancel uuid[] DEFAULT '{}') RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_events jsonb; v_tasks uuid[]; v_agents uuid[]; v_granted uuid[];
    -- The mutex is held: nobody else adds to the log.
    v_new bigint[] := ARRAY(SELECT generate_series(p_since + 1, position) FROM workspace_log
                            WHERE workspace_id = p_workspace);
BEGIN
    SELECT coalesce(jsonb_agg(event_json(e) ORDER BY position), '[]'),
           -- Who was queued has no event of it, and its row is mirrored all the same.
           coalesce(array_agg(DISTINCT task_id), '{}') || p_task
               || string_to_array(ltrim(current_setting('app.enqueued')), ' ')::uuid[],
           coalesce(array_agg(DISTINCT agent_id) FILTER (WHERE type::text LIKE 'agent.%'), '{}'),
           coalesce(array_agg(agent_id) FILTER (WHERE type = 'agent.spawned'), '{}')
      INTO v_events, v_tasks, v_agents, v_granted
      FROM events e WHERE workspace_id = p_workspace AND position = ANY (v_new);
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

-- A move that is made anew says so anew (tests/storage/test_moves.py sees to it).
DO $$
DECLARE v_move regprocedure;
BEGIN
    FOR v_move IN
        SELECT oid FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname = ANY ('{
            task_create, task_spawn, task_retry, task_advance, task_finish, task_reschedule, task_abandon,
            agent_running, agent_finish, agent_ask_kill, workspace_fill, workspace_admit}'::text[])
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET plan_cache_mode = force_generic_plan', v_move);
        EXECUTE format('ALTER FUNCTION %s SET enable_seqscan = off', v_move);
        EXECUTE format('ALTER FUNCTION %s SET enable_hashjoin = off', v_move);
        EXECUTE format('ALTER FUNCTION %s SET enable_mergejoin = off', v_move);
    END LOOP;
END $$;
