"""The yardsticks: the same shapes with nothing of Muster in them. May import: temporalio, FastAPI, psycopg, redis."""
