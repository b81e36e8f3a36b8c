-- A task that only stands for its subtasks has nothing to try again, and no place in the queue.

CREATE OR REPLACE FUNCTION task_reschedule(p_workspace uuid, p_task uuid, p_attempt integer, p_wait_seconds double precision)
RETURNS jsonb LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    v_since bigint := enter(p_workspace, NULL);
    t tasks := the_task(p_workspace, p_task);
BEGIN
    IF t.runner IS NULL THEN
        RAISE EXCEPTION 'task % has no runner, and so no attempts', p_task USING ERRCODE = 'MUSTR', HINT = 'illegal_move';
    END IF;
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
