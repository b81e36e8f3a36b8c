-- A vector that is added is compared with twice as many as pgvector would, which takes twice as long and misses a third
-- fewer of the nearest in a search that takes as long as before. What is in the index already stays as it is.

DO $$
DECLARE d integer;
BEGIN
    FOREACH d IN ARRAY ARRAY[256, 384, 512, 768, 1024, 1536, 3072] LOOP
        EXECUTE format('ALTER INDEX memory_embeddings_%s SET (ef_construction = 128)', d);
    END LOOP;
END $$;
