-- What agents do seldom says what it is for, and what they were asked for may be hundreds of events before it: it is
-- handed to the generator with each batch, also with a large one, and from further back than what came right before.

DO $$
DECLARE
    v_new text;
BEGIN
    v_new := pg_get_functiondef('memory_claim(uuid,uuid,uuid,memory_job_kind,uuid,boolean)'::regprocedure);
    v_new := regexp_replace(v_new,
        'IF v_count < least\(v_most, 20\) AND p_session IS NOT NULL THEN(\s+SELECT json_agg.*? INTO v_earlier) FROM \(\s+'
        'SELECT \* (FROM agent_events a .*?)(ORDER BY a\.occurred_at DESC, a\.received_at DESC, a\.id DESC LIMIT 20)\) e;',
        $sql$IF p_session IS NOT NULL THEN\1 FROM agent_events e
                WHERE e.workspace_id = p_workspace AND e.id = ANY (ARRAY(
                    SELECT b.id FROM (SELECT a.id \2AND v_count < least(v_most, 20) \3) b
                    UNION ALL SELECT p.id FROM (
                        SELECT l.id FROM (
                            SELECT * FROM agent_events a WHERE a.workspace_id = p_workspace AND a.session_id = p_session
                            AND a.occurred_at <= v_first ORDER BY a.occurred_at DESC, a.id DESC LIMIT 300) l
                        WHERE l.type IN ('agent.started', 'prompt', 'UserPromptSubmit', 'beforeSubmitPrompt', 'BeforeAgent',
                                'user_prompt', 'user.prompt', 'user-prompt', 'user_message', 'user.message', 'request',
                                'message', 'user', 'turn', 'chat')
                            AND NOT l.job_id = ANY (v_jobs) AND memory_asks(l.type, l.payload)
                        ORDER BY l.occurred_at DESC, l.received_at DESC, l.id DESC LIMIT 1) p));$sql$);
    IF strpos(v_new, 'memory_asks') = 0 THEN
        RAISE EXCEPTION 'memory_claim is not what it was';
    END IF;
    EXECUTE v_new;
END $$;

CREATE FUNCTION memory_asks(p_type text, p_payload jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT pg_column_size(p_payload) < 16384 AND (p_type NOT IN ('message', 'user', 'turn', 'chat') OR (
        coalesce('user' IN (p_payload ->> 'role', p_payload #>> '{message,role}'), false)
        AND strpos(p_payload::text, 'tool_result') = 0))
$$;
COMMENT ON FUNCTION memory_asks IS 'Whether an event of a type that may tell what somebody wants does so.';
