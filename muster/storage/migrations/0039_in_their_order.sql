-- What repeats another says the same in the same order: "Alice reviews what Bob writes" is not what Bob reviews, nor what
-- Carol writes. And of sessions that store the same in one moment, one comes first.

-- The words of a text in the order in which each first comes, their endings and those that hold it together aside. So are
-- numbers and names with numbers: these are marks (muster/domain/marks.py), or count for nothing.
CREATE FUNCTION words_in_order(p_text text) RETURNS TABLE (word text, place bigint) LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN length(w) > 5 THEN regexp_replace(w, '(ings?|ed|es|s|ly)$', '') ELSE w END, min(n)
    FROM regexp_split_to_table(
        -- Where words are not parted, each character is one.
        regexp_replace(lower(p_text), '([\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af])', ' \1 ', 'g'),
        '[\s!-/:-@\[-`{-~–—…“”‘’«»，。、；：？！（）「」]+') WITH ORDINALITY AS s (w, n)
    WHERE w <> '' AND w !~ '[0-9]' AND w <> ALL ('{a,an,the,and,or,but,so,then,also,too,now,again,once,still,already,very,of,to,in,
        on,at,by,for,with,from,into,as,is,are,was,were,be,been,being,am,do,does,did,has,have,had,it,its,this,that,these,those,
        there,which,who,what,when,where,while,will,would,can,could,should,may,must,not,no,s,t}'::text[])
    GROUP BY 1
$$;

-- Whether the words that both have come in one order in both, and one has no other words in the place of the other's.
CREATE FUNCTION say_the_same(p_one text, p_other text) RETURNS boolean LANGUAGE sql IMMUTABLE
SET enable_hashjoin = on AS $$
    SELECT CASE WHEN p_one = p_other THEN true ELSE (
        SELECT coalesce(array_agg(word ORDER BY one) FILTER (WHERE one + other > 0)
                        = array_agg(word ORDER BY other) FILTER (WHERE one + other > 0), true)
               AND NOT (bool_or(one IS NULL) AND bool_or(other IS NULL))
        FROM (SELECT word, a.place AS one, b.place AS other
              FROM words_in_order(p_one) a FULL JOIN words_in_order(p_other) b USING (word)) both_of) END
$$;

CREATE FUNCTION said_by(o observations) RETURNS text LANGUAGE sql STABLE
RETURN concat_ws(' ', o.title, o.narrative, array_to_string(o.facts, ' '));

-- Who looks for something like what it is about to store waits for whoever stores something alike, and sees it then. Two
-- that have nothing in common do not wait for each other; who stores much waits for all.
CREATE FUNCTION memory_in_turn(p_project uuid, p_near text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_all bigint := hashtextextended('memory_near/' || p_project, 0);
    v_locks bigint[] := ARRAY(SELECT DISTINCT hashtextextended('memory_near/' || p_project, t)
                              FROM unnest(p_near) l, unnest(l::bigint[]) t ORDER BY 1 LIMIT 65);
BEGIN
    IF cardinality(v_locks) > 64 THEN
        PERFORM pg_advisory_xact_lock(v_all);
    ELSE
        PERFORM pg_advisory_xact_lock_shared(v_all);
        PERFORM pg_advisory_xact_lock(l) FROM unnest(v_locks) WITH ORDINALITY AS x (l, n) ORDER BY n;
    END IF;
END $$;

-- As before (0019_drain.sql), but all that one may repeat are told, the oldest first: the first may say it in another order.
CREATE OR REPLACE FUNCTION memory_repeats(p_workspace uuid, p_project uuid, p_near text[], p_weights sparsevec[])
RETURNS TABLE (n integer, observation_id uuid, earlier integer)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public AS $$
BEGIN
    RETURN QUERY EXECUTE
        'WITH given AS MATERIALIZED (
            SELECT g.n::integer, g.near::bigint[] AS near, g.weights
            FROM unnest($1, $2) WITH ORDINALITY AS g (near, weights, n) WHERE g.near <> ''{}''),
        found AS MATERIALIZED (
            -- Apart, or they would be looked for along the project''s whole time, for the sake of the order; and at once,
            -- since each look goes through all that the index has not sorted in yet.
            SELECT o.workspace_id, o.project_id, o.observation_id, o.words, o.weights, o.occurred_at
            FROM observation_words o WHERE o.words && (SELECT array_agg(t) FROM given g, unnest(g.near) t)),
        there AS (
            SELECT g.n, w.observation_id, w.occurred_at FROM given g JOIN found w ON w.words && g.near
            WHERE w.workspace_id = $3 AND w.project_id = $4 AND w.weights <=> g.weights <= 0.05),
        shared AS (
            SELECT array_agg(g.n ORDER BY g.n) AS places FROM given g, unnest(g.near) t GROUP BY t HAVING count(*) > 1)
        SELECT a.n, a.observation_id, a.earlier FROM (
            SELECT t.n, t.observation_id, NULL::integer AS earlier, t.occurred_at FROM there t
            UNION ALL
            SELECT p.later, NULL::uuid, p.earlier, NULL
            FROM (SELECT DISTINCT later, earlier FROM shared s, unnest(s.places) AS later, unnest(s.places) AS earlier
                  WHERE earlier < later) p
            WHERE ($2)[p.later] <=> ($2)[p.earlier] <= 0.05) a
        ORDER BY a.n, a.occurred_at NULLS LAST, a.observation_id, a.earlier'
        USING p_near, p_weights, CASE WHEN p_workspace = current_workspace() THEN p_workspace END,
              CASE WHEN reaches_all() OR p_project = current_project() THEN p_project END;
