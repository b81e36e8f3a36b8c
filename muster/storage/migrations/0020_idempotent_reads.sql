-- What a search answered is kept for its Idempotency-Key, as any answer is. It tells of many memories, so when anything
-- is forgotten it goes, and whoever sends the request again searches again.
ALTER TABLE idempotency_keys ADD COLUMN reads boolean NOT NULL DEFAULT false;
CREATE INDEX idempotency_keys_that_read ON idempotency_keys (workspace_id) WHERE reads;

CREATE OR REPLACE FUNCTION memory_unanswer(p_workspace uuid, p_made uuid[]) RETURNS void LANGUAGE sql AS $$
    DELETE FROM idempotency_keys WHERE workspace_id = p_workspace AND reads;
    UPDATE idempotency_keys SET answer = jsonb_build_object('status', 404, 'location', NULL, 'body',
        jsonb_build_object('type', 'urn:muster:problem:not_found', 'title', 'Not found', 'status', 404,
            'detail', 'what this request made is forgotten', 'code', 'not_found', 'retryable', false))
    WHERE workspace_id = p_workspace AND (request_id = ANY (p_made) OR session_id = ANY (p_made))
      AND answer IS NOT NULL
$$;
