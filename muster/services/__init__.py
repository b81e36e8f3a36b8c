"""Temporal, PostgreSQL and Valkey from wheels, supervised. May import: muster.settings."""