END $$;

DO $$
DECLARE v_new text := pg_get_functiondef('observation_put(uuid,uuid,jsonb)'::regprocedure);
BEGIN
    v_new := replace(v_new, 'v_weights sparsevec[];', 'v_weights sparsevec[]; v_said text[];');
    v_new := replace(v_new, 'array_agg(x.weights ORDER BY x.n)', 'array_agg(x.weights ORDER BY x.n), array_agg(x.said ORDER BY x.n)');
    v_new := replace(v_new, 'v_near, v_weights
        FROM (SELECT g.n, g.id, g.near, g.weights,', 'v_near, v_weights, v_said
        FROM (SELECT g.n, g.id, g.near, g.weights, concat_ws('' '', g.title, g.narrative, array_to_string(g.facts, '' '')) AS said,');
    v_new := replace(v_new, '(id uuid, near text, weights sparsevec))
                   WITH ORDINALITY AS g (id, near, weights, n)', '(id uuid, near text, weights sparsevec, title text,
                              narrative text, facts text[])) WITH ORDINALITY AS g (id, near, weights, title, narrative, facts, n)');
    v_new := replace(v_new, '        FOR r IN SELECT * FROM memory_repeats(', '        PERFORM memory_in_turn(p_project, v_near);
        FOR r IN SELECT * FROM memory_repeats(');
    v_new := replace(v_new, 'ELSIF r.observation_id IS NOT NULL THEN
                v_to[r.n] := r.observation_id;', 'ELSIF r.observation_id IS NOT NULL THEN
                IF EXISTS (SELECT 1 FROM observations o
                           WHERE o.id = r.observation_id AND say_the_same(v_said[r.n], said_by(o))) THEN
                    v_to[r.n] := r.observation_id;
                END IF;');
    v_new := replace(v_new, 'ELSIF v_to[r.earlier] = v_ids[r.earlier] THEN',
        'ELSIF v_to[r.earlier] = v_ids[r.earlier] AND say_the_same(v_said[r.n], v_said[r.earlier]) THEN');
    IF strpos(v_new, 'v_said text[]') = 0 OR strpos(v_new, 'array_agg(x.said') = 0 OR strpos(v_new, 'AS said,') = 0
       OR strpos(v_new, 'narrative text, facts text[])) WITH') = 0 OR strpos(v_new, 'memory_in_turn') = 0
       OR strpos(v_new, 'said_by(o)') = 0 OR strpos(v_new, 'v_said[r.earlier])') = 0 THEN
        RAISE EXCEPTION 'observation_put is not what it was';
    END IF;
    EXECUTE v_new;
END $$;
