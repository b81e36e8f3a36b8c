"""HOW it touches the world. Idempotent. May import: domain, storage, runners, models."""
