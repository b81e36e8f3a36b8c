-- What a workspace may use, what it has used, and whether it takes work at all.

CREATE TYPE admission AS ENUM ('open', 'draining', 'stopped');

ALTER TABLE workspaces
    ADD COLUMN max_waiting_tasks integer NOT NULL DEFAULT 10000 CHECK (max_waiting_tasks BETWEEN 1 AND 1000000),
    ADD COLUMN requests_per_second integer NOT NULL DEFAULT 200 CHECK (requests_per_second BETWEEN 1 AND 100000),
    ADD COLUMN max_body_bytes integer CHECK (max_body_bytes >= 1024),        -- null: as the instance has it
    ADD COLUMN max_output_bytes bigint CHECK (max_output_bytes >= 1024),     -- null: as the instance has it
    ADD COLUMN daily_agent_seconds bigint CHECK (daily_agent_seconds >= 1),  -- null: without limit; days are UTC
    ADD COLUMN weight smallint NOT NULL DEFAULT 1 CHECK (weight BETWEEN 1 AND 1000),
    ADD COLUMN admission admission NOT NULL DEFAULT 'open',
    ADD COLUMN admission_by jsonb;                                           -- {user, user_id, key_id, reason, at}

CREATE TABLE usage_days (
    workspace_id  uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
    day           date NOT NULL,
    agents        bigint NOT NULL DEFAULT 0,                                 -- that ended on it
    agent_seconds double precision NOT NULL DEFAULT 0,
    PRIMARY KEY (workspace_id, day)
) WITH (fillfactor = 50);
ALTER TABLE usage_days ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage_days FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON usage_days TO muster_app USING (workspace_id = (SELECT current_workspace()));

-- An agent's time counts for the days on which it ran.
CREATE FUNCTION count_usage() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    v_from timestamp := coalesce(NEW.started_at, NEW.finished_at) AT TIME ZONE 'UTC';
    v_to timestamp := NEW.finished_at AT TIME ZONE 'UTC';
BEGIN
    INSERT INTO usage_days AS u (workspace_id, day, agents, agent_seconds)
        SELECT NEW.workspace_id, d::date, (d::date = v_to::date)::integer,
               greatest(0, extract(epoch FROM least(v_to, d + interval '1 day') - greatest(v_from, d)))
        FROM generate_series(date_trunc('day', v_from), v_to, interval '1 day') d
        ON CONFLICT (workspace_id, day) DO UPDATE
            SET agents = u.agents + excluded.agents, agent_seconds = u.agent_seconds + excluded.agent_seconds;
    RETURN NULL;
END $$;
CREATE TRIGGER count_usage AFTER UPDATE OF status ON agents FOR EACH ROW
    WHEN (NEW.finished_at IS NOT NULL AND OLD.finished_at IS NULL) EXECUTE FUNCTION count_usage();

-- Today's, with what those that still run have used of it.
CREATE FUNCTION agent_seconds_today(p_workspace uuid) RETURNS double precision LANGUAGE sql STABLE
RETURN coalesce((SELECT agent_seconds FROM usage_days
                 WHERE workspace_id = p_workspace AND day = (clock_timestamp() AT TIME ZONE 'UTC')::date), 0)
     + coalesce((SELECT sum(extract(epoch FROM clock_timestamp() - greatest(
                     started_at, date_trunc('day', clock_timestamp() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC')))
                 FROM agents WHERE workspace_id = p_workspace AND status = 'running'), 0);

CREATE FUNCTION day_is_spent(w workspaces) RETURNS boolean LANGUAGE sql STABLE
RETURN w.daily_agent_seconds IS NOT NULL AND agent_seconds_today(w.id) >= w.daily_agent_seconds;

CREATE OR REPLACE FUNCTION free_slots(p_workspace uuid) RETURNS integer LANGUAGE plpgsql STABLE AS $$
DECLARE w workspaces;
BEGIN
    SELECT * INTO w FROM workspaces WHERE id = p_workspace;
    IF w.admission <> 'open' OR day_is_spent(w) THEN
        RETURN 0;
    END IF;
    RETURN w.max_concurrent_agents - (SELECT count(*) FROM agents
        WHERE workspace_id = p_workspace AND status IN ('spawning', 'running'));
END $$;

CREATE OR REPLACE FUNCTION spawn_now(t tasks) RETURNS void LANGUAGE plpgsql AS $$
DECLARE w workspaces;
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
        SELECT * INTO w FROM workspaces WHERE id = t.workspace_id;
        IF w.admission <> 'open' THEN
            RAISE EXCEPTION '% % this workspace at %: %', coalesce(w.admission_by ->> 'user', 'somebody'),
                CASE w.admission WHEN 'stopped' THEN 'stopped' ELSE 'is draining' END,
                to_char((w.admission_by ->> 'at')::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS UTC'),
                coalesce(w.admission_by ->> 'reason', 'no reason given')
                USING ERRCODE = 'MUSTR', HINT = 'workspace_stopped';
        ELSIF day_is_spent(w) THEN
            RAISE EXCEPTION 'the workspace has used its % agent-seconds of today', w.daily_agent_seconds
                USING ERRCODE = 'MUSTR', HINT = 'day_spent';
        END IF;
        RAISE EXCEPTION 'the workspace runs % agents, as many as it may', w.max_concurrent_agents
            USING ERRCODE = 'MUSTR', HINT = 'workspace_full';
    END IF;
    PERFORM grant_slot(t);
END $$;
