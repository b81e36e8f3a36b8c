"""The only SQL and the only Valkey keys. May import: muster.domain, psycopg, pgvector, redis."""
