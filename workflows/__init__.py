"""WHAT happens, in order. Deterministic. May import: muster.domain, workflows.steps, temporalio."""
