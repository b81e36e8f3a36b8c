"""The only SQL, the only Valkey keys. May import: domain, psycopg, pgvector, redis."""
