-- A key that is used again after its day is another request: what is named after the first must not be found by it.

ALTER TABLE idempotency_keys
    ADD COLUMN request_id uuid NOT NULL DEFAULT gen_random_uuid();  -- what the request creates is named after it
