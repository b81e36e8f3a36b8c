-- The answer of a call that a project excludes is excluded, too, however much later it is sent. A session knows such calls
-- by hashes under its own id (muster/domain/calls.py), the latest 1,000 of them, and they go when it goes.
ALTER TABLE memory_sessions ADD COLUMN excluded_calls bigint[];

CREATE FUNCTION excluded_calls_after(p_before bigint[], p_excluded bigint[], p_free bigint[]) RETURNS bigint[]
LANGUAGE sql IMMUTABLE
RETURN (SELECT array_agg(call ORDER BY place) FROM (
    SELECT u.call, max(u.place) AS place
    FROM (SELECT b.call, b.n AS place FROM unnest(p_before) WITH ORDINALITY AS b (call, n)
              WHERE NOT b.call = ANY (coalesce(p_free, '{}'))
          UNION ALL
          SELECT e.call, 1000000 + e.n FROM unnest(p_excluded) WITH ORDINALITY AS e (call, n)) u
    GROUP BY 1 ORDER BY 2 DESC LIMIT 1000) latest);

-- As before, but a scope also says which calls are asked about (`asked`), which are excluded from now on (`excluded`), and
-- which are not (`free`). Where one that is asked about was excluded, the request is refused and told which (`call`); it
-- comes again without what answers those. A scope of which nothing is written is `silent`.
DO $$
DECLARE v_new text := pg_get_functiondef('memory_record(uuid,uuid,uuid,json,json,json)'::regprocedure);
BEGIN
    v_new := replace(v_new, 'json_build_object(''g'', x.g, ''n'', x.n, ''why'', x.why)',
        'json_build_object(''g'', x.g, ''n'', x.n, ''why'', x.why, ''calls'', x.calls)');
    v_new := replace(v_new, 'FROM (SELECT x.g, x.n, CASE', 'FROM (SELECT x.g, x.n, k.calls, CASE');
    v_new := replace(v_new, 'WHEN s.id IS NULL THEN ''session'' END AS why',
        'WHEN s.id IS NULL AND x.silent IS NOT TRUE THEN ''session''
                WHEN k.calls IS NOT NULL THEN ''call'' END AS why');
    v_new := replace(v_new, 'stamp text, session uuid, sent boolean)',
        'stamp text, session uuid, sent boolean, silent boolean, asked bigint[])');
    v_new := replace(v_new, 'AND s.id = x.session) x', 'AND s.id = x.session
              LEFT JOIN LATERAL (SELECT array_agg(a) AS calls FROM (
                  SELECT unnest(x.asked) INTERSECT SELECT unnest(s.excluded_calls)) f (a)
                  WHERE s.excluded_calls IS NOT NULL) k ON true) x');
    v_new := replace(v_new, 'SET events = s.events + c.events, version = s.version + 1
            FROM (SELECT r.session_id, count(*) AS events FROM recorded r GROUP BY 1 ORDER BY 1) c
            WHERE s.id = c.session_id', 'SET events = s.events + c.events,
                version = s.version + (c.events > 0)::integer,
                excluded_calls = CASE WHEN c.excluded IS NULL AND (c.free IS NULL OR s.excluded_calls IS NULL)
                    THEN s.excluded_calls ELSE excluded_calls_after(s.excluded_calls, c.excluded, c.free) END
            FROM (SELECT q.session_id, count(*) FILTER (WHERE q.call IS NULL) AS events,
                         array_agg(q.call) FILTER (WHERE q.excluded) AS excluded,
                         array_agg(q.call) FILTER (WHERE NOT q.excluded) AS free
                  FROM (SELECT r.session_id, NULL::bigint AS call, NULL::boolean AS excluded FROM recorded r
                        UNION ALL
                        SELECT x.session, o.call, o.excluded
                        FROM json_to_recordset(p_scopes)
                             AS x (g integer, session uuid, excluded bigint[], free bigint[]),
                             LATERAL (SELECT unnest(x.excluded), true UNION ALL SELECT unnest(x.free), false)
                             AS o (call, excluded)
                        WHERE v_without IS NULL OR NOT x.g = ANY (v_without)) q
                  GROUP BY 1 ORDER BY 1) c
            WHERE s.id = c.session_id
              AND (c.events > 0 OR c.excluded IS NOT NULL OR s.excluded_calls && c.free)');
    v_new := replace(v_new, 'FROM json_to_recordset(p_scopes) AS x (g integer, n integer, session uuid, by text)',
        'FROM json_to_recordset(p_scopes) AS x (g integer, n integer, session uuid, by text, silent boolean)
                        WHERE x.silent IS NOT TRUE');
    IF strpos(v_new, 'k.calls, CASE') = 0 OR strpos(v_new, '''calls'', x.calls') = 0 OR strpos(v_new, 'x.silent IS NOT TRUE THEN') = 0
       OR strpos(v_new, 'asked bigint[])') = 0 OR strpos(v_new, 'k ON true) x') = 0 OR strpos(v_new, 'AS free') = 0
       OR strpos(v_new, 'WHERE x.silent IS NOT TRUE') = 0 THEN
        RAISE EXCEPTION 'memory_record is not what it was';
    END IF;
    EXECUTE v_new;
END $$;
