"""ASKING for it. Thin. May import: muster.domain, workflows (typed handles), muster.storage, muster.settings."""
