"""HOW it touches the world. Idempotent. May import: muster.domain, muster.storage, muster.runners, muster.models."""
