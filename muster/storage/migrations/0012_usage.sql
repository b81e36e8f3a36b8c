-- What the model is used, and no more than it may be.
--
-- A call is reserved at the most it may use before it is made, and settled with what it did use. One reservation waits
-- for another of its workspace, so calls that begin together cannot overrun a cap together. A call whose worker died
-- stays reserved: the provider may have answered it, and a cap is a cap.

CREATE FUNCTION memory_usage_reserve(
    p_workspace uuid, p_project uuid, p_tokens bigint, p_workspace_cap bigint, p_project_cap bigint
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_day date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
    v_own_cap bigint;
    v_workspace bigint;
    v_project bigint;
BEGIN
    PERFORM set_config('app.current_workspace_id', p_workspace::text, true);
    -- Of the workspace, since its day is shared by its projects.
    PERFORM pg_advisory_xact_lock(hashtextextended('memory_usage/' || p_workspace, 0));
    SELECT daily_tokens INTO v_own_cap FROM memory_settings WHERE workspace_id = p_workspace AND project_id = p_project;
    SELECT coalesce(sum(input_tokens + output_tokens + reserved), 0),
           coalesce(sum(input_tokens + output_tokens + reserved) FILTER (WHERE project_id = p_project), 0)
        INTO v_workspace, v_project FROM memory_usage WHERE workspace_id = p_workspace AND day = v_day;
    IF v_workspace + p_tokens > p_workspace_cap THEN
        RETURN jsonb_build_object('refused', 'workspace', 'used', v_workspace, 'cap', p_workspace_cap);
    ELSIF v_project + p_tokens > coalesce(v_own_cap, p_project_cap) THEN
        RETURN jsonb_build_object('refused', 'project', 'used', v_project, 'cap', coalesce(v_own_cap, p_project_cap));
    END IF;
    INSERT INTO memory_usage AS u (workspace_id, project_id, day, reserved)
        VALUES (p_workspace, p_project, v_day, p_tokens)
        ON CONFLICT (workspace_id, project_id, day) DO UPDATE SET reserved = u.reserved + excluded.reserved;
    RETURN jsonb_build_object('day', v_day);
END $$;

CREATE FUNCTION memory_usage_settle(
    p_workspace uuid, p_project uuid, p_day date, p_reserved bigint, p_calls bigint, p_input bigint, p_output bigint
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('app.current_workspace_id', p_workspace::text, true);
    UPDATE memory_usage SET reserved = greatest(0, reserved - p_reserved), calls = calls + p_calls,
                            input_tokens = input_tokens + p_input, output_tokens = output_tokens + p_output
        WHERE workspace_id = p_workspace AND project_id = p_project AND day = p_day;
    RETURN FOUND;
END $$;
