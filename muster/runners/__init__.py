"""Ways to execute an agent. May import: muster.domain, muster.models."""
